//! `GET` and `POST /login`: the sign-in page, and signing in by form or JSON.

use super::see_other;
use crate::{
    cookie,
    pages::{LoginPage, PasswordPage},
    posted::{Fields, Posted, secret, ticked},
    problem,
    sentences::{self, Sentence},
    shared::{Asked, Shared, original_uri},
    visitor::Standing,
};
use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use bindery_core::{
    Outcome, Reason,
    engine::{Attempt, SignIn, UserView, Via},
    token::Token,
};
use http::{StatusCode, header, request::Parts};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

/// What the page may be opened with.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Opened {
    next: Option<String>,
    signed_out: Option<String>,
}

/// What is sent.
#[derive(Debug, Deserialize)]
pub(super) struct Credentials {
    username: String,
    #[serde(deserialize_with = "secret")]
    password: SecretString,
    #[serde(default, deserialize_with = "ticked")]
    remember: bool,
    next: Option<String>,
    csrf_token: Option<String>,
}

impl Fields for Credentials {
    fn csrf_token(&self) -> Option<&str> {
        self.csrf_token.as_deref()
    }
}

/// The sign-in page; somebody who is signed in already goes straight on.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    standing: Standing,
    asked: Asked,
    opened: Result<Query<Opened>, QueryRejection>,
) -> Response {
    let Query(opened) = opened.unwrap_or_default();
    let next = shared.next(opened.next.as_deref());
    if matches!(standing, Standing::SignedIn(_)) {
        return see_other(next.unwrap_or(&shared.home));
    }
    let page = LoginPage {
        next: next.map(str::to_owned),
        notice: opened.signed_out.map(|_| "You are signed out."),
        ..blank(&asked)
    };
    asked.page(&shared, None, StatusCode::OK, &page)
}

/// Sends a browser to the sign-in page, and back to where it was going afterwards.
pub(crate) fn redirect(shared: &Shared, parts: &Parts) -> Response {
    let wanted = original_uri(parts);
    let path = wanted.path_and_query().map(http::uri::PathAndQuery::as_str);
    let mut target = shared.path("/login");
    if let Some(next) = shared.next(path).filter(|next| *next != shared.home) {
        let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
        target = format!("{target}?{query}");
    }
    see_other(&target)
}

/// Signs somebody in.
pub(super) async fn submit(State(shared): State<Arc<Shared>>, posted: Posted<Credentials>) -> Response {
    let Posted { fields, json, asked } = posted;
    let Credentials { username, password, remember, next, .. } = fields;
    let attempt = Attempt {
        username: username.clone(),
        password,
        address: asked.client.address,
        user_agent: asked.user_agent(),
        via: Via::Http,
        remember: remember && asked.settings.remember_me.is_some(),
    };
    let ended = shared.authority.sign_in(attempt).await;
    let answer = Answer::of(&ended);
    let response = match (json, answer.status) {
        (true, status) => problem::answer(status, &answer.body()),
        (false, StatusCode::OK) => see_other(shared.next(next.as_deref()).unwrap_or(&shared.home)),
        (false, _) => {
            let page = LoginPage {
                username,
                next: shared.next(next.as_deref()).map(str::to_owned),
                remembered: remember,
                ..blank(&asked)
            };
            refused(&shared, &asked, &answer, page)
        }
    };
    let mut response = problem::wait(response, answer.retry_after);
    if answer.status == StatusCode::OK {
        start(&shared, &asked, ended.token.as_ref(), remember, &mut response).await;
    }
    response
}

/// Hands over the new session. The one the browser came with ends, whoever made it: a session ID that was
/// planted before signing in is worth nothing afterwards.
async fn start(shared: &Shared, asked: &Asked, token: Option<&Token>, remember: bool, response: &mut Response) {
    if let Some(old) = cookie::session_token(asked.headers(), &asked.settings)
        && shared.authority.sign_out(&old).await.is_err()
    {
        tracing::warn!("the session before a sign-in could not be ended");
    }
    let cookie = token.and_then(|token| cookie::set_session(&asked.settings, token, remember));
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// The page again, with one sentence. A password that must be changed leads to the page for that.
fn refused(shared: &Shared, asked: &Asked, answer: &Answer<'_>, page: LoginPage) -> Response {
    let error = Some(answer.sentence());
    if let Some(Reason::PasswordExpired | Reason::PasswordMustChange) = answer.reason {
        let page = PasswordPage {
            error,
            allowed: shared.authority.changes_passwords(answer.source),
            asks_username: true,
            username: page.username,
            changed: false,
        };
        return asked.page(shared, None, answer.status, &page);
    }
    let page = LoginPage { error, ..page };
    asked.page(shared, None, answer.status, &page)
}

fn blank(asked: &Asked) -> LoginPage {
    LoginPage { remember: asked.settings.remember_me.map(sentences::span), ..LoginPage::default() }
}

/// What a visitor is told of how a sign-in ended.
#[derive(Debug)]
struct Answer<'a> {
    status: StatusCode,
    outcome: Outcome,
    reason: Option<Reason>,
    user: Option<&'a UserView>,
    source: Option<&'a str>,
    retry_after: Option<Duration>,
}

/// The JSON of it.
#[derive(Debug, Serialize)]
struct Body<'a> {
    outcome: Outcome,
    reason: Option<Reason>,
    user: Option<&'a UserView>,
}

impl<'a> Answer<'a> {
    fn of(ended: &'a SignIn) -> Self {
        // A sign-in without a session to hand over has not succeeded.
        let outcome = match (ended.outcome, &ended.token) {
            (Outcome::SignedIn, None) => Outcome::Unavailable,
            (outcome, _) => outcome,
        };
        let reason = ended.public_reason().filter(|_| outcome == Outcome::Refused);
        Self {
            status: status(outcome, reason, ended.password_verified),
            outcome,
            reason,
            user: ended.user.as_ref().filter(|_| outcome == Outcome::SignedIn),
            source: ended.source.as_deref().filter(|_| ended.password_verified),
            retry_after: ended.retry_after.filter(|_| outcome != Outcome::SignedIn),
        }
    }

    fn body(&self) -> Body<'a> {
        Body { outcome: self.outcome, reason: self.reason, user: self.user }
    }

    fn sentence(&self) -> Sentence {
        match self.outcome {
            Outcome::Unavailable => sentences::unavailable(),
            _ => sentences::refused(self.reason.unwrap_or(Reason::BadCredentials), self.retry_after),
        }
    }
}

fn status(outcome: Outcome, reason: Option<Reason>, password_verified: bool) -> StatusCode {
    match (outcome, reason) {
        (Outcome::SignedIn, _) => StatusCode::OK,
        (Outcome::Unavailable, _) => StatusCode::SERVICE_UNAVAILABLE,
        (Outcome::Refused, Some(Reason::Throttled)) => StatusCode::TOO_MANY_REQUESTS,
        (Outcome::Refused, _) if password_verified => StatusCode::FORBIDDEN,
        (Outcome::Refused, _) => StatusCode::UNAUTHORIZED,
    }
}
