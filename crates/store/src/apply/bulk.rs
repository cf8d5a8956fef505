//! Many plans at once: what a sync brings is thousands of small plans of a few kinds, and one statement over all of them
//! costs little more than one over one.
//!
//! Nothing is decided here. Whatever stands in the way, the plans are left to be carried out one after the other.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::task::yield_now;
use uuid::Uuid;

use super::changes::{created, link_args, new_user_args, set, user_args};
use super::{GONE, GROUP_GONE, LINK_GONE, MOVED};
use crate::db::{Arg, Dialect, Ready, Tx, row};
use crate::many::{Many, Rows};
use crate::users::user_columns;
use crate::{Applied, Change, EntityKind, GroupRef, Link, NewUser, Plan, StoreError, User, audit};

/// After so many plans others have their turn: half a millisecond.
const LET_OTHERS: usize = 64;

/// Plans that have nothing to do with each other and are made of nothing but what can be done for many at once.
#[derive(Default)]
pub(super) struct Gatherer<'a> {
    users: HashSet<Uuid>,
    entries: HashSet<(EntityKind, &'a str, &'a str)>,
}

impl<'a> Gatherer<'a> {
    /// Whether a plan may join those that were taken before; if so it is taken.
    pub(super) fn takes(&mut self, plan: &'a Plan) -> bool {
        if !plan.changes.iter().all(is_plain) {
            return false;
        }
        // A plan concerns one user or two, and as many entries.
        let mut users: Vec<Uuid> =
            plan.changes.iter().filter_map(user_of).chain(plan.expected.iter().map(|expected| expected.user)).collect();
        users.dedup();
        let links = plan.changes.iter().filter_map(link_of);
        let entries: Vec<_> = links.map(|link| (link.kind, link.source.as_str(), link.unique_id.as_str())).collect();
        let twice =
            entries.iter().enumerate().any(|(at, entry)| entries.iter().skip(at + 1).any(|other| other == entry));
        let apart = !twice
            && !users.iter().any(|user| self.users.contains(user))
            && !entries.iter().any(|entry| self.entries.contains(entry));
        if apart {
            self.users.extend(users);
            self.entries.extend(entries);
        }
        apart
    }
}

fn is_plain(change: &Change) -> bool {
    match change {
        Change::CreateUser(_)
        | Change::CreateGroup(_)
        | Change::UpdateUser { .. }
        | Change::SetFlags { .. }
        | Change::SetDeactivatedBy { .. }
        | Change::Link(_)
        | Change::UpdateLink(_)
        | Change::EndSessions { except: None, .. }
        | Change::Record(_) => true,
        Change::AddMembership { group, .. } | Change::RemoveMembership { group, .. } => {
            matches!(group, GroupRef::Id(_))
        }
        _ => false,
    }
}

fn link_of(change: &Change) -> Option<&Link> {
    if let Change::Link(link) | Change::UpdateLink(link) = change { Some(link) } else { None }
}

fn user_of(change: &Change) -> Option<Uuid> {
    match change {
        Change::CreateUser(new) => Some(new.id),
        Change::Link(link) | Change::UpdateLink(link) => (link.kind == EntityKind::User).then_some(link.entity_id),
        Change::EndSessions { user, .. } => Some(*user),
        other => other.bumps(),
    }
}

/// A user that was there before.
#[derive(Default)]
struct Taken {
    version: Option<i64>,
    bump: bool,
    rewrite: bool,
    /// The source whose own plan this is: the fingerprint it writes is the one that counts.
    source: String,
}

/// What plans that a [`Gatherer`] took come to: all that can be worked out without the database.
pub(super) struct Bulk {
    taken: BTreeMap<Uuid, Taken>,
    /// Users whose sign-ins elsewhere are to be told of the change.
    revoked: BTreeSet<Uuid>,
    ended: BTreeSet<Uuid>,
    /// Groups that somebody joins, or that a link leads to.
    groups: Vec<Arg>,
    /// New users and groups.
    created: Vec<Ready>,
    links: Vec<Ready>,
    relinks: Vec<Ready>,
    /// How many links the last ones have to find.
    relinked: u64,
    /// Memberships, and lines of the audit.
    rest: Vec<Ready>,
}

