//! Where to go after signing in: only to a path on this site.
//!
//! Browsers read URLs more generously than RFC 3986: they drop tabs and newlines, take `\` for `/`, and resolve
//! `//host` against the scheme. So a target must be harmless as written, as the URL standard resolves it, and
//! after every level of percent-decoding.

use url::Url;

/// Longer targets are refused: nobody needs them, and they would be carried through forms and headers.
const LONGEST: usize = 2048;

/// Returns the target if it is a path on this site and none of `loops` (the sign-in pages themselves).
pub(crate) fn same_site<'a>(target: &'a str, loops: &[&str]) -> Option<&'a str> {
    if target.len() > LONGEST || !is_local_path(target) {
        return None;
    }
    // Any base will do: a target that stays on it stays on every site.
    let base = Url::parse("https://site.invalid/").ok()?;
    let resolved = base.join(target).ok()?;
    if resolved.origin() != base.origin() || !is_local_path(resolved.path()) {
        return None;
    }
    let path = fully_decoded(resolved.path())?;
    let bare = path.trim_end_matches('/');
    let is_loop = loops.iter().any(|page| bare.eq_ignore_ascii_case(page));
    (is_local_path(&path) && !is_loop).then_some(target)
}

/// Begins with exactly one slash, and holds nothing that a browser drops or rewrites.
fn is_local_path(text: &str) -> bool {
    text.starts_with('/')
        && !text.starts_with("//")
        && !text.chars().any(|c| c.is_control() || c == '\\' || c.is_whitespace())
}

/// Decodes until nothing changes, as a chain of proxies might. `None` if that is not text, or goes on for ever.
fn fully_decoded(path: &str) -> Option<String> {
    let mut text = path.to_owned();
    for _ in 0..4 {
        let decoded = decode(&text)?;
        if decoded == text {
            return Some(text);
        }
        text = decoded;
    }
    None
}

fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digits = bytes.clone();
        match (digits.next().and_then(hex_digit), digits.next().and_then(hex_digit)) {
            (Some(high), Some(low)) => {
                out.push(high << 4 | low);
                bytes = digits;
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOOPS: [&str; 2] = ["/login", "/logout"];

    #[test]
    fn paths_on_this_site_are_kept_as_written() {
        for good in [
            "/",
            "/profile",
            "/a/b?c=d&e=%2F#f",
            "/search?q=https://evil.example/",
            "/caf%C3%A9",
            "/login-history",
            "/100%",
            "/a:b@c",
            "/ünïcode",
        ] {
            assert_eq!(same_site(good, &LOOPS), Some(good));
        }
    }

    #[test]
    fn everything_that_might_leave_is_refused() {
        for bad in [
            "",
            "profile",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "\\/evil.example",
            "/a\\b",
            "https://evil.example/",
            "https:/evil.example",
            "http:evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            " //evil.example",
            "/ /evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/\r\nLocation: https://evil.example",
            "/\0",
            "/%2fevil.example",
            "/%2Fevil.example",
            "/%5cevil.example",
            "/%252fevil.example",
            "/%25252fevil.example",
            "/%252525252fevil.example",
            "/%09/evil.example",
            "/%0d%0aevil",
            "/.//evil.example",
            "/..//evil.example",
            "/%2e//evil.example",
            "/a/..//evil.example",
            "/a/../../\\evil.example",
            "/%ff",
            "/\u{a0}/x",
            "/\u{2028}x",
            "@evil.example",
            ".evil.example",
            "?x",
            "#x",
        ] {
            assert_eq!(same_site(bad, &LOOPS), None, "{bad:?}");
        }
        let long = format!("/{}", "a".repeat(LONGEST));
        assert_eq!(same_site(&long, &LOOPS), None);
    }

    #[test]
    fn the_sign_in_pages_are_no_target() {
        for bad in [
            "/login",
            "/login/",
            "/LOGIN",
            "/login?next=/login",
            "/log%69n",
            "/a/../login",
            "/logout",
            "/login#x",
            "/%6cogin//",
        ] {
            assert_eq!(same_site(bad, &LOOPS), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_passes_stays_on_the_site(target in "[/\\\\a-z%0-9.:@?#\t\n ]{0,24}") {
            if same_site(&target, &LOOPS).is_some() {
                let base = Url::parse("https://login.example:8443/login?x").unwrap();
                let there = base.join(&target).unwrap();
                prop_assert_eq!(there.origin(), base.origin());
                prop_assert!(!there.path().starts_with("//"));
            }
        }
    }
}
