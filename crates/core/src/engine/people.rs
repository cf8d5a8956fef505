//! People as whoever looks after them sees them: in lists, and one by one with where each thing comes from.
//!
//! Nothing here holds a password, a verifier or a token.

use super::view::full_name;
use super::{Engine, UserView};
use crate::name::fold;
use bindery_store::{Cause, Deactivation, Link, ListedUser, Membership, Owner, StoreError, User};
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Which people to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeopleQuery {
    /// What usernames and mail addresses are to begin with, in any spelling; empty for everybody.
    pub search: String,
    /// [`People::next`] of the page before; empty for the first.
    pub after: String,
    /// At most so many in each of the two lists.
    pub limit: u32,
}

/// A page of people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// Those whose username begins so, by username.
    pub listed: Vec<PersonLine>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
    /// On the first page of a search, those whose mail address begins so and who are not in `listed`.
    pub by_email: Vec<PersonLine>,
    /// Whether there are more of them than the limit.
    pub more_by_email: bool,
}

/// Somebody in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonLine {
    /// Never changes.
    pub id: Uuid,
    /// As shown.
    pub username: String,
    /// Display name, else first and last; empty where none of them is known.
    pub name: String,
    /// E-mail address.
    pub email: String,
    /// The sources that they have an entry in; none for a local account.
    pub sources: Vec<String>,
    /// Why they may not sign in; `None` for whoever is active.
    pub inactive: Option<Inactive>,
    /// Whether they may do everything.
    pub superuser: bool,
    /// When they last signed in.
    pub last_sign_in: Option<DateTime<Utc>>,
}

/// Why somebody is not active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inactive {
    /// Somebody deactivated them. No source lets them in again.
    ByHand,
    /// The rule for `is_active` of this source says no.
    Rule(String),
    /// Their account in this source is disabled, expired or locked.
    Account(String),
    /// They are no longer in this source, or not in what is searched there.
    Left(String),
}

impl Inactive {
    fn of(active: bool, by: Option<Deactivation>) -> Option<Self> {
        match by {
            _ if active => None,
            None => Some(Self::ByHand),
            Some(Deactivation { cause: Cause::Rule, source }) => Some(Self::Rule(source)),
            Some(Deactivation { cause: Cause::Account, source }) => Some(Self::Account(source)),
            Some(Deactivation { cause: Cause::Left, source }) => Some(Self::Left(source)),
        }
    }
}

/// Who gives somebody a membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Giver {
    /// People.
    Hand,
    /// A source, in writing.
    Source(String),
    /// What was read of a directory: nothing is written, and it counts while the directory says so.
    Live,
}

/// A group that somebody is in, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenGroup {
    /// Its name.
    pub group: String,
    /// Everybody who gives it.
    pub by: Vec<Giver>,
}

/// An entry that stands behind somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryView {
    /// The source.
    pub source: String,
    /// Where it was when last read.
    pub dn: String,
    /// Its immutable identifier.
    pub unique_id: String,
    /// When it was last read.
    pub last_seen: DateTime<Utc>,
    /// Names of the fields that it gives.
    pub fields: BTreeSet<String>,
    /// Names of the flags that rules of its source decide.
    pub flags: BTreeSet<String>,
}

/// Somebody, with everything that is known of them and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonView {
    /// Fields, flags, groups and permissions.
    pub user: UserView,
    /// Why they may not sign in; `None` for whoever is active.
    pub inactive: Option<Inactive>,
    /// Their entries.
    pub entries: Vec<EntryView>,
    /// The groups of `user`, with who gives each.
    pub groups: Vec<GivenGroup>,
    /// Whether they have a password of their own here.
    pub local_password: bool,
    /// How many sessions they have.
    pub sessions: u64,
    /// When they were created.
    pub created_at: DateTime<Utc>,
    /// When anything about them last changed.
    pub updated_at: DateTime<Utc>,
    /// When they last signed in.
    pub last_sign_in: Option<DateTime<Utc>>,
}

impl Engine {
    /// A page of people, by username.
    pub async fn people(&self, query: &PeopleQuery) -> Result<People, StoreError> {
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let key = fold(&query.search);
        let mut listed = self.store().people(&key, &query.after, query.limit.saturating_add(1)).await?;
        let more = listed.len() > limit;
        listed.truncate(limit);
        let next = listed.last().filter(|_| more).map(|last| last.username_key.clone());
        let mut by_email = Vec::new();
        if query.after.is_empty() {
            by_email = self.store().people_by_email(&key, query.limit.saturating_add(1)).await?;
        }
        let more_by_email = by_email.len() > limit;
        by_email.truncate(limit);
        // Whoever begins so by name is in the other list, on this page or on a later one.
        by_email.retain(|user| !user.username_key.starts_with(&key));
        let lines = |users: Vec<ListedUser>| users.into_iter().map(PersonLine::from).collect();
        Ok(People { listed: lines(listed), next, by_email: lines(by_email), more_by_email })
    }

