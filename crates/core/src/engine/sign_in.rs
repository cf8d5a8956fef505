//! Sign-in with a password, from the typed name to an outcome.

use super::admission::Admission;
use super::admit::{Accepted, Admitted, Entering, KEPT_CHANGING, TRIES};
use super::attempt::{Attempt, Rejection, SignIn, Via, chain};
use super::route::Route;
use super::turn::Turn;
use super::{ActiveSource, Engine, session};
use crate::events::Event;
use crate::name;
use crate::password::Verdict;
use crate::{Outcome, Reason};
use bindery_directory::{
    AccountState, Authentication, DirectoryError, Found, PasswordCheck, Person, Reader, Refusal, Whereabouts,
};
use bindery_store::{Change, NewAudit, PasswordHash, Plan, UserState};
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use std::time::Duration;
use tokio::time::Instant;

/// In octets. Longer ones are sent nowhere.
const LONGEST_PASSWORD: usize = 64 * 1024;

/// Refusals before a correct password end on a multiple of this, whatever work they took: long
/// enough for an argon2 run or a directory's answer, so that their time tells nobody apart.
const LEVEL: Duration = Duration::from_millis(250);

impl Engine {
    /// A sign-in, for real: checks, decides, writes, and (over HTTP) starts a session.
    pub async fn sign_in(&self, attempt: Attempt) -> SignIn {
        let started = Instant::now();
        let mut turn = Turn::default();
        let judged = self.judge(&attempt, &mut turn).await;
        self.settle_turn(&judged, &turn).await;
        drop(turn);
        let end = match judged {
            Ok(admitted) => self.welcome(&attempt, admitted).await,
            Err(rejection) => self.turn_away(&attempt, rejection).await,
        };
        if attempt.via == Via::Http && end.outcome == Outcome::Refused && !end.password_verified {
            level(started).await;
        }
        end
    }

    async fn judge(&self, attempt: &Attempt, turn: &mut Turn) -> Result<Admitted, Rejection> {
        let password = attempt.password.expose_secret();
        if password.is_empty() || password.contains('\0') {
            let detail = "an empty password, or one with NUL, is never sent to a directory (RFC 4513, 5.1.2)";
            return Err(Rejection::refused(Reason::EmptyPassword, detail));
        }
        if password.len() > LONGEST_PASSWORD {
            return Err(Rejection::refused(Reason::BadCredentials, "no directory takes a password as long as that"));
        }
        match self.route_in_turn(&attempt.username, attempt.via, attempt.address, turn).await? {
            Route::Local(user) => self.by_local_password(attempt, *user).await,
            Route::Sources { sources, names, held } => {
                for source in &sources {
                    if let Some(admitted) = self.at_source(attempt, turn, source, &names, held.as_deref()).await? {
                        return Ok(admitted);
                    }
                }
                if let Some(source) = sources.first().filter(|source| attempt.via == Via::Http && !source.is_as_user())
                {
                    // As much work as a wrong password makes.
                    source.directory.decoy_bind().await;
                }
                Err(Rejection::refused(
                    Reason::NoSuchUser,
                    "no source has such an entry, and no local account has a password",
                ))
            }
        }
    }

