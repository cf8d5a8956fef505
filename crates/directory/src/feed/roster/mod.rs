//! Who is in which group, for everybody at once: the member lists of all groups, turned round.
//!
//! Answers what [`Source::memberships`] answers, without asking the directory. It holds a digest for each
//! membership, never the member's name.

mod build;
mod digests;

use super::entries::{above, folded};
use super::{Apart, GroupEntry, Shortcoming, Unreadable};
use crate::groups::{MAX_GROUPS, MAX_LEVELS};
use crate::settings::{MemberValue, Members, Nested};
use crate::{DirectoryError, Group, GroupSelector, Known, Memberships, Person, Source, people};
use bindery_ldap::Dn;
use digests::{Digest, Digests, Index};
use std::collections::HashMap;
use std::fmt;

/// All groups of a source and who is in them, at one time.
#[derive(Default)]
pub struct Roster {
    /// Those that were listed, then those that rules name and that lie elsewhere, then others on the way to these.
    groups: Vec<GroupEntry>,
    listed: usize,
    /// Those of the first two kinds: of the others nobody is told.
    told: usize,
    /// One for each of `groups`.
    nodes: Vec<Node>,
    ties: Ties,
    digests: Digests,
    by_member: Index,
    by_dn: HashMap<Digest, u32>,
    by_gid: HashMap<String, Vec<u32>>,
    named: Vec<Named>,
    elsewhere: Vec<Apart>,
    /// Why every group that somebody is not seen in is unknown.
    incomplete: Option<String>,
    /// Why nobody can say that a group which names members does not name somebody: none is seen to name any. Under
    /// `memberOf`, why somebody who shows no groups may be in some.
    blind: Option<String>,
    shortcomings: Vec<Shortcoming>,
    server: Option<String>,
    unreadable: Vec<Unreadable>,
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roster")
            .field("groups", &self.groups.len())
            .field("incomplete", &self.incomplete)
            .finish_non_exhaustive()
    }
}

/// What ties people to groups, and groups to groups.
#[derive(Debug)]
struct Ties {
    members: Members,
    member_value: MemberValue,
    nested: Nested,
}

impl Default for Ties {
    fn default() -> Self {
        Self { members: Members::OfGroup(String::new()), member_value: MemberValue::Dn, nested: Nested::None }
    }
}

/// A group among groups.
#[derive(Debug, Default)]
struct Node {
    /// What it is directly in.
    parents: Vec<u32>,
    standing: Standing,
}

/// What is known of a group's entry.
#[derive(Debug, Default)]
enum Standing {
    /// It was read.
    #[default]
    Read,
    /// It was read, and it says of itself what nobody can read.
    Broken(String),
    /// It could not be read at all: whoever is in it is in something unknown.
    Failed(String),
}

/// A group that a rule names.
#[derive(Debug)]
struct Named {
    selector: GroupSelector,
    /// The groups it stands for, in order.
    bearers: Vec<u32>,
    known: Known,
    /// One of them shows no members.
    bare: bool,
}

/// A group that somebody is in.
struct Reached {
    group: u32,
    /// Through which of those reached before; none for a direct one.
    through: Option<usize>,
    /// The way to it leads through a group of which nobody is told, so that it counts only where a rule names it.
    hidden: bool,
    told: bool,
}

/// Everything that somebody is in.
#[derive(Default)]
struct Climb {
    reached: Vec<Reached>,
    /// Those reached by a way that counts, in order; and by one that does not.
    seen: Vec<u32>,
    passed: Vec<u32>,
    /// Of the latter, those that a rule names.
    named: Vec<u32>,
    /// Why every group that is not reached is unknown.
    short: Option<String>,
    /// Why those that lie apart are.
    short_apart: Option<String>,
}

impl Climb {
    fn cut_short(&mut self, why: impl FnOnce() -> String) {
        self.short.get_or_insert_with(why);
    }

    /// Remembers what is missing on a way: of one that does not count, only what lies apart can be at its end.
    fn fails(&mut self, hidden: bool, why: impl FnOnce() -> String) {
        let short = if hidden { &mut self.short_apart } else { &mut self.short };
        short.get_or_insert_with(why);
    }

