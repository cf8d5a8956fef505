//! Refresh: reading one user again because their last read is older than `refresh_after`.
//!
//! One refresh of a person at a time; one that failed is not tried again with each request.

use super::admission::Admission;
use super::admit::{Admitted, Entering};
use super::attempt::{Rejection, chain};
use super::{ActiveSource, Engine};
use crate::reconcile::ends_sessions;
use crate::{Outcome, Reason};
use bindery_directory::{Dn, Reader};
use bindery_store::{Link, Plan, SessionWithUser};
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// After the first failure; doubles from there.
const BACKOFF: Duration = Duration::from_secs(1);
/// Short, so that a directory that is back is soon asked again.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Refreshes under way and those that failed of late.
#[derive(Default)]
pub(crate) struct Refreshes(Mutex<HashMap<Uuid, Arc<Flight>>>);

#[derive(Default)]
struct Flight {
    turn: tokio::sync::Mutex<Option<Failure>>,
}

#[derive(Clone)]
struct Failure {
    rejection: Rejection,
    not_before: Instant,
    backoff: Duration,
}

impl Refreshes {
    fn flight(&self, user: Uuid) -> Arc<Flight> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(user).or_default().clone()
    }

    /// Nothing that failed before counts any more.
    pub(crate) fn land(&self, user: Uuid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&user);
    }
}

impl Engine {
    /// When somebody's entry must be read again; none for local people and under "never".
    pub(crate) fn refresh_due(&self, found: &SessionWithUser) -> Option<DateTime<Utc>> {
        let (source, link) = self.read_from(found, &found.links)?;
        due(&source, link)
    }

    /// When the account that stands behind a session ends, as far as was known when it was last read.
    pub(crate) fn account_ends(&self, found: &SessionWithUser) -> Option<DateTime<Utc>> {
        self.read_from(found, &found.links)?.1.account_ends
    }

    /// Reads somebody again, through the same path as a sign-in.
    pub(crate) async fn refresh(&self, found: &SessionWithUser) -> Result<(), Rejection> {
        let user = found.user.id;
        let flight = self.0.sessions.refreshes.flight(user);
        let asked = self.now();
        let mut last = flight.turn.lock().await;
        if let Some(failure) = last.as_ref().filter(|failure| Instant::now() < failure.not_before) {
            return Err(failure.rejection.clone());
        }
        if self.read_since(found, asked).await? {
            return Ok(());
        }
        match self.read_again(found).await {
            // Being admitted has cleared the flight.
            Ok(_) => Ok(()),
            Err(rejection) if is_final(&rejection) => {
                // The directory has answered, and their sessions have ended: nothing to wait for, and nothing to
                // hold against them when they may come in again.
                self.0.sessions.refreshes.land(user);
                Err(rejection)
            }
            Err(rejection) => {
                let backoff = last.as_ref().map_or(BACKOFF, |failure| (failure.backoff * 2).min(MAX_BACKOFF));
                *last = Some(Failure { rejection: rejection.clone(), not_before: Instant::now() + backoff, backoff });
                tracing::warn!(target: "bindery_core::refresh", %user, detail = rejection.detail, "refresh failed");
                Err(rejection)
            }
        }
    }

    /// Whether another request has read them while this one waited its turn, late enough for this one.
    async fn read_since(&self, found: &SessionWithUser, asked: DateTime<Utc>) -> Result<bool, Rejection> {
        let state = self.store().user_state(found.user.id).await?;
        let Some((source, link)) = state.as_ref().and_then(|state| self.read_from(found, &state.links)) else {
            return Ok(false);
        };
        Ok(due(&source, link).is_none_or(|due| due > asked))
    }

    /// Where somebody is read from, and by which link: the source that answered for them, or the one that a person of a
    /// local password has been linked to since.
    fn read_from<'a>(&self, found: &SessionWithUser, links: &'a [Link]) -> Option<(Arc<ActiveSource>, &'a Link)> {
        let mut links = links.iter();
        match &found.session.source {
            Some(slug) => Some((self.source(slug)?, links.find(|link| link.source == *slug)?)),
            None => {
                links.find_map(|link| Some((self.source(&link.source).filter(|source| !source.is_as_user())?, link)))
            }
        }
    }

    /// What stands for them while they cannot be read.
    pub(crate) fn reader_of(&self, found: &SessionWithUser) -> Option<Arc<ActiveSource>> {
        self.read_from(found, &found.links).map(|(source, _)| source)
    }

    async fn read_again(&self, found: &SessionWithUser) -> Result<Admitted, Rejection> {
        let Some((source, link)) = self.read_from(found, &found.links) else {
            let detail = "the source is no longer configured, or the user no longer linked to it";
            return Err(Rejection::refused(Reason::NoSuchUser, detail));
        };
        let slug = source.slug.as_str();
        let hint = Dn::parse(&link.dn).ok();
        let read_at = self.now();
        let read = source.directory.read(&link.unique_id, hint.as_ref(), &source.wanted).await;
        let person = match read {
            Ok(Some(person)) => person,
            Ok(None) => {
                self.end_sessions(found.user.id).await;
                return Err(Rejection::refused(Reason::NoSuchUser, "the entry is gone from the source")
                    .at(slug, Some(&link.dn)));
            }
            Err(error) => return Err(Rejection::unavailable(chain(&error)).at(slug, Some(&link.dn))),
        };
        let reader = Reader::service();
        self.admit(Entering::read(&source, &person, &reader, read_at), &|_: &Admission, _: &mut Plan| None).await
    }
}

/// Whether somebody may come in no more, against a failure that may be over soon.
pub(crate) fn is_final(rejection: &Rejection) -> bool {
    rejection.outcome == Outcome::Refused && rejection.reason.is_some_and(ends_sessions)
}

/// When the entry of a link must be read again; none under "never".
fn due(source: &ActiveSource, link: &Link) -> Option<DateTime<Utc>> {
    // Without a service account nobody can be read but by signing in.
    if source.is_as_user() {
        return None;
    }
    let age = chrono::Duration::from_std(source.rules.provisioning.refresh_after?).ok()?;
    link.last_seen.checked_add_signed(age)
}
