//! What reconciliation is computed from: everybody and everything that one entry may concern.

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::db::{Arg, Row, args, placeholders};
use crate::users::user_columns;
use crate::{EntityKind, Group, GroupState, Link, Membership, Owner, Store, StoreError, User, UserState, guard};

/// Most parameters that one statement lists; SQLite takes 32,766 and PostgreSQL 65,535.
pub(crate) const LIST: usize = 500;

/// What to look for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// Slug of the source.
    pub source: String,
    /// The entry's unique ID, in its text form.
    pub unique_id: String,
    /// The username that the entry would have, folded.
    pub username_key: String,
    /// The mail address that the entry would have, folded; only where accounts are adopted by mail.
    pub email_key: Option<String>,
    /// Folded names of the local groups that a decision may concern.
    pub group_keys: Vec<String>,
    /// Unique IDs of directory groups of the source, whose local groups a decision may concern whatever they are called.
    pub group_entries: Vec<String>,
}

/// The stored state that one entry may concern. Everybody in it carries a version: put it into
/// [`Plan::expected`](crate::Plan::expected), and nothing is written if the state has moved meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Whoever is linked to the entry.
    pub linked: Option<UserState>,
    /// Whoever has the username.
    pub by_username: Option<UserState>,
    /// Everybody who has the mail address.
    pub by_email: Vec<UserState>,
    /// Those of the groups asked for that exist, each once, by name.
    pub groups: Vec<GroupState>,
}

/// The columns of a link, for a query in which `links` is `l`.
macro_rules! link_columns {
    () => {
        "l.kind AS link_kind, l.source AS link_source, l.unique_id AS link_unique_id, l.user_id AS link_user_id, \
         l.group_id AS link_group_id, l.dn AS link_dn, l.dn_key AS link_dn_key, l.last_seen AS link_last_seen, \
         l.fingerprint AS link_fingerprint, l.given_fields AS link_given_fields, l.given_flags AS link_given_flags, \
         l.live_groups AS link_live_groups"
    };
}
pub(crate) use link_columns;

/// The links of a left join: a user without any has one row without one.
pub(crate) fn joined_links(rows: &[Row]) -> Result<Vec<Link>, StoreError> {
    let mut links = Vec::with_capacity(rows.len());
    for row in rows {
        if row.get::<Option<String>>("link_kind")?.is_some() {
            links.push(row.link()?);
        }
    }
    Ok(links)
}

impl Row {
    /// A link from [`link_columns`].
    pub(crate) fn link(&self) -> Result<Link, StoreError> {
        let user: Option<Uuid> = self.get("link_user_id")?;
        let group: Option<Uuid> = self.get("link_group_id")?;
        let (kind, entity_id) = match (user, group) {
            (Some(user), None) => (EntityKind::User, user),
            (None, Some(group)) => (EntityKind::Group, group),
            _ => return Err(self.corrupt("links.user_id", "a link has one end")),
        };
        Ok(Link {
            kind,
            source: self.get("link_source")?,
            unique_id: self.get("link_unique_id")?,
            entity_id,
            dn: self.get("link_dn")?,
            dn_key: self.get("link_dn_key")?,
            last_seen: self.get("link_last_seen")?,
            fingerprint: self.get("link_fingerprint")?,
            given_fields: self.json("link_given_fields")?,
            given_flags: self.json("link_given_flags")?,
            live_groups: self.json("link_live_groups")?,
        })
    }
}

impl Store {
    /// Reads what decisions about several entries need: for each request what [`Store::snapshot`] would give.
    pub async fn snapshots(&self, requests: &[SnapshotRequest]) -> Result<Vec<Snapshot>, StoreError> {
        let mut snapshots = Vec::with_capacity(requests.len());
        for request in requests {
            snapshots.push(self.snapshot(request).await?);
        }
        Ok(snapshots)
    }

