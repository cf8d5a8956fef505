//! Memberships: those that this source gives follow the decision, those of people and other sources stay.

use super::{Terms, group_key, owner};
use crate::rules::{Decision, GroupGrant};
use bindery_directory::Dn;
use bindery_store::{Change, EntityKind, GroupRef, GroupState, Link, Membership, NewGroup, Owner, Snapshot, UserState};
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Whose memberships.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) user: Uuid,
    pub(super) state: Option<&'a UserState>,
    pub(super) now: DateTime<Utc>,
}

/// Adds what the decision grants and is not there, then takes back what this source gave and grants no longer.
pub(super) fn plan(
    terms: Terms<'_>,
    decision: &Decision,
    snapshot: &Snapshot,
    subject: Subject<'_>,
    ids: &mut dyn FnMut() -> Uuid,
    changes: &mut Vec<Change>,
) {
    let own = owner(terms);
    let stored = subject.state.map_or(&[][..], |state| &state.memberships);
    let stored: Vec<&Membership> = stored.iter().filter(|membership| membership.owner == own).collect();
    let mut made = Made { keys: BTreeSet::new(), entries: BTreeSet::new() };
    let mut wanted = BTreeSet::new();
    for grant in &decision.groups {
        let group = match local(terms, decision, grant, snapshot) {
            Some(state) => {
                adjust(terms, grant, state, snapshot, subject.now, &mut made, changes);
                Some(state.group.id)
            }
            None => {
                create(terms, grant, snapshot, subject.now, &mut made, ids, changes);
                None
            }
        };
        let key = group_key(&grant.name);
        let member = |membership: &&Membership| Some(membership.group_id) == group;
        let first = wanted.insert(group.map_or(Err(key.clone()), Ok));
        if first && !stored.iter().any(member) {
            let group = group.map_or(GroupRef::Key(key), GroupRef::Id);
            changes.push(Change::AddMembership { user: subject.user, group, owner: own.clone() });
        }
    }
    for membership in stored.iter().filter(|membership| !wanted.contains(&Ok(membership.group_id))) {
        let group = GroupRef::Id(membership.group_id);
        changes.push(Change::RemoveMembership { user: subject.user, group, owner: own.clone() });
    }
}

/// What this plan has made so far.
struct Made {
    keys: BTreeSet<String>,
    entries: BTreeSet<String>,
}

/// The local group that a grant means: the one tied to the directory group if it can bear the name, else the one of that name.
fn local<'a>(
    terms: Terms<'_>,
    decision: &Decision,
    grant: &GroupGrant,
    snapshot: &'a Snapshot,
) -> Option<&'a GroupState> {
    let named = by_key(snapshot, &group_key(&grant.name));
    named.or_else(|| linked(terms, grant, snapshot).filter(|state| may_rename(terms, decision, state)))
}

fn by_key<'a>(snapshot: &'a Snapshot, key: &str) -> Option<&'a GroupState> {
    snapshot.groups.iter().find(|state| state.group.name_key == key)
}

fn linked<'a>(terms: Terms<'_>, grant: &GroupGrant, snapshot: &'a Snapshot) -> Option<&'a GroupState> {
    let (unique_id, _) = grant.mirrored_from.as_ref()?;
    let unique_id = unique_id.as_deref()?;
    let ties = |link: &Link| link.source == terms.source && link.unique_id == unique_id;
    snapshot.groups.iter().find(|state| state.links.iter().any(ties))
}

/// A local group follows the name of its directory group as long as it is nobody else's: mirrored by this source, from that
/// one group alone, and not under a name that another group bears now.
fn may_rename(terms: Terms<'_>, decision: &Decision, state: &GroupState) -> bool {
    let old_name_goes_on = decision.groups.iter().any(|other| group_key(&other.name) == state.group.name_key);
    state.group.owner.is_source(terms.source) && state.links.len() == 1 && !old_name_goes_on
}

fn adjust(
    terms: Terms<'_>,
    grant: &GroupGrant,
    state: &GroupState,
    snapshot: &Snapshot,
    now: DateTime<Utc>,
    made: &mut Made,
    changes: &mut Vec<Change>,
) {
    let key = group_key(&grant.name);
    if state.group.name_key != key && made.keys.insert(key.clone()) {
        let group = GroupRef::Id(state.group.id);
        changes.push(Change::RenameGroup { group, name: grant.name.clone(), name_key: key });
    }
    tie(terms, grant, state.group.id, snapshot, now, made, changes);
}

fn create(
    terms: Terms<'_>,
    grant: &GroupGrant,
    snapshot: &Snapshot,
    now: DateTime<Utc>,
    made: &mut Made,
    ids: &mut dyn FnMut() -> Uuid,
    changes: &mut Vec<Change>,
) {
    let key = group_key(&grant.name);
    if !made.keys.insert(key.clone()) {
        return;
    }
    let id = ids();
    // A mapped group is the configuration's, that is people's: no removal in the directory takes it away.
    let owner = if grant.mirrored_from.is_some() { owner(terms) } else { Owner::Hand };
    changes.push(Change::CreateGroup(NewGroup { id, name: grant.name.clone(), name_key: key.clone(), owner }));
    if grant.mirrored_from.is_some() {
        hang(terms, &key, snapshot, made, ids, changes);
        tie(terms, grant, id, snapshot, now, made, changes);
    }
}

/// Hangs a new mirrored group under `groups.parent`.
fn hang(
    terms: Terms<'_>,
    child: &str,
    snapshot: &Snapshot,
    made: &mut Made,
    ids: &mut dyn FnMut() -> Uuid,
    changes: &mut Vec<Change>,
) {
    let Some(parent) = terms.parent else { return };
    let key = group_key(parent);
    if key == child {
        return;
    }
    if by_key(snapshot, &key).is_none() && made.keys.insert(key.clone()) {
        let (id, name) = (ids(), parent.to_owned());
        changes.push(Change::CreateGroup(NewGroup { id, name, name_key: key.clone(), owner: Owner::Hand }));
    }
    let (child, parent) = (GroupRef::Key(child.to_owned()), GroupRef::Key(key));
    changes.push(Change::AddSubgroup { child, parent, owner: owner(terms) });
}

/// Ties a local group to its directory group, unless that one is tied already.
fn tie(
    terms: Terms<'_>,
    grant: &GroupGrant,
    group: Uuid,
    snapshot: &Snapshot,
    now: DateTime<Utc>,
    made: &mut Made,
    changes: &mut Vec<Change>,
) {
    let Some((Some(unique_id), dn)) = &grant.mirrored_from else { return };
    if linked(terms, grant, snapshot).is_some() || !made.entries.insert(unique_id.clone()) {
        return;
    }
    changes.push(Change::Link(Link {
        kind: EntityKind::Group,
        source: terms.source.to_owned(),
        unique_id: unique_id.clone(),
        entity_id: group,
        dn: dn.clone(),
        dn_key: Dn::parse(dn).map_or_else(|_| dn.clone(), |dn| dn.key()),
        last_seen: now,
        fingerprint: None,
        given_fields: BTreeSet::new(),
    }));
}