    /// Adds a group unless it is there already, as in a loop, by a way that counts as much.
    fn add(&mut self, group: u32, through: Option<usize>, hidden: bool, named: bool) {
        let Err(place) = self.seen.binary_search(&group) else { return };
        let before = self.passed.binary_search(&group);
        if hidden && before.is_ok() {
            return;
        }
        let reached = if hidden { self.passed.len() } else { self.seen.len() };
        if reached >= MAX_GROUPS {
            return self.fails(hidden, || format!("the person is in more than {MAX_GROUPS} groups"));
        }
        let told = if let (true, Err(place)) = (hidden, before) {
            self.passed.insert(place, group);
            if named {
                self.named.push(group);
            }
            named
        } else {
            self.seen.insert(place, group);
            !self.named.contains(&group)
        };
        self.reached.push(Reached { group, through, hidden, told });
    }

    /// Whether somebody is told to be in it.
    fn tells(&self, group: u32) -> bool {
        self.seen.binary_search(&group).is_ok() || self.named.contains(&group)
    }

    /// All of them, in order.
    fn into_told(mut self) -> Vec<u32> {
        if !self.named.is_empty() {
            self.seen.append(&mut self.named);
            self.seen.sort_unstable();
            self.seen.dedup();
        }
        self.seen
    }
}

impl Roster {
    /// The groups of a person, and what is known of the groups that rules name. Equal to what
    /// [`Source::memberships`] would have said at the time the roster was read.
    pub fn memberships(&self, person: &Person) -> Memberships {
        let climb = self.climb(person);
        let told = climb.reached.iter().enumerate().filter(|(_, reached)| reached.told);
        let groups = told.filter_map(|(at, _)| self.group(&climb.reached, at)).collect();
        let unseen = self.named.iter().filter(|named| !named.bearers.iter().any(|one| climb.tells(*one)));
        let known = unseen.map(|named| (named.selector.clone(), self.known_to(&climb, named))).collect();
        Memberships { groups, incomplete: climb.short, known }
    }

    /// What is known of a group that somebody is not seen in.
    fn known_to(&self, climb: &Climb, named: &Named) -> Known {
        let apart = matches!(named.selector, GroupSelector::Dn(_))
            && named.bearers.iter().any(|place| (self.listed..self.told).contains(&(*place as usize)));
        match (&named.known, &climb.short_apart) {
            (Known::Found, Some(why)) if apart => Known::Failed(why.clone()),
            (known, _) => known.clone(),
        }
    }

    /// The groups that a person is in, by their places in [`groups`](Self::groups) and then
    /// [`apart`](Self::apart), in order; and whether that is all, or [`memberships`](Self::memberships) would say
    /// that something is missing, if only for this person. Costs a microsecond. The places mean something in this roster only.
    pub fn group_ids(&self, person: &Person) -> (Vec<u32>, bool) {
        let climb = self.climb(person);
        let whole = climb.short.is_none() && climb.short_apart.is_none();
        (climb.into_told(), whole)
    }

    /// Every group that was listed. Their `members` are empty: they live on in the roster only.
    pub fn groups(&self) -> &[GroupEntry] {
        self.groups.get(..self.listed).unwrap_or_default()
    }

    /// The groups that rules name by DN and that no listing of the bases has. One that cannot be read bears no name.
    pub fn apart(&self) -> &[GroupEntry] {
        self.groups.get(self.listed..self.told).unwrap_or_default()
    }

    /// What was looked for by DN, because rules name it and no listing of the bases has it, and the groups on the way
    /// there that none has either: members and all, there or not. Those that could not be read are missing.
    pub fn elsewhere(&self) -> &[Apart] {
        &self.elsewhere
    }

    /// The groups (by their place in [`groups`](Self::groups)) that a group is directly in; empty where
    /// nesting does not count.
    pub fn parents(&self, group: usize) -> Vec<usize> {
        self.nodes.get(group).into_iter().flat_map(|node| &node.parents).map(|parent| *parent as usize).collect()
    }

    /// What is known of the groups that rules name, person or no person.
    pub fn known(&self) -> impl Iterator<Item = (&GroupSelector, &Known)> {
        self.named.iter().map(|named| (&named.selector, &named.known))
    }

    /// Why the listing was not whole. Every group not seen is unknown then, unless only unique IDs are missing.
    pub fn shortcomings(&self) -> &[Shortcoming] {
        &self.shortcomings
    }

    /// The URL of the server that the groups were listed by.
    pub fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// Whether all groups were read, so that one that somebody is not seen in is one that they are not in.
    pub fn is_whole(&self) -> bool {
        self.incomplete.is_none() && self.blind.is_none()
    }

    /// Groups that cannot be used.
    pub fn unreadable(&self) -> &[Unreadable] {
        &self.unreadable
    }

