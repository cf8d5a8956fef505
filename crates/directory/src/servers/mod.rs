//! All servers of a source: which one is asked, and what happens when it does not answer.
//!
//! The first in order that is up is asked. One that fails, is busy, or keeps silent for as long as
//! connecting may take is passed over for the next at once, and a task looks at it until it is back.
//! When all are down they are tried side by side, so that an answer is never further away than the
//! quickest of them. Nothing is written or bound twice this way: only reads are asked again.

mod attempt;
mod failure;
mod health;
mod lease;
mod outage;
mod pool;
mod referrals;
mod server;

pub(crate) use failure::{Failure, is_busy, not_busy};
pub(crate) use lease::Lease;
pub(crate) use referrals::NOT_FOLLOWED;
pub(crate) use server::Server;

use crate::{DirectoryError, ServerHealth, SourceSettings};
use attempt::{Attempt, begin_at, bind_at, note, read_at};
use bindery_ldap::{Connection, Control, Dn, Error, LdapResult, Scope, SearchOutcome, SearchRequest};
use failure::is_untrusted;
use futures::stream::{FuturesUnordered, StreamExt};
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The servers of one source.
pub(crate) struct Servers {
    slug: String,
    all: Vec<Arc<Server>>,
    /// How long a silent server is waited for before the next one is asked as well.
    patience: Duration,
    /// Bounds an operation with all that its references lead to.
    operation: Duration,
    /// Whether references are followed.
    referrals: bool,
    places: referrals::Places,
}

/// Why an operation came to nothing.
enum Refusal {
    /// Every server would say the same.
    Final(Error),
    /// None of these servers could be used.
    Nowhere(Vec<(Arc<Server>, Failure)>),
}

impl Servers {
    pub(crate) fn new(settings: &SourceSettings) -> Self {
        Self {
            slug: settings.slug.clone(),
            all: settings.servers.iter().map(|url| Arc::new(Server::new(settings, url))).collect(),
            patience: settings.timeouts.connect.min(settings.timeouts.operation / 2),
            operation: settings.timeouts.operation,
            referrals: settings.referrals,
            places: referrals::Places::default(),
        }
    }

    pub(crate) fn all(&self) -> &[Arc<Server>] {
        &self.all
    }

    pub(crate) fn health(&self) -> Vec<ServerHealth> {
        self.all.iter().map(|server| server.health()).collect()
    }

    /// Looks at all servers, side by side.
    pub(crate) async fn look(&self) {
        let looks = self.all.iter().map(|server| async move {
            if let Err(failure) = server.visit().await {
                note(server, &failure);
            }
        });
        futures::future::join_all(looks).await;
    }

    /// One search on the shared connections, with what its references lead to where they are followed.
    pub(crate) async fn search(&self, request: &SearchRequest) -> Result<SearchOutcome, DirectoryError> {
        let operation = || format!("search of {:?} for {}", request.base, request.filter);
        let read = self.read("search", operation, |connection| {
            let request = request.clone();
            async move { not_busy("search", connection.search(request).await?) }
        });
        let outcome = read.await?;
        Ok(if self.referrals { self.complete(request, outcome).await } else { outcome })
    }

    /// A read, which may be asked of several servers: of the next one as soon as one fails or keeps silent.
    pub(crate) async fn read<T, F, Fut>(
        &self,
        kind: &'static str,
        describe: impl Fn() -> String,
        operation: F,
    ) -> Result<T, DirectoryError>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = Result<T, Error>>,
    {
        let started = Instant::now();
        let answer = self.read_somewhere(&operation).await;
        self.end(kind, started, describe, answer)
    }

    /// A read of one entry by its name: where a reference led to it, of the server that has it.
    pub(crate) async fn read_of<T, F, Fut>(
        &self,
        dn: &Dn,
        kind: &'static str,
        describe: impl Fn() -> String,
        operation: F,
    ) -> Result<T, DirectoryError>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = Result<T, Error>>,
    {
        let Some(server) = self.places.of(dn) else { return self.read(kind, describe, operation).await };
        let started = Instant::now();
        let answer = self.first_of(vec![server], |server| read_at(server, &operation)).await;
        self.end(kind, started, describe, answer)
    }

