//! The password policy response (draft-behera-ldap-password-policy-11, 6.2).

use super::{ControlValue, decode, encode};
use crate::Error;
use bytes::Bytes;
use rasn::prelude::*;

/// What the server's password policy has to say about a bind or a change of password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PasswordPolicyResponse {
    /// The password expires in so many seconds.
    pub seconds_before_expiration: Option<u32>,
    /// The password has expired; so many sign-ins are left.
    pub grace_authentications: Option<u32>,
    /// What is wrong.
    pub error: Option<PasswordPolicyError>,
}

/// Its error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordPolicyError {
    /// 0
    PasswordExpired,
    /// 1
    AccountLocked,
    /// 2: must be changed before anything else.
    ChangeAfterReset,
    /// 3
    PasswordModNotAllowed,
    /// 4
    MustSupplyOldPassword,
    /// 5
    InsufficientPasswordQuality,
    /// 6
    PasswordTooShort,
    /// 7
    PasswordTooYoung,
    /// 8
    PasswordInHistory,
    /// A code that the draft does not know.
    Other(u32),
}

const ERRORS: [PasswordPolicyError; 9] = [
    PasswordPolicyError::PasswordExpired,
    PasswordPolicyError::AccountLocked,
    PasswordPolicyError::ChangeAfterReset,
    PasswordPolicyError::PasswordModNotAllowed,
    PasswordPolicyError::MustSupplyOldPassword,
    PasswordPolicyError::InsufficientPasswordQuality,
    PasswordPolicyError::PasswordTooShort,
    PasswordPolicyError::PasswordTooYoung,
    PasswordPolicyError::PasswordInHistory,
];

impl PasswordPolicyError {
    fn from_code(code: u32) -> Self {
        let known = usize::try_from(code).ok().and_then(|at| ERRORS.get(at));
        known.copied().unwrap_or(Self::Other(code))
    }

    fn code(self) -> u32 {
        match self {
            Self::Other(code) => code,
            known => (0..).zip(ERRORS).find(|(_, e)| *e == known).map_or(0, |(code, _)| code),
        }
    }
}

#[derive(AsnType, Encode, Decode)]
struct Wire {
    #[rasn(tag(explicit(0)))]
    warning: Option<Warning>,
    #[rasn(tag(1))]
    error: Option<u32>,
}

#[derive(AsnType, Encode, Decode)]
#[rasn(choice)]
enum Warning {
    #[rasn(tag(0))]
    TimeBeforeExpiration(u32),
    #[rasn(tag(1))]
    GraceAuthNsRemaining(u32),
}

impl ControlValue for PasswordPolicyResponse {
    const OID: &'static str = "1.3.6.1.4.1.42.2.27.8.5.1";

    fn encode(&self) -> Result<Bytes, Error> {
        let expires = self.seconds_before_expiration.map(Warning::TimeBeforeExpiration);
        let grace = self.grace_authentications.map(Warning::GraceAuthNsRemaining);
        encode(&Wire { warning: expires.or(grace), error: self.error.map(PasswordPolicyError::code) })
    }

    fn decode(value: &[u8]) -> Result<Self, Error> {
        if value.is_empty() {
            return Ok(Self::default());
        }
        let wire: Wire = decode(value, "password policy control")?;
        let mut response = Self { error: wire.error.map(PasswordPolicyError::from_code), ..Self::default() };
        match wire.warning {
            Some(Warning::TimeBeforeExpiration(seconds)) => {
                response.seconds_before_expiration = Some(seconds);
            }
            Some(Warning::GraceAuthNsRemaining(left)) => response.grace_authentications = Some(left),
            None => {}
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(value: &[u8]) -> PasswordPolicyResponse {
        PasswordPolicyResponse::decode(value).unwrap()
    }

    #[test]
    fn known_octets() {
        // As OpenLDAP writes them.
        assert_eq!(decoded(&[0x30, 0]), PasswordPolicyResponse::default());
        assert_eq!(decoded(&[0x30, 3, 0x81, 1, 1]).error, Some(PasswordPolicyError::AccountLocked));
        let expiring = decoded(&[0x30, 5, 0xa0, 3, 0x80, 1, 60]);
        assert_eq!(expiring.seconds_before_expiration, Some(60));
        let grace = decoded(&[0x30, 8, 0xa0, 3, 0x81, 1, 2, 0x81, 1, 0]);
        assert_eq!(grace.grace_authentications, Some(2));
        assert_eq!(grace.error, Some(PasswordPolicyError::PasswordExpired));
        assert_eq!(decoded(&[0x30, 3, 0x81, 1, 99]).error, Some(PasswordPolicyError::Other(99)));
    }

    #[test]
    fn round_trip() {
        for code in 0..12 {
            let response = PasswordPolicyResponse {
                error: Some(PasswordPolicyError::from_code(code)),
                grace_authentications: Some(code),
                seconds_before_expiration: None,
            };
            assert_eq!(decoded(&response.encode().unwrap()), response);
        }
    }

    #[test]
    fn hostile_lengths_are_refused() {
        // A value that announces four gigabytes, and one of eighteen quintillion.
        for value in [
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff][..],
            &[0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x30, 7, 0xa0, 0x85, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x30, 6, 0x81, 0x84, 0x7f, 0xff, 0xff, 0xff],
            &[0x30, 0x80, 0, 0],
            &[4, 0],
        ] {
            assert!(PasswordPolicyResponse::decode(value).is_err(), "{value:x?}");
        }
    }
}
