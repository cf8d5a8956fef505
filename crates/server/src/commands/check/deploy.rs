//! `--deploy`: what should be so in production, as a pure function of the configuration and the file's mode.

use bindery_core::config::{Config, SourceConfig};
use serde::Serialize;

/// One item of the checklist.
#[derive(Debug, Serialize)]
pub(crate) struct Item {
    /// What should be so.
    #[serde(rename = "item")]
    what: &'static str,
    /// Whether it is.
    ok: bool,
    /// What to do about it; empty where it is.
    advice: String,
}

impl Item {
    /// Something to mend.
    pub(super) fn finding(&self) -> Option<String> {
        (!self.ok).then(|| format!("production: {}", self.advice))
    }

    pub(super) fn row(&self) -> (&str, &str) {
        (if self.ok { "ok" } else { "mend" }, self.what)
    }
}

fn item(what: &'static str, ok: bool, advice: impl Into<String>) -> Item {
    Item { what, ok, advice: if ok { String::new() } else { advice.into() } }
}

/// A fortnight longer than most would stay signed in on their own machine.
const LONGEST_REMEMBERED: u64 = 90;

/// Everything that can be told without asking anybody.
pub(super) fn checklist(config: &Config) -> Vec<Item> {
    let server = &config.server;
    let https = server.public_url.as_ref().is_some_and(|url| url.scheme() == "https");
    let everybody = server.trusted_proxies.iter().any(|network| network.prefix_len() == 0);
    let behind = server.listen.ip().is_loopback() || !server.trusted_proxies.is_empty();
    let remembered = config.sessions.remember_me.is_none_or(|it| it.as_secs() / 86_400 <= LONGEST_REMEMBERED);
    let plain = slugs(config, |source| source.directory.tls.allow_plaintext);
    let anonymous =
        slugs(config, |source| matches!(source.directory.bind, bindery_directory::settings::Bind::Anonymous));
    let open = slugs(config, |source| source.rules.access.require.is_none() && source.rules.provisioning.create);
    vec![
        item(
            "people come over https",
            https,
            "set server.public_url to the https:// address, so that cookies are Secure",
        ),
        item(
            "a proxy with TLS stands in front",
            behind,
            "listen on a loopback address, or name the proxies in server.trusted_proxies",
        ),
        item("not everybody is a trusted proxy", !everybody, "narrow server.trusted_proxies to the proxies' addresses"),
        item(
            "the configuration is private",
            is_private(config),
            format!("chmod o-rwx {}: it may hold secrets", config.file.display()),
        ),
        item(
            "nobody is remembered for too long",
            remembered,
            format!("set sessions.remember_me to at most {LONGEST_REMEMBERED}d"),
        ),
        item(
            "no password crosses a network in clear",
            plain.is_empty(),
            format!("use ldaps:// or STARTTLS instead of tls.allow_plaintext in {plain}"),
        ),
        item(
            "a service account reads the directory",
            anonymous.is_empty(),
            format!("anonymous reading shows less than there is; set bind in {anonymous}"),
        ),
        item(
            "somebody decided who may in",
            open.is_empty(),
            format!("everybody in the directory may sign in; set access.require in {open}"),
        ),
    ]
}

fn slugs(config: &Config, wanted: impl Fn(&SourceConfig) -> bool) -> String {
    let found = config.sources.iter().filter(|source| wanted(source));
    found.map(|source| source.slug.as_str()).collect::<Vec<_>>().join(", ")
}

/// Whether only its owner and group may do anything with the file: the last three bits of its mode are others'.
#[cfg(unix)]
fn is_private(config: &Config) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(&config.file).is_ok_and(|it| it.permissions().mode().trailing_zeros() >= 3)
}

#[cfg(not(unix))]
fn is_private(_: &Config) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use bindery_core::config::Environment;
    use std::path::Path;

    fn findings(text: &str) -> Vec<&'static str> {
        let config = Config::parse(text, Path::new("/nonexistent/bindery.toml"), &Environment::default()).unwrap();
        checklist(&config).iter().filter(|item| !item.ok).map(|item| item.what).collect()
    }

    const GOOD: &str = "
[server]
public_url = 'https://login.example.com'
[sources.corp]
servers = ['ldaps://h']
base_dn = 'dc=x'
[sources.corp.bind]
dn = 'cn=svc'
password = 'x'
[sources.corp.access]
require = 'Staff'
";

    #[test]
    fn a_good_configuration_has_only_its_missing_file_to_mend() {
        assert_eq!(findings(GOOD), ["the configuration is private"]);
    }

    #[test]
    fn each_item_is_found() {
        let cases = [
            ("https://login", "http://login", "people come over https"),
            ("[server]", "[server]\nlisten = '0.0.0.0:80'", "a proxy with TLS stands in front"),
            ("[server]", "[server]\ntrusted_proxies = ['0.0.0.0/0']", "not everybody is a trusted proxy"),
            ("[server]", "[sessions]\nremember_me = '365d'\n[server]", "nobody is remembered for too long"),
            (
                "[sources.corp.bind]",
                "tls.allow_plaintext = true\n[sources.corp.bind]",
                "no password crosses a network in clear",
            ),
            ("dn = 'cn=svc'\npassword = 'x'", "", "a service account reads the directory"),
            ("require = 'Staff'", "", "somebody decided who may in"),
        ];
        for (good, bad, expected) in cases {
            let found = findings(&GOOD.replace(good, bad));
            assert_eq!(
                found.iter().filter(|it| **it != "the configuration is private").collect::<Vec<_>>(),
                [&expected]
            );
        }
    }
}
