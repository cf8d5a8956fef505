//! The path of one person from an entry to a stored user: rules, reconcile, apply. Sign-in, refresh and provisioning
//! all come through here. A sync takes many through the same rules and the same reconcile, and applies their plans together.

use super::admission::Admission;
use super::attempt::{Rejection, chain};
use super::sign_in::judge_password;
use super::{ActiveSource, Engine};
use crate::Reason;
use crate::events::{Event, Populate};
use crate::reconcile::{self, Reconciled, Terms, ends_sessions};
use crate::rules::{Decision, Facts, Refused, decide};
use crate::token::Token;
use bindery_directory::{AccountState, Memberships, Person, Reader, Source, account};
use bindery_store::{Cause, Change, Link, Plan, Snapshot, UserState};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use uuid::Uuid;

/// Somebody else may write at the same time; more often than this it is no accident.
pub(super) const TRIES: usize = 8;
pub(super) const KEPT_CHANGING: &str = "the user kept changing while they were being written; try again";

/// A bind that was accepted.
#[derive(Clone)]
pub(crate) struct Accepted<'a> {
    /// What it said of the account.
    pub(crate) state: AccountState,
    /// What was accepted.
    pub(crate) password: &'a SecretString,
}

/// An entry on its way in.
pub(crate) struct Entering<'a> {
    pub(crate) source: &'a ActiveSource,
    pub(crate) person: &'a Person,
    pub(crate) reader: &'a Reader,
    /// None where nobody bound.
    pub(crate) accepted: Option<Accepted<'a>>,
    pub(crate) typed: Option<&'a str>,
    /// When the directory was asked for the entry: it is at most as new as that.
    pub(crate) read_at: DateTime<Utc>,
    /// Whoever has the typed name, where that was read on the way here.
    pub(crate) known: Option<&'a UserState>,
}

impl<'a> Entering<'a> {
    /// An entry that a service account read, with nobody there to give a password or a name.
    pub(crate) fn read(
        source: &'a ActiveSource,
        person: &'a Person,
        reader: &'a Reader,
        read_at: DateTime<Utc>,
    ) -> Self {
        Self { source, person, reader, accepted: None, typed: None, read_at, known: None }
    }
}

/// Somebody who was let in, all of it written.
pub(crate) struct Admitted {
    pub(crate) admission: Admission,
    pub(crate) token: Option<Token>,
    /// The user as stored now, where that is known without reading them again.
    pub(crate) stored: Option<UserState>,
}

/// What goes into the same transaction once somebody is admitted.
type Finish<'a> = dyn Fn(&Admission, &mut Plan) -> Option<Token> + Send + Sync + 'a;

impl Engine {
    /// Reads the groups, decides, reconciles and writes, with what `finish` adds. Where somebody else has written of them
    /// since the entry was read, it is read again: what a sync has found out meanwhile is never undone by what was so before.
    pub(crate) async fn admit(&self, entering: Entering<'_>, finish: &Finish<'_>) -> Result<Admitted, Rejection> {
        let (source, dn) = (entering.source, entering.person.dn.to_string());
        let located = |rejection: Rejection| rejection.at(&source.slug, Some(&dn));
        let bound = entering.accepted.is_some();
        // Whoever has given the right password is told why they are refused.
        let judged = |rejection: Rejection| located(if bound { rejection.after_password() } else { rejection });
        if let Some(admitted) = self.admit_once(&entering, &source.directory, true, finish).await.map_err(judged)? {
            return Ok(admitted);
        }
        for _ in 1..TRIES {
            let read_at = self.now();
            let person = self.read_once_more(&entering).await.map_err(judged)?;
            // What was right a moment ago may be wrong by now: that says for itself whether it was.
            let accepted = accept_again(&entering, &person).await.map_err(located)?;
            let again = Entering { person: &person, read_at, accepted, known: None, ..entering };
            // Clocks of replicas differ: only what is written from now on is a reason to read a third time.
            let directory = source.directory.afresh();
            if let Some(admitted) = self.admit_once(&again, &directory, false, finish).await.map_err(judged)? {
                return Ok(admitted);
            }
        }
        Err(judged(Rejection::unavailable(KEPT_CHANGING)))
    }

    async fn read_once_more(&self, entering: &Entering<'_>) -> Result<Person, Rejection> {
        let (source, person) = (entering.source, entering.person);
        if source.is_as_user() {
            // Nobody but they themselves can read them, and so no sync has.
            return Ok(person.clone());
        }
        match source.directory.read(&person.unique_id, Some(&person.dn), &source.wanted).await {
            Ok(Some(person)) => Ok(person),
            Ok(None) => Err(Rejection::refused(Reason::NoSuchUser, "the entry left while they were coming in")),
            Err(error) => Err(Rejection::unavailable(chain(&error))),
        }
    }

