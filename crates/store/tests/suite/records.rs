//! Audit, API tokens, leases, settings, positions.

use std::time::Duration;

use bindery_store::{ApiToken, AuditFilter, NewAudit, TokenHash};
use serde_json::json;

use crate::place::{Place, at, id, on_both};

on_both!(
    the_audit_is_read_newest_first_in_pages,
    a_token_works_until_it_is_revoked_or_ends,
    a_lease_has_one_holder,
    racing_for_a_lease_has_one_winner,
    replicas_agree_on_a_secret,
    a_position_is_kept,
);

async fn the_audit_is_read_newest_first_in_pages(place: Place) {
    let store = place.open().await;
    for n in 0..5_u8 {
        let entry = NewAudit {
            id: id(n.into()),
            event: if n == 3 { "sign_out" } else { "sign_in" }.to_owned(),
            username: format!("user{n}"),
            user_id: (n % 2 == 0).then(|| id(100)),
            ..NewAudit::default()
        };
        // Two of them at the same moment.
        store.record(&entry, at(i64::from(n / 2))).await.unwrap();
    }
    let list = async |filter| -> Vec<String> {
        store.audit(&filter).await.unwrap().into_iter().map(|entry| entry.username).collect()
    };
    let page = AuditFilter { limit: 2, ..AuditFilter::default() };
    assert_eq!(list(page.clone()).await, ["user4", "user3"]);
    assert_eq!(list(AuditFilter { before: Some((at(1), id(3))), ..page }).await, ["user2", "user1"]);
    let of_user = AuditFilter { user_id: Some(id(100)), ..AuditFilter::default() };
    assert_eq!(list(of_user).await, ["user4", "user2", "user0"]);
    let of_event = AuditFilter { event: Some("sign_out".into()), ..AuditFilter::default() };
    assert_eq!(list(of_event).await, ["user3"]);
    assert_eq!(store.sweep_audit(at(1)).await.unwrap(), 2);
}

async fn a_token_works_until_it_is_revoked_or_ends(place: Place) {
    let store = place.open().await;
    let token = |n: u128, expires_at| ApiToken {
        id: id(n),
        name: format!("ci {n}"),
        hash: TokenHash::of(&[u8::try_from(n).unwrap()]),
        scopes: vec!["users:read".into()],
        created_at: at(0),
        expires_at,
        last_used: None,
        revoked_at: None,
    };
    let (ever, brief) = (token(1, None), token(2, Some(at(10))));
    store.create_token(&ever).await.unwrap();
    store.create_token(&brief).await.unwrap();
    assert!(store.create_token(&ApiToken { id: id(3), ..ever.clone() }).await.unwrap_err().is_conflict());
    assert_eq!(store.token(brief.hash, at(9)).await.unwrap(), Some(brief.clone()));
    assert_eq!(store.token(brief.hash, at(10)).await.unwrap(), None);
    assert!(store.revoke_token(id(1), at(5)).await.unwrap() && !store.revoke_token(id(1), at(6)).await.unwrap());
    assert_eq!(store.token(ever.hash, at(6)).await.unwrap(), None);
    store.touch_token(id(2), at(7), at(6)).await.unwrap();
    store.touch_token(id(2), at(8), at(6)).await.unwrap();
    let listed = store.tokens().await.unwrap();
    assert_eq!((listed[0].revoked_at, listed[1].last_used), (Some(at(5)), Some(at(7))));
}

async fn a_lease_has_one_holder(place: Place) {
    let store = place.open().await;
    let acquire =
        async |holder, now| store.acquire_lease("sync:corp", holder, at(now), Duration::from_secs(30)).await.unwrap();
    assert!(acquire("one", 0).await);
    assert!(!acquire("two", 29).await);
    assert!(acquire("one", 29).await, "renewed");
    assert_eq!(store.lease("sync:corp", at(58)).await.unwrap().unwrap().holder, "one");
    assert!(store.lease("sync:corp", at(59)).await.unwrap().is_none());
    assert!(acquire("two", 59).await, "the lease of a dead one ends");
    assert!(!store.release_lease("sync:corp", "one").await.unwrap(), "it is not theirs any more");
    assert!(!acquire("one", 60).await);
    assert!(store.release_lease("sync:corp", "two").await.unwrap());
    assert!(acquire("one", 60).await);
}

async fn racing_for_a_lease_has_one_winner(place: Place) {
    let replicas = [place.open().await, place.open().await];
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..10 {
        let store = replicas[n % 2].clone();
        let holder = format!("holder {n}");
        tasks.spawn(async move { store.acquire_lease("live", &holder, at(0), Duration::from_secs(30)).await.unwrap() });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|won| *won).count(), 1);
}

async fn replicas_agree_on_a_secret(place: Place) {
    let replicas = [place.open().await, place.open().await];
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..10_u8 {
        let store = replicas[usize::from(n % 2)].clone();
        tasks.spawn(async move { store.setting_or_insert("install_id", &[n]).await.unwrap() });
    }
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    replicas[0].put_setting("install_id", b"").await.unwrap();
    assert_eq!(replicas[1].setting("install_id").await.unwrap(), Some(Vec::new()));
    assert_eq!(replicas[1].setting("other").await.unwrap(), None);
}

async fn a_position_is_kept(place: Place) {
    let store = place.open().await;
    assert_eq!(store.position("corp", "users").await.unwrap(), None);
    for n in 1..3 {
        store.put_position("corp", "users", json!({"cookie": "rid=000", "n": n}), at(n)).await.unwrap();
    }
    assert_eq!(store.position("corp", "users").await.unwrap(), Some(json!({"cookie": "rid=000", "n": 2})));
    assert_eq!(store.position("corp", "groups").await.unwrap(), None);
}
