//! Searches in pages (RFC 2696).

use crate::connection::Connection;
use crate::control::{self, ControlValue, PagedResults};
use crate::{Entry, Error, LdapResult, SearchRequest};
use bytes::Bytes;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// So many pages in a row may bring nothing new before the search is taken for endless. Some servers send
/// empty pages while they look through a large index.
const MAX_FRUITLESS_PAGES: u32 = 32;

/// A paged search under way. Each page has the operation's deadline for itself.
pub struct PagedSearch {
    connection: Connection,
    request: SearchRequest,
    page_size: u32,
    cookie: Bytes,
    over: bool,
    history: History,
}

impl std::fmt::Debug for PagedSearch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PagedSearch").field("request", &self.request).field("over", &self.over).finish_non_exhaustive()
    }
}

/// One page. The search is complete only when the last page's result is success and `control_missing` is false.
#[derive(Debug)]
pub struct Page {
    /// The entries, in the server's order.
    pub entries: Vec<Entry>,
    /// Where else to look, by the server.
    pub references: Vec<Vec<String>>,
    /// How it ended.
    pub result: LdapResult,
    /// Nothing follows: the server said so, or there is no way to go on.
    pub last: bool,
    /// The server gave no paging control: whether there is more, nobody knows.
    pub control_missing: bool,
    /// The cookie for the next page was given before. By itself that is no fault: 389-DS and Samba give one
    /// cookie for a whole search.
    pub cookie_repeated: bool,
    /// How many of the entries no earlier page had (by DN, as spelled).
    pub new_entries: usize,
    /// The server would go on like this for ever: a repeated cookie with nothing new, or too many pages with
    /// nothing new. The search ends here, incomplete.
    pub endless: bool,
}

impl Page {
    /// Whether this is the last page of a search that arrived whole.
    pub fn completes(&self) -> bool {
        self.last && self.result.is_success() && !self.control_missing && !self.endless
    }
}

impl PagedSearch {
    /// The next page; `None` after the last one. After an error there is no next page either.
    pub async fn next_page(&mut self) -> Result<Option<Page>, Error> {
        if self.over {
            return Ok(None);
        }
        self.over = true;
        let control = PagedResults { size: self.page_size, cookie: self.cookie.clone() }.to_control()?;
        let outcome = self.connection.search(self.request.clone().control(control)).await?;
        let answer = control::find::<PagedResults>(&outcome.controls)?;
        let control_missing = answer.is_none();
        let cookie = answer.map(|answer| answer.cookie).unwrap_or_default();
        let last = cookie.is_empty() || !outcome.result.is_success();
        let seen = self.history.note(&cookie, &outcome.entries);
        let endless = !last && seen.endless;
        self.over = last || endless;
        self.cookie = cookie;
        Ok(Some(Page {
            entries: outcome.entries,
            references: outcome.references,
            result: outcome.result,
            last: self.over,
            control_missing,
            cookie_repeated: !last && seen.cookie_repeated,
            new_entries: seen.new_entries,
            endless,
        }))
    }
}

/// What earlier pages had: eight octets for each entry and cookie.
#[derive(Default)]
struct History {
    hasher: RandomState,
    names: HashSet<u64>,
    cookies: HashSet<u64>,
    fruitless: u32,
}

struct Seen {
    new_entries: usize,
    cookie_repeated: bool,
    endless: bool,
}

impl History {
    fn note(&mut self, cookie: &[u8], entries: &[Entry]) -> Seen {
        let mut new_entries = 0;
        for entry in entries {
            let name = self.hasher.hash_one(entry.raw_dn());
            new_entries += usize::from(self.names.insert(name));
        }
        let cookie_repeated = !self.cookies.insert(self.hasher.hash_one(cookie));
        self.fruitless = if new_entries > 0 { 0 } else { self.fruitless + 1 };
        let endless = new_entries == 0 && (cookie_repeated || self.fruitless >= MAX_FRUITLESS_PAGES);
        Seen { new_entries, cookie_repeated, endless }
    }
}

impl Connection {
    /// A search in pages of up to `page_size` entries. The control is one that servers may ignore; whether
    /// they did, [`Page::control_missing`] says.
    pub fn search_paged(&self, request: SearchRequest, page_size: u32) -> PagedSearch {
        PagedSearch {
            connection: self.clone(),
            request,
            page_size: page_size.clamp(1, i32::MAX as u32),
            cookie: Bytes::new(),
            over: false,
            history: History::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(names: &[&str]) -> Vec<Entry> {
        names.iter().map(|name| Entry::new(*name, vec![])).collect()
    }

    #[test]
    fn one_cookie_for_the_whole_search_is_no_fault() {
        let mut history = History::default();
        for page in [["a", "b"], ["c", "d"], ["e", "f"]] {
            let seen = history.note(b"0", &entries(&page));
            assert!(!seen.endless);
            assert_eq!(seen.new_entries, 2);
        }
        let seen = history.note(b"0", &entries(&["e", "f"]));
        assert!(seen.endless && seen.cookie_repeated);
    }

    #[test]
    fn empty_pages_with_fresh_cookies_are_borne_for_a_while() {
        let mut history = History::default();
        let fruitless = (0..1000u32).take_while(|n| !history.note(&n.to_be_bytes(), &[]).endless).count();
        assert_eq!(fruitless, 31);
    }
}
