//! Reading and writing cookies. A cookie that is doubled or malformed counts as a refusal, never as "the first one".

use crate::settings::{SESSION_COOKIE, WebSettings};
use bindery_core::token::Token;
use http::{HeaderMap, HeaderValue, header};

/// What a request holds under one cookie name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    /// No such cookie.
    Absent,
    /// Exactly one.
    One(&'a str),
    /// Several, or bytes that no cookie holds.
    Bad,
}

/// Finds a cookie by its exact name, in all `Cookie` headers (HTTP/2 may split them).
pub(crate) fn find<'a>(headers: &'a HeaderMap, name: &str) -> Presented<'a> {
    let mut found = Presented::Absent;
    for header in headers.get_all(header::COOKIE) {
        for pair in header.as_bytes().split(|byte| *byte == b';') {
            let pair = pair.trim_ascii();
            let Some(rest) = pair.strip_prefix(name.as_bytes()) else {
                continue;
            };
            let value = match rest.split_first() {
                Some((b'=', value)) => value,
                // `name` without a value, or another cookie whose name merely begins alike.
                None => return Presented::Bad,
                Some(_) => continue,
            };
            match (found, std::str::from_utf8(value)) {
                (Presented::Absent, Ok(value)) => found = Presented::One(value),
                _ => return Presented::Bad,
            }
        }
    }
    found
}

/// The session token of a request; anything doubtful is no token.
pub(crate) fn session_token(headers: &HeaderMap, settings: &WebSettings) -> Option<Token> {
    match find(headers, settings.session_cookie()) {
        Presented::One(text) => Token::parse(text),
        Presented::Absent | Presented::Bad => None,
    }
}

/// `Set-Cookie` for a new session. Only "remember me" outlives the browser.
pub(crate) fn set_session(settings: &WebSettings, token: &Token, remember: bool) -> Option<HeaderValue> {
    let age = settings.remember_me.filter(|_| remember);
    session(settings, &token.reveal(), age.map(|age| age.as_secs()))
}

/// `Set-Cookie` that takes the session cookie away.
pub(crate) fn clear_session(settings: &WebSettings) -> Option<HeaderValue> {
    session(settings, "", Some(0))
}

fn session(settings: &WebSettings, value: &str, max_age: Option<u64>) -> Option<HeaderValue> {
    let name = settings.session_cookie();
    let domain = (name == SESSION_COOKIE).then_some(settings.cookie_domain.as_deref()).flatten();
    let mut header = write(name, value, max_age, domain, settings.secure())?;
    header.set_sensitive(true);
    Some(header)
}

/// `Set-Cookie` for the cookie that guards forms: as long as the browser runs, for this host alone.
pub(crate) fn set_csrf(settings: &WebSettings, value: &str) -> Option<HeaderValue> {
    write(settings.csrf_cookie(), value, None, None, settings.secure())
}

fn write(name: &str, value: &str, max_age: Option<u64>, domain: Option<&str>, secure: bool) -> Option<HeaderValue> {
    let mut text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax");
    if secure {
        text.push_str("; Secure");
    }
    if let Some(domain) = domain {
        text.push_str("; Domain=");
        text.push_str(domain);
    }
    if let Some(seconds) = max_age {
        text.push_str("; Max-Age=");
        text.push_str(&seconds.to_string());
    }
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const TOKEN: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ";

    fn headers(cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
        }
        headers
    }

    #[test]
    fn one_cookie_is_found_among_others() {
        let headers = headers(&["a=1; n=2;b=3", "c=4"]);
        assert_eq!(find(&headers, "n"), Presented::One("2"));
        assert_eq!(find(&headers, "c"), Presented::One("4"));
        assert_eq!(find(&headers, "d"), Presented::Absent);
    }

    #[test]
    fn names_are_compared_whole() {
        let headers = headers(&["nn=1; N=2; xn=3"]);
        assert_eq!(find(&headers, "n"), Presented::Absent);
    }

    #[test]
    fn doubled_cookies_are_bad_wherever_the_second_stands() {
        assert_eq!(find(&headers(&["n=1; n=1"]), "n"), Presented::Bad);
        assert_eq!(find(&headers(&["n=1", "x=1; n=2"]), "n"), Presented::Bad);
        assert_eq!(find(&headers(&["n=1; n"]), "n"), Presented::Bad);
    }

    #[test]
    fn bytes_that_are_no_text_are_bad() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_bytes(b"n=\xff\xfe").unwrap());
        assert_eq!(find(&headers, "n"), Presented::Bad);
    }

    #[test]
    fn malformed_tokens_are_no_tokens() {
        let settings = WebSettings::default();
        let token = |value: &str| {
            session_token(&headers(&[&format!("bindery_session={value}")]), &settings).map(|token| token.reveal())
        };
        assert_eq!(token(TOKEN).as_deref(), Some(TOKEN));
        for bad in [
            "",
            "x",
            &TOKEN[1..],
            &format!("{TOKEN}A"),
            &format!("\"{TOKEN}\""),
            &format!("{}=", &TOKEN[1..]),
            &format!("{}%", &TOKEN[1..]),
        ] {
            assert_eq!(token(bad), None, "{bad}");
        }
    }

    #[test]
    fn on_https_the_plain_name_is_not_looked_at() {
        let settings = WebSettings { public_url: Some("https://a.example".parse().unwrap()), ..WebSettings::default() };
        let plain = headers(&[&format!("bindery_session={TOKEN}")]);
        assert!(session_token(&plain, &settings).is_none());
    }

    #[test]
    fn a_session_cookie_has_all_its_attributes() {
        let token = Token::parse(TOKEN).unwrap();
        let mut settings = WebSettings::default();
        let set = |settings: &WebSettings, remember| {
            let value = set_session(settings, &token, remember).unwrap();
            value.to_str().unwrap().replace(TOKEN, "T")
        };
        assert_eq!(set(&settings, true), "bindery_session=T; Path=/; HttpOnly; SameSite=Lax");
        settings.remember_me = Some(Duration::from_mins(1));
        settings.public_url = Some("https://a.example".parse().unwrap());
        assert_eq!(
            set(&settings, true),
            "__Host-bindery_session=T; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=60"
        );
        assert_eq!(set(&settings, false), "__Host-bindery_session=T; Path=/; HttpOnly; SameSite=Lax; Secure");
        settings.cookie_domain = Some("example".to_owned());
        assert_eq!(set(&settings, false), "bindery_session=T; Path=/; HttpOnly; SameSite=Lax; Secure; Domain=example");
    }
}
