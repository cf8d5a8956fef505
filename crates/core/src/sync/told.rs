//! What a feed has told and nobody has acted on yet: the last word on each entry, and no more of it than memory takes.

use bindery_directory::{FeedEvent, GroupEntry, Kind, Person, Unreadable};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Everything that was told since the last position, the last word on each entry.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) people: BTreeMap<String, Box<Person>>,
    pub(super) groups: BTreeMap<String, GroupEntry>,
    pub(super) gone_people: BTreeSet<String>,
    pub(super) gone_groups: BTreeSet<String>,
    pub(super) unreadable: Vec<Unreadable>,
    /// Everybody who is there, of the kinds of which the feed has told that.
    pub(super) only: BTreeMap<Kind, HashSet<String>>,
    /// A group that cannot be read, or has no unique ID: nobody can tell what it was before.
    pub(super) nameless: Option<String>,
    /// Who came to, or left, groups that no feed tells of.
    pub(super) aside: BTreeSet<String>,
    events: usize,
    octets: usize,
}

/// So much is kept in memory of what was told at once; a full run reads more than that page by page.
const MOST_EVENTS: usize = 20_000;
const MOST_OCTETS: usize = 128 << 20;

/// What an event holds, about.
fn octets(event: &FeedEvent) -> usize {
    match event {
        FeedEvent::Person(person) => person.entry.octets(),
        FeedEvent::Group(group) => group.members.iter().map(String::len).sum(),
        _ => 0,
    }
}

impl Told {
    /// These members of groups that no feed tells of came or left.
    pub(super) fn hear_aside(&mut self, members: BTreeSet<String>) {
        self.aside.extend(members);
    }

    pub(super) fn hear(&mut self, event: FeedEvent) {
        (self.events, self.octets) = (self.events + 1, self.octets.saturating_add(octets(&event)));
        match event {
            FeedEvent::Person(person) => {
                self.gone_people.remove(&person.unique_id);
                self.people.insert(person.unique_id.clone(), person);
            }
            FeedEvent::Group(group) => match group.unique_id.clone() {
                Some(unique_id) => {
                    self.gone_groups.remove(&unique_id);
                    self.groups.insert(unique_id, group);
                }
                None => self.nameless = Some(group.dn.to_string()),
            },
            FeedEvent::Gone(Kind::User, unique_id) => {
                self.people.remove(&unique_id);
                self.gone_people.insert(unique_id);
            }
            FeedEvent::Gone(Kind::Group, unique_id) => {
                self.groups.remove(&unique_id);
                self.gone_groups.insert(unique_id);
            }
            FeedEvent::Unreadable(Kind::User, unreadable) => self.unreadable.push(unreadable),
            FeedEvent::Unreadable(Kind::Group, unreadable) => self.nameless = Some(unreadable.dn),
            FeedEvent::Only(kind, ids) => self.only.entry(kind).or_default().extend(ids),
            _ => {}
        }
    }

    /// Why this is more than can be kept until it is carried out.
    pub(super) fn too_much(&self) -> Option<&'static str> {
        let too_much = self.events > MOST_EVENTS || self.octets > MOST_OCTETS;
        too_much.then_some("more has changed at once than is read one by one")
    }

    /// Whether this person was told of.
    pub(super) fn mentions(&self, unique_id: &str) -> bool {
        self.people.contains_key(unique_id) || self.gone_people.contains(unique_id)
    }

    /// Where nobody looks at groups, they concern nobody.
    pub(super) fn forget_groups(&mut self) {
        self.groups.clear();
        self.gone_groups.clear();
        self.only.remove(&Kind::Group);
        self.nameless = None;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.people.is_empty()
            && self.groups.is_empty()
            && self.gone_people.is_empty()
            && self.gone_groups.is_empty()
            && self.unreadable.is_empty()
            && self.only.is_empty()
            && self.nameless.is_none()
            && self.aside.is_empty()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use bindery_directory::Dn;

    pub(in crate::sync) fn group(members: Vec<String>) -> GroupEntry {
        GroupEntry {
            dn: Dn::parse("cn=staff,dc=x").unwrap(),
            unique_id: Some("1".to_owned()),
            names: vec!["staff".to_owned()],
            gid: None,
            members,
            member_of: vec![],
            broken: None,
        }
    }

    #[test]
    fn what_is_told_at_once_is_bounded() {
        let mut told = Told::default();
        for number in 0..MOST_EVENTS {
            told.hear(FeedEvent::Gone(Kind::User, number.to_string()));
        }
        assert_eq!(told.too_much(), None);
        told.hear(FeedEvent::Gone(Kind::User, "one more".to_owned()));
        assert!(told.too_much().is_some());

        let mut told = Told::default();
        told.hear(FeedEvent::Group(group(vec!["x".repeat(MOST_OCTETS)])));
        assert_eq!(told.too_much(), None);
        told.hear(FeedEvent::Group(group(vec!["x".to_owned()])));
        assert!(told.too_much().is_some());
    }

    /// Nobody can say who was in it.
    #[test]
    fn a_group_that_cannot_be_read_is_doubt_and_no_user() {
        let mut told = Told::default();
        let unreadable = Unreadable { dn: "no name".to_owned(), unique_id: None, why: "no name".to_owned() };
        told.hear(FeedEvent::Unreadable(Kind::Group, unreadable));
        assert!(told.nameless.is_some() && told.unreadable.is_empty() && !told.is_empty());
    }
}
