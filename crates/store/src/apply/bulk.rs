//! Many plans at once: what a sync brings is thousands of small plans of a few kinds, and one statement over all of them
//! costs little more than one over one.
//!
//! Nothing is decided here. Whatever stands in the way, the plans are left to be carried out one after the other.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::changes::{created, link_args, set, user_args};
use super::{GONE, GROUP_GONE, LINK_GONE, MOVED};
use crate::db::{Arg, Dialect, Tx, args};
use crate::many::Many;
use crate::users::user_columns;
use crate::{Applied, Change, EntityKind, GroupRef, Link, NewAudit, NewGroup, Plan, StoreError, User, audit};

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
        let users: HashSet<Uuid> =
            plan.changes.iter().filter_map(user_of).chain(plan.expected.iter().map(|expected| expected.user)).collect();
        let links = || plan.changes.iter().filter_map(link_of);
        let entries: HashSet<_> =
            links().map(|link| (link.kind, link.source.as_str(), link.unique_id.as_str())).collect();
        let apart =
            entries.len() == links().count() && users.is_disjoint(&self.users) && entries.is_disjoint(&self.entries);
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
struct Taken<'a> {
    version: Option<i64>,
    bump: bool,
    rewrite: bool,
    /// The source whose own plan this is: the fingerprint it writes is the one that counts.
    source: &'a str,
}

#[derive(Default)]
struct Bulk<'a> {
    new: BTreeMap<Uuid, User>,
    taken: BTreeMap<Uuid, Taken<'a>>,
    /// Those of the taken whose rows are written, as they were and as they will be.
    rows: BTreeMap<Uuid, (Keys, User)>,
    groups: Vec<&'a NewGroup>,
    links: Vec<&'a Link>,
    relinks: Vec<&'a Link>,
    memberships: BTreeMap<(Uuid, Uuid, &'a str), bool>,
    ended: BTreeSet<Uuid>,
    records: Vec<&'a NewAudit>,
}

/// The fields of a user that have an index.
#[derive(PartialEq)]
struct Keys(String, String);

impl Keys {
    fn of(user: &User) -> Self {
        Self(user.username_key.clone(), user.email_key.clone())
    }
}

/// Carries out plans that a [`Gatherer`] took.
///
/// # Errors
///
/// The conflict of one of them; then the transaction must be wound back to where it was.
pub(super) async fn run(tx: &mut Tx, plans: &[Plan], now: DateTime<Utc>) -> Result<Vec<Applied>, StoreError> {
    let mut bulk = Bulk::default();
    for plan in plans {
        bulk.gather(plan, now);
    }
    bulk.take(tx, now).await?;
    for change in plans.iter().flat_map(|plan| &plan.changes) {
        bulk.change(tx, change)?;
    }
    bulk.write_users(tx, now).await?;
    let groups = bulk.groups.iter().map(|new| args![new.id, &new.name, &new.name_key, &new.owner, now]).collect();
    tx.write(INSERT_GROUPS, &[], groups).await?;
    bulk.write_links(tx).await?;
    bulk.write_memberships(tx).await?;
    let records = bulk.records.iter().map(|entry| audit::insert_args(entry, now)).collect();
    tx.write(audit::INSERT_MANY, &[], records).await?;
    let ended = bulk.end_sessions(tx).await?;
    Ok(plans.iter().map(|plan| applied(plan, &ended)).collect())
}

fn applied(plan: &Plan, ended: &BTreeMap<Uuid, u64>) -> Applied {
    let users: BTreeSet<Uuid> = plan
        .changes
        .iter()
        .filter_map(|change| if let Change::EndSessions { user, .. } = change { Some(*user) } else { None })
        .collect();
    Applied { sessions_ended: users.iter().filter_map(|user| ended.get(user)).sum() }
}

impl<'a> Bulk<'a> {
    fn gather(&mut self, plan: &'a Plan, now: DateTime<Utc>) {
        for change in &plan.changes {
            if let Change::CreateUser(new) = change {
                self.new.insert(new.id, created(new, now));
            }
        }
        for change in &plan.changes {
            if let Some(user) = change.bumps().filter(|user| !self.new.contains_key(user)) {
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
                taken.source = &link.source;
            }
        }
    }

    /// Locks the users that were there before, in the order of their IDs, and checks their versions.
    async fn take(&mut self, tx: &mut Tx, now: DateTime<Utc>) -> Result<(), StoreError> {
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
        let mut found = 0;
        let sql = concat!("SELECT ", user_columns!(), " FROM users WHERE users.id IN ({}) ORDER BY users.id");
        for row in tx.look_up(&format!("{sql}{lock}"), &[], &whole).await? {
            let mut user = row.user()?;
            self.check(user.id, user.version)?;
            user.version += 1;
            user.updated_at = now;
            self.rows.insert(user.id, (Keys::of(&user), user));
            found += 1;
        }
        let sql = "SELECT id, version FROM users WHERE id IN ({}) ORDER BY id";
        for row in tx.look_up(&format!("{sql}{lock}"), &[], &held).await? {
            self.check(row.get("id")?, row.get("version")?)?;
            found += 1;
        }
        if found == self.taken.len() { Ok(()) } else { Err(StoreError::conflict(GONE)) }
    }

    fn check(&self, id: Uuid, version: i64) -> Result<(), StoreError> {
        match self.taken.get(&id).and_then(|taken| taken.version) {
            Some(expected) if expected != version => Err(StoreError::conflict(MOVED)),
            _ => Ok(()),
        }
    }

