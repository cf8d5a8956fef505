//! Refresh: what a request finds out about somebody who signed in before.

use crate::world::{Setup, StoppedClock, World, assert_signed_in};
use bindery_core::engine::{Ended, SessionState};
use bindery_core::events::{EventHandler, Populate, Veto};
use bindery_core::sync::SyncRequest;
use bindery_core::token::Token;
use bindery_core::{Clock, Reason};
use bindery_demo_directory::company;
use bindery_store::{Change, Link};
use futures::future::BoxFuture;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const EACH: &str = "[sources.larkspur.provisioning]\nrefresh_after = \"0s\"\n";

fn each(more: &str) -> String {
    format!("{EACH}{more}")
}

#[tokio::test]
async fn each_request_sees_what_the_directory_says_now() {
    let world = World::with(&each("[sources.larkspur.groups]\nmirror = true\n")).await;
    let token = world.enter("leo").await;
    assert!(world.current(&token).await.user.in_group("author-relations"));
    world.leave("leo", "author-relations").await;
    world.set("leo", "title", "Poet").await;
    world.set("leo", "mail", "leo@poets.example").await;
    let current = world.current(&token).await;
    assert!(!current.user.in_group("author-relations"));
    assert_eq!(current.user.email, "leo@poets.example");
}

async fn ends(world: &World, token: &Token, reason: Reason) {
    assert_eq!(world.ended(token).await, Ended::NotAllowed(Some(reason)));
    assert_eq!(world.ended(token).await, Ended::NoSession, "the session is gone, not only closed");
}

#[tokio::test]
async fn somebody_disabled_is_refused_at_the_next_request() {
    let world = World::with(EACH).await;
    let token = world.enter("ann").await;
    world.current(&token).await;
    world.set("ann", "nsAccountLock", "TRUE").await;
    ends(&world, &token, Reason::AccountDisabled).await;
}

#[tokio::test]
async fn a_lock_of_an_administrator_ends_sessions() {
    let world = World::with(EACH).await;
    let token = world.enter("ann").await;
    world.set("ann", "pwdAccountLockedTime", "000001010000Z").await;
    ends(&world, &token, Reason::AccountLocked).await;
}

#[tokio::test]
async fn an_account_past_its_end_ends_sessions() {
    let world = World::with(EACH).await;
    let token = world.enter("ann").await;
    world.set("ann", "shadowExpire", "19000").await;
    ends(&world, &token, Reason::AccountExpired).await;
}

/// 2027-01-15, half past seven and half past eight, as Active Directory writes it.
const HALF_PAST_SEVEN: &str = "134444718000000000";
const HALF_PAST_EIGHT: &str = "134444754000000000";

/// Whoever came in with the old password is out, once: by a refresh, a sign-in or a run.
#[tokio::test]
async fn a_password_that_was_changed_ends_sessions_once() {
    for way in ["refresh", "sign-in", "sync"] {
        let world = World::with(if way == "refresh" { EACH } else { NEVER }).await;
        let again = async || match way {
            "refresh" => {}
            "sign-in" => drop(world.enter("ann").await),
            _ => drop(world.engine.sync(&world.engine.source("larkspur").unwrap(), SyncRequest::default()).await),
        };
        world.set("ann", "pwdLastSet", HALF_PAST_SEVEN).await;
        let token = world.enter("ann").await;
        again().await;
        world.current(&token).await;
        // To be changed at the next sign-in, and not changed yet.
        if way != "sign-in" {
            world.set("ann", "pwdLastSet", "0").await;
            again().await;
            world.current(&token).await;
        }
        world.set("ann", "pwdLastSet", HALF_PAST_EIGHT).await;
        again().await;
        assert_eq!(world.ended(&token).await, Ended::NoSession, "{way}");
        let token = world.enter("ann").await;
        again().await;
        world.current(&token).await;
    }
}

const NEVER: &str = "[sources.larkspur.provisioning]\nrefresh_after = \"never\"\n";
/// Half an hour after the clock was stopped.
const SOON: &str = "20270115083000Z";

