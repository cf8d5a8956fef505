//! Many people, for tests of scale.

use bindery_ldap::{Attribute, Dn, Entry};

/// A tree below `base` (the entry itself included) with so many people, `u00001` and on, each in one of the
/// groups `g001` and on of `per_group` members. All have the password `demo`.
///
/// ```
/// use bindery_ldap::Dn;
/// let entries = bindery_demo_directory::crowd(&Dn::parse("dc=crowd,dc=example")?, 100, 50);
/// assert_eq!(entries.len(), 3 + 100 + 2);
/// # Ok::<(), bindery_ldap::DnError>(())
/// ```
pub fn crowd(base: &Dn, people: usize, per_group: usize) -> Vec<Entry> {
    let (houses, teams) = (base.child("ou", "people"), base.child("ou", "groups"));
    let mut entries = vec![
        entry(base, &[("objectClass", "top"), ("objectClass", "domain")]),
        entry(&houses, &[("objectClass", "organizationalUnit")]),
        entry(&teams, &[("objectClass", "organizationalUnit")]),
    ];
    let mut members = Vec::new();
    for number in 1..=people {
        let uid = format!("u{number:05}");
        let dn = houses.child("uid", &uid);
        let (sn, mail, cn) =
            (format!("Person {number}"), format!("{uid}@crowd.example"), format!("Crowd Person {number}"));
        entries.push(entry(
            &dn,
            &[
                ("objectClass", "inetOrgPerson"),
                ("cn", &cn),
                ("givenName", "Crowd"),
                ("sn", &sn),
                ("mail", &mail),
                ("userPassword", crate::company::PASSWORD),
            ],
        ));
        members.push(dn.to_string());
    }
    for (at, members) in members.chunks(per_group.max(1)).enumerate() {
        let cn = format!("g{:03}", at.saturating_add(1));
        let mut attributes = vec![("objectClass", "groupOfNames")];
        attributes.extend(members.iter().map(|member| ("member", member.as_str())));
        entries.push(entry(&teams.child("cn", &cn), &attributes));
    }
    entries
}

fn entry(dn: &Dn, pairs: &[(&str, &str)]) -> Entry {
    let mut attributes: Vec<Attribute> = Vec::new();
    for (name, value) in pairs {
        match attributes.last_mut().filter(|last| last.name == *name) {
            Some(last) => last.values.push(value.as_bytes().to_vec()),
            None => attributes.push(crate::node::text(name, (*value).to_owned())),
        }
    }
    Entry::new(dn.as_str(), attributes)
}
