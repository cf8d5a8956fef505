//! `/metrics`, for Prometheus.

use crate::exit::Failure;
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// The counters of this process.
#[derive(Clone)]
pub(crate) struct Metrics(PrometheusHandle);

impl Metrics {
    /// Begins to count.
    pub(crate) fn start() -> Result<Self, Failure> {
        let handle = PrometheusBuilder::new().install_recorder();
        let handle = handle.map_err(|error| Failure::unavailable(format!("metrics cannot be counted: {error}")))?;
        metrics::describe_counter!("bindery_sign_ins_total", "Sign-ins by outcome, reason and source.");
        metrics::gauge!("bindery_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self(handle))
    }

    /// Folds what histograms have gathered; without it they grow until somebody scrapes.
    pub(crate) fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

pub(crate) fn routes(metrics: Metrics) -> Router {
    Router::new().route("/metrics", get(show)).with_state(metrics)
}

async fn show(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.0.render())
}
