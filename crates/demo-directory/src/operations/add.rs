//! Add (RFC 4511, 4.7).

use super::{Identity, Refusal, attribute, parse_dn};
use crate::changes::ChangeKind;
use crate::directory::{Directory, is_maintained};
use crate::schema::{self, Description};
use bindery_ldap::Attribute;
use bindery_ldap::codec::protocol::{AddRequest, ResultCode};

/// Adds an entry below one that is there.
pub(crate) fn add(directory: &Directory, who: &Identity, request: &AddRequest) -> Result<(), Refusal> {
    let by = who.check_write(directory)?;
    let dn = parse_dn(&request.entry)?;
    let attributes: Vec<Attribute> =
        request.attributes.iter().map(|own| attribute(&own.r#type, own.vals.to_vec())).collect();
    check(&attributes)?;
    directory.write(by.as_str(), |tree, stamp| {
        if dn.is_root() || tree.get(&dn).is_some() {
            return Err(Refusal::new(ResultCode::EntryAlreadyExists, "there is such an entry already"));
        }
        if dn.parent().is_none_or(|parent| tree.get(&parent).is_none()) {
            return Err(Refusal {
                message: "the entry above it is not there".into(),
                ..Refusal::no_such_object(tree, &dn)
            });
        }
        let node = directory.node(dn.clone(), &attributes, stamp)?;
        let added = ChangeKind::Added { uuid: node.uuid, dn };
        tree.insert(node);
        Ok(((), vec![added]))
    })
}

fn check(attributes: &[Attribute]) -> Result<(), Refusal> {
    if !attributes.iter().any(|own| Description::new(&own.name).base == "objectclass") {
        return Err(Refusal::new(ResultCode::ObjectClassViolation, "no objectClass attribute"));
    }
    for attribute in attributes {
        if is_maintained(&attribute.name) {
            return Err(Refusal::constraint(format!("{}: no user modification allowed", attribute.name)));
        }
        if attribute.values.is_empty() {
            return Err(Refusal::new(ResultCode::ProtocolError, format!("{}: no values", attribute.name)));
        }
        check_values(attribute)?;
    }
    Ok(())
}

/// Every value must be of the attribute's syntax, and there only once.
pub(crate) fn check_values(attribute: &Attribute) -> Result<(), Refusal> {
    let syntax = Description::new(&attribute.name).syntax();
    let mut seen = std::collections::HashSet::new();
    for value in &attribute.values {
        let Some(normalized) = schema::normalize(syntax, value) else {
            return Err(Refusal::new(
                ResultCode::InvalidAttributeSyntax,
                format!("{}: invalid per syntax", attribute.name),
            ));
        };
        if !seen.insert(normalized.into_owned()) {
            return Err(Refusal::new(
                ResultCode::AttributeOrValueExists,
                format!("{}: the same value twice", attribute.name),
            ));
        }
    }
    Ok(())
}
