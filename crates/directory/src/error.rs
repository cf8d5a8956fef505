//! What can go wrong with a directory, for operators to read.

use std::error::Error as _;
use std::fmt::Write as _;
use std::sync::Arc;

/// A directory that could not answer. Never a "no".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// No server of the source could be reached or used.
    #[error("source {slug}: no server can be used ({detail})")]
    Unavailable {
        /// Which source.
        slug: String,
        /// What each server said.
        detail: String,
        /// The first error.
        #[source]
        source: Option<Arc<bindery_ldap::Error>>,
    },
    /// A server is there, but what would be sent may not be entrusted to it: its certificate is refused, or
    /// nothing protects the connection. Nobody's outage: what is allowed while all servers are down is not
    /// allowed now.
    #[error(
        "source {slug}: no connection can be trusted ({detail}); check the servers' certificates and [sources.{slug}.tls]"
    )]
    Untrusted {
        /// Which source.
        slug: String,
        /// What was wrong with each server.
        detail: String,
        /// The first error.
        #[source]
        source: Arc<bindery_ldap::Error>,
    },
    /// The service account was refused.
    #[error("source {slug}: {server} refused the service account: {detail}; check [sources.{slug}.bind]")]
    ServiceBind {
        /// Which source.
        slug: String,
        /// Which server.
        server: String,
        /// What the server said.
        detail: String,
    },
    /// A search or read failed or came back cut short.
    #[error("source {slug}: {operation} failed: {detail}")]
    Operation {
        /// Which source.
        slug: String,
        /// What was tried, with base and filter.
        operation: String,
        /// What the server said.
        detail: String,
        /// The error below.
        #[source]
        source: Option<Arc<bindery_ldap::Error>>,
    },
    /// The entry has no readable unique ID.
    #[error(
        "source {slug}: {dn} has no readable {attribute}; grant the service account the right to read it, or set users.unique_id"
    )]
    MissingUniqueId {
        /// Which source.
        slug: String,
        /// Whose.
        dn: String,
        /// Which attribute.
        attribute: String,
    },
    /// Something that only a service account can do.
    #[error(
        "source {slug}: {operation} needs a service account, and bind.method = \"as-user\" has none; set [sources.{slug}.bind]"
    )]
    NoServiceAccount {
        /// Which source.
        slug: String,
        /// What was asked for.
        operation: &'static str,
    },
    /// A password that is never sent (RFC 4513, 5.1.2).
    #[error("source {slug}: a password that is empty or holds NUL is never sent (RFC 4513, 5.1.2)")]
    EmptyPassword {
        /// Which source.
        slug: String,
    },
    /// A new password would have crossed the network in clear.
    #[error(
        "source {slug}: a password is only changed over ldaps, STARTTLS or ldapi; {server} is reached without protection"
    )]
    Unprotected {
        /// Which source.
        slug: String,
        /// Which server.
        server: String,
    },
    /// A write on a source that is read-only.
    #[error("source {slug} is read_only; nothing was sent")]
    ReadOnly {
        /// Which source.
        slug: String,
    },
}

impl DirectoryError {
    /// One word, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "unavailable",
            Self::Untrusted { .. } => "untrusted",
            Self::ServiceBind { .. } => "service_bind",
            Self::Operation { .. } => "failed",
            Self::MissingUniqueId { .. } => "missing_unique_id",
            Self::NoServiceAccount { .. } => "no_service_account",
            Self::EmptyPassword { .. } => "empty_password",
            Self::Unprotected { .. } => "unprotected",
            Self::ReadOnly { .. } => "read_only",
        }
    }
}

/// An error with what lies below it, in one line.
pub(crate) fn chain(error: &bindery_ldap::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(source) = below {
        // Writing to a string does not fail.
        let _ = write!(text, ": {source}");
        below = source.source();
    }
    text
}
