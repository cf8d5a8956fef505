//! People on their way through a run: looked at one by one, decided where something has changed, and written in batches.

use super::broken::Broken;
use super::links::Known;
use super::report::Thing;
use super::run::Run;
use crate::Reason;
use crate::config::Removed;
use crate::engine::chain;
use crate::events::{Event, Populate};
use crate::reconcile::{self, Fingerprint, Standing, Standpoint, Terms, ends_sessions, username_key};
use crate::rules::{Decision, Facts, Refused, Step, decide};
use bindery_directory::{AccountState, Memberships, Person};
use bindery_store::{Applied, Change, Field, Plan, Snapshot, SnapshotRequest};
use std::collections::HashSet;
use uuid::Uuid;

/// People whose plans go into one transaction.
pub(super) const BATCH: usize = 500;
/// Somebody else may write at the same time; more often than this it is no accident.
const TRIES: usize = 4;

/// Somebody whose facts have changed, and what the rules say.
pub(super) struct Decided {
    pub(super) person: Person,
    fingerprint: Option<Fingerprint>,
    decision: Result<Decision, Refused>,
    /// Whether an account is linked to the entry.
    linked: bool,
}

/// A membership that goes once all removals are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaving {
    pub(super) user: Uuid,
    pub(super) group: Uuid,
}

/// A plan, and whom to count for what once it is written.
struct Planned {
    at: usize,
    plan: Plan,
    user: Uuid,
    action: Action,
}

/// What becomes of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Create,
    Update,
    Nothing,
    Deactivate,
    Reactivate,
    Skip,
}

impl Action {
    fn word(self) -> Option<&'static str> {
        match self {
            Self::Create => Some("create"),
            Self::Update => Some("update"),
            Self::Deactivate => Some("deactivate"),
            Self::Reactivate => Some("reactivate"),
            Self::Nothing | Self::Skip => None,
        }
    }
}

