//! Puts a roster together from a listing, and from the groups that rules name and that lie elsewhere.

use super::digests::{Digest, Digests, Pairs};
use super::{Named, Node, Roster, Standing, Ties};
use crate::feed::concerned;
use crate::feed::{Apart, GroupEntry, Shortcoming, Unreadable};
use crate::groups::{self, Beyond, fold, looking};
use crate::settings::{MemberValue, Members, Nested};
use crate::source::Inner;
use crate::{DirectoryError, GroupSelector, Known, Source};
use bindery_ldap::Dn;
use futures::future::join_all;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub(super) async fn roster(
    source: &Source,
    named: &[GroupSelector],
    listed: &mut (dyn FnMut(&[GroupEntry]) + Send),
) -> Result<Roster, DirectoryError> {
    let inner = &*source.inner;
    let settings = &inner.settings.groups;
    let ties = Ties {
        members: settings.members.clone(),
        member_value: settings.member_value.clone(),
        nested: settings.nested,
    };
    let roster = Roster { ties, ..Roster::default() };
    let mut making = Making { roster, pairs: Pairs::default(), above: vec![], bare: HashSet::new() };
    let mut listing = source.list_groups();
    while let Some(page) = listing.next().await? {
        listed(&page.entries);
        page.entries.into_iter().for_each(|entry| making.add(entry, Standing::Read));
        making.roster.unreadable.extend(page.unreadable);
    }
    making.roster.listed = making.roster.groups.len();
    making.roster.shortcomings = listing.shortcomings();
    making.roster.server = listing.server();
    making.roster.incomplete = incomplete(&making.roster.shortcomings, &making.roster.unreadable);
    making.look_for_members(inner).await;
    let mut known = making.elsewhere(inner, named).await;
    making.roster.told = making.roster.groups.len();
    let steps = making.beyond(&source.inner, &mut known).await;
    let mut roster = making.finish(named, &known);
    watch(source, &mut roster, steps).await;
    look_at_bare(inner, &mut roster).await;
    Ok(roster)
}

/// Why groups that nobody saw are unknown rather than not there.
fn incomplete(shortcomings: &[Shortcoming], unreadable: &[Unreadable]) -> Option<String> {
    let cut = shortcomings.iter().find(|one| one.reason.cuts_short());
    let cut =
        cut.map(|one| format!("the groups below {} could not be read whole: {}", one.base, one.reason.in_words()));
    cut.or_else(|| unreadable.first().map(|one| format!("the group {} cannot be used: {}", one.dn, one.why)))
}

struct Making {
    roster: Roster,
    pairs: Pairs,
    /// The `member_of` of each group.
    above: Vec<Vec<String>>,
    /// Groups that show no members.
    bare: HashSet<u32>,
}

impl Making {
    fn add(&mut self, mut entry: GroupEntry, standing: Standing) {
        let Roster { groups, nodes, digests, by_dn, by_gid, .. } = &mut self.roster;
        let place = u32::try_from(groups.len()).unwrap_or(u32::MAX);
        if entry.members.is_empty() {
            self.bare.insert(place);
        }
        for member in std::mem::take(&mut entry.members) {
            self.pairs.add(digests.of(&member), place);
        }
        by_dn.entry(digests.of(entry.dn.key_str())).or_insert(place);
        if let Some(gid) = &entry.gid {
            by_gid.entry(gid.clone()).or_default().push(place);
        }
        let standing = match (&entry.broken, standing) {
            (Some(why), Standing::Read) => Standing::Broken(why.clone()),
            (_, standing) => standing,
        };
        self.above.push(std::mem::take(&mut entry.member_of));
        groups.push(entry);
        nodes.push(Node { parents: vec![], standing });
    }

    /// Where nothing shows members, nobody is in anything: that has to be so, and not only to look so.
    async fn look_for_members(&mut self, inner: &Inner) {
        let by_group = matches!(self.roster.ties.members, Members::OfGroup(_));
        if by_group && (self.roster.groups.is_empty() || self.bare.len() < self.roster.groups.len()) {
            return;
        }
        self.roster.blind = groups::unreadable(inner.groups_by(inner.service())).await.err();
    }

