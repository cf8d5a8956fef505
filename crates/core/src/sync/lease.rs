//! One at a time, over any number of processes: a lease in the store, renewed while its holder lives.

use crate::engine::{ActiveSource, Engine, chain};
use bindery_store::StoreError;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// The lease of a dead holder ends within this.
const TTL: Duration = Duration::from_secs(30);
const RENEWED: Duration = Duration::from_secs(8);
/// So long after it was asked for it is given up, unless it was renewed.
const GOOD_FOR: Duration = Duration::from_secs(28);
/// A renewal that is under way gets this long to end.
const FINISHING: Duration = Duration::from_secs(2);
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
    loss: Loss,
    renewal: JoinHandle<()>,
    /// Dropped with it: nobody renews a lease that nobody holds.
    done: oneshot::Sender<()>,
}

/// Tells of the loss of a lease, to as many as have to know.
#[derive(Clone)]
pub(super) struct Loss(watch::Receiver<bool>);

impl Loss {
    /// Ends when the lease is lost; never, while it is held or once it was given back.
    pub(super) async fn lost(&mut self) {
        if self.0.wait_for(|lost| *lost).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether it is lost by now.
    pub(super) fn is_lost(&self) -> bool {
        *self.0.borrow()
    }
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
    let began = Instant::now();
    loop {
        let taken = take(engine, name.to_owned()).await?;
        if taken.is_some() || began.elapsed() > PATIENCE {
            return Ok(taken);
        }
        let held = engine.store().lease(name, engine.now()).await?;
        if held.is_some_and(|lease| !lease.holder.starts_with(FOLLOWER)) {
            return Ok(None);
        }
        sleep(PAUSE).await;
    }
}

async fn take_as(engine: &Engine, name: String, holder: String) -> Result<Option<Held>, StoreError> {
    let asked = Instant::now();
    if !engine.store().acquire_lease(&name, &holder, engine.now(), TTL).await? {
        return Ok(None);
    }
    let (tell, loss) = watch::channel(false);
    let (done, is_done) = oneshot::channel();
    let renewal = tokio::spawn(renew(engine.clone(), name.clone(), holder.clone(), asked, is_done, tell));
    Ok(Some(Held { engine: engine.clone(), name, holder, loss: Loss(loss), renewal, done }))
}

/// Keeps a lease alive, until it is done with. One that could not be renewed for almost as long as it lasts is lost: it
/// counts from before it was asked for, and somebody else may have it a moment later.
async fn renew(
    engine: Engine,
    name: String,
    holder: String,
    mut renewed: Instant,
    mut done: oneshot::Receiver<()>,
    lost: watch::Sender<bool>,
) {
    loop {
        tokio::select! {
            _ = &mut done => return,
            () = sleep(RENEWED) => {}
        }
        let asked = Instant::now();
        let renewing = engine.store().acquire_lease(&name, &holder, engine.now(), TTL);
        match timeout_at(renewed + GOOD_FOR, renewing).await {
            Ok(Ok(true)) => renewed = asked,
            Ok(Ok(false)) | Err(_) => break,
            Ok(Err(error)) => {
                let error = chain(&error);
                tracing::warn!(target: "bindery_core::sync", name, error, "the lease could not be renewed");
                if renewed.elapsed() + RENEWED >= GOOD_FOR {
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
        self.loss.lost().await;
    }

    /// For those who have to know of it besides the holder.
    pub(super) fn loss(&self) -> Loss {
        self.loss.clone()
    }

    /// Gives it back, so that the next one need not wait.
    pub(super) async fn give_back(self) {
        let Self { engine, name, holder, loss: _, mut renewal, done } = self;
        // A renewal that is under way would come after the end, and hold the lease for nobody.
        drop(done);
        if timeout(FINISHING, &mut renewal).await.is_err() {
            renewal.abort();
        }
        if let Err(error) = engine.store().release_lease(&name, &holder).await {
            let error = chain(&error);
            tracing::warn!(target: "bindery_core::sync", name, error, "the lease could not be given back; it ends by itself");
        }
    }
}
