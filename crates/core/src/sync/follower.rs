//! One follower, for as long as it has the lease to follow: it hears what the feed tells, carries it out as runs of its own, and
//! settles doubt by reading everything. Nobody is written without the lease of those who write, nor once another one may follow.

use super::SyncRequest;
use super::again::Again;
use super::apart::{Aside, Difference};
use super::broken::Broken;
use super::changes::Absorbed;
use super::doubt;
use super::lease::{self, Held, Loss};
use super::report::{Mode, SyncOutcome, SyncRun};
use super::run::Run;
use super::told::Told;
use crate::engine::{ActiveSource, Engine, chain};
use bindery_directory::{Changes, FeedEvent, Position, Since};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, sleep, timeout};

/// After an outage it follows again within five seconds.
pub(super) const RETRY: Duration = Duration::from_secs(2);
/// Whatever is waited for is waited for in pieces: a new configuration counts soon.
pub(super) const PAUSE: Duration = Duration::from_millis(200);
/// A full run is put off no longer than this.
const MOST_PUT_OFF: Duration = Duration::from_mins(5);
/// Following for so long is a feed that works.
const STEADY: Duration = Duration::from_mins(1);

/// What a follower's runs are called where they are counted and kept. For a schedule they are none.
const LIVE: &str = "live";

/// Why following ended.
pub(super) enum Ended {
    /// The source is another one now, or no longer to be followed.
    Reconfigured,
    /// Another replica follows.
    LostLease,
}

/// Whoever follows a source.
pub(super) struct Follower<'a> {
    engine: &'a Engine,
    source: &'a Arc<ActiveSource>,
    /// Tells when another one may be following.
    follows: Loss,
    /// How long the next full run is put off: a feed that is in doubt again and again is no reason to read everything
    /// again and again.
    put_off: Duration,
    /// Somebody else had the source meanwhile, or everything was read: it goes on from there, and nothing is waited for.
    paused: bool,
    /// Up to where it has followed. Whoever else has had the source since stored another position.
    at: Option<Position>,
}

impl<'a> Follower<'a> {
    pub(super) fn new(engine: &'a Engine, source: &'a Arc<ActiveSource>, follows: Loss) -> Self {
        Self { engine, source, follows, put_off: Duration::ZERO, paused: false, at: None }
    }

    /// Follows until it has to end.
    pub(super) async fn run(&mut self) -> Ended {
        let mut last_trouble = String::new();
        loop {
            if !self.engine.is_current(self.source) {
                return Ended::Reconfigured;
            }
            let done = self.once().await;
            if self.follows.is_lost() {
                return Ended::LostLease;
            }
            match done {
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
            if !std::mem::take(&mut self.paused) {
                self.wait(RETRY).await;
            }
        }
    }

    /// Whether it is still this one that follows, and the source is to be followed like this.
    fn goes_on(&self) -> bool {
        self.engine.is_current(self.source) && !self.follows.is_lost()
    }

    /// Waits, for as long as it goes on. Whether it still does.
    async fn wait(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while self.goes_on() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            sleep(left.min(PAUSE)).await;
        }
        false
    }

    /// Follows until something breaks. That something stored cannot be read is doubt like any other.
    async fn once(&mut self) -> Result<(), Broken> {
        match self.go_on().await {
            Err(Broken::Store(error)) if error.is_corrupt() => {
                let Some(held) = self.lease().await? else { return Ok(()) };
                let forgotten = doubt::forget(self.engine.store(), self.source, &error, self.engine.now()).await;
                held.give_back().await;
                self.catch_up(&forgotten?).await
            }
            done => done,
        }
    }

    /// From the stored position on, until something breaks or is in doubt; doubt is settled by a full run.
    async fn go_on(&mut self) -> Result<(), Broken> {
        let position = match doubt::following(self.engine.store(), self.source).await? {
            doubt::Footing::Position(position) => position,
            doubt::Footing::Doubt(why) => return self.catch_up(&why).await,
        };
        self.at = Some(position.clone());
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
        let before = doubt::position(self.engine.store(), self.source).await?;
        // By rules that no longer hold nobody is read.
        if !self.wait(self.put_off).await {
            return Ok(());
        }
        if doubt::position(self.engine.store(), self.source).await? != before {
            // Somebody else has read everything meanwhile.
            self.paused = true;
            return Ok(());
        }
        let request = SyncRequest { full: true, because: Some(why), ..SyncRequest::default() };
        // Nobody asked for it: what it removes counts together with what is removed while following.
        let run = self.engine.sync_while(self.source, request, Some(self.follows.clone())).await;
        if run.outcome == SyncOutcome::AlreadyRunning {
            return self.await_turn().await;
        }
        self.put_off = (self.put_off * 2).clamp(RETRY, MOST_PUT_OFF);
        if run.outcome == SyncOutcome::Failed {
            return Err(Broken::Run(run.errors.into_iter().next().unwrap_or_default()));
        }
        self.paused = true;
        Ok(())
    }

    /// Waits until nobody else has the source. What they have read is newer than what was told before.
    async fn await_turn(&mut self) -> Result<(), Broken> {
        if let Some(held) = self.lease().await? {
            held.give_back().await;
            self.paused = true;
        }
        Ok(())
    }

