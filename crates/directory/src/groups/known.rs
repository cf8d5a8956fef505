//! Telling "not a member" from "no such group": whether the groups that rules name can be found, and who is in them read.
//!
//! An answer is kept for a second, so that a busy hour asks once a second and a deleted group is noticed
//! within one. Only "it is there" is kept: neither an error nor an absence ever is.

use super::{Context, fold, member_of::Remembered, shown, walk::Level};
use crate::reach::{Reach, failed, inside, shortcoming};
use crate::{GroupSelector, Known};
use bindery_ldap::{Dn, Entry, Filter, Scope, SearchRequest};
use futures::future::{join, join_all, try_join_all};
use moka::future::Cache as Moka;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// How long anything read of a group is used again.
const KEPT: Duration = Duration::from_secs(1);
const ENTRIES: u64 = 20_000;
/// Groups of one name asked about side by side; each of them takes a few questions.
const SIDE_BY_SIDE: usize = 8;

/// What one source remembers of groups, of what its service account may read. Errors are never in it.
pub(crate) struct Cache {
    places: Moka<GroupSelector, Place>,
    pub(super) groups: Moka<String, Option<Arc<Remembered>>>,
    /// What lies right above a group.
    pub(super) above: Moka<String, Arc<Level>>,
    /// That groups were seen to show members.
    pub(super) readable: Moka<(), ()>,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            places: Moka::builder().max_capacity(ENTRIES).time_to_live(KEPT).build(),
            groups: Moka::builder().max_capacity(ENTRIES).time_to_live(KEPT).build(),
            above: Moka::builder().max_capacity(ENTRIES).time_to_live(KEPT).build(),
            readable: Moka::builder().max_capacity(1).time_to_live(KEPT).build(),
        }
    }
}

/// Where a group that was found lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Where the source looks for groups, and it matches `groups.filter`.
    Covered,
    /// Outside the bases or the filter: it must be asked for by name.
    Apart,
}

/// Whether a group can be found.
pub(super) async fn look(context: Context<'_>, selector: &GroupSelector) -> Known {
    match placed(context, selector).await {
        Ok(_) => Known::Found,
        Err(known) => known,
    }
}

/// Where a group named by DN lies.
pub(super) async fn place(context: Context<'_>, dn: &Dn) -> Result<Place, Known> {
    placed(context, &GroupSelector::Dn(dn.clone())).await
}

/// Single-flight: those who ask at the same time share the answer, even one that is not kept.
async fn placed(context: Context<'_>, selector: &GroupSelector) -> Result<Place, Known> {
    match context.reach {
        Reach::Own(_) => seek(context, selector).await,
        Reach::Service(_) => {
            let cached = context.cache.places.try_get_with_by_ref(selector, seek(context, selector)).await;
            cached.map_err(|known| known.as_ref().clone())
        }
    }
}

async fn seek(context: Context<'_>, selector: &GroupSelector) -> Result<Place, Known> {
    match selector {
        GroupSelector::Dn(dn) => Box::pin(seek_dn(context, dn)).await,
        GroupSelector::Name(name) => Box::pin(seek_name(context, name)).await,
    }
}

async fn seek_dn(context: Context<'_>, dn: &Dn) -> Result<Place, Known> {
    let filter = &context.settings.groups.filter;
    let covered = context.in_base(dn);
    let there = if covered { Place::Covered } else { Place::Apart };
    let Some(shown) = shown::shown(context) else {
        if covered && shown::read(context, dn, filter.clone()).await?.is_some() {
            return Ok(Place::Covered);
        }
        let group = shown::read(context, dn, shown::kind(context.settings)).await?;
        return group.map(|_| Place::Apart).ok_or(Known::NotFound);
    };
    let first = if covered { Filter::all([filter.clone(), shown.clone()]) } else { shown.clone() };
    if shown::read(context, dn, first).await?.is_some() {
        return Ok(there);
    }
    let (declared, shows) = join(shown::read(context, dn, filter.clone()), shown::read(context, dn, shown)).await;
    let declared = declared?.is_some();
    if shows?.is_none() {
        shown::empty(context, dn, declared).await?;
    }
    Ok(if declared { there } else { Place::Apart })
}

async fn seek_name(context: Context<'_>, name: &str) -> Result<Place, Known> {
    let bearing = bearing(context, name, context.settings.groups.filter.clone());
    let Some(shown) = shown::shown(context) else {
        let (found, broken) = bearing.await;
        return settled(!found.is_empty(), broken);
    };
    // Side by side: in the end most groups show members, and then there is nothing more to ask.
    let showing = self::bearing(context, name, Filter::all([context.settings.groups.filter.clone(), shown]));
    let ((found, broken), (showing, unsure)) = join(bearing, showing).await;
    let bare: Vec<&Dn> = found.iter().filter(|dn| !showing.contains(dn)).collect();
    if let Some(why) = unsure.filter(|_| !bare.is_empty()) {
        return Err(Known::Failed(why));
    }
    // A name stands for all who bear it: one of which nobody can say who is in it is one too many.
    for part in bare.chunks(SIDE_BY_SIDE) {
        try_join_all(part.iter().map(|dn| shown::empty(context, dn, true))).await?;
    }
    settled(!found.is_empty(), broken)
}

fn settled(found: bool, broken: Option<String>) -> Result<Place, Known> {
    match broken {
        _ if found => Ok(Place::Covered),
        Some(why) => Err(Known::Failed(why)),
        None => Err(Known::NotFound),
    }
}

/// The groups below the bases that a filter picks and that bear a name; and what could not be read.
async fn bearing(context: Context<'_>, name: &str, filter: Filter) -> (HashSet<Dn>, Option<String>) {
    let groups = &context.settings.groups;
    let bears = Filter::any(groups.name.iter().map(|attribute| Filter::equal(attribute, name)));
    let filter = Filter::all([filter, bears]);
    let searches = groups.base_dn.iter().map(async |base| {
        let request = SearchRequest::new(base, Scope::Subtree, filter.clone()).attributes(&groups.name);
        let outcome = context.reach.search(&request).await.map_err(|error| error.to_string())?;
        let short = shortcoming(&outcome, base);
        let found = inside(outcome, base, Scope::Subtree).map_err(|error| error.to_string())?;
        // The server may compare more loosely than a rule does.
        let bears = |entry: &Entry| context.names(entry).iter().any(|one| fold(one) == fold(name));
        let found: Vec<Dn> = found.into_iter().filter(|(_, entry)| bears(entry)).map(|(dn, _)| dn).collect();
        Ok((found, short.map(|why| failed(&context.settings.slug, &request, why).to_string())))
    });
    let (mut found, mut broken) = (HashSet::new(), None);
    for answer in join_all(searches).await {
        match answer {
            Ok((dns, short)) => {
                found.extend(dns);
                broken = broken.or(short);
            }
            Err(why) => broken = broken.or(Some(why)),
        }
    }
    (found, broken)
}
