//! Following a source's change feed without end, while serving: whoever is shut out in the directory is out here within
//! a second. Over any number of replicas one follows; the lease of a dead one ends by itself. What that one does is in `follower`.

use super::follower::{Ended, Follower, PAUSE, RETRY};
use super::lease::{self, Held};
use crate::engine::{ActiveSource, Engine, chain};
use crate::events::Event;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks at whether another replica still follows.
const STANDBY: Duration = Duration::from_secs(5);
/// For so long after a new configuration the follower under the old one is about to give the lease back.
const HANDOVER: Duration = Duration::from_secs(3);

impl Engine {
    /// Follows a source for as long as it is configured so. Ends when its configuration has changed.
    pub async fn follow(&self, source: &Arc<ActiveSource>) {
        let began = Instant::now();
        loop {
            if !self.is_current(source) {
                return;
            }
            match lease::take(self, format!("live:{}", source.slug)).await {
                Ok(Some(held)) => {
                    if let Ended::Reconfigured = Box::pin(self.follow_with(source, held)).await {
                        return;
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    self.trouble(source, &chain(&error));
                    sleep(RETRY).await;
                    continue;
                }
            }
            sleep(if began.elapsed() < HANDOVER { PAUSE } else { STANDBY }).await;
        }
    }

    /// Follows until another one does, or the source is another one. Whatever is being written then is given up in good
    /// order: nothing is left under way, nor the lease of those who write.
    async fn follow_with(&self, source: &Arc<ActiveSource>, held: Held) -> Ended {
        let ended = Follower::new(self, source, held.loss()).run().await;
        held.give_back().await;
        ended
    }

    /// Whether this very source is in service and to be followed.
    pub(super) fn is_current(&self, source: &Arc<ActiveSource>) -> bool {
        !self.is_stopping()
            && source.sync.live
            && self.source(&source.slug).is_some_and(|current| Arc::ptr_eq(&current, source))
    }

    pub(super) fn trouble(&self, source: &ActiveSource, detail: &str) {
        tracing::warn!(target: "bindery_core::live", source = source.slug, detail, "the change feed is not being followed; trying again");
        self.tell(&Event::DirectoryError { source: source.slug.clone(), detail: detail.to_owned() });
    }
}
