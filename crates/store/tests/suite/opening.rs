//! Opening, and a database that is not there, not ours, locked, or lost.

use std::time::Duration;

use bindery_store::{Change, Plan, Store, StoreError, StoreUrl, Trouble, Tuning};
use sqlx::{Connection, Executor};

use crate::place::{Place, apply, at, new_user, on_both};

on_both!(
    opening_again_finds_everything,
    opening_together_makes_one_schema,
    a_closed_store_says_so,
    a_newer_schema_is_left_alone
);

async fn opening_again_finds_everything(place: Place) {
    let store = place.open().await;
    store.ping().await.unwrap();
    apply(&store, vec![Change::CreateUser(new_user(1, "ann"))]).await;
    store.close().await;
    assert!(place.open().await.user_by_username("ann").await.unwrap().is_some());
}

async fn opening_together_makes_one_schema(place: Place) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let url = place.url.clone();
        tasks.spawn(async move { Store::open(&url).await });
    }
    for store in tasks.join_all().await {
        store.unwrap().ping().await.unwrap();
    }
}

async fn a_closed_store_says_so(place: Place) {
    let store = place.open().await;
    store.close().await;
    assert_eq!(trouble(store.ping().await.unwrap_err()), Trouble::Closed);
}

async fn a_newer_schema_is_left_alone(place: Place) {
    place.open().await.close().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) \
                 VALUES (9999, 'from the future', CURRENT_TIMESTAMP, TRUE, 'x', 0)";
    if place.url.is_shared() {
        sqlx::PgConnection::connect(&place.text).await.unwrap().execute(newer).await.unwrap();
    } else {
        sqlx::SqliteConnection::connect(&place.text).await.unwrap().execute(newer).await.unwrap();
    }
    let error = Store::open(&place.url).await.unwrap_err();
    assert!(matches!(error, StoreError::Schema { .. }), "{error:?}");
    assert!(error.to_string().contains("9999"), "{error}");
}

fn trouble(error: StoreError) -> Trouble {
    match error {
        StoreError::Unavailable { trouble, .. } => trouble,
        other => panic!("{other:?}"),
    }
}

async fn refused(url: &str) -> StoreError {
    Store::open(&StoreUrl::parse(url).unwrap()).await.unwrap_err()
}

mod sqlite_only {
    use super::*;

    #[tokio::test]
    async fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = refused(&format!("sqlite:{}/no/such.db", folder.path().display())).await;
        assert!(error.to_string().contains("no/such.db is unavailable: its folder does not exist"), "{error}");
        assert_eq!(trouble(error), Trouble::FolderMissing);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn opening_a_new_file_together_never_fails() {
        for _ in 0..15 {
            opening_together_makes_one_schema(Place::sqlite()).await;
        }
    }

    #[tokio::test]
    async fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = refused(&format!("sqlite:{}", folder.path().display())).await;
        assert_eq!(trouble(error), Trouble::CannotOpen);
    }

    #[tokio::test]
    async fn another_file_is_no_database() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bindery.db");
        std::fs::write(&path, "[server]\nlisten = \"127.0.0.1:8080\"\n".repeat(100)).unwrap();
        assert_eq!(trouble(refused(&format!("sqlite:{}", path.display())).await), Trouble::Damaged);
    }

    #[tokio::test]
    async fn a_lock_is_waited_for_and_then_named() {
        let place = Place::sqlite();
        let tuning = Tuning { patience: Duration::from_secs(1), ..Tuning::default() };
        let store = Store::open_with(&place.url, tuning).await.unwrap();
        let mut other = sqlx::SqliteConnection::connect(&place.text).await.unwrap();
        other.execute("BEGIN IMMEDIATE").await.unwrap();

        let plan = Plan::from(vec![Change::CreateUser(new_user(1, "ann"))]);
        assert_eq!(trouble(store.apply(&plan, at(0)).await.unwrap_err()), Trouble::Locked);
        assert_eq!(store.user_by_username("ann").await.unwrap(), None, "readers go on");

        other.execute("COMMIT").await.unwrap();
        store.apply(&plan, at(0)).await.unwrap();
    }
}

mod postgres_only {
    use super::*;

