//! Opening a store: connections, and migrations where the database is behind.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor};

use crate::db::{Db, Line, Pool, args};
use crate::url::Kind;
use crate::watch::Revocations;
use crate::{StoreError, StoreUrl, Trouble};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
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
            Kind::Memory => open_memory(&store, tuning).await?,
            Kind::File(path) => open_file(&store, path, tuning).await?,
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
            Pool::Sqlite { readers, writer, .. } => {
                readers.close().await;
                writer.close().await;
            }
            Pool::Postgres(pool) => pool.close().await,
        }
    }
}

fn sqlite_options(tuning: Tuning) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .create_if_missing(true)
        .foreign_keys(true)
        .busy_timeout(tuning.patience)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode a crash of the process loses nothing; a power cut may lose the last commits, never the file.
        .synchronous(SqliteSynchronous::Normal)
        // Kibibytes. A sync comes back to the same pages of several indexes with each batch.
        .pragma("cache_size", "-12288")
        // Of a new file. A first sync touches a page of several indexes with each row.
        .page_size(8192)
        // Pages. The log is folded back so seldom that a page which several batches write is written once.
        .pragma("wal_autocheckpoint", "8000")
        // Rows that wait to be taken: each time there are so many, two threads wait for each other.
        .row_buffer_size(1024)
        .disable_statement_logging()
}

fn sqlite_pool(tuning: Tuning) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .acquire_timeout(tuning.patience)
        .idle_timeout(None)
        .max_lifetime(None)
        // There is no network that could have lost the connection.
        .test_before_acquire(false)
        .after_release(|connection, _| {
            Box::pin(async move {
                if connection.is_in_transaction() {
                    // Dropped midway: the rollback is on its way, and the ping waits behind it.
                    connection.ping().await?;
                }
                // On a full disk SQLite undoes a transaction by itself, and the driver, which does not know, would count
                // it as open for ever. Such a connection ends here.
                Ok(!connection.is_in_transaction())
            })
        })
}

async fn open_memory(store: &str, tuning: Tuning) -> Result<Pool, StoreError> {
    // Each connection to memory is a database of its own, so that there can be only one.
    let options = sqlite_options(tuning).in_memory(true);
    let pool = sqlite_pool(tuning).max_connections(1).connect_with(options).await;
    let pool = pool.map_err(|error| StoreError::from_driver(store, error))?;
    migrate_sqlite(store, &pool).await?;
    Ok(Pool::Sqlite { readers: pool.clone(), writer: pool, queue: Arc::default() })
}

async fn open_file(store: &str, path: &Path, tuning: Tuning) -> Result<Pool, StoreError> {
    look_at_folder(store, path).await?;
    make_private(path).await;
    let options = sqlite_options(tuning).filename(path);
    let writer = open_writer(store, &options, tuning).await?;
    migrate_sqlite(store, &writer).await?;
    // Not read_only(true): the last connection to close must be able to fold the log back into the file.
    let readers = sqlite_pool(tuning)
        .max_connections(readers_of(tuning))
        .connect_lazy_with(options.create_if_missing(false).pragma("query_only", "ON"));
    Ok(Pool::Sqlite { readers, writer, queue: Arc::default() })
}

/// A commit makes every other connection read its pages again, and reading a file that is in memory is work of the processor: with
/// more connections than processors, more is read again.
fn readers_of(tuning: Tuning) -> u32 {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    u32::try_from(processors.max(2)).unwrap_or(u32::MAX).min(tuning.connections)
}

/// The connection that writes. Of several processes that open a new file at once, one turns its log on, and SQLite
/// refuses the others without waiting: they try again until patience ends.
async fn open_writer(store: &str, options: &SqliteConnectOptions, tuning: Tuning) -> Result<SqlitePool, StoreError> {
    let until = tokio::time::Instant::now() + tuning.patience;
    loop {
        let writer = sqlite_pool(tuning).max_connections(1).connect_with(options.clone()).await;
        match writer.map_err(|error| StoreError::from_driver(store, error)) {
            Err(StoreError::Unavailable { trouble: Trouble::Locked, .. }) if tokio::time::Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            opened => return opened,
        }
    }
}

/// SQLite says "unable to open database file" to everything; the operator deserves better.
async fn look_at_folder(store: &str, path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match tokio::fs::metadata(folder).await {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(StoreError::unavailable(store, Trouble::FolderMissing)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(StoreError::unavailable(store, Trouble::FolderMissing))
        }
        Err(_) => Err(StoreError::unavailable(store, Trouble::CannotOpen)),
    }
}

/// Makes a new file one that nobody else can read: it holds password hashes. SQLite gives its log the same mode.
/// Whatever goes wrong here, SQLite meets again and names.
async fn make_private(path: &Path) {
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    let _ = options.open(path).await;
}

