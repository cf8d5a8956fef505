//! `/healthz`: the process lives. `/readyz`: store and configuration are good, whatever the directories do.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use bindery_store::Store;
use std::time::Duration;

/// A store that takes longer than this to say hello is not ready.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn routes(store: Store) -> Router {
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready)).with_state(store)
}

async fn ready(State(store): State<Store>) -> (StatusCode, &'static str) {
    match tokio::time::timeout(PATIENCE, store.ping()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n"),
        Ok(Err(error)) => {
            tracing::warn!(target: "bindery", error = crate::exit::chain(&error), "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the store is unavailable\n")
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n"),
    }
}
