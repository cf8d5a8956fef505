//! All servers of a source: which one is asked, and what happens when it does not answer.
//!
//! The first in order that is up is asked. One that fails, is busy, or keeps silent for as long as
//! connecting may take is passed over for the next at once, and a task looks at it until it is back.
//! When all are down they are tried side by side, so that an answer is never further away than the
//! quickest of them. Nothing is written or bound twice this way: only reads are asked again.

mod health;
mod referrals;
mod server;

pub(crate) use referrals::NOT_FOLLOWED;
pub(crate) use server::{Failure, Lease, Server, is_busy};

use crate::{DirectoryError, ServerHealth, SourceSettings};
use bindery_ldap::{Connection, Control, Dn, Error, LdapResult, Scope, SearchOutcome, SearchRequest};
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

/// What an operation on a connection came to, as far as the choice of servers is concerned.
enum Verdict {
    /// The connection was closed, perhaps long ago: a new one may do.
    Reconnect,
    /// This server is of no use now.
    Down,
    /// This answer is of no use; the server may be.
    Elsewhere,
    /// Every server would say the same.
    Final,
}

fn judge(error: &Error) -> Verdict {
    match error {
        Error::Closed { .. } => Verdict::Reconnect,
        Error::Connect { .. } | Error::Tls { .. } | Error::StartTls { .. } | Error::Timeout { .. } => Verdict::Down,
        Error::Refused { result, .. } if is_busy(result) => Verdict::Down,
        Error::Malformed { .. } | Error::Plaintext { .. } => Verdict::Elsewhere,
        _ => Verdict::Final,
    }
}

/// How an attempt at one server ended badly.
enum Attempt {
    Failed(Arc<Server>, Failure),
    Final(Error),
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
        let answer = answer.map_err(|failed| match failed {
            Refusal::Final(error) => self.operation_error(describe(), error),
            Refusal::Nowhere(failures) => self.unavailable(failures),
        });
        self.record(kind, started, answer.as_ref().err());
        answer
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
                under_way.push(attempt(next, operation));
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
                            under_way.push(attempt(next, operation));
                        }
                        None => under_way.extend(down.drain(..).map(|server| attempt(server, operation))),
                    }
                }
            }
        }
        // Whoever of those that were down is back first.
        under_way.extend(down.into_iter().map(|server| attempt(server, operation)));
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
        let mut failures = Vec::new();
        for server in self.in_order() {
            match server.shared().await {
                Ok(lease) => {
                    let answer = operation(lease.connection().clone()).await.map_err(|error| {
                        if error.is_connection_lost() {
                            server.retire(&lease);
                        }
                        self.operation_error(describe(), error)
                    });
                    self.record(kind, started, answer.as_ref().err());
                    return answer;
                }
                Err(failure) => {
                    note(&server, &failure);
                    failures.push((server, failure));
                }
            }
        }
        let error = self.unavailable(failures);
        self.record(kind, started, Some(&error));
        Err(error)
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
        let answer = self.begin_somewhere(operation).await;
        let answer = answer.map_err(|failed| match failed {
            Refusal::Final(error) => self.operation_error(describe(), error),
            Refusal::Nowhere(failures) => self.unavailable(failures),
        });
        self.record(kind, started, answer.as_ref().err());
        answer
    }

    async fn begin_somewhere<T, F, Fut>(&self, operation: F) -> Result<(T, Arc<Server>, Lease), Refusal>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = Result<T, Error>>,
    {
        let mut failures = Vec::new();
        for server in self.in_order() {
            let failure = loop {
                let lease = match server.exclusive().await {
                    Ok(lease) => lease,
                    Err(failure) => {
                        note(&server, &failure);
                        break failure;
                    }
                };
                let error = match operation(lease.connection().clone()).await {
                    Ok(value) => return Ok((value, server, lease)),
                    Err(error) => error,
                };
                match judge(&error) {
                    // It died idle; there are only so many idle ones.
                    Verdict::Reconnect if lease.reused => {}
                    Verdict::Reconnect | Verdict::Down => {
                        let failure = Failure::from(error);
                        server.mark_down(&failure);
                        break failure;
                    }
                    Verdict::Elsewhere => break error.into(),
                    Verdict::Final => return Err(Refusal::Final(error)),
                }
            };
            failures.push((server, failure));
        }
        Err(Refusal::Nowhere(failures))
    }

    /// A service connection of one's own, for reading in pages.
    pub(crate) async fn exclusive(&self) -> Result<(Arc<Server>, Lease), DirectoryError> {
        let mut failures = Vec::new();
        for server in self.in_order() {
            match server.exclusive().await {
                Ok(lease) => return Ok((server, lease)),
                Err(failure) => {
                    note(&server, &failure);
                    failures.push((server, failure));
                }
            }
        }
        Err(self.unavailable(failures))
    }

    /// Binds as a person, on a connection that never carries service searches. Any answer of the
    /// server but busy and unavailable comes back, with the connection it was given on.
    pub(crate) async fn bind_person(
        &self,
        dn: &Dn,
        password: &SecretString,
    ) -> Result<(LdapResult, Vec<Control>, Lease), DirectoryError> {
        let started = Instant::now();
        let answer = self.bind_somewhere(dn, password).await;
        self.record("bind", started, answer.as_ref().err());
        answer
    }

    async fn bind_somewhere(
        &self,
        dn: &Dn,
        password: &SecretString,
    ) -> Result<(LdapResult, Vec<Control>, Lease), DirectoryError> {
        let mut failures = Vec::new();
        // Who was found by a reference is known there alone: elsewhere their password would be a wrong one.
        let servers = self.places.of(dn).map_or_else(|| self.in_order(), |server| vec![server]);
        for server in servers {
            match bind_at(&server, dn, password).await {
                Ok(answer) => return Ok(answer),
                Err(Attempt::Final(error)) => return Err(self.operation_error(format!("bind as {dn}"), error)),
                Err(Attempt::Failed(server, failure)) => failures.push((server, failure)),
            }
        }
        Err(self.unavailable(failures))
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

/// Errors by which a server is there, but may not be trusted with what would be sent.
fn is_untrusted(error: &Error) -> bool {
    matches!(error, Error::Tls { .. } | Error::StartTls { .. } | Error::TlsSettings { .. } | Error::Plaintext { .. })
}

/// Why a read came to nothing.
enum Refusal {
    Final(Error),
    Nowhere(Vec<(Arc<Server>, Failure)>),
}

/// A read at one server; once more on a new connection when the one at hand turns out to be closed.
async fn attempt<T, F, Fut>(server: Arc<Server>, operation: &F) -> Result<T, Attempt>
where
    F: Fn(Connection) -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let mut again = true;
    loop {
        let lease = match server.shared().await {
            Ok(lease) => lease,
            Err(failure) => {
                note(&server, &failure);
                return Err(Attempt::Failed(server, failure));
            }
        };
        let error = match operation(lease.connection().clone()).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if error.is_connection_lost() {
            server.retire(&lease);
        }
        match judge(&error) {
            Verdict::Reconnect if std::mem::take(&mut again) => {}
            Verdict::Reconnect | Verdict::Down => {
                let failure = Failure::from(error);
                server.mark_down(&failure);
                return Err(Attempt::Failed(server, failure));
            }
            Verdict::Elsewhere => return Err(Attempt::Failed(server, error.into())),
            Verdict::Final => return Err(Attempt::Final(error)),
        }
    }
}

