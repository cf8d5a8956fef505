//! Reading users.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::db::{Row, Statement, args};
use crate::how_many::HowMany;
use crate::snapshot::{joined_states, link_columns, membership_query};
use crate::throttle::Failures;
use crate::{Deactivation, Flags, Limit, PasswordHash, Store, StoreError, User, UserFilter, UserState, guard};

/// The columns of a user, for a query on `users`.
macro_rules! user_columns {
    () => {
        "users.id, users.version, users.username, users.username_key, users.first_name, users.last_name, users.email, \
         users.email_key, users.display_name, users.path, users.profile, users.flags, users.live_groups, \
         users.password_hash, users.deactivated_by, users.created_at, users.updated_at, users.last_sign_in"
    };
}
pub(crate) use user_columns;

impl Row {
    pub(crate) fn deactivation(&self) -> Result<Option<Deactivation>, StoreError> {
        let stored: Option<String> = self.get("deactivated_by")?;
        let read = |text: String| {
            Deactivation::from_column(&text).ok_or_else(|| self.corrupt("deactivated_by", "not CAUSE:SOURCE"))
        };
        stored.map(read).transpose()
    }

    /// A user from [`user_columns`].
    pub(crate) fn user(&self) -> Result<User, StoreError> {
        Ok(User {
            id: self.get("id")?,
            version: self.get("version")?,
            username: self.get("username")?,
            username_key: self.get("username_key")?,
            first_name: self.get("first_name")?,
            last_name: self.get("last_name")?,
            email: self.get("email")?,
            email_key: self.get("email_key")?,
            display_name: self.get("display_name")?,
            path: self.get("path")?,
            profile: self.json("profile")?,
            flags: self.json::<Flags>("flags")?,
            live_groups: self.json("live_groups")?,
            password_hash: self.get::<Option<String>>("password_hash")?.map(PasswordHash::new),
            deactivated_by: self.deactivation()?,
            created_at: self.get("created_at")?,
            updated_at: self.get("updated_at")?,
            last_sign_in: self.get("last_sign_in")?,
        })
    }
}

impl Store {
    /// The user with this ID.
    pub async fn user(&self, id: Uuid) -> Result<Option<User>, StoreError> {
        let sql = concat!("SELECT ", user_columns!(), " FROM users WHERE users.id = $1");
        self.db.row(sql, args![id]).await?.map(|row| row.user()).transpose()
    }

    /// The user with this folded name.
    pub async fn user_by_username(&self, username_key: &str) -> Result<Option<User>, StoreError> {
        if !guard::findable(username_key) {
            return Ok(None);
        }
        let sql = concat!("SELECT ", user_columns!(), " FROM users WHERE users.username_key = $1");
        self.db.row(sql, args![username_key]).await?.map(|row| row.user()).transpose()
    }

    /// The user with this folded name, with links and memberships, and [`Store::failures_of`], all in one go: what a sign-in
    /// has to know first.
    pub async fn user_and_failures(
        &self,
        username_key: &str,
        limits: &[Limit],
        window: Duration,
        now: DateTime<Utc>,
    ) -> Result<(Option<UserState>, Vec<usize>), StoreError> {
        let failures = Failures::of(limits, window, now);
        let statements = by_name(username_key).into_iter().chain([failures.statement()]).collect();
        let mut answers = self.db.rows_of_all(statements, HowMany::Few).await?.into_iter();
        let state = first_state(&mut answers)?;
        Ok((state, failures.count(&answers.next().unwrap_or_default())?))
    }

    /// The user linked to an entry.
    pub async fn user_by_link(&self, source: &str, unique_id: &str) -> Result<Option<User>, StoreError> {
        if !guard::findable(source) || !guard::findable(unique_id) {
            return Ok(None);
        }
        let sql = concat!(
            "SELECT ",
            user_columns!(),
            " FROM users JOIN links l ON l.user_id = users.id WHERE l.source = $1 AND l.kind = 'user' AND l.unique_id = $2"
        );
        self.db.row(sql, args![source, unique_id]).await?.map(|row| row.user()).transpose()
    }

