//! One run under way, and the full run: everybody read, compared, written, and whoever is gone removed.

use super::apart::Aside;
use super::broken::{Broken, finished};
use super::doubt;
use super::index::GroupIndex;
use super::links::{Gathering, Known, Links};
use super::look::{Looked, Looker, Looking};
use super::nesting::Nested;
use super::once::Once;
use super::outcome::Action;
use super::people::Decided;
use super::recent::Recent;
use super::report::{IncompleteBase, Mode, SyncRun};
use super::rosters::Rosters;
use super::writing::{BATCH, Flight, Leaving};
use super::{Progress, Removals, SyncRequest};
use crate::config::Removed;
use crate::engine::{ActiveSource, Engine};
use crate::reconcile::{Fingerprints, Standpoint};
use bindery_directory::{self as directory, GroupEntry, Incomplete, Kind, Page, Person, Position, Roster, Unreadable};
use bindery_store::{EntityKind, StoreError};
use chrono::{DateTime, Utc};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// A run under way.
pub(super) struct Run<'a> {
    pub(super) engine: Engine,
    pub(super) source: Arc<ActiveSource>,
    pub(super) request: SyncRequest<'a>,
    pub(super) report: SyncRun,
    /// What became of users and of groups, so that each is counted once.
    pub(super) users_once: Once,
    pub(super) groups_once: Once,
    pub(super) now: DateTime<Utc>,
    /// What people are decided from is at least as new as this.
    pub(super) read_from: DateTime<Utc>,
    pub(super) began: Instant,
    pub(super) groups: GroupIndex,
    pub(super) users: Links,
    pub(super) prints: Fingerprints,
    /// Memberships that go if there are not too many of them.
    pub(super) leaving: Vec<Leaving>,
    /// Those of whom nothing else becomes, by user: their unique ID, and what they were counted for so far.
    pub(super) losing: HashMap<Uuid, (String, Action)>,
    /// People whose name belongs to somebody who may be about to leave, or to have another one.
    pub(super) postponed: Vec<Decided>,
    /// People who were in somebody's way, and have to be looked at again.
    pub(super) again: Vec<Decided>,
    /// What is being written, one after the other.
    pub(super) flights: VecDeque<Flight>,
    pub(super) postponing: bool,
    /// Names that a dry run has given out.
    pub(super) claimed: HashSet<String>,
    /// Names that a dry run has taken back, or passed on.
    pub(super) freed: HashSet<String>,
    /// Users whose entry was not seen, removed or not.
    pub(super) unseen: Vec<Uuid>,
    /// Why something was left undone that no feed tells of again.
    pub(super) unfinished: Option<&'static str>,
    /// Who has listed people and groups.
    pub(super) servers: Vec<String>,
    /// Groups that no feed tells of, where they are not as they were.
    pub(super) aside: Option<Aside>,
    /// Active users before this run, once they have been counted.
    pub(super) active: Option<u64>,
    /// How all groups hang, where all of them were listed.
    pub(super) nested: Option<Nested>,
    /// What is known of the groups that rules name.
    pub(super) known: Option<String>,
    /// Entries that are to be looked at again, by unique ID: they failed, or somebody else has read them meanwhile.
    pub(super) failing: BTreeSet<String>,
    /// Entries of which a feed has told, failed or not.
    pub(super) settled: HashSet<String>,
    /// Groups of which a feed has told that they are there.
    pub(super) told_groups: HashSet<String>,
    /// What this run has removed.
    pub(super) removed: Removals,
    /// What a follower removed shortly before, and counts together with that; `None` where nobody knows.
    pub(super) already: Option<Removals>,
    /// Of a run that a follower makes: what is noted of its removals for whoever follows.
    pub(super) noted: Option<Removals>,
}

