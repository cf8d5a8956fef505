//! The groups of a person, level by level, and what is known of the groups that rules name.
//!
//! Only names and identifiers of groups are ever asked for, never their member lists: who is in what
//! is the server's to compare. Whatever could not be read whole is said so: it is unknown, not "no".

mod beyond;
mod known;
mod member_of;
mod shown;
mod walk;

pub(crate) use beyond::{Beyond, looking, steps};
pub(crate) use known::Cache;
pub(crate) use shown::{NO_ATTRIBUTES, kind, nowhere, unreadable};

use crate::reach::{Reach, in_scope};
use crate::settings::Members;
use crate::{Group, GroupSelector, Known, Memberships, Person, SourceSettings};
use bindery_ldap::{Dn, Entry, Filter, Scope};
use futures::future::join_all;
use known::Place;
use std::collections::{HashMap, HashSet};

/// Levels that a walk goes up; deeper nesting than this is a mistake or an attack.
pub(crate) const MAX_LEVELS: usize = 64;
/// Groups of one person.
pub(crate) const MAX_GROUPS: usize = 10_000;

/// Everything that reading groups needs at hand.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) reach: Reach<'a>,
    pub(crate) settings: &'a SourceSettings,
    pub(crate) cache: &'a Cache,
}

impl Context<'_> {
    /// Whether a name lies where the source looks for groups.
    fn in_base(&self, dn: &Dn) -> bool {
        self.settings.groups.base_dn.iter().any(|base| in_scope(dn, base, Scope::Subtree))
    }

    /// What is asked of a group.
    fn attributes(&self) -> Vec<String> {
        let groups = &self.settings.groups;
        let mut names = groups.name.clone();
        names.push(self.settings.users.unique_id.clone());
        if groups.members == Members::MemberOf {
            names.push(crate::people::MEMBER_OF.to_owned());
        }
        names
    }

    /// Every value of the name attributes.
    fn names(&self, entry: &Entry) -> Vec<String> {
        let names = self.settings.groups.name.iter().flat_map(|attribute| entry.texts(attribute));
        names.map(str::to_owned).collect()
    }
}

/// What is being put together.
#[derive(Default)]
struct Gathered {
    groups: Vec<Group>,
    seen: HashSet<Dn>,
    incomplete: Option<String>,
    /// Groups that rules name and that could not be read by themselves.
    failed: HashMap<Dn, String>,
    /// Groups that rules name and that lie apart: what fails on a way that does not count leaves these unknown, and no others.
    apart: Vec<Dn>,
    /// What was gone through already, and whether only by a way that does not count by itself.
    entered: HashMap<Dn, bool>,
    /// How many of these are entered only by such a way.
    passed: usize,
}

/// From a person's own group up to here.
#[derive(Debug, Default)]
struct Way {
    path: Vec<Dn>,
    /// It leads through a group that is none of the source's.
    hidden: bool,
}

impl Way {
    fn to(&self, dn: &Dn, hidden: bool) -> Self {
        Self { path: self.path.iter().chain([dn]).cloned().collect(), hidden }
    }
}

impl Gathered {
    /// Adds a group unless it is there already.
    fn add(&mut self, group: Group, hidden: bool) {
        if self.groups.len() >= MAX_GROUPS {
            self.fails(hidden, format!("the person is in more than {MAX_GROUPS} groups"));
        } else if self.seen.insert(group.dn.clone()) {
            self.groups.push(group);
        }
    }

    /// Whether to go on from a group: not twice, as in a loop, unless the way to it counts now and did not before.
    fn enter(&mut self, dn: &Dn, hidden: bool) -> bool {
        let before = self.entered.get(dn).copied();
        if before.is_some_and(|before| hidden || !before) {
            return false;
        }
        let entered = if hidden { self.passed } else { self.entered.len().saturating_sub(self.passed) };
        if entered >= MAX_GROUPS {
            self.fails(hidden, format!("the person is in more than {MAX_GROUPS} groups"));
            return false;
        }
        match (hidden, before) {
            (true, _) => self.passed += 1,
            (false, Some(_)) => self.passed -= 1,
            (false, None) => {}
        }
        self.entered.insert(dn.clone(), hidden);
        true
    }

