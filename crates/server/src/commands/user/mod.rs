//! `bindery user`: local users, by hand.

mod import;

use bindery_core::engine::{Actor, Administered, Deed, Engine, UserView, full_name};
use bindery_core::name::fold;
use bindery_core::reconcile;
use bindery_directory::{Dn, Found, Wanted};
use bindery_store::{Change, EntityKind, Flags, Link, NewUser, PasswordHash, Plan, User, UserFilter, UserState};
use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use uuid::Uuid;

use crate::cli::{Cli, Format};
use crate::context;
use crate::exit::{Exit, Failure, chain};
use crate::output::{self, pairs, table};

/// Users are read in pages of this many.
const PAGE: u32 = 1000;

/// Somebody else may write at the same time; more often than this it is no accident.
const TRIES: usize = 8;

/// `bindery user …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists users
    List {
        /// Only those linked to this source
        #[arg(long)]
        source: Option<String>,
    },
    /// Shows a user with groups, permissions and link
    Show(Name),
    /// Creates a local user
    Create {
        /// The name to sign in with
        name: String,
        /// E-mail address
        #[arg(long, default_value = "")]
        email: String,
        /// May do everything
        #[arg(long)]
        superuser: bool,
        /// Reads a local password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Sets a user's local password and ends their sessions
    SetPassword {
        /// Who
        name: String,
        /// Reads the password from standard input
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// Ties a user to an entry of a source
    Link {
        /// Who
        name: String,
        /// The source
        source: String,
        /// What the entry signs in as; the user's own name if left out
        entry: Option<String>,
    },
    /// Unties a user from their entry; what the source gave goes
    Unlink {
        /// Who
        name: String,
        /// The source; every source if left out
        source: Option<String>,
    },
    /// Lets a user in again
    Activate(Name),
    /// Shuts a user out and ends their sessions
    Deactivate(Name),
    /// Deletes a user with everything that is theirs
    Delete(Name),
    /// Brings in the users of another application, with their password hashes
    Import(import::Import),
}

/// One user.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// Who
    name: String,
}

/// Runs it.
pub(crate) async fn run(cli: &Cli, command: &Command) -> Result<Exit, Failure> {
    let (config, engine) = context::open(cli).await?;
    let (engine, output) = (&engine, cli.format);
    match command {
        Command::List { source } => list(engine, source.clone(), output).await,
        Command::Show(it) => show(engine, state(engine, &it.name).await?.user.id, output).await,
        Command::Create { name, email, superuser, password_stdin } => {
            let password = if *password_stdin { Some(new_password()?) } else { None };
            let lowercase = config.sign_in.lowercase_usernames;
            let id = create(engine, name, email, *superuser, password, lowercase).await?;
            show(engine, id, output).await
        }
        Command::SetPassword { name, .. } => set_password(engine, name).await,
        Command::Link { name, source, entry } => {
            let user = state(engine, name).await?.user;
            link(engine, &user, source, entry.as_deref().unwrap_or(&user.username)).await?;
            show(engine, user.id, output).await
        }
        Command::Unlink { name, source } => {
            let user = state(engine, name).await?.user.id;
            unlink(engine, name, source.as_deref()).await?;
            show(engine, user, output).await
        }
        Command::Activate(it) => administer(engine, &it.name, Deed::Activate).await,
        Command::Deactivate(it) => administer(engine, &it.name, Deed::Deactivate).await,
        Command::Delete(it) => {
            change(engine, &it.name, |state| Ok(Plan::from(vec![Change::DeleteUser { user: state.user.id }]))).await
        }
        Command::Import(it) => {
            let settings = &config.sign_in;
            let terms =
                import::Terms { lowercase: settings.lowercase_usernames, authorizes: settings.authorize_local_users };
            import::run(engine, it, terms, output).await
        }
    }
}

/// Somebody by name.
pub(crate) async fn state(engine: &Engine, name: &str) -> Result<UserState, Failure> {
    let found = engine.store().user_state_by_username(&fold(name)).await?;
    found.ok_or_else(|| Failure::refused(format!("there is no user {name:?}; `bindery user list` shows who there is")))
}