    /// Reads what a decision about one entry needs.
    pub async fn snapshot(&self, request: &SnapshotRequest) -> Result<Snapshot, StoreError> {
        // Users come first: whatever changes after that moves their version, and the plan is refused.
        let mut states = self.concerned(request).await?;
        self.add_memberships(&mut states).await?;
        let mut groups = self.groups_by_key(&request.group_keys).await?;
        for linked in self.groups_by_entry(&request.source, &request.group_entries).await? {
            if !groups.iter().any(|state| state.group.id == linked.group.id) {
                groups.push(linked);
            }
        }
        groups.sort_by(|a, b| a.group.name_key.cmp(&b.group.name_key));

        let mut snapshot = Snapshot { groups, ..Snapshot::default() };
        for state in states {
            if state.link(&request.source).is_some_and(|link| link.unique_id == request.unique_id) {
                snapshot.linked = Some(state.clone());
            }
            if state.user.username_key == request.username_key {
                snapshot.by_username = Some(state.clone());
            }
            if request.email_key.as_deref().is_some_and(|key| !key.is_empty() && key == state.user.email_key) {
                snapshot.by_email.push(state);
            }
        }
        Ok(snapshot)
    }

    /// Users with their links, from one query.
    async fn concerned(&self, request: &SnapshotRequest) -> Result<Vec<UserState>, StoreError> {
        let findable = |key: &str| if guard::findable(key) { key.to_owned() } else { String::new() };
        let sql = concat!(
            "SELECT ",
            user_columns!(),
            ", ",
            link_columns!(),
            " FROM users LEFT JOIN links l ON l.user_id = users.id WHERE users.id = \
             (SELECT own.user_id FROM links own WHERE own.source = $1 AND own.kind = 'user' AND own.unique_id = $2) \
             OR users.username_key = $3 OR (users.email_key = $4 AND users.email_key <> '') \
             ORDER BY users.username_key, l.source, l.unique_id"
        );
        let args = args![
            findable(&request.source),
            findable(&request.unique_id),
            findable(&request.username_key),
            findable(request.email_key.as_deref().unwrap_or_default()),
        ];
        let mut states: Vec<UserState> = Vec::new();
        for row in self.db.rows(sql, args).await? {
            let user = row.user()?;
            if states.last().is_none_or(|last| last.user.id != user.id) {
                states.push(UserState { user, links: Vec::new(), memberships: Vec::new() });
            }
            if let Some(state) = states.last_mut() {
                state.links.extend(joined_links(std::slice::from_ref(&row))?);
            }
        }
        Ok(states)
    }

    /// Adds links and memberships to users.
    pub(crate) async fn states(&self, users: Vec<User>) -> Result<Vec<UserState>, StoreError> {
        let mut states: Vec<UserState> =
            users.into_iter().map(|user| UserState { user, links: Vec::new(), memberships: Vec::new() }).collect();
        for part in states.chunks_mut(LIST) {
            let ids: Vec<Arg> = part.iter().map(|state| state.user.id.into()).collect();
            for link in self.links_of("user_id", ids).await? {
                if let Some(state) = part.iter_mut().find(|state| state.user.id == link.entity_id) {
                    state.links.push(link);
                }
            }
        }
        self.add_memberships(&mut states).await?;
        Ok(states)
    }

    async fn add_memberships(&self, states: &mut [UserState]) -> Result<(), StoreError> {
        for part in states.chunks_mut(LIST) {
            let ids = part.iter().map(|state| state.user.id.into()).collect();
            for (user, membership) in self.memberships_of(ids).await? {
                if let Some(state) = part.iter_mut().find(|state| state.user.id == user) {
                    state.memberships.push(membership);
                }
            }
        }
        Ok(())
    }

