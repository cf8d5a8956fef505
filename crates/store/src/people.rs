//! Listing people for whoever looks after them. Every page is found by an index and begins where the one before ended, so
//! that it costs the same among ten million. No password and no token is read here.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::db::{Arg, Row, args};
use crate::{Deactivation, Flags, Store, StoreError, guard};

/// A user in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the same fields as in User")]
pub struct ListedUser {
    pub id: Uuid,
    pub username: String,
    pub username_key: String,
    pub first_name: String,
    pub last_name: String,
    pub email: String,
    pub display_name: String,
    pub flags: Flags,
    pub deactivated_by: Option<Deactivation>,
    pub last_sign_in: Option<DateTime<Utc>>,
    /// Slugs of the sources that they are linked to, in order.
    pub sources: Vec<String>,
}

/// No character sorts after it, and keys are ordered by their bytes.
const LAST: char = '\u{10ffff}';

macro_rules! listed {
    ($rest:literal) => {
        concat!(
            "SELECT users.id, users.username, users.username_key, users.first_name, users.last_name, users.email, \
             users.display_name, users.flags, users.deactivated_by, users.last_sign_in FROM users WHERE ",
            $rest
        )
    };
}

impl Row {
    fn listed(&self) -> Result<ListedUser, StoreError> {
        Ok(ListedUser {
            id: self.get("id")?,
            username: self.get("username")?,
            username_key: self.get("username_key")?,
            first_name: self.get("first_name")?,
            last_name: self.get("last_name")?,
            email: self.get("email")?,
            display_name: self.get("display_name")?,
            flags: self.json("flags")?,
            deactivated_by: self.deactivation()?,
            last_sign_in: self.get("last_sign_in")?,
            sources: Vec::new(),
        })
    }
}

impl Store {
    /// At most `limit` people, by folded name: of those whose folded name begins with `prefix`, the ones that come after
    /// the folded name `after`.
    pub async fn people(&self, prefix: &str, after: &str, limit: u32) -> Result<Vec<ListedUser>, StoreError> {
        if !guard::findable(prefix) || !guard::findable(after) {
            return Ok(Vec::new());
        }
        // One bound below: of two SQLite takes the first, and would read everybody between them.
        let sql = listed!(
            "users.username_key >= $1 AND users.username_key < $2 AND users.username_key <> $3 \
             ORDER BY users.username_key LIMIT $4"
        );
        let args = args![prefix.max(after), format!("{prefix}{LAST}"), after, i64::from(limit)];
        self.listed(self.db.many_rows(sql, args).await?).await
    }

    /// At most `limit` people whose folded mail address begins with `prefix`, by that. An empty prefix finds nobody.
    pub async fn people_by_email(&self, prefix: &str, limit: u32) -> Result<Vec<ListedUser>, StoreError> {
        if prefix.is_empty() || !guard::findable(prefix) {
            return Ok(Vec::new());
        }
        // By the address alone: many may have the same, and whatever came second would have all of those sorted.
        let sql = listed!(
            "users.email_key >= $1 AND users.email_key < $2 AND users.email_key <> '' \
             ORDER BY users.email_key LIMIT $3"
        );
        let args = args![prefix, format!("{prefix}{LAST}"), i64::from(limit)];
        self.listed(self.db.many_rows(sql, args).await?).await
    }

    async fn listed(&self, rows: Vec<Row>) -> Result<Vec<ListedUser>, StoreError> {
        let mut listed: Vec<ListedUser> = rows.iter().map(Row::listed).collect::<Result<_, _>>()?;
        let ids: Vec<Arg> = listed.iter().map(|user| user.id.into()).collect();
        let sql = "SELECT l.user_id, l.source FROM links l WHERE l.user_id IN ({}) ORDER BY l.source";
        for row in self.db.look_up(sql, &[], &ids).await? {
            let user: Uuid = row.get("user_id")?;
            if let Some(user) = listed.iter_mut().find(|listed| listed.id == user) {
                user.sources.push(row.get("source")?);
            }
        }
        Ok(listed)
    }

    /// How many sessions of a user have not ended.
    pub async fn session_count(&self, user: Uuid, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) AS count FROM sessions \
                   WHERE user_id = $1 AND expires_at > $2 AND idle_expires_at > $2";
        let count: i64 = self.db.row(sql, args![user, now]).await?.map_or(Ok(0), |row| row.get("count"))?;
        Ok(count.try_into().unwrap_or_default())
    }
}
