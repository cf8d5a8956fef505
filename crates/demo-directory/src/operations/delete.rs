//! Delete (RFC 4511, 4.8).

use super::{Identity, Refusal, parse_dn};
use crate::changes::ChangeKind;
use crate::directory::Directory;
use bindery_ldap::codec::protocol::{DelRequest, ResultCode};

/// Deletes an entry with nothing below it. Groups keep naming it, as they do in most directories.
pub(crate) fn delete(directory: &Directory, who: &Identity, request: &DelRequest) -> Result<(), Refusal> {
    let by = who.check_write(directory)?;
    let dn = parse_dn(&request.0)?;
    directory.write(by.as_str(), |tree, _| {
        if tree.get(&dn).is_none() {
            return Err(Refusal::no_such_object(tree, &dn));
        }
        if tree.has_children(&dn) {
            return Err(Refusal::new(ResultCode::NotAllowedOnNonLeaf, "there are entries below it"));
        }
        let deleted = tree.remove(&dn).map(|node| ChangeKind::Deleted { uuid: node.uuid, dn: node.dn.clone() });
        Ok(((), deleted.into_iter().collect()))
    })
}
