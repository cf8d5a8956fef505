//! The vocabulary of change: what a plan may ask of the store.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Deactivation, Flags, Link, NewAudit, NewSession, NewUser, Owner, PasswordHash, TokenHash};

/// The changes of one decision. [`Store::apply`](crate::Store::apply) carries out all of them, in order, or none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What to do.
    pub changes: Vec<Change>,
    /// What must still be true of the users that the plan was computed from.
    pub expected: Vec<Expected>,
}

/// The version a user had when the plan was computed. If it has moved since, nothing is written and the answer is
/// [`StoreError::Conflict`](crate::StoreError::Conflict): load a new snapshot, compute the plan again, try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The user.
    pub user: Uuid,
    /// [`User::version`](crate::User::version) as it was read.
    pub version: i64,
}

impl From<Vec<Change>> for Plan {
    fn from(changes: Vec<Change>) -> Self {
        Self { changes, expected: Vec::new() }
    }
}

impl Plan {
    /// A person lets a user in again. Whatever a source had decided before no longer counts.
    pub fn activate(user: Uuid) -> Self {
        Self::set_active(user, true)
    }

    /// A person shuts a user out: the flag, and every session. No source lets them in again.
    pub fn deactivate(user: Uuid) -> Self {
        let mut plan = Self::set_active(user, false);
        plan.changes.push(Change::EndSessions { user, except: None });
        plan
    }

