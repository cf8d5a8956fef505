//! People as they were listed: who has changed, and what the rules say of them. A page is looked at in a task of its own,
//! while the one before it is planned and written.
//!
//! Nothing is written here, and nothing counted. Asked is one thing: whether somebody who shows no groups hides some.

use super::broken::{Broken, finished};
use super::changes::SIDE_BY_SIDE;
use super::links::Known;
use super::people::{Decided, decide};
use super::run::Run;
use crate::engine::{ActiveSource, Engine};
use crate::reconcile::{Fingerprint, Fingerprints, Standpoint, group_digest};
use bindery_directory::{AccountState, Memberships, Person, Roster, account};
use chrono::{DateTime, Utc};
use futures::stream::{self, StreamExt};
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

/// After so many people others have their turn: half a millisecond.
const LET_OTHERS: usize = 32;

/// Somebody who was looked at.
pub(super) enum Looked {
    /// Nothing has changed since this became of them, by their unique ID.
    Same(String, Standpoint),
    /// Something may have.
    Decided(Box<Decided>),
}

/// A page of people who are being looked at.
pub(super) struct Looking(AbortOnDropHandle<Vec<Looked>>);

impl Looking {
    /// What was found, in the order of the page.
    pub(super) async fn found(self) -> Result<Vec<Looked>, Broken> {
        finished(self.0).await
    }
}

/// What somebody is looked at by.
pub(super) struct Looker {
    engine: Engine,
    source: Arc<ActiveSource>,
    roster: Arc<Roster>,
    /// One for each group of the roster.
    digests: Vec<[u8; 16]>,
    prints: Fingerprints,
    reads_groups: bool,
    now: DateTime<Utc>,
}

impl Looker {
    pub(super) fn new(run: &Run<'_>, roster: &Arc<Roster>) -> Arc<Self> {
        let groups = roster.groups().iter().chain(roster.apart());
        Arc::new(Self {
            engine: run.engine.clone(),
            source: run.source.clone(),
            roster: roster.clone(),
            digests: groups.map(|one| group_digest(&one.dn, &one.names, one.unique_id.as_deref())).collect(),
            prints: run.prints.clone(),
            reads_groups: run.reads_groups(),
            now: run.now,
        })
    }

    /// Begins to look at a page of people, each with what is known of their link.
    pub(super) fn begin(self: &Arc<Self>, people: Vec<(Person, Option<Known>)>) -> Looking {
        let looker = self.clone();
        Looking(AbortOnDropHandle::new(tokio::spawn(async move {
            let mut looked = Vec::with_capacity(people.len());
            let each = people.into_iter().map(|(person, known)| looker.clone().look(person, known));
            // Few of them have to wait for the directory.
            let mut each = stream::iter(each).buffered(SIDE_BY_SIDE);
            while let Some(one) = each.next().await {
                looked.push(one);
                // Under `serve` requests are answered by the same threads.
                if looked.len().is_multiple_of(LET_OTHERS) {
                    tokio::task::yield_now().await;
                }
            }
            looked
        })))
    }

    async fn look(self: Arc<Self>, person: Person, known: Option<Known>) -> Looked {
        let account = account::state(&person.entry, self.now).lasting();
        let (ids, whole) = self.roster.group_ids(&person);
        // Handlers may go by what no digest knows of.
        let fingerprint = (whole && self.engine.handlers().is_empty()).then(|| {
            let mut groups: Vec<_> = ids.iter().filter_map(|id| self.digests.get(*id as usize)).copied().collect();
            self.prints.of(&person, &mut groups, &account)
        });
        if let Some(standpoint) = same(known, fingerprint) {
            return Looked::Same(person.unique_id, standpoint);
        }
        let mut memberships = self.roster.memberships(&person);
        let mut decided = self.decided(person, fingerprint, known, &memberships, &account).await;
        if self.rests_on_silence(&decided, &memberships)
            && let Some(why) = self.source.directory.hides_groups(&decided.person).await
        {
            // A fingerprint would vouch for what nobody knows.
            memberships.incomplete = Some(why);
            decided = self.decided(decided.person, None, known, &memberships, &account).await;
        }
        Looked::Decided(Box::new(decided))
    }

    /// Whether something is done that rests on an entry which shows no groups: what does so may have some that nobody here
    /// may read. Who is refused, and has no account, is so all the more where nobody knows.
    fn rests_on_silence(&self, decided: &Decided, memberships: &Memberships) -> bool {
        self.reads_groups && memberships.incomplete.is_none() && (decided.linked || decided.decision.is_ok())
    }

    async fn decided(
        &self,
        person: Person,
        fingerprint: Option<Fingerprint>,
        known: Option<Known>,
        memberships: &Memberships,
        account: &AccountState,
    ) -> Decided {
        let decision = decide(&self.engine, &self.source, &person, memberships, account).await;
        Decided { person, fingerprint, decision, linked: known.is_some() }
    }
}

/// What became of somebody whose facts are what they were.
fn same(known: Option<Known>, fingerprint: Option<Fingerprint>) -> Option<Standpoint> {
    let stored = known?.fingerprint?;
    stored.is_of(fingerprint?).then(|| stored.standpoint())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleSet;
    use crate::rules::testing::ann;
    use bindery_directory::AccountState;
    use uuid::Uuid;

    #[test]
    fn only_the_same_facts_are_passed_over() {
        let print = |mail: &str| {
            Fingerprints::new("corp", &RuleSet::default()).of(
                &ann(&[("mail", mail)]),
                &mut [],
                &AccountState::default(),
            )
        };
        let known = |fingerprint| Some(Known::new(Uuid::from_u128(1), fingerprint, true));
        let (old, new) = (print("a@x"), print("b@x"));
        assert_eq!(same(known(Some(old)), Some(old)), Some(Standpoint::Written));
        assert_eq!(same(known(Some(old.refused())), Some(old)), Some(Standpoint::Refused));
        for (known, fingerprint) in
            [(known(Some(old)), Some(new)), (known(Some(old)), None), (known(None), Some(old)), (None, Some(old))]
        {
            assert_eq!(same(known, fingerprint), None);
        }
    }
}