impl<'a> Run<'a> {
    pub(super) fn new(engine: &Engine, source: &Arc<ActiveSource>, request: SyncRequest<'a>) -> Self {
        Self {
            engine: engine.clone(),
            source: source.clone(),
            request,
            report: SyncRun::begin(engine.new_id(), &source.slug, request.dry_run),
            users_once: Once::default(),
            groups_once: Once::default(),
            now: engine.now(),
            read_from: engine.now(),
            began: Instant::now(),
            groups: GroupIndex::new(&source.slug),
            users: Links::default(),
            prints: source.fingerprints.clone(),
            leaving: Vec::new(),
            losing: HashMap::new(),
            postponed: Vec::new(),
            again: Vec::new(),
            flights: VecDeque::new(),
            postponing: true,
            claimed: HashSet::new(),
            freed: HashSet::new(),
            unseen: Vec::new(),
            unfinished: None,
            servers: Vec::new(),
            aside: None,
            active: None,
            nested: None,
            known: None,
            failing: BTreeSet::new(),
            settled: HashSet::new(),
            told_groups: HashSet::new(),
            removed: Removals::default(),
            already: Some(Removals::default()),
            noted: None,
        }
    }
}

impl Run<'_> {
    /// What this run removes counts together with what a follower removed in the last hour, unless somebody has looked; and if
    /// it is one that a follower makes, with what will be removed in the next hour.
    pub(super) async fn counts_together(&mut self, follows: bool) -> Result<(), Broken> {
        if self.request.allow_removals {
            return Ok(());
        }
        let recent = Recent::load(&self.engine, &self.source, self.request.dry_run).await?;
        self.already = recent.sum(self.engine.now());
        self.noted = follows.then(Removals::default);
        Ok(())
    }

    /// Notes what was removed since it was last noted, where it counts together with others.
    pub(super) async fn note_removals(&mut self) -> Result<(), Broken> {
        let Some(noted) = self.noted else { return Ok(()) };
        Recent::add(&self.engine, &self.source, self.removed.since(noted)).await?;
        self.noted = Some(self.removed);
        Ok(())
    }

    /// Whether a name may become free at the end of this run.
    pub(super) fn frees_names(&self) -> bool {
        self.source.sync.removed == Removed::Delete && self.postponing
    }

    /// Everything is looked at after all: nothing that was planned so far is left over.
    pub(super) fn begin_again(&mut self) {
        let fresh = Run::new(&self.engine, &self.source, self.request);
        let (report, now, began, removed) = (self.report.clone(), self.now, self.began, self.removed);
        let noted = self.noted;
        // What was removed so far is not removed a second time, and counts. A dry run has removed nobody.
        let already = if self.request.dry_run { self.already } else { self.already.map(|before| before.and(removed)) };
        let (users_once, groups_once) = (std::mem::take(&mut self.users_once), std::mem::take(&mut self.groups_once));
        *self = Run { report, users_once, groups_once, now, began, removed, already, noted, ..fresh };
        self.report.begin_again();
        if !self.request.dry_run {
            self.users_once.begin_again(&mut self.report.users);
            self.groups_once.begin_again(&mut self.report.groups);
        }
    }

    /// Counts what became of somebody who was seen; answers with what that was all in all.
    pub(super) fn became(&mut self, unique_id: &str, action: Action) -> Action {
        let tally = &mut self.report.users;
        if self.report.mode == Mode::Incremental && !self.request.dry_run {
            self.users_once.count_and_note(tally, unique_id, action)
        } else {
            self.users_once.count(tally, unique_id, action)
        }
    }

    /// The same of a group.
    pub(super) fn group_became(&mut self, unique_id: &str, action: Action) {
        let tally = &mut self.report.groups;
        if self.report.mode == Mode::Incremental && !self.request.dry_run {
            self.groups_once.count_and_note(tally, unique_id, action);
        } else {
            self.groups_once.count(tally, unique_id, action);
        }
    }

    /// Reads everybody and everything.
    pub(super) async fn full(&mut self, because: Option<String>) -> Result<(), Broken> {
        (self.report.mode, self.report.full_because) = (Mode::Full, because);
        let source = self.source.clone();
        // Before anything is read: what changes while we read comes again in the feed.
        let position = self.position().await;
        // The store and the directory are asked at the same time.
        let (groups, links) = (self.local_groups(), self.stored_links());
        let (roster, rosters) = self.read_groups().await?;
        let roster = Arc::new(roster);
        self.groups = finished(groups).await??;
        self.users = finished(links).await??;
        if source.sync.groups {
            self.sync_groups(&roster).await?;
        }
        if source.sync.users {
            self.sync_people(&roster).await?;
            self.pass_names_on().await?;
        }
        // Groups that nobody reads are not gone.
        let entries = || roster.groups().iter().filter_map(|group| group.unique_id.clone()).collect();
        let seen = self.reads_groups().then(entries);
        self.remove_unseen(seen.as_ref()).await?;
        // Whoever waited for a name to become free has it now, or never.
        self.postponing = false;
        self.pass_names_on().await?;
        let postponed = std::mem::take(&mut self.postponed);
        self.write(postponed).await?;
        self.keep(position, rosters, &roster).await
    }

    /// Where a feed would go on from. Doing without one costs a full run later, and nothing else.
    async fn position(&mut self) -> Option<Position> {
        match self.source.directory.position(&self.source.wanted).await {
            Ok(position) => Some(position),
            Err(error) => {
                let error = crate::engine::chain(&error);
                tracing::warn!(target: "bindery_core::sync", source = self.source.slug, error, "no position in the change feed; the next run reads everything again");
                None
            }
        }
    }

    pub(super) async fn load_groups(&mut self) -> Result<(), Broken> {
        self.groups = finished(self.local_groups()).await??;
        Ok(())
    }

    /// Every local group.
    fn local_groups(&self) -> AbortOnDropHandle<Result<GroupIndex, StoreError>> {
        let (store, slug) = (self.engine.store().clone(), self.source.slug.clone());
        let groups = async move { Ok(GroupIndex::whole(&slug, store.all_groups().await?)) };
        AbortOnDropHandle::new(tokio::spawn(groups))
    }

    /// Everybody who is linked to an entry of the source.
    fn stored_links(&self) -> AbortOnDropHandle<Result<Links, StoreError>> {
        let (store, slug) = (self.engine.store().clone(), self.source.slug.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut users = Gathering::default();
            store.synced_links(&slug, EntityKind::User, &mut |link| users.add(&link)).await?;
            Ok(users.finish())
        }))
    }

    /// Whether anybody looks at groups.
    pub(super) fn reads_groups(&self) -> bool {
        self.source.needs_groups || !self.engine.handlers().is_empty()
    }

    /// The roster of all groups, and those member lists that are not stored like that.
    async fn read_groups(&mut self) -> Result<(Roster, Rosters), Broken> {
        let stored = match self.engine.store().roster_ids(&self.source.slug).await {
            Err(error) if error.is_corrupt() => {
                self.forget(&error).await?;
                Vec::new()
            }
            stored => stored?,
        };
        let mut rosters = Rosters::new(stored);
        if !self.reads_groups() {
            return Ok((Roster::default(), rosters));
        }
        let (progress, began) = (self.request.progress, self.began);
        let mut read = 0;
        let mut listed = |page: &[GroupEntry]| {
            read += page.len() as u64;
            for entry in page {
                rosters.compare(entry);
            }
            if let Some(progress) = progress {
                progress(Progress { kind: Kind::Group, read, of: None, elapsed: began.elapsed() });
            }
        };
        let roster = self.source.directory.roster(&self.source.selectors, &mut listed).await?;
        self.report.incomplete.extend(roster.shortcomings().iter().map(Into::into));
        self.servers.extend(roster.server().map(str::to_owned));
        let failed = roster.known().any(|(_, known)| matches!(known, directory::Known::Failed(_)));
        if failed || !roster.is_whole() {
            self.unfinished = Some("the last run could not read the groups whole");
        }
        for unreadable in roster.unreadable() {
            // As far as anybody can say it is any of the groups that people are not seen in.
            self.report.incomplete.push(IncompleteBase::unreadable(&unreadable.dn));
            self.report.groups.failed += 1;
            self.report.error(format!("{}: {}", unreadable.dn, unreadable.why));
        }
        self.prints = self.source.fingerprints.knowing(roster.known());
        self.known = doubt::known(roster.known());
        Ok((roster, rosters))
    }

    async fn sync_people(&mut self, roster: &Arc<Roster>) -> Result<(), Broken> {
        let looker = Looker::new(self, roster);
        let mut listing = self.source.directory.list_people(&self.source.wanted);
        let (mut looking, mut batch) = (None, Vec::with_capacity(BATCH));
        while let Some(Page { entries, unreadable }) = listing.next().await? {
            let page = entries.into_iter().filter_map(|person| self.meet(person)).collect();
            if let Some(before) = looking.replace(looker.begin(page)) {
                self.take_in(before, &mut batch).await?;
            }
            for one in &unreadable {
                self.unreadable(one);
            }
            self.tell_progress();
        }
        if let Some(last) = looking {
            self.take_in(last, &mut batch).await?;
        }
        self.hand_over(batch).await?;
        self.land_all().await?;
        self.servers.extend(listing.server());
        let short = listing.shortcomings();
        self.report.incomplete.extend(short.iter().map(Into::into));
        // An empty base is short of people only if there were some.
        let emptied = !short.is_empty() && !self.unseen_users().is_empty();
        if short.iter().any(|one| one.reason.cuts_short() || one.reason == Incomplete::Empty && emptied) {
            self.unfinished = Some("the last run could not read everybody");
        }
        Ok(())
    }

    /// Somebody who was listed, with what is known of their link; `None` for whoever was listed before.
    fn meet(&mut self, person: Person) -> Option<(Person, Option<Known>)> {
        let known = match self.users.see(&person.unique_id) {
            Some((_, true)) => return None,
            known => known.map(|(known, _)| known),
        };
        self.report.users.seen += 1;
        Some((person, known))
    }

    /// Counts those for whom nothing has changed, and hands over the others.
    async fn take_in(&mut self, looking: Looking, batch: &mut Vec<Decided>) -> Result<(), Broken> {
        for looked in looking.found().await? {
            match looked {
                Looked::Same(unique_id, Standpoint::Written) => _ = self.became(&unique_id, Action::Nothing),
                Looked::Same(unique_id, Standpoint::Refused) => _ = self.became(&unique_id, Action::Skip),
                Looked::Decided(decided) => batch.push(*decided),
            }
            if batch.len() >= BATCH {
                self.hand_over(std::mem::take(batch)).await?;
            }
        }
        Ok(())
    }

    /// An entry that nobody can be made of fails alone; if it is known, it is there all the same.
    pub(super) fn unreadable(&mut self, entry: &Unreadable) {
        if let Some(unique_id) = &entry.unique_id {
            self.users.see(unique_id);
            self.users_once.take_back(&mut self.report.users, unique_id);
            self.fails(unique_id.clone());
        }
        self.report.users.seen += 1;
        self.report.users.failed += 1;
        self.report.error(format!("{}: {}", entry.dn, entry.why));
    }

    fn tell_progress(&self) {
        if let Some(progress) = self.request.progress {
            let of = Some(self.users.len()).filter(|known| *known > 0);
            let (read, elapsed) = (self.report.users.seen, self.began.elapsed());
            progress(Progress { kind: Kind::User, read, of, elapsed });
        }
    }

    /// Remembers what the next run goes on from. What is still open comes first and the position last, so that a run
    /// which is killed in between leaves the feed where it was.
    async fn keep(&mut self, position: Option<Position>, rosters: Rosters, roster: &Roster) -> Result<(), Broken> {
        if self.request.dry_run {
            return Ok(());
        }
        let (store, slug, source) = (self.engine.store(), &self.source.slug, &self.source);
        let open = self.unfinished.or_else(|| doubt::open(&self.report)).or_else(|| doubt::too_many(&self.failing));
        doubt::pend(store, source, open, self.now).await?;
        doubt::put_again(store, source, &self.failing, self.now).await?;
        if self.unfinished.is_some() {
            // Whoever was not decided has to come again: by the feed, or because there is no position. What groups listed
            // stays as well, or nobody could say whom a change concerns that is told again.
            return Ok(());
        }
        rosters.keep(store, slug, roster.shortcomings().is_empty() && roster.is_whole()).await?;
        Aside::of(roster).keep(&self.engine, source).await?;
        doubt::put_known(store, source, self.known.as_deref(), self.now).await?;
        // What a server that lags had not listed is behind the position of another, and would never be told.
        let position = position.filter(|position| self.servers.iter().all(|server| position.is_of(server)));
        doubt::remember(store, source, &self.report, position, self.now).await?;
        if self.report.incomplete.is_empty() && source.sync.users {
            store.mark_seen(slug, EntityKind::User, self.now, &self.unseen).await?;
        }
        Ok(())
    }
}