    async fn read_somewhere<T, F, Fut>(&self, operation: &F) -> Result<T, Refusal>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = Result<T, Error>>,
    {
        let (up, mut down): (Vec<_>, Vec<_>) = self.all.iter().cloned().partition(|server| !server.is_down());
        let mut failures = Vec::new();
        let mut waiting = up.into_iter();
        let mut silent = Vec::new();
        let mut under_way = FuturesUnordered::new();
        loop {
            if under_way.is_empty() {
                let Some(next) = waiting.next() else { break };
                silent.push(Arc::clone(&next));
                under_way.push(read_at(next, operation));
            }
            match tokio::time::timeout(self.patience, under_way.next()).await {
                Ok(Some(Ok(value))) => return Ok(value),
                Ok(Some(Err(Attempt::Final(error)))) => return Err(Refusal::Final(error)),
                Ok(Some(Err(Attempt::Failed(server, failure)))) => {
                    silent.retain(|one| !Arc::ptr_eq(one, &server));
                    failures.push((server, failure));
                }
                Ok(None) => {}
                // Nobody has said anything: ask the next one, or these again on new connections.
                Err(_) => {
                    for server in silent.drain(..) {
                        server.mark_down(&silence(self.patience));
                        down.push(server);
                    }
                    match waiting.next() {
                        Some(next) => {
                            silent.push(Arc::clone(&next));
                            under_way.push(read_at(next, operation));
                        }
                        None => under_way.extend(down.drain(..).map(|server| read_at(server, operation))),
                    }
                }
            }
        }
        // Whoever of those that were down is back first.
        under_way.extend(down.into_iter().map(|server| read_at(server, operation)));
        while let Some(answer) = under_way.next().await {
            match answer {
                Ok(value) => return Ok(value),
                Err(Attempt::Final(error)) => return Err(Refusal::Final(error)),
                Err(Attempt::Failed(server, failure)) => failures.push((server, failure)),
            }
        }
        Err(Refusal::Nowhere(failures))
    }

    /// A write: sent once, on the first connection that can be had.
    pub(crate) async fn write<T, F, Fut>(
        &self,
        kind: &'static str,
        describe: impl Fn() -> String,
        operation: F,
    ) -> Result<T, DirectoryError>
    where
        F: FnOnce(Connection) -> Fut,
        Fut: Future<Output = Result<T, Error>>,
    {
        let started = Instant::now();
        let lease = |server: Arc<Server>| async move {
            let lease = server.shared().await.map_err(|failure| Attempt::unreached(&server, failure))?;
            Ok((server, lease))
        };
        let answer = match self.first_of(self.in_order(), lease).await {
            Ok((server, lease)) => operation(lease.connection().clone()).await.map_err(|error| {
                if error.is_connection_lost() {
                    server.retire(&lease);
                }
                Refusal::Final(error)
            }),
            Err(refusal) => Err(refusal),
        };
        self.end(kind, started, describe, answer)
    }

    /// Begins something that lasts, on a service connection of its own. Only its beginning is asked of the next
    /// server when one fails, is busy, or keeps silent: what has begun belongs to the server it began at.
    pub(crate) async fn begin<T, F, Fut>(
        &self,
        kind: &'static str,
        describe: impl Fn() -> String,
        operation: F,
    ) -> Result<(T, Arc<Server>, Lease), DirectoryError>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = Result<T, Error>>,
    {
        let started = Instant::now();
        let answer = self.first_of(self.in_order(), |server| begin_at(server, &operation)).await;
        self.end(kind, started, describe, answer)
    }

    /// A service connection of one's own, for reading in pages.
    pub(crate) async fn exclusive(&self) -> Result<(Arc<Server>, Lease), DirectoryError> {
        let lease = |server: Arc<Server>| async move {
            let lease = server.exclusive().await.map_err(|failure| Attempt::unreached(&server, failure))?;
            Ok((server, lease))
        };
        let answer = self.first_of(self.in_order(), lease).await;
        answer.map_err(|refusal| self.refused(|| "opening a connection".to_owned(), refusal))
    }

    /// Binds as a person, on a connection that never carries service searches. Any answer of the
    /// server but busy and unavailable comes back, with the connection it was given on.
    pub(crate) async fn bind_person(
        &self,
        dn: &Dn,
        password: &SecretString,
    ) -> Result<(LdapResult, Vec<Control>, Lease), DirectoryError> {
        let started = Instant::now();
        // Who was found by a reference is known there alone: elsewhere their password would be a wrong one.
        let servers = self.places.of(dn).map_or_else(|| self.in_order(), |server| vec![server]);
        let bind = |server: Arc<Server>| async move { bind_at(&server, dn, password).await };
        let answer = self.first_of(servers, bind).await;
        self.end("bind", started, || format!("bind as {dn}"), answer)
    }