/// The same as rows.
#[derive(Default)]
struct Gathering<'a> {
    taken: BTreeMap<Uuid, Taken>,
    revoked: BTreeSet<Uuid>,
    ended: BTreeSet<Uuid>,
    held: BTreeSet<Uuid>,
    groups: Rows,
    links: Rows,
    relinks: Rows,
    memberships: Memberships<'a>,
    records: Rows,
}

/// The fields of a user that have an index.
#[derive(PartialEq)]
struct Keys(String, String);

impl Keys {
    fn of(user: &User) -> Self {
        Self(user.username_key.clone(), user.email_key.clone())
    }
}

/// A user as they were found by, and as they will be.
type Edited = (Keys, User);

impl<'a> Gathering<'a> {
    fn users(&mut self, plan: &'a Plan, new: &mut BTreeMap<Uuid, &'a NewUser>) {
        for change in &plan.changes {
            if let Change::CreateUser(user) = change {
                new.insert(user.id, user);
            }
        }
        for change in &plan.changes {
            if let Some(user) = change.bumps().filter(|user| !new.contains_key(user)) {
                let taken = self.taken.entry(user).or_default();
                taken.bump = true;
                taken.rewrite |= change.rewrites().is_some();
            }
        }
        for expected in &plan.expected {
            self.taken.entry(expected.user).or_default().version = Some(expected.version);
        }
        for link in plan.changes.iter().filter_map(link_of) {
            if let Some(taken) = self.taken.get_mut(&link.entity_id) {
                taken.source.clone_from(&link.source);
            }
        }
    }

    fn change(&mut self, change: &'a Change, now: DateTime<Utc>) {
        match change {
            Change::SetFlags { user, .. } => {
                self.revoked.insert(*user);
            }
            Change::CreateGroup(new) => {
                self.groups.push(row![new.id, &new.name, &new.name_key, &new.owner, now]);
            }
            Change::Link(link) => {
                self.held.extend(link.groups());
                self.links.push(link_args(link));
            }
            Change::UpdateLink(link) => {
                self.held.extend(link.groups());
                self.relinks.push(link_args(link));
            }
            Change::AddMembership { user, group: GroupRef::Id(group), owner } => {
                self.held.insert(*group);
                self.memberships.insert((*user, *group, owner.as_str()), true);
            }
            Change::RemoveMembership { user, group: GroupRef::Id(group), owner } => {
                self.memberships.insert((*user, *group, owner.as_str()), false);
            }
            Change::EndSessions { user, .. } => {
                self.ended.insert(*user);
            }
            Change::Record(entry) => self.records.push(audit::insert_args(entry, now)),
            // A user, whose row is written whole; nothing else was gathered.
            _ => {}
        }
    }
}

impl Bulk {
    pub(super) async fn of(plans: &[Plan], now: DateTime<Utc>, dialect: Dialect) -> Self {
        let mut gathering = Gathering::default();
        let (mut new, mut edited) = (BTreeMap::new(), BTreeMap::new());
        for (number, plan) in plans.iter().enumerate() {
            if number.is_multiple_of(LET_OTHERS) {
                yield_now().await;
            }
            gathering.users(plan, &mut new);
            for change in &plan.changes {
                if let Some(user) = change.rewrites().and_then(|user| new.get(&user).copied()) {
                    edit(edited.entry(user.id).or_insert_with(|| created(user, now)), change);
                }
                gathering.change(change, now);
            }
        }
        let mut users = Rows::default();
        for (id, user) in &new {
            let row = edited.get(id).map_or_else(|| new_user_args(user), user_args);
            users.push(row.into_iter().chain(row![1_i64, now, now]));
        }
        let Gathering { taken, revoked, ended, held, groups, links, relinks, memberships, records } = gathering;
        let ready = async |many: Many, rows: Rows| {
            yield_now().await;
            many.ready(dialect, &[], rows)
        };
        let mut created = ready(INSERT, users).await;
        created.extend(ready(INSERT_GROUPS, groups).await);
        let mut rest = Vec::new();
        for (many, rows) in by_kind(&memberships, &new) {
            rest.extend(ready(many, rows).await);
        }
        rest.extend(ready(audit::INSERT_MANY, records).await);
        let relinked = relinks.len() as u64;
        let groups = held.into_iter().map(Arg::from).collect();
        let (links, relinks) = (ready(LINK, links).await, ready(RELINK, relinks).await);
        Self { taken, revoked, ended, groups, created, links, relinks, relinked, rest }
    }

