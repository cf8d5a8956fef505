//! Modify DN (RFC 4511, 4.9): another name, another place, with all that lies below.

use super::modify::check_entry;
use super::{Identity, Refusal, parse_dn};
use crate::changes::ChangeKind;
use crate::directory::{Directory, Stamp};
use crate::node::{Node, Stored};
use crate::schema::Description;
use crate::tree::Tree;
use bindery_ldap::codec::protocol::{ModifyDnRequest, ResultCode};
use bindery_ldap::{Attribute, Dn};

/// Renames or moves an entry. Groups keep naming the old name, as they do in most directories.
pub(crate) fn modify_dn(directory: &Directory, who: &Identity, request: &ModifyDnRequest) -> Result<(), Refusal> {
    let by = who.check_write(directory)?;
    let old = parse_dn(&request.entry)?;
    let rdn = parse_dn(&request.new_rdn)?;
    if rdn.depth() != 1 {
        return Err(Refusal::new(ResultCode::InvalidDnSyntax, "the new RDN is not one RDN"));
    }
    let superior = request.new_superior.as_ref().map(|superior| parse_dn(superior)).transpose()?;
    directory.write(by.as_str(), |tree, stamp| {
        let parent = match superior {
            Some(superior) => superior,
            None => old.parent().ok_or_else(|| Refusal::new(ResultCode::UnwillingToPerform, "the root has no name"))?,
        };
        let new = rdn.moved_to(&parent);
        check_move(tree, &old, &new, &parent)?;
        Ok(((), rename(tree, &old, &new, request.delete_old_rdn, stamp)?))
    })
}

fn check_move(tree: &Tree, old: &Dn, new: &Dn, parent: &Dn) -> Result<(), Refusal> {
    if tree.get(old).is_none() {
        return Err(Refusal::no_such_object(tree, old));
    }
    if tree.get(parent).is_none() {
        return Err(Refusal::no_such_object(tree, new));
    }
    if parent.is_within(old) {
        return Err(Refusal::new(ResultCode::UnwillingToPerform, "an entry cannot lie below itself"));
    }
    if new != old && tree.get(new).is_some() {
        return Err(Refusal::new(ResultCode::EntryAlreadyExists, "there is such an entry already"));
    }
    Ok(())
}

/// Moves the entry and what lies below it. Everything is made before anything is put in place.
fn rename(
    tree: &mut Tree,
    old: &Dn,
    new: &Dn,
    delete_old_rdn: bool,
    stamp: &Stamp,
) -> Result<Vec<ChangeKind>, Refusal> {
    let below: Vec<Node> = tree.subtree(old).map(|node| Node::clone(node)).collect();
    let old_names: Vec<Dn> = below.iter().map(|node| node.dn.clone()).collect();
    let mut moved = below;
    for node in &mut moved {
        node.dn = if node.dn == *old { new.clone() } else { replace_base(&node.dn, old, new) };
    }
    if let Some(top) = moved.first_mut() {
        name_after(top, old, new, delete_old_rdn);
        check_entry(top)?;
        top.modified = stamp.at;
        top.modifier.clone_from(&stamp.by);
        top.csn = stamp.csn.to_string();
    }
    let changes = moved.iter().map(|node| ChangeKind::Modified { uuid: node.uuid, dn: node.dn.clone() }).collect();
    for name in old_names.iter().rev() {
        tree.remove(name);
    }
    for node in moved {
        tree.insert(node);
    }
    Ok(changes)
}

/// A name below `old`, put below `new`.
fn replace_base(dn: &Dn, old: &Dn, new: &Dn) -> Dn {
    match dn.parent() {
        Some(parent) if parent == *old => dn.moved_to(new),
        Some(parent) if parent.depth() > old.depth() => dn.moved_to(&replace_base(&parent, old, new)),
        _ => dn.clone(),
    }
}

/// The values of the new RDN come, those of the old one go where that was asked for.
fn name_after(node: &mut Node, old: &Dn, new: &Dn, delete_old_rdn: bool) {
    if delete_old_rdn {
        for part in old.leaf_values() {
            let description = Description::new(&part.attribute);
            let syntax = description.syntax();
            if let Some(stored) = node.find_mut(&description) {
                stored.attribute.values.retain(|own| !crate::schema::equal(syntax, own, &part.value));
            }
        }
    }
    for part in new.leaf_values() {
        let description = Description::new(&part.attribute);
        match node.find_mut(&description) {
            Some(stored) if stored.contains(&part.value) => {}
            Some(stored) => stored.attribute.values.push(part.value),
            None => node.attributes.push(Stored::new(Attribute { name: part.attribute, values: vec![part.value] })),
        }
    }
    node.attributes.retain(|stored| !stored.attribute.values.is_empty());
}
