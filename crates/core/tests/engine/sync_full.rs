//! A full run: everybody made what the directory says, and only what changed written.

use crate::world::World;
use bindery_core::Reason;
use bindery_core::sync::{Mode, SyncOutcome, SyncReason, SyncRequest, SyncRun, Tally};
use bindery_demo_directory::company;

pub(crate) const FULL: SyncRequest<'static> =
    SyncRequest { full: true, dry_run: false, allow_removals: false, progress: None };

pub(crate) async fn sync(world: &World, request: SyncRequest<'_>) -> SyncRun {
    let source = world.engine.source("larkspur").unwrap();
    let run = world.engine.sync(&source, request).await;
    balanced(run.users);
    balanced(run.groups);
    run
}

/// Whoever was seen is counted once.
#[track_caller]
fn balanced(tally: Tally) {
    let Tally { seen, created, updated, unchanged, skipped, failed, reactivated, .. } = tally;
    assert!(created + updated + unchanged + skipped + failed + reactivated <= seen + tally.deactivated, "{tally:?}");
}

const MIRROR: &str = "[sources.larkspur.groups]\nmirror = true\n";

#[tokio::test]
async fn everybody_comes_in_and_the_second_run_writes_nothing() {
    let world = World::with(MIRROR).await;
    let first = sync(&world, FULL).await;
    assert_eq!((first.outcome, first.mode, first.reason), (SyncOutcome::Completed, Mode::Full, None), "{first:?}");
    let people = company::people();
    assert_eq!(first.users.seen, people.len() as u64, "{first:?}");
    assert!(first.users.created > 5 && first.groups.created > 3 && first.memberships.added > 5, "{first:?}");
    assert!(first.users.skipped >= 1, "the disabled are not made: {first:?}");
    assert_eq!(first.users.failed + first.groups.failed, 0, "{:?}", first.errors);
    let leo = world.user("leo").await.unwrap();
    assert_eq!(leo.email, "leo@larkspur.example");
    assert!(!leo.groups.is_empty());

    let second = sync(&world, FULL).await;
    assert_eq!(second.users.created + second.users.updated + second.memberships.added, 0, "{second:?}");
    assert_eq!(second.users.unchanged, first.users.created, "{second:?}");
    assert_eq!(second.users.skipped, first.users.skipped, "{second:?}");
    assert_eq!(second.groups.unchanged, first.groups.created, "{second:?}");
}

#[tokio::test]
async fn a_sync_gives_what_a_sign_in_gives() {
    let (synced, signed) = (World::with(MIRROR).await, World::with(MIRROR).await);
    sync(&synced, FULL).await;
    for person in company::people() {
        let end = signed.login(&person.username, company::PASSWORD).await;
        let (by_sync, by_sign_in) = (synced.user(&person.username).await, signed.user(&person.username).await);
        // A lock that ends by itself keeps nobody from being there.
        let there = end.reason == Some(Reason::AccountLocked) || by_sign_in.is_some();
        assert_eq!(by_sync.is_some(), there, "{}: {:?}", person.username, end.reason);
        let (Some(by_sync), Some(by_sign_in)) = (by_sync, by_sign_in) else { continue };
        assert_eq!(by_sync.groups, by_sign_in.groups);
        assert_eq!((by_sync.email, by_sync.display_name), (by_sign_in.email, by_sign_in.display_name));
        assert_eq!(by_sync.flags, by_sign_in.flags);
    }
}

#[tokio::test]
async fn somebody_who_left_is_deactivated_and_comes_back() {
    let filter = "[sources.larkspur.users]\nfilter = '(&(objectClass=inetOrgPerson)(!(businessCategory=left)))'\n";
    let world = World::with(filter).await;
    sync(&world, FULL).await;
    let token = world.enter("leo").await;
    world.set("leo", "businessCategory", "left").await;
    let gone = sync(&world, FULL).await;
    assert_eq!((gone.outcome, gone.users.deactivated), (SyncOutcome::Completed, 1), "{gone:?}");
    world.ended(&token).await;
    assert!(!world.user("leo").await.unwrap().flag("is_active"));
    let again = sync(&world, FULL).await;
    assert_eq!(again.users.deactivated, 0, "once");
    world.unset("leo", "businessCategory").await;
    let back = sync(&world, FULL).await;
    assert_eq!(back.users.reactivated, 1, "{back:?}");
    world.enter("leo").await;
}

#[tokio::test]
async fn an_outage_removes_nobody_and_says_failed() {
    let mut world = World::with(MIRROR).await;
    sync(&world, FULL).await;
    world.outage().await;
    let run = sync(&world, FULL).await;
    assert_eq!((run.outcome, run.reason), (SyncOutcome::Failed, Some(SyncReason::Directory)), "{run:?}");
    assert_eq!(run.users.deactivated + run.users.deleted, 0);
    assert!(!run.errors.is_empty());
}

#[tokio::test]
async fn a_dry_run_says_what_the_real_one_does_and_writes_nothing() {
    let world = World::with(MIRROR).await;
    let dry = sync(&world, SyncRequest { dry_run: true, ..FULL }).await;
    assert!(world.user("leo").await.is_none());
    let changes = dry.changes.clone().unwrap();
    assert!(changes.iter().any(|change| change.name == "leo" && change.action == "create"), "{changes:?}");
    let real = sync(&world, FULL).await;
    assert_eq!((dry.users, dry.groups, dry.memberships), (real.users, real.groups, real.memberships));
}