    async fn hear(&mut self, mut changes: Changes) -> Result<(), Broken> {
        tracing::info!(target: "bindery_core::live", source = self.source.slug, "following the directory's changes");
        let _following = Following::new(&self.source.slug);
        let began = Instant::now();
        let mut aside = Aside::load(self.engine, self.source).await?;
        let mut told = Told::default();
        let mut look_aside = tokio::time::interval(self.source.sync.poll);
        look_aside.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = tokio::time::interval(PAUSE);
        let mut again = Again::new(began);
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
                    if !self.goes_on() {
                        return Ok(());
                    }
                    if again.is_due(Instant::now()) {
                        match self.look_again(&mut again).await? {
                            Some(Absorbed::Whole) => {}
                            Some(Absorbed::Doubt(why)) => return self.catch_up(&why).await,
                            None => return Ok(()),
                        }
                    }
                    continue;
                }
            };
            match event {
                Some(FeedEvent::Reached(position)) => {
                    if !told.is_empty() {
                        again.hurry();
                    }
                    let told = std::mem::take(&mut told);
                    match self.carry_out(told, Some(&position), None, BTreeSet::new()).await? {
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

    /// Looks again at those who failed, and at those whom others have written.
    async fn look_again(&mut self, again: &mut Again) -> Result<Option<Absorbed>, Broken> {
        let failed = doubt::unsettled(self.engine, self.source).await?;
        let many = failed.len();
        let absorbed = self.carry_out(Told::default(), None, None, again.part(&failed)).await?;
        let same = many > 0 && doubt::unsettled(self.engine, self.source).await? == failed;
        again.looked(Instant::now(), many, same);
        Ok(absorbed)
    }

    /// What has become of groups that no feed tells of.
    async fn carry_out_aside(&mut self, before: &Aside, now: &Aside) -> Result<Option<Absorbed>, Broken> {
        match before.difference(now) {
            Difference::Doubt(why) => Ok(Some(Absorbed::Doubt(why))),
            Difference::Members(members) => {
                let mut told = Told::default();
                told.hear_aside(members);
                self.carry_out(told, None, Some(now.clone()), BTreeSet::new()).await
            }
        }
    }

    /// The lease of whoever writes, once nobody else has it; `None` where the source is no longer to be followed like this.
    async fn lease(&self) -> Result<Option<Held>, Broken> {
        loop {
            match lease::take_as_follower(self.engine, lease::of_runs(self.source)).await? {
                Some(held) => return Ok(Some(held)),
                None if self.wait(PAUSE).await => {}
                None => return Ok(None),
            }
        }
    }

    /// Carries out what was told, and looks `again` at others, as a run of its own. A run that is under way is waited for;
    /// `None` where there was one, or somebody else follows by now.
    async fn carry_out(
        &mut self,
        told: Told,
        position: Option<&Position>,
        aside: Option<Aside>,
        again: BTreeSet<String>,
    ) -> Result<Option<Absorbed>, Broken> {
        if told.is_empty() && again.is_empty() && (position.is_none() || position == self.at.as_ref()) {
            return Ok(Some(Absorbed::Whole));
        }
        let mut run = Run::new(self.engine, self.source, SyncRequest::default());
        run.aside = aside;
        run.report.mode = Mode::Incremental;
        let Some(mut held) = lease::take_as_follower(self.engine, lease::of_runs(self.source)).await? else {
            self.await_turn().await?;
            return Ok(None);
        };
        if doubt::position(self.engine.store(), self.source).await? != self.at {
            // What was told must not be written over what somebody else has read since.
            held.give_back().await;
            self.paused = true;
            return Ok(None);
        }
        let limit = self.source.directory.settings().timeouts.sync;
        // That somebody still fails was said the first time.
        let quiet = !again.is_empty();
        let mut follows = self.follows.clone();
        let done = tokio::select! {
            done = timeout(limit, absorb(&mut run, told, position, again)) => done.unwrap_or(Err(Broken::Timeout(limit))),
            () = held.lost() => Err(Broken::LostLease),
            () = follows.lost() => Err(Broken::Succeeded),
        };
        // Whoever takes the lease next finds nothing under way.
        run.abandon().await;
        let counted = run.note_removals().await;
        held.give_back().await;
        run.report.duration_ms = u64::try_from(run.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        record(&run.report, quiet);
        if run.report.reason.is_some() {
            self.engine.record_run_as(&run.report, LIVE, run.now, Some(self.engine.now())).await;
        }
        counted?;
        if let (Ok(Absorbed::Whole), Some(position)) = (&done, position) {
            self.at = Some(position.clone());
        }
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
fn record(report: &SyncRun, quiet: bool) {
    let (users, groups) = (report.users.actions(), report.groups.actions());
    let wrote = |(name, count): &(&str, u64)| match *name {
        "unchanged" | "skipped" => false,
        "failed" if quiet => false,
        _ => *count > 0,
    };
    if users.iter().chain(&groups).any(wrote) || report.reason.is_some() {
        super::measure(report, LIVE);
    }
}

async fn absorb(
    run: &mut Run<'_>,
    mut told: Told,
    position: Option<&Position>,
    again: BTreeSet<String>,
) -> Result<Absorbed, Broken> {
    run.counts_together(true).await?;
    run.look_again(again, &mut told).await?;
    let absorbed = if told.is_empty() {
        // They are gone, or cannot be read: that is all there is to remember.
        run.settle().await?;
        Absorbed::Whole
    } else {
        run.absorb(told).await?
    };
    if let (Absorbed::Whole, Some(position)) = (&absorbed, position) {
        run.reached(position).await?;
    }
    Ok(absorbed)
}
