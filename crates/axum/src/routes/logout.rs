//! `POST /logout`: ends the session.

use crate::{
    cookie, posted,
    sentences::Sentence,
    shared::{Asked, Shared},
};
use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use std::sync::Arc;

pub(super) async fn submit(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match posted::nothing(request).await {
        Ok(asked) => sign_out(&shared, &asked).await,
        Err(refused) => refused,
    }
}

/// The cookie goes in any case. A session that could not be ended is an error that says so: somebody who walks
/// away from a shared computer has to know.
async fn sign_out(shared: &Shared, asked: &Asked) -> Response {
    let token = cookie::session_token(asked.headers(), &asked.settings);
    let ended = match &token {
        Some(token) => shared.authority.sign_out(token).await,
        None => Ok(()),
    };
    let mut response = match ended {
        Ok(()) if asked.wants_page() => super::see_other(&shared.path("/login?signed_out")),
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(_) => asked.error(shared, None, StatusCode::SERVICE_UNAVAILABLE, unfinished()),
    };
    if let Some(cookie) = cookie::clear_session(&asked.settings) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn unfinished() -> Sentence {
    Sentence::new(
        "You are signed out in this browser, but the session itself could not be ended.",
        "It ends by itself; tell your administrator if you think that somebody else has your cookie.",
    )
}
