//! One SQL text on two databases: arguments, rows, connections and transactions that hide which one it is.
//!
//! No statement is written here, and nobody else in the crate names a driver except `open`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use futures::TryStreamExt;
use sqlx::postgres::{PgArguments, PgPool, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Decode, Either, Executor, Row as _, SqlSafeStr, SqlStr, Transaction, Type};
use uuid::Uuid;

use crate::apply::Queue;
use crate::how_many::HowMany;
use crate::json::Json;
use crate::watch::{self, Revocations};
use crate::{StoreError, Trouble};

/// A bound parameter. There is no other way for a value to reach a statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Arg {
    /// Shared, because SQLite's driver shares it with its thread.
    Text(Option<Arc<str>>),
    Int(Option<i64>),
    Bool(bool),
    Bytes(Option<Vec<u8>>),
    Uuid(Option<Uuid>),
    Time(Option<DateTime<Utc>>),
    Json(Json),
    /// Values of one kind, as an array. PostgreSQL alone has them.
    Column(Vec<Arg>),
}

impl Arg {
    /// The types that PostgreSQL gives a list of these, and each of them. JSON in a list goes as text.
    pub(crate) fn postgres_types(list: &[Self]) -> (&'static str, &'static str) {
        match list.first() {
            Some(Self::Int(_)) => ("bigint[]", "bigint"),
            Some(Self::Bool(_)) => ("boolean[]", "boolean"),
            Some(Self::Bytes(_)) => ("bytea[]", "bytea"),
            Some(Self::Uuid(_)) => ("uuid[]", "uuid"),
            Some(Self::Time(_)) => ("timestamptz[]", "timestamptz"),
            Some(Self::Json(_)) => ("text[]", "jsonb"),
            Some(Self::Text(_) | Self::Column(_)) | None => ("text[]", "text"),
        }
    }
}

impl Arg {
    /// What a type of ours is as JSON.
    pub(crate) fn json(field: &'static str, value: &impl serde::Serialize) -> Self {
        Self::Json(Json::of(field, value))
    }
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
    &str, v => Self::Text(Some(v.into()));
    &String, v => Self::Text(Some(v.as_str().into()));
    String, v => Self::Text(Some(v.into()));
    &Arc<str>, v => Self::Text(Some(v.clone()));
    Option<String>, v => Self::Text(v.map(Arc::from));
    &Option<String>, v => Self::Text(v.as_deref().map(Arc::from));
    i64, v => Self::Int(Some(v));
    Option<i64>, v => Self::Int(v);
    bool, v => Self::Bool(v);
    &[u8], v => Self::Bytes(Some(v.to_vec()));
    Option<Vec<u8>>, v => Self::Bytes(v);
    Uuid, v => Self::Uuid(Some(v));
    Option<Uuid>, v => Self::Uuid(v);
    serde_json::Value, v => Self::Json(v.into());
    crate::TokenHash, v => Self::Bytes(Some(v.as_bytes().to_vec()));
    &crate::Owner, v => Self::Text(Some(v.as_str().into()));
    // PostgreSQL keeps microseconds; so that both answer alike, SQLite gets no more.
    DateTime<Utc>, v => Self::Time(Some(v.trunc_subsecs(6)));
    Option<DateTime<Utc>>, v => Self::Time(v.map(|time| time.trunc_subsecs(6)));
}

/// The arguments of a statement, in the order of `$1`, `$2`, …
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::db::Arg::from($value)),*] };
}
pub(crate) use args;

/// The same as an array, for one row of many.
macro_rules! row {
    ($($value:expr),* $(,)?) => { [$($crate::db::Arg::from($value)),*] };
}
pub(crate) use row;

macro_rules! bind {
    ($query:expr, $arg:expr, $column:ident => $bind_column:expr) => {
        match $arg {
            Arg::Text(v) => $query.bind(v),
            Arg::Int(v) => $query.bind(v),
            Arg::Bool(v) => $query.bind(v),
            Arg::Bytes(v) => $query.bind(v),
            Arg::Uuid(v) => $query.bind(v),
            Arg::Time(v) => $query.bind(v),
            Arg::Json(v) => $query.bind(v),
            Arg::Column($column) => $bind_column,
        }
    };
}

