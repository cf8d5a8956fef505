//! What became of entries, each counted once: a run that has to begin again meets those a second time of whom it has written
//! before, and they are not "unchanged" for that.
//!
//! Counts only. Whoever left is in no count of those who were seen.

use super::outcome::Action;
use super::report::Tally;
use std::collections::HashMap;

/// By unique ID.
#[derive(Debug, Default)]
pub(super) struct Once {
    /// What was made of them so far, where a run may have to begin again.
    noted: HashMap<String, Action>,
    /// What was made of those before it began again who were not met since.
    before: HashMap<String, Action>,
}

impl Once {
    /// Counts what became of an entry that was seen; answers with what that was all in all.
    pub(super) fn count(&mut self, tally: &mut Tally, unique_id: &str, action: Action) -> Action {
        let action = self.take_back(tally, unique_id).map_or(action, |before| before.then(action));
        *tally.of(action) += 1;
        action
    }

    /// The same of one that has to be known if the run begins again.
    pub(super) fn count_and_note(&mut self, tally: &mut Tally, unique_id: &str, action: Action) -> Action {
        let counted = self.count(tally, unique_id, action);
        if !matches!(action, Action::Nothing | Action::Skip) {
            self.noted.insert(unique_id.to_owned(), action);
        }
        counted
    }

    /// More became of somebody than nothing, for which they were counted.
    pub(super) fn was_more(&mut self, tally: &mut Tally, unique_id: &str, notes: bool) {
        tally.unchanged = tally.unchanged.saturating_sub(1);
        tally.updated += 1;
        if notes {
            self.noted.insert(unique_id.to_owned(), Action::Update);
        }
    }

    /// Somebody is counted anew, for whatever else: what they were counted for before the run began again is taken back.
    pub(super) fn take_back(&mut self, tally: &mut Tally, unique_id: &str) -> Option<Action> {
        let before = self.before.remove(unique_id)?;
        tally.seen = tally.seen.saturating_sub(1);
        let count = tally.of(before);
        *count = count.saturating_sub(1);
        Some(before)
    }

    /// All are looked at after all. Those of whom something was written count as seen and for that until they are met again.
    pub(super) fn begin_again(&mut self, tally: &mut Tally) {
        self.before.extend(self.noted.drain());
        *tally = Tally { seen: self.before.len() as u64, unchanged: 0, skipped: 0, failed: 0, ..*tally };
    }
}

impl Action {
    /// What two things come to of which one was done after the other.
    fn then(self, after: Self) -> Self {
        match (self, after) {
            (before, Self::Nothing | Self::Skip) => before,
            (Self::Create, Self::Update | Self::Reactivate) => Self::Create,
            (Self::Reactivate, Self::Update) => Self::Reactivate,
            (_, after) => after,
        }
    }
}

impl Tally {
    /// Where somebody of whom this becomes is counted.
    fn of(&mut self, action: Action) -> &mut u64 {
        match action {
            Action::Create => &mut self.created,
            Action::Update => &mut self.updated,
            Action::Nothing => &mut self.unchanged,
            Action::Deactivate => &mut self.deactivated,
            Action::Reactivate => &mut self.reactivated,
            Action::Skip => &mut self.skipped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(tally: &Tally) -> u64 {
        tally.actions().iter().map(|(_, count)| count).sum()
    }

    #[test]
    fn who_is_met_again_is_counted_once() {
        let (mut once, mut tally) = (Once::default(), Tally::default());
        let first =
            [("new", Action::Create), ("other", Action::Update), ("same", Action::Nothing), ("out", Action::Skip)];
        for (unique_id, action) in first {
            tally.seen += 1;
            once.count_and_note(&mut tally, unique_id, action);
        }
        // Two left.
        tally.deleted += 2;
        assert_eq!((tally.seen, counted(&tally)), (4, 6));
        once.begin_again(&mut tally);
        assert_eq!(tally, Tally { seen: 2, created: 1, updated: 1, deleted: 2, ..Tally::default() });
        for (unique_id, action) in [("new", Action::Update), ("same", Action::Nothing), ("next", Action::Nothing)] {
            tally.seen += 1;
            once.count(&mut tally, unique_id, action);
        }
        assert_eq!(tally, Tally { seen: 4, created: 1, updated: 1, unchanged: 2, deleted: 2, ..Tally::default() });
        // They fail now: that is all there is to say of them.
        tally.seen += 1;
        tally.failed += 1;
        assert_eq!(once.take_back(&mut tally, "other"), Some(Action::Update));
        let last = Tally { seen: 4, created: 1, unchanged: 2, failed: 1, deleted: 2, ..Tally::default() };
        assert_eq!(tally, last);
        assert_eq!(once.take_back(&mut tally, "other"), None, "once");
    }

    #[test]
    fn the_last_word_counts_unless_it_says_nothing() {
        for (before, after, both) in [
            (Action::Create, Action::Nothing, Action::Create),
            (Action::Create, Action::Update, Action::Create),
            (Action::Create, Action::Deactivate, Action::Deactivate),
            (Action::Update, Action::Skip, Action::Update),
            (Action::Deactivate, Action::Reactivate, Action::Reactivate),
            (Action::Reactivate, Action::Update, Action::Reactivate),
        ] {
            assert_eq!(before.then(after), both, "{before:?} {after:?}");
        }
    }
}
