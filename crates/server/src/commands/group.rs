//! `bindery group`: local groups, their members and permissions, by hand.

use bindery_core::engine::Engine;
use bindery_core::reconcile::group_key;
use bindery_store::{Change, Group, GroupRef, NewGroup, Owner, Plan};
use clap::{Args, Subcommand};
use serde::Serialize;
use uuid::Uuid;

use super::user;
use crate::cli::{Cli, Format};
use crate::context;
use crate::exit::{Exit, Failure};
use crate::output::{self, pairs, table};

/// `bindery group …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists groups
    List,
    /// Shows a group with members and permissions
    Show(GroupName),
    /// Creates a group
    Create(GroupName),
    /// Deletes a group with its memberships and permissions
    Delete(GroupName),
    /// Puts a user into a group
    Add(Membership),
    /// Takes a user out of a group, if they were put there by hand
    Remove(Membership),
    /// Gives a group a permission, as `app.action_thing`
    Grant(Permission),
    /// Takes a permission from a group
    Revoke(Permission),
}

/// One group.
#[derive(Debug, Args)]
pub(crate) struct GroupName {
    /// The group
    group: String,
}

/// A user and a group.
#[derive(Debug, Args)]
pub(crate) struct Membership {
    /// The group
    group: String,
    /// Who
    user: String,
}

/// A group and a permission.
#[derive(Debug, Args)]
pub(crate) struct Permission {
    /// The group
    group: String,
    /// The permission
    permission: String,
}

/// Runs it.
pub(crate) async fn run(cli: &Cli, command: &Command) -> Result<Exit, Failure> {
    let (_, engine) = context::open(cli).await?;
    let (engine, output) = (&engine, cli.format);
    match command {
        Command::List => list(engine, output).await,
        Command::Show(it) => show(engine, &it.group, output).await,
        Command::Create(it) => create(engine, &it.group).await,
        Command::Delete(it) => {
            let group = GroupRef::Id(find(engine, &it.group).await?.id);
            apply(engine, Change::DeleteGroup { group }).await
        }
        Command::Add(it) => {
            let (user, group) = both(engine, it).await?;
            apply(engine, Change::AddMembership { user, group, owner: Owner::Hand }).await
        }
        Command::Remove(it) => remove(engine, it).await,
        Command::Grant(it) => {
            let permission = permission(&it.permission)?;
            let group = GroupRef::Id(find(engine, &it.group).await?.id);
            apply(engine, Change::Grant { group, permission }).await
        }
        Command::Revoke(it) => {
            let group = find(engine, &it.group).await?;
            if !engine.store().permissions_of_group(group.id).await?.contains(&it.permission) {
                return Err(Failure::refused(format!(
                    "the group {:?} has no permission {:?}",
                    group.name, it.permission
                )));
            }
            apply(engine, Change::Revoke { group: GroupRef::Id(group.id), permission: it.permission.clone() }).await
        }
    }
}

async fn apply(engine: &Engine, change: Change) -> Result<Exit, Failure> {
    engine.store().apply(&Plan::from(vec![change]), engine.now()).await?;
    Ok(Exit::Done)
}

async fn find(engine: &Engine, name: &str) -> Result<Group, Failure> {
    let found = engine.store().group_by_name(&group_key(name)).await?;
    found.map(|state| state.group).ok_or_else(|| {
        Failure::refused(format!("there is no group {name:?}; `bindery group list` shows which there are"))
    })
}

async fn both(engine: &Engine, it: &Membership) -> Result<(Uuid, GroupRef), Failure> {
    let group = find(engine, &it.group).await?;
    let user = user::state(engine, &it.user).await?;
    Ok((user.user.id, GroupRef::Id(group.id)))
}

/// Plain strings, of which nothing more is known; but without what would be lost in a list.
fn permission(text: &str) -> Result<String, Failure> {
    let plain = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    if plain { Ok(text.to_owned()) } else { Err(Failure::usage("a permission is a word, as app.action_thing")) }
}

async fn create(engine: &Engine, name: &str) -> Result<Exit, Failure> {
    let name = name.trim();
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Failure::usage("the name of a group is a text without control characters"));
    }
    let group = NewGroup { id: engine.new_id(), name: name.to_owned(), name_key: group_key(name), owner: Owner::Hand };
    match engine.store().apply(&Plan::from(vec![Change::CreateGroup(group)]), engine.now()).await {
        Ok(_) => Ok(Exit::Done),
        Err(error) if error.is_conflict() => Err(Failure::refused(format!("there is a group {name:?} already"))),
        Err(error) => Err(error.into()),
    }
}

/// A membership that a source gives is the source's to take.
async fn remove(engine: &Engine, it: &Membership) -> Result<Exit, Failure> {
    let (user, group) = both(engine, it).await?;
    let memberships = engine.store().memberships(user).await?;
    let key = group_key(&it.group);
    let owners: Vec<&Owner> = memberships.iter().filter(|own| own.group_key == key).map(|own| &own.owner).collect();
    if owners.contains(&&Owner::Hand) {
        return apply(engine, Change::RemoveMembership { user, group, owner: Owner::Hand }).await;
    }
    Err(Failure::refused(match owners.first() {
        Some(source) => format!(
            "source {} puts {:?} into {:?}; change the directory or the rules of the source",
            source.as_str(),
            it.user,
            it.group
        ),
        None => format!("{:?} is not in {:?}", it.user, it.group),
    }))
}

async fn list(engine: &Engine, output: Format) -> Result<Exit, Failure> {
    let groups: Vec<Listed> = engine.store().groups().await?.into_iter().map(Listed::from).collect();
    output::report(output, &groups, |groups| {
        let rows: Vec<_> =
            groups.iter().map(|it| vec![it.name.clone(), it.source.clone().unwrap_or_default()]).collect();
        table(&["name", "source"], &rows)
    })?;
    Ok(Exit::Done)
}

/// A group in a list.
#[derive(Serialize)]
struct Listed {
    id: Uuid,
    name: String,
    /// The source that it mirrors; none when made by hand.
    source: Option<String>,
}

impl From<Group> for Listed {
    fn from(group: Group) -> Self {
        let source = Some(group.owner.as_str()).filter(|slug| !slug.is_empty()).map(str::to_owned);
        Self { id: group.id, name: group.name, source }
    }
}

/// A group as `group show` gives it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    group: Listed,
    /// Usernames.
    members: Vec<String>,
    /// Names of the groups directly in it.
    groups: Vec<String>,
    permissions: Vec<String>,
}

async fn show(engine: &Engine, name: &str, output: Format) -> Result<Exit, Failure> {
    let group = find(engine, name).await?;
    let store = engine.store();
    let mut members: Vec<String> = store.members(group.id).await?.into_iter().map(|(user, _)| user.username).collect();
    // The same person may be there on behalf of several owners.
    members.dedup();
    let shown = Shown {
        members,
        groups: store.subgroups_of(group.id).await?.into_iter().map(|it| it.name).collect(),
        permissions: store.permissions_of_group(group.id).await?,
        group: Listed::from(group),
    };
    output::report(output, &shown, |it| {
        pairs(&[
            ("id", it.group.id.to_string()),
            ("name", it.group.name.clone()),
            ("source", it.group.source.clone().unwrap_or_default()),
            ("members", it.members.join(", ")),
            ("groups", it.groups.join(", ")),
            ("permissions", it.permissions.join(", ")),
        ])
    })?;
    Ok(Exit::Done)
}
