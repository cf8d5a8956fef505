//! What was not read whole removes nobody, whatever is allowed.

use crate::sync_full::{FULL, planned, sync};
use crate::twist::{Code, Relay, Twist};
use crate::world::{Setup, World, dn};
use bindery_core::sync::{Mode, SyncOutcome, SyncReason, SyncRequest, SyncRun};
use bindery_demo_directory::company;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

const ALLOW: SyncRequest<'static> = SyncRequest { allow_removals: true, ..FULL };
const MIRROR: &str = "[sources.larkspur.groups]\nmirror = true\n";

#[track_caller]
fn withheld(run: &SyncRun, reason: &str) {
    assert_eq!((run.outcome, run.reason), (SyncOutcome::Held, Some(SyncReason::Incomplete)), "{run:?}");
    assert!(run.incomplete.iter().all(|one| one.reason == reason && !one.base.is_empty()), "{:?}", run.incomplete);
    assert!(!run.incomplete.is_empty());
    assert_eq!((run.users.deactivated, run.users.deleted, run.groups.deactivated), (0, 0, 0), "{run:?}");
    assert_eq!(run.memberships.removed, 0, "{run:?}");
}

#[tokio::test]
async fn a_size_limit() {
    for source in ["", MIRROR] {
        let mut world = World::with(&format!("{source}[sources.larkspur.sync]\nremoved = \"delete\"\n")).await;
        sync(&world, FULL).await;
        let before = world.engine.store().user_count().await.unwrap();
        world.outage().await;
        world.recover_with(|options| options.size_limit = 6);
        for request in [FULL, ALLOW, SyncRequest { full: false, ..FULL }] {
            withheld(&planned(&world, request).await, "size_limit");
        }
        assert_eq!(world.engine.store().user_count().await.unwrap(), before);
        assert_eq!(world.user("carlos").await.unwrap().in_group("operations"), !source.is_empty());
        world.outage().await;
        world.recover();
        let run = planned(&world, SyncRequest { full: false, ..FULL }).await;
        assert_eq!((run.outcome, run.users.deleted), (SyncOutcome::Completed, 0), "{run:?}");
    }
}

/// Every way in which a listing of pages can be less than the whole, of people and of groups.
#[tokio::test]
async fn a_listing_that_ends_too_soon_or_never() {
    let elsewhere = "ldap://elsewhere.example/ou=more,dc=larkspur,dc=example";
    for (twist, reason) in [
        (Twist::Ends(Code::TimeLimitExceeded), "time_limit"),
        (Twist::Ends(Code::SizeLimitExceeded), "size_limit"),
        (Twist::Ends(Code::AdminLimitExceeded), "size_limit"),
        (Twist::Ends(Code::Referral), "referral"),
        (Twist::Refers(elsewhere), "referral"),
        (Twist::Ends(Code::UnavailableCriticalExtension), "lost_cookie"),
        (Twist::Ends(Code::UnwillingToPerform), "lost_cookie"),
        (Twist::Uncontrolled, "lost_cookie"),
        (Twist::Endless, "endless"),
    ] {
        let source = format!("{MIRROR}[sources.larkspur.sync]\nremoved = \"delete\"\n");
        let setup = || Setup { keys: "page_size = 4".to_owned(), source: source.clone(), ..Setup::default() };
        let mut world = World::new(setup()).await;
        let relay = Relay::to(world.address()).await;
        world.through(relay.address(), &setup());
        let first = planned(&world, FULL).await;
        assert_eq!((first.outcome, first.users.created), (SyncOutcome::Completed, 19), "{first:?}");
        world.delete(&[dn("zoe")]).await;
        world.leave("leo", "author-relations").await;
        relay.set(twist);
        for request in [FULL, ALLOW] {
            let run = planned(&world, request).await;
            withheld(&run, reason);
            assert!(run.users.seen > 0 && run.groups.seen > 0, "{reason}: what was read counts: {run:?}");
            assert!(run.users.seen < 19 || reason == "referral", "{reason}: {run:?}");
        }
        relay.set(Twist::Straight);
        let run = planned(&world, SyncRequest { full: false, ..FULL }).await;
        assert_eq!((run.mode, run.outcome, run.users.deleted), (Mode::Full, SyncOutcome::Completed, 1), "{run:?}");
        assert!(run.full_because.is_some());
        assert!(!world.user("leo").await.unwrap().in_group("author-relations"));
    }
}

async fn feed(world: &World) -> Option<Value> {
    world.engine.store().position("larkspur", "feed").await.unwrap()
}