    /// From the person's own groups up, level by level, each group once.
    fn climb(&self, person: &Person) -> Climb {
        let mut climb = Climb { short: self.incomplete.clone(), ..Climb::default() };
        self.direct(person, &mut climb);
        // A primary group is found by its number, which says nothing of those that name their members.
        if let (Members::OfGroup(_), Some(why)) = (&self.ties.members, &self.blind) {
            climb.cut_short(|| why.clone());
        }
        // The levels above a person's own groups; memberOf counts that one, too.
        let levels = if self.ties.members == Members::MemberOf { MAX_LEVELS - 1 } else { MAX_LEVELS };
        let mut level = 0..climb.reached.len();
        for _ in 0..levels {
            let end = level.end;
            for at in level {
                let Some(reached) = climb.reached.get(at) else { break };
                for parent in self.nodes.get(reached.group as usize).into_iter().flat_map(|node| &node.parents) {
                    self.enter(*parent, Some(at), &mut climb);
                }
            }
            level = end..climb.reached.len();
            if level.is_empty() {
                return climb;
            }
        }
        let hidden = climb.reached.get(level).is_some_and(|last| last.iter().all(|one| one.hidden));
        climb.fails(hidden, || format!("groups are nested more than {MAX_LEVELS} deep"));
        climb
    }

    /// The groups that name the person themselves.
    fn direct(&self, person: &Person, climb: &mut Climb) {
        let gid = people::gid(person).and_then(|gid| self.by_gid.get(gid)).map_or(&[][..], Vec::as_slice);
        if self.ties.members == Members::MemberOf {
            let (keys, broken) = above(&person.entry);
            if let Some(why) = broken {
                climb.cut_short(|| why);
            }
            if let (true, Some(why)) = (keys.is_empty(), &self.blind) {
                climb.cut_short(|| why.clone());
            }
            for key in keys {
                if let Some(group) = self.by_dn.get(&self.digests.of(&key)) {
                    self.enter(*group, None, climb);
                }
            }
            // The primary group is looked for in the bases only.
            let listed = gid.iter().filter(|group| (**group as usize) < self.listed);
            return listed.for_each(|group| self.enter(*group, None, climb));
        }
        let mut groups: Vec<u32> = match &self.ties.member_value {
            MemberValue::Dn => self.by_member.get(self.digests.of(person.dn.key_str())).collect(),
            MemberValue::Attribute(name) => {
                let values = person.entry.values(name);
                if values.is_empty() {
                    return climb.cut_short(|| crate::groups::uncomparable(person, name, &self.ties.members));
                }
                values.flat_map(|value| self.by_member.get(self.digests.of(&folded(value)))).collect()
            }
        };
        groups.extend(gid);
        groups.sort_unstable();
        for group in groups {
            self.enter(group, None, climb);
        }
    }

    /// Adds a group that somebody is in, as far as it could be read.
    fn enter(&self, group: u32, through: Option<usize>, climb: &mut Climb) {
        let place = group as usize;
        let above_hidden = through.and_then(|at| climb.reached.get(at)).is_some_and(|below| below.hidden);
        let (hidden, named) = (above_hidden || place >= self.told, (self.listed..self.told).contains(&place));
        match self.nodes.get(place).map(|node| &node.standing) {
            Some(Standing::Read) => climb.add(group, through, hidden, named),
            Some(Standing::Broken(why)) => {
                climb.add(group, through, hidden, named);
                climb.fails(hidden, || why.clone());
            }
            Some(Standing::Failed(why)) => climb.fails(above_hidden, || why.clone()),
            None => {}
        }
    }

    fn group(&self, reached: &[Reached], at: usize) -> Option<Group> {
        let place = |at: usize| reached.get(at).and_then(|one| self.groups.get(one.group as usize).zip(Some(one)));
        let (entry, one) = place(at)?;
        let mut path: Vec<Dn> = vec![entry.dn.clone()];
        let mut through = one.through;
        while let Some((below, one)) = through.and_then(place) {
            path.push(below.dn.clone());
            through = one.through;
        }
        path.reverse();
        Some(Group {
            dn: entry.dn.clone(),
            names: entry.names.clone(),
            unique_id: entry.unique_id.clone(),
            direct: one.through.is_none(),
            path,
        })
    }
}

impl Source {
    /// Reads every group, and what is known of the groups that rules name; `listed` hears of each page
    /// (its entries, with members) as it arrives.
    ///
    /// # Errors
    /// As [`super::Listing::next`].
    pub async fn roster(
        &self,
        named: &[GroupSelector],
        listed: &mut (dyn FnMut(&[GroupEntry]) + Send),
    ) -> Result<Roster, DirectoryError> {
        build::roster(self, named, listed).await
    }
}
