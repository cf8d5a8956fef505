//! Revocations, told within a process and between replicas.

use std::time::Duration;

use bindery_store::{Change, Flags, Plan, Revoked, Store, TokenHash, Watch};
use bindery_tests::Postgres;

use crate::place::{Place, apply, at, id, new_session, new_user, on_both};

on_both!(what_revokes_is_told_and_nothing_else, a_reader_that_fell_behind_reads_everything_anew);

/// The next revocation, soon.
async fn next(watch: &mut Watch) -> Revoked {
    tokio::time::timeout(Duration::from_secs(10), watch.next()).await.unwrap()
}

/// Waits for one revocation, whatever comes before.
async fn until(watch: &mut Watch, wanted: Revoked) {
    while next(watch).await != wanted {}
}

async fn users(store: &Store, count: u128) {
    let new = |n: u128| Plan::from(vec![Change::CreateUser(new_user(n, &format!("user{n}")))]);
    let plans: Vec<Plan> = (1..=count).map(new).collect();
    for result in store.apply_batch(&plans, at(0)).await.unwrap() {
        result.unwrap();
    }
}

async fn what_revokes_is_told_and_nothing_else(place: Place) {
    let store = place.open().await;
    users(&store, 9).await;
    let mut watch = store.watch();
    if place.text.starts_with("postgres") {
        // So that its own beginning is behind us.
        until(&mut watch, Revoked::All).await;
    }
    let session = |token| Change::StartSession(new_session(1, token));
    apply(&store, vec![session("a"), session("b"), Change::SignedIn { user: id(1) }]).await;
    apply(&store, vec![Change::EndSessions { user: id(5), except: None }]).await;
    store.end_session(TokenHash::of(b"no such")).await.unwrap();

    store.end_session(TokenHash::of(b"a")).await.unwrap();
    assert_eq!(next(&mut watch).await, Revoked::User(id(1)), "not those who only came in, or had no session");
    let end =
        |n| Plan::from(vec![Change::EndSession { token: TokenHash::of(b"b") }, Change::DeleteUser { user: id(n) }]);
    store.apply(&end(2), at(1)).await.unwrap();
    until(&mut watch, Revoked::User(id(2))).await;
    store.apply(&Plan::deactivate(id(3)), at(1)).await.unwrap();
    until(&mut watch, Revoked::User(id(3))).await;
    let flags = Flags::from([("is_staff".to_owned(), true)]);
    let plans: Vec<Plan> =
        (4..=9).map(|n| Plan::from(vec![Change::SetFlags { user: id(n), flags: flags.clone() }])).collect();
    store.apply_batch(&plans, at(1)).await.unwrap();
    until(&mut watch, Revoked::User(id(9))).await;

    // A plan that is refused revokes nobody.
    let late = Plan { expected: vec![bindery_store::Expected { user: id(4), version: 1 }], ..Plan::deactivate(id(4)) };
    assert!(store.apply(&late, at(1)).await.unwrap_err().is_conflict());
    store.apply(&Plan::deactivate(id(6)), at(2)).await.unwrap();
    if place.text.starts_with("postgres") {
        // There everything is told twice: here, and over the server.
        until(&mut watch, Revoked::User(id(6))).await;
    } else {
        assert_eq!(next(&mut watch).await, Revoked::User(id(6)));
    }
}

async fn a_reader_that_fell_behind_reads_everything_anew(place: Place) {
    let store = place.open().await;
    users(&store, 1300).await;
    let mut watch = store.watch();
    let flags = Flags::from([("is_staff".to_owned(), true)]);
    for part in 0..13 {
        let plan = |n| Plan::from(vec![Change::SetFlags { user: id(n), flags: flags.clone() }]);
        let plans: Vec<Plan> = (part * 100 + 1..=part * 100 + 100).map(plan).collect();
        store.apply_batch(&plans, at(1)).await.unwrap();
    }
    assert_eq!(next(&mut watch).await, Revoked::All);
    // More than a payload names.
    let plan = |n| Plan::from(vec![Change::SetFlags { user: id(n), flags: flags.clone() }]);
    let mut watch = store.watch();
    store.apply_batch(&(1..=300).map(plan).collect::<Vec<_>>(), at(1)).await.unwrap();
    until(&mut watch, Revoked::All).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_hears_and_hears_again_after_its_connection_was_lost() {
    let place = Place::postgres();
    let (one, two) = (place.open().await, place.open().await);
    users(&one, 3).await;
    assert!(!two.hears_others());
    let mut watch = two.watch();
    until(&mut watch, Revoked::All).await;
    assert!(two.hears_others() && watch.is_alive() && !one.hears_others());
    one.apply(&Plan::deactivate(id(1)), at(1)).await.unwrap();
    assert_eq!(next(&mut watch).await, Revoked::User(id(1)));

    // The listener's connection is the one that waits after LISTEN.
    let postgres = Postgres::start();
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    assert_eq!(postgres.sql_in(&place.text, kill).trim(), "1");
    assert_eq!(next(&mut watch).await, Revoked::All, "the loss is told");
    one.apply(&Plan::deactivate(id(2)), at(2)).await.unwrap();
    assert_eq!(next(&mut watch).await, Revoked::All, "and so is the return: what came between may be lost");
    assert!(two.hears_others());
    one.apply(&Plan::deactivate(id(3)), at(3)).await.unwrap();
    until(&mut watch, Revoked::User(id(3))).await;

    two.close().await;
    assert!(!two.hears_others());
}
