//! A source: the handle that everything above works with. Cheap to clone.

use crate::groups::{self, Context};
use crate::people;
use crate::reach::Reach;
use crate::servers::Servers;
use crate::settings::Bind;
use crate::{
    Authentication, DirectoryError, Found, GroupSelector, Known, Memberships, PasswordChange, PasswordCheck, Person,
    Reader, ServerReport, SourceSettings, Wanted, Whereabouts, change, check, sign_in, usability,
};
use bindery_ldap::ldif::ChangeRecord;
use bindery_ldap::{Dn, Entry, Filter, Scope};
use secrecy::SecretString;
use std::sync::Arc;

/// One configured directory: its settings, its connections, and what is known of its servers.
///
/// Making one connects to nothing; the first use does. A changed configuration makes a new one, which
/// knows nothing of the old one's errors.
#[derive(Clone)]
pub struct Source {
    pub(crate) inner: Arc<Inner>,
}

/// What all clones share.
pub(crate) struct Inner {
    pub(crate) settings: SourceSettings,
    pub(crate) servers: Arc<Servers>,
    pub(crate) cache: groups::Cache,
}

impl Inner {
    pub(crate) fn service(&self) -> Reach<'_> {
        Reach::Service(&self.servers)
    }

    /// For what nobody can do without a service account.
    pub(crate) fn need_service_account(&self, operation: &'static str) -> Result<(), DirectoryError> {
        if matches!(self.settings.bind, Bind::AsUser) {
            return Err(DirectoryError::NoServiceAccount { slug: self.settings.slug.clone(), operation });
        }
        Ok(())
    }

    pub(crate) fn groups<'a>(&'a self, reader: &'a Reader) -> Context<'a> {
        self.groups_by(Reach::of(reader, &self.servers, &self.settings.slug))
    }

    pub(crate) fn groups_by<'a>(&'a self, reach: Reach<'a>) -> Context<'a> {
        Context { reach, settings: &self.settings, cache: &self.cache }
    }
}

/// What is known of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerHealth {
    /// Its URL.
    pub url: String,
    /// Whether it could be used when it was last tried. A server not tried yet counts as up.
    pub up: bool,
    /// Why not.
    pub error: Option<String>,
    /// Open service connections.
    pub connections: usize,
    /// Who made it, as far as it says or shows, once [`Source::look`] has asked.
    pub vendor: Option<String>,
    /// Which version, as far as it says.
    pub version: Option<String>,
}

impl Source {
    /// Makes the handle; connects to nothing.
    pub fn new(settings: SourceSettings) -> Self {
        let (servers, cache) = (Arc::new(Servers::new(&settings)), groups::Cache::new());
        Self { inner: Arc::new(Inner { settings, servers, cache }) }
    }

    /// What it was made from.
    pub fn settings(&self) -> &SourceSettings {
        &self.inner.settings
    }

    /// Who a typed name is: every login attribute, in every base, taken literally.
    ///
    /// # Errors
    /// An error in one base is an error of the whole. [`DirectoryError::MissingUniqueId`] for an entry
    /// that cannot be linked, [`DirectoryError::NoServiceAccount`] for an as-user source.
    pub async fn find(&self, name: &str, wanted: &Wanted) -> Result<Found, DirectoryError> {
        self.inner.need_service_account("looking somebody up")?;
        people::find(self.inner.service(), &self.inner.settings, name, wanted).await
    }

    /// Finds and checks the password, on a connection that never carries service searches.
    ///
    /// Somebody who is not found costs no bind. To answer after about the same time as for a wrong
    /// password, follow up with [`Source::decoy_bind`] once no source knows the name.
    ///
    /// # Errors
    /// Whatever is not an answer about the password: busy, unavailable, malformed, timed out.
    pub async fn authenticate(
        &self,
        name: &str,
        password: &SecretString,
        wanted: &Wanted,
    ) -> Result<Authentication, DirectoryError> {
        sign_in::authenticate(&self.inner, name, password, wanted).await
    }

    /// Where somebody of an as-user source is: made by the template, without asking anybody, else found by an anonymous
    /// search for the DN alone.
    ///
    /// # Errors
    /// As [`Source::find`].
    pub async fn whereabouts(&self, name: &str) -> Result<Whereabouts, DirectoryError> {
        sign_in::whereabouts(&self.inner, name).await
    }

    /// The DN that `users.dn_template` makes of a name; `None` without a template, or where that is no DN inside a base.
    /// All names that the directory takes for one make the same DN.
    pub fn dn_of(&self, name: &str) -> Option<Dn> {
        sign_in::by_template(&self.inner.settings, name)
    }

