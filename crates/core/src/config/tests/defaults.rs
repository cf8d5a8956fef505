//! What holds where nothing is said, the presets, and the keys that have forms of their own.

use std::collections::BTreeMap;
use std::time::Duration;

use bindery_directory::settings::{Bind, MemberValue, Members, Nested};
use bindery_directory::{Dn, GroupSelector, Scope};

use super::{LEAST, good, parse, source};
use crate::config::{ErrorKind, Removed};
use crate::rules::{FieldSource, GroupExpression, LinkExisting, Mirror, Permissions, RefreshFailure, Template, Update};

#[test]
fn an_empty_file_is_a_configuration() {
    let config = good("");
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert!(config.server.trusted_proxies.is_empty());
    assert!(config.server.public_url.is_none());
    assert!(config.store.to_string().ends_with("/bindery.db"));
    assert_eq!(config.sessions.lifetime, Duration::from_hours(8));
    assert_eq!(config.sessions.idle, Duration::from_hours(1));
    assert_eq!(config.sessions.remember_me, None);
    assert_eq!(config.sessions.cookie_domain, None);
    assert!(config.sign_in.local_users);
    assert!(config.sign_in.lowercase_usernames);
    assert!(!config.sign_in.authorize_local_users);
    assert_eq!(config.sign_in.remote_user_header, None);
    assert_eq!((config.sign_in.throttle.per_user, config.sign_in.throttle.per_address), (5, 50));
    assert_eq!(config.sign_in.throttle.window, Duration::from_mins(15));
    assert!(config.sources.is_empty());
}

#[test]
fn a_source_has_the_documented_defaults() {
    let source = source("");
    let directory = &source.directory;
    assert!(directory.read_only);
    assert!(!directory.referrals);
    assert_eq!(directory.page_size, 1000);
    assert_eq!(directory.max_message, 64 << 20);
    assert_eq!(directory.timeouts.connect, Duration::from_secs(5));
    assert_eq!(directory.timeouts.operation, Duration::from_secs(15));
    assert_eq!(directory.timeouts.sync, Duration::from_hours(1));
    assert!(!directory.tls.starttls && !directory.tls.allow_plaintext);
    assert!(matches!(directory.bind, Bind::Anonymous));
    assert_eq!(directory.users.base_dn, [Dn::parse("dc=example,dc=com").unwrap()]);
    assert_eq!(directory.groups.base_dn, directory.users.base_dn);
    assert_eq!(directory.users.scope, Scope::Subtree);
    assert_eq!(directory.groups.name, ["cn"]);
    let rules = &source.rules;
    assert!(rules.cascade && rules.lowercase_usernames);
    assert_eq!((rules.mirror.clone(), rules.permissions), (Mirror::Off, Permissions::Mirrored));
    assert!(rules.provisioning.create);
    assert_eq!(rules.provisioning.update, Update::Always);
    assert_eq!(rules.provisioning.link_existing, LinkExisting::Never);
    assert_eq!(rules.provisioning.refresh_after, Some(Duration::from_hours(24)));
    assert_eq!(rules.provisioning.on_refresh_failure, RefreshFailure::Keep);
    assert!(!source.passwords.write_back);
    assert_eq!(source.passwords.offline, None);
    let sync = &source.sync;
    assert_eq!((sync.schedule.as_deref(), sync.live, sync.users, sync.groups), (None, false, true, true));
    assert_eq!((sync.poll, sync.removed), (Duration::from_secs(1), Removed::Deactivate));
    assert_eq!((sync.removal_limit.count, sync.removal_limit.percent), (500, 5));
}

