//! A whole listing of the people or the groups of a source, page by page, read ahead of whoever takes them.
//! Holds what a listing tells; `pages` does the reading.

use super::entries::{Listed, Search, member_keys};
use super::pages::{self, Told};
use crate::source::Inner;
use crate::{DirectoryError, Person, Source, Wanted};
use bindery_ldap::Dn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

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
    /// Its unique ID, where that can be read: whoever bears it is there, whatever else is wrong.
    pub unique_id: Option<String>,
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
    /// What its members attribute names, as it compares: keys of DNs, or folded values
    /// ([`Source::member_keys`] has those of a person). Empty under `members = "memberOf"`.
    pub members: Vec<String>,
    /// Under `members = "memberOf"`, the keys of the groups that it is in itself.
    pub member_of: Vec<String>,
    /// What is wrong with the values of its `memberOf` that are not there.
    pub broken: Option<String>,
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

impl Incomplete {
    /// Whether entries were left out that are there: they were neither listed nor named.
    pub fn cuts_short(self) -> bool {
        !matches!(self, Self::UnreadableUniqueId | Self::Empty)
    }

    /// What to say of it.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::SizeLimit => "the server's size limit cut it short; raise the limit of the service account",
            Self::TimeLimit => "the server's time limit cut it short",
            Self::Referral => "part of it lies elsewhere, and referrals are not followed",
            Self::LostCookie => "the server lost its place between two pages",
            Self::Empty => "nothing is there",
            Self::UnreadableUniqueId => "some entries have no readable unique ID",
            Self::Endless => "the server repeats its pages without end",
        }
    }
}

/// A reason, and the base that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortcoming {
    /// Why.
    pub reason: Incomplete,
    /// Where.
    pub base: String,
}

/// A listing under way. Dropping it ends it, and abandons what was asked.
#[derive(Debug)]
pub struct Listing<T> {
    pages: mpsc::Receiver<Result<Page<T>, DirectoryError>>,
    told: Arc<Mutex<Told>>,
    task: AbortHandle,
    slug: String,
}

impl<T> Listing<T> {
    /// The next page; `None` after the last.
    ///
    /// # Errors
    /// A result code that is no [`Incomplete`], a directory lost or malformed midway. Nothing follows an error.
    pub async fn next(&mut self) -> Result<Option<Page<T>>, DirectoryError> {
        let page = self.pages.recv().await.transpose()?;
        // Nobody is gone because a reader is.
        if page.is_none() && !self.told().ended {
            return Err(DirectoryError::Operation {
                slug: self.slug.clone(),
                operation: "reading everybody".to_owned(),
                detail: "it ended before its end".to_owned(),
                source: None,
            });
        }
        Ok(page)
    }

    /// The URL of the server that was read from, once the first page was asked for.
    pub fn server(&self) -> Option<String> {
        self.told().server.clone()
    }

    /// Every reason why it was not whole, after [`next`](Self::next) answered `None`.
    pub fn shortcomings(&self) -> Vec<Shortcoming> {
        self.told().shortcomings.clone()
    }
}

impl<T> Listing<T> {
    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins a listing.
pub(super) fn start<T: Listed>(inner: Arc<Inner>, search: Search) -> Listing<T> {
    let (sender, pages) = mpsc::channel(1);
    let (told, slug) = (Arc::new(Mutex::default()), inner.settings.slug.clone());
    let reading = pages::read(inner, search, sender, Arc::clone(&told));
    Listing { pages, told, task: tokio::spawn(reading).abort_handle(), slug }
}

impl<T> Drop for Listing<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Source {
    /// Everybody: every base, read to its end, one after the other. Must be called within a tokio runtime.
    ///
    /// Each page has `timeouts.operation` for itself; a bound on the whole is the caller's. Pages are read ahead,
    /// two or three of them. A server that does not offer paging (RFC 2696) in its root DSE is asked once, without;
    /// success is whole then.
    pub fn list_people(&self, wanted: &Wanted) -> Listing<Person> {
        self.list(wanted)
    }

    /// Every group, with its members. One without a readable unique ID is listed all the same.
    /// Otherwise as [`list_people`](Self::list_people).
    pub fn list_groups(&self) -> Listing<GroupEntry> {
        self.list(&Wanted::default())
    }

    /// What groups name a person by, in the form of [`GroupEntry::members`].
    pub fn member_keys(&self, person: &Person) -> Vec<String> {
        member_keys(&self.inner.settings, person)
    }

    fn list<T: Listed>(&self, wanted: &Wanted) -> Listing<T> {
        start(Arc::clone(&self.inner), T::search(&self.inner.settings, wanted))
    }
}