    /// One source's answer; `None` when nobody there has the name.
    async fn at_source(
        &self,
        attempt: &Attempt,
        turn: &mut Turn,
        source: &ActiveSource,
        names: &[String],
        held: Option<&UserState>,
    ) -> Result<Option<Admitted>, Rejection> {
        let names = match names.last() {
            // A bind as somebody who is not there looks like a wrong password, so that only one name can be tried: the
            // one that a template is made for.
            Some(name) if source.binds_unseen() => std::slice::from_ref(name),
            _ => names,
        };
        for name in names {
            let checked = match self.check_password(attempt, turn, source, name).await {
                Ok(Some(checked)) => checked,
                Ok(None) => continue,
                Err(Trouble::Rejected(rejection)) => return Err(rejection),
                Err(Trouble::Directory(error)) => {
                    return self.without_directory(attempt, source, held, error).await.map(Some);
                }
            };
            let dn = checked.dn;
            let state = match judge_password(checked.check) {
                Ok(state) => state,
                Err(rejection) => {
                    if let (Some(person), Some(reason)) = (&checked.person, rejection.reason) {
                        self.shut_out_at_bind(source, person, reason).await;
                    }
                    return Err(rejection.at(&source.slug, Some(&dn)));
                }
            };
            let Some(person) = checked.person else {
                return Err(
                    Rejection::unavailable("the entry could not be read after the bind").at(&source.slug, Some(&dn))
                );
            };
            let entering = Entering {
                source,
                person: &person,
                reader: &checked.reader,
                accepted: Some(Accepted { state, password: &attempt.password }),
                typed: Some(&attempt.username),
                read_at: checked.read_at,
                known: held,
            };
            let verifier = self.verifier_of(attempt, source).await;
            let finish = |admission: &Admission, plan: &mut Plan| {
                plan.changes.extend(verifier.clone().map(|hash| Change::PutVerifier {
                    user: admission.user(),
                    source: source.slug.clone(),
                    hash,
                }));
                self.finish(attempt, admission, plan)
            };
            let admitted = self.admit(entering, &finish).await?;
            return Ok(Some(admitted));
        }
        Ok(None)
    }

    async fn check_password(
        &self,
        attempt: &Attempt,
        turn: &mut Turn,
        source: &ActiveSource,
        name: &str,
    ) -> Result<Option<Checked>, Trouble> {
        if source.is_as_user() {
            return self.check_as_user(attempt, turn, source, name).await;
        }
        let read_at = self.now();
        let person = match source.directory.find(name, &source.wanted).await {
            Ok(Found::One(person)) => person,
            Ok(Found::Nobody) => return Ok(None),
            Ok(Found::Several(dns)) => return Err(Trouble::Rejected(ambiguous(source, &dns))),
            Err(error) => return Err(trouble(source, error)),
        };
        if attempt.via == Via::Http {
            self.fold_spellings(turn, source, &person).await.map_err(Trouble::Rejected)?;
        }
        let check = source.directory.check_password(&person, &attempt.password).await;
        let check = check.map_err(|error| trouble(source, error))?;
        let dn = person.dn.to_string();
        Ok(Some(Checked { person: Some(person), dn, check, reader: Reader::service(), read_at }))
    }

    /// Without a service account the DN is all that is known of somebody before their bind, and all of their spellings
    /// share it.
    async fn check_as_user(
        &self,
        attempt: &Attempt,
        turn: &mut Turn,
        source: &ActiveSource,
        name: &str,
    ) -> Result<Option<Checked>, Trouble> {
        let dn = match source.directory.whereabouts(name).await {
            Ok(Whereabouts::At(dn)) => dn,
            Ok(Whereabouts::Nobody) => return Ok(None),
            Ok(Whereabouts::Several(dns)) => return Err(Trouble::Rejected(ambiguous(source, &dns))),
            Err(error) => return Err(trouble(source, error)),
        };
        if attempt.via == Via::Http {
            let key = name::key_in_source(&source.slug, &dn.key());
            self.count_as(turn, key).await.map_err(Trouble::Rejected)?;
        }
        let read_at = self.now();
        match source.directory.authenticate_as(dn, &attempt.password, &source.wanted).await {
            Ok(Authentication::Checked { person, dn, check, reader }) => {
                Ok(Some(Checked { person, dn: dn.to_string(), check, reader, read_at }))
            }
            Ok(Authentication::Nobody) => Ok(None),
            Ok(Authentication::Several(dns)) => Err(Trouble::Rejected(ambiguous(source, &dns))),
            Err(error) => Err(trouble(source, error)),
        }
    }

    /// Whoever changed them meanwhile may have changed their password: then it is tried again.
    async fn by_local_password(&self, attempt: &Attempt, mut user: UserState) -> Result<Admitted, Rejection> {
        for _ in 0..TRIES {
            if let Some(admitted) = self.by_local_password_once(attempt, &user).await? {
                return Ok(admitted);
            }
            user = match self.route(&attempt.username).await? {
                Route::Local(user) => *user,
                Route::Sources { .. } => break,
            };
        }
        Err(Rejection::unavailable(KEPT_CHANGING))
    }

