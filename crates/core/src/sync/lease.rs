//! One at a time, over any number of processes: a lease in the store, renewed while its holder lives.

use crate::engine::{ActiveSource, Engine, chain};
use bindery_store::StoreError;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The lease of a dead holder ends within this.
const TTL: Duration = Duration::from_secs(30);
const RENEWED: Duration = Duration::from_secs(8);
/// What the holder is called while a follower carries out what it has heard.
const FOLLOWER: &str = "follower ";
/// A follower has a source to itself for moments only; one that does not give it back is dead or stuck.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at whether a lease is free.
const PAUSE: Duration = Duration::from_millis(50);

/// The lease of whoever writes what a source says.
pub(super) fn of_runs(source: &ActiveSource) -> String {
    format!("sync:{}", source.slug)
}

/// A lease that is ours until it is given back, or lost.
pub(super) struct Held {
    engine: Engine,
    name: String,
    holder: String,
    lost: watch::Receiver<bool>,
    renewal: JoinHandle<()>,
}

/// Takes a lease; `None` where somebody else has it.
pub(super) async fn take(engine: &Engine, name: String) -> Result<Option<Held>, StoreError> {
    take_as(engine, name, engine.new_id().to_string()).await
}

/// The same for a follower, which gives it back soon.
pub(super) async fn take_as_follower(engine: &Engine, name: String) -> Result<Option<Held>, StoreError> {
    take_as(engine, name, format!("{FOLLOWER}{}", engine.new_id())).await
}

/// The same for a run. It pauses a follower, and so it waits until that has carried out what it was at.
pub(super) async fn take_from_follower(engine: &Engine, name: &str) -> Result<Option<Held>, StoreError> {
    let began = tokio::time::Instant::now();
    loop {
        let taken = take(engine, name.to_owned()).await?;
        if taken.is_some() || began.elapsed() > PATIENCE {
            return Ok(taken);
        }
        let held = engine.store().lease(name, engine.now()).await?;
        if held.is_some_and(|lease| !lease.holder.starts_with(FOLLOWER)) {
            return Ok(None);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn take_as(engine: &Engine, name: String, holder: String) -> Result<Option<Held>, StoreError> {
    if !engine.store().acquire_lease(&name, &holder, engine.now(), TTL).await? {
        return Ok(None);
    }
    let (tell, lost) = watch::channel(false);
    let renewal = tokio::spawn(renew(engine.clone(), name.clone(), holder.clone(), tell));
    Ok(Some(Held { engine: engine.clone(), name, holder, lost, renewal }))
}

/// Keeps a lease alive. One that could not be renewed for as long as it lasts is lost.
async fn renew(engine: Engine, name: String, holder: String, lost: watch::Sender<bool>) {
    let mut renewed = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(RENEWED).await;
        match engine.store().acquire_lease(&name, &holder, engine.now(), TTL).await {
            Ok(true) => renewed = tokio::time::Instant::now(),
            Ok(false) => break,
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(target: "bindery_core::sync", name, error, "the lease could not be renewed");
                if renewed.elapsed() + RENEWED >= TTL {
                    break;
                }
            }
        }
    }
    let _ = lost.send(true);
}

impl Held {
    /// Ends when the lease is lost; never, while it is held.
    pub(super) async fn lost(&mut self) {
        if self.lost.wait_for(|lost| *lost).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Gives it back, so that the next one need not wait.
    pub(super) async fn give_back(self) {
        self.renewal.abort();
        if let Err(error) = self.engine.store().release_lease(&self.name, &self.holder).await {
            let error = chain(&error);
            tracing::warn!(target: "bindery_core::sync", name = self.name, error, "the lease could not be given back; it ends by itself");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}
