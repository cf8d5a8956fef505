//! Groups in groups: mirrored ones hang under the mirrored groups that they are in, the others under `groups.parent`.
//!
//! A full run goes by what all groups list. Where a feed tells of some, only what they list, and what lists them, is
//! looked at; what it comes to is the same. A group that has left keeps its place until its removal is decided.

use super::broken::Broken;
use super::groups::{BATCH, as_group};
use super::run::Run;
use crate::reconcile::group_key;
use crate::rules::{self, GroupGrant};
use bindery_directory::{Dn, Group, GroupEntry, Roster, Source};
use bindery_store::{Change, GroupRef, Owner, Plan};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// What a feed told of groups: each entry by its unique ID.
type Told = BTreeMap<String, GroupEntry>;

/// What a whole roster says.
pub(super) struct Nested {
    /// The mirrored groups, and what each of them is in.
    above: BTreeMap<Uuid, BTreeSet<Uuid>>,
    /// Groups of the source that were not listed.
    unlisted: BTreeSet<Uuid>,
    /// Whether what it does not say is not so.
    whole: bool,
}

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

    /// What has to be written. Nothing is done about what is `waiting`, and what hangs there goes on doing so.
    fn changes(&self, owner: &Owner, waiting: &BTreeSet<Uuid>) -> Vec<Change> {
        let none = BTreeSet::new();
        let mut changes = Vec::new();
        for child in self.touched.difference(waiting) {
            let stored = self.stored.get(child).unwrap_or(&none);
            let off = self.off.contains(child);
            let mut wanted: BTreeSet<Uuid> = stored.intersection(waiting).copied().collect();
            if !off {
                wanted.extend(self.above.get(child).unwrap_or(&none));
            }
            if wanted.is_empty() && !off {
                wanted.extend(self.top.filter(|top| top != child));
            }
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

/// The two groups that such a change is about.
fn ends(change: &Change) -> Vec<Uuid> {
    match change {
        Change::AddSubgroup { child: GroupRef::Id(child), parent: GroupRef::Id(parent), .. }
        | Change::RemoveSubgroup { child: GroupRef::Id(child), parent: GroupRef::Id(parent), .. } => {
            vec![*child, *parent]
        }
        _ => Vec::new(),
    }
}

impl Run<'_> {
    /// Everything that a whole roster says.
    pub(super) async fn nest(&mut self, roster: &Roster, grants: &BTreeMap<usize, GroupGrant>) -> Result<(), Broken> {
        let local = |grant: &GroupGrant| self.groups.by_key(&group_key(&grant.name)).map(|state| state.group.id);
        let mut above: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
        for (at, grant) in grants {
            let Some(child) = local(grant) else { continue };
            let parents = roster.parents(*at);
            let parents = parents.iter().filter_map(|at| local(grants.get(at)?)).filter(|parent| *parent != child);
            above.entry(child).or_default().extend(parents);
        }
        let listed: HashSet<&str> = roster.groups().iter().filter_map(|group| group.unique_id.as_deref()).collect();
        let unlisted = self.groups.tied().filter(|(entries, _)| !entries.iter().any(|one| listed.contains(one)));
        let unlisted = unlisted.map(|(_, group)| group).collect();
        let nested = Nested { above, unlisted, whole: roster.shortcomings().is_empty() };
        let changes = self.rehang(&nested, &[]).await?;
        self.nested = Some(nested);
        self.hang(&changes).await
    }

    /// What has to be written for all groups to hang as a roster says, once `gone` have left.
    async fn rehang(&self, nested: &Nested, gone: &[Uuid]) -> Result<Vec<Change>, Broken> {
        let mut hanging = self.stored().await?;
        hanging.touched = hanging.stored.keys().chain(nested.above.keys()).copied().collect();
        hanging.off = hanging.touched.iter().filter(|group| !nested.above.contains_key(group)).copied().collect();
        hanging.above.clone_from(&nested.above);
        let waiting = nested.unlisted.iter().filter(|group| !gone.contains(group)).copied().collect();
        let mut changes = hanging.changes(&self.owner(), &waiting);
        changes.retain(|change| nested.whole || matches!(change, Change::AddSubgroup { .. }));
        Ok(changes)
    }

    /// What a feed told of some groups; `grants` are those of them that are mirrored.
    pub(super) async fn nest_changed(
        &mut self,
        directory: &Source,
        told: &Told,
        gone: &[bindery_store::Roster],
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
        let left: HashSet<&str> = gone.iter().map(|roster| roster.unique_id.as_str()).collect();
        let is_told = |entry: &str| told.contains_key(entry);
        let changes = self.but_for_waiting(&hanging, &[], is_told, |entry| left.contains(entry)).await?;
        self.hang(&changes).await
    }

    /// Groups that are about to go: what hung under them hangs elsewhere.
    pub(super) async fn unnest(&mut self, gone: &[Uuid]) -> Result<(), Broken> {
        let changes = if let Some(nested) = &self.nested {
            self.rehang(nested, gone).await?
        } else {
            let mut hanging = self.hanging(&Told::new()).await?;
            for group in gone {
                hanging.drop(*group);
            }
            self.but_for_waiting(&hanging, gone, |_| false, |_| false).await?
        };
        self.hang(&changes).await
    }

    /// What has to be written, and nothing about a group that has left without its removal having been decided: of its
    /// entries none is told of, or remembered as it was listed, that has not just left. Those that go are not waiting.
    async fn but_for_waiting(
        &self,
        hanging: &Hanging,
        going: &[Uuid],
        is_told: impl Fn(&str) -> bool,
        has_left: impl Fn(&str) -> bool,
    ) -> Result<Vec<Change>, Broken> {
        let owner = self.owner();
        let changes = hanging.changes(&owner, &BTreeSet::new());
        let mut waiting = BTreeSet::new();
        for group in changes.iter().flat_map(ends).collect::<BTreeSet<_>>() {
            if !going.contains(&group) && self.is_waiting(group, &is_told, &has_left).await? {
                waiting.insert(group);
            }
        }
        if waiting.is_empty() {
            return Ok(changes);
        }
        Ok(hanging.changes(&owner, &waiting))
    }

    /// Whether a group has left without its removal having been decided.
    pub(super) async fn is_waiting(
        &self,
        group: Uuid,
        is_told: impl Fn(&str) -> bool,
        has_left: impl Fn(&str) -> bool,
    ) -> Result<bool, Broken> {
        let Some(state) = self.groups.get(group) else { return Ok(false) };
        let own = state.links.iter().filter(|link| link.source == self.source.slug);
        let entries: Vec<String> = own.map(|link| link.unique_id.clone()).collect();
        if entries.is_empty() || entries.iter().any(|entry| is_told(entry)) {
            return Ok(false);
        }
        let remembered = self.engine.store().rosters(&self.source.slug, &entries).await?;
        Ok(remembered.iter().all(|roster| has_left(&roster.unique_id)))
    }

    async fn hang(&mut self, changes: &[Change]) -> Result<(), Broken> {
        let plans = changes.chunks(BATCH).map(|changes| Plan::from(changes.to_vec())).collect();
        for error in self.apply_groups(plans).await?.into_iter().filter_map(Result::err) {
            self.not_written(&error);
        }
        Ok(())
    }

    fn top(&self) -> Option<Uuid> {
        let key = group_key(self.source.rules.parent.as_deref()?);
        self.groups.by_key(&key).map(|state| state.group.id)
    }

    async fn stored(&self) -> Result<Hanging, Broken> {
        let mut hanging = Hanging { top: self.top(), ..Hanging::default() };
        for (child, parent) in self.engine.store().subgroups(&self.owner()).await? {
            hanging.stored.entry(child).or_default().insert(parent);
        }
        Ok(hanging)
    }

    /// What is stored, and what of it the directory says.
    async fn hanging(&self, told: &Told) -> Result<Hanging, Broken> {
        let mut hanging = self.stored().await?;
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
