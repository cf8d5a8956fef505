//! Content synchronization (RFC 4533): one search for each base, brought up to date and perhaps left open.
//!
//! What the messages mean is decided in `phases`, whether a position counts in `position`; here they are sent,
//! read and handed on. A source with several bases asks again before it calls somebody gone: they may have moved
//! from one base into another.

use super::about::{About, one_position_a_search, unique_id};
use super::changes::{Changes, Events, FeedEvent, FeedKind, Position, Since, Stop, doubt, tell};
use super::entries::{Listed, Search, nameless};
use super::phases::{Meaning, Message, Phases};
use super::position::{Cookies, MAX_COOKIE, Searched, Searching, doubt as doubted};
use super::{GroupEntry, Kind, Unreadable};
use crate::reach::{Reach, describe, failed, in_scope, inside, is_inside, shortcoming};
use crate::servers::{Lease, Server, is_busy, root_dse};
use crate::settings::Members;
use crate::source::Inner;
use crate::{DirectoryError, Person, Wanted, people, unique_id as ids};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bindery_ldap::control::{self, ControlValue as _, SyncDone, SyncInfo, SyncMode, SyncRequest, SyncState};
use bindery_ldap::{
    Connection, Deadline, Dn, Entry, Error, Filter, ResultCode, Scope, SearchItem, SearchRequest, SearchStream,
};
use bytes::Bytes;
use futures::future::try_join_all;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// After so much silence a server is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(10);

/// One search of many: where, and for whom.
#[derive(Clone)]
struct One {
    kind: Kind,
    base: Dn,
    search: Search,
    searching: Searching,
    /// There are other bases of that kind.
    several: bool,
}

/// Every search of a source.
fn searches(inner: &Inner, wanted: &Wanted) -> Vec<One> {
    let settings = &inner.settings;
    let kinds = [(Kind::User, Person::search(settings, wanted)), (Kind::Group, GroupEntry::search(settings, wanted))];
    let mut all = Vec::new();
    for (kind, search) in kinds {
        let searching = Searching::of(kind, &search, &settings.users.unique_id);
        let several = search.bases.len() > 1;
        for (base, searching) in search.bases.iter().zip(searching) {
            all.push(One { kind, base: base.clone(), search: search.clone(), searching, several });
        }
    }
    all
}

/// Cookies from before a full read; `None` where the database does not keep what syncrepl needs.
pub(super) async fn position(inner: &Inner, wanted: &Wanted) -> Result<Option<Position>, DirectoryError> {
    let describe_it = || "asking for a position".to_owned();
    let (about, server, lease) = inner.servers.begin("feed", describe_it, About::read).await?;
    if about.feed_kind(&inner.settings) != FeedKind::Syncrepl {
        lease.keep();
        return Ok(None);
    }
    let apart = one_position_a_search(&inner.settings);
    let mut cookies = Cookies { server: server.url.clone(), searches: vec![] };
    for one in searches(inner, wanted) {
        // OpenLDAP's cookies are those of the database: a search that looks at one entry and finds none has one, too.
        let (scope, filter) = if apart {
            (one.search.scope, one.search.filter.clone())
        } else {
            (Scope::Base, Filter::Not(Box::new(Filter::present("objectClass"))))
        };
        let request = SearchRequest::new(&one.base, scope, filter).attributes(["1.1"]);
        let request = synchronizing(inner, request, SyncMode::RefreshOnly, None)?;
        let own = if apart { Some(exclusive(inner, &server).await?) } else { None };
        let connection = own.as_ref().unwrap_or(&lease).connection();
        let Some(cookie) = first_cookie(inner, connection, request).await? else { return Ok(None) };
        if apart && about.is_ahead(&cookie) {
            tracing::warn!(target: "bindery_directory::feed", source = %inner.settings.slug, server = %server.url, "the server's content synchronization is behind its own changelog; not used");
            return Ok(None);
        }
        cookies.searches.push(Searched { of: one.searching, cookie: STANDARD.encode(cookie) });
    }
    lease.keep();
    Ok(Some(cookies.position()))
}

