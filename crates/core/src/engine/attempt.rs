//! A sign-in as it is asked for and as it ends. What a visitor may be told is a method of the end.

use super::view::UserView;
pub(crate) use crate::outcome::chain;
use crate::token::Token;
use crate::{Outcome, Reason};
use secrecy::SecretString;
use std::net::IpAddr;
use std::time::Duration;

/// Which way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// A page or JSON over HTTP.
    Http,
    /// The command line: not throttled, not counted, makes no session.
    CommandLine,
}

impl Via {
    /// The word for the audit.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::CommandLine => "command_line",
        }
    }
}

/// Somebody wants in.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// As typed.
    pub username: String,
    /// Not printable.
    pub password: SecretString,
    /// The client, as the web seam believes it.
    pub address: Option<IpAddr>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// Which way in.
    pub via: Via,
    /// Whether "remember me" was ticked.
    pub remember: bool,
}

/// How it ended.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// In, refused, or nobody can tell.
    pub outcome: Outcome,
    /// Why, when refused: the true reason.
    pub reason: Option<Reason>,
    /// Whether the password is known to be right. What comes before that, a visitor is not told.
    pub password_verified: bool,
    /// The source that was asked.
    pub source: Option<String>,
    /// The entry, where one was found.
    pub dn: Option<String>,
    /// Who, when signed in.
    pub user: Option<UserView>,
    /// Their new session, over HTTP.
    pub token: Option<Token>,
    /// When to try again, when throttled.
    pub retry_after: Option<Duration>,
    /// One sentence for operators.
    pub detail: String,
}

impl SignIn {
    /// Nobody could tell, and why: for callers that could not even ask.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::from(Rejection::unavailable(detail))
    }

    /// What a visitor may know: everything before a correct password is `bad_credentials` (or `throttled`).
    pub fn public_reason(&self) -> Option<Reason> {
        match self.reason {
            Some(Reason::Throttled) => Some(Reason::Throttled),
            Some(reason) if self.password_verified => Some(reason),
            Some(_) => Some(Reason::BadCredentials),
            None => None,
        }
    }
}

/// A sign-in, refresh or explanation that does not let somebody in.
#[derive(Debug, Clone)]
pub(crate) struct Rejection {
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<Reason>,
    pub(crate) password_verified: bool,
    pub(crate) source: Option<String>,
    pub(crate) dn: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) detail: String,
}

impl Rejection {
    pub(crate) fn refused(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Refused,
            reason: Some(reason),
            password_verified: false,
            source: None,
            dn: None,
            retry_after: None,
            detail: detail.into(),
        }
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unavailable, reason: None, ..Self::refused(Reason::Vetoed, detail) }
    }

    pub(crate) fn at(mut self, source: &str, dn: Option<&str>) -> Self {
        self.source = Some(source.to_owned());
        self.dn = dn.map(str::to_owned);
        self
    }

    pub(crate) fn after_password(mut self) -> Self {
        self.password_verified = true;
        self
    }
}

impl From<Rejection> for SignIn {
    fn from(rejection: Rejection) -> Self {
        Self {
            outcome: rejection.outcome,
            reason: rejection.reason,
            password_verified: rejection.password_verified,
            source: rejection.source,
            dn: rejection.dn,
            user: None,
            token: None,
            retry_after: rejection.retry_after,
            detail: rejection.detail,
        }
    }
}

impl From<bindery_store::StoreError> for Rejection {
    fn from(error: bindery_store::StoreError) -> Self {
        Self::unavailable(chain(&error))
    }
}

impl From<crate::password::PasswordError> for Rejection {
    fn from(error: crate::password::PasswordError) -> Self {
        Self::unavailable(chain(&error))
    }
}
