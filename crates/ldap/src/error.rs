//! Errors of the protocol, each with what it happened to.

use crate::LdapResult;
use std::time::Duration;

/// What can go wrong with a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection.
    #[error("cannot connect to {server}")]
    Connect {
        /// The server's URL.
        server: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// TLS failed: an untrusted certificate, a wrong name.
    #[error("TLS with {server} failed: {reason}")]
    Tls {
        /// The server's URL.
        server: String,
        /// In words, with the setting that helps.
        reason: String,
    },
    /// The TLS settings themselves are of no use; nothing was sent.
    #[error("the TLS settings cannot be used: {reason}")]
    TlsSettings {
        /// In words.
        reason: String,
    },
    /// STARTTLS was refused or tampered with; the connection is closed.
    #[error("STARTTLS with {server} failed: {reason}")]
    StartTls {
        /// The server's URL.
        server: String,
        /// The server's answer, or what was wrong with it.
        reason: String,
    },
    /// A password was about to cross the network in clear; nothing was sent.
    #[error("refusing to send a password to {server} without TLS")]
    Plaintext {
        /// The server's URL.
        server: String,
    },
    /// RFC 4513, 5.1.2; nothing was sent.
    #[error("refusing to bind with an empty password, or one that holds NUL (RFC 4513, 5.1.2)")]
    EmptyPassword,
    /// The deadline of the operation as a whole.
    #[error("{operation} did not end within {after:?}")]
    Timeout {
        /// Which operation.
        operation: &'static str,
        /// The deadline.
        after: Duration,
    },
    /// The caller took no results for so long that others on the connection had to wait; the search was
    /// abandoned.
    #[error("{operation} was abandoned: its results were not read for {after:?}")]
    SlowReader {
        /// Which operation.
        operation: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The connection ended before the answer.
    #[error("the connection was closed: {reason}")]
    Closed {
        /// By whom and why.
        reason: String,
        /// The server said so first (Notice of Disconnection, RFC 4511, 4.4.1).
        notice: bool,
    },
    /// The server broke the protocol.
    #[error("malformed answer from the server: {reason}")]
    Malformed {
        /// What was wrong.
        reason: String,
    },
    /// A message over the cap.
    #[error("a message of {size} bytes exceeds max_message ({limit})")]
    TooLarge {
        /// The octets announced.
        size: u64,
        /// The cap.
        limit: usize,
    },
    /// The results of one search, collected, over the cap; the search was abandoned.
    #[error(
        "the results of one search exceed {limit} bytes after {entries} entries; read it in pages, or raise max_message"
    )]
    TooManyResults {
        /// How many entries had arrived.
        entries: usize,
        /// The cap in octets.
        limit: usize,
    },
    /// A request that cannot be expressed; nothing was sent.
    #[error("the request cannot be sent: {reason}")]
    Request {
        /// What was wrong.
        reason: String,
    },
    /// The server answered with something else than success.
    #[error("{operation} answered {result}")]
    Refused {
        /// Which operation.
        operation: &'static str,
        /// The answer.
        result: LdapResult,
    },
    /// A SASL mechanism failed on this side.
    #[error("SASL {mechanism} failed: {reason}")]
    Sasl {
        /// Its name.
        mechanism: String,
        /// In words.
        reason: String,
    },
}

impl Error {
    /// The server's result, where it gave one.
    pub fn result(&self) -> Option<&LdapResult> {
        match self {
            Self::Refused { result, .. } => Some(result),
            _ => None,
        }
    }

    /// Whether the connection should not be used again: it is closed, or (after a timeout) nobody can
    /// say whether the server is still there.
    pub fn is_connection_lost(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Tls { .. }
            | Self::StartTls { .. }
            | Self::Timeout { .. }
            | Self::Closed { .. }
            | Self::Malformed { .. }
            | Self::TooLarge { .. }
            | Self::Sasl { .. } => true,
            Self::TlsSettings { .. }
            | Self::Plaintext { .. }
            | Self::EmptyPassword
            | Self::SlowReader { .. }
            | Self::TooManyResults { .. }
            | Self::Request { .. }
            | Self::Refused { .. } => false,
        }
    }
}
