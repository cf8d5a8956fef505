//! The groups of a directory as local ones: made, renamed and tied by the same rules as at a sign-in, and kept empty
//! once they have left it. What they hang under is in `nesting`.

use super::broken::Broken;
use super::outcome::Action;
use super::report::Thing;
use super::run::Run;
use crate::reconcile::{self, group_key};
use crate::rules::{self, GroupGrant};
use bindery_directory::{Group, GroupEntry, Roster};
use bindery_store::{Change, NewGroup, Owner, Plan, Snapshot, StoreError};
use std::collections::BTreeMap;

/// Plans of groups that go into one transaction.
pub(super) const BATCH: usize = 500;

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
        let mut plans = Vec::new();
        for at in old.into_iter().chain(new) {
            let Some(grant) = grants.get(&at) else { continue };
            let plan = self.plan_group(grant);
            if !plan.is_empty() {
                plans.push(plan);
            }
            if plans.len() >= BATCH {
                self.apply_groups(std::mem::take(&mut plans)).await?;
            }
        }
        self.apply_groups(plans).await?;
        self.nest(roster, &grants).await
    }

    /// Groups that the configuration names are there from the first run on, empty or not.
    async fn make_mapped(&mut self) -> Result<(), Broken> {
        let names: Vec<String> = self.source.rules.group_map.keys().cloned().collect();
        let missing = names.into_iter().filter(|name| self.groups.by_key(&group_key(name)).is_none());
        let mut plan = Plan::default();
        for name in missing.collect::<Vec<_>>() {
            self.report.groups.created += 1;
            self.report.change(Thing::Group, &name, "create", Vec::new());
            let (id, name_key) = (self.engine.new_id(), group_key(&name));
            plan.changes.push(Change::CreateGroup(NewGroup { id, name, name_key, owner: Owner::Hand }));
        }
        self.groups.learn(&plan, self.now);
        self.apply_groups(vec![plan]).await
    }

    /// What one directory group comes to, counted.
    pub(super) fn plan_group(&mut self, grant: &GroupGrant) -> Plan {
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
        // One without a unique ID is met once: no feed tells of it.
        self.group_became(entries.first().map(String::as_str).unwrap_or_default(), action);
        if let Some(word) = action.word() {
            self.report.change(Thing::Group, &grant.name, word, Vec::new());
            self.groups.learn(&plan, self.now);
        }
        plan
    }

    pub(super) async fn apply_groups(&mut self, plans: Vec<Plan>) -> Result<(), Broken> {
        if self.request.dry_run || plans.iter().all(Plan::is_empty) {
            return Ok(());
        }
        for result in self.engine.store().apply_batch(&plans, self.engine.now()).await? {
            if let Err(error) = result {
                if error.is_unavailable() {
                    return Err(error.into());
                }
                match &error {
                    // By itself, and the next time as well.
                    StoreError::Invalid { .. } => {}
                    StoreError::Conflict { .. } => {
                        self.unfinished = Some("groups could not be written, because others wrote at the same time");
                    }
                    _ => self.unfinished = Some("groups could not be written, because the store refused them"),
                }
                self.report.groups.failed += 1;
                self.report.error(format!("a group could not be written: {}", crate::engine::chain(&error)));
            }
        }
        Ok(())
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
