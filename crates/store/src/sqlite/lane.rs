//! A connection that its users take in turns, first come, first served.
//!
//! A pool would ask each connection that comes back whether it is still there: one message more to a thread that is part of
//! this process. Here one that is in doubt is thrown away, and the next user opens another.

use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// One connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Lane {
    options: Arc<SqliteConnectOptions>,
    patience: Duration,
    slot: Arc<Mutex<Slot>>,
}

enum Slot {
    Open(SqliteConnection),
    /// Not opened yet, in use, or thrown away.
    Empty,
    Closed,
}

impl Lane {
    /// A connection that is opened when somebody needs it.
    pub(super) fn lazy(options: SqliteConnectOptions, patience: Duration) -> Self {
        Self { options: Arc::new(options), patience, slot: Arc::new(Mutex::new(Slot::Empty)) }
    }

    /// One that is open already.
    pub(super) fn open(connection: SqliteConnection, options: SqliteConnectOptions, patience: Duration) -> Self {
        Self { options: Arc::new(options), patience, slot: Arc::new(Mutex::new(Slot::Open(connection))) }
    }

    /// Waits for a turn, as long as there is patience.
    pub(crate) async fn turn(&self) -> Result<Turn, sqlx::Error> {
        let slot = tokio::time::timeout(self.patience, self.slot.clone().lock_owned());
        let mut slot = slot.await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let connection = match std::mem::replace(&mut *slot, Slot::Empty) {
            Slot::Open(connection) => connection,
            Slot::Empty => self.options.connect().await?,
            Slot::Closed => {
                *slot = Slot::Closed;
                return Err(sqlx::Error::PoolClosed);
            }
        };
        Ok(Turn { slot, connection: Some(connection), in_doubt: false })
    }

    /// Waits for whoever is before us, and closes the connection for good.
    pub(super) async fn close(&self) {
        let mut slot = self.slot.lock().await;
        if let Slot::Open(connection) = std::mem::replace(&mut *slot, Slot::Closed) {
            // Whether it ends politely is of no consequence.
            let _ = connection.close().await;
        }
    }
}

/// The connection, for as long as this is kept.
pub(crate) struct Turn {
    slot: OwnedMutexGuard<Slot>,
    connection: Option<SqliteConnection>,
    /// Whether a transaction may be open: then nobody else may have the connection.
    in_doubt: bool,
}

impl Turn {
    pub(crate) fn connection(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        self.connection.as_mut().ok_or(sqlx::Error::WorkerCrashed)
    }

    /// Says that a transaction may be open from here on.
    pub(super) fn doubt(&mut self) {
        self.in_doubt = true;
    }

    /// Says that no transaction is open.
    pub(super) fn trust(&mut self) {
        self.in_doubt = false;
    }

    /// A connection whose thread has ended is of no use to anybody.
    pub(super) fn judge(&mut self, error: &sqlx::Error) {
        self.in_doubt |= matches!(error, sqlx::Error::WorkerCrashed);
    }

    /// Undoes whatever is open.
    pub(super) async fn undo(&mut self) {
        self.in_doubt = true;
        let Some(connection) = &mut self.connection else { return };
        self.in_doubt = match connection.execute("ROLLBACK").await {
            Ok(_) => false,
            // Nothing was open: it never began, it was committed after all, or SQLite has undone it itself, as on a full
            // disk.
            Err(sqlx::Error::Database(error)) => error.code().as_deref() != Some(GENERIC),
            Err(_) => true,
        };
    }
}

/// `SQLITE_ERROR`: <https://www.sqlite.org/rescode.html>.
const GENERIC: &str = "1";

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(|_| !self.in_doubt) {
            *self.slot = Slot::Open(connection);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane() -> Lane {
        Lane::lazy(SqliteConnectOptions::new().in_memory(true), Duration::from_millis(100))
    }

    async fn with_table(lane: &Lane) -> Turn {
        let mut turn = lane.turn().await.unwrap();
        turn.connection().unwrap().execute("CREATE TABLE t (x)").await.unwrap();
        turn
    }

    async fn has_table(lane: &Lane) -> bool {
        let mut turn = lane.turn().await.unwrap();
        turn.connection().unwrap().execute("SELECT x FROM t").await.is_ok()
    }

    #[tokio::test]
    async fn the_next_has_the_same_connection_unless_it_is_in_doubt() {
        let lane = lane();
        drop(with_table(&lane).await);
        assert!(has_table(&lane).await);
        lane.turn().await.unwrap().doubt();
        assert!(!has_table(&lane).await, "another database in memory");
    }

    #[tokio::test]
    async fn what_is_undone_or_was_never_begun_is_not_in_doubt() {
        let lane = lane();
        let mut turn = with_table(&lane).await;
        turn.doubt();
        turn.undo().await;
        turn.connection().unwrap().execute("BEGIN; DROP TABLE t").await.unwrap();
        turn.undo().await;
        drop(turn);
        assert!(has_table(&lane).await);
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_they_have_patience_nor_for_what_is_closed() {
        let lane = lane();
        let turn = lane.turn().await.unwrap();
        assert!(matches!(lane.turn().await, Err(sqlx::Error::PoolTimedOut)));
        drop(turn);
        lane.close().await;
        assert!(matches!(lane.turn().await, Err(sqlx::Error::PoolClosed)));
        assert!(matches!(lane.turn().await, Err(sqlx::Error::PoolClosed)), "it stays closed");
    }
}
