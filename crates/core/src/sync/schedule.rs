//! When a source is read by itself: `sync.schedule`, in UTC, moved by an offset of this installation, so that a
//! thousand installations do not ask their directories in the same second. And its servers are looked at every hour.

use super::{RUNNING, SyncRequest, doubt, lease};
use crate::engine::{ActiveSource, Engine, chain};
use bindery_directory::FeedKind;
use bindery_store::StoreError;
use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{Id, JoinSet};
use tokio::time::sleep;

/// Waiting is cut into pieces, so that a clock that is set, or a new configuration, counts soon.
const LOOK: Duration = Duration::from_secs(5);
/// How long an ending server waits for followers to give back their leases.
const GRACE: Duration = Duration::from_secs(2);
/// A server that is stopping waits no longer than this for those who wait.
const PIECE: Duration = Duration::from_millis(500);
/// When servers are looked at, before that is moved.
const HOURLY: &str = "0 * * * *";

/// The schedule of one source on one installation.
#[derive(Debug)]
pub(super) struct Schedule(Cron);

impl Schedule {
    /// `install` is whatever tells installations apart. Only a minute that is fixed is moved, within its hour.
    pub(super) fn new(text: &str, install: &[u8]) -> Option<Self> {
        let mut fields: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if let Some(minute) = fields.first_mut()
            && let Ok(fixed) = minute.parse::<u32>()
        {
            *minute = ((fixed + offset(install)) % 60).to_string();
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).build();
        parser.parse(&fields.join(" ")).ok().map(Self)
    }

    /// The first time after this one.
    #[cfg(test)]
    pub(super) fn next(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.0.find_next_occurrence(&after, false).ok()
    }

    /// The last time up to this one.
    pub(super) fn last(&self, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.0.find_previous_occurrence(&until, true).ok()
    }
}

fn offset(install: &[u8]) -> u32 {
    let digest = Sha256::digest(install);
    u32::from(digest.first().copied().unwrap_or_default()) % 60
}

impl Engine {
    /// Syncs a source at its times, for as long as it is configured so. A time that was missed is made up for once.
    pub async fn keep_schedule(&self, source: &Arc<ActiveSource>) {
        let Some(text) = &source.sync.schedule else { return };
        let mut trouble = String::new();
        while self.is_scheduled(source) {
            match self.scheduled(source, text).await {
                Ok(()) => trouble.clear(),
                Err(error) => {
                    let detail = chain(&error);
                    if detail != trouble {
                        tracing::warn!(target: "bindery_core::sync", source = source.slug, detail, "the schedule cannot be looked at; trying again");
                        trouble = detail;
                    }
                }
            }
            self.wait_a_little(source).await;
        }
    }

    /// Looks every hour whether the servers of a source can be used, for as long as it is in service: those that nobody has
    /// needed are not found out only when they are. Each replica does, because each has connections of its own.
    pub async fn keep_looking(&self, source: &Arc<ActiveSource>) {
        let (mut looked, mut hourly) = (self.now(), None);
        while self.is_scheduled(source) {
            if hourly.is_none() {
                // While the store is not there others say so; this can wait.
                hourly = self.schedule_of(source, HOURLY).await.ok().flatten();
            }
            let due = hourly.as_ref().and_then(|hourly| hourly.last(self.now()));
            if due.is_some_and(|due| due > looked) {
                looked = self.now();
                source.directory.look().await;
            }
            self.wait_a_little(source).await;
        }
    }

    /// Waits for [`LOOK`], unless the source goes out of service.
    async fn wait_a_little(&self, source: &Arc<ActiveSource>) {
        let mut left = LOOK;
        while self.is_scheduled(source) && !left.is_zero() {
            sleep(PIECE).await;
            left = left.saturating_sub(PIECE);
        }
    }

    /// A schedule as it is on this installation.
    async fn schedule_of(&self, source: &ActiveSource, text: &str) -> Result<Option<Schedule>, StoreError> {
        let mut made = [0u8; 16];
        self.entropy().fill(&mut made);
        let mut install = self.store().setting_or_insert("install_id", &made).await?;
        install.extend_from_slice(source.slug.as_bytes());
        Ok(Schedule::new(text, &install))
    }

    /// Runs a sync if its time has come and nobody has run one since.
    async fn scheduled(&self, source: &Arc<ActiveSource>, text: &str) -> Result<(), StoreError> {
        let Some(schedule) = self.schedule_of(source, text).await? else { return Ok(()) };
        let Some(due) = schedule.last(self.now()) else { return Ok(()) };
        let last = self.store().last_sync_run(&source.slug, &[]).await?;
        if let Some(run) = last.filter(|run| run.started_at >= due) {
            // One that was killed has not run.
            let lease = lease::of_runs(source);
            if run.outcome != RUNNING || self.store().lease(&lease, self.now()).await?.is_some() {
                return Ok(());
            }
        }
        // A feed that sees no deletions is no way to notice them.
        let position = doubt::position(self.store(), source).await?;
        let full = position.is_some_and(|position| position.kind != FeedKind::Syncrepl);
        let because = full.then_some("the server's change feed sees no deletions");
        self.sync(source, SyncRequest { full, because, ..SyncRequest::default() }).await;
        Ok(())
    }

