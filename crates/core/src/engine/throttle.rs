//! Throttling: failures are counted in the store, per user and per address; attempts under way are
//! counted here, so that a thousand parallel guesses cannot all read the same count.
//!
//! Honest people in parallel wait for each other at most; they are never refused for being many. Who waits in vain, behind
//! a slow directory, is told that nobody can tell now, and not that they guessed.
//! Between replicas each holds its own attempts under way, so that a burst may go over the limit by
//! at most the limit for each further replica.

use super::attempt::Rejection;
use crate::Reason;
use bindery_store::{Limit, Store, StoreError, Throttle, ThrottleKind, UserState};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

type Key = (ThrottleKind, String);
type Slots = BTreeMap<Key, Slot>;

/// Nobody waits longer for others of the same name or address to be done.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct Slot {
    under_way: usize,
    /// Moves whenever an attempt ends: a count read before that is stale.
    ended: u64,
    waiting: usize,
    notify: Arc<Notify>,
}

/// Attempts under way in this process.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    slots: Arc<Mutex<Slots>>,
    patience: Duration,
}

impl Default for Gate {
    fn default() -> Self {
        Self { slots: Arc::default(), patience: PATIENCE }
    }
}

/// Leave to try a password. Dropped when the attempt is over, whatever its end.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Gate,
    /// What a failure counts for, and how many failures there were when leave was given.
    pub(crate) counted: Vec<(Limit, usize)>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut slots = self.gate.lock();
        for (limit, _) in &self.counted {
            let key = key_of(limit);
            if let Some(slot) = slots.get_mut(&key) {
                slot.under_way = slot.under_way.saturating_sub(1);
                slot.ended = slot.ended.wrapping_add(1);
                slot.notify.notify_waiters();
            }
            forget_if_idle(&mut slots, &key);
        }
    }
}

enum Turn {
    Go,
    Stale,
    Wait(Arc<Notify>),
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes ready to read failures before anybody knows which of them matter.
    pub(crate) fn glance(&self, limits: Vec<Limit>) -> Glance {
        let visit = Visit::new(self, limits);
        Glance { seen: visit.ended(), visit, failures: Vec::new() }
    }

    /// Waits for a turn under every limit, or refuses. A glance at them spares the first read.
    pub(crate) async fn enter(
        &self,
        store: &Store,
        limits: Vec<Limit>,
        window: Duration,
        now: DateTime<Utc>,
        glance: Option<Glance>,
    ) -> Result<Permit, Rejection> {
        let mut read = glance.as_ref().and_then(|glance| glance.at(&limits));
        let visit = Visit::new(self, limits);
        let limits = &visit.limits;
        let until = Instant::now() + self.patience;
        loop {
            let (seen, failures) = match read.take() {
                Some(read) => read,
                None => (visit.ended(), store.failures_of(limits, window, now).await?),
            };
            if let Some((limit, _)) =
                limits.iter().zip(&failures).find(|(limit, count)| **count >= limit.limit as usize)
            {
                // Over the limit nothing is counted; the store only says when to come back.
                let retry_after = record(store, std::slice::from_ref(limit), window, now).await;
                return Err(throttled(limit.kind, retry_after.unwrap_or(window)));
            }
            match visit.turn(&seen, &failures) {
                Turn::Go => {
                    let counted = limits.iter().cloned().zip(failures).collect();
                    return Ok(Permit { gate: self.clone(), counted });
                }
                Turn::Stale => {}
                Turn::Wait(notify) => {
                    let ended = notify.notified();
                    // Somebody may have ended between looking and listening.
                    if visit.ended() == seen && tokio::time::timeout_at(until, ended).await.is_err() {
                        return Err(crowded(self.patience));
                    }
                }
            }
        }
    }
}

/// Failures read for every limit that an attempt may turn out to fall under.
#[derive(Debug)]
pub(crate) struct Glance {
    /// So that nobody ends unnoticed after the read.
    visit: Visit,
    seen: Vec<u64>,
    failures: Vec<usize>,
}

impl Glance {
    /// Reads them, and who has a name.
    pub(crate) async fn read(
        &mut self,
        store: &Store,
        username_key: &str,
        window: Duration,
        now: DateTime<Utc>,
    ) -> Result<Option<UserState>, StoreError> {
        let limits = &self.visit.limits;
        let (held, failures) = store.user_and_failures(username_key, limits, window, now).await?;
        self.failures = failures;
        Ok(held)
    }

    /// What was seen of these limits, if of all of them.
    fn at(&self, limits: &[Limit]) -> Option<(Vec<u64>, Vec<usize>)> {
        let one = |limit| {
            let at = self.visit.limits.iter().position(|own| own == limit)?;
            Some((*self.seen.get(at)?, *self.failures.get(at)?))
        };
        limits.iter().map(one).collect()
    }
}

