//! How a sign-in ends: the three outcomes, the reasons of a refusal, and errors in one sentence.

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

impl Outcome {
    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignedIn => "signed_in",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Reason {
    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadCredentials => "bad_credentials",
            Self::NoSuchUser => "no_such_user",
            Self::AmbiguousUser => "ambiguous_user",
            Self::EmptyPassword => "empty_password",
            Self::NotInRequiredGroup => "not_in_required_group",
            Self::InDeniedGroup => "in_denied_group",
            Self::MembershipUnknown => "membership_unknown",
            Self::AccountDisabled => "account_disabled",
            Self::AccountLocked => "account_locked",
            Self::AccountExpired => "account_expired",
            Self::PasswordExpired => "password_expired",
            Self::PasswordMustChange => "password_must_change",
            Self::SignInHours => "sign_in_hours",
            Self::WorkstationNotAllowed => "workstation_not_allowed",
            Self::NewUsersNotAllowed => "new_users_not_allowed",
            Self::AccountConflict => "account_conflict",
            Self::MissingAttribute => "missing_attribute",
            Self::UnknownDomain => "unknown_domain",
            Self::Throttled => "throttled",
            Self::Vetoed => "vetoed",
        }
    }
}

/// An error with everything below it, in one sentence.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        below = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_json() {
        for reason in [Reason::NoSuchUser, Reason::PasswordMustChange, Reason::MembershipUnknown, Reason::Vetoed] {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
        assert_eq!(serde_json::to_value(Outcome::SignedIn).unwrap(), Outcome::SignedIn.as_str());
    }
}
