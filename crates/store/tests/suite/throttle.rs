//! Limits that hold however many guess at once.

use std::time::Duration;

use bindery_store::{Change, Limit, NewUser, Plan, Store, Throttle, ThrottleKind};

use crate::place::{Place, at, on_both};

on_both!(
    parallel_guesses_do_not_pass_the_limit,
    the_window_slides,
    a_user_is_forgiven_and_the_address_is_not,
    a_name_and_its_failures_come_together,
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

/// Whether it was counted.
async fn fail(store: &Store, user: &str, seconds: i64) -> bool {
    store.count_failure(&limits(user, "192.0.2.7"), WINDOW, at(seconds)).await.unwrap() == Throttle::Counted
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
        tasks.spawn(async move { store.count_failure(&[address, user], WINDOW, at(0)).await.unwrap() });
    }
    let counted = tasks.join_all().await.into_iter().filter(|answer| matches!(answer, Throttle::Counted)).count();
    assert_eq!(counted, 10, "five for each of two");
    assert_eq!(failures(&replicas[0], ThrottleKind::User, "ann", 1).await, 5);
    assert_eq!(failures(&replicas[1], ThrottleKind::Address, "192.0.2.7", 1).await, 5);
}

async fn the_window_slides(place: Place) {
    let store = place.open().await;
    for seconds in [0, 100, 200, 300, 400] {
        assert!(fail(&store, "ann", seconds).await);
    }
    let answer = store.count_failure(&limits("ann", "192.0.2.7"), WINDOW, at(401)).await.unwrap();
    assert_eq!(
        answer,
        Throttle::Full { kind: ThrottleKind::User, retry_after: Duration::from_secs(499) },
        "until the first of five leaves the window"
    );
    assert!(!fail(&store, "ann", 899).await);
    assert!(fail(&store, "ann", 900).await);
    assert!(!fail(&store, "ann", 901).await, "never six within a window");
    assert_eq!(store.sweep_failures(at(900)).await.unwrap(), 0);
    assert_eq!(store.sweep_failures(at(901)).await.unwrap(), 2);
}

async fn a_user_is_forgiven_and_the_address_is_not(place: Place) {
    let store = place.open().await;
    for _ in 0..3 {
        assert!(fail(&store, "ann", 0).await);
    }
    store.clear_failures(ThrottleKind::User, "ann").await.unwrap();
    assert_eq!(failures(&store, ThrottleKind::User, "ann", 2).await, 0);
    // Or one account of one's own would wash an address clean.
    assert_eq!(failures(&store, ThrottleKind::Address, "192.0.2.7", 2).await, 3);
}

async fn a_name_and_its_failures_come_together(place: Place) {
    let store = place.open().await;
    let user = NewUser { username: "ann".into(), username_key: "ann".into(), ..NewUser::default() };
    store.apply(&Plan::from(vec![Change::CreateUser(user)]), at(0)).await.unwrap();
    assert!(fail(&store, "ann", 0).await && fail(&store, "bob", 0).await);
    // The same text under both kinds, and in any order.
    let ask = [
        Limit { kind: ThrottleKind::Address, key: "ann".to_owned(), limit: 0 },
        Limit { kind: ThrottleKind::Address, key: "192.0.2.7".to_owned(), limit: 0 },
        Limit { kind: ThrottleKind::User, key: "ann".to_owned(), limit: 0 },
    ];
    for (key, found) in [("ann", true), ("bob", false), ("", false), ("a\0b", false)] {
        let (user, counts) = store.user_and_failures(key, &ask, WINDOW, at(1)).await.unwrap();
        assert_eq!((user.is_some(), counts), (found, vec![0, 2, 1]), "{key:?}");
    }
    let (_, later) = store.user_and_failures("ann", &ask, WINDOW, at(901)).await.unwrap();
    assert_eq!(later, [0, 0, 0]);
    let (_, none) = store.user_and_failures("ann", &[], WINDOW, at(1)).await.unwrap();
    assert!(none.is_empty());
}

async fn either_limit_refuses_and_neither_counts(place: Place) {
    let store = place.open().await;
    for n in 0..8 {
        assert!(fail(&store, &format!("user{n}"), 0).await);
    }
    let answer = store.count_failure(&limits("ann", "192.0.2.7"), WINDOW, at(1)).await.unwrap();
    assert!(matches!(answer, Throttle::Full { kind: ThrottleKind::Address, .. }), "{answer:?}");
    assert_eq!(failures(&store, ThrottleKind::User, "ann", 1).await, 0, "a refused attempt locks nobody out");
    store.clear_failures(ThrottleKind::Address, "192.0.2.7").await.unwrap();
    assert!(fail(&store, "ann", 1).await);
}

async fn hostile_keys_are_keys(place: Place) {
    let store = place.open().await;
    for key in ["a\0b", "'; DROP TABLE throttle; --", &"x".repeat(100_000), ""] {
        for _ in 0..5 {
            let limit = Limit { kind: ThrottleKind::User, key: key.to_owned(), limit: 5 };
            assert_eq!(store.count_failure(&[limit], WINDOW, at(0)).await.unwrap(), Throttle::Counted);
        }
        assert_eq!(failures(&store, ThrottleKind::User, key, 0).await, 5);
    }
}
