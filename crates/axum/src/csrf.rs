//! Posts from other sites are refused.
//!
//! Browsers say where a post comes from (`Origin`, `Sec-Fetch-Site`). Where they do, that decides. Where neither
//! header stands, JSON is accepted, because a page of another site cannot send it without asking first (CORS),
//! and a form needs the token of the page that it was filled in on: a signed double-submit cookie, bound to the
//! session it was made under.

use crate::{
    cookie::{self, Presented},
    forwarded::Client,
    settings::WebSettings,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Method, header};
use sha2::Sha256;
use url::Url;

/// The form field that carries the token.
pub(crate) const FIELD: &str = "csrf_token";

/// The longest nonce that is looked at; ours have 22 characters.
const NONCE: usize = 22;

/// Where a request comes from, as far as its headers tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provenance {
    /// The browser vouches that it is from our own pages, or from the address bar.
    Own,
    /// The browser says it is from elsewhere, or the headers contradict themselves.
    Foreign,
    /// No browser says anything.
    Unsaid,
}

/// Whether the method may change something.
pub(crate) fn is_unsafe(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// Judges `Origin` and `Sec-Fetch-Site`.
pub(crate) fn provenance(headers: &HeaderMap, client: &Client, settings: &WebSettings) -> Provenance {
    let origin = match single(headers, "origin") {
        Header::Absent => Provenance::Unsaid,
        Header::One(origin) if is_own_origin(origin, client, settings) => Provenance::Own,
        Header::One(_) | Header::Bad => Provenance::Foreign,
    };
    let site = match single(headers, "sec-fetch-site") {
        Header::Absent | Header::One("same-site") => Provenance::Unsaid,
        Header::One("same-origin" | "none") => Provenance::Own,
        Header::One(_) | Header::Bad => Provenance::Foreign,
    };
    match (origin, site) {
        (Provenance::Foreign, _) | (_, Provenance::Foreign) => Provenance::Foreign,
        (Provenance::Own, _) | (_, Provenance::Own) => Provenance::Own,
        _ => Provenance::Unsaid,
    }
}

enum Header<'a> {
    Absent,
    One(&'a str),
    Bad,
}

fn single<'a>(headers: &'a HeaderMap, name: &str) -> Header<'a> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (None, _) => Header::Absent,
        (Some(value), None) => value.to_str().map_or(Header::Bad, Header::One),
        _ => Header::Bad,
    }
}

/// Our own origin is that of `public_url`, or the host that this very request was sent to (as a trusted proxy
/// tells it): a page of another site cannot make its browser name our host as the origin. Over plain http nobody
/// knows who wrote a page, so that does not count for the host of an https `public_url`.
fn is_own_origin(origin: &str, client: &Client, settings: &WebSettings) -> bool {
    let Ok(origin) = Url::parse(origin) else {
        return false; // "null" too
    };
    if !matches!(origin.scheme(), "http" | "https") {
        return false;
    }
    if let Some(public) = &settings.public_url {
        if origin.origin() == public.origin() {
            return true;
        }
        if public.scheme() == "https" && origin.scheme() == "http" && origin.host() == public.host() {
            return false;
        }
    }
    let scheme = client.scheme.as_deref().unwrap_or(origin.scheme());
    client.host.as_deref().is_some_and(|host| {
        Url::parse(&format!("{scheme}://{host}/"))
            .is_ok_and(|own| own.username().is_empty() && own.path() == "/" && own.origin() == origin.origin())
    })
}

/// Makes and checks form tokens.
#[derive(Clone)]
pub(crate) struct Tokens(Hmac<Sha256>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(…)")
    }
}

