//! An asynchronous LDAPv3 client (RFC 4510-4533) that survives hostile servers.
//!
//! Holds the protocol: framing, connections, operations, controls, and the value types
//! ([`Dn`], [`Filter`], [`Entry`]). It never knows what a user is.

#![allow(clippy::no_effect_underscore_binding, reason = "what the derive macros of rasn expand to")]

pub mod codec;
pub mod control;
pub mod dn;
pub mod entry;
pub mod filter;
mod hex;
pub mod ldif;
pub mod value;

mod ber;
mod bind;
mod connection;
mod convert;
mod driver;
mod error;
mod fault;
mod layer;
mod operations;
mod outbox;
mod paged;
mod protection;
mod quick;
mod response;
mod result;
mod search;
mod tls;
mod transport;
mod update;
mod url;

pub use bind::SaslMechanism;
pub use connection::{ConnectOptions, Connection, Connector};
pub use control::Control;
pub use dn::{Dn, DnError};
pub use entry::{Attribute, Attributes, Entry, Values};
pub use error::Error;
pub use filter::{Filter, FilterError};
pub use layer::SecurityLayer;
pub use paged::{Page, PagedSearch};
pub use result::{LdapResult, ResultCode};
pub use search::{Deadline, Scope, SearchItem, SearchOutcome, SearchRequest, SearchStream};
pub use tls::{ClientIdentity, Roots, TlsSettings};
pub use update::{ExtendedResponse, PasswordModified};
pub use url::{LdapUrl, Scheme, UrlError};
