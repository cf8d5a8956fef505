//! Opening a file, or a database in memory.

use std::io;
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::{Connections, Lane, Log, OfFile};
use crate::open::{APPLIED, is_current, migration_failed};
use crate::{StoreError, Trouble, Tuning};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

fn options(tuning: Tuning) -> SqliteConnectOptions {
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

pub(crate) async fn open_memory(store: &str, tuning: Tuning) -> Result<Connections, StoreError> {
    // Each connection to memory is a database of its own, so that there can be only one.
    let options = options(tuning).in_memory(true);
    let mut connection = options.connect().await.map_err(|error| StoreError::from_driver(store, error))?;
    migrate(store, &mut connection).await?;
    let lane = Lane::open(connection, options, tuning.patience);
    Ok(Connections::new(lane.clone(), lane, None))
}

pub(crate) async fn open_file(store: &str, path: &Path, tuning: Tuning) -> Result<Connections, StoreError> {
    look_at_folder(store, path).await?;
    make_private(path).await;
    let writing = options(tuning).filename(path);
    let mut connection = connect(store, &writing, tuning).await?;
    migrate(store, &mut connection).await?;
    // Not read_only(true): the last connection to close must be able to fold the log back into the file.
    let reading = writing.clone().create_if_missing(false).pragma("query_only", "ON");
    let long = SqlitePoolOptions::new()
        .acquire_timeout(tuning.patience)
        .idle_timeout(None)
        .max_lifetime(None)
        // There is no network that could have lost the connection.
        .test_before_acquire(false)
        .max_connections(long_readers(tuning))
        .connect_lazy_with(reading.clone());
    let reader = || Lane::lazy(reading.clone(), tuning.patience);
    let file = OfFile { long, log: Log::new(reader()) };
    Ok(Connections::new(Lane::open(connection, writing, tuning.patience), reader(), Some(file)))
}

/// Each keeps some megabytes of pages, and more than there are processors would only wait for each other.
fn long_readers(tuning: Tuning) -> u32 {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    u32::try_from(processors.max(2)).unwrap_or(u32::MAX).min(tuning.connections)
}

/// The connection that writes. Of several processes that open a new file at once, one turns its log on, and SQLite
/// refuses the others without waiting: they try again until patience ends.
async fn connect(store: &str, options: &SqliteConnectOptions, tuning: Tuning) -> Result<SqliteConnection, StoreError> {
    let until = tokio::time::Instant::now() + tuning.patience;
    loop {
        match options.connect().await.map_err(|error| StoreError::from_driver(store, error)) {
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

async fn migrate(store: &str, connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let driver = |error| StoreError::from_driver(store, error);
    if is_current(&MIGRATIONS, sqlx::query_scalar(APPLIED).fetch_all(&mut *connection).await) {
        return Ok(());
    }
    // Two processes may open a new file at once: the lock makes one of them wait, and then find everything done.
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.map_err(driver)?;
    // run_direct, because the future of run() is not Send on a borrowed connection.
    MIGRATIONS.run_direct(None, &mut *tx, false).await.map_err(|error| migration_failed(store, error))?;
    tx.commit().await.map_err(driver)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{Pool, args};
    use crate::how_many::HowMany;
    use crate::statement::Statement;
    use crate::{Change, NewUser, Plan, Store, StoreUrl};

    fn crowd(count: u128) -> Plan {
        let user = |n: u128| {
            let name = format!("user {n} {}", "x".repeat(500));
            NewUser { id: uuid::Uuid::from_u128(n), username: name.clone(), username_key: name, ..NewUser::default() }
        };
        Plan::from((0..count).map(|n| Change::CreateUser(user(n))).collect::<Vec<_>>())
    }

    fn connections(store: &Store) -> &Connections {
        match &store.db.pool {
            Pool::Sqlite(connections) => connections,
            Pool::Postgres(_) => panic!("these tests are about SQLite"),
        }
    }

    /// What the writer's connection answers.
    async fn told(store: &Store, sql: String) -> String {
        let mut turn = connections(store).writer.turn().await.unwrap();
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(turn.connection().unwrap()).await.unwrap()
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
        store.db.execute("PRAGMA cache_size = 1", args![]).await.unwrap();
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
        assert_eq!(told(&found, "PRAGMA integrity_check".to_owned()).await, "ok");

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
        store.db.execute("PRAGMA max_page_count = 100", args![]).await.unwrap();
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
        let pragma =
            async |name: &str| told(&store, format!("SELECT CAST(\"{name}\" AS TEXT) FROM pragma_{name}()")).await;
        assert_eq!(pragma("journal_mode").await, "wal");
        assert_eq!(pragma("foreign_keys").await, "1");
        assert_eq!(pragma("synchronous").await, "1", "NORMAL");
        for how_many in [HowMany::Few, HowMany::Many] {
            let statement = Statement::new("DELETE FROM users", args![]);
            let written = connections(&store).rows_of_all(vec![statement], how_many).await;
            assert!(written.is_err(), "readers never write");
        }
    }
}
