//! One server of a source: how its connections are made, kept and given up.
//!
//! Three kinds that never mix: *shared* service connections, on which every read travels side by
//! side; *exclusive* service connections, for paged reads (servers keep one paging state for each
//! connection); and connections on which people bind, which never carry a service search.

use super::health::{Health, Refused};
use crate::SourceSettings;
use crate::check::{Maker, identify};
use crate::settings::{Bind, Timeouts};
use bindery_ldap::{ConnectOptions, Connection, Connector, Error, LdapResult, ResultCode, Scheme};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Shared connections of one server: a few carry everything.
const SHARED_CONNECTIONS: usize = 4;
/// Operations under way on each shared connection before another one is opened.
const CROWDED: usize = 4;
/// Connections on which people bind, of one server.
const PERSONAL_CONNECTIONS: usize = 64;
/// Idle connections older than this are not trusted: firewalls forget them without a word.
const IDLE: Duration = Duration::from_mins(1);
/// The first wait of a background probe; doubled up to [`SLOWEST_PROBE`].
const FIRST_PROBE: Duration = Duration::from_millis(100);
const SLOWEST_PROBE: Duration = Duration::from_secs(1);

/// Why a server could not be used; shared by everybody who waited for the same attempt.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// The connection or the answer.
    Ldap(Arc<Error>),
    /// The service account was refused.
    ServiceBind(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ldap(Arc::new(error))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ldap(error) => write!(f, "{}", crate::error::chain(error.as_ref())),
            Self::ServiceBind(detail) => write!(f, "the service account was refused: {detail}"),
        }
    }
}

/// One server.
pub(crate) struct Server {
    pub(crate) url: String,
    /// The same, in parts.
    pub(super) address: bindery_ldap::LdapUrl,
    slug: String,
    scheme: Scheme,
    starttls: bool,
    timeouts: Timeouts,
    /// Made once, so that TLS sessions are resumed; an error where the TLS settings are of no use.
    connector: Result<Connector, Failure>,
    bind: Bind,
    health: Mutex<Health>,
    shared: Mutex<Vec<Shared>>,
    exclusive: Mutex<Vec<Idle>>,
    people: Mutex<Vec<Idle>>,
    people_permits: Arc<Semaphore>,
    /// Held by whoever opens a shared connection; the others wait and share what came of it.
    connecting: tokio::sync::Mutex<()>,
    /// Attempts to open one that were begun.
    attempts: AtomicU64,
    /// The last of them, by its number, where it failed.
    last_failure: Mutex<Option<(u64, Failure)>>,
    growing: AtomicBool,
    numbers: AtomicU64,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

#[derive(Clone)]
struct Shared {
    connection: Connection,
    number: u64,
    under_way: Arc<AtomicUsize>,
}

/// A shared connection while an operation is on it.
pub(crate) struct SharedLease {
    shared: Shared,
}

impl SharedLease {
    fn new(shared: Shared) -> Self {
        shared.under_way.fetch_add(1, Ordering::Relaxed);
        Self { shared }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.shared.connection
    }
}

impl Drop for SharedLease {
    fn drop(&mut self) {
        self.shared.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Which pool a lease goes back to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exclusive,
    Person,
}

/// A connection of one's own; given back when dropped, if it was said to be worth keeping.
pub(crate) struct Lease {
    connection: Connection,
    server: Weak<Server>,
    kind: Kind,
    /// It was used before, so that it may have died unnoticed.
    pub(crate) reused: bool,
    /// Only what ended well is used again: whoever is dropped midway leaves an answer under way.
    kept: AtomicBool,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Lease {
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// It may be used again.
    pub(crate) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// It may not be used again after all.
    pub(crate) fn spoil(&self) {
        self.kept.store(false, Ordering::Relaxed);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.kept.load(Ordering::Relaxed) || self.connection.is_closed() {
            return;
        }
        if let Some(server) = self.server.upgrade() {
            lock(server.idle(self.kind)).push(Idle { connection: self.connection.clone(), since: Instant::now() });
        }
    }
}

impl Server {
    pub(crate) fn new(settings: &SourceSettings, url: &bindery_ldap::LdapUrl) -> Self {
        let options = ConnectOptions {
            url: url.clone(),
            tls: settings.tls.clone(),
            connect_timeout: settings.timeouts.connect,
            operation_timeout: settings.timeouts.operation,
            max_message: settings.max_message,
        };
        Self {
            url: url.to_string(),
            address: url.clone(),
            slug: settings.slug.clone(),
            scheme: url.scheme,
            starttls: settings.tls.starttls,
            timeouts: settings.timeouts,
            connector: Connector::new(options).map_err(Failure::from),
            bind: settings.bind.clone(),
            health: Mutex::default(),
            shared: Mutex::default(),
            exclusive: Mutex::default(),
            people: Mutex::default(),
            people_permits: Arc::new(Semaphore::new(PERSONAL_CONNECTIONS)),
            connecting: tokio::sync::Mutex::default(),
            attempts: AtomicU64::new(0),
            last_failure: Mutex::default(),
            growing: AtomicBool::new(false),
            numbers: AtomicU64::new(0),
        }
    }

