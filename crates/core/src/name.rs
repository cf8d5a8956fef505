//! What a typed name means: which source it asks for, and how all its spellings fold into one.
//!
//! A name is split only at a configured domain. Nothing here escapes: names reach LDAP as typed
//! filter values, never as text.

use std::net::IpAddr;
use unicode_normalization::UnicodeNormalization;

/// A source's two names for its domain, as the configuration gives them.
#[derive(Debug, Clone, Copy)]
pub struct Domain<'a> {
    /// The source.
    pub slug: &'a str,
    /// NetBIOS name: `EXAMPLE` of `EXAMPLE\ann`.
    pub domain: Option<&'a str>,
    /// DNS name: `example.local` of `ann@example.local`.
    pub dns_domain: Option<&'a str>,
}

/// What a typed name asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Only this source; the names to look for, one after the other until somebody has it.
    Source {
        /// The source's slug.
        slug: String,
        /// What to compare with the login attributes.
        names: Vec<String>,
    },
    /// Whoever holds this name.
    Anyone(String),
    /// A domain that is not configured.
    UnknownDomain(String),
}

/// The slug of the source that stands for domains that are not listed.
pub const CATCH_ALL: &str = "*";

/// Reads a typed name. `X\y` goes to the source of domain X, `x@y` to the source of DNS domain y.
pub fn parse(typed: &str, domains: &[Domain<'_>]) -> Asked {
    if let Some((domain, user)) = typed.split_once('\\') {
        let known = domains.iter().find(|d| matches(d.domain, domain) || matches(d.dns_domain, domain));
        let catch_all = || domains.iter().find(|d| d.slug == CATCH_ALL);
        return match known.or_else(catch_all) {
            Some(source) => Asked::Source { slug: source.slug.to_owned(), names: vec![user.to_owned()] },
            None => Asked::UnknownDomain(domain.to_owned()),
        };
    }
    if let Some((user, domain)) = typed.rsplit_once('@')
        && let Some(source) = domains.iter().find(|d| matches(d.dns_domain, domain))
    {
        let names = vec![typed.to_owned(), user.to_owned()];
        return Asked::Source { slug: source.slug.to_owned(), names };
    }
    Asked::Anyone(typed.to_owned())
}

fn matches(configured: Option<&str>, typed: &str) -> bool {
    configured.is_some_and(|name| !typed.is_empty() && fold(name) == fold(typed))
}

/// One key for every spelling of a name: compatibility forms, case and outer space folded. Wider than
/// the comparison of rules, so that nobody gets a look-alike of a name that is taken.
///
/// ```
/// assert_eq!(bindery_core::name::fold(" ANN１ "), bindery_core::name::fold("ann1"));
/// ```
pub fn fold(name: &str) -> String {
    let name = name.trim();
    // There are no compatibility forms in ASCII.
    if name.is_ascii() { crate::rules::fold(name) } else { crate::rules::fold(&name.nfkc().collect::<String>()) }
}

/// One key for every address of a client: of IPv6, the /64 that one household or machine has to itself.
pub fn address_key(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// The key that failures of somebody in a source are counted under: who signs in to one source says nothing of their
/// namesake in another.
pub fn key_in_source(slug: &str, name: &str) -> String {
    format!("{slug}\0{}", fold(name))
}

/// The key that failures of a typed name are counted under while nobody knows which source it belongs to: its folded
/// form without a configured domain.
pub fn throttle_key(typed: &str, domains: &[Domain<'_>]) -> String {
    match parse(typed, domains) {
        Asked::Source { names, .. } => names.last().map_or_else(String::new, |name| fold(name)),
        Asked::Anyone(name) | Asked::UnknownDomain(name) => fold(&name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAINS: &[Domain<'_>] = &[
        Domain { slug: "corp", domain: Some("EXAMPLE"), dns_domain: Some("example.local") },
        Domain { slug: "lab", domain: None, dns_domain: None },
    ];

    fn source(slug: &str, names: &[&str]) -> Asked {
        Asked::Source { slug: slug.into(), names: names.iter().map(|&n| n.to_owned()).collect() }
    }

    #[test]
    fn a_configured_domain_sends_the_name_to_its_source_only() {
        assert_eq!(parse("EXAMPLE\\ann", DOMAINS), source("corp", &["ann"]));
        assert_eq!(parse("example\\ann", DOMAINS), source("corp", &["ann"]));
        assert_eq!(parse("ann@EXAMPLE.local", DOMAINS), source("corp", &["ann@EXAMPLE.local", "ann"]));
        assert_eq!(parse("EXAMPLE\\a\\b", DOMAINS), source("corp", &["a\\b"]));
    }

    #[test]
    fn an_unknown_down_level_domain_is_refused_and_the_slug_is_no_domain() {
        for typed in ["OTHER\\bob", "lab\\bob", "\\bob", "corp\\bob"] {
            assert!(matches!(parse(typed, DOMAINS), Asked::UnknownDomain(_)), "{typed}");
        }
    }

    #[test]
    fn any_other_at_sign_is_part_of_the_name() {
        assert_eq!(parse("ann@mail.example", DOMAINS), Asked::Anyone("ann@mail.example".into()));
        assert_eq!(parse("ann@", DOMAINS), Asked::Anyone("ann@".into()));
        assert_eq!(parse("ann", DOMAINS), Asked::Anyone("ann".into()));
    }

    #[test]
    fn the_star_stands_for_domains_that_are_not_listed() {
        let domains = [DOMAINS, &[Domain { slug: "*", domain: None, dns_domain: None }]].concat();
        assert_eq!(parse("OTHER\\bob", &domains), source("*", &["bob"]));
        assert_eq!(parse("EXAMPLE\\bob", &domains), source("corp", &["bob"]));
    }

    #[test]
    fn every_spelling_of_a_name_is_counted_under_one_key() {
        let keys: Vec<_> = ["ann", "ANN", " Ann ", "EXAMPLE\\Ann", "ann@example.local", "ａｎｎ"]
            .into_iter()
            .map(|typed| throttle_key(typed, DOMAINS))
            .collect();
        assert!(keys.iter().all(|key| key == "ann"), "{keys:?}");
        assert_ne!(throttle_key("ann@mail.example", DOMAINS), "ann");
    }
}
