//! The local groups, found by name and by entry, as they are at this point of a run.
//!
//! There are few of them beside people, and every person's plan looks some of them up.

use bindery_store::{Change, EntityKind, Group, GroupRef, GroupState, Link, Plan, SnapshotRequest};
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use uuid::Uuid;

/// Every local group with its links.
#[derive(Debug, Default)]
pub(super) struct GroupIndex {
    source: String,
    states: HashMap<Uuid, GroupState>,
    by_key: HashMap<String, Uuid>,
    by_entry: HashMap<String, Uuid>,
}

impl GroupIndex {
    pub(super) fn new(source: &str, states: Vec<GroupState>) -> Self {
        let mut index = Self { source: source.to_owned(), ..Self::default() };
        for state in states {
            index.by_key.insert(state.group.name_key.clone(), state.group.id);
            let own = state.links.iter().filter(|link| link.source == source);
            index.by_entry.extend(own.map(|link| (link.unique_id.clone(), state.group.id)));
            index.states.insert(state.group.id, state);
        }
        index
    }

    /// Whether the store was not asked yet.
    pub(super) fn is_unread(&self) -> bool {
        self.source.is_empty()
    }

    pub(super) fn get(&self, id: Uuid) -> Option<&GroupState> {
        self.states.get(&id)
    }

    pub(super) fn by_key(&self, key: &str) -> Option<&GroupState> {
        self.get(*self.by_key.get(key)?)
    }

    pub(super) fn by_entry(&self, unique_id: &str) -> Option<&GroupState> {
        self.get(*self.by_entry.get(unique_id)?)
    }

    /// The groups that a snapshot would have for this request, each once, by name.
    pub(super) fn pick(&self, request: &SnapshotRequest) -> Vec<GroupState> {
        let named = request.group_keys.iter().filter_map(|key| self.by_key.get(key));
        let tied = request.group_entries.iter().filter_map(|entry| self.by_entry.get(entry));
        let mut ids: Vec<Uuid> = named.chain(tied).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        let mut states: Vec<GroupState> = ids.into_iter().filter_map(|id| self.get(id).cloned()).collect();
        states.sort_by(|one, other| one.group.name_key.cmp(&other.group.name_key));
        states
    }

    /// Every group that is tied to an entry of this source, with its entries there.
    pub(super) fn tied(&self) -> impl Iterator<Item = (Vec<&str>, Uuid)> {
        self.states.values().filter_map(|state| {
            let own = state.links.iter().filter(|link| link.source == self.source);
            let entries: Vec<&str> = own.map(|link| link.unique_id.as_str()).collect();
            (!entries.is_empty()).then_some((entries, state.group.id))
        })
    }

    /// The entry of each group that is tied to one of this source, by the key of its DN.
    pub(super) fn by_dn(&self) -> HashMap<&str, &str> {
        let links = self.states.values().flat_map(|state| &state.links);
        let own = links.filter(|link| link.source == self.source);
        own.map(|link| (link.dn_key.as_str(), link.unique_id.as_str())).collect()
    }

    /// What people call a group.
    pub(super) fn name_of(&self, group: &GroupRef) -> String {
        let state = match group {
            GroupRef::Id(id) => self.get(*id),
            GroupRef::Key(key) => self.by_key(key),
        };
        state.map_or_else(|| "a group that is gone".to_owned(), |state| state.group.name.clone())
    }

    /// Takes over what a plan does to groups.
    pub(super) fn learn(&mut self, plan: &Plan, now: DateTime<Utc>) {
        for change in &plan.changes {
            match change {
                Change::CreateGroup(new) => {
                    let (id, name, name_key) = (new.id, new.name.clone(), new.name_key.clone());
                    self.by_key.insert(name_key.clone(), id);
                    let group = Group { id, name, name_key, owner: new.owner.clone(), created_at: now };
                    self.states.insert(id, GroupState { group, links: Vec::new() });
                }
                Change::RenameGroup { group: GroupRef::Id(id), name, name_key } => self.rename(*id, name, name_key),
                Change::Link(link) | Change::UpdateLink(link) if link.kind == EntityKind::Group => self.tie(link),
                Change::DeleteGroup { group: GroupRef::Id(id) } => self.forget(*id),
                Change::Unlink { entity, source } if *source == self.source => self.untie(*entity),
                _ => {}
            }
        }
    }

    fn rename(&mut self, id: Uuid, name: &str, key: &str) {
        let Some(state) = self.states.get_mut(&id) else { return };
        self.by_key.remove(&state.group.name_key);
        self.by_key.insert(key.to_owned(), id);
        (state.group.name, state.group.name_key) = (name.to_owned(), key.to_owned());
    }

    fn tie(&mut self, link: &Link) {
        if link.source == self.source {
            self.by_entry.insert(link.unique_id.clone(), link.entity_id);
        }
        if let Some(state) = self.states.get_mut(&link.entity_id) {
            state.links.retain(|old| (&old.source, &old.unique_id) != (&link.source, &link.unique_id));
            state.links.push(link.clone());
        }
    }

    fn untie(&mut self, id: Uuid) {
        self.by_entry.retain(|_, tied| *tied != id);
        if let Some(state) = self.states.get_mut(&id) {
            state.links.retain(|link| link.source != self.source);
        }
    }

    fn forget(&mut self, id: Uuid) {
        self.by_entry.retain(|_, tied| *tied != id);
        if let Some(state) = self.states.remove(&id) {
            self.by_key.remove(&state.group.name_key);
        }
    }
}
