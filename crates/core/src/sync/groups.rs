//! The groups of a directory as local ones: made, renamed and tied by the same rules as at a sign-in, and kept empty
//! once they have left it. What they hang under is in `nesting`.

use super::broken::Broken;
use super::outcome::Action;
use super::report::Thing;
use super::run::Run;
use crate::reconcile::{self, group_key};
use crate::rules::{self, GroupGrant};
use bindery_directory::{Group, GroupEntry, Roster};
use bindery_store::{Applied, Change, NewGroup, Owner, Plan, Snapshot, StoreError};
use std::collections::BTreeMap;

/// Plans of groups that go into one transaction.
pub(super) const BATCH: usize = 500;
/// Somebody else may write at the same time; more often than this it is no accident.
const TRIES: usize = 4;

impl Run<'_> {
    /// Makes the local groups what a whole roster says; removals come later.
    pub(super) async fn sync_groups(&mut self, roster: &Roster) -> Result<(), Broken> {
        self.make_mapped().await?;
        let listed = roster.groups();
        let mut grants: BTreeMap<usize, GroupGrant> = BTreeMap::new();
        for (at, entry) in listed.iter().enumerate() {
            self.report.groups.seen += 1;
            match rules::mirrored(&self.source.rules, &as_group(entry)) {
                Some(grant) => drop(grants.insert(at, grant)),
                None => self.report.groups.skipped += 1,
            }
        }
        // Those that are known come first: a name that one of them gives up is free for a new one.
        let known =
            |entry: &GroupEntry| entry.unique_id.as_deref().is_some_and(|id| self.groups.by_entry(id).is_some());
        let (old, new): (Vec<usize>, Vec<usize>) = grants.keys().partition(|at| listed.get(**at).is_some_and(known));
        let order: Vec<&GroupGrant> = old.into_iter().chain(new).filter_map(|at| grants.get(&at)).collect();
        for part in order.chunks(BATCH) {
            self.write_groups(part).await?;
        }
        self.nest(roster, &grants).await
    }

    /// Groups that the configuration names are there from the first run on, empty or not.
    async fn make_mapped(&mut self) -> Result<(), Broken> {
        let names: Vec<String> = self.source.rules.group_map.keys().cloned().collect();
        for tries_left in (0..TRIES).rev() {
            let missing: Vec<&String> =
                names.iter().filter(|name| self.groups.by_key(&group_key(name)).is_none()).collect();
            let make = |name: &String| {
                let (id, name_key) = (self.engine.new_id(), group_key(name));
                Change::CreateGroup(NewGroup { id, name: name.clone(), name_key, owner: Owner::Hand })
            };
            let plan = Plan::from(missing.iter().map(|name| make(name)).collect::<Vec<_>>());
            self.groups.learn(&plan, self.now);
            match self.apply_groups(vec![plan]).await?.into_iter().find_map(Result::err) {
                None => {
                    for name in missing {
                        // No entry, and met all the same: what is counted adds up.
                        self.report.groups.seen += 1;
                        self.report.groups.created += 1;
                        self.report.change(Thing::Group, name, "create", Vec::new());
                    }
                    return Ok(());
                }
                Some(error) => {
                    self.load_groups().await?;
                    if !error.is_conflict() || tries_left == 0 {
                        self.not_written(&error);
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes local groups of these, each counted once it is written. A sign-in may have made one at the same time: those are
    /// planned anew against what is there by then.
    pub(super) async fn write_groups(&mut self, grants: &[&GroupGrant]) -> Result<(), Broken> {
        let mut open = grants.to_vec();
        for tries_left in (0..TRIES).rev() {
            let (actions, plans): (Vec<Action>, Vec<Plan>) = open.iter().map(|grant| self.plan_group(grant)).unzip();
            let results = self.apply_groups(plans).await?;
            let mut again = Vec::new();
            for ((grant, action), result) in open.into_iter().zip(actions).zip(results) {
                match result {
                    Ok(()) => self.wrote_group(grant, action),
                    Err(error) if error.is_conflict() && tries_left > 0 => again.push(grant),
                    Err(error) => {
                        self.report.groups.failed += 1;
                        self.not_written(&error);
                    }
                }
            }
            if again.is_empty() {
                return Ok(());
            }
            self.load_groups().await?;
            open = again;
        }
        Ok(())
    }

    fn wrote_group(&mut self, grant: &GroupGrant, action: Action) {
        // One without a unique ID is met once: no feed tells of it.
        let entry = grant.mirrored_from.as_ref().and_then(|(unique_id, _)| unique_id.as_deref()).unwrap_or_default();
        self.group_became(entry, action);
        if let Some(word) = action.word() {
            self.report.change(Thing::Group, &grant.name, word, Vec::new());
        }
    }

    /// What one directory group comes to. Those that are planned after it see that.
    fn plan_group(&mut self, grant: &GroupGrant) -> (Action, Plan) {
        let source = self.source.clone();
        let terms = source.terms();
        let entry = grant.mirrored_from.as_ref().and_then(|(unique_id, _)| unique_id.clone());
        let keys: Vec<String> =
            [Some(grant.name.as_str()), terms.parent].into_iter().flatten().map(group_key).collect();
        let entries: Vec<String> = entry.into_iter().collect();
        let snapshot = Snapshot { groups: self.groups.pick(&keys, &entries), ..Snapshot::default() };
        let engine = self.engine.clone();
        let changes = reconcile::mirror(terms, grant, &snapshot, self.now, &mut || engine.new_id());
        let plan = Plan::from(changes);
        let made = |change: &Change| matches!(change, Change::CreateGroup(new) if new.name == grant.name);
        let action = match &plan.changes {
            changes if changes.is_empty() => Action::Nothing,
            changes if changes.iter().any(made) => Action::Create,
            _ => Action::Update,
        };
        if !plan.is_empty() {
            self.groups.learn(&plan, self.now);
        }
        (action, plan)
    }

    /// Answers with what became of each. Not of one alone: that the store cannot be asked.
    pub(super) async fn apply_groups(&self, plans: Vec<Plan>) -> Result<Vec<Result<(), StoreError>>, Broken> {
        if self.request.dry_run || plans.iter().all(Plan::is_empty) {
            return Ok(plans.iter().map(|_| Ok(())).collect());
        }
        let results = self.engine.store().apply_batch(&plans, self.engine.now()).await?;
        let told = |result: Result<Applied, StoreError>| match result {
            Err(error) if error.is_unavailable() => Err(Broken::from(error)),
            result => Ok(result.map(drop)),
        };
        results.into_iter().map(told).collect()
    }

    /// Something about groups was not written.
    pub(super) fn not_written(&mut self, error: &StoreError) {
        match error {
            // By itself, and the next time as well.
            StoreError::Invalid { .. } => {}
            StoreError::Conflict { .. } => {
                self.unfinished = Some("groups could not be written, because others wrote at the same time");
            }
            _ => self.unfinished = Some("groups could not be written, because the store refused them"),
        }
        self.report.error(format!("a group could not be written: {}", crate::engine::chain(error)));
    }
}

/// A listed group as the rules look at groups.
pub(super) fn as_group(entry: &GroupEntry) -> Group {
    Group {
        dn: entry.dn.clone(),
        names: entry.names.clone(),
        unique_id: entry.unique_id.clone(),
        direct: true,
        path: Vec::new(),
    }
}