    /// Reads the groups that rules name by DN and that were not listed, where they lie.
    async fn elsewhere(&mut self, inner: &Inner, named: &[GroupSelector]) -> HashMap<Dn, Known> {
        let mut dns: Vec<&Dn> = named.iter().filter_map(of_dn).collect();
        let mut asked = HashSet::new();
        dns.retain(|dn| {
            let digest = self.roster.digests.of(dn.key_str());
            !self.roster.by_dn.contains_key(&digest) && asked.insert(*dn)
        });
        let settings = &inner.settings;
        let read = dns.into_iter().map(async |dn| (dn, concerned::apart(inner, dn).await));
        let mut known = HashMap::new();
        for (dn, answer) in join_all(read).await {
            let (entry, standing, word) = match answer {
                Ok((apart, ranged)) => {
                    let entry = apart.entry.clone();
                    let word = match &entry {
                        Some(_) if ranged => {
                            Known::Failed(format!("the server gave only a part of the members of {dn}"))
                        }
                        Some(_) => Known::Found,
                        None => Known::NotFound,
                    };
                    self.roster.elsewhere.push(apart);
                    (entry, Standing::Read, word)
                }
                Err(error) => (None, Standing::Failed(error.to_string()), Known::Failed(error.to_string())),
            };
            // What people say that they are in is there, even if nobody may read it.
            let says_so = settings.groups.members == Members::MemberOf;
            if let Some(entry) = entry.or_else(|| says_so.then(|| nameless(dn.clone()))) {
                self.add(entry, standing);
            }
            known.insert(dn.clone(), word);
        }
        known
    }

    /// Reads the groups on the way to those that lie apart.
    async fn beyond(&mut self, inner: &Arc<Inner>, known: &mut HashMap<Dn, Known>) -> Vec<Step> {
        let found = |dn: &Dn| known.get(dn) == Some(&Known::Found);
        let apart = self.roster.groups.iter().skip(self.roster.listed).map(|group| group.dn.clone());
        let beyond = Beyond::new(&inner.settings, apart.filter(found).collect());
        let mut steps = Vec::new();
        for base in beyond.around() {
            // Nobody can say who is in these by way of others.
            if let Err(why) = self.steps(inner, base, &mut steps).await {
                for (dn, known) in known.iter_mut().filter(|(_, known)| **known == Known::Found) {
                    *known = Known::Failed(looking(&inner.settings, dn, &why));
                }
            }
        }
        steps
    }

    /// Reads those below a base, page by page: there may be as many of them as there are groups at all.
    async fn steps(&mut self, inner: &Arc<Inner>, base: &Dn, steps: &mut Vec<Step>) -> Result<(), String> {
        let mut listing = concerned::steps_below(inner, base);
        let mut unreadable = Vec::new();
        while let Some(page) = listing.next().await.map_err(|error| error.to_string())? {
            unreadable.extend(page.unreadable);
            for Apart { entry, changed, .. } in page.entries {
                let fresh =
                    |entry: &GroupEntry| !self.roster.by_dn.contains_key(&self.roster.digests.of(entry.dn.key_str()));
                let Some(entry) = entry.filter(fresh) else { continue };
                let print = print(&self.roster.digests, &entry, changed.as_deref());
                steps.push(Step { place: u32::try_from(self.roster.groups.len()).unwrap_or(u32::MAX), print });
                self.add(entry, Standing::Read);
            }
        }
        incomplete(&listing.shortcomings(), &unreadable).map_or(Ok(()), Err)
    }

    fn finish(self, named: &[GroupSelector], elsewhere: &HashMap<Dn, Known>) -> Roster {
        let Self { mut roster, pairs, above, bare } = self;
        roster.by_member = pairs.index();
        let nested = roster.ties.nested == Nested::Walk;
        for (place, above) in above.iter().enumerate().filter(|_| nested) {
            let parents = match (&roster.ties.members, &roster.ties.member_value) {
                (Members::MemberOf, _) => {
                    above.iter().filter_map(|key| roster.by_dn.get(&roster.digests.of(key)).copied()).collect()
                }
                (Members::OfGroup(_), MemberValue::Dn) => parents(&roster, place, &roster.digests),
                (Members::OfGroup(_), MemberValue::Attribute(_)) => vec![],
            };
            if let Some(node) = roster.nodes.get_mut(place) {
                node.parents = parents;
            }
        }
        let by_name = by_name(&roster);
        roster.named = named.iter().map(|selector| what_is_known(&roster, &by_name, elsewhere, selector)).collect();
        for one in &mut roster.named {
            one.bare = one.bearers.iter().any(|place| bare.contains(place));
        }
        roster
    }
}

/// A group on the way to one that lies apart. Its members are not kept: few of these groups lead anywhere.
struct Step {
    /// Its place among the groups of the roster.
    place: u32,
    print: Digest,
}

/// All of a step that matters to who is in what.
fn print(digests: &Digests, entry: &GroupEntry, changed: Option<&str>) -> Digest {
    let sorted = |names: &[String]| {
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.join("\n")
    };
    let (members, above) = (sorted(&entry.members), sorted(&entry.member_of));
    digests
        .of(&[members.as_str(), &above, entry.gid.as_deref().unwrap_or_default(), changed.unwrap_or_default()]
            .join("\0"))
}

