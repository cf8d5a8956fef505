//! Whoever is gone: decided only when everything was read, and carried out only within `removal_limit`.
//!
//! Users, groups and memberships are counted apart. What goes with a user or a group that goes does not count.

use super::Removals;
use super::brakes;
use super::broken::Broken;
use super::doubt;
use super::outcome::Action;
use super::recent::Recent;
use super::report::{IncompleteBase, Mode, Removal, SyncOutcome, SyncReason, Thing};
use super::run::Run;
use super::writing::Leaving;
use crate::config::Removed;
use crate::engine::chain;
use crate::events::Event;
use crate::reconcile;
use bindery_store::{Applied, Cause, Change, EntityKind, Expected, GroupRef, Owner, Plan, StoreError, UserState};
use std::collections::{BTreeSet, HashSet};
use uuid::Uuid;

/// Removals that go into one transaction.
const BATCH: usize = 500;
/// Each of so many removals is made sure of. More are not, where somebody has looked at them and allowed them.
const MOST_LOOKED_FOR: usize = 1_000;
/// Somebody else may write at the same time; more often than this it is no accident.
const TRIES: usize = 3;
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
            self.take_back(&counted).await?;
            self.removed.memberships += counted.len() as u64;
            self.note_removals().await?;
        }
        if users_go {
            self.remove_users(&gone.users).await?;
        }
        if groups_go {
            let groups = self.without_entry(&gone.groups).await?;
            let leaving: Vec<_> = leaving.into_iter().filter(|one| groups.contains(&one.group)).collect();
            self.take_back(&leaving).await?;
            self.remove_groups(&groups).await?;
            self.note_removals().await?;
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

    async fn take_back(&mut self, leaving: &[Leaving]) -> Result<(), Broken> {
        let owner = self.owner();
        for part in leaving.chunks(BATCH) {
            let part = self.unless_read_since(part).await?;
            let plans = part.iter().map(|one| {
                let group = GroupRef::Id(one.group);
                Plan::from(vec![Change::RemoveMembership { user: one.user, group, owner: owner.clone() }])
            });
            let plans: Vec<Plan> = plans.collect();
            if self.request.dry_run {
                for one in &part {
                    let group = self.groups.name_of(&GroupRef::Id(one.group));
                    let user = self.user_name(one.user).await?;
                    self.loses(one.user, &user);
                    self.report.change(Thing::Membership, &format!("{user} in {group}"), "remove", Vec::new());
                }
                self.report.memberships.removed += part.len() as u64;
                continue;
            }
            for (one, result) in part.iter().zip(self.carry_out_removals(plans).await?) {
                match result {
                    Ok(_) => {
                        self.report.memberships.removed += 1;
                        self.loses(one.user, "");
                    }
                    Err(error) => self.left_undone(&error),
                }
                self.engine.forget_user(one.user);
            }
            // Whoever came in at this very moment.
            self.unless_read_since(&part).await?;
        }
        Ok(())
    }

    /// Counts somebody who loses a membership, where nothing else became of them. A dry run names them.
    fn loses(&mut self, user: Uuid, name: &str) {
        let Some((unique_id, counted)) = self.losing.remove(&user) else { return };
        if counted == Action::Nothing {
            let notes = self.report.mode == Mode::Incremental && !self.request.dry_run;
            self.users_once.was_more(&mut self.report.users, &unique_id, notes);
        }
        if self.request.dry_run {
            self.report.change(Thing::User, name, "update", Vec::new());
        } else {
            self.engine.tell(&Event::Synced { source: self.source.slug.clone(), user, changed: true });
        }
    }

    /// Those memberships whose users nobody else has read since this run has. A sign-in or a refresh that comes later
    /// finds what it gives in its place, and writes nothing: it must not be taken away for what was so before.
    async fn unless_read_since(&mut self, leaving: &[Leaving]) -> Result<Vec<Leaving>, Broken> {
        let users: Vec<Uuid> = leaving.iter().map(|one| one.user).collect();
        let read = self.engine.store().read_since(&self.source.slug, &users, self.read_from).await?;
        let (read, entries): (HashSet<Uuid>, Vec<String>) = read.into_iter().unzip();
        for unique_id in entries {
            self.comes_again(unique_id);
        }
        Ok(leaving.iter().filter(|one| !read.contains(&one.user)).copied().collect())
    }

    /// Somebody is left as they are, for the next run to decide.
    pub(super) fn comes_again(&mut self, unique_id: String) {
        self.fails(unique_id);
        if self.failing.len() > doubt::MOST_AGAIN {
            self.unfinished = Some("too many people came in while they were being read");
        }
    }

    async fn remove_users(&mut self, users: &[Uuid]) -> Result<(), Broken> {
        let sure = self.request.allow_removals && users.len() > MOST_LOOKED_FOR;
        for part in users.chunks(BATCH) {
            let mut open = part.to_vec();
            for tries_left in (0..TRIES).rev() {
                open = self.remove_part(&open, sure, tries_left == 0).await?;
            }
            self.note_removals().await?;
            if !self.request.dry_run {
                for user in part {
                    self.engine.forget_user(*user);
                }
            }
        }
        Ok(())
    }

    /// Answers with those whom somebody else has changed meanwhile: they are to be looked at again, unless it was the
    /// last time.
    async fn remove_part(&mut self, users: &[Uuid], sure: bool, last: bool) -> Result<Vec<Uuid>, Broken> {
        let (mut plans, mut removals) = (Vec::with_capacity(users.len()), Vec::with_capacity(users.len()));
        for user in users {
            let Some(state) = self.engine.store().user_state(*user).await? else { continue };
            if self.is_gone(&state, sure).await?
                && let Some((plan, action)) = self.removal_of(&state)
            {
                plans.push(plan);
                removals.push((state, action));
            }
        }
        if self.request.dry_run {
            for (state, action) in &removals {
                self.removed_user(state, action);
            }
            return Ok(Vec::new());
        }
        let mut again = Vec::new();
        for ((state, action), result) in
            removals.iter().zip(self.engine.store().apply_batch(&plans, self.engine.now()).await?)
        {
            match result {
                Ok(_) => self.removed_user(state, action),
                Err(error) if error.is_unavailable() => return Err(error.into()),
                Err(error) if error.is_conflict() && !last => again.push(state.user.id),
                Err(error) => self.left_undone(&error),
            }
        }
        Ok(again)
    }

    /// Looks for an entry once more, by its unique ID: somebody who is moved while pages are read can fall between them.
    /// Whoever is not tied to this source any more is none of its affairs.
    async fn is_gone(&self, state: &UserState, sure: bool) -> Result<bool, Broken> {
        let Some(link) = state.link(&self.source.slug) else { return Ok(false) };
        if sure {
            return Ok(true);
        }
        let there = self.source.directory.read(&link.unique_id, None, &self.source.wanted).await?;
        if there.is_some() {
            tracing::info!(target: "bindery_core::sync", source = self.source.slug, dn = link.dn, "not listed, but there: kept");
        }
        Ok(there.is_none())
    }

    /// What the removal of one user is. Somebody whom another source vouches for only loses this one.
    fn removal_of(&self, state: &UserState) -> Option<(Plan, &'static str)> {
        let (user, slug) = (state.user.id, self.source.slug.as_str());
        let end = Change::EndSessions { user, except: None };
        if state.links.iter().any(|link| link.source != slug) {
            let mut plan = reconcile::unlink(state, Some(slug));
            plan.changes.push(end);
            Some((plan, "update"))
        } else if self.source.sync.removed == Removed::Delete {
            // A link to another source that was made meanwhile does not go with them.
            let expected = vec![Expected { user, version: state.user.version }];
            Some((Plan { changes: vec![end, Change::DeleteUser { user }], expected }, "delete"))
        } else if state.user.is_active() {
            let mut plan = reconcile::deactivate(state, slug, Cause::Left);
            plan.changes.push(Change::DropVerifiers { user });
            Some((plan, "deactivate"))
        } else {
            None
        }
    }

    /// Counts somebody who was removed.
    fn removed_user(&mut self, state: &UserState, action: &'static str) {
        let (user, tally) = (&state.user, &mut self.report.users);
        if let Some(link) = state.link(&self.source.slug) {
            self.users_once.take_back(tally, &link.unique_id);
        }
        match action {
            "update" => tally.updated += 1,
            "delete" => tally.deleted += 1,
            _ => tally.deactivated += 1,
        }
        if self.request.dry_run && action == "delete" {
            self.freed.insert(user.username_key.clone());
        }
        self.removed.users += 1;
        self.report.change(Thing::User, &user.username, action, Vec::new());
    }

    async fn remove_groups(&mut self, groups: &[Uuid]) -> Result<(), Broken> {
        let owner = self.owner();
        if !groups.is_empty() {
            self.unnest(groups).await?;
        }
        for group in groups {
            let Some(state) = self.groups.get(*group).cloned() else { continue };
            let elsewhere = state.links.iter().any(|link| !owner.is_source(&link.source));
            let delete = self.source.sync.removed == Removed::Delete && state.group.owner == owner && !elsewhere;
            let reference = GroupRef::Id(*group);
            let changes = if delete {
                vec![Change::DeleteGroup { group: reference }]
            } else {
                self.emptied(*group, &owner).await?
            };
            let plan = Plan::from(changes);
            self.groups.learn(&plan, self.now);
            if !self.request.dry_run
                && let Some(error) = self.carry_out_removals(vec![plan]).await?.into_iter().find_map(Result::err)
            {
                self.left_undone(&error);
                continue;
            }
            let tally = &mut self.report.groups;
            *(if delete { &mut tally.deleted } else { &mut tally.deactivated }) += 1;
            self.removed.groups += 1;
            let word = if delete { "delete" } else { "deactivate" };
            self.report.change(Thing::Group, &state.group.name, word, Vec::new());
        }
        Ok(())
    }

    /// Those of whose entries none is found when they are looked for once more.
    async fn without_entry(&mut self, groups: &[Uuid]) -> Result<Vec<Uuid>, Broken> {
        let mut gone = Vec::with_capacity(groups.len());
        for group in groups {
            let links = self.groups.get(*group).map(|state| state.links.clone()).unwrap_or_default();
            let mut there = false;
            for link in links.iter().filter(|link| link.source == self.source.slug) {
                there = there || self.source.directory.has_group(&link.unique_id).await?;
            }
            if there {
                // It was moved while others were read, and what was read of its members may be wrong as well.
                self.unfinished = Some("groups were not listed that are there");
            } else {
                gone.push(*group);
            }
        }
        Ok(gone)
    }

    /// A group that is kept loses its entry, and what this source put into it.
    async fn emptied(&self, group: Uuid, owner: &Owner) -> Result<Vec<Change>, Broken> {
        let members = self.engine.store().members(group).await?;
        let own = members.into_iter().filter(|(_, of)| of == owner);
        let back =
            own.map(|(user, of)| Change::RemoveMembership { user: user.id, group: GroupRef::Id(group), owner: of });
        let unlink = Change::Unlink { entity: group, source: owner.as_str().to_owned() };
        Ok(back.chain([unlink]).collect())
    }

    /// Answers with what became of each.
    async fn carry_out_removals(&mut self, plans: Vec<Plan>) -> Result<Vec<Result<Applied, StoreError>>, Broken> {
        let results = self.engine.store().apply_batch(&plans, self.engine.now()).await?;
        let told = |result| match result {
            Err(error) if StoreError::is_unavailable(&error) => Err(Broken::from(error)),
            result => Ok(result),
        };
        results.into_iter().map(told).collect()
    }

    /// A removal that was not carried out: no feed tells of it again, and so everything is read again.
    fn left_undone(&mut self, error: &StoreError) {
        self.report.error(format!("a removal was not carried out: {}", chain(error)));
        self.unfinished = Some(if error.is_conflict() {
            "removals could not be carried out, because others wrote at the same time"
        } else {
            "removals could not be carried out, because the store refused them"
        });
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

    async fn user_name(&self, user: Uuid) -> Result<String, Broken> {
        let named = self.engine.store().link_names(&self.source.slug, EntityKind::User, &[user]).await?;
        Ok(named.into_iter().next().map(|one| one.name).unwrap_or_default())
    }

    pub(super) fn owner(&self) -> Owner {
        Owner::Source(self.source.slug.clone())
    }
}
