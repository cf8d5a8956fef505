//! SIGTERM and SIGINT stop the server, SIGHUP has it read its configuration again.

use bindery_axum::Bindery;
use bindery_core::Engine;
use bindery_core::config::{Config, Environment};
use std::path::{Path, PathBuf};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Resolves when the server is to stop.
pub(crate) async fn stop() {
    tokio::select! {
        () = received(SignalKind::terminate()) => {}
        () = received(SignalKind::interrupt()) => {}
    }
}

async fn received(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        // A signal that cannot be listened to never comes.
        Err(error) => {
            tracing::error!(target: "bindery", %error, "a signal cannot be listened to");
            std::future::pending::<()>().await;
        }
    }
}

/// Reads the configuration again at each SIGHUP. A bad file keeps the old one.
pub(crate) async fn reloads(engine: Engine, bindery: Bindery, file: Option<PathBuf>) {
    let (Some(file), Ok(mut hangups)) = (file, signal(SignalKind::hangup())) else { return };
    while next(&mut hangups).await {
        reload(&engine, &bindery, &file).await;
    }
}

async fn next(signal: &mut Signal) -> bool {
    signal.recv().await.is_some()
}

async fn reload(engine: &Engine, bindery: &Bindery, file: &Path) {
    let path = file.to_owned();
    // Reading may run the commands that secrets come from.
    let loaded = tokio::task::spawn_blocking(move || Config::load(&path, &Environment::of_process())).await;
    match loaded {
        Ok(Ok(config)) => {
            engine.reload(&config);
            bindery.reload(&config);
            tracing::info!(target: "bindery", file = %file.display(), "configuration reloaded; listen and store stay as they were");
        }
        Ok(Err(errors)) => {
            tracing::error!(target: "bindery", %errors, "the configuration is bad; the old one stays in force");
        }
        Err(error) => {
            tracing::error!(target: "bindery", %error, "the configuration could not be read; the old one stays");
        }
    }
}
