//! Runs as such: one at a time, at their times, and remembered.

use crate::sync_full::{FULL, sync};
use crate::world::{Setup, World, dn};
use bindery_core::Clock;
use bindery_core::sync::{Mode, SyncOutcome, SyncReason, SyncRequest};
use bindery_directory::ServerHealth;
use std::time::Duration;
use tokio::time::Instant;

/// A loaded machine gets this long before a test calls it a failure.
const PATIENCE: Duration = Duration::from_secs(40);

#[tokio::test]
async fn two_never_run_at_once_and_a_dead_one_is_waited_for_no_longer_than_its_lease() {
    let world = World::usual().await;
    let (one, other) = tokio::join!(sync(&world, FULL), sync(&world, FULL));
    let mut outcomes = [(one.outcome, one.reason), (other.outcome, other.reason)];
    outcomes.sort_by_key(|(outcome, _)| *outcome);
    let busy = (SyncOutcome::AlreadyRunning, Some(SyncReason::AlreadyRunning));
    assert_eq!(outcomes, [(SyncOutcome::Completed, None), busy]);

    let (store, thirty) = (world.engine.store(), Duration::from_secs(30));
    assert!(store.acquire_lease("sync:larkspur", "somebody dead", world.clock.now(), thirty).await.unwrap());
    world.clock.advance(Duration::from_secs(29));
    assert_eq!(sync(&world, FULL).await.outcome, SyncOutcome::AlreadyRunning);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(sync(&world, FULL).await.outcome, SyncOutcome::Completed);
    assert_eq!(store.sync_runs(None, 100).await.unwrap().len(), 2, "what never ran is not remembered");
}

#[tokio::test]
async fn runs_are_kept_with_what_they_came_to() {
    let mut world = World::usual().await;
    world.local("leo", None).await;
    let run = sync(&world, FULL).await;
    world.outage().await;
    sync(&world, FULL).await;
    let kept = world.engine.store().sync_runs(Some("larkspur"), 10).await.unwrap();
    assert_eq!(kept.len(), 2);
    let kept = kept.iter().find(|one| one.id == run.id).unwrap();
    assert_eq!((kept.outcome.as_str(), kept.mode.as_str(), kept.dry_run), ("completed", "full", false));
    assert!(kept.ended_at.is_some());
    assert_eq!(kept.report["users"]["created"], 18);
    assert!(kept.report["errors"][0].as_str().unwrap().contains(&dn("leo")), "{:?}", kept.report);
}

