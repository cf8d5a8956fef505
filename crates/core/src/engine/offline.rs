//! While every server of a source is down: the verifier kept after a sign-in, or a local password
//! that somebody set for a linked user. Nothing that is learned here is kept.

use super::admission::Admission;
use super::admit::Admitted;
use super::attempt::{Attempt, Rejection, chain};
use super::{ActiveSource, Engine};
use crate::Reason;
use crate::password::Verdict;
use bindery_directory::DirectoryError;
use bindery_store::{PasswordHash, Plan, UserState};

impl Engine {
    /// The answer while a directory cannot be asked: `unavailable`, unless something local can vouch.
    pub(crate) async fn without_directory(
        &self,
        attempt: &Attempt,
        source: &ActiveSource,
        held: Option<&UserState>,
        error: DirectoryError,
    ) -> Result<Admitted, Rejection> {
        let detail = chain(&error);
        tracing::warn!(target: "bindery_core::sign_in", source = source.slug, detail, "the directory could not answer");
        self.tell(&crate::events::Event::DirectoryError { source: source.slug.clone(), detail: detail.clone() });
        let unavailable = || Rejection::unavailable(detail.clone()).at(&source.slug, None);
        // Only when nobody can be reached: a refused service account or a failed search is no outage.
        let (true, Some(held)) = (matches!(error, DirectoryError::Unavailable { .. }), held) else {
            return Err(unavailable());
        };
        let Some(link) = held.link(&source.slug) else { return Err(unavailable()) };
        let hashes = self.vouchers(source, held).await?;
        if hashes.is_empty() {
            return Err(unavailable());
        }
        let mut right = Ok(false);
        for hash in hashes {
            match self.passwords().verify(&attempt.password, hash.expose()).await {
                Ok(Verdict::Wrong) => {}
                Ok(_) => right = Ok(true),
                // Another one may still vouch.
                Err(error) => right = right.and_then(|right| if right { Ok(true) } else { Err(error) }),
            }
        }
        let located = |rejection: Rejection| rejection.at(&source.slug, Some(&link.dn));
        if !right.map_err(|error| located(error.into()))? {
            return Err(located(Rejection::refused(
                Reason::BadCredentials,
                "the directory is down and the kept verifier says no",
            )));
        }
        if !held.user.is_active() {
            let detail = "the user is deactivated here; the directory is down";
            return Err(located(Rejection::refused(Reason::AccountDisabled, detail).after_password()));
        }
        if link.account_ends.is_some_and(|at| at <= self.now()) {
            let detail = "the account is past its end; the directory is down";
            return Err(located(Rejection::refused(Reason::AccountExpired, detail).after_password()));
        }
        let admission = Admission::by_source(held.user.id, &source.slug, &link.dn);
        // The wait for the directory was long: whoever was shut out, or unlinked, meanwhile has no session to start.
        let mut plan = Plan { expected: vec![held.expected()], ..Plan::default() };
        let token = self.finish(attempt, &admission, &mut plan);
        self.store().apply(&plan, self.now()).await?;
        Ok(Admitted { admission, token, stored: None })
    }

    /// Hashes that may vouch for somebody: a verifier that is not too old, and a local password.
    async fn vouchers(&self, source: &ActiveSource, held: &UserState) -> Result<Vec<PasswordHash>, Rejection> {
        let mut hashes = Vec::new();
        if let Some(kept_for) = source.passwords.offline
            && let Some((hash, made)) = self.store().verifier(held.user.id, &source.slug).await?
            && (self.now() - made).to_std().is_ok_and(|age| age <= kept_for)
        {
            hashes.push(hash);
        }
        if self.settings().local_users {
            hashes.extend(held.user.password_hash.clone());
        }
        Ok(hashes)
    }

    /// A verifier of the password that the directory has just accepted, where one is kept. It goes into the transaction of
    /// the sign-in: whoever is shut out afterwards loses it with everything else.
    pub(crate) async fn verifier_of(&self, attempt: &Attempt, source: &ActiveSource) -> Option<PasswordHash> {
        source.passwords.offline?;
        match self.passwords().hash(&attempt.password, self.entropy()).await {
            Ok(hash) => Some(PasswordHash::new(hash)),
            Err(error) => {
                tracing::error!(target: "bindery_core::sign_in", error = chain(&error), "no offline verifier could be made");
                None
            }
        }
    }
}