    /// Asks one server after the other, until one answers.
    async fn first_of<T, F, Fut>(&self, servers: Vec<Arc<Server>>, at: F) -> Result<T, Refusal>
    where
        F: Fn(Arc<Server>) -> Fut,
        Fut: Future<Output = Result<T, Attempt>>,
    {
        let mut failures = Vec::new();
        for server in servers {
            match at(server).await {
                Ok(answer) => return Ok(answer),
                Err(Attempt::Final(error)) => return Err(Refusal::Final(error)),
                Err(Attempt::Failed(server, failure)) => failures.push((server, failure)),
            }
        }
        Err(Refusal::Nowhere(failures))
    }

    /// The first server that nothing protects from being read along, if there is one.
    pub(crate) fn unprotected(&self) -> Option<&str> {
        self.all.iter().find(|server| !server.is_protected()).map(|server| server.url.as_str())
    }

    /// Those that are up first, each in the order of the configuration.
    fn in_order(&self) -> Vec<Arc<Server>> {
        let (up, down): (Vec<_>, Vec<_>) = self.all.iter().cloned().partition(|server| !server.is_down());
        up.into_iter().chain(down).collect()
    }

    /// The end of an operation: counted, and where it failed, in the words of a source.
    fn end<T>(
        &self,
        kind: &'static str,
        started: Instant,
        describe: impl Fn() -> String,
        answer: Result<T, Refusal>,
    ) -> Result<T, DirectoryError> {
        let answer = answer.map_err(|refusal| self.refused(describe, refusal));
        self.record(kind, started, answer.as_ref().err());
        answer
    }

    fn refused(&self, describe: impl Fn() -> String, refusal: Refusal) -> DirectoryError {
        match refusal {
            Refusal::Final(error) => self.operation_error(describe(), error),
            Refusal::Nowhere(failures) => self.unavailable(failures),
        }
    }

    pub(crate) fn operation_error(&self, operation: String, error: Error) -> DirectoryError {
        let detail = crate::error::chain(&error);
        DirectoryError::Operation { slug: self.slug.clone(), operation, detail, source: Some(Arc::new(error)) }
    }

    /// What it comes to when no server could be used.
    fn unavailable(&self, failures: Vec<(Arc<Server>, Failure)>) -> DirectoryError {
        let slug = self.slug.clone();
        let all = failures.iter().map(|(server, failure)| format!("{}: {failure}", server.url));
        let detail = all.collect::<Vec<_>>().join("; ");
        let mut source = None;
        let mut untrusted = None;
        for (server, failure) in failures {
            match failure {
                // A refused service account is told first: it is the one that somebody must mend.
                Failure::ServiceBind(detail) => {
                    return DirectoryError::ServiceBind { slug, server: server.url.clone(), detail };
                }
                Failure::Ldap(error) if is_untrusted(&error) => untrusted = untrusted.or(Some(error)),
                Failure::Ldap(error) => source = source.or(Some(error)),
            }
        }
        match untrusted {
            Some(error) => DirectoryError::Untrusted { slug, detail, source: error },
            None => DirectoryError::Unavailable { slug, detail, source },
        }
    }

    fn record(&self, operation: &'static str, started: Instant, error: Option<&DirectoryError>) {
        let took = started.elapsed();
        let result = error.map_or("ok", DirectoryError::kind);
        let labels = [("source", self.slug.clone()), ("operation", operation.into()), ("result", result.into())];
        metrics::counter!("bindery_directory_operations_total", &labels).increment(1);
        metrics::histogram!("bindery_directory_operation_duration_seconds", &labels).record(took.as_secs_f64());
        if let Some(error) = error {
            tracing::warn!(target: "bindery_directory::operation", source = %self.slug, operation, %error, ?took);
        }
    }
}

fn silence(after: Duration) -> Failure {
    Error::Timeout { operation: "waiting for an answer", after }.into()
}

/// A read of the root DSE (RFC 4512, 5.1).
pub(crate) fn root_dse(attributes: &[&str]) -> Result<SearchRequest, Error> {
    let root = Dn::parse("").map_err(|error| Error::Request { reason: error.to_string() })?;
    Ok(SearchRequest::new(&root, Scope::Base, bindery_ldap::Filter::present("objectClass"))
        .attributes(attributes.iter().copied()))
}
