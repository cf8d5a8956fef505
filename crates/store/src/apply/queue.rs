//! SQLite has one writer. Plans that wait for it go into one transaction together: under load that saves
//! most of the commits, and nobody waits longer than for the transaction before.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::{alone, run};
use crate::db::{Db, Pool};
use crate::{Applied, Plan, StoreError, Trouble};

/// A transaction of more would make those behind it wait too long.
const MOST: usize = 64;

/// Plans that wait for the writer.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Vec<Waiting>>,
    turn: tokio::sync::Mutex<()>,
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
        self.waiting().push(Waiting { plan: plan.clone(), now, answer });
        let (queue, line) = (self.clone(), db.clone());
        // A task of its own: a request that is given up must not take others' plans with it.
        tokio::spawn(async move {
            let _turn = queue.turn.lock().await;
            queue.serve(&line).await;
        });
        answered.await.unwrap_or_else(|_| Err(StoreError::unavailable(&db.line.store, Trouble::Closed)))
    }

    async fn serve(&self, db: &Db) {
        let batch: Vec<Waiting> = {
            let mut waiting = self.waiting();
            let most = waiting.len().min(MOST);
            waiting.drain(..most).collect()
        };
        let done = if batch.len() > 1 { together(db, &batch).await.ok() } else { None };
        match done {
            Some(results) => {
                for (waiting, applied) in batch.into_iter().zip(results) {
                    let _ = waiting.answer.send(Ok(applied));
                }
            }
            // Nothing was written. One of them is a conflict, or the database is in trouble: each finds out for itself.
            None => {
                for waiting in batch {
                    let result = alone(db, &waiting.plan, waiting.now).await;
                    let _ = waiting.answer.send(result);
                }
            }
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn together(db: &Db, batch: &[Waiting]) -> Result<Vec<Applied>, StoreError> {
    let mut tx = db.begin().await?;
    let mut results = Vec::with_capacity(batch.len());
    for waiting in batch {
        results.push(run(&mut tx, &waiting.plan, waiting.now).await?);
    }
    tx.commit().await?;
    Ok(results)
}