    /// Carries out the plans that this was made of.
    ///
    /// # Errors
    ///
    /// The conflict of one of them; then the transaction must be wound back to where it was.
    pub(super) async fn carry_out(
        self,
        tx: &mut Tx,
        plans: &[Plan],
        now: DateTime<Utc>,
    ) -> Result<Vec<Applied>, StoreError> {
        let mut rows = self.take(tx, now).await?;
        for change in plans.iter().flat_map(|plan| &plan.changes) {
            if let Some((_, user)) = change.rewrites().and_then(|user| rows.get_mut(&user)) {
                edit(user, change);
            }
        }
        self.revoked.iter().for_each(|user| tx.revoke(*user));
        self.write_users(tx, rows.into_values(), now).await?;
        tx.run_all(self.created).await?;
        hold_groups(tx, &self.groups).await?;
        let doubted = self.taken.iter().filter(|(_, taken)| taken.bump);
        tx.write(DOUBT, &[], doubted.map(|(id, taken)| row![*id, &taken.source]).collect()).await?;
        tx.run_all(self.links).await?;
        if tx.run_all(self.relinks).await? != self.relinked {
            return Err(StoreError::conflict(LINK_GONE));
        }
        tx.run_all(self.rest).await?;
        let ended = end_sessions(tx, &self.ended).await?;
        Ok(plans.iter().map(|plan| applied(plan, &ended)).collect())
    }

    /// Locks the users that were there before, in the order of their IDs, and checks their versions. Answers with those
    /// whose rows are to be written.
    async fn take(&self, tx: &mut Tx, now: DateTime<Utc>) -> Result<BTreeMap<Uuid, Edited>, StoreError> {
        let ids = |rewrite| -> Vec<Arg> {
            let wanted = self.taken.iter().filter(|(_, taken)| taken.rewrite == rewrite);
            wanted.map(|(id, _)| Arg::from(*id)).collect()
        };
        let (whole, held) = (ids(true), ids(false));
        let lock = match tx.dialect() {
            Dialect::Postgres => " FOR UPDATE",
            // There is one writer, and that is us.
            Dialect::Sqlite => "",
        };
        let mut rows = BTreeMap::new();
        let sql = concat!("SELECT ", user_columns!(), " FROM users WHERE users.id IN ({}) ORDER BY users.id");
        for row in tx.look_up(&format!("{sql}{lock}"), &[], &whole).await? {
            let mut user = row.user()?;
            self.check(user.id, user.version)?;
            user.version += 1;
            user.updated_at = now;
            rows.insert(user.id, (Keys::of(&user), user));
        }
        let mut found = rows.len();
        let sql = "SELECT id, version FROM users WHERE id IN ({}) ORDER BY id";
        for row in tx.look_up(&format!("{sql}{lock}"), &[], &held).await? {
            self.check(row.get("id")?, row.get("version")?)?;
            found += 1;
        }
        if found == self.taken.len() { Ok(rows) } else { Err(StoreError::conflict(GONE)) }
    }

    fn check(&self, id: Uuid, version: i64) -> Result<(), StoreError> {
        match self.taken.get(&id).and_then(|taken| taken.version) {
            Some(expected) if expected != version => Err(StoreError::conflict(MOVED)),
            _ => Ok(()),
        }
    }

    async fn write_users(
        &self,
        tx: &mut Tx,
        rows: impl Iterator<Item = Edited>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (same, other): (Vec<_>, Vec<_>) = rows.partition(|(keys, user)| *keys == Keys::of(user));
        let written = |(_, user): &Edited| user_args(user).into_iter().chain(row![user.version, user.updated_at]);
        tx.write(UPDATE, &[], same.iter().map(written).collect()).await?;
        tx.write(UPDATE_KEYS, &[], other.iter().map(written).collect()).await?;
        let bumped = self.taken.iter().filter(|(_, taken)| taken.bump && !taken.rewrite);
        tx.write(BUMP, &row![now], bumped.map(|(id, _)| row![*id]).collect()).await.map(drop)
    }
}