    pub(crate) async fn links_of(&self, column: &'static str, ids: Vec<Arg>) -> Result<Vec<Link>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {} FROM links l WHERE l.{column} IN ({}) ORDER BY l.source, l.unique_id",
            link_columns!(),
            placeholders(1, ids.len()),
        );
        self.db.rows(AssertSqlSafe(sql), ids).await?.iter().map(Row::link).collect()
    }

    async fn memberships_of(&self, users: Vec<Arg>) -> Result<Vec<(Uuid, Membership)>, StoreError> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT m.user_id, m.owner, g.id AS group_id, g.name, g.name_key \
             FROM memberships m JOIN groups g ON g.id = m.group_id \
             WHERE m.user_id IN ({}) ORDER BY g.name_key, m.owner",
            placeholders(1, users.len()),
        );
        let membership = |row: &Row| Ok((row.get("user_id")?, row.membership()?));
        self.db.rows(AssertSqlSafe(sql), users).await?.iter().map(membership).collect()
    }

    /// Those of the named groups that exist, with their links.
    pub async fn groups_by_key(&self, keys: &[String]) -> Result<Vec<GroupState>, StoreError> {
        let keys: Vec<Arg> = keys.iter().filter(|key| guard::findable(key)).map(Arg::from).collect();
        let mut groups: Vec<Group> = Vec::new();
        for part in keys.chunks(LIST) {
            let sql = format!(
                "SELECT id, name, name_key, owner, created_at FROM groups WHERE name_key IN ({})",
                placeholders(1, part.len())
            );
            for row in self.db.rows(AssertSqlSafe(sql), part.to_vec()).await? {
                groups.push(row.group()?);
            }
        }
        self.group_states(groups).await
    }

    /// Those that are tied to the given entries of a source, with their links.
    async fn groups_by_entry(&self, source: &str, unique_ids: &[String]) -> Result<Vec<GroupState>, StoreError> {
        if !guard::findable(source) {
            return Ok(Vec::new());
        }
        let ids: Vec<Arg> = unique_ids.iter().filter(|id| guard::findable(id)).map(Arg::from).collect();
        let mut groups: Vec<Group> = Vec::new();
        for part in ids.chunks(LIST) {
            let sql = format!(
                "SELECT id, name, name_key, owner, created_at FROM groups WHERE id IN \
                 (SELECT l.group_id FROM links l WHERE l.source = $1 AND l.kind = 'group' AND l.unique_id IN ({}))",
                placeholders(2, part.len())
            );
            let mut args = args![source];
            args.extend_from_slice(part);
            for row in self.db.rows(AssertSqlSafe(sql), args).await? {
                let group = row.group()?;
                if !groups.contains(&group) {
                    groups.push(group);
                }
            }
        }
        self.group_states(groups).await
    }

    pub(crate) async fn group_states(&self, groups: Vec<Group>) -> Result<Vec<GroupState>, StoreError> {
        let mut states: Vec<GroupState> =
            groups.into_iter().map(|group| GroupState { group, links: Vec::new() }).collect();
        states.sort_by(|a, b| a.group.name_key.cmp(&b.group.name_key));
        for part in states.chunks_mut(LIST) {
            let ids = part.iter().map(|state| state.group.id.into()).collect();
            for link in self.links_of("group_id", ids).await? {
                if let Some(state) = part.iter_mut().find(|state| state.group.id == link.entity_id) {
                    state.links.push(link);
                }
            }
        }
        Ok(states)
    }
}

impl Row {
    pub(crate) fn membership(&self) -> Result<Membership, StoreError> {
        Ok(Membership {
            group_id: self.get("group_id")?,
            group_name: self.get("name")?,
            group_key: self.get("name_key")?,
            owner: Owner::from(self.get::<String>("owner")?),
        })
    }

    pub(crate) fn group(&self) -> Result<Group, StoreError> {
        Ok(Group {
            id: self.get("id")?,
            name: self.get("name")?,
            name_key: self.get("name_key")?,
            owner: Owner::from(self.get::<String>("owner")?),
            created_at: self.get("created_at")?,
        })
    }
}