/// A person's bind at one server; once more on a new connection when the one at hand had died idle.
async fn bind_at(
    server: &Arc<Server>,
    dn: &Dn,
    password: &SecretString,
) -> Result<(LdapResult, Vec<Control>, Lease), Attempt> {
    let mut fresh = false;
    loop {
        let lease = match server.person(fresh).await {
            Ok(lease) => lease,
            Err(failure) => {
                note(server, &failure);
                return Err(Attempt::Failed(Arc::clone(server), failure));
            }
        };
        let error = match lease.connection().bind_simple(dn.as_str(), password).await {
            Ok((result, _)) if is_busy(&result) => Error::Refused { operation: "bind", result },
            Ok((result, controls)) => {
                lease.keep();
                return Ok((result, controls, lease));
            }
            Err(error) => error,
        };
        match judge(&error) {
            Verdict::Reconnect if lease.reused && !fresh => fresh = true,
            Verdict::Reconnect | Verdict::Down => {
                let failure = Failure::from(error);
                server.mark_down(&failure);
                return Err(Attempt::Failed(Arc::clone(server), failure));
            }
            Verdict::Elsewhere => return Err(Attempt::Failed(Arc::clone(server), error.into())),
            Verdict::Final => return Err(Attempt::Final(error)),
        }
    }
}

/// A server that could not be connected to is down; one that refused the service account answers, and
/// remembers that by itself.
fn note(server: &Arc<Server>, failure: &Failure) {
    if let Failure::Ldap(error) = failure
        && !matches!(**error, Error::Plaintext { .. } | Error::TlsSettings { .. })
    {
        server.mark_down(failure);
    }
}

fn silence(after: Duration) -> Failure {
    Error::Timeout { operation: "waiting for an answer", after }.into()
}

/// Busy and unavailable are no answers: another server may have one.
pub(crate) fn not_busy(operation: &'static str, outcome: SearchOutcome) -> Result<SearchOutcome, Error> {
    if is_busy(&outcome.result) {
        return Err(Error::Refused { operation, result: outcome.result });
    }
    Ok(outcome)
}

/// A read of the root DSE (RFC 4512, 5.1).
pub(crate) fn root_dse(attributes: &[&str]) -> Result<SearchRequest, Error> {
    let root = Dn::parse("").map_err(|error| Error::Request { reason: error.to_string() })?;
    Ok(SearchRequest::new(&root, Scope::Base, bindery_ldap::Filter::present("objectClass"))
        .attributes(attributes.iter().copied()))
}
