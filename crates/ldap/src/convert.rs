//! Between the types of this crate and those of `rasn-ldap`: requests on their way out, and filters both
//! ways (a server on the same codec reads them).

use crate::codec::protocol as wire;
use crate::filter::MAX_DEPTH;
use crate::ldif::{Modification, ModificationKind};
use crate::{Attribute, Control, Error, Filter, Scope, SearchRequest};
use rasn::prelude::*;
use wire::{AttributeValueAssertion, MatchingRuleAssertion, SubstringChoice, SubstringFilter};

/// A filter for the wire.
pub(crate) fn filter(filter: &Filter) -> Result<wire::Filter, Error> {
    filter_at(filter, MAX_DEPTH)
}

fn filter_at(filter: &Filter, depth: usize) -> Result<wire::Filter, Error> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(request("the filter is nested too deep"));
    };
    let all = |filters: &[Filter]| -> Result<SetOf<wire::Filter>, Error> {
        let filters: Vec<_> = filters.iter().map(|f| filter_at(f, depth)).collect::<Result<_, _>>()?;
        Ok(SetOf::from_vec(filters))
    };
    Ok(match filter {
        Filter::And(filters) => wire::Filter::And(all(filters)?),
        Filter::Or(filters) => wire::Filter::Or(all(filters)?),
        Filter::Not(inner) => wire::Filter::Not(Box::new(filter_at(inner, depth)?)),
        Filter::Equal { attribute, value } => wire::Filter::EqualityMatch(assertion(attribute, value)),
        Filter::GreaterOrEqual { attribute, value } => wire::Filter::GreaterOrEqual(assertion(attribute, value)),
        Filter::LessOrEqual { attribute, value } => wire::Filter::LessOrEqual(assertion(attribute, value)),
        Filter::Approx { attribute, value } => wire::Filter::ApproxMatch(assertion(attribute, value)),
        Filter::Present(attribute) => wire::Filter::Present(attribute.as_str().into()),
        Filter::Substrings { attribute, initial, any, last } => {
            let initial = initial.iter().map(|v| SubstringChoice::Initial(octets(v)));
            let any = any.iter().map(|v| SubstringChoice::Any(octets(v)));
            let last = last.iter().map(|v| SubstringChoice::Final(octets(v)));
            let parts: Vec<_> = initial.chain(any).chain(last).collect();
            if parts.is_empty() {
                return Err(request("a substring filter without substrings"));
            }
            wire::Filter::Substrings(SubstringFilter::new(attribute.as_str().into(), parts))
        }
        Filter::Extensible { rule, attribute, value, dn_attributes } => {
            wire::Filter::ExtensibleMatch(MatchingRuleAssertion::new(
                rule.as_deref().map(Into::into),
                attribute.as_deref().map(Into::into),
                octets(value),
                *dn_attributes,
            ))
        }
    })
}

/// A filter from the wire, for servers on the same codec. The codec has bounded its depth.
impl TryFrom<wire::Filter> for Filter {
    type Error = Error;

    fn try_from(filter: wire::Filter) -> Result<Self, Error> {
        let all = |filters: SetOf<wire::Filter>| -> Result<Vec<Self>, Error> {
            filters.to_vec().into_iter().cloned().map(Self::try_from).collect()
        };
        let value = |a: AttributeValueAssertion| (a.attribute_desc.0, vec(a.assertion_value));
        Ok(match filter {
            wire::Filter::And(filters) => Self::And(all(filters)?),
            wire::Filter::Or(filters) => Self::Or(all(filters)?),
            wire::Filter::Not(inner) => Self::Not(Box::new(Self::try_from(*inner)?)),
            wire::Filter::EqualityMatch(a) => {
                let (attribute, value) = value(a);
                Self::Equal { attribute, value }
            }
            wire::Filter::GreaterOrEqual(a) => {
                let (attribute, value) = value(a);
                Self::GreaterOrEqual { attribute, value }
            }
            wire::Filter::LessOrEqual(a) => {
                let (attribute, value) = value(a);
                Self::LessOrEqual { attribute, value }
            }
            wire::Filter::ApproxMatch(a) => {
                let (attribute, value) = value(a);
                Self::Approx { attribute, value }
            }
            wire::Filter::Present(attribute) => Self::Present(attribute.0),
            wire::Filter::Substrings(filter) => substrings(filter)?,
            wire::Filter::ExtensibleMatch(m) => Self::Extensible {
                rule: m.matching_rule.map(|rule| rule.0),
                attribute: m.r#type.map(|attribute| attribute.0),
                value: vec(m.match_value),
                dn_attributes: m.dn_attributes,
            },
            _ => return Err(malformed("a filter of an unknown kind")),
        })
    }
}

