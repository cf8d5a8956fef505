//! Memberships: those that this source gives follow the decision, those of people and other sources stay.

use super::{Terms, group_key, owner};
use crate::rules::{Decision, GroupGrant};
use bindery_directory::Dn;
use bindery_store::{Change, EntityKind, GroupRef, GroupState, Link, Membership, NewGroup, Owner, Snapshot, UserState};
use chrono::{DateTime, Utc};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// Whose memberships.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) user: Uuid,
    pub(super) state: Option<&'a UserState>,
    pub(super) read_at: DateTime<Utc>,
}

/// What the decision grants and is not there is added, then what this source gave and grants no longer is taken back.
pub(super) fn plan(
    terms: Terms<'_>,
    decision: &Decision,
    snapshot: &Snapshot,
    subject: Subject<'_>,
    ids: &mut dyn FnMut() -> Uuid,
) -> Vec<Change> {
    let own = owner(terms);
    let stored = subject.state.map_or(&[][..], |state| &state.memberships);
    let stored: Vec<&Membership> = stored.iter().filter(|membership| membership.owner == own).collect();
    let read_at = subject.read_at;
    let mut planner =
        Planner { terms, snapshot, read_at, ids, made: BTreeMap::new(), tied: BTreeSet::new(), changes: Vec::new() };
    let mut wanted = BTreeSet::new();
    for grant in &decision.groups {
        let group = planner.group(&decision.groups, grant);
        let (id, reference) = match group {
            Found::Stored(id) => (id, GroupRef::Id(id)),
            Found::Made(id) => (id, GroupRef::Key(group_key(&grant.name))),
        };
        if wanted.insert(id) && !stored.iter().any(|membership| membership.group_id == id) {
            planner.changes.push(Change::AddMembership { user: subject.user, group: reference, owner: own.clone() });
        }
    }
    let mut changes = planner.changes;
    for membership in stored.iter().filter(|membership| !wanted.contains(&membership.group_id)) {
        let group = GroupRef::Id(membership.group_id);
        changes.push(Change::RemoveMembership { user: subject.user, group, owner: own.clone() });
    }
    changes
}

/// One directory group as a local one, whoever is in it: made, renamed and tied as need be.
pub fn mirror(
    terms: Terms<'_>,
    grant: &GroupGrant,
    snapshot: &Snapshot,
    read_at: DateTime<Utc>,
    ids: &mut dyn FnMut() -> Uuid,
) -> Vec<Change> {
    let mut planner =
        Planner { terms, snapshot, read_at, ids, made: BTreeMap::new(), tied: BTreeSet::new(), changes: Vec::new() };
    planner.group(std::slice::from_ref(grant), grant);
    planner.changes
}

/// A local group.
enum Found {
    /// That is there.
    Stored(Uuid),
    /// That this plan makes.
    Made(Uuid),
}

struct Planner<'a> {
    terms: Terms<'a>,
    snapshot: &'a Snapshot,
    read_at: DateTime<Utc>,
    ids: &'a mut dyn FnMut() -> Uuid,
    /// Names that this plan gives out, and to which group.
    made: BTreeMap<String, Uuid>,
    /// Entries that this plan ties to a group.
    tied: BTreeSet<String>,
    changes: Vec<Change>,
}

