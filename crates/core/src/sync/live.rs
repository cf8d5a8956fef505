//! Following a source's change feed without end, while serving: whoever is shut out in the directory is out here within
//! a second. Over any number of replicas one follows; the lease of a dead one ends by itself.

use super::SyncRequest;
use super::apart::{Aside, Difference};
use super::broken::Broken;
use super::changes::{Absorbed, Told};
use super::doubt;
use super::lease::{self, Held};
use super::recent::Recent;
use super::report::{Mode, SyncOutcome, SyncRun};
use super::run::Run;
use crate::engine::{ActiveSource, Engine, chain};
use crate::events::Event;
use bindery_directory::{Changes, FeedEvent, Position, Since};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, sleep, timeout};

/// Between two looks at whether another replica still follows.
const STANDBY: Duration = Duration::from_secs(5);
/// After an outage it follows again within five seconds.
const RETRY: Duration = Duration::from_secs(2);
/// Whatever is waited for is waited for in pieces: a new configuration counts soon.
const PAUSE: Duration = Duration::from_millis(200);
/// For so long after a new configuration the follower under the old one is about to give the lease back.
const HANDOVER: Duration = Duration::from_secs(3);
/// A full run is put off no longer than this.
const MOST_PUT_OFF: Duration = Duration::from_mins(5);
/// Following for so long is a feed that works.
const STEADY: Duration = Duration::from_mins(1);

/// What a follower's runs are called where they are counted and kept. For a schedule they are none.
const LIVE: &str = "live";

/// Why following ended.
enum Ended {
    /// The source is another one now, or no longer to be followed.
    Reconfigured,
    /// Another replica follows.
    LostLease,
}

impl Engine {
    /// Follows a source for as long as it is configured so. Ends when its configuration has changed.
    pub async fn follow(&self, source: &Arc<ActiveSource>) {
        let began = Instant::now();
        loop {
            if !self.is_current(source) {
                return;
            }
            match lease::take(self, format!("live:{}", source.slug)).await {
                Ok(Some(held)) => {
                    tracing::info!(target: "bindery_core::live", source = source.slug, "following the directory's changes");
                    if let Ended::Reconfigured = self.follow_with(source, held).await {
                        return;
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    self.trouble(source, &chain(&error));
                    sleep(RETRY).await;
                    continue;
                }
            }
            sleep(if began.elapsed() < HANDOVER { PAUSE } else { STANDBY }).await;
        }
    }

    async fn follow_with(&self, source: &Arc<ActiveSource>, mut held: Held) -> Ended {
        let mut follower = Follower { engine: self, source, removals: Recent::default(), put_off: Duration::ZERO };
        let ended = tokio::select! {
            ended = follower.run() => ended,
            () = held.lost() => Ended::LostLease,
        };
        held.give_back().await;
        ended
    }

    /// Whether this very source is in service and to be followed.
    fn is_current(&self, source: &Arc<ActiveSource>) -> bool {
        !self.is_stopping()
            && source.sync.live
            && self.source(&source.slug).is_some_and(|current| Arc::ptr_eq(&current, source))
    }

    fn trouble(&self, source: &ActiveSource, detail: &str) {
        tracing::warn!(target: "bindery_core::live", source = source.slug, detail, "the change feed is not being followed; trying again");
        self.tell(&Event::DirectoryError { source: source.slug.clone(), detail: detail.to_owned() });
    }
}

struct Follower<'a> {
    engine: &'a Engine,
    source: &'a Arc<ActiveSource>,
    removals: Recent,
    /// How long the next full run is put off: a feed that is in doubt again and again is no reason to read everything
    /// again and again.
    put_off: Duration,
}

