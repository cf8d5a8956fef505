//! Search requests, and streams of their results.

use crate::bind::join;
use crate::connection::{Arrival, Connection, Subscription};
use crate::response::{Op, Response};
use crate::{Control, Dn, Entry, Error, Filter, LdapResult, convert};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// RFC 4511, 4.5.1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scope {
    /// The base alone.
    Base,
    /// Those directly below it.
    One,
    /// It and all below it.
    #[default]
    Subtree,
}

/// How long a search may take as a whole, from asking to the last answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deadline {
    /// The connection's `operation_timeout`.
    #[default]
    Operation,
    /// So long.
    After(Duration),
    /// For ever: a search that waits for changes.
    None,
}

/// One search.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    /// Where it begins, as it goes over the wire.
    pub base: String,
    /// How far it goes.
    pub scope: Scope,
    /// What it looks for.
    pub filter: Filter,
    /// What it reads; none for all user attributes, `1.1` for no attribute.
    pub attributes: Vec<String>,
    /// The most entries; 0 for as many as there are.
    pub size_limit: u32,
    /// The most seconds that the server may take; 0 for as many as it wants.
    pub time_limit_seconds: u32,
    /// Whether values stay out.
    pub types_only: bool,
    /// What goes along.
    pub controls: Vec<Control>,
    /// How long it may take as a whole.
    pub deadline: Deadline,
    /// Whether whoever reads the results may be as slow as they like.
    pub unhurried: bool,
}

impl SearchRequest {
    /// A search for all user attributes.
    pub fn new(base: &Dn, scope: Scope, filter: Filter) -> Self {
        Self::raw(base.as_str(), scope, filter)
    }

    /// The same for a base that is no DN of RFC 4514: `<GUID=…>` of Active Directory, or the root DSE's `""`.
    pub fn raw(base: impl Into<String>, scope: Scope, filter: Filter) -> Self {
        Self {
            base: base.into(),
            scope,
            filter,
            attributes: vec![],
            size_limit: 0,
            time_limit_seconds: 0,
            types_only: false,
            controls: vec![],
            deadline: Deadline::default(),
            unhurried: false,
        }
    }

    /// Reads these attributes only.
    #[must_use]
    pub fn attributes<I: IntoIterator<Item = S>, S: Into<String>>(mut self, names: I) -> Self {
        self.attributes = names.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a control.
    #[must_use]
    pub fn control(mut self, control: Control) -> Self {
        self.controls.push(control);
        self
    }

    /// No more entries than this.
    #[must_use]
    pub fn size_limit(mut self, entries: u32) -> Self {
        self.size_limit = entries;
        self
    }

    /// No longer than this.
    #[must_use]
    pub fn deadline(mut self, deadline: Deadline) -> Self {
        self.deadline = deadline;
        self
    }

    /// The connection waits for whoever reads the results as long as that takes, and everything else on it waits as well:
    /// only for a connection of one's own.
    #[must_use]
    pub fn unhurried(mut self) -> Self {
        self.unhurried = true;
        self
    }
}

/// One thing that a search yields.
#[derive(Debug)]
#[non_exhaustive]
pub enum SearchItem {
    /// An entry, and what came along with it.
    Entry {
        /// The entry.
        entry: Entry,
        /// Its controls.
        controls: Vec<Control>,
    },
    /// Where else to look. Never followed here.
    Reference(Vec<String>),
    /// Something in between (RFC 4511, 4.13).
    Intermediate {
        /// Its name.
        oid: Option<String>,
        /// Its value.
        value: Option<Bytes>,
    },
}

/// A search under way; dropping it sends Abandon.
///
/// Results wait in a queue of about 1 MiB. While it is full the whole connection waits, at most for half of the
/// operation's deadline; then the search ends with [`Error::SlowReader`]. Whoever works long on each entry uses
/// a connection of its own, and is [`unhurried`](SearchRequest::unhurried).
pub struct SearchStream {
    connection: Connection,
    state: State,
    deadline: Option<Instant>,
    allowed: Duration,
}

enum State {
    Running(Subscription),
    Done(LdapResult, Vec<Control>),
    Failed,
}

impl std::fmt::Debug for SearchStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SearchStream")
            .field("connection", &self.connection)
            .field("done", &self.done())
            .finish_non_exhaustive()
    }
}

