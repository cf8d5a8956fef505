//! Where a typed name is looked up: its domain's source, whoever holds it in the store, or the
//! first source, in order, that knows it.

use super::attempt::Rejection;
use super::{ActiveSource, Engine};
use crate::Reason;
use crate::name::{self, Asked, Domain};
use crate::reconcile::username_key;
use bindery_store::{Link, User};
use std::sync::Arc;

/// Longer names are nobody's.
const MAX_NAME: usize = 512;

/// Who has a name in the store.
pub(crate) struct Holder {
    pub(crate) user: User,
    pub(crate) links: Vec<Link>,
}

impl Holder {
    /// Their link into one source.
    pub(crate) fn link(&self, source: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.source == source)
    }
}

/// Where to look.
pub(crate) enum Route {
    /// These sources, one after the other, each for these names; `held` is who has the name in the store.
    Sources { sources: Vec<Arc<ActiveSource>>, names: Vec<String>, held: Option<Box<Holder>> },
    /// A local account with a password and no link.
    Local(Box<Holder>),
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
        // Directories take outer space for insignificant; so must whatever is compared here.
        let typed = typed.trim();
        if typed.is_empty() || typed.len() > MAX_NAME || typed.contains('\0') {
            return Err(Rejection::refused(Reason::NoSuchUser, "no such name can exist"));
        }
        match self.with_domains(|domains| name::parse(typed, domains)) {
            Asked::UnknownDomain(domain) => {
                let detail =
                    format!("domain {domain:?} is not configured; give a source this domain, or add [sources.\"*\"]");
                Err(Rejection::refused(Reason::UnknownDomain, detail))
            }
            Asked::Source { slug, names } => {
                let Some(source) = self.source(&slug) else {
                    return Err(Rejection::unavailable("the configuration changed meanwhile"));
                };
                let key = names.last().map(|name| username_key(name)).unwrap_or_default();
                let held = self.holder(&key).await?.filter(|held| held.link(&source.slug).is_some());
                Ok(Route::Sources { sources: vec![source], names, held: held.map(Box::new) })
            }
            Asked::Anyone(name) => self.route_unqualified(name).await,
        }
    }

    async fn route_unqualified(&self, name: String) -> Result<Route, Rejection> {
        let all = self.sources();
        let held = self.holder(&username_key(&name)).await?;
        let Some(held) = held else {
            return Ok(Route::Sources { sources: all.to_vec(), names: vec![name], held: None });
        };
        if held.links.is_empty() {
            if held.user.password_hash.is_some() && self.settings().local_users {
                return Ok(Route::Local(Box::new(held)));
            }
            return Ok(Route::Sources { sources: all.to_vec(), names: vec![name], held: None });
        }
        let own: Vec<_> = all.iter().filter(|source| held.link(&source.slug).is_some()).cloned().collect();
        if own.is_empty() {
            let detail = "their source is no longer configured; unlink the user or configure the source again";
            return Err(Rejection::refused(Reason::NoSuchUser, detail));
        }
        Ok(Route::Sources { sources: own, names: vec![name], held: Some(Box::new(held)) })
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

    async fn holder(&self, key: &str) -> Result<Option<Holder>, Rejection> {
        let found = self.store().user_with_links(key).await?;
        Ok(found.map(|(user, links)| Holder { user, links }))
    }
}
