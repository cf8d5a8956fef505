//! Overrides from the environment.

use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::LEAST;
use crate::config::{Config, ConfigErrors, Environment, Place};
use crate::rules::Mirror;
use bindery_directory::settings::Bind;

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let environment: Environment = variables.iter().copied().collect();
    Config::parse(text, Path::new("bindery.toml"), &environment)
}

fn password(config: &Config) -> String {
    match &config.sources[0].directory.bind {
        Bind::Simple { password, .. } => password.expose_secret().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_type_can_be_overridden() {
    let config = with(
        &format!("[server]\nlisten = '127.0.0.1:1'\n{LEAST}"),
        &[
            ("BINDERY__SERVER__LISTEN", "[::1]:9000"),
            ("BINDERY__SERVER__TRUSTED_PROXIES", "[\"10.0.0.0/8\", \"::1\"]"),
            ("BINDERY__SIGN_IN__LOCAL_USERS", "false"),
            ("BINDERY__SIGN_IN__THROTTLE", "{ per_user = 7 }"),
            ("BINDERY__SIGN_IN__THROTTLE__WINDOW", "1h"),
            ("BINDERY__SOURCES__CORP__PAGE_SIZE", "50"),
            ("BINDERY__SOURCES__CORP__MAX_MESSAGE", "1MiB"),
            ("BINDERY__SOURCES__CORP__GROUPS__MIRROR", "true"),
            ("BINDERY__SOURCES__CORP__ACCESS__REQUIRE", "{ not = 'Leavers' }"),
            ("BINDERY__SOURCES__CORP__ACCESS__DENY", "cn=a,dc=x"),
            ("BINDERY__SOURCES__CORP__USERS__LOGIN_ATTRIBUTES", "mail"),
            ("BINDERY__SOURCES__CORP__USERS__ATTRIBUTES__DISPLAY_NAME", "{{ cn }}"),
            ("BINDERY_UNRELATED", "x"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.listen.to_string(), "[::1]:9000");
    assert_eq!(config.server.trusted_proxies.len(), 2);
    assert!(!config.sign_in.local_users);
    assert_eq!((config.sign_in.throttle.per_user, config.sign_in.throttle.window), (7, Duration::from_hours(1)));
    let source = &config.sources[0];
    assert_eq!((source.directory.page_size, source.directory.max_message), (50, 1 << 20));
    assert_eq!(source.rules.mirror, Mirror::All);
    assert_eq!(source.directory.users.login_attributes, ["mail"]);
    assert!(source.rules.access.require.is_some() && source.rules.access.deny.is_some());
    assert_eq!(source.rules.fields["display_name"].attributes(), ["cn"]);
}

#[test]
fn a_string_is_taken_as_it_stands() {
    let text = format!("{LEAST}[sources.corp.bind]\ndn = 'cn=svc'\npassword = {{ file = '/nonexistent' }}");
    let config = with(&text, &[("BINDERY__SOURCES__CORP__BIND__PASSWORD", "{ [\"quoted\"")]).unwrap();
    assert_eq!(password(&config), "{ [\"quoted\"");
    let config =
        with(&text, &[("BINDERY__SOURCES__CORP__BIND__PASSWORD__ENV", "HIDDEN"), ("HIDDEN", "from elsewhere\n")])
            .unwrap();
    assert_eq!(password(&config), "from elsewhere");
}

#[test]
fn names_are_compared_without_case_and_hyphen() {
    let text =
        "[sources.My-Corp]\nservers = ['ldaps://h']\nbase_dn = 'dc=x'\n[sources.My-Corp.group_map]\nEditors = 'a'";
    let config = with(
        text,
        &[("BINDERY__SOURCES__MY_CORP__PAGE_SIZE", "5"), ("BINDERY__SOURCES__MY_CORP__GROUP_MAP__EDITORS", "b")],
    )
    .unwrap();
    let source = config.source("My-Corp").unwrap();
    assert_eq!(source.directory.page_size, 5);
    assert_eq!(source.rules.group_map.len(), 1);
}

#[test]
fn a_source_can_come_from_the_environment_alone() {
    let config = with(
        "",
        &[
            ("BINDERY__SOURCES__CORP__SERVERS", "['ldaps://h']"),
            ("BINDERY__SOURCES__CORP__BASE_DN", "dc=x"),
            ("BINDERY__DEFAULTS__PAGE_SIZE", "9"),
        ],
    )
    .unwrap();
    assert_eq!(config.source("corp").unwrap().directory.page_size, 9);
}

#[test]
fn mistakes_name_the_variable_and_no_value() {
    let errors = with(
        LEAST,
        &[
            ("BINDERY__SERVER__LISEN", "hunter2"),
            ("BINDERY__SIGN_IN__LOCAL_USERS", "hunter2"),
            ("BINDERY__SESSIONS__IDLE", "hunter2"),
            ("BINDERY__SOURCES__CORP__PAGE_SIZE__X", "hunter2"),
            ("BINDERY__", "hunter2"),
        ],
    )
    .unwrap_err();
    insta::assert_snapshot!(errors, @r#"
    BINDERY__: "": unknown key; the nearest known key is "store"
    BINDERY__SERVER__LISEN: server.lisen: unknown key; did you mean "listen"?
    BINDERY__SESSIONS__IDLE: sessions.idle: expected a duration such as "15s", "1h30m" or "14d"
    BINDERY__SIGN_IN__LOCAL_USERS: sign_in.local_users: expected true or false, found a text
    BINDERY__SOURCES__CORP__PAGE_SIZE__X: sources.corp.page_size: expected an integer, found a table
    "#);
    assert!(errors.iter().all(|error| matches!(error.place, Place::Variable(_))));
}
