//! Answers for what isn't there.

use crate::{
    sentences::Sentence,
    shared::{Asked, Shared},
};
use axum::{extract::State, response::Response};
use bindery_core::engine::UserView;
use http::StatusCode;
use std::sync::Arc;

/// 404, as a page or a problem document.
pub(crate) fn answer(shared: &Shared, asked: &Asked, user: Option<&UserView>) -> Response {
    let sentence = Sentence::new("This address doesn't lead anywhere.", "Check it, or start again from the home page.");
    asked.error(shared, user, StatusCode::NOT_FOUND, sentence)
}

/// 405, as a page or a problem document. axum adds `Allow`.
pub(super) async fn method(State(shared): State<Arc<Shared>>, asked: Asked) -> Response {
    let sentence = Sentence::new("This address can't be used in that way.", "");
    asked.error(&shared, None, StatusCode::METHOD_NOT_ALLOWED, sentence)
}