/// No feed tells of the time: what was read of the account says when it is over, and nobody is asked.
#[tokio::test]
async fn an_account_that_comes_to_its_end_is_refused_at_the_next_request() {
    let mut world = World::with(NEVER).await;
    world.set("ann", "krbPrincipalExpiration", SOON).await;
    let token = world.enter("ann").await;
    world.outage().await;
    world.clock.advance(Duration::from_secs(29 * 60 + 59));
    world.current(&token).await;
    world.clock.advance(Duration::from_secs(1));
    ends(&world, &token, Reason::AccountExpired).await;
}

/// An end that is set, put off or lifted while somebody is signed in, as sync hears of it.
#[tokio::test]
async fn the_end_that_was_read_last_counts() {
    for (attribute, soon, later) in
        [("krbPrincipalExpiration", SOON, "20270115084000Z"), ("accountExpires", "134444754000000000", "0")]
    {
        let world = World::with(NEVER).await;
        let (ann, leo) = (world.enter("ann").await, world.enter("leo").await);
        world.engine.sync(&world.engine.source("larkspur").unwrap(), SyncRequest::default()).await;
        world.set("ann", attribute, soon).await;
        world.set("leo", attribute, soon).await;
        world.engine.sync(&world.engine.source("larkspur").unwrap(), SyncRequest::default()).await;
        world.current(&leo).await;
        world.set("leo", attribute, later).await;
        world.engine.sync(&world.engine.source("larkspur").unwrap(), SyncRequest::default()).await;
        world.clock.advance(Duration::from_mins(30));
        ends(&world, &ann, Reason::AccountExpired).await;
        world.current(&leo).await;
        world.clock.advance(Duration::from_mins(10));
        if later == "0" {
            world.current(&leo).await;
        } else {
            ends(&world, &leo, Reason::AccountExpired).await;
        }
    }
}

#[tokio::test]
async fn somebody_deleted_is_refused() {
    let world = World::with(EACH).await;
    let token = world.enter("leo").await;
    world.edit("dn: uid=leo,ou=people,dc=larkspur,dc=example\nchangetype: delete\n").await;
    ends(&world, &token, Reason::NoSuchUser).await;
}

#[tokio::test]
async fn losing_access_ends_sessions_and_getting_it_back_counts_at_once() {
    let world = World::with(&each("[sources.larkspur.access]\nrequire = \"author-relations\"\n")).await;
    let token = world.enter("leo").await;
    world.current(&token).await;
    world.leave("leo", "author-relations").await;
    ends(&world, &token, Reason::NotInRequiredGroup).await;
    world.join("leo", "author-relations").await;
    let token = world.enter("leo").await;
    world.current(&token).await;
}

#[tokio::test]
async fn a_certain_is_active_is_written() {
    let world = World::with(&each("[sources.larkspur.flags]\nis_active = \"author-relations\"\n")).await;
    let token = world.enter("leo").await;
    world.leave("leo", "author-relations").await;
    ends(&world, &token, Reason::AccountDisabled).await;
    assert!(!world.user("leo").await.unwrap().flag("is_active"));
    world.join("leo", "author-relations").await;
    world.enter("leo").await;
    assert!(world.user("leo").await.unwrap().flag("is_active"), "who was switched off by the rule comes back by it");
}

#[tokio::test]
async fn what_concerns_the_password_ends_nothing_and_hides_nothing() {
    for (attribute, value) in
        [("pwdAccountLockedTime", "20260101000000Z"), ("pwdReset", "TRUE"), ("userAccountControl", "8388608")]
    {
        let rules = "on_refresh_failure = \"refuse\"\n[sources.larkspur.groups]\nmirror = true\n\
                     [sources.larkspur.access]\ndeny = \"sales\"\n";
        let world = World::with(&each(rules)).await;
        let token = world.enter("leo").await;
        world.set("leo", attribute, value).await;
        world.leave("leo", "author-relations").await;
        let current = world.current(&token).await;
        assert!(!current.user.in_group("author-relations"), "{attribute}");
        world.join("leo", "sales").await;
        assert_eq!(world.ended(&token).await, Ended::NotAllowed(Some(Reason::InDeniedGroup)), "{attribute}");
    }
}

#[tokio::test]
async fn doubt_ends_nothing() {
    let world = World::with(&each("[sources.larkspur.access]\nrequire = \"sales\"\n")).await;
    let token = world.enter("beth").await;
    world.edit(&format!("dn: cn=sales,{}\nchangetype: delete\n", company::GROUPS_DN)).await;
    world.current(&token).await;
    // And nobody comes in on it.
    let end = world.sign_in("beth", company::PASSWORD).await;
    crate::world::assert_refused(&end, Reason::MembershipUnknown);
}

