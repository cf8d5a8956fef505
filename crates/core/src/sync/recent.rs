//! What a follower has removed of late: it counts together against `removal_limit`, whoever follows, and whatever run meets
//! what was held for that.
//!
//! Kept in the store, so that a thousand single deletions are held like one thousand at once even where the follower
//! changes in between, and written there right before they are carried out: a follower may be gone a moment later. So do
//! the full runs that a follower makes in doubt. A run that somebody else asks for counts with what is in here, so that
//! what the follower holds is not carried out by the next run with nobody looking; what it removes itself is not in here.
//! Once somebody has looked and allowed removals, the count begins anew.
//!
//! Nothing of it is remembered anywhere else.

use super::Removals;
use super::broken::Broken;
use super::doubt;
use crate::engine::{ActiveSource, Engine, chain};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

const FEED: &str = "removals";
/// What is removed within this counts together.
const WINDOW: TimeDelta = TimeDelta::hours(1);
/// Removals within this are kept as one: there are never more than an hour's worth of them.
const TOGETHER: TimeDelta = TimeDelta::minutes(1);

/// Removals of the last hour, oldest first.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Recent(Vec<Once>);

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Once {
    at: DateTime<Utc>,
    users: u64,
    groups: u64,
    memberships: u64,
    /// And nobody knows how many before.
    #[serde(default)]
    unknown: bool,
}

impl Recent {
    /// Those of whoever has followed. If they cannot be read nobody knows how many they were, for as long as they
    /// would have counted: from now on, or, under a dry run, which writes nothing, once somebody has remembered that.
    pub(super) async fn load(engine: &Engine, source: &ActiveSource, dry_run: bool) -> Result<Self, Broken> {
        match doubt::kept(engine.store(), source, FEED).await {
            Err(error) if error.is_corrupt() => {
                let (error, now) = (chain(&error), engine.now());
                tracing::warn!(target: "bindery_core::live", source = source.slug, error, "nobody knows what was removed in the last hour; removals are held for that long");
                let unknown = Self(vec![Once { at: now, users: 0, groups: 0, memberships: 0, unknown: true }]);
                if !dry_run {
                    engine.store().put_position(&source.slug, FEED, json!(unknown), now).await?;
                }
                Ok(unknown)
            }
            kept => Ok(kept?),
        }
    }

    /// Counts some more of them, together with what others have counted meanwhile.
    pub(super) async fn add(engine: &Engine, source: &ActiveSource, removals: Removals) -> Result<(), Broken> {
        if removals == Removals::default() {
            return Ok(());
        }
        let mut recent = Self::load(engine, source, false).await?;
        let now = engine.now();
        recent.count(removals, now);
        Ok(engine.store().put_position(&source.slug, FEED, json!(recent), now).await?)
    }

    /// Somebody has looked: those so far count no more.
    pub(super) async fn forget_all(engine: &Engine, source: &ActiveSource) -> Result<(), Broken> {
        Ok(engine.store().put_position(&source.slug, FEED, json!(Self::default()), engine.now()).await?)
    }

    fn count(&mut self, removals: Removals, now: DateTime<Utc>) {
        self.forget(now);
        let Removals { users, groups, memberships } = removals;
        match self.0.last_mut().filter(|last| now - last.at < TOGETHER) {
            Some(last) => {
                last.users += users;
                last.groups += groups;
                last.memberships += memberships;
            }
            None => self.0.push(Once { at: now, users, groups, memberships, unknown: false }),
        }
    }

    fn forget(&mut self, now: DateTime<Utc>) {
        self.0.retain(|one| now - one.at < WINDOW);
    }

    /// All that count now; `None` where nobody knows how many.
    pub(super) fn sum(&self, now: DateTime<Utc>) -> Option<Removals> {
        let counts = |one: &&Once| now - one.at < WINDOW;
        self.0.iter().filter(counts).try_fold(Removals::default(), |sum, one| {
            let Once { users, groups, memberships, unknown, .. } = *one;
            (!unknown).then(|| sum.and(Removals { users, groups, memberships }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_counts_together() {
        let at = |minute: i64| DateTime::from_timestamp(minute * 60, 0).unwrap();
        let one = Removals { users: 1, ..Removals::default() };
        let mut recent = Recent::default();
        for minute in 0..90 {
            recent.count(one, at(minute));
            recent.count(Removals { memberships: 2, ..one }, at(minute));
        }
        assert!(recent.0.len() <= 60, "{}", recent.0.len());
        assert_eq!(recent.sum(at(89)), Some(Removals { users: 120, groups: 0, memberships: 120 }));
        assert_eq!(recent.sum(at(148)), Some(Removals { users: 2, groups: 0, memberships: 2 }));
        assert_eq!(recent.sum(at(149)), Some(Removals::default()));
    }
}
