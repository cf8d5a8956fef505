//! Opening a store: connections, and migrations where the database is behind.

use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor};

use crate::db::{Db, Line, Pool, args};
use crate::sqlite::{open_file, open_memory};
use crate::url::Kind;
use crate::watch::Revocations;
use crate::{StoreError, StoreUrl, Trouble};

static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// The store. Clones share the same connections.
#[derive(Clone)]
pub struct Store {
    pub(crate) db: Db,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.db.line.store)
    }
}

/// How patient a store is, and how wide.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// How long to wait for another process's lock, or for a free connection, before saying that it is busy.
    pub patience: Duration,
    /// How long one statement may take. Longer than `patience`, which is a part of it.
    pub statement: Duration,
    /// Connections at once: to PostgreSQL, or of SQLite's readers.
    pub connections: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { patience: Duration::from_secs(5), statement: Duration::from_secs(30), connections: 10 }
    }
}

impl Store {
    /// Opens a store, creates the SQLite file where there is none, and brings the tables up to date.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] with what is the matter, or [`StoreError::Schema`] where a newer Bindery was here.
    pub async fn open(url: &StoreUrl) -> Result<Self, StoreError> {
        Self::open_with(url, Tuning::default()).await
    }

    /// The same, with other limits.
    pub async fn open_with(url: &StoreUrl, tuning: Tuning) -> Result<Self, StoreError> {
        let store: Arc<str> = url.to_string().into();
        let pool = match &url.0 {
            Kind::Memory => Pool::Sqlite(open_memory(&store, tuning).await?),
            Kind::File(path) => Pool::Sqlite(open_file(&store, path, tuning).await?),
            Kind::Postgres(options) => open_postgres(&store, options, tuning).await?,
        };
        let revocations =
            Revocations::new(if let Kind::Postgres(options) = &url.0 { Some(named(options)) } else { None });
        Ok(Self { db: Db { line: Line { store, patience: tuning.statement }, pool, revocations } })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.db.row("SELECT key FROM settings LIMIT 1", args![]).await.map(drop)
    }

    /// Waits for what is under way and closes every connection. Later calls are [`Trouble::Closed`].
    pub async fn close(&self) {
        self.db.revocations.close();
        match &self.db.pool {
            Pool::Sqlite(connections) => connections.close().await,
            Pool::Postgres(pool) => pool.close().await,
        }
    }
}

/// Each of our statements looks up a bounded list by an index. With a list of some hundreds the planner would often rather
/// read a whole table, at first because it has no statistics yet: 150 ms instead of 5 for a hundred thousand users, and for
/// ten million out of the question. A scan that cannot be avoided looks so expensive then that it would be compiled.
const BY_INDEX: &str = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off";

/// So that an administrator sees whose connection it is.
fn named(options: &PgConnectOptions) -> PgConnectOptions {
    options.clone().application_name("bindery").disable_statement_logging()
}

async fn open_postgres(store: &str, options: &PgConnectOptions, tuning: Tuning) -> Result<Pool, StoreError> {
    let options = named(options);
    // Not through the pool, which tries a closed port again until its patience ends.
    let first = tokio::time::timeout(tuning.patience, PgConnection::connect_with(&options)).await;
    let mut first = first
        .map_err(|_| StoreError::unavailable(store, Trouble::Unreachable))?
        .map_err(|error| StoreError::from_driver(store, error))?;
    let migrated = tokio::time::timeout(MIGRATION, migrate_postgres(store, &mut first)).await;
    migrated.map_err(|_| StoreError::unavailable(store, Trouble::NoAnswer))??;
    // Whether it ends politely is of no consequence.
    let _ = first.close().await;
    let pool = PgPoolOptions::new()
        .max_connections(tuning.connections)
        .acquire_timeout(tuning.patience)
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(async move { connection.execute(BY_INDEX).await.map(drop) }))
        // A connection that rested may have been lost; one that was just used is as good as one just tested.
        .before_acquire(|connection, rest| {
            Box::pin(async move {
                if rest.idle_for > Duration::from_secs(1) {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options);
    Ok(Pool::Postgres(pool))
}

async fn migrate_postgres(store: &str, connection: &mut PgConnection) -> Result<(), StoreError> {
    match sqlx::query_scalar(APPLIED).fetch_all(&mut *connection).await {
        // 42P01, no such table: a new database.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => {}
        Err(error) => return Err(StoreError::from_driver(store, error)),
        applied => {
            if is_current(&POSTGRES, applied) {
                return Ok(());
            }
        }
    }
    // Takes an advisory lock of its own, so that replicas may start together.
    POSTGRES.run_direct(None, connection, false).await.map_err(|error| migration_failed(store, error))
}

/// Migrations rewrite tables, and wait for a replica that does so already.
const MIGRATION: Duration = Duration::from_mins(10);

/// The migrations that a database has had, for [`is_current`].
pub(crate) const APPLIED: &str = "SELECT checksum FROM _sqlx_migrations WHERE success ORDER BY version";

pub(crate) fn is_current(migrator: &Migrator, applied: Result<Vec<Vec<u8>>, sqlx::Error>) -> bool {
    applied.is_ok_and(|applied| migrator.iter().map(|migration| &*migration.checksum).eq(applied.iter().map(|c| &**c)))
}

pub(crate) fn migration_failed(store: &str, error: MigrateError) -> StoreError {
    let schema = |reason: String| StoreError::Schema { store: store.to_owned(), reason };
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            StoreError::from_driver(store, error)
        }
        MigrateError::VersionMissing(version) => schema(format!(
            "it has migration {version}, which only a newer version knows; start that version, or restore a backup"
        )),
        MigrateError::VersionMismatch(version) => {
            schema(format!("migration {version} was another when it was applied; restore a backup"))
        }
        error => schema(error.to_string()),
    }
}