    /// Everything about somebody, or nothing where there is no such user.
    pub async fn person(&self, id: Uuid) -> Result<Option<PersonView>, StoreError> {
        let Some(state) = self.store().user_state(id).await? else { return Ok(None) };
        let (stored, links, memberships) = (state.user, state.links, state.memberships);
        let sessions = self.store().session_count(id, self.now()).await?;
        let user = self.view_with(stored.clone(), &links, memberships.clone()).await?;
        let User { password_hash, deactivated_by, created_at, updated_at, last_sign_in, .. } = stored;
        Ok(Some(PersonView {
            inactive: Inactive::of(user.flag("is_active"), deactivated_by),
            groups: given(&user.groups, memberships),
            user,
            entries: links.into_iter().map(EntryView::from).collect(),
            local_password: password_hash.is_some(),
            sessions,
            created_at,
            updated_at,
            last_sign_in,
        }))
    }
}

/// A group that nobody gives in writing is one that is read live.
fn given(groups: &[String], memberships: Vec<Membership>) -> Vec<GivenGroup> {
    let mut given: Vec<GivenGroup> =
        groups.iter().map(|group| GivenGroup { group: group.clone(), by: Vec::new() }).collect();
    for membership in memberships {
        let giver = match membership.owner {
            Owner::Hand => Giver::Hand,
            Owner::Source(source) => Giver::Source(source),
        };
        if let Some(group) = given.iter_mut().find(|given| given.group == membership.group_name) {
            group.by.push(giver);
        }
    }
    for group in given.iter_mut().filter(|group| group.by.is_empty()) {
        group.by.push(Giver::Live);
    }
    given
}

impl From<ListedUser> for PersonLine {
    fn from(user: ListedUser) -> Self {
        let flag = |name: &str| user.flags.get(name).copied().unwrap_or(false);
        Self {
            id: user.id,
            name: full_name(&user.display_name, &user.first_name, &user.last_name),
            inactive: Inactive::of(flag("is_active"), user.deactivated_by),
            superuser: flag("is_superuser"),
            username: user.username,
            email: user.email,
            sources: user.sources,
            last_sign_in: user.last_sign_in,
        }
    }
}

impl From<Link> for EntryView {
    fn from(link: Link) -> Self {
        Self {
            source: link.source,
            dn: link.dn,
            unique_id: link.unique_id,
            last_seen: link.last_seen,
            fields: link.given_fields,
            flags: link.given_flags,
        }
    }
}

impl PersonView {
    /// The source that gives a field. A linked person's username is always their directory's.
    pub fn gives_field(&self, name: &str) -> Option<&str> {
        let gives = |entry: &&EntryView| name == "username" || entry.fields.contains(name);
        self.entries.iter().find(gives).map(|entry| entry.source.as_str())
    }

    /// The source whose rules decide a flag.
    pub fn gives_flag(&self, name: &str) -> Option<&str> {
        self.entries.iter().find(|entry| entry.flags.contains(name)).map(|entry| entry.source.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_given_by_all_who_give_it_or_live() {
        let membership = |n: u128, name: &str, owner: &str| Membership {
            group_id: Uuid::from_u128(n),
            group_name: name.to_owned(),
            group_key: fold(name),
            owner: Owner::from(owner),
        };
        let groups = ["Editors", "Press", "Staff"].map(str::to_owned);
        let memberships =
            vec![membership(1, "Editors", ""), membership(1, "Editors", "corp"), membership(2, "Staff", "corp")];
        let by: Vec<_> = given(&groups, memberships).into_iter().map(|given| given.by).collect();
        let corp = || Giver::Source("corp".to_owned());
        assert_eq!(by, [vec![Giver::Hand, corp()], vec![Giver::Live], vec![corp()]]);
    }

    #[test]
    fn who_is_active_has_no_reason_not_to_be() {
        let left = || Some(Deactivation::new(Cause::Left, "corp"));
        assert_eq!(Inactive::of(true, left()), None);
        assert_eq!(Inactive::of(false, left()), Some(Inactive::Left("corp".to_owned())));
        assert_eq!(Inactive::of(false, None), Some(Inactive::ByHand));
    }
}
