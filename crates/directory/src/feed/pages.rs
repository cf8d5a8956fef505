//! Reads every base of a listing, page by page, on a connection of its own, and names what makes it less than
//! the whole. While one page is handed on the server already works on the next.

use super::entries::{Listed, Search, Taken, nameless};
use super::listing::{Incomplete, Page, Shortcoming};
use super::pager::{Pager, Size, offers_paging};
use crate::reach::{describe, failed, in_scope, in_words, is_inside};
use crate::servers::{Lease, is_busy};
use crate::source::Inner;
use crate::{DirectoryError, SourceSettings};
use bindery_ldap::value::generalized_time;
use bindery_ldap::{Connection, Dn, Error, LdapResult, Page as LdapPage, ResultCode, SearchRequest};
use chrono::{DateTime, Utc};
use futures::future::join;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::Sender;

/// Why a listing ended early.
enum Stop {
    Failed(DirectoryError),
    /// Nobody takes its pages any more.
    Unheard,
}

impl From<DirectoryError> for Stop {
    fn from(error: DirectoryError) -> Self {
        Self::Failed(error)
    }
}

/// When an entry was last changed, by its server (RFC 4512, 3.4.4).
pub(super) const MODIFY_TIMESTAMP: &str = "modifyTimestamp";

/// What a listing tells besides its pages.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) shortcomings: Vec<Shortcoming>,
    /// The server that was read from.
    pub(super) server: Option<String>,
    /// The newest `modifyTimestamp`, where that was asked for.
    pub(super) newest: Option<DateTime<Utc>>,
    /// The reading has come to its end, and not merely stopped.
    pub(super) ended: bool,
}

/// Reads all bases into the channel.
pub(super) async fn read<T: Listed>(
    inner: Arc<Inner>,
    search: Search,
    pages: Sender<Result<Page<T>, DirectoryError>>,
    told: Arc<Mutex<Told>>,
) {
    let mut reading = Reading { settings: &inner.settings, search: &search, pages: &pages, told, whole: vec![] };
    if let Err(Stop::Failed(error)) = reading.all(&inner).await {
        // Whoever does not listen any more need not know.
        let _ = pages.send(Err(error)).await;
    }
    reading.told().ended = true;
}

struct Reading<'a, T> {
    settings: &'a SourceSettings,
    search: &'a Search,
    pages: &'a Sender<Result<Page<T>, DirectoryError>>,
    told: Arc<Mutex<Told>>,
    /// The bases that were read whole: what lies in one of them has been handed on.
    whole: Vec<&'a Dn>,
}

/// What one base had, so far.
struct Base<'a> {
    dn: &'a Dn,
    request: SearchRequest,
    /// Entries in scope.
    seen: usize,
    paged: bool,
    /// Pages that came.
    pages: usize,
    short: Vec<Incomplete>,
}

impl<'a, T: Listed> Reading<'a, T> {
    async fn all(&mut self, inner: &Inner) -> Result<(), Stop> {
        inner.need_service_account("reading everybody")?;
        let mut place: Option<(Lease, bool)> = None;
        for dn in &self.search.bases {
            let search = self.search;
            let request = SearchRequest::new(dn, search.scope, search.filter.clone()).attributes(&search.attributes);
            let size = Size { entries: search.page_size, within: self.settings.timeouts.operation };
            let (pager, first) = if let Some((lease, paged)) = &place {
                let begun = first(lease.connection().clone(), request.clone(), size, Some(*paged)).await;
                let (pager, first, _) = begun.map_err(|error| broken(inner, &request, error))?;
                (pager, first)
            } else {
                let begin = |connection| first(connection, request.clone(), size, None);
                let ((pager, first, paged), server, lease) =
                    inner.servers.begin("list", || describe(&request), begin).await?;
                self.told().server = Some(server.url.clone());
                place = Some((lease, paged));
                (pager, first)
            };
            let base = Base { dn, request, seen: 0, paged: matches!(pager, Pager::Paged(_)), pages: 0, short: vec![] };
            self.base(inner, base, pager, first).await?;
        }
        if let Some((lease, _)) = place {
            lease.keep();
        }
        Ok(())
    }

    async fn base(&mut self, inner: &Inner, mut base: Base<'a>, mut pager: Pager, first: LdapPage) -> Result<(), Stop> {
        let mut page = first;
        loop {
            let more = !page.last;
            let next = async { if more { pager.next().await } else { Ok(None) } };
            // The request for the next page leaves first.
            let (next, handed_on) = join(next, self.page(&mut base, page)).await;
            handed_on?;
            match next.map_err(|error| broken(inner, &base.request, error))? {
                Some(next) => page = next,
                None => break,
            }
        }
        if base.seen == 0 && base.short.is_empty() {
            base.short.push(Incomplete::Empty);
        }
        if base.short.iter().all(|reason| *reason == Incomplete::UnreadableUniqueId) {
            self.whole.push(base.dn);
        }
        let mut told = self.told();
        for reason in base.short {
            tracing::warn!(target: "bindery_directory::listing", source = %self.settings.slug, base = %base.dn, ?reason, "the listing is not whole");
            told.shortcomings.push(Shortcoming { reason, base: base.dn.to_string() });
        }
        Ok(())
    }

