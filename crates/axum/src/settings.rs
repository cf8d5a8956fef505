//! The settings that concern HTTP, worked out once per configuration and not once per request.

use crate::icons::SourceIcons;
use bindery_core::config::Config;
use ipnet::IpNet;
use std::{net::IpAddr, time::Duration};
use url::Url;

/// The name of the session cookie where a domain is set, or `public_url` is not https.
pub const SESSION_COOKIE: &str = "bindery_session";
/// The name of the session cookie on https without a domain: the prefix makes browsers refuse one that
/// another host or an unprotected connection set.
pub const HOST_SESSION_COOKIE: &str = "__Host-bindery_session";

/// What the handlers need to know of the configuration.
#[derive(Debug, Clone, Default)]
pub struct WebSettings {
    /// Where people reach this server.
    pub public_url: Option<Url>,
    /// Who may send `X-Forwarded-*`.
    pub trusted_proxies: Vec<IpNet>,
    /// The cookie's `Domain`; `None` is the host alone.
    pub cookie_domain: Option<String>,
    /// How long "remember me" lasts; `None` turns it off.
    pub remember_me: Option<Duration>,
    /// The pictures of sources.
    pub icons: SourceIcons,
}

impl From<&Config> for WebSettings {
    fn from(config: &Config) -> Self {
        Self {
            public_url: config.server.public_url.clone(),
            trusted_proxies: config.server.trusted_proxies.clone(),
            cookie_domain: config.sessions.cookie_domain.clone(),
            remember_me: config.sessions.remember_me,
            icons: SourceIcons::load(
                config.sources.iter().filter_map(|source| Some((source.slug.as_str(), source.icon.as_deref()?))),
            ),
        }
    }
}

impl WebSettings {
    /// Whether cookies are for https only.
    pub fn secure(&self) -> bool {
        self.public_url.as_ref().is_some_and(|url| url.scheme() == "https")
    }

    /// The session cookie's name.
    pub fn session_cookie(&self) -> &'static str {
        if self.secure() && self.cookie_domain.is_none() { HOST_SESSION_COOKIE } else { SESSION_COOKIE }
    }

    /// The name of the cookie that guards forms. It is never shared with other hosts.
    pub fn csrf_cookie(&self) -> &'static str {
        if self.secure() { "__Host-bindery_csrf" } else { "bindery_csrf" }
    }

    /// Whether `peer` is a proxy whose headers count.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str, domain: Option<&str>) -> WebSettings {
        WebSettings {
            public_url: Some(url.parse().unwrap()),
            cookie_domain: domain.map(str::to_owned),
            ..WebSettings::default()
        }
    }

    #[test]
    fn the_host_prefix_is_for_https_without_a_domain() {
        let name = |url, domain| settings(url, domain).session_cookie();
        assert_eq!(name("https://a.example", None), "__Host-bindery_session");
        assert_eq!(name("https://a.example", Some("example")), "bindery_session");
        assert_eq!(name("http://a.example", None), "bindery_session");
        assert_eq!(WebSettings::default().session_cookie(), "bindery_session");
    }

    #[test]
    fn a_mapped_address_is_the_same_proxy() {
        let settings = WebSettings { trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()], ..WebSettings::default() };
        assert!(settings.trusts("::ffff:127.0.0.1".parse().unwrap()));
        assert!(!settings.trusts("127.0.0.2".parse().unwrap()));
        assert!(!WebSettings::default().trusts("127.0.0.1".parse().unwrap()));
    }
}
