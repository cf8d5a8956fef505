//! A whole listing of the people or the groups of a source, page by page, read ahead of whoever takes them.

use crate::{DirectoryError, Person, Source, Wanted};
use bindery_ldap::Dn;

/// One page, in the server's order. Entries outside the base are left out; an entry that two bases have
/// comes once.
#[derive(Debug)]
pub struct Page<T> {
    /// What was read.
    pub entries: Vec<T>,
    /// What cannot be tied to anybody.
    pub unreadable: Vec<Unreadable>,
}

/// An entry that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its name, as far as it can be read.
    pub dn: String,
    /// Why, in words.
    pub why: String,
}

/// A group as it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEntry {
    /// Its DN.
    pub dn: Dn,
    /// Its unique ID, where readable.
    pub unique_id: Option<String>,
    /// Every value of the `groups.name` attributes.
    pub names: Vec<String>,
    /// Its `gidNumber` (RFC 2307).
    pub gid: Option<String>,
    /// What its members attribute names, as it compares: keys of DNs, or folded values.
    pub members: Vec<String>,
}

/// Why a listing is not the whole truth about a base. The names are those of a sync run's `incomplete`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Incomplete {
    /// The server's size or administrative limit (result codes 4 and 11).
    SizeLimit,
    /// The server's time limit (3).
    TimeLimit,
    /// A part of the base lies elsewhere (result code 10, or a reference inside it).
    Referral,
    /// The server refused its own cookie (12, 53), or left out the paging control.
    LostCookie,
    /// Nothing came at all.
    Empty,
    /// Entries without a readable unique ID.
    UnreadableUniqueId,
    /// A cookie that repeats, or pages without new entries.
    Endless,
}

/// A reason, and the base that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortcoming {
    /// Why.
    pub reason: Incomplete,
    /// Where.
    pub base: String,
}

/// A listing under way.
#[derive(Debug)]
pub struct Listing<T> {
    pages: tokio::sync::mpsc::Receiver<Result<Page<T>, DirectoryError>>,
    shortcomings: std::sync::Arc<std::sync::Mutex<Vec<Shortcoming>>>,
}

impl<T> Listing<T> {
    /// The next page; `None` after the last.
    ///
    /// # Errors
    /// A result code that is no [`Incomplete`], a directory lost or malformed midway. Nothing follows an error.
    pub async fn next(&mut self) -> Result<Option<Page<T>>, DirectoryError> {
        self.pages.recv().await.transpose()
    }

    /// Every reason why it was not whole, after [`next`](Self::next) answered `None`.
    pub fn shortcomings(&self) -> Vec<Shortcoming> {
        self.shortcomings.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl Source {
    /// Everybody: every base, read to its end.
    pub fn list_people(&self, wanted: &Wanted) -> Listing<Person> {
        let _ = wanted;
        todo!()
    }

    /// Every group, with its members.
    pub fn list_groups(&self) -> Listing<GroupEntry> {
        todo!()
    }
}