/// Remembers those of the steps that lead to a group that a rule names: no feed tells of them. They are read again, members
/// and all, and have to be what they were.
async fn watch(source: &Source, roster: &mut Roster, steps: Vec<Step>) {
    let leading = leading(roster);
    let steps: Vec<Step> = steps.into_iter().filter(|step| leading.contains(&step.place)).collect();
    if steps.is_empty() {
        return;
    }
    let at = |step: &Step| roster.groups.get(step.place as usize).map(|group| group.dn.clone());
    let dns: Vec<Dn> = steps.iter().filter_map(at).collect();
    let why = match source.groups_at(&dns).await {
        Ok(read) => {
            let same = |(step, apart): (&Step, &Apart)| {
                let print = |entry| print(&roster.digests, entry, apart.changed.as_deref());
                apart.entry.as_ref().map(print) == Some(step.print)
            };
            let changed = steps.iter().zip(&read).find(|both| !same(*both)).map(|(_, apart)| apart.dn.clone());
            roster.elsewhere.extend(read);
            changed.map(|dn| format!("the group {dn} changed while it was read"))
        }
        Err(error) => Some(error.to_string()),
    };
    let Some(why) = why else { return };
    let apart = roster.listed..roster.told;
    for one in roster.named.iter_mut().filter(|one| one.known == Known::Found) {
        if let GroupSelector::Dn(dn) = &one.selector
            && one.bearers.iter().any(|place| apart.contains(&(*place as usize)))
        {
            one.known = Known::Failed(looking(&source.inner.settings, dn, &why));
        }
    }
}

/// The places of the groups that are in one that lies apart, directly or not.
fn leading(roster: &Roster) -> HashSet<u32> {
    let mut inside: HashMap<u32, Vec<u32>> = HashMap::new();
    for (place, node) in (0u32..).zip(&roster.nodes) {
        for parent in &node.parents {
            inside.entry(*parent).or_default().push(place);
        }
    }
    let mut open: Vec<u32> = (0u32..).take(roster.told).skip(roster.listed).collect();
    let mut leading: HashSet<u32> = HashSet::new();
    while let Some(place) = open.pop() {
        let below = inside.get(&place).into_iter().flatten();
        open.extend(below.copied().filter(|below| leading.insert(*below)));
    }
    leading
}

/// Asks of the groups that rules name and that show no members whether they have none.
async fn look_at_bare(inner: &Inner, roster: &mut Roster) {
    let bare: Vec<GroupSelector> = roster
        .named
        .iter()
        .filter(|one| one.bare && one.known == Known::Found)
        .map(|one| one.selector.clone())
        .collect();
    if bare.is_empty() || roster.ties.members == Members::MemberOf {
        return;
    }
    for (selector, known) in groups::known(inner.groups_by(inner.service()), &bare).await {
        for one in roster.named.iter_mut().filter(|one| one.selector == selector) {
            one.known = known.clone();
        }
    }
}

fn of_dn(selector: &GroupSelector) -> Option<&Dn> {
    match selector {
        GroupSelector::Dn(dn) => Some(dn),
        GroupSelector::Name(_) => None,
    }
}

fn nameless(dn: Dn) -> GroupEntry {
    GroupEntry { dn, unique_id: None, names: vec![], gid: None, members: vec![], member_of: vec![], broken: None }
}

fn parents(roster: &Roster, place: usize, digests: &Digests) -> Vec<u32> {
    let Some(entry) = roster.groups.get(place) else { return vec![] };
    roster.by_member.get(digests.of(entry.dn.key_str())).collect()
}

/// Groups by each of their names, folded.
fn by_name(roster: &Roster) -> HashMap<String, Vec<u32>> {
    let mut by_name: HashMap<String, Vec<u32>> = HashMap::new();
    for (place, entry) in (0u32..).zip(roster.groups.iter().take(roster.told)) {
        for name in &entry.names {
            by_name.entry(fold(name)).or_default().push(place);
        }
    }
    by_name
}

fn what_is_known(
    roster: &Roster,
    by_name: &HashMap<String, Vec<u32>>,
    elsewhere: &HashMap<Dn, Known>,
    selector: &GroupSelector,
) -> Named {
    let bearers: Vec<u32> = match selector {
        GroupSelector::Dn(dn) => roster.by_dn.get(&roster.digests.of(dn.key_str())).copied().into_iter().collect(),
        GroupSelector::Name(name) => by_name.get(&fold(name)).cloned().unwrap_or_default(),
    };
    let known = match selector {
        GroupSelector::Dn(dn) => elsewhere.get(dn).cloned().unwrap_or(Known::Found),
        // A name is looked for in the bases only.
        GroupSelector::Name(_) if bearers.iter().any(|place| (*place as usize) < roster.listed) => Known::Found,
        GroupSelector::Name(_) => roster.incomplete.clone().map_or(Known::NotFound, Known::Failed),
    };
    Named { selector: selector.clone(), bearers, known, bare: false }
}
