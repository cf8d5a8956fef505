//! The account usability response (`ACCOUNT_USABLE_RESPONSE` of Sun's directory, kept by 389-DS and OpenLDAP): what a bind
//! with the right password would come to, as far as the password policy decides that.

use super::{ControlValue, decode, encode};
use crate::Error;
use bytes::Bytes;
use rasn::prelude::*;

/// Comes along with an entry that was asked for with [`Control::account_usable`](super::Control::account_usable).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountUsable {
    /// A bind would be accepted.
    Usable {
        /// Until the password expires; 0 or less where it does not.
        seconds_before_expiration: i64,
    },
    /// It would not, or only to change the password.
    Unusable {
        /// Locked.
        inactive: bool,
        /// The password must be changed first.
        reset: bool,
        /// The password has expired.
        expired: bool,
        /// So many binds with it are let pass all the same.
        remaining_grace: Option<i64>,
        /// Until the lock ends; 0 or less where nobody knows.
        seconds_before_unlock: Option<i64>,
    },
}

#[derive(AsnType, Encode, Decode)]
#[rasn(choice)]
enum Wire {
    #[rasn(tag(0))]
    Available(i64),
    #[rasn(tag(1))]
    NotAvailable(MoreInfo),
}

#[derive(AsnType, Encode, Decode)]
struct MoreInfo {
    #[rasn(tag(0), default)]
    inactive: bool,
    #[rasn(tag(1), default)]
    reset: bool,
    #[rasn(tag(2), default)]
    expired: bool,
    #[rasn(tag(3))]
    remaining_grace: Option<i64>,
    #[rasn(tag(4))]
    seconds_before_unlock: Option<i64>,
}

impl ControlValue for AccountUsable {
    const OID: &'static str = "1.3.6.1.4.1.42.2.27.9.5.8";

    fn encode(&self) -> Result<Bytes, Error> {
        encode(&match *self {
            Self::Usable { seconds_before_expiration } => Wire::Available(seconds_before_expiration),
            Self::Unusable { inactive, reset, expired, remaining_grace, seconds_before_unlock } => {
                Wire::NotAvailable(MoreInfo { inactive, reset, expired, remaining_grace, seconds_before_unlock })
            }
        })
    }

    fn decode(value: &[u8]) -> Result<Self, Error> {
        Ok(match decode(value, "account usability control")? {
            Wire::Available(seconds_before_expiration) => Self::Usable { seconds_before_expiration },
            Wire::NotAvailable(MoreInfo { inactive, reset, expired, remaining_grace, seconds_before_unlock }) => {
                Self::Unusable { inactive, reset, expired, remaining_grace, seconds_before_unlock }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRED: AccountUsable = AccountUsable::Unusable {
        inactive: false,
        reset: false,
        expired: true,
        remaining_grace: Some(0),
        seconds_before_unlock: None,
    };

    #[test]
    fn known_octets() {
        let decoded = |value: &[u8]| AccountUsable::decode(value).unwrap();
        assert_eq!(decoded(&[0x80, 1, 0]), AccountUsable::Usable { seconds_before_expiration: 0 });
        // As 389-DS writes it: defaults too.
        let expired = [0xa1, 12, 0x80, 1, 0, 0x81, 1, 0, 0x82, 1, 0xff, 0x83, 1, 0];
        assert_eq!(decoded(&expired), EXPIRED);
        assert_eq!(decoded(&[0xa1, 6, 0x82, 1, 0xff, 0x83, 1, 0]), EXPIRED);
    }

    #[test]
    fn round_trip() {
        let locked = AccountUsable::Unusable {
            inactive: true,
            reset: true,
            expired: false,
            remaining_grace: None,
            seconds_before_unlock: Some(600),
        };
        for one in [EXPIRED, locked, AccountUsable::Usable { seconds_before_expiration: 86_400 }] {
            assert_eq!(AccountUsable::decode(&one.encode().unwrap()).unwrap(), one);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for value in [&[][..], &[0x80, 0], &[0x82, 1, 0], &[0xa1, 0x84, 0xff, 0xff, 0xff, 0xff], &[0xa1, 3, 0x82, 9, 0]]
        {
            assert!(AccountUsable::decode(value).is_err(), "{value:x?}");
        }
    }
}