impl Tokens {
    /// With a key that all replicas share.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        // HMAC takes keys of any length, so the fallback cannot be reached.
        let mac =
            Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()));
        Self(mac)
    }

    /// A fresh nonce for the cookie, from 16 random bytes.
    pub(crate) fn nonce(random: [u8; 16]) -> String {
        URL_SAFE_NO_PAD.encode(random)
    }

    /// The nonce that the request's cookie holds, if it holds one.
    pub(crate) fn presented(headers: &HeaderMap, settings: &WebSettings) -> Option<String> {
        match cookie::find(headers, settings.csrf_cookie()) {
            Presented::One(nonce) if is_nonce(nonce) => Some(nonce.to_owned()),
            _ => None,
        }
    }

    /// The token for a form of a page shown under this nonce and session.
    pub(crate) fn token(&self, nonce: &str, headers: &HeaderMap, settings: &WebSettings) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(nonce, headers, settings).finalize().into_bytes())
    }

    /// Whether a form's token belongs to the request's cookie and session. Constant time.
    pub(crate) fn verify(&self, token: &str, headers: &HeaderMap, settings: &WebSettings) -> bool {
        let (Some(nonce), Ok(given)) = (Self::presented(headers, settings), URL_SAFE_NO_PAD.decode(token)) else {
            return false;
        };
        self.mac(&nonce, headers, settings).verify_slice(&given).is_ok()
    }

    fn mac(&self, nonce: &str, headers: &HeaderMap, settings: &WebSettings) -> Hmac<Sha256> {
        let session = cookie::session_token(headers, settings);
        let mut mac = self.0.clone();
        mac.update(b"bindery form token 1\0");
        mac.update(nonce.as_bytes());
        mac.update(b"\0");
        if let Some(session) = session {
            mac.update(session.reveal().as_bytes());
        }
        mac
    }
}

fn is_nonce(text: &str) -> bool {
    text.len() == NONCE && URL_SAFE_NO_PAD.decode(text).is_ok()
}

/// Whether the request's headers name a JSON body.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|media| {
        media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"))
    })
}