impl Run<'_> {
    /// Whether an entry comes to the same as before, counted if so.
    pub(super) fn passes_over(&mut self, known: Option<Known>, fingerprint: Option<Fingerprint>) -> bool {
        let stored = known.and_then(|known| known.fingerprint);
        let (Some(stored), Some(fingerprint)) = (stored, fingerprint) else { return false };
        if !stored.is_of(fingerprint) {
            return false;
        }
        match stored.standpoint() {
            Standpoint::Written => self.report.users.unchanged += 1,
            Standpoint::Refused => self.report.users.skipped += 1,
        }
        true
    }

    /// What the rules and event handlers say of somebody.
    pub(super) async fn decide(
        &self,
        person: Person,
        memberships: &Memberships,
        account: &AccountState,
        fingerprint: Option<Fingerprint>,
        linked: bool,
    ) -> Decided {
        let facts = Facts { person: &person, memberships, account };
        let mut decision = decide(&self.source.rules, facts);
        if let Ok(decided) = &mut decision {
            for handler in self.engine.handlers() {
                let source = self.source.slug.as_str();
                let event = Populate { source, person: &person, memberships, typed: None, decision: &mut *decided };
                if let Err(veto) = handler.populate(event).await {
                    decision = Err(Refused::new(Reason::Vetoed, Step::Reconcile, veto.0));
                    break;
                }
            }
        }
        Decided { person, fingerprint, decision, linked }
    }

    /// Writes what was decided about several people. Those who are in each other's way go one after the other.
    pub(super) async fn write(&mut self, mut batch: Vec<Decided>) -> Result<(), Broken> {
        for _ in 0..TRIES {
            if batch.is_empty() {
                return Ok(());
            }
            batch = self.write_once(batch).await?;
        }
        for decided in batch {
            self.failed(&decided.person, "they kept changing while they were being written; the next run tries again");
        }
        Ok(())
    }

    /// Answers with those who have to be looked at again.
    async fn write_once(&mut self, batch: Vec<Decided>) -> Result<Vec<Decided>, Broken> {
        let requests: Vec<SnapshotRequest> = batch.iter().map(|decided| self.request(decided)).collect();
        let asked = requests.iter().map(|request| SnapshotRequest {
            group_keys: Vec::new(),
            group_entries: Vec::new(),
            ..request.clone()
        });
        let snapshots = self.engine.store().snapshots(&asked.collect::<Vec<_>>()).await?;
        let mut again: HashSet<usize> = HashSet::new();
        let mut claimed: HashSet<String> = HashSet::new();
        let mut planned = Vec::new();
        for (at, (decided, (request, mut snapshot))) in batch.iter().zip(requests.iter().zip(snapshots)).enumerate() {
            // Whoever comes after somebody of the same name has to see them first.
            let name = decided.decision.as_ref().ok().map(|decision| username_key(&decision.username));
            if name.as_ref().is_some_and(|name| claimed.contains(name)) {
                again.insert(at);
                continue;
            }
            if name.as_ref().is_some_and(|name| self.claimed.contains(name)) && !decided.linked {
                self.failed(&decided.person, "another entry of this run takes the same name");
                continue;
            }
            if snapshot.by_username.as_ref().is_some_and(|holder| self.freed.contains(&holder.user.username_key)) {
                snapshot.by_username = None;
            }
            snapshot.groups = self.groups.pick(request);
            if let Some(one) = self.plan(at, decided, &snapshot) {
                // A group that this plan makes is there for whoever comes next.
                self.groups.learn(&one.plan, self.now);
                claimed.extend(takes_name(&one.plan).then_some(name).flatten());
                planned.push(one);
            }
        }
        if self.request.dry_run {
            self.claimed.extend(claimed);
        }
        self.carry_out(&batch, planned, &mut again).await?;
        let mut batch: Vec<Option<Decided>> = batch.into_iter().map(Some).collect();
        let postponed: Vec<usize> = std::mem::take(&mut self.postponed_now);
        let postponed = postponed.into_iter().filter_map(|at| batch.get_mut(at)?.take());
        self.postponed.extend(postponed.collect::<Vec<_>>());
        Ok(batch.into_iter().enumerate().filter(|(at, _)| again.contains(at)).filter_map(|(_, one)| one).collect())
    }

    fn request(&self, decided: &Decided) -> SnapshotRequest {
        let terms = self.source.terms();
        match &decided.decision {
            Ok(decision) => reconcile::request(terms, &decided.person, decision),
            Err(refused) if decided.linked && ends_sessions(refused.reason) => {
                reconcile::refusal_request(terms, &decided.person, refused)
            }
            Err(_) => SnapshotRequest::default(),
        }
    }

    /// What has to be written of one person; `None` where that is nothing, and counted then.
    fn plan(&mut self, at: usize, decided: &Decided, snapshot: &Snapshot) -> Option<Planned> {
        let source = self.source.clone();
        let terms = Terms { fingerprint: decided.fingerprint, ..source.terms() };
        let (engine, person) = (self.engine.clone(), &decided.person);
        let mut ids = || engine.new_id();
        match &decided.decision {
            Ok(decision) => match reconcile::reconcile(terms, person, decision, snapshot, self.now, &mut ids) {
                Ok(reconciled) => {
                    let action = action(reconciled.standing, &reconciled.plan);
                    Some(Planned { at, user: reconciled.user, plan: reconciled.plan, action })
                }
                Err(refused) if refused.reason == Reason::AccountConflict && self.frees_names() => {
                    self.postponed_now.push(at);
                    None
                }
                // Nothing was written: the name is free only in the run that this one foretells.
                Err(refused) if refused.reason == Reason::AccountConflict && self.foretells_removal(snapshot) => {
                    self.report.users.created += 1;
                    self.report.change(Thing::User, &decision.username, "create", Vec::new());
                    None
                }
                Err(refused) => {
                    self.refused(person, &refused);
                    None
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
                    return None;
                };
                let action = if shuts_out(&plan) { Action::Deactivate } else { Action::Skip };
                Some(Planned { at, user: linked.user.id, plan, action })
            }
        }
    }

    /// Whether whoever holds the name would be gone by now.
    fn foretells_removal(&self, snapshot: &Snapshot) -> bool {
        let holder = snapshot.by_username.as_ref().map(|state| state.user.id);
        let deletes = self.source.sync.removed == Removed::Delete && self.report.reason.is_none();
        self.request.dry_run && deletes && holder.is_some_and(|holder| self.unseen.contains(&holder))
    }

    /// Counts somebody of whom nothing is written.
    fn refused(&mut self, person: &Person, refused: &Refused) {
        match refused.reason {
            Reason::AccountConflict | Reason::MissingAttribute => self.failed(person, &refused.detail),
            _ => {
                tracing::debug!(target: "bindery_core::sync", dn = %person.dn, reason = ?refused.reason, "skipped");
                self.report.users.skipped += 1;
            }
        }
    }

    pub(super) fn failed(&mut self, person: &Person, detail: &str) {
        self.failing.insert(person.unique_id.clone());
        self.report.users.failed += 1;
        self.report.error(format!("{}: {detail}", person.dn));
    }

    /// Applies plans together. A conflict concerns its own plan only: that person is looked at again.
    async fn carry_out(
        &mut self,
        batch: &[Decided],
        planned: Vec<Planned>,
        again: &mut HashSet<usize>,
    ) -> Result<(), Broken> {
        let (mut plans, mut rest, mut leaving) = (Vec::new(), Vec::new(), Vec::new());
        for mut one in planned {
            leaving.push(withhold(&mut one.plan));
            plans.push(std::mem::take(&mut one.plan));
            rest.push(one);
        }
        let results = if self.request.dry_run {
            plans.iter().map(|_| Ok(Applied::default())).collect()
        } else {
            self.engine.store().apply_batch(&plans, self.engine.now()).await?
        };
        // What a plan that was not carried out would have done to groups is not so.
        if results.iter().any(Result::is_err) {
            self.load_groups().await?;
        }
        for (((one, plan), leaving), result) in rest.into_iter().zip(plans).zip(leaving).zip(results) {
            let Some(decided) = batch.get(one.at) else { continue };
            match result {
                Ok(_) => {
                    self.leaving.extend(leaving.into_iter().map(|group| Leaving { user: one.user, group }));
                    self.count(decided, &one, &plan);
                }
                Err(error) if error.is_conflict() => drop(again.insert(one.at)),
                Err(error) if error.is_unavailable() => return Err(error.into()),
                Err(error) => self.failed(&decided.person, &chain(&error)),
            }
        }
        Ok(())
    }

    fn count(&mut self, decided: &Decided, one: &Planned, plan: &Plan) {
        let tally = &mut self.report.users;
        match one.action {
            Action::Create => tally.created += 1,
            Action::Update => tally.updated += 1,
            Action::Nothing => tally.unchanged += 1,
            Action::Deactivate => tally.deactivated += 1,
            Action::Reactivate => tally.reactivated += 1,
            Action::Skip => tally.skipped += 1,
        }
        let name = decided.decision.as_ref().map_or_else(
            |refused| refused.decision.as_ref().map_or("", |decision| decision.username.as_str()),
            |decision| decision.username.as_str(),
        );
        if let Some(word) = one.action.word() {
            self.report.change(Thing::User, name, word, field_names(plan));
        }
        for change in &plan.changes {
            if let Change::AddMembership { group, .. } = change {
                self.report.memberships.added += 1;
                let group = self.groups.name_of(group);
                self.report.change(Thing::Membership, &format!("{name} in {group}"), "add", Vec::new());
            }
        }
        if !self.request.dry_run && one.action != Action::Nothing {
            if one.action != Action::Create {
                self.engine.forget_user(one.user);
            }
            let source = self.source.slug.clone();
            self.engine.tell(&Event::Synced { source, user: one.user, changed: true });
        }
    }
}