/// Whether somebody is in a group, by whose word, once all is done.
type Memberships<'a> = BTreeMap<(Uuid, Uuid, &'a str), bool>;

/// Memberships by what is to be done about them. Somebody who is new has none yet, so that there is nothing to compare with.
fn by_kind(memberships: &Memberships<'_>, new: &BTreeMap<Uuid, &NewUser>) -> [(Many, Rows); 3] {
    let (mut leave, mut join, mut first) = (Rows::default(), Rows::default(), Rows::default());
    let mut shared: Arc<str> = Arc::default();
    for ((user, group, owner), add) in memberships {
        if *shared != **owner {
            shared = Arc::from(*owner);
        }
        let rows = match (add, new.contains_key(user)) {
            (false, _) => &mut leave,
            (true, false) => &mut join,
            (true, true) => &mut first,
        };
        rows.push(row![*user, *group, &shared]);
    }
    [(LEAVE, leave), (JOIN, join), (FIRST_JOIN, first)]
}

/// Changes the row of a user.
fn edit(user: &mut User, change: &Change) {
    match change {
        Change::UpdateUser { fields, .. } => fields.iter().for_each(|field| set(user, field)),
        Change::SetFlags { flags, .. } => user.flags.extend(flags.clone()),
        Change::SetDeactivatedBy { by, .. } => user.deactivated_by.clone_from(by),
        _ => {}
    }
}

/// No group that somebody joins or that a link leads to may go before we are done; users are held already, or new.
async fn hold_groups(tx: &mut Tx, groups: &[Arg]) -> Result<(), StoreError> {
    let lock = match tx.dialect() {
        Dialect::Postgres => " ORDER BY id FOR KEY SHARE",
        Dialect::Sqlite => "",
    };
    let found = tx.look_up(&format!("SELECT id FROM groups WHERE id IN ({{}}){lock}"), &[], groups).await?;
    if found.len() == groups.len() { Ok(()) } else { Err(StoreError::conflict(GROUP_GONE)) }
}

async fn end_sessions(tx: &mut Tx, users: &BTreeSet<Uuid>) -> Result<BTreeMap<Uuid, u64>, StoreError> {
    let users: Vec<Arg> = users.iter().map(|user| Arg::from(*user)).collect();
    let mut ended = BTreeMap::new();
    for row in tx.look_up("DELETE FROM sessions WHERE user_id IN ({}) RETURNING user_id", &[], &users).await? {
        let user = row.get("user_id")?;
        tx.revoke(user);
        *ended.entry(user).or_default() += 1;
    }
    Ok(ended)
}

fn applied(plan: &Plan, ended: &BTreeMap<Uuid, u64>) -> Applied {
    let users: BTreeSet<Uuid> = plan
        .changes
        .iter()
        .filter_map(|change| if let Change::EndSessions { user, .. } = change { Some(*user) } else { None })
        .collect();
    Applied { sessions_ended: users.iter().filter_map(|user| ended.get(user)).sum() }
}

const INSERT: Many = Many {
    head: "INSERT INTO users (id, username, username_key, first_name, last_name, email, email_key, display_name, path, \
           profile, flags, password_hash, deactivated_by, live_groups, version, created_at, updated_at) ",
    lead: 0,
    columns: 17,
    tail: "",
};

const INSERT_GROUPS: Many =
    Many { head: "INSERT INTO groups (id, name, name_key, owner, created_at) ", lead: 0, columns: 5, tail: "" };

/// Where no field with an index changed: an index is written even if its value stays.
const UPDATE: Many = Many {
    head: "UPDATE users SET username = v.column2, first_name = v.column4, last_name = v.column5, email = v.column6, \
           display_name = v.column8, path = v.column9, profile = v.column10, flags = v.column11, \
           password_hash = v.column12, deactivated_by = v.column13, live_groups = v.column14, version = v.column15, \
           updated_at = v.column16 FROM (",
    lead: 0,
    columns: 16,
    tail: ") AS v WHERE users.id = v.column1",
};

