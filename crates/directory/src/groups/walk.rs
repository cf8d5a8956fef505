//! Groups by an attribute of the group: `member`, `uniqueMember`, `roleOccupant`, `memberUid`.
//!
//! One search a base for the person (and their primary group); then one for each group found, side by side,
//! for what lies right above it. What lies above a group is the same for everybody in it, so that answer is
//! used again for a second: in a busy hour a walk costs no more than its first step.

use super::{Beyond, Context, Gathered, MAX_LEVELS, Way, apart, shown, uncomparable};
use crate::reach::{Reach, failed, inside, shortcoming};
use crate::settings::{MemberValue, Members, Nested};
use crate::{DirectoryError, Group, GroupSelector, Person, people, unique_id};
use bindery_ldap::{Dn, Entry, Filter, Scope, SearchRequest};
use futures::future::{join, join_all, join3};
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
    // What is found may be found by number: that says nothing of who shows members.
    let readable = Box::pin(shown::readable(context));
    let (own, (apart, unreadable), readable) = join3(in_bases(context, &filter), apart(context, named), readable).await;
    gathered.failed = unreadable;
    gathered.apart.clone_from(&apart);
    let beyond = Beyond::new(context.settings, apart);
    let (own_apart, steps) = join(at_names(context, beyond.named(), &filter), beyond.search(context, &filter)).await;
    let mut level = own;
    level.append(own_apart);
    level.append(steps);
    let frontier = level.add_to(&mut gathered, &beyond, &Way::default());
    if let Err(why) = readable {
        gathered.cut_short(why);
    }
    if context.settings.groups.nested == Nested::Walk {
        climb(context, &beyond, frontier, &mut gathered).await;
    }
    gathered
}

/// From the person's own groups up, until nothing new comes.
async fn climb(context: Context<'_>, beyond: &Beyond, mut frontier: Vec<Way>, gathered: &mut Gathered) {
    for _ in 0..MAX_LEVELS {
        let mut next = Vec::new();
        for ways in frontier.chunks(SIDE_BY_SIDE) {
            let above = join_all(ways.iter().filter_map(|way| way.path.last()).map(|dn| above(context, beyond, dn)));
            for (way, level) in ways.iter().zip(above.await) {
                next.extend(level.add_to(gathered, beyond, way));
            }
        }
        if next.is_empty() {
            return;
        }
        frontier = next;
    }
    let hidden = frontier.iter().all(|way| way.hidden);
    gathered.fails(hidden, format!("groups are nested more than {MAX_LEVELS} deep"));
}

/// What lies right above a group; from memory where the service account has just read it whole.
async fn above(context: Context<'_>, beyond: &Beyond, child: &Dn) -> Arc<Level> {
    let Some(filter) = about_group(context, child) else { return Arc::default() };
    let ask = async {
        let elsewhere = join(at_names(context, beyond.named(), &filter), beyond.search(context, &filter));
        let (mut level, (apart, steps)) = join(in_bases(context, &filter), elsewhere).await;
        level.append(apart);
        level.append(steps);
        // An answer with something missing is for those who wait for it now, and for nobody later.
        if level.is_whole() { Ok(Arc::new(level)) } else { Err(level) }
    };
    match context.reach {
        Reach::Own(_) => ask.await.unwrap_or_else(Arc::new),
        Reach::Service(_) => {
            let apart = beyond.named().iter().map(Dn::key_str);
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
    /// Groups that are none of the source's, for what they are in.
    pub(super) steps: Vec<Dn>,
    short: Vec<String>,
    /// Groups read where they lie that could not be: unknown by themselves, they spoil nothing else.
    pub(super) failed: Vec<(Dn, String)>,
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
        self.steps.append(&mut other.steps);
        self.short.append(&mut other.short);
        self.failed.append(&mut other.failed);
    }

    /// Adds the groups above the end of a way, and what is missing. Answers with the ways that are new.
    fn add_to(&self, gathered: &mut Gathered, beyond: &Beyond, way: &Way) -> Vec<Way> {
        for why in &self.short {
            gathered.fails(way.hidden, why.clone());
        }
        gathered.failed.extend(self.failed.iter().cloned());
        let mut new = Vec::new();
        for Named { dn, names, unique_id } in &self.found {
            let on = way.to(dn, way.hidden);
            if !on.hidden || beyond.names(dn) {
                let (path, names, unique_id) = (on.path.clone(), names.clone(), unique_id.clone());
                gathered.add(Group { dn: dn.clone(), names, unique_id, direct: path.len() == 1, path }, on.hidden);
            }
            if gathered.enter(dn, on.hidden) {
                new.push(on);
            }
        }
        for dn in &self.steps {
            if gathered.enter(dn, true) {
                new.push(way.to(dn, true));
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