/// Somebody at the gate; keeps the slots alive while they wait.
#[derive(Debug)]
struct Visit {
    gate: Gate,
    limits: Vec<Limit>,
}

impl Visit {
    fn new(gate: &Gate, limits: Vec<Limit>) -> Self {
        let mut slots = gate.lock();
        for limit in &limits {
            slots.entry(key_of(limit)).or_default().waiting += 1;
        }
        drop(slots);
        Self { gate: gate.clone(), limits }
    }

    fn ended(&self) -> Vec<u64> {
        let slots = self.gate.lock();
        self.limits.iter().map(|limit| slots.get(&key_of(limit)).map_or(0, |slot| slot.ended)).collect()
    }

    fn turn(&self, seen: &[u64], failures: &[usize]) -> Turn {
        let mut slots = self.gate.lock();
        for ((limit, seen), failures) in self.limits.iter().zip(seen).zip(failures) {
            let slot = slots.entry(key_of(limit)).or_default();
            if slot.ended != *seen {
                return Turn::Stale;
            }
            if failures.saturating_add(slot.under_way) >= limit.limit as usize {
                return Turn::Wait(slot.notify.clone());
            }
        }
        for limit in &self.limits {
            let slot = slots.entry(key_of(limit)).or_default();
            slot.under_way = slot.under_way.saturating_add(1);
        }
        Turn::Go
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut slots = self.gate.lock();
        for limit in &self.limits {
            let key = key_of(limit);
            if let Some(slot) = slots.get_mut(&key) {
                slot.waiting = slot.waiting.saturating_sub(1);
            }
            forget_if_idle(&mut slots, &key);
        }
    }
}

fn key_of(limit: &Limit) -> Key {
    (limit.kind, limit.key.clone())
}

fn forget_if_idle(slots: &mut Slots, key: &Key) {
    if slots.get(key).is_some_and(|slot| slot.under_way == 0 && slot.waiting == 0) {
        slots.remove(key);
    }
}

/// Nobody has said no to who waited in vain: their password was not looked at, and nothing was counted.
fn crowded(patience: Duration) -> Rejection {
    let detail = format!(
        "so many sign-ins of this user or from this address are under way that this one had no turn within {patience:?}; \
         try again, and see whether the directory is slow"
    );
    Rejection::unavailable(detail)
}

fn throttled(kind: ThrottleKind, retry_after: Duration) -> Rejection {
    let whose = match kind {
        ThrottleKind::User => "this user",
        ThrottleKind::Address => "this address",
    };
    let mut rejection = Rejection::refused(Reason::Throttled, format!("too many failures of {whose} of late"));
    rejection.retry_after = Some(retry_after);
    rejection
}

/// Writes a failure down under every key it counts for.
pub(crate) async fn record(store: &Store, keys: &[Limit], window: Duration, now: DateTime<Utc>) -> Option<Duration> {
    match store.count_failure(keys, window, now).await {
        Ok(Throttle::Counted) => None,
        Ok(Throttle::Full { retry_after, .. }) => Some(retry_after),
        Err(error) => {
            tracing::error!(target: "bindery_core::throttle", %error, "a failed sign-in could not be counted");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;
    use bindery_store::StoreUrl;

    const WINDOW: Duration = Duration::from_mins(15);
    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn one(limit: u32) -> Vec<Limit> {
        vec![Limit { kind: ThrottleKind::User, key: "ann".to_owned(), limit }]
    }

    async fn memory() -> Store {
        Store::open(&StoreUrl::parse("sqlite::memory:").unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn who_waits_in_vain_has_not_guessed() {
        let store = memory().await;
        let gate = Gate { patience: Duration::from_millis(50), ..Gate::default() };
        let enter = async || gate.enter(&store, one(1), WINDOW, NOW, None).await;
        let first = enter().await.unwrap();
        let end = enter().await.unwrap_err();
        assert_eq!((end.outcome, end.reason, end.retry_after), (Outcome::Unavailable, None, None));
        drop(first);
        drop(enter().await.unwrap());
        assert!(gate.lock().is_empty(), "nothing is kept of those who have left");
    }

    #[tokio::test]
    async fn a_glance_from_before_a_failure_is_not_believed() {
        let store = memory().await;
        let gate = Gate::default();
        let mut glance = gate.glance(one(1));
        assert!(glance.read(&store, "ann", WINDOW, NOW).await.unwrap().is_none());

        let other = gate.enter(&store, one(1), WINDOW, NOW, None).await.unwrap();
        assert!(record(&store, &one(1), WINDOW, NOW).await.is_none());
        drop(other);

        let refused = gate.enter(&store, one(1), WINDOW, NOW, Some(glance)).await.unwrap_err();
        assert_eq!(refused.reason, Some(Reason::Throttled));
        assert!(gate.lock().is_empty());
    }
}