#[tokio::test]
async fn never_is_never() {
    let mut world = World::with("[sources.larkspur.provisioning]\nrefresh_after = \"never\"\n").await;
    let token = world.enter("ann").await;
    world.set("ann", "nsAccountLock", "TRUE").await;
    world.clock.advance(Duration::from_mins(50));
    world.current(&token).await;
    world.outage().await;
    world.current(&token).await;
}

#[tokio::test]
async fn nobody_is_read_before_their_time() {
    let world = World::with("[sources.larkspur.provisioning]\nrefresh_after = \"10m\"\n").await;
    let token = world.enter("ann").await;
    world.set("ann", "nsAccountLock", "TRUE").await;
    world.clock.advance(Duration::from_mins(9));
    world.current(&token).await;
    world.clock.advance(Duration::from_mins(1));
    ends(&world, &token, Reason::AccountDisabled).await;
}

#[tokio::test]
async fn keep_goes_on_through_an_outage() {
    let mut world = World::with(EACH).await;
    let token = world.enter("ann").await;
    world.outage().await;
    world.current(&token).await;
}

#[tokio::test]
async fn refuse_is_503_while_it_lasts_and_keeps_the_session() {
    let mut world = World::with(&each("on_refresh_failure = \"refuse\"\n")).await;
    let token = world.enter("ann").await;
    world.outage().await;
    for _ in 0..3 {
        assert!(matches!(world.engine.session(&token).await, SessionState::Unavailable { status: 503, .. }));
    }
    world.recover();
    recovers(&world, &token).await;
}

/// Asks until the directory is asked again; it backs off for a few seconds at most.
async fn recovers(world: &World, token: &Token) {
    let patience = Duration::from_secs(15);
    let back = async {
        while !matches!(world.engine.session(token).await, SessionState::Active(_)) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(patience, back).await.expect("the session opens again");
}

#[tokio::test]
async fn an_answer_of_ones_own_while_it_lasts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("teapot.html");
    std::fs::write(&file, "short and stout").unwrap();
    let answer = format!("on_refresh_failure = {{ status = 503, page = {file:?} }}\n");
    let mut world = World::with(&each(&answer)).await;
    let token = world.enter("ann").await;
    world.outage().await;
    let SessionState::Unavailable { status, page, .. } = world.engine.session(&token).await else { panic!() };
    assert_eq!((status, page), (503, Some(file)));
}

#[tokio::test]
async fn signing_in_ends_a_backoff() {
    let mut world = World::with(&each("on_refresh_failure = \"refuse\"\n")).await;
    let token = world.enter("ann").await;
    world.outage().await;
    assert!(matches!(world.engine.session(&token).await, SessionState::Unavailable { .. }));
    world.recover();
    let fresh = world.enter("ann").await;
    world.current(&fresh).await;
    world.current(&token).await;
}

#[tokio::test]
async fn who_signed_in_by_a_local_password_is_read_once_they_are_linked() {
    let world = World::with(EACH).await;
    let user = world.local("root", Some("correct horse")).await;
    let token = world.sign_in("root", "correct horse").await.token.unwrap();
    let leo = world.explain("leo").await;
    let link = Link {
        source: leo.source.unwrap(),
        unique_id: leo.unique_id.unwrap(),
        entity_id: user,
        dn: leo.dn.unwrap(),
        last_seen: world.clock.now(),
        ..Link::default()
    };
    assert_eq!(world.current(&token).await.user.email, "");
    world.apply(vec![Change::Link(link)]).await;
    world.clock.advance(Duration::from_secs(1));
    let read = async {
        while world.current(&token).await.user.email != "leo@larkspur.example" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(2), read).await.expect("read as soon as the link is known");
    world.set("leo", "nsAccountLock", "TRUE").await;
    ends(&world, &token, Reason::AccountDisabled).await;
}

/// Moves the clock in the middle of a sign-in, and counts.
#[derive(Default)]
struct Slow {
    clock: OnceLock<StoppedClock>,
    reads: AtomicUsize,
}

impl EventHandler for Slow {
    fn populate<'a>(&'a self, _: Populate<'a>) -> BoxFuture<'a, Result<(), Veto>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.clock.get().unwrap().advance(Duration::from_mins(5));
        Box::pin(async { Ok(()) })
    }
}

