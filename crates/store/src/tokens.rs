//! API tokens.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::db::{Row, args};
use crate::{ApiToken, Store, StoreError, TokenHash, guard};

impl Row {
    fn api_token(&self) -> Result<ApiToken, StoreError> {
        let hash: Vec<u8> = self.get("hash")?;
        Ok(ApiToken {
            id: self.get("id")?,
            name: self.get("name")?,
            hash: TokenHash::from_slice(&hash).ok_or_else(|| self.corrupt("tokens.hash", "not 32 bytes"))?,
            scopes: self.json("scopes")?,
            created_at: self.get("created_at")?,
            expires_at: self.get("expires_at")?,
            last_used: self.get("last_used")?,
            revoked_at: self.get("revoked_at")?,
        })
    }
}

impl Store {
    /// Keeps a new token. `last_used` and `revoked_at` are not looked at.
    pub async fn create_token(&self, token: &ApiToken) -> Result<(), StoreError> {
        guard::text("token name", &token.name)?;
        let scopes = serde_json::Value::from(token.scopes.clone());
        guard::json("token scopes", &scopes)?;
        let sql = "INSERT INTO tokens (id, name, hash, scopes, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)";
        let args = args![token.id, &token.name, token.hash, scopes, token.created_at, token.expires_at];
        self.db.execute(sql, args).await.map(drop)
    }

    /// Every token, oldest first, also those that are revoked or have ended.
    pub async fn tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        let sql = "SELECT id, name, hash, scopes, created_at, expires_at, last_used, revoked_at FROM tokens \
                   ORDER BY created_at, id";
        self.db.rows(sql, args![]).await?.iter().map(Row::api_token).collect()
    }

    /// The token with this hash, unless it is revoked or has ended.
    pub async fn token(&self, hash: TokenHash, now: DateTime<Utc>) -> Result<Option<ApiToken>, StoreError> {
        let sql = "SELECT id, name, hash, scopes, created_at, expires_at, last_used, revoked_at FROM tokens \
                   WHERE hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)";
        self.db.row(sql, args![hash, now]).await?.map(|row| row.api_token()).transpose()
    }

    /// Remembers that a token was used, unless that was remembered after `stale_before` already.
    pub async fn touch_token(
        &self,
        id: Uuid,
        now: DateTime<Utc>,
        stale_before: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE tokens SET last_used = $2 WHERE id = $1 AND (last_used IS NULL OR last_used <= $3)";
        self.db.execute(sql, args![id, now, stale_before]).await.map(drop)
    }

    /// Revokes a token for good. Answers whether there was one that was not revoked.
    pub async fn revoke_token(&self, id: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let sql = "UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
        Ok(self.db.execute(sql, args![id, now]).await? > 0)
    }
}
