//! `GET /assets/HASH/NAME`: style, mark, and the pictures of sources.

use super::unknown;
use crate::shared::{Asked, Shared};
use axum::{
    extract::{Path, State},
    response::Response,
};
use std::sync::Arc;

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    asked: Asked,
    Path((hash, name)): Path<(String, String)>,
) -> Response {
    let found = shared.pages.assets.serve(&hash, &name);
    found.or_else(|| asked.settings.icons.serve(&hash, &name)).unwrap_or_else(|| unknown::answer(&shared, &asked, None))
}
