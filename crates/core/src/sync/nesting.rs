//! Groups in groups: mirrored ones hang under the mirrored groups that they are in, the others under `groups.parent`.
//!
//! A full run goes by what all groups list. Where a feed tells of some, only what they list, and what lists them, is
//! looked at; what it comes to is the same.

use super::broken::Broken;
use super::groups::{BATCH, as_group};
use super::run::Run;
use crate::reconcile::group_key;
use crate::rules::{self, GroupGrant};
use bindery_directory::{Dn, Group, GroupEntry, Roster, Source};
use bindery_store::{Change, GroupRef, Owner, Plan};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// What a feed told of groups: each entry by its unique ID.
type Told = BTreeMap<String, GroupEntry>;

/// What each group is in, of the groups that are mirrored.
#[derive(Default)]
struct Hanging {
    /// As it is stored: `groups.parent` included.
    stored: BTreeMap<Uuid, BTreeSet<Uuid>>,
    /// As it is in the directory.
    above: BTreeMap<Uuid, BTreeSet<Uuid>>,
    /// What hangs nowhere else hangs there.
    top: Option<Uuid>,
    /// Groups that may hang elsewhere now.
    touched: BTreeSet<Uuid>,
    /// Groups that hang nowhere any more.
    off: BTreeSet<Uuid>,
}

impl Hanging {
    /// A group has these in it, and no others.
    fn fill(&mut self, parent: Uuid, inside: &BTreeSet<Uuid>) {
        for (child, above) in &mut self.above {
            if !inside.contains(child) && above.remove(&parent) {
                self.touched.insert(*child);
            }
        }
        for child in inside {
            if self.above.entry(*child).or_default().insert(parent) {
                self.touched.insert(*child);
            }
        }
    }

    /// A group is in these, and no others.
    fn put(&mut self, child: Uuid, above: BTreeSet<Uuid>) {
        self.touched.insert(child);
        self.above.insert(child, above);
    }

    /// A group is none of the mirrored ones any more.
    fn drop(&mut self, group: Uuid) {
        self.fill(group, &BTreeSet::new());
        self.put(group, BTreeSet::new());
        self.off.insert(group);
    }

    fn changes(&self, owner: &Owner) -> Vec<Change> {
        let none = BTreeSet::new();
        let mut changes = Vec::new();
        for child in &self.touched {
            let above = self.above.get(child).unwrap_or(&none);
            let wanted: BTreeSet<Uuid> = if self.off.contains(child) {
                BTreeSet::new()
            } else if above.is_empty() {
                self.top.into_iter().filter(|top| top != child).collect()
            } else {
                above.clone()
            };
            let stored = self.stored.get(child).unwrap_or(&none);
            changes.extend(wanted.difference(stored).map(|parent| add(*child, *parent, owner)));
            changes.extend(stored.difference(&wanted).map(|parent| remove(*child, *parent, owner)));
        }
        changes
    }
}

fn add(child: Uuid, parent: Uuid, owner: &Owner) -> Change {
    Change::AddSubgroup { child: GroupRef::Id(child), parent: GroupRef::Id(parent), owner: owner.clone() }
}

fn remove(child: Uuid, parent: Uuid, owner: &Owner) -> Change {
    Change::RemoveSubgroup { child: GroupRef::Id(child), parent: GroupRef::Id(parent), owner: owner.clone() }
}