    fn with(text: &str, user: &str, database: Option<&str>) -> String {
        let (server, own) = text.trim_start_matches("postgres://").rsplit_once('/').unwrap();
        let host = server.rsplit('@').next().unwrap();
        format!("postgres://{user}@{host}/{}", database.unwrap_or(own))
    }

    #[tokio::test]
    async fn a_missing_database_is_named() {
        let place = Place::postgres();
        let error = refused(&with(&place.text, "postgres", Some("no_such_database"))).await;
        assert!(error.to_string().contains("no_such_database"), "{error}");
        assert_eq!(trouble(error), Trouble::NoDatabase);
    }

    #[tokio::test]
    async fn an_unknown_user_is_refused_without_the_password() {
        let place = Place::postgres();
        let error = refused(&with(&place.text, "nobody:hunter2", None)).await;
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        assert_eq!(trouble(error), Trouble::Credentials);
    }

    #[tokio::test]
    async fn nobody_at_the_address_is_unreachable() {
        // A port that was free a moment ago, and that nobody listens on.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = refused(&format!("postgres://postgres@127.0.0.1:{port}/bindery")).await;
        assert_eq!(trouble(error), Trouble::Unreachable);
    }

    fn impatient() -> Tuning {
        Tuning { patience: Duration::from_secs(2), statement: Duration::from_secs(3), ..Tuning::default() }
    }

    #[tokio::test]
    async fn a_server_that_accepts_and_says_nothing_is_unreachable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://postgres@{}/bindery", listener.local_addr().unwrap());
        let error = Store::open_with(&StoreUrl::parse(&url).unwrap(), impatient()).await.unwrap_err();
        assert_eq!(trouble(error), Trouble::Unreachable);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_server_that_falls_silent_keeps_nobody_waiting() {
        let place = Place::postgres();
        place.open().await;
        let store = Store::open_with(&place.url, impatient()).await.unwrap();
        let mut other = sqlx::PgConnection::connect(&place.text).await.unwrap();
        other.execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE").await.unwrap();
        assert_eq!(trouble(store.user_by_username("ann").await.unwrap_err()), Trouble::NoAnswer);
        let plan = Plan::from(vec![Change::CreateUser(new_user(1, "ann"))]);
        assert_eq!(trouble(store.apply(&plan, at(0)).await.unwrap_err()), Trouble::NoAnswer);
        other.execute("COMMIT").await.unwrap();
        store.ping().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_connection_lost_midway_keeps_nothing_and_the_next_call_works() {
        let place = Place::postgres();
        let store = place.open().await;
        let mut other = sqlx::PgConnection::connect(&place.text).await.unwrap();
        // The plan waits for this lock after it has made its user.
        other.execute("BEGIN; LOCK TABLE audit").await.unwrap();
        let plan = Plan::from(vec![
            Change::CreateUser(new_user(1, "ann")),
            Change::Record(bindery_store::NewAudit::default()),
        ]);
        let task = tokio::spawn({
            let (store, plan) = (store.clone(), plan.clone());
            async move { store.apply(&plan, at(0)).await }
        });
        let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                    WHERE datname = current_database() AND wait_event_type = 'Lock'";
        // Inside its transaction, `other` would see the same activity for ever.
        let mut watch = sqlx::PgConnection::connect(&place.text).await.unwrap();
        while sqlx::query_scalar::<_, i64>(kill).fetch_one(&mut watch).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(task.await.unwrap().unwrap_err().is_unavailable());
        other.execute("COMMIT").await.unwrap();
        assert_eq!(store.user_by_username("ann").await.unwrap(), None);
        store.apply(&plan, at(0)).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_server_that_comes_back_is_used_again() {
        let cluster = bindery_tests::Postgres::own();
        let url = cluster.database();
        // The cluster is tuned for speed; here it has to keep what it promised.
        cluster.sql_in(
            &url,
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = on', current_database()); END $$",
        );
        let store = Store::open(&StoreUrl::parse(&url).unwrap()).await.unwrap();
        apply(&store, vec![Change::CreateUser(new_user(1, "ann"))]).await;
        cluster.kill();
        assert!(store.ping().await.unwrap_err().is_unavailable());
        assert!(store.user_by_username("ann").await.unwrap_err().is_unavailable());
        cluster.restart();
        assert!(store.user_by_username("ann").await.unwrap().is_some(), "what was committed is whole");
    }
}
