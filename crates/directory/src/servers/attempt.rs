//! One operation at one server, and what comes of its failure: a new connection, the next server, or the end. Which servers are
//! asked, and in what order, is not decided here.

use super::failure::{Failure, Verdict, is_busy, judge};
use super::lease::Lease;
use super::server::Server;
use bindery_ldap::{Connection, Control, Dn, Error, LdapResult};
use secrecy::SecretString;
use std::sync::Arc;

/// How an attempt at one server ended badly.
pub(super) enum Attempt {
    Failed(Arc<Server>, Failure),
    Final(Error),
}

impl Attempt {
    /// There is no connection to be had.
    pub(super) fn unreached(server: &Arc<Server>, failure: Failure) -> Self {
        note(server, &failure);
        Self::Failed(Arc::clone(server), failure)
    }

    /// The operation failed; `None` where the connection was closed and a new one is worth a try.
    fn after(server: &Arc<Server>, error: Error, again: bool) -> Option<Self> {
        Some(match judge(&error) {
            Verdict::Reconnect if again => return None,
            Verdict::Reconnect | Verdict::Down => {
                let failure = Failure::from(error);
                server.mark_down(&failure);
                Self::Failed(Arc::clone(server), failure)
            }
            Verdict::Elsewhere => Self::Failed(Arc::clone(server), error.into()),
            Verdict::Final => Self::Final(error),
        })
    }
}

/// A read; once more on a new connection when the one at hand turns out to be closed.
pub(super) async fn read_at<T, F, Fut>(server: Arc<Server>, operation: &F) -> Result<T, Attempt>
where
    F: Fn(Connection) -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let mut again = true;
    loop {
        let lease = server.shared().await.map_err(|failure| Attempt::unreached(&server, failure))?;
        let error = match operation(lease.connection().clone()).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if error.is_connection_lost() {
            server.retire(&lease);
        }
        if let Some(attempt) = Attempt::after(&server, error, std::mem::take(&mut again)) {
            return Err(attempt);
        }
    }
}

/// The beginning of something that lasts, on a connection of its own; on another one as long as those at hand had died idle: there
/// are only so many of them.
pub(super) async fn begin_at<T, F, Fut>(server: Arc<Server>, operation: &F) -> Result<(T, Arc<Server>, Lease), Attempt>
where
    F: Fn(Connection) -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    loop {
        let lease = server.exclusive().await.map_err(|failure| Attempt::unreached(&server, failure))?;
        let error = match operation(lease.connection().clone()).await {
            Ok(value) => return Ok((value, server, lease)),
            Err(error) => error,
        };
        if let Some(attempt) = Attempt::after(&server, error, lease.reused) {
            return Err(attempt);
        }
    }
}

/// A person's bind; once more on a new connection when the one at hand had died idle.
pub(super) async fn bind_at(
    server: &Arc<Server>,
    dn: &Dn,
    password: &SecretString,
) -> Result<(LdapResult, Vec<Control>, Lease), Attempt> {
    let mut fresh = false;
    loop {
        let lease = server.person(fresh).await.map_err(|failure| Attempt::unreached(server, failure))?;
        let error = match lease.connection().bind_simple(dn.as_str(), password).await {
            Ok((result, _)) if is_busy(&result) => Error::Refused { operation: "bind", result },
            Ok((result, controls)) => {
                lease.keep();
                return Ok((result, controls, lease));
            }
            Err(error) => error,
        };
        if let Some(attempt) = Attempt::after(server, error, lease.reused && !fresh) {
            return Err(attempt);
        }
        fresh = true;
    }
}

/// A server that could not be connected to is down; one that refused the service account answers, and
/// remembers that by itself.
pub(super) fn note(server: &Arc<Server>, failure: &Failure) {
    if let Failure::Ldap(error) = failure
        && !matches!(**error, Error::Plaintext { .. } | Error::TlsSettings { .. })
    {
        server.mark_down(failure);
    }
}
