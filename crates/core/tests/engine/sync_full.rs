//! A full run: everybody made what the directory says, and only what changed written.

use crate::world::World;
use bindery_core::sync::{Mode, SyncOutcome, SyncReason, SyncRequest, SyncRun, Thing};
use bindery_core::{Clock, Reason};
use bindery_demo_directory::company;
use bindery_store::{EntityKind, Owner, UserFilter};
use std::fmt::Write;

pub(crate) const FULL: SyncRequest<'static> =
    SyncRequest { full: true, because: None, dry_run: false, allow_removals: false, progress: None };

pub(crate) async fn sync(world: &World, request: SyncRequest<'_>) -> SyncRun {
    let source = world.engine.source("larkspur").unwrap();
    let run = world.engine.sync(&source, request).await;
    balanced(&run);
    run
}

/// A dry run, which writes nothing, and then the real one, which comes to exactly what the other said.
pub(crate) async fn planned(world: &World, request: SyncRequest<'_>) -> SyncRun {
    let before = dump(world).await;
    let dry = sync(world, SyncRequest { dry_run: true, ..request }).await;
    assert_eq!(dump(world).await, before, "a dry run writes nothing");
    let real = sync(world, request).await;
    let counts = |run: &SyncRun| (run.mode, run.outcome, run.reason, run.users, run.groups, run.memberships);
    assert_eq!(counts(&dry), counts(&real), "{dry:?}\n{real:?}");
    assert_eq!((&dry.would_remove, &dry.incomplete), (&real.would_remove, &real.incomplete));
    assert_eq!((&dry.errors, &dry.full_because), (&real.errors, &real.full_because));
    let changes = dry.changes.unwrap();
    let named = |kind, action| changes.iter().filter(|one| one.kind == kind && one.action == action).count() as u64;
    for (kind, tally) in [(Thing::User, real.users), (Thing::Group, real.groups)] {
        for (count, action) in [
            (tally.created, "create"),
            (tally.updated, "update"),
            (tally.deactivated, "deactivate"),
            (tally.reactivated, "reactivate"),
            (tally.deleted, "delete"),
        ] {
            assert_eq!(named(kind, action), count, "{kind:?} {action}: {changes:?}");
        }
    }
    assert_eq!(named(Thing::Membership, "add"), real.memberships.added, "{changes:?}");
    assert_eq!(named(Thing::Membership, "remove"), real.memberships.removed, "{changes:?}");
    assert!(real.changes.is_none());
    real
}

/// Everything in the store that a sync writes, but for the runs themselves.
async fn dump(world: &World) -> String {
    let (store, slug, mut text) = (world.engine.store(), "larkspur", String::new());
    for user in store.users(&UserFilter { limit: 1000, ..UserFilter::default() }).await.unwrap() {
        let state = store.user_state(user.id).await.unwrap();
        let sessions = store.sessions_of(user.id, world.clock.now()).await.unwrap().len();
        writeln!(text, "{state:?} {sessions}").unwrap();
    }
    let mut groups = store.all_groups().await.unwrap();
    groups.sort_by_key(|state| state.group.id);
    writeln!(text, "{groups:?} {:?}", store.subgroups(&Owner::Source(slug.to_owned())).await.unwrap()).unwrap();
    let mut links = |link| writeln!(text, "{link:?}").unwrap();
    store.synced_links(slug, EntityKind::User, &mut links).await.unwrap();
    writeln!(text, "{:?}", store.roster_ids(slug).await.unwrap()).unwrap();
    for feed in ["feed", "search", "pending"] {
        writeln!(text, "{:?}", store.position(slug, feed).await.unwrap()).unwrap();
    }
    text
}

/// Whatever was seen is counted once. Of what was deactivated or deleted nobody can say whether it was seen.
#[track_caller]
pub(crate) fn balanced(run: &SyncRun) {
    for tally in [run.users, run.groups] {
        let gone = tally.deactivated + tally.deleted;
        let counted: u64 = tally.actions().iter().map(|(_, count)| count).sum();
        let all = counted + gone >= tally.seen + gone || run.outcome == SyncOutcome::Failed;
        assert!(all && counted - gone <= tally.seen, "{run:?}");
    }
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
    planned(&world, FULL).await;
    planned(&world, FULL).await;
}