/// Plans against what is stored, and again when somebody else wrote first.
async fn change(
    engine: &Engine,
    name: &str,
    plan: impl Fn(&UserState) -> Result<Plan, Failure>,
) -> Result<Exit, Failure> {
    for _ in 0..TRIES {
        let state = state(engine, name).await?;
        match engine.store().apply(&plan(&state)?, engine.now()).await {
            Ok(_) => return Ok(Exit::Done),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::unavailable(format!("the user {name:?} kept changing while they were being written; try again")))
}

/// As the admin pages do it, for whoever may run commands.
async fn administer(engine: &Engine, name: &str, deed: Deed) -> Result<Exit, Failure> {
    let whom = state(engine, name).await?.user.id;
    match engine.administer(deed, whom, Actor::CommandLine).await {
        Administered::Done => Ok(Exit::Done),
        Administered::Unavailable(why) => Err(Failure::unavailable(why)),
        Administered::NoSuchUser | Administered::Forbidden | Administered::Yourself | Administered::Superuser => {
            Err(Failure::refused(format!("the user {name:?} is gone")))
        }
    }
}

/// A user in a list.
#[derive(Serialize)]
struct Listed {
    id: Uuid,
    username: String,
    first_name: String,
    last_name: String,
    email: String,
    display_name: String,
    path: String,
    #[serde(flatten)]
    flags: Flags,
}

impl From<User> for Listed {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            username: user.username,
            first_name: user.first_name,
            last_name: user.last_name,
            email: user.email,
            display_name: user.display_name,
            path: user.path,
            flags: user.flags,
        }
    }
}

impl Listed {
    fn row(&self) -> Vec<String> {
        let flag = |name: &str| (if self.flags.get(name) == Some(&true) { "yes" } else { "" }).to_owned();
        let name = full_name(&self.display_name, &self.first_name, &self.last_name);
        let flags = ["is_active", "is_staff", "is_superuser"].map(flag);
        [self.username.clone(), name, self.email.clone(), self.path.clone()].into_iter().chain(flags).collect()
    }
}

async fn list(engine: &Engine, source: Option<String>, output: Format) -> Result<Exit, Failure> {
    let mut filter = UserFilter { source, limit: PAGE, ..UserFilter::default() };
    let mut users: Vec<Listed> = Vec::new();
    loop {
        let page = engine.store().users(&filter).await?;
        let Some(last) = page.last() else { break };
        filter.after.clone_from(&last.username_key);
        users.extend(page.into_iter().map(Listed::from));
    }
    output::report(output, &users, |users| {
        let rows: Vec<_> = users.iter().map(Listed::row).collect();
        table(&["username", "name", "email", "path", "active", "staff", "superuser"], &rows)
    })?;
    Ok(Exit::Done)
}

async fn show(engine: &Engine, id: Uuid, output: Format) -> Result<Exit, Failure> {
    let view = engine.view(id).await?.ok_or_else(|| Failure::refused("the user is gone"))?;
    output::report(output, &view, describe)?;
    Ok(Exit::Done)
}

/// A user for people.
pub(crate) fn describe(view: &UserView) -> String {
    let flags: Vec<&str> = view.flags.iter().filter(|(_, value)| **value).map(|(name, _)| name.as_str()).collect();
    let mut lines = vec![
        ("id", view.id.to_string()),
        ("username", view.username.clone()),
        ("first_name", view.first_name.clone()),
        ("last_name", view.last_name.clone()),
        ("email", view.email.clone()),
        ("display_name", view.display_name.clone()),
        ("path", view.path.clone()),
        ("flags", flags.join(", ")),
        ("groups", view.groups.join(", ")),
        ("permissions", view.permissions.join(", ")),
    ];
    let profile = view.profile.iter().map(|(name, value)| (name.as_str(), text_of(value)));
    lines.extend(profile);
    if let Some(link) = &view.link {
        lines.push(("source", link.source.clone()));
        lines.push(("unique_id", link.unique_id.clone()));
        lines.push(("dn", link.dn.clone()));
        lines.push(("last_seen", link.last_seen.to_rfc3339()));
    }
    pairs(&lines)
}

