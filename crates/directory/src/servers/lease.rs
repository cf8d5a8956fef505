//! Connections on loan: shared by many while operations are on them, or one's own until it is given back. A lease never opens
//! or closes a connection.

use super::server::Server;
use bindery_ldap::Connection;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::OwnedSemaphorePermit;

/// A connection that many use side by side.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) connection: Connection,
    /// A later one has a higher number.
    pub(super) number: u64,
    /// Operations on it.
    pub(super) under_way: Arc<AtomicUsize>,
}

/// A shared connection while an operation is on it.
pub(crate) struct SharedLease {
    pub(super) shared: Shared,
}

impl SharedLease {
    pub(super) fn new(shared: Shared) -> Self {
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
pub(super) enum Kind {
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
    pub(super) fn new(
        connection: Connection,
        server: &Arc<Server>,
        kind: Kind,
        reused: bool,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self { connection, server: Arc::downgrade(server), kind, reused, kept: AtomicBool::new(false), _permit: permit }
    }

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
            server.pool.put_back(self.kind, self.connection.clone());
        }
    }
}