    fn change(&mut self, tx: &mut Tx, change: &'a Change) -> Result<(), StoreError> {
        match change {
            Change::UpdateUser { user, fields } => {
                let user = self.user(*user)?;
                for field in fields {
                    set(user, field);
                }
            }
            Change::SetFlags { user, flags } => {
                tx.revoke(*user);
                self.user(*user)?.flags.extend(flags.clone());
            }
            Change::SetDeactivatedBy { user, by } => self.user(*user)?.deactivated_by.clone_from(by),
            Change::CreateGroup(new) => self.groups.push(new),
            Change::Link(link) => self.links.push(link),
            Change::UpdateLink(link) => self.relinks.push(link),
            Change::AddMembership { user, group: GroupRef::Id(group), owner } => {
                self.memberships.insert((*user, *group, owner.as_str()), true);
            }
            Change::RemoveMembership { user, group: GroupRef::Id(group), owner } => {
                self.memberships.insert((*user, *group, owner.as_str()), false);
            }
            Change::EndSessions { user, .. } => {
                self.ended.insert(*user);
            }
            Change::Record(entry) => self.records.push(entry),
            // The user is there already, and nothing else was gathered.
            _ => {}
        }
        Ok(())
    }

    fn user(&mut self, id: Uuid) -> Result<&mut User, StoreError> {
        let old = self.rows.get_mut(&id).map(|(_, user)| user);
        old.or_else(|| self.new.get_mut(&id)).ok_or_else(|| StoreError::conflict(GONE))
    }

    async fn write_users(&mut self, tx: &mut Tx, now: DateTime<Utc>) -> Result<(), StoreError> {
        let (same, other): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.rows).into_values().partition(|(keys, user)| *keys == Keys::of(user));
        let written = |(_, user): &(Keys, User)| {
            let mut args = user_args(user);
            args.extend(args![user.version, user.updated_at]);
            args
        };
        tx.write(UPDATE, &[], same.iter().map(written).collect()).await?;
        tx.write(UPDATE_KEYS, &[], other.iter().map(written).collect()).await?;
        let bumped = self.taken.iter().filter(|(_, taken)| taken.bump && !taken.rewrite);
        tx.write(BUMP, &[Arg::from(now)], bumped.map(|(id, _)| args![*id]).collect()).await?;
        let new = |user: &User| {
            let mut args = user_args(user);
            args.extend(args![user.version, user.created_at, user.updated_at]);
            args
        };
        tx.write(INSERT, &[], self.new.values().map(new).collect()).await.map(drop)
    }

    async fn write_links(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let doubted = self.taken.iter().filter(|(_, taken)| taken.bump);
        tx.write(DOUBT, &[], doubted.map(|(id, taken)| args![*id, taken.source]).collect()).await?;
        tx.write(LINK, &[], self.links.iter().map(|link| link_args(link)).collect()).await?;
        let relinked = tx.write(RELINK, &[], self.relinks.iter().map(|link| link_args(link)).collect()).await?;
        if relinked == self.relinks.len() as u64 { Ok(()) } else { Err(StoreError::conflict(LINK_GONE)) }
    }

    async fn write_memberships(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let rows = |add| -> Vec<Vec<Arg>> {
            let wanted = self.memberships.iter().filter(|(_, given)| **given == add);
            wanted.map(|((user, group, owner), _)| args![*user, *group, *owner]).collect()
        };
        self.hold_groups(tx).await?;
        tx.write(LEAVE, &[], rows(false)).await?;
        tx.write(JOIN, &[], rows(true)).await.map(drop)
    }

    /// No group that somebody joins may go before we are done; their users are held already, or new.
    async fn hold_groups(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let joined = self.memberships.iter().filter(|(_, given)| **given);
        let groups: BTreeSet<Uuid> = joined.map(|((_, group, _), _)| *group).collect();
        let groups: Vec<Arg> = groups.into_iter().map(Arg::from).collect();
        let lock = match tx.dialect() {
            Dialect::Postgres => " ORDER BY id FOR KEY SHARE",
            Dialect::Sqlite => "",
        };
        let found = tx.look_up(&format!("SELECT id FROM groups WHERE id IN ({{}}){lock}"), &[], &groups).await?;
        if found.len() == groups.len() { Ok(()) } else { Err(StoreError::conflict(GROUP_GONE)) }
    }

    async fn end_sessions(&self, tx: &mut Tx) -> Result<BTreeMap<Uuid, u64>, StoreError> {
        let users: Vec<Arg> = self.ended.iter().map(|user| Arg::from(*user)).collect();
        let mut ended = BTreeMap::new();
        for row in tx.look_up("DELETE FROM sessions WHERE user_id IN ({}) RETURNING user_id", &[], &users).await? {
            let user = row.get("user_id")?;
            tx.revoke(user);
            *ended.entry(user).or_default() += 1;
        }
        Ok(ended)
    }
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

/// Whatever changes a user, a fingerprint no longer vouches for what its write left: see `doubt` of a single plan.
const DOUBT: Many = Many {
    head: "UPDATE links SET fingerprint = NULL FROM (",
    lead: 0,
    columns: 2,
    tail: ") AS v WHERE links.user_id = v.column1 AND links.source <> v.column2 AND links.fingerprint IS NOT NULL",
};

const LINK: Many = Many {
    head: "INSERT INTO links (kind, source, unique_id, user_id, group_id, dn, dn_key, last_seen, fingerprint, \
           given_fields, dn_hash, given_flags, live_groups, parent_id, account_ends, password_changed) ",
    lead: 0,
    columns: 16,
    tail: "",
};

const RELINK: Many = Many {
    head: "UPDATE links SET dn = v.column6, dn_key = v.column7, last_seen = v.column8, fingerprint = v.column9, \
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

const JOIN: Many = Many {
    head: "INSERT INTO memberships (user_id, group_id, owner) ",
    lead: 0,
    columns: 3,
    tail: " ON CONFLICT (user_id, group_id, owner) DO NOTHING",
};
