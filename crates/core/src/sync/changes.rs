//! What a feed tells between two positions, and what it comes to: the same four steps, for those concerned.
//!
//! A group that changes concerns people whose own entries have not changed. Who they are is told by what the group
//! listed before and what it lists now; each of them is then read and decided as at a sign-in.

use super::apart::Aside;
use super::broken::Broken;
use super::doubt;
use super::people::{Decided, decide};
use super::removal::Gone;
use super::rosters;
use super::run::Run;
use super::told::Told;
use super::writing::BATCH;
use crate::engine::ActiveSource;
use crate::rules::{self, GroupGrant};
use bindery_directory::{
    DirectoryError, GroupEntry, GroupSelector, Kind, Known, Memberships, Named, Person, Reader, Source, account,
};
use bindery_store::{EntityKind, Roster};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// More people than this at once are read faster all together.
const MOST: usize = 2_000;
/// Directory reads under way at the same time.
pub(super) const SIDE_BY_SIDE: usize = 8;

/// What could be done with what was told.
pub(super) enum Absorbed {
    /// All of it.
    Whole,
    /// Too little is known of what it concerns: only a full run helps.
    Doubt(String),
}

impl Run<'_> {
    /// Carries out everything that was told.
    pub(super) async fn absorb(&mut self, mut told: Told) -> Result<Absorbed, Broken> {
        if !self.reads_groups() {
            told.forget_groups();
        }
        if let Some(dn) = told.nameless {
            return Ok(Absorbed::Doubt(format!("the group {dn} cannot be read, or has no readable unique ID")));
        }
        self.forget_strangers(&mut told).await?;
        let (sync, directory) = (self.source.sync.clone(), self.source.directory.afresh());
        let touches_groups = !(told.groups.is_empty() && told.gone_groups.is_empty() && told.only.is_empty());
        if touches_groups && !self.groups.is_whole() {
            self.load_groups().await?;
        }
        let from_people = directory.reads_groups_from_people() && self.source.needs_groups;
        if touches_groups && from_people && !self.told_by_people(&directory, &told).await? {
            return Ok(Absorbed::Doubt(
                "a group has changed, and memberOf does not tell whom that concerns".to_owned(),
            ));
        }
        self.read_from = self.engine.now();
        let known = directory.known(&self.source.selectors).await;
        let known = || known.iter().map(|(selector, known)| (selector, known));
        if touches_groups
            && let Some(known) = doubt::known(known())
            && doubt::knows_others(self.engine.store(), &self.source, &known).await?
        {
            return Ok(Absorbed::Doubt("a group that rules name has come or gone".to_owned()));
        }
        let gone_groups = self.gone_groups(&told).await?;
        let by_dn = |dn_key: &str| {
            self.source.selectors.iter().any(|one| matches!(one, GroupSelector::Dn(dn) if dn.key_str() == dn_key))
        };
        if gone_groups.iter().any(|roster| by_dn(&roster.dn_key)) {
            // It may be there, and only out of the feed's sight.
            return Ok(Absorbed::Doubt("a group that a rule names by its DN has left".to_owned()));
        }
        let Some(concerned) = self.concerned(&directory, &told, &gone_groups).await? else {
            return Ok(Absorbed::Doubt("nobody can say, or they are many, whom a changed group concerns".to_owned()));
        };
        if sync.groups {
            let grants = self.absorb_groups(&told.groups).await?;
            if !from_people {
                self.nest_changed(&directory, &told.groups, &gone_groups, &grants).await?;
            }
        }
        self.told_groups = told.groups.keys().cloned().collect();
        self.prints = self.source.fingerprints.knowing(known());
        for one in &told.unreadable {
            self.unreadable(one);
        }
        let mut gone = self.gone_people(&told).await?;
        if !gone.users.is_empty() {
            // Before anybody is written: a percentage is of those there were.
            self.active_users(gone.users.len() as u64 + self.already.unwrap_or_default().users).await?;
        }
        self.settled.extend(told.gone_people.iter().chain(told.people.keys()).cloned());
        if sync.users {
            let own = told.people.into_values().map(|person| *person);
            let mut people: BTreeMap<String, Person> =
                concerned.into_iter().map(|person| (person.unique_id.clone(), person)).collect();
            people.extend(own.map(|person| (person.unique_id.clone(), person)));
            gone.users.retain(|(unique_id, _)| !people.contains_key(unique_id));
            self.settled.extend(people.keys().cloned());
            self.absorb_people(&directory, people.into_values().collect()).await?;
            self.pass_names_on().await?;
        }
        self.remove_gone(gone, &gone_groups).await?;
        self.postponing = false;
        self.pass_names_on().await?;
        let postponed = std::mem::take(&mut self.postponed);
        self.write(postponed).await?;
        self.postponing = true;
        // The feed does not tell of it again.
        if let Some(why) = self.unfinished.take() {
            return Ok(Absorbed::Doubt(why.to_owned()));
        }
        // What a group listed is forgotten only after what it stood for is done, or remembered elsewhere.
        self.settle().await?;
        self.keep_rosters(&told.groups, &gone_groups).await?;
        Ok(Absorbed::Whole)
    }

    /// Leaves those of the groups that are said to be gone which were ever there. OpenLDAP says it of everything that has
    /// changed and does not match the search, people among them.
    async fn forget_strangers(&self, told: &mut Told) -> Result<(), Broken> {
        if told.gone_groups.is_empty() {
            return Ok(());
        }
        let (store, slug) = (self.engine.store(), &self.source.slug);
        let ids: Vec<String> = told.gone_groups.iter().cloned().collect();
        let listed = store.rosters(slug, &ids).await?.into_iter().map(|roster| roster.unique_id);
        let tied = store.groups_by_entry(slug, &ids).await?.into_iter().flat_map(|state| state.links);
        let tied = tied.filter(|link| link.source == *slug).map(|link| link.unique_id);
        let known: HashSet<String> = listed.chain(tied).collect();
        told.gone_groups.retain(|unique_id| known.contains(unique_id));
        Ok(())
    }

    /// Whether those whom changed groups concern are told of themselves: where the server writes into people what they
    /// are in, and the groups are what they were, and in what they were in.
    async fn told_by_people(&self, directory: &Source, told: &Told) -> Result<bool, Broken> {
        if !directory.writes_member_of() || !told.gone_groups.is_empty() || told.only.contains_key(&Kind::Group) {
            return Ok(false);
        }
        let ids: Vec<String> = told.groups.keys().cloned().collect();
        let stored = self.engine.store().rosters(&self.source.slug, &ids).await?;
        let heads: BTreeMap<&str, &str> =
            stored.iter().map(|one| (one.unique_id.as_str(), one.head.as_str())).collect();
        Ok(told.groups.iter().all(|(unique_id, group)| match heads.get(unique_id.as_str()) {
            Some(head) => **head == *rosters::head(group),
            None => group.member_of.is_empty(),
        }))
    }

    async fn absorb_people(&mut self, directory: &Source, people: Vec<Person>) -> Result<(), Broken> {
        let source = self.source.clone();
        let needed = self.reads_groups();
        let with = |person| with_groups(directory.clone(), person, source.clone(), needed);
        let read = people.into_iter().map(with);
        let mut read = stream::iter(read).buffer_unordered(SIDE_BY_SIDE);
        let mut batch = Vec::new();
        while let Some((person, memberships)) = read.next().await {
            self.report.users.seen += 1;
            let failed = memberships.known.values().any(|known| matches!(known, Known::Failed(_)));
            if memberships.incomplete.is_some() || failed {
                // Nothing vouches for them, and no feed tells when there is more to see.
                self.comes_again(person.unique_id.clone());
            }
            let account = account::state(&person.entry, self.engine.now()).lasting();
            let vouched = self.engine.handlers().is_empty();
            let print = self.prints.of_memberships(&person, &memberships, &account).filter(|_| vouched);
            let decision = decide(&self.engine, &source, &person, &memberships, &account).await;
            batch.push(Decided { person, fingerprint: print, decision, linked: true });
            if batch.len() >= BATCH {
                self.write(std::mem::take(&mut batch)).await?;
            }
        }
        self.write(batch).await
    }

    /// The groups among those told that are mirrored.
    async fn absorb_groups(
        &mut self,
        groups: &BTreeMap<String, GroupEntry>,
    ) -> Result<BTreeMap<String, GroupGrant>, Broken> {
        let mut grants = BTreeMap::new();
        for (unique_id, entry) in groups {
            self.report.groups.seen += 1;
            match rules::mirrored(&self.source.rules, &super::groups::as_group(entry)) {
                Some(grant) => drop(grants.insert(unique_id.clone(), grant)),
                None => self.report.groups.skipped += 1,
            }
        }
        let order: Vec<&GroupGrant> = grants.values().collect();
        for part in order.chunks(super::groups::BATCH) {
            self.write_groups(part).await?;
        }
        Ok(grants)
    }

    /// What the groups that left had listed.
    async fn gone_groups(&self, told: &Told) -> Result<Vec<Roster>, Broken> {
        let (store, slug) = (self.engine.store(), &self.source.slug);
        let mut gone: Vec<String> = told.gone_groups.iter().cloned().collect();
        if let Some(only) = told.only.get(&Kind::Group) {
            let known = store.roster_ids(slug).await?.into_iter().map(|(unique_id, _)| unique_id);
            gone.extend(known.filter(|id| !only.contains(id) && !told.groups.contains_key(id)));
        }
        Ok(store.rosters(slug, &gone).await?)
    }

    /// The people who left, with their unique IDs.
    async fn gone_people(&mut self, told: &Told) -> Result<GonePeople, Broken> {
        let (store, slug) = (self.engine.store().clone(), self.source.slug.clone());
        let mut users = Vec::new();
        if let Some(only) = told.only.get(&Kind::User) {
            let mut unseen = |link: bindery_store::SyncedLink| {
                if self.goes(link.active)
                    && !only.contains(&link.unique_id)
                    && !told.people.contains_key(&link.unique_id)
                {
                    users.push((link.unique_id, link.entity_id));
                }
            };
            store.synced_links(&slug, EntityKind::User, &mut unseen).await?;
        }
        for unique_id in &told.gone_people {
            if let Some(user) = store.user_by_link(&slug, unique_id).await?.filter(|user| self.goes(user.is_active())) {
                users.push((unique_id.clone(), user.id));
            }
        }
        Ok(GonePeople { users })
    }

    async fn remove_gone(&mut self, people: GonePeople, groups: &[Roster]) -> Result<(), Broken> {
        if people.users.is_empty() && groups.is_empty() && self.leaving.is_empty() {
            return Ok(());
        }
        if !self.groups.is_whole() {
            self.load_groups().await?;
        }
        let users = people.users.into_iter().map(|(_, user)| user).collect();
        let gone = Gone { users, groups: self.untied(groups).await? };
        let gone = self.removable(gone);
        self.remove_unless_out_of_sight(gone).await
    }

    /// The local groups of entries that left. One that another entry of the source is tied to as well stays.
    async fn untied(&self, gone: &[Roster]) -> Result<Vec<Uuid>, Broken> {
        let gone: HashSet<&str> = gone.iter().map(|roster| roster.unique_id.as_str()).collect();
        let mut untied = Vec::new();
        for (entries, group) in self.groups.tied() {
            let (left, rest): (Vec<&str>, Vec<&str>) = entries.into_iter().partition(|entry| gone.contains(entry));
            let rest: Vec<String> = rest.into_iter().map(str::to_owned).collect();
            if !left.is_empty() && self.engine.store().rosters(&self.source.slug, &rest).await?.is_empty() {
                untied.push(group);
            }
        }
        Ok(untied)
    }

    /// Everybody whose groups may be others now; `None` for too many to be read one by one.
    async fn concerned(&self, directory: &Source, told: &Told, gone: &[Roster]) -> Result<Option<Vec<Person>>, Broken> {
        let groups = &told.groups;
        let ids: Vec<String> = groups.keys().cloned().collect();
        let stored = self.engine.store().rosters(&self.source.slug, &ids).await?;
        let stored: BTreeMap<&str, &Roster> = stored.iter().map(|roster| (roster.unique_id.as_str(), roster)).collect();
        let mut open: BTreeSet<String> = gone.iter().flat_map(|roster| roster.members.iter().cloned()).collect();
        open.extend(told.aside.iter().cloned());
        if gone.iter().any(|roster| rosters::had_gid(&roster.head)) {
            return Ok(None);
        }
        for (unique_id, group) in groups {
            let stored = stored.get(unique_id.as_str()).copied();
            let (had, same) = match stored {
                Some(stored) => (rosters::had_gid(&stored.head), stored.head == rosters::head(group)),
                None => (false, false),
            };
            // Those whose primary group it is, or was, are in no list.
            let primary = !same && (had || group.gid.is_some());
            // It is known, and nobody knows what it listed.
            let forgotten = stored.is_none() && self.groups.by_entry(unique_id).is_some();
            if primary || forgotten || rosters::of(group).is_none() {
                return Ok(None);
            }
            open.extend(differing(stored, group));
        }
        let mut closed: BTreeSet<String> = BTreeSet::new();
        let mut people: BTreeMap<String, Person> = BTreeMap::new();
        let mut groups: BTreeMap<String, Option<String>> = BTreeMap::new();
        while !open.is_empty() {
            if closed.len() + open.len() > MOST || people.len() > MOST {
                return Ok(None);
            }
            let keys: Vec<String> = std::mem::take(&mut open).into_iter().collect();
            closed.extend(keys.iter().cloned());
            let reads = keys.into_iter().map(|key| named(directory.clone(), key, self.source.clone()));
            let mut found = stream::iter(reads).buffer_unordered(SIDE_BY_SIDE);
            let mut nested = Vec::new();
            while let Some(named) = found.next().await {
                let named = named?;
                people.extend(named.people.into_iter().map(|person| (person.unique_id.clone(), person)));
                for group in named.groups {
                    groups.insert(group.dn.key(), group.unique_id);
                    nested.extend(group.members);
                }
            }
            open.extend(nested.into_iter().filter(|key| !closed.contains(key)));
        }
        if self.meets_strangers(directory, told, &groups).await? {
            return Ok(None);
        }
        Ok(Some(people.into_values().collect()))
    }

    /// Whether a group that is in a changed one is one that no feed tells of and that nobody reads again by itself: it may
    /// be on the way to one that lies apart now, and which groups are is found by reading everything.
    async fn meets_strangers(
        &self,
        directory: &Source,
        told: &Told,
        met: &BTreeMap<String, Option<String>>,
    ) -> Result<bool, Broken> {
        if met.is_empty() || !directory.nests_by_members() {
            return Ok(false);
        }
        let aside = match &self.aside {
            Some(aside) => aside.clone(),
            None => Aside::load(&self.engine, &self.source).await?,
        };
        if aside.is_empty() {
            return Ok(false);
        }
        let ids: Vec<String> = met.values().flatten().cloned().collect();
        let told_of = self.engine.store().rosters(&self.source.slug, &ids).await?;
        let told_of: HashSet<&str> = told_of.iter().map(|roster| roster.unique_id.as_str()).collect();
        let is_told_of =
            |unique_id: &String| told.groups.contains_key(unique_id) || told_of.contains(unique_id.as_str());
        Ok(met.iter().any(|(dn, unique_id)| !aside.has(dn) && !unique_id.as_ref().is_some_and(is_told_of)))
    }

    async fn keep_rosters(&mut self, groups: &BTreeMap<String, GroupEntry>, gone: &[Roster]) -> Result<(), Broken> {
        if self.request.dry_run {
            return Ok(());
        }
        let (store, slug) = (self.engine.store(), &self.source.slug);
        let changed: Vec<Roster> = groups.values().filter_map(rosters::of).collect();
        if !changed.is_empty() {
            store.put_rosters(slug, &changed).await?;
        }
        let gone: Vec<String> = gone.iter().map(|roster| roster.unique_id.clone()).collect();
        if !gone.is_empty() {
            store.drop_rosters(slug, &gone).await?;
        }
        if let Some(aside) = self.aside.take() {
            aside.keep(&self.engine, &self.source).await?;
        }
        Ok(())
    }
}