/// RFC 4511, 4.5.1.7.2: initial only first, final only last.
fn substrings(filter: SubstringFilter) -> Result<Filter, Error> {
    let count = filter.substrings.len();
    let (mut initial, mut any, mut last) = (None, vec![], None);
    for (at, part) in filter.substrings.into_iter().enumerate() {
        match part {
            SubstringChoice::Initial(value) if at == 0 => initial = Some(vec(value)),
            SubstringChoice::Any(value) => any.push(vec(value)),
            SubstringChoice::Final(value) if at + 1 == count => last = Some(vec(value)),
            _ => return Err(malformed("substrings out of order")),
        }
    }
    if count == 0 {
        return Err(malformed("a substring filter without substrings"));
    }
    Ok(Filter::Substrings { attribute: filter.r#type.0, initial, any, last })
}

pub(crate) fn search(search: &SearchRequest) -> Result<wire::ProtocolOp, Error> {
    let scope = match search.scope {
        Scope::Base => wire::SearchRequestScope::BaseObject,
        Scope::One => wire::SearchRequestScope::SingleLevel,
        Scope::Subtree => wire::SearchRequestScope::WholeSubtree,
    };
    Ok(wire::ProtocolOp::SearchRequest(wire::SearchRequest::new(
        search.base.as_str().into(),
        scope,
        wire::SearchRequestDerefAliases::NeverDerefAliases,
        search.size_limit.min(i32::MAX as u32),
        search.time_limit_seconds.min(i32::MAX as u32),
        search.types_only,
        filter(&search.filter)?,
        search.attributes.iter().map(|a| a.as_str().into()).collect(),
    )))
}

pub(crate) fn add(dn: &str, attributes: &[Attribute]) -> wire::ProtocolOp {
    let attribute = |a: &Attribute| {
        let values: Vec<_> = a.values.iter().map(|v| octets(v)).collect();
        wire::Attribute::new(a.name.as_str().into(), SetOf::from_vec(values))
    };
    wire::ProtocolOp::AddRequest(wire::AddRequest {
        entry: dn.into(),
        attributes: attributes.iter().map(attribute).collect(),
    })
}

/// `rasn-ldap` does not know increment (RFC 4525), hence a type of our own.
#[derive(AsnType, Encode)]
#[rasn(tag(application, 6))]
pub(crate) struct ModifyRequest {
    object: wire::LdapDn,
    changes: Vec<Change>,
}

#[derive(AsnType, Encode)]
struct Change {
    operation: ChangeOperation,
    modification: wire::PartialAttribute,
}

#[derive(AsnType, Encode, Debug, Clone, Copy, PartialEq, Eq)]
#[rasn(enumerated)]
enum ChangeOperation {
    Add = 0,
    Delete = 1,
    Replace = 2,
    Increment = 3,
}

pub(crate) fn modify(dn: &str, changes: &[Modification]) -> ModifyRequest {
    let change = |change: &Modification| {
        let values: Vec<_> = change.attribute.values.iter().map(|v| octets(v)).collect();
        Change {
            operation: match change.kind {
                ModificationKind::Add => ChangeOperation::Add,
                ModificationKind::Delete => ChangeOperation::Delete,
                ModificationKind::Replace => ChangeOperation::Replace,
                ModificationKind::Increment => ChangeOperation::Increment,
            },
            modification: wire::PartialAttribute::new(change.attribute.name.as_str().into(), SetOf::from_vec(values)),
        }
    };
    ModifyRequest { object: dn.into(), changes: changes.iter().map(change).collect() }
}

/// The controls of a message, tag included; empty when there are none.
pub(crate) fn controls(controls: &[Control]) -> Result<Vec<u8>, Error> {
    #[derive(AsnType, Encode)]
    #[rasn(delegate, tag(0))]
    struct Controls(Vec<wire::Control>);

    if controls.is_empty() {
        return Ok(vec![]);
    }
    let control =
        |c: &Control| wire::Control::new(octets(c.oid.as_bytes()), c.critical, c.value.clone().map(OctetString::from));
    encode(&Controls(controls.iter().map(control).collect()))
}

pub(crate) fn encode<T: rasn::Encode>(value: &T) -> Result<Vec<u8>, Error> {
    rasn::ber::encode(value).map_err(|error| request(&error.to_string()))
}

pub(crate) fn octets(value: &[u8]) -> OctetString {
    OctetString::from(value.to_vec())
}

fn assertion(attribute: &str, value: &[u8]) -> AttributeValueAssertion {
    AttributeValueAssertion::new(attribute.into(), octets(value))
}

fn request(reason: &str) -> Error {
    Error::Request { reason: reason.to_owned() }
}

fn malformed(reason: &str) -> Error {
    Error::Malformed { reason: reason.to_owned() }
}

fn vec(octets: OctetString) -> Vec<u8> {
    Vec::from(bytes::Bytes::from(octets))
}
