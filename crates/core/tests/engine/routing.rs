//! Whom a typed name means, and to whom a password goes.

use crate::world::{
    Setup, World, assert_refused, assert_signed_in, assert_unavailable, attempt, company_directory, edit, engine,
    set_password, source_toml,
};
use bindery_core::Reason;
use bindery_core::engine::{Attempt, SignIn, Via};
use bindery_core::{Engine, reconcile::username_key};
use bindery_demo_directory::{DemoDirectory, company};
use bindery_store::Change;

const PASSWORD: &str = company::PASSWORD;

async fn login(engine: &Engine, username: &str, password: &str) -> SignIn {
    engine.sign_in(Attempt { via: Via::CommandLine, ..attempt(username, password) }).await
}

#[tokio::test]
async fn every_spelling_is_one_person() {
    let world = World::usual().await;
    let mut ids = Vec::new();
    for typed in ["ann", " Ann ", "LARKSPUR\\ann", "larkspur\\ANN", "ann@larkspur.local", "ANN@LARKSPUR.LOCAL"] {
        let end = world.login(typed, PASSWORD).await;
        assert_signed_in(&end);
        ids.push(end.user.unwrap().id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn domains_that_are_not_configured() {
    let world = World::usual().await;
    assert_refused(&world.login("OTHER\\ann", PASSWORD).await, Reason::UnknownDomain);
    assert_refused(&world.login("\\ann", PASSWORD).await, Reason::UnknownDomain);
    assert_refused(&world.login("ann@other.local", PASSWORD).await, Reason::NoSuchUser);
}

#[tokio::test]
async fn a_look_alike_is_nobody() {
    let world = World::usual().await;
    world.enter("ann").await;
    assert_refused(&world.login("\u{430}nn", PASSWORD).await, Reason::NoSuchUser);
    assert_eq!(world.engine.store().user_count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_local_password_is_offered_to_no_directory() {
    let mut world = World::usual().await;
    world.local("ann", Some("of ann here")).await;
    assert_refused(&world.login("ann", PASSWORD).await, Reason::BadCredentials);
    assert_refused(&world.login("LARKSPUR\\ann", "of ann here").await, Reason::BadCredentials);
    assert_refused(&world.login("LARKSPUR\\ann", PASSWORD).await, Reason::AccountConflict);
    world.outage().await;
    assert_signed_in(&world.login("ann", "of ann here").await);
}

#[tokio::test]
async fn local_accounts_can_be_switched_off() {
    let mut setup = Setup::default();
    let world = World::usual().await;
    world.local("root", Some("correct horse")).await;
    let token = world.sign_in("root", "correct horse").await.token.unwrap();
    world.current(&token).await;
    setup.top = "[sign_in]\nlocal_users = false\n".to_owned();
    world.reload(&setup);
    world.ended(&token).await;
    assert_refused(&world.login("root", "correct horse").await, Reason::NoSuchUser);
}

#[tokio::test]
async fn a_local_password_of_a_linked_user_works_only_while_the_directory_is_down() {
    let mut world = World::usual().await;
    world.enter("ann").await;
    let user = world.user("ann").await.unwrap().id;
    let hash = Some(world.hash("break glass").await);
    world.apply(vec![Change::SetPassword { user, hash }]).await;
    assert_refused(&world.login("ann", "break glass").await, Reason::BadCredentials);
    world.outage().await;
    assert_signed_in(&world.login("ann", "break glass").await);
    assert_refused(&world.login("ann", PASSWORD).await, Reason::BadCredentials);
    world.recover();
    assert_refused(&world.login("ann", "break glass").await, Reason::BadCredentials);
    assert_signed_in(&world.login("ann", PASSWORD).await);
}

/// Two directories of the same people; in the second one Ann has another password.
async fn two(domains: bool) -> (DemoDirectory, DemoDirectory, Engine) {
    let (one, two) = (company_directory(), company_directory());
    set_password(&two, "ann", "other").await;
    let keys = |name: &str| if domains { format!("domain = \"{name}\"") } else { String::new() };
    let text = source_toml("one", &one.url(), &keys("ONE")) + source_toml("two", &two.url(), &keys("TWO")).as_str();
    let (engine, _) = engine(&text, Vec::new()).await;
    (one, two, engine)
}

#[tokio::test]
async fn a_wrong_password_is_never_offered_to_a_second_directory() {
    let (_one, _two, engine) = two(false).await;
    let end = login(&engine, "ann", "other").await;
    assert_refused(&end, Reason::BadCredentials);
    assert_eq!(end.source.as_deref(), Some("one"));
    assert_signed_in(&login(&engine, "ann", PASSWORD).await);
}

#[tokio::test]
async fn while_an_earlier_source_is_down_nobody_can_tell() {
    let (one, _two, engine) = two(true).await;
    // Known in the second one first.
    assert_signed_in(&login(&engine, "TWO\\leo", PASSWORD).await);
    one.shutdown().await;
    assert_unavailable(&login(&engine, "ann", "other").await);
    assert_unavailable(&login(&engine, "nobody", "x").await);
    // Who is linked goes to their own source only.
    assert_signed_in(&login(&engine, "leo", PASSWORD).await);
    assert_signed_in(&login(&engine, "TWO\\ann", "other").await);
}

#[tokio::test]
async fn two_people_of_one_name_are_two() {
    let (_one, _two, engine) = two(true).await;
    assert_signed_in(&login(&engine, "ONE\\ann", PASSWORD).await);
    let held = engine.store().user_state_by_username(&username_key("ann")).await.unwrap().unwrap();
    assert_refused(&login(&engine, "TWO\\ann", "other").await, Reason::AccountConflict);
    let after = engine.store().user_state_by_username(&username_key("ann")).await.unwrap().unwrap();
    assert_eq!(held.links.len(), 1);
    assert_eq!((after.user.id, after.links.len()), (held.user.id, 1));
    assert_eq!(after.links[0].source, "one");
}

#[tokio::test]
async fn a_name_that_is_not_there_goes_on_to_the_next_source() {
    let (one, _two, engine) = two(false).await;
    edit(&one, "dn: uid=leo,ou=people,dc=larkspur,dc=example\nchangetype: delete\n").await;
    let end = login(&engine, "leo", PASSWORD).await;
    assert_signed_in(&end);
    assert_eq!(end.source.as_deref(), Some("two"));
}

#[tokio::test]
async fn a_namesake_elsewhere_does_not_forgive_wrong_guesses() {
    let (_one, _two, engine) = two(true).await;
    let guess = |name: &'static str, password: &'static str| engine.sign_in(attempt(name, password));
    for _ in 0..5 {
        assert_refused(&guess("ONE\\ann", "wrong").await, Reason::BadCredentials);
        // The right password of the other Ann; her name is hers alone in no store, but that is no guess.
        guess("TWO\\ann", "other").await;
    }
    assert_refused(&guess("ONE\\ann", PASSWORD).await, Reason::Throttled);
}
