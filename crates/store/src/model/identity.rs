//! Users, groups, and what ties them to a directory and to each other.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::PasswordHash;
use crate::Expected;

/// Booleans of a user by name: `is_active`, `is_staff`, `is_superuser` and the app's own.
pub type Flags = BTreeMap<String, bool>;

/// Mapped fields of a user beyond the built-in ones, by name.
pub type Profile = serde_json::Map<String, serde_json::Value>;

/// Who gave a group or a membership: people by hand, or a source. What a source gave goes when the source no longer
/// gives it; what people gave stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Owner {
    /// Given by hand.
    #[default]
    Hand,
    /// Given by the source with this slug.
    Source(String),
}

impl Owner {
    /// The slug, or the empty string for [`Owner::Hand`].
    pub fn as_str(&self) -> &str {
        match self {
            Self::Hand => "",
            Self::Source(slug) => slug,
        }
    }

    /// Whether this is the source with the given slug.
    pub fn is_source(&self, slug: &str) -> bool {
        matches!(self, Self::Source(own) if own == slug)
    }
}

impl From<String> for Owner {
    fn from(slug: String) -> Self {
        if slug.is_empty() { Self::Hand } else { Self::Source(slug) }
    }
}

impl From<&str> for Owner {
    fn from(slug: &str) -> Self {
        Self::from(slug.to_owned())
    }
}

impl From<Owner> for String {
    fn from(owner: Owner) -> Self {
        match owner {
            Owner::Hand => Self::new(),
            Owner::Source(slug) => slug,
        }
    }
}

/// Why a source shut somebody out: what has to change before it lets them in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Its rule for `is_active` said no. Only the same rule saying yes undoes it: a rule that leaves the configuration leaves
    /// the flag as it is.
    Rule,
    /// The account was disabled, expired or locked in the directory. Undone when it is good again.
    Account,
    /// The entry left the directory, or what is searched there. Undone when it is back.
    Left,
}

impl Cause {
    const ALL: [Self; 3] = [Self::Rule, Self::Account, Self::Left];

    /// `rule`, `account` or `left`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Account => "account",
            Self::Left => "left",
        }
    }
}

/// Which source shut somebody out, and why. Only that source lets them in again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deactivation {
    /// Why.
    pub cause: Cause,
    /// Slug of the source.
    pub source: String,
}

impl Deactivation {
    /// A deactivation by a source.
    pub fn new(cause: Cause, source: impl Into<String>) -> Self {
        Self { cause, source: source.into() }
    }

    /// As stored: `left:corp`.
    pub(crate) fn to_column(&self) -> String {
        format!("{}:{}", self.cause.as_str(), self.source)
    }

    pub(crate) fn from_column(text: &str) -> Option<Self> {
        let (word, source) = text.split_once(':')?;
        let cause = Cause::ALL.into_iter().find(|cause| cause.as_str() == word)?;
        Some(Self::new(cause, source))
    }
}

/// A local user. Text fields are empty where nothing is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Chosen by the caller at creation; never changes.
    pub id: Uuid,
    /// Counts the changes of this user: row, flags, links and memberships. See [`Expected`](crate::Expected).
    pub version: i64,
    /// As shown.
    pub username: String,
    /// As compared: folded by the caller, unique.
    pub username_key: String,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// As shown.
    pub email: String,
    /// As compared: folded by the caller, empty where there is none. Not unique.
    pub email_key: String,
    /// The name to greet with.
    pub display_name: String,
    /// A folder-like place of the user, for listing.
    pub path: String,
    /// Every other mapped field.
    pub profile: Profile,
    /// `is_active`, `is_staff`, `is_superuser` and the app's own.
    pub flags: Flags,
    /// Folded names of local groups whose permissions count for this local user without a membership being written: those of
    /// the directory's groups of their namesake when last read. What counts for somebody linked lies in [`Link::live_groups`].
    pub live_groups: BTreeSet<String>,
    /// A local password, if one was set.
    pub password_hash: Option<PasswordHash>,
    /// The source that deactivated this user, and why. `None` for active users and for those deactivated by hand, whom no
    /// source lets in again.
    pub deactivated_by: Option<Deactivation>,
    /// When the user was created.
    pub created_at: DateTime<Utc>,
    /// When `version` last moved.
    pub updated_at: DateTime<Utc>,
    /// The last sign-in, by whatever way.
    pub last_sign_in: Option<DateTime<Utc>>,
}

impl User {
    /// A flag's value; a flag that was never set is false.
    pub fn flag(&self, name: &str) -> bool {
        self.flags.get(name).copied().unwrap_or(false)
    }

    /// The flag `is_active`. Somebody inactive may not sign in, and their sessions count for nothing.
    pub fn is_active(&self) -> bool {
        self.flag("is_active")
    }

    /// The flag `is_staff`.
    pub fn is_staff(&self) -> bool {
        self.flag("is_staff")
    }