    fn is_scheduled(&self, source: &Arc<ActiveSource>) -> bool {
        !self.is_stopping() && self.source(&source.slug).is_some_and(|current| Arc::ptr_eq(&current, source))
    }

    /// Follows and schedules every source, looks at its servers every hour, and takes over a new configuration as it comes, until
    /// [`stop_syncing`](Self::stop_syncing).
    pub async fn keep_in_sync(&self) {
        let mut kept: Vec<Arc<ActiveSource>> = Vec::new();
        let mut tasks = Tasks::default();
        while !self.is_stopping() {
            let sources = self.sources();
            // The tasks of a source that is no longer in service end by themselves.
            kept.retain(|one| sources.iter().any(|source| Arc::ptr_eq(source, one)));
            for source in sources.iter() {
                if !kept.iter().any(|one| Arc::ptr_eq(source, one)) {
                    kept.push(source.clone());
                    self.keep(source, Keeping::Look, &mut tasks);
                    if source.sync.live {
                        self.keep(source, Keeping::Live, &mut tasks);
                    }
                    if source.sync.schedule.is_some() {
                        self.keep(source, Keeping::Schedule, &mut tasks);
                    }
                }
            }
            for (source, keeping) in tasks.broken_off() {
                tracing::error!(target: "bindery_core::sync", source = source.slug, ?keeping, "it broke off, as by a panic of the app's; begun again");
                if self.is_scheduled(&source) {
                    self.keep(&source, keeping, &mut tasks);
                }
            }
            sleep(Duration::from_secs(1)).await;
        }
        // Leases that are given back are free at once; those that are not end by themselves.
        let _ = tokio::time::timeout(GRACE, async { while tasks.running.join_next().await.is_some() {} }).await;
    }

    fn keep(&self, source: &Arc<ActiveSource>, keeping: Keeping, tasks: &mut Tasks) {
        let (engine, kept) = (self.clone(), source.clone());
        let task = tasks.running.spawn(async move {
            match keeping {
                Keeping::Live => engine.follow(&kept).await,
                Keeping::Schedule => engine.keep_schedule(&kept).await,
                Keeping::Look => engine.keep_looking(&kept).await,
            }
        });
        tasks.of.insert(task.id(), (source.clone(), keeping));
    }
}

/// What a task is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeping {
    Live,
    Schedule,
    Look,
}

/// What is kept going, for as long as a source is in service.
#[derive(Default)]
struct Tasks {
    running: JoinSet<()>,
    of: HashMap<Id, (Arc<ActiveSource>, Keeping)>,
}

impl Tasks {
    /// Those that did not come to their end since this was last asked.
    fn broken_off(&mut self) -> Vec<(Arc<ActiveSource>, Keeping)> {
        let mut broken_off = Vec::new();
        while let Some(ended) = self.running.try_join_next_with_id() {
            match ended {
                Ok((id, ())) => drop(self.of.remove(&id)),
                Err(error) => broken_off.extend(self.of.remove(&error.id())),
            }
        }
        broken_off
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_fixed_minute_is_moved_within_its_hour_and_nothing_else_is() {
        let every = Schedule::new("*/15 * * * *", b"one").unwrap();
        assert_eq!(every.next(at("2026-11-22T10:01:00Z")), Some(at("2026-11-22T10:15:00Z")));
        let nightly = Schedule::new("0 3 * * *", b"one").unwrap();
        let next = nightly.next(at("2026-11-22T10:01:00Z")).unwrap();
        assert!(next >= at("2026-11-23T03:00:00Z") && next < at("2026-11-23T04:00:00Z"), "{next}");
        assert_eq!(nightly.last(next), Some(next));
        assert_eq!(Schedule::new("0 3 * * *", b"one").unwrap().next(next), nightly.next(next));
    }

    #[test]
    fn installations_differ() {
        let times: std::collections::BTreeSet<_> = (0..32u8)
            .filter_map(|install| Schedule::new("0 3 * * *", &[install])?.next(at("2026-11-22T10:01:00Z")))
            .collect();
        assert!(times.len() > 10, "{}", times.len());
    }

    #[test]
    fn a_missed_time_is_the_last_one() {
        let hourly = Schedule::new("*/30 * * * *", b"").unwrap();
        assert_eq!(hourly.last(at("2026-11-22T10:29:59Z")), Some(at("2026-11-22T10:00:00Z")));
    }
}
