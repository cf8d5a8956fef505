//! What was decided becomes plans, and plans are carried out: while one batch is written, the next is made ready to be, and
//! the one after it is read and planned.
//!
//! Nothing is decided here. Whoever is in somebody's way is looked at again once that one is through.

use super::broken::{Broken, finished};
use super::outcome::{Action, action, field_names, regroups, shuts_out, takes_name};
use super::people::Decided;
use super::report::Thing;
use super::run::Run;
use crate::Reason;
use crate::engine::chain;
use crate::events::Event;
use crate::reconcile::{self, Standing, Terms, ends_sessions, username_key};
use bindery_store::{Applied, Change, GroupRef, Plan, Snapshot, SnapshotRequest, StoreError};
use std::collections::HashSet;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// People whose plans go into one transaction. Of a large index every row touches a page of its own, so that many small
/// transactions write each page many times over; one as large as this keeps other writers of SQLite waiting for some tenths
/// of a second.
pub(super) const BATCH: usize = 1000;
/// Batches on their way: one is being written, and the other ready as soon as it is.
const FLIGHTS: usize = 2;
/// Somebody else may write at the same time; more often than this it is no accident.
const TRIES: usize = 4;

/// A membership that goes once all removals are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaving {
    pub(super) user: Uuid,
    pub(super) group: Uuid,
}

/// A plan, and whom to count for what once it is written.
pub(super) struct Planned {
    pub(super) decided: Decided,
    pub(super) plan: Plan,
    user: Uuid,
    action: Action,
    /// Whether they have permissions by other groups after it.
    regroups: bool,
    /// Groups whose memberships go if there are not too many of them.
    leaving: Vec<Uuid>,
}

/// What is to be done about somebody.
pub(super) enum Next {
    /// `None`: they were refused.
    Write(Plan, Uuid, Option<Standing>),
    /// Their name belongs to somebody who may be about to leave, or to have another one.
    Postpone,
    /// Nothing, and they are counted.
    Nothing,
}

/// What is stored of somebody, and the groups that they are to be in, by name and by entry.
pub(super) struct Stored {
    pub(super) snapshot: Snapshot,
    keys: Vec<String>,
    entries: Vec<String>,
}

/// The plans of a batch.
struct Batch {
    planned: Vec<Planned>,
    /// Names that they take.
    names: HashSet<String>,
}

type Results = Result<(Vec<Plan>, Vec<Result<Applied, StoreError>>), StoreError>;

/// Plans that are being carried out.
pub(super) struct Flight {
    planned: Vec<Planned>,
    names: HashSet<String>,
    /// Told once it is written; dropped if it cannot be.
    written: Option<oneshot::Receiver<()>>,
    task: AbortOnDropHandle<Results>,
}

