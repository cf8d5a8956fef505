//! Why a connection ended: one reason that every operation under way gets a copy of.

use crate::Error;
use crate::codec::CodecError;
use std::io;

/// What ended a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    Closed(String),
    /// The server said that it would close it, and why.
    Notice(String),
    Malformed(String),
    TooLarge {
        size: u64,
        limit: usize,
    },
    Tls(String),
}

impl Fault {
    pub(crate) fn closed(reason: impl Into<String>) -> Self {
        Self::Closed(reason.into())
    }

    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed(reason.into())
    }

    /// As the caller of an operation sees it.
    pub(crate) fn error(&self, server: &str) -> Error {
        match self.clone() {
            Self::Closed(reason) => Error::Closed { reason, notice: false },
            Self::Notice(result) => {
                Error::Closed { reason: format!("the server gave notice of disconnection: {result}"), notice: true }
            }
            Self::Malformed(reason) => Error::Malformed { reason },
            Self::TooLarge { size, limit } => Error::TooLarge { size, limit },
            Self::Tls(reason) => Error::Tls { server: server.to_owned(), reason },
        }
    }
}

impl From<CodecError> for Fault {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::Io(error) => error.into(),
            CodecError::Malformed(reason) => Self::Malformed(reason),
            CodecError::TooLarge { size, limit } => Self::TooLarge { size, limit },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match tls_error(&error) {
            Some(tls) => Self::Tls(crate::tls::reason(tls)),
            None => Self::Closed(error.to_string()),
        }
    }
}

/// The TLS error inside an I/O error, where that is what it is.
pub(crate) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}
