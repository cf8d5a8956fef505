//! Controls as types.

use bytes::Bytes;

/// A control as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control { pub oid: String, pub critical: bool, pub value: Option<Bytes> }

/// The password policy response (draft-behera-ldap-password-policy).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PasswordPolicyResponse { pub seconds_before_expiration: Option<u32>, pub grace_authentications: Option<u32>, pub error: Option<PasswordPolicyError> }
/// Its error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordPolicyError { PasswordExpired, AccountLocked, ChangeAfterReset, PasswordModNotAllowed, MustSupplyOldPassword, InsufficientPasswordQuality, PasswordTooShort, PasswordTooYoung, PasswordInHistory, Other(u32) }
