//! A server that cannot be used: it gives up its connections, and a task looks at it until it is back. Nobody else waits for it.

use super::Failure;
use super::server::{Server, lock};
use crate::settings::Bind;
use bindery_ldap::Connection;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The first wait of a background probe; doubled up to [`SLOWEST_PROBE`].
const FIRST_PROBE: Duration = Duration::from_millis(100);
const SLOWEST_PROBE: Duration = Duration::from_secs(1);

impl Server {
    /// Notes that the server cannot be used, and looks in the background for when it can.
    pub(crate) fn mark_down(self: &Arc<Self>, why: &Failure) {
        self.pool.clear();
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
        let _turn = self.pool.connecting.lock().await;
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
