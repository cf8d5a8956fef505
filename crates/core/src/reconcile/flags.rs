//! Flags: those with a rule follow it, `is_active` with a memory of who switched it off.

use super::Terms;
use crate::Reason;
use crate::rules::Decision;
use bindery_store::{Cause, Change, Deactivation, Flags, Link, Plan, UserState};
use std::collections::BTreeSet;
use uuid::Uuid;

const IS_ACTIVE: &str = "is_active";

/// What becomes of the flags.
pub(super) struct Activity {
    /// New values.
    pub(super) flags: Flags,
    memory: Memory,
}

/// What becomes of the memory of who deactivated the user.
enum Memory {
    Stays,
    Cleared,
    Is(Deactivation),
}

impl Activity {
    /// A new user is made with the flags; only the memory of who switched them off is a change of its own.
    pub(super) fn changes(self, user: Uuid, new: bool) -> Vec<Change> {
        let ends = self.flags.get(IS_ACTIVE) == Some(&false) && !new;
        let set = (!new && !self.flags.is_empty()).then_some(Change::SetFlags { user, flags: self.flags });
        let by = match self.memory {
            Memory::Stays => None,
            Memory::Cleared => Some(Change::SetDeactivatedBy { user, by: None }),
            Memory::Is(by) => Some(Change::SetDeactivatedBy { user, by: Some(by) }),
        };
        let end = ends.then_some(Change::EndSessions { user, except: None });
        set.into_iter().chain(by).chain(end).collect()
    }
}

pub(super) fn rule(
    terms: Terms<'_>,
    decision: &Decision,
    state: Option<&UserState>,
) -> Result<Activity, (Reason, String)> {
    let stored = |name: &str| state.and_then(|state| state.user.flags.get(name).copied());
    let ruled = decision.flags.iter().filter(|(name, _)| *name != IS_ACTIVE);
    let mut flags: Flags = ruled
        .map(|(name, ruling)| (name.clone(), ruling.value))
        .filter(|(name, value)| stored(name) != Some(*value))
        .collect();
    let ruled = decision.flags.get(IS_ACTIVE).map(|ruling| ruling.value);
    let is_active = state.is_none_or(|state| state.user.is_active());
    let ours = state.and_then(|state| state.user.deactivated_by.as_ref()).filter(|by| by.source == terms.source);
    let mut memory = Memory::Stays;
    match (ruled, ours.map(|by| by.cause)) {
        (Some(false), _) if is_active => {
            flags.insert(IS_ACTIVE.to_owned(), false);
            memory = Memory::Is(Deactivation::new(Cause::Rule, terms.source));
        }
        // Their account is good again, and it is the rule that keeps them out from now on.
        (Some(false), Some(Cause::Account | Cause::Left)) => {
            memory = Memory::Is(Deactivation::new(Cause::Rule, terms.source));
        }
        // A rule that left the configuration leaves the flag as it was; whatever else the source had against them is over.
        (Some(true), Some(_)) | (None, Some(Cause::Account | Cause::Left)) if !is_active => {
            flags.insert(IS_ACTIVE.to_owned(), true);
            memory = Memory::Cleared;
        }
        _ => {}
    }
    let stays_out = !flags.get(IS_ACTIVE).copied().unwrap_or(is_active);
    if terms.admit && stays_out {
        return Err((Reason::AccountDisabled, shut_out(terms, decision, state, ruled)));
    }
    Ok(Activity { flags, memory })
}

/// Flags that a rule of the source has decided, now or before: a flag whose rule left the configuration is still its gift.
pub(super) fn given(decision: &Decision, linked: Option<&Link>) -> BTreeSet<String> {
    let before = linked.into_iter().flat_map(|link| &link.given_flags);
    let names = decision.flags.keys().chain(before).filter(|name| *name != IS_ACTIVE);
    names.cloned().collect()
}

fn shut_out(terms: Terms<'_>, decision: &Decision, state: Option<&UserState>, ruled: Option<bool>) -> String {
    let name = &decision.username;
    match state.and_then(|state| state.user.deactivated_by.as_ref()) {
        _ if ruled == Some(false) => format!("the flag is_active of {name} is false"),
        Some(by) if by.source == terms.source => format!(
            "the rule for is_active of the source {} deactivated {name}, and is no longer in the configuration; \
             `bindery user activate` lets them in again",
            by.source
        ),
        Some(by) => format!("the source {} deactivated {name}, and only it reactivates them", by.source),
        None => format!("{name} was deactivated by hand; `bindery user activate` lets them in again"),
    }
}

/// The plan that shuts somebody out because their source says so: their account is not good, or their entry is gone. The source
/// that did it undoes it once the cause is over. Empty for those who are out already, whoever did it.
pub fn deactivate(state: &UserState, source: &str, cause: Cause) -> Plan {
    if !state.user.is_active() {
        return Plan::default();
    }
    let user = state.user.id;
    let mut plan = Plan::deactivate(user);
    for change in &mut plan.changes {
        if let Change::SetDeactivatedBy { by, .. } = change {
            *by = Some(Deactivation::new(cause, source));
        }
    }
    plan.expected.push(state.expected());
    plan
}
