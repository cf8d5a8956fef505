//! References to other servers (RFC 4511, 4.1.10 and 4.5.3), followed where `referrals` is on.
//!
//! **Trust.** A server may say where to look, never whom to trust: a reference is followed only to a server that the
//! source itself names, by that server's own URL, TLS and service account. Base and scope may only become narrower, and the
//! filter stays the source's. Everything else stays in the outcome as a part that was not read, with the reason.
//!
//! Never follows a bind, a change or a page of a paged search.

use super::attempt::{Attempt, read_at};
use super::{Server, Servers, not_busy};
use crate::reach::{in_scope, is_inside, percent_decode};
use bindery_ldap::{Dn, LdapUrl, ResultCode, Scheme, Scope, SearchOutcome, SearchRequest};
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// References behind references.
const MAX_HOPS: usize = 3;
/// References followed for one search.
const MAX_REFERENCES: usize = 16;
/// Places that are remembered.
const MAX_PLACES: usize = 64;

/// What the message of a result begins with where something was not followed.
pub(crate) const NOT_FOLLOWED: &str = "not followed: ";

/// Which parts of the tree were found on which server: where the people below them have to bind.
#[derive(Default)]
pub(crate) struct Places(Mutex<Vec<(Dn, Arc<Server>)>>);

impl Places {
    /// The server that holds this name, where it is not the source's first one that answers.
    pub(crate) fn of(&self, dn: &Dn) -> Option<Arc<Server>> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let deepest = places.iter().filter(|(base, _)| dn.is_within(base)).max_by_key(|(base, _)| base.as_str().len());
        deepest.map(|(_, server)| Arc::clone(server))
    }

    fn note(&self, base: &Dn, server: &Arc<Server>) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|(known, _)| known != base);
        if places.len() < MAX_PLACES {
            places.push((base.clone(), Arc::clone(server)));
        }
    }

    /// Entries that came without a reference: what lies around them lies here now.
    fn forget(&self, outcome: &SearchOutcome) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !places.is_empty() {
            let found = outcome.entries.iter().filter_map(|entry| entry.dn().ok()).collect::<Vec<_>>();
            places.retain(|(base, _)| !found.iter().any(|dn| dn.is_within(base)));
        }
    }
}

/// How far one search may still go.
struct Budget {
    references: usize,
    until: Instant,
}

impl Servers {
    /// The outcome of a search with what its references lead to.
    pub(super) async fn complete(&self, request: &SearchRequest, outcome: SearchOutcome) -> SearchOutcome {
        self.places.forget(&outcome);
        let mut budget = Budget { references: MAX_REFERENCES, until: Instant::now() + self.operation };
        self.complete_within(request, outcome, MAX_HOPS, &mut budget).await
    }

    fn complete_within<'a>(
        &'a self,
        request: &'a SearchRequest,
        mut outcome: SearchOutcome,
        hops: usize,
        budget: &'a mut Budget,
    ) -> BoxFuture<'a, SearchOutcome> {
        Box::pin(async move {
            if outcome.result.code == ResultCode::REFERRAL {
                let referrals = std::mem::take(&mut outcome.result.referrals);
                match self.follow(request, &referrals, hops, budget).await {
                    Ok(elsewhere) => return elsewhere,
                    Err(why) => outcome.result.message = format!("{NOT_FOLLOWED}{why}"),
                }
                outcome.result.referrals = referrals;
                return outcome;
            }
            let Ok(base) = Dn::parse(&request.base) else { return outcome };
            for urls in std::mem::take(&mut outcome.references) {
                if !urls.iter().any(|url| is_inside(url, &base)) {
                    continue;
                }
                let why = match self.follow(request, &urls, hops, budget).await {
                    Ok(elsewhere) => {
                        outcome.entries.extend(elsewhere.entries);
                        outcome.references.extend(elsewhere.references);
                        match elsewhere.result.code {
                            ResultCode::SUCCESS if elsewhere.result.message.starts_with(NOT_FOLLOWED) => {
                                outcome.result.message = elsewhere.result.message;
                                continue;
                            }
                            ResultCode::SUCCESS => continue,
                            _ => elsewhere.result.to_string(),
                        }
                    }
                    Err(why) => why,
                };
                tracing::warn!(target: "bindery_directory::search", source = %self.slug, ?urls, %why, "a reference was not followed");
                outcome.references.push(urls);
                outcome.result.message = format!("{NOT_FOLLOWED}{why}");
            }
            outcome
        })
    }

    /// Asks at the first of these places, which are one and the same, that is a server of the source and answers.
    async fn follow(
        &self,
        request: &SearchRequest,
        urls: &[String],
        hops: usize,
        budget: &mut Budget,
    ) -> Result<SearchOutcome, String> {
        let mut why = "it names no place".to_owned();
        for url in urls {
            let target = match Target::parse(url, request) {
                Ok(target) => target,
                Err(reason) => {
                    reason.clone_into(&mut why);
                    continue;
                }
            };
            let Some(server) = self.at(&target.server) else {
                why = format!("{} is none of the source's servers", target.server);
                continue;
            };
            budget.references = budget.references.checked_sub(1).ok_or("too many references in one search")?;
            let hops = hops.checked_sub(1).ok_or("references lead to references without end")?;
            let ask = |connection: bindery_ldap::Connection| {
                let request = target.request.clone();
                async move { not_busy("search", connection.search(request).await?) }
            };
            match tokio::time::timeout_at(budget.until, read_at(Arc::clone(&server), &ask)).await {
                Ok(Ok(mut outcome)) => {
                    let Target { base, request, .. } = target;
                    outcome.entries.retain(|entry| entry.dn().map_or(true, |dn| in_scope(&dn, &base, request.scope)));
                    if !outcome.entries.is_empty() {
                        self.places.note(&base, &server);
                    }
                    return Ok(self.complete_within(&request, outcome, hops, budget).await);
                }
                Ok(Err(Attempt::Failed(_, failure))) => why = format!("{}: {failure}", server.url),
                Ok(Err(Attempt::Final(error))) => why = format!("{}: {}", server.url, crate::error::chain(&error)),
                Err(_) => why = format!("{}: no answer in the time of one operation", server.url),
            }
        }
        Err(why)
    }

    /// The server of the source that an address means: the very same, or the same host where both stand on the port that
    /// their scheme has by default. Directories give ldap:// for themselves, however they are reached.
    fn at(&self, address: &LdapUrl) -> Option<Arc<Server>> {
        let standard = |url: &LdapUrl| url.scheme != Scheme::Ldapi && url.port == url.scheme.default_port();
        let same_host = |url: &LdapUrl| url.host.eq_ignore_ascii_case(&address.host);
        let exact = self.all.iter().find(|server| same_host(&server.address) && server.address.port == address.port);
        let by_host = || {
            let reached = |server: &&Arc<Server>| same_host(&server.address) && standard(&server.address);
            self.all.iter().find(reached).filter(|_| standard(address))
        };
        exact.or_else(by_host).cloned()
    }
}

