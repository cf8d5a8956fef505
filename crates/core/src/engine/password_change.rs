//! Changing one's own password: of a local account here, of a directory's person where
//! `passwords.write_back` is on.

use super::attempt::{Rejection, Via, chain};
use super::route::{Holder, Route};
use super::throttle;
use super::{ActiveSource, Engine};
use crate::name;
use crate::password::Verdict;
use bindery_directory::{Dn, PasswordChange as DirectoryAnswer};
use bindery_store::{Change, Limit, PasswordHash, Plan, ThrottleKind};
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;
use std::sync::Arc;

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordChange {
    /// Done. Every session of the user has ended.
    Changed,
    /// The old password is wrong, or nobody has that name: a visitor is told the same.
    WrongOld,
    /// The new one is refused, in words for the visitor.
    Refused(String),
    /// Too many failures of late.
    Throttled(std::time::Duration),
    /// The directory or the store could not answer.
    Unavailable(String),
}

/// Shorter local passwords are refused (NIST SP 800-63B, 3.1.1.2).
const SHORTEST: usize = 8;

impl Engine {
    /// Changes a password, given the old one. `via` says whether failures are counted.
    pub async fn change_password(
        &self,
        username: &str,
        old: &SecretString,
        new: &SecretString,
        address: Option<IpAddr>,
        via: Via,
    ) -> PasswordChange {
        if old.expose_secret().is_empty() {
            return PasswordChange::WrongOld;
        }
        if new.expose_secret().is_empty() || new.expose_secret().contains('\0') {
            return PasswordChange::Refused(
                "The new password is empty or holds a character that passwords cannot have.".into(),
            );
        }
        let limits = self.settings().throttle;
        let mut counted = Vec::new();
        let mut _permit = None;
        if via == Via::Http {
            let key = self.with_domains(|domains| name::throttle_key(username, domains));
            counted.push(Limit { kind: ThrottleKind::User, key, limit: limits.per_user });
            let address = address.map(name::address_key);
            counted.extend(address.map(|key| Limit { kind: ThrottleKind::Address, key, limit: limits.per_address }));
            _permit = match self.0.gate.enter(self.store(), counted.clone(), limits.window, self.now()).await {
                Ok(permit) => Some(permit),
                Err(Rejection { retry_after: Some(wait), .. }) => return PasswordChange::Throttled(wait),
                Err(rejection) => return PasswordChange::Unavailable(rejection.detail),
            };
        }
        let answer = match self.change(username, old, new).await {
            Ok(answer) => answer,
            Err(rejection) => PasswordChange::Unavailable(rejection.detail),
        };
        if answer == PasswordChange::WrongOld && !counted.is_empty() {
            throttle::record(self.store(), &counted, limits.window, self.now()).await;
        }
        answer
    }

    async fn change(
        &self,
        username: &str,
        old: &SecretString,
        new: &SecretString,
    ) -> Result<PasswordChange, Rejection> {
        match self.route(username).await {
            Ok(Route::Local(user)) => self.change_local(*user, old, new).await,
            Ok(Route::Sources { sources, names, .. }) => self.change_in_directory(&sources, &names, old, new).await,
            Err(rejection) if rejection.reason.is_some() => Ok(PasswordChange::WrongOld),
            Err(rejection) => Err(rejection),
        }
    }

    async fn change_local(
        &self,
        user: Holder,
        old: &SecretString,
        new: &SecretString,
    ) -> Result<PasswordChange, Rejection> {
        let stored = user.user.password_hash.as_ref().map_or("", PasswordHash::expose);
        if self.passwords().verify(old, stored).await == Verdict::Wrong || !user.user.is_active() {
            return Ok(PasswordChange::WrongOld);
        }
        if new.expose_secret().chars().count() < SHORTEST {
            return Ok(PasswordChange::Refused(format!("The new password needs at least {SHORTEST} characters.")));
        }
        let Some(hash) = self.passwords().hash(new, self.entropy()).await else {
            return Err(Rejection::unavailable("the new password could not be hashed"));
        };
        let id = user.user.id;
        let hash = Some(PasswordHash::new(hash));
        let changes = vec![Change::SetPassword { user: id, hash }, Change::EndSessions { user: id, except: None }];
        self.store().apply(&Plan::from(changes), self.now()).await?;
        self.0.sessions.forget_user(id);
        Ok(PasswordChange::Changed)
    }

    async fn change_in_directory(
        &self,
        sources: &[Arc<ActiveSource>],
        names: &[String],
        old: &SecretString,
        new: &SecretString,
    ) -> Result<PasswordChange, Rejection> {
        let (source, person) = match self.find_in(sources, names).await {
            Ok(found) => found,
            Err(rejection) if rejection.reason.is_some() => return Ok(PasswordChange::WrongOld),
            Err(rejection) => return Err(rejection),
        };
        if !source.passwords.write_back {
            let words =
                "Passwords of this directory are not changed here. Ask your administrator where to change yours.";
            return Ok(PasswordChange::Refused(words.to_owned()));
        }
        let answer = write_back(&source, &person.dn, old, new).await?;
        if answer == PasswordChange::Changed
            && let Some(user) = self.store().user_by_link(&source.slug, &person.unique_id).await?
        {
            // What vouched for the old password must not outlive it.
            let changes =
                vec![Change::DropVerifiers { user: user.id }, Change::EndSessions { user: user.id, except: None }];
            self.store().apply(&Plan::from(changes), self.now()).await?;
            self.0.sessions.forget_user(user.id);
        }
        Ok(answer)
    }
}

async fn write_back(
    source: &ActiveSource,
    dn: &Dn,
    old: &SecretString,
    new: &SecretString,
) -> Result<PasswordChange, Rejection> {
    match source.directory.change_password(dn, old, new).await {
        Ok(DirectoryAnswer::Changed) => Ok(PasswordChange::Changed),
        Ok(DirectoryAnswer::WrongOld) => Ok(PasswordChange::WrongOld),
        Ok(DirectoryAnswer::Refused(words)) => Ok(PasswordChange::Refused(words)),
        Err(error) => Err(Rejection::unavailable(chain(&error)).at(&source.slug, Some(dn.as_str()))),
    }
}
