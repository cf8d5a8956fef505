//! `GET` and `POST /password`: changing one's password, knowing the old one.
//!
//! Somebody whose password has expired has no session, so the page then asks for the username, too.

use crate::{
    authority::ChangePassword,
    cookie,
    pages::PasswordPage,
    posted::{Fields, Posted, secret},
    problem::{self, Problem},
    sentences::{self, Sentence},
    shared::{Asked, Shared},
    visitor::{CurrentUser, Standing},
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use bindery_core::engine::{PasswordChange, UserView};
use http::{StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};

/// What is sent. A field that is missing counts as empty, so that who is not signed in hears that first.
#[derive(Debug, Deserialize)]
pub(super) struct Change {
    username: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    old_password: SecretString,
    #[serde(default, deserialize_with = "secret")]
    new_password: SecretString,
    #[serde(default, deserialize_with = "secret")]
    new_password_again: SecretString,
    csrf_token: Option<String>,
}

impl Fields for Change {
    fn csrf_token(&self) -> Option<&str> {
        self.csrf_token.as_deref()
    }
}

/// The page. Without a session it is 401, and asks for the username.
pub(super) async fn show(State(shared): State<Arc<Shared>>, standing: Standing, asked: Asked) -> Response {
    let user = match standing {
        Standing::SignedIn(user) => Some(user),
        Standing::SignedOut => None,
        Standing::Unavailable(why) => return why.answer(&shared, &asked).await,
    };
    if user.is_none() && !asked.wants_page() {
        return Problem::signed_out().into_response();
    }
    let status = user.as_ref().map_or(StatusCode::UNAUTHORIZED, |_| StatusCode::OK);
    let page = blank(&shared, user.as_ref());
    asked.page(&shared, user.as_deref(), status, &page)
}

/// Changes the password.
pub(super) async fn submit(State(shared): State<Arc<Shared>>, standing: Standing, posted: Posted<Change>) -> Response {
    let user = match standing {
        Standing::SignedIn(user) => Some(user),
        Standing::SignedOut => None,
        Standing::Unavailable(why) => return why.answer(&shared, &posted.asked).await,
    };
    let Posted { fields, json, asked } = posted;
    // A session speaks for itself; a name in the form cannot replace it.
    let username =
        user.as_ref().map(|user| user.username.clone()).or(fields.username.clone()).filter(|name| !name.is_empty());
    let page = PasswordPage { username: username.clone().unwrap_or_default(), ..blank(&shared, user.as_ref()) };
    let done = change(&shared, &asked, username, fields).await;
    match done {
        Ok(()) => changed(&shared, &asked, json),
        Err(why) if json => why.into_response(),
        Err(why) => refused(&shared, &asked, user.as_deref(), why, page),
    }
}

async fn change(shared: &Shared, asked: &Asked, username: Option<String>, fields: Change) -> Result<(), Refused> {
    let username = username.ok_or_else(Refused::signed_out)?;
    let new = fields.new_password.expose_secret();
    if new != fields.new_password_again.expose_secret() {
        return Err(Refused::unequal());
    }
    if new.is_empty() || new.contains('\0') {
        return Err(Refused::empty());
    }
    let change =
        ChangePassword { username, old: fields.old_password, new: fields.new_password, address: asked.client.address };
    match shared.authority.change_password(change).await {
        PasswordChange::Changed => Ok(()),
        other => Err(Refused::by(other)),
    }
}

/// Why a password was not changed, as the visitor gets it.
#[derive(Debug)]
struct Refused {
    status: StatusCode,
    reason: Option<&'static str>,
    sentence: Sentence,
    retry_after: Option<Duration>,
}

impl Refused {
    fn new(status: StatusCode, sentence: Sentence) -> Self {
        Self { status, reason: None, sentence, retry_after: None }
    }

    fn signed_out() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, sentences::signed_out())
    }

    fn unequal() -> Self {
        let sentence = Sentence::new("The two new passwords aren't the same.", "Type the new one twice, alike.");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, sentence)
    }

    fn empty() -> Self {
        let sentence = Sentence::new(
            "The new password is empty, or holds a character that passwords cannot have.",
            "Choose another.",
        );
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, sentence)
    }

    fn by(change: PasswordChange) -> Self {
        match change {
            PasswordChange::WrongOld => {
                Self { reason: Some("bad_credentials"), ..Self::new(StatusCode::UNAUTHORIZED, wrong()) }
            }
            PasswordChange::Throttled(wait) => Self {
                reason: Some("throttled"),
                retry_after: Some(wait),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, sentences::throttled(Some(wait)))
            },
            PasswordChange::Refused(words) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, Sentence::new(words, "")),
            PasswordChange::Unavailable(_) | PasswordChange::Changed => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, sentences::unavailable())
            }
        }
    }
}

fn wrong() -> Sentence {
    Sentence::new("The current password isn't right.", "Check it and try again.")
}

/// Every session has ended with the old password, this one too.
fn changed(shared: &Shared, asked: &Asked, json: bool) -> Response {
    let mut response = if json {
        problem::answer(StatusCode::OK, &serde_json::json!({ "outcome": "changed" }))
    } else {
        let page = PasswordPage { changed: true, ..PasswordPage::default() };
        asked.page(shared, None, StatusCode::OK, &page)
    };
    if let Some(cookie) = cookie::clear_session(&asked.settings) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn refused(shared: &Shared, asked: &Asked, user: Option<&UserView>, why: Refused, page: PasswordPage) -> Response {
    let page = PasswordPage { error: Some(why.sentence), ..page };
    problem::wait(asked.page(shared, user, why.status, &page), why.retry_after)
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let problem = Problem::new(self.status, self.sentence.whole());
        let problem = match self.reason {
            Some(reason) => problem.reason(reason),
            None => problem,
        };
        problem::wait(problem.into_response(), self.retry_after)
    }
}

fn blank(shared: &Shared, user: Option<&CurrentUser>) -> PasswordPage {
    PasswordPage {
        // Whether somebody unknown may is told only after a correct password.
        allowed: user.is_none_or(|user| super::home::changes_password(shared, user)),
        asks_username: user.is_none(),
        username: user.map(|user| user.username.clone()).unwrap_or_default(),
        ..PasswordPage::default()
    }
}