    /// Hands on one page, and notes what it lacks.
    async fn page(&self, base: &mut Base<'a>, page: LdapPage) -> Result<(), Stop> {
        tracing::debug!(
            target: "bindery_directory::search", base = %base.dn, scope = ?self.search.scope, filter = %self.search.filter,
            entries = page.entries.len(), result = %page.result, page = base.pages,
        );
        let reason = ending(&page.result, base.paged && base.pages > 0)
            .map_err(|why| failed(&self.settings.slug, &base.request, why))?;
        if let Some(reason) = reason {
            base.falls_short(reason);
        }
        if page.result.is_success() && page.control_missing {
            base.falls_short(Incomplete::LostCookie);
        }
        if page.endless {
            base.falls_short(Incomplete::Endless);
        }
        if page.references.iter().flatten().any(|url| is_inside(url, base.dn)) {
            base.falls_short(Incomplete::Referral);
        }
        base.pages += 1;
        let mut out = Page { entries: Vec::with_capacity(page.entries.len()), unreadable: vec![] };
        if self.search.attributes.iter().any(|name| name == MODIFY_TIMESTAMP) {
            let times = page.entries.iter().filter_map(|entry| generalized_time(entry.text(MODIFY_TIMESTAMP)?));
            let mut told = self.told();
            told.newest = times.chain(told.newest).max();
        }
        for entry in page.entries {
            let taken: Taken<T> = match entry.dn() {
                Err(why) => {
                    base.seen += 1;
                    nameless(self.settings, &entry, &why)
                }
                Ok(dn) if !in_scope(&dn, base.dn, self.search.scope) => {
                    tracing::warn!(target: "bindery_directory::search", %dn, base = %base.dn, "the server sent an entry from outside the base; ignored");
                    continue;
                }
                Ok(dn) => {
                    base.seen += 1;
                    if self.whole.iter().any(|earlier| in_scope(&dn, earlier, self.search.scope)) {
                        continue;
                    }
                    T::take(self.settings, dn, entry)
                }
            };
            if let Some(reason) = taken.short {
                base.falls_short(reason);
            }
            out.entries.extend(taken.entry);
            out.unreadable.extend(taken.unreadable);
        }
        if out.entries.is_empty() && out.unreadable.is_empty() {
            return Ok(());
        }
        self.pages.send(Ok(out)).await.map_err(|_| Stop::Unheard)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn broken(inner: &Inner, request: &SearchRequest, error: Error) -> Stop {
    Stop::Failed(inner.servers.operation_error(describe(request), error))
}

impl Base<'_> {
    fn falls_short(&mut self, reason: Incomplete) {
        if !self.short.contains(&reason) {
            self.short.push(reason);
        }
    }
}

/// What the result of a page says of the listing; an error where it is a failure. `midway`: a cookie was sent.
fn ending(result: &LdapResult, midway: bool) -> Result<Option<Incomplete>, String> {
    match result.code {
        ResultCode::SUCCESS => Ok(None),
        ResultCode::SIZE_LIMIT_EXCEEDED | ResultCode::ADMIN_LIMIT_EXCEEDED => Ok(Some(Incomplete::SizeLimit)),
        ResultCode::TIME_LIMIT_EXCEEDED => Ok(Some(Incomplete::TimeLimit)),
        ResultCode::REFERRAL => Ok(Some(Incomplete::Referral)),
        ResultCode::UNAVAILABLE_CRITICAL_EXTENSION | ResultCode::UNWILLING_TO_PERFORM if midway => {
            Ok(Some(Incomplete::LostCookie))
        }
        _ => Err(in_words(result)),
    }
}

/// Begins a search and reads its first page.
async fn first(
    connection: Connection,
    request: SearchRequest,
    size: Size,
    paged: Option<bool>,
) -> Result<(Pager, LdapPage, bool), Error> {
    let paged = match paged {
        Some(paged) => paged,
        None => offers_paging(&connection).await?,
    };
    let mut pager = Pager::new(&connection, request, size, paged).await?;
    let page = pager
        .next()
        .await?
        .ok_or_else(|| Error::Closed { reason: "the search has no pages".to_owned(), notice: false })?;
    if is_busy(&page.result) {
        return Err(Error::Refused { operation: "search", result: page.result });
    }
    Ok((pager, page, paged))
}
