//! Groups by `memberOf`, read from the person; and for a walk, from their groups in turn.
//!
//! The values are DNs. One outside the group bases is none of the source's groups, unless a rule names
//! it. One that cannot be read bears no name: it counts where a rule names it by DN, and nowhere else.

use super::walk::{in_bases, primary_group};
use super::{Beyond, Context, Gathered, MAX_LEVELS, Way, kind, shown, steps};
use crate::people::MEMBER_OF;
use crate::reach::Reach;
use crate::settings::Nested;
use crate::{DirectoryError, Group, GroupSelector, Person, unique_id};
use bindery_ldap::{Dn, Entry};
use futures::future::join_all;
use std::collections::HashSet;
use std::sync::Arc;

/// What is remembered of a group's entry.
pub(crate) struct Remembered {
    names: Vec<String>,
    unique_id: Option<String>,
    above: Vec<Dn>,
    /// A value of its `memberOf` that is no DN.
    broken: Option<String>,
}

/// What is asked for.
struct Asked<'a> {
    context: Context<'a>,
    /// The DNs that rules name.
    named: HashSet<&'a Dn>,
    beyond: Beyond,
}

/// As what a group is read.
#[derive(Clone, Copy)]
enum As {
    /// As one of the source's.
    Own,
    /// As what a rule names outright: a group of any kind, whatever the filter.
    Named,
    /// As a step to what a rule names.
    Step,
}

pub(super) async fn gather(context: Context<'_>, person: &Person, selectors: &[GroupSelector]) -> Gathered {
    let mut gathered = Gathered::default();
    let named: HashSet<&Dn> = selectors
        .iter()
        .filter_map(|selector| match selector {
            GroupSelector::Dn(dn) => Some(dn),
            GroupSelector::Name(_) => None,
        })
        .collect();
    let (own, broken) = above(&person.entry);
    if let Some(why) = broken {
        gathered.cut_short(why);
    }
    if own.is_empty()
        && let Err(why) = Box::pin(shown::nowhere(context, &person.dn)).await
    {
        gathered.cut_short(why);
    }
    let mut beyond = Beyond::default();
    if context.settings.groups.nested == Nested::Walk {
        let (apart, unreadable) = super::apart(context, selectors).await;
        gathered.failed = unreadable;
        gathered.apart.clone_from(&apart);
        beyond = Beyond::new(context.settings, apart);
    }
    let asked = Asked { context, named, beyond };
    let mut frontier = own;
    frontier.extend(primary(context, person, &mut gathered).await);
    let mut frontier: Vec<Way> = frontier.iter().map(|dn| Way::default().to(dn, false)).collect();
    for _ in 0..MAX_LEVELS {
        frontier = asked.level(frontier, &mut gathered).await;
        if frontier.is_empty() || context.settings.groups.nested != Nested::Walk {
            return gathered;
        }
    }
    let hidden = frontier.iter().all(|way| way.hidden);
    gathered.fails(hidden, format!("groups are nested more than {MAX_LEVELS} deep"));
    gathered
}

impl Asked<'_> {
    /// Adds one level of groups; answers with the ways to the next.
    async fn level(&self, mut ways: Vec<Way>, gathered: &mut Gathered) -> Vec<Way> {
        ways.retain(|way| {
            let before = way.path.last().and_then(|dn| gathered.entered.get(dn));
            before.is_none_or(|before| *before && !way.hidden)
        });
        let read = join_all(ways.iter().filter_map(|way| way.path.last()).map(|dn| self.look(dn))).await;
        let mut next = Vec::new();
        for (mut way, answer) in ways.into_iter().zip(read) {
            let Some(dn) = way.path.last().cloned() else { continue };
            let names = self.beyond.names(&dn);
            let named = names || !way.hidden && self.named.contains(&dn);
            let group = |names, unique_id| Group {
                dn: dn.clone(),
                names,
                unique_id,
                direct: way.path.len() == 1,
                path: way.path.clone(),
            };
            match answer {
                Ok(Some((entry, step))) => {
                    if names || !(step || way.hidden) {
                        gathered.add(group(entry.names.clone(), entry.unique_id.clone()), way.hidden);
                    }
                    way.hidden |= step;
                    if gathered.enter(&dn, way.hidden) {
                        next.extend(entry.above.iter().map(|above| way.to(above, way.hidden)));
                    }
                    if let Some(why) = &entry.broken {
                        gathered.fails(way.hidden, why.clone());
                    }
                }
                Ok(None) if named => gathered.add(group(vec![], None), way.hidden),
                Ok(None) => {}
                Err(why) => {
                    let counts = !way.hidden && (named || self.context.in_base(&dn));
                    gathered.fails(!counts, why);
                }
            }
        }
        next
    }

    /// A group, and whether it is none of the source's but a step. `None`: it is neither, or cannot be seen.
    async fn look(&self, dn: &Dn) -> Result<Option<(Arc<Remembered>, bool)>, String> {
        if self.named.contains(dn) {
            return Ok(read(self.context, dn, As::Named).await?.map(|entry| (entry, false)));
        }
        if self.context.in_base(dn)
            && let Some(entry) = read(self.context, dn, As::Own).await?
        {
            return Ok(Some((entry, false)));
        }
        if self.beyond.covers(dn) {
            return Ok(read(self.context, dn, As::Step).await?.map(|entry| (entry, true)));
        }
        Ok(None)
    }
}

/// A group's entry; from memory where the service account has just read it.
async fn read(context: Context<'_>, dn: &Dn, as_what: As) -> Result<Option<Arc<Remembered>>, String> {
    let fetch = async {
        let fetched = fetch(context, dn, as_what).await;
        fetched.map(|entry| entry.map(Arc::new)).map_err(|error| error.to_string())
    };
    match context.reach {
        Reach::Own(_) => fetch.await,
        Reach::Service(_) => {
            let mark = match as_what {
                As::Own => '?',
                As::Named => '!',
                As::Step => '/',
            };
            let key = format!("{mark}{}", dn.key_str());
            context.cache.groups.try_get_with(key, fetch).await.map_err(|why| why.as_ref().clone())
        }
    }
}

async fn fetch(context: Context<'_>, dn: &Dn, as_what: As) -> Result<Option<Remembered>, DirectoryError> {
    let settings = context.settings;
    let filter = match as_what {
        As::Own => settings.groups.filter.clone(),
        As::Named => kind(settings),
        As::Step => steps(settings),
    };
    let entry = context.reach.entry(&settings.slug, dn, filter, &context.attributes()).await?;
    Ok(entry.map(|entry| {
        let (above, broken) = above(&entry);
        Remembered {
            names: context.names(&entry),
            unique_id: unique_id::text(&entry, &settings.users.unique_id),
            above,
            broken,
        }
    }))
}

/// The groups that an entry says it is in.
fn above(entry: &Entry) -> (Vec<Dn>, Option<String>) {
    let (mut dns, mut broken) = (Vec::new(), None);
    for value in entry.values(MEMBER_OF) {
        match Dn::from_bytes(value) {
            Ok(dn) => dns.push(dn),
            Err(error) => broken = Some(format!("a value of {MEMBER_OF} of {} is {error}", entry.dn_text())),
        }
    }
    (dns, broken)
}

/// The primary group, which is not in `memberOf`.
async fn primary(context: Context<'_>, person: &Person, gathered: &mut Gathered) -> Vec<Dn> {
    let Some(filter) = primary_group(person) else { return vec![] };
    let level = in_bases(context, &filter).await;
    level.dns(gathered)
}