    /// Whether TLS or a Unix socket protects every connection to it.
    pub(crate) fn is_protected(&self) -> bool {
        self.starttls || self.scheme != Scheme::Ldap
    }

    /// How it is reached.
    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether it is not to be asked first.
    pub(crate) fn is_down(&self) -> bool {
        lock(&self.health).down.is_some()
    }

    pub(crate) fn health(&self) -> crate::ServerHealth {
        let health = lock(&self.health);
        crate::ServerHealth {
            url: self.url.clone(),
            up: health.is_up(),
            error: health.error(),
            connections: lock(&self.shared).iter().filter(|one| !one.connection.is_closed()).count(),
            vendor: health.maker.vendor.clone(),
            version: health.maker.version.clone(),
        }
    }

    /// A shared service connection: one that is there, or a new one, opened once for all who wait.
    pub(crate) async fn shared(self: &Arc<Self>) -> Result<SharedLease, Failure> {
        if let Some(lease) = self.pick() {
            return Ok(lease);
        }
        let begun = self.attempts.load(Ordering::Acquire);
        let _turn = self.connecting.lock().await;
        if let Some(lease) = self.pick() {
            return Ok(lease);
        }
        // Only one that was begun after this one came: an older one may be of a time before the server was back.
        if let Some((number, failure)) = &*lock(&self.last_failure)
            && *number > begun
        {
            return Err(failure.clone());
        }
        self.add_shared().await
    }

    /// Opens one more shared connection. Only under `connecting`.
    async fn add_shared(&self) -> Result<SharedLease, Failure> {
        let attempt = self.attempts.fetch_add(1, Ordering::AcqRel) + 1;
        let opened = self.open_service().await;
        let answer = opened.map(|connection| {
            let shared =
                Shared { connection, number: self.numbers.fetch_add(1, Ordering::Relaxed), under_way: Arc::default() };
            lock(&self.shared).push(shared.clone());
            SharedLease::new(shared)
        });
        *lock(&self.last_failure) = answer.as_ref().err().map(|failure| (attempt, failure.clone()));
        answer
    }

    /// The least busy of the shared connections. Starts another one in the background when all are crowded.
    fn pick(self: &Arc<Self>) -> Option<SharedLease> {
        let mut shared = lock(&self.shared);
        shared.retain(|one| !one.connection.is_closed());
        let least = shared.iter().min_by_key(|one| one.under_way.load(Ordering::Relaxed))?;
        let lease = SharedLease::new(least.clone());
        let crowded = least.under_way.load(Ordering::Relaxed) > CROWDED && shared.len() < SHARED_CONNECTIONS;
        drop(shared);
        if crowded && !self.growing.swap(true, Ordering::AcqRel) {
            let server = Arc::clone(self);
            tokio::spawn(async move {
                let turn = server.connecting.lock().await;
                // A failure here is nobody's: those that have a connection go on with it.
                let _ = server.add_shared().await;
                drop(turn);
                server.growing.store(false, Ordering::Release);
            });
        }
        Some(lease)
    }

    /// Gives up this shared connection and all older ones: what ended it has most likely ended them.
    pub(crate) fn retire(&self, lease: &SharedLease) {
        lock(&self.shared).retain(|one| one.number > lease.shared.number);
    }

    /// A service connection of one's own, for reading in pages.
    pub(crate) async fn exclusive(self: &Arc<Self>) -> Result<Lease, Failure> {
        if let Some(connection) = self.take_idle(Kind::Exclusive) {
            return Ok(self.lease(connection, Kind::Exclusive, true, None));
        }
        // One after the other: a service account that is refused is not offered by everybody at once.
        let _turn = self.connecting.lock().await;
        let connection = self.open_service().await?;
        Ok(self.lease(connection, Kind::Exclusive, false, None))
    }