impl SearchStream {
    /// The next item; `None` once the server has said done (see [`SearchStream::done`]).
    pub async fn next(&mut self) -> Result<Option<SearchItem>, Error> {
        Ok(self.next_response().await?.map(|(item, _)| item))
    }

    /// The final result and its controls, after `next` returned `None`. Any result code: the caller looks at it.
    pub fn done(&self) -> Option<(&LdapResult, &[Control])> {
        match &self.state {
            State::Done(result, controls) => Some((result, controls)),
            _ => None,
        }
    }

    /// The next item and what it takes in memory.
    async fn next_response(&mut self) -> Result<Option<(SearchItem, usize)>, Error> {
        let subscription = match &mut self.state {
            State::Running(subscription) => subscription,
            State::Done(..) => return Ok(None),
            State::Failed => {
                return Err(Error::Closed { reason: "the search has failed before".to_owned(), notice: false });
            }
        };
        let error = match subscription.next(self.deadline).await {
            Ok(Some(Arrival::Response(response))) => {
                let Response { op, controls, cost, .. } = response;
                let item = match op {
                    Op::Entry(entry) => SearchItem::Entry { entry, controls },
                    Op::Reference(urls) => SearchItem::Reference(urls),
                    Op::Intermediate { oid, value } => SearchItem::Intermediate { oid, value },
                    Op::Result(_, outcome) => {
                        subscription.finished();
                        self.state = State::Done(outcome.result, controls);
                        return Ok(None);
                    }
                };
                return Ok(Some((item, cost)));
            }
            Ok(Some(Arrival::Fault(fault))) => self.connection.error(&fault),
            Ok(Some(Arrival::Stalled(after))) => Error::SlowReader { operation: "search", after },
            Ok(None) => self.connection.fault(),
            Err(_) => Error::Timeout { operation: "search", after: self.allowed },
        };
        // Dropping the subscription abandons the search.
        self.state = State::Failed;
        Err(error)
    }

    /// Everything that is left, within the cap.
    pub(crate) async fn collect(mut self, limit: usize) -> Result<SearchOutcome, Error> {
        let (mut entries, mut references, mut octets) = (vec![], vec![], 0usize);
        while let Some((item, cost)) = self.next_response().await? {
            octets = octets.saturating_add(cost);
            if octets > limit {
                return Err(Error::TooManyResults { entries: entries.len(), limit });
            }
            match item {
                SearchItem::Entry { entry, .. } => entries.push(entry),
                SearchItem::Reference(urls) => references.push(urls),
                SearchItem::Intermediate { .. } => {}
            }
        }
        match self.state {
            State::Done(result, controls) => Ok(SearchOutcome { entries, references, result, controls }),
            _ => Err(self.connection.fault()),
        }
    }
}

/// A whole search, collected. Result codes other than success are in `result`, with what came before them.
#[derive(Debug)]
pub struct SearchOutcome {
    /// The entries, in the server's order.
    pub entries: Vec<Entry>,
    /// Where else to look, by the server.
    pub references: Vec<Vec<String>>,
    /// How it ended.
    pub result: LdapResult,
    /// What came along with the end.
    pub controls: Vec<Control>,
}

impl Connection {
    /// A search whose results are streamed.
    pub async fn search_stream(&self, request: SearchRequest) -> Result<SearchStream, Error> {
        let allowed = match request.deadline {
            Deadline::Operation => Some(self.operation_timeout()),
            Deadline::After(allowed) => Some(allowed),
            Deadline::None => None,
        };
        let deadline = allowed.map(|allowed| Instant::now() + allowed);
        let op = Zeroizing::new(convert::encode(&convert::search(&request)?)?);
        let body = join(&op, &convert::controls(&request.controls)?);
        let state = State::Running(self.subscribe(body, deadline, request.unhurried).await?);
        Ok(SearchStream { connection: self.clone(), state, deadline, allowed: allowed.unwrap_or_default() })
    }

    /// A search whose results are collected: up to `max_message` octets of them, within the deadline. Larger
    /// results are [`Error::TooManyResults`]; read them in pages or as a stream.
    pub async fn search(&self, request: SearchRequest) -> Result<SearchOutcome, Error> {
        self.search_stream(request).await?.collect(self.max_message()).await
    }
}
