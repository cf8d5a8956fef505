//! Sessions, API tokens, audit and leases.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{Link, TokenHash, User};

/// A session to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the same fields as in Session")]
pub struct NewSession {
    pub token: TokenHash,
    pub validator: TokenHash,
    pub user_id: Uuid,
    pub source: Option<String>,
    pub expires_at: DateTime<Utc>,
    pub idle_expires_at: DateTime<Utc>,
    pub remember: bool,
    pub user_agent: String,
    pub address: String,
}

/// A session that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The hash of what finds it: the half of the cookie's token that stays.
    pub token: TokenHash,
    /// The hash of the whole token that opens it.
    pub validator: TokenHash,
    /// The hash of the token that opened it before, where the token was changed.
    pub previous: Option<TokenHash>,
    /// When the token was last changed.
    pub rotated_at: DateTime<Utc>,
    /// Whether the token in force has come back, so that its owner has it.
    pub seen: bool,
    /// Whose session it is.
    pub user_id: Uuid,
    /// The source that answered for the person; `None` after a local password.
    pub source: Option<String>,
    /// When it started.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the caller's renewal threshold.
    pub last_used: DateTime<Utc>,
    /// It ends then, whatever happens.
    pub expires_at: DateTime<Utc>,
    /// It ends then unless it is used; see [`Store::touch_session`](crate::Store::touch_session).
    pub idle_expires_at: DateTime<Utc>,
    /// Whether the person asked to be remembered.
    pub remember: bool,
    /// The browser's name for itself, cut to 256 characters.
    pub user_agent: String,
    /// The client's address at sign-in.
    pub address: String,
}

/// A session, its user and the user's links, from one query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionWithUser {
    /// The session.
    pub session: Session,
    /// Its user. Check [`User::is_active`] on every request.
    pub user: User,
    /// The user's links; `last_seen` says how old the last read of the entry is.
    pub links: Vec<Link>,
}

/// An API token. The secret itself is shown once, at creation, and never stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Chosen by the caller.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// What it is found by.
    pub hash: TokenHash,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, roughly.
    pub last_used: Option<DateTime<Utc>>,
    /// When somebody revoked it.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Something to be remembered in the audit. Text from outside is cut to 256 characters and NUL is replaced, so that no
/// name, however hostile, keeps its own trace from being written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the same fields as in AuditEntry")]
pub struct NewAudit {
    pub id: Uuid,
    pub event: String,
    pub outcome: String,
    pub reason: String,
    pub username: String,
    pub user_id: Option<Uuid>,
    pub source: Option<String>,
    pub address: String,
    pub via: String,
    pub detail: serde_json::Map<String, serde_json::Value>,
}

/// One line of the audit. It outlives the user it speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// Chosen by the caller.
    pub id: Uuid,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What happened, as `sign_in`.
    pub event: String,
    /// How it ended, as `refused`.
    pub outcome: String,
    /// Why, as `bad_credentials`; empty where there is no reason to give.
    pub reason: String,
    /// The username as typed.
    pub username: String,
    /// Whom it concerns, where known.
    pub user_id: Option<Uuid>,
    /// Slug of the source, where one was involved.
    pub source: Option<String>,
    /// The client's address.
    pub address: String,
    /// The way in, as `password` or `remote_user`.
    pub via: String,
    /// Anything else.
    pub detail: serde_json::Map<String, serde_json::Value>,
}

/// Which audit entries to list: a page, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only of this event.
    pub event: Option<String>,
    /// Only about this user.
    pub user_id: Option<Uuid>,
    /// Only older than this entry: the last of the page before.
    pub before: Option<(DateTime<Utc>, Uuid)>,
    /// At most so many.
    pub limit: u32,
}

impl Default for AuditFilter {
    fn default() -> Self {
        Self { event: None, user_id: None, before: None, limit: 100 }
    }
}

/// Who holds a named lease, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What the lease is for, as `sync:corp`.
    pub name: String,
    /// Who holds it.
    pub holder: String,
    /// It is free from then on.
    pub expires_at: DateTime<Utc>,
}

/// A run of a sync, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SyncRunRecord {
    /// Chosen by the caller.
    pub id: Uuid,
    /// Slug of the source.
    pub source: String,
    /// `full`, `incremental` or `live`.
    pub mode: String,
    /// `running` until it has ended, then `completed`, `held` or `failed`.
    pub outcome: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended; a run that was killed never did.
    pub ended_at: Option<DateTime<Utc>>,
    /// Whether it wrote nothing.
    pub dry_run: bool,
    /// Counts, errors and whatever else it reports. NUL is replaced.
    pub report: serde_json::Value,
}
