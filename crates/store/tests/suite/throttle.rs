//! Limits that hold however many guess at once.

use std::time::Duration;

use bindery_store::{Attempt, Limit, Store, Throttle, ThrottleKind};

use crate::place::{Place, at, on_both};

on_both!(
    parallel_guesses_do_not_pass_the_limit,
    the_window_slides,
    success_forgives_the_user_and_takes_back_the_address,
    an_outage_counts_for_nothing,
    either_limit_refuses_and_neither_counts,
    hostile_keys_are_keys,
);

const WINDOW: Duration = Duration::from_mins(15);

fn limits(user: &str, address: &str) -> [Limit; 2] {
    [
        Limit { kind: ThrottleKind::User, key: user.to_owned(), limit: 5 },
        Limit { kind: ThrottleKind::Address, key: address.to_owned(), limit: 8 },
    ]
}

async fn attempt(store: &Store, user: &str, seconds: i64) -> Option<Attempt> {
    match store.try_attempt(&limits(user, "192.0.2.7"), WINDOW, at(seconds)).await.unwrap() {
        Throttle::Allowed(attempt) => Some(attempt),
        Throttle::Refused { .. } => None,
    }
}

async fn failures(store: &Store, kind: ThrottleKind, key: &str, seconds: i64) -> usize {
    store.failures(kind, key, WINDOW, at(seconds)).await.unwrap()
}

async fn parallel_guesses_do_not_pass_the_limit(place: Place) {
    let replicas = [place.open().await, place.open().await];
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..40 {
        let store = replicas[n % 2].clone();
        // Different people from one address, and different addresses for one person, in both orders.
        let [user, address] =
            if n % 3 == 0 { limits("bob", "192.0.2.7") } else { limits("ann", &format!("192.0.2.{}", n % 4)) };
        tasks.spawn(async move { store.try_attempt(&[address, user], WINDOW, at(0)).await.unwrap() });
    }
    let allowed = tasks.join_all().await.into_iter().filter(|answer| matches!(answer, Throttle::Allowed(_))).count();
    assert_eq!(allowed, 10, "five for each of two");
    assert_eq!(failures(&replicas[0], ThrottleKind::User, "ann", 1).await, 5);
    assert_eq!(failures(&replicas[1], ThrottleKind::Address, "192.0.2.7", 1).await, 5);
}

async fn the_window_slides(place: Place) {
    let store = place.open().await;
    for seconds in [0, 100, 200, 300, 400] {
        assert!(attempt(&store, "ann", seconds).await.is_some());
    }
    let answer = store.try_attempt(&limits("ann", "192.0.2.7"), WINDOW, at(401)).await.unwrap();
    assert_eq!(
        answer,
        Throttle::Refused { kind: ThrottleKind::User, retry_after: Duration::from_secs(499) },
        "until the first of five leaves the window"
    );
    assert!(attempt(&store, "ann", 899).await.is_none());
    assert!(attempt(&store, "ann", 900).await.is_some());
    assert!(attempt(&store, "ann", 901).await.is_none(), "never six within a window");
    assert_eq!(store.sweep_failures(at(900)).await.unwrap(), 0);
    assert_eq!(store.sweep_failures(at(901)).await.unwrap(), 2);
}

async fn success_forgives_the_user_and_takes_back_the_address(place: Place) {
    let store = place.open().await;
    for _ in 0..3 {
        assert!(attempt(&store, "ann", 0).await.is_some());
    }
    let right = attempt(&store, "ann", 1).await.unwrap();
    store.attempt_succeeded(&right, at(2)).await.unwrap();
    assert_eq!(failures(&store, ThrottleKind::User, "ann", 2).await, 0);
    // Or one account of one's own would wash an address clean.
    assert_eq!(failures(&store, ThrottleKind::Address, "192.0.2.7", 2).await, 3);
}

async fn an_outage_counts_for_nothing(place: Place) {
    let store = place.open().await;
    assert!(attempt(&store, "ann", 0).await.is_some());
    let void = attempt(&store, "ann", 1).await.unwrap();
    store.attempt_void(&void, at(2)).await.unwrap();
    assert_eq!(failures(&store, ThrottleKind::User, "ann", 2).await, 1);
    assert_eq!(failures(&store, ThrottleKind::Address, "192.0.2.7", 2).await, 1);
}

async fn either_limit_refuses_and_neither_counts(place: Place) {
    let store = place.open().await;
    for n in 0..8 {
        assert!(attempt(&store, &format!("user{n}"), 0).await.is_some());
    }
    let answer = store.try_attempt(&limits("ann", "192.0.2.7"), WINDOW, at(1)).await.unwrap();
    assert!(matches!(answer, Throttle::Refused { kind: ThrottleKind::Address, .. }), "{answer:?}");
    assert_eq!(failures(&store, ThrottleKind::User, "ann", 1).await, 0, "a refused attempt locks nobody out");
    store.clear_failures(ThrottleKind::Address, "192.0.2.7").await.unwrap();
    assert!(attempt(&store, "ann", 1).await.is_some());
}

async fn hostile_keys_are_keys(place: Place) {
    let store = place.open().await;
    for key in ["a\0b", "'; DROP TABLE throttle; --", &"x".repeat(100_000), ""] {
        for _ in 0..5 {
            let limit = Limit { kind: ThrottleKind::User, key: key.to_owned(), limit: 5 };
            assert!(matches!(store.try_attempt(&[limit], WINDOW, at(0)).await.unwrap(), Throttle::Allowed(_)));
        }
        assert_eq!(failures(&store, ThrottleKind::User, key, 0).await, 5);
    }
}
