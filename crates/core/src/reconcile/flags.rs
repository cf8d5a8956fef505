//! Flags: those with a rule follow it, `is_active` with a memory of who switched it off.

use super::Terms;
use crate::Reason;
use crate::rules::Decision;
use bindery_store::{Change, Flags, Plan, UserState};
use uuid::Uuid;

const IS_ACTIVE: &str = "is_active";

/// What becomes of the flags.
pub(super) struct Activity {
    /// New values.
    pub(super) flags: Flags,
    memory: Memory,
}

/// What becomes of the memory of whose sync deactivated the user.
enum Memory {
    Stays,
    Cleared,
    Is(String),
}

impl Activity {
    /// A new user is made with the flags; only the memory of who switched them off is a change of its own.
    pub(super) fn changes(self, user: Uuid, new: bool) -> Vec<Change> {
        let ends = self.flags.get(IS_ACTIVE) == Some(&false) && !new;
        let set = (!new && !self.flags.is_empty()).then_some(Change::SetFlags { user, flags: self.flags });
        let by = match self.memory {
            Memory::Stays => None,
            Memory::Cleared => Some(Change::SetDeactivatedBy { user, source: None }),
            Memory::Is(source) => Some(Change::SetDeactivatedBy { user, source: Some(source) }),
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
    let wanted = decision.flags.get(IS_ACTIVE).is_none_or(|ruling| ruling.value);
    let is_active = state.is_none_or(|state| state.user.is_active());
    let ours = state.is_some_and(|state| state.user.deactivated_by.as_deref() == Some(terms.source));
    let mut memory = Memory::Stays;
    if is_active && !wanted {
        flags.insert(IS_ACTIVE.to_owned(), false);
        memory = Memory::Is(terms.source.to_owned());
    } else if !is_active && wanted && ours {
        flags.insert(IS_ACTIVE.to_owned(), true);
        memory = Memory::Cleared;
    }
    let stays_out = !flags.get(IS_ACTIVE).copied().unwrap_or(is_active);
    if terms.admit && stays_out {
        return Err((Reason::AccountDisabled, shut_out(decision, state, wanted)));
    }
    Ok(Activity { flags, memory })
}

fn shut_out(decision: &Decision, state: Option<&UserState>, wanted: bool) -> String {
    let name = &decision.username;
    match state.and_then(|state| state.user.deactivated_by.as_deref()) {
        _ if !wanted => format!("the flag is_active of {name} is false"),
        Some(source) => format!("the source {source} deactivated {name}, and only it reactivates them"),
        None => format!("{name} was deactivated by hand; `bindery user activate` lets them in again"),
    }
}

/// The plan that shuts somebody out because their source says so: gone, disabled, or past its end. The source that did it can
/// undo it. Empty for those who are out already.
pub fn deactivate(state: &UserState, source: &str) -> Plan {
    if !state.user.is_active() {
        return Plan::default();
    }
    let user = state.user.id;
    let mut plan = Plan::deactivate(user);
    for change in &mut plan.changes {
        if let Change::SetDeactivatedBy { source: by, .. } = change {
            *by = Some(source.to_owned());
        }
    }
    plan.expected.push(bindery_store::Expected { user, version: state.user.version });
    plan
}