async fn slow(source: &str) -> (World, Arc<Slow>) {
    let slow = Arc::new(Slow::default());
    let setup = Setup { source: source.to_owned(), handlers: vec![slow.clone()], ..Setup::default() };
    let world = World::new(setup).await;
    assert!(slow.clock.set(world.clock.clone()).is_ok());
    (world, slow)
}

#[tokio::test]
async fn last_seen_is_when_the_entry_was_read() {
    let (world, _) = slow("[sources.larkspur.provisioning]\nrefresh_after = \"10m\"\n").await;
    let asked = world.clock.now();
    let token = world.enter("leo").await;
    assert_eq!(world.user("leo").await.unwrap().link.unwrap().last_seen, asked);
    // Ten minutes after the read, not after the write.
    world.clock.advance(Duration::from_mins(6));
    let asked = world.clock.now();
    world.current(&token).await;
    assert_eq!(world.user("leo").await.unwrap().link.unwrap().last_seen, asked);
}

#[tokio::test]
async fn who_waits_for_a_read_under_way_takes_what_it_gives() {
    let (world, slow) = slow("[sources.larkspur.provisioning]\nrefresh_after = \"30m\"\n").await;
    let token = world.enter("leo").await;
    world.clock.advance(Duration::from_mins(40));
    let before = slow.reads.load(Ordering::SeqCst);
    let states = futures::future::join_all((0..20).map(|_| world.engine.session(&token))).await;
    assert!(states.iter().all(|state| matches!(state, SessionState::Active(_))));
    assert_eq!(slow.reads.load(Ordering::SeqCst), before + 1);
}

#[tokio::test]
async fn many_requests_at_once_are_all_answered() {
    let world = World::with(EACH).await;
    let token = world.enter("ann").await;
    let states = futures::future::join_all((0..20).map(|_| world.engine.session(&token))).await;
    assert!(states.iter().all(|state| matches!(state, SessionState::Active(_))));
}

struct Moody(AtomicBool);

impl EventHandler for Moody {
    fn populate<'a>(&'a self, _: Populate<'a>) -> BoxFuture<'a, Result<(), Veto>> {
        let no = self.0.load(Ordering::SeqCst);
        Box::pin(async move { if no { Err(Veto("not in this mood".to_owned())) } else { Ok(()) } })
    }
}

#[tokio::test]
async fn a_veto_closes_a_session_without_ending_it() {
    let moody = Arc::new(Moody(AtomicBool::new(false)));
    let world = World::new(Setup { source: EACH.to_owned(), handlers: vec![moody.clone()], ..Setup::default() }).await;
    let token = world.enter("ann").await;
    moody.0.store(true, Ordering::SeqCst);
    assert_eq!(world.ended(&token).await, Ended::NotAllowed(Some(Reason::Vetoed)));
    moody.0.store(false, Ordering::SeqCst);
    recovers(&world, &token).await;
}

#[tokio::test]
async fn permissions_may_follow_directory_groups_live() {
    let live = "[sources.larkspur.groups]\npermissions = \"live\"\n";
    let world = World::with(&each(live)).await;
    world.group("Author-Relations", "books.sign").await;
    let token = world.enter("leo").await;
    let user = world.current(&token).await;
    assert!(user.user.may("books.sign"));
    assert_eq!(user.user.groups, ["Author-Relations"], "the local group of that name");
    assert_eq!(world.explain("leo").await.local_groups, ["Author-Relations"]);
    assert_eq!(world.engine.store().memberships(user.user.id).await.unwrap(), [], "no row is written");
    world.leave("leo", "author-relations").await;
    let user = world.current(&token).await;
    assert!(!user.user.may("books.sign") && user.user.groups.is_empty());
    world.join("leo", "author-relations").await;
    assert!(world.current(&token).await.user.may("books.sign"));
    // The setting leaves the configuration, and what it gave goes with it, read again or not.
    world.reload(&Setup {
        source: "[sources.larkspur.provisioning]\nrefresh_after = \"never\"\n".into(),
        ..Setup::default()
    });
    assert!(!world.current(&token).await.user.may("books.sign"));
    assert_signed_in(&world.sign_in("leo", company::PASSWORD).await);
}
