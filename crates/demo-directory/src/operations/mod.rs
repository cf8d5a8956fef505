//! The operations: what each does to the directory, and whom it refuses.
//!
//! Each takes the directory, who asks, and what is asked; none knows of connections. Only searches answer
//! with more than a result, and only they live longer than the call.

pub(crate) mod add;
pub(crate) mod bind;
pub(crate) mod compare;
pub(crate) mod delete;
pub(crate) mod modify;
pub(crate) mod modify_dn;
pub(crate) mod password_modify;
pub(crate) mod search;
pub(crate) mod select;
pub(crate) mod sync;

use crate::directory::Directory;
use crate::tree::Tree;
use bindery_ldap::codec::protocol::{LdapResult, ResultCode};
use bindery_ldap::control::PasswordPolicyError;
use bindery_ldap::{Attribute, Dn};

/// Why an operation is refused.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub code: ResultCode,
    pub matched: String,
    pub message: String,
    /// What the password policy says to it.
    pub policy: Option<PasswordPolicyError>,
}

impl Refusal {
    pub(crate) fn new(code: ResultCode, message: impl Into<String>) -> Self {
        Self { code, matched: String::new(), message: message.into(), policy: None }
    }

    pub(crate) fn constraint(message: impl Into<String>) -> Self {
        Self::new(ResultCode::ConstraintViolation, message)
    }

    /// No such entry, with the nearest one above it.
    pub(crate) fn no_such_object(tree: &Tree, dn: &Dn) -> Self {
        let matched = tree.nearest_above(dn).map(|node| node.dn.to_string()).unwrap_or_default();
        Self { matched, ..Self::new(ResultCode::NoSuchObject, "no such entry") }
    }

    pub(crate) fn into_result(self) -> LdapResult {
        LdapResult::new(self.code, self.matched.into(), self.message.into())
    }
}

/// Success.
pub(crate) fn success() -> LdapResult {
    LdapResult::new(ResultCode::Success, "".into(), "".into())
}

/// The result of an operation that has nothing else to say.
pub(crate) fn result(done: Result<(), Refusal>) -> LdapResult {
    done.map_or_else(Refusal::into_result, |()| success())
}

/// Who a connection is bound as.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity(pub Option<Dn>);

impl Identity {
    pub(crate) fn name(&self) -> &str {
        self.0.as_ref().map_or("", Dn::as_str)
    }

    /// Only who is bound reads.
    pub(crate) fn check_read(&self) -> Result<&Dn, Refusal> {
        self.0.as_ref().ok_or_else(|| {
            Refusal::new(ResultCode::InsufficientAccessRights, "bind first: anonymous clients read the root DSE alone")
        })
    }

    /// Only administrators write.
    pub(crate) fn check_write(&self, directory: &Directory) -> Result<&Dn, Refusal> {
        let dn = self.0.as_ref().ok_or_else(|| {
            Refusal::new(ResultCode::InsufficientAccessRights, "bind first: anonymous clients write nothing")
        })?;
        if directory.is_administrator(dn) {
            return Ok(dn);
        }
        Err(Refusal::new(ResultCode::InsufficientAccessRights, "only an administrator may do this"))
    }
}

/// A name out of a request.
pub(crate) fn parse_dn(text: &str) -> Result<Dn, Refusal> {
    Dn::parse(text).map_err(|error| Refusal::new(ResultCode::InvalidDnSyntax, error.to_string()))
}

/// An attribute out of a request.
pub(crate) fn attribute<'a>(name: &str, values: impl IntoIterator<Item = &'a rasn::types::OctetString>) -> Attribute {
    Attribute { name: name.to_owned(), values: values.into_iter().map(|value| value.to_vec()).collect() }
}