#[test]
fn each_preset_is_as_the_table_says() {
    let or = "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=organizationalRole))";
    let table = [
        (
            "openldap",
            "(objectClass=inetOrgPerson)",
            "uid",
            "entryUUID",
            "(objectClass=groupOfNames)",
            "member",
            Nested::Walk,
        ),
        (
            "rfc2307",
            "(objectClass=posixAccount)",
            "uid",
            "entryUUID",
            "(objectClass=posixGroup)",
            "memberUid",
            Nested::None,
        ),
        (
            "389ds",
            "(objectClass=inetOrgPerson)",
            "uid",
            "nsUniqueId",
            "(objectClass=groupOfNames)",
            "member",
            Nested::Walk,
        ),
        ("freeipa", "(objectClass=person)", "uid", "ipaUniqueID", "(objectClass=groupOfNames)", "member", Nested::Walk),
        (
            "jumpcloud",
            "(objectClass=inetOrgPerson)",
            "uid",
            "entryUUID",
            "(objectClass=groupOfNames)",
            "member",
            Nested::None,
        ),
        (
            "google",
            "(objectClass=person)",
            "uid, mail",
            "entryUUID",
            "(objectClass=groupOfNames)",
            "member",
            Nested::Walk,
        ),
        (
            "lldap",
            "(objectClass=person)",
            "uid, mail",
            "entryUUID",
            "(objectClass=groupOfUniqueNames)",
            "uniqueMember",
            Nested::None,
        ),
    ];
    for (preset, users, login, unique_id, groups, members, nested) in table {
        let base = if preset == "jumpcloud" { "organization = 'ORG'" } else { "base_dn = 'dc=x'" };
        let config = good(&format!("[sources.a]\npreset = '{preset}'\nservers = ['ldaps://h']\n{base}"));
        let source = &config.sources[0];
        let directory = &source.directory;
        assert_eq!(source.preset, Some(preset));
        assert_eq!(directory.users.filter.to_string(), users, "{preset}");
        assert_eq!(directory.users.login_attributes.join(", "), login, "{preset}");
        assert_eq!(directory.users.unique_id, unique_id, "{preset}");
        assert_eq!(directory.groups.filter.to_string(), groups, "{preset}");
        assert_eq!(directory.groups.members, Members::OfGroup(members.to_owned()), "{preset}");
        assert_eq!(directory.groups.nested, nested, "{preset}");
        let member_value = match members {
            "memberUid" => MemberValue::Attribute("uid".to_owned()),
            _ => MemberValue::Dn,
        };
        assert_eq!(directory.groups.member_value, member_value, "{preset}");
        let fields: BTreeMap<_, _> =
            source.rules.fields.iter().map(|(name, rule)| (name.as_str(), text(&rule.source))).collect();
        let expected = [
            ("display_name", "{{ displayName or cn }}"),
            ("email", "mail"),
            ("first_name", "givenName"),
            ("last_name", "sn"),
            ("username", "uid"),
        ];
        assert_eq!(fields, expected.into_iter().collect(), "{preset}");
    }
    let by_members = |members: &str| source(&format!("[sources.corp.groups]\nmembers = '{members}'")).directory.groups;
    assert_eq!(by_members("uniqueMember").filter.to_string(), "(objectClass=groupOfUniqueNames)");
    assert_eq!(by_members("roleOccupant").filter.to_string(), "(objectClass=organizationalRole)");
    assert_eq!(by_members("memberOf").filter.to_string(), or);
    assert_eq!(by_members("memberof").members, Members::MemberOf);
}

fn text(source: &FieldSource) -> &str {
    match source {
        FieldSource::Attribute(name) => name,
        FieldSource::Template(template) => template.as_str(),
    }
}

#[test]
fn without_a_preset_the_standard_schema_holds() {
    let config = good("[sources.a]\nservers = ['ldaps://h']\nbase_dn = 'dc=x'");
    assert_eq!(config.sources[0].preset, None);
    assert_eq!(config.sources[0].directory.users.unique_id, "entryUUID");
}

#[test]
fn jumpcloud_needs_its_organization_only() {
    let config =
        good("[sources.a]\npreset = 'jumpcloud'\norganization = 'a,b'\nservers = ['ldaps://ldap.jumpcloud.com']");
    let base = &config.sources[0].directory.base_dn;
    assert_eq!(*base, Dn::parse("o=a\\,b,dc=jumpcloud,dc=com").unwrap());
}