impl Follower<'_> {
    async fn run(&mut self) -> Ended {
        let mut last_trouble = String::new();
        loop {
            if !self.engine.is_current(self.source) {
                return Ended::Reconfigured;
            }
            match self.once().await {
                Ok(()) => last_trouble.clear(),
                Err(broken) => {
                    let detail = chain(&broken);
                    // The same trouble is told once.
                    if detail != last_trouble {
                        self.engine.trouble(self.source, &detail);
                        last_trouble = detail;
                    }
                }
            }
            self.wait(RETRY).await;
        }
    }

    /// Waits, unless the source is no longer to be followed like this. Whether it still is.
    async fn wait(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while self.engine.is_current(self.source) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            sleep(left.min(PAUSE)).await;
        }
        false
    }

    /// From the stored position on, until something breaks or is in doubt; doubt is settled by a full run.
    async fn once(&mut self) -> Result<(), Broken> {
        let position = match doubt::following(self.engine.store(), self.source).await? {
            doubt::Footing::Position(position) => position,
            doubt::Footing::Doubt(why) => return self.catch_up(&why).await,
        };
        let (source, poll) = (self.source, self.source.sync.poll);
        match source.directory.changes(&position, &source.wanted, Some(poll)).await? {
            Since::Doubt(why) => self.catch_up(&why).await,
            Since::Changes(changes) => self.hear(changes).await,
        }
    }

    async fn catch_up(&mut self, why: &str) -> Result<(), Broken> {
        // While nobody answers there is nothing to read, nothing to put off and no run to write down.
        self.source.directory.feed_kind().await?;
        tracing::info!(target: "bindery_core::live", source = self.source.slug, why, "everything is read again");
        // By rules that no longer hold nobody is read.
        if !self.wait(self.put_off).await {
            return Ok(());
        }
        self.put_off = (self.put_off * 2).clamp(RETRY, MOST_PUT_OFF);
        let request = SyncRequest { full: true, because: Some(why), ..SyncRequest::default() };
        let run = self.engine.sync(self.source, request).await;
        match run.outcome {
            SyncOutcome::Failed => Err(Broken::Run(run.errors.into_iter().next().unwrap_or_default())),
            _ => Ok(()),
        }
    }

    async fn hear(&mut self, mut changes: Changes) -> Result<(), Broken> {
        let _following = Following::new(&self.source.slug);
        let began = Instant::now();
        self.removals = Recent::load(self.engine, self.source).await?;
        let mut aside = Aside::load(self.engine, self.source).await?;
        let mut told = Told::default();
        let mut look_aside = tokio::time::interval(self.source.sync.poll);
        look_aside.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = tokio::time::interval(PAUSE);
        loop {
            let event = tokio::select! {
                event = changes.next() => event?,
                _ = look_aside.tick(), if !aside.is_empty() => {
                    let now = aside.read_again(&self.source.directory).await?;
                    if now != aside {
                        match self.carry_out_aside(&aside, &now).await? {
                            Some(Absorbed::Whole) => {}
                            Some(Absorbed::Doubt(why)) => return self.catch_up(&why).await,
                            None => return Ok(()),
                        }
                        aside = now;
                    }
                    continue;
                }
                _ = look.tick() => {
                    if began.elapsed() > STEADY {
                        self.put_off = Duration::ZERO;
                    }
                    if self.engine.is_current(self.source) {
                        continue;
                    }
                    return Ok(());
                }
            };
            match event {
                Some(FeedEvent::Reached(position)) => {
                    match self.carry_out(std::mem::take(&mut told), Some(&position), None).await? {
                        Some(Absorbed::Whole) => {}
                        Some(Absorbed::Doubt(why)) => return self.catch_up(&why).await,
                        None => return Ok(()),
                    }
                }
                Some(FeedEvent::Doubt(why)) => return self.catch_up(&why).await,
                Some(event) => told.hear(event),
                None => return Ok(()),
            }
            if let Some(why) = told.too_much() {
                return self.catch_up(why).await;
            }
        }
    }

    /// What has become of groups that no feed tells of.
    async fn carry_out_aside(&mut self, before: &Aside, now: &Aside) -> Result<Option<Absorbed>, Broken> {
        match before.difference(now) {
            Difference::Doubt(why) => Ok(Some(Absorbed::Doubt(why))),
            Difference::Members(members) => {
                let mut told = Told::default();
                told.hear_aside(members);
                self.carry_out(told, None, Some(now.clone())).await
            }
        }
    }

    /// Carries out what was told, as a run of its own. A run that is under way is waited for; `None` where that took so
    /// long that somebody else follows by now.
    async fn carry_out(
        &mut self,
        told: Told,
        position: Option<&Position>,
        aside: Option<Aside>,
    ) -> Result<Option<Absorbed>, Broken> {
        let mut run = Run::new(self.engine, self.source, SyncRequest::default());
        if told.is_empty() {
            if let Some(position) = position {
                run.reached(position).await?;
            }
            return Ok(Some(Absorbed::Whole));
        }
        run.aside = aside;
        run.report.mode = Mode::Incremental;
        run.already = self.removals.sum(self.engine.now());
        let mut held = loop {
            match lease::take_as_follower(self.engine, lease::of_runs(self.source)).await? {
                Some(held) => break held,
                None if self.wait(PAUSE).await => {}
                None => return Ok(None),
            }
        };
        let limit = self.source.directory.settings().timeouts.sync;
        let done = tokio::select! {
            done = timeout(limit, absorb(&mut run, told, position)) => done.unwrap_or(Err(Broken::Timeout(limit))),
            () = held.lost() => Err(Broken::LostLease),
        };
        let counted = self.removals.add(self.engine, self.source, run.removed).await;
        held.give_back().await;
        run.report.duration_ms = u64::try_from(run.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        record(&run.report);
        if run.report.reason.is_some() {
            self.engine.record_run_as(&run.report, LIVE, run.now, Some(self.engine.now())).await;
        }
        counted?;
        done.map(Some)
    }
}

/// Says in the metrics that a source is followed, for as long as it is.
struct Following(String);

impl Following {
    fn new(slug: &str) -> Self {
        metrics::gauge!("bindery_live_following", "source" => slug.to_owned()).set(1.0);
        Self(slug.to_owned())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        metrics::gauge!("bindery_live_following", "source" => self.0.clone()).set(0.0);
    }
}

/// What changed nothing is not worth a line.
fn record(report: &SyncRun) {
    let (users, groups) = (report.users.actions(), report.groups.actions());
    let wrote = |(name, count): &(&str, u64)| *count > 0 && !matches!(*name, "unchanged" | "skipped");
    if users.iter().chain(&groups).any(wrote) || report.reason.is_some() {
        super::measure(report, LIVE);
    }
}

async fn absorb(run: &mut Run<'_>, told: Told, position: Option<&Position>) -> Result<Absorbed, Broken> {
    let absorbed = run.absorb(told).await?;
    if let (Absorbed::Whole, Some(position)) = (&absorbed, position) {
        run.reached(position).await?;
    }
    Ok(absorbed)
}
