//! Filters as the protocol's own type, both ways.

use super::{Filter, MAX_DEPTH};
use rasn_ldap::{AttributeValueAssertion, LdapString, MatchingRuleAssertion, SubstringChoice, SubstringFilter};

/// Why a filter from the wire is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("the filter is nested too deeply")]
    TooDeep,
    /// A substrings filter without substrings, or with them out of order (RFC 4511, 4.5.1.7.2).
    #[error("the substrings of a filter are not in order")]
    Substrings,
    /// An extensible match with neither attribute nor rule (RFC 4511, 4.5.1.7.7).
    #[error("an extensible match names neither an attribute nor a matching rule")]
    Extensible,
    /// A kind of filter that RFC 4511 does not have.
    #[error("the filter is of an unknown kind")]
    Unknown,
}

impl From<&Filter> for rasn_ldap::Filter {
    fn from(filter: &Filter) -> Self {
        match filter {
            Filter::And(filters) => Self::And(filters.iter().map(Self::from).collect::<Vec<_>>().into()),
            Filter::Or(filters) => Self::Or(filters.iter().map(Self::from).collect::<Vec<_>>().into()),
            Filter::Not(filter) => Self::Not(Box::new(Self::from(filter.as_ref()))),
            Filter::Equal { attribute, value } => Self::EqualityMatch(assertion(attribute, value)),
            Filter::GreaterOrEqual { attribute, value } => Self::GreaterOrEqual(assertion(attribute, value)),
            Filter::LessOrEqual { attribute, value } => Self::LessOrEqual(assertion(attribute, value)),
            Filter::Approx { attribute, value } => Self::ApproxMatch(assertion(attribute, value)),
            Filter::Present(attribute) => Self::Present(attribute.as_str().into()),
            Filter::Substrings { attribute, initial, any, last } => {
                let initial = initial.iter().map(|part| SubstringChoice::Initial(part.clone().into()));
                let any = any.iter().map(|part| SubstringChoice::Any(part.clone().into()));
                let last = last.iter().map(|part| SubstringChoice::Final(part.clone().into()));
                Self::Substrings(SubstringFilter::new(
                    attribute.as_str().into(),
                    initial.chain(any).chain(last).collect(),
                ))
            }
            Filter::Extensible { rule, attribute, value, dn_attributes } => {
                Self::ExtensibleMatch(MatchingRuleAssertion::new(
                    rule.as_deref().map(LdapString::from),
                    attribute.as_deref().map(LdapString::from),
                    value.clone().into(),
                    *dn_attributes,
                ))
            }
        }
    }
}

fn assertion(attribute: &str, value: &[u8]) -> AttributeValueAssertion {
    AttributeValueAssertion::new(attribute.into(), value.to_vec().into())
}

impl TryFrom<&rasn_ldap::Filter> for Filter {
    type Error = WireError;

    fn try_from(filter: &rasn_ldap::Filter) -> Result<Self, WireError> {
        convert(filter, MAX_DEPTH)
    }
}

impl TryFrom<rasn_ldap::Filter> for Filter {
    type Error = WireError;

    fn try_from(filter: rasn_ldap::Filter) -> Result<Self, WireError> {
        convert(&filter, MAX_DEPTH)
    }
}

fn convert(filter: &rasn_ldap::Filter, depth: usize) -> Result<Filter, WireError> {
    use rasn_ldap::Filter as Wire;
    let depth = depth.checked_sub(1).ok_or(WireError::TooDeep)?;
    Ok(match filter {
        Wire::And(filters) => Filter::And(convert_all(filters, depth)?),
        Wire::Or(filters) => Filter::Or(convert_all(filters, depth)?),
        Wire::Not(filter) => Filter::Not(Box::new(convert(filter, depth)?)),
        Wire::EqualityMatch(item) => {
            let (attribute, value) = parts(item);
            Filter::Equal { attribute, value }
        }
        Wire::GreaterOrEqual(item) => {
            let (attribute, value) = parts(item);
            Filter::GreaterOrEqual { attribute, value }
        }
        Wire::LessOrEqual(item) => {
            let (attribute, value) = parts(item);
            Filter::LessOrEqual { attribute, value }
        }
        Wire::ApproxMatch(item) => {
            let (attribute, value) = parts(item);
            Filter::Approx { attribute, value }
        }
        Wire::Present(attribute) => Filter::Present(attribute.0.clone()),
        Wire::Substrings(substrings) => convert_substrings(substrings)?,
        Wire::ExtensibleMatch(matching) => {
            if matching.matching_rule.is_none() && matching.r#type.is_none() {
                return Err(WireError::Extensible);
            }
            Filter::Extensible {
                rule: matching.matching_rule.as_ref().map(|rule| rule.0.clone()),
                attribute: matching.r#type.as_ref().map(|attribute| attribute.0.clone()),
                value: matching.match_value.to_vec(),
                dn_attributes: matching.dn_attributes,
            }
        }
        _ => return Err(WireError::Unknown),
    })
}

fn convert_all(filters: &rasn::types::SetOf<rasn_ldap::Filter>, depth: usize) -> Result<Vec<Filter>, WireError> {
    filters.to_vec().into_iter().map(|filter| convert(filter, depth)).collect()
}

fn parts(item: &AttributeValueAssertion) -> (String, Vec<u8>) {
    (item.attribute_desc.0.clone(), item.assertion_value.to_vec())
}

/// `initial` may only come first and `final` only last; at least one part must be there.
fn convert_substrings(substrings: &SubstringFilter) -> Result<Filter, WireError> {
    let (mut initial, mut any, mut last) = (None, Vec::new(), None);
    for (at, part) in substrings.substrings.iter().enumerate() {
        if last.is_some() {
            return Err(WireError::Substrings);
        }
        match part {
            SubstringChoice::Initial(value) if at == 0 => initial = Some(value.to_vec()),
            SubstringChoice::Any(value) => any.push(value.to_vec()),
            SubstringChoice::Final(value) => last = Some(value.to_vec()),
            _ => return Err(WireError::Substrings),
        }
    }
    if substrings.substrings.is_empty() {
        return Err(WireError::Substrings);
    }
    Ok(Filter::Substrings { attribute: substrings.r#type.0.clone(), initial, any, last })
}