#[test]
fn sources_stand_in_order_of_appearance() {
    let text = ["zeta", "alpha", "*", "mid"].map(|slug| {
        format!("[sources.\"{slug}\".users]\nscope = 'one'\n[sources.\"{slug}\"]\nservers = ['ldaps://h']\nbase_dn = 'dc=x'\n")
    });
    let config = good(&text.concat());
    let slugs: Vec<_> = config.sources.iter().map(|source| source.slug.as_str()).collect();
    assert_eq!(slugs, ["zeta", "alpha", "*", "mid"]);
    assert!(config.source("*").is_some() && config.source("ALPHA").is_none());
}

#[test]
fn group_expressions_have_every_form() {
    let source = source(
        r#"
[sources.corp.flags]
cascade = false
by_name = "App Admins"
by_dn = "CN=App Users,OU=Groups,DC=example,DC=com"
outright_name = { name = "a=b" }
outright_dn = { dn = "cn=a" }
list = ["a", "cn=b"]
nested = { all = [{ any = ["a"] }, { not = "b" }] }
nobody = []
[sources.corp.group_map]
"Größe & Co" = "a"
"#,
    );
    let name = |name: &str| GroupExpression::Group(GroupSelector::Name(name.to_owned()));
    let dn = |dn: &str| GroupExpression::Group(GroupSelector::Dn(Dn::parse(dn).unwrap()));
    let any = GroupExpression::Any;
    let flags = &source.rules.flags;
    assert_eq!(flags["by_name"], name("App Admins"));
    assert_eq!(flags["by_dn"], dn("cn=app users,ou=groups,dc=example,dc=com"));
    assert_eq!(flags["outright_name"], name("a=b"));
    assert_eq!(flags["outright_dn"], dn("cn=a"));
    assert_eq!(flags["list"], any(vec![name("a"), dn("cn=b")]));
    let not_b = GroupExpression::Not(Box::new(name("b")));
    assert_eq!(flags["nested"], GroupExpression::All(vec![any(vec![name("a")]), not_b]));
    assert_eq!(flags["nobody"], any(vec![]));
    assert_eq!(flags.len(), 7);
    assert!(!source.rules.cascade);
    assert!(source.rules.group_map.contains_key("Größe & Co"));
}

#[test]
fn fields_have_every_form() {
    let source = source(
        r#"
[sources.corp.users]
path = "corp/{{ department }}"
[sources.corp.users.attributes]
email = "mail;lang-de"
phone_numbers = { attribute = "telephoneNumber", many = true }
employee_id = { attribute = "employeeNumber", keep_when_absent = true }
title = { template = "{{ title }}", keep_when_absent = true }
"#,
    );
    let fields = &source.rules.fields;
    assert_eq!(text(&fields["email"].source), "mail;lang-de");
    assert!(fields["phone_numbers"].many && !fields["phone_numbers"].keep_when_absent);
    assert!(fields["employee_id"].keep_when_absent);
    assert!(matches!(fields["title"].source, FieldSource::Template(_)));
    assert_eq!(source.rules.path.as_ref().map(Template::as_str), Some("corp/{{ department }}"));
}

