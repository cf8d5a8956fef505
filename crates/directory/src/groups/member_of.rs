//! Groups by `memberOf`, read from the person; and for a walk, from their groups in turn.
//!
//! The values are DNs. One outside the group bases is none of the source's groups, unless a rule names
//! it. One that cannot be read bears no name: it counts where a rule names it by DN, and nowhere else.

use super::walk::{in_bases, primary_group};
use super::{Context, Gathered, MAX_LEVELS, shown};
use crate::people::MEMBER_OF;
use crate::reach::Reach;
use crate::settings::Nested;
use crate::{DirectoryError, Group, GroupSelector, Person, unique_id};
use bindery_ldap::{Dn, Entry, Filter};
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

pub(super) async fn gather(context: Context<'_>, person: &Person, named: &[GroupSelector]) -> Gathered {
    let mut gathered = Gathered::default();
    let named: HashSet<&Dn> = named
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
    let mut frontier: Vec<Vec<Dn>> = own.into_iter().map(|dn| vec![dn]).collect();
    frontier.extend(primary(context, person, &mut gathered).await.into_iter().map(|dn| vec![dn]));
    for _ in 0..MAX_LEVELS {
        frontier = level(context, &named, frontier, &mut gathered).await;
        if frontier.is_empty() || context.settings.groups.nested != Nested::Walk {
            return gathered;
        }
    }
    gathered.cut_short(format!("groups are nested more than {MAX_LEVELS} deep"));
    gathered
}

/// Adds one level of groups; answers with the paths of the next.
async fn level(
    context: Context<'_>,
    named: &HashSet<&Dn>,
    mut paths: Vec<Vec<Dn>>,
    gathered: &mut Gathered,
) -> Vec<Vec<Dn>> {
    let wanted = |dn: &Dn| context.in_base(dn) || named.contains(dn);
    paths.retain(|path| path.last().is_some_and(|dn| wanted(dn) && !gathered.seen.contains(dn)));
    let read = join_all(paths.iter().filter_map(|path| path.last()).map(|dn| read(context, dn, named.contains(dn))));
    let mut next = Vec::new();
    for (path, answer) in paths.iter().zip(read.await) {
        let Some(dn) = path.last().cloned() else { continue };
        match answer {
            Ok(Some(entry)) => {
                let group = Group {
                    dn,
                    names: entry.names.clone(),
                    unique_id: entry.unique_id.clone(),
                    direct: path.len() == 1,
                    path: path.clone(),
                };
                if gathered.add(group) {
                    next.extend(entry.above.iter().map(|above| path.iter().chain([above]).cloned().collect()));
                }
                if let Some(why) = &entry.broken {
                    gathered.cut_short(why.clone());
                }
            }
            Ok(None) if named.contains(&dn) => {
                gathered.add(Group { dn, names: vec![], unique_id: None, direct: path.len() == 1, path: path.clone() });
            }
            Ok(None) => {}
            Err(why) => gathered.cut_short(why),
        }
    }
    next
}

/// A group's entry; from memory where the service account has just read it.
async fn read(context: Context<'_>, dn: &Dn, named: bool) -> Result<Option<Arc<Remembered>>, String> {
    let fetch = async {
        let fetched = fetch(context, dn, named).await;
        fetched.map(|entry| entry.map(Arc::new)).map_err(|error| error.to_string())
    };
    match context.reach {
        Reach::Own(_) => fetch.await,
        Reach::Service(_) => {
            let key = format!("{}{}", if named { '!' } else { '?' }, dn.key_str());
            context.cache.groups.try_get_with(key, fetch).await.map_err(|why| why.as_ref().clone())
        }
    }
}

async fn fetch(context: Context<'_>, dn: &Dn, named: bool) -> Result<Option<Remembered>, DirectoryError> {
    let settings = context.settings;
    // What a rule names outright is what it is, whatever the filter.
    let filter = if named { Filter::present("objectClass") } else { settings.groups.filter.clone() };
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
