//! Who is linked to which entry of a source: a small record each, so that a million fit into little memory.

use crate::reconcile::{Fingerprint, digest};
use bindery_store::SyncedLink;
use std::collections::HashMap;
use uuid::Uuid;

/// Half a BLAKE3 digest of a unique ID: fixed in size, and nobody can make two alike.
type Key = [u8; 16];

fn key(unique_id: &str) -> Key {
    digest(unique_id.as_bytes())
}

/// What is known of a link.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) entity: Uuid,
    pub(super) fingerprint: Option<Fingerprint>,
    /// Whether its user may sign in; always so for a group.
    pub(super) active: bool,
    seen: bool,
}

#[cfg(test)]
impl Known {
    pub(super) fn new(entity: Uuid, fingerprint: Option<Fingerprint>, active: bool) -> Self {
        Self { entity, fingerprint, active, seen: false }
    }
}

/// The links of one kind.
#[derive(Debug, Default)]
pub(super) struct Links {
    known: HashMap<Key, Known>,
    active: u64,
}

impl Links {
    pub(super) fn add(&mut self, link: &SyncedLink) {
        let fingerprint = link.fingerprint.as_deref().and_then(Fingerprint::from_bytes);
        let known = Known { entity: link.entity_id, fingerprint, active: link.active, seen: false };
        self.active += u64::from(link.active);
        self.known.insert(key(&link.unique_id), known);
    }

    /// Notes that an entry is there; answers with its link as it was stored, and whether it had been noted before.
    pub(super) fn see(&mut self, unique_id: &str) -> Option<(Known, bool)> {
        let known = self.known.get_mut(&key(unique_id))?;
        let before = std::mem::replace(&mut known.seen, true);
        Some((*known, before))
    }

    /// Everybody whose entry has not been seen.
    pub(super) fn unseen(&self) -> impl Iterator<Item = Known> + '_ {
        self.known.values().filter(|known| !known.seen).copied()
    }

    /// How many there are that may sign in: what a percentage of removals is taken of.
    pub(super) fn active(&self) -> u64 {
        self.active
    }

    pub(super) fn len(&self) -> u64 {
        self.known.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(unique_id: &str, active: bool) -> SyncedLink {
        let (unique_id, entity_id) = (unique_id.to_owned(), Uuid::from_u128(7));
        SyncedLink { unique_id, entity_id, fingerprint: None, active, deactivated_by: None }
    }

    #[test]
    fn what_is_not_seen_is_missing() {
        let mut links = Links::default();
        links.add(&link("a", true));
        links.add(&link("b", false));
        assert_eq!((links.active(), links.len()), (1, 2));
        assert!(matches!(links.see("a"), Some((_, false))));
        assert!(matches!(links.see("a"), Some((_, true))), "twice");
        assert!(links.see("c").is_none());
        assert_eq!(links.unseen().count(), 1);
    }
}