    /// A connection for one person's bind. Only as many as a server bears; the others wait.
    pub(crate) async fn person(self: &Arc<Self>, fresh: bool) -> Result<Lease, Failure> {
        let waited = tokio::time::timeout(self.timeouts.operation, Arc::clone(&self.people_permits).acquire_owned());
        let permit = waited.await.ok().and_then(Result::ok).ok_or_else(|| self.timeout("waiting for a connection"))?;
        if !fresh && let Some(connection) = self.take_idle(Kind::Person) {
            return Ok(self.lease(connection, Kind::Person, true, Some(permit)));
        }
        let connection = self.open().await?;
        self.mark_up();
        Ok(self.lease(connection, Kind::Person, false, Some(permit)))
    }

    /// A connection to look at a server with: opened and bound apart from the pool.
    pub(crate) async fn open_unbound(&self) -> Result<Connection, Failure> {
        self.open().await
    }

    /// Takes over a bound connection that was made to check the server, so that nothing binds twice.
    pub(crate) fn adopt(&self, connection: Connection) {
        self.mark_up();
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        lock(&self.shared).push(Shared { connection, number, under_way: Arc::default() });
    }

    /// A look at a server that may never have been needed: whether it can be used, and who made it.
    pub(crate) async fn visit(&self) -> Result<(), Failure> {
        let connection = self.open_service().await?;
        let after = self.timeouts.connect;
        let maker = tokio::time::timeout(after, identify(&connection)).await;
        let maker = maker.map_err(|_| self.timeout_after("reading the root DSE", after))??;
        self.note_maker(maker);
        if lock(&self.shared).iter().any(|one| !one.connection.is_closed()) {
            connection.close().await;
        } else {
            self.adopt(connection);
        }
        Ok(())
    }

    fn note_maker(&self, maker: Maker) {
        let mut health = lock(&self.health);
        if health.maker == maker {
            return;
        }
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let tell = |maker: &Maker, is: f64| {
            let (source, server) = (self.slug.clone(), self.url.clone());
            let (vendor, version) = (text(&maker.vendor), text(&maker.version));
            let labels = [("source", source), ("server", server), ("vendor", vendor), ("version", version)];
            metrics::gauge!("bindery_directory_server_info", &labels).set(is);
        };
        if health.maker != Maker::default() {
            tell(&health.maker, 0.0);
        }
        tell(&maker, 1.0);
        tracing::info!(
            target: "bindery_directory::server", source = %self.slug, server = %self.url,
            vendor = text(&maker.vendor), version = text(&maker.version), "who made the server"
        );
        health.maker = maker;
    }

    async fn open(&self) -> Result<Connection, Failure> {
        let connector = self.connector.as_ref().map_err(Failure::clone)?;
        connector.connect().await.map_err(Failure::from)
    }

    /// Opens and binds a service connection, both within the time for connecting.
    async fn open_service(&self) -> Result<Connection, Failure> {
        if let Some(refused) = lock(&self.health).refused.as_ref().filter(|one| one.until > Instant::now()) {
            return Err(Failure::ServiceBind(refused.detail.clone()));
        }
        let after = self.timeouts.connect;
        let both = async {
            let connection = self.open().await?;
            self.bind_service(&connection).await?;
            Ok(connection)
        };
        let connection = tokio::time::timeout(after, both)
            .await
            .unwrap_or_else(|_| Err(self.timeout_after("connect and bind", after)))?;
        self.mark_up();
        tracing::debug!(target: "bindery_directory::server", source = %self.slug, server = %self.url, "service connection opened");
        Ok(connection)
    }

