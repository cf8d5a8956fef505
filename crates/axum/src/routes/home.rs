//! `GET /`: who you are and what you may do, or an invitation to sign in.

use crate::{
    pages::HomePage,
    shared::{Asked, Shared},
    visitor::CurrentUser,
};
use axum::{extract::State, response::Response};
use bindery_core::engine::UserView;
use http::StatusCode;
use std::sync::Arc;

pub(super) async fn show(State(shared): State<Arc<Shared>>, user: Option<CurrentUser>, asked: Asked) -> Response {
    let user = user.as_deref();
    let page = user.map_or_else(HomePage::default, |user| HomePage::of(user, changes_password(&shared, user)));
    asked.page(&shared, user, StatusCode::OK, &page)
}

/// Whether this person's password is changed here: decided by the source they are linked to.
pub(super) fn changes_password(shared: &Shared, user: &UserView) -> bool {
    let source = user.link.as_ref().map(|link| link.source.as_str());
    shared.authority.changes_passwords(source)
}
