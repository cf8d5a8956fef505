//! Sessions: made in one function, read once in a while, refreshed when their person's last read is old.
//!
//! A request costs no query while its session was read of late. What this process changes is forgotten at once, and so is
//! what other replicas tell of; what nobody tells of counts after [`UNHEARD`] or [`HEARD`] at the latest.

use super::admission::Admission;
use super::attempt::{Attempt, Rejection, chain};
use super::view::UserView;
use super::{Engine, refresh};
use crate::rules::RefreshFailure;
use crate::token::Token;
use crate::{Outcome, Reason};
use bindery_store::{Change, NewAudit, NewSession, Plan, Revoked, Session, SessionWithUser, StoreError, TokenHash};
use chrono::{DateTime, Utc};
use moka::sync::Cache as Moka;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use uuid::Uuid;

/// How old a session's last read may be where nobody tells us what other processes change.
const UNHEARD: Duration = Duration::from_millis(100);
/// The same while they tell us. A notification can be lost all the same, and a second is what we promise.
const HEARD: Duration = Duration::from_millis(500);
/// Sessions kept in memory.
const CACHED: u64 = 100_000;
/// A remembered session keeps its token for so long.
const ROTATE: Duration = Duration::from_hours(1);
/// For so long after a change the old token is still good: for requests that were under way, and in case the answer with the
/// new one was lost.
const OVERLAP: Duration = Duration::from_mins(1);
/// A session's last use is written at most this often.
const TOUCH: Duration = Duration::from_mins(1);

/// Whose request it is.
#[derive(Debug)]
pub struct Current {
    /// The user.
    pub user: UserView,
    /// The user as JSON, made once.
    pub json: bytes::Bytes,
    /// The source that answered for them at sign-in; none after a local password.
    pub source: Option<String>,
    /// The session ends then, whatever happens.
    pub expires_at: DateTime<Utc>,
    /// Whether "remember me" was ticked.
    pub remember: bool,
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// There is no such session, or it has run out.
    NoSession,
    /// Its person may no longer sign in.
    NotAllowed(Option<Reason>),
}

/// What a token opens.
#[derive(Debug, Clone)]
pub enum SessionState {
    /// A session.
    Active(Arc<Current>),
    /// A session whose token has been changed: the browser needs the new one.
    Renewed(Arc<Current>, Token),
    /// Nothing.
    Ended(Ended),
    /// Nobody can tell now; the session stays.
    Unavailable {
        /// The status to answer with.
        status: u16,
        /// An HTML file to answer with.
        page: Option<std::path::PathBuf>,
        /// For operators.
        detail: String,
    },
}

#[derive(Clone)]
struct Held {
    current: Arc<Current>,
    read_at: Instant,
    generation: u64,
    /// When it must be looked at again at the latest: its person is to be read again then, or their account ends.
    good_until: Option<DateTime<Utc>>,
}

/// Sessions read of late.
pub(crate) struct Cache {
    sessions: Moka<TokenHash, Held>,
    generation: AtomicU64,
    watching: OnceLock<Watching>,
    pub(crate) refreshes: refresh::Refreshes,
}

/// The task that listens for revocations; it ends with the engine.
struct Watching(AbortHandle);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Cache {
    pub(crate) fn new() -> Self {
        let sessions = Moka::builder().max_capacity(CACHED).time_to_live(Duration::from_secs(1)).build();
        let refreshes = refresh::Refreshes::default();
        Self { sessions, generation: AtomicU64::new(0), watching: OnceLock::new(), refreshes }
    }

    /// Nothing read so far counts any more.
    pub(crate) fn clear(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// What was read of this user no longer counts, nor of anybody else: changes are rare and reads cheap.
    pub(crate) fn forget_user(&self, _user: Uuid) {
        self.clear();
    }

    fn get(&self, token: &TokenHash, now: DateTime<Utc>, fresh: Duration) -> Option<Arc<Current>> {
        let held = self.sessions.get(token)?;
        let good = held.generation == self.generation.load(Ordering::Acquire)
            && held.read_at.elapsed() < fresh
            && held.good_until.is_none_or(|at| now < at)
            && now < held.current.expires_at;
        good.then_some(held.current)
    }
}

/// Makes a session. The only place that does, and only from an admission.
pub(crate) fn start(engine: &Engine, admission: &Admission, attempt: &Attempt) -> (Token, Change) {
    let settings = engine.settings();
    let token = Token::generate(engine.entropy());
    let remembered = settings.remember_me.filter(|_| attempt.remember);
    let (lifetime, idle) = remembered.map_or((settings.lifetime, settings.idle), |remember| (remember, remember));
    let now = engine.now();
    let session = NewSession {
        token: token.selector(),
        validator: token.hash(),
        user_id: admission.user(),
        source: admission.source().map(str::to_owned),
        expires_at: after(now, lifetime),
        idle_expires_at: after(now, idle.min(lifetime)),
        remember: remembered.is_some(),
        user_agent: attempt.user_agent.clone().unwrap_or_default(),
        address: attempt.address.map(|address| address.to_string()).unwrap_or_default(),
    };
    (token, Change::StartSession(session))
}

/// Which token of a session somebody comes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presented {
    /// The one in force.
    Current,
    /// The one before, while it is still good.
    Previous,
    /// One that was changed, and whose successor has arrived.
    Replayed,
}

