//! `GET /api/v1/me`: who this session is, as `bindery user show` prints it.

use crate::{
    problem::{Problem, json},
    shared::{Asked, Shared},
    visitor::{Standing, Visitor},
};
use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use std::sync::Arc;

/// The hot path: one lookup in memory, and bytes that were made when the user last changed.
pub(super) async fn show(State(shared): State<Arc<Shared>>, visitor: Visitor, request: Request) -> Response {
    match visitor.standing(request.headers()).await {
        Standing::SignedIn(user) => json(StatusCode::OK, "application/json", Body::from(user.json())),
        Standing::SignedOut => Problem::signed_out().into_response(),
        Standing::Unavailable(why) => {
            let asked = Asked::of(&request.into_parts().0, &shared);
            why.answer(&shared, &asked).await
        }
    }
}
