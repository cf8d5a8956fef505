//! What was not read whole removes nobody, whatever is allowed.

use crate::sync_full::{FULL, planned, sync};
use crate::world::{World, dn};
use bindery_core::sync::{SyncOutcome, SyncReason, SyncRequest, SyncRun};

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

#[tokio::test]
async fn an_empty_answer() {
    let mut world = World::with(MIRROR).await;
    sync(&world, FULL).await;
    world.outage().await;
    world.recover_with(|options| options.entries.retain(|entry| !entry.has("uid") && !entry.has("member")));
    for request in [FULL, ALLOW] {
        withheld(&planned(&world, request).await, "empty");
    }
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
