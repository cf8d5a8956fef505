//! Modify (RFC 4511, 4.6): all of the steps, in order, or none.

use super::add::check_values;
use super::{Identity, Refusal, attribute, parse_dn};
use crate::changes::ChangeKind;
use crate::directory::{Directory, Stamp, is_maintained};
use crate::node::{Node, Stored};
use crate::schema::{self, Description};
use bindery_ldap::codec::protocol::{ChangeOperation, ModifyRequest, ModifyRequestChanges, ResultCode};
use bindery_ldap::control::PasswordPolicyError;
use bindery_ldap::{Attribute, Dn};

/// What people may change about themselves.
const OWN: &[&str] =
    &["userpassword", "displayname", "telephonenumber", "mobile", "preferredlanguage", "jpegphoto", "description"];

/// Changes an entry.
pub(crate) fn modify(directory: &Directory, who: &Identity, request: &ModifyRequest) -> Result<(), Refusal> {
    let dn = parse_dn(&request.object)?;
    check_access(directory, who, &dn, &request.changes)?;
    directory.write(who.name(), |tree, stamp| {
        let node = tree.get(&dn).ok_or_else(|| Refusal::no_such_object(tree, &dn))?;
        let mut node = Node::clone(node);
        for change in &request.changes {
            step(directory, &mut node, change, stamp)?;
        }
        check_entry(&node)?;
        node.modified = stamp.at;
        node.modifier.clone_from(&stamp.by);
        node.csn = stamp.csn.to_string();
        let modified = ChangeKind::Modified { uuid: node.uuid, dn: node.dn.clone() };
        tree.insert(node);
        Ok(((), vec![modified]))
    })
}

fn check_access(
    directory: &Directory,
    who: &Identity,
    dn: &Dn,
    changes: &[ModifyRequestChanges],
) -> Result<(), Refusal> {
    let own = changes.iter().all(|change| OWN.contains(&Description::new(&change.modification.r#type).base.as_str()));
    if own && who.0.as_ref() == Some(dn) {
        return Ok(());
    }
    who.check_write(directory).map(|_| ())
}

fn step(directory: &Directory, node: &mut Node, change: &ModifyRequestChanges, stamp: &Stamp) -> Result<(), Refusal> {
    let change_of = attribute(&change.modification.r#type, change.modification.vals.to_vec());
    if is_maintained(&change_of.name) {
        return Err(Refusal::constraint(format!("{}: no user modification allowed", change_of.name)));
    }
    check_values(&change_of)?;
    if Description::new(&change_of.name).is_secret() {
        return passwords(directory, node, change.operation, &change_of.values, stamp);
    }
    match change.operation {
        ChangeOperation::Add => add(node, change_of),
        ChangeOperation::Delete => delete(node, &change_of),
        ChangeOperation::Replace => {
            let description = Description::new(&change_of.name);
            node.attributes.retain(|stored| stored.description != description);
            if change_of.values.is_empty() { Ok(()) } else { add(node, change_of) }
        }
    }
}

fn add(node: &mut Node, added: Attribute) -> Result<(), Refusal> {
    if added.values.is_empty() {
        return Err(Refusal::new(ResultCode::ProtocolError, format!("{}: no values", added.name)));
    }
    let description = Description::new(&added.name);
    let Some(there) = node.find_mut(&description) else {
        node.attributes.push(Stored::new(added));
        return Ok(());
    };
    for value in added.values {
        if there.contains(&value) {
            return Err(Refusal::new(
                ResultCode::AttributeOrValueExists,
                format!("{}: the value is there already", added.name),
            ));
        }
        there.attribute.values.push(value);
    }
    Ok(())
}

fn delete(node: &mut Node, deleted: &Attribute) -> Result<(), Refusal> {
    let missing = || Refusal::new(ResultCode::NoSuchAttribute, format!("{}: no such value", deleted.name));
    let description = Description::new(&deleted.name);
    let there = node.find_mut(&description).ok_or_else(missing)?;
    let syntax = description.syntax();
    for value in &deleted.values {
        let at = there.attribute.values.iter().position(|own| schema::equal(syntax, own, value)).ok_or_else(missing)?;
        there.attribute.values.remove(at);
    }
    if deleted.values.is_empty() || there.attribute.values.is_empty() {
        node.attributes.retain(|stored| stored.description != description);
    }
    Ok(())
}

/// Passwords are set, or taken away as a whole; deleting one by its value proves knowing it.
fn passwords(
    directory: &Directory,
    node: &mut Node,
    operation: ChangeOperation,
    values: &[Vec<u8>],
    stamp: &Stamp,
) -> Result<(), Refusal> {
    if operation == ChangeOperation::Delete {
        let before = node.passwords.len();
        node.passwords.retain(|own| !values.is_empty() && !values.iter().any(|value| own.verify(value)));
        if node.passwords.len() == before {
            return Err(Refusal::new(ResultCode::NoSuchAttribute, "userPassword: no such value"));
        }
        return Ok(());
    }
    if operation == ChangeOperation::Replace {
        node.passwords.clear();
    }
    for value in values {
        check_quality(directory, value)?;
        node.passwords.push(directory.password_value(value)?);
    }
    node.password_changed = Some(stamp.at);
    Ok(())
}

/// The one rule there is about new passwords.
pub(crate) fn check_quality(directory: &Directory, password: &[u8]) -> Result<(), Refusal> {
    let characters = String::from_utf8_lossy(password).chars().count();
    if characters >= directory.min_password_length && characters > 0 {
        return Ok(());
    }
    let message = format!("the password is too short: it needs {} characters", directory.min_password_length.max(1));
    Err(Refusal { policy: Some(PasswordPolicyError::PasswordTooShort), ..Refusal::constraint(message) })
}

/// What must hold after the last step.
pub(crate) fn check_entry(node: &Node) -> Result<(), Refusal> {
    for part in node.dn.leaf_values() {
        let named = Description::new(&part.attribute);
        let syntax = named.syntax();
        if !node.values(&named).any(|own| schema::equal(syntax, own, &part.value)) {
            return Err(Refusal::new(
                ResultCode::NotAllowedOnRdn,
                format!("{}: the entry is named by this value", part.attribute),
            ));
        }
    }
    if !node.has("objectClass") {
        return Err(Refusal::new(ResultCode::ObjectClassViolation, "no objectClass attribute"));
    }
    for (class, member) in [("groupOfNames", "member"), ("groupOfUniqueNames", "uniqueMember")] {
        if node.has_value("objectClass", class.as_bytes()) && !node.has(member) {
            return Err(Refusal::new(
                ResultCode::ObjectClassViolation,
                format!("object class '{class}' requires attribute '{member}'"),
            ));
        }
    }
    Ok(())
}