    /// The users with this folded mail address: addresses are not unique. Nobody has an empty one.
    pub async fn users_by_email(&self, email_key: &str) -> Result<Vec<User>, StoreError> {
        if email_key.is_empty() || !guard::findable(email_key) {
            return Ok(Vec::new());
        }
        let sql = concat!(
            "SELECT ",
            user_columns!(),
            " FROM users WHERE users.email_key = $1 AND users.email_key <> '' ORDER BY users.username_key"
        );
        self.db.rows(sql, args![email_key]).await?.iter().map(Row::user).collect()
    }

    /// The user with this ID, with links and memberships.
    pub async fn user_state(&self, id: Uuid) -> Result<Option<UserState>, StoreError> {
        match self.user(id).await? {
            Some(user) => Ok(self.states(vec![user]).await?.into_iter().next()),
            None => Ok(None),
        }
    }

    /// The user with this folded name, with links and memberships.
    pub async fn user_state_by_username(&self, username_key: &str) -> Result<Option<UserState>, StoreError> {
        let answers = self.db.rows_of_all(by_name(username_key).into(), HowMany::Few).await?;
        first_state(&mut answers.into_iter())
    }

    /// A page of users.
    pub async fn users(&self, filter: &UserFilter) -> Result<Vec<User>, StoreError> {
        let (prefix, after) = (&filter.prefix, &filter.after);
        if !guard::findable(prefix) || !guard::findable(after) {
            return Ok(Vec::new());
        }
        // Keys are ordered by their bytes, and no character sorts after U+10FFFF.
        let end = format!("{prefix}\u{10ffff}");
        let sql = concat!(
            "SELECT ",
            user_columns!(),
            " FROM users WHERE users.username_key >= $1 AND users.username_key <> $2 AND users.username_key < $3 \
             AND ($4 = '' OR EXISTS (SELECT 1 FROM links l WHERE l.user_id = users.id AND l.source = $4)) \
             ORDER BY users.username_key LIMIT $5"
        );
        let source = filter.source.as_deref().unwrap_or_default();
        // One bound below: of two SQLite takes the first, and would read everybody between them.
        let args = args![prefix.max(after), after, end, source, i64::from(filter.limit)];
        self.db.many_rows(sql, args).await?.iter().map(Row::user).collect()
    }

    /// How many users there are.
    pub async fn user_count(&self) -> Result<u64, StoreError> {
        let rows = self.db.many_rows("SELECT count(*) AS count FROM users", args![]).await?;
        let count: i64 = rows.first().map_or(Ok(0), |row| row.get("count"))?;
        Ok(count.try_into().unwrap_or_default())
    }

    /// The verifier for sign-ins while every server of the source is down, and when it was made.
    pub async fn verifier(
        &self,
        user: Uuid,
        source: &str,
    ) -> Result<Option<(PasswordHash, DateTime<Utc>)>, StoreError> {
        let sql = "SELECT hash, created_at FROM offline_verifiers WHERE user_id = $1 AND source = $2";
        let Some(row) = self.db.row(sql, args![user, source]).await? else { return Ok(None) };
        Ok(Some((PasswordHash::new(row.get::<String>("hash")?), row.get("created_at")?)))
    }
}

/// What [`first_state`] reads. Users come first: whatever changes after that moves their version.
fn by_name(username_key: &str) -> [Statement; 2] {
    let users = concat!(
        "SELECT ",
        user_columns!(),
        ", ",
        link_columns!(),
        " FROM users LEFT JOIN links l ON l.user_id = users.id WHERE users.username_key = $1"
    );
    let memberships = concat!(membership_query!(), " WHERE m.user_id = (SELECT id FROM users WHERE username_key = $1)");
    // Nobody's name is empty.
    let key = if guard::findable(username_key) { username_key } else { "" };
    [users, memberships].map(|sql| Statement::new(sql, args![key]))
}

/// The one user that there is at most.
fn first_state(answers: &mut impl Iterator<Item = Vec<Row>>) -> Result<Option<UserState>, StoreError> {
    let (users, memberships) = (answers.next().unwrap_or_default(), answers.next().unwrap_or_default());
    Ok(joined_states(&users, &memberships)?.into_iter().next())
}
