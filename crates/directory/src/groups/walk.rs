//! Groups by an attribute of the group: `member`, `uniqueMember`, `roleOccupant`, `memberUid`.
//!
//! One search a level and base: first for the person (and their primary group), then for the groups
//! found, many in one filter. When such a filter finds something, a few reads of that one entry tell
//! which of the many it was, for the path.

use super::{Context, Gathered, MAX_LEVELS, apart};
use crate::reach::{failed, inside, shortcoming};
use crate::settings::{MemberValue, Members, Nested};
use crate::{DirectoryError, Group, GroupSelector, Person, people, unique_id};
use bindery_ldap::{Dn, Entry, Filter, Scope, SearchRequest};
use futures::future::{join, join_all};

/// Groups asked about in one filter.
const BATCH: usize = 50;

pub(super) async fn gather(context: Context<'_>, person: &Person, named: &[GroupSelector]) -> Gathered {
    let mut gathered = Gathered::default();
    let filter = match about_person(context, person) {
        Ok(filter) => filter,
        Err(why) => {
            gathered.cut_short(why);
            return gathered;
        }
    };
    let (level, (apart, unreadable)) = join(in_bases(context, &filter), apart(context, named)).await;
    gathered.failed = unreadable;
    let mut found = level.keep(&mut gathered);
    found.extend(at_names(context, &apart, &filter, &mut gathered).await);
    let mut frontier = Vec::new();
    for (dn, entry) in found {
        let path = vec![dn.clone()];
        if gathered.add(group(context, dn, &entry, path.clone())) {
            frontier.push(path);
        }
    }
    if context.settings.groups.nested == Nested::Walk {
        climb(context, &apart, frontier, &mut gathered).await;
    }
    gathered
}

/// From the person's own groups up, until nothing new comes.
async fn climb(context: Context<'_>, apart: &[Dn], mut frontier: Vec<Vec<Dn>>, gathered: &mut Gathered) {
    for _ in 0..MAX_LEVELS {
        let mut next = Vec::new();
        for batch in frontier.chunks(BATCH) {
            let children: Vec<Dn> = batch.iter().filter_map(|path| path.last().cloned()).collect();
            let Some(filter) = about_groups(context, &children) else { return };
            let (level, mut apart) =
                (in_bases(context, &filter).await, at_names(context, apart, &filter, gathered).await);
            let mut found = level.keep(gathered);
            found.append(&mut apart);
            found.retain(|(dn, _)| !gathered.seen.contains(dn));
            let below = join_all(found.iter().map(|(dn, _)| which(context, dn, batch))).await;
            for ((dn, entry), below) in found.into_iter().zip(below) {
                let path: Vec<Dn> = below.iter().cloned().chain([dn.clone()]).collect();
                if gathered.add(group(context, dn, &entry, path.clone())) {
                    next.push(path);
                }
            }
        }
        if next.is_empty() {
            return;
        }
        frontier = next;
    }
    gathered.cut_short(format!("groups are nested more than {MAX_LEVELS} deep"));
}

/// Which of a batch is the member of that group: halves, until one is left.
async fn which<'a>(context: Context<'_>, parent: &Dn, batch: &'a [Vec<Dn>]) -> &'a [Dn] {
    let mut candidates = batch;
    while candidates.len() > 1 {
        let (half, rest) = candidates.split_at(candidates.len() / 2);
        let children: Vec<Dn> = half.iter().filter_map(|path| path.last().cloned()).collect();
        let filter = about_groups(context, &children);
        let there = match filter {
            // It was in the batch: what an error hides here is a detail of the path, not the membership.
            Some(filter) => at_name(context, parent, &filter).await.ok().flatten().is_some(),
            None => false,
        };
        candidates = if there { half } else { rest };
    }
    candidates.first().map_or(&[], Vec::as_slice)
}

/// `(member=…)` for a person, and their primary group.
fn about_person(context: Context<'_>, person: &Person) -> Result<Filter, String> {
    let groups = &context.settings.groups;
    let Members::OfGroup(attribute) = &groups.members else { return Err("groups.members is memberOf".to_owned()) };
    let mut clauses = match &groups.member_value {
        MemberValue::Dn => vec![Filter::equal(attribute, person.dn.as_str())],
        MemberValue::Attribute(value) => {
            let values = person.entry.values(value);
            if values.is_empty() {
                return Err(format!("{} has no readable {value}, which {attribute} is compared with", person.dn));
            }
            values.iter().flat_map(|value| spelled(attribute, value)).collect()
        }
    };
    clauses.extend(primary_group(person));
    Ok(Filter::any(clauses))
}

