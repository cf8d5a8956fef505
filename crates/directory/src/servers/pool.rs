//! The connections of one server: which one is lent, and when another one is opened.
//!
//! Three kinds that never mix: *shared* service connections, on which every read travels side by
//! side; *exclusive* service connections, for paged reads (servers keep one paging state for each
//! connection); and connections on which people bind, which never carry a service search.

use super::Failure;
use super::lease::{Kind, Lease, Shared, SharedLease};
use super::server::{Server, lock};
use bindery_ldap::Connection;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Shared connections of one server: a few carry everything.
const SHARED_CONNECTIONS: usize = 4;
/// Operations under way on each shared connection before another one is opened.
const CROWDED: usize = 4;
/// Connections on which people bind, of one server.
const PERSONAL_CONNECTIONS: usize = 64;
/// Idle connections older than this are not trusted: firewalls forget them without a word.
const IDLE: Duration = Duration::from_mins(1);

/// An idle connection.
struct Idle {
    connection: Connection,
    since: Instant,
}

/// What one server has of connections.
pub(super) struct Pool {
    shared: Mutex<Vec<Shared>>,
    exclusive: Mutex<Vec<Idle>>,
    people: Mutex<Vec<Idle>>,
    people_permits: Arc<Semaphore>,
    /// Held by whoever opens a shared connection; the others wait and share what came of it.
    pub(super) connecting: tokio::sync::Mutex<()>,
    /// Attempts to open one that were begun.
    attempts: AtomicU64,
    /// The last of them, by its number, where it failed.
    last_failure: Mutex<Option<(u64, Failure)>>,
    growing: AtomicBool,
    numbers: AtomicU64,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
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
}

impl Pool {
    /// How many shared connections are open.
    pub(super) fn shared_connections(&self) -> usize {
        lock(&self.shared).iter().filter(|one| !one.connection.is_closed()).count()
    }

    /// Gives up all of them. Those on loan are not given back.
    pub(super) fn clear(&self) {
        lock(&self.shared).clear();
        lock(&self.exclusive).clear();
        lock(&self.people).clear();
    }

    fn add(&self, connection: Connection) -> Shared {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let shared = Shared { connection, number, under_way: Arc::default() };
        lock(&self.shared).push(shared.clone());
        shared
    }

    fn idle(&self, kind: Kind) -> &Mutex<Vec<Idle>> {
        match kind {
            Kind::Exclusive => &self.exclusive,
            Kind::Person => &self.people,
        }
    }

    /// It waits to be lent again.
    pub(super) fn put_back(&self, kind: Kind, connection: Connection) {
        lock(self.idle(kind)).push(Idle { connection, since: Instant::now() });
    }

    /// The connection used last, so that those not needed grow old and go.
    fn take_idle(&self, kind: Kind) -> Option<Connection> {
        let mut idle = lock(self.idle(kind));
        let now = Instant::now();
        idle.retain(|one| !one.connection.is_closed() && now.duration_since(one.since) < IDLE);
        idle.pop().map(|one| one.connection)
    }
}

impl Server {
    /// A shared service connection: one that is there, or a new one, opened once for all who wait.
    pub(crate) async fn shared(self: &Arc<Self>) -> Result<SharedLease, Failure> {
        if let Some(lease) = self.pick() {
            return Ok(lease);
        }
        let begun = self.pool.attempts.load(Ordering::Acquire);
        let _turn = self.pool.connecting.lock().await;
        if let Some(lease) = self.pick() {
            return Ok(lease);
        }
        // Only one that was begun after this one came: an older one may be of a time before the server was back.
        if let Some((number, failure)) = &*lock(&self.pool.last_failure)
            && *number > begun
        {
            return Err(failure.clone());
        }
        self.add_shared().await
    }

    /// Opens one more shared connection. Only under `connecting`.
    pub(super) async fn add_shared(&self) -> Result<SharedLease, Failure> {
        let attempt = self.pool.attempts.fetch_add(1, Ordering::AcqRel) + 1;
        let opened = self.open_service().await;
        let answer = opened.map(|connection| SharedLease::new(self.pool.add(connection)));
        *lock(&self.pool.last_failure) = answer.as_ref().err().map(|failure| (attempt, failure.clone()));
        answer
    }

    /// The least busy of the shared connections. Starts another one in the background when all are crowded.
    fn pick(self: &Arc<Self>) -> Option<SharedLease> {
        let mut shared = lock(&self.pool.shared);
        shared.retain(|one| !one.connection.is_closed());
        let least = shared.iter().min_by_key(|one| one.under_way.load(Ordering::Relaxed))?;
        let lease = SharedLease::new(least.clone());
        let crowded = least.under_way.load(Ordering::Relaxed) > CROWDED && shared.len() < SHARED_CONNECTIONS;
        drop(shared);
        if crowded && !self.pool.growing.swap(true, Ordering::AcqRel) {
            let server = Arc::clone(self);
            tokio::spawn(async move {
                let turn = server.pool.connecting.lock().await;
                // A failure here is nobody's: those that have a connection go on with it.
                let _ = server.add_shared().await;
                drop(turn);
                server.pool.growing.store(false, Ordering::Release);
            });
        }
        Some(lease)
    }

    /// Gives up this shared connection and all older ones: what ended it has most likely ended them.
    pub(crate) fn retire(&self, lease: &SharedLease) {
        lock(&self.pool.shared).retain(|one| one.number > lease.shared.number);
    }

    /// A service connection of one's own, for reading in pages.
    pub(crate) async fn exclusive(self: &Arc<Self>) -> Result<Lease, Failure> {
        if let Some(connection) = self.pool.take_idle(Kind::Exclusive) {
            return Ok(Lease::new(connection, self, Kind::Exclusive, true, None));
        }
        // One after the other: a service account that is refused is not offered by everybody at once.
        let _turn = self.pool.connecting.lock().await;
        let connection = self.open_service().await?;
        Ok(Lease::new(connection, self, Kind::Exclusive, false, None))
    }

    /// A connection for one person's bind. Only as many as a server bears; the others wait.
    pub(crate) async fn person(self: &Arc<Self>, fresh: bool) -> Result<Lease, Failure> {
        let waited =
            tokio::time::timeout(self.timeouts.operation, Arc::clone(&self.pool.people_permits).acquire_owned());
        let permit = waited.await.ok().and_then(Result::ok).ok_or_else(|| self.timeout("waiting for a connection"))?;
        if !fresh && let Some(connection) = self.pool.take_idle(Kind::Person) {
            return Ok(Lease::new(connection, self, Kind::Person, true, Some(permit)));
        }
        let connection = self.open().await?;
        self.mark_up();
        Ok(Lease::new(connection, self, Kind::Person, false, Some(permit)))
    }

    /// Takes over a bound connection that was made to check the server, so that nothing binds twice.
    pub(crate) fn adopt(&self, connection: Connection) {
        self.mark_up();
        self.pool.add(connection);
    }
}
