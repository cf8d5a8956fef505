//! One configured directory, a *source*: its servers and their health, finding people,
//! the groups of a person, account states, passwords. It reports what the directory says and
//! decides nothing: who may come in is `bindery-core`'s to say.

pub mod account;
pub mod preset;
pub mod settings;

mod change;
mod check;
mod error;
mod group;
mod groups;
mod people;
mod person;
mod reach;
mod servers;
mod sign_in;
mod source;
mod unique_id;
mod verdict;

pub use bindery_ldap::{
    Attribute, ClientIdentity, Dn, DnError, Entry, Filter, FilterError, LdapUrl, Roots, Scope, TlsSettings, ldif, value,
};

pub use account::{AccountState, Lock};
pub use change::PasswordChange;
pub use check::{Sample, ServerReport, Step};
pub use error::DirectoryError;
pub use group::{Group, GroupSelector, Known, Memberships};
pub use person::{Authentication, Found, PasswordCheck, Person, Reader, Refusal, Wanted};
pub use settings::SourceSettings;
pub use source::{ServerHealth, Source};
