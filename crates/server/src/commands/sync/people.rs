//! A run as people read it: how it ended, the counts, and what needs looking at.

use crate::output::{pairs, table};
use bindery_core::sync::{SyncOutcome, SyncReason, SyncRun, Tally, Thing};
use std::fmt::Write;

/// Lines of a list before it is cut short.
const MOST: usize = 50;

pub(crate) fn run(run: &SyncRun) -> String {
    let mut head = vec![("source", run.source.clone()), ("outcome", outcome(run))];
    head.push(("mode", mode(run)));
    head.push(("took", took(run.duration_ms)));
    let mut text = pairs(&head);
    if run.outcome != SyncOutcome::AlreadyRunning {
        text.push('\n');
        text.push_str(&counts(run));
        let memberships = run.memberships;
        let verb = if run.dry_run { "to be " } else { "" };
        let line = format!("{} {verb}added, {} {verb}removed", memberships.added, memberships.removed);
        text.push_str(&pairs(&[("memberships", line)]));
    }
    let incomplete = run.incomplete.iter().map(|one| vec![one.reason.to_owned(), one.base.clone()]);
    section(&mut text, &["not read whole", "base"], incomplete.collect());
    let held = run.would_remove.iter().map(|one| vec![kind(one.kind).to_owned(), one.name.clone(), one.dn.clone()]);
    section(&mut text, &["held removal", "name", "dn"], held.collect());
    let changes = run.changes.iter().flatten();
    let changes = changes
        .map(|one| vec![one.action.to_owned(), kind(one.kind).to_owned(), one.name.clone(), one.fields.join(", ")]);
    section(&mut text, &["would", "kind", "name", "fields"], changes.collect());
    section(&mut text, &["error"], run.errors.iter().map(|error| vec![error.clone()]).collect());
    if let Some(next) = next_step(run) {
        text.push('\n');
        text.push_str(&next);
        text.push('\n');
    }
    text
}

fn outcome(run: &SyncRun) -> String {
    let dry = if run.dry_run { " (dry run: nothing was written)" } else { "" };
    match run.reason {
        Some(reason) => format!("{}: {}{dry}", run.outcome.as_str(), reason.as_str()),
        None => format!("{}{dry}", run.outcome.as_str()),
    }
}

fn mode(run: &SyncRun) -> String {
    match &run.full_because {
        Some(because) => format!("{}, because {because}", run.mode.as_str()),
        None => run.mode.as_str().to_owned(),
    }
}

fn took(milliseconds: u64) -> String {
    format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
}

fn counts(run: &SyncRun) -> String {
    let names: Vec<&str> = ["", "seen"].into_iter().chain(run.users.actions().map(|(name, _)| name)).collect();
    let row = |name: &str, tally: Tally| {
        let counts = tally.actions().map(|(_, count)| count.to_string());
        [name.to_owned(), tally.seen.to_string()].into_iter().chain(counts).collect()
    };
    table(&names, &[row("users", run.users), row("groups", run.groups)])
}

fn section(text: &mut String, heading: &[&str], mut rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let rest = rows.len().saturating_sub(MOST);
    rows.truncate(MOST);
    text.push('\n');
    text.push_str(&table(heading, &rows));
    if rest > 0 {
        let _ = writeln!(text, "… and {rest} more; --format json has them all");
    }
}

fn kind(thing: Thing) -> &'static str {
    match thing {
        Thing::User => "user",
        Thing::Group => "group",
        Thing::Membership => "membership",
    }
}

/// What somebody who reads this would do next.
fn next_step(run: &SyncRun) -> Option<String> {
    let source = &run.source;
    Some(match run.reason? {
        SyncReason::RemovalLimit => format!(
            "More would be removed than [sources.{source}.sync] removal_limit allows, where what live has removed in the \
             last hour counts as well. Nothing of what is listed was removed. If it is right: bindery sync {source} \
             --allow-removals"
        ),
        SyncReason::ChangedSearch => format!(
            "Base, scope, filter, unique ID or service account have changed, and those listed are no longer found. If \
             that is what was meant: bindery sync {source} --allow-removals"
        ),
        SyncReason::Incomplete => "Not everything could be read, so nobody was removed. See above for what is \
             missing; a size limit is raised for the service account on the server."
            .to_owned(),
        SyncReason::Directory => format!("See bindery check {source} for each server."),
        // A run that could not begin has no ID.
        SyncReason::Store if run.id.is_nil() => {
            "Nothing was read or written. See the error about the store.".to_owned()
        }
        SyncReason::Store | SyncReason::LostLease => "What was written is whole. Run it again.".to_owned(),
        SyncReason::Timeout => format!(
            "What was written is whole, and the next run goes on from there. See [sources.{source}] timeouts.sync."
        ),
        SyncReason::AlreadyRunning => "Another run of this source is under way; this one did nothing.".to_owned(),
    })
}
