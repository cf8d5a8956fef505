//! While every server is down.

use crate::world::{World, assert_refused, assert_signed_in, assert_unavailable};
use bindery_core::Reason;
use bindery_demo_directory::company;
use bindery_store::Change;
use bindery_store::Plan;
use std::time::Duration;

const PASSWORD: &str = company::PASSWORD;
const OFFLINE: &str = "[sources.larkspur.passwords]\noffline = \"7d\"\n";

#[tokio::test]
async fn off_means_that_nothing_is_kept() {
    let mut world = World::usual().await;
    world.enter("ann").await;
    let id = world.user("ann").await.unwrap().id;
    assert!(world.engine.store().verifier(id, "larkspur").await.unwrap().is_none());
    world.outage().await;
    assert_unavailable(&world.login("ann", PASSWORD).await);
}

#[tokio::test]
async fn a_verifier_vouches_while_every_server_is_down() {
    let mut world = World::with(OFFLINE).await;
    world.enter("ann").await;
    world.outage().await;
    let end = world.sign_in("LARKSPUR\\ann", PASSWORD).await;
    assert_signed_in(&end);
    assert_eq!(end.source.as_deref(), Some("larkspur"));
    world.current(&end.token.unwrap()).await;
    assert_signed_in(&world.login("ann@larkspur.local", PASSWORD).await);
    assert_refused(&world.login("ann", "wrong").await, Reason::BadCredentials);
    assert_unavailable(&world.login("leo", PASSWORD).await);
    assert_unavailable(&world.login("nobody", PASSWORD).await);
}

#[tokio::test]
async fn a_verifier_does_not_outlive_the_account() {
    let mut world = World::with(OFFLINE).await;
    world.set("ann", "krbPrincipalExpiration", "20270115083000Z").await;
    world.enter("ann").await;
    world.outage().await;
    world.clock.advance(Duration::from_mins(29));
    assert_signed_in(&world.login("ann", PASSWORD).await);
    world.clock.advance(Duration::from_mins(1));
    assert_refused(&world.login("ann", PASSWORD).await, Reason::AccountExpired);
}

#[tokio::test]
async fn a_verifier_is_not_asked_while_the_directory_is_there() {
    let world = World::with(OFFLINE).await;
    world.enter("ann").await;
    world.set_password("ann", "changed").await;
    assert_refused(&world.login("ann", PASSWORD).await, Reason::BadCredentials);
    assert_signed_in(&world.login("ann", "changed").await);
}

#[tokio::test]
async fn the_newest_password_is_the_one_that_is_kept() {
    let mut world = World::with(OFFLINE).await;
    world.enter("ann").await;
    world.set_password("ann", "changed").await;
    assert_signed_in(&world.login("ann", "changed").await);
    world.outage().await;
    assert_refused(&world.login("ann", PASSWORD).await, Reason::BadCredentials);
    assert_signed_in(&world.login("ann", "changed").await);
}

#[tokio::test]
async fn a_voucher_that_cannot_be_checked_says_neither_yes_nor_no() {
    let mut world = World::with(OFFLINE).await;
    world.enter("ann").await;
    let user = world.user("ann").await.unwrap().id;
    let hash = Some(bindery_store::PasswordHash::new("damaged".to_owned()));
    world.apply(vec![Change::SetPassword { user, hash }]).await;
    world.outage().await;
    assert_signed_in(&world.login("ann", PASSWORD).await);
    assert_unavailable(&world.login("ann", "wrong").await);
}

#[tokio::test]
async fn a_verifier_grows_too_old() {
    let mut world = World::with(OFFLINE).await;
    world.enter("ann").await;
    world.outage().await;
    world.clock.advance(Duration::from_hours(7 * 24));
    assert_signed_in(&world.login("ann", PASSWORD).await);
    world.clock.advance(Duration::from_secs(1));
    assert_unavailable(&world.login("ann", PASSWORD).await);
}

#[tokio::test]
async fn somebody_deactivated_stays_out() {
    let mut world = World::with(OFFLINE).await;
    world.enter("ann").await;
    let id = world.user("ann").await.unwrap().id;
    world.engine.store().apply(&Plan::deactivate(id), world.engine.now()).await.unwrap();
    world.outage().await;
    assert_refused(&world.login("ann", PASSWORD).await, Reason::AccountDisabled);
    assert_refused(&world.login("ann", "wrong").await, Reason::BadCredentials);
}

#[tokio::test]
async fn who_was_refused_last_does_not_come_in_by_an_outage() {
    let access = "[sources.larkspur.access]\nrequire = \"author-relations\"\n";
    let mut world = World::with(&format!("{OFFLINE}{access}")).await;
    world.enter("leo").await;
    world.leave("leo", "author-relations").await;
    assert_refused(&world.login("leo", PASSWORD).await, Reason::NotInRequiredGroup);
    world.outage().await;
    assert_unavailable(&world.login("leo", PASSWORD).await);
}

#[tokio::test]
async fn who_was_disabled_does_not_come_in_by_an_outage() {
    let mut world = World::with(OFFLINE).await;
    let token = world.enter("ann").await;
    world.set("ann", "nsAccountLock", "TRUE").await;
    assert_refused(&world.login("ann", PASSWORD).await, Reason::AccountDisabled);
    world.ended(&token).await;
    world.outage().await;
    assert_unavailable(&world.login("ann", PASSWORD).await);
}

#[tokio::test]
async fn somebody_gone_leaves_no_verifier() {
    let refresh = "[sources.larkspur.provisioning]\nrefresh_after = \"0s\"\n";
    let mut world = World::with(&format!("{OFFLINE}{refresh}")).await;
    let token = world.enter("leo").await;
    world.edit("dn: uid=leo,ou=people,dc=larkspur,dc=example\nchangetype: delete\n").await;
    world.ended(&token).await;
    world.outage().await;
    assert_unavailable(&world.login("leo", PASSWORD).await);
}

#[tokio::test]
async fn a_local_password_does_not_outvote_the_directory_that_disabled_somebody() {
    let mut world = World::usual().await;
    world.enter("ann").await;
    let user = world.user("ann").await.unwrap().id;
    let hash = Some(world.hash("break glass").await);
    world.apply(vec![Change::SetPassword { user, hash }]).await;
    world.set("ann", "nsAccountLock", "TRUE").await;
    assert_refused(&world.login("ann", PASSWORD).await, Reason::AccountDisabled);
    world.outage().await;
    assert_refused(&world.login("ann", "break glass").await, Reason::AccountDisabled);
    world.recover();
    world.set("ann", "nsAccountLock", "FALSE").await;
    assert_signed_in(&world.login("ann", PASSWORD).await);
}
