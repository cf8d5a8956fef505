//! `[defaults]` beneath a source, a preset beneath both.

use std::time::Duration;

use bindery_directory::settings::{Bind, Members};

use super::{good, parse};
use crate::config::{Config, Environment};
use crate::rules::{LinkExisting, Mirror};

const TWO: &str = "
[sources.a]
preset = 'lldap'
servers = ['ldaps://a.example.com']
base_dn = 'dc=a'
[sources.b]
servers = ['ldaps://b.example.com']
base_dn = 'dc=b'
";

#[test]
fn a_source_inherits_key_by_key() {
    let config = good(&format!(
        "[defaults.provisioning]\nrefresh_after = '2d'\nlink_existing = 'email'\n{TWO}\
         [sources.b.provisioning]\nlink_existing = 'username'"
    ));
    let provisioning = |slug: &str| config.source(slug).unwrap().rules.provisioning.clone();
    assert_eq!(provisioning("a").link_existing, LinkExisting::Email);
    assert_eq!(provisioning("b").link_existing, LinkExisting::Username);
    for slug in ["a", "b"] {
        assert_eq!(provisioning(slug).refresh_after, Some(Duration::from_hours(48)), "{slug}");
    }
}

#[test]
fn defaults_beat_the_preset_and_the_source_beats_both() {
    let config = good(&format!("[defaults.groups]\nmembers = 'member'\n{TWO}[sources.b.groups]\nmembers = 'memberOf'"));
    let members = |slug: &str| config.source(slug).unwrap().directory.groups.members.clone();
    assert_eq!(members("a"), Members::OfGroup("member".to_owned()));
    assert_eq!(members("b"), Members::MemberOf);
}

#[test]
fn lists_expressions_and_string_forms_are_replaced_whole() {
    let text = format!(
        "[defaults]\nservers = ['ldaps://other']\n[defaults.access]\nrequire = {{ any = ['x'] }}\n\
         [defaults.bind]\ndn = 'cn=svc'\npassword = {{ env = 'SECRET' }}\n\
         [defaults.groups]\nmirror = {{ except = ['x'] }}\n{TWO}\
         [sources.b.access]\nrequire = {{ not = 'y' }}\n[sources.b.groups]\nmirror = ['z']\n\
         [sources.b.bind]\npassword = {{ command = ['echo', 'x'] }}"
    );
    let environment: Environment = [("SECRET", "s")].into_iter().collect();
    let config = Config::parse(&text, std::path::Path::new("bindery.toml"), &environment).unwrap();
    let (a, b) = (&config.sources[0], &config.sources[1]);
    assert_eq!(a.directory.servers.len(), 1);
    assert_eq!(b.rules.access.require.as_ref().unwrap().selectors().len(), 1);
    assert_eq!(a.rules.mirror, Mirror::Except(vec!["x".to_owned()]));
    assert_eq!(b.rules.mirror, Mirror::Only(vec!["z".to_owned()]));
    assert!(matches!(b.directory.bind, Bind::Simple { ref name, .. } if name == "cn=svc"));
}

#[test]
fn fields_of_the_defaults_and_of_the_source_stand_together() {
    let config = good(&format!(
        "[defaults.users.attributes]\nphone = 'telephoneNumber'\n{TWO}[sources.a.users.attributes]\nroom = 'roomNumber'"
    ));
    let fields = &config.sources[0].rules.fields;
    assert!(fields.contains_key("phone") && fields.contains_key("room") && fields.contains_key("username"));
}

#[test]
fn defaults_without_a_source_are_checked_all_the_same() {
    let told = parse("[defaults.userz]\nfilter = 'x'").unwrap_err().to_string();
    assert_eq!(told, "bindery.toml:1: defaults.userz: unknown key; did you mean \"users\"?");
    assert!(parse("[defaults.users]\nscope = 'one'").is_ok());
}
