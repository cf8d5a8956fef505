//! What each change does to the database.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{GONE, GROUP_GONE, LINK_GONE, Run};
use crate::db::{Arg, Dialect, args, row};
use crate::sync::dn_hash;
use crate::{
    Change, Deactivation, EntityKind, Field, GroupRef, Link, NewGroup, NewSession, NewUser, Owner, StoreError, User,
};
use crate::{audit, guard};

macro_rules! user_row {
    ($user:expr, $deactivated_by:expr) => {
        row![
            $user.id,
            &$user.username,
            &$user.username_key,
            &$user.first_name,
            &$user.last_name,
            &$user.email,
            &$user.email_key,
            &$user.display_name,
            &$user.path,
            Arg::json("profile", &$user.profile),
            Arg::json("flags", &$user.flags),
            $user.password_hash.as_ref().map(|hash| hash.expose().to_owned()),
            $deactivated_by,
            findable(&$user.live_groups),
        ]
    };
}

impl Run<'_> {
    pub(super) async fn change(&mut self, change: &Change) -> Result<(), StoreError> {
        let now = self.now;
        match change {
            Change::CreateUser(user) => self.create_user(user).await,
            Change::UpdateUser { user, fields } => {
                if fields.iter().any(|field| matches!(field, Field::Username { .. })) {
                    self.renamed.insert(*user);
                }
                self.user(*user).map(|row| fields.iter().for_each(|f| set(row, f)))
            }
            Change::SetFlags { user, flags } => {
                self.tx.revoke(*user);
                self.user(*user).map(|row| row.flags.extend(flags.clone()))
            }
            Change::SetDeactivatedBy { user, by } => self.user(*user).map(|row| row.deactivated_by.clone_from(by)),
            Change::SetPassword { user, hash } => self.user(*user).map(|row| row.password_hash.clone_from(hash)),
            Change::SignedIn { user } if self.signed_in.contains(user) => Ok(()),
            Change::SignedIn { user } => {
                let sql = "UPDATE users SET last_sign_in = $2 WHERE id = $1";
                self.must(sql, args![*user, now], GONE)
            }
            Change::DeleteUser { user } => self.delete_user(*user).await,
            Change::CreateGroup(group) => self.create_group(group),
            Change::RenameGroup { group, name, name_key } => {
                let group = self.group(group).await?;
                let sql = "UPDATE groups SET name = $2, name_key = $3 WHERE id = $1";
                self.must(sql, args![group, name, name_key], GROUP_GONE)
            }
            Change::DeleteGroup { group } => self.delete_group(group).await,
            Change::Link(link) => self.link(link),
            Change::UpdateLink(link) => self.update_link(link),
            Change::Seen { user, source, at } => {
                let sql = "UPDATE links SET last_seen = CASE WHEN last_seen > $3 THEN last_seen ELSE $3 END, \
                           absent = FALSE WHERE user_id = $1 AND source = $2";
                self.must(sql, args![*user, source, *at], LINK_GONE)
            }
            Change::Unlink { entity, source } => self.unlink(*entity, source).await,
            Change::AddMembership { user, group, owner } => self.add_membership(*user, group, owner).await,
            Change::RemoveMembership { user, group, owner } => {
                let Some(group) = self.find_group(group).await? else { return Ok(()) };
                let sql = "DELETE FROM memberships WHERE user_id = $1 AND group_id = $2 AND owner = $3";
                self.may(sql, args![*user, group, owner])
            }
            Change::AddSubgroup { child, parent, owner } => {
                let (child, parent) = (self.group(child).await?, self.group(parent).await?);
                let sql = "INSERT INTO group_memberships (child_id, parent_id, owner) VALUES ($1, $2, $3) \
                           ON CONFLICT (child_id, parent_id, owner) DO NOTHING";
                self.may(sql, args![child, parent, owner])
            }
            Change::RemoveSubgroup { child, parent, owner } => {
                let (Some(child), Some(parent)) = (self.find_group(child).await?, self.find_group(parent).await?)
                else {
                    return Ok(());
                };
                let sql = "DELETE FROM group_memberships WHERE child_id = $1 AND parent_id = $2 AND owner = $3";
                self.may(sql, args![child, parent, owner])
            }
            Change::Grant { group, permission } => {
                let group = self.group(group).await?;
                let sql = "INSERT INTO group_permissions (group_id, permission) VALUES ($1, $2) \
                           ON CONFLICT (group_id, permission) DO NOTHING";
                self.may(sql, args![group, permission])
            }
            Change::Revoke { group, permission } => {
                let Some(group) = self.find_group(group).await? else { return Ok(()) };
                let sql = "DELETE FROM group_permissions WHERE group_id = $1 AND permission = $2";
                self.may(sql, args![group, permission])
            }
            Change::StartSession(session) => self.start_session(session),
            Change::EndSession { token } => {
                self.end_sessions("DELETE FROM sessions WHERE token = $1 RETURNING user_id", args![*token]).await
            }
            Change::EndSessions { user, except } => {
                // No token is empty, so that nothing is spared by mistake.
                let except = Arg::Bytes(Some(except.map_or(Vec::new(), |token| token.as_bytes().to_vec())));
                let sql = "DELETE FROM sessions WHERE user_id = $1 AND token <> $2 RETURNING user_id";
                self.end_sessions(sql, vec![Arg::from(*user), except]).await
            }
            Change::PutVerifier { user, source, hash } => {
                let sql = "INSERT INTO offline_verifiers (user_id, source, hash, created_at) VALUES ($1, $2, $3, $4) \
                           ON CONFLICT (user_id, source) DO UPDATE SET hash = excluded.hash, \
                           created_at = excluded.created_at";
                self.may(sql, args![*user, source, hash.expose(), now])
            }
            Change::DropVerifiers { user } => {
                self.may("DELETE FROM offline_verifiers WHERE user_id = $1", args![*user])
            }
            Change::Record(entry) => self.may(audit::INSERT, audit::insert_args(entry, now)),
        }
    }

    /// A statement that may find nothing to do.
    #[expect(clippy::unnecessary_wraps, reason = "so that it reads like the changes that can fail at once")]
    fn may(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<(), StoreError> {
        self.later(sql, args, None);
        Ok(())
    }

    /// A statement that has to find its row.
    #[expect(clippy::unnecessary_wraps, reason = "so that it reads like the changes that can fail at once")]
    fn must(&mut self, sql: &'static str, args: Vec<Arg>, or: &'static str) -> Result<(), StoreError> {
        self.later(sql, args, Some(or));
        Ok(())
    }

    /// A statement whose count is needed at once.
    async fn counted(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<u64, StoreError> {
        self.flush().await?;
        self.tx.execute(sql, args).await
    }

    /// A statement that ends sessions and answers whose.
    async fn end_sessions(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<(), StoreError> {
        self.flush().await?;
        for row in self.tx.rows(sql, args).await? {
            self.tx.revoke(row.get("user_id")?);
            self.applied.sessions_ended += 1;
        }
        Ok(())
    }

    async fn create_user(&mut self, new: &NewUser) -> Result<(), StoreError> {
        let user = created(new, self.now);
        let sql = "INSERT INTO users (id, username, username_key, first_name, last_name, email, email_key, \
                   display_name, path, profile, flags, password_hash, deactivated_by, live_groups, version, created_at, \
                   updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1, $15, $15)";
        let args = user_args(&user).into_iter().chain(row![self.now]).collect();
        self.counted(sql, args).await?;
        self.users.insert(user.id, user);
        Ok(())
    }

    async fn delete_user(&mut self, user: Uuid) -> Result<(), StoreError> {
        self.tx.revoke(user);
        self.end_sessions("DELETE FROM sessions WHERE user_id = $1 RETURNING user_id", args![user]).await?;
        self.users.remove(&user);
        self.dirty.remove(&user);
        self.may("DELETE FROM users WHERE id = $1", args![user])
    }

    fn create_group(&mut self, new: &NewGroup) -> Result<(), StoreError> {
        let sql = "INSERT INTO groups (id, name, name_key, owner, created_at) VALUES ($1, $2, $3, $4, $5)";
        self.may(sql, args![new.id, &new.name, &new.name_key, &new.owner, self.now])
    }

    async fn delete_group(&mut self, group: &GroupRef) -> Result<(), StoreError> {
        let Some(group) = self.find_group(group).await? else { return Ok(()) };
        let sql = "UPDATE users SET version = version + 1, updated_at = $2 \
                   WHERE id IN (SELECT user_id FROM memberships WHERE group_id = $1)";
        self.may(sql, args![group, self.now])?;
        let sql = "UPDATE links SET fingerprint = NULL WHERE fingerprint IS NOT NULL \
                   AND user_id IN (SELECT user_id FROM memberships WHERE group_id = $1)";
        self.may(sql, args![group])?;
        self.may("DELETE FROM groups WHERE id = $1", args![group])
    }

    /// No group that a link leads to may go before we are done; a user is held by the plan.
    fn hold_groups(&mut self, link: &Link) -> Result<(), StoreError> {
        let sql = "UPDATE groups SET owner = owner WHERE id = $1";
        link.groups().try_for_each(|group| self.must(sql, args![group], GROUP_GONE))
    }

    fn link(&mut self, link: &Link) -> Result<(), StoreError> {
        self.hold_groups(link)?;
        let sql = "INSERT INTO links (kind, source, unique_id, user_id, group_id, dn, dn_key, last_seen, fingerprint, \
                   given_fields, dn_hash, given_flags, live_groups, parent_id, account_ends, \
                   password_changed) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
        self.may(sql, link_args(link).into())
    }

    fn update_link(&mut self, link: &Link) -> Result<(), StoreError> {
        self.hold_groups(link)?;
        // Somebody may have read the entry since, and only confirmed what is here.
        let sql = "UPDATE links SET dn = $6, dn_key = $7, \
                   last_seen = CASE WHEN last_seen > $8 THEN last_seen ELSE $8 END, \
                   fingerprint = $9, given_fields = $10, \
                   dn_hash = $11, given_flags = $12, live_groups = $13, parent_id = $14, account_ends = $15, password_changed = $16, \
                   absent = FALSE \
                   WHERE kind = $1 AND source = $2 AND unique_id = $3 AND (user_id = $4 OR group_id = $5)";
        self.must(sql, link_args(link).into(), LINK_GONE)
    }

    async fn unlink(&mut self, entity: Uuid, source: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM links WHERE source = $2 AND (user_id = $1 OR group_id = $1)";
        if self.counted(sql, args![entity, source]).await? > 0 {
            let sql = "UPDATE users SET version = version + 1, updated_at = $2 WHERE id = $1";
            self.may(sql, args![entity, self.now])?;
        }
        Ok(())
    }

    async fn add_membership(&mut self, user: Uuid, group: &GroupRef, owner: &Owner) -> Result<(), StoreError> {
        let group = self.group(group).await?;
        // The user is held by this plan already, and the group is from here on.
        let sql = match self.tx.dialect() {
            Dialect::Postgres => {
                "INSERT INTO memberships (user_id, group_id, owner) \
                 SELECT $1, held.id, $3 FROM (SELECT id FROM groups WHERE id = $2 FOR KEY SHARE) AS held \
                 ON CONFLICT (user_id, group_id, owner) DO UPDATE SET owner = excluded.owner"
            }
            Dialect::Sqlite => {
                "INSERT INTO memberships (user_id, group_id, owner) SELECT $1, id, $3 FROM groups WHERE id = $2 \
                 ON CONFLICT (user_id, group_id, owner) DO UPDATE SET owner = excluded.owner"
            }
        };
        self.must(sql, args![user, group, owner], GROUP_GONE)
    }

    fn start_session(&mut self, new: &NewSession) -> Result<(), StoreError> {
        let sql = "INSERT INTO sessions (token, user_id, source, created_at, last_used, expires_at, idle_expires_at, \
                   remember, user_agent, address, validator, rotated_at, seen) \
                   VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8, $9, $10, $4, $11)";
        let args = args![
            new.token,
            new.user_id,
            &new.source,
            self.now,
            new.expires_at,
            new.idle_expires_at,
            new.remember,
            guard::trace(&new.user_agent),
            guard::trace(&new.address),
            new.validator,
            true,
        ];
        self.may(sql, args)
    }

    /// The ID of a group that has to exist.
    async fn group(&mut self, group: &GroupRef) -> Result<Uuid, StoreError> {
        self.find_group(group).await?.ok_or_else(|| StoreError::conflict(GROUP_GONE))
    }

    async fn find_group(&mut self, group: &GroupRef) -> Result<Option<Uuid>, StoreError> {
        match group {
            GroupRef::Id(id) => Ok(Some(*id)),
            GroupRef::Key(key) => {
                self.flush().await?;
                let row = self.tx.row("SELECT id FROM groups WHERE name_key = $1", args![key]).await?;
                row.map(|row| row.get("id")).transpose()
            }
        }
    }
}

/// A new user as they will be stored.
pub(super) fn created(new: &NewUser, now: DateTime<Utc>) -> User {
    User {
        id: new.id,
        version: 1,
        username: new.username.clone(),
        username_key: new.username_key.clone(),
        first_name: new.first_name.clone(),
        last_name: new.last_name.clone(),
        email: new.email.clone(),
        email_key: new.email_key.clone(),
        display_name: new.display_name.clone(),
        path: new.path.clone(),
        profile: new.profile.clone(),
        flags: new.flags.clone(),
        live_groups: new.live_groups.clone(),
        password_hash: new.password_hash.clone(),
        deactivated_by: None,
        created_at: now,
        updated_at: now,
        last_sign_in: None,
    }
}

/// `$1` to `$14` of the statements that write a user.
pub(super) fn user_args(user: &User) -> [Arg; 14] {
    user_row!(user, user.deactivated_by.as_ref().map(Deactivation::to_column))
}

/// The same for one who is only about to be stored.
pub(super) fn new_user_args(user: &NewUser) -> [Arg; 14] {
    user_row!(user, None::<String>)
}

/// Names that no local group can have are left out.
fn findable(names: &BTreeSet<String>) -> Arg {
    Arg::json("live_groups", &names.iter().filter(|name| guard::findable(name)).collect::<Vec<_>>())
}

/// `$1` to `$16` of the statements that write a link.
pub(super) fn link_args(link: &Link) -> [Arg; 16] {
    let (user, group) = match link.kind {
        EntityKind::User => (Some(link.entity_id), None),
        EntityKind::Group => (None, Some(link.entity_id)),
    };
    row![
        link.kind.as_str(),
        &link.source,
        &link.unique_id,
        user,
        group,
        &link.dn,
        &link.dn_key,
        link.last_seen,
        link.fingerprint.clone(),
        Arg::json("given_fields", &link.given_fields),
        dn_hash(&link.dn_key),
        Arg::json("given_flags", &link.given_flags),
        findable(&link.live_groups),
        link.parent,
        link.account_ends,
        link.password_changed,
    ]
}

pub(super) fn set(user: &mut User, field: &Field) {
    match field {
        Field::Username { name, key } => {
            user.username.clone_from(name);
            user.username_key.clone_from(key);
        }
        Field::FirstName(value) => user.first_name.clone_from(value),
        Field::LastName(value) => user.last_name.clone_from(value),
        Field::Email { address, key } => {
            user.email.clone_from(address);
            user.email_key.clone_from(key);
        }
        Field::DisplayName(value) => user.display_name.clone_from(value),
        Field::Path(value) => user.path.clone_from(value),
        Field::LiveGroups(names) => user.live_groups.clone_from(names),
        Field::Profile { name, value: Some(value) } => {
            user.profile.insert(name.clone(), value.clone());
        }
        Field::Profile { name, value: None } => {
            user.profile.remove(name);
        }
    }
}
