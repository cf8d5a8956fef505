//! Entries as people and groups, the same for a listing and for a feed: what is asked of them, and what is
//! said of one that cannot be used.

use super::listing::{GroupEntry, Incomplete, Unreadable};
use crate::settings::{MemberValue, Members};
use crate::{Person, SourceSettings, Wanted, people, unique_id};
use bindery_ldap::dn::{Keys, prepare_case_ignore};
use bindery_ldap::{Dn, Entry, Filter, Scope};

/// Groups on a page: their member lists are long.
const GROUPS_A_PAGE: u32 = 250;

/// What is searched for, in every base.
#[derive(Debug, Clone)]
pub(super) struct Search {
    pub(super) bases: Vec<Dn>,
    pub(super) scope: Scope,
    pub(super) filter: Filter,
    pub(super) attributes: Vec<String>,
    pub(super) page_size: u32,
}

/// What an entry came to.
#[derive(Debug)]
pub(super) struct Taken<T> {
    pub(super) entry: Option<T>,
    pub(super) unreadable: Option<Unreadable>,
    /// It makes what it was read with less than the whole.
    pub(super) short: Option<Incomplete>,
}

/// People and groups.
pub(super) trait Listed: Sized + Send + 'static {
    /// How they are searched for.
    fn search(settings: &SourceSettings, wanted: &Wanted) -> Search;

    /// An entry that lies in a base.
    fn take(settings: &SourceSettings, dn: Dn, entry: Entry) -> Taken<Self>;
}

/// An entry whose name is none, so that nobody can say where it lies.
pub(super) fn nameless<T>(settings: &SourceSettings, entry: &Entry, why: &bindery_ldap::DnError) -> Taken<T> {
    let unique_id = unique_id::text(entry, &settings.users.unique_id);
    let short = unique_id.is_none().then_some(Incomplete::UnreadableUniqueId);
    let dn = entry.dn_text().into_owned();
    Taken { entry: None, unreadable: Some(Unreadable { dn, unique_id, why: format!("its name is {why}") }), short }
}

impl Listed for Person {
    fn search(settings: &SourceSettings, wanted: &Wanted) -> Search {
        let users = &settings.users;
        Search {
            bases: users.base_dn.clone(),
            scope: users.scope,
            filter: users.filter.clone(),
            attributes: people::attributes(settings, wanted),
            page_size: settings.page_size,
        }
    }

    fn take(settings: &SourceSettings, dn: Dn, entry: Entry) -> Taken<Self> {
        let name = dn.to_string();
        match people::person(settings, dn, entry) {
            Ok(person) => Taken { entry: Some(person), unreadable: None, short: None },
            Err(error) => Taken {
                entry: None,
                unreadable: Some(Unreadable { dn: name, unique_id: None, why: error.to_string() }),
                short: Some(Incomplete::UnreadableUniqueId),
            },
        }
    }
}

impl Listed for GroupEntry {
    fn search(settings: &SourceSettings, _wanted: &Wanted) -> Search {
        let groups = &settings.groups;
        Search {
            bases: groups.base_dn.clone(),
            scope: Scope::Subtree,
            filter: groups.filter.clone(),
            attributes: group_attributes(settings),
            page_size: settings.page_size.min(GROUPS_A_PAGE),
        }
    }

    fn take(settings: &SourceSettings, dn: Dn, entry: Entry) -> Taken<Self> {
        let (group, ranged) = group(settings, dn, &entry);
        let short = if ranged {
            Some(Incomplete::SizeLimit)
        } else {
            group.unique_id.is_none().then_some(Incomplete::UnreadableUniqueId)
        };
        Taken { entry: Some(group), unreadable: None, short }
    }
}

/// What is asked of a group.
pub(super) fn group_attributes(settings: &SourceSettings) -> Vec<String> {
    let groups = &settings.groups;
    let members = match &groups.members {
        Members::OfGroup(attribute) => attribute,
        Members::MemberOf => people::MEMBER_OF,
    };
    let own = [settings.users.unique_id.as_str(), people::GID_NUMBER, members];
    let mut names: Vec<String> = Vec::with_capacity(groups.name.len() + own.len());
    for name in groups.name.iter().map(String::as_str).chain(own) {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name.to_owned());
        }
    }
    names
}

