//! A source: the handle that everything above works with. Cheap to clone.

use crate::{
    Authentication, DirectoryError, Found, GroupSelector, Memberships, Person, Reader,
    SourceSettings, Wanted,
};
use bindery_ldap::ldif::ChangeRecord;
use bindery_ldap::{Dn, Entry, Filter, Scope};
use secrecy::SecretString;
use std::sync::Arc;

/// One configured directory.
#[derive(Clone)]
pub struct Source {
    settings: Arc<SourceSettings>,
}

/// What is known of one server.
#[derive(Debug, Clone)]
pub struct ServerHealth {
    /// Its URL.
    pub url: String,
    /// Whether it answered last.
    pub up: bool,
    /// Its last error.
    pub error: Option<String>,
    /// Open service connections.
    pub connections: usize,
}

impl Source {
    /// Makes the handle; connects to nothing.
    pub fn new(settings: SourceSettings) -> Self {
        Self {
            settings: Arc::new(settings),
        }
    }
    /// What it was made from.
    pub fn settings(&self) -> &SourceSettings {
        &self.settings
    }
    /// Who a typed name is. Not for as-user sources (no service account): those answer with an error.
    pub async fn find(&self, name: &str, wanted: &Wanted) -> Result<Found, DirectoryError> {
        let _ = (name, wanted);
        todo!()
    }
    /// Finds and checks the password, on a connection that never carries service searches.
    pub async fn authenticate(
        &self,
        name: &str,
        password: &SecretString,
        wanted: &Wanted,
    ) -> Result<Authentication, DirectoryError> {
        let _ = (name, password, wanted);
        todo!()
    }
    /// Re-reads somebody by unique ID (their last DN is a hint). `None`: the directory says that they are gone.
    pub async fn read(
        &self,
        unique_id: &str,
        dn: Option<&Dn>,
        wanted: &Wanted,
    ) -> Result<Option<Person>, DirectoryError> {
        let _ = (unique_id, dn, wanted);
        todo!()
    }
    /// The groups of a person, and what is known of the groups that rules name. Failures are inside: unknown is not no.
    pub async fn memberships(
        &self,
        reader: &Reader,
        person: &Person,
        named: &[GroupSelector],
    ) -> Memberships {
        let _ = (reader, person, named);
        todo!()
    }
    /// Checks whether the groups that rules name can be found.
    pub async fn known(&self, named: &[GroupSelector]) -> Vec<(GroupSelector, crate::Known)> {
        let _ = named;
        todo!()
    }
    /// A search through the source's own connections and limits; pages are followed.
    pub async fn search(
        &self,
        base: &Dn,
        scope: Scope,
        filter: Filter,
        attributes: &[String],
        limit: usize,
    ) -> Result<Vec<Entry>, DirectoryError> {
        let _ = (base, scope, filter, attributes, limit);
        todo!()
    }
    /// Applies one change; refused under `read_only` before anything is sent.
    pub async fn change(&self, record: &ChangeRecord) -> Result<(), DirectoryError> {
        let _ = record;
        todo!()
    }
    /// Changes a password (RFC 3062), as the person themselves.
    pub async fn change_password(
        &self,
        dn: &Dn,
        old: &SecretString,
        new: &SecretString,
    ) -> Result<crate::source::PasswordChange, DirectoryError> {
        let _ = (dn, old, new);
        todo!()
    }
    /// The state of each server.
    pub fn health(&self) -> Vec<ServerHealth> {
        todo!()
    }
}

/// The directory's answer to a password change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordChange {
    /// Done.
    Changed,
    /// The old password is wrong.
    WrongOld,
    /// The directory refused the new one, in its own words.
    Refused(String),
}
