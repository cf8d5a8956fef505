//! Who is on the other side, and under which name they reached this server.
//!
//! `X-Forwarded-*` counts only when the peer is a trusted proxy; whatever anybody else sends is ignored.

use crate::settings::WebSettings;
use axum::extract::ConnectInfo;
use http::{HeaderMap, header, request::Parts};
use std::net::{IpAddr, SocketAddr};

/// What is known about where a request came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// The visitor's address; `None` where the server does not know its peers (a Unix socket, a test).
    pub address: Option<IpAddr>,
    /// `http` or `https` as a trusted proxy says.
    pub(crate) scheme: Option<String>,
    /// The host name they asked for, port included, in lower case.
    pub(crate) host: Option<String>,
}

impl Client {
    /// Reads a request's head. The peer comes from [`ConnectInfo`], so serve the app with
    /// `into_make_service_with_connect_info::<SocketAddr>()`.
    pub fn of(parts: &Parts, settings: &WebSettings) -> Self {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        let authority = parts.uri.authority().map(|a| a.as_str().to_owned());
        Self::read(peer, &parts.headers, authority, settings)
    }

    fn read(peer: Option<IpAddr>, headers: &HeaderMap, authority: Option<String>, settings: &WebSettings) -> Self {
        let own_host = only(headers, header::HOST.as_str()).or(authority);
        let Some(proxy) = peer.filter(|peer| settings.trusts(*peer)) else {
            return Self { address: peer, scheme: None, host: own_host.map(|host| host.to_ascii_lowercase()) };
        };
        Self {
            address: Some(behind(proxy, headers, settings)),
            scheme: last(headers, "x-forwarded-proto")
                .map(|scheme| scheme.to_ascii_lowercase())
                .filter(|scheme| scheme == "http" || scheme == "https"),
            host: last(headers, "x-forwarded-host").or(own_host).map(|host| host.to_ascii_lowercase()),
        }
    }
}

/// Walks `X-Forwarded-For` from the right, over our own proxies, to the first address that none of them vouches
/// for. What stands left of it anybody can write. Something unreadable ends the walk at the last known hop.
fn behind(proxy: IpAddr, headers: &HeaderMap, settings: &WebSettings) -> IpAddr {
    let lines: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().map(|value| value.to_str().unwrap_or("?")).collect();
    let mut seen = proxy;
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let Some(address) = address(hop.trim()) else {
            break;
        };
        seen = address;
        if !settings.trusts(address) {
            break;
        }
    }
    seen
}

/// An address, also with a port or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .map(|address: IpAddr| address.to_canonical())
}

/// The last element of a list header: the one that the nearest proxy wrote.
fn last(headers: &HeaderMap, name: &str) -> Option<String> {
    let line = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    let value = line.rsplit(',').next()?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// A header that may stand there once.
fn only(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(value), None) => Some(value.to_str().ok()?.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> Client {
        let settings = WebSettings { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..WebSettings::default() };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        Client::read(Some(peer.parse().unwrap()), &map, None, &settings)
    }

    fn address_of(peer: &str, headers: &[(&'static str, &str)]) -> String {
        client(peer, headers).address.unwrap().to_string()
    }

    #[test]
    fn forged_headers_are_ignored() {
        let forged = [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "https"),
            ("host", "Login.Example"),
        ];
        let client = client("192.0.2.7", &forged);
        assert_eq!(client.address.unwrap().to_string(), "192.0.2.7");
        assert_eq!(client.host.as_deref(), Some("login.example"));
        assert_eq!(client.scheme, None);
    }

    #[test]
    fn the_rightmost_untrusted_address_counts() {
        let of = |value: &str| address_of("10.0.0.1", &[("x-forwarded-for", value)]);
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("6.6.6.6, 192.0.2.7, 10.9.9.9"), "192.0.2.7");
        assert_eq!(of("10.1.1.1, 10.2.2.2"), "10.1.1.1");
        assert_eq!(of("192.0.2.7:4711"), "192.0.2.7");
        assert_eq!(of("[2001:db8::1]:4711"), "2001:db8::1");
        assert_eq!(of("[2001:db8::1]"), "2001:db8::1");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn several_lines_are_one_list() {
        let two = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "192.0.2.7, 10.2.2.2")];
        assert_eq!(address_of("10.0.0.1", &two), "192.0.2.7");
    }

    #[test]
    fn what_cannot_be_read_ends_the_walk() {
        let of = |value: &str| address_of("10.0.0.1", &[("x-forwarded-for", value)]);
        assert_eq!(of("unknown"), "10.0.0.1");
        assert_eq!(of("6.6.6.6, unknown, 10.2.2.2"), "10.2.2.2");
        assert_eq!(of(""), "10.0.0.1");
    }

    #[test]
    fn a_trusted_proxy_names_scheme_and_host() {
        let client = client(
            "10.0.0.1",
            &[
                ("host", "inner:8080"),
                ("x-forwarded-host", "evil.example, Login.Example"),
                ("x-forwarded-proto", "HTTPS"),
            ],
        );
        assert_eq!(client.host.as_deref(), Some("login.example"));
        assert_eq!(client.scheme.as_deref(), Some("https"));
    }

    #[test]
    fn a_doubled_host_is_no_host() {
        let client = client("192.0.2.7", &[("host", "a"), ("host", "b")]);
        assert_eq!(client.host, None);
    }
}
