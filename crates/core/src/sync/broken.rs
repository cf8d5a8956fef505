//! What ends a run before its end.

use super::report::{SyncOutcome, SyncReason, SyncRun};
use crate::engine::chain;
use bindery_directory::DirectoryError;
use bindery_store::StoreError;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

/// Why a run cannot go on. What was written before stays: it is whole and true.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The directory could not answer, or what it answered is no answer.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It took too long.
    #[error("it took longer than timeouts.sync ({0:?}); raise it, or look at what is slow")]
    Timeout(std::time::Duration),
    /// Somebody else may be at it now.
    #[error("the lease on this source was lost; another process may be syncing it")]
    LostLease,
    /// Another replica follows.
    #[error("another replica follows this source by now, and goes on with it")]
    Succeeded,
    /// A run failed, which has told why.
    #[error("{0}")]
    Run(String),
}

impl Broken {
    pub(super) fn tell(&self, run: &mut SyncRun) {
        let reason = match self {
            Self::Directory(_) | Self::Run(_) => SyncReason::Directory,
            Self::Store(_) => SyncReason::Store,
            Self::Timeout(_) => SyncReason::Timeout,
            Self::LostLease | Self::Succeeded => SyncReason::LostLease,
        };
        run.end(SyncOutcome::Failed, reason);
        run.error(chain(self));
    }
}

/// What a task came to. A panic in it goes on here.
pub(super) async fn finished<T>(task: AbortOnDropHandle<T>) -> Result<T, Broken> {
    match task.await.map_err(JoinError::try_into_panic) {
        Ok(done) => Ok(done),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => Err(Broken::Run("the program ends".to_owned())),
    }
}
