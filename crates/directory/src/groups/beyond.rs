//! Groups that are none of the source's, on the way to one that a rule names: where that one lies apart, the groups in
//! it may lie apart as well, and no search of the bases finds them.
//!
//! They are steps and nothing else: nobody is told that somebody is in them, and what is reached by way of them counts
//! only where a rule names it by DN.

use super::{Context, shown, walk::Level};
use crate::SourceSettings;
use crate::reach::{failed, in_scope, inside, shortcoming};
use crate::settings::{MemberValue, Members, Nested};
use bindery_ldap::{Dn, Filter, Scope, SearchRequest};
use futures::future::join_all;

/// The groups that rules name and that lie apart, and where groups in them are looked for.
#[derive(Debug, Default)]
pub(crate) struct Beyond {
    named: Vec<Dn>,
    around: Vec<Dn>,
}

impl Beyond {
    pub(crate) fn new(settings: &SourceSettings, named: Vec<Dn>) -> Self {
        let groups = &settings.groups;
        let by_dn = groups.members == Members::MemberOf || groups.member_value == MemberValue::Dn;
        if groups.nested != Nested::Walk || !by_dn || named.is_empty() {
            return Self { named, around: vec![] };
        }
        let beside = |dn: &Dn| dn.parent().filter(|parent| parent.depth() > 0).unwrap_or_else(|| dn.clone());
        let mut around: Vec<Dn> = Vec::new();
        let bases = std::iter::once(&settings.base_dn).chain(&groups.base_dn).cloned();
        for base in bases.chain(named.iter().map(beside)) {
            if !around.iter().any(|known| base.is_within(known)) {
                around.retain(|known| !known.is_within(&base));
                around.push(base);
            }
        }
        Self { named, around }
    }

    /// The groups that lie apart.
    pub(super) fn named(&self) -> &[Dn] {
        &self.named
    }

    /// Where there may be others on the way to them; nowhere, where nesting does not count.
    pub(crate) fn around(&self) -> &[Dn] {
        &self.around
    }

    /// Whether a rule names it, so that it counts whatever the way to it.
    pub(super) fn names(&self, dn: &Dn) -> bool {
        self.named.contains(dn)
    }

    /// Whether something may be a step.
    pub(super) fn covers(&self, dn: &Dn) -> bool {
        self.around.iter().any(|base| in_scope(dn, base, Scope::Subtree))
    }

    /// The steps that a filter picks. What cannot be read leaves the groups apart unknown, and no others.
    pub(super) async fn search(&self, context: Context<'_>, filter: &Filter) -> Level {
        let filter = Filter::all([steps(context.settings), filter.clone()]);
        let searches = join_all(self.around.iter().map(async |base| {
            let request = SearchRequest::new(base, Scope::Subtree, filter.clone()).attributes([shown::NO_ATTRIBUTES]);
            let outcome = context.reach.search(&request).await.map_err(|error| error.to_string())?;
            if let Some(why) = shortcoming(&outcome, base) {
                return Err(failed(&context.settings.slug, &request, why).to_string());
            }
            let found = inside(outcome, base, Scope::Subtree).map_err(|error| error.to_string())?;
            Ok(found.into_iter().map(|(dn, _)| dn).collect::<Vec<_>>())
        }));
        let mut level = Level::default();
        for answer in searches.await {
            match answer {
                Ok(dns) => level.steps.extend(dns),
                Err(why) => {
                    let unknown = |dn: &Dn| (dn.clone(), looking(context.settings, dn, &why));
                    level.failed.extend(self.named.iter().map(unknown));
                }
            }
        }
        level
    }
}

/// What to say where groups in one that lies apart could not be looked for: it is a rule that makes anybody look there.
pub(crate) fn looking(settings: &SourceSettings, dn: &Dn, why: &str) -> String {
    let inside = settings.groups.base_dn.iter().any(|base| in_scope(dn, base, Scope::Subtree));
    let lies = if inside { "does not match groups.filter" } else { "lies outside groups.base_dn" };
    format!("looking for groups in {dn}, which a rule names and which {lies}: {why}")
}

/// What may be a step: what the source takes for a group, and what is one by its class.
pub(crate) fn steps(settings: &SourceSettings) -> Filter {
    let groups = &settings.groups;
    Filter::any([groups.filter.clone()].into_iter().chain(shown::own_classes(&groups.members)))
}
