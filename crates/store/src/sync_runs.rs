//! What each sync did, kept for people to look at.

use sqlx::AssertSqlSafe;

use crate::db::{Row, args};
use crate::{Store, StoreError, SyncRunRecord, guard};

/// Runs of a source that are kept.
const KEPT: i64 = 200;

macro_rules! run_columns {
    () => {
        "SELECT id, source, mode, outcome, started_at, ended_at, dry_run, report FROM sync_runs"
    };
}

impl Row {
    fn sync_run(&self) -> Result<SyncRunRecord, StoreError> {
        Ok(SyncRunRecord {
            id: self.get("id")?,
            source: self.get("source")?,
            mode: self.get("mode")?,
            outcome: self.get("outcome")?,
            started_at: self.get("started_at")?,
            ended_at: self.get("ended_at")?,
            dry_run: self.get("dry_run")?,
            report: self.get("report")?,
        })
    }
}

impl Store {
    /// Writes a run down: at its beginning, and again at its end.
    pub async fn put_sync_run(&self, run: &SyncRunRecord) -> Result<(), StoreError> {
        guard::name("source", &run.source)?;
        guard::text("mode", &run.mode)?;
        guard::text("outcome", &run.outcome)?;
        let sql = "INSERT INTO sync_runs (id, source, mode, outcome, started_at, ended_at, dry_run, report) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                   ON CONFLICT (id) DO UPDATE SET source = excluded.source, mode = excluded.mode, \
                   outcome = excluded.outcome, started_at = excluded.started_at, ended_at = excluded.ended_at, \
                   dry_run = excluded.dry_run, report = excluded.report";
        let args = args![
            run.id,
            &run.source,
            &run.mode,
            &run.outcome,
            run.started_at,
            run.ended_at,
            run.dry_run,
            guard::trace_json(run.report.clone()),
        ];
        self.db.execute(sql, args).await.map(drop)
    }

    /// The last runs, of one source or of all, newest first.
    pub async fn sync_runs(&self, source: Option<&str>, limit: u32) -> Result<Vec<SyncRunRecord>, StoreError> {
        let source = source.unwrap_or_default();
        let sql = concat!(run_columns!(), " WHERE ($1 = '' OR source = $1) ORDER BY started_at DESC, id DESC LIMIT $2");
        self.db.rows(sql, args![source, i64::from(limit)]).await?.iter().map(Row::sync_run).collect()
    }

    /// The last run of a source that was no dry run, and not a follower's (`live`): of any outcome, or of one of these.
    pub async fn last_sync_run(&self, source: &str, outcomes: &[&str]) -> Result<Option<SyncRunRecord>, StoreError> {
        let mut args = args![source];
        args.extend(outcomes.iter().map(|outcome| crate::db::Arg::from(*outcome)));
        let among = if outcomes.is_empty() {
            String::new()
        } else {
            format!("AND outcome IN ({}) ", crate::db::placeholders(2, outcomes.len()))
        };
        let sql = format!(
            "{} WHERE source = $1 AND NOT dry_run AND mode <> 'live' {among}ORDER BY started_at DESC, id DESC LIMIT 1",
            run_columns!()
        );
        self.db.row(AssertSqlSafe(sql), args).await?.map(|row| row.sync_run()).transpose()
    }

    /// Removes all but the last 200 runs of each source. Answers how many.
    pub async fn sweep_sync_runs(&self) -> Result<u64, StoreError> {
        let sql = "DELETE FROM sync_runs WHERE id IN (SELECT r.id FROM ( \
                       SELECT id, row_number() OVER (PARTITION BY source ORDER BY started_at DESC, id DESC) AS place \
                       FROM sync_runs \
                   ) r WHERE r.place > $1)";
        self.db.execute(sql, args![KEPT]).await
    }
}
