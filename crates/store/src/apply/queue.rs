//! SQLite has one writer. Plans that wait for it go into one transaction together: under load that saves
//! most of the commits, and nobody waits longer than for the transaction before.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::{Run, alone};
use crate::db::{Db, Pool};
use crate::sqlite::Batches;
use crate::{Applied, Plan, StoreError, Trouble};

/// A transaction of more would make those behind it wait too long.
const MOST: usize = 64;

/// Plans that wait for the writer.
pub(crate) struct Queue(Arc<Batches<Waiting>>);

struct Waiting {
    plan: Plan,
    now: DateTime<Utc>,
    answer: oneshot::Sender<Result<Applied, StoreError>>,
}

impl Default for Queue {
    fn default() -> Self {
        Self(Arc::new(Batches::of(MOST)))
    }
}

impl Db {
    /// The queue, where there is one writer.
    pub(super) fn queue(&self) -> Option<&Queue> {
        match &self.pool {
            Pool::Sqlite(connections) => Some(&connections.queue),
            Pool::Postgres(_) => None,
        }
    }
}

impl Queue {
    /// Carries out a plan with whatever else waits. Whoever stops waiting for the answer does not undo it.
    pub(super) async fn carry_out(&self, db: &Db, plan: &Plan, now: DateTime<Utc>) -> Result<Applied, StoreError> {
        let (answer, answered) = oneshot::channel();
        if let Some(mut service) = self.0.add(Waiting { plan: plan.clone(), now, answer }) {
            let db = db.clone();
            tokio::spawn(async move {
                while let Some(batch) = service.next().await {
                    serve(&db, batch).await;
                }
            });
        }
        answered.await.unwrap_or_else(|_| Err(StoreError::unavailable(&db.line.store, Trouble::Closed)))
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
