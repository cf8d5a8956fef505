//! Rows, connections and transactions of two databases that hide which one it is: one SQL text for both.
//!
//! No statement is written here, and nobody else in the crate names a driver except `open`, `sqlite` and what makes arguments.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgPool, PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Decode, Row as _, SqlSafeStr, SqlStr, Transaction, Type};
use uuid::Uuid;

use crate::arg::{for_postgres, for_sqlite};
use crate::how_many::HowMany;
use crate::sqlite::{Connections, SqliteTx};
use crate::watch::{self, Revocations};
use crate::{StoreError, Trouble};

pub(crate) use crate::arg::{Arg, args, row};
pub(crate) use crate::statement::{Ready, Statement, placeholders};

/// A type that both databases give back.
pub(crate) trait Column:
    for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>
{
}

impl<T> Column for T where T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres> {}

/// A row of either database.
pub(crate) struct Row {
    store: Arc<str>,
    row: DriverRow,
}

enum DriverRow {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// A column by its name.
    pub(crate) fn get<T: Column>(&self, column: &str) -> Result<T, StoreError> {
        match &self.row {
            DriverRow::Sqlite(row) => row.try_get(column),
            DriverRow::Postgres(row) => row.try_get(column),
        }
        .map_err(|error| StoreError::from_driver(&self.store, error))
    }

    /// A column that holds JSON, read into a type of ours.
    pub(crate) fn json<T: serde::de::DeserializeOwned + 'static>(&self, column: &str) -> Result<T, StoreError> {
        Ok(self.get::<sqlx::types::Json<T>>(column)?.0)
    }

    /// The error for a column that holds what it cannot hold.
    pub(crate) fn corrupt(
        &self,
        column: &str,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StoreError {
        StoreError::Corrupt { store: self.store.to_string(), column: column.to_owned(), source: error.into() }
    }
}

/// Whom we talk to, and how long we wait for an answer.
#[derive(Clone)]
pub(crate) struct Line {
    /// The database's name for errors, without a password.
    pub(crate) store: Arc<str>,
    /// A network can fall silent in the middle of a statement; no request waits for it for ever.
    pub(crate) patience: Duration,
}

impl Line {
    async fn bounded<T>(&self, call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
        match tokio::time::timeout(self.patience, call).await {
            Ok(answer) => answer.map_err(|error| StoreError::from_driver(&self.store, error)),
            Err(_) => Err(StoreError::unavailable(&self.store, Trouble::NoAnswer)),
        }
    }

    fn name(&self, rows: impl Iterator<Item = DriverRow>) -> Vec<Row> {
        rows.map(|row| Row { store: self.store.clone(), row }).collect()
    }
}

/// The connections of a store.
#[derive(Clone)]
pub(crate) struct Db {
    pub(crate) line: Line,
    pub(crate) pool: Pool,
    pub(crate) revocations: Arc<Revocations>,
}

#[derive(Clone)]
pub(crate) enum Pool {
    Sqlite(Connections),
    Postgres(PgPool),
}