/// Whoever was not listed is told of by the feed, from where it was: nobody waits for the next full run to be shut out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_of_people_that_ends_too_soon_leaves_the_position_and_the_lists() {
    let source = format!("{MIRROR}[sources.larkspur.sync]\nlive = true\n");
    // All groups are on one page, and the second page of people, which is cut short, is not the last.
    let setup = || Setup { keys: "page_size = 12".to_owned(), source: source.clone(), ..Setup::default() };
    let mut world = World::new(setup()).await;
    let relay = Relay::to(world.address()).await;
    world.through(relay.address(), &setup());
    for uid in ["amy", "bo", "cem", "dee"] {
        world.hire(uid).await;
    }
    let sales = |verb: &str| {
        let (group, member) = (company::GROUPS_DN, company::PEOPLE_DN);
        format!("dn: cn=sales,{group}\nchangetype: modify\n{verb}: member\nmember: uid=dee,{member}\n")
    };
    world.edit(&sales("add")).await;
    planned(&world, FULL).await;
    let lists = world.engine.store().roster_ids("larkspur").await.unwrap();
    let before = feed(&world).await;
    assert!(before.is_some());
    world.edit(&sales("delete")).await;
    relay.set(Twist::Ends(Code::SizeLimitExceeded));
    let run = planned(&world, FULL).await;
    withheld(&run, "size_limit");
    assert_eq!((run.groups.seen, run.users.seen), (11, 24), "{run:?}");
    assert!(world.user("dee").await.unwrap().in_group("sales"), "nobody has read her");
    assert_eq!(feed(&world).await, before);
    assert_eq!(world.engine.store().roster_ids("larkspur").await.unwrap(), lists);

    relay.set(Twist::Straight);
    let runs = async || world.engine.store().sync_runs(None, 100).await.unwrap().len();
    let so_far = runs().await;
    let engine = world.engine.clone();
    let following = tokio::spawn(async move { engine.keep_in_sync().await });
    let began = Instant::now();
    while world.user("dee").await.unwrap().in_group("sales") {
        assert!(began.elapsed() < Duration::from_secs(20), "never told");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(runs().await, so_far, "nothing was read again");
    world.engine.stop_syncing();
    following.await.unwrap();
}

/// It holds nobody that anybody knows of, and is no reason not to follow the others.
#[tokio::test]
async fn a_base_that_was_always_empty_keeps_no_position_back() {
    let empty = format!("ou=empty,{}", company::BASE_DN);
    let bases = format!("[sources.larkspur.users]\nbase_dn = [\"{}\", \"{empty}\"]\n", company::PEOPLE_DN);
    let world = World::with(&bases).await;
    world.edit(&format!("dn: {empty}\nchangetype: add\nobjectClass: organizationalUnit\nou: empty\n")).await;
    withheld(&planned(&world, FULL).await, "empty");
    let first = feed(&world).await;
    assert!(first.as_ref().is_some_and(|feed| !feed["position"].is_null()), "{first:?}");
    world.set("leo", "mail", "new@larkspur.example").await;
    withheld(&planned(&world, FULL).await, "empty");
    assert_ne!(feed(&world).await, first);
}

#[tokio::test]
async fn a_listing_that_ends_in_any_other_result_fails() {
    let setup = || Setup { keys: "page_size = 4".to_owned(), ..Setup::default() };
    let mut world = World::new(setup()).await;
    let relay = Relay::to(world.address()).await;
    world.through(relay.address(), &setup());
    sync(&world, FULL).await;
    world.delete(&[dn("zoe")]).await;
    for code in [Code::OperationsError, Code::InsufficientAccessRights, Code::NoSuchObject, Code::Other] {
        relay.set(Twist::Ends(code));
        for request in [FULL, ALLOW] {
            let run = planned(&world, request).await;
            let why = (run.outcome, run.reason, run.users.deactivated);
            assert_eq!(why, (SyncOutcome::Failed, Some(SyncReason::Directory), 0), "{code:?}: {run:?}");
        }
    }
}

#[tokio::test]
async fn an_empty_answer() {
    let mut world = World::with(MIRROR).await;
    sync(&world, FULL).await;
    let before = feed(&world).await;
    world.outage().await;
    world.recover_with(|options| options.entries.retain(|entry| !entry.has("uid") && !entry.has("member")));
    for request in [FULL, ALLOW] {
        withheld(&planned(&world, request).await, "empty");
    }
    assert_eq!(feed(&world).await, before, "what has left there is still to be told");
    let leo = world.user("leo").await.unwrap();
    assert!(leo.flag("is_active") && leo.in_group("author-relations"));
}

#[tokio::test]
async fn an_unreadable_unique_id() {
    let world = World::with("[sources.larkspur.users]\nunique_id = \"employeeNumber\"\n").await;
    sync(&world, FULL).await;
    let number = world.user("leo").await.unwrap().link.unwrap().unique_id;
    world.unset("leo", "employeeNumber").await;
    world.delete(&[dn("zoe")]).await;
    for request in [FULL, ALLOW] {
        let run = planned(&world, request).await;
        withheld(&run, "unreadable_unique_id");
        assert_eq!(run.users.failed, 1);
        assert!(run.errors.iter().any(|error| error.contains(&dn("leo"))), "{:?}", run.errors);
    }
    assert!(world.user("zoe").await.unwrap().flag("is_active"));
    world.set("leo", "employeeNumber", &number).await;
    let run = planned(&world, FULL).await;
    assert_eq!((run.outcome, run.users.deactivated), (SyncOutcome::Completed, 1), "{run:?}");
    assert!(world.user("leo").await.unwrap().flag("is_active"));
}

/// Without people in the memory of a source there is nothing to lose, but an empty answer is still no answer.
#[tokio::test]
async fn a_directory_that_is_gone_midway_is_a_failure() {
    let mut world = World::with(MIRROR).await;
    sync(&world, FULL).await;
    world.outage().await;
    for request in [FULL, ALLOW, SyncRequest { full: false, ..FULL }] {
        let run = planned(&world, request).await;
        assert_eq!((run.outcome, run.reason), (SyncOutcome::Failed, Some(SyncReason::Directory)), "{run:?}");
    }
    world.recover();
    let run = planned(&world, SyncRequest { full: false, ..FULL }).await;
    assert_eq!((run.outcome, run.users.deactivated, run.users.updated), (SyncOutcome::Completed, 0, 0), "{run:?}");
}