    fn set_active(user: Uuid, active: bool) -> Self {
        let flags = Flags::from([("is_active".to_owned(), active)]);
        Self::from(vec![Change::SetFlags { user, flags }, Change::SetDeactivatedBy { user, by: None }])
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// A field of a user with its new value. An empty text clears the field.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields of User, which says what they are")]
pub enum Field {
    Username {
        name: String,
        key: String,
    },
    FirstName(String),
    LastName(String),
    Email {
        address: String,
        key: String,
    },
    DisplayName(String),
    Path(String),
    LiveGroups(BTreeSet<String>),
    /// One field of the profile; `None` removes it.
    Profile {
        name: String,
        value: Option<serde_json::Value>,
    },
}

/// A group by its ID, or by the folded name of one that exists or that an earlier change of the plan creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRef {
    /// By [`Group::id`](crate::Group::id).
    Id(Uuid),
    /// By [`Group::name_key`](crate::Group::name_key).
    Key(String),
}

/// A group to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the same fields as in Group")]
pub struct NewGroup {
    pub id: Uuid,
    pub name: String,
    pub name_key: String,
    pub owner: Owner,
}

/// One change. A user, group or link that a change names and that is gone makes the plan a conflict; taking away what is
/// not there is no error.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A new user. A username that is taken is a conflict.
    CreateUser(NewUser),
    /// New values for some fields. Where a plan renames several users, one of them may get the name that another had.
    UpdateUser {
        /// The user.
        user: Uuid,
        /// What to set; fields that are not named stay.
        fields: Vec<Field>,
    },
    /// New values for some flags; flags that are not named stay.
    SetFlags {
        /// The user.
        user: Uuid,
        /// By name.
        flags: Flags,
    },
    /// Remember which source deactivated the user and why, or forget it.
    SetDeactivatedBy {
        /// The user.
        user: Uuid,
        /// `None` for an active user, and for one deactivated by hand.
        by: Option<Deactivation>,
    },
    /// Set or remove the local password. Sessions stay; end them with [`Change::EndSessions`].
    SetPassword {
        /// The user.
        user: Uuid,
        /// `None` leaves no usable local password.
        hash: Option<PasswordHash>,
    },
    /// Remember the time of a sign-in. Does not move the user's version.
    SignedIn {
        /// The user.
        user: Uuid,
    },
    /// Remove a user with sessions, links, memberships and verifiers. The audit stays.
    DeleteUser {
        /// The user.
        user: Uuid,
    },
    /// A new group. A name that is taken is a conflict.
    CreateGroup(NewGroup),
    /// A group's new name. A name that is taken is a conflict.
    RenameGroup {
        /// The group.
        group: GroupRef,
        /// As shown.
        name: String,
        /// As compared.
        name_key: String,
    },
    /// Remove a group with memberships, permissions and links.
    DeleteGroup {
        /// The group.
        group: GroupRef,
    },
    /// Tie a user or group to an entry. An entry that is linked already is a conflict, and so is a user with another
    /// link in the same source.
    Link(Link),
    /// New DN, fingerprint, given fields and time of a link that exists. Does not move the user's version.
    UpdateLink(Link),
    /// Remember that a user's entry was read, and that what is stored of their link is still so. Does not move the user's
    /// version.
    Seen {
        /// The user.
        user: Uuid,
        /// Slug of the source.
        source: String,
        /// When the directory was asked.
        at: DateTime<Utc>,
    },
    /// Untie a user or group from its entry or entries in a source.
    Unlink {
        /// The user's or group's local ID.
        entity: Uuid,
        /// Slug of the source.
        source: String,
    },
    /// Put a user into a group, on behalf of an owner.
    AddMembership {
        /// The user.
        user: Uuid,
        /// The group.
        group: GroupRef,
        /// Who gives the membership.
        owner: Owner,
    },
    /// Take back a membership that this owner gave. Other owners' memberships stay.
    RemoveMembership {
        /// The user.
        user: Uuid,
        /// The group.
        group: GroupRef,
        /// Who takes it back.
        owner: Owner,
    },
    /// Put a group into another: its members get the parent's permissions.
    AddSubgroup {
        /// The inner group.
        child: GroupRef,
        /// The outer group.
        parent: GroupRef,
        /// Who gives the nesting.
        owner: Owner,
    },
    /// Take back a nesting that this owner gave.
    RemoveSubgroup {
        /// The inner group.
        child: GroupRef,
        /// The outer group.
        parent: GroupRef,
        /// Who takes it back.
        owner: Owner,
    },
    /// Give a group a permission.
    Grant {
        /// The group.
        group: GroupRef,
        /// As `app.action_thing`.
        permission: String,
    },
    /// Take a permission from a group.
    Revoke {
        /// The group.
        group: GroupRef,
        /// As `app.action_thing`.
        permission: String,
    },
    /// Start a session.
    StartSession(NewSession),
    /// End one session.
    EndSession {
        /// Which.
        token: TokenHash,
    },
    /// End every session of a user.
    EndSessions {
        /// The user.
        user: Uuid,
        /// Except this one, after somebody changed their own password.
        except: Option<TokenHash>,
    },
    /// Keep a verifier for sign-ins while every server of the source is down; replaces an older one.
    PutVerifier {
        /// The user.
        user: Uuid,
        /// Slug of the source.
        source: String,
        /// Hash of the password that the directory accepted.
        hash: PasswordHash,
    },
    /// Drop the verifiers of a user.
    DropVerifiers {
        /// The user.
        user: Uuid,
    },
    /// Write a line into the audit.
    Record(NewAudit),
}

impl Change {
    /// The user whose row this change rewrites from what it is.
    pub(crate) fn rewrites(&self) -> Option<Uuid> {
        match self {
            Self::UpdateUser { user, .. }
            | Self::SetFlags { user, .. }
            | Self::SetDeactivatedBy { user, .. }
            | Self::SetPassword { user, .. } => Some(*user),
            _ => None,
        }
    }

    /// The user whose version this change moves. Ending all their sessions does, so that nobody who was let in by what was
    /// known before starts one afterwards.
    pub(crate) fn bumps(&self) -> Option<Uuid> {
        match self {
            Self::UpdateUser { user, .. }
            | Self::SetFlags { user, .. }
            | Self::SetDeactivatedBy { user, .. }
            | Self::SetPassword { user, .. }
            | Self::AddMembership { user, .. }
            | Self::RemoveMembership { user, .. }
            | Self::EndSessions { user, .. } => Some(*user),
            Self::Link(link) if link.kind == crate::EntityKind::User => Some(link.entity_id),
            _ => None,
        }
    }
}

/// What a plan did beyond what it said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Sessions that ended.
    pub sessions_ended: u64,
}