    /// `None`: somebody else has written of them since the entry was read, and may have known better. `heeds_times`:
    /// whether the time of that write counts, or only one that is in the way of ours.
    async fn admit_once(
        &self,
        entering: &Entering<'_>,
        directory: &Source,
        heeds_times: bool,
        finish: &Finish<'_>,
    ) -> Result<Option<Admitted>, Rejection> {
        let (source, person) = (entering.source, entering.person);
        let needed = source.needs_groups || !self.0.handlers.is_empty();
        let (memberships, account) = self.facts(entering, directory, needed).await;
        // Where nobody bound, what concerns the password and not the person changes nothing.
        let account = if entering.accepted.is_some() { account } else { account.lasting() };
        let facts = Facts { person, memberships: &memberships, account: &account };
        let mut decision = match decide(&source.rules, facts) {
            Ok(decision) => decision,
            Err(refused) => {
                self.shut_out(entering, &refused).await;
                return Err(Rejection::refused(refused.reason, refused.detail));
            }
        };
        self.populate(entering, &memberships, &mut decision).await?;
        self.write(entering, &decision, heeds_times, finish).await
    }

    /// Everything that the rules look at; groups only where somebody looks at them.
    pub(crate) async fn facts(
        &self,
        entering: &Entering<'_>,
        directory: &Source,
        groups: bool,
    ) -> (Memberships, AccountState) {
        let source = entering.source;
        let memberships = if groups {
            directory.memberships(entering.reader, entering.person, &source.selectors).await
        } else {
            Memberships::default()
        };
        if let Some(why) = &memberships.incomplete {
            tracing::warn!(target: "bindery_core::admit", source = source.slug, why, "groups could not be read completely");
        }
        let account = account::state(&entering.person.entry, self.now());
        let account = match &entering.accepted {
            Some(accepted) => account.after_bind(&accepted.state),
            None => account,
        };
        (memberships, account)
    }

    pub(crate) async fn populate(
        &self,
        entering: &Entering<'_>,
        memberships: &Memberships,
        decision: &mut Decision,
    ) -> Result<(), Rejection> {
        for handler in &self.0.handlers {
            let (source, person, typed) = (entering.source.slug.as_str(), entering.person, entering.typed);
            let event = Populate { source, person, memberships, typed, decision: &mut *decision };
            handler.populate(event).await.map_err(|veto| Rejection::refused(Reason::Vetoed, veto.0))?;
        }
        Ok(())
    }