/// One more connection to a server.
async fn exclusive(inner: &Inner, server: &Arc<Server>) -> Result<Lease, DirectoryError> {
    server.exclusive().await.map_err(|failure| DirectoryError::Unavailable {
        slug: inner.settings.slug.clone(),
        detail: format!("{}: {failure}", server.url),
        source: None,
    })
}

/// What a synchronization from nothing ends with.
async fn first_cookie(
    inner: &Inner,
    connection: &Connection,
    request: SearchRequest,
) -> Result<Option<Bytes>, DirectoryError> {
    let words = describe(&request);
    let broken = |error| inner.servers.operation_error(words.clone(), error);
    let mut stream = connection.search_stream(request.clone()).await.map_err(broken)?;
    let within = inner.settings.timeouts.operation;
    while next(&mut stream, within).await.map_err(broken)?.is_some() {}
    let Some((result, controls)) = stream.done() else { return Ok(None) };
    match result.code {
        ResultCode::SUCCESS => {
            let done = control::find::<SyncDone>(controls).map_err(broken)?;
            Ok(done.and_then(|done| done.cookie).filter(|cookie| fits(cookie)))
        }
        // The server knows the control; this database does not.
        ResultCode::UNAVAILABLE_CRITICAL_EXTENSION => Ok(None),
        _ => Err(failed(&inner.settings.slug, &request, result.to_string())),
    }
}

fn fits(cookie: &[u8]) -> bool {
    !cookie.is_empty() && cookie.len() <= MAX_COOKIE
}

async fn next(stream: &mut SearchStream, within: Duration) -> Result<Option<SearchItem>, Error> {
    let item = tokio::time::timeout(within, stream.next()).await;
    item.unwrap_or(Err(Error::Timeout { operation: "search", after: within }))
}

fn synchronizing(
    inner: &Inner,
    request: SearchRequest,
    mode: SyncMode,
    cookie: Option<Bytes>,
) -> Result<SearchRequest, DirectoryError> {
    let control = SyncRequest { mode, cookie, reload_hint: false }.to_control();
    let control = control.map_err(|error| inner.servers.operation_error(describe(&request), error))?;
    Ok(request.control(control.critical()).deadline(Deadline::None))
}

/// What has changed since a position, if that counts.
pub(super) async fn changes(
    inner: Arc<Inner>,
    since: &Position,
    wanted: &Wanted,
    follow: bool,
) -> Result<Since, DirectoryError> {
    let Ok(kept) = serde_json::from_value::<Cookies>(since.state.clone()) else {
        return Ok(Since::Doubt("the position cannot be read".to_owned()));
    };
    let all = searches(&inner, wanted);
    if !all.iter().map(|one| &one.searching).eq(kept.searches.iter().map(|one| &one.of)) {
        return Ok(Since::Doubt("base, scope, filter or unique ID have changed since".to_owned()));
    }
    let decoded = kept.searches.iter().map(|one| STANDARD.decode(&one.cookie).ok().filter(|cookie| fits(cookie)));
    let Some(cookies) = decoded.collect::<Option<Vec<_>>>() else {
        return Ok(Since::Doubt("the position has no cookie".to_owned()));
    };
    let (about, server, lease) = inner.servers.begin("feed", || "following changes".to_owned(), About::read).await?;
    if about.feed_kind(&inner.settings) != FeedKind::Syncrepl {
        return Ok(Since::Doubt(format!("{} does not offer content synchronization any more", server.url)));
    }
    let apart = one_position_a_search(&inner.settings);
    for (one, cookie) in all.iter().zip(&cookies) {
        let state = about.state(lease.connection(), &one.base).await;
        let state = state.map_err(|error| inner.servers.operation_error("reading contextCSN".to_owned(), error))?;
        let forgotten = apart.then(|| about.forgotten(cookie)).flatten();
        if let Some(why) = doubted(cookie, &kept.server, &server.url, state.as_ref()).or(forgotten) {
            return Ok(Since::Doubt(why));
        }
    }
    // One connection for each search that stays open, all to this server. 389-DS does not bear two on one.
    let reader = lease;
    let mut leases = Vec::with_capacity(all.len());
    for _ in 0..if follow || apart { all.len() } else { 1 } {
        leases.push(exclusive(&inner, &server).await?);
    }
    let reached = Cookies { server: server.url.clone(), ..kept };
    let feed = Feed { inner, wanted: wanted.clone(), follow, apart, reader, reached: Mutex::new(reached) };
    Ok(Since::Changes(Changes::of(move |events| feed.run(all, cookies, leases, events))))
}