#[test]
fn mirror_and_refresh_failure_have_every_form() {
    let mirror = |text: &str| source(&format!("[sources.corp.groups]\nmirror = {text}")).rules.mirror;
    assert_eq!(mirror("false"), Mirror::Off);
    assert_eq!(mirror("true"), Mirror::All);
    assert_eq!(mirror("['a', 'b']"), Mirror::Only(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(mirror("{ except = ['a'] }"), Mirror::Except(vec!["a".to_owned()]));
    assert_eq!(mirror("{ except = [] }"), Mirror::Except(vec![]));
    let failure = |text: &str| {
        let source = source(&format!("[sources.corp.provisioning]\non_refresh_failure = {text}"));
        source.rules.provisioning.on_refresh_failure
    };
    assert_eq!(failure("'keep'"), RefreshFailure::Keep);
    assert_eq!(failure("'refuse'"), RefreshFailure::Refuse);
    assert_eq!(failure("{ status = 500 }"), RefreshFailure::Respond { status: 500, page: None });
}

#[test]
fn refresh_may_be_never_and_every_time() {
    let after = |text: &str| {
        source(&format!("[sources.corp.provisioning]\nrefresh_after = '{text}'")).rules.provisioning.refresh_after
    };
    assert_eq!(after("never"), None);
    assert_eq!(after("0s"), Some(Duration::ZERO));
    assert_eq!(after("1d"), Some(Duration::from_hours(24)));
}

#[test]
fn services_bind_in_several_ways() {
    let bind = |text: &str| source(&format!("[sources.corp.bind]\n{text}")).directory.bind;
    for name in ["cn=svc,dc=example,dc=com", "svc@example.com", "EXAMPLE\\svc"] {
        let bound = bind(&format!("dn = '{name}'\npassword = 'x'"));
        assert!(matches!(bound, Bind::Simple { name: ref it, .. } if it == name));
    }
    assert!(matches!(bind("method = 'anonymous'"), Bind::Anonymous));
    let as_user = source(
        "[sources.corp.users]\ndn_template = 'uid={user},dc=example,dc=com'\n[sources.corp.bind]\nmethod = 'as-user'",
    );
    assert!(matches!(as_user.directory.bind, Bind::AsUser));
}

#[test]
fn paths_lie_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let (file, icon) = (folder.path().join("bindery.toml"), folder.path().join("corp.svg"));
    std::fs::write(&icon, "<svg/>").unwrap();
    let config = crate::config::Config::parse(
        &format!("[store]\nurl = 'sqlite:data/b.db'\n{LEAST}icon = 'corp.svg'"),
        &file,
        &crate::config::Environment::default(),
    )
    .unwrap();
    let store = folder.path().join("data/b.db");
    assert_eq!(config.store.to_string(), format!("SQLite file {}", store.display()));
    assert_eq!(config.sources[0].icon.as_deref(), Some(icon.as_path()));
}

#[test]
fn extra_keys_are_the_apps_own() {
    let extra =
        source("[sources.corp.extra]\nteam = 'a'\nlimits = { n = 5, f = 1.5, on = true, when = 1979-05-27 }").extra;
    let expected = serde_json::json!({"team": "a", "limits": {"n": 5, "f": 1.5, "on": true, "when": "1979-05-27"}});
    assert_eq!(serde_json::Value::Object(extra), expected);
}

#[test]
fn a_host_and_those_above_it_may_have_the_cookie() {
    let domain = |domain: &str| {
        good(&format!("[server]\npublic_url = 'https://login.example.com'\n[sessions]\ncookie_domain = '{domain}'"))
            .sessions
            .cookie_domain
    };
    assert_eq!(domain("example.com").as_deref(), Some("example.com"));
    assert_eq!(domain("login.example.com").as_deref(), Some("login.example.com"));
}

/// The example of the documentation, whole. It uses every key there is.
const EXAMPLE: &str = include_str!("example.toml");

#[test]
fn the_documented_example_lacks_features_only() {
    let errors = parse(EXAMPLE).unwrap_err();
    let others: Vec<_> = errors
        .iter()
        .filter(|error| !matches!(error.kind, ErrorKind::FeatureAbsent | ErrorKind::Unavailable))
        .map(ToString::to_string)
        .collect();
    assert_eq!(others, Vec::<String>::new());
    let absent: Vec<_> =
        errors.iter().filter(|error| error.kind == ErrorKind::FeatureAbsent).map(|it| it.key.as_str()).collect();
    assert_eq!(
        absent,
        ["sign_in.remote_user_header", "sign_in.keytab", "sources.corp.preset", "sources.corp.groups.nested",]
    );
}
