//! Changes by `modifyTimestamp`, for servers that keep no better account of them. It sees what is there and was
//! changed, by the server's own clock and with some overlap. It never sees what has left.

use super::about::About;
use super::changes::{Changes, Events, FeedEvent, Position, Since, Stop, doubt, tell};
use super::entries::Search;
use super::listing;
use super::pages::MODIFY_TIMESTAMP;
use super::position::{Clock, Searching};
use super::syncrepl::{self, Told};
use super::{GroupEntry, Kind};
use crate::settings::Members;
use crate::source::Inner;
use crate::{DirectoryError, Person, Wanted};
use bindery_ldap::value::{generalized_time, to_generalized_time};
use bindery_ldap::{Dn, Filter};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use std::time::Duration;

/// What is read again each time: clocks of replicas differ, and what they replicate comes later.
const OVERLAP: TimeDelta = TimeDelta::seconds(30);

fn searching(inner: &Inner, wanted: &Wanted) -> Vec<Searching> {
    let settings = &inner.settings;
    let id = &settings.users.unique_id;
    let mut all = Searching::of(Kind::User, &search::<Person>(inner, wanted), id);
    all.extend(Searching::of(Kind::Group, &search::<GroupEntry>(inner, wanted), id));
    all
}

fn search<T: Told>(inner: &Inner, wanted: &Wanted) -> Search {
    T::search(&inner.settings, wanted)
}

/// The server's time now, from before a full read.
pub(super) async fn position(inner: &Arc<Inner>, wanted: &Wanted) -> Result<Position, DirectoryError> {
    let (server, time) = server_time(inner).await?;
    let (server, time) = if time.is_some() {
        (server, time)
    } else {
        // Nobody tells the time: the newest stamp there is.
        let users = newest::<Person>(inner, wanted).await?;
        let groups = newest::<GroupEntry>(inner, wanted).await?;
        (users.0.or(groups.0).unwrap_or(server), users.1.max(groups.1))
    };
    let time = time.map(to_generalized_time).unwrap_or_default();
    Ok(Clock { server, searches: searching(inner, wanted), time }.position())
}

async fn server_time(inner: &Inner) -> Result<(String, Option<DateTime<Utc>>), DirectoryError> {
    let (settings, words) = (&inner.settings, || "reading the server's time".to_owned());
    let bases: Vec<Dn> = settings.users.base_dn.iter().chain(&settings.groups.base_dn).cloned().collect();
    let read = async |connection: bindery_ldap::Connection| {
        let about = About::read(connection.clone()).await?;
        about.time(&connection, &bases).await
    };
    let (time, server, lease) = inner.servers.begin("feed", words, read).await?;
    lease.keep();
    Ok((server.url.clone(), time))
}

async fn newest<T: Told>(
    inner: &Arc<Inner>,
    wanted: &Wanted,
) -> Result<(Option<String>, Option<DateTime<Utc>>), DirectoryError> {
    let attributes = vec![MODIFY_TIMESTAMP.to_owned()];
    let mut listing = listing::start::<T>(Arc::clone(inner), Search { attributes, ..search::<T>(inner, wanted) });
    while listing.next().await?.is_some() {}
    let told = listing.told();
    Ok((told.server.clone(), told.newest))
}

/// What was changed since a position, once or each `follow`.
pub(super) fn changes(inner: Arc<Inner>, since: &Position, wanted: &Wanted, follow: Option<Duration>) -> Since {
    let Ok(clock) = serde_json::from_value::<Clock>(since.state.clone()) else {
        return Since::Doubt("the position cannot be read".to_owned());
    };
    if clock.searches != searching(&inner, wanted) {
        return Since::Doubt("base, scope, filter or unique ID have changed since".to_owned());
    }
    let Some(time) = generalized_time(&clock.time) else {
        return Since::Doubt("the server tells neither the time nor when entries were changed".to_owned());
    };
    let wanted = wanted.clone();
    Since::Changes(Changes::of(move |events| async move {
        let mut round = Round { inner, wanted, events, clock, time };
        loop {
            round.run().await?;
            let Some(wait) = follow else { return Ok(()) };
            tokio::time::sleep(wait).await;
        }
    }))
}

struct Round {
    inner: Arc<Inner>,
    wanted: Wanted,
    events: Events,
    clock: Clock,
    time: DateTime<Utc>,
}

impl Round {
    async fn run(&mut self) -> Result<(), Stop> {
        // Before the searches: what is changed during them is read next time.
        let (server, now) = server_time(&self.inner).await?;
        self.same(&server).await?;
        if now.is_some_and(|now| goes_back(self.time, now)) {
            let why =
                format!("the clock of {server} is behind the position: it was ahead then, or the server was restored");
            return Err(doubt(&self.events, why).await);
        }
        let users = self.kind::<Person>(Kind::User).await?;
        let groups = self.kind::<GroupEntry>(Kind::Group).await?;
        let reached = now.or(users.max(groups)).unwrap_or(self.time);
        self.time = self.time.max(reached);
        self.clock.time = to_generalized_time(self.time);
        tell(&self.events, FeedEvent::Reached(self.clock.position())).await
    }

    /// Another server has another clock, and may have less.
    async fn same(&self, server: &str) -> Result<(), Stop> {
        if server == self.clock.server {
            return Ok(());
        }
        let why = format!("the position is of another server ({}, not {server})", self.clock.server);
        Err(doubt(&self.events, why).await)
    }

    async fn kind<T: Told>(&self, kind: Kind) -> Result<Option<DateTime<Utc>>, Stop> {
        let Search { filter, mut attributes, bases, scope, page_size } = search::<T>(&self.inner, &self.wanted);
        attributes.push(MODIFY_TIMESTAMP.to_owned());
        let since = to_generalized_time(self.time.checked_sub_signed(OVERLAP).unwrap_or(self.time)).into_bytes();
        let changed = Filter::GreaterOrEqual { attribute: MODIFY_TIMESTAMP.to_owned(), value: since };
        let filter = Filter::all([filter, changed]);
        let mut listing =
            listing::start::<T>(Arc::clone(&self.inner), Search { bases, scope, filter, attributes, page_size });
        while let Some(page) = listing.next().await? {
            let untold = kind == Kind::Group && self.inner.settings.groups.members == Members::MemberOf;
            for entry in page.entries {
                if untold {
                    return Err(doubt(&self.events, syncrepl::untold("below groups.base_dn")).await);
                }
                tell(&self.events, entry.event()).await?;
            }
            for unreadable in page.unreadable {
                tell(&self.events, FeedEvent::Unreadable(kind, unreadable)).await?;
            }
        }
        let (server, newest) = {
            let told = listing.told();
            (told.server.clone().unwrap_or_default(), told.newest)
        };
        self.same(&server).await?;
        let mut short = listing.shortcomings();
        short.retain(|one| one.reason.cuts_short());
        match short.first() {
            Some(one) => {
                let why = format!("the changes below {} could not be read whole: {}", one.base, one.reason.in_words());
                Err(doubt(&self.events, why).await)
            }
            None => Ok(newest),
        }
    }
}

/// Whether a server's time is further behind a position than what is read again each time.
fn goes_back(position: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    position - now > OVERLAP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_ahead_is_noticed() {
        let at = |second: i64| DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap();
        assert!(!goes_back(at(0), at(0)) && !goes_back(at(0), at(3600)) && !goes_back(at(30), at(0)));
        assert!(goes_back(at(31), at(0)) && goes_back(at(86_400), at(60)));
    }
}