fn presented(token: &Token, session: &Session, now: DateTime<Utc>) -> Presented {
    let own = token.hash();
    if own == session.validator {
        return Presented::Current;
    }
    let good = !session.seen || now < after(session.rotated_at, OVERLAP);
    if session.previous == Some(own) && good { Presented::Previous } else { Presented::Replayed }
}

fn after(now: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    chrono::Duration::from_std(duration)
        .ok()
        .and_then(|d| now.checked_add_signed(d))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

impl Engine {
    /// What a session token opens. No query and no directory while it was read of late.
    pub async fn session(&self, token: &Token) -> SessionState {
        self.watch();
        let fresh = if self.store().hears_others() { HEARD } else { UNHEARD };
        if let Some(current) = self.0.sessions.get(&token.hash(), self.now(), fresh) {
            return SessionState::Active(current);
        }
        match self.read_session(token).await {
            Ok(state) => state,
            Err(error) => SessionState::Unavailable { status: 503, page: None, detail: chain(&error) },
        }
    }

    /// Listens for what other replicas revoke, from the first request on.
    fn watch(&self) {
        self.0.sessions.watching.get_or_init(|| {
            let mut watch = self.store().watch();
            let inner = Arc::downgrade(&self.0);
            let task = tokio::spawn(async move {
                loop {
                    let revoked = watch.next().await;
                    let Some(inner) = inner.upgrade() else { return };
                    match revoked {
                        Revoked::User(user) => inner.sessions.forget_user(user),
                        Revoked::All => inner.sessions.clear(),
                    }
                }
            });
            Watching(task.abort_handle())
        });
    }

    /// Ends a session.
    pub async fn sign_out(&self, token: &Token) -> Result<(), StoreError> {
        self.0.sessions.sessions.invalidate(&token.hash());
        self.store().end_session(token.selector()).await?;
        self.0.sessions.clear();
        Ok(())
    }

    async fn read_session(&self, token: &Token) -> Result<SessionState, StoreError> {
        let generation = self.0.sessions.generation.load(Ordering::Acquire);
        let read_at = Instant::now();
        let Some(found) = self.store().session(token.selector(), self.now()).await? else {
            return Ok(SessionState::Ended(Ended::NoSession));
        };
        let presented = presented(token, &found.session, self.now());
        if presented == Presented::Replayed {
            return self.replayed(&found).await;
        }
        let session = found.session.clone();
        let state = self.read_found(token, found, generation, read_at).await?;
        let SessionState::Active(current) = state else { return Ok(state) };
        Ok(match self.renew(token, &session, presented).await? {
            Some(fresh) => SessionState::Renewed(current, fresh),
            None => SessionState::Active(current),
        })
    }

    async fn read_found(
        &self,
        token: &Token,
        found: SessionWithUser,
        generation: u64,
        read_at: Instant,
    ) -> Result<SessionState, StoreError> {
        if !found.user.is_active() || !self.still_configured(&found) {
            return Ok(SessionState::Ended(Ended::NotAllowed(Some(Reason::AccountDisabled))));
        }
        let mut refresh_at = self.refresh_due(&found);
        if refresh_at.is_some_and(|at| at <= self.now()) {
            match self.refresh(&found).await {
                Ok(()) => return self.read_after_refresh(token).await,
                Err(rejection) => {
                    if let Some(state) = self.after_failed_refresh(&found, &rejection) {
                        return Ok(state);
                    }
                    refresh_at = None;
                }
            }
        }
        self.open(token, found, generation, read_at, refresh_at).await
    }

    async fn read_after_refresh(&self, token: &Token) -> Result<SessionState, StoreError> {
        let generation = self.0.sessions.generation.load(Ordering::Acquire);
        let read_at = Instant::now();
        let Some(found) = self.store().session(token.selector(), self.now()).await? else {
            return Ok(SessionState::Ended(Ended::NoSession));
        };
        if !found.user.is_active() {
            return Ok(SessionState::Ended(Ended::NotAllowed(Some(Reason::AccountDisabled))));
        }
        let refresh_at = self.refresh_due(&found);
        self.open(token, found, generation, read_at, refresh_at).await
    }

    /// The session, unless the account has come to its end since its entry was read: nobody tells of that, and nobody
    /// needs to be asked for it.
    async fn open(
        &self,
        token: &Token,
        found: SessionWithUser,
        generation: u64,
        read_at: Instant,
        refresh_at: Option<DateTime<Utc>>,
    ) -> Result<SessionState, StoreError> {
        let ends = self.account_ends(&found);
        if ends.is_some_and(|at| at <= self.now()) {
            self.end_sessions(found.user.id).await;
            return Ok(SessionState::Ended(Ended::NotAllowed(Some(Reason::AccountExpired))));
        }
        let good_until = [refresh_at, ends].into_iter().flatten().min();
        self.hold(token, found, generation, read_at, good_until).await.map(SessionState::Active)
    }

    /// Somebody's source, or local accounts as such, may have left the configuration since.
    fn still_configured(&self, found: &SessionWithUser) -> bool {
        match &found.session.source {
            Some(slug) => self.source(slug).is_some(),
            None => self.settings().local_users,
        }
    }

    fn after_failed_refresh(&self, found: &SessionWithUser, rejection: &Rejection) -> Option<SessionState> {
        // A veto is a no as well, though of an app that may think again: the session stays, and opens nothing.
        if refresh::is_final(rejection) || rejection.reason == Some(Reason::Vetoed) {
            return Some(SessionState::Ended(Ended::NotAllowed(rejection.reason)));
        }
        let source = self.reader_of(found)?;
        let detail = rejection.detail.clone();
        match &source.rules.provisioning.on_refresh_failure {
            RefreshFailure::Keep => None,
            RefreshFailure::Refuse => Some(SessionState::Unavailable { status: 503, page: None, detail }),
            RefreshFailure::Respond { status, page } => {
                Some(SessionState::Unavailable { status: *status, page: page.clone(), detail })
            }
        }
    }

    async fn hold(
        &self,
        token: &Token,
        found: SessionWithUser,
        generation: u64,
        read_at: Instant,
        good_until: Option<DateTime<Utc>>,
    ) -> Result<Arc<Current>, StoreError> {
        self.touch(&found).await?;
        let user = self.view_of(found.user, &found.links).await?;
        let json = serde_json::to_vec(&user).unwrap_or_default().into();
        let current = Arc::new(Current {
            user,
            json,
            source: found.session.source,
            expires_at: found.session.expires_at,
            remember: found.session.remember,
        });
        let held = Held { current: current.clone(), read_at, generation, good_until };
        self.0.sessions.sessions.insert(token.hash(), held);
        Ok(current)
    }

    /// Changes the token of a remembered session now and then, so that one that was copied is good for a short time only.
    async fn renew(&self, token: &Token, session: &Session, presented: Presented) -> Result<Option<Token>, StoreError> {
        let (store, now) = (self.store(), self.now());
        if !session.remember {
            return Ok(None);
        }
        if presented == Presented::Current && !session.seen {
            store.session_seen(session.token, session.validator).await?;
        }
        let fresh = token.rotated(self.entropy());
        let changed = match presented {
            Presented::Current if after(session.rotated_at, ROTATE) <= now => {
                store.rotate_session(session.token, session.validator, fresh.hash(), now).await?
            }
            Presented::Previous if after(session.rotated_at, OVERLAP) <= now => {
                let stale_before = now - chrono::Duration::from_std(OVERLAP).unwrap_or_default();
                store.reissue_session(session.token, token.hash(), fresh.hash(), now, stale_before).await?
            }
            _ => false,
        };
        Ok(changed.then_some(fresh))
    }

    /// A token that was changed long ago comes back: one of two who have it is not its owner, and nobody knows which.
    async fn replayed(&self, found: &SessionWithUser) -> Result<SessionState, StoreError> {
        let user = found.user.id;
        tracing::warn!(target: "bindery_core::session", %user, "an old token of a session came back; the session is over");
        let line = NewAudit {
            id: self.new_id(),
            event: "session_replayed".to_owned(),
            outcome: Outcome::Refused.as_str().to_owned(),
            username: found.user.username.clone(),
            user_id: Some(user),
            source: found.session.source.clone(),
            ..NewAudit::default()
        };
        let changes = vec![Change::EndSession { token: found.session.token }, Change::Record(line)];
        self.store().apply(&Plan::from(changes), self.now()).await?;
        self.0.sessions.clear();
        Ok(SessionState::Ended(Ended::NoSession))
    }

    async fn touch(&self, found: &SessionWithUser) -> Result<(), StoreError> {
        let now = self.now();
        let settings = self.settings();
        let idle = settings.remember_me.filter(|_| found.session.remember).unwrap_or(settings.idle);
        // Written often enough that a short idle time is still kept to a tenth.
        let every = TOUCH.min(idle / 10);
        let stale_before = now - chrono::Duration::from_std(every).unwrap_or_default();
        if found.session.last_used > stale_before {
            return Ok(());
        }
        let idle_expires_at = after(now, idle).min(found.session.expires_at);
        self.store().touch_session(found.session.token, now, idle_expires_at, stale_before).await.map(drop)
    }
}
