//! The routes, one file each.

mod admin;
mod assets;
pub(crate) mod home;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod me;
pub(crate) mod password;
pub(crate) mod profile;
pub(crate) mod unknown;

use crate::{layer::BinderyLayer, shared::Shared};
use axum::{
    Router,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::{HeaderValue, StatusCode, header};
use std::sync::Arc;

/// All routes, at the mount point, with their layer.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(shared: &Arc<Shared>, home: bool) -> Router<S> {
    let mut router = Router::new()
        .route("/login", get(login::show).post(login::submit))
        .route("/logout", post(logout::submit))
        .route("/profile", get(profile::show))
        .route("/password", get(password::show).post(password::submit))
        .route("/api/v1/me", get(me::show))
        .route("/assets/{hash}/{name}", get(assets::show));
    if home {
        router = router.route("/", get(home::show));
    }
    if let Some(administration) = &shared.administration {
        router = router.merge(admin::router(shared, administration));
    }
    let router = router
        .method_not_allowed_fallback(unknown::method)
        .with_state::<()>(shared.clone())
        .layer(BinderyLayer(shared.clone()));
    if shared.mount.is_empty() {
        router.with_state(())
    } else {
        Router::new().nest(&shared.mount, router).with_state(())
    }
}

/// 303: go and look there, with GET.
pub(crate) fn see_other(target: &str) -> Response {
    let mut response = Redirect::to(target).into_response();
    debug_assert_eq!(response.status(), StatusCode::SEE_OTHER);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