impl Run<'_> {
    /// Everything that a whole roster says.
    pub(super) async fn nest(&mut self, roster: &Roster, grants: &BTreeMap<usize, GroupGrant>) -> Result<(), Broken> {
        let owner = self.owner();
        let local = |grant: &GroupGrant| self.groups.by_key(&group_key(&grant.name)).map(|state| state.group.id);
        let top = self.top();
        let mut wanted: BTreeSet<(Uuid, Uuid)> = BTreeSet::new();
        for (at, grant) in grants {
            let Some(child) = local(grant) else { continue };
            let above = roster.parents(*at);
            let parents: BTreeSet<Uuid> = above.iter().filter_map(|at| local(grants.get(at)?)).collect();
            let parents = if parents.is_empty() { top.into_iter().collect() } else { parents };
            wanted.extend(parents.into_iter().filter(|parent| *parent != child).map(|parent| (child, parent)));
        }
        let stored: BTreeSet<_> = self.engine.store().subgroups(&owner).await?.into_iter().collect();
        let mut changes: Vec<Change> =
            wanted.difference(&stored).map(|(child, parent)| add(*child, *parent, &owner)).collect();
        if roster.shortcomings().is_empty() {
            changes.extend(stored.difference(&wanted).map(|(child, parent)| remove(*child, *parent, &owner)));
        }
        self.hang(&changes).await
    }

    /// What a feed told of some groups; `grants` are those of them that are mirrored.
    pub(super) async fn nest_changed(
        &mut self,
        directory: &Source,
        told: &Told,
        grants: &BTreeMap<String, GroupGrant>,
    ) -> Result<(), Broken> {
        if told.is_empty() || self.request.dry_run {
            return Ok(());
        }
        let ids: Vec<String> = told.keys().cloned().collect();
        let before = self.engine.store().rosters(&self.source.slug, &ids).await?;
        let before: HashMap<&str, &str> =
            before.iter().map(|one| (one.unique_id.as_str(), one.dn_key.as_str())).collect();
        let mut hanging = self.hanging(told).await?;
        for (unique_id, entry) in told {
            let Some(group) = self.groups.by_entry(unique_id).map(|state| state.group.id) else { continue };
            if !grants.contains_key(unique_id) {
                hanging.drop(group);
                continue;
            }
            let inside = self.inside(group, told).await?;
            hanging.fill(group, &inside);
            hanging.touched.insert(group);
            if before.get(unique_id.as_str()) != Some(&entry.dn.key_str()) && directory.nests_by_members() {
                // Whoever lists it may have done so before it bore that name.
                let naming = directory.groups_naming(&entry.dn).await?;
                let naming = self.mirrored(&naming, told).await?;
                hanging.put(group, naming.into_iter().filter(|above| *above != group).collect());
            }
        }
        let changes = hanging.changes(&self.owner());
        self.hang(&changes).await
    }

    /// Groups that are about to go: what hung under them hangs elsewhere.
    pub(super) async fn unnest(&mut self, gone: &[Uuid]) -> Result<(), Broken> {
        let mut hanging = self.hanging(&Told::new()).await?;
        for group in gone {
            hanging.drop(*group);
        }
        let changes = hanging.changes(&self.owner());
        self.hang(&changes).await
    }

    async fn hang(&mut self, changes: &[Change]) -> Result<(), Broken> {
        let plans = changes.chunks(BATCH).map(|changes| Plan::from(changes.to_vec())).collect();
        self.apply_groups(plans).await
    }

    fn top(&self) -> Option<Uuid> {
        let key = group_key(self.source.rules.parent.as_deref()?);
        self.groups.by_key(&key).map(|state| state.group.id)
    }

    /// What is stored, and what of it the directory says.
    async fn hanging(&self, told: &Told) -> Result<Hanging, Broken> {
        let mut hanging = Hanging { top: self.top(), ..Hanging::default() };
        for (child, parent) in self.engine.store().subgroups(&self.owner()).await? {
            hanging.stored.entry(child).or_default().insert(parent);
        }
        hanging.above = hanging.stored.clone();
        if let Some(top) = hanging.top {
            let inside = self.inside(top, told).await?;
            for (child, above) in &mut hanging.above {
                if !inside.contains(child) {
                    above.remove(&top);
                }
            }
        }
        Ok(hanging)
    }

    /// The mirrored groups that a local group has in it, by what its entries list.
    async fn inside(&self, group: Uuid, told: &Told) -> Result<BTreeSet<Uuid>, Broken> {
        let slug = &self.source.slug;
        if !self.source.directory.nests_by_members() {
            return Ok(BTreeSet::new());
        }
        let Some(state) = self.groups.get(group) else { return Ok(BTreeSet::new()) };
        let entries = state.links.iter().filter(|link| link.source == *slug).map(|link| link.unique_id.clone());
        let (now, before): (Vec<String>, Vec<String>) = entries.partition(|entry| told.contains_key(entry));
        let before = self.engine.store().rosters(slug, &before).await?;
        let now = now.iter().filter_map(|entry| told.get(entry)).flat_map(|entry| &entry.members);
        let listed: BTreeSet<&str> =
            before.iter().flat_map(|one| &one.members).chain(now).map(String::as_str).collect();
        let named = self.groups.by_dn();
        let entries: Vec<String> =
            listed.into_iter().filter_map(|key| named.get(key)).map(|id| (*id).to_owned()).collect();
        let mut inside = self.mirrored(&entries, told).await?;
        inside.remove(&group);
        Ok(inside)
    }

    /// The local groups of those entries that are mirrored.
    async fn mirrored(&self, entries: &[String], told: &Told) -> Result<BTreeSet<Uuid>, Broken> {
        let rules = &self.source.rules;
        let untold: Vec<String> = entries.iter().filter(|entry| !told.contains_key(*entry)).cloned().collect();
        let untold = self.engine.store().rosters(&self.source.slug, &untold).await?;
        let untold = untold.iter().filter_map(|one| Some((one.unique_id.as_str(), remembered(&one.head)?)));
        let told = entries.iter().filter_map(|entry| Some((entry.as_str(), as_group(told.get(entry)?))));
        let mirrored = told.chain(untold).filter(|(_, group)| rules::mirrored(rules, group).is_some());
        Ok(mirrored.filter_map(|(entry, _)| Some(self.groups.by_entry(entry)?.group.id)).collect())
    }
}

/// A group as it was when it was last read: see `rosters::head`.
fn remembered(head: &str) -> Option<Group> {
    let mut head: Vec<String> = serde_json::from_str(head).ok()?;
    let names = head.split_off(head.len().min(2));
    let dn = Dn::parse(head.first()?).ok()?;
    Some(Group { dn, names, unique_id: None, direct: true, path: Vec::new() })
}
