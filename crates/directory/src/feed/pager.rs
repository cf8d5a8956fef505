//! One search in parts: pages (RFC 2696) where the server offers them, else the whole, cut into parts as it
//! arrives.

use crate::servers::{is_busy, root_dse};
use bindery_ldap::control::{ControlValue as _, PagedResults};
use bindery_ldap::{
    Connection, Deadline, Entry, Error, LdapResult, Page, PagedSearch, SearchItem, SearchRequest, SearchStream,
};
use std::time::Duration;

/// Octets of values that one part of an unpaged search may have.
const PART: usize = 8 << 20;

/// A search under way.
pub(super) enum Pager {
    Paged(Box<PagedSearch>),
    Whole(Whole),
}

/// How a search is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) entries: u32,
    /// For one page or part.
    pub(super) within: Duration,
}

impl Pager {
    /// Begins a search, in pages or not.
    pub(super) async fn new(
        connection: &Connection,
        request: SearchRequest,
        size: Size,
        paged: bool,
    ) -> Result<Self, Error> {
        if paged {
            return Ok(Self::Paged(Box::new(connection.search_paged(request, size.entries))));
        }
        // The server is to send all of it at once, and whoever takes the parts may be slow.
        let stream = connection.search_stream(request.deadline(Deadline::None).unhurried()).await?;
        Ok(Self::Whole(Whole { stream, size, over: false }))
    }

    /// The next part; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, Error> {
        match self {
            Self::Paged(search) => search.next_page().await,
            Self::Whole(whole) => whole.next().await,
        }
    }
}

/// Whether the server offers paging. One that does not tell is taken to: what its pages lack is noticed.
pub(crate) async fn offers_paging(connection: &Connection) -> Result<bool, Error> {
    let outcome = connection.search(root_dse(&["supportedControl"])?).await?;
    if is_busy(&outcome.result) {
        return Err(Error::Refused { operation: "search", result: outcome.result });
    }
    let root = outcome.entries.first();
    Ok(root.is_none_or(|root| root.texts("supportedControl").any(|oid| oid == PagedResults::OID)))
}

/// An unpaged search. What would have been a page has a page's time.
pub(super) struct Whole {
    stream: SearchStream,
    size: Size,
    over: bool,
}

impl Whole {
    async fn next(&mut self) -> Result<Option<Page>, Error> {
        if self.over {
            return Ok(None);
        }
        let after = self.size.within;
        let part = tokio::time::timeout(after, self.part()).await;
        part.unwrap_or(Err(Error::Timeout { operation: "search", after })).map(Some)
    }

    async fn part(&mut self) -> Result<Page, Error> {
        let (mut entries, mut references, mut octets) = (Vec::<Entry>::new(), vec![], 0usize);
        let wanted = usize::try_from(self.size.entries).unwrap_or(usize::MAX).max(1);
        while entries.len() < wanted && octets < PART {
            match self.stream.next().await? {
                Some(SearchItem::Entry { entry, .. }) => {
                    octets = octets.saturating_add(entry.octets());
                    entries.push(entry);
                }
                Some(SearchItem::Reference(urls)) => references.push(urls),
                Some(_) => {}
                None => {
                    self.over = true;
                    let (result, _) = self
                        .stream
                        .done()
                        .ok_or_else(|| Error::Closed { reason: "it has no end".to_owned(), notice: false })?;
                    return Ok(part(entries, references, result.clone(), true));
                }
            }
        }
        Ok(part(entries, references, success(), false))
    }
}

fn part(entries: Vec<Entry>, references: Vec<Vec<String>>, result: LdapResult, last: bool) -> Page {
    let new_entries = entries.len();
    Page {
        entries,
        references,
        result,
        last,
        control_missing: false,
        cookie_repeated: false,
        new_entries,
        endless: false,
    }
}

/// So far.
fn success() -> LdapResult {
    LdapResult {
        code: bindery_ldap::ResultCode::SUCCESS,
        matched_dn: String::new(),
        message: String::new(),
        referrals: vec![],
    }
}
