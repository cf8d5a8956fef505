//! The local groups, found by name and by entry, as they are at this point of a run.
//!
//! There are few of them beside people, and every person's plan looks some of them up.

use bindery_store::{Change, EntityKind, Group, GroupRef, GroupState, Link, Plan};
use chrono::{DateTime, Utc};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// Local groups with their links: every one, or those that somebody has asked for.
#[derive(Debug)]
pub(super) struct GroupIndex {
    source: String,
    whole: bool,
    states: HashMap<Uuid, Arc<GroupState>>,
    by_key: HashMap<String, Uuid>,
    by_entry: HashMap<String, Uuid>,
}

impl GroupIndex {
    /// None yet.
    pub(super) fn new(source: &str) -> Self {
        let (states, by_key, by_entry) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { source: source.to_owned(), whole: false, states, by_key, by_entry }
    }

    /// All there are.
    pub(super) fn whole(source: &str, states: Vec<GroupState>) -> Self {
        let mut index = Self { whole: true, ..Self::new(source) };
        index.add(states);
        index
    }

    pub(super) fn add(&mut self, states: Vec<GroupState>) {
        for state in states {
            self.by_key.insert(state.group.name_key.clone(), state.group.id);
            let own = state.links.iter().filter(|link| link.source == self.source);
            self.by_entry.extend(own.map(|link| (link.unique_id.clone(), state.group.id)));
            self.states.insert(state.group.id, Arc::new(state));
        }
    }

    /// Whether a group that is not here is nowhere.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Those of some keys and entries by which no group is known.
    pub(super) fn unknown<'a>(
        &self,
        keys: impl Iterator<Item = &'a String>,
        entries: impl Iterator<Item = &'a String>,
    ) -> (BTreeSet<&'a String>, BTreeSet<&'a String>) {
        let keys = keys.filter(|key| !self.by_key.contains_key(*key)).collect();
        (keys, entries.filter(|entry| !self.by_entry.contains_key(*entry)).collect())
    }

    pub(super) fn get(&self, id: Uuid) -> Option<&GroupState> {
        self.states.get(&id).map(Arc::as_ref)
    }

    pub(super) fn by_key(&self, key: &str) -> Option<&GroupState> {
        self.get(*self.by_key.get(key)?)
    }

    pub(super) fn by_entry(&self, unique_id: &str) -> Option<&GroupState> {
        self.get(*self.by_entry.get(unique_id)?)
    }

    /// The groups that a snapshot would have for these names and entries, each once, by name.
    pub(super) fn pick(&self, keys: &[String], entries: &[String]) -> Vec<Arc<GroupState>> {
        let named = keys.iter().filter_map(|key| self.by_key.get(key));
        let tied = entries.iter().filter_map(|entry| self.by_entry.get(entry));
        let mut ids: Vec<Uuid> = named.chain(tied).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        let mut states: Vec<Arc<GroupState>> = ids.iter().filter_map(|id| self.states.get(id).cloned()).collect();
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
                    self.states.insert(id, Arc::new(GroupState { group, links: Vec::new() }));
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
        let Some(state) = self.states.get_mut(&id).map(Arc::make_mut) else { return };
        self.by_key.remove(&state.group.name_key);
        self.by_key.insert(key.to_owned(), id);
        (state.group.name, state.group.name_key) = (name.to_owned(), key.to_owned());
    }

    fn tie(&mut self, link: &Link) {
        if link.source == self.source {
            self.by_entry.insert(link.unique_id.clone(), link.entity_id);
        }
        if let Some(state) = self.states.get_mut(&link.entity_id).map(Arc::make_mut) {
            state.links.retain(|old| (&old.source, &old.unique_id) != (&link.source, &link.unique_id));
            state.links.push(link.clone());
        }
    }

    fn untie(&mut self, id: Uuid) {
        self.by_entry.retain(|_, tied| *tied != id);
        if let Some(state) = self.states.get_mut(&id).map(Arc::make_mut) {
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
