//! Who is linked to which entry of a source: a small record each, so that a million fit into little memory.

use crate::reconcile::{Fingerprint, digest};
use bindery_store::SyncedLink;
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
///
/// Lists in the order of the keys: a table would be half empty, and twice as large for a moment each time that it grows. There are
/// several, by the first octet of the key, so that none of them is large when it grows.
#[derive(Debug)]
pub(super) struct Links {
    lists: Vec<Vec<(Key, Known)>>,
    active: u64,
    len: u64,
}

impl Default for Links {
    fn default() -> Self {
        Self { lists: vec![Vec::new(); 256], active: 0, len: 0 }
    }
}

#[cfg(test)]
impl FromIterator<SyncedLink> for Links {
    fn from_iter<I: IntoIterator<Item = SyncedLink>>(links: I) -> Self {
        let mut gathered = Gathering::default();
        links.into_iter().for_each(|link| gathered.add(&link));
        gathered.finish()
    }
}

/// Links that are being read.
#[derive(Default)]
pub(super) struct Gathering(Links);

impl Gathering {
    pub(super) fn add(&mut self, link: &SyncedLink) {
        let fingerprint = link.fingerprint.as_deref().and_then(Fingerprint::from_bytes);
        let known = Known { entity: link.entity_id, fingerprint, active: link.active, seen: false };
        let key = key(&link.unique_id);
        self.0.active += u64::from(link.active);
        self.0.len += 1;
        let Some(list) = self.0.lists.get_mut(usize::from(key[0])) else { return };
        if list.len() == list.capacity() {
            list.reserve_exact(list.len() / 8 + 1);
        }
        list.push((key, known));
    }

    pub(super) fn finish(mut self) -> Links {
        for list in &mut self.0.lists {
            list.sort_unstable_by_key(|(key, _)| *key);
        }
        self.0
    }
}

impl Links {
    /// Notes that an entry is there; answers with its link as it was stored, and whether it had been noted before.
    pub(super) fn see(&mut self, unique_id: &str) -> Option<(Known, bool)> {
        let key = key(unique_id);
        let list = self.lists.get_mut(usize::from(key[0]))?;
        let at = list.binary_search_by_key(&key, |(own, _)| *own).ok()?;
        let (_, known) = list.get_mut(at)?;
        let before = std::mem::replace(&mut known.seen, true);
        Some((*known, before))
    }

    /// Everybody whose entry has not been seen.
    pub(super) fn unseen(&self) -> impl Iterator<Item = Known> + '_ {
        self.lists.iter().flatten().map(|(_, known)| *known).filter(|known| !known.seen)
    }

    /// How many there are that may sign in: what a percentage of removals is taken of.
    pub(super) fn active(&self) -> u64 {
        self.active
    }

    pub(super) fn len(&self) -> u64 {
        self.len
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
        let mut links: Links = [link("a", true), link("b", false)].into_iter().collect();
        assert_eq!((links.active(), links.len()), (1, 2));
        assert!(matches!(links.see("a"), Some((_, false))));
        assert!(matches!(links.see("a"), Some((_, true))), "twice");
        assert!(links.see("c").is_none());
        assert_eq!(links.unseen().count(), 1);
    }

    #[test]
    fn everybody_of_many_is_found() {
        let name = |number: usize| format!("entry-{number}");
        let mut links: Links = (0..3000).map(|number| link(&name(number), true)).collect();
        assert_eq!(links.len(), 3000);
        assert!((0..3000).filter(|number| *number != 1234).all(|number| links.see(&name(number)).is_some()));
        assert_eq!((links.unseen().count(), links.see("entry-3000").is_some()), (1, false));
    }
}