/// A feed under way.
struct Feed {
    inner: Arc<Inner>,
    wanted: Wanted,
    follow: bool,
    /// It is 389-DS: what it sends of a changed entry lacks what nobody set, account states among it.
    apart: bool,
    /// Reads single entries at the same server.
    reader: Lease,
    /// How far all that was handed on reaches. Held while a part of it is said, so that what is said is in order.
    reached: Mutex<Cookies>,
}

impl Feed {
    async fn run(self, all: Vec<One>, cookies: Vec<Vec<u8>>, leases: Vec<Lease>, events: Events) -> Result<(), Stop> {
        let searches = all.iter().zip(cookies).enumerate();
        if self.follow {
            let open = searches
                .zip(&leases)
                .map(|((at, (one, cookie)), lease)| Open::new(&self, one, at, lease, &events).run(cookie.into()));
            return try_join_all(open).await.map(drop);
        }
        for ((at, (one, cookie)), lease) in searches.zip(leases.iter().cycle()) {
            Open::new(&self, one, at, lease, &events).run(cookie.into()).await?;
        }
        self.reader.keep();
        if !self.apart {
            leases.iter().for_each(Lease::keep);
        }
        Ok(())
    }
}

/// One search under way.
struct Open<'a> {
    feed: &'a Feed,
    one: &'a One,
    at: usize,
    lease: &'a Lease,
    events: &'a Events,
    /// Whom the refresh has named as being there. Kept here until it is whole: other searches reach positions meanwhile.
    named: Option<HashSet<String>>,
}

impl<'a> Open<'a> {
    fn new(feed: &'a Feed, one: &'a One, at: usize, lease: &'a Lease, events: &'a Events) -> Self {
        Self { feed, one, at, lease, events, named: Some(HashSet::new()) }
    }

    async fn run(mut self, cookie: Bytes) -> Result<(), Stop> {
        let (inner, one) = (&self.feed.inner, self.one);
        let mode = if self.feed.follow { SyncMode::RefreshAndPersist } else { SyncMode::RefreshOnly };
        let request = SearchRequest::new(&one.base, one.search.scope, one.search.filter.clone());
        let request = synchronizing(inner, request.attributes(&one.search.attributes), mode, Some(cookie))?;
        let broken = |error| inner.servers.operation_error(describe(&request), error);
        let mut stream = self.lease.connection().search_stream(request.clone()).await.map_err(broken)?;
        let mut phases = Phases::new(self.feed.follow, !self.feed.apart);
        loop {
            let Some(message) = self.message(&mut stream, &phases).await.map_err(broken)? else { continue };
            let meanings = phases.step(message).map_err(|fault| failed(&inner.settings.slug, &request, fault.0))?;
            for meaning in meanings {
                if self.hand_on(meaning).await? {
                    return Ok(());
                }
            }
        }
    }

