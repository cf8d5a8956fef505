//! A transaction that writes.
//!
//! The driver's own would send `BEGIN` and `COMMIT` as messages that its thread waits for us to take note of. Here the first
//! statements bring their `BEGIN` along.

use std::sync::Arc;

use futures::TryStreamExt;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};

use super::lane::Turn;
use super::log::Log;
use crate::how_many::HowMany;
use crate::statement::{Joined, Statement};

type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

/// Takes the lock at once: a transaction that reads first and writes later could be refused midway.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// Dropped without [`commit`](Self::commit), everything is undone.
pub(crate) struct SqliteTx {
    turn: Option<Turn>,
    begun: bool,
    log: Option<Arc<Log>>,
    /// Written so far.
    rows: u64,
}

impl SqliteTx {
    /// In the writer's turn. The transaction begins with the first statement.
    pub(super) fn new(turn: Turn, log: Option<Arc<Log>>) -> Self {
        Self { turn: Some(turn), begun: false, log, rows: 0 }
    }

    pub(crate) async fn fetch(&mut self, query: Query, how_many: HowMany) -> Result<Vec<SqliteRow>, sqlx::Error> {
        how_many.collect(query.fetch(self.begun().await?)).await
    }

    pub(crate) async fn run(&mut self, query: Query) -> Result<u64, sqlx::Error> {
        let rows = query.execute(self.begun().await?).await?.rows_affected();
        self.rows = self.rows.saturating_add(rows);
        Ok(rows)
    }

    /// Runs statements whose rows nobody reads as one text, and answers how many rows each touched.
    pub(crate) async fn execute_all(&mut self, statements: Vec<Statement>) -> Result<Vec<u64>, sqlx::Error> {
        let begins = !self.begun;
        let mut joined = Joined::default();
        if begins {
            joined.plain(BEGIN);
        }
        for statement in statements {
            joined.add(statement);
        }
        let query = joined.for_sqlite();
        let results = self.begin()?.execute_many(query);
        let mut counts = HowMany::Few.collect(results.map_ok(|result| result.rows_affected())).await?;
        if begins && !counts.is_empty() {
            counts.remove(0);
        }
        self.rows = counts.iter().fold(self.rows, |rows, count| rows.saturating_add(*count));
        Ok(counts)
    }

    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        if self.begun {
            self.begin()?.execute("COMMIT").await?;
            self.begun = false;
            if let Some(turn) = &mut self.turn {
                turn.trust();
            }
            if let Some(log) = &self.log {
                log.grew(self.rows);
            }
        }
        Ok(())
    }

    /// The connection, in a transaction.
    async fn begun(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        let begins = !self.begun;
        let connection = self.begin()?;
        if begins {
            connection.execute(AssertSqlSafe(BEGIN).into_sql_str()).await?;
        }
        Ok(connection)
    }

    /// The connection, which is in a transaction from what is sent next on.
    fn begin(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        self.begun = true;
        let turn = self.turn.as_mut().ok_or(sqlx::Error::WorkerCrashed)?;
        turn.doubt();
        turn.connection()
    }
}

impl Drop for SqliteTx {
    fn drop(&mut self) {
        let Some(mut turn) = self.turn.take().filter(|_| self.begun) else { return };
        // Whoever is next waits until it is undone. Where nobody can see to that, the connection ends with the turn.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { turn.undo().await });
        }
    }
}
