//! Events that an app can listen to, and the one place where it may change or veto what is written.

use crate::rules::Decision;
use crate::{Outcome, Reason};
use bindery_directory::{Memberships, Person};
use futures::future::BoxFuture;
use uuid::Uuid;

/// Just before the write: the decision may be changed, or vetoed.
pub struct Populate<'a> {
    /// The source that the entry came from.
    pub source: &'a str,
    /// The entry as read; bytes stay bytes.
    pub person: &'a Person,
    /// Its groups as far as they could be read.
    pub memberships: &'a Memberships,
    /// The name as it was typed, where somebody typed one.
    pub typed: Option<&'a str>,
    /// What will be written.
    pub decision: &'a mut Decision,
}

/// An event handler's no, with the reason for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Veto(pub String);

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// What the directory said of somebody is now in the store.
    Synced {
        /// The source.
        source: String,
        /// Who.
        user: Uuid,
        /// Whether anything was written beyond the time.
        changed: bool,
    },
    /// Somebody signed in.
    SignedIn {
        /// Who.
        user: Uuid,
        /// The source that answered for them; none for a local password.
        source: Option<String>,
        /// The name as typed.
        typed: String,
    },
    /// Somebody did not get in.
    SignInFailed {
        /// The name as typed.
        typed: String,
        /// How it ended.
        outcome: Outcome,
        /// The true reason.
        reason: Option<Reason>,
    },
    /// A directory could not answer.
    DirectoryError {
        /// The source.
        source: String,
        /// For operators.
        detail: String,
    },
}

/// Listens to events. Every method has a default, so that a handler says only what it cares for.
pub trait EventHandler: Send + Sync + 'static {
    /// Before the write. An error refuses the person with the reason `vetoed`.
    fn populate<'a>(&'a self, event: Populate<'a>) -> BoxFuture<'a, Result<(), Veto>> {
        let _ = event;
        Box::pin(std::future::ready(Ok(())))
    }

    /// After the fact. Must not block.
    fn notify(&self, event: &Event) {
        let _ = event;
    }
}