impl Run<'_> {
    /// Writes what was decided about several people, all of it.
    pub(super) async fn write(&mut self, batch: Vec<Decided>) -> Result<(), Broken> {
        self.hand_over(batch).await?;
        self.land_all().await
    }

    /// Begins to write what was decided about several people, after the batches before it. Nothing is certain before
    /// [`land_all`](Self::land_all).
    pub(super) async fn hand_over(&mut self, batch: Vec<Decided>) -> Result<(), Broken> {
        let prepared = self.prepare(batch).await?;
        while self.flights.len() >= FLIGHTS {
            self.land().await?;
        }
        if !self.again.is_empty() {
            self.land_all().await?;
        }
        self.launch(prepared);
        Ok(())
    }

    /// Sees to the end what was begun. Those who were in each other's way go one after the other.
    pub(super) async fn land_all(&mut self) -> Result<(), Broken> {
        for _ in 0..TRIES {
            self.land_flights().await?;
            let again = std::mem::take(&mut self.again);
            if again.is_empty() {
                return Ok(());
            }
            let prepared = self.prepare(again).await?;
            self.launch(prepared);
        }
        self.land_flights().await?;
        for decided in std::mem::take(&mut self.again) {
            self.failed(&decided.person, "they kept changing while they were being written; the next run tries again");
        }
        Ok(())
    }

    /// Gives up what is being written. When this returns, it was written or it was not.
    pub(super) async fn abandon(&mut self) {
        let flights = std::mem::take(&mut self.flights);
        for flight in &flights {
            flight.task.abort();
        }
        for flight in flights {
            let _ = flight.task.await;
        }
    }

    /// Plans for a batch, by what is stored now: what is being written at the moment may make one of them a conflict, and
    /// that person is looked at again.
    async fn prepare(&mut self, batch: Vec<Decided>) -> Result<Batch, Broken> {
        let found = self.look_up(&batch).await?;
        let (mut planned, mut names) = (Vec::with_capacity(batch.len()), HashSet::new());
        for (decided, stored) in batch.into_iter().zip(found) {
            // Whoever comes after somebody of the same name has to see them first.
            let name = decided.decision.as_ref().ok().map(|decision| username_key(&decision.username));
            if name.as_ref().is_some_and(|name| names.contains(name) || self.takes_off(name)) {
                self.again.push(decided);
                continue;
            }
            if name.as_ref().is_some_and(|name| self.claimed.contains(name)) {
                self.failed(&decided.person, "another entry of this run takes the same name");
                continue;
            }
            let mut snapshot = self.with_groups(stored);
            if snapshot.by_username.as_ref().is_some_and(|holder| self.freed.contains(&holder.user.username_key)) {
                snapshot.by_username = None;
            }
            match self.plan(&decided, &snapshot) {
                Next::Write(plan, user, standing) => {
                    names.extend(takes_name(&plan).then_some(name).flatten());
                    planned.push(self.make_ready(decided, plan, user, standing, &snapshot));
                }
                Next::Postpone => self.postponed.push(decided),
                Next::Nothing => {}
            }
        }
        Ok(Batch { planned, names })
    }

    /// What is stored of several people.
    pub(super) async fn look_up(&mut self, batch: &[Decided]) -> Result<Vec<Stored>, Broken> {
        let mut requests: Vec<SnapshotRequest> = batch.iter().map(|decided| self.request(decided)).collect();
        // The groups are known already.
        let take = |request: &mut SnapshotRequest| {
            (std::mem::take(&mut request.group_keys), std::mem::take(&mut request.group_entries))
        };
        let groups: Vec<_> = requests.iter_mut().map(take).collect();
        self.meet_groups(&groups).await?;
        let snapshots = self.engine.store().snapshots(&requests).await?;
        let stored = |((keys, entries), snapshot)| Stored { snapshot, keys, entries };
        Ok(groups.into_iter().zip(snapshots).map(stored).collect())
    }

    /// What is stored of somebody, with their groups as they are by now.
    pub(super) fn with_groups(&self, stored: Stored) -> Snapshot {
        Snapshot { groups: self.groups.pick(&stored.keys, &stored.entries), ..stored.snapshot }
    }

    /// Sees to what a plan does beyond its user, and what it comes to without the memberships that it would end: how many
    /// there are of those decides whether they go.
    pub(super) fn make_ready(
        &mut self,
        decided: Decided,
        mut plan: Plan,
        user: Uuid,
        standing: Option<Standing>,
        snapshot: &Snapshot,
    ) -> Planned {
        let link = snapshot.linked.as_ref().and_then(|state| state.link(&self.source.slug));
        let regroups = regroups(&plan, link);
        let mut leaving = withhold(&mut plan);
        // Whoever came in since the groups were read was in those that they had then.
        if link.is_some_and(|link| link.last_seen > self.read_from) && !leaving.is_empty() {
            leaving.clear();
            self.comes_again(decided.person.unique_id.clone());
        }
        // A group that this plan makes is there for whoever comes next.
        self.groups.learn(&plan, self.now);
        if self.request.dry_run
            && takes_name(&plan)
            && let Ok(decision) = &decided.decision
        {
            let name = username_key(&decision.username);
            let before = snapshot.linked.as_ref().map(|state| state.user.username_key.clone());
            self.freed.extend(before.filter(|before| *before != name));
            self.claimed.insert(name);
        }
        let action = match standing {
            Some(standing) => action(standing, &plan, regroups),
            None if shuts_out(&plan) => Action::Deactivate,
            None => Action::Skip,
        };
        Planned { decided, plan, user, action, regroups, leaving }
    }

    /// Looks for groups that nobody has asked for before: few people are in few groups.
    async fn meet_groups(&mut self, asked: &[(Vec<String>, Vec<String>)]) -> Result<(), Broken> {
        if self.groups.is_whole() {
            return Ok(());
        }
        let (keys, entries) = (asked.iter().flat_map(|(keys, _)| keys), asked.iter().flat_map(|(_, entries)| entries));
        let (keys, entries) = self.groups.unknown(keys, entries);
        let store = self.engine.store();
        let named = store.groups_by_key(keys).await?;
        let tied = store.groups_by_entry(&self.source.slug, entries).await?;
        self.groups.add(named);
        self.groups.add(tied);
        Ok(())
    }

    /// Whether somebody who is being written takes this name.
    fn takes_off(&self, name: &str) -> bool {
        self.flights.iter().any(|flight| flight.names.contains(name))
    }

    fn request(&self, decided: &Decided) -> SnapshotRequest {
        let terms = self.source.terms();
        match &decided.decision {
            Ok(decision) => reconcile::request(terms, &decided.person, decision),
            Err(refused) if decided.linked && ends_sessions(refused.reason) => {
                reconcile::refusal_request(terms, &decided.person, refused)
            }
            // Of the same source as the others, so that all are asked for together.
            Err(_) => SnapshotRequest { source: terms.source.to_owned(), ..SnapshotRequest::default() },
        }
    }

    pub(super) fn plan(&mut self, decided: &Decided, snapshot: &Snapshot) -> Next {
        let source = self.source.clone();
        let terms = Terms { fingerprint: decided.fingerprint, ..source.terms() };
        let (engine, person) = (self.engine.clone(), &decided.person);
        let mut ids = || engine.new_id();
        match &decided.decision {
            Ok(decision) => match reconcile::reconcile(terms, person, decision, snapshot, self.now, &mut ids) {
                Ok(reconciled) => Next::Write(reconciled.plan, reconciled.user, Some(reconciled.standing)),
                Err(refused) if refused.reason == Reason::AccountConflict && self.may_become_free(snapshot) => {
                    Next::Postpone
                }
                Err(refused) => {
                    self.refused(person, &refused);
                    Next::Nothing
                }
            },
            Err(refused) => {
                let plan = if decided.linked && ends_sessions(refused.reason) {
                    reconcile::shut_out(terms, person, refused, snapshot, self.now, &mut ids)
                } else {
                    None
                };
                let (Some(plan), Some(linked)) = (plan, &snapshot.linked) else {
                    self.refused(person, refused);
                    return Next::Nothing;
                };
                Next::Write(plan, linked.user.id, None)
            }
        }
    }

    /// Begins to carry out plans.
    fn launch(&mut self, Batch { mut planned, names }: Batch) {
        if planned.is_empty() {
            return;
        }
        let plans: Vec<Plan> = planned.iter_mut().map(|one| std::mem::take(&mut one.plan)).collect();
        let (store, now, dry_run) = (self.engine.store().clone(), self.engine.now(), self.request.dry_run);
        let before = self.flights.back_mut().and_then(|flight| flight.written.take());
        let (tell, written) = oneshot::channel();
        let task = async move {
            let results = if dry_run {
                plans.iter().map(|_| Ok(Applied::default())).collect()
            } else {
                let prepared = store.prepare(&plans, now).await;
                // One after the other: of two entries of one person the later counts.
                if let Some(before) = before
                    && before.await.is_err()
                {
                    let what = "what was to be written before was not".to_owned();
                    return Err(StoreError::Conflict { what });
                }
                store.carry_out(prepared).await?
            };
            // Nobody waits if there is no other.
            let _ = tell.send(());
            Ok((plans, results))
        };
        let (written, task) = (Some(written), AbortOnDropHandle::new(tokio::spawn(task)));
        self.flights.push_back(Flight { planned, names, written, task });
    }

    async fn land_flights(&mut self) -> Result<(), Broken> {
        while !self.flights.is_empty() {
            self.land().await?;
        }
        Ok(())
    }

    /// Waits for what has been on its way the longest, and counts it. A conflict concerns its own plan only.
    async fn land(&mut self) -> Result<(), Broken> {
        let Some(Flight { planned, task, .. }) = self.flights.pop_front() else { return Ok(()) };
        let (plans, results) = finished(task).await??;
        // What a plan that was not carried out would have done to groups is not so.
        if results.iter().any(Result::is_err) {
            self.load_groups().await?;
        }
        for ((one, plan), result) in planned.into_iter().zip(plans).zip(results) {
            match result {
                Ok(_) => self.count(&one, &plan),
                Err(error) if error.is_conflict() => self.again.push(one.decided),
                Err(error) if error.is_unavailable() => return Err(error.into()),
                Err(error) => self.failed(&one.decided.person, &chain(&error)),
            }
        }
        Ok(())
    }

    pub(super) fn count(&mut self, one: &Planned, plan: &Plan) {
        let unique_id = &one.decided.person.unique_id;
        let counted = self.became(unique_id, one.action);
        if self.postponing {
            if one.action == Action::Nothing && !one.leaving.is_empty() {
                self.losing.insert(one.user, (unique_id.clone(), counted));
            }
            self.leaving.extend(one.leaving.iter().map(|group| Leaving { user: one.user, group: *group }));
        } else if !one.leaving.is_empty() {
            // What goes has been decided already.
            self.comes_again(unique_id.clone());
        }
        let added = plan.changes.iter().filter(|change| matches!(change, Change::AddMembership { .. }));
        self.report.memberships.added += added.count() as u64;
        if self.request.dry_run {
            self.foretell(one, plan);
            return;
        }
        if one.action != Action::Nothing {
            if one.action != Action::Create {
                self.engine.forget_user(one.user);
            }
            let source = self.source.slug.clone();
            self.engine.tell(&Event::Synced { source, user: one.user, changed: true });
        }
    }

    /// Lists what a plan would change.
    fn foretell(&mut self, one: &Planned, plan: &Plan) {
        let name = one.decided.decision.as_ref().map_or_else(
            |refused| refused.decision.as_ref().map_or("", |decision| decision.username.as_str()),
            |decision| decision.username.as_str(),
        );
        if let Some(word) = one.action.word() {
            self.report.change(Thing::User, name, word, field_names(plan, one.regroups));
        }
        for change in &plan.changes {
            if let Change::AddMembership { group, .. } = change {
                let group = self.groups.name_of(group);
                self.report.change(Thing::Membership, &format!("{name} in {group}"), "add", Vec::new());
            }
        }
    }
}

/// Takes the removal of memberships out of a plan: how many there are decides whether they may be carried out.
/// Nothing vouches for the user until they have been.
fn withhold(plan: &mut Plan) -> Vec<Uuid> {
    let mut groups = Vec::new();
    plan.changes.retain(|change| match change {
        Change::RemoveMembership { group: GroupRef::Id(group), .. } => {
            groups.push(*group);
            false
        }
        _ => true,
    });
    if !groups.is_empty() {
        for change in &mut plan.changes {
            if let Change::Link(link) | Change::UpdateLink(link) = change {
                link.fingerprint = None;
            }
        }
    }
    groups
}
