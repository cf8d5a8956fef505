//! Throttling: failures are counted in the store, per user and per address; attempts under way are
//! counted here, so that a thousand parallel guesses cannot all read the same count.
//!
//! Honest people in parallel wait for each other at most; they are never refused for being many.
//! Between replicas each holds its own attempts under way, so that a burst may go over the limit by
//! at most the limit for each further replica.

use super::attempt::Rejection;
use crate::Reason;
use bindery_store::{Limit, Store, Throttle, ThrottleKind};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

type Key = (ThrottleKind, String);

#[derive(Debug, Default)]
struct Slot {
    under_way: u32,
    /// Moves whenever an attempt ends: a count read before that is stale.
    ended: u64,
    waiting: u32,
    notify: Arc<Notify>,
}

/// Attempts under way in this process.
#[derive(Debug, Default, Clone)]
pub(crate) struct Gate(Arc<Mutex<BTreeMap<Key, Slot>>>);

/// Leave to try a password. Dropped when the attempt is over, whatever its end.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Gate,
    key: Key,
    /// Failures within the window when leave was given.
    pub(crate) failures: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut slots = self.gate.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get_mut(&self.key) {
            slot.under_way = slot.under_way.saturating_sub(1);
            slot.ended = slot.ended.wrapping_add(1);
            slot.notify.notify_waiters();
            if slot.under_way == 0 && slot.waiting == 0 {
                slots.remove(&self.key);
            }
        }
    }
}

enum Turn {
    Go,
    Stale,
    Wait(Arc<Notify>),
}

impl Gate {
    /// Waits for a turn under one limit, or refuses.
    pub(crate) async fn enter(
        &self,
        store: &Store,
        limit: Limit,
        window: Duration,
        now: DateTime<Utc>,
    ) -> Result<Permit, Rejection> {
        let Limit { kind, key, limit } = limit;
        let key = (kind, key);
        let visit = Visit::new(self, &key);
        loop {
            let seen = visit.ended();
            let failures = store.failures(key.0, &key.1, window, now).await?;
            if failures >= limit as usize {
                let limits = [Limit { kind: key.0, key: key.1.clone(), limit }];
                // Over the limit nothing is counted; the store only says when to come back.
                let retry_after = record(store, &limits, window, now).await.unwrap_or(window);
                return Err(throttled(key.0, retry_after));
            }
            match visit.turn(seen, failures, limit) {
                Turn::Go => return Ok(Permit { gate: self.clone(), key: key.clone(), failures }),
                Turn::Stale => {}
                Turn::Wait(notify) => {
                    let ended = notify.notified();
                    // Somebody may have ended between looking and listening.
                    if visit.ended() == seen {
                        ended.await;
                    }
                }
            }
        }
    }
}

/// Somebody at the gate; keeps the slot alive while they wait.
struct Visit<'a> {
    gate: &'a Gate,
    key: &'a Key,
}

impl<'a> Visit<'a> {
    fn new(gate: &'a Gate, key: &'a Key) -> Self {
        let mut slots = gate.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(key.clone()).or_default().waiting += 1;
        Self { gate, key }
    }

    fn ended(&self) -> u64 {
        let slots = self.gate.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.get(self.key).map_or(0, |slot| slot.ended)
    }

    fn turn(&self, seen: u64, failures: usize, limit: u32) -> Turn {
        let mut slots = self.gate.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(self.key.clone()).or_default();
        if slot.ended != seen {
            return Turn::Stale;
        }
        if failures.saturating_add(slot.under_way as usize) < limit as usize {
            slot.under_way = slot.under_way.saturating_add(1);
            return Turn::Go;
        }
        Turn::Wait(slot.notify.clone())
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let mut slots = self.gate.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get_mut(self.key) {
            slot.waiting = slot.waiting.saturating_sub(1);
            if slot.under_way == 0 && slot.waiting == 0 {
                slots.remove(self.key);
            }
        }
    }
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
    match store.try_attempt(keys, window, now).await {
        // The attempt is never taken back: it was a failure.
        Ok(Throttle::Allowed(_)) => None,
        Ok(Throttle::Refused { retry_after, .. }) => Some(retry_after),
        Err(error) => {
            tracing::error!(target: "bindery_core::throttle", %error, "a failed sign-in could not be counted");
            None
        }
    }
}