    /// Binds as the service account, and remembers a refusal: an account that is offered again and
    /// again with a wrong password is soon a locked one.
    pub(crate) async fn bind_service(&self, connection: &Connection) -> Result<(), Failure> {
        let result = match &self.bind {
            Bind::Simple { name, password } => connection.bind_simple(name, password).await.map(|(result, _)| result),
            Bind::External => connection.bind_external().await,
            Bind::Anonymous => connection.bind_anonymous().await,
            Bind::AsUser => return Ok(()),
        };
        match result {
            Ok(result) if result.code == ResultCode::SUCCESS => {
                let mut health = lock(&self.health);
                if health.refused.take().is_some() {
                    tracing::info!(target: "bindery_directory::server", source = %self.slug, server = %self.url, "the service account is accepted again");
                }
                self.tell(&health);
                Ok(())
            }
            Ok(result) if is_busy(&result) => Err(Error::Refused { operation: "bind", result }.into()),
            Ok(result) => Err(self.service_refused(result.to_string())),
            Err(Error::EmptyPassword) => Err(self.service_refused(Error::EmptyPassword.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    fn service_refused(&self, detail: String) -> Failure {
        let mut health = lock(&self.health);
        let refused = Refused::after(health.refused.take(), detail.clone());
        tracing::error!(
            target: "bindery_directory::server", source = %self.slug, server = %self.url, reason = %detail,
            again_in_seconds = refused.wait.as_secs(), "the service account was refused"
        );
        health.refused = Some(refused);
        self.tell(&health);
        Failure::ServiceBind(detail)
    }

    fn mark_up(&self) {
        let mut health = lock(&self.health);
        if health.down.take().is_some() {
            tracing::info!(target: "bindery_directory::server", source = %self.slug, server = %self.url, "server is back");
        }
        self.tell(&health);
    }

    fn tell(&self, health: &Health) {
        metrics::gauge!("bindery_directory_server_up", "source" => self.slug.clone(), "server" => self.url.clone())
            .set(if health.is_up() { 1.0 } else { 0.0 });
    }

    /// Notes that the server cannot be used, and looks in the background for when it can.
    pub(crate) fn mark_down(self: &Arc<Self>, why: &Failure) {
        lock(&self.shared).clear();
        lock(&self.exclusive).clear();
        lock(&self.people).clear();
        let mut health = lock(&self.health);
        let was_down = health.down.replace(why.to_string()).is_some();
        let probing = std::mem::replace(&mut health.probing, true);
        self.tell(&health);
        drop(health);
        if !was_down {
            tracing::warn!(target: "bindery_directory::server", source = %self.slug, server = %self.url, error = %why, "server cannot be used");
        }
        if !probing {
            tokio::spawn(probe(Arc::downgrade(self)));
        }
    }

    /// One look at a server that is down. Whether to go on looking.
    async fn look(self: &Arc<Self>) -> bool {
        let _turn = self.connecting.lock().await;
        if !self.is_down() {
            return false;
        }
        match self.add_shared().await {
            // Without a service bind a connection proves little: a stopped process still accepts them.
            Ok(lease) if matches!(self.bind, Bind::AsUser) => match self.ping(lease.connection()).await {
                Ok(()) => false,
                Err(error) => {
                    self.retire(&lease);
                    lock(&self.health).down = Some(error.to_string());
                    true
                }
            },
            Ok(_) => false,
            Err(Failure::ServiceBind(_)) => {
                // It answers; that it refuses is remembered apart.
                self.mark_up();
                false
            }
            Err(error) => {
                lock(&self.health).down = Some(error.to_string());
                true
            }
        }
    }

    /// Any answer at all to a read of the root DSE.
    async fn ping(&self, connection: &Connection) -> Result<(), Failure> {
        let after = self.timeouts.connect;
        tokio::time::timeout(after, connection.search(super::root_dse(&["1.1"])?))
            .await
            .map_err(|_| self.timeout_after("reading the root DSE", after))?
            .map(drop)
            .map_err(Failure::from)
    }

    fn lease(
        self: &Arc<Self>,
        connection: Connection,
        kind: Kind,
        reused: bool,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Lease {
        Lease { connection, server: Arc::downgrade(self), kind, reused, kept: AtomicBool::new(false), _permit: permit }
    }

    fn idle(&self, kind: Kind) -> &Mutex<Vec<Idle>> {
        match kind {
            Kind::Exclusive => &self.exclusive,
            Kind::Person => &self.people,
        }
    }

    /// The connection used last, so that those not needed grow old and go.
    fn take_idle(&self, kind: Kind) -> Option<Connection> {
        let mut idle = lock(self.idle(kind));
        let now = Instant::now();
        idle.retain(|one| !one.connection.is_closed() && now.duration_since(one.since) < IDLE);
        idle.pop().map(|one| one.connection)
    }

    fn timeout(&self, operation: &'static str) -> Failure {
        self.timeout_after(operation, self.timeouts.operation)
    }

    #[expect(clippy::unused_self, reason = "reads as a property of the server")]
    fn timeout_after(&self, operation: &'static str, after: Duration) -> Failure {
        Error::Timeout { operation, after }.into()
    }
}

/// Looks at a server until it can be used again, or the source is gone.
async fn probe(server: Weak<Server>) {
    let mut wait = FIRST_PROBE;
    loop {
        tokio::time::sleep(wait).await;
        let Some(server) = server.upgrade() else { return };
        if !server.look().await {
            let mut health = lock(&server.health);
            // It may have gone down again between the look and here.
            if health.down.is_none() {
                health.probing = false;
                return;
            }
        }
        wait = (wait * 2).min(SLOWEST_PROBE);
    }
}

/// 51 and 52: another server may be less so.
pub(crate) fn is_busy(result: &LdapResult) -> bool {
    matches!(result.code, ResultCode::BUSY | ResultCode::UNAVAILABLE)
}

/// Nothing here leaves its data half-written, so that a panic elsewhere spoils nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
