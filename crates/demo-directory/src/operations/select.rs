//! Which attributes of an entry are returned (RFC 4511, 4.5.1.8; RFC 3673).

use crate::matching::maintained;
use crate::node::Node;
use crate::schema::{Description, Usage};
use crate::tree::Tree;
use bindery_ldap::Attribute;
use bindery_ldap::codec::protocol::{PartialAttribute, SearchResultEntry};
use rasn::types::SetOf;

/// What was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    user: bool,
    operational: bool,
    names: Vec<Description>,
    types_only: bool,
}

impl Selection {
    /// Nothing asked for is everything; `1.1` is nothing.
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a str>, types_only: bool) -> Self {
        let names: Vec<&str> = names.into_iter().collect();
        Self {
            user: names.is_empty() || names.contains(&"*"),
            operational: names.contains(&"+"),
            names: names
                .iter()
                .filter(|name| !matches!(**name, "*" | "+" | "1.1"))
                .map(|name| Description::new(name))
                .collect(),
            types_only,
        }
    }

    fn takes(&self, description: &Description, usage: Usage) -> bool {
        let kind = if usage == Usage::User { self.user } else { self.operational };
        !description.is_secret() && (kind || self.names.iter().any(|name| name.covers(description)))
    }

    /// Whether anything that the directory works out is asked for.
    fn takes_maintained(&self) -> bool {
        self.operational || self.names.iter().any(|name| name.usage() == Usage::Maintained)
    }

    pub(crate) fn entry(&self, node: &Node, tree: &Tree) -> SearchResultEntry {
        let own = node.attributes.iter().filter(|stored| self.takes(&stored.description, stored.description.usage()));
        let mut attributes: Vec<PartialAttribute> = own.map(|stored| self.partial(&stored.attribute)).collect();
        if self.takes_maintained() {
            let wants = |name: &str| {
                self.operational
                    || self
                        .names
                        .iter()
                        .any(|wanted| wanted.options.is_empty() && wanted.base.eq_ignore_ascii_case(name))
            };
            attributes.extend(maintained(node, tree, &wants).iter().map(|own| self.partial(own)));
        }
        SearchResultEntry::new(node.dn.as_str().into(), attributes)
    }

    /// An entry that is in no tree.
    pub(crate) fn other(&self, dn: &str, user: &[Attribute], operational: &[Attribute]) -> SearchResultEntry {
        let of = |attributes: &[Attribute], usage: Usage| -> Vec<PartialAttribute> {
            let taken = attributes.iter().filter(|own| self.takes(&Description::new(&own.name), usage));
            taken.map(|own| self.partial(own)).collect()
        };
        let mut attributes = of(user, Usage::User);
        attributes.extend(of(operational, Usage::Maintained));
        SearchResultEntry::new(dn.into(), attributes)
    }

    fn partial(&self, attribute: &Attribute) -> PartialAttribute {
        let values = if self.types_only {
            Vec::new()
        } else {
            attribute.values.iter().map(|value| value.as_slice().into()).collect()
        };
        PartialAttribute::new(attribute.name.as_str().into(), SetOf::from_vec(values))
    }
}
