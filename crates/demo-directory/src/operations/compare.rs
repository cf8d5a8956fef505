//! Compare (RFC 4511, 4.10).

use super::{Identity, Refusal, parse_dn};
use crate::directory::Directory;
use crate::matching::maintained;
use crate::schema::{self, Description};
use bindery_ldap::codec::protocol::{CompareRequest, ResultCode};

/// Whether an entry has a value.
pub(crate) fn compare(directory: &Directory, who: &Identity, request: &CompareRequest) -> Result<bool, Refusal> {
    who.check_read()?;
    let dn = parse_dn(&request.entry)?;
    let description = Description::new(&request.ava.attribute_desc);
    if description.is_secret() {
        return Err(Refusal::new(ResultCode::InsufficientAccessRights, "passwords are compared by bind alone"));
    }
    let state = directory.read();
    let node = state.tree.get(&dn).ok_or_else(|| Refusal::no_such_object(&state.tree, &dn))?;
    let syntax = description.syntax();
    let wanted = &request.ava.assertion_value;
    let computed = maintained(node, &state.tree, &|name| name.eq_ignore_ascii_case(&description.base));
    let mut values = node
        .values(&description)
        .chain(computed.iter().flat_map(|attribute| attribute.values.iter().map(Vec::as_slice)))
        .peekable();
    if values.peek().is_none() {
        return Err(Refusal::new(ResultCode::NoSuchAttribute, "the entry has no such attribute"));
    }
    Ok(values.any(|own| schema::equal(syntax, own, wanted)))
}
