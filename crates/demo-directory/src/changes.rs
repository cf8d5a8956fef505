//! The log of changes: what live sync follows.

use bindery_ldap::Dn;
use chrono::{DateTime, Utc};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// How many changes are kept. A follower whose position is older begins anew.
const KEPT: usize = 10_000;

/// A change sequence number, written as OpenLDAP writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Csn {
    micros: i64,
    count: u32,
}

impl Csn {
    pub(crate) fn first(at: DateTime<Utc>) -> Self {
        Self { micros: at.timestamp_micros(), count: 0 }
    }

    /// The next one, later than this even where the clock is not.
    fn next(self, at: DateTime<Utc>) -> Self {
        let micros = at.timestamp_micros();
        if micros > self.micros {
            Self { micros, count: 0 }
        } else {
            Self { micros: self.micros, count: self.count.saturating_add(1) }
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('#');
        let at = bindery_ldap::value::generalized_time(parts.next()?)?;
        let count = u32::from_str_radix(parts.next()?, 16).ok()?;
        Some(Self { micros: at.timestamp_micros(), count })
    }
}

impl fmt::Display for Csn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = DateTime::from_timestamp_micros(self.micros).unwrap_or_default();
        write!(f, "{}#{:06x}#000#000000", at.format("%Y%m%d%H%M%S%.6fZ"), self.count)
    }
}

/// What happened to which entry.
#[derive(Debug, Clone)]
pub(crate) enum ChangeKind {
    Added { uuid: Uuid, dn: Dn },
    Modified { uuid: Uuid, dn: Dn },
    Deleted { uuid: Uuid, dn: Dn },
}

impl ChangeKind {
    pub(crate) fn uuid(&self) -> Uuid {
        match self {
            Self::Added { uuid, .. } | Self::Modified { uuid, .. } | Self::Deleted { uuid, .. } => *uuid,
        }
    }

    pub(crate) fn dn(&self) -> &Dn {
        match self {
            Self::Added { dn, .. } | Self::Modified { dn, .. } | Self::Deleted { dn, .. } => dn,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub csn: Csn,
    pub kind: ChangeKind,
}

/// The changes since `floor`.
pub(crate) struct Log {
    floor: Csn,
    last: Csn,
    changes: VecDeque<Arc<Change>>,
}

impl Log {
    pub(crate) fn new(first: Csn) -> Self {
        Self { floor: first, last: first, changes: VecDeque::new() }
    }

    /// The position reached.
    pub(crate) fn last(&self) -> Csn {
        self.last
    }

    pub(crate) fn next_csn(&self, at: DateTime<Utc>) -> Csn {
        self.last.next(at)
    }

    pub(crate) fn push(&mut self, change: Arc<Change>) {
        self.last = change.csn;
        self.changes.push_back(change);
        while self.changes.len() > KEPT {
            if let Some(oldest) = self.changes.pop_front() {
                self.floor = oldest.csn;
            }
        }
    }

    /// What happened after a position; none where the log does not reach back to it, or never was there.
    pub(crate) fn since(&self, position: Csn) -> Option<Vec<Arc<Change>>> {
        (self.floor <= position && position <= self.last)
            .then(|| self.changes.iter().filter(|change| change.csn > position).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("in range")
    }

    #[test]
    fn positions_only_grow_and_round_trip() {
        let first = Csn::first(at(1_700_000_000));
        let same = first.next(at(1_700_000_000));
        let back = same.next(at(1));
        let later = back.next(at(1_700_000_001));
        assert!(first < same && same < back && back < later);
        assert_eq!(back.to_string(), "20231114221320.000000Z#000002#000#000000");
        assert_eq!(Csn::parse(&back.to_string()), Some(back));
        assert_eq!(Csn::parse("nonsense"), None);
    }

    #[test]
    fn positions_out_of_reach_are_none() {
        let mut log = Log::new(Csn::first(at(10)));
        let position = log.last();
        for seconds in 0..=i64::try_from(KEPT).expect("small") {
            let csn = log.next_csn(at(20 + seconds));
            log.push(Arc::new(Change { csn, kind: ChangeKind::Deleted { uuid: Uuid::nil(), dn: Dn::root() } }));
        }
        assert!(log.since(position).is_none());
        assert_eq!(log.since(log.last()).map(|changes| changes.len()), Some(0));
        assert!(log.since(Csn::first(at(99_999_999))).is_none());
        assert_eq!(log.since(Csn::first(at(20))).map(|changes| changes.len()), Some(KEPT));
    }
}