    /// Remembers what is missing on a way: of one that does not count, only what lies apart can be at its end.
    fn fails(&mut self, hidden: bool, why: String) {
        if !hidden {
            return self.cut_short(why);
        }
        for dn in &self.apart {
            self.failed.entry(dn.clone()).or_insert_with(|| why.clone());
        }
    }

    /// Remembers the first reason why something may be missing.
    fn cut_short(&mut self, why: String) {
        self.incomplete.get_or_insert(why);
    }
}

/// The groups of a person. Failures are inside.
pub(crate) async fn memberships(context: Context<'_>, person: &Person, named: &[GroupSelector]) -> Memberships {
    let gathered = match context.settings.groups.members {
        Members::OfGroup(_) => walk::gather(context, person, named).await,
        Members::MemberOf => member_of::gather(context, person, named).await,
    };
    let Gathered { groups, incomplete, failed, .. } = gathered;
    if let Some(why) = &incomplete {
        tracing::warn!(target: "bindery_directory::groups", source = %context.settings.slug, dn = %person.dn, why, "the groups of a person could not be read whole");
    }
    let unseen = named.iter().filter(|selector| !groups.iter().any(|group| bears(group, selector)));
    let known = join_all(unseen.map(async |selector| {
        let known = match selector {
            GroupSelector::Dn(dn) if failed.contains_key(dn) => {
                Known::Failed(failed.get(dn).cloned().unwrap_or_default())
            }
            _ => known::look(context, selector).await,
        };
        (selector.clone(), known)
    }));
    let known = known.await.into_iter().collect();
    Memberships { groups, incomplete, known }
}

/// What is known of the groups that rules name, person or no person.
pub(crate) async fn known(context: Context<'_>, named: &[GroupSelector]) -> Vec<(GroupSelector, Known)> {
    let look = named.iter().map(async |selector| (selector.clone(), known::look(context, selector).await));
    let mut known = join_all(look).await;
    let Members::OfGroup(attribute) = &context.settings.groups.members else { return known };
    let (apart, _) = apart(context, named).await;
    let Some(about) = apart.first().map(|dn| Filter::equal(attribute, dn.as_str())) else { return known };
    for (failed, why) in Beyond::new(context.settings, apart).search(context, &about).await.failed {
        let of_it = known.iter_mut().filter(|(one, _)| matches!(one, GroupSelector::Dn(dn) if *dn == failed));
        of_it.for_each(|(_, known)| *known = Known::Failed(why.clone()));
    }
    known
}

/// Whether a selector stands for that group.
fn bears(group: &Group, selector: &GroupSelector) -> bool {
    match selector {
        GroupSelector::Dn(dn) => group.dn == *dn,
        GroupSelector::Name(name) => group.names.iter().any(|one| fold(one) == fold(name)),
    }
}

/// Why nobody can say which groups somebody is in.
pub(crate) fn uncomparable(person: &Person, value: &str, members: &Members) -> String {
    let attribute = match members {
        Members::OfGroup(attribute) => attribute,
        Members::MemberOf => crate::people::MEMBER_OF,
    };
    format!("{} has no readable {value}, which {attribute} is compared with", person.dn)
}

/// Names compare without regard to case.
pub(crate) fn fold(name: &str) -> String {
    name.to_lowercase()
}

/// The groups named by DN that no search of the group bases finds: read where they lie.
async fn apart(context: Context<'_>, named: &[GroupSelector]) -> (Vec<Dn>, HashMap<Dn, String>) {
    let dns = named.iter().filter_map(|selector| match selector {
        GroupSelector::Dn(dn) => Some(dn),
        GroupSelector::Name(_) => None,
    });
    let places = join_all(dns.map(async |dn| (dn, known::place(context, dn).await))).await;
    let (mut apart, mut failed) = (Vec::new(), HashMap::new());
    for (dn, place) in places {
        match place {
            Ok(Place::Apart) => apart.push(dn.clone()),
            Ok(Place::Covered) | Err(Known::NotFound | Known::Found) => {}
            Err(Known::Failed(why)) => {
                failed.insert(dn.clone(), why);
            }
        }
    }
    (apart, failed)
}
