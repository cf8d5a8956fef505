//! Telling "not a member" from "no such group": whether the groups that rules name can be found.
//!
//! An answer is kept for a second, so that a busy hour asks once a second and a deleted group is noticed
//! within one. Only "it is there" is kept: neither an error nor an absence ever is.

use super::{Context, fold, member_of::Remembered, walk::Level};
use crate::reach::{Reach, failed, inside, shortcoming};
use crate::{GroupSelector, Known};
use bindery_ldap::{Dn, Filter, Scope, SearchRequest};
use futures::future::join_all;
use moka::future::Cache as Moka;
use std::sync::Arc;
use std::time::Duration;

/// How long anything read of a group is used again.
const KEPT: Duration = Duration::from_secs(1);
const ENTRIES: u64 = 20_000;

/// What one source remembers of groups, of what its service account may read. Errors are never in it.
pub(crate) struct Cache {
    places: Moka<GroupSelector, Place>,
    pub(super) groups: Moka<String, Option<Arc<Remembered>>>,
    /// What lies right above a group.
    pub(super) above: Moka<String, Arc<Level>>,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            places: Moka::builder().max_capacity(ENTRIES).time_to_live(KEPT).build(),
            groups: Moka::builder().max_capacity(ENTRIES).time_to_live(KEPT).build(),
            above: Moka::builder().max_capacity(ENTRIES).time_to_live(KEPT).build(),
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
        GroupSelector::Dn(dn) => seek_dn(context, dn).await,
        GroupSelector::Name(name) => seek_name(context, name).await,
    }
}

async fn seek_dn(context: Context<'_>, dn: &Dn) -> Result<Place, Known> {
    let groups = &context.settings.groups;
    let read = async |filter| {
        let answer = context.reach.entry(&context.settings.slug, dn, filter, &[NO_ATTRIBUTES.to_owned()]).await;
        answer.map_err(|error| Known::Failed(error.to_string()))
    };
    if context.in_base(dn) && read(groups.filter.clone()).await?.is_some() {
        return Ok(Place::Covered);
    }
    let there = read(Filter::present("objectClass")).await?;
    there.map(|_| Place::Apart).ok_or(Known::NotFound)
}

/// RFC 4511, 4.5.1.8.
const NO_ATTRIBUTES: &str = "1.1";

async fn seek_name(context: Context<'_>, name: &str) -> Result<Place, Known> {
    let groups = &context.settings.groups;
    let bears = Filter::any(groups.name.iter().map(|attribute| Filter::equal(attribute, name)));
    let filter = Filter::all([groups.filter.clone(), bears]);
    let searches = groups.base_dn.iter().map(async |base| {
        let request = SearchRequest::new(base, Scope::Subtree, filter.clone()).attributes(&groups.name);
        let outcome = context.reach.search(&request).await.map_err(|error| error.to_string())?;
        let short = shortcoming(&outcome, base);
        let found = inside(outcome, base, Scope::Subtree).map_err(|error| error.to_string())?;
        // The server may compare more loosely than a rule does.
        if found.iter().any(|(_, entry)| context.names(entry).iter().any(|one| fold(one) == fold(name))) {
            return Ok(true);
        }
        short.map_or(Ok(false), |why| Err(failed(&context.settings.slug, &request, why).to_string()))
    });
    let answers = join_all(searches).await;
    if answers.iter().any(|answer| matches!(answer, Ok(true))) {
        return Ok(Place::Covered);
    }
    match answers.into_iter().find_map(Result::err) {
        Some(why) => Err(Known::Failed(why)),
        None => Err(Known::NotFound),
    }
}
