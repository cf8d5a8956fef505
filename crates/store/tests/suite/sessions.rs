//! Sessions: found by hash, gone when they end.

use bindery_store::{Change, Expected, Plan, TokenHash};

use crate::place::{Place, apply, at, id, link, new_session, new_user, on_both};

on_both!(
    a_session_comes_with_its_user_and_links,
    a_session_without_links_is_whole,
    a_session_ends_at_either_limit,
    use_keeps_a_session_alive_but_not_for_ever,
    an_ended_session_is_gone,
    one_session_may_outlive_the_others,
    nobody_begins_a_session_by_what_was_known_before_all_ended,
    the_token_itself_is_nowhere,
    a_token_is_changed_by_one_of_many,
);

fn token(text: &str) -> TokenHash {
    TokenHash::of(text.as_bytes())
}

async fn a_session_comes_with_its_user_and_links(place: Place) {
    let store = place.open().await;
    let links = [link(1, "branch", "b"), link(1, "corp", "a")];
    let mut changes = vec![Change::CreateUser(new_user(1, "ann")), Change::StartSession(new_session(1, "t"))];
    changes.extend(links.iter().cloned().map(Change::Link));
    apply(&store, changes).await;
    let found = store.session(token("t"), at(1)).await.unwrap().unwrap();
    assert_eq!(found.user, store.user(id(1)).await.unwrap().unwrap());
    assert_eq!(found.links, links);
    assert_eq!((found.session.created_at, found.session.idle_expires_at), (at(0), at(100)));
    assert_eq!((found.session.source.as_deref(), found.session.user_agent.as_str()), (Some("corp"), "Firefox"));
    assert_eq!(store.session(token("T"), at(1)).await.unwrap(), None);
}

async fn a_session_without_links_is_whole(place: Place) {
    let store = place.open().await;
    let session = bindery_store::NewSession { source: None, remember: true, ..new_session(1, "t") };
    apply(&store, vec![Change::CreateUser(new_user(1, "ann")), Change::StartSession(session)]).await;
    let found = store.session(token("t"), at(1)).await.unwrap().unwrap();
    assert!(found.links.is_empty() && found.session.remember && found.session.source.is_none());
}

async fn a_session_ends_at_either_limit(place: Place) {
    let store = place.open().await;
    let short = bindery_store::NewSession { idle_expires_at: at(5000), ..new_session(1, "short") };
    apply(
        &store,
        vec![
            Change::CreateUser(new_user(1, "ann")),
            Change::StartSession(new_session(1, "idle")),
            Change::StartSession(short),
        ],
    )
    .await;
    let found = async |name, seconds| store.session(token(name), at(seconds)).await.unwrap().is_some();
    assert!(found("idle", 99).await && !found("idle", 100).await);
    assert!(found("short", 999).await && !found("short", 1000).await);

    assert_eq!(store.sessions_of(id(1), at(100)).await.unwrap().len(), 1);
    assert_eq!(store.sweep_sessions(at(100)).await.unwrap(), 1);
    assert_eq!(store.sweep_sessions(at(1000)).await.unwrap(), 1);
}

async fn use_keeps_a_session_alive_but_not_for_ever(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann")), Change::StartSession(new_session(1, "t"))]).await;
    let touch = async |now, until, stale| store.touch_session(token("t"), at(now), at(until), at(stale)).await.unwrap();
    assert!(!touch(30, 130, -1).await, "used since: not worth a write");
    assert!(touch(90, 190, 60).await);
    assert!(store.session(token("t"), at(150)).await.unwrap().is_some());
    assert!(!touch(190, 290, 190).await, "what has ended is not revived");
    assert!(store.session(token("t"), at(190)).await.unwrap().is_none());
}

async fn an_ended_session_is_gone(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann")), Change::StartSession(new_session(1, "t"))]).await;
    assert!(store.end_session(token("t")).await.unwrap());
    assert!(!store.end_session(token("t")).await.unwrap());
    assert_eq!(store.session(token("t"), at(1)).await.unwrap(), None);
    assert!(!store.touch_session(token("t"), at(1), at(100), at(1)).await.unwrap());
}

