//! Looking up sessions, keeping them alive, and clearing away what has ended.
//!
//! A session begins and is ended by a [`Change`](crate::Change) only; this file makes none.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::db::{Row, args};
use crate::snapshot::link_columns;
use crate::users::user_columns;
use crate::{Session, SessionWithUser, Store, StoreError, TokenHash};

macro_rules! session_columns {
    () => {
        "s.token AS session_token, s.validator AS session_validator, s.previous AS session_previous, \
         s.rotated_at AS session_rotated_at, s.seen AS session_seen, s.user_id AS session_user_id, s.source AS session_source, \
         s.created_at AS session_created_at, s.last_used AS session_last_used, \
         s.expires_at AS session_expires_at, s.idle_expires_at AS session_idle_expires_at, \
         s.remember AS session_remember, s.user_agent AS session_user_agent, s.address AS session_address"
    };
}

impl Row {
    fn session(&self) -> Result<Session, StoreError> {
        let hash = |column: &'static str, bytes: Vec<u8>| {
            TokenHash::from_slice(&bytes).ok_or_else(|| self.corrupt(column, "not 32 bytes"))
        };
        let previous: Option<Vec<u8>> = self.get("session_previous")?;
        Ok(Session {
            token: hash("sessions.token", self.get("session_token")?)?,
            validator: hash("sessions.validator", self.get("session_validator")?)?,
            previous: previous.map(|bytes| hash("sessions.previous", bytes)).transpose()?,
            rotated_at: self.get("session_rotated_at")?,
            seen: self.get("session_seen")?,
            user_id: self.get("session_user_id")?,
            source: self.get("session_source")?,
            created_at: self.get("session_created_at")?,
            last_used: self.get("session_last_used")?,
            expires_at: self.get("session_expires_at")?,
            idle_expires_at: self.get("session_idle_expires_at")?,
            remember: self.get("session_remember")?,
            user_agent: self.get("session_user_agent")?,
            address: self.get("session_address")?,
        })
    }
}

impl Store {
    /// The session with this token, its user and the user's links, in one query. `None` where there is no such session,
    /// or it has ended. The caller still has to look at [`User::is_active`](crate::User::is_active).
    pub async fn session(&self, token: TokenHash, now: DateTime<Utc>) -> Result<Option<SessionWithUser>, StoreError> {
        let sql = concat!(
            "SELECT ",
            session_columns!(),
            ", ",
            user_columns!(),
            ", ",
            link_columns!(),
            " FROM sessions s JOIN users ON users.id = s.user_id LEFT JOIN links l ON l.user_id = users.id \
             WHERE s.token = $1 AND s.expires_at > $2 AND s.idle_expires_at > $2 ORDER BY l.source"
        );
        let rows = self.db.rows(sql, args![token, now]).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let (session, user) = (first.session()?, first.user()?);
        let links = rows.iter().filter_map(|row| row.joined_link().transpose()).collect::<Result<_, _>>()?;
        Ok(Some(SessionWithUser { session, user, links }))
    }

    /// Keeps a session alive until `idle_expires_at`, unless it has ended or was used after `stale_before` already, so
    /// that a busy session costs a write now and then and not at each request. Answers whether it wrote.
    pub async fn touch_session(
        &self,
        token: TokenHash,
        now: DateTime<Utc>,
        idle_expires_at: DateTime<Utc>,
        stale_before: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE sessions SET last_used = $2, idle_expires_at = $3 \
                   WHERE token = $1 AND last_used <= $4 AND expires_at > $2 AND idle_expires_at > $2";
        Ok(self.db.execute(sql, args![token, now, idle_expires_at, stale_before]).await? > 0)
    }

    /// Changes the token of a session from one to another. Answers whether it was this call that did it: of several at
    /// once one does.
    pub async fn rotate_session(
        &self,
        token: TokenHash,
        from: TokenHash,
        to: TokenHash,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE sessions SET previous = validator, validator = $3, rotated_at = $4, seen = $5 \
                   WHERE token = $1 AND validator = $2";
        Ok(self.db.execute(sql, args![token, from, to, now, false]).await? > 0)
    }

    /// Changes the token once more where the one that took the place of `previous` never came back, and was made no later
    /// than `stale_before`: its answer was lost on the way.
    pub async fn reissue_session(
        &self,
        token: TokenHash,
        previous: TokenHash,
        to: TokenHash,
        now: DateTime<Utc>,
        stale_before: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE sessions SET validator = $3, rotated_at = $4 \
                   WHERE token = $1 AND previous = $2 AND NOT seen AND rotated_at <= $5";
        Ok(self.db.execute(sql, args![token, previous, to, now, stale_before]).await? > 0)
    }

    /// The token in force has come back: whoever has it got it.
    pub async fn session_seen(&self, token: TokenHash, validator: TokenHash) -> Result<(), StoreError> {
        let sql = "UPDATE sessions SET seen = $3 WHERE token = $1 AND validator = $2 AND NOT seen";
        self.db.execute(sql, args![token, validator, true]).await.map(drop)
    }

    /// The sessions of a user that have not ended, newest first.
    pub async fn sessions_of(&self, user: Uuid, now: DateTime<Utc>) -> Result<Vec<Session>, StoreError> {
        let sql = concat!(
            "SELECT ",
            session_columns!(),
            " FROM sessions s WHERE s.user_id = $1 AND s.expires_at > $2 AND s.idle_expires_at > $2 \
             ORDER BY s.created_at DESC, s.token"
        );
        self.db.rows(sql, args![user, now]).await?.iter().map(Row::session).collect()
    }

    /// Ends one session. Answers whether there was one.
    pub async fn end_session(&self, token: TokenHash) -> Result<bool, StoreError> {
        let mut tx = self.db.begin().await?;
        let ended = tx.rows("DELETE FROM sessions WHERE token = $1 RETURNING user_id", args![token]).await?;
        for row in &ended {
            tx.revoke(row.get("user_id")?);
        }
        tx.commit().await?;
        Ok(!ended.is_empty())
    }

    /// Removes sessions that have ended. Answers how many.
    pub async fn sweep_sessions(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        self.db.execute("DELETE FROM sessions WHERE expires_at <= $1 OR idle_expires_at <= $1", args![now]).await
    }
}
