//! What the pages ask of the engine, as one trait: who signs in, whose session this is.
//!
//! [`Engine`] is the one implementation that ships. The trait keeps every handler testable on each ending without a
//! directory, and keeps this crate free of decisions: nothing here judges anybody.

use bindery_core::{
    Engine,
    engine::{Attempt, PasswordChange, SessionState, SignIn, Via},
    token::Token,
};
use secrecy::SecretString;
use std::{future::Future, net::IpAddr, pin::Pin};

/// A boxed future, so that the engine can stand behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Decides who somebody is.
pub trait Authority: Send + Sync + 'static {
    /// One attempt to sign in, from the password to the session.
    fn sign_in(&self, attempt: Attempt) -> BoxFuture<'_, SignIn>;
    /// Whose session this token stands for.
    fn session<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, SessionState>;
    /// Ends the session of this token; one that is not there has ended already.
    fn sign_out<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<(), NotEnded>>;
    /// Whether people of this source (`None`: local accounts) change their passwords here.
    fn changes_passwords(&self, source: Option<&str>) -> bool;
    /// Changes a password, given the old one.
    fn change_password(&self, change: ChangePassword) -> BoxFuture<'_, PasswordChange>;
}

/// A change of password.
#[derive(Debug)]
pub struct ChangePassword {
    /// As typed, or the session's.
    pub username: String,
    /// The old one.
    pub old: SecretString,
    /// The new one.
    pub new: SecretString,
    /// Where they are.
    pub address: Option<IpAddr>,
}

/// A session could not be ended.
#[derive(Debug, thiserror::Error)]
#[error("the session could not be ended")]
pub struct NotEnded(#[source] pub Box<dyn std::error::Error + Send + Sync>);

impl Authority for Engine {
    fn sign_in(&self, attempt: Attempt) -> BoxFuture<'_, SignIn> {
        Box::pin(self.sign_in(attempt))
    }

    fn session<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, SessionState> {
        Box::pin(self.session(token))
    }

    fn sign_out<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<(), NotEnded>> {
        Box::pin(async { self.sign_out(token).await.map_err(|error| NotEnded(error.into())) })
    }

    fn changes_passwords(&self, source: Option<&str>) -> bool {
        match source {
            Some(slug) => self.source(slug).is_some_and(|source| source.passwords.write_back),
            None => self.settings().local_users,
        }
    }

    fn change_password(&self, change: ChangePassword) -> BoxFuture<'_, PasswordChange> {
        Box::pin(async move {
            let ChangePassword { username, old, new, address } = change;
            self.change_password(&username, &old, &new, address, Via::Http).await
        })
    }
}
