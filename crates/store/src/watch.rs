//! Whose sessions count no longer as they were read, told between replicas.
//!
//! On PostgreSQL by NOTIFY, in the transaction that changes the user; within one process, and on SQLite, by a channel.
//! A hint that makes answers fresh sooner: notifications can be lost, so that whoever keeps what they read must read it
//! again after a bounded time all the same.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Executor;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::broadcast;
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::Store;

pub(crate) const CHANNEL: &str = "bindery_users";
pub(crate) const NOTIFY: &str = "SELECT pg_notify($1, $2)";
/// What stands for everybody, where a payload cannot name each: it must be shorter than 8,000 bytes.
const EVERYBODY: &str = "all";
const MOST_NAMED: usize = 200;
/// Revocations that a reader may be behind before it has to read everything again.
const BEHIND: usize = 1024;
/// After so long without a notification the connection is tried: one that a firewall forgot says nothing either.
const QUIET: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What must be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// One user: deleted, of other flags, or some of their sessions ended.
    User(Uuid),
    /// Everybody: more than can be named, or notifications may have been lost.
    All,
}

/// A stream of revocations without end, from [`Store::watch`].
#[derive(Debug)]
pub struct Watch {
    receiver: broadcast::Receiver<Revoked>,
    revocations: Arc<Revocations>,
}

impl Watch {
    /// The next revocation. [`Revoked::All`] whenever some may have been lost: after a connection to the other replicas
    /// was lost and again when it is back, and where the reader fell behind.
    ///
    /// Nothing is lost if the future is dropped before it is ready.
    pub async fn next(&mut self) -> Revoked {
        match self.receiver.recv().await {
            Ok(revoked) => revoked,
            // Behind; closed it cannot be, since we hold the other end.
            Err(_) => Revoked::All,
        }
    }

    /// See [`Store::hears_others`].
    pub fn is_alive(&self) -> bool {
        self.revocations.alive.load(Ordering::Acquire)
    }
}

impl Store {
    /// Begins to watch for revocations: those that this process commits and, on PostgreSQL, those of all replicas, over
    /// a connection of its own that is made again whenever it is lost. A change is told after it is committed.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub fn watch(&self) -> Watch {
        let revocations = self.db.revocations.clone();
        let receiver = revocations.sender.subscribe();
        revocations.listen();
        Watch { receiver, revocations }
    }

    /// Whether the revocations of every other process reach us now, as far as anybody can tell: on PostgreSQL, while
    /// somebody watches and the connection stands. SQLite has no way to tell.
    pub fn hears_others(&self) -> bool {
        self.db.revocations.alive.load(Ordering::Acquire)
    }
}

/// Where revocations come together in one process.
#[derive(Debug)]
pub(crate) struct Revocations {
    sender: broadcast::Sender<Revoked>,
    alive: Arc<AtomicBool>,
    postgres: Option<PgConnectOptions>,
    listener: Mutex<Option<AbortHandle>>,
}

impl Revocations {
    pub(crate) fn new(postgres: Option<PgConnectOptions>) -> Arc<Self> {
        let sender = broadcast::Sender::new(BEHIND);
        Arc::new(Self { sender, alive: Arc::default(), postgres, listener: Mutex::default() })
    }

    pub(crate) fn tell(&self, users: &BTreeSet<Uuid>) {
        // That nobody watches is no error.
        if users.len() > MOST_NAMED {
            let _ = self.sender.send(Revoked::All);
        } else {
            for user in users {
                let _ = self.sender.send(Revoked::User(*user));
            }
        }
    }

    /// Ends the connection to the other replicas.
    pub(crate) fn close(&self) {
        if let Some(listener) = self.listener().take() {
            listener.abort();
            self.alive.store(false, Ordering::Release);
        }
    }

    fn listen(&self) {
        let Some(options) = &self.postgres else { return };
        let mut listener = self.listener();
        if listener.as_ref().is_none_or(AbortHandle::is_finished) {
            let task = follow(options.clone(), self.sender.clone(), self.alive.clone());
            *listener = Some(tokio::spawn(task).abort_handle());
        }
    }

    fn listener(&self) -> std::sync::MutexGuard<'_, Option<AbortHandle>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Revocations {
    fn drop(&mut self) {
        self.close();
    }
}

/// Listens for ever, over one connection after the other.
async fn follow(options: PgConnectOptions, sender: broadcast::Sender<Revoked>, alive: Arc<AtomicBool>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let served = one_connection(&options, &sender, &alive).await;
        alive.store(false, Ordering::Release);
        let _ = sender.send(Revoked::All);
        if served {
            pause = FIRST_PAUSE;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Listens until the connection is lost. Answers whether it ever was one.
async fn one_connection(options: &PgConnectOptions, sender: &broadcast::Sender<Revoked>, alive: &AtomicBool) -> bool {
    let Ok(Ok(mut listener)) = tokio::time::timeout(PATIENCE, connect(options)).await else { return false };
    alive.store(true, Ordering::Release);
    // Whatever was said before we listened.
    let _ = sender.send(Revoked::All);
    loop {
        match tokio::time::timeout(QUIET, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => {
                for revoked in named(notification.payload()) {
                    let _ = sender.send(revoked);
                }
            }
            Ok(Ok(None) | Err(_)) => return true,
            Err(_) => {
                let answer = tokio::time::timeout(PATIENCE, listener.execute("SELECT 1")).await;
                if !matches!(answer, Ok(Ok(_))) {
                    return true;
                }
            }
        }
    }
}

async fn connect(options: &PgConnectOptions) -> Result<PgListener, sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    let mut listener = PgListener::connect_with(&pool.connect_lazy_with(options.clone())).await?;
    // It would connect again by itself, and nobody would learn what was lost meanwhile.
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

/// What is sent to the other replicas, if anything.
pub(crate) fn payload(users: &BTreeSet<Uuid>) -> Option<String> {
    match users.len() {
        0 => None,
        1..=MOST_NAMED => Some(users.iter().map(|user| user.simple().to_string()).collect::<Vec<_>>().join(",")),
        _ => Some(EVERYBODY.to_owned()),
    }
}

/// What a payload says. What cannot be read means everybody.
fn named(payload: &str) -> Vec<Revoked> {
    let users: Result<Vec<Revoked>, _> =
        payload.split(',').map(|user| Uuid::parse_str(user).map(Revoked::User)).collect();
    users.unwrap_or_else(|_| vec![Revoked::All])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_names_everybody_it_can() {
        let users = |count: u128| (1..=count).map(Uuid::from_u128).collect::<BTreeSet<_>>();
        assert_eq!(payload(&users(0)), None);
        let most = payload(&users(200)).unwrap();
        assert!(most.len() < 8000, "{}", most.len());
        let each: Vec<Revoked> = users(200).into_iter().map(Revoked::User).collect();
        assert_eq!(named(&most), each);
        assert_eq!(named(&payload(&users(201)).unwrap()), [Revoked::All]);
        assert_eq!(named("something of a newer version"), [Revoked::All]);
    }
}