    /// The next message that means something; `None` for one that does not.
    async fn message(&self, stream: &mut SearchStream, phases: &Phases) -> Result<Option<Message>, Error> {
        let within = self.feed.inner.settings.timeouts.operation;
        let item = if phases.persists() {
            loop {
                match tokio::time::timeout(SILENCE.min(within), stream.next()).await {
                    Ok(item) => break item?,
                    // A connection that died without a word is silent, too.
                    Err(_) => self.lease.connection().search(root_dse(&["1.1"])?).await.map(drop)?,
                }
            }
        } else {
            next(stream, within).await?
        };
        Ok(match item {
            Some(SearchItem::Entry { entry, controls }) => {
                Some(Message::Entry(entry, control::find::<SyncState>(&controls)?))
            }
            Some(SearchItem::Reference(urls)) => {
                urls.iter().any(|url| is_inside(url, &self.one.base)).then_some(Message::Elsewhere)
            }
            Some(SearchItem::Intermediate { oid, value }) if oid.as_deref() == Some(SyncInfo::OID) => {
                Some(Message::Info(SyncInfo::decode(value.as_deref().unwrap_or_default())?))
            }
            Some(_) => None,
            None => match stream.done() {
                Some((result, _)) if is_busy(result) => {
                    return Err(Error::Refused { operation: "search", result: result.clone() });
                }
                Some((result, controls)) => Some(Message::Done(result.clone(), control::find::<SyncDone>(controls)?)),
                None => return Err(Error::Closed { reason: "the search has no end".to_owned(), notice: false }),
            },
        })
    }

    /// Says what a message means. Whether that was the last.
    async fn hand_on(&mut self, meaning: Meaning) -> Result<bool, Stop> {
        let (kind, settings) = (self.one.kind, &self.feed.inner.settings);
        match meaning {
            Meaning::Changed(entry, uuid) => {
                let expected = unique_id(settings, uuid);
                // Whether or not anything can be made of it: it is there.
                if let Some(named) = &mut self.named {
                    named.insert(expected.clone());
                }
                match kind {
                    _ if self.feed.apart => self.reread(expected).await?,
                    Kind::Group if settings.groups.members == Members::MemberOf => {
                        return Err(doubt(self.events, untold(&entry.dn_text())).await);
                    }
                    Kind::User => self.changed::<Person>(entry, expected).await?,
                    Kind::Group => self.changed::<GroupEntry>(entry, expected).await?,
                }
            }
            Meaning::Gone(uuids) => {
                for uuid in uuids {
                    self.gone(unique_id(settings, uuid)).await?;
                }
            }
            // Nobody asks for these of one base among several.
            Meaning::Present(_) if self.one.several => {}
            Meaning::Present(uuids) => {
                if let Some(named) = &mut self.named {
                    named.extend(uuids.into_iter().map(|uuid| unique_id(settings, uuid)));
                }
            }
            Meaning::RestGone if self.one.several => {
                let why = format!("the server lists all that is below {} instead of what has left it", self.one.base);
                return Err(doubt(self.events, why).await);
            }
            Meaning::RestGone => {
                let only = self.named.take().unwrap_or_default();
                tell(self.events, FeedEvent::Only(kind, only)).await?;
            }
            Meaning::Reached(cookie) => {
                self.named = None;
                self.reached(cookie).await?;
            }
            Meaning::Doubt(why) => return Err(doubt(self.events, why).await),
            Meaning::End => return Ok(true),
        }
        Ok(false)
    }

    async fn reached(&self, cookie: Option<Vec<u8>>) -> Result<(), Stop> {
        if cookie.as_ref().is_some_and(|cookie| !fits(cookie)) {
            return Err(doubt(self.events, format!("the server gave a cookie of more than {MAX_COOKIE} octets")).await);
        }
        let mut reached = self.feed.reached.lock().await;
        if let (Some(cookie), Some(searched)) = (cookie, reached.searches.get_mut(self.at)) {
            searched.cookie = STANDARD.encode(cookie);
        }
        tell(self.events, FeedEvent::Reached(reached.position())).await
    }

