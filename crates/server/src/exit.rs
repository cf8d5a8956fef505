//! Exit codes, and failures that end a command.

use bindery_core::Outcome;
use bindery_core::config::ConfigErrors;
pub(crate) use bindery_core::outcome::chain;
use bindery_directory::DirectoryError;
use bindery_store::StoreError;
use std::process::ExitCode;

/// How a command ends. The numbers are a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// 0: done.
    Done = 0,
    /// 1: refused, held, or findings.
    Refused = 1,
    /// 2: usage or configuration.
    Usage = 2,
    /// 3: directory or store unavailable.
    Unavailable = 3,
    /// 4: another one is at it already.
    AlreadyRunning = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::SignedIn => Self::Done,
            Outcome::Refused => Self::Refused,
            Outcome::Unavailable => Self::Unavailable,
        }
    }
}

/// Why a command could not do its work, in words for whoever typed it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self { exit: Exit::Unavailable, message: message.into() }
    }

    /// The same failure with where it happened.
    pub(crate) fn at(self, place: &str) -> Self {
        Self { message: format!("{} ({place})", self.message), ..self }
    }

    /// Whether it is the directory or the store that did not answer.
    pub(crate) fn is_unavailable(&self) -> bool {
        self.exit == Exit::Unavailable
    }

    /// The words.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Says it on stderr.
    #[expect(clippy::print_stderr, reason = "this is where a command's failure is said")]
    pub(crate) fn report(self) -> ExitCode {
        eprintln!("bindery: {}", self.message);
        self.exit.into()
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self::usage(errors.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let message = chain(&error);
        match error {
            StoreError::Conflict { .. } => Self::refused(message),
            StoreError::Invalid { .. } | StoreError::Url { .. } => Self::usage(message),
            _ => Self::unavailable(message),
        }
    }
}

impl From<DirectoryError> for Failure {
    fn from(error: DirectoryError) -> Self {
        let message = chain(&error);
        match error {
            DirectoryError::ReadOnly { .. } | DirectoryError::MissingUniqueId { .. } => Self::refused(message),
            // A server that says no has answered.
            DirectoryError::Operation { source: Some(below), .. } if is_answer(below.result().map(|it| it.code.0)) => {
                Self::refused(message)
            }
            _ => Self::unavailable(message),
        }
    }
}

/// Whether a result code (RFC 4511, A.2) is an answer: busy and unavailable are none, and a limit leaves the rest open.
fn is_answer(code: Option<u32>) -> bool {
    code.is_some_and(|code| !matches!(code, 3 | 4 | 11 | 51 | 52))
}
