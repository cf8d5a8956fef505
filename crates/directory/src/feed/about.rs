//! What a server says of itself, as far as feeds need to know: its root DSE, and the state of its databases.

use super::changes::FeedKind;
use super::position::{Csns, csns};
use crate::SourceSettings;
use crate::servers::{is_busy, root_dse};
use bindery_ldap::control::{ControlValue as _, SyncRequest};
use bindery_ldap::value::generalized_time;
use bindery_ldap::{Connection, Dn, Error, Filter, Scope, SearchRequest};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// OpenLDAP's and 389-DS's unique IDs, which are what syncrepl names entries by.
const ENTRY_UUID: &str = "entryUUID";
const NS_UNIQUE_ID: &str = "nsUniqueId";

const ASKED: &[&str] = &["supportedControl", "namingContexts", "currentTime", "firstchangenumber", "lastchangenumber"];

/// One server.
#[derive(Debug, Clone)]
pub(super) struct About {
    /// It offers RFC 4533.
    syncrepl: bool,
    /// Where its databases begin.
    contexts: Vec<Dn>,
    /// Its clock, where it shows one.
    clock: Option<DateTime<Utc>>,
    /// The first change that 389-DS still knows of.
    first_change: Option<u64>,
    /// The last one.
    last_change: Option<u64>,
}

impl About {
    pub(super) async fn read(connection: Connection) -> Result<Self, Error> {
        let outcome = connection.search(root_dse(ASKED)?).await?;
        if is_busy(&outcome.result) {
            return Err(Error::Refused { operation: "search", result: outcome.result });
        }
        let Some(root) = outcome.entries.first() else {
            return Ok(Self { syncrepl: false, contexts: vec![], clock: None, first_change: None, last_change: None });
        };
        Ok(Self {
            syncrepl: root.texts("supportedControl").any(|oid| oid == SyncRequest::OID),
            contexts: root.texts("namingContexts").filter_map(|text| Dn::parse(text).ok()).collect(),
            clock: root.text("currentTime").and_then(generalized_time),
            first_change: root.text("firstchangenumber").and_then(|number| number.parse().ok()),
            last_change: root.text("lastchangenumber").and_then(|number| number.parse().ok()),
        })
    }

    pub(super) fn feed_kind(&self, settings: &SourceSettings) -> FeedKind {
        let known_by_uuid = is(settings, ENTRY_UUID) || is(settings, NS_UNIQUE_ID);
        if self.syncrepl && known_by_uuid { FeedKind::Syncrepl } else { FeedKind::ModifyTimestamp }
    }

    /// Why a cookie of 389-DS (`…#CHANGE`) does not count: it takes any, and tells what it still knows.
    pub(super) fn forgotten(&self, cookie: &[u8]) -> Option<String> {
        match (change(cookie), self.first_change) {
            (Some(change), Some(first)) if first <= change.saturating_add(1) => None,
            (Some(change), Some(first)) => {
                Some(format!("the changelog begins at change {first}, and the position is change {change}"))
            }
            _ => Some("nobody can say whether the changelog still reaches back to the position".to_owned()),
        }
    }

    /// Whether the changelog is ahead of a cookie that was given after it was looked at. 389-DS 2.3 on LMDB gives
    /// such ones (`…#0`), and ends when it gets them back.
    pub(super) fn is_ahead(&self, cookie: &[u8]) -> bool {
        self.last_change.is_some_and(|last| change(cookie).is_none_or(|change| change < last))
    }

    /// The state of the database that holds a base (OpenLDAP's `contextCSN`), where it may be read.
    pub(super) async fn state(&self, connection: &Connection, base: &Dn) -> Result<Option<Csns>, Error> {
        let holds = self.contexts.iter().filter(|context| !context.is_root() && base.is_within(context));
        let Some(context) = holds.max_by_key(|context| context.depth()) else { return Ok(None) };
        let request =
            SearchRequest::new(context, Scope::Base, Filter::present("objectClass")).attributes(["contextCSN"]);
        let outcome = connection.search(request).await?;
        Ok(outcome.entries.first().map(|entry| csns(entry.texts("contextCSN"))).filter(|csns| !csns.is_empty()))
    }

    /// The time by which the server stamps entries: its clock, else that of the last change to a base's database.
    pub(super) async fn time(&self, connection: &Connection, bases: &[Dn]) -> Result<Option<DateTime<Utc>>, Error> {
        if self.clock.is_some() {
            return Ok(self.clock);
        }
        let mut oldest: Option<DateTime<Utc>> = None;
        for base in bases {
            let Some(state) = self.state(connection, base).await? else { return Ok(None) };
            let newest = state.values().filter_map(|csn| generalized_time(csn.split('#').next()?)).max();
            let Some(newest) = newest else { return Ok(None) };
            oldest = Some(oldest.map_or(newest, |oldest| oldest.min(newest)));
        }
        Ok(oldest)
    }
}

/// Whether positions belong to one search each, and every refresh ends alike, as at 389-DS.
pub(super) fn one_position_a_search(settings: &SourceSettings) -> bool {
    is(settings, NS_UNIQUE_ID)
}

/// The text form of the unique ID that syncrepl names an entry by.
pub(super) fn unique_id(settings: &SourceSettings, uuid: Uuid) -> String {
    let plain = uuid.as_simple().to_string();
    if !is(settings, NS_UNIQUE_ID) {
        return uuid.to_string();
    }
    // Its own grouping: eight digits four times.
    let digits = plain.as_bytes().chunks(8).map(String::from_utf8_lossy);
    digits.collect::<Vec<_>>().join("-")
}

/// The change that a cookie of 389-DS names.
fn change(cookie: &[u8]) -> Option<u64> {
    let (_, change) = std::str::from_utf8(cookie).ok()?.rsplit_once('#')?;
    change.parse().ok()
}

fn is(settings: &SourceSettings, attribute: &str) -> bool {
    settings.users.unique_id.eq_ignore_ascii_case(attribute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changelog_that_was_cut_is_noticed() {
        let about =
            |first_change| About { syncrepl: true, contexts: vec![], clock: None, first_change, last_change: None };
        let cookie = b"host:389#cn=x:dc=x:(a=b)#37";
        for (first, forgotten) in [(Some(1), false), (Some(38), false), (Some(39), true), (None, true)] {
            assert_eq!(about(first).forgotten(cookie).is_some(), forgotten, "{first:?}");
        }
        assert!(about(Some(1)).forgotten(b"host:389#x").is_some());
        let ahead = About { last_change: Some(38), ..about(Some(1)) };
        assert!(ahead.is_ahead(cookie) && ahead.is_ahead(b"host:389#x#0") && !ahead.is_ahead(b"host:389#x#38"));
    }
}
