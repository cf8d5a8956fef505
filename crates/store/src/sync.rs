//! What a sync reads about a whole source, and the few things it writes outside a plan.
//!
//! Nothing here changes what anybody is or may do.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::db::{Arg, Row, args};
use crate::snapshot::{last_seen, link_columns};
use crate::{Deactivation, EntityKind, Link, Owner, Store, StoreError, guard};

/// A link as a sync compares it with an entry, and no more: there may be millions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncedLink {
    /// The entry's immutable identifier.
    pub unique_id: String,
    /// The user's or group's local ID.
    pub entity_id: Uuid,
    /// Digest of the entry's content when its plan was last carried out. `None` if that no longer vouches for anything.
    pub fingerprint: Option<Vec<u8>>,
    /// Whether the user is active. Groups are.
    pub active: bool,
    /// The source that deactivated the user, and why; see [`User::deactivated_by`](crate::User::deactivated_by).
    pub deactivated_by: Option<Deactivation>,
}

/// What people call whoever is linked to an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkName {
    /// The user's or group's local ID.
    pub entity_id: Uuid,
    /// The username, or the group's name.
    pub name: String,
    /// The entry's DN when last read.
    pub dn: String,
}

/// Rows of one page of links.
const PAGE: i64 = 5000;

/// What finds a link by its DN: an index has a longest key, and a DN has none.
pub(crate) fn dn_hash(dn_key: &str) -> i64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(blake3::hash(dn_key.as_bytes()).as_bytes()) {
        *to = *from;
    }
    i64::from_be_bytes(bytes)
}

/// Whether a user is active, and who deactivated them.
type Standing = (bool, Option<Deactivation>);

impl Store {
    /// Hands out every link of a source, in the order of their unique IDs, without ever holding all of them.
    pub async fn synced_links(
        &self,
        source: &str,
        kind: EntityKind,
        each: &mut (dyn FnMut(SyncedLink) + Send),
    ) -> Result<(), StoreError> {
        if !guard::findable(source) {
            return Ok(());
        }
        let mut apart = match kind {
            EntityKind::User => self.set_apart().await?,
            EntityKind::Group => HashMap::new(),
        };
        let sql = match kind {
            EntityKind::User => {
                "SELECT unique_id, user_id AS entity, fingerprint FROM links \
                 WHERE source = $1 AND kind = 'user' AND unique_id > $2 ORDER BY unique_id LIMIT $3"
            }
            EntityKind::Group => {
                "SELECT unique_id, group_id AS entity, fingerprint FROM links \
                 WHERE source = $1 AND kind = 'group' AND unique_id > $2 ORDER BY unique_id LIMIT $3"
            }
        };
        let mut after = String::new();
        loop {
            let rows = self.db.many_rows(sql, args![source, &after, PAGE]).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.get("unique_id")?;
            for row in &rows {
                let entity_id = row.get("entity")?;
                let (active, deactivated_by) = apart.remove(&entity_id).unwrap_or((true, None));
                let (unique_id, fingerprint) = (row.get("unique_id")?, row.get("fingerprint")?);
                each(SyncedLink { unique_id, entity_id, fingerprint, active, deactivated_by });
            }
        }
    }

    /// The users who are not active, or were deactivated by a source. Everybody else need not be looked at.
    async fn set_apart(&self) -> Result<HashMap<Uuid, Standing>, StoreError> {
        let sql = "SELECT id, deactivated_by, \
                   CASE WHEN CAST(flags ->> 'is_active' AS TEXT) IN ('true', '1') THEN 1 ELSE 0 END AS active FROM users \
                   WHERE COALESCE(CAST(flags ->> 'is_active' AS TEXT), '') NOT IN ('true', '1') \
                   OR deactivated_by IS NOT NULL";
        let standing = |row: &Row| Ok((row.get("id")?, (row.get::<i32>("active")? != 0, row.deactivation()?)));
        self.db.many_rows(sql, args![]).await?.iter().map(standing).collect()
    }

    /// Names of users and groups linked to a source, by their local IDs; who is not linked to it is not in the answer.
    pub async fn link_names(&self, source: &str, kind: EntityKind, ids: &[Uuid]) -> Result<Vec<LinkName>, StoreError> {
        let mut names = Vec::with_capacity(ids.len());
        let (table, column, name) = match kind {
            EntityKind::User => ("users", "user_id", "username"),
            EntityKind::Group => ("groups", "group_id", "name"),
        };
        let sql = format!(
            "SELECT e.id, e.{name} AS name, l.dn FROM links l JOIN {table} e ON e.id = l.{column} \
             WHERE l.source = $1 AND l.{column} IN ({{}}) ORDER BY name, l.dn"
        );
        let ids: Vec<Arg> = ids.iter().map(|id| Arg::from(*id)).collect();
        for row in self.db.look_up(&sql, &[Arg::from(source)], &ids).await? {
            names.push(LinkName { entity_id: row.get("id")?, name: row.get("name")?, dn: row.get("dn")? });
        }
        Ok(names)
    }

    /// Links of a source by the normalised DNs their entries had when last read. Several may bear one: a DN can be given
    /// to a new entry before the old one's link is gone.
    pub async fn links_by_dn_key(
        &self,
        source: &str,
        kind: EntityKind,
        keys: &[String],
    ) -> Result<Vec<Link>, StoreError> {
        // The hash alone: with more to choose from, SQLite prefers an index that finds every link of the source.
        let sql = concat!("SELECT ", link_columns!(), " FROM links l WHERE l.dn_hash IN ({})");
        let wanted: HashSet<&str> = keys.iter().map(String::as_str).collect();
        let hashes: Vec<Arg> = wanted.iter().map(|key| Arg::from(dn_hash(key))).collect();
        let mut links = Vec::with_capacity(keys.len());
        for row in self.db.look_up(sql, &[], &hashes).await? {
            links.push(row.link()?);
        }
        links.retain(|link| link.source == source && link.kind == kind && wanted.contains(link.dn_key.as_str()));
        Ok(links)
    }

