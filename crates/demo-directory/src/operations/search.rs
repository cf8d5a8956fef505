//! Search (RFC 4511, 4.5), and its pages (RFC 2696).

use super::select::Selection;
use super::{Identity, Refusal, parse_dn};
use crate::directory::{Directory, State};
use crate::matching::Compiled;
use crate::node::Node;
use crate::root_dse;
use crate::server::Protection;
use bindery_ldap::codec::protocol::{ResultCode, SearchRequest, SearchRequestScope, SearchResultEntry};
use bindery_ldap::control::PagedResults;
use bindery_ldap::{Dn, Filter, Scope};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

/// How many paged searches one connection may leave open.
const OPEN_PAGES: usize = 16;

/// A search, understood.
pub(crate) struct Search {
    pub base: Dn,
    pub scope: Scope,
    pub filter: Filter,
    pub selection: Selection,
    /// 0 is none.
    pub size_limit: u32,
}

impl Search {
    pub(crate) fn new(directory: &Directory, who: &Identity, request: &SearchRequest) -> Result<Self, Refusal> {
        let filter = Filter::try_from(request.filter.clone())
            .map_err(|error| Refusal::new(ResultCode::ProtocolError, error.to_string()))?;
        let scope = match request.scope {
            SearchRequestScope::BaseObject => Scope::Base,
            SearchRequestScope::SingleLevel => Scope::One,
            SearchRequestScope::WholeSubtree => Scope::Subtree,
            _ => return Err(Refusal::new(ResultCode::ProtocolError, "an unknown scope")),
        };
        let unlimited = who.0.as_ref().is_some_and(|dn| directory.is_administrator(dn));
        let limits = [request.size_limit, if unlimited { 0 } else { directory.size_limit }];
        Ok(Self {
            base: parse_dn(&request.base_object)?,
            scope,
            filter,
            selection: Selection::new(request.attributes.iter().map(|name| name.as_str()), request.types_only),
            size_limit: limits.into_iter().filter(|limit| *limit > 0).min().unwrap_or(0),
        })
    }

    /// The root DSE or the subschema entry, where the search is for one of them. Anybody may read these.
    pub(crate) fn special(&self, state: &State, protection: Protection) -> Option<SearchResultEntry> {
        if self.scope != Scope::Base {
            return None;
        }
        let (user, operational) = if self.base.is_root() {
            root_dse::root_dse(state, protection)
        } else if Dn::parse(root_dse::SUBSCHEMA).is_ok_and(|subschema| subschema == self.base) {
            root_dse::subschema()
        } else {
            return None;
        };
        Some(self.selection.other(self.base.as_str(), &user, &operational))
    }

    /// Every entry that matches, parents first.
    pub(crate) fn find(&self, state: &State, who: &Identity) -> Result<Vec<Arc<Node>>, Refusal> {
        who.check_read()?;
        let tree = &state.tree;
        if !self.base.is_root() && tree.get(&self.base).is_none() {
            return Err(Refusal::no_such_object(tree, &self.base));
        }
        let filter = Compiled::new(&self.filter, tree);
        let matches = |node: &&Arc<Node>| self.in_scope(&node.dn) && filter.matches(node, tree) == Some(true);
        Ok(match (self.scope, filter.candidates(tree)) {
            (Scope::Base, _) => tree.get(&self.base).into_iter().filter(matches).cloned().collect(),
            (_, Some(candidates)) => candidates.iter().filter(matches).cloned().collect(),
            (_, None) => tree.subtree(&self.base).filter(matches).cloned().collect(),
        })
    }

    /// Whether one entry is in the scope and matches.
    pub(crate) fn finds(&self, node: &Node, state: &State) -> bool {
        self.in_scope(&node.dn) && Compiled::new(&self.filter, &state.tree).matches(node, &state.tree) == Some(true)
    }

    fn in_scope(&self, dn: &Dn) -> bool {
        match self.scope {
            Scope::Base => *dn == self.base,
            Scope::One => dn.is_within(&self.base) && dn.depth() == self.base.depth().saturating_add(1),
            Scope::Subtree => dn.is_within(&self.base),
        }
    }

