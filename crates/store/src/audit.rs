//! The audit: what happened, to whom, and why. Lines are added and never changed.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::db::{Arg, Row, args};
use crate::many::Many;
use crate::{AuditEntry, AuditFilter, NewAudit, Store, StoreError, guard};

pub(crate) const INSERT: &str = "INSERT INTO audit (id, at, event, outcome, reason, username, user_id, source, \
     address, via, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

pub(crate) const INSERT_MANY: Many = Many {
    head: "INSERT INTO audit (id, at, event, outcome, reason, username, user_id, source, address, via, detail) ",
    lead: 0,
    columns: 11,
    tail: "",
};

pub(crate) fn insert_args(entry: &NewAudit, now: DateTime<Utc>) -> Vec<Arg> {
    args![
        entry.id,
        now,
        guard::trace(&entry.event),
        guard::trace(&entry.outcome),
        guard::trace(&entry.reason),
        guard::trace(&entry.username),
        entry.user_id,
        entry.source.as_deref().map(guard::trace),
        guard::trace(&entry.address),
        guard::trace(&entry.via),
        guard::trace_json(Value::Object(entry.detail.clone())),
    ]
}

impl Row {
    fn audit(&self) -> Result<AuditEntry, StoreError> {
        Ok(AuditEntry {
            id: self.get("id")?,
            at: self.get("at")?,
            event: self.get("event")?,
            outcome: self.get("outcome")?,
            reason: self.get("reason")?,
            username: self.get("username")?,
            user_id: self.get("user_id")?,
            source: self.get("source")?,
            address: self.get("address")?,
            via: self.get("via")?,
            detail: self.json("detail")?,
        })
    }
}

impl Store {
    /// Writes a line that belongs to no plan.
    pub async fn record(&self, entry: &NewAudit, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.db.execute(INSERT, insert_args(entry, now)).await.map(drop)
    }

    /// A page of the audit, newest first.
    pub async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, StoreError> {
        let sql = "SELECT id, at, event, outcome, reason, username, user_id, source, address, via, detail FROM audit \
                   WHERE ($1 = '' OR event = $1) AND ($2 IS NULL OR user_id = $2) \
                   AND ($3 IS NULL OR at < $3 OR (at = $3 AND id < $4)) ORDER BY at DESC, id DESC LIMIT $5";
        let event = guard::trace(filter.event.as_deref().unwrap_or_default());
        let (at, id) = filter.before.unzip();
        let args = args![event, filter.user_id, at, id, i64::from(filter.limit)];
        self.db.rows(sql, args).await?.iter().map(Row::audit).collect()
    }

    /// Drops lines older than `before`. Answers how many.
    pub async fn sweep_audit(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        self.db.execute("DELETE FROM audit WHERE at < $1", args![before]).await
    }
}
