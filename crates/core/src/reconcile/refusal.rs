//! What the refusal of somebody who is linked comes to: their sessions end where the directory says "not any more",
//! and what is certain of them is written. Doubt ends nothing.

use super::{Terms, deactivate, reconcile, request};
use crate::Reason;
use crate::rules::{Refused, Step};
use bindery_directory::Person;
use bindery_store::{Cause, Change, Link, Plan, Snapshot, SnapshotRequest};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Reasons that mean "not any more", against those that say something of this moment only. A lock that the rules
/// object to is an administrator's: one that ends by itself is outweighed by a bind, and without one it does not count.
pub(crate) fn ends_sessions(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::AccountDisabled
            | Reason::AccountLocked
            | Reason::AccountExpired
            | Reason::NotInRequiredGroup
            | Reason::InDeniedGroup
            | Reason::NoSuchUser
    )
}

/// What has to be read from the store before [`shut_out`].
pub fn refusal_request(terms: Terms<'_>, person: &Person, refused: &Refused) -> SnapshotRequest {
    match refused.writable() {
        Some(decision) => request(terms, person, decision),
        None => SnapshotRequest {
            source: terms.source.to_owned(),
            unique_id: person.unique_id.clone(),
            ..SnapshotRequest::default()
        },
    }
}

/// What has to be written of somebody who is refused; `None` where nobody is linked, or the refusal says nothing for good.
pub fn shut_out(
    terms: Terms<'_>,
    person: &Person,
    refused: &Refused,
    snapshot: &Snapshot,
    now: DateTime<Utc>,
    ids: &mut dyn FnMut() -> Uuid,
) -> Option<Plan> {
    let state = snapshot.linked.as_ref().filter(|_| ends_sessions(refused.reason))?;
    let terms = Terms { admit: false, fingerprint: terms.fingerprint.map(super::Fingerprint::refused), ..terms };
    let link = state.link(terms.source)?;
    let mut plan = if refused.step == Step::Account {
        deactivate(state, terms.source, Cause::Account)
    } else {
        let written = refused.writable().map(|decision| reconcile(terms, person, decision, snapshot, now, ids));
        written.and_then(Result::ok).map(|reconciled| reconciled.plan).unwrap_or_default()
    };
    let user = state.user.id;
    plan.changes.push(Change::EndSessions { user, except: None });
    plan.changes.push(Change::DropVerifiers { user });
    let printed = terms.fingerprint.map(super::Fingerprint::to_bytes);
    let written = |change: &Change| matches!(change, Change::UpdateLink(_));
    if printed.is_some() && !plan.changes.iter().any(written) {
        plan.changes.push(Change::UpdateLink(Link { fingerprint: printed, last_seen: now, ..link.clone() }));
    }
    Some(plan)
}
