//! Each kind of mistake, and the words it is told in.

use bindery_directory::settings::{Members, Nested};
use bindery_store::{Flags, Profile};
use uuid::Uuid;

use super::{LEAST, parse, wrong};
use crate::config::{ErrorKind, Place};
use crate::engine::UserView;

/// One mistake each. A text without a section of its own goes under `[sources.corp]`.
const MISTAKES: &[(&str, &str)] = &[
    ("no TOML", "[server\nlisten = 5"),
    ("a string without an end", "password = \"hunter2"),
    ("a key twice", "page_size = 1\npage_size = 2"),
    ("an unknown key, near", "[sources.corp.users]\nfiltr = '(uid=*)'"),
    ("an unknown key, far", "[server]\nfrobnicate = true"),
    ("an unknown section", "[session]\nidle = '1h'"),
    ("an unknown key in an inherited table", "[defaults.users]\nfilterr = '(uid=*)'"),
    ("an unknown key in a small table", "timeouts = { conect = '5s' }"),
    ("a wrong type", "page_size = 'many'"),
    ("a wrong type: a list where one is wanted", "[sources.corp.users]\nscope = ['one']"),
    ("a wrong type: one where a list is wanted", "[sources.corp.users]\nlogin_attributes = 'uid'"),
    ("a wrong type: a table where a string is wanted", "[server]\nlisten = { port = 8080 }"),
    ("a wrong type: a value where a table is wanted", "tls = true"),
    ("a number out of bounds", "page_size = 0"),
    ("a bad address", "[server]\nlisten = 'somewhere'"),
    ("a bad public URL", "[server]\npublic_url = 'ftp://login.example.com'"),
    ("a public URL with a path", "[server]\npublic_url = 'https://example.com/login'"),
    ("a bad network", "[server]\ntrusted_proxies = ['10.0.0.0/8', 'everyone']"),
    ("a bad store", "[store]\nurl = 'mysql://root:hunter2@localhost/x'"),
    ("a bad duration", "[sessions]\nlifetime = 'tomorrow'"),
    ("a duration without a unit", "[sessions]\nidle = '30'"),
    ("no time at all", "[sessions]\nlifetime = '0s'"),
    (
        "a cookie of somebody else",
        "[server]\npublic_url = 'https://a.example.com'\n[sessions]\ncookie_domain = 'b.example.com'",
    ),
    (
        "a cookie for a top-level domain",
        "[server]\npublic_url = 'https://example.com'\n[sessions]\ncookie_domain = 'com'",
    ),
    ("a throttle of nothing", "[sign_in]\nthrottle = { per_user = 0 }"),
    ("a header that is none", "[sign_in]\nremote_user_header = 'X_Remote User'"),
    ("a bad slug", "[sources.'my corp']\npreset = 'openldap'\nservers = ['ldaps://h']\nbase_dn = 'dc=x'"),
    ("a bad preset", "[sources.b]\npreset = 'openldpa'\nservers = ['ldaps://h']\nbase_dn = 'dc=x'"),
    ("no servers", "[sources.b]\nbase_dn = 'dc=x'"),
    ("an empty list of servers", "[sources.b]\nservers = []\nbase_dn = 'dc=x'"),
    ("a bad server", "[sources.b]\nservers = ['https://u:hunter2@h']\nbase_dn = 'dc=x'"),
    ("no base", "[sources.b]\nservers = ['ldaps://h']"),
    ("a bad base", "[sources.corp.users]\nbase_dn = ['ou=people,dc=example,dc=com', 'people']"),
    ("a bad size", "max_message = '64 parsecs'"),
    ("an organization elsewhere", "organization = 'ORG'"),
    ("JumpCloud without its organization", "[sources.b]\npreset = 'jumpcloud'\nservers = ['ldaps://h']"),
    ("a domain that is two", "domain = 'A'\n[sources.b]\ndomain = 'a'\nservers = ['ldaps://h']\nbase_dn = 'dc=x'"),
    ("a slug that is two", "[sources.CORP]\nservers = ['ldaps://h']\nbase_dn = 'dc=x'"),
    ("a simple bind without a password", "[sources.corp.bind]\nmethod = 'simple'\ndn = 'cn=a,dc=x'"),
    ("a simple bind without a name", "[sources.corp.bind]\npassword = 'hunter2'"),
    ("a simple bind with an empty password", "[sources.corp.bind]\ndn = 'cn=a,dc=x'\npassword = ''"),
    ("a bad bind DN", "[sources.corp.bind]\ndn = 'cn=a,,dc=hunter2'\npassword = 'x'"),
    ("a bind name that is nothing", "[sources.corp.bind]\ndn = 'svc'\npassword = 'x'"),
    ("as-user without a template", "[sources.corp.bind]\nmethod = 'as-user'"),
    ("external without a certificate", "[sources.corp.bind]\nmethod = 'external'"),
    ("a password in clear", "[sources.b]\nservers = ['ldaps://h', 'ldap://10.0.0.1']\nbase_dn = 'dc=x'"),
    ("a CA file that is not there", "[sources.corp.tls]\nca_file = 'missing.pem'"),
    ("a certificate without its key", "[sources.corp.tls]\nclient_cert = 'missing.pem'"),
    ("a bad server name", "[sources.corp.tls]\nserver_name = 'ldaps://h'"),
    ("a bad filter", "[sources.corp.users]\nfilter = '(objectClass=hunter2'"),
    ("a bad attribute", "[sources.corp.users]\nlogin_attributes = ['uid', 'e mail']"),
    ("no attribute", "[sources.corp.groups]\nname = []"),
    ("a template of a DN without the user", "[sources.corp.users]\ndn_template = 'uid=ann,dc=x'"),
    ("a template of a DN without an end", "[sources.corp.users]\ndn_template = 'uid={user}'"),
    (
        "a template below the scope",
        "[sources.corp.users]\nscope = 'one'\ndn_template = 'uid={user},ou=people,dc=example,dc=com'",
    ),
    ("a members attribute that is none", "[sources.corp.groups]\nmembers = 'membr'"),
    ("a members attribute that is far from any", "[sources.corp.groups]\nmembers = 'owner'"),
    ("an icon that is not there", "icon = 'missing.svg'"),
    ("a template of no DN", "[sources.corp.users]\ndn_template = '{user}'"),
    ("a bad template", "[sources.corp.users.attributes]\ndisplay_name = '{{ hunter2'"),
    ("a bad path template", "[sources.corp.users]\npath = '{{ department | hunter2 }}'"),
    ("a password as a field", "[sources.corp.users.attributes]\nsecret = 'userPassword'"),
    ("a password as a field's table", "[sources.corp.users.attributes]\nsecret = { attribute = 'sambaNTPassword' }"),
    ("a password in a template", "[sources.corp.users.attributes]\nsecret = '{{ unicodePwd }}'"),
    ("a field of nothing", "[sources.corp.users.attributes]\nphone = { many = true }"),
    ("a field of two", "[sources.corp.users.attributes]\nphone = { attribute = 'a', template = '{{ b }}' }"),
    ("a field with a strange name", "[sources.corp.users.attributes]\n'a b' = 'cn'"),
    ("an empty username", "[sources.corp.users.attributes]\nusername = ''"),
    ("a malformed group DN", "[sources.corp.access]\nrequire = 'CN=Staff,,DC=x'"),
    (
        "a malformed group DN, deep down",
        "[sources.corp.flags]\nis_staff = { all = ['Staff', { not = 'cn' }, { not = '=hunter2' }] }",
    ),
    ("an unknown operator", "[sources.corp.access]\nrequire = { eny = ['a'] }"),
    ("two operators", "[sources.corp.access]\nrequire = { any = ['a'], not = 'b' }"),
    ("an empty all", "[sources.corp.group_map]\nEditors = { all = [] }"),
    ("a group that is a number", "[sources.corp.flags]\nis_staff = 5"),
    ("a mirror of nothing", "[sources.corp.groups]\nmirror = 'yes'"),
    ("a mirror with an unknown key", "[sources.corp.groups]\nmirror = { without = ['a'] }"),
    ("a bad choice", "[sources.corp.provisioning]\nupdate = 'sometimes'"),
    ("a mistyped choice", "[sources.corp.groups]\nnested = 'walks'"),
    ("a bad refresh", "[sources.corp.provisioning]\nrefresh_after = 'daily'"),
    (
        "a page that is not there",
        "[sources.corp.provisioning]\non_refresh_failure = { status = 503, page = 'missing.html' }",
    ),
    ("a status that is no failure", "[sources.corp.provisioning]\non_refresh_failure = { status = 200 }"),
    ("an offline time of nothing", "[sources.corp.passwords]\noffline = '0s'"),
    ("a bad schedule", "[sources.corp.sync]\nschedule = '99 * * * *'"),
    ("a schedule that never comes", "[sources.corp.sync]\nschedule = '0 0 30 2 *'"),
    (
        "sync without a service account",
        "[sources.corp.users]\ndn_template = 'uid={user},dc=example,dc=com'\n[sources.corp.bind]\nmethod = 'as-user'\n[sources.corp.sync]\nschedule = '0 2 * * *'\nlive = true",
    ),
    ("a schedule with seconds", "[sources.corp.sync]\nschedule = '0 0 * * * *'"),
    ("a percentage over 100", "[sources.corp.sync]\nremoval_limit = { percent = 101 }"),
    ("a variable that is not set", "[sources.corp.bind]\ndn = 'cn=a,dc=x'\npassword = { env = 'NOT_SET' }"),
    ("a file that is not there", "[sources.corp.bind]\ndn = 'cn=a,dc=x'\npassword = { file = '/nonexistent/secret' }"),
    (
        "a command that is not there",
        "[sources.corp.bind]\ndn = 'cn=a,dc=x'\npassword = { command = ['bindery-no-such-program'] }",
    ),
    ("a command that fails", "[sources.corp.bind]\ndn = 'cn=a,dc=x'\npassword = { command = ['false', 'hunter2'] }"),
    ("an empty command", "[sources.corp.bind]\ndn = 'cn=a,dc=x'\npassword = { command = [] }"),
    ("servers and srv", "srv = true"),
    ("srv without a domain", "[sources.b]\nsrv = true\nbase_dn = 'dc=x'"),
    ("a feature that is not built in", "[sources.corp.groups]\nnested = 'in-chain'"),
    ("Kerberos", "[sources.corp.bind]\nmethod = 'gssapi'\nprincipal = 'svc@X'"),
];

