//! SQLite has one writer. Plans that wait for it go into one transaction together: under load that saves
//! most of the commits, and nobody waits longer than for the transaction before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::{Run, alone};
use crate::db::{Db, Pool};
use crate::{Applied, Plan, StoreError, Trouble};

/// A transaction of more would make those behind it wait too long.
const MOST: usize = 64;

/// Plans that wait for the writer.
#[derive(Default)]
pub(crate) struct Queue(Mutex<Line>);

#[derive(Default)]
struct Line {
    waiting: Vec<Waiting>,
    /// Whether a task serves the line.
    served: bool,
}

struct Waiting {
    plan: Plan,
    now: DateTime<Utc>,
    answer: oneshot::Sender<Result<Applied, StoreError>>,
}

impl Db {
    /// The queue, where there is one writer.
    pub(super) fn queue(&self) -> Option<&Arc<Queue>> {
        match &self.pool {
            Pool::Sqlite { queue, .. } => Some(queue),
            Pool::Postgres(_) => None,
        }
    }
}

impl Queue {
    /// Carries out a plan with whatever else waits. Whoever stops waiting for the answer does not undo it.
    pub(super) async fn carry_out(
        self: &Arc<Self>,
        db: &Db,
        plan: &Plan,
        now: DateTime<Utc>,
    ) -> Result<Applied, StoreError> {
        let (answer, answered) = oneshot::channel();
        let served = {
            let mut line = self.line();
            line.waiting.push(Waiting { plan: plan.clone(), now, answer });
            std::mem::replace(&mut line.served, true)
        };
        if !served {
            // A task of its own: a request that is given up must not take others' plans with it.
            let service = Service { queue: self.clone(), over: false };
            let db = db.clone();
            tokio::spawn(async move { service.run(&db).await });
        }
        answered.await.unwrap_or_else(|_| Err(StoreError::unavailable(&db.line.store, Trouble::Closed)))
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever serves the line, until it is empty.
struct Service {
    queue: Arc<Queue>,
    over: bool,
}

impl Service {
    async fn run(mut self, db: &Db) {
        loop {
            self.gather().await;
            let Some(batch) = self.next() else { return };
            serve(db, batch).await;
        }
    }

    /// Lets everybody else have a turn, for as long as that brings more plans: where there is much to do, whoever is about to
    /// write joins the same transaction, and where there is nothing to do, this takes no time.
    async fn gather(&self) {
        let mut waiting = 0;
        loop {
            tokio::task::yield_now().await;
            let now = self.queue.line().waiting.len();
            if now == waiting || now >= MOST {
                return;
            }
            waiting = now;
        }
    }

    /// Those whose turn it is. Nobody: then whoever comes next starts another service.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let mut line = self.queue.line();
        let most = line.waiting.len().min(MOST);
        if most == 0 {
            line.served = false;
            self.over = true;
            return None;
        }
        Some(line.waiting.drain(..most).collect())
    }
}

impl Drop for Service {
    /// Cut off midway, as when the runtime stops: those who wait are told so instead of waiting for ever.
    fn drop(&mut self) {
        if !self.over {
            let mut line = self.queue.line();
            line.served = false;
            line.waiting.clear();
        }
    }
}

async fn serve(db: &Db, batch: Vec<Waiting>) {
    let done = if batch.len() > 1 { Some(together(db, &batch).await) } else { None };
    match done {
        Some(Ok(results)) => {
            for (waiting, applied) in batch.into_iter().zip(results) {
                let _ = waiting.answer.send(Ok(applied));
            }
        }
        // Where no answer came to the commit, it may have been written: nobody does it twice.
        Some(Err(StoreError::Unavailable { store, trouble, .. })) => {
            for waiting in batch {
                let _ = waiting.answer.send(Err(StoreError::unavailable(&store, trouble)));
            }
        }
        // Nothing was written. One of them is a conflict: each finds out for itself.
        Some(Err(_)) | None => {
            for waiting in batch {
                let result = alone(db, &waiting.plan, waiting.now).await;
                let _ = waiting.answer.send(result);
            }
        }
    }
}

async fn together(db: &Db, batch: &[Waiting]) -> Result<Vec<Applied>, StoreError> {
    let mut tx = db.begin().await?;
    let mut results = Vec::with_capacity(batch.len());
    let mut run = Run::new(&mut tx);
    for waiting in batch {
        results.push(run.plan(&waiting.plan, waiting.now).await?);
    }
    run.flush().await?;
    tx.commit().await?;
    Ok(results)
}
