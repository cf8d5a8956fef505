//! An authority that ends sign-ins as the username says, so that every ending can be looked at without a
//! directory. The endings themselves are tested where they are made, against real servers.

use bindery_axum::authority::{Authority, BoxFuture, ChangePassword, NotEnded};
use bindery_core::{
    Outcome, Reason, SystemEntropy,
    engine::{Attempt, Current, Ended, LinkView, PasswordChange, SessionState, SignIn, UserView},
    token::Token,
};
use secrecy::ExposeSecret;
use serde_json::json;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;

/// What everybody's password is.
pub const PASSWORD: &str = "right horse";

/// See the module.
#[derive(Clone, Default)]
pub struct Scripted(Arc<State>);

#[derive(Default)]
struct State {
    sessions: Mutex<HashMap<String, Arc<Current>>>,
    lookups: AtomicU64,
    down: AtomicBool,
    changes_passwords: AtomicBool,
    renews: AtomicBool,
    attempts: Mutex<Vec<Attempt>>,
}

#[allow(dead_code, reason = "the example of the pages uses a part of it")]
impl Scripted {
    pub fn attempts(&self) -> Vec<Attempt> {
        std::mem::take(&mut self.0.attempts.lock().unwrap())
    }

    pub fn lookups(&self) -> u64 {
        self.0.lookups.load(Ordering::SeqCst)
    }

    pub fn sessions(&self) -> usize {
        self.0.sessions.lock().unwrap().len()
    }

    /// The store is gone.
    pub fn set_down(&self) {
        self.0.down.store(true, Ordering::SeqCst);
    }

    /// Passwords are changed here.
    /// From now on every session has a new token.
    pub fn set_renewing(&self) {
        self.0.renews.store(true, Ordering::SeqCst);
    }

    pub fn set_changing_passwords(&self) {
        self.0.changes_passwords.store(true, Ordering::SeqCst);
    }

    /// Makes a session out of nothing, as no visitor could.
    pub fn session_for(&self, username: &str) -> String {
        let token = Token::generate(&SystemEntropy).reveal();
        let user = user(username);
        let json = serde_json::to_vec(&user).unwrap().into();
        let current = Arc::new(Current {
            user,
            json,
            source: Some("corp".to_owned()),
            expires_at: "2030-01-01T00:00:00Z".parse().unwrap(),
            remember: false,
        });
        self.0.sessions.lock().unwrap().insert(token.clone(), current);
        token
    }

    fn decide(&self, attempt: &Attempt) -> SignIn {
        let right = attempt.password.expose_secret() == PASSWORD;
        let refused = |reason, verified| SignIn {
            outcome: Outcome::Refused,
            reason: Some(reason),
            password_verified: verified,
            source: Some("corp".to_owned()),
            dn: None,
            user: None,
            token: None,
            retry_after: None,
            detail: "for operators alone".to_owned(),
        };
        let after = match attempt.username.as_str() {
            "down" => {
                return SignIn { outcome: Outcome::Unavailable, reason: None, ..refused(Reason::Vetoed, false) };
            }
            "throttled" => {
                return SignIn {
                    retry_after: Some(Duration::from_millis(61_500)),
                    ..refused(Reason::Throttled, false)
                };
            }
            "nobody" => return refused(Reason::NoSuchUser, false),
            "twice" => return refused(Reason::AmbiguousUser, false),
            "X\\y" => return refused(Reason::UnknownDomain, false),
            "locked" => return refused(Reason::AccountLocked, false),
            "disabled" => Some(Reason::AccountDisabled),
            "outsider" => Some(Reason::NotInRequiredGroup),
            "expired" => Some(Reason::PasswordExpired),
            "must-change" => Some(Reason::PasswordMustChange),
            _ => None,
        };
        match after {
            _ if attempt.password.expose_secret().is_empty() => refused(Reason::EmptyPassword, false),
            _ if !right => refused(Reason::BadCredentials, false),
            Some(reason) => refused(reason, true),
            None => SignIn {
                outcome: Outcome::SignedIn,
                reason: None,
                password_verified: true,
                source: Some("corp".to_owned()),
                user: Some(user(&attempt.username)),
                token: Token::parse(&self.session_for(&attempt.username)),
                dn: None,
                retry_after: None,
                detail: String::new(),
            },
        }
    }
}

