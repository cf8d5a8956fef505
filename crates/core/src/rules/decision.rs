//! The decision about one person: what their fields, flags and groups are, and whether they may come in.

use super::Truth;
use crate::Reason;
use bindery_directory::{AccountState, Memberships, Person};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// What the rules look at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The entry.
    pub person: &'a Person,
    /// Its groups.
    pub memberships: &'a Memberships,
    /// Its account state.
    pub account: &'a AccountState,
}

/// What the rules say.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The local name, folded if the rules say so.
    pub username: String,
    /// Fields with where they came from; `None` clears.
    pub fields: BTreeMap<String, FieldValue>,
    /// `users.path`, rendered.
    pub path: Option<String>,
    /// Each configured flag.
    pub flags: BTreeMap<String, FlagRuling>,
    /// Local groups that they belong to by mapping or mirroring.
    pub groups: Vec<GroupGrant>,
    /// Names whose local groups' permissions count live; empty unless `groups.permissions = "live"`.
    pub live_permission_groups: Vec<String>,
    /// What `access` said.
    pub access: AccessRuling,
    /// When the account comes to its end, where it has one: from then on nobody of this decision is let in.
    pub account_ends: Option<DateTime<Utc>>,
    /// When the password was last changed, where the directory says so: sessions from before it end.
    pub password_changed: Option<DateTime<Utc>>,
    /// Groups in rules that can't be found, in words, for `check` and `explain`.
    pub unresolved: Vec<String>,
}

/// A field's value and where it is from.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldValue {
    /// The value: a string, a list of strings, or null to clear the field.
    pub value: serde_json::Value,
    /// `mail`, `template {{ displayName or cn }}`, `kept`.
    pub from: String,
    /// Absent, and to be kept as stored.
    pub keep: bool,
}

/// A flag's value and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagRuling {
    /// Its value.
    pub value: bool,
    /// Why, in one sentence.
    pub because: String,
}

/// A local group that a person belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupGrant {
    /// The local group's name.
    pub name: String,
    /// Mirrored from a directory group (its unique ID and DN), or mapped by a rule.
    pub mirrored_from: Option<(Option<String>, String)>,
    /// Why, in one sentence.
    pub because: String,
}

/// What `access` said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRuling {
    /// Whether they may come in, as far as groups decide.
    pub allowed: bool,
    /// `access.require`, tested.
    pub require: Option<Truth>,
    /// `access.deny`, tested.
    pub deny: Option<Truth>,
}

/// Which step of the rules, or what comes after them, refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The state of the account in the directory.
    Account,
    /// `access.require` and `access.deny`.
    Access,
    /// `is_active`.
    Active,
    /// The other flags, where reading failed.
    Flags,
    /// Mapped and mirrored groups, where reading failed.
    Groups,
    /// A field that is needed or that cannot be made.
    Fields,
    /// Putting the decision together with what is stored.
    Reconcile,
}

/// Somebody is refused: nothing may be written, but see [`writable`](Self::writable).
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// Who says so.
    pub step: Step,
    /// For operators, in one sentence.
    pub detail: String,
    /// What could be decided all the same, for `explain`.
    pub decision: Option<Box<Decision>>,
    /// Whether that decision is whole and certain.
    pub(crate) certain: bool,
}

impl Refused {
    /// A refusal without a decision.
    pub fn new(reason: Reason, step: Step, detail: impl Into<String>) -> Self {
        Self { reason, step, detail: detail.into(), decision: None, certain: false }
    }

    /// The decision, where the only thing against this person is a certain `is_active = false`: it lets nobody in, but it is
    /// whole and true, and so a refresh or a sync stores it.
    pub fn writable(&self) -> Option<&Decision> {
        if self.certain { self.decision.as_deref() } else { None }
    }
}
