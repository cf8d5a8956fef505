//! SQLite's connections: one that writes, one for what is asked for all the time, and some for what takes long.
//!
//! A message to a connection's thread and back costs more than most statements, so that whatever waits is sent together.
//! Nothing here knows what is asked.

mod batches;
mod lane;
mod open;
mod quick;
mod tx;

use std::sync::Arc;

use sqlx::sqlite::{SqlitePool, SqliteRow};

use crate::apply::Queue;
use crate::arg::{Arg, for_sqlite};
use crate::how_many::HowMany;
use crate::statement::Statement;

pub(crate) use batches::{Batches, parts};
pub(crate) use lane::Lane;
pub(crate) use open::{open_file, open_memory};
use quick::Quick;
pub(crate) use tx::SqliteTx;

/// The connections to one file, or the one to memory.
#[derive(Clone)]
pub(crate) struct Connections {
    /// SQLite has one writer at a time. Ours queue for one connection instead of polling for a lock, and readers never
    /// wait for them.
    pub(crate) writer: Lane,
    /// Plans that wait for it.
    pub(crate) queue: Arc<Queue>,
    quick: Arc<Quick>,
    /// For what nobody else should wait for. None in memory, where there is one connection for all.
    long: Option<SqlitePool>,
}

impl Connections {
    fn new(writer: Lane, reader: Lane, long: Option<SqlitePool>) -> Self {
        Self { writer, queue: Arc::default(), quick: Quick::new(reader), long }
    }

    /// Reads, outside any transaction, and answers the rows of each statement.
    pub(crate) async fn rows_of_all(
        &self,
        statements: Vec<Statement>,
        how_many: HowMany,
    ) -> Result<Vec<Vec<SqliteRow>>, sqlx::Error> {
        match (&self.long, how_many) {
            (Some(long), HowMany::Many) => quick::read_in(long.acquire().await?.as_mut(), statements, how_many).await,
            _ => self.quick.ask(statements, how_many).await,
        }
    }

    /// Writes with one statement, a transaction of its own, and answers how many rows it touched.
    pub(crate) async fn execute(&self, sql: sqlx::SqlStr, args: Vec<Arg>) -> Result<u64, sqlx::Error> {
        let mut turn = self.writer.turn().await?;
        Ok(for_sqlite(sql, args).execute(turn.connection()?).await?.rows_affected())
    }

    pub(crate) async fn close(&self) {
        if let Some(long) = &self.long {
            long.close().await;
        }
        self.quick.close().await;
        // The last to close folds the log back into the file.
        self.writer.close().await;
    }
}
