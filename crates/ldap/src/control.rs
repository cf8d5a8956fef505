//! Controls as types: what goes along with a request or a response.
//!
//! [`Control`] is one as it goes over the wire. A type that implements [`ControlValue`] knows its OID and
//! its value; [`find`] picks one out of a response. Those without a value are functions on [`Control`].
//! Values come from servers: their lengths and nesting are checked before they are decoded.

use crate::{Error, ber};
use bytes::Bytes;

mod account_usable;
mod microsoft;
mod paging;
mod password_policy;
mod sort;
mod sync;

pub use account_usable::AccountUsable;
pub use microsoft::{DirSync, DirSyncResponse, ExtendedDn, SearchOptions};
pub use paging::PagedResults;
pub use password_policy::{PasswordPolicyError, PasswordPolicyResponse};
pub use sort::{ServerSort, SortKey, SortResult};
pub use sync::{SyncDone, SyncInfo, SyncMode, SyncRequest, SyncState, SyncStateKind};

/// A control as it goes over the wire (RFC 4511, 4.1.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Its dotted object identifier.
    pub oid: String,
    /// Whether a server that does not know it must refuse the operation.
    pub critical: bool,
    /// Its value, where it has one.
    pub value: Option<Bytes>,
}

/// A control whose value is understood here.
pub trait ControlValue: Sized {
    /// Its object identifier.
    const OID: &'static str;
    /// The value as it goes over the wire.
    fn encode(&self) -> Result<Bytes, Error>;
    /// Reads a value; [`Error::Malformed`] when it is no such thing.
    fn decode(value: &[u8]) -> Result<Self, Error>;

    /// As a control that servers may ignore.
    fn to_control(&self) -> Result<Control, Error> {
        Ok(Control { oid: Self::OID.to_owned(), critical: false, value: Some(self.encode()?) })
    }
}

/// The first control of a type among those of a response. `None` when there is none; an error when
/// there is one that cannot be read.
///
/// ```
/// use bindery_ldap::control::{self, ControlValue, PagedResults};
///
/// let page = PagedResults { size: 0, cookie: b"next".as_slice().into() };
/// let controls = [page.to_control()?];
/// assert_eq!(control::find::<PagedResults>(&controls)?, Some(page));
/// # Ok::<(), bindery_ldap::Error>(())
/// ```
pub fn find<T: ControlValue>(controls: &[Control]) -> Result<Option<T>, Error> {
    controls
        .iter()
        .find(|control| control.oid == T::OID)
        .map(|control| T::decode(control.value.as_deref().unwrap_or_default()))
        .transpose()
}

/// One table for the controls that have no value of their own.
macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $oid:literal;)*) => {
        impl Control {
            $($(#[$doc])*
            #[doc = concat!("\n\n`", $oid, "`")]
            pub fn $name() -> Self {
                Self::flag($oid)
            })*
        }
    };
}

flags! {
    /// Asks for password policy information (draft-behera-ldap-password-policy).
    password_policy = "1.3.6.1.4.1.42.2.27.8.5.1";
    /// Asks what a bind would come to: [`AccountUsable`] comes along with each entry.
    account_usable = "1.3.6.1.4.1.42.2.27.9.5.8";
    /// Treats referral objects as ordinary entries (RFC 3296).
    manage_dsa_it = "2.16.840.1.113730.3.4.2";
    /// Deletes an entry with all below it.
    tree_delete = "1.2.840.113556.1.4.805";
    /// AD: deleted objects are found, too.
    show_deleted = "1.2.840.113556.1.4.417";
    /// AD: recycled objects are found, too.
    show_recycled = "1.2.840.113556.1.4.2064";
    /// AD: the search stays open and tells of changes.
    change_notification = "1.2.840.113556.1.4.528";
    /// AD: no referrals to other domains.
    domain_scope = "1.2.840.113556.1.4.1339";
    /// AD: adding what is there and deleting what is not are no errors.
    permissive_modify = "1.2.840.113556.1.4.1413";
}

impl Control {
    /// One without a value, that servers may ignore.
    pub fn flag(oid: impl Into<String>) -> Self {
        Self { oid: oid.into(), critical: false, value: None }
    }

    /// The same, not to be ignored.
    #[must_use]
    pub fn critical(self) -> Self {
        Self { critical: true, ..self }
    }

    /// RFC 4528: the operation takes place only where the filter matches. Always critical.
    pub fn assertion(filter: &crate::Filter) -> Result<Self, Error> {
        Ok(Self {
            oid: "1.3.6.1.1.12".to_owned(),
            critical: true,
            value: Some(encode(&crate::convert::filter(filter)?)?),
        })
    }

    /// RFC 4370: the operation takes place as somebody else (`dn:…` or `u:…`). Always critical.
    pub fn proxied_authorization(authorization_id: &str) -> Self {
        Self {
            oid: "2.16.840.1.113730.3.4.18".to_owned(),
            critical: true,
            value: Some(Bytes::copy_from_slice(authorization_id.as_bytes())),
        }
    }
}

fn encode<T: rasn::Encode>(value: &T) -> Result<Bytes, Error> {
    rasn::ber::encode(value).map(Bytes::from).map_err(|error| Error::Request { reason: error.to_string() })
}

fn decode<T: rasn::Decode>(value: &[u8], what: &'static str) -> Result<T, Error> {
    ber::decode(value, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_value_is_read_or_refused_without_a_panic(value in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = AccountUsable::decode(&value);
            let _ = PagedResults::decode(&value);
            let _ = PasswordPolicyResponse::decode(&value);
            let _ = SyncState::decode(&value);
            let _ = SyncDone::decode(&value);
            let _ = SyncInfo::decode(&value);
            let _ = DirSyncResponse::decode(&value);
            let _ = SortResult::decode(&value);
        }
    }
}
