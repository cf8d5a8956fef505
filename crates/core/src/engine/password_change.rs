//! Changing one's own password: of a local account here, of a directory's person where
//! `passwords.write_back` is on.

use super::attempt::{Rejection, Via, chain};
use super::route::Route;
use super::sign_in::level;
use super::throttle;
use super::turn::Turn;
use super::{ActiveSource, Engine};
use crate::password::Verdict;
use bindery_directory::{Dn, PasswordChange as DirectoryAnswer, PasswordCheck, Person};
use bindery_store::{Change, Limit, PasswordHash, Plan, UserState};
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::time::Instant;

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

/// Who wants what.
struct Wish<'a> {
    username: &'a str,
    old: &'a SecretString,
    new: &'a SecretString,
    via: Via,
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
        if old.expose_secret().is_empty() || old.expose_secret().contains('\0') {
            return PasswordChange::WrongOld;
        }
        if new.expose_secret().is_empty() || new.expose_secret().contains('\0') {
            return PasswordChange::Refused(
                "The new password is empty or holds a character that passwords cannot have.".into(),
            );
        }
        let started = Instant::now();
        let mut turn = Turn::default();
        let wish = Wish { username, old, new, via };
        let answer = match self.change(&wish, address, &mut turn).await {
            Ok(answer) => answer,
            Err(Rejection { retry_after: Some(wait), .. }) => PasswordChange::Throttled(wait),
            Err(Rejection { reason: Some(_), .. }) => PasswordChange::WrongOld,
            Err(rejection) => {
                let (source, detail) = (rejection.source.as_deref(), &rejection.detail);
                tracing::warn!(target: "bindery_core::password", source, detail, "a password could not be changed");
                PasswordChange::Unavailable(rejection.detail)
            }
        };
        if answer == PasswordChange::WrongOld && via == Via::Http {
            let keys: Vec<Limit> = turn.counted().map(|(limit, _)| limit.clone()).collect();
            throttle::record(self.store(), &keys, self.settings().throttle.window, self.now()).await;
        }
        drop(turn);
        if via == Via::Http && matches!(answer, PasswordChange::WrongOld | PasswordChange::Throttled(_)) {
            level(started).await;
        }
        answer
    }

    async fn change(
        &self,
        wish: &Wish<'_>,
        address: Option<IpAddr>,
        turn: &mut Turn,
    ) -> Result<PasswordChange, Rejection> {
        match self.route_in_turn(wish.username, wish.via, address, turn).await? {
            Route::Local(user) => self.change_local(*user, wish.old, wish.new).await,
            Route::Sources { sources, names, .. } => self.change_in_directory(&sources, &names, wish, turn).await,
        }
    }

    async fn change_local(
        &self,
        user: UserState,
        old: &SecretString,
        new: &SecretString,
    ) -> Result<PasswordChange, Rejection> {
        let stored = user.user.password_hash.as_ref().map_or("", PasswordHash::expose);
        if self.passwords().verify(old, stored).await? == Verdict::Wrong || !user.user.is_active() {
            return Ok(PasswordChange::WrongOld);
        }
        if new.expose_secret().chars().count() < SHORTEST {
            return Ok(PasswordChange::Refused(format!("The new password needs at least {SHORTEST} characters.")));
        }
        let hash = self.passwords().hash(new, self.entropy()).await?;
        let id = user.user.id;
        let hash = Some(PasswordHash::new(hash));
        let changes = vec![Change::SetPassword { user: id, hash }, Change::EndSessions { user: id, except: None }];
        // The old password may have been replaced while it was looked at: what replaced it stays.
        self.store().apply(&Plan { changes, expected: vec![user.expected()] }, self.now()).await?;
        self.0.sessions.forget_user(id);
        Ok(PasswordChange::Changed)
    }

    async fn change_in_directory(
        &self,
        sources: &[Arc<ActiveSource>],
        names: &[String],
        wish: &Wish<'_>,
        turn: &mut Turn,
    ) -> Result<PasswordChange, Rejection> {
        let (source, person) = self.find_in(sources, names).await?;
        if wish.via == Via::Http {
            self.fold_spellings(turn, &source, &person).await?;
        }
        if !source.passwords.write_back {
            return not_here(&source, &person, wish.old).await;
        }
        let answer = write_back(&source, &person.dn, wish.old, wish.new).await?;
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

/// Even that there is nothing to change here is told only to who knows the password: a stranger would learn
/// from it which names exist.
async fn not_here(source: &ActiveSource, person: &Person, old: &SecretString) -> Result<PasswordChange, Rejection> {
    let check = source.directory.check_password(person, old).await;
    let check = check.map_err(|error| Rejection::unavailable(chain(&error)).at(&source.slug, None))?;
    Ok(match check {
        PasswordCheck::Accepted(_) | PasswordCheck::Refused { password_was_right: true, .. } => {
            let words =
                "Passwords of this directory are not changed here. Ask your administrator where to change yours.";
            PasswordChange::Refused(words.to_owned())
        }
        PasswordCheck::Wrong | PasswordCheck::Refused { .. } => PasswordChange::WrongOld,
    })
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
