//! Values that belong to the installation, and positions in change feeds.

use chrono::{DateTime, Utc};

use crate::db::args;
use crate::{Store, StoreError, guard};

impl Store {
    /// A value of the installation.
    pub async fn setting(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        guard::name("setting", key)?;
        let row = self.db.row("SELECT value FROM settings WHERE key = $1", args![key]).await?;
        row.map(|row| row.get("value")).transpose()
    }

    /// The value of the installation, set to `value` if there was none. Of any number of replicas that ask at once, all
    /// get the same: this is how an install ID or a secret is made.
    pub async fn setting_or_insert(&self, key: &str, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        if let Some(value) = self.setting(key).await? {
            return Ok(value);
        }
        let sql = "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";
        self.db.execute(sql, args![key, value]).await?;
        Ok(self.setting(key).await?.unwrap_or_else(|| value.to_vec()))
    }

    /// Sets a value of the installation.
    pub async fn put_setting(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        guard::name("setting", key)?;
        let sql = "INSERT INTO settings (key, value) VALUES ($1, $2) \
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.db.execute(sql, args![key, value]).await.map(drop)
    }

    /// How far a source's change feed has been followed.
    pub async fn position(&self, source: &str, feed: &str) -> Result<Option<serde_json::Value>, StoreError> {
        if !guard::findable(source) || !guard::findable(feed) {
            return Ok(None);
        }
        let sql = "SELECT value FROM positions WHERE source = $1 AND feed = $2";
        self.db.row(sql, args![source, feed]).await?.map(|row| row.get("value")).transpose()
    }

    /// Remembers how far a source's change feed has been followed.
    pub async fn put_position(
        &self,
        source: &str,
        feed: &str,
        value: serde_json::Value,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        guard::name("source", source)?;
        guard::name("feed", feed)?;
        guard::json("position", &value)?;
        let sql = "INSERT INTO positions (source, feed, value, at) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (source, feed) DO UPDATE SET value = excluded.value, at = excluded.at";
        self.db.execute(sql, args![source, feed, value, now]).await.map(drop)
    }

    /// Forgets every position of a source, so that its next run is a full one.
    pub async fn drop_positions(&self, source: &str) -> Result<(), StoreError> {
        if !guard::findable(source) {
            return Ok(());
        }
        self.db.execute("DELETE FROM positions WHERE source = $1", args![source]).await.map(drop)
    }
}