const UPDATE_KEYS: Many = Many {
    head: "UPDATE users SET username = v.column2, username_key = v.column3, first_name = v.column4, \
           last_name = v.column5, email = v.column6, email_key = v.column7, display_name = v.column8, \
           path = v.column9, profile = v.column10, flags = v.column11, password_hash = v.column12, \
           deactivated_by = v.column13, live_groups = v.column14, version = v.column15, updated_at = v.column16 \
           FROM (",
    lead: 0,
    columns: 16,
    tail: ") AS v WHERE users.id = v.column1",
};

const BUMP: Many = Many {
    head: "UPDATE users SET version = version + 1, updated_at = $1 WHERE (id) IN (",
    lead: 1,
    columns: 1,
    tail: ")",
};

/// Whatever changes a user, a fingerprint no longer vouches for what its write left: see `doubt` of a single plan. SQLite
/// would go through all links if it could.
const DOUBT: Many = Many {
    head: "UPDATE links SET fingerprint = NULL WHERE fingerprint IS NOT NULL AND (user_id, source) IN \
           (SELECT l.user_id, l.source FROM (",
    lead: 0,
    columns: 2,
    tail: ") AS v CROSS JOIN links l WHERE l.user_id = v.column1 AND l.source <> v.column2)",
};

const LINK: Many = Many {
    head: "INSERT INTO links (kind, source, unique_id, user_id, group_id, dn, dn_key, last_seen, fingerprint, \
           given_fields, dn_hash, given_flags, live_groups, parent_id, account_ends, password_changed) ",
    lead: 0,
    columns: 16,
    tail: "",
};

const RELINK: Many = Many {
    head: "UPDATE links SET dn = v.column6, dn_key = v.column7, \
           last_seen = CASE WHEN links.last_seen > v.column8 THEN links.last_seen ELSE v.column8 END, \
           fingerprint = v.column9, \
           given_fields = v.column10, dn_hash = v.column11, given_flags = v.column12, \
           live_groups = v.column13, parent_id = v.column14, account_ends = v.column15, \
           password_changed = v.column16, absent = FALSE FROM (",
    lead: 0,
    columns: 16,
    tail: ") AS v WHERE links.kind = v.column1 AND links.source = v.column2 AND links.unique_id = v.column3 \
           AND (links.user_id = v.column4 OR links.group_id = v.column5)",
};

/// SQLite finds the index for the result of a SELECT, not for bare VALUES.
const LEAVE: Many = Many {
    head: "DELETE FROM memberships WHERE (user_id, group_id, owner) IN \
           (SELECT v.column1, v.column2, v.column3 FROM (",
    lead: 0,
    columns: 3,
    tail: ") AS v)",
};

const FIRST_JOIN: Many =
    Many { head: "INSERT INTO memberships (user_id, group_id, owner) ", lead: 0, columns: 3, tail: "" };

const JOIN: Many = Many {
    head: "INSERT INTO memberships (user_id, group_id, owner) ",
    lead: 0,
    columns: 3,
    tail: " ON CONFLICT (user_id, group_id, owner) DO NOTHING",
};

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::*;
    use crate::{Store, StoreUrl};

    /// SQLite reads a whole table where it thinks that this is less work, and it has no statistics.
    #[tokio::test]
    async fn sqlite_reads_no_table_from_end_to_end() {
        let store = Store::open(&StoreUrl::parse("sqlite::memory:").unwrap()).await.unwrap();
        let crate::db::Pool::Sqlite(connections) = &store.db.pool else { panic!("SQLite") };
        let mut turn = connections.writer.turn().await.unwrap();
        for many in [INSERT, INSERT_GROUPS, UPDATE, UPDATE_KEYS, BUMP, DOUBT, LINK, RELINK, LEAVE, JOIN, FIRST_JOIN] {
            for rows in [1, 4, 20, 500] {
                let sql = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", many.plain(rows).as_str()));
                for step in sqlx::query(sql).fetch_all(turn.connection().unwrap()).await.unwrap() {
                    let step: String = step.get("detail");
                    // Whatever a statement calls a table; our own rows are always read from end to end.
                    let ours =
                        |what: &&str| *what == "v" || what.ends_with("CONSTANT ROW") || what.ends_with("VALUES CLAUSE");
                    let table = step.strip_prefix("SCAN ").filter(|what| !ours(what));
                    assert_eq!(table, None, "{step} in {}", many.head);
                }
            }
        }
    }
}
