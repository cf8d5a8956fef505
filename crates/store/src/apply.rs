//! The one door for changes: a plan becomes a transaction.

mod bulk;
mod bundle;
mod changes;
mod guards;
mod queue;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::db::{Arg, Db, Tx, args};
use crate::users::user_columns;
use crate::{Applied, Change, Plan, Store, StoreError, User};

use bulk::Bulk;
use bundle::{Bundle, parts};
pub(crate) use queue::Queue;

const MOVED: &str = "the user was changed or removed meanwhile";
const GONE: &str = "the user is gone";
const GROUP_GONE: &str = "the group is gone";
const LINK_GONE: &str = "the link is gone";
/// Plans of a bulk that met a conflict: so few are better carried out one after the other than in halves.
const FEW: usize = 4;

/// A plan under way.
struct Run<'a> {
    tx: &'a mut Tx,
    now: DateTime<Utc>,
    /// Users whose rows we hold, as they will be.
    users: BTreeMap<Uuid, User>,
    /// Those of them that have to be written.
    dirty: BTreeSet<Uuid>,
    /// Those of them who get another name.
    renamed: BTreeSet<Uuid>,
    /// Users whose sign-in is among the statements already.
    signed_in: BTreeSet<Uuid>,
    /// Statements that wait to be run together, those of each plan by themselves.
    pending: Vec<Bundle>,
    applied: Applied,
}

impl Store {
    /// Carries out a plan in one transaction: whole, or not at all.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] where a user has moved since the plan was computed, a name or an entry is taken, or a
    /// user or group is gone: load a new snapshot, compute again, try again. [`StoreError::Invalid`] for a value that
    /// cannot be stored. In each case nothing was written.
    pub async fn apply(&self, plan: &Plan, now: DateTime<Utc>) -> Result<Applied, StoreError> {
        if plan.is_empty() {
            return Ok(Applied::default());
        }
        guards::check(plan)?;
        match self.db.queue() {
            Some(queue) => queue.carry_out(&self.db, plan, now).await,
            None => alone(&self.db, plan, now).await,
        }
    }

    /// Carries out several plans in one transaction, for the speed of it. Each stands alone: one that is a conflict or
    /// cannot be stored is left out, and the others are kept.
    ///
    /// SQLite lets nobody else write meanwhile. A thousand plans are some tens of milliseconds.
    ///
    /// # Errors
    ///
    /// The outer error is that of the transaction: then nothing at all was written.
    pub async fn apply_batch(
        &self,
        plans: &[Plan],
        now: DateTime<Utc>,
    ) -> Result<Vec<Result<Applied, StoreError>>, StoreError> {
        self.carry_out(self.prepare(plans, now).await).await
    }

    /// Makes plans ready to be carried out. This takes some ten microseconds for each of them. It waits for nothing, and lets
    /// others have their turn in between.
    pub async fn prepare<'a>(&self, plans: &'a [Plan], now: DateTime<Utc>) -> Prepared<'a> {
        let mut gatherer = bulk::Gatherer::default();
        let plain = plans.len() > FEW && plans.iter().all(|plan| guards::check(plan).is_ok() && gatherer.takes(plan));
        let bulk = if plain { Some(Bulk::of(plans, now, self.db.dialect()).await) } else { None };
        Prepared { plans, now, bulk }
    }

    /// Carries out plans that were made ready: see [`apply_batch`](Self::apply_batch).
    ///
    /// # Errors
    ///
    /// The outer error is that of the transaction: then nothing at all was written.
    pub async fn carry_out(&self, prepared: Prepared<'_>) -> Result<Vec<Result<Applied, StoreError>>, StoreError> {
        let Prepared { plans, now, bulk } = prepared;
        if let Some(bulk) = bulk
            && let Some(applied) = self.all_at_once(bulk, plans, now).await?
        {
            return Ok(applied.into_iter().map(Ok).collect());
        }
        let mut tx = self.db.begin().await?;
        let mut results = Vec::with_capacity(plans.len());
        let mut rest = plans;
        while let Some((first, others)) = rest.split_first() {
            if let Err(error) = guards::check(first) {
                results.push(Err(error));
                rest = others;
                continue;
            }
            let mut gatherer = bulk::Gatherer::default();
            let count = rest.iter().take_while(|plan| guards::check(plan).is_ok() && gatherer.takes(plan)).count();
            let (part, after) = rest.split_at_checked(count.max(1)).unwrap_or((rest, &[]));
            results.extend(part_of_batch(&mut tx, part, count > FEW, now).await?);
            rest = after;
        }
        tx.commit().await?;
        Ok(results)
    }

    /// The usual end of a batch: all of it in one go, without a savepoint, which SQLite would keep a second copy of every
    /// page for. `None` where something stands in the way: then nothing was written.
    async fn all_at_once(
        &self,
        bulk: Bulk,
        plans: &[Plan],
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<Applied>>, StoreError> {
        let mut tx = self.db.begin().await?;
        match bulk.carry_out(&mut tx, plans, now).await {
            Ok(applied) => tx.commit().await.map(|()| Some(applied)),
            Err(error) if error.is_unavailable() => Err(error),
            Err(_) => Ok(None),
        }
    }
}

