//! People on their way through a run: looked at one by one, and decided where something has changed.

use super::doubt;
use super::outcome::Action;
use super::run::Run;
use crate::Reason;
use crate::engine::{ActiveSource, Engine};
use crate::events::Populate;
use crate::reconcile::Fingerprint;
use crate::rules::{self, Decision, Facts, Refused, Step};
use bindery_directory::{AccountState, Memberships, Person};

/// Somebody whose facts have changed, and what the rules say.
pub(super) struct Decided {
    pub(super) person: Person,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) decision: Result<Decision, Refused>,
    /// Whether an account is linked to the entry.
    pub(super) linked: bool,
}

/// What the rules and event handlers say of somebody.
pub(super) async fn decide(
    engine: &Engine,
    source: &ActiveSource,
    person: &Person,
    memberships: &Memberships,
    account: &AccountState,
) -> Result<Decision, Refused> {
    let mut decision = rules::decide(&source.rules, Facts { person, memberships, account })?;
    for handler in engine.handlers() {
        let slug = source.slug.as_str();
        let event = Populate { source: slug, person, memberships, typed: None, decision: &mut decision };
        if let Err(veto) = handler.populate(event).await {
            return Err(Refused::new(Reason::Vetoed, Step::Reconcile, veto.0));
        }
    }
    Ok(decision)
}

impl Run<'_> {
    /// Counts somebody of whom nothing is written.
    pub(super) fn refused(&mut self, person: &Person, refused: &Refused) {
        match refused.reason {
            Reason::AccountConflict | Reason::MissingAttribute => self.failed(person, &refused.detail),
            _ => {
                tracing::debug!(target: "bindery_core::sync", dn = %person.dn, reason = ?refused.reason, "skipped");
                self.became(&person.unique_id, Action::Skip);
            }
        }
    }

    /// Somebody who is to be looked at again. One more is noted than can be remembered, which tells that there are more.
    pub(super) fn fails(&mut self, unique_id: String) {
        if self.failing.len() <= doubt::MOST_AGAIN {
            self.failing.insert(unique_id);
        }
    }

    pub(super) fn failed(&mut self, person: &Person, detail: &str) {
        self.fails(person.unique_id.clone());
        self.users_once.take_back(&mut self.report.users, &person.unique_id);
        self.report.users.failed += 1;
        self.report.error(format!("{}: {detail}", person.dn));
    }
}
