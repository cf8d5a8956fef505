//! What an error at a server means for the choice of servers: whether another one may do. Nothing is asked or noted here.

use bindery_ldap::{Error, LdapResult, ResultCode, SearchOutcome};
use std::sync::Arc;

/// Why a server could not be used; shared by everybody who waited for the same attempt.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// The connection or the answer.
    Ldap(Arc<Error>),
    /// The service account was refused.
    ServiceBind(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ldap(Arc::new(error))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ldap(error) => write!(f, "{}", crate::error::chain(error.as_ref())),
            Self::ServiceBind(detail) => write!(f, "the service account was refused: {detail}"),
        }
    }
}

/// 51 and 52: another server may be less so.
pub(crate) fn is_busy(result: &LdapResult) -> bool {
    matches!(result.code, ResultCode::BUSY | ResultCode::UNAVAILABLE)
}

/// Busy and unavailable are no answers: another server may have one.
pub(crate) fn not_busy(operation: &'static str, outcome: SearchOutcome) -> Result<SearchOutcome, Error> {
    if is_busy(&outcome.result) {
        return Err(Error::Refused { operation, result: outcome.result });
    }
    Ok(outcome)
}

/// Errors by which a server is there, but may not be trusted with what would be sent.
pub(super) fn is_untrusted(error: &Error) -> bool {
    matches!(error, Error::Tls { .. } | Error::StartTls { .. } | Error::TlsSettings { .. } | Error::Plaintext { .. })
}

/// What an operation on a connection came to, as far as the choice of servers is concerned.
pub(super) enum Verdict {
    /// The connection was closed, perhaps long ago: a new one may do.
    Reconnect,
    /// This server is of no use now.
    Down,
    /// This answer is of no use; the server may be.
    Elsewhere,
    /// Every server would say the same.
    Final,
}

/// What an error means for the choice of servers.
pub(super) fn judge(error: &Error) -> Verdict {
    match error {
        Error::Closed { .. } => Verdict::Reconnect,
        Error::Connect { .. } | Error::Tls { .. } | Error::StartTls { .. } | Error::Timeout { .. } => Verdict::Down,
        Error::Refused { result, .. } if is_busy(result) => Verdict::Down,
        Error::Malformed { .. } | Error::Plaintext { .. } => Verdict::Elsewhere,
        _ => Verdict::Final,
    }
}
