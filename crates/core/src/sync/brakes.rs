//! Whether removals may be carried out. Pure: numbers in, yes or no out.
//!
//! A dropped connection, a changed filter or an emptied tree must never cost a company its users. Too many
//! removals at once wait for a person to look at them.

use crate::config::RemovalLimit;

/// Below this, percent says nothing: of ten people, one is ten percent.
const PERCENT_FROM: u64 = 5;

/// Whether so many removals of so many are within both bounds.
pub(super) fn within(limit: RemovalLimit, removals: u64, of: u64) -> bool {
    removals <= u64::from(limit.count) && within_percent(limit, removals, of)
}

/// Whether so many removals are measured by percent at all.
pub(super) fn goes_by_percent(removals: u64) -> bool {
    removals >= PERCENT_FROM
}

/// Memberships are counted by percent alone.
pub(super) fn within_percent(limit: RemovalLimit, removals: u64, of: u64) -> bool {
    !goes_by_percent(removals) || removals.saturating_mul(100) <= of.saturating_mul(u64::from(limit.percent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DEFAULT: RemovalLimit = RemovalLimit { count: 500, percent: 5 };

    #[test]
    fn the_smaller_bound_holds_and_only_once_it_is_exceeded() {
        assert!(within(DEFAULT, 500, 100_000));
        assert!(!within(DEFAULT, 501, 100_000));
        assert!(within(DEFAULT, 5, 100));
        assert!(!within(DEFAULT, 6, 100));
    }

    #[test]
    fn small_directories_live() {
        assert!(within(DEFAULT, 4, 4));
        assert!(!within(DEFAULT, 5, 5));
        assert!(!within(RemovalLimit { count: 3, percent: 5 }, 4, 4), "the count holds at any size");
    }

    #[test]
    fn nothing_is_allowed_by_a_limit_of_nothing() {
        assert!(within(RemovalLimit { count: 0, percent: 0 }, 0, 0));
        assert!(!within(RemovalLimit { count: 0, percent: 100 }, 1, 100));
    }

    #[test]
    fn memberships_go_by_percent_alone() {
        assert!(within_percent(DEFAULT, 5_000, 100_000));
        assert!(!within_percent(DEFAULT, 5_001, 100_000));
    }

    proptest! {
        #[test]
        fn more_removals_are_never_more_allowed(count in 0u32.., percent in 0u32..=100, n in 0u64.., of in 0u64..) {
            let limit = RemovalLimit { count, percent };
            prop_assert!(within(limit, n, of) || !within(limit, n.saturating_add(1), of));
        }
    }
}
