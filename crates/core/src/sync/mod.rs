//! Keeping everyone true, not only those who sign in: sync is sign-in for everyone, without the password.
//!
//! A run reads the directory in pages, passes over whoever comes to the same as before, and takes everybody else
//! through the rules, reconcile and apply that a sign-in goes through. Removals come last, and only where everything
//! was read and there are not too many of them.
//!
//! Nothing in here decides what an entry is worth: that is for [`rules`](crate::rules) and
//! [`reconcile`](crate::reconcile). And nothing in here is remembered of an error.

mod again;
mod apart;
mod brakes;
mod broken;
mod changes;
mod doubt;
mod follower;
mod groups;
mod incremental;
mod index;
mod lease;
mod links;
mod live;
mod look;
mod nesting;
mod once;
mod outcome;
mod people;
mod recent;
mod removal;
mod removing;
mod renames;
mod report;
mod rosters;
mod run;
mod schedule;
mod told;
mod writing;

pub use report::{
    IncompleteBase, MembershipTally, Mode, PlannedChange, Removal, SyncOutcome, SyncReason, SyncRun, Tally, Thing,
};

use crate::engine::{ActiveSource, Engine, chain};
use bindery_directory::Kind;
use bindery_store::SyncRunRecord;
use broken::Broken;
use chrono::{DateTime, Utc};
use lease::Loss;
use run::Run;
use std::sync::Arc;
use std::time::Duration;

/// What a run is to do.
#[derive(Clone, Copy, Default)]
pub struct SyncRequest<'a> {
    /// Read everything, whatever is remembered.
    pub full: bool,
    /// Why, where it is not a person who asks for that: what the run says as `full_because`.
    pub because: Option<&'a str>,
    /// Write nothing, and tell what would be written.
    pub dry_run: bool,
    /// Somebody has looked at the removals that were held.
    pub allow_removals: bool,
    /// Hears of each page.
    pub progress: Option<&'a (dyn Fn(Progress) + Send + Sync)>,
}

/// Removals that were carried out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Removals {
    users: u64,
    groups: u64,
    memberships: u64,
}

impl Removals {
    fn and(self, other: Self) -> Self {
        Self {
            users: self.users + other.users,
            groups: self.groups + other.groups,
            memberships: self.memberships + other.memberships,
        }
    }

    /// Those that came after `earlier`.
    fn since(self, earlier: Self) -> Self {
        Self {
            users: self.users.saturating_sub(earlier.users),
            groups: self.groups.saturating_sub(earlier.groups),
            memberships: self.memberships.saturating_sub(earlier.memberships),
        }
    }
}

/// How far a run has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// What is being read.
    pub kind: Kind,
    /// Entries so far.
    pub read: u64,
    /// How many there were the last time.
    pub of: Option<u64>,
    /// Since the run began.
    pub elapsed: Duration,
}

impl Engine {
    /// Makes the store what the directory of one source says. Never fails: how it ended is in the run.
    pub async fn sync(&self, source: &Arc<ActiveSource>, request: SyncRequest<'_>) -> SyncRun {
        self.sync_while(source, request, None).await
    }

