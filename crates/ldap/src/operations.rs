//! The operations under way on one connection, by message ID. Bookkeeping only: no sockets, no time.

use std::collections::{HashMap, VecDeque};

/// How many operations may be under way at once; more wait their turn here. OpenLDAP ends a connection on which
/// more than 100 wait (`conn_max_pending`; 1000 once bound).
pub(crate) const MAX_ACTIVE: usize = 96;
/// How many abandoned operations are remembered: their late answers are expected, and not the server's fault.
const MAX_ABANDONED: usize = 1024;
/// RFC 4511, 4.1.1: maxInt.
const MAX_ID: u32 = i32::MAX as u32;

/// What became of a message ID.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Active,
    Abandoned,
    Unknown,
}

/// Operations of some kind `T`.
#[derive(Debug)]
pub(crate) struct Operations<T> {
    last_id: u32,
    active: HashMap<u32, T>,
    abandoned: VecDeque<u32>,
}

impl<T> Operations<T> {
    /// IDs begin after `last_id`.
    pub(crate) fn new(last_id: u32) -> Self {
        Self { last_id, active: HashMap::new(), abandoned: VecDeque::new() }
    }

    /// Gives an operation an ID that neither one under way nor a remembered abandoned one has. IDs wrap
    /// around; there are always far more of them than operations.
    pub(crate) fn insert(&mut self, operation: T) -> u32 {
        let id = self.unused_id();
        self.active.insert(id, operation);
        id
    }

    /// An ID for a message that nothing answers.
    pub(crate) fn unused_id(&mut self) -> u32 {
        loop {
            self.last_id = if self.last_id >= MAX_ID { 1 } else { self.last_id + 1 };
            if self.standing(self.last_id) == Standing::Unknown {
                return self.last_id;
            }
        }
    }

    pub(crate) fn standing(&self, id: u32) -> Standing {
        if self.active.contains_key(&id) {
            Standing::Active
        } else if self.abandoned.contains(&id) {
            Standing::Abandoned
        } else {
            Standing::Unknown
        }
    }

    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        self.active.get(&id)
    }

    /// Ends an operation that was answered.
    pub(crate) fn remove(&mut self, id: u32) -> Option<T> {
        self.active.remove(&id)
    }

    /// Ends an operation that nobody waits for any more.
    pub(crate) fn abandon(&mut self, id: u32) -> Option<T> {
        let operation = self.active.remove(&id)?;
        if self.abandoned.len() >= MAX_ABANDONED {
            self.abandoned.pop_front();
        }
        self.abandoned.push_back(id);
        Some(operation)
    }

    /// The last answer to an abandoned operation came after all.
    pub(crate) fn forget_abandoned(&mut self, id: u32) {
        self.abandoned.retain(|abandoned| *abandoned != id);
    }

    pub(crate) fn find(&self, wanted: impl Fn(&T) -> bool) -> Option<u32> {
        self.active.iter().find(|(_, operation)| wanted(operation)).map(|(id, _)| *id)
    }

    pub(crate) fn len(&self) -> usize {
        self.active.len()
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.active.drain().map(|(_, operation)| operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_wrap_and_skip_those_in_use() {
        let mut operations = Operations::new(MAX_ID - 2);
        assert_eq!(operations.insert("a"), MAX_ID - 1);
        assert_eq!(operations.insert("b"), MAX_ID);
        assert_eq!(operations.insert("c"), 1);
        assert_eq!(operations.insert("d"), 2);
        operations.abandon(1);
        operations.remove(2);
        operations.last_id = MAX_ID;
        assert_eq!(operations.insert("e"), 2, "1 is abandoned and may still be answered");
        operations.last_id = MAX_ID - 2;
        assert_eq!(operations.insert("f"), 3);
    }

    #[test]
    fn abandoned_operations_are_remembered_but_not_without_bound() {
        let mut operations = Operations::new(0);
        let first = operations.insert(());
        operations.abandon(first);
        assert_eq!(operations.standing(first), Standing::Abandoned);
        for _ in 0..MAX_ABANDONED {
            let id = operations.insert(());
            operations.abandon(id);
        }
        assert_eq!(operations.standing(first), Standing::Unknown);
        assert_eq!(operations.abandoned.len(), MAX_ABANDONED);
        let last = operations.last_id;
        operations.forget_abandoned(last);
        assert_eq!(operations.standing(last), Standing::Unknown);
    }
}
