//! A user as `user show`, `/api/v1/me` and the pages give them.

use super::{ActiveSource, Engine};
use crate::rules::{Permissions, fold};
use bindery_store::{Flags, Link, Membership, Profile, StoreError, User};
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

/// A user with their groups and permissions, live ones included. The JSON keys are a contract.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UserView {
    /// Never changes.
    pub id: Uuid,
    /// As shown.
    pub username: String,
    /// Given name.
    pub first_name: String,
    /// Family name.
    pub last_name: String,
    /// E-mail address.
    pub email: String,
    /// The name to greet with.
    pub display_name: String,
    /// `is_active`, `is_staff`, `is_superuser` and the app's own, at top level.
    #[serde(flatten)]
    pub flags: Flags,
    /// A folder-like place, for listing.
    pub path: String,
    /// Other mapped fields.
    pub profile: Profile,
    /// Names of local groups, live ones included.
    pub groups: Vec<String>,
    /// Everything they may do.
    pub permissions: Vec<String>,
    /// Their entry, if they have one.
    pub link: Option<LinkView>,
}

/// Which entry a user is tied to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkView {
    /// The source.
    pub source: String,
    /// The entry's immutable identifier.
    pub unique_id: String,
    /// Where it was when last read.
    pub dn: String,
    /// When it was last read.
    pub last_seen: DateTime<Utc>,
}

impl UserView {
    /// Puts a view together from what the store gave.
    pub fn new(user: User, links: &[Link], groups: Vec<String>, permissions: Vec<String>) -> Self {
        Self {
            id: user.id,
            username: user.username,
            first_name: user.first_name,
            last_name: user.last_name,
            email: user.email,
            display_name: user.display_name,
            flags: user.flags,
            path: user.path,
            profile: user.profile,
            groups,
            permissions,
            link: links.first().map(LinkView::from),
        }
    }

    /// A flag's value; false when it was never set.
    pub fn flag(&self, name: &str) -> bool {
        self.flags.get(name).copied().unwrap_or(false)
    }

    /// The name to greet with: display name, else first and last, else the username.
    pub fn full_name(&self) -> String {
        let name = full_name(&self.display_name, &self.first_name, &self.last_name);
        if name.is_empty() { self.username.clone() } else { name }
    }

    /// Whether they may do it. A superuser may do everything.
    pub fn may(&self, permission: &str) -> bool {
        self.flag("is_superuser") || self.permissions.iter().any(|own| own == permission)
    }

    /// Whether they are in a local group, names compared folded.
    pub fn in_group(&self, name: &str) -> bool {
        let name = fold(name);
        self.groups.iter().any(|group| fold(group) == name)
    }
}

/// Display name, else first and last; empty where none of them is known.
pub fn full_name(display_name: &str, first_name: &str, last_name: &str) -> String {
    if display_name.is_empty() {
        format!("{first_name} {last_name}").trim().to_owned()
    } else {
        display_name.to_owned()
    }
}

impl From<&Link> for LinkView {
    fn from(link: &Link) -> Self {
        Self {
            source: link.source.clone(),
            unique_id: link.unique_id.clone(),
            dn: link.dn.clone(),
            last_seen: link.last_seen,
        }
    }
}

impl Engine {
    /// A user as others see them, or nothing where there is no such user.
    pub async fn view(&self, id: Uuid) -> Result<Option<UserView>, StoreError> {
        let Some(state) = self.store().user_state(id).await? else { return Ok(None) };
        self.view_with(state.user, &state.links, state.memberships).await.map(Some)
    }

    /// The same for a user who is at hand.
    pub async fn view_of(&self, user: User, links: &[Link]) -> Result<UserView, StoreError> {
        let memberships = self.store().memberships(user.id).await?;
        self.view_with(user, links, memberships).await
    }

    /// The same where the memberships are at hand, too.
    pub(crate) async fn view_with(
        &self,
        user: User,
        links: &[Link],
        memberships: Vec<Membership>,
    ) -> Result<UserView, StoreError> {
        // Permissions come through memberships, and through what is read live.
        let mut permissions =
            if memberships.is_empty() { Vec::new() } else { self.store().permissions_of_user(user.id).await? };
        let mut groups: Vec<String> = memberships.into_iter().map(|membership| membership.group_name).collect();
        groups.dedup();
        let live = self.live_groups_that_count(&user, links);
        if !live.is_empty() {
            permissions.extend(self.store().permissions_of_groups(&live).await?);
            permissions.sort();
            permissions.dedup();
            groups.extend(self.local_groups_named(&live).await?);
            groups.sort_by_cached_key(|name| fold(name));
            groups.dedup();
        }
        Ok(UserView::new(user, links, groups, permissions))
    }

    /// The local groups that bear these folded names.
    pub(crate) async fn local_groups_named(&self, keys: &[String]) -> Result<Vec<String>, StoreError> {
        let states = self.store().groups_by_key(keys).await?;
        Ok(states.into_iter().map(|state| state.group.name).collect())
    }

    /// Folded names of groups that were read live: they give permissions only while the configuration says so.
    pub(crate) fn live_groups_that_count(&self, user: &User, links: &[Link]) -> Vec<String> {
        if links.is_empty() {
            let counts = self.settings().authorize_local_users;
            return user.live_groups.iter().filter(|_| counts).cloned().collect();
        }
        let live = |source: &ActiveSource| source.rules.permissions == Permissions::Live;
        let counts = |link: &&Link| self.source(&link.source).is_some_and(|source| live(&source));
        links.iter().filter(counts).flat_map(|link| &link.live_groups).cloned().collect()
    }
}