/// What a reference asks for.
#[derive(Debug)]
struct Target {
    server: LdapUrl,
    base: Dn,
    request: SearchRequest,
}

impl Target {
    /// Reads a URL of RFC 4516, as far as it asks for a part of what was asked for.
    fn parse(url: &str, request: &SearchRequest) -> Result<Self, &'static str> {
        let (scheme, rest) = url.split_once("://").ok_or("it is no URL")?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() {
            return Err("it names no server");
        }
        let server = LdapUrl::parse(&format!("{scheme}://{host}")).map_err(|_| "it is no URL of an LDAP server")?;
        let mut parts = path.split('?');
        let (dn, _attributes) = (parts.next().unwrap_or_default(), parts.next());
        let (scope, filter) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if !filter.is_empty() {
            return Err("it brings a filter of its own");
        }
        if parts.next().is_some_and(|extensions| extensions.contains('!')) {
            return Err("it asks for an extension");
        }
        let asked = Dn::parse(&request.base).map_err(|_| "the search has no base to compare it with")?;
        let base = match dn {
            "" => asked.clone(),
            dn => Dn::from_bytes(&percent_decode(dn.as_bytes())).map_err(|_| "its DN cannot be read")?,
        };
        let is_same = base == asked;
        let scope = match (request.scope, scope.to_ascii_lowercase().as_str()) {
            (Scope::Subtree, "") => Scope::Subtree,
            (Scope::Subtree, "sub") if base.is_within(&asked) => Scope::Subtree,
            (Scope::Subtree, "one") => Scope::One,
            (Scope::One, "" | "one" | "sub") if is_same => Scope::One,
            (Scope::Subtree | Scope::One, "base") | (Scope::One, "") => Scope::Base,
            (Scope::Base, "" | "base" | "one" | "sub") if is_same => Scope::Base,
            _ => return Err("it leads out of what was searched"),
        };
        if !base.is_within(&asked) {
            return Err("it leads out of what was searched");
        }
        let request = SearchRequest { base: base.as_str().to_owned(), scope, ..request.clone() };
        Ok(Self { server, base, request })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bindery_ldap::Filter;

    fn target(url: &str, base: &str, scope: Scope) -> Result<(String, String, Scope), &'static str> {
        let request = SearchRequest::new(&Dn::parse(base).unwrap(), scope, Filter::present("cn"));
        let target = Target::parse(url, &request)?;
        Ok((target.server.to_string(), target.request.base, target.request.scope))
    }

    #[test]
    fn a_part_of_what_was_asked_for_is_read() {
        let of = |url: &str, scope| target(url, "dc=x", scope).unwrap();
        let far = ("ldap://b:1389".to_owned(), "ou=far,dc=x".to_owned());
        let with = |scope| (far.0.clone(), far.1.clone(), scope);
        assert_eq!(of("ldap://b:1389/ou=far,dc=x??sub", Scope::Subtree), with(Scope::Subtree));
        assert_eq!(of("ldap://b:1389/ou=f%61r%2Cdc=x", Scope::Subtree), with(Scope::Subtree));
        assert_eq!(of("ldap://b:1389/ou=far,dc=x??base", Scope::One), with(Scope::Base));
        assert_eq!(of("ldap://b:1389", Scope::Base), (far.0.clone(), "dc=x".to_owned(), Scope::Base));
    }

    #[test]
    fn nothing_else_is() {
        for (url, scope) in [
            ("ldap://b/dc=y??sub", Scope::Subtree),
            ("ldap://b/ou=far,dc=x??sub", Scope::Base),
            ("ldap://b/ou=far,dc=x??sub", Scope::One),
            ("ldap://b/ou=far,dc=x??sub?(cn=a)", Scope::Subtree),
            ("ldap://b/ou=far,dc=x??sub??!bindname=cn=a", Scope::Subtree),
            ("ldap:///ou=far,dc=x", Scope::Subtree),
            ("ldap://user:pw@b/ou=far,dc=x", Scope::Subtree),
            ("http://b/ou=far,dc=x", Scope::Subtree),
            ("nonsense", Scope::Subtree),
        ] {
            assert!(target(url, "dc=x", scope).is_err(), "{url}");
        }
    }
}