/// Whom a value of a member list names.
fn named(
    directory: Source,
    key: String,
    source: Arc<ActiveSource>,
) -> BoxFuture<'static, Result<Named, DirectoryError>> {
    Box::pin(async move { directory.named_by(&key, &source.wanted).await })
}

/// Somebody and their groups, where anybody looks at those.
fn with_groups(
    directory: Source,
    person: Person,
    source: Arc<ActiveSource>,
    needed: bool,
) -> BoxFuture<'static, (Person, Memberships)> {
    Box::pin(async move {
        let memberships = if needed {
            directory.memberships(&Reader::service(), &person, &source.selectors).await
        } else {
            Memberships::default()
        };
        (person, memberships)
    })
}

/// People whose entries left.
struct GonePeople {
    users: Vec<(String, Uuid)>,
}

/// Those in only one of the two lists; all of both where the group itself is another one now.
fn differing(stored: Option<&Roster>, now: &GroupEntry) -> BTreeSet<String> {
    let new: BTreeSet<String> = now.members.iter().cloned().collect();
    let Some(stored) = stored else { return new };
    let old: BTreeSet<String> = stored.members.iter().cloned().collect();
    if stored.head == rosters::head(now) {
        old.symmetric_difference(&new).cloned().collect()
    } else {
        old.union(&new).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::told::tests::group;
    use super::*;

    #[test]
    fn whom_a_changed_group_concerns() {
        let of = |members: &[&str]| group(members.iter().map(|member| (*member).to_owned()).collect());
        let stored = rosters::of(&of(&["ann", "bob"])).unwrap();
        let concerned =
            |stored: Option<&Roster>, now: &GroupEntry| differing(stored, now).into_iter().collect::<Vec<_>>();
        assert_eq!(concerned(Some(&stored), &of(&["bob", "cy"])), ["ann", "cy"]);
        let renamed = GroupEntry { names: vec!["crew".to_owned()], ..of(&["bob"]) };
        assert_eq!(concerned(Some(&stored), &renamed), ["ann", "bob"]);
        assert_eq!(concerned(None, &of(&["bob"])), ["bob"]);
    }
}
