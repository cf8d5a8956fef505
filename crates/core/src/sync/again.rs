//! When a follower looks again at those who failed. Pure: the time comes in, and nobody is looked at here.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::Duration;
use tokio::time::Instant;

/// Those who failed are looked at again no sooner than this, and no sooner than their number bids.
const AGAIN: Duration = Duration::from_secs(5);
const AGAIN_FOR_EACH: Duration = Duration::from_millis(100);
/// So many of them at a time.
const AT_ONCE: usize = 50;
/// And after this at the latest.
const LATEST_AGAIN: Duration = Duration::from_mins(5);

/// When those who failed are looked at again: what stood in their way may be gone, and no feed tells of that.
pub(super) struct Again {
    last: Instant,
    least: Duration,
    /// Until the next look.
    wait: Duration,
    /// Between two rounds of all of them.
    round: Duration,
    /// Whom of this round was looked at last, where others follow.
    after: Option<String>,
    /// Nothing came of this round so far.
    same: bool,
}

impl Again {
    pub(super) fn new(now: Instant) -> Self {
        Self { last: now, least: AGAIN, wait: AGAIN, round: AGAIN, after: None, same: true }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now.duration_since(self.last) >= self.wait
    }

    /// Others have changed: one of those may have stood in the way.
    pub(super) fn hurry(&mut self) {
        (self.wait, self.round) = (self.wait.min(self.least), self.least);
    }

    /// Whom to look at now. Not all at once: meanwhile what changes has to wait.
    pub(super) fn part(&mut self, failed: &BTreeSet<String>) -> BTreeSet<String> {
        let from = self.after.take().map_or(Bound::Unbounded, Bound::Excluded);
        let part: BTreeSet<String> = failed.range((from, Bound::Unbounded)).take(AT_ONCE).cloned().collect();
        self.after = part.last().filter(|last| failed.last() != Some(last)).cloned();
        part
    }

    /// Of so many a part was looked at, and `same`: nothing came of it.
    pub(super) fn looked(&mut self, now: Instant, many: usize, same: bool) {
        self.last = now;
        self.least = AGAIN_FOR_EACH.saturating_mul(u32::try_from(many).unwrap_or(u32::MAX)).clamp(AGAIN, LATEST_AGAIN);
        self.same &= same;
        if self.after.is_some() {
            self.wait = AGAIN;
            return;
        }
        self.round = if self.same { (self.round * 2).clamp(self.least, LATEST_AGAIN) } else { self.least };
        (self.wait, self.same) = (self.round, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_failed_is_looked_at_again_ever_later_and_never_all_the_time() {
        let now = Instant::now();
        let mut again = Again::new(now);
        assert!(!again.is_due(now + AGAIN / 2) && again.is_due(now + AGAIN));
        let mut waits = Vec::new();
        for _ in 0..9 {
            again.looked(now, 1, true);
            waits.push(again.wait.as_secs());
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300, 300, 300]);
        again.hurry();
        assert_eq!(again.wait, AGAIN);
        again.looked(now, 500, true);
        again.hurry();
        assert_eq!(again.wait, Duration::from_secs(50), "many at once are no flood");
        again.looked(now, 0, false);
        assert_eq!(again.wait, AGAIN);
    }

    #[test]
    fn many_who_failed_are_looked_at_in_parts_each_once_a_round() {
        let now = Instant::now();
        let failed: BTreeSet<String> = (0..120).map(|at| format!("{at:03}")).collect();
        let mut again = Again::new(now);
        for _ in 0..3 {
            let mut seen = Vec::new();
            for (size, last) in [(50, false), (50, false), (20, true)] {
                let part = again.part(&failed);
                assert_eq!(part.len(), size);
                seen.extend(part);
                again.looked(now, failed.len(), true);
                assert_eq!(again.wait == AGAIN, !last, "{:?}", again.wait);
            }
            assert!(seen.iter().eq(&failed));
        }
        assert_eq!(again.wait, Duration::from_secs(48));
        again.part(&failed);
        assert!(again.part(&["000".to_owned()].into()).is_empty(), "the others are no longer among them");
        assert_eq!(again.part(&failed).len(), 50, "from the beginning");
        assert!(again.part(&BTreeSet::new()).is_empty());
    }
}
