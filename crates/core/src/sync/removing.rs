//! Carries out removals that were decided: users, groups and memberships, each looked for once more before, and counted.
//!
//! Whether they may be carried out is not asked here. What somebody else has changed meanwhile is left for the next run.

use super::Removals;
use super::broken::Broken;
use super::doubt;
use super::outcome::Action;
use super::report::{Mode, Thing};
use super::run::Run;
use super::writing::Leaving;
use crate::config::Removed;
use crate::engine::chain;
use crate::events::Event;
use crate::reconcile;
use bindery_store::{Applied, Cause, Change, GroupRef, Owner, Plan, StoreError, UserState};
use std::collections::HashSet;
use uuid::Uuid;

/// Removals that go into one transaction.
const BATCH: usize = 500;
/// Each of so many removals is made sure of. More are not, where somebody has looked at them and allowed them.
const MOST_LOOKED_FOR: usize = 1_000;
/// Somebody else may write at the same time; more often than this it is no accident.
const TRIES: usize = 3;

impl Run<'_> {
    /// What `count`s towards the limit by itself does not go with a group that does.
    pub(super) async fn take_back(&mut self, leaving: &[Leaving], count: bool) -> Result<(), Broken> {
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
            if count {
                self.note(Removals { memberships: part.len() as u64, ..Removals::default() }).await?;
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

    /// Removals that are about to be carried out. One too many that count is better than one too few: the store, the lease or
    /// this process may be gone right after them.
    async fn note(&mut self, removals: Removals) -> Result<(), Broken> {
        self.removed = self.removed.and(removals);
        self.note_removals().await
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
            self.unfinished = Some("too many people are left to be looked at again one by one");
        }
    }

    pub(super) async fn remove_users(&mut self, users: &[Uuid]) -> Result<(), Broken> {
        let sure = self.request.allow_removals && users.len() > MOST_LOOKED_FOR;
        for part in users.chunks(BATCH) {
            let mut open = part.to_vec();
            for tries_left in (0..TRIES).rev() {
                open = self.remove_part(&open, sure, tries_left == 0).await?;
            }
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
        self.note(Removals { users: plans.len() as u64, ..Removals::default() }).await?;
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
            let expected = vec![state.expected()];
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
        self.report.change(Thing::User, &user.username, action, Vec::new());
    }

    pub(super) async fn remove_groups(&mut self, groups: &[Uuid]) -> Result<(), Broken> {
        let owner = self.owner();
        if !groups.is_empty() {
            self.unnest(groups).await?;
        }
        if !self.request.dry_run {
            self.note(Removals { groups: groups.len() as u64, ..Removals::default() }).await?;
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
            let word = if delete { "delete" } else { "deactivate" };
            self.report.change(Thing::Group, &state.group.name, word, Vec::new());
        }
        Ok(())
    }

    /// Those of whose entries none is found when they are looked for once more.
    pub(super) async fn without_entry(&mut self, groups: &[Uuid]) -> Result<Vec<Uuid>, Broken> {
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
}