/// Several plans made ready to be carried out: all that can be worked out before the transaction, while somebody else may
/// be writing.
///
/// Plans next to each other that concern different users and entries, and are made of nothing but new users and groups,
/// fields, flags, links, memberships of groups by ID, ended sessions and lines of the audit, are carried out together, in no
/// particular order: that is many times faster.
pub struct Prepared<'a> {
    plans: &'a [Plan],
    now: DateTime<Utc>,
    /// Where all of them can be carried out together.
    bulk: Option<Bulk>,
}

/// Plans that can be carried out together, or that cannot. Where one of many is a conflict, its half is found, and the
/// half of that.
async fn part_of_batch(
    tx: &mut Tx,
    plans: &[Plan],
    together: bool,
    now: DateTime<Utc>,
) -> Result<Vec<Result<Applied, StoreError>>, StoreError> {
    let mut results = Vec::with_capacity(plans.len());
    let mut waiting = vec![plans];
    while let Some(part) = waiting.pop() {
        if together && part.len() > FEW {
            let bulk = Bulk::of(part, now, tx.dialect()).await;
            if let Ok(applied) = savepoint(tx, async |tx| bulk.carry_out(tx, part, now).await).await? {
                results.extend(applied.into_iter().map(Ok));
            } else {
                let (left, right) = part.split_at_checked(part.len() / 2).unwrap_or((part, &[]));
                waiting.extend([right, left]);
            }
            continue;
        }
        for plan in part {
            results.push(savepoint(tx, async |tx| run(tx, plan, now).await).await?);
        }
    }
    Ok(results)
}

/// Something that leaves nothing behind when it fails. The outer error is that of the transaction.
async fn savepoint<T>(
    tx: &mut Tx,
    work: impl AsyncFnOnce(&mut Tx) -> Result<T, StoreError>,
) -> Result<Result<T, StoreError>, StoreError> {
    tx.execute("SAVEPOINT plan", args![]).await?;
    let result = work(tx).await;
    if let Err(error) = &result {
        if error.is_unavailable() {
            return result.map(Ok);
        }
        tx.execute("ROLLBACK TO SAVEPOINT plan", args![]).await?;
    }
    tx.execute("RELEASE SAVEPOINT plan", args![]).await?;
    Ok(result)
}

/// One plan in a transaction of its own.
async fn alone(db: &Db, plan: &Plan, now: DateTime<Utc>) -> Result<Applied, StoreError> {
    let mut tx = db.begin().await?;
    let applied = run(&mut tx, plan, now).await?;
    tx.commit().await?;
    Ok(applied)
}

async fn run(tx: &mut Tx, plan: &Plan, now: DateTime<Utc>) -> Result<Applied, StoreError> {
    let mut run = Run::new(tx);
    let applied = run.plan(plan, now).await?;
    run.flush().await?;
    Ok(applied)
}

impl<'a> Run<'a> {
    fn new(tx: &'a mut Tx) -> Self {
        Self {
            tx,
            now: DateTime::UNIX_EPOCH,
            users: BTreeMap::new(),
            dirty: BTreeSet::new(),
            renamed: BTreeSet::new(),
            signed_in: BTreeSet::new(),
            pending: Vec::new(),
            applied: Applied::default(),
        }
    }

    /// Carries out a plan; some of its statements may wait for [`flush`](Self::flush).
    async fn plan(&mut self, plan: &Plan, now: DateTime<Utc>) -> Result<Applied, StoreError> {
        self.now = now;
        self.pending.push(Bundle::default());
        self.take_users(plan).await?;
        for change in &plan.changes {
            self.change(change).await?;
        }
        self.write_users();
        self.users.clear();
        self.signed_in.clear();
        Ok(std::mem::take(&mut self.applied))
    }

    /// Locks every user that the plan rests on or changes, in the order of their IDs, and checks their versions.
    async fn take_users(&mut self, plan: &Plan) -> Result<(), StoreError> {
        let created: BTreeSet<Uuid> = plan
            .changes
            .iter()
            .filter_map(|change| if let Change::CreateUser(user) = change { Some(user.id) } else { None })
            .collect();
        let bumped: BTreeSet<Uuid> = plan.changes.iter().filter_map(Change::bumps).collect();
        let mut wanted: BTreeMap<Uuid, Option<i64>> = bumped.difference(&created).map(|id| (*id, None)).collect();
        wanted.extend(plan.expected.iter().map(|expected| (expected.user, Some(expected.version))));
        for (id, version) in wanted {
            let bump = bumped.contains(&id);
            if bump {
                self.doubt(id, plan);
            }
            if plan.changes.iter().any(|change| change.rewrites() == Some(id)) {
                self.take_user(id, version, bump).await?;
            } else {
                self.hold_user(id, version, bump, plan.changes.contains(&Change::SignedIn { user: id }));
            }
        }
        Ok(())
    }

