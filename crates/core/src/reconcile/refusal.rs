//! What the refusal of somebody who is linked comes to: their sessions end where the directory says "not any more",
//! and what is certain of them is written. Doubt ends nothing.

use super::{Terms, deactivate, reconcile, request};
use crate::Reason;
use crate::rules::{Decision, Refused, Step};
use bindery_directory::Person;
use bindery_store::{Cause, Change, Link, Plan, Snapshot, SnapshotRequest, UserState};
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
    let mut printed = terms.fingerprint.map(super::Fingerprint::to_bytes);
    let mut plan = if refused.step == Step::Account {
        deactivate(state, terms.source, Cause::Account)
    } else if let Some(decision) = refused.writable() {
        reconcile(terms, person, decision, snapshot, now, ids).map(|it| it.plan).unwrap_or_else(|_| {
            // Nothing vouches for them until the name is theirs.
            printed = None;
            but_for_the_name(terms, person, decision, state, snapshot, now, ids)
        })
    } else {
        Plan::default()
    };
    let user = state.user.id;
    plan.changes.push(Change::EndSessions { user, except: None });
    plan.changes.push(Change::DropVerifiers { user });
    let written = |change: &Change| matches!(change, Change::UpdateLink(_));
    if printed.is_some() && !plan.changes.iter().any(written) {
        plan.changes.push(Change::UpdateLink(Link { fingerprint: printed, last_seen: now, ..link.clone() }));
    }
    Some(plan)
}

/// Their new name belongs to somebody else. What else is certain of them does not wait for it.
fn but_for_the_name(
    terms: Terms<'_>,
    person: &Person,
    decision: &Decision,
    state: &UserState,
    snapshot: &Snapshot,
    now: DateTime<Utc>,
    ids: &mut dyn FnMut() -> Uuid,
) -> Plan {
    let terms = Terms { fingerprint: None, ..terms };
    let decision = Decision { username: state.user.username.clone(), ..decision.clone() };
    let snapshot = Snapshot { by_username: Some(state.clone()), ..snapshot.clone() };
    reconcile(terms, person, &decision, &snapshot, now, ids).map(|it| it.plan).unwrap_or_default()
}