    /// `None`: somebody else has written of them since they were read.
    async fn by_local_password_once(&self, attempt: &Attempt, user: &UserState) -> Result<Option<Admitted>, Rejection> {
        let stored = user.user.password_hash.as_ref().map_or("", PasswordHash::expose);
        let verdict = self.passwords().verify(&attempt.password, stored).await?;
        if verdict == Verdict::Wrong {
            return Err(Rejection::refused(Reason::BadCredentials, "the local password is wrong"));
        }
        if !user.user.is_active() {
            return Err(
                Rejection::refused(Reason::AccountDisabled, "the local account is deactivated").after_password()
            );
        }
        let mut plan = Plan { expected: vec![user.expected()], ..Plan::default() };
        if verdict == Verdict::RightUpgrade
            && let Ok(hash) = self.passwords().hash(&attempt.password, self.entropy()).await
        {
            plan.changes.push(Change::SetPassword { user: user.user.id, hash: Some(PasswordHash::new(hash)) });
        }
        self.authorize_local(user, &mut plan).await;
        let admission = Admission::by_local_password(user.user.id);
        let token = self.finish(attempt, &admission, &mut plan);
        match self.store().apply(&plan, self.now()).await {
            Ok(_) => Ok(Some(Admitted { admission, token, stored: None })),
            Err(error) if error.is_conflict() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts what every sign-in writes at its end into the same transaction: session, time and audit.
    pub(crate) fn finish(
        &self,
        attempt: &Attempt,
        admission: &Admission,
        plan: &mut Plan,
    ) -> Option<crate::token::Token> {
        plan.changes.push(Change::SignedIn { user: admission.user() });
        plan.changes.push(Change::Record(NewAudit {
            user_id: Some(admission.user()),
            source: admission.source().map(str::to_owned),
            ..self.audit_line(attempt, Outcome::SignedIn, None, "")
        }));
        if attempt.via != Via::Http {
            return None;
        }
        let (token, change) = session::start(self, admission, attempt);
        plan.changes.push(change);
        Some(token)
    }

    fn audit_line(&self, attempt: &Attempt, outcome: Outcome, reason: Option<Reason>, detail: &str) -> NewAudit {
        let mut details = serde_json::Map::new();
        if !detail.is_empty() {
            details.insert("detail".to_owned(), detail.into());
        }
        NewAudit {
            id: self.new_id(),
            event: "sign_in".to_owned(),
            outcome: outcome.as_str().to_owned(),
            reason: reason.map(Reason::as_str).unwrap_or_default().to_owned(),
            username: attempt.username.clone(),
            user_id: None,
            source: None,
            address: attempt.address.map(|address| address.to_string()).unwrap_or_default(),
            via: attempt.via.as_str().to_owned(),
            detail: details,
        }
    }

    async fn welcome(&self, attempt: &Attempt, admitted: Admitted) -> SignIn {
        let admission = admitted.admission;
        let source = admission.source().map(str::to_owned);
        count(Outcome::SignedIn, None, source.as_deref());
        tracing::info!(target: "bindery_core::sign_in", user = %admission.user(), source = source.as_deref(), "signed in");
        self.tell(&Event::SignedIn { user: admission.user(), source: source.clone(), typed: attempt.username.clone() });
        let view = match admitted.stored {
            Some(state) => self.view_with(state.user, &state.links, state.memberships).await.map(Some),
            None => self.view(admission.user()).await,
        };
        let user = match view {
            Ok(user) => user,
            Err(error) => return SignIn { source, ..SignIn::from(Rejection::from(error)) },
        };
        SignIn {
            outcome: Outcome::SignedIn,
            reason: None,
            password_verified: true,
            source,
            dn: admission.dn().map(str::to_owned),
            user,
            token: admitted.token,
            retry_after: None,
            detail: String::new(),
        }
    }

    async fn turn_away(&self, attempt: &Attempt, rejection: Rejection) -> SignIn {
        count(rejection.outcome, rejection.reason, rejection.source.as_deref());
        tracing::info!(
            target: "bindery_core::sign_in",
            outcome = rejection.outcome.as_str(),
            reason = rejection.reason.map(Reason::as_str),
            source = rejection.source.as_deref(),
            detail = ?rejection.detail,
            "not signed in"
        );
        let line = self.audit_line(attempt, rejection.outcome, rejection.reason, &rejection.detail);
        let line = NewAudit { source: rejection.source.clone(), ..line };
        // The refusal stands whether or not its trace could be written.
        if let Err(error) = self.store().apply(&Plan::from(vec![Change::Record(line)]), self.now()).await {
            tracing::error!(target: "bindery_core::sign_in", error = chain(&error), "the audit could not be written");
        }
        let (outcome, reason) = (rejection.outcome, rejection.reason);
        self.tell(&Event::SignInFailed { typed: attempt.username.clone(), outcome, reason });
        rejection.into()
    }
}

/// What one source found out about a password.
struct Checked {
    person: Option<Box<Person>>,
    dn: String,
    check: PasswordCheck,
    reader: Reader,
    /// When the directory was asked for the entry.
    read_at: DateTime<Utc>,
}

enum Trouble {
    Rejected(Rejection),
    Directory(DirectoryError),
}

fn trouble(source: &ActiveSource, error: DirectoryError) -> Trouble {
    match error {
        error @ DirectoryError::MissingUniqueId { .. } => Trouble::Rejected(find_failed(source, &error)),
        error => Trouble::Directory(error),
    }
}

/// What a failed look-up means for whoever asked.
pub(crate) fn find_failed(source: &ActiveSource, error: &DirectoryError) -> Rejection {
    match error {
        DirectoryError::MissingUniqueId { dn, .. } => {
            Rejection::refused(Reason::MissingAttribute, error.to_string()).at(&source.slug, Some(dn))
        }
        error => Rejection::unavailable(chain(error)).at(&source.slug, None),
    }
}

pub(super) fn judge_password(check: PasswordCheck) -> Result<AccountState, Rejection> {
    match check {
        PasswordCheck::Accepted(state) => Ok(state),
        PasswordCheck::Wrong => Err(Rejection::refused(Reason::BadCredentials, "the directory refused the password")),
        PasswordCheck::Refused { refusal, password_was_right } => {
            let mut rejection = Rejection::refused(reason_of(refusal), "the directory refused the bind");
            rejection.password_verified = password_was_right;
            Err(rejection)
        }
    }
}

fn reason_of(refusal: Refusal) -> Reason {
    match refusal {
        Refusal::AccountLocked => Reason::AccountLocked,
        Refusal::AccountExpired => Reason::AccountExpired,
        Refusal::PasswordExpired => Reason::PasswordExpired,
        Refusal::PasswordMustChange => Reason::PasswordMustChange,
        Refusal::SignInHours => Reason::SignInHours,
        Refusal::WorkstationNotAllowed => Reason::WorkstationNotAllowed,
        // `AccountDisabled`, and what this version has no word for.
        _ => Reason::AccountDisabled,
    }
}

pub(crate) fn ambiguous(source: &ActiveSource, dns: &[bindery_directory::Dn]) -> Rejection {
    let names: Vec<_> = dns.iter().map(ToString::to_string).collect();
    let detail = format!("several entries have that name: {}", names.join("; "));
    Rejection::refused(Reason::AmbiguousUser, detail).at(&source.slug, None)
}

fn count(outcome: Outcome, reason: Option<Reason>, source: Option<&str>) {
    metrics::counter!(
        "bindery_sign_ins_total",
        "outcome" => outcome.as_str(),
        "reason" => reason.map(Reason::as_str).unwrap_or_default(),
        "source" => source.unwrap_or_default().to_owned(),
    )
    .increment(1);
}

pub(crate) async fn level(started: Instant) {
    let spent = started.elapsed();
    let steps = spent.as_millis().checked_div(LEVEL.as_millis()).unwrap_or_default().saturating_add(1);
    let until = LEVEL.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX));
    tokio::time::sleep(until.saturating_sub(spent)).await;
}