    /// A fingerprint vouches for what its write left. What else changes the user must not be passed over by the next
    /// sync of any source; the plan of a source writes that source's own fingerprint anew, so that it may stay till then.
    fn doubt(&mut self, user: Uuid, plan: &Plan) {
        let own = plan.changes.iter().find_map(|change| match change {
            Change::Link(link) | Change::UpdateLink(link) if link.entity_id == user => Some(link.source.as_str()),
            _ => None,
        });
        let sql = "UPDATE links SET fingerprint = NULL WHERE user_id = $1 AND source <> $2 AND fingerprint IS NOT NULL";
        self.later(sql, args![user, own.unwrap_or_default()], None);
    }

    /// The same where nobody needs to see the row. A sign-in is written along: the row is the same.
    fn hold_user(&mut self, id: Uuid, version: Option<i64>, bump: bool, signed_in: bool) {
        let sql = "UPDATE users SET version = version + $2, \
                   updated_at = CASE WHEN $2 = 0 THEN updated_at ELSE $3 END, \
                   last_sign_in = CASE WHEN $5 THEN $3 ELSE last_sign_in END \
                   WHERE id = $1 AND ($4 IS NULL OR version = $4)";
        self.later(sql, args![id, i64::from(bump), self.now, version, signed_in], Some(MOVED));
        if signed_in {
            self.signed_in.insert(id);
        }
    }

    async fn take_user(&mut self, id: Uuid, version: Option<i64>, bump: bool) -> Result<(), StoreError> {
        self.flush().await?;
        // An UPDATE even where nothing moves: it locks the row, so that the check still holds when we commit.
        let sql = concat!(
            "UPDATE users SET version = users.version + $2, updated_at = CASE WHEN $2 = 0 THEN users.updated_at ELSE $3 END \
             WHERE users.id = $1 AND ($4 IS NULL OR users.version = $4) RETURNING ",
            user_columns!()
        );
        let args = args![id, i64::from(bump), self.now, version];
        match self.tx.row(sql, args).await? {
            Some(row) => {
                self.users.insert(id, row.user()?);
                Ok(())
            }
            None if version.is_some() => Err(StoreError::conflict(MOVED)),
            None => Err(StoreError::conflict(GONE)),
        }
    }

    /// The row of a user that the plan changes, to be written at the end.
    fn user(&mut self, id: Uuid) -> Result<&mut User, StoreError> {
        self.dirty.insert(id);
        self.users.get_mut(&id).ok_or_else(|| StoreError::conflict(GONE))
    }

    /// A statement for later; `or` is the conflict if it touches no row.
    fn later(&mut self, sql: &'static str, args: Vec<Arg>, or: Option<&'static str>) {
        if self.pending.is_empty() {
            self.pending.push(Bundle::default());
        }
        if let Some(bundle) = self.pending.last_mut() {
            bundle.push(sql, args, or);
        }
    }

    /// Runs what waits. Whatever reads has to do this first.
    async fn flush(&mut self) -> Result<(), StoreError> {
        for part in parts(std::mem::take(&mut self.pending)) {
            let (statements, needed): (Vec<_>, Vec<_>) = part.into_iter().flat_map(Bundle::into_statements).unzip();
            if statements.is_empty() {
                continue;
            }
            let counts = self.tx.execute_all(statements).await?;
            if let Some(or) = counts.iter().zip(needed).find_map(|(count, or)| or.filter(|_| *count == 0)) {
                return Err(StoreError::conflict(or));
            }
        }
        Ok(())
    }

    fn write_users(&mut self) {
        let sql = "UPDATE users SET username = $2, username_key = $3, first_name = $4, last_name = $5, email = $6, \
                   email_key = $7, display_name = $8, path = $9, profile = $10, flags = $11, password_hash = $12, \
                   deactivated_by = $13, live_groups = $14 WHERE id = $1";
        let renamed = std::mem::take(&mut self.renamed);
        if renamed.len() > 1 {
            // Names may pass from one to another, in any order: all are let go of before any is taken.
            for id in renamed {
                let free = "UPDATE users SET username_key = $2 WHERE id = $1";
                self.later(free, args![id, format!("\u{1}{id}")], None);
            }
        }
        for id in std::mem::take(&mut self.dirty) {
            if let Some(args) = self.users.get(&id).map(changes::user_args).map(Vec::from) {
                self.later(sql, args, None);
            }
        }
    }
}
