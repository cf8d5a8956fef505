//! What a run came to. Its JSON is a contract: scripts read it.

use bindery_directory::{Incomplete, Shortcoming};
use serde::Serialize;
use uuid::Uuid;

/// So many errors are named; the rest are counted.
const MOST_ERRORS: usize = 20;

/// One run of a sync.
#[derive(Debug, Clone, Serialize)]
pub struct SyncRun {
    /// Which run.
    pub id: Uuid,
    /// Slug of the source.
    pub source: String,
    /// How much was read.
    pub mode: Mode,
    /// Why everything was read, where less was hoped for.
    pub full_because: Option<String>,
    /// Whether nothing was to be written.
    pub dry_run: bool,
    /// How it ended.
    pub outcome: SyncOutcome,
    /// Why, where it is not `completed`.
    pub reason: Option<SyncReason>,
    /// Why what was read is not everything.
    pub incomplete: Vec<IncompleteBase>,
    /// What became of users.
    pub users: Tally,
    /// What became of groups.
    pub groups: Tally,
    /// What became of memberships.
    pub memberships: MembershipTally,
    /// Removals that were withheld.
    pub would_remove: Vec<Removal>,
    /// What would be written; of a dry run only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<PlannedChange>>,
    /// The first errors, each naming its entry.
    pub errors: Vec<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// How much a run reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everybody.
    Full,
    /// What has changed since the run before.
    Incremental,
}

impl Mode {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncOutcome {
    /// Everything is as the directory says.
    Completed,
    /// Everything but removals, which wait for a person to look at them.
    Held,
    /// It could not be carried through. What was written is whole and true.
    Failed,
    /// Another run is under way.
    AlreadyRunning,
}

impl SyncOutcome {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::AlreadyRunning => "already_running",
        }
    }
}

/// Why a run did not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncReason {
    /// Not everything could be read: see `incomplete`.
    Incomplete,
    /// The search is another one than that of the runs before, and would remove somebody.
    ChangedSearch,
    /// More would be removed than `removal_limit` allows.
    RemovalLimit,
    /// The directory could not answer.
    Directory,
    /// The store could not answer.
    Store,
    /// It took longer than `timeouts.sync`.
    Timeout,
    /// Another process took over, because this one had not been heard of for too long.
    LostLease,
    /// Another run is under way.
    AlreadyRunning,
}

impl SyncReason {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::ChangedSearch => "changed_search",
            Self::RemovalLimit => "removal_limit",
            Self::Directory => "directory",
            Self::Store => "store",
            Self::Timeout => "timeout",
            Self::LostLease => "lost_lease",
            Self::AlreadyRunning => "already_running",
        }
    }
}

/// One reason why not everything was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IncompleteBase {
    /// Which.
    pub reason: &'static str,
    /// The base that it is about.
    pub base: String,
}

impl IncompleteBase {
    /// A group that nobody can recognise.
    pub(super) fn unreadable(dn: &str) -> Self {
        Self { reason: "unreadable_unique_id", base: dn.to_owned() }
    }
}

impl From<&Shortcoming> for IncompleteBase {
    fn from(shortcoming: &Shortcoming) -> Self {
        let reason = match shortcoming.reason {
            Incomplete::SizeLimit => "size_limit",
            Incomplete::TimeLimit => "time_limit",
            Incomplete::Referral => "referral",
            Incomplete::LostCookie => "lost_cookie",
            Incomplete::Empty => "empty",
            Incomplete::UnreadableUniqueId => "unreadable_unique_id",
            Incomplete::Endless => "endless",
        };
        Self { reason, base: shortcoming.base.clone() }
    }
}

/// Counts of users or of groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Entries that were looked at.
    pub seen: u64,
    /// Made.
    pub created: u64,
    /// Changed.
    pub updated: u64,
    /// As they should be already.
    pub unchanged: u64,
    /// Shut out, or emptied.
    pub deactivated: u64,
    /// Let in again.
    pub reactivated: u64,
    /// Deleted.
    pub deleted: u64,
    /// Refused by a rule: not made, or left as they are.
    pub skipped: u64,
    /// Not readable, or not to be written.
    pub failed: u64,
}

impl Tally {
    /// Each count by the name of what was done.
    pub fn actions(&self) -> [(&'static str, u64); 8] {
        [
            ("created", self.created),
            ("updated", self.updated),
            ("unchanged", self.unchanged),
            ("deactivated", self.deactivated),
            ("reactivated", self.reactivated),
            ("deleted", self.deleted),
            ("skipped", self.skipped),
            ("failed", self.failed),
        ]
    }
}

/// Counts of memberships.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MembershipTally {
    /// Given.
    pub added: u64,
    /// Taken back.
    pub removed: u64,
}

/// Which kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Thing {
    /// A user.
    User,
    /// A group.
    Group,
    /// A membership.
    Membership,
}

/// Something that would go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removal {
    /// Which kind.
    pub kind: Thing,
    /// Its local name; of a membership, the user's and the group's.
    pub name: String,
    /// The entry's DN when last read.
    pub dn: String,
}

/// What a dry run would write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedChange {
    /// Which kind.
    pub kind: Thing,
    /// Its local name.
    pub name: String,
    /// `create`, `update`, `deactivate`, `reactivate`, `delete`, `add`, `remove`.
    pub action: &'static str,
    /// The fields concerned, by name.
    pub fields: Vec<String>,
}

impl SyncRun {
    /// A run that begins.
    pub(super) fn begin(id: Uuid, source: &str, dry_run: bool) -> Self {
        Self {
            id,
            source: source.to_owned(),
            mode: Mode::Full,
            full_because: None,
            dry_run,
            outcome: SyncOutcome::Completed,
            reason: None,
            incomplete: Vec::new(),
            users: Tally::default(),
            groups: Tally::default(),
            memberships: MembershipTally::default(),
            would_remove: Vec::new(),
            changes: dry_run.then(Vec::new),
            errors: Vec::new(),
            duration_ms: 0,
        }
    }

    /// A run that could not begin, because the store did not answer: it is kept nowhere, and has no ID.
    /// `mode` is what was asked for.
    pub fn without_store(source: &str, mode: Mode, dry_run: bool, error: String) -> Self {
        let mut run = Self { mode, ..Self::begin(Uuid::nil(), source, dry_run) };
        run.end(SyncOutcome::Failed, SyncReason::Store);
        run.error(error);
        run
    }

    /// Everything is looked at after all. What was written so far stays counted, apart from a dry run, which wrote nothing.
    pub(super) fn begin_again(&mut self) {
        if self.dry_run {
            *self = Self::begin(self.id, &self.source.clone(), true);
            return;
        }
        (self.outcome, self.reason) = (SyncOutcome::Completed, None);
        self.incomplete.clear();
        self.would_remove.clear();
        self.errors.clear();
    }

    /// The worst that happened is how it ended; the first of its kind is why.
    pub(super) fn end(&mut self, outcome: SyncOutcome, reason: SyncReason) {
        if outcome > self.outcome || self.reason.is_none() {
            self.outcome = outcome;
            self.reason = Some(reason);
        }
    }

    pub(super) fn error(&mut self, sentence: String) {
        tracing::warn!(target: "bindery_core::sync", source = self.source, "{sentence}");
        if self.errors.len() < MOST_ERRORS {
            self.errors.push(sentence);
        }
    }

    pub(super) fn change(&mut self, kind: Thing, name: &str, action: &'static str, fields: Vec<String>) {
        if let Some(changes) = &mut self.changes {
            changes.push(PlannedChange { kind, name: name.to_owned(), action, fields });
        }
    }
}