#[test]
fn every_mistake_is_told_in_words() {
    let mut told = Vec::new();
    for (name, more) in MISTAKES {
        let errors = wrong(&format!("{LEAST}{more}"));
        assert!(!errors.contains("hunter2"), "{name}: a value is shown: {errors}");
        told.push(format!("# {name}\n{errors}"));
    }
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn all_mistakes_are_found_at_once() {
    let errors = parse("[server]\nlisen = 1\n[sessions]\nidle = 5\n[sources.corp]\nbase_dn = 'x'\n").unwrap_err();
    let told: Vec<_> = errors.iter().map(|error| (error.key.as_str(), error.kind, error.place.clone())).collect();
    assert_eq!(
        told,
        [
            ("server.lisen", ErrorKind::UnknownKey, Place::Line(2)),
            ("sessions.idle", ErrorKind::WrongType, Place::Line(4)),
            ("sources.corp.servers", ErrorKind::Missing, Place::Line(5)),
            ("sources.corp.base_dn", ErrorKind::Invalid, Place::Line(6)),
        ]
    );
    assert_eq!(errors.iter().next().and_then(|error| error.nearest.as_deref()), Some("listen"));
}

#[test]
fn a_mistake_in_the_defaults_is_told_once_and_where_it_is_written() {
    let text = "[defaults.users]\nfiltr = 'x'\n[sources.a]\nservers = ['ldaps://h']\nbase_dn = 'dc=x'\n\
                [sources.b]\nservers = ['ldaps://h']\nbase_dn = 'dc=x'\n";
    assert_eq!(wrong(text), "bindery.toml:2: defaults.users.filtr: unknown key; did you mean \"filter\"?");
}

/// A value that no source inherits is as wrong; what a source adds to it is not looked for.
#[test]
fn a_bad_value_in_the_defaults_is_told_though_every_source_has_its_own() {
    let sources = "[sources.a]\nservers = ['ldaps://h']\nbase_dn = 'dc=x'\n\
                   [sources.b]\nservers = ['ldaps://h']\nbase_dn = 'dc=x'\n";
    let told = wrong(&format!("[defaults]\nbase_dn = 'xx'\n{sources}"));
    assert!(told.starts_with("bindery.toml:2: defaults.base_dn: "), "{told}");
    let inherited = wrong(&format!("[defaults.users]\nfilter = '(uid=*'\n{sources}"));
    assert_eq!(inherited.lines().count(), 1, "{inherited}");
    let bound = "[defaults.bind]\nmethod = 'as-user'\n\
                 [sources.a]\nservers = ['ldaps://h']\nbase_dn = 'dc=x'\nusers.dn_template = 'uid={user},dc=x'\n";
    assert!(parse(bound).is_ok(), "{:?}", parse(bound).err());
}

/// What is missing from the defaults, and what in them goes with nothing but what a source adds, is no mistake by itself.
#[test]
fn what_the_sources_complete_is_no_mistake_in_the_defaults() {
    let source = |slug: &str, keys: &str| format!("[sources.{slug}]\nservers = ['ldaps://h']\n{keys}\n");
    let elsewhere = "users.base_dn = 'ou=people,dc=example,dc=com'";
    let template = "[defaults]\nbase_dn = 'dc=example,dc=com'\n[defaults.users]\nscope = 'one'\n\
                    dn_template = 'uid={user},ou=people,dc=example,dc=com'\n";
    let external = "[defaults]\nbase_dn = 'dc=x'\n[defaults.bind]\nmethod = 'external'\n\
                    [sources.a]\nservers = ['ldapi:///run/ldapi']\n";
    let live = "[defaults]\nbase_dn = 'dc=x'\n[defaults.users]\ndn_template = 'uid={user},dc=x'\n\
                [defaults.bind]\nmethod = 'as-user'\n[defaults.sync]\nlive = true\nschedule = '0 2 * * *'\n";
    let bound = "bind = { method = 'simple', dn = 'cn=svc', password = 'x' }";
    for complete in [
        format!("{template}{}{}", source("a", elsewhere), source("b", elsewhere)),
        external.to_owned(),
        format!("{live}{}{}", source("a", bound), source("b", "sync = { live = false, schedule = 'off' }")),
    ] {
        assert!(parse(&complete).is_ok(), "{complete}\n{:?}", parse(&complete).err());
    }
    // Who adds nothing is told.
    for (incomplete, told) in [
        (format!("{template}{}", source("a", "")), "defaults.users.dn_template: makes DNs of a length"),
        (external.replace("ldapi:///run/ldapi", "ldaps://h"), "defaults.bind.method: needs a client certificate"),
        (format!("{live}{}", source("a", "")), "defaults.sync.live: needs a service account"),
    ] {
        let errors = wrong(&incomplete);
        assert!(errors.contains(told), "{incomplete}\n{errors}");
    }
}

#[test]
fn choices_are_words_in_any_case() {
    let groups = |keys: &str| {
        let source = "[sources.a]\nservers = ['ldaps://h']\nbase_dn = 'dc=x'\n[sources.a.groups]\n";
        parse(&format!("{source}{keys}"))
    };
    let config = groups("nested = 'NONE'\nmembers = 'MEMBER'").unwrap();
    assert_eq!(config.sources[0].directory.groups.nested, Nested::None);
    assert_eq!(config.sources[0].directory.groups.members, Members::OfGroup("MEMBER".to_owned()));
}

/// Every key that a user without flags has, whoever adds one.
fn keys_of_a_user() -> Vec<String> {
    let view = UserView {
        id: Uuid::nil(),
        username: String::new(),
        first_name: String::new(),
        last_name: String::new(),
        email: String::new(),
        display_name: String::new(),
        flags: Flags::default(),
        path: String::new(),
        profile: Profile::default(),
        groups: Vec::new(),
        permissions: Vec::new(),
        link: None,
    };
    serde_json::to_value(view).unwrap().as_object().unwrap().keys().cloned().collect()
}

#[test]
fn a_flag_is_not_called_like_a_key_of_a_user() {
    let source = "[sources.a]\nservers = ['ldaps://h']\nbase_dn = 'dc=x'\n[sources.a.flags]\n";
    let names = keys_of_a_user();
    assert!(names.contains(&"path".to_owned()) && names.contains(&"link".to_owned()), "{names:?}");
    for name in names {
        let told = wrong(&format!("{source}{name} = 'Staff'"));
        assert!(told.starts_with(&format!("bindery.toml:5: sources.a.flags.{name}: ")), "{told}");
    }
    assert!(parse(&format!("{source}is_pilot = 'Staff'")).is_ok());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("missing.toml");
    let errors = crate::config::Config::load(&file, &crate::config::Environment::default()).unwrap_err();
    let told = errors.to_string();
    assert!(told.contains("missing.toml") && told.contains("--config"), "{told}");
    assert_eq!(errors.iter().next().map(|error| error.kind), Some(ErrorKind::Unreadable));
}

#[test]
fn a_loopback_address_may_be_plain() {
    for server in ["ldap://127.0.0.1:389", "ldap://[::1]", "ldap://localhost", "ldap://dc.example.com"] {
        let text = format!("[sources.a]\nservers = ['{server}']\nbase_dn = 'dc=x'");
        assert!(parse(&text).is_ok(), "{server}");
    }
    for more in ["starttls = true", "allow_plaintext = true"] {
        let text = format!("[sources.a]\nservers = ['ldap://10.0.0.1']\nbase_dn = 'dc=x'\n[sources.a.tls]\n{more}");
        assert!(parse(&text).is_ok(), "{more}");
    }
}
