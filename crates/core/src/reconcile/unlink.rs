//! Untying somebody from their entry: what the source gave goes with the link, what others and people gave stays.

use super::fields;
use bindery_store::{Change, Flags, GroupRef, Link, Plan, UserState};
use serde_json::Value;
use std::collections::BTreeSet;

/// The plan that unties a user from their entry in one source, or in every one (`None`). Fields that the source gave are
/// cleared, flags that its rules decided are off, memberships end; so do sessions and verifiers, which rest on the link. Whoever
/// the source shut out stays out: nobody comes in by being untied. Empty for those who are not linked to it.
pub fn unlink(state: &UserState, source: Option<&str>) -> Plan {
    let (gone, rest): (Vec<&Link>, Vec<&Link>) =
        state.links.iter().partition(|link| source.is_none_or(|source| source == link.source));
    if gone.is_empty() {
        return Plan::default();
    }
    let user = state.user.id;
    let only_given = |names: fn(&Link) -> &BTreeSet<String>| {
        let given = gone.iter().flat_map(|link| names(link));
        let kept = |name: &&String| !rest.iter().any(|link| names(link).contains(*name));
        given.filter(kept).cloned().collect::<BTreeSet<String>>()
    };

    let mut changes = Vec::new();
    let cleared = only_given(|link| &link.given_fields);
    let cleared: Vec<_> =
        cleared.iter().filter_map(|name| fields::change(Some(&state.user), name, &Value::Null)).collect();
    if !cleared.is_empty() {
        changes.push(Change::UpdateUser { user, fields: cleared });
    }
    let flags: Flags = only_given(|link| &link.given_flags)
        .into_iter()
        .filter(|name| state.user.flag(name))
        .map(|name| (name, false))
        .collect();
    if !flags.is_empty() {
        changes.push(Change::SetFlags { user, flags });
    }
    if state.user.deactivated_by.as_ref().is_some_and(|by| gone.iter().any(|link| link.source == by.source)) {
        changes.push(Change::SetDeactivatedBy { user, by: None });
    }
    let memberships = state.memberships.iter().filter(|it| gone.iter().any(|link| it.owner.is_source(&link.source)));
    changes.extend(memberships.map(|it| Change::RemoveMembership {
        user,
        group: GroupRef::Id(it.group_id),
        owner: it.owner.clone(),
    }));
    changes.extend(gone.iter().map(|link| Change::Unlink { entity: user, source: link.source.clone() }));
    changes.extend([Change::DropVerifiers { user }, Change::EndSessions { user, except: None }]);
    Plan { changes, expected: vec![state.expected()] }
}
