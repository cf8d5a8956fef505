//! Whatever a file or the environment holds, the answer is a configuration or its errors.

use std::path::Path;

use proptest::prelude::*;

use crate::config::{Config, Environment};

/// A key that means something, or one that does not.
fn key() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "server",
        "listen",
        "public_url",
        "trusted_proxies",
        "store",
        "url",
        "sessions",
        "lifetime",
        "cookie_domain",
        "sign_in",
        "throttle",
        "sources",
        "corp",
        "\"*\"",
        "defaults",
        "servers",
        "base_dn",
        "preset",
        "organization",
        "srv",
        "timeouts",
        "bind",
        "method",
        "dn",
        "password",
        "tls",
        "starttls",
        "users",
        "filter",
        "attributes",
        "username",
        "many",
        "attribute",
        "template",
        "groups",
        "mirror",
        "except",
        "members",
        "nested",
        "access",
        "require",
        "any",
        "all",
        "not",
        "name",
        "flags",
        "group_map",
        "provisioning",
        "on_refresh_failure",
        "status",
        "passwords",
        "offline",
        "sync",
        "schedule",
        "removal_limit",
        "extra",
        "env",
        "dn_template",
        "login_attributes",
        "max_message",
        "page_size",
    ];
    prop_oneof![9 => prop::sample::select(KNOWN).prop_map(|text: &str| text.to_owned()), 1 => "[a-zA-Z_]{1,12}"]
}

/// A value: of any type, well formed or not.
fn value() -> impl Strategy<Value = String> {
    const GOOD: &[&str] = &[
        "true",
        "-1",
        "5",
        "99999999999999999999",
        "1.5",
        "1979-05-27",
        "'8h'",
        "'0s'",
        "'64MiB'",
        "'cn=a,dc=x'",
        "'ldap://10.0.0.1'",
        "'ldaps://h'",
        "'openldap'",
        "'jumpcloud'",
        "'(uid=*)'",
        "'{{ cn }}'",
        "'{{'",
        "'uid={user},dc=x'",
        "'* * * * *'",
        "'https://a.b'",
        "'127.0.0.1:1'",
        "'as-user'",
        "''",
        "[]",
        "{}",
        "'\\u0000'",
        "\"\\u0000\"",
    ];
    let leaf = prop_oneof![
        8 => prop::sample::select(GOOD).prop_map(|text: &str| text.to_owned()),
        1 => any::<String>().prop_map(|text| format!("{text:?}")),
        1 => any::<i64>().prop_map(|number| number.to_string()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", ")));
        let table = prop::collection::vec((key(), inner), 0..4).prop_map(|entries| {
            let entries: Vec<_> = entries.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
            format!("{{ {} }}", entries.join(", "))
        });
        prop_oneof![list, table]
    })
}

/// A dotted key into the tree.
fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(key(), 1..5).prop_map(|keys| keys.join("."))
}

/// No command is run by chance: `command` is no key above.
fn check(text: &str, environment: &Environment) {
    match Config::parse(text, Path::new("bindery.toml"), environment) {
        Ok(config) => assert!(!format!("{config:?}").is_empty()),
        Err(errors) => {
            assert!(!errors.is_empty());
            assert!(!errors.to_string().is_empty());
        }
    }
}

proptest! {
    #[test]
    fn random_toml(entries in prop::collection::vec((path(), value()), 0..8)) {
        let lines: Vec<_> = entries.iter().map(|(path, value)| format!("{path} = {value}")).collect();
        check(&lines.join("\n"), &Environment::default());
    }

    #[test]
    fn random_source(entries in prop::collection::vec((path(), value()), 0..8)) {
        let lines: Vec<_> = entries.iter().map(|(path, value)| format!("sources.corp.{path} = {value}")).collect();
        check(&lines.join("\n"), &Environment::default());
    }

    #[test]
    fn random_text(text in any::<String>()) {
        check(&text, &Environment::default());
    }

    #[test]
    fn random_environment(entries in prop::collection::vec((path(), any::<String>()), 0..8)) {
        let variable = |path: &str| format!("BINDERY__{}", path.replace('.', "__").to_uppercase());
        let environment: Environment = entries.iter().map(|(path, value)| (variable(path), value.clone())).collect();
        check(super::LEAST, &environment);
    }
}
