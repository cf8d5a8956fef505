//! The server: sign-in pages, sessions and the endpoints that operators watch.
//! Holds no decisions; those are the engine's.

mod health;
mod housekeeping;
mod metrics;
mod signals;

use crate::exit::{Failure, chain};
use axum::Router;
use axum::extract::Request;
use bindery_axum::{Bindery, BinderyBuilder};
use bindery_core::Engine;
use bindery_core::config::Config;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;

pub(crate) use metrics::Metrics;

/// Requests under way at a stop get this long.
const GRACE: Duration = Duration::from_secs(10);

/// Everything that a running server is made of.
pub(crate) struct Server {
    pub(crate) engine: Engine,
    pub(crate) bindery: Bindery,
    pub(crate) metrics: Metrics,
    /// Read again on SIGHUP; none where there is no file, as in the demo.
    pub(crate) config_file: Option<PathBuf>,
}

/// The pages, signed with the key that all replicas share.
pub(crate) async fn pages(engine: &Engine, config: &Config) -> Result<BinderyBuilder, Failure> {
    let mut key = [0u8; 32];
    engine.entropy().fill(&mut key);
    let kept = engine.store().setting_or_insert("form_key", &key).await?;
    let key: [u8; 32] = kept.try_into().map_err(|_| {
        Failure::unavailable("the store's form_key is damaged; delete the setting \"form_key\" and start again")
    })?;
    let pages = Bindery::builder(engine.clone(), config).home_page(true).admin_pages(engine.clone()).form_key(key);
    Ok(match &config.server.templates {
        Some(folder) => pages.templates(folder),
        None => pages,
    })
}

/// Listens, or says why not.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::unavailable(format!("cannot listen on {address}: {error}; set [server] listen to a free address"))
    })
}

impl Server {
    fn router(&self) -> Router {
        let bindery = self.bindery.clone();
        Router::new()
            .merge(health::routes(self.engine.store().clone()))
            .merge(metrics::routes(self.metrics.clone()))
            .merge(self.bindery.routes())
            .fallback(move |request: Request| async move { bindery.not_found(request).await })
            .layer(CatchPanicLayer::new())
    }

    /// Serves until it is told to stop; requests under way are answered first.
    pub(crate) async fn run(self, listener: TcpListener) -> Result<(), Failure> {
        let app = self.router().into_make_service_with_connect_info::<SocketAddr>();
        let stop = signals::stop();
        let reload =
            tokio::spawn(signals::reloads(self.engine.clone(), self.bindery.clone(), self.config_file.clone()));
        let keeping = tokio::spawn(housekeeping::run(self.engine.clone(), self.metrics.clone()));
        let syncing = self.engine.clone();
        let syncing = tokio::spawn(async move { syncing.keep_in_sync().await });
        let (stopping, mut stopped) = tokio::sync::watch::channel(false);
        let serving = axum::serve(listener, app).with_graceful_shutdown(async move {
            stop.await;
            tracing::info!(target: "bindery", "stopping: requests under way are answered first");
            stopping.send_replace(true);
        });
        let result = tokio::select! {
            result = serving => result,
            () = async { let _ = stopped.wait_for(|stopping| *stopping).await; tokio::time::sleep(GRACE).await } => {
                tracing::warn!(target: "bindery", "requests that took too long were cut off");
                Ok(())
            }
        };
        reload.abort();
        keeping.abort();
        self.engine.stop_syncing();
        let _ = syncing.await;
        self.engine.store().close().await;
        result.map_err(|error| Failure::unavailable(format!("the server ended: {}", chain(&error))))
    }
}
