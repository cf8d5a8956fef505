//! A source on a slapd of `bindery-tests`, and short words for what the tests do with it.

use bindery_directory::settings::{Bind, GroupSettings, MemberValue, Members, Nested, Timeouts, UserSettings};
use bindery_directory::{
    Authentication, Dn, Filter, Found, GroupSelector, LdapUrl, Memberships, PasswordCheck, Person, Reader, Scope,
    Source, SourceSettings, TlsSettings, Wanted,
};
use bindery_tests::Slapd;
use secrecy::SecretString;
use std::time::Duration;

pub(crate) const SUFFIX: &str = Slapd::SUFFIX;

pub(crate) fn dn(text: &str) -> Dn {
    Dn::parse(text).unwrap()
}

/// `RDNS,dc=example,dc=test`
pub(crate) fn below(rdns: &str) -> Dn {
    dn(&format!("{rdns},{SUFFIX}"))
}

pub(crate) fn filter(text: &str) -> Filter {
    Filter::parse(text).unwrap()
}

pub(crate) fn service(dn: &str, password: &str) -> Bind {
    Bind::Simple { name: dn.to_owned(), password: password.to_owned().into() }
}

/// The preset openldap on these servers.
pub(crate) fn settings(urls: &[String]) -> SourceSettings {
    SourceSettings {
        slug: "corp".to_owned(),
        servers: urls.iter().map(|url| LdapUrl::parse(url).unwrap()).collect(),
        base_dn: dn(SUFFIX),
        read_only: true,
        referrals: false,
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            operation: Duration::from_secs(15),
            sync: Duration::from_mins(1),
        },
        page_size: 1000,
        max_message: 64 << 20,
        bind: service(Slapd::SYNC_DN, Slapd::SYNC_PASSWORD),
        tls: TlsSettings::default(),
        users: UserSettings {
            base_dn: vec![below("ou=people")],
            scope: Scope::Subtree,
            filter: filter("(objectClass=inetOrgPerson)"),
            login_attributes: vec!["uid".to_owned()],
            dn_template: None,
            unique_id: "entryUUID".to_owned(),
        },
        groups: GroupSettings {
            base_dn: vec![below("ou=groups")],
            filter: filter("(objectClass=groupOfNames)"),
            name: vec!["cn".to_owned()],
            members: Members::OfGroup("member".to_owned()),
            member_value: MemberValue::Dn,
            nested: Nested::Walk,
        },
    }
}

pub(crate) fn on(slapd: &Slapd) -> SourceSettings {
    settings(&[slapd.url()])
}

/// A source with one thing changed.
pub(crate) fn source(slapd: &Slapd, change: impl FnOnce(&mut SourceSettings)) -> Source {
    let mut settings = on(slapd);
    change(&mut settings);
    Source::new(settings)
}

pub(crate) fn nothing() -> Wanted {
    Wanted::default()
}

pub(crate) fn secret(text: &str) -> SecretString {
    text.to_owned().into()
}

pub(crate) async fn person(source: &Source, name: &str) -> Person {
    match source.find(name, &nothing()).await.unwrap() {
        Found::One(person) => *person,
        other => panic!("{name}: {other:?}"),
    }
}

pub(crate) async fn groups_of(source: &Source, name: &str, named: &[GroupSelector]) -> Memberships {
    let person = person(source, name).await;
    source.memberships(&Reader::service(), &person, named).await
}

/// Their first names, sorted.
pub(crate) fn names(memberships: &Memberships) -> Vec<&str> {
    let mut names: Vec<_> =
        memberships.groups.iter().map(|group| group.names.first().map_or("", String::as_str)).collect();
    names.sort_unstable();
    names
}

pub(crate) fn named(name: &str) -> GroupSelector {
    GroupSelector::Name(name.to_owned())
}

pub(crate) fn at(rdns: &str) -> GroupSelector {
    GroupSelector::Dn(below(rdns))
}

/// What the directory says of a password, for somebody who is there.
pub(crate) async fn check(source: &Source, name: &str, password: &str) -> PasswordCheck {
    match source.authenticate(name, &secret(password), &nothing()).await.unwrap() {
        Authentication::Checked { check, .. } => check,
        Authentication::Nobody => panic!("{name}: nobody"),
        Authentication::Several(dns) => panic!("{name}: {dns:?}"),
    }
}

pub(crate) fn accepted(check: &PasswordCheck) -> bool {
    matches!(check, PasswordCheck::Accepted(_))
}
