//! Where a typed name is looked up: its domain's source, whoever holds it in the store, or the
//! first source, in order, that knows it.

use super::attempt::Rejection;
use super::{ActiveSource, Engine};
use crate::Reason;
use crate::name::{self, Asked, Domain};
use crate::reconcile::username_key;
use bindery_store::UserState;
use std::sync::Arc;

/// Longer names are nobody's.
const MAX_NAME: usize = 512;

/// A typed name, read but not looked up.
pub(crate) struct Sought {
    /// The only source that it can mean, where its domain says so.
    source: Option<Arc<ActiveSource>>,
    names: Vec<String>,
    /// Under which somebody would have it in the store.
    pub(crate) key: String,
}

/// Where to look.
pub(crate) enum Route {
    /// These sources, one after the other, each for these names; `held` is who has the name in the store.
    Sources { sources: Vec<Arc<ActiveSource>>, names: Vec<String>, held: Option<Box<UserState>> },
    /// A local account with a password and no link.
    Local(Box<UserState>),
}

impl Engine {
    /// The domains in force, for splitting and folding names.
    pub(crate) fn with_domains<T>(&self, read: impl FnOnce(&[Domain<'_>]) -> T) -> T {
        let sources = self.sources();
        let domains: Vec<_> = sources
            .iter()
            .map(|s| Domain { slug: &s.slug, domain: s.domain.as_deref(), dns_domain: s.dns_domain.as_deref() })
            .collect();
        read(&domains)
    }

    /// Where a typed name is looked up. Asks the store, never a directory.
    pub(crate) async fn route(&self, typed: &str) -> Result<Route, Rejection> {
        let sought = self.sought(typed)?;
        let held = self.store().user_state_by_username(&sought.key).await?;
        self.route_of(sought, held)
    }

    /// What a typed name means by itself.
    pub(crate) fn sought(&self, typed: &str) -> Result<Sought, Rejection> {
        // Directories take outer space for insignificant; so must whatever is compared here.
        let typed = typed.trim();
        if typed.is_empty() || typed.len() > MAX_NAME || typed.contains('\0') {
            return Err(Rejection::refused(Reason::NoSuchUser, "no such name can exist"));
        }
        let (source, names) = match self.with_domains(|domains| name::parse(typed, domains)) {
            Asked::UnknownDomain(domain) => {
                let detail =
                    format!("domain {domain:?} is not configured; give a source this domain, or add [sources.\"*\"]");
                return Err(Rejection::refused(Reason::UnknownDomain, detail));
            }
            Asked::Source { slug, names } => match self.source(&slug) {
                Some(source) => (Some(source), names),
                None => return Err(Rejection::unavailable("the configuration changed meanwhile")),
            },
            Asked::Anyone(name) => (None, vec![name]),
        };
        let key = names.last().map(|name| username_key(name)).unwrap_or_default();
        Ok(Sought { source, names, key })
    }

    /// Where to look for a name that these have in the store.
    pub(crate) fn route_of(&self, sought: Sought, held: Option<UserState>) -> Result<Route, Rejection> {
        let held = held.map(Box::new);
        let Sought { source, names, .. } = sought;
        if let Some(source) = source {
            let held = held.filter(|held| held.link(&source.slug).is_some());
            return Ok(Route::Sources { sources: vec![source], names, held });
        }
        let all = self.sources();
        let Some(held) = held else {
            return Ok(Route::Sources { sources: all.to_vec(), names, held: None });
        };
        if held.links.is_empty() {
            if held.user.password_hash.is_some() && self.settings().local_users {
                return Ok(Route::Local(held));
            }
            return Ok(Route::Sources { sources: all.to_vec(), names, held: None });
        }
        let own: Vec<_> = all.iter().filter(|source| held.link(&source.slug).is_some()).cloned().collect();
        if own.is_empty() {
            let detail = "their source is no longer configured; unlink the user or configure the source again";
            return Err(Rejection::refused(Reason::NoSuchUser, detail));
        }
        Ok(Route::Sources { sources: own, names, held: Some(held) })
    }

    /// The key that failures of a name are counted under: in its source, or by itself while that is open.
    pub(crate) fn throttle_key(&self, typed: &str, route: &Result<Route, Rejection>) -> String {
        match route {
            Ok(Route::Local(holder)) => name::key_in_source("", &holder.user.username_key),
            Ok(Route::Sources { sources, names, .. }) if sources.len() == 1 => {
                let slug = sources.first().map_or("", |source| &source.slug);
                let name = names.last().map_or(typed, String::as_str);
                let unseen = sources.first().filter(|source| source.binds_unseen());
                match unseen.and_then(|source| source.directory.dn_of(name)) {
                    Some(dn) => name::key_in_source(slug, &dn.key()),
                    None => name::key_in_source(slug, name),
                }
            }
            _ => self.with_domains(|domains| name::throttle_key(typed, domains)),
        }
    }

    /// Every key that [`Engine::throttle_key`] may turn out to give.
    pub(crate) fn possible_throttle_keys(&self, sought: &Sought) -> Vec<String> {
        let name = sought.names.last().map_or("", String::as_str);
        if let Some(source) = &sought.source {
            return vec![name::key_in_source(&source.slug, name)];
        }
        let own = self.sources();
        let slugs = own.iter().map(|source| source.slug.as_str()).chain([""]);
        slugs.map(|slug| name::key_in_source(slug, name)).chain([name::fold(name)]).collect()
    }
}