/// As it stands, which an index answers; and without regard to case, as names of people are compared
/// everywhere else (`memberUid` by itself is compared exactly).
fn spelled(attribute: &str, value: &[u8]) -> [Filter; 2] {
    let folded = Filter::Extensible {
        rule: Some("caseIgnoreIA5Match".to_owned()),
        attribute: Some(attribute.to_owned()),
        value: value.to_vec(),
        dn_attributes: false,
    };
    [Filter::equal(attribute, value), folded]
}

/// `(gidNumber=…)` of the person's primary group (RFC 2307).
pub(super) fn primary_group(person: &Person) -> Option<Filter> {
    let number = person.entry.text(people::GID_NUMBER)?.trim();
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Filter::equal(people::GID_NUMBER, number))
}

/// `(|(member=…)(member=…))` for groups; `None` where the attribute names people only.
fn about_groups(context: Context<'_>, children: &[Dn]) -> Option<Filter> {
    let groups = &context.settings.groups;
    match (&groups.members, &groups.member_value) {
        (Members::OfGroup(attribute), MemberValue::Dn) => {
            Some(Filter::any(children.iter().map(|dn| Filter::equal(attribute, dn.as_str()))))
        }
        _ => None,
    }
}

/// What the group bases answered.
pub(super) struct Level {
    found: Vec<(Dn, Entry)>,
    short: Vec<String>,
}

impl Level {
    /// Notes what is missing, and answers with what is there.
    pub(super) fn keep(self, gathered: &mut Gathered) -> Vec<(Dn, Entry)> {
        for why in self.short {
            gathered.cut_short(why);
        }
        self.found
    }
}

/// The groups below each base that the filter picks. What came before an error counts: it is a yes.
pub(super) async fn in_bases(context: Context<'_>, filter: &Filter) -> Level {
    let groups = &context.settings.groups;
    let attributes = context.attributes();
    let answers = join_all(groups.base_dn.iter().map(async |base| {
        let filter = Filter::all([groups.filter.clone(), filter.clone()]);
        let request = SearchRequest::new(base, Scope::Subtree, filter).attributes(&attributes);
        let mut level = Level { found: Vec::new(), short: Vec::new() };
        match context.reach.search(&request).await {
            Err(error) => level.short.push(error.to_string()),
            Ok(outcome) => {
                let short = shortcoming(&outcome, base);
                level.short.extend(short.map(|why| failed(&context.settings.slug, &request, why).to_string()));
                match inside(outcome, base, Scope::Subtree) {
                    Ok(found) => level.found = found,
                    Err(error) => level.short.push(error.to_string()),
                }
            }
        }
        level
    }))
    .await;
    let mut whole = Level { found: Vec::new(), short: Vec::new() };
    for level in answers {
        whole.found.extend(level.found);
        whole.short.extend(level.short);
    }
    whole
}

/// The groups of those names that the filter picks, wherever they lie. One that cannot be read is
/// unknown by itself and spoils nothing else.
async fn at_names(context: Context<'_>, names: &[Dn], filter: &Filter, gathered: &mut Gathered) -> Vec<(Dn, Entry)> {
    let unseen = names.iter().filter(|dn| !gathered.seen.contains(dn));
    let answers = join_all(unseen.map(async |dn| (dn, at_name(context, dn, filter).await))).await;
    let mut found = Vec::new();
    for (dn, answer) in answers {
        match answer {
            Ok(entry) => found.extend(entry.map(|entry| (dn.clone(), entry))),
            Err(error) => {
                gathered.failed.insert(dn.clone(), error.to_string());
            }
        }
    }
    found
}

async fn at_name(context: Context<'_>, dn: &Dn, filter: &Filter) -> Result<Option<Entry>, DirectoryError> {
    context.reach.entry(&context.settings.slug, dn, filter.clone(), &context.attributes()).await
}

pub(super) fn group(context: Context<'_>, dn: Dn, entry: &Entry, path: Vec<Dn>) -> Group {
    Group {
        names: context.names(entry),
        unique_id: unique_id::text(entry, &context.settings.users.unique_id),
        direct: path.len() <= 1,
        dn,
        path,
    }
}
