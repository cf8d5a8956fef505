//! Counts failures, so that guessing stays slow on any number of replicas.
//!
//! A sliding window: never more than `limit` within any `window`. Whoever has no failure has no row, and costs no write.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::AssertSqlSafe;

use crate::db::{Arg, Row, Statement, Tx, args, placeholders};
use crate::how_many::HowMany;
use crate::{Store, StoreError};

/// What attempts are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ThrottleKind {
    /// A user, by the folded name.
    User,
    /// A client's address.
    Address,
}

impl ThrottleKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Address => "address",
        }
    }
}

/// How many failures somebody may have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limit {
    /// Of what kind the key is.
    pub kind: ThrottleKind,
    /// The user's folded name or the address. Only its hash is stored, so that nothing in it can do harm.
    pub key: String,
    /// Failures within the window.
    pub limit: u32,
}

/// What became of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttle {
    /// It was counted under every key.
    Counted,
    /// A limit is reached already: it was counted under none.
    Full {
        /// Which limit.
        kind: ThrottleKind,
        /// When the next one may be made.
        retry_after: Duration,
    },
}

impl Store {
    /// Counts a failure under every key, if none has reached its limit.
    pub async fn count_failure(
        &self,
        limits: &[Limit],
        window: Duration,
        now: DateTime<Utc>,
    ) -> Result<Throttle, StoreError> {
        let mut limits = limits.to_vec();
        // Always in the same order, or two attempts could wait for each other's rows.
        limits.sort();
        let now_us = now.timestamp_micros();
        let window = micros(window);

        let mut tx = self.db.begin().await?;
        let mut logs = Vec::with_capacity(limits.len());
        for Limit { kind, key, limit } in limits {
            let key = hash(&key);
            let mut log = lock(&mut tx, kind, &key, now).await?;
            log.retain(|at| *at > now_us.saturating_sub(window));
            if let Some(oldest) = over(&log, limit) {
                let wait = oldest.saturating_add(window).saturating_sub(now_us);
                let retry_after = Duration::from_micros(wait.max(1).unsigned_abs());
                return Ok(Throttle::Full { kind, retry_after });
            }
            log.push(now_us);
            logs.push((kind, key, log));
        }
        for (kind, key, log) in logs {
            write(&mut tx, kind, &key, log, now).await?;
        }
        tx.commit().await?;
        Ok(Throttle::Counted)
    }

    /// Forgets the failures of a user, by folded name: an administrator lets them try again.
    pub async fn clear_failures(&self, kind: ThrottleKind, key: &str) -> Result<(), StoreError> {
        let key = hash(key);
        let sql = "DELETE FROM throttle WHERE kind = $1 AND key = $2";
        self.db.execute(sql, args![kind.as_str(), key.as_slice()]).await.map(drop)
    }

    /// How many failures are within the window now.
    pub async fn failures(
        &self,
        kind: ThrottleKind,
        key: &str,
        window: Duration,
        now: DateTime<Utc>,
    ) -> Result<usize, StoreError> {
        let one = [Limit { kind, key: key.to_owned(), limit: 0 }];
        Ok(self.failures_of(&one, window, now).await?.into_iter().next().unwrap_or_default())
    }

    /// The same for several keys, in their order, from one query.
    pub async fn failures_of(
        &self,
        limits: &[Limit],
        window: Duration,
        now: DateTime<Utc>,
    ) -> Result<Vec<usize>, StoreError> {
        let failures = Failures::of(limits, window, now);
        let answers = self.db.rows_of_all(vec![failures.statement()], HowMany::Few).await?;
        failures.count(&answers.into_iter().next().unwrap_or_default())
    }

    /// Removes counts that nobody has added to since `before`. Answers how many.
    pub async fn sweep_failures(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        self.db.execute("DELETE FROM throttle WHERE updated_at < $1", args![before]).await
    }
}

/// A question for the failures of several keys.
pub(crate) struct Failures {
    keys: Vec<(ThrottleKind, Vec<u8>)>,
    since: i64,
}

impl Failures {
    pub(crate) fn of(limits: &[Limit], window: Duration, now: DateTime<Utc>) -> Self {
        let keys = limits.iter().map(|limit| (limit.kind, hash(&limit.key))).collect();
        Self { keys, since: now.timestamp_micros().saturating_sub(micros(window)) }
    }

    pub(crate) fn statement(&self) -> Statement {
        // With every kind there is, so that the primary key is of use.
        let sql = format!(
            "SELECT kind, key, attempts FROM throttle WHERE kind IN ('user', 'address') AND key IN ({})",
            placeholders(1, self.keys.len() + 1)
        );
        // No hash is empty, and a list must not be.
        let args =
            [&[][..]].into_iter().chain(self.keys.iter().map(|(_, key)| key.as_slice())).map(Arg::from).collect();
        Statement::new(AssertSqlSafe(sql), args)
    }

    /// How many each key has, in their order.
    pub(crate) fn count(&self, rows: &[Row]) -> Result<Vec<usize>, StoreError> {
        let mut counts = vec![0; self.keys.len()];
        for row in rows {
            let (kind, key): (String, Vec<u8>) = (row.get("kind")?, row.get("key")?);
            let recent = row.json::<Vec<i64>>("attempts")?.iter().filter(|at| **at > self.since).count();
            for (count, (own_kind, own_key)) in counts.iter_mut().zip(&self.keys) {
                if own_kind.as_str() == kind && *own_key == key {
                    *count = recent;
                }
            }
        }
        Ok(counts)
    }
}

fn hash(key: &str) -> Vec<u8> {
    Sha256::digest(key.as_bytes()).to_vec()
}

fn micros(window: Duration) -> i64 {
    i64::try_from(window.as_micros()).unwrap_or(i64::MAX)
}

/// The attempt that has to leave the window before another may be made, if the limit is reached.
fn over(log: &[i64], limit: u32) -> Option<i64> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let excess = log.len().checked_sub(limit)?;
    // With a limit of nothing there is no attempt to wait for; a whole window will do.
    Some(log.get(excess).or(log.last()).copied().unwrap_or(i64::MAX))
}

/// Reads a log and keeps everybody else from it until the transaction ends: the upsert takes the row's lock.
async fn lock(tx: &mut Tx, kind: ThrottleKind, key: &[u8], now: DateTime<Utc>) -> Result<Vec<i64>, StoreError> {
    let sql = "INSERT INTO throttle (kind, key, attempts, updated_at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (kind, key) DO UPDATE SET kind = excluded.kind RETURNING attempts";
    let empty = serde_json::Value::Array(Vec::new());
    let row = tx.row(sql, args![kind.as_str(), key, empty, now]).await?;
    row.map_or(Ok(Vec::new()), |row| row.json("attempts"))
}

async fn write(
    tx: &mut Tx,
    kind: ThrottleKind,
    key: &[u8],
    log: Vec<i64>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "UPDATE throttle SET attempts = $3, updated_at = $4 WHERE kind = $1 AND key = $2";
    tx.execute(sql, args![kind.as_str(), key, serde_json::Value::from(log), now]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_counts_decides_how_long_to_wait() {
        assert_eq!(over(&[10, 20], 3), None);
        assert_eq!(over(&[10, 20, 30], 3), Some(10));
        assert_eq!(over(&[10, 20, 30, 40], 3), Some(20), "the limit was lowered meanwhile");
        assert_eq!(over(&[10], 0), Some(10));
    }
}
