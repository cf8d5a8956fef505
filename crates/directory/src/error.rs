//! What can go wrong with a directory, for operators to read.

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
        /// The last error.
        #[source]
        source: Option<bindery_ldap::Error>,
    },
    /// The service account was refused.
    #[error(
        "source {slug}: {server} refused the service account: {detail}; check [sources.{slug}.bind]"
    )]
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
        source: Option<bindery_ldap::Error>,
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
    /// A write on a source that is read-only.
    #[error("source {slug} is read_only; nothing was sent")]
    ReadOnly {
        /// Which source.
        slug: String,
    },
}