    /// The flag `is_superuser`.
    pub fn is_superuser(&self) -> bool {
        self.flag("is_superuser")
    }
}

/// A user to be created. The default is active, neither staff nor superuser, and has no password.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the same fields as in User")]
pub struct NewUser {
    pub id: Uuid,
    pub username: String,
    pub username_key: String,
    pub first_name: String,
    pub last_name: String,
    pub email: String,
    pub email_key: String,
    pub display_name: String,
    pub path: String,
    pub profile: Profile,
    pub flags: Flags,
    pub live_groups: BTreeSet<String>,
    pub password_hash: Option<PasswordHash>,
}

impl Default for NewUser {
    fn default() -> Self {
        let flags = [("is_active", true), ("is_staff", false), ("is_superuser", false)];
        Self {
            id: Uuid::nil(),
            username: String::new(),
            username_key: String::new(),
            first_name: String::new(),
            last_name: String::new(),
            email: String::new(),
            email_key: String::new(),
            display_name: String::new(),
            path: String::new(),
            profile: Profile::new(),
            flags: flags.map(|(name, value)| (name.to_owned(), value)).into(),
            live_groups: BTreeSet::new(),
            password_hash: None,
        }
    }
}

/// Which kind of thing a link ties to an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntityKind {
    /// A local user.
    #[default]
    User,
    /// A local group.
    Group,
}

impl EntityKind {
    /// `user` or `group`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
        }
    }
}

/// Ties a local user or group to an entry by (source, unique ID). An entry has one link at most, and a user one in each
/// source; several entries of a source may share one local group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// User or group.
    pub kind: EntityKind,
    /// Slug of the source.
    pub source: String,
    /// The entry's immutable identifier, in its text form.
    pub unique_id: String,
    /// The user's or group's local ID.
    pub entity_id: Uuid,
    /// The entry's DN when last read.
    pub dn: String,
    /// The DN normalised for comparison, by the caller.
    pub dn_key: String,
    /// When the entry was last read and found true.
    pub last_seen: DateTime<Utc>,
    /// Digest of the entry's content, so that an unchanged entry can be passed over.
    pub fingerprint: Option<Vec<u8>>,
    /// Names of the fields that this source gave, and may therefore clear.
    pub given_fields: BTreeSet<String>,
    /// Names of the flags that a rule of this source has decided, and that go with the link; never `is_active`.
    pub given_flags: BTreeSet<String>,
    /// Folded names of local groups whose permissions count for the user without a membership being written, as this
    /// source's groups were when last read.
    pub live_groups: BTreeSet<String>,
    /// When the account of the entry comes to its end, where it has one that was still to come when it was last read.
    pub account_ends: Option<DateTime<Utc>>,
    /// When the password of the entry was last changed, by what the directory says.
    pub password_changed: Option<DateTime<Utc>>,
    /// The group that this source has hung a mirrored group under.
    pub parent: Option<Uuid>,
}

impl Link {
    /// The local groups that this leads to: the one that it ties to an entry, and the one that one hangs under.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Uuid> + use<> {
        (self.kind == EntityKind::Group).then_some(self.entity_id).into_iter().chain(self.parent)
    }
}

/// A local group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Chosen by the caller at creation; never changes.
    pub id: Uuid,
    /// As shown.
    pub name: String,
    /// As compared: folded by the caller, unique.
    pub name_key: String,
    /// Made by hand, or mirrored from a source.
    pub owner: Owner,
    /// When the group was created.
    pub created_at: DateTime<Utc>,
}

/// A group with the entries it is linked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    /// The group.
    pub group: Group,
    /// Its entries, in any source.
    pub links: Vec<Link>,
}

/// A user's membership of a group, as one owner gave it. The same membership may have several owners, and lasts until
/// the last one takes it back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Membership {
    /// The group.
    pub group_id: Uuid,
    /// Its name, as shown.
    pub group_name: String,
    /// Its name, as compared.
    pub group_key: String,
    /// Who gave the membership.
    pub owner: Owner,
}

/// A user and what belongs to them, as reconciliation needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserState {
    /// The user.
    pub user: User,
    /// Their entries, in any source.
    pub links: Vec<Link>,
    /// Direct memberships, one row for each owner, by group name.
    pub memberships: Vec<Membership>,
}

impl UserState {
    /// The link into one source.
    pub fn link(&self, source: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.source == source)
    }

    /// For a plan that rests on this: nobody has changed the user since.
    pub fn expected(&self) -> Expected {
        Expected { user: self.user.id, version: self.user.version }
    }
}

/// Which users to list: a page in the order of `username_key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserFilter {
    /// Only usernames whose key begins so.
    pub prefix: String,
    /// Only users linked to this source.
    pub source: Option<String>,
    /// Only usernames whose key comes after this one: the last key of the page before.
    pub after: String,
    /// At most so many.
    pub limit: u32,
}

impl Default for UserFilter {
    fn default() -> Self {
        Self { prefix: String::new(), source: None, after: String::new(), limit: 100 }
    }
}