    /// Binds as somebody of an as-user source, who then reads their own entry.
    ///
    /// # Errors
    /// As [`Source::authenticate`].
    pub async fn authenticate_as(
        &self,
        dn: Dn,
        password: &SecretString,
        wanted: &Wanted,
    ) -> Result<Authentication, DirectoryError> {
        sign_in::refuse_empty(&self.inner, password)?;
        sign_in::bind_as(&self.inner, dn, password, wanted).await
    }

    /// Checks the password of somebody found before; one bind.
    ///
    /// # Errors
    /// As [`Source::authenticate`].
    pub async fn check_password(
        &self,
        person: &Person,
        password: &SecretString,
    ) -> Result<PasswordCheck, DirectoryError> {
        sign_in::check_password(&self.inner, person, password).await
    }

    /// Binds as somebody who is not there, with a password that is nobody's, and forgets the answer.
    /// For names that no source knows, so that refusing them takes a bind's time, too. The password that
    /// was typed is not used: it may be good for some other directory. What the server spends on hashing
    /// a real password is not imitated.
    pub async fn decoy_bind(&self) {
        sign_in::decoy_bind(&self.inner).await;
    }

    /// Re-reads somebody by unique ID (their last DN is a hint). `None`: the directory says that they are gone.
    ///
    /// # Errors
    /// As [`Source::find`]; two entries with that ID are an error as well.
    pub async fn read(
        &self,
        unique_id: &str,
        dn: Option<&Dn>,
        wanted: &Wanted,
    ) -> Result<Option<Person>, DirectoryError> {
        self.inner.need_service_account("reading somebody again")?;
        people::read(self.inner.service(), &self.inner.settings, unique_id, dn, wanted).await
    }

    /// Whether the policy in force refuses somebody's password for its age, by the word of the server to those who may ask it
    /// (account usability control, 389-DS). `None`: it does not say, or not to this service account.
    ///
    /// # Errors
    /// As [`Source::find`].
    pub async fn password_expired(&self, person: &Person) -> Result<Option<bool>, DirectoryError> {
        self.inner.need_service_account("asking about a password")?;
        usability::password_expired(&self.inner.servers, person).await
    }

    /// The groups of a person, and what is known of the groups that rules name but that the person is
    /// not seen in. Failures are inside: unknown is not no.
    pub async fn memberships(&self, reader: &Reader, person: &Person, named: &[GroupSelector]) -> Memberships {
        groups::memberships(self.inner.groups(reader), person, named).await
    }

    /// Checks whether the groups that rules name can be found.
    pub async fn known(&self, named: &[GroupSelector]) -> Vec<(GroupSelector, Known)> {
        groups::known(self.inner.groups(&Reader::service()), named).await
    }

    /// A search through the source's own connections and limits, in pages of `page_size`.
    /// `limit` 0 reads all; else it stops after so many entries.
    ///
    /// # Errors
    /// Anything that cuts it short is an error, never a shorter list.
    pub async fn search(
        &self,
        base: &Dn,
        scope: Scope,
        filter: Filter,
        attributes: &[String],
        limit: usize,
    ) -> Result<Vec<Entry>, DirectoryError> {
        self.inner.need_service_account("searching")?;
        change::search(&self.inner, base, scope, filter, attributes, limit).await
    }

    /// Applies one change, once.
    ///
    /// # Errors
    /// [`DirectoryError::ReadOnly`] under `read_only`, before anything is sent.
    pub async fn change(&self, record: &ChangeRecord) -> Result<(), DirectoryError> {
        change::apply(&self.inner, record).await
    }

    /// Changes a password (RFC 3062), as the person themselves, over a protected connection only.
    ///
    /// # Errors
    /// [`DirectoryError::Unprotected`] before anything is sent, loopback included.
    pub async fn change_password(
        &self,
        dn: &Dn,
        old: &SecretString,
        new: &SecretString,
    ) -> Result<PasswordChange, DirectoryError> {
        change::password(&self.inner, dn, old, new).await
    }

    /// The state of each server, in the order of the configuration.
    pub fn health(&self) -> Vec<ServerHealth> {
        self.inner.servers.health()
    }

    /// Looks whether each server can be used: connection, TLS, one bind, and who made it. What comes of it is in
    /// [`health`](Self::health), in the metrics, and in the log where it is something new. A service account that was just
    /// refused is left in peace.
    pub async fn look(&self) {
        self.inner.servers.look().await;
    }

    /// Looks at each server by itself, with one bind each: connection, TLS, bind, vendor, version, samples
    /// of users and groups, and whether the groups that rules name can be found there.
    pub async fn check(&self, named: &[GroupSelector]) -> Vec<ServerReport> {
        check::all(&self.inner, named).await
    }
}
