//! The engine: sign-in, sessions, refresh and explanation over the rules, the store and the sources.
//!
//! Every way in ends in one path, `admit`, for a person of a directory; a session is made in one
//! function, and only from an admission.

mod administer;
mod admission;
mod admit;
mod attempt;
mod authorize_local;
mod explain;
mod offline;
mod password_change;
mod people;
mod provision;
mod refresh;
mod route;
mod session;
mod sign_in;
mod source;
mod throttle;
mod turn;
mod view;

pub use administer::{Actor, Administered, CHANGE_USER, Deed, VIEW_USER};
pub(crate) use attempt::chain;
pub use attempt::{Attempt, SignIn, Via};
pub use explain::{AccessView, Explanation, FieldView, FlagView, GroupView};
pub use password_change::PasswordChange;
pub use people::{EntryView, GivenGroup, Giver, Inactive, People, PeopleQuery, PersonLine, PersonView};
pub use provision::Provisioned;
pub use session::{Current, Ended, SessionState};
pub use source::ActiveSource;
pub use view::{LinkView, UserView, full_name};

use crate::config::{Config, Throttle};
use crate::events::{Event, EventHandler};
use crate::password::Passwords;
use crate::{Clock, Entropy};
use arc_swap::ArcSwap;
use bindery_store::Store;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// What the engine needs to know besides its sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `sessions.lifetime`.
    pub lifetime: Duration,
    /// `sessions.idle`.
    pub idle: Duration,
    /// `sessions.remember_me`; none when off.
    pub remember_me: Option<Duration>,
    /// `sign_in.local_users`.
    pub local_users: bool,
    /// `sign_in.authorize_local_users`.
    pub authorize_local_users: bool,
    /// `sign_in.throttle`.
    pub throttle: Throttle,
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        Self {
            lifetime: config.sessions.lifetime,
            idle: config.sessions.idle,
            remember_me: config.sessions.remember_me,
            local_users: config.sign_in.local_users,
            authorize_local_users: config.sign_in.authorize_local_users,
            throttle: config.sign_in.throttle,
        }
    }
}

/// Sign-in, sessions, refresh, explanation. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    handlers: Vec<Arc<dyn EventHandler>>,
    passwords: Passwords,
    gate: throttle::Gate,
    sessions: session::Cache,
    settings: ArcSwap<Settings>,
    /// Nothing is followed or scheduled any more.
    stopping: AtomicBool,
    /// May change while the engine runs: by a reload, or from the store.
    sources: ArcSwap<Vec<Arc<ActiveSource>>>,
}

impl Engine {
    /// Puts an engine together. Connects to nothing: sources connect when they are first asked.
    pub fn new(
        store: Store,
        config: &Config,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        handlers: Vec<Arc<dyn EventHandler>>,
    ) -> Self {
        Self(Arc::new(Inner {
            store,
            clock,
            entropy,
            handlers,
            passwords: Passwords::default(),
            gate: throttle::Gate::default(),
            sessions: session::Cache::new(),
            settings: ArcSwap::from_pointee(Settings::from(config)),
            stopping: AtomicBool::new(false),
            sources: ArcSwap::from_pointee(in_service(config)),
        }))
    }

    /// Takes over a new configuration; sign-ins under way end with the old one.
    pub fn reload(&self, config: &Config) {
        self.0.settings.store(Arc::new(Settings::from(config)));
        self.0.sources.store(Arc::new(in_service(config)));
        self.0.sessions.clear();
    }

    /// The store below.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.0.settings.load_full()
    }

    /// The sources in force, in order.
    pub fn sources(&self) -> Arc<Vec<Arc<ActiveSource>>> {
        self.0.sources.load_full()
    }

    /// The source with this slug.
    pub fn source(&self, slug: &str) -> Option<Arc<ActiveSource>> {
        self.0.sources.load().iter().find(|source| source.slug == slug).cloned()
    }

    /// The clock that everything here goes by.
    pub fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.0.clock.now()
    }

    /// A new identifier, ordered by time.
    pub fn new_id(&self) -> Uuid {
        new_id(self.0.clock.as_ref(), self.0.entropy.as_ref())
    }

    /// Where randomness comes from.
    pub fn entropy(&self) -> &dyn Entropy {
        self.0.entropy.as_ref()
    }

    /// Hashes and verifies local passwords.
    pub fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// Has following and scheduling end, so that leases are given back before the process ends.
    pub fn stop_syncing(&self) {
        self.0.stopping.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Acquire)
    }

    pub(crate) fn handlers(&self) -> &[Arc<dyn EventHandler>] {
        &self.0.handlers
    }

    /// Forgets what this process remembers of a user, so that their next request sees them as they are now.
    pub(crate) fn forget_user(&self, user: Uuid) {
        self.0.sessions.forget_user(user);
    }

    pub(crate) fn tell(&self, event: &Event) {
        for handler in &self.0.handlers {
            handler.notify(event);
        }
    }
}

fn in_service(config: &Config) -> Vec<Arc<ActiveSource>> {
    config.sources.iter().map(|source| Arc::new(ActiveSource::new(source))).collect()
}

/// A UUIDv7 from the given clock and randomness (RFC 9562, 5.7).
fn new_id(clock: &dyn Clock, entropy: &dyn Entropy) -> Uuid {
    let mut random = [0u8; 10];
    entropy.fill(&mut random);
    let millis = u64::try_from(clock.now().timestamp_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}