    /// What must stay the same from page to page.
    fn fingerprint(&self) -> (String, Scope, Filter) {
        (self.base.key(), self.scope, self.filter.clone())
    }
}

/// What goes out for one search request.
pub(crate) struct Page {
    pub entries: Vec<Arc<Node>>,
    pub code: ResultCode,
    /// The answer to the paging control.
    pub paging: Option<PagedResults>,
}

struct OpenSearch {
    fingerprint: (String, Scope, Filter),
    rest: Vec<Arc<Node>>,
    /// How many went out in all, against the size limit.
    sent: u32,
}

/// The paged searches that a connection has open.
#[derive(Default)]
pub(crate) struct Pages {
    open: HashMap<u64, OpenSearch>,
    last: u64,
}

impl Pages {
    /// All entries, or a page of them.
    pub(crate) fn page(
        &mut self,
        directory: &Directory,
        who: &Identity,
        search: &Search,
        asked: Option<&PagedResults>,
    ) -> Result<Page, Refusal> {
        let Some(asked) = asked else {
            let entries = search.find(&directory.read(), who)?;
            let (entries, code) = limit(entries, search.size_limit);
            return Ok(Page { entries, code, paging: None });
        };
        let OpenSearch { fingerprint, mut rest, sent } = self.resume(directory, who, search, &asked.cookie)?;
        let total = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let end = PagedResults { size: total, cookie: Bytes::new() };
        if asked.size == 0 {
            // The client gives up (RFC 2696, section 3).
            return Ok(Page { entries: Vec::new(), code: ResultCode::Success, paging: Some(end) });
        }
        let size = usize::try_from(asked.size).unwrap_or(usize::MAX).min(rest.len());
        let later = rest.split_off(size);
        let allowed = if search.size_limit == 0 { 0 } else { search.size_limit.saturating_sub(sent) };
        if search.size_limit > 0 && allowed == 0 && !rest.is_empty() {
            return Ok(Page { entries: Vec::new(), code: ResultCode::SizeLimitExceeded, paging: Some(end) });
        }
        let (entries, code) = limit(rest, allowed);
        if code != ResultCode::Success || later.is_empty() {
            return Ok(Page { entries, code, paging: Some(end) });
        }
        let sent = sent.saturating_add(u32::try_from(entries.len()).unwrap_or(u32::MAX));
        let cookie = self.keep(OpenSearch { fingerprint, rest: later, sent });
        Ok(Page { entries, code, paging: Some(PagedResults { size: total, cookie }) })
    }

    /// A search from its cookie, or from its beginning.
    fn resume(
        &mut self,
        directory: &Directory,
        who: &Identity,
        search: &Search,
        cookie: &[u8],
    ) -> Result<OpenSearch, Refusal> {
        let fingerprint = search.fingerprint();
        if cookie.is_empty() {
            let rest = search.find(&directory.read(), who)?;
            return Ok(OpenSearch { fingerprint, rest, sent: 0 });
        }
        who.check_read()?;
        let lost = || Refusal::new(ResultCode::UnwillingToPerform, "the paging cookie is not of this search");
        let key = cookie.try_into().map(u64::from_be_bytes).map_err(|_| lost())?;
        let open = self.open.remove(&key).ok_or_else(lost)?;
        if open.fingerprint == fingerprint { Ok(open) } else { Err(lost()) }
    }

    fn keep(&mut self, search: OpenSearch) -> Bytes {
        if self.open.len() >= OPEN_PAGES
            && let Some(oldest) = self.open.keys().min().copied()
        {
            self.open.remove(&oldest);
        }
        self.last = self.last.saturating_add(1);
        self.open.insert(self.last, search);
        Bytes::copy_from_slice(&self.last.to_be_bytes())
    }
}

fn limit(mut entries: Vec<Arc<Node>>, limit: u32) -> (Vec<Arc<Node>>, ResultCode) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if limit == 0 || entries.len() <= limit {
        return (entries, ResultCode::Success);
    }
    entries.truncate(limit);
    (entries, ResultCode::SizeLimitExceeded)
}