/// A group, and whether the server gave only a range of its members.
pub(super) fn group(settings: &SourceSettings, dn: Dn, entry: &Entry) -> (GroupEntry, bool) {
    let groups = &settings.groups;
    let names = groups.name.iter().flat_map(|attribute| entry.texts(attribute)).map(str::to_owned).collect();
    let (mut members, mut member_of, mut broken, ranged) = (
        vec![],
        vec![],
        None,
        match &groups.members {
            Members::OfGroup(attribute) => is_ranged(entry, attribute),
            Members::MemberOf => is_ranged(entry, people::MEMBER_OF),
        },
    );
    match (&groups.members, &groups.member_value) {
        // A value that is no DN is nobody's.
        (Members::OfGroup(attribute), MemberValue::Dn) => {
            let mut keys = Keys::default();
            let key = |value| std::str::from_utf8(value).ok().and_then(|name| keys.of(name).ok());
            members.extend(values(entry, attribute).filter_map(key));
        }
        (Members::OfGroup(attribute), MemberValue::Attribute(_)) => {
            members.extend(values(entry, attribute).map(folded));
        }
        (Members::MemberOf, _) => (member_of, broken) = above(entry),
    }
    let group = GroupEntry {
        dn,
        unique_id: unique_id::text(entry, &settings.users.unique_id),
        names,
        gid: entry.text(people::GID_NUMBER).map(|gid| gid.trim().to_owned()),
        members,
        member_of,
        broken,
    };
    (group, ranged)
}

/// The groups that an entry says it is in, as keys, and what is wrong with the others.
pub(super) fn above(entry: &Entry) -> (Vec<String>, Option<String>) {
    let (mut keys, mut broken) = (Vec::new(), None);
    for value in entry.values(people::MEMBER_OF) {
        match Dn::from_bytes(value) {
            Ok(dn) => keys.push(dn.key()),
            Err(error) => broken = Some(format!("a value of {} of {} is {error}", people::MEMBER_OF, entry.dn_text())),
        }
    }
    (keys, broken)
}

/// What groups name a person by: the key of their DN, or the folded values of `groups.member_value`.
/// Empty where that is not readable, and under `memberOf`, where groups name nobody.
pub(super) fn member_keys(settings: &SourceSettings, person: &Person) -> Vec<String> {
    match (&settings.groups.members, &settings.groups.member_value) {
        (Members::MemberOf, _) => vec![],
        (Members::OfGroup(_), MemberValue::Dn) => vec![person.dn.key()],
        (Members::OfGroup(_), MemberValue::Attribute(name)) => person.entry.values(name).map(folded).collect(),
    }
}

/// Marks a value that is no text, or none that can be kept. No folded text has a capital letter in it.
const BINARY: &str = "HEX:";

/// As `caseIgnoreIA5Match` compares; what is no text compares as it stands.
pub(super) fn folded(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if !text.contains('\0') => prepare_case_ignore(text).into(),
        _ => format!("{BINARY}{}", hex::encode(value)),
    }
}

/// A value that folds to this.
pub(super) fn unfolded(folded: &str) -> Vec<u8> {
    let bytes = folded.strip_prefix(BINARY).and_then(|digits| hex::decode(digits).ok());
    bytes.unwrap_or_else(|| folded.as_bytes().to_vec())
}

/// The values of an attribute, those under options included: a search for it finds these, too.
fn values<'a>(entry: &'a Entry, attribute: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let of_it = entry.attributes().filter(|(name, _)| base(name).eq_ignore_ascii_case(attribute));
    of_it.flat_map(|(_, values)| values)
}

fn base(description: &str) -> &str {
    description.split(';').next().unwrap_or_default()
}

/// Whether there is more than the server gave (`member;range=0-1499`; `0-*` is all there is).
fn is_ranged(entry: &Entry, attribute: &str) -> bool {
    let of_it = entry.attributes().filter(|(name, _)| base(name).eq_ignore_ascii_case(attribute));
    let mut options = of_it.flat_map(|(name, _)| name.split(';').skip(1));
    options.any(|option| {
        let range = option.get(..6).filter(|name| name.eq_ignore_ascii_case("range="));
        range.is_some() && option.get(6..) != Some("0-*")
    })
}
