//! Folds the log back into the file beside the writer.
//!
//! The writer does it by itself whenever the log has grown long, and everybody who waits for it waits for the disk as well.
//! Most of that has been done here by then. Nothing depends on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sqlx::AssertSqlSafe;

use super::lane::Lane;

/// So many rows, each of which is about one page more. The log is long at 8,000 pages.
const ENOUGH: u64 = 1000;

pub(crate) struct Log {
    lane: Lane,
    rows: AtomicU64,
    under_way: AtomicBool,
}

impl Log {
    pub(super) fn new(lane: Lane) -> Arc<Self> {
        Arc::new(Self { lane, rows: AtomicU64::new(0), under_way: AtomicBool::new(false) })
    }

    /// So many rows were committed.
    pub(super) fn grew(self: &Arc<Self>, rows: u64) {
        let grown = self.rows.fetch_add(rows, Ordering::AcqRel).saturating_add(rows);
        if grown < ENOUGH || self.under_way.swap(true, Ordering::AcqRel) {
            return;
        }
        self.rows.store(0, Ordering::Release);
        let log = self.clone();
        tokio::spawn(async move {
            // Where it fails, the writer meets the same trouble, and names it.
            let _ = log.fold().await;
            log.under_way.store(false, Ordering::Release);
        });
    }

    /// Waits for nobody, and nobody waits for it.
    async fn fold(&self) -> Result<(), sqlx::Error> {
        let mut turn = self.lane.turn().await?;
        let fold = sqlx::query(AssertSqlSafe("PRAGMA wal_checkpoint(PASSIVE)"));
        fold.execute(turn.connection()?).await.inspect_err(|error| turn.judge(error)).map(drop)
    }

    pub(super) async fn close(&self) {
        self.lane.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::args;
    use crate::how_many::HowMany;
    use crate::{Change, NewUser, Plan, Store, StoreUrl};

    /// What many small plans write is in the file soon, although the log is far from being long.
    #[tokio::test]
    async fn many_small_plans_are_folded_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bindery.db");
        let store = Store::open(&StoreUrl::parse(&format!("sqlite:{}", file.display())).unwrap()).await.unwrap();
        let crate::db::Pool::Sqlite(connections) = &store.db.pool else { panic!("SQLite") };
        let log = connections.file.as_ref().unwrap().log.clone();
        let before = std::fs::metadata(&file).unwrap().len();

        let now = chrono::DateTime::UNIX_EPOCH;
        let user = |n: u128| {
            let username = format!("user {n} {}", "x".repeat(500));
            NewUser { id: uuid::Uuid::from_u128(n), username_key: username.clone(), username, ..NewUser::default() }
        };
        let plans: Vec<Plan> = (0..300).map(|n| Plan::from(vec![Change::CreateUser(user(n))])).collect();
        for plan in &plans {
            store.apply(plan, now).await.unwrap();
        }
        // Not many yet: nobody has folded anything.
        assert_eq!(std::fs::metadata(&file).unwrap().len(), before);
        let id = |n: u128| uuid::Uuid::from_u128(n);
        for n in (0..300).cycle().take(1000) {
            store.apply(&Plan::from(vec![Change::SignedIn { user: id(n) }]), now).await.unwrap();
        }
        // Whoever comes after the one that folds waits for their turn.
        while log.under_way.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
        assert!(std::fs::metadata(&file).unwrap().len() > before);
        let rows =
            store.db.rows_of_all(vec![crate::db::Statement::new("PRAGMA integrity_check", args![])], HowMany::Many);
        assert_eq!(rows.await.unwrap()[0][0].get::<String>("integrity_check").unwrap(), "ok");
    }
}
