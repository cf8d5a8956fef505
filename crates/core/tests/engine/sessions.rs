//! Sessions: how long they last, and what ends them.

use crate::world::{Setup, World, attempt};
use bindery_core::Reason;
use bindery_core::engine::{Attempt, Ended, SessionState};
use bindery_core::token::Token;
use bindery_demo_directory::company;
use bindery_store::{AuditFilter, Change, Plan};
use std::time::Duration;

async fn world(sessions: &str) -> World {
    let source = "[sources.larkspur.provisioning]\nrefresh_after = \"never\"\n".to_owned();
    World::new(Setup { top: format!("[sessions]\n{sessions}\n"), source, ..Setup::default() }).await
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used() {
    let world = world("lifetime = \"8h\"\nidle = \"1h\"").await;
    let token = world.enter("ann").await;
    for _ in 0..3 {
        world.clock.advance(Duration::from_mins(59));
        world.current(&token).await;
    }
    world.clock.advance(Duration::from_mins(61));
    tokio::time::timeout(Duration::from_secs(1), closed(&world, &token)).await.expect("within a second");
    assert_eq!(world.ended(&token).await, Ended::NoSession);
}

#[tokio::test]
async fn a_session_ends_however_much_it_is_used() {
    let world = world("lifetime = \"2h\"\nidle = \"1h\"").await;
    let token = world.enter("ann").await;
    for _ in 0..3 {
        world.clock.advance(Duration::from_mins(39));
        world.current(&token).await;
    }
    world.clock.advance(Duration::from_mins(4));
    assert_eq!(world.ended(&token).await, Ended::NoSession);
}

#[tokio::test]
async fn remember_me_lasts_longer_where_it_is_on() {
    let remember = |world: &World| {
        let attempt = Attempt { remember: true, ..attempt("ann", company::PASSWORD) };
        let engine = world.engine.clone();
        async move { engine.sign_in(attempt).await.token.unwrap() }
    };
    let on = world("remember_me = \"14d\"").await;
    let token = remember(&on).await;
    on.clock.advance(Duration::from_hours(13 * 24));
    assert!(on.current(&token).await.remember);
    let off = world("remember_me = \"0s\"").await;
    let token = remember(&off).await;
    assert!(!off.current(&token).await.remember);
    off.clock.advance(Duration::from_hours(9));
    off.ended(&token).await;
}

async fn remembered() -> (World, Token) {
    let world = world("remember_me = \"14d\"").await;
    let attempt = Attempt { remember: true, ..attempt("ann", company::PASSWORD) };
    let token = world.engine.sign_in(attempt).await.token.unwrap();
    (world, token)
}

/// The new token of a session whose turn it is.
async fn renewed(world: &World, token: &Token) -> Token {
    let asked = async {
        loop {
            if let SessionState::Renewed(_, fresh) = world.engine.session(token).await {
                return fresh;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(2), asked).await.expect("a new token")
}

#[tokio::test]
async fn a_remembered_session_changes_its_token_and_an_old_one_that_comes_back_ends_it() {
    let (world, first) = remembered().await;
    world.current(&first).await;
    world.clock.advance(Duration::from_mins(61));
    let second = renewed(&world, &first).await;
    assert_ne!(first.reveal(), second.reveal());
    // Requests that were under way still carry the old one.
    world.current(&first).await;
    world.current(&second).await;
    world.clock.advance(Duration::from_secs(59));
    world.current(&first).await;
    world.clock.advance(Duration::from_mins(2));
    closed(&world, &first).await;
    closed(&world, &second).await;
    let lines = world.engine.store().audit(&AuditFilter::default()).await.unwrap();
    assert!(lines.iter().any(|line| line.event == "session_replayed"));
}

#[tokio::test]
async fn a_new_token_that_never_arrived_is_made_again() {
    let (world, first) = remembered().await;
    world.clock.advance(Duration::from_mins(61));
    let lost = renewed(&world, &first).await;
    world.clock.advance(Duration::from_mins(10));
    let second = renewed(&world, &first).await;
    world.current(&second).await;
    closed(&world, &lost).await;
}

#[tokio::test]
async fn a_session_of_the_browser_keeps_its_token() {
    let world = world("lifetime = \"8h\"\nidle = \"4h\"").await;
    let token = world.enter("ann").await;
    for _ in 0..3 {
        world.clock.advance(Duration::from_hours(2));
        assert!(matches!(world.engine.session(&token).await, SessionState::Active(_)));
    }
}

#[tokio::test]
async fn signing_out_ends_one_session() {
    let world = world("").await;
    let (one, other) = (world.enter("ann").await, world.enter("ann").await);
    assert_ne!(one.hash(), other.hash());
    world.current(&one).await;
    world.engine.sign_out(&one).await.unwrap();
    assert_eq!(world.ended(&one).await, Ended::NoSession);
    world.current(&other).await;
}

#[tokio::test]
async fn deactivating_ends_every_session_and_activating_brings_none_back() {
    let world = world("").await;
    let token = world.enter("ann").await;
    world.current(&token).await;
    let id = world.user("ann").await.unwrap().id;
    world.engine.store().apply(&Plan::deactivate(id), world.engine.now()).await.unwrap();
    // Another process did that: it counts once this one looks again.
    tokio::time::timeout(Duration::from_secs(1), closed(&world, &token)).await.expect("within a second");
    world.engine.store().apply(&Plan::activate(id), world.engine.now()).await.unwrap();
    assert_eq!(world.ended(&token).await, Ended::NoSession);
}

async fn closed(world: &World, token: &Token) {
    while matches!(world.engine.session(token).await, bindery_core::engine::SessionState::Active(_)) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_inactive_user_has_no_session_even_if_a_row_is_left() {
    let world = world("").await;
    let token = world.enter("ann").await;
    let user = world.user("ann").await.unwrap().id;
    let flags = [("is_active".to_owned(), false)].into();
    world.apply(vec![Change::SetFlags { user, flags }]).await;
    tokio::time::timeout(Duration::from_secs(1), closed(&world, &token)).await.expect("within a second");
    assert_eq!(world.ended(&token).await, Ended::NotAllowed(Some(Reason::AccountDisabled)));
}

#[tokio::test]
async fn a_source_that_leaves_the_configuration_takes_its_sessions_along() {
    let world = world("").await;
    let token = world.enter("ann").await;
    world.current(&token).await;
    let other = "[sources.other]\npreset = \"openldap\"\nservers = [\"ldap://127.0.0.1:9\"]\nbase_dn = \"dc=x\"\n\
                 [sources.other.bind]\nmethod = \"anonymous\"\n[store]\nurl = \"sqlite::memory:\"\n";
    world.engine.reload(&crate::world::parse(other));
    assert!(matches!(world.ended(&token).await, Ended::NotAllowed(_)));
    let end = world.login("ann", company::PASSWORD).await;
    crate::world::assert_refused(&end, Reason::NoSuchUser);
}

#[tokio::test]
async fn a_token_that_nobody_gave_out_opens_nothing() {
    let world = world("").await;
    world.enter("ann").await;
    let planted = Token::generate(&bindery_core::SystemEntropy);
    assert_eq!(world.ended(&planted).await, Ended::NoSession);
}
