//! Counts failed attempts, so that guessing stays slow on any number of replicas.
//!
//! An attempt is counted before it is made and taken back if it succeeds: that way a thousand parallel guesses cannot
//! all pass the same count. A sliding window: never more than `limit` within any `window`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::AssertSqlSafe;

use crate::db::{Arg, Tx, args};
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

/// May somebody try?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Throttle {
    /// Yes, and the attempt counts as a failure until it is taken back.
    Allowed(Attempt),
    /// No.
    Refused {
        /// Which limit stands in the way.
        kind: ThrottleKind,
        /// When to come back.
        retry_after: Duration,
    },
}

/// An attempt that was allowed. Dropped, it stays a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an attempt stays a failure until attempt_succeeded or attempt_void takes it back"]
pub struct Attempt {
    keys: Vec<(ThrottleKind, Vec<u8>)>,
    at: i64,
}

impl Store {
    /// Counts an attempt, if every limit allows it.
    pub async fn try_attempt(
        &self,
        limits: &[Limit],
        window: Duration,
        now: DateTime<Utc>,
    ) -> Result<Throttle, StoreError> {
        let mut limits = limits.to_vec();
        // Always in the same order, or two attempts could wait for each other's rows.
        limits.sort();
        let now_us = now.timestamp_micros();
        let window = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);

        let mut tx = self.db.begin().await?;
        let mut logs = Vec::with_capacity(limits.len());
        for Limit { kind, key, limit } in limits {
            let key = Sha256::digest(key.as_bytes()).to_vec();
            let mut log = lock(&mut tx, kind, &key, now).await?;
            log.retain(|at| *at > now_us.saturating_sub(window));
            if let Some(oldest) = over(&log, limit) {
                let wait = oldest.saturating_add(window).saturating_sub(now_us);
                let retry_after = Duration::from_micros(wait.max(1).unsigned_abs());
                return Ok(Throttle::Refused { kind, retry_after });
            }
            log.push(now_us);
            logs.push((kind, key, log));
        }
        let mut keys = Vec::with_capacity(logs.len());
        for (kind, key, log) in logs {
            write(&mut tx, kind, &key, log, now).await?;
            keys.push((kind, key));
        }
        tx.commit().await?;
        Ok(Throttle::Allowed(Attempt { keys, at: now_us }))
    }

    /// The attempt was the right person: the user starts afresh, and the address has one failure less.
    pub async fn attempt_succeeded(&self, attempt: &Attempt, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.take_back(attempt, true, now).await
    }

    /// The attempt says nothing about the password, as while the directory is down: it no longer counts.
    pub async fn attempt_void(&self, attempt: &Attempt, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.take_back(attempt, false, now).await
    }

    async fn take_back(&self, attempt: &Attempt, forgive_user: bool, now: DateTime<Utc>) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        for (kind, key) in &attempt.keys {
            if forgive_user && *kind == ThrottleKind::User {
                tx.execute("DELETE FROM throttle WHERE kind = $1 AND key = $2", args![kind.as_str(), key.as_slice()])
                    .await?;
                continue;
            }
            let mut log = lock(&mut tx, *kind, key, now).await?;
            if let Some(own) = log.iter().position(|at| *at == attempt.at) {
                log.remove(own);
            }
            write(&mut tx, *kind, key, log, now).await?;
        }
        tx.commit().await
    }

    /// Forgets the failures of a user, by folded name: an administrator lets them try again.
    pub async fn clear_failures(&self, kind: ThrottleKind, key: &str) -> Result<(), StoreError> {
        let key = Sha256::digest(key.as_bytes()).to_vec();
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
        let keys: Vec<Vec<u8>> = limits.iter().map(|limit| Sha256::digest(limit.key.as_bytes()).to_vec()).collect();
        let sql = format!(
            "SELECT kind, key, attempts FROM throttle WHERE key IN ({})",
            crate::db::placeholders(1, keys.len())
        );
        let args = keys.iter().map(|key| Arg::from(key.as_slice())).collect();
        let since = now.timestamp_micros().saturating_sub(i64::try_from(window.as_micros()).unwrap_or(i64::MAX));
        let mut counts = vec![0; limits.len()];
        for row in self.db.rows(AssertSqlSafe(sql), args).await? {
            let (kind, key): (String, Vec<u8>) = (row.get("kind")?, row.get("key")?);
            let recent = row.json::<Vec<i64>>("attempts")?.iter().filter(|at| **at > since).count();
            let same = limits.iter().zip(&keys).map(|(limit, own)| limit.kind.as_str() == kind && *own == key);
            for (count, _) in counts.iter_mut().zip(same).filter(|(_, same)| *same) {
                *count = recent;
            }
        }
        Ok(counts)
    }

    /// Removes counts that nobody has added to since `before`. Answers how many.
    pub async fn sweep_failures(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        self.db.execute("DELETE FROM throttle WHERE updated_at < $1", args![before]).await
    }
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
