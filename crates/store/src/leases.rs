//! Leases: of any number of replicas, one does a thing.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::db::args;
use crate::{Lease, Store, StoreError, guard};

impl Store {
    /// Takes a lease, or renews one's own. Answers whether it is ours until `now + ttl`.
    ///
    /// The time is the caller's. Of two replicas whose clocks differ by some seconds, the fast one takes a lease over by so
    /// much too early, and the slow one renews so much too short: clocks must agree to well within `ttl`, and a holder
    /// should renew at a third of it. Whoever was stopped for longer learns at the next renewal, which answers false, that
    /// it is no longer the holder.
    pub async fn acquire_lease(
        &self,
        name: &str,
        holder: &str,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        guard::name("lease", name)?;
        guard::text("lease holder", holder)?;
        let sql = "INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $3) \
                   ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at \
                   WHERE leases.holder = excluded.holder OR leases.expires_at <= $4";
        Ok(self.db.execute(sql, args![name, holder, now + ttl, now]).await? > 0)
    }

    /// Gives a lease back, if it is still ours.
    pub async fn release_lease(&self, name: &str, holder: &str) -> Result<bool, StoreError> {
        guard::name("lease", name)?;
        guard::text("lease holder", holder)?;
        let sql = "DELETE FROM leases WHERE name = $1 AND holder = $2";
        Ok(self.db.execute(sql, args![name, holder]).await? > 0)
    }

    /// Who holds a lease at this time.
    pub async fn lease(&self, name: &str, now: DateTime<Utc>) -> Result<Option<Lease>, StoreError> {
        guard::name("lease", name)?;
        let sql = "SELECT name, holder, expires_at FROM leases WHERE name = $1 AND expires_at > $2";
        let Some(row) = self.db.row(sql, args![name, now]).await? else { return Ok(None) };
        Ok(Some(Lease { name: row.get("name")?, holder: row.get("holder")?, expires_at: row.get("expires_at")? }))
    }
}