/// Whether the request's headers name a URL-encoded form.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|media| media == "application/x-www-form-urlencoded")
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let Header::One(value) = single(headers, header::CONTENT_TYPE.as_str()) else {
        return None;
    };
    Some(value.split(';').next()?.trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn public() -> WebSettings {
        WebSettings { public_url: Some("https://login.example".parse().unwrap()), ..WebSettings::default() }
    }

    fn client(host: &str, scheme: Option<&str>) -> Client {
        Client { host: Some(host.to_owned()), scheme: scheme.map(str::to_owned), address: None }
    }

    fn judged(list: &[(&'static str, &str)], settings: &WebSettings) -> Provenance {
        provenance(&headers(list), &client("inner:8080", None), settings)
    }

    #[test]
    fn our_own_pages_are_our_own() {
        for list in [
            &[("origin", "https://login.example")][..],
            &[("origin", "https://login.example:443")],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            &[("origin", "https://login.example"), ("sec-fetch-site", "same-origin")],
            &[("origin", "https://login.example"), ("sec-fetch-site", "same-site")],
        ] {
            assert_eq!(judged(list, &public()), Provenance::Own, "{list:?}");
        }
    }

    #[test]
    fn other_sites_are_foreign() {
        for list in [
            &[("origin", "https://evil.example")][..],
            &[("origin", "http://login.example")],
            &[("origin", "https://login.example:8443")],
            &[("origin", "https://login.example.evil.example")],
            &[("origin", "https://sub.login.example")],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "http://inner:8081")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "CROSS-SITE")],
            &[("sec-fetch-site", "whatever")],
            &[("origin", "https://login.example"), ("sec-fetch-site", "cross-site")],
            &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
            &[("origin", "https://login.example"), ("origin", "https://evil.example")],
        ] {
            assert_eq!(judged(list, &public()), Provenance::Foreign, "{list:?}");
        }
    }

    #[test]
    fn silence_is_neither() {
        assert_eq!(judged(&[], &public()), Provenance::Unsaid);
        let sibling = [("sec-fetch-site", "same-site")];
        assert_eq!(judged(&sibling, &public()), Provenance::Unsaid);
    }

    #[test]
    fn the_host_that_was_asked_is_no_other_site() {
        assert_eq!(judged(&[("origin", "http://inner:8080")], &public()), Provenance::Own);
        let of = |origin: &str, scheme| {
            provenance(&headers(&[("origin", origin)]), &client("login.example", scheme), &public())
        };
        assert_eq!(of("http://login.example", None), Provenance::Foreign, "plain http for an https site");
        assert_eq!(of("http://login.example", Some("http")), Provenance::Foreign);
        assert_eq!(of("https://login.example", Some("http")), Provenance::Own);
    }

    #[test]
    fn without_a_public_url_the_requests_own_host_counts() {
        let settings = WebSettings::default();
        let of = |origin: &str, host: &str, scheme| {
            provenance(&headers(&[("origin", origin)]), &client(host, scheme), &settings)
        };
        assert_eq!(of("http://127.0.0.1:8080", "127.0.0.1:8080", None), Provenance::Own);
        assert_eq!(of("http://[::1]:80", "[::1]", None), Provenance::Own);
        assert_eq!(of("http://127.0.0.1:9090", "127.0.0.1:8080", None), Provenance::Foreign);
        assert_eq!(of("http://a.example", "a.example", Some("https")), Provenance::Foreign);
        assert_eq!(of("https://a.example", "a.example", Some("https")), Provenance::Own);
        assert_eq!(of("https://a.example", "x@a.example", None), Provenance::Foreign);
        assert_eq!(of("https://a.example", "a.example/x", None), Provenance::Foreign);
    }

    #[test]
    fn a_form_token_belongs_to_its_cookie_and_its_session() {
        let settings = WebSettings::default();
        let tokens = Tokens::new(&[7; 32]);
        let nonce = Tokens::nonce([1; 16]);
        let session = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ";
        let signed_out = headers(&[("cookie", &format!("bindery_csrf={nonce}"))]);
        let signed_in = headers(&[("cookie", &format!("bindery_csrf={nonce}; bindery_session={session}"))]);
        let token = tokens.token(&nonce, &signed_out, &settings);

        assert!(tokens.verify(&token, &signed_out, &settings));
        assert!(!tokens.verify(&token, &signed_in, &settings), "another session");
        assert!(!tokens.verify(&token, &headers(&[]), &settings), "no cookie");
        assert!(!tokens.verify("", &signed_out, &settings));
        assert!(!tokens.verify(&nonce, &signed_out, &settings), "the cookie itself");
        assert!(!tokens.verify(&token[1..], &signed_out, &settings));
        let other = headers(&[("cookie", &format!("bindery_csrf={}", Tokens::nonce([2; 16])))]);
        assert!(!tokens.verify(&token, &other, &settings), "another cookie");
        let foreign_key = Tokens::new(&[8; 32]).token(&nonce, &signed_out, &settings);
        assert!(!tokens.verify(&foreign_key, &signed_out, &settings), "another key");
        let doubled = headers(&[("cookie", &format!("bindery_csrf={nonce}; bindery_csrf={nonce}"))]);
        assert!(!tokens.verify(&token, &doubled, &settings), "doubled cookie");
    }

    #[test]
    fn media_types_are_compared_without_parameters() {
        let of = |value: &str| headers(&[("content-type", value)]);
        assert!(is_json(&of("application/json; charset=utf-8")));
        assert!(is_json(&of("Application/JSON")));
        assert!(is_json(&of("application/vnd.api+json")));
        assert!(!is_json(&of("text/plain; application/json")));
        assert!(!is_json(&of("text/json")));
        assert!(!is_json(&headers(&[])));
        assert!(is_form(&of("application/x-www-form-urlencoded")));
        assert!(!is_form(&of("multipart/form-data; boundary=x")));
    }
}
