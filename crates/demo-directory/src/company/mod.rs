//! Larkspur Press: a small publisher, believable enough to sign in to.

use bindery_ldap::ldif::parse_entries;
use bindery_ldap::{Dn, Entry};

/// The company as LDIF.
pub const LDIF: &str = include_str!("larkspur.ldif");
/// Everything is below this.
pub const BASE_DN: &str = "dc=larkspur,dc=example";
/// All people are below this.
pub const PEOPLE_DN: &str = "ou=people,dc=larkspur,dc=example";
/// All groups are below this.
pub const GROUPS_DN: &str = "ou=groups,dc=larkspur,dc=example";
/// The password of everybody.
pub const PASSWORD: &str = "demo";
/// Who an application searches as; reads everything but passwords and writes nothing.
pub const SERVICE_DN: &str = "cn=bindery,ou=services,dc=larkspur,dc=example";
/// Its password.
pub const SERVICE_PASSWORD: &str = "demo-service";
/// Who may change everything.
pub const ADMIN_DN: &str = "cn=admin,dc=larkspur,dc=example";
/// Their password.
pub const ADMIN_PASSWORD: &str = "demo-admin";

/// Somebody who works there, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// What they type: the `uid`.
    pub username: String,
    /// What they type as well.
    pub password: &'static str,
    /// Given name and surname.
    pub name: String,
    /// What they do.
    pub title: String,
    /// Where their entry is.
    pub dn: String,
    /// The groups that name them, without those that name these.
    pub groups: Vec<String>,
    /// Whether they get in.
    pub standing: Standing,
}

/// Whether somebody gets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// With their password.
    Good,
    /// Switched off by an administrator (`nsAccountLock`).
    Disabled,
    /// Locked after wrong passwords (`pwdAccountLockedTime`).
    Locked,
    /// The account ended (`shadowExpire`).
    Expired,
}

/// The entries of the company.
pub fn entries() -> Vec<Entry> {
    // A test reads the file, so there is nothing here that could fail.
    parse_entries(LDIF).unwrap_or_default()
}

/// Who may change everything.
pub fn administrators() -> Vec<Dn> {
    Dn::parse(ADMIN_DN).into_iter().collect()
}

/// Everybody, in the order of the file.
pub fn people() -> Vec<Person> {
    let entries = entries();
    let groups: Vec<&Entry> = entries.iter().filter(|entry| entry.has("member")).collect();
    entries.iter().filter(|entry| entry.has("uid")).filter_map(|entry| person(entry, &groups)).collect()
}

fn person(entry: &Entry, groups: &[&Entry]) -> Option<Person> {
    let dn = entry.dn_text().into_owned();
    let named = groups.iter().filter(|group| group.texts("member").any(|member| member == dn));
    let standing = if entry.text("nsAccountLock") == Some("TRUE") {
        Standing::Disabled
    } else if entry.has("pwdAccountLockedTime") {
        Standing::Locked
    } else if entry.has("shadowExpire") {
        Standing::Expired
    } else {
        Standing::Good
    };
    Some(Person {
        username: entry.text("uid")?.to_owned(),
        password: PASSWORD,
        name: entry.text("cn")?.to_owned(),
        title: entry.text("title").unwrap_or_default().to_owned(),
        groups: named.filter_map(|group| group.text("cn")).map(str::to_owned).collect(),
        dn,
        standing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_file_is_whole() {
        let entries = parse_entries(LDIF).expect("LDIF");
        let names: HashSet<Dn> = entries.iter().map(|entry| entry.dn().expect("a DN")).collect();
        assert_eq!(names.len(), entries.len(), "a name is there twice");
        for entry in &entries {
            let dn = entry.dn().expect("a DN");
            assert!(
                dn.as_str() == BASE_DN || dn.parent().is_some_and(|parent| names.contains(&parent)),
                "{dn} hangs in the air"
            );
            for name in ["member", "manager"] {
                for value in entry.texts(name) {
                    assert!(names.contains(&Dn::parse(value).expect("a DN")), "{dn} names {value}, who is not there");
                }
            }
        }
        for dn in [PEOPLE_DN, GROUPS_DN, SERVICE_DN, ADMIN_DN] {
            assert!(names.contains(&Dn::parse(dn).expect("a DN")), "{dn}");
        }
    }

    #[test]
    fn everybody_is_complete() {
        let people = people();
        assert!(people.len() >= 18);
        for person in &people {
            assert!(!person.name.is_empty() && !person.title.is_empty() && !person.groups.is_empty(), "{person:?}");
        }
        for standing in [Standing::Disabled, Standing::Locked, Standing::Expired] {
            assert_eq!(people.iter().filter(|person| person.standing == standing).count(), 1, "{standing:?}");
        }
        let numbers: HashSet<String> =
            entries().iter().filter_map(|entry| entry.text("employeeNumber").map(str::to_owned)).collect();
        assert_eq!(numbers.len(), people.len());
    }
}
