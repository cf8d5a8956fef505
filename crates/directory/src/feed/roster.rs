//! Who is in which group, for everybody at once: the member lists of all groups, turned round.
//!
//! Answers what [`Source::memberships`] answers, without asking the directory. It holds a digest for each
//! membership, never the member's name.

use super::{GroupEntry, Shortcoming};
use crate::{DirectoryError, GroupSelector, Memberships, Person, Source};

/// All groups of a source and who is in them, at one time.
#[derive(Debug, Default)]
pub struct Roster {}

impl Roster {
    /// The groups of a person, and what is known of the groups that rules name. Equal to what
    /// [`Source::memberships`] would have said at the time the roster was read.
    pub fn memberships(&self, person: &Person) -> Memberships {
        let _ = person;
        todo!()
    }

    /// Every group that was listed. Their `members` are empty: they live on in the roster only.
    pub fn groups(&self) -> &[GroupEntry] {
        todo!()
    }

    /// The groups (by their place in [`groups`](Self::groups)) that a group is directly in; empty where
    /// nesting does not count.
    pub fn parents(&self, group: usize) -> Vec<usize> {
        let _ = group;
        todo!()
    }

    /// Why the listing was not whole. Every group not seen is unknown then.
    pub fn shortcomings(&self) -> &[Shortcoming] {
        todo!()
    }
}

impl Source {
    /// Reads every group, and what is known of the groups that rules name; `listed` hears of each page
    /// (its entries, with members) as it arrives.
    ///
    /// # Errors
    /// As [`super::Listing::next`].
    pub async fn roster(
        &self,
        named: &[GroupSelector],
        listed: &mut (dyn FnMut(&[GroupEntry]) + Send),
    ) -> Result<Roster, DirectoryError> {
        let _ = (named, listed);
        todo!()
    }
}
