//! One SQL text on two databases: arguments, rows, connections and transactions that hide which one it is.
//!
//! No statement is written here, and nobody else in the crate names a driver except `open`.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::Value as Json;
use sqlx::postgres::{PgArguments, PgPool, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqlitePool, SqliteRow};
use sqlx::{Decode, Row as _, SqlSafeStr, SqlStr, Transaction, Type};
use uuid::Uuid;

use crate::StoreError;

/// A bound parameter. There is no other way for a value to reach a statement.
#[derive(Clone, Debug)]
pub(crate) enum Arg {
    Text(Option<String>),
    Int(Option<i64>),
    Bool(bool),
    Bytes(Option<Vec<u8>>),
    Uuid(Option<Uuid>),
    Time(Option<DateTime<Utc>>),
    Json(Json),
}

macro_rules! arg_from {
    ($($type:ty, $value:ident => $arg:expr;)*) => {
        $(impl From<$type> for Arg {
            fn from($value: $type) -> Self {
                $arg
            }
        })*
    };
}

arg_from! {
    &str, v => Self::Text(Some(v.to_owned()));
    &String, v => Self::Text(Some(v.clone()));
    String, v => Self::Text(Some(v));
    Option<String>, v => Self::Text(v);
    &Option<String>, v => Self::Text(v.clone());
    i64, v => Self::Int(Some(v));
    Option<i64>, v => Self::Int(v);
    bool, v => Self::Bool(v);
    &[u8], v => Self::Bytes(Some(v.to_vec()));
    Option<Vec<u8>>, v => Self::Bytes(v);
    Uuid, v => Self::Uuid(Some(v));
    Option<Uuid>, v => Self::Uuid(v);
    Json, v => Self::Json(v);
    crate::TokenHash, v => Self::Bytes(Some(v.as_bytes().to_vec()));
    &crate::Owner, v => Self::Text(Some(v.as_str().to_owned()));
    // PostgreSQL keeps microseconds; so that both answer alike, SQLite gets no more.
    DateTime<Utc>, v => Self::Time(Some(v.trunc_subsecs(6)));
    Option<DateTime<Utc>>, v => Self::Time(v.map(|time| time.trunc_subsecs(6)));
}

/// The arguments of a statement, in the order of `$1`, `$2`, …
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::db::Arg::from($value)),*] };
}
pub(crate) use args;

macro_rules! bind {
    ($sql:expr, $args:expr) => {
        $args.into_iter().fold(sqlx::query($sql), |query, arg| match arg {
            Arg::Text(v) => query.bind(v),
            Arg::Int(v) => query.bind(v),
            Arg::Bool(v) => query.bind(v),
            Arg::Bytes(v) => query.bind(v),
            Arg::Uuid(v) => query.bind(v),
            Arg::Time(v) => query.bind(v),
            Arg::Json(v) => query.bind(v),
        })
    };
}

fn for_sqlite(sql: SqlStr, args: Vec<Arg>) -> Query<'static, Sqlite, SqliteArguments> {
    bind!(sql, args)
}

fn for_postgres(sql: SqlStr, args: Vec<Arg>) -> Query<'static, Postgres, PgArguments> {
    bind!(sql, args)
}

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
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        serde_json::from_value(self.get::<Json>(column)?).map_err(|error| self.corrupt(column, error))
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

/// The connections of a store.
#[derive(Clone)]
pub(crate) struct Db {
    pub(crate) store: Arc<str>,
    pub(crate) pool: Pool,
}

#[derive(Clone)]
pub(crate) enum Pool {
    /// SQLite has one writer at a time. Ours queue for one connection instead of polling for a lock, and readers never
    /// wait for them.
    Sqlite {
        readers: SqlitePool,
        writer: SqlitePool,
    },
    Postgres(PgPool),
}

