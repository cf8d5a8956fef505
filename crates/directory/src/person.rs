//! People as a directory knows them, and what it says of a password.

use crate::AccountState;
use crate::servers::Lease;
use bindery_ldap::{Dn, Entry};
use std::sync::Arc;

/// Attributes that the rules of a source use; only these are asked for (plus what a source itself needs).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted(pub Vec<String>);

/// An entry that is a person of the source.
#[derive(Debug, Clone)]
pub struct Person {
    /// The entry as read.
    pub entry: Entry,
    /// Its DN, inside the source's base.
    pub dn: Dn,
    /// The text form of its unique ID.
    pub unique_id: String,
}

/// Where somebody is who has not signed in yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// Here, if they are at all: a template makes a name for everybody.
    At(Dn),
    /// Nowhere.
    Nobody,
    /// In more than one place.
    Several(Vec<Dn>),
}

/// The answer to "who is that?".
#[derive(Debug, Clone)]
pub enum Found {
    /// Exactly one.
    One(Box<Person>),
    /// Nobody.
    Nobody,
    /// More than one: refused, and named.
    Several(Vec<Dn>),
}

/// What the directory said of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordCheck {
    /// It is right, and the account may bind. `state` carries ppolicy's word (must change after reset, …).
    Accepted(AccountState),
    /// It is wrong (or the directory will not say more).
    Wrong,
    /// The directory refused for another reason. `password_was_right` only where its answer proves it.
    Refused {
        /// Why.
        refusal: Refusal,
        /// Whether the answer proves that the password was right.
        password_was_right: bool,
    },
}

/// Why a directory refuses somebody whose password may be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The account is disabled.
    AccountDisabled,
    /// The account is locked.
    AccountLocked,
    /// The account is past its end.
    AccountExpired,
    /// The password is past its end.
    PasswordExpired,
    /// The password must be changed first.
    PasswordMustChange,
    /// Not at this hour.
    SignInHours,
    /// Not from this machine.
    WorkstationNotAllowed,
}

/// Which connection reads for a person: the service's, or (as-user) their own.
#[derive(Clone)]
pub struct Reader {
    pub(crate) own: Option<Arc<Lease>>,
}

impl Reader {
    /// Reads through the source's service connections.
    pub fn service() -> Self {
        Self { own: None }
    }

    /// Reads through a person's own connection, which goes back to its pool with the last reader.
    pub(crate) fn own(lease: Lease) -> Self {
        Self { own: Some(Arc::new(lease)) }
    }
}

/// A sign-in as far as the directory has a say.
pub enum Authentication {
    /// The entry was found and the password checked.
    Checked {
        /// Who. `None` only as-user with a wrong password: nothing could be read.
        person: Option<Box<Person>>,
        /// The DN that was tried.
        dn: Dn,
        /// What the directory said.
        check: PasswordCheck,
        /// Reads their groups.
        reader: Reader,
    },
    /// Nobody has that name.
    Nobody,
    /// More than one has it.
    Several(Vec<Dn>),
}