/// Takes the removal of memberships out of a plan: how many there are decides whether they may be carried out.
/// Nothing vouches for the user until they have been.
fn withhold(plan: &mut Plan) -> Vec<Uuid> {
    let mut groups = Vec::new();
    plan.changes.retain(|change| match change {
        Change::RemoveMembership { group: bindery_store::GroupRef::Id(group), .. } => {
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

fn action(standing: Standing, plan: &Plan) -> Action {
    let active = |value: bool| {
        plan.changes
            .iter()
            .any(|change| matches!(change, Change::SetFlags { flags, .. } if flags.get("is_active") == Some(&value)))
    };
    let only_vouches = || plan.changes.iter().all(|change| matches!(change, Change::UpdateLink(_)));
    match standing {
        Standing::Created => Action::Create,
        Standing::Linked if active(false) => Action::Deactivate,
        Standing::Linked if active(true) => Action::Reactivate,
        Standing::Linked if only_vouches() => Action::Nothing,
        Standing::Adopted | Standing::Linked => Action::Update,
    }
}

fn shuts_out(plan: &Plan) -> bool {
    action(Standing::Linked, plan) == Action::Deactivate
}

/// Whether a plan takes a username that was free.
fn takes_name(plan: &Plan) -> bool {
    plan.changes.iter().any(|change| match change {
        Change::CreateUser(_) => true,
        Change::UpdateUser { fields, .. } => fields.iter().any(|field| matches!(field, Field::Username { .. })),
        _ => false,
    })
}

/// The fields that a plan writes, as the configuration names them.
fn field_names(plan: &Plan) -> Vec<String> {
    let mut names = Vec::new();
    for change in &plan.changes {
        match change {
            Change::CreateUser(user) => {
                let built_in = [
                    ("first_name", &user.first_name),
                    ("last_name", &user.last_name),
                    ("email", &user.email),
                    ("display_name", &user.display_name),
                    ("path", &user.path),
                ];
                let set = built_in.into_iter().filter(|(_, value)| !value.is_empty());
                names.push("username".to_owned());
                names.extend(set.map(|(name, _)| name.to_owned()));
                names.extend(user.profile.keys().cloned());
            }
            Change::UpdateUser { fields, .. } => names.extend(fields.iter().map(field_name)),
            Change::SetFlags { flags, .. } => names.extend(flags.keys().cloned()),
            _ => {}
        }
    }
    names
}

fn field_name(field: &Field) -> String {
    match field {
        Field::Username { .. } => "username".to_owned(),
        Field::FirstName(_) => "first_name".to_owned(),
        Field::LastName(_) => "last_name".to_owned(),
        Field::Email { .. } => "email".to_owned(),
        Field::DisplayName(_) => "display_name".to_owned(),
        Field::Path(_) => "path".to_owned(),
        Field::LiveGroups(_) => "groups".to_owned(),
        Field::Profile { name, .. } => name.clone(),
    }
}
