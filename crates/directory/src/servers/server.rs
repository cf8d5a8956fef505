//! One server of a source: how it is reached, how a service connection is opened and bound there, and what is known of it.
//! Which connections it has is in `pool`, and what happens while it cannot be used in `outage`.

use super::Failure;
use super::health::{Health, Refused};
use super::is_busy;
use super::pool::Pool;
use crate::SourceSettings;
use crate::check::{Maker, identify};
use crate::settings::{Bind, Timeouts};
use bindery_ldap::{ConnectOptions, Connection, Connector, Error, ResultCode, Scheme};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// One server.
pub(crate) struct Server {
    pub(crate) url: String,
    /// The same, in parts.
    pub(super) address: bindery_ldap::LdapUrl,
    pub(super) slug: String,
    scheme: Scheme,
    starttls: bool,
    pub(super) timeouts: Timeouts,
    /// Made once, so that TLS sessions are resumed; an error where the TLS settings are of no use.
    connector: Result<Connector, Failure>,
    pub(super) bind: Bind,
    pub(super) health: Mutex<Health>,
    pub(super) pool: Pool,
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
            pool: Pool::default(),
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
            connections: self.pool.shared_connections(),
            vendor: health.maker.vendor.clone(),
            version: health.maker.version.clone(),
        }
    }

    /// A connection to look at a server with: opened and bound apart from the pool.
    pub(crate) async fn open_unbound(&self) -> Result<Connection, Failure> {
        self.open().await
    }

    /// A look at a server that may never have been needed: whether it can be used, and who made it.
    pub(crate) async fn visit(&self) -> Result<(), Failure> {
        let connection = self.open_service().await?;
        let after = self.timeouts.connect;
        let maker = tokio::time::timeout(after, identify(&connection)).await;
        let maker = maker.map_err(|_| self.timeout_after("reading the root DSE", after))??;
        self.note_maker(maker);
        if self.pool.shared_connections() > 0 {
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

    pub(super) async fn open(&self) -> Result<Connection, Failure> {
        let connector = self.connector.as_ref().map_err(Failure::clone)?;
        connector.connect().await.map_err(Failure::from)
    }

    /// Opens and binds a service connection, both within the time for connecting.
    pub(super) async fn open_service(&self) -> Result<Connection, Failure> {
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

    pub(super) fn mark_up(&self) {
        let mut health = lock(&self.health);
        if health.down.take().is_some() {
            tracing::info!(target: "bindery_directory::server", source = %self.slug, server = %self.url, "server is back");
        }
        self.tell(&health);
    }

    pub(super) fn tell(&self, health: &Health) {
        metrics::gauge!("bindery_directory_server_up", "source" => self.slug.clone(), "server" => self.url.clone())
            .set(if health.is_up() { 1.0 } else { 0.0 });
    }

    pub(super) fn timeout(&self, operation: &'static str) -> Failure {
        self.timeout_after(operation, self.timeouts.operation)
    }

    #[expect(clippy::unused_self, reason = "reads as a property of the server")]
    pub(super) fn timeout_after(&self, operation: &'static str, after: Duration) -> Failure {
        Error::Timeout { operation, after }.into()
    }
}

/// Nothing here leaves its data half-written, so that a panic elsewhere spoils nothing.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
