//! SQLite's connections: one that writes, one for what is asked for all the time, and some for what takes long.
//!
//! A message to a connection's thread and back costs more than most statements, so that whatever waits is sent together.
//! Nothing here knows what is asked.

mod batches;
mod lane;
mod log;
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
use log::Log;
pub(crate) use open::{open_file, open_memory};
use quick::{Quick, When, read_in};
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
    /// None in memory, where there is one connection for all.
    file: Option<OfFile>,
}

/// What a file has besides.
#[derive(Clone)]
struct OfFile {
    /// For what nobody else should wait for.
    long: SqlitePool,
    log: Arc<Log>,
}

impl Connections {
    fn new(writer: Lane, reader: Lane, file: Option<OfFile>) -> Self {
        Self { writer, queue: Arc::default(), quick: Quick::new(reader), file }
    }

    /// Reads, outside any transaction of ours, and answers the rows of each statement: those of few rows see one moment.
    pub(crate) async fn rows_of_all(
        &self,
        statements: Vec<Statement>,
        how_many: HowMany,
    ) -> Result<Vec<Vec<SqliteRow>>, sqlx::Error> {
        match (&self.file, how_many) {
            (Some(OfFile { long, .. }), HowMany::Many) => {
                read_in(long.acquire().await?.as_mut(), statements, how_many, When::OneByOne).await
            }
            _ => self.quick.ask(statements, how_many).await,
        }
    }

    /// Begins to write: see [`SqliteTx`].
    pub(crate) async fn begin(&self) -> Result<SqliteTx, sqlx::Error> {
        let log = self.file.as_ref().map(|file| file.log.clone());
        Ok(SqliteTx::new(self.writer.turn().await?, log))
    }

    /// Writes with one statement, a transaction of its own, and answers how many rows it touched.
    pub(crate) async fn execute(&self, sql: sqlx::SqlStr, args: Vec<Arg>) -> Result<u64, sqlx::Error> {
        let mut turn = self.writer.turn().await?;
        let done = for_sqlite(sql, args).execute(turn.connection()?).await;
        Ok(done.inspect_err(|error| turn.judge(error))?.rows_affected())
    }

    pub(crate) async fn close(&self) {
        if let Some(OfFile { long, log }) = &self.file {
            long.close().await;
            log.close().await;
        }
        self.quick.close().await;
        // The last to close folds the log back into the file.
        self.writer.close().await;
    }
}
