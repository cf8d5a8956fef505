//! Groups by an attribute of the group: `member`, `uniqueMember`, `roleOccupant`, `memberUid`.
//!
//! One search a base for the person (and their primary group); then one for each group found, side by side,
//! for what lies right above it. What lies above a group is the same for everybody in it, so that answer is
//! used again for a second: in a busy hour a walk costs no more than its first step.

use super::{Context, Gathered, MAX_LEVELS, apart, shown, uncomparable};
use crate::reach::{Reach, failed, inside, shortcoming};
use crate::settings::{MemberValue, Members, Nested};
use crate::{DirectoryError, Group, GroupSelector, Person, people, unique_id};
use bindery_ldap::{Dn, Entry, Filter, Scope, SearchRequest};
use futures::future::{join, join_all};
use std::sync::Arc;

/// Groups asked about side by side.
const SIDE_BY_SIDE: usize = 64;

pub(super) async fn gather(context: Context<'_>, person: &Person, named: &[GroupSelector]) -> Gathered {
    let mut gathered = Gathered::default();
    let filter = match about_person(context, person) {
        Ok(filter) => filter,
        Err(why) => {
            gathered.cut_short(why);
            return gathered;
        }
    };
    let (own, (apart, unreadable)) = join(in_bases(context, &filter), apart(context, named)).await;
    gathered.failed = unreadable;
    let own_apart = at_names(context, &apart, &filter).await;
    let mut frontier = Vec::new();
    for level in [own, own_apart] {
        frontier.extend(level.add_to(&mut gathered, &[]));
    }
    if frontier.is_empty()
        && gathered.incomplete.is_none()
        && let Err(why) = Box::pin(shown::readable(context)).await
    {
        gathered.cut_short(why);
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
        for paths in frontier.chunks(SIDE_BY_SIDE) {
            let above = join_all(paths.iter().filter_map(|path| path.last()).map(|dn| above(context, apart, dn)));
            for (path, level) in paths.iter().zip(above.await) {
                next.extend(level.add_to(gathered, path));
            }
        }
        if next.is_empty() {
            return;
        }
        frontier = next;
    }
    gathered.cut_short(format!("groups are nested more than {MAX_LEVELS} deep"));
}

/// What lies right above a group; from memory where the service account has just read it whole.
async fn above(context: Context<'_>, apart: &[Dn], child: &Dn) -> Arc<Level> {
    let Some(filter) = about_group(context, child) else { return Arc::default() };
    let ask = async {
        let (mut level, elsewhere) = join(in_bases(context, &filter), at_names(context, apart, &filter)).await;
        level.append(elsewhere);
        // An answer with something missing is for those who wait for it now, and for nobody later.
        if level.is_whole() { Ok(Arc::new(level)) } else { Err(level) }
    };
    match context.reach {
        Reach::Own(_) => ask.await.unwrap_or_else(Arc::new),
        Reach::Service(_) => {
            let apart = apart.iter().map(Dn::key_str);
            let key = apart.chain([child.key_str()]).collect::<Vec<_>>().join("\n");
            context.cache.above.try_get_with(key, ask).await.unwrap_or_else(|level| level)
        }
    }
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
                return Err(uncomparable(person, value, &groups.members));
            }
            values.flat_map(|value| spelled(attribute, value)).collect()
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
    people::gid(person).map(|number| Filter::equal(people::GID_NUMBER, number))
}

/// `(member=…)` for a group; `None` where the attribute names people only.
fn about_group(context: Context<'_>, child: &Dn) -> Option<Filter> {
    let groups = &context.settings.groups;
    match (&groups.members, &groups.member_value) {
        (Members::OfGroup(attribute), MemberValue::Dn) => Some(Filter::equal(attribute, child.as_str())),
        _ => None,
    }
}