fn text_of(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// A username as it is shown and as it is compared.
fn username(name: &str, lowercase: bool) -> Result<(String, String), String> {
    let name = name.trim();
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err("a username is a text without control characters".to_owned());
    }
    Ok((if lowercase { name.to_lowercase() } else { name.to_owned() }, fold(name)))
}

async fn create(
    engine: &Engine,
    name: &str,
    email: &str,
    superuser: bool,
    password: Option<SecretString>,
    lowercase: bool,
) -> Result<Uuid, Failure> {
    let (username, username_key) = username(name, lowercase).map_err(Failure::usage)?;
    let mut user = NewUser {
        id: engine.new_id(),
        username,
        username_key,
        email: email.to_owned(),
        email_key: fold(email),
        ..NewUser::default()
    };
    if superuser {
        // As `cascade` says: a superuser is also staff.
        user.flags.extend(["is_staff", "is_superuser"].map(|flag| (flag.to_owned(), true)));
    }
    if let Some(password) = password {
        user.password_hash = Some(hash(engine, &password).await?);
    }
    let id = user.id;
    match engine.store().apply(&Plan::from(vec![Change::CreateUser(user)]), engine.now()).await {
        Ok(_) => Ok(id),
        Err(error) if error.is_conflict() => Err(Failure::refused(format!("there is a user {name:?} already"))),
        Err(error) => Err(error.into()),
    }
}

/// A password that somebody is given: neither empty nor with NUL (RFC 4513, 5.1.2).
fn new_password() -> Result<SecretString, Failure> {
    let password = context::password_from_stdin()?;
    let text = password.expose_secret();
    if text.is_empty() || text.contains('\0') {
        return Err(Failure::refused("empty_password: a password is neither empty nor does it hold NUL"));
    }
    Ok(password)
}

async fn hash(engine: &Engine, password: &SecretString) -> Result<PasswordHash, Failure> {
    let hash = engine.passwords().hash(password, engine.entropy()).await;
    hash.map(PasswordHash::new).map_err(|error| Failure::unavailable(chain(&error)))
}

async fn set_password(engine: &Engine, name: &str) -> Result<Exit, Failure> {
    let password = new_password()?;
    state(engine, name).await?;
    let hash = hash(engine, &password).await?;
    change(engine, name, |state| {
        let user = state.user.id;
        let set = Change::SetPassword { user, hash: Some(hash.clone()) };
        Ok(Plan::from(vec![set, Change::EndSessions { user, except: None }]))
    })
    .await
}

async fn link(engine: &Engine, user: &User, source: &str, entry: &str) -> Result<(), Failure> {
    let active = context::source(engine, source)?;
    let read_at = engine.now();
    let person = match active.directory.find(entry, &Wanted::default()).await? {
        Found::One(person) => person,
        Found::Nobody => return Err(Failure::refused(format!("source {source} has nobody named {entry:?}"))),
        Found::Several(dns) => {
            let dns: Vec<String> = dns.iter().map(Dn::to_string).collect();
            return Err(Failure::refused(format!("source {source} has several named {entry:?}: {}", dns.join("; "))));
        }
    };
    let link = Link {
        kind: EntityKind::User,
        source: source.to_owned(),
        unique_id: person.unique_id.clone(),
        entity_id: user.id,
        dn: person.dn.to_string(),
        dn_key: person.dn.key(),
        last_seen: read_at,
        ..Link::default()
    };
    match engine.store().apply(&Plan::from(vec![Change::Link(link)]), engine.now()).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_conflict() => Err(Failure::refused(format!(
            "the user {:?} or the entry {} is linked already; `bindery user unlink` first",
            user.username, person.dn
        ))),
        Err(error) => Err(error.into()),
    }
}

async fn unlink(engine: &Engine, name: &str, source: Option<&str>) -> Result<Exit, Failure> {
    change(engine, name, |state| {
        let plan = reconcile::unlink(state, source);
        if plan.is_empty() {
            return Err(Failure::refused(format!("the user {name:?} is not linked{}", of_source(source))));
        }
        Ok(plan)
    })
    .await
}

fn of_source(source: Option<&str>) -> String {
    source.map_or_else(String::new, |source| format!(" to source {source}"))
}
