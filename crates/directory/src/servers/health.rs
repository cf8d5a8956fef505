//! What is known of one server, and for how long a refused service account is left in peace.

use crate::check::Maker;
use std::time::Duration;
use tokio::time::Instant;

/// After the first refusal; doubled with each further one.
const FIRST_PEACE: Duration = Duration::from_secs(30);
const LONGEST_PEACE: Duration = Duration::from_mins(10);

/// One server's health.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Why it cannot be used.
    pub(crate) down: Option<String>,
    /// Its last word on the service account.
    pub(crate) refused: Option<Refused>,
    /// A task looks at it until it is back.
    pub(crate) probing: bool,
    /// Who made it, once that was asked.
    pub(crate) maker: Maker,
}

impl Health {
    /// Whether it could be used when it was last tried.
    pub(crate) fn is_up(&self) -> bool {
        self.down.is_none() && self.refused.is_none()
    }

    /// What is wrong, in words.
    pub(crate) fn error(&self) -> Option<String> {
        let refused = || self.refused.as_ref().map(|one| format!("the service account was refused: {}", one.detail));
        self.down.clone().or_else(refused)
    }
}

/// A refused service bind.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    /// What the server said.
    pub(crate) detail: String,
    /// When it may be tried again.
    pub(crate) until: Instant,
    /// How long that was.
    pub(crate) wait: Duration,
}

impl Refused {
    /// The next refusal after `earlier`.
    pub(crate) fn after(earlier: Option<Self>, detail: String) -> Self {
        let wait = earlier.map_or(FIRST_PEACE, |one| (one.wait * 2).min(LONGEST_PEACE));
        Self { detail, until: Instant::now() + wait, wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_left_in_peace_for_longer_but_not_for_ever() {
        let mut refused = None;
        let waits: Vec<_> = (0..7)
            .map(|_| {
                let next = Refused::after(refused.take(), "no".to_owned());
                let wait = next.wait.as_secs();
                refused = Some(next);
                wait
            })
            .collect();
        assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600]);
    }
}
