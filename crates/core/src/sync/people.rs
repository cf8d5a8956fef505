//! People on their way through a run: looked at one by one, and decided where something has changed.

use super::links::Known;
use super::run::Run;
use crate::Reason;
use crate::events::Populate;
use crate::reconcile::{Fingerprint, Standpoint};
use crate::rules::{Decision, Facts, Refused, Step, decide};
use bindery_directory::{AccountState, Memberships, Person};

/// Somebody whose facts have changed, and what the rules say.
pub(super) struct Decided {
    pub(super) person: Person,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) decision: Result<Decision, Refused>,
    /// Whether an account is linked to the entry.
    pub(super) linked: bool,
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

    /// Counts somebody of whom nothing is written.
    pub(super) fn refused(&mut self, person: &Person, refused: &Refused) {
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
}
