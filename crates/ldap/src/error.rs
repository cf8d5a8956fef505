//! Errors of the protocol, each with what it happened to.

use crate::LdapResult;
use std::time::Duration;

/// What can go wrong with a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection.
    #[error("cannot connect to {server}")]
    Connect { server: String, #[source] source: std::io::Error },
    /// TLS failed: an untrusted certificate, a wrong name.
    #[error("TLS with {server} failed: {reason}")]
    Tls { server: String, reason: String },
    /// STARTTLS was refused; the connection is closed.
    #[error("{server} refused STARTTLS: {reason}")]
    StartTls { server: String, reason: String },
    /// A password was about to cross the network in clear.
    #[error("refusing to send a password to {server} without TLS")]
    Plaintext { server: String },
    /// RFC 4513, 5.1.2.
    #[error("refusing to bind with an empty password (RFC 4513, 5.1.2)")]
    EmptyPassword,
    /// The deadline of the operation as a whole.
    #[error("{operation} did not end within {after:?}")]
    Timeout { operation: &'static str, after: Duration },
    /// The connection ended before the answer.
    #[error("the connection was closed: {reason}")]
    Closed { reason: String },
    /// The server broke the protocol.
    #[error("malformed answer from the server: {reason}")]
    Malformed { reason: String },
    /// A message over the cap.
    #[error("a message of {size} bytes exceeds max_message ({limit})")]
    TooLarge { size: u64, limit: usize },
    /// The server answered with something else than success.
    #[error("{operation} answered {result}")]
    Refused { operation: &'static str, result: LdapResult },
    /// A SASL mechanism failed on this side.
    #[error("SASL {mechanism} failed: {reason}")]
    Sasl { mechanism: String, reason: String },
}
impl Error {
    /// The server's result, where it gave one.
    pub fn result(&self) -> Option<&LdapResult> { if let Self::Refused { result, .. } = self { Some(result) } else { None } }
    /// Whether the connection is of no further use.
    pub fn is_connection_lost(&self) -> bool { !matches!(self, Self::Refused { .. } | Self::EmptyPassword | Self::Plaintext { .. }) }
}
impl std::fmt::Display for LdapResult { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{:?} {}", self.code, self.message) } }
impl std::fmt::Debug for crate::ResultCode { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{}", self.0) } }