impl Authority for Scripted {
    fn sign_in(&self, attempt: Attempt) -> BoxFuture<'_, SignIn> {
        let ended = self.decide(&attempt);
        self.0.attempts.lock().unwrap().push(attempt);
        Box::pin(async { ended })
    }

    fn session<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, SessionState> {
        self.0.lookups.fetch_add(1, Ordering::SeqCst);
        let state = if self.0.down.load(Ordering::SeqCst) {
            SessionState::Unavailable { status: 503, page: None, detail: "gone".to_owned() }
        } else {
            match self.0.sessions.lock().unwrap().get(&token.reveal()).cloned() {
                Some(current) if self.0.renews.load(Ordering::SeqCst) => {
                    SessionState::Renewed(current, token.rotated(&bindery_core::SystemEntropy))
                }
                Some(current) => SessionState::Active(current),
                None => SessionState::Ended(Ended::NoSession),
            }
        };
        Box::pin(async { state })
    }

    fn sign_out<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<(), NotEnded>> {
        let ended = if self.0.down.load(Ordering::SeqCst) {
            Err(NotEnded("the store is gone".into()))
        } else {
            self.0.sessions.lock().unwrap().remove(&token.reveal());
            Ok(())
        };
        Box::pin(async { ended })
    }

    fn changes_passwords(&self, _: Option<&str>) -> bool {
        self.0.changes_passwords.load(Ordering::SeqCst)
    }

    fn change_password(&self, change: ChangePassword) -> BoxFuture<'_, PasswordChange> {
        let ended = match (change.old.expose_secret(), change.new.expose_secret()) {
            _ if change.username == "throttled" => PasswordChange::Throttled(Duration::from_secs(9)),
            (PASSWORD, "short") => PasswordChange::Refused("The password is too short.".to_owned()),
            (PASSWORD, _) => PasswordChange::Changed,
            _ => PasswordChange::WrongOld,
        };
        Box::pin(async { ended })
    }
}

/// Somebody, with everything.
pub fn user(username: &str) -> UserView {
    let profile = json!({
        "title": "Managing Editor", "department": "Publishing", "cost_center": "4711",
        "location": "Leeds", "employee_id": "10023", "employee_type": "Full time",
        "company": "Binder & Sons", "phone_numbers": ["+44 113 496 0001", "+44 7700 900123"],
    });
    UserView {
        id: Uuid::nil(),
        username: username.to_owned(),
        first_name: "Ann".to_owned(),
        last_name: "Carter".to_owned(),
        email: "ann.carter@binder.example".to_owned(),
        display_name: "Ann Carter".to_owned(),
        path: "Leeds/Publishing".to_owned(),
        flags: [("is_active", true), ("is_staff", true), ("is_superuser", username == "root")]
            .map(|(name, set)| (name.to_owned(), set))
            .into(),
        profile: profile.as_object().cloned().unwrap(),
        groups: ["Editors", "Everyone", "Press Office", "Staff"].map(str::to_owned).into(),
        permissions: ["press.add_article", "press.change_article", "press.publish_article"].map(str::to_owned).into(),
        link: Some(LinkView {
            source: "corp".to_owned(),
            unique_id: "5a1f3f60-8a5e-103f-9d2b-3b6f0c1f2a77".to_owned(),
            dn: "uid=ann,ou=People,dc=binder,dc=example".to_owned(),
            last_seen: "2026-11-22T02:06:00Z".parse().unwrap(),
        }),
    }
}