    async fn changed<T: Told>(&self, entry: Entry, expected: String) -> Result<(), Stop> {
        let settings = &self.feed.inner.settings;
        let readable = ids::text(&entry, &settings.users.unique_id);
        if let Some(found) = readable.filter(|found| *found != expected) {
            let why = format!("the server names {} by {expected}, and its unique ID is {found}", entry.dn_text());
            return Err(doubt(self.events, why).await);
        }
        let name = entry.dn_text().into_owned();
        let taken = match entry.dn() {
            Err(why) => nameless::<T>(settings, &entry, &why),
            Ok(dn) if !in_scope(&dn, &self.one.base, self.one.search.scope) => {
                tracing::warn!(target: "bindery_directory::search", %dn, base = %self.one.base, "the server sent an entry from outside the base; ignored");
                return Ok(());
            }
            Ok(dn) => T::take(settings, dn, entry),
        };
        let unreadable = match (taken.unreadable, taken.short) {
            (Some(unreadable), _) => Some(unreadable),
            (None, Some(super::Incomplete::SizeLimit)) => {
                let why = "the server gave only a part of its members".to_owned();
                Some(Unreadable { dn: name, unique_id: None, why })
            }
            (None, _) => None,
        };
        match (unreadable, taken.entry) {
            (Some(unreadable), _) => {
                let unreadable = Unreadable { unique_id: Some(expected), ..unreadable };
                tell(self.events, FeedEvent::Unreadable(self.one.kind, unreadable)).await
            }
            (None, Some(entry)) => tell(self.events, entry.event()).await,
            (None, None) => Ok(()),
        }
    }

    /// Somebody who left this base; of several bases it may not have been the last one.
    async fn gone(&self, id: String) -> Result<(), Stop> {
        if self.one.several {
            return self.reread(id).await;
        }
        tell(self.events, FeedEvent::Gone(self.one.kind, id)).await
    }

    /// How somebody is now, in whatever base.
    async fn reread(&self, id: String) -> Result<(), Stop> {
        let feed = self.feed;
        let reach = Reach::lease(&feed.reader, &feed.inner.settings.slug);
        let there = match self.one.kind {
            Kind::User => people::read(reach, &feed.inner.settings, &id, None, &feed.wanted).await?.map(Told::event),
            Kind::Group => self.group(reach, &id).await?.map(Told::event),
        };
        tell(self.events, there.unwrap_or(FeedEvent::Gone(self.one.kind, id))).await
    }

    /// The group with that unique ID, in whatever base.
    async fn group(&self, reach: Reach<'_>, id: &str) -> Result<Option<GroupEntry>, DirectoryError> {
        let settings = &self.feed.inner.settings;
        for base in &self.one.search.bases {
            let bears = ids::filter(&settings.users.unique_id, id);
            let filter = Filter::all([self.one.search.filter.clone(), bears]);
            let request = SearchRequest::new(base, Scope::Subtree, filter).attributes(&self.one.search.attributes);
            let outcome = reach.search(&request).await?;
            if let Some(why) = shortcoming(&outcome, base) {
                return Err(failed(&settings.slug, &request, why));
            }
            let found = inside(outcome, base, Scope::Subtree);
            let found = found.map_err(|error| failed(&settings.slug, &request, error.to_string()))?;
            if let Some((dn, entry)) = found.into_iter().next() {
                return Ok(GroupEntry::take(settings, dn, entry).entry);
            }
        }
        Ok(None)
    }
}

/// Why a changed group needs a full read under `memberOf`: what becomes of the people in it is written without a
/// trace that feeds could follow (OpenLDAP's overlay changes neither their `entryCSN` nor their `modifyTimestamp`).
pub(super) fn untold(group: &str) -> String {
    format!("the group {group} has changed, and under members = \"memberOf\" nobody tells for whom")
}

/// What is told of an entry that is there.
pub(super) trait Told: Listed {
    fn event(self) -> FeedEvent;
}

impl Told for Person {
    fn event(self) -> FeedEvent {
        FeedEvent::Person(Box::new(self))
    }
}

impl Told for GroupEntry {
    fn event(self) -> FeedEvent {
        FeedEvent::Group(self)
    }
}