async fn one_session_may_outlive_the_others(place: Place) {
    let store = place.open().await;
    let users = [(1, "ann"), (2, "bob")].map(|(n, name)| Change::CreateUser(new_user(n, name)));
    apply(&store, users.into()).await;
    let sessions = [(1, "a"), (1, "b"), (1, "c"), (2, "d")];
    apply(&store, sessions.map(|(user, t)| Change::StartSession(new_session(user, t))).into()).await;
    let end = |except| Plan::from(vec![Change::EndSessions { user: id(1), except }]);
    assert_eq!(store.apply(&end(Some(token("b"))), at(1)).await.unwrap().sessions_ended, 2);
    assert!(store.session(token("b"), at(1)).await.unwrap().is_some());
    assert_eq!(store.apply(&end(None), at(1)).await.unwrap().sessions_ended, 1);
    assert!(store.session(token("d"), at(1)).await.unwrap().is_some(), "another's session is not touched");
}

async fn nobody_begins_a_session_by_what_was_known_before_all_ended(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann")), Change::Link(link(1, "corp", "a"))]).await;
    let begin = |name, version| Plan {
        changes: vec![Change::StartSession(new_session(1, name))],
        expected: vec![Expected { user: id(1), version }],
    };
    let ended = Plan::from(vec![Change::EndSessions { user: id(1), except: None }]);
    for together in [false, true] {
        let known = store.user(id(1)).await.unwrap().unwrap().version;
        if together {
            store.apply_batch(std::slice::from_ref(&ended), at(7)).await.unwrap().remove(0).unwrap();
        } else {
            store.apply(&ended, at(5)).await.unwrap();
        }
        assert!(store.apply(&begin("t", known), at(8)).await.unwrap_err().is_conflict());
        assert_eq!(store.session(token("t"), at(8)).await.unwrap(), None);
    }
    let user = store.user(id(1)).await.unwrap().unwrap();
    assert_eq!(user.updated_at, at(7));
    store.apply(&begin("t", user.version), at(8)).await.unwrap();
}

async fn the_token_itself_is_nowhere(place: Place) {
    let store = place.open().await;
    let secret = "a-secret-that-must-not-be-written-0123456789";
    apply(&store, vec![Change::CreateUser(new_user(1, "ann")), Change::StartSession(new_session(1, secret))]).await;
    let found = store.session(token(secret), at(1)).await.unwrap().unwrap();
    assert!(!format!("{found:?}").contains(secret));
    if let Some(path) = place.text.strip_prefix("sqlite:") {
        store.close().await;
        let bytes = std::fs::read(path).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}

async fn a_token_is_changed_by_one_of_many(place: Place) {
    let store = place.open().await;
    apply(&store, vec![Change::CreateUser(new_user(1, "ann")), Change::StartSession(new_session(1, "t"))]).await;
    let found = async || store.session(token("t"), at(1)).await.unwrap().unwrap().session;
    let (first, second, third) = (token("t whole"), token("second"), token("third"));
    let session = found().await;
    assert_eq!((session.validator, session.previous, session.seen, session.rotated_at), (first, None, true, at(0)));

    assert!(store.rotate_session(token("t"), first, second, at(10)).await.unwrap());
    assert!(!store.rotate_session(token("t"), first, third, at(10)).await.unwrap(), "somebody else was first");
    let session = found().await;
    assert_eq!((session.validator, session.previous, session.seen), (second, Some(first), false));

    assert!(!store.reissue_session(token("t"), first, third, at(20), at(9)).await.unwrap(), "not yet");
    assert!(store.reissue_session(token("t"), first, third, at(20), at(10)).await.unwrap());
    let session = found().await;
    assert_eq!((session.validator, session.previous, session.rotated_at), (third, Some(first), at(20)));
    store.session_seen(token("t"), second).await.unwrap();
    assert!(!found().await.seen);
    store.session_seen(token("t"), third).await.unwrap();
    assert!(found().await.seen);
    assert!(!store.reissue_session(token("t"), first, second, at(90), at(90)).await.unwrap(), "it has arrived");
}
