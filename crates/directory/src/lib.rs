//! One configured directory, a *source*: its servers and their health, finding people,
//! the groups of a person, account states, passwords. It reports what the directory says and
//! decides nothing: who may come in is `bindery-core`'s to say.
//!
//! ```no_run
//! use bindery_directory::{Authentication, Source, SourceSettings, Wanted};
//!
//! # async fn example(settings: SourceSettings) -> Result<(), bindery_directory::DirectoryError> {
//! let source = Source::new(settings);
//! let wanted = Wanted(vec!["mail".to_owned()]);
//! match source.authenticate("ann", &"secret".into(), &wanted).await? {
//!     Authentication::Checked { person: Some(ann), check, reader, .. } => {
//!         let memberships = source.memberships(&reader, &ann, &[]).await;
//!         println!("{}: {check:?}, {} groups", ann.dn, memberships.groups.len());
//!     }
//!     Authentication::Checked { dn, check, .. } => println!("{dn}: {check:?}"),
//!     Authentication::Nobody => println!("nobody has that name"),
//!     Authentication::Several(dns) => println!("{} people have that name", dns.len()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Inside, from the ground up: `servers` (which server, which connection), `reach` (who reads, and whether an
//! answer is whole), `people` and `groups` (what is asked), `verdict`, `usability` and [`account`] (what answers mean),
//! `sign_in`, `change` and `check` (what is done with it), `feed` (everybody at once, and what has changed since; on
//! exclusive connections from `servers`, as all paged searches).

pub mod account;
pub mod preset;
pub mod settings;

mod change;
mod check;
mod error;
mod feed;
mod group;
mod groups;
mod people;
mod person;
mod reach;
mod servers;
mod sign_in;
mod source;
mod unique_id;
mod usability;
mod verdict;

pub use bindery_ldap::{
    Attribute, ClientIdentity, Dn, DnError, Entry, Filter, FilterError, LdapUrl, Roots, Scope, TlsSettings, ldif, value,
};

pub use account::{AccountState, Lock};
pub use change::PasswordChange;
pub use check::{Sample, ServerReport, Step};
pub use error::DirectoryError;
pub use feed::{
    Apart, Changes, FeedEvent, FeedKind, GroupEntry, Incomplete, Kind, Listing, Named, Page, Position, Roster,
    Shortcoming, Since, Unreadable,
};
pub use group::{Group, GroupSelector, Known, Memberships};
pub use person::{Authentication, Found, PasswordCheck, Person, Reader, Refusal, Wanted, Whereabouts};
pub use settings::SourceSettings;
pub use source::{ServerHealth, Source};
