//! The proof that somebody may come in. A session is made from nothing else.

use uuid::Uuid;

/// Somebody may come in. Made by the three places that may say so: a directory's decision that was
/// applied, a local password, and an offline verifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admission {
    user: Uuid,
    source: Option<String>,
    dn: Option<String>,
}

impl Admission {
    /// By a source's decision.
    pub(in crate::engine) fn by_source(user: Uuid, source: &str, dn: &str) -> Self {
        Self { user, source: Some(source.to_owned()), dn: Some(dn.to_owned()) }
    }

    /// By a local password.
    pub(in crate::engine) fn by_local_password(user: Uuid) -> Self {
        Self { user, source: None, dn: None }
    }

    pub(in crate::engine) fn user(&self) -> Uuid {
        self.user
    }

    pub(in crate::engine) fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    pub(in crate::engine) fn dn(&self) -> Option<&str> {
        self.dn.as_deref()
    }
}