impl Planner<'_> {
    /// The local group of a grant: renamed, made, tied and hung as need be.
    fn group(&mut self, grants: &[GroupGrant], grant: &GroupGrant) -> Found {
        let key = group_key(&grant.name);
        let mirrored = grant.mirrored_from.is_some();
        let (found, own) = if let Some(state) = local(self.terms, grants, grant, self.snapshot) {
            if state.group.name_key != key {
                self.rename(state.group.id, grant, key.clone());
            }
            (Found::Stored(state.group.id), state.group.owner.is_source(self.terms.source))
        } else if let Some(id) = self.made.get(&key) {
            (Found::Made(*id), false)
        } else {
            // A mapped group is the configuration's, that is people's: no removal in the directory takes it away.
            let id = self.create(&grant.name, if mirrored { owner(self.terms) } else { Owner::Hand });
            (Found::Made(id), mirrored)
        };
        let (Found::Stored(id) | Found::Made(id)) = found;
        let parent = if own && mirrored { self.parent(&key) } else { None };
        self.tie(grant, id, parent);
        found
    }

    fn rename(&mut self, group: Uuid, grant: &GroupGrant, key: String) {
        if let Entry::Vacant(vacant) = self.made.entry(key.clone()) {
            vacant.insert(group);
            let group = GroupRef::Id(group);
            self.changes.push(Change::RenameGroup { group, name: grant.name.clone(), name_key: key });
        }
    }

    fn create(&mut self, name: &str, owner: Owner) -> Uuid {
        let (id, name_key) = ((self.ids)(), group_key(name));
        self.made.insert(name_key.clone(), id);
        self.changes.push(Change::CreateGroup(NewGroup { id, name: name.to_owned(), name_key, owner }));
        id
    }

    /// The group that `groups.parent` names, made if it is missing; nothing hangs under itself.
    fn parent(&mut self, child: &str) -> Option<Uuid> {
        let name = self.terms.parent?;
        let key = group_key(name);
        if key == child {
            return None;
        }
        let there = by_key(self.snapshot, &key).map(|state| state.group.id);
        Some(there.or_else(|| self.made.get(&key).copied()).unwrap_or_else(|| self.create(name, Owner::Hand)))
    }

    /// Ties a local group to its directory group, and hangs it where the configuration says now.
    fn tie(&mut self, grant: &GroupGrant, group: Uuid, parent: Option<Uuid>) {
        let Some((unique_id, dn)) = &grant.mirrored_from else { return };
        let Some(unique_id) = unique_id else {
            // Without a link nobody remembers where it hangs: once, when it is made.
            if self.made.values().any(|made| *made == group) {
                self.hang(group, None, parent);
            }
            return;
        };
        if let Some(stored) =
            linked(self.terms, grant, self.snapshot).and_then(|state| own_link(self.terms, state, unique_id))
        {
            // A group of another name may have been tied to the entry by hand: it is left where it is.
            if stored.entity_id == group && (stored.parent != parent || stored.dn != *dn) {
                self.hang(group, stored.parent, parent);
                let dn_key = Dn::parse(dn).map_or_else(|_| dn.clone(), |dn| dn.key());
                self.changes.push(Change::UpdateLink(Link { parent, dn: dn.clone(), dn_key, ..stored.clone() }));
            }
            return;
        }
        if !self.tied.insert(unique_id.clone()) {
            return;
        }
        self.hang(group, None, parent);
        self.changes.push(Change::Link(Link {
            kind: EntityKind::Group,
            source: self.terms.source.to_owned(),
            unique_id: unique_id.clone(),
            entity_id: group,
            dn: dn.clone(),
            dn_key: Dn::parse(dn).map_or_else(|_| dn.clone(), |dn| dn.key()),
            last_seen: self.read_at,
            parent,
            ..Link::default()
        }));
    }

    /// From under one parent to under another.
    fn hang(&mut self, child: Uuid, from: Option<Uuid>, to: Option<Uuid>) {
        self.changes.extend(rehang(self.terms.source, child, from, to));
    }
}

/// The changes that take a group from under the parent that a source hung it under, and hang it under another.
pub fn rehang(source: &str, child: Uuid, from: Option<Uuid>, to: Option<Uuid>) -> Vec<Change> {
    if from == to {
        return Vec::new();
    }
    let (child, owner) = (GroupRef::Id(child), Owner::Source(source.to_owned()));
    let off = from.map(|parent| Change::RemoveSubgroup {
        child: child.clone(),
        parent: GroupRef::Id(parent),
        owner: owner.clone(),
    });
    let on = to.map(|parent| Change::AddSubgroup { child: child.clone(), parent: GroupRef::Id(parent), owner });
    off.into_iter().chain(on).collect()
}

/// The local group that a grant means: the one tied to the directory group if it can bear the name, else the one of that name.
fn local<'a>(
    terms: Terms<'_>,
    grants: &[GroupGrant],
    grant: &GroupGrant,
    snapshot: &'a Snapshot,
) -> Option<&'a GroupState> {
    let named = by_key(snapshot, &group_key(&grant.name));
    named.or_else(|| linked(terms, grant, snapshot).filter(|state| may_rename(terms, grants, state)))
}

fn by_key<'a>(snapshot: &'a Snapshot, key: &str) -> Option<&'a GroupState> {
    snapshot.groups.iter().map(Arc::as_ref).find(|state| state.group.name_key == key)
}

fn linked<'a>(terms: Terms<'_>, grant: &GroupGrant, snapshot: &'a Snapshot) -> Option<&'a GroupState> {
    let (unique_id, _) = grant.mirrored_from.as_ref()?;
    let unique_id = unique_id.as_deref()?;
    snapshot.groups.iter().map(Arc::as_ref).find(|state| own_link(terms, state, unique_id).is_some())
}

fn own_link<'a>(terms: Terms<'_>, state: &'a GroupState, unique_id: &str) -> Option<&'a Link> {
    state.links.iter().find(|link| link.source == terms.source && link.unique_id == unique_id)
}

/// A local group follows the name of its directory group as long as it is nobody else's: mirrored by this source, from that
/// one group alone, and not under a name that another group bears now.
fn may_rename(terms: Terms<'_>, grants: &[GroupGrant], state: &GroupState) -> bool {
    let old_name_goes_on = grants.iter().any(|other| group_key(&other.name) == state.group.name_key);
    state.group.owner.is_source(terms.source) && state.links.len() == 1 && !old_name_goes_on
}