    /// The same for a follower: for as long as it has the lease to follow, and what is removed is noted, to count together with
    /// what will be.
    async fn sync_while(
        &self,
        source: &Arc<ActiveSource>,
        request: SyncRequest<'_>,
        mut follows: Option<Loss>,
    ) -> SyncRun {
        let mut run = Run::new(self, source, request);
        let began = run.now;
        let held = lease::take_from_follower(self, &lease::of_runs(source)).await;
        let mut lease = None;
        match held {
            Ok(Some(mut held)) => {
                self.record_run(&run.report, began, None).await;
                let limit = source.directory.settings().timeouts.sync;
                let together = follows.is_some();
                let going = async {
                    run.counts_together(together).await?;
                    run.go().await
                };
                let done = tokio::select! {
                    done = tokio::time::timeout(limit, going) => done.unwrap_or(Err(Broken::Timeout(limit))),
                    () = held.lost() => Err(Broken::LostLease),
                    () = lost(follows.as_mut()) => Err(Broken::Succeeded),
                };
                // Whoever takes the lease next finds nothing under way.
                run.abandon().await;
                if let Err(broken) = done.and(run.note_removals().await) {
                    broken.tell(&mut run.report);
                }
                lease = Some(held);
            }
            Ok(None) => run.report.end(SyncOutcome::AlreadyRunning, SyncReason::AlreadyRunning),
            Err(error) => Broken::from(error).tell(&mut run.report),
        }
        let mut report = run.report;
        report.duration_ms = u64::try_from(run.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        measure(&report, report.mode.as_str());
        if report.outcome != SyncOutcome::AlreadyRunning {
            self.record_run(&report, began, Some(self.now())).await;
        }
        // Last: a run that is written down as under way while nobody holds its lease is one that was killed.
        if let Some(lease) = lease {
            lease.give_back().await;
        }
        report
    }

    /// Runs are kept, so that people can see what happened. One that cannot be written down counts all the same.
    async fn record_run(&self, run: &SyncRun, began: DateTime<Utc>, ended: Option<DateTime<Utc>>) {
        self.record_run_as(run, run.mode.as_str(), began, ended).await;
    }

    async fn record_run_as(&self, run: &SyncRun, mode: &str, began: DateTime<Utc>, ended: Option<DateTime<Utc>>) {
        let outcome = if ended.is_some() { run.outcome.as_str() } else { RUNNING };
        let mut report = run.clone();
        report.changes = None;
        report.would_remove.truncate(MOST_KEPT);
        let record = SyncRunRecord {
            id: run.id,
            source: run.source.clone(),
            mode: mode.to_owned(),
            outcome: outcome.to_owned(),
            started_at: began,
            ended_at: ended,
            dry_run: run.dry_run,
            report: serde_json::to_value(&report).unwrap_or_default(),
        };
        if let Err(error) = self.store().put_sync_run(&record).await {
            let error = chain(&error);
            tracing::warn!(target: "bindery_core::sync", source = run.source, error, "the run could not be written down");
        }
    }
}

/// Ends when a lease is lost; never, where there is none.
async fn lost(lease: Option<&mut Loss>) {
    match lease {
        Some(lease) => lease.lost().await,
        None => std::future::pending().await,
    }
}

/// Counts and duration, for `/metrics`, and one line for the log.
fn measure(run: &SyncRun, mode: &str) {
    let labels =
        [("source", run.source.clone()), ("mode", mode.to_owned()), ("outcome", run.outcome.as_str().to_owned())];
    metrics::counter!("bindery_sync_runs_total", &labels).increment(1);
    metrics::histogram!("bindery_sync_duration_seconds", &labels)
        .record(Duration::from_millis(run.duration_ms).as_secs_f64());
    for (kind, tally) in [("user", run.users), ("group", run.groups)] {
        for (action, count) in tally.actions() {
            let labels = [("source", run.source.clone()), ("kind", kind.to_owned()), ("action", action.to_owned())];
            metrics::counter!("bindery_sync_entries_total", &labels).increment(count);
        }
    }
    tracing::info!(
        target: "bindery_core::sync", source = run.source, mode, outcome = run.outcome.as_str(),
        reason = run.reason.map(SyncReason::as_str), users = run.users.seen, groups = run.groups.seen,
        created = run.users.created, updated = run.users.updated, deactivated = run.users.deactivated,
        deleted = run.users.deleted, failed = run.users.failed, duration_ms = run.duration_ms, "sync",
    );
}

/// The outcome of a run that has none yet, as it is kept.
const RUNNING: &str = "running";
/// Removals that are kept with a run.
const MOST_KEPT: usize = 100;
