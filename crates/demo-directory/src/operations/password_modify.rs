//! Password Modify (RFC 3062).
#![allow(clippy::no_effect_underscore_binding, reason = "what the derives of rasn expand to")]

use super::modify::check_quality;
use super::{Identity, Refusal, parse_dn};
use crate::changes::ChangeKind;
use crate::directory::Directory;
use crate::node::Node;
use crate::schema::Description;
use bindery_ldap::codec::protocol::ResultCode;
use rasn::prelude::*;

#[derive(AsnType, Decode, Encode, Default)]
struct Request {
    #[rasn(tag(0))]
    user: Option<OctetString>,
    #[rasn(tag(1))]
    old: Option<OctetString>,
    #[rasn(tag(2))]
    new: Option<OctetString>,
}

#[derive(AsnType, Decode, Encode)]
struct Response {
    #[rasn(tag(0))]
    generated: Option<OctetString>,
}

/// Sets a password; makes one where none is given, and answers with it.
pub(crate) fn password_modify(
    directory: &Directory,
    who: &Identity,
    value: Option<&[u8]>,
) -> Result<Option<Vec<u8>>, Refusal> {
    let bound = who.0.as_ref().ok_or_else(|| Refusal::new(ResultCode::InsufficientAccessRights, "bind first"))?;
    let request = match value {
        Some(value) => {
            rasn::ber::decode(value).map_err(|_| Refusal::new(ResultCode::ProtocolError, "no request of RFC 3062"))?
        }
        None => Request::default(),
    };
    let user = match &request.user {
        Some(user) => {
            let text = std::str::from_utf8(user).map_err(|_| Refusal::new(ResultCode::InvalidDnSyntax, "not UTF-8"))?;
            parse_dn(text.strip_prefix("dn:").unwrap_or(text))?
        }
        None => bound.clone(),
    };
    if user != *bound && !directory.is_administrator(bound) {
        return Err(Refusal::new(
            ResultCode::InsufficientAccessRights,
            "only an administrator may set somebody else's password",
        ));
    }
    let generated = request.new.is_none().then(|| directory.uuid().simple().to_string().into_bytes());
    let new = request.new.as_deref().or(generated.as_deref()).unwrap_or_default();
    check_quality(directory, new)?;
    let password = directory.password_value(new)?;
    directory.write(who.name(), |tree, stamp| {
        let node = tree.get(&user).ok_or_else(|| Refusal::no_such_object(tree, &user))?;
        if let Some(old) = &request.old
            && !node.passwords.iter().any(|own| own.verify(old))
        {
            return Err(Refusal::new(ResultCode::InvalidCredentials, "the old password is wrong"));
        }
        let mut node = Node::clone(node);
        node.passwords = vec![password];
        node.password_changed = Some(stamp.at);
        let reset = Description::new("pwdReset");
        node.attributes.retain(|stored| stored.description != reset);
        node.modified = stamp.at;
        node.modifier.clone_from(&stamp.by);
        node.csn = stamp.csn.to_string();
        let modified = ChangeKind::Modified { uuid: node.uuid, dn: node.dn.clone() };
        tree.insert(node);
        Ok(((), vec![modified]))
    })?;
    let Some(generated) = generated else { return Ok(None) };
    let response = Response { generated: Some(generated.into()) };
    rasn::ber::encode(&response).map(Some).map_err(|_| Refusal::new(ResultCode::Other, "the answer cannot be written"))
}
