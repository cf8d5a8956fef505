//! Whoever is gone: decided only when everything was read, and carried out only within `removal_limit`.
//!
//! Users, groups and memberships are counted apart. What goes with a user or a group that goes does not count. Nothing is
//! written here: that is for `removing`.

use super::Removals;
use super::brakes;
use super::broken::Broken;
use super::doubt;
use super::recent::Recent;
use super::report::{IncompleteBase, Mode, Removal, SyncOutcome, SyncReason, Thing};
use super::run::Run;
use super::writing::Leaving;
use crate::config::Removed;
use bindery_store::{EntityKind, GroupRef, Owner};
use std::collections::{BTreeSet, HashSet};
use uuid::Uuid;

/// A person who looks at a list reads no more than this.
const MOST_LISTED: usize = 10_000;

/// What may be removed.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// Users whose entry is gone.
    pub(super) users: Vec<Uuid>,
    /// Groups whose entry is gone.
    pub(super) groups: Vec<Uuid>,
}

impl Run<'_> {
    /// Removes whom nobody has seen, and takes back the memberships that are no longer given.
    pub(super) async fn remove_unseen(&mut self, seen_groups: Option<&HashSet<String>>) -> Result<(), Broken> {
        let sync = &self.source.sync;
        let gone = Gone {
            users: if sync.users { self.unseen_users() } else { Vec::new() },
            groups: seen_groups.filter(|_| sync.groups).map(|seen| self.unseen_groups(seen)).unwrap_or_default(),
        };
        self.unseen = self.users.unseen().map(|known| known.entity).collect();
        if !self.report.incomplete.is_empty() {
            self.report.end(SyncOutcome::Held, SyncReason::Incomplete);
            return Ok(());
        }
        self.remove_unless_out_of_sight(gone).await?;
        if self.request.allow_removals && !self.request.dry_run {
            Recent::forget_all(&self.engine, &self.source).await?;
        }
        Ok(())
    }

    /// Where another search is made than before, they may all be there, and only out of sight.
    pub(super) async fn remove_unless_out_of_sight(&mut self, gone: Gone) -> Result<(), Broken> {
        let removes = !(gone.users.is_empty() && gone.groups.is_empty() && self.leaving.is_empty());
        if !removes {
            return Ok(());
        }
        if !self.request.allow_removals && doubt::search_changed(self.engine.store(), &self.source).await? {
            let base = self.source.directory.settings().base_dn.to_string();
            self.report.incomplete.push(IncompleteBase { reason: doubt::CHANGED_SEARCH, base });
            self.report.end(SyncOutcome::Held, SyncReason::ChangedSearch);
            let leaving = std::mem::take(&mut self.leaving);
            return self.list(&gone.users, &gone.groups, &leaving).await;
        }
        self.remove(gone).await
    }

    /// Under `keep` nobody goes, and whoever is out already stays out under `deactivate`: they do not count again.
    pub(super) fn goes(&self, active: bool) -> bool {
        match self.source.sync.removed {
            Removed::Keep => false,
            Removed::Deactivate => active,
            Removed::Delete => true,
        }
    }

    /// Users whose entry was not seen, and who would go.
    pub(super) fn unseen_users(&self) -> Vec<Uuid> {
        let mut users: Vec<Uuid> =
            self.users.unseen().filter(|known| self.goes(known.active)).map(|known| known.entity).collect();
        users.sort_unstable();
        users
    }

    fn unseen_groups(&self, seen: &HashSet<String>) -> Vec<Uuid> {
        if self.source.sync.removed == Removed::Keep {
            return Vec::new();
        }
        self.groups
            .tied()
            .filter(|(entries, _)| !entries.iter().any(|one| seen.contains(*one)))
            .map(|(_, id)| id)
            .collect()
    }

    /// Carries out removals as far as `removal_limit` allows, and names the rest.
    pub(super) async fn remove(&mut self, gone: Gone) -> Result<(), Broken> {
        let (limit, allow) = (self.source.sync.removal_limit, self.request.allow_removals);
        let (leaving, counted) = self.sort_leaving(&gone).await?;
        // Where nobody knows what was removed shortly before, nobody knows what is too much.
        let (known, already) = (self.already.is_some(), self.already.unwrap_or_default());
        let counts = Removals {
            users: gone.users.len() as u64 + already.users,
            groups: gone.groups.len() as u64 + already.groups,
            memberships: counted.len() as u64 + already.memberships,
        };
        // A percentage is of what there was before any of these removals.
        let groups = self.groups.tied().count() as u64 + already.groups;
        // Where there is nothing to remove, nothing is held, whatever was removed shortly before.
        let users_go = allow || gone.users.is_empty() || {
            known && brakes::within(limit, counts.users, self.active_users(counts.users).await? + already.users)
        };
        let groups_go = allow || gone.groups.is_empty() || known && brakes::within(limit, counts.groups, groups);
        let memberships_go = allow || counted.is_empty() || {
            let memberships = self.owned(counts.memberships).await? + already.memberships;
            known && brakes::within_percent(limit, counts.memberships, memberships)
        };
        if memberships_go {
            self.take_back(&counted, true).await?;
        }
        if users_go {
            self.remove_users(&gone.users).await?;
        }
        if groups_go {
            let groups = self.without_entry(&gone.groups).await?;
            let leaving: Vec<_> = leaving.into_iter().filter(|one| groups.contains(&one.group)).collect();
            self.take_back(&leaving, false).await?;
            self.remove_groups(&groups).await?;
        }
        if users_go && groups_go && memberships_go {
            return Ok(());
        }
        self.report.end(SyncOutcome::Held, SyncReason::RemovalLimit);
        let held = |go: bool, ids: &[Uuid]| if go { Vec::new() } else { ids.to_vec() };
        let held_memberships = if memberships_go { Vec::new() } else { counted };
        self.list(&held(users_go, &gone.users), &held(groups_go, &gone.groups), &held_memberships).await
    }

    /// What a percentage of users is taken of. Few removals are never measured by it, and so nobody is counted for them.
    pub(super) async fn active_users(&mut self, removals: u64) -> Result<u64, Broken> {
        if !brakes::goes_by_percent(removals) {
            return Ok(0);
        }
        if self.users.len() > 0 {
            return Ok(self.users.active());
        }
        if self.active.is_none() {
            self.active = Some(self.engine.store().count_active(&self.source.slug).await?);
        }
        Ok(self.active.unwrap_or_default())
    }

    /// What a percentage of memberships is taken of: those there were before this run gave any, as a dry run sees it.
    async fn owned(&self, removals: u64) -> Result<u64, Broken> {
        if !brakes::goes_by_percent(removals) {
            return Ok(0);
        }
        let there = self.engine.store().count_memberships(&self.owner()).await?;
        let given = if self.request.dry_run { 0 } else { self.report.memberships.added };
        Ok(there.saturating_sub(given))
    }

    /// What an incremental run may remove, under `sync.removed`.
    pub(super) fn removable(&self, gone: Gone) -> Gone {
        let sync = &self.source.sync;
        let kept = sync.removed == Removed::Keep;
        Gone {
            users: if kept || !sync.users { Vec::new() } else { gone.users },
            groups: if kept || !sync.groups { Vec::new() } else { gone.groups },
        }
    }

    /// Memberships that go with a group that goes, and those that count by themselves. What a group gave whose removal is
    /// held is neither: it stays until that is carried out, or the group is back.
    async fn sort_leaving(&mut self, gone: &Gone) -> Result<(Vec<Leaving>, Vec<Leaving>), Broken> {
        let groups: BTreeSet<Uuid> = gone.groups.iter().copied().collect();
        let leaving = std::mem::take(&mut self.leaving);
        let (with_group, mut alone): (Vec<_>, Vec<_>) =
            leaving.into_iter().partition(|one| groups.contains(&one.group));
        let held = self.held_groups(&alone).await?;
        alone.retain(|one| !held.contains(&one.group));
        Ok((with_group, alone))
    }

    /// Those of whom a feed has told before that they left, and that are still here. A full run finds them anew.
    async fn held_groups(&self, leaving: &[Leaving]) -> Result<HashSet<Uuid>, Broken> {
        let sync = &self.source.sync;
        let mut held = HashSet::new();
        if self.report.mode == Mode::Full
            || sync.removed == Removed::Keep
            || !sync.groups
            || !doubt::is_pending(self.engine.store(), &self.source).await?
        {
            return Ok(held);
        }
        for group in leaving.iter().map(|one| one.group).collect::<BTreeSet<_>>() {
            if self.is_waiting(group, |entry| self.told_groups.contains(entry), |_| false).await? {
                held.insert(group);
            }
        }
        Ok(held)
    }

    /// Names what is held.
    async fn list(&mut self, users: &[Uuid], groups: &[Uuid], memberships: &[Leaving]) -> Result<(), Broken> {
        let (store, slug) = (self.engine.store().clone(), self.source.slug.clone());
        for (kind, thing, ids) in [(EntityKind::User, Thing::User, users), (EntityKind::Group, Thing::Group, groups)] {
            let ids = ids.get(..ids.len().min(MOST_LISTED)).unwrap_or_default();
            let named = store.link_names(&slug, kind, ids).await?;
            let removals = named.into_iter().map(|one| Removal { kind: thing, name: one.name, dn: one.dn });
            self.report.would_remove.extend(removals);
        }
        for one in memberships.iter().take(MOST_LISTED) {
            let group = self.groups.name_of(&GroupRef::Id(one.group));
            let named = store.link_names(&slug, EntityKind::User, &[one.user]).await?;
            let (user, dn) = named.into_iter().next().map(|one| (one.name, one.dn)).unwrap_or_default();
            self.report.would_remove.push(Removal { kind: Thing::Membership, name: format!("{user} in {group}"), dn });
        }
        Ok(())
    }

    pub(super) async fn user_name(&self, user: Uuid) -> Result<String, Broken> {
        let named = self.engine.store().link_names(&self.source.slug, EntityKind::User, &[user]).await?;
        Ok(named.into_iter().next().map(|one| one.name).unwrap_or_default())
    }

    pub(super) fn owner(&self) -> Owner {
        Owner::Source(self.source.slug.clone())
    }
}