    async fn write(
        &self,
        entering: &Entering<'_>,
        decision: &Decision,
        heeds_times: bool,
        finish: &Finish<'_>,
    ) -> Result<Option<Admitted>, Rejection> {
        let (source, dn) = (entering.source, entering.person.dn.to_string());
        let (reconciled, stored) = self.reconcile(entering, decision, true).await?;
        if heeds_times && stored.as_ref().is_some_and(|state| state.user.updated_at > entering.read_at) {
            return Ok(None);
        }
        let (user, changed) = (reconciled.user, !reconciled.plan.is_empty());
        let link = reconciled.link.clone();
        let mut plan = reconciled.seen();
        let admission = Admission::by_source(user, &source.slug, &dn);
        let token = finish(&admission, &mut plan);
        match self.store().apply(&plan, self.now()).await {
            Ok(_) => {
                self.wrote(source, user, changed);
                let stored = stored.filter(|_| !changed).map(|stored| with_link(stored, link));
                Ok(Some(Admitted { admission, token, stored }))
            }
            Err(error) if error.is_conflict() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn wrote(&self, source: &ActiveSource, user: Uuid, changed: bool) {
        // Whatever failed before, they have been read now.
        self.0.sessions.refreshes.land(user);
        self.tell(&Event::Synced { source: source.slug.clone(), user, changed });
        if changed {
            self.0.sessions.forget_user(user);
        }
    }

    /// The plan for a decision against what is stored, and whoever is linked to the entry. What was read on the way here will do
    /// for a plan, which is not carried out if they have moved since; a refusal rests on what is so now.
    pub(crate) async fn reconcile(
        &self,
        entering: &Entering<'_>,
        decision: &Decision,
        admit: bool,
    ) -> Result<(Reconciled, Option<UserState>), Rejection> {
        let (source, person) = (entering.source, entering.person);
        let terms = Terms { admit, ..source.terms() };
        let request = reconcile::request(terms, person, decision);
        let against = |snapshot: Snapshot| {
            let mut ids = || self.new_id();
            let reconciled = reconcile::reconcile(terms, person, decision, &snapshot, entering.read_at, &mut ids);
            reconciled.map(|reconciled| (reconciled, snapshot.linked))
        };
        if let Some(known) = entering.known
            && let Ok(reconciled) = against(self.store().snapshot_of(&request, known).await?)
        {
            return Ok(reconciled);
        }
        against(self.store().snapshot(&request).await?)
            .map_err(|refused| Rejection::refused(refused.reason, refused.detail))
    }

    /// Somebody who may no longer come in loses their sessions, and what is certain of them is written.
    /// Doubt ends nothing. The refusal stands whether or not this could be written.
    async fn shut_out(&self, entering: &Entering<'_>, refused: &Refused) {
        let (terms, person) = (entering.source.terms(), entering.person);
        if !ends_sessions(refused.reason) {
            return;
        }
        let request = reconcile::refusal_request(terms, person, refused);
        for _ in 0..TRIES {
            let snapshot = match self.store().snapshot(&request).await {
                Ok(snapshot) => snapshot,
                Err(error) => return shut_out_failed(&chain(&error)),
            };
            let mut ids = || self.new_id();
            let Some(plan) = reconcile::shut_out(terms, person, refused, &snapshot, entering.read_at, &mut ids) else {
                return;
            };
            let written = self.store().apply(&plan, self.now()).await;
            if let Some(linked) = &snapshot.linked {
                self.0.sessions.forget_user(linked.user.id);
            }
            match written {
                Ok(_) => return,
                Err(error) if error.is_conflict() => {}
                Err(error) => return shut_out_failed(&chain(&error)),
            }
        }
        shut_out_failed(KEPT_CHANGING);
    }

    /// Whoever the directory has shut out is shut out here too, so that nothing local vouches for them during an outage.
    /// Their source lets them in again once the directory does.
    async fn deactivate(&self, source: &ActiveSource, user: Uuid) {
        for _ in 0..TRIES {
            let written = match self.store().user_state(user).await {
                Ok(Some(state)) => {
                    self.store().apply(&reconcile::deactivate(&state, &source.slug, Cause::Account), self.now()).await
                }
                Ok(None) => return,
                Err(error) => Err(error),
            };
            match written {
                Ok(_) => return,
                Err(error) if error.is_conflict() => {}
                Err(error) => return shut_out_failed(&chain(&error)),
            }
        }
        shut_out_failed(KEPT_CHANGING);
    }

    /// The same where the bind itself was refused, so that the rules were never asked.
    pub(crate) async fn shut_out_at_bind(&self, source: &ActiveSource, person: &Person, reason: Reason) {
        if !matches!(reason, Reason::AccountDisabled | Reason::AccountExpired) {
            return;
        }
        match self.store().user_by_link(&source.slug, &person.unique_id).await {
            Ok(Some(user)) => {
                self.deactivate(source, user.id).await;
                self.end_sessions(user.id).await;
            }
            Ok(None) => {}
            Err(error) => shut_out_failed(&chain(&error)),
        }
    }

    /// Ends every session of a user, everywhere, and forgets what would vouch for them while the directory is down.
    pub(crate) async fn end_sessions(&self, user: Uuid) {
        let plan = Plan::from(vec![Change::EndSessions { user, except: None }, Change::DropVerifiers { user }]);
        if let Err(error) = self.store().apply(&plan, self.now()).await {
            shut_out_failed(&chain(&error));
        }
        self.0.sessions.forget_user(user);
    }
}

/// What they were changed in may be their password: what let them in before is tried again.
async fn accept_again<'a>(entering: &Entering<'a>, person: &Person) -> Result<Option<Accepted<'a>>, Rejection> {
    let Some(Accepted { password, .. }) = entering.accepted else { return Ok(None) };
    let check = entering.source.directory.check_password(person, password).await;
    let check = check.map_err(|error| Rejection::unavailable(chain(&error)))?;
    Ok(Some(Accepted { state: judge_password(check)?, password }))
}

fn with_link(mut stored: UserState, link: Link) -> UserState {
    stored.links.retain(|other| other.source != link.source);
    stored.links.push(link);
    stored.links.sort_by(|a, b| a.source.cmp(&b.source));
    stored
}

fn shut_out_failed(error: &str) {
    tracing::error!(target: "bindery_core::admit", error, "somebody was refused, but it could not all be written down");
}
