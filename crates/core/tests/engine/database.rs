//! A database that a test can reach past the store: to spoil what is in it, and to have it refuse.

use bindery_tests::Postgres;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};
use tempfile::TempDir;
use uuid::Uuid;

/// A loaded machine gets this long before a test calls it a failure.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// A fresh database of one kind.
pub(crate) enum Database {
    Sqlite(TempDir),
    Postgres(String),
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(crate) fn postgres() -> Self {
        Self::Postgres(Postgres::start().database())
    }

    /// One of each kind.
    pub(crate) fn all() -> [Self; 2] {
        [Self::sqlite(), Self::postgres()]
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join("bindery.db").display()),
            Self::Postgres(url) => url.clone(),
        }
    }

    /// Runs statements as they stand.
    pub(crate) async fn run(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(_) => {
                let mut connection = SqliteConnection::connect(&self.url()).await.unwrap();
                connection.execute(sqlx::raw_sql(sql)).await.unwrap();
                connection.close().await.unwrap();
            }
            Self::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                connection.execute(sqlx::raw_sql(sql)).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// Has everybody wait who writes to a table, until this connection is closed. PostgreSQL only: SQLite has one writer.
    pub(crate) async fn hold(&self, table: &str) -> PgConnection {
        self.begin(format!("LOCK TABLE {table} IN EXCLUSIVE MODE")).await
    }

    /// Has everybody wait who writes of a user, in the order in which they come.
    pub(crate) async fn hold_user(&self, user: Uuid) -> PgConnection {
        self.begin(format!("SELECT FROM users WHERE id = '{user}' FOR UPDATE")).await
    }

    /// Does something and does not commit it yet.
    pub(crate) async fn begin(&self, sql: String) -> PgConnection {
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        connection.execute(sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {sql}")))).await.unwrap();
        connection
    }

    /// Waits until so many connections wait for what another one holds.
    pub(crate) async fn waiting(&self, hold: &mut PgConnection, many: i64) {
        let sql =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let began = tokio::time::Instant::now();
        while sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut *hold).await.unwrap() < many {
            assert!(began.elapsed() < PATIENCE, "nobody waits");
            // Statistics stay as they were first read within a transaction.
            hold.execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Has a kind of write refused from now on, `when` the row is such a one.
    pub(crate) async fn fail(&self, verb: &str, table: &str, when: &str, fault: Fault) {
        let when = if when.is_empty() { String::new() } else { format!("WHEN ({when})") };
        let row = if verb == "DELETE" { "OLD" } else { "NEW" };
        let sql = match self {
            Self::Sqlite(_) => {
                assert_eq!(fault, Fault::Always, "SQLite has one writer");
                format!("CREATE TRIGGER fault BEFORE {verb} ON {table} {when} BEGIN SELECT RAISE(ABORT, 'fault'); END")
            }
            Self::Postgres(_) => {
                let (code, times) = match fault {
                    Fault::Always => ("53100", i32::MAX),
                    Fault::Conflicts(times) => ("40001", times),
                };
                // What a sequence has counted stays counted when the transaction does not.
                format!(
                    "CREATE SEQUENCE faults; \
                     CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                     IF nextval('faults') <= {times} THEN RAISE EXCEPTION 'fault' USING ERRCODE = '{code}'; END IF; \
                     RETURN {row}; END $$; \
                     CREATE TRIGGER fault BEFORE {verb} ON {table} FOR EACH ROW {when} EXECUTE FUNCTION fault()"
                )
            }
        };
        self.run(&sql).await;
    }

    /// Takes a fault back.
    pub(crate) async fn mend(&self, table: &str) {
        self.run(&match self {
            Self::Sqlite(_) => "DROP TRIGGER fault".to_owned(),
            Self::Postgres(_) => format!("DROP TRIGGER fault ON {table}; DROP FUNCTION fault; DROP SEQUENCE faults"),
        })
        .await;
    }
}

/// How a write is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// For ever: PostgreSQL says that its disk is full, SQLite that a constraint failed.
    Always,
    /// So many times, as by others who write at the same time.
    Conflicts(i32),
}