fn for_sqlite(sql: SqlStr, args: Vec<Arg>) -> Query<'static, Sqlite, SqliteArguments> {
    // Nobody makes columns for SQLite; its own words about a parameter that is not there would be as good as ours.
    args.into_iter().fold(sqlx::query(sql), |query, arg| bind!(query, arg, _column => query))
}

fn for_postgres(sql: SqlStr, args: Vec<Arg>) -> Query<'static, Postgres, PgArguments> {
    args.into_iter().fold(sqlx::query(sql), |query, arg| bind!(query, arg, column => bind_column(query, column)))
}

/// Binds values of one kind as an array.
fn bind_column(
    query: Query<'static, Postgres, PgArguments>,
    column: Vec<Arg>,
) -> Query<'static, Postgres, PgArguments> {
    macro_rules! array {
        ($variant:ident) => {
            query.bind(
                column
                    .into_iter()
                    .map(|value| if let Arg::$variant(value) = value { value } else { Default::default() })
                    .collect::<Vec<_>>(),
            )
        };
    }
    match column.first() {
        Some(Arg::Int(_)) => array!(Int),
        Some(Arg::Bool(_)) => array!(Bool),
        Some(Arg::Bytes(_)) => array!(Bytes),
        Some(Arg::Uuid(_)) => array!(Uuid),
        Some(Arg::Time(_)) => array!(Time),
        Some(Arg::Json(_)) => {
            let json = |value: &Arg| if let Arg::Json(json) = value { Some(json.as_text()) } else { None };
            query.bind(column.iter().map(json).collect::<Vec<_>>())
        }
        Some(Arg::Text(_) | Arg::Column(_)) | None => {
            let text = |value: &Arg| if let Arg::Text(value) = value { value.clone() } else { None };
            let texts: Vec<Option<Arc<str>>> = column.iter().map(text).collect();
            query.bind(texts.iter().map(Option::as_deref).collect::<Vec<_>>())
        }
    }
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
    /// SQLite has one writer at a time. Ours queue for one connection instead of polling for a lock, and readers never
    /// wait for them.
    Sqlite {
        readers: SqlitePool,
        writer: SqlitePool,
        queue: Arc<Queue>,
    },
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
            Pool::Sqlite { .. } => Dialect::Sqlite,
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
        match &self.pool {
            Pool::Sqlite { readers, .. } => {
                let rows = self.line.bounded(how_many.collect(for_sqlite(sql, args).fetch(readers))).await?;
                Ok(self.line.name(rows.into_iter().map(DriverRow::Sqlite)))
            }
            Pool::Postgres(pool) => {
                let rows = self.line.bounded(for_postgres(sql, args).fetch_all(pool)).await?;
                Ok(self.line.name(rows.into_iter().map(DriverRow::Postgres)))
            }
        }
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
            Pool::Sqlite { readers, .. } => {
                let (sql, args) = joined(statements);
                let results = readers.fetch_many(for_sqlite(AssertSqlSafe(sql).into_sql_str(), args));
                let mut rows = Vec::new();
                for result in self.line.bounded(how_many.collect(results)).await? {
                    match result {
                        Either::Right(row) => rows.push(DriverRow::Sqlite(row)),
                        // The end of one statement.
                        Either::Left(_) => answers.push(self.line.name(rows.drain(..))),
                    }
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
            Pool::Sqlite { writer, .. } => {
                Ok(self.line.bounded(for_sqlite(sql, args).execute(writer)).await?.rows_affected())
            }
            Pool::Postgres(pool) => Ok(self.line.bounded(for_postgres(sql, args).execute(pool)).await?.rows_affected()),
        }
    }

    /// Begins to write. Dropped without [`Tx::commit`], everything is undone.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        // Boxed, because every future around it would be as large as what the drivers need here: 8 KiB, several times over.
        let driver = match &self.pool {
            // IMMEDIATE takes the lock at once: a transaction that reads first and writes later could be refused midway.
            Pool::Sqlite { writer, .. } => {
                DriverTx::Sqlite(self.line.bounded(Box::pin(writer.begin_with("BEGIN IMMEDIATE"))).await?)
            }
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
    Sqlite(Transaction<'static, Sqlite>),
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
                let rows = self.line.bounded(how_many.collect(for_sqlite(sql, args).fetch(&mut **tx))).await?;
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
        match (&mut self.driver, statement.0) {
            (DriverTx::Sqlite(tx), Prepared::Sqlite(query)) => {
                Ok(self.line.bounded(query.execute(&mut **tx)).await?.rows_affected())
            }
            (DriverTx::Postgres(tx), Prepared::Postgres(query)) => {
                Ok(self.line.bounded(query.execute(&mut **tx)).await?.rows_affected())
            }
            _ => Err(StoreError::conflict("it was made ready for another kind of database")),
        }
    }

    /// Runs statements whose rows nobody reads, in order, and answers how many rows each touched. SQLite takes them as
    /// one text: every statement of its own would cost a switch to its thread and back.
    pub(crate) async fn execute_all(&mut self, statements: Vec<Statement>) -> Result<Vec<u64>, StoreError> {
        match &mut self.driver {
            DriverTx::Sqlite(tx) => {
                let (sql, args) = joined(statements);
                let results = (&mut **tx).execute_many(for_sqlite(AssertSqlSafe(sql).into_sql_str(), args));
                let counts = results.map_ok(|result| result.rows_affected()).try_collect();
                self.line.bounded(counts).await
            }
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

/// A statement with its parameters in the form that its database takes: of a large one, most of the work on this side.
pub(crate) struct Ready(Prepared);

enum Prepared {
    Sqlite(Query<'static, Sqlite, SqliteArguments>),
    Postgres(Query<'static, Postgres, PgArguments>),
}

impl Ready {
    pub(crate) fn new(dialect: Dialect, sql: SqlStr, args: Vec<Arg>) -> Self {
        Self(match dialect {
            Dialect::Sqlite => Prepared::Sqlite(for_sqlite(sql, args)),
            Dialect::Postgres => Prepared::Postgres(for_postgres(sql, args)),
        })
    }
}

/// A statement with its arguments.
pub(crate) struct Statement {
    sql: SqlStr,
    args: Vec<Arg>,
}

impl Statement {
    pub(crate) fn new(sql: impl SqlSafeStr, args: Vec<Arg>) -> Self {
        Self { sql: sql.into_sql_str(), args }
    }
}

/// Statements as one text, the parameters of each numbered after those of the ones before.
fn joined(statements: Vec<Statement>) -> (String, Vec<Arg>) {
    let (mut text, mut args) = (String::new(), Vec::new());
    for statement in statements {
        let mut parts = statement.sql.as_str().split('$');
        text.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = part.split_at(digits);
            let number = number.parse::<usize>().unwrap_or_default() + args.len();
            text.push('$');
            text.push_str(&number.to_string());
            text.push_str(rest);
        }
        text.push(';');
        args.extend(statement.args);
    }
    (text, args)
}

/// `$first, $first+1, …` for a list of `count` parameters. Only numbers end up in the text.
pub(crate) fn placeholders(first: usize, count: usize) -> String {
    (first..first + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_statements_keep_their_own_parameters() {
        let one = Statement::new("UPDATE a SET x = $2 WHERE y = $1", args!["one", 2_i64]);
        let other = Statement::new("DELETE FROM b WHERE z = $1 OR z = $1", args![true]);
        let (text, args) = joined(vec![one, other]);
        assert_eq!(text, "UPDATE a SET x = $2 WHERE y = $1;DELETE FROM b WHERE z = $3 OR z = $3;");
        assert_eq!(args.len(), 3);
    }
}
