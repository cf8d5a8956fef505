//! Account state from the attributes that are there, whatever the preset: a table, not branches.

use chrono::{DateTime, Utc};

/// What the directory says about an account, apart from its password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountState {
    /// `nsAccountLock`, `userAccountControl` (2).
    pub disabled: bool,
    /// Locked, and by whom.
    pub locked: Lock,
    /// The account is past its end (`krbPrincipalExpiration`, `shadowExpire`, `accountExpires`).
    pub expired: bool,
    /// The password is past its end (ppolicy, `userAccountControl`).
    pub password_expired: bool,
    /// The password must be changed first (`pwdLastSet` = 0, `pwdReset`).
    pub must_change: bool,
    /// Which attribute said so, for `explain`: one sentence each.
    pub because: Vec<String>,
}

/// Whether an account is locked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lock {
    /// It is not.
    #[default]
    No,
    /// After too many failures; ends by itself.
    Temporary,
    /// By an administrator (`pwdAccountLockedTime: 000001010000Z`).
    Administrator,
}

/// The attributes that [`state`] looks at.
pub const ATTRIBUTES: &[&str] = &[];

/// The state at a moment.
pub fn state(entry: &bindery_ldap::Entry, now: DateTime<Utc>) -> AccountState {
    let _ = (entry, now);
    AccountState::default()
}