/// Where the two differ after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Db {
    pub(crate) fn dialect(&self) -> Dialect {
        match &self.pool {
            Pool::Sqlite(_) => Dialect::Sqlite,
            Pool::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Reads, outside any transaction.
    pub(crate) async fn rows(&self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        self.fetch(sql.into_sql_str(), args, HowMany::Few).await
    }

    /// The same where there may be hundreds.
    pub(crate) async fn many_rows(&self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        self.fetch(sql.into_sql_str(), args, HowMany::Many).await
    }

    async fn fetch(&self, sql: SqlStr, args: Vec<Arg>, how_many: HowMany) -> Result<Vec<Row>, StoreError> {
        let answers = self.rows_of_all(vec![Statement { sql, args }], how_many).await?;
        Ok(answers.into_iter().next().unwrap_or_default())
    }

    /// Reads a row that may not be there, outside any transaction.
    pub(crate) async fn row(&self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// Reads with several statements, outside any transaction, and answers the rows of each. SQLite takes them as one
    /// text, see [`Tx::execute_all`].
    pub(crate) async fn rows_of_all(
        &self,
        statements: Vec<Statement>,
        how_many: HowMany,
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        let mut answers = Vec::with_capacity(statements.len());
        match &self.pool {
            Pool::Sqlite(connections) => {
                for rows in self.line.bounded(connections.rows_of_all(statements, how_many)).await? {
                    answers.push(self.line.name(rows.into_iter().map(DriverRow::Sqlite)));
                }
            }
            Pool::Postgres(pool) => {
                // Boxed: see `begin`.
                let mut connection = self.line.bounded(Box::pin(pool.acquire())).await?;
                for Statement { sql, args } in statements {
                    let rows = self.line.bounded(for_postgres(sql, args).fetch_all(&mut *connection)).await?;
                    answers.push(self.line.name(rows.into_iter().map(DriverRow::Postgres)));
                }
            }
        }
        Ok(answers)
    }

    /// Writes with one statement, a transaction of its own, and answers how many rows it touched.
    pub(crate) async fn execute(&self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<u64, StoreError> {
        let sql = sql.into_sql_str();
        match &self.pool {
            Pool::Sqlite(connections) => self.line.bounded(connections.execute(sql, args)).await,
            Pool::Postgres(pool) => Ok(self.line.bounded(for_postgres(sql, args).execute(pool)).await?.rows_affected()),
        }
    }

    /// Begins to write. Dropped without [`Tx::commit`], everything is undone.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        // Boxed, because every future around it would be as large as what the drivers need here: 8 KiB, several times over.
        let driver = match &self.pool {
            Pool::Sqlite(connections) => DriverTx::Sqlite(self.line.bounded(connections.begin()).await?),
            Pool::Postgres(pool) => DriverTx::Postgres(self.line.bounded(Box::pin(pool.begin())).await?),
        };
        Ok(Tx { line: self.line.clone(), driver, revoked: BTreeSet::new(), revocations: self.revocations.clone() })
    }
}

/// A transaction that writes.
pub(crate) struct Tx {
    line: Line,
    driver: DriverTx,
    revoked: BTreeSet<Uuid>,
    revocations: Arc<Revocations>,
}

enum DriverTx {
    Sqlite(SqliteTx),
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    pub(crate) fn dialect(&self) -> Dialect {
        match &self.driver {
            DriverTx::Sqlite(_) => Dialect::Sqlite,
            DriverTx::Postgres(_) => Dialect::Postgres,
        }
    }

    pub(crate) async fn rows(&mut self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        self.fetch(sql.into_sql_str(), args, HowMany::Few).await
    }

    /// The same where there may be hundreds.
    pub(crate) async fn many_rows(&mut self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        self.fetch(sql.into_sql_str(), args, HowMany::Many).await
    }

    async fn fetch(&mut self, sql: SqlStr, args: Vec<Arg>, how_many: HowMany) -> Result<Vec<Row>, StoreError> {
        match &mut self.driver {
            DriverTx::Sqlite(tx) => {
                let rows = self.line.bounded(tx.fetch(for_sqlite(sql, args), how_many)).await?;
                Ok(self.line.name(rows.into_iter().map(DriverRow::Sqlite)))
            }
            DriverTx::Postgres(tx) => {
                let rows = self.line.bounded(for_postgres(sql, args).fetch_all(&mut **tx)).await?;
                Ok(self.line.name(rows.into_iter().map(DriverRow::Postgres)))
            }
        }
    }

    pub(crate) async fn row(&mut self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    pub(crate) async fn execute(&mut self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<u64, StoreError> {
        self.run(Ready::new(self.dialect(), sql.into_sql_str(), args)).await
    }

    /// Runs a statement whose rows nobody reads, and answers how many it touched.
    pub(crate) async fn run(&mut self, statement: Ready) -> Result<u64, StoreError> {
        match (&mut self.driver, statement) {
            (DriverTx::Sqlite(tx), Ready::Sqlite(query)) => self.line.bounded(tx.run(query)).await,
            (DriverTx::Postgres(tx), Ready::Postgres(query)) => {
                Ok(self.line.bounded(query.execute(&mut **tx)).await?.rows_affected())
            }
            _ => Err(StoreError::conflict("it was made ready for another kind of database")),
        }
    }

    /// Runs statements whose rows nobody reads, in order, and answers how many rows each touched. SQLite takes them as
    /// one text: every statement of its own would cost a switch to its thread and back.
    pub(crate) async fn execute_all(&mut self, statements: Vec<Statement>) -> Result<Vec<u64>, StoreError> {
        match &mut self.driver {
            DriverTx::Sqlite(tx) => self.line.bounded(tx.execute_all(statements)).await,
            DriverTx::Postgres(tx) => {
                let mut counts = Vec::with_capacity(statements.len());
                for Statement { sql, args } in statements {
                    let result = for_postgres(sql, args).execute(&mut **tx);
                    counts.push(self.line.bounded(result).await?.rows_affected());
                }
                Ok(counts)
            }
        }
    }

    /// Whoever watches must read this user again once this is committed.
    pub(crate) fn revoke(&mut self, user: Uuid) {
        self.revoked.insert(user);
    }

    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        if let (Dialect::Postgres, Some(payload)) = (self.dialect(), watch::payload(&self.revoked)) {
            self.execute(watch::NOTIFY, args![watch::CHANNEL, payload]).await?;
        }
        match self.driver {
            DriverTx::Sqlite(tx) => self.line.bounded(tx.commit()).await,
            DriverTx::Postgres(tx) => self.line.bounded(tx.commit()).await,
        }?;
        self.revocations.tell(&self.revoked);
        Ok(())
    }
}