async fn migrate_sqlite(store: &str, pool: &SqlitePool) -> Result<(), StoreError> {
    let driver = |error| StoreError::from_driver(store, error);
    let mut connection = pool.acquire().await.map_err(driver)?;
    if is_current(&SQLITE, sqlx::query_scalar(APPLIED).fetch_all(&mut *connection).await) {
        return Ok(());
    }
    // Two processes may open a new file at once: the lock makes one of them wait, and then find everything done.
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.map_err(driver)?;
    // run_direct, because the future of run() is not Send on a borrowed connection.
    SQLITE.run_direct(None, &mut *tx, false).await.map_err(|error| migration_failed(store, error))?;
    tx.commit().await.map_err(driver)
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

const APPLIED: &str = "SELECT checksum FROM _sqlx_migrations WHERE success ORDER BY version";

fn is_current(migrator: &Migrator, applied: Result<Vec<Vec<u8>>, sqlx::Error>) -> bool {
    applied.is_ok_and(|applied| migrator.iter().map(|migration| &*migration.checksum).eq(applied.iter().map(|c| &**c)))
}

fn migration_failed(store: &str, error: MigrateError) -> StoreError {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Change, NewUser, Plan};

    fn crowd(count: u128) -> Plan {
        let user = |n: u128| {
            let name = format!("user {n} {}", "x".repeat(500));
            NewUser { id: uuid::Uuid::from_u128(n), username: name.clone(), username_key: name, ..NewUser::default() }
        };
        Plan::from((0..count).map(|n| Change::CreateUser(user(n))).collect::<Vec<_>>())
    }

    fn writer(store: &Store) -> &SqlitePool {
        match &store.db.pool {
            Pool::Sqlite { writer, .. } => writer,
            Pool::Postgres(_) => panic!("these tests are about SQLite"),
        }
    }

    /// What a process killed now would leave behind.
    fn crash(folder: &Path) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        for file in ["bindery.db", "bindery.db-wal"] {
            std::fs::copy(folder.join(file), copy.path().join(file)).unwrap();
        }
        copy
    }

    async fn open(folder: &Path) -> Store {
        let url = format!("sqlite:{}", folder.join("bindery.db").display());
        Store::open(&StoreUrl::parse(&url).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn killed_midway_a_plan_leaves_nothing_and_what_was_committed_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        // So small a cache that pages of the open transaction reach the log.
        sqlx::query("PRAGMA cache_size = 1").execute(writer(&store)).await.unwrap();
        store.apply(&crowd(3), chrono::DateTime::UNIX_EPOCH).await.unwrap();

        let before = std::fs::metadata(folder.path().join("bindery.db-wal")).unwrap().len();
        let mut tx = store.db.begin().await.unwrap();
        let insert = "INSERT INTO settings (key, value) VALUES ($1, $2)";
        for n in 0..200 {
            tx.execute(insert, args![format!("key {n}"), [7_u8; 1000].as_slice()]).await.unwrap();
        }
        let after = std::fs::metadata(folder.path().join("bindery.db-wal")).unwrap().len();
        assert!(after > before, "the crash has to be in the middle of the log");
        let copy = crash(folder.path());

        let found = open(copy.path()).await;
        assert_eq!(found.user_count().await.unwrap(), 3);
        assert_eq!(found.setting("key 0").await.unwrap(), None);
        let check: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(writer(&found)).await.unwrap();
        assert_eq!(check, "ok");

        // A caller that goes away midway is the same to those who stay.
        drop(tx);
        store.apply(&crowd(0), chrono::DateTime::UNIX_EPOCH).await.unwrap();
        assert_eq!(store.setting("key 0").await.unwrap(), None);
        store.put_setting("key 0", b"free again").await.unwrap();
    }

    #[tokio::test]
    async fn a_full_disk_is_named_and_keeps_nothing_of_the_plan() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        sqlx::query("PRAGMA max_page_count = 100").execute(writer(&store)).await.unwrap();
        let error = store.apply(&crowd(1000), chrono::DateTime::UNIX_EPOCH).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { trouble: Trouble::Full, .. }), "{error:?}");
        assert_eq!(store.user_count().await.unwrap(), 0);
        store.apply(&crowd(1), chrono::DateTime::UNIX_EPOCH).await.unwrap();
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn nobody_else_can_read_a_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        store.put_setting("key", b"secret").await.unwrap();
        for file in ["bindery.db", "bindery.db-wal", "bindery.db-shm"] {
            let mode = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }

    #[tokio::test]
    async fn the_file_is_opened_as_it_should_be() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let pragma = async |name: &'static str| -> String {
            let sql = sqlx::AssertSqlSafe(format!("SELECT CAST(\"{name}\" AS TEXT) FROM pragma_{name}()"));
            sqlx::query_scalar(sql).fetch_one(writer(&store)).await.unwrap()
        };
        assert_eq!(pragma("journal_mode").await, "wal");
        assert_eq!(pragma("foreign_keys").await, "1");
        assert_eq!(pragma("synchronous").await, "1", "NORMAL");
        let Pool::Sqlite { readers, .. } = &store.db.pool else { panic!("SQLite") };
        assert!(sqlx::query("DELETE FROM users").execute(readers).await.is_err(), "readers never write");
    }
}