async fn finished(world: &World, runs: usize) {
    let began = Instant::now();
    loop {
        let kept = world.engine.store().sync_runs(None, 100).await.unwrap();
        if kept.len() == runs && kept.iter().all(|run| run.outcome == "completed") {
            return;
        }
        assert!(kept.len() <= runs && began.elapsed() < PATIENCE, "{kept:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// However many times were missed while nobody served, one run makes up for them.
#[tokio::test]
async fn a_missed_time_runs_once_at_the_start() {
    let world = World::with("[sources.larkspur.sync]\nschedule = \"0 */2 * * *\"\n").await;
    for runs in 1..=3 {
        let engine = world.engine.clone();
        let serving = tokio::spawn(async move { engine.keep_in_sync().await });
        finished(&world, runs).await;
        serving.abort();
        let _ = serving.await;
        world.clock.advance(Duration::from_hours(10));
    }
    assert_eq!(world.engine.store().user_count().await.unwrap(), 19);
}

/// Nobody has asked for anything: that a server cannot be used is found out all the same, and that it can again.
#[tokio::test]
async fn servers_are_looked_at_every_hour() {
    let mut world = World::usual().await;
    let engine = world.engine.clone();
    let serving = tokio::spawn(async move { engine.keep_in_sync().await });
    let source = world.engine.source("larkspur").unwrap();
    let seen = async |what: &str, is_so: &dyn Fn(&ServerHealth) -> bool| {
        let began = Instant::now();
        while !is_so(&source.directory.health()[0]) {
            assert!(began.elapsed() < PATIENCE, "never {what}: {:?}", source.directory.health());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert_eq!(source.directory.health()[0].connections, 0, "not at the start");
    // It asks for its minute once it has begun to wait for it.
    while world.engine.store().setting("install_id").await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.clock.advance(Duration::from_hours(1));
    seen("up", &|health| health.vendor.is_some() && health.connections == 1).await;
    world.outage().await;
    world.clock.advance(Duration::from_hours(1));
    seen("down", &|health| !health.up).await;
    world.engine.stop_syncing();
    serving.await.unwrap();
}

/// A process that was killed in the middle of its run has not run.
#[tokio::test]
async fn a_run_that_was_killed_is_made_up_for() {
    let world = World::with("[sources.larkspur.sync]\nschedule = \"0 */2 * * *\"\n").await;
    let killed = sync(&world, FULL).await;
    let store = world.engine.store();
    let mut record = store.last_sync_run("larkspur", &[]).await.unwrap().unwrap();
    (record.outcome, record.ended_at) = ("running".to_owned(), None);
    store.put_sync_run(&record).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let engine = world.engine.clone();
    let serving = tokio::spawn(async move { engine.keep_in_sync().await });
    let began = Instant::now();
    while world.engine.store().last_sync_run("larkspur", &["completed"]).await.unwrap().is_none() {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let runs = world.engine.store().sync_runs(None, 100).await.unwrap();
    assert_eq!((runs.len(), runs.iter().filter(|run| run.id == killed.id).count()), (2, 1), "{runs:?}");
    world.engine.stop_syncing();
    serving.await.unwrap();
}

/// Where deletions are not told of, every scheduled run reads everything, and says why.
#[tokio::test]
async fn a_scheduled_run_says_why_it_reads_everything() {
    let unique_id = "[sources.larkspur.users]\nunique_id = \"employeeNumber\"\n";
    let world = World::with(&format!("{unique_id}[sources.larkspur.sync]\nschedule = \"*/30 * * * *\"\n")).await;
    sync(&world, SyncRequest { full: false, ..FULL }).await;
    world.clock.advance(Duration::from_mins(30));
    let engine = world.engine.clone();
    let serving = tokio::spawn(async move { engine.keep_in_sync().await });
    let began = Instant::now();
    while world.engine.store().sync_runs(None, 100).await.unwrap().iter().filter(|run| run.ended_at.is_some()).count()
        < 2
    {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let run = world.engine.store().last_sync_run("larkspur", &[]).await.unwrap().unwrap();
    let because = run.report["full_because"].as_str().unwrap_or_default();
    assert!(run.mode == "full" && because.contains("deletions"), "{run:?}");
    world.engine.stop_syncing();
    serving.await.unwrap();
}

/// A follower has the source to itself for a moment: a run waits for that, and for nobody else.
#[tokio::test]
async fn a_run_waits_for_a_follower_only() {
    let world = World::usual().await;
    let (store, lease, ttl) = (world.engine.store().clone(), "sync:larkspur", Duration::from_secs(30));
    for holder in ["follower 1", "a run"] {
        assert!(store.acquire_lease(lease, holder, world.clock.now(), ttl).await.unwrap());
        let (engine, source) = (world.engine.clone(), world.engine.source("larkspur").unwrap());
        let mut run = tokio::spawn(async move { engine.sync(&source, FULL).await });
        let early = tokio::time::timeout(Duration::from_secs(1), &mut run).await;
        assert!(store.release_lease(lease, holder).await.unwrap());
        if holder == "a run" {
            assert_eq!(early.expect("at once").unwrap().outcome, SyncOutcome::AlreadyRunning);
        } else {
            assert!(early.is_err(), "it waits");
            assert_eq!(run.await.unwrap().outcome, SyncOutcome::Completed);
        }
    }
}

/// A later time runs while serving.
#[tokio::test]
async fn a_time_that_comes_runs() {
    let world = World::with("[sources.larkspur.sync]\nschedule = \"*/30 * * * *\"\n").await;
    sync(&world, FULL).await;
    let engine = world.engine.clone();
    let serving = tokio::spawn(async move { engine.keep_in_sync().await });
    world.clock.advance(Duration::from_mins(30));
    finished(&world, 2).await;
    world.engine.stop_syncing();
    serving.await.unwrap();
}

/// Live, with the search changed behind its back: nobody is removed because the position was of another search.
#[tokio::test]
async fn following_under_a_changed_search_removes_nobody() {
    let live = "[sources.larkspur.sync]\nlive = true\nremoval_limit = { count = 500, percent = 100 }\n";
    let world = World::with(live).await;
    sync(&world, FULL).await;
    let without = "[sources.larkspur.users]\nfilter = '(&(objectClass=inetOrgPerson)(!(uid=leo)))'\n";
    world.reload(&Setup { source: format!("{live}{without}"), ..Setup::default() });
    let engine = world.engine.clone();
    let serving = tokio::spawn(async move { engine.keep_in_sync().await });
    world.set("zoe", "mail", "new@larkspur.example").await;
    let began = Instant::now();
    while world.user("zoe").await.unwrap().email != "new@larkspur.example" {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(world.user("leo").await.unwrap().flag("is_active"));
    world.engine.stop_syncing();
    serving.await.unwrap();
    let run = sync(&world, SyncRequest { full: false, ..FULL }).await;
    assert_eq!((run.mode, run.reason), (Mode::Full, Some(SyncReason::ChangedSearch)), "{run:?}");
}
