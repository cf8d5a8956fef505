//! `GET /profile`: everything that is known of the visitor, and where it comes from.

use super::home::changes_password;
use crate::{
    pages::ProfilePage,
    shared::{Asked, Shared},
    visitor::CurrentUser,
};
use axum::{extract::State, response::Response};
use http::StatusCode;
use std::sync::Arc;

pub(super) async fn show(State(shared): State<Arc<Shared>>, user: CurrentUser, asked: Asked) -> Response {
    let page = ProfilePage::of(&user, changes_password(&shared, &user));
    asked.page(&shared, Some(&user), StatusCode::OK, &page)
}
