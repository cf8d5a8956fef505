//! How far a feed has been followed, as it is kept: which server said so, of which searches, and its cookies.
//!
//! Everything here is data. Whether a position still counts is decided from what it holds and what the server
//! says of itself now; in doubt it does not.

use super::Kind;
use super::changes::{FeedKind, Position};
use super::entries::Search;
use bindery_ldap::Scope;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Octets of a cookie that are kept; a longer one is none.
pub(super) const MAX_COOKIE: usize = 64 << 10;

/// What a syncrepl position holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cookies {
    /// The server that gave them.
    pub(super) server: String,
    pub(super) searches: Vec<Searched>,
}

/// One search, and where it has got to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Searched {
    #[serde(flatten)]
    pub(super) of: Searching,
    /// In base64.
    pub(super) cookie: String,
}

/// What is searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Searching {
    pub(super) kind: String,
    pub(super) base: String,
    pub(super) scope: String,
    pub(super) filter: String,
    pub(super) unique_id: String,
}

/// What a `modifyTimestamp` position holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Clock {
    /// The server whose clock it is.
    pub(super) server: String,
    pub(super) searches: Vec<Searching>,
    /// Everything up to this time has been read.
    pub(super) time: String,
}

impl Searching {
    /// One for each base.
    pub(super) fn of(kind: Kind, search: &Search, unique_id: &str) -> Vec<Self> {
        let scope = match search.scope {
            Scope::Base => "base",
            Scope::One => "one",
            Scope::Subtree => "subtree",
        };
        let one = |base: &bindery_ldap::Dn| Self {
            kind: kind.name().to_owned(),
            base: base.key(),
            scope: scope.to_owned(),
            filter: search.filter.to_string(),
            unique_id: unique_id.to_ascii_lowercase(),
        };
        search.bases.iter().map(one).collect()
    }
}

impl Cookies {
    pub(super) fn position(&self) -> Position {
        Position { kind: FeedKind::Syncrepl, state: serde_json::to_value(self).unwrap_or_default() }
    }
}

impl Clock {
    pub(super) fn position(&self) -> Position {
        Position { kind: FeedKind::ModifyTimestamp, state: serde_json::to_value(self).unwrap_or_default() }
    }
}

/// Change sequence numbers of OpenLDAP by server ID: `TIME#COUNT#SID#MOD`, which compare as texts.
pub(super) type Csns = BTreeMap<String, String>;

/// Those of a `contextCSN`, or of the `csn=` part of a cookie.
pub(super) fn csns<'a>(values: impl IntoIterator<Item = &'a str>) -> Csns {
    let mut csns = Csns::new();
    for csn in values {
        let parts: Vec<&str> = csn.split('#').collect();
        let [_, _, sid, _] = parts[..] else { continue };
        let newest = csns.entry(sid.to_owned()).or_default();
        if csn > newest.as_str() {
            csn.clone_into(newest);
        }
    }
    csns
}

/// Those of a cookie of OpenLDAP: `rid=000,sid=001,csn=…;…`.
pub(super) fn cookie_csns(cookie: &[u8]) -> Csns {
    let text = std::str::from_utf8(cookie).unwrap_or_default();
    let part = text.split(',').find_map(|part| part.strip_prefix("csn="));
    csns(part.unwrap_or_default().split(';'))
}

/// Why a cookie does not count at a server, as far as can be told before it is offered.
pub(super) fn doubt(cookie: &[u8], given_by: &str, server: &str, context: Option<&Csns>) -> Option<String> {
    let spelled_as_openldap = cookie.starts_with(b"rid=");
    let cookie = cookie_csns(cookie);
    // With such a one OpenLDAP begins anew and says that it did not.
    if cookie.is_empty() && (spelled_as_openldap || context.is_some()) {
        return Some("the position holds no change sequence number".to_owned());
    }
    let moved = given_by != server;
    let Some(context) = context.filter(|context| !context.is_empty()) else {
        return moved.then(|| format!("the position is of another server ({given_by}, not {server})"));
    };
    // Without server IDs of their own any two servers look alike.
    let told_apart = !cookie.is_empty() && cookie.keys().all(|sid| sid != "000" && context.contains_key(sid));
    if moved && !told_apart {
        return Some(format!(
            "the position is of another server ({given_by}, not {server}), and no server ID says that they replicate"
        ));
    }
    let newer = cookie.iter().find(|(sid, csn)| context.get(*sid).is_none_or(|there| there < *csn));
    newer.map(|(_, csn)| format!("{server} is behind the position ({csn}): it was restored, or lags"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "20261122050000.000000Z#000000#001#000000";
    const NEW: &str = "20261122060000.000000Z#000000#001#000000";
    const OTHER: &str = "20261122050000.000000Z#000000#002#000000";
    const ALONE: &str = "20261122050000.000000Z#000000#000#000000";

    fn cookie(csns: &[&str]) -> Vec<u8> {
        format!("rid=000,csn={}", csns.join(";")).into_bytes()
    }

    fn doubted(cookie_csns: &[&str], server: &str, context: &[&str]) -> bool {
        let context = csns(context.iter().copied());
        doubt(&cookie(cookie_csns), "ldap://a", server, Some(&context)).is_some()
    }

    #[test]
    fn the_same_server_counts_until_it_is_behind() {
        assert!(!doubted(&[OLD], "ldap://a", &[OLD]));
        assert!(!doubted(&[OLD], "ldap://a", &[NEW]));
        assert!(doubted(&[NEW], "ldap://a", &[OLD]), "restored");
        assert!(doubted(&[OLD, OTHER], "ldap://a", &[OLD]), "one part is gone");
        assert!(!doubted(&[ALONE], "ldap://a", &[ALONE]));
        assert!(!doubted(&[ALONE], "ldap://a", &[]), "nobody says");
    }

    #[test]
    fn another_server_counts_only_in_one_replication() {
        assert!(!doubted(&[OLD], "ldap://b", &[OLD, OTHER]));
        assert!(doubted(&[OLD], "ldap://b", &[OTHER]));
        assert!(doubted(&[ALONE], "ldap://b", &[ALONE]), "every server without an ID has this one");
        assert!(doubted(&[OLD], "ldap://b", &[]));
        assert!(doubted(&[], "ldap://b", &[OLD]));
        assert!(doubted(&[], "ldap://a", &[OLD]));
        assert!(doubt(b"rid=000", "ldap://a", "ldap://a", None).is_some());
        assert!(doubt(b"host:389#cn=x:dc=x:(a=b)#7", "ldap://a", "ldap://b", None).is_some());
        assert!(doubt(b"host:389#cn=x:dc=x:(a=b)#7", "ldap://a", "ldap://a", None).is_none());
    }

    #[test]
    fn nonsense_is_no_csn() {
        assert!(csns(["", "a#b", "a#b#c#d#e"]).is_empty());
        assert!(cookie_csns(&[0xff]).is_empty());
    }
}
