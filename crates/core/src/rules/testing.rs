//! People and groups for the tests of rules and reconcile.

use super::{FieldRule, GroupExpression, RuleSet, Template};
use bindery_directory::{Attribute, Dn, Entry, Group, GroupSelector, Known, Memberships, Person};

pub(crate) fn dn(text: &str) -> Dn {
    Dn::parse(text).unwrap()
}

pub(crate) fn entry(attributes: &[(&str, &str)]) -> Entry {
    let mut list: Vec<Attribute> = Vec::new();
    for (name, value) in attributes {
        match list.iter_mut().find(|attribute| attribute.name == *name) {
            Some(attribute) => attribute.values.push(value.as_bytes().to_vec()),
            None => list.push(Attribute { name: (*name).to_owned(), values: vec![value.as_bytes().to_vec()] }),
        }
    }
    Entry::new("uid=ann,ou=people,dc=example", list)
}

/// Ann, with these attributes beside her `uid`.
pub(crate) fn ann(attributes: &[(&str, &str)]) -> Person {
    let mut all = vec![("uid", "Ann")];
    all.extend_from_slice(attributes);
    Person { entry: entry(&all), dn: dn("uid=ann,ou=people,dc=example"), unique_id: "entry-ann".to_owned() }
}

pub(crate) fn group_dn(name: &str) -> Dn {
    dn("ou=groups,dc=example").child("cn", name)
}

pub(crate) fn group(name: &str) -> Group {
    Group {
        dn: group_dn(name),
        names: vec![name.to_owned()],
        unique_id: Some(format!("entry-{name}")),
        direct: true,
        path: vec![group_dn(name)],
    }
}

pub(crate) fn selector(name: &str) -> GroupSelector {
    GroupSelector::Name(name.to_owned())
}

pub(crate) fn named(name: &str) -> GroupExpression {
    GroupExpression::Group(selector(name))
}

/// A member of `yes`; `no` are there, `missing` can't be found, `failed` could not be read.
pub(crate) fn memberships(yes: &[&str], no: &[&str], missing: &[&str], failed: &[&str]) -> Memberships {
    let mut memberships =
        Memberships { groups: yes.iter().map(|name| group(name)).collect(), ..Memberships::default() };
    let mut know = |names: &[&str], known: &Known| {
        memberships.known.extend(names.iter().map(|name| (selector(name), known.clone())));
    };
    know(yes, &Known::Found);
    know(no, &Known::Found);
    know(missing, &Known::NotFound);
    know(failed, &Known::Failed("timed out".to_owned()));
    memberships
}

/// Username from `uid`, in lower case, and nothing else.
pub(crate) fn rules() -> RuleSet {
    RuleSet {
        fields: [("username".to_owned(), FieldRule::attribute("uid"))].into(),
        cascade: true,
        lowercase_usernames: true,
        ..RuleSet::default()
    }
}

pub(crate) fn template(text: &str) -> FieldRule {
    FieldRule::template(Template::parse(text).unwrap())
}
