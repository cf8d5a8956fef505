//! What has changed, and no more: by an incremental run, and live.

use crate::sync_full::{FULL, sync};
use crate::world::{World, dn};
use bindery_core::engine::SessionState;
use bindery_core::sync::{Mode, SyncOutcome, SyncRequest};
use bindery_core::token::Token;
use std::time::Duration;
use tokio::time::Instant;

const MIRROR: &str = "[sources.larkspur.groups]\nmirror = true\n";
const INCREMENTAL: SyncRequest<'static> = SyncRequest { full: false, ..FULL };
/// A second is promised; a loaded machine gets more before a test calls it a failure.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_first_run_is_full_and_says_why_and_the_next_reads_changes_only() {
    let world = World::with(MIRROR).await;
    let first = sync(&world, INCREMENTAL).await;
    assert_eq!((first.mode, first.outcome), (Mode::Full, SyncOutcome::Completed), "{first:?}");
    assert!(first.full_because.is_some());
    let quiet = sync(&world, INCREMENTAL).await;
    assert_eq!((quiet.mode, quiet.users.seen, quiet.groups.seen), (Mode::Incremental, 0, 0), "{quiet:?}");
    world.set("leo", "mail", "new@larkspur.example").await;
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!((run.mode, run.users.seen, run.users.updated), (Mode::Incremental, 1, 1), "{run:?}");
    assert_eq!(world.user("leo").await.unwrap().email, "new@larkspur.example");
}

#[tokio::test]
async fn a_change_of_a_group_reaches_its_people() {
    let world = World::with(MIRROR).await;
    sync(&world, FULL).await;
    world.leave("leo", "author-relations").await;
    world.join("leo", "sales").await;
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!((run.mode, run.outcome), (Mode::Incremental, SyncOutcome::Completed), "{run:?}");
    let leo = world.user("leo").await.unwrap();
    assert!(leo.in_group("sales") && !leo.in_group("author-relations"), "{:?} {run:?}", leo.groups);
}

#[tokio::test]
async fn somebody_deleted_is_deactivated_by_an_incremental_run() {
    let world = World::with(MIRROR).await;
    sync(&world, FULL).await;
    let token = world.enter("leo").await;
    world.edit(&format!("dn: {}\nchangetype: delete\n", dn("leo"))).await;
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!((run.mode, run.users.deactivated), (Mode::Incremental, 1), "{run:?}");
    world.ended(&token).await;
}

/// Waits until a session has ended.
async fn ends(world: &World, token: &Token) -> Duration {
    let began = Instant::now();
    while !matches!(world.engine.session(token).await, SessionState::Ended(_)) {
        assert!(began.elapsed() < PATIENCE, "the session never ended");
        tokio::task::yield_now().await;
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_disabled_deleted_or_out_of_a_required_group_is_out_at_once() {
    let source = "[sources.larkspur.sync]\nlive = true\n[sources.larkspur.access]\nrequire = \"everyone\"\n";
    let world = World::with(&source.replace("everyone", "author-relations")).await;
    let engine = world.engine.clone();
    let following = tokio::spawn(async move { engine.keep_in_sync().await });
    let token = world.enter("leo").await;
    world.leave("leo", "author-relations").await;
    ends(&world, &token).await;
    world.join("leo", "author-relations").await;
    let token = world.enter("leo").await;
    world.edit(&format!("dn: {}\nchangetype: delete\n", dn("leo"))).await;
    ends(&world, &token).await;
    world.engine.stop_syncing();
    following.await.unwrap();
}