impl Db {
    /// Reads, outside any transaction.
    pub(crate) async fn rows(&self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        let sql = sql.into_sql_str();
        let rows: Result<Vec<DriverRow>, sqlx::Error> = match &self.pool {
            Pool::Sqlite { readers, .. } => for_sqlite(sql, args)
                .fetch_all(readers)
                .await
                .map(|rows| rows.into_iter().map(DriverRow::Sqlite).collect()),
            Pool::Postgres(pool) => for_postgres(sql, args)
                .fetch_all(pool)
                .await
                .map(|rows| rows.into_iter().map(DriverRow::Postgres).collect()),
        };
        named(&self.store, rows)
    }

    /// Reads a row that may not be there, outside any transaction.
    pub(crate) async fn row(&self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// Writes with one statement, a transaction of its own, and answers how many rows it touched.
    pub(crate) async fn execute(&self, sql: &'static str, args: Vec<Arg>) -> Result<u64, StoreError> {
        let sql = sql.into_sql_str();
        match &self.pool {
            Pool::Sqlite { writer, .. } => for_sqlite(sql, args).execute(writer).await.map(|done| done.rows_affected()),
            Pool::Postgres(pool) => for_postgres(sql, args).execute(pool).await.map(|done| done.rows_affected()),
        }
        .map_err(|error| StoreError::from_driver(&self.store, error))
    }

    /// Begins to write. Dropped without [`Tx::commit`], everything is undone.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        let tx = match &self.pool {
            // IMMEDIATE takes the lock at once: a transaction that reads first and writes later could be refused midway.
            Pool::Sqlite { writer, .. } => writer.begin_with("BEGIN IMMEDIATE").await.map(DriverTx::Sqlite),
            Pool::Postgres(pool) => pool.begin().await.map(DriverTx::Postgres),
        };
        let tx = tx.map_err(|error| StoreError::from_driver(&self.store, error))?;
        Ok(Tx { store: self.store.clone(), tx })
    }
}

/// A transaction that writes.
pub(crate) struct Tx {
    store: Arc<str>,
    tx: DriverTx,
}

enum DriverTx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    pub(crate) async fn rows(&mut self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        let sql = sql.into_sql_str();
        let rows: Result<Vec<DriverRow>, sqlx::Error> = match &mut self.tx {
            DriverTx::Sqlite(tx) => for_sqlite(sql, args)
                .fetch_all(&mut **tx)
                .await
                .map(|rows| rows.into_iter().map(DriverRow::Sqlite).collect()),
            DriverTx::Postgres(tx) => for_postgres(sql, args)
                .fetch_all(&mut **tx)
                .await
                .map(|rows| rows.into_iter().map(DriverRow::Postgres).collect()),
        };
        named(&self.store, rows)
    }

    pub(crate) async fn row(&mut self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    pub(crate) async fn execute(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<u64, StoreError> {
        let sql = sql.into_sql_str();
        match &mut self.tx {
            DriverTx::Sqlite(tx) => for_sqlite(sql, args).execute(&mut **tx).await.map(|done| done.rows_affected()),
            DriverTx::Postgres(tx) => for_postgres(sql, args).execute(&mut **tx).await.map(|done| done.rows_affected()),
        }
        .map_err(|error| StoreError::from_driver(&self.store, error))
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self.tx {
            DriverTx::Sqlite(tx) => tx.commit().await,
            DriverTx::Postgres(tx) => tx.commit().await,
        }
        .map_err(|error| StoreError::from_driver(&self.store, error))
    }
}

fn named(store: &Arc<str>, rows: Result<Vec<DriverRow>, sqlx::Error>) -> Result<Vec<Row>, StoreError> {
    let rows = rows.map_err(|error| StoreError::from_driver(store, error))?;
    Ok(rows.into_iter().map(|row| Row { store: store.clone(), row }).collect())
}

/// `$first, $first+1, …` for a list of `count` parameters. Only numbers end up in the text.
pub(crate) fn placeholders(first: usize, count: usize) -> String {
    (first..first + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}
