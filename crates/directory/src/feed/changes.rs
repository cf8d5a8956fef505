//! What has changed since a position: pushed or polled, behind one seam.
//!
//! syncrepl (RFC 4533) where the server has it, else `modifyTimestamp` with overlap, which sees no deletions.

use super::about::About;
use super::{GroupEntry, Kind, Unreadable, polled, syncrepl};
use crate::{DirectoryError, Person, Source, SourceSettings, Wanted};
use bindery_ldap::{Connection, Error};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Events that wait to be taken.
const AHEAD: usize = 256;

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

impl Position {
    /// Whether it was given by a server of that URL. Only together with what that server lists is it of any use.
    pub fn is_of(&self, server: &str) -> bool {
        self.state.get("server").and_then(serde_json::Value::as_str) == Some(server)
    }
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
    /// Of this kind these are there, by unique ID, whether or not anything was told of them; everybody else has left.
    Only(Kind, HashSet<String>),
    /// All that came before counts up to here: to be remembered once it has been applied.
    Reached(Position),
    /// The position is in doubt midway: only a full read helps.
    Doubt(String),
}

/// Where a feed puts what it tells.
pub(super) type Events = mpsc::Sender<Result<FeedEvent, DirectoryError>>;

/// Why a feed ended early.
pub(super) enum Stop {
    Failed(DirectoryError),
    /// Everything is said: the position is in doubt, or nobody listens.
    Over,
}

impl From<DirectoryError> for Stop {
    fn from(error: DirectoryError) -> Self {
        Self::Failed(error)
    }
}

/// Says one thing.
pub(super) async fn tell(events: &Events, event: FeedEvent) -> Result<(), Stop> {
    events.send(Ok(event)).await.map_err(|_| Stop::Over)
}

/// Says that only a full read helps, and ends.
pub(super) async fn doubt(events: &Events, why: String) -> Stop {
    tell(events, FeedEvent::Doubt(why)).await.err().unwrap_or(Stop::Over)
}

/// Changes as they come. Dropping them ends the feed, and abandons what was asked.
#[derive(Debug)]
pub struct Changes {
    events: mpsc::Receiver<Result<FeedEvent, DirectoryError>>,
    task: AbortHandle,
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Changes {
    /// What a task tells.
    pub(super) fn of<F>(work: impl FnOnce(Events) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<(), Stop>> + Send + 'static,
    {
        let (sender, events) = mpsc::channel(AHEAD);
        let task = tokio::spawn(async move {
            if let Err(Stop::Failed(error)) = work(sender.clone()).await {
                // Whoever does not listen any more need not know.
                let _ = sender.send(Err(error)).await;
            }
        });
        Self { events, task: task.abort_handle() }
    }

    /// The next event; `None` when a feed that was not to be followed has told everything.
    ///
    /// # Errors
    /// A directory lost, malformed or refusing midway. Nothing follows an error, and nothing is known of what
    /// would have followed.
    pub async fn next(&mut self) -> Result<Option<FeedEvent>, DirectoryError> {
        self.events.recv().await.transpose()
    }
}

/// How the server at the other end tells of changes.
pub(crate) async fn kind_at(connection: Connection, settings: &SourceSettings) -> Result<FeedKind, Error> {
    Ok(About::read(connection).await?.feed_kind(settings))
}

impl Source {
    /// How this source's servers tell of changes, by what they offer. A database that does not keep what its server
    /// offers is noticed by [`position`](Self::position), whose `kind` is the one that counts.
    ///
    /// # Errors
    /// No server can be asked.
    pub async fn feed_kind(&self) -> Result<FeedKind, DirectoryError> {
        self.inner.need_service_account("following changes")?;
        let describe = || "reading the root DSE".to_owned();
        let about = self.inner.servers.read("feed", describe, About::read).await?;
        Ok(about.feed_kind(&self.inner.settings))
    }

    /// The position from which a feed goes on after a full read that begins now.
    ///
    /// At 389-DS, whose positions belong to one search, and at servers that tell neither the time nor their state
    /// this reads every entry once, without its attributes.
    ///
    /// # Errors
    /// No server can be asked, or it fails midway.
    pub async fn position(&self, wanted: &Wanted) -> Result<Position, DirectoryError> {
        self.inner.need_service_account("following changes")?;
        match syncrepl::position(&self.inner, wanted).await? {
            Some(position) => Ok(position),
            None => polled::position(&self.inner, wanted).await,
        }
    }

    /// What has changed since. `follow`: without end, pushed where the server pushes, else asked each `poll`.
    ///
    /// A change of what is `wanted` is not noticed here: what has not changed in the directory is not told of again.
    ///
    /// # Errors
    /// No server can be asked. What fails later comes from [`Changes::next`].
    pub async fn changes(
        &self,
        since: &Position,
        wanted: &Wanted,
        follow: Option<Duration>,
    ) -> Result<Since, DirectoryError> {
        self.inner.need_service_account("following changes")?;
        let inner = Arc::clone(&self.inner);
        match since.kind {
            FeedKind::Syncrepl => syncrepl::changes(inner, since, wanted, follow.is_some()).await,
            FeedKind::ModifyTimestamp => Ok(polled::changes(inner, since, wanted, follow)),
        }
    }
}