    /// Remembers that every link of a source was found true at a time, all but those of the users or groups in `except`:
    /// the end of a complete run. Costs the same for ten links as for a million.
    pub async fn mark_seen(
        &self,
        source: &str,
        kind: EntityKind,
        at: DateTime<Utc>,
        except: &[Uuid],
    ) -> Result<(), StoreError> {
        guard::name("source", source)?;
        let except: BTreeSet<Uuid> = except.iter().copied().collect();
        let column = match kind {
            EntityKind::User => "user_id",
            EntityKind::Group => "group_id",
        };
        let lead = args![source, kind.as_str()];
        let list = |ids: &mut dyn Iterator<Item = &Uuid>| -> Vec<Arg> { ids.map(|id| Arg::from(*id)).collect() };
        let mut tx = self.db.begin().await?;
        // What was seen until now stays known of those who are not seen any more.
        let sql = format!(
            "UPDATE links AS l SET absent = TRUE, last_seen = {} \
             WHERE l.source = $1 AND l.kind = $2 AND NOT l.absent AND l.{column} IN ({{}})",
            last_seen!()
        );
        tx.look_up(&sql, &lead, &list(&mut except.iter())).await?;
        let sql = format!("SELECT {column} AS entity FROM links WHERE source = $1 AND kind = $2 AND absent");
        let mut back = BTreeSet::new();
        for row in tx.rows(AssertSqlSafe(sql), lead.clone()).await? {
            back.insert(row.get("entity")?);
        }
        let sql = format!(
            "UPDATE links SET absent = FALSE WHERE source = $1 AND kind = $2 AND absent AND {column} IN ({{}})"
        );
        tx.look_up(&sql, &lead, &list(&mut back.difference(&except))).await?;
        let sql = "INSERT INTO sightings (source, kind, at) VALUES ($1, $2, $3) \
                   ON CONFLICT (source, kind) DO UPDATE SET at = excluded.at WHERE sightings.at < excluded.at";
        tx.execute(sql, args![source, kind.as_str(), at]).await?;
        tx.commit().await
    }

    /// Which group is in which, as (child, parent), of the nestings that an owner gave.
    pub async fn subgroups(&self, owner: &Owner) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
        let sql = "SELECT child_id, parent_id FROM group_memberships WHERE owner = $1 ORDER BY child_id, parent_id";
        let pair = |row: &Row| Ok((row.get("child_id")?, row.get("parent_id")?));
        self.db.many_rows(sql, args![owner]).await?.iter().map(pair).collect()
    }

    /// The first so many of the entries, by unique ID, whose users somebody else has written since a sync did: nothing
    /// vouches for them. Those who were not there any more when they were last looked for are left out.
    pub async fn unvouched(&self, source: &str, limit: usize) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT unique_id FROM links WHERE source = $1 AND kind = 'user' AND fingerprint IS NULL AND NOT absent \
                   ORDER BY unique_id LIMIT $2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.db.many_rows(sql, args![source, limit]).await?.iter().map(|row| row.get("unique_id")).collect()
    }

    /// How many users are linked to a source and active.
    pub async fn count_active(&self, source: &str) -> Result<u64, StoreError> {
        // Those who are not active are few, and have an index of their own. CROSS tells SQLite to begin with them.
        let sql = "SELECT (SELECT count(*) FROM links WHERE source = $1 AND kind = 'user') - \
                   (SELECT count(*) FROM users u CROSS JOIN links l \
                    WHERE l.user_id = u.id AND l.source = $1 AND l.kind = 'user' \
                    AND COALESCE(CAST(u.flags ->> 'is_active' AS TEXT), '') NOT IN ('true', '1')) AS count";
        let count: i64 = self.db.many_rows(sql, args![source]).await?.first().map_or(Ok(0), |row| row.get("count"))?;
        Ok(count.try_into().unwrap_or_default())
    }

    /// Those of some users whose entry in a source somebody has read since, each with its unique ID. That a whole run
    /// found them ([`mark_seen`](Self::mark_seen)) does not count.
    pub async fn read_since(
        &self,
        source: &str,
        users: &[Uuid],
        since: DateTime<Utc>,
    ) -> Result<Vec<(Uuid, String)>, StoreError> {
        let sql = "SELECT user_id AS entity, unique_id FROM links \
                   WHERE source = $1 AND last_seen > $2 AND user_id IN ({}) ORDER BY unique_id";
        let ids: Vec<Arg> = users.iter().map(|id| Arg::from(*id)).collect();
        let rows = self.db.look_up(sql, &[Arg::from(source), Arg::from(since)], &ids).await?;
        rows.iter().map(|row| Ok((row.get("entity")?, row.get("unique_id")?))).collect()
    }

    /// How many memberships an owner gave.
    pub async fn count_memberships(&self, owner: &Owner) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) AS count FROM memberships WHERE owner = $1";
        let count: i64 = self.db.many_rows(sql, args![owner]).await?.first().map_or(Ok(0), |row| row.get("count"))?;
        Ok(count.try_into().unwrap_or_default())
    }
}
