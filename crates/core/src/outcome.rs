//! How a sign-in ends: the three outcomes, and the reasons of a refusal.

use serde::{Deserialize, Serialize};

/// How a sign-in ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// They are in.
    SignedIn,
    /// They are not, and [`Reason`] says why.
    Refused,
    /// Nobody can tell: the directory or the store could not answer. Never a "no".
    Unavailable,
}

/// Why somebody was refused. The command line, the audit and the log give this; visitors are told less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// The password is wrong.
    BadCredentials,
    /// Nobody has that name.
    NoSuchUser,
    /// More than one entry has that name.
    AmbiguousUser,
    /// The password is empty or holds NUL (RFC 4513, 5.1.2).
    EmptyPassword,
    /// `access.require` says no.
    NotInRequiredGroup,
    /// `access.deny` says yes.
    InDeniedGroup,
    /// A group that decides could not be found or read.
    MembershipUnknown,
    /// Disabled in the directory, deactivated here, or `is_active` is false.
    AccountDisabled,
    /// Locked in the directory.
    AccountLocked,
    /// The account is past its end.
    AccountExpired,
    /// The password is past its end.
    PasswordExpired,
    /// The password must be changed first.
    PasswordMustChange,
    /// Not at this hour.
    SignInHours,
    /// Not from this machine.
    WorkstationNotAllowed,
    /// `provisioning.create` is off and nobody is linked.
    NewUsersNotAllowed,
    /// The name belongs to somebody else.
    AccountConflict,
    /// The entry lacks an attribute that is needed, as its unique ID or username.
    MissingAttribute,
    /// The domain is not configured.
    UnknownDomain,
    /// Too many failures of late.
    Throttled,
    /// An event handler said no.
    Vetoed,
}