/// What was found of one question, and what is missing from the answer.
#[derive(Debug, Default)]
pub(crate) struct Level {
    found: Vec<Named>,
    short: Vec<String>,
    /// Groups read where they lie that could not be: unknown by themselves, they spoil nothing else.
    failed: Vec<(Dn, String)>,
}

/// A group as it was found.
#[derive(Debug)]
struct Named {
    dn: Dn,
    names: Vec<String>,
    unique_id: Option<String>,
}

impl Level {
    fn is_whole(&self) -> bool {
        self.short.is_empty() && self.failed.is_empty()
    }

    fn append(&mut self, mut other: Self) {
        self.found.append(&mut other.found);
        self.short.append(&mut other.short);
        self.failed.append(&mut other.failed);
    }

    /// Adds the groups above the end of a path, and what is missing. Answers with the paths that are new.
    fn add_to(&self, gathered: &mut Gathered, path: &[Dn]) -> Vec<Vec<Dn>> {
        for why in &self.short {
            gathered.cut_short(why.clone());
        }
        gathered.failed.extend(self.failed.iter().cloned());
        let mut new = Vec::new();
        for Named { dn, names, unique_id } in &self.found {
            let path: Vec<Dn> = path.iter().chain([dn]).cloned().collect();
            let (dn, names, unique_id) = (dn.clone(), names.clone(), unique_id.clone());
            if gathered.add(Group { dn, names, unique_id, direct: path.len() == 1, path: path.clone() }) {
                new.push(path);
            }
        }
        new
    }

    /// Notes what is missing, and answers with the DNs of what is there.
    pub(super) fn dns(self, gathered: &mut Gathered) -> Vec<Dn> {
        for why in self.short {
            gathered.cut_short(why);
        }
        self.found.into_iter().map(|group| group.dn).collect()
    }
}

/// The groups below each base that the filter picks. What came before an error counts: it is a yes.
pub(super) async fn in_bases(context: Context<'_>, filter: &Filter) -> Level {
    let groups = &context.settings.groups;
    let attributes = context.attributes();
    let answers = join_all(groups.base_dn.iter().map(async |base| {
        let filter = Filter::all([groups.filter.clone(), filter.clone()]);
        let request = SearchRequest::new(base, Scope::Subtree, filter).attributes(&attributes);
        let mut level = Level::default();
        match context.reach.search(&request).await {
            Err(error) => level.short.push(error.to_string()),
            Ok(outcome) => {
                let short = shortcoming(&outcome, base);
                level.short.extend(short.map(|why| failed(&context.settings.slug, &request, why).to_string()));
                match inside(outcome, base, Scope::Subtree) {
                    Ok(found) => level.found.extend(found.into_iter().map(|(dn, entry)| of(context, dn, &entry))),
                    Err(error) => level.short.push(error.to_string()),
                }
            }
        }
        level
    }))
    .await;
    let mut whole = Level::default();
    for level in answers {
        whole.append(level);
    }
    whole
}

/// The groups of those names that the filter picks, wherever they lie.
async fn at_names(context: Context<'_>, names: &[Dn], filter: &Filter) -> Level {
    let answers = join_all(names.iter().map(async |dn| (dn, at_name(context, dn, filter).await))).await;
    let mut level = Level::default();
    for (dn, answer) in answers {
        match answer {
            Ok(entry) => level.found.extend(entry.map(|entry| of(context, dn.clone(), &entry))),
            Err(error) => level.failed.push((dn.clone(), error.to_string())),
        }
    }
    level
}

async fn at_name(context: Context<'_>, dn: &Dn, filter: &Filter) -> Result<Option<Entry>, DirectoryError> {
    context.reach.entry(&context.settings.slug, dn, filter.clone(), &context.attributes()).await
}

fn of(context: Context<'_>, dn: Dn, entry: &Entry) -> Named {
    let unique_id = unique_id::text(entry, &context.settings.users.unique_id);
    Named { dn, names: context.names(entry), unique_id }
}
