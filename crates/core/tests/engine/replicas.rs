//! Several replicas over one PostgreSQL: what one of them changes, the others refuse at once.

use crate::world::parse;
use bindery_core::engine::{Actor, Administered, Deed, SessionState};
use bindery_core::token::Token;
use bindery_core::{Engine, SystemClock, SystemEntropy};
use bindery_store::{Change, NewSession, NewUser, Plan, Store};
use bindery_tests::Postgres;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

async fn replica(url: &str) -> Engine {
    let config = parse(&format!("[store]\nurl = \"{url}\"\n"));
    let store = Store::open(&config.store).await.unwrap();
    Engine::new(store, &config, Arc::new(SystemClock), Arc::new(SystemEntropy), Vec::new())
}

/// Somebody with a session.
async fn enter(engine: &Engine, n: u128) -> Token {
    let token = Token::generate(engine.entropy());
    let name = format!("user{n}");
    let user = Uuid::from_u128(n);
    let session = NewSession {
        token: token.selector(),
        validator: token.hash(),
        user_id: user,
        source: None,
        expires_at: engine.now() + chrono::Duration::hours(1),
        idle_expires_at: engine.now() + chrono::Duration::hours(1),
        remember: false,
        user_agent: String::new(),
        address: String::new(),
    };
    let new = NewUser { id: user, username: name.clone(), username_key: name, ..NewUser::default() };
    let plan = Plan::from(vec![Change::CreateUser(new), Change::StartSession(session)]);
    engine.store().apply(&plan, engine.now()).await.unwrap();
    token
}

async fn is_active(engine: &Engine, token: &Token) -> bool {
    matches!(engine.session(token).await, SessionState::Active(_))
}

/// How long it takes until the session opens nothing.
async fn refused(engine: &Engine, token: &Token) -> Duration {
    let begun = Instant::now();
    while is_active(engine, token).await {
        assert!(begun.elapsed() < Duration::from_secs(1), "a session outlived its person by a second");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    begun.elapsed()
}

/// Makes a replica listen to the others.
async fn listening(engine: &Engine, token: &Token) {
    let begun = Instant::now();
    while !(is_active(engine, token).await && engine.store().hears_others()) {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not listen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_deactivated_on_one_replica_is_refused_on_the_other_at_once() {
    let url = Postgres::start().database();
    let (one, two) = (replica(&url).await, replica(&url).await);
    let mut fastest = Duration::MAX;
    for n in 1..=5 {
        let token = enter(&one, n).await;
        listening(&two, &token).await;
        let done = one.administer(Deed::Deactivate, Uuid::from_u128(n), Actor::CommandLine).await;
        assert_eq!(done, Administered::Done);
        fastest = fastest.min(refused(&two, &token).await);
    }
    // What was just read would have counted for half a second.
    assert!(fastest < Duration::from_millis(300), "nobody was told: {fastest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_nobody_was_told_of_counts_within_a_second() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let engine = replica(&url).await;
    let token = enter(&engine, 1).await;
    listening(&engine, &token).await;
    postgres.sql_in(&url, "UPDATE users SET flags = '{\"is_active\": false}'");
    refused(&engine, &token).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_lost_its_connection_refuses_within_a_second() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let (one, two) = (replica(&url).await, replica(&url).await);
    let token = enter(&one, 1).await;
    listening(&two, &token).await;
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    assert_eq!(postgres.sql_in(&url, kill).trim(), "1");
    one.store().apply(&Plan::deactivate(Uuid::from_u128(1)), one.now()).await.unwrap();
    refused(&two, &token).await;
}

/// Whether somebody may is still so when it is carried out: of two who shut each other out at the same time, one stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_shut_each_other_out_leave_one() {
    let url = Postgres::start().database();
    let (one, two) = (replica(&url).await, replica(&url).await);
    for round in 0..10 {
        let ids = [Uuid::from_u128(2 * round + 1), Uuid::from_u128(2 * round + 2)];
        let admin = |id: Uuid| {
            let mut new = NewUser { id, username: id.to_string(), username_key: id.to_string(), ..NewUser::default() };
            new.flags.insert("is_superuser".to_owned(), true);
            Change::CreateUser(new)
        };
        one.store().apply(&Plan::from(ids.map(admin).to_vec()), one.now()).await.unwrap();
        let person = |id| Actor::Person { id, address: None };
        let (first, second) = tokio::join!(
            one.administer(Deed::Deactivate, ids[1], person(ids[0])),
            two.administer(Deed::Deactivate, ids[0], person(ids[1])),
        );
        let done = [&first, &second].iter().filter(|ended| ***ended == Administered::Done).count();
        assert_eq!(done, 1, "{first:?} {second:?}");
        let mut active = 0;
        for id in ids {
            active += usize::from(one.store().user(id).await.unwrap().unwrap().is_active());
        }
        assert_eq!(active, 1, "{first:?} {second:?}");
    }
}
