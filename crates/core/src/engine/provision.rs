//! Bringing somebody in without their password: what sync does for everyone, for one name.

use super::Engine;
use super::admission::Admission;
use super::admit::Entering;
use super::attempt::Rejection;
use super::route::Route;
use super::view::UserView;
use super::{ActiveSource, sign_in};
use crate::{Outcome, Reason};
use bindery_directory::{Found, Person, Reader};
use bindery_store::Plan;
use std::sync::Arc;

/// What became of it.
#[derive(Debug, Clone)]
pub struct Provisioned {
    /// `signed_in` stands for "is in the store now".
    pub outcome: Outcome,
    /// Why not.
    pub reason: Option<Reason>,
    /// Who.
    pub user: Option<UserView>,
    /// One sentence for operators.
    pub detail: String,
}

impl Engine {
    /// Reads one person from the directory and writes them, as at their next sign-in. Access rules hold.
    /// Nobody of that name (`no_such_user`) and a directory that could not answer (`unavailable`) are different answers.
    pub async fn provision(&self, name: &str) -> Provisioned {
        match self.bring_in(name).await {
            Ok(user) => Provisioned { outcome: Outcome::SignedIn, reason: None, user, detail: String::new() },
            Err(rejection) => Provisioned {
                outcome: rejection.outcome,
                reason: rejection.reason,
                user: None,
                detail: rejection.detail,
            },
        }
    }

    async fn bring_in(&self, name: &str) -> Result<Option<UserView>, Rejection> {
        let read_at = self.now();
        let (source, person) = match self.route(name).await? {
            Route::Local(user) => return Ok(self.view(user.user.id).await?),
            Route::Sources { sources, names, .. } => self.find_in(&sources, &names).await?,
        };
        let reader = Reader::service();
        let entering = Entering { typed: Some(name), ..Entering::read(&source, &person, &reader, read_at) };
        let admitted = self.admit(entering, &|_: &Admission, _: &mut Plan| None).await?;
        Ok(self.view(admitted.admission.user()).await?)
    }

    /// The first source, in order, where such an entry exists. An error is never "not here".
    pub(crate) async fn find_in(
        &self,
        sources: &[Arc<ActiveSource>],
        names: &[String],
    ) -> Result<(Arc<ActiveSource>, Box<Person>), Rejection> {
        for source in sources {
            for name in names {
                match source.directory.find(name, &source.wanted).await {
                    Ok(Found::One(person)) => return Ok((source.clone(), person)),
                    Ok(Found::Nobody) => {}
                    Ok(Found::Several(dns)) => return Err(sign_in::ambiguous(source, &dns)),
                    Err(error) => return Err(sign_in::find_failed(source, &error)),
                }
            }
        }
        Err(Rejection::refused(Reason::NoSuchUser, "no source has such an entry, and no local account has a password"))
    }
}
