//! What has changed since a position: pushed or polled, behind one seam.
//!
//! syncrepl (RFC 4533) where the server has it, else `modifyTimestamp` with overlap, which sees no deletions.

use super::{GroupEntry, Kind, Unreadable};
use crate::{DirectoryError, Person, Source, Wanted};
use serde::{Deserialize, Serialize};

/// How a server tells of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FeedKind {
    /// RFC 4533: sees deletions, and pushes.
    Syncrepl,
    /// `modifyTimestamp`: sees no deletions, and is polled.
    ModifyTimestamp,
}

/// How far a feed has been followed. Opaque to everybody but the feed that made it; kept as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Which feed.
    pub kind: FeedKind,
    /// What that feed needs to go on.
    pub state: serde_json::Value,
}

/// What a position is good for.
#[derive(Debug)]
pub enum Since {
    /// The changes follow.
    Changes(Changes),
    /// The position is in doubt, and only a full read helps: why, in words.
    Doubt(String),
}

/// One thing that a feed tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum FeedEvent {
    /// This person is there now, like this.
    Person(Box<Person>),
    /// This group is there now, like this.
    Group(GroupEntry),
    /// This entry, by its unique ID, left: deleted, moved out of the base, or past the filter.
    Gone(Kind, String),
    /// An entry that cannot be used.
    Unreadable(Kind, Unreadable),
    /// These (by unique ID) are there as they were. Comes only before [`FeedEvent::RestGone`].
    Present(Kind, Vec<String>),
    /// Of this kind, whoever was not named as present or changed in this feed has left.
    RestGone(Kind),
    /// All that came before counts up to here: to be remembered once it has been applied.
    Reached(Position),
    /// The position is in doubt midway: only a full read helps.
    Doubt(String),
}

/// Changes as they come.
#[derive(Debug)]
pub struct Changes {
    events: tokio::sync::mpsc::Receiver<Result<FeedEvent, DirectoryError>>,
}

impl Changes {
    /// The next event; `None` when a feed that was not to be followed has told everything.
    ///
    /// # Errors
    /// A directory lost, malformed or refusing midway. Nothing follows an error, and nothing is known of what
    /// would have followed.
    pub async fn next(&mut self) -> Result<Option<FeedEvent>, DirectoryError> {
        self.events.recv().await.transpose()
    }
}

impl Source {
    /// How this source's servers tell of changes.
    pub async fn feed_kind(&self) -> Result<FeedKind, DirectoryError> {
        todo!()
    }

    /// The position from which a feed goes on after a full read that begins now.
    pub async fn position(&self, wanted: &Wanted) -> Result<Position, DirectoryError> {
        let _ = wanted;
        todo!()
    }

    /// What has changed since. `follow`: without end, pushed where the server pushes, else asked each `poll`.
    pub async fn changes(
        &self,
        since: &Position,
        wanted: &Wanted,
        follow: Option<std::time::Duration>,
    ) -> Result<Since, DirectoryError> {
        let _ = (since, wanted, follow);
        todo!()
    }
}
