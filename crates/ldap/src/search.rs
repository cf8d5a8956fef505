//! Search requests, streams of their results, and paging (RFC 2696).

use crate::{Control, Dn, Entry, Error, Filter, LdapResult};

/// RFC 4511, 4.5.1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scope {
    Base,
    One,
    #[default]
    Subtree,
}

/// One search.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    pub base: String,
    pub scope: Scope,
    pub filter: Filter,
    pub attributes: Vec<String>,
    pub size_limit: u32,
    pub time_limit_seconds: u32,
    pub types_only: bool,
    pub controls: Vec<Control>,
}
impl SearchRequest {
    pub fn new(base: &Dn, scope: Scope, filter: Filter) -> Self {
        todo!()
    }
    pub fn attributes<I: IntoIterator<Item = S>, S: Into<String>>(self, names: I) -> Self {
        todo!()
    }
    pub fn control(self, control: Control) -> Self {
        todo!()
    }
    pub fn size_limit(self, entries: u32) -> Self {
        todo!()
    }
}
/// One thing that a search yields.
#[derive(Debug)]
#[non_exhaustive]
pub enum SearchItem {
    Entry {
        entry: Entry,
        controls: Vec<Control>,
    },
    Reference(Vec<String>),
    Intermediate {
        oid: Option<String>,
        value: Option<bytes::Bytes>,
    },
}
/// A search under way; dropping it sends Abandon.
pub struct SearchStream {}
impl SearchStream {
    /// The next item; `None` once the server has said done (see [`SearchStream::done`]).
    pub async fn next(&mut self) -> Result<Option<SearchItem>, Error> {
        todo!()
    }
    /// The final result and its controls, after `next` returned `None`. Any result code: the caller looks at it.
    pub fn done(&self) -> Option<(&LdapResult, &[Control])> {
        todo!()
    }
}
/// A whole search, collected. Result codes other than success are in `result`, with what came before them.
#[derive(Debug)]
pub struct SearchOutcome {
    pub entries: Vec<Entry>,
    pub references: Vec<Vec<String>>,
    pub result: LdapResult,
    pub controls: Vec<Control>,
}
/// A paged search under way.
pub struct PagedSearch {}
/// One page. `complete` only on the last: result success and an empty cookie in a control that was there.
#[derive(Debug)]
pub struct Page {
    pub entries: Vec<Entry>,
    pub references: Vec<Vec<String>>,
    pub result: LdapResult,
    pub last: bool,
    /// The server gave no paging control.
    pub control_missing: bool,
    pub cookie_repeated: bool,
}
impl PagedSearch {
    pub async fn next_page(&mut self) -> Result<Option<Page>, Error> {
        todo!()
    }
}
