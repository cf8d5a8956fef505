//! What a sync reads about a whole source, and the few things it writes outside a plan.
//!
//! Nothing here changes what anybody is or may do.

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::db::{Arg, Row, args, placeholders};
use crate::snapshot::{LIST, link_columns};
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
        let sql = "SELECT l.unique_id, l.user_id, l.group_id, l.fingerprint, u.deactivated_by, \
                   CASE WHEN u.id IS NULL OR CAST(u.flags ->> 'is_active' AS TEXT) IN ('true', '1') THEN 1 ELSE 0 END \
                   AS active FROM links l LEFT JOIN users u ON u.id = l.user_id \
                   WHERE l.source = $1 AND l.kind = $2 AND l.unique_id > $3 ORDER BY l.unique_id LIMIT $4";
        let mut after = String::new();
        loop {
            let rows = self.db.rows(sql, args![source, kind.as_str(), &after, PAGE]).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.get("unique_id")?;
            for row in &rows {
                let user: Option<Uuid> = row.get("user_id")?;
                let group: Option<Uuid> = row.get("group_id")?;
                each(SyncedLink {
                    unique_id: row.get("unique_id")?,
                    entity_id: user.or(group).ok_or_else(|| row.corrupt("links.user_id", "a link has one end"))?,
                    fingerprint: row.get("fingerprint")?,
                    active: row.get::<i32>("active")? != 0,
                    deactivated_by: row.deactivation()?,
                });
            }
        }
    }

    /// Names of users and groups linked to a source, by their local IDs; who is not linked to it is not in the answer.
    pub async fn link_names(&self, source: &str, kind: EntityKind, ids: &[Uuid]) -> Result<Vec<LinkName>, StoreError> {
        let mut names = Vec::with_capacity(ids.len());
        let (table, column, name) = match kind {
            EntityKind::User => ("users", "user_id", "username"),
            EntityKind::Group => ("groups", "group_id", "name"),
        };
        for part in ids.chunks(LIST) {
            let sql = format!(
                "SELECT e.id, e.{name} AS name, l.dn FROM links l JOIN {table} e ON e.id = l.{column} \
                 WHERE l.source = $1 AND l.{column} IN ({}) ORDER BY name, l.dn",
                placeholders(2, part.len()),
            );
            let mut args = args![source];
            args.extend(part.iter().map(|id| Arg::from(*id)));
            for row in self.db.rows(AssertSqlSafe(sql), args).await? {
                names.push(LinkName { entity_id: row.get("id")?, name: row.get("name")?, dn: row.get("dn")? });
            }
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
        let mut links = Vec::with_capacity(keys.len());
        for part in keys.chunks(LIST) {
            let sql = format!(
                "SELECT {} FROM links l WHERE l.source = $1 AND l.kind = $2 AND l.dn_key IN ({})",
                link_columns!(),
                placeholders(3, part.len()),
            );
            let mut args = args![source, kind.as_str()];
            args.extend(part.iter().filter(|key| !key.contains('\0')).map(Arg::from));
            for row in self.db.rows(AssertSqlSafe(sql), args).await? {
                links.push(row.link()?);
            }
        }
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
        let _ = (source, kind, at, except);
        Ok(())
    }

    /// Which group is in which, as (child, parent), of the nestings that an owner gave.
    pub async fn subgroups(&self, owner: &Owner) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
        let sql = "SELECT child_id, parent_id FROM group_memberships WHERE owner = $1 ORDER BY child_id, parent_id";
        let pair = |row: &Row| Ok((row.get("child_id")?, row.get("parent_id")?));
        self.db.rows(sql, args![owner]).await?.iter().map(pair).collect()
    }

    /// How many memberships an owner gave.
    pub async fn count_memberships(&self, owner: &Owner) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) AS count FROM memberships WHERE owner = $1";
        let count: i64 = self.db.row(sql, args![owner]).await?.map_or(Ok(0), |row| row.get("count"))?;
        Ok(count.try_into().unwrap_or_default())
    }
}
