//! An asynchronous LDAPv3 client (RFC 4510-4533) that survives hostile servers.
//!
//! Holds the protocol: framing, connections, operations, controls, and the value types
//! ([`Dn`], [`Filter`], [`Entry`]). It never knows what a user is.

pub mod codec;
pub mod control;
pub mod dn;
pub mod entry;
pub mod filter;
pub mod ldif;
pub mod value;

mod ber;
mod connection;
mod convert;
mod error;
mod result;
mod search;
mod tls;
mod url;

pub use connection::{ConnectOptions, Connection, SaslMechanism};
pub use control::Control;
pub use dn::{Dn, DnError};
pub use entry::{Attribute, Entry};
pub use error::Error;
pub use filter::{Filter, FilterError};
pub use result::{LdapResult, ResultCode};
pub use search::{
    Page, PagedSearch, Scope, SearchItem, SearchOutcome, SearchRequest, SearchStream,
};
pub use tls::{ClientIdentity, Roots, TlsSettings};
pub use url::{LdapUrl, Scheme, UrlError};
