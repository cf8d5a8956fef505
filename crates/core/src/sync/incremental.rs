//! An incremental run: what has changed since the last one, and no more.

use super::apart::Difference;
use super::broken::Broken;
use super::changes::{Absorbed, SIDE_BY_SIDE};
use super::doubt;
use super::report::Mode;
use super::run::Run;
use super::told::Told;
use crate::engine::{ActiveSource, chain};
use bindery_directory::{DirectoryError, FeedEvent, Person, Position, Since};
use bindery_store::StoreError;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Run<'_> {
    /// Full where somebody asks for it or anything is in doubt, else incremental.
    pub(super) async fn go(&mut self) -> Result<(), Broken> {
        if self.request.full {
            return self.full(self.request.because.map(str::to_owned)).await;
        }
        if self.request.allow_removals {
            return self.full(Some("--allow-removals looks at everything".to_owned())).await;
        }
        let doubt = match self.go_on().await {
            Err(Broken::Store(error)) if error.is_corrupt() => Some(self.forget(&error).await?),
            doubt => doubt?,
        };
        match doubt {
            Some(why) => {
                self.begin_again();
                self.full(Some(why)).await
            }
            None => Ok(()),
        }
    }

    /// Goes on from where the last run left off. Answers with why only a full run helps, if that is so.
    async fn go_on(&mut self) -> Result<Option<String>, Broken> {
        match doubt::footing(self.engine.store(), &self.source).await? {
            doubt::Footing::Doubt(why) => Ok(Some(why)),
            doubt::Footing::Position(position) => self.incremental(&position).await,
        }
    }

    /// Something that an earlier run has left cannot be read.
    pub(super) async fn forget(&self, error: &StoreError) -> Result<String, Broken> {
        if self.request.dry_run {
            return Ok(doubt::unreadable(error));
        }
        Ok(doubt::forget(self.engine.store(), &self.source, error, self.engine.now()).await?)
    }

    /// Reads what has changed. Answers with why only a full run helps, if that is so.
    async fn incremental(&mut self, position: &Position) -> Result<Option<String>, Broken> {
        self.report.mode = Mode::Incremental;
        let source = self.source.clone();
        let mut changes = match source.directory.changes(position, &source.wanted, None).await? {
            Since::Changes(changes) => changes,
            Since::Doubt(why) => return Ok(Some(why)),
        };
        let (mut told, mut last) = (Told::default(), None);
        // Everything first, and once: who changed and is in a group that changed is one person, and what turns out to
        // be in doubt midway has written nothing yet.
        while let Some(event) = changes.next().await? {
            match event {
                FeedEvent::Doubt(why) => return Ok(Some(why)),
                FeedEvent::Reached(position) => last = Some(position),
                event => told.hear(event),
            }
            if let Some(why) = told.too_much() {
                return Ok(Some(why.to_owned()));
            }
        }
        match self.look_aside().await? {
            Difference::Members(members) => told.hear_aside(members),
            Difference::Doubt(why) => return Ok(Some(why)),
        }
        let mut again = doubt::unsettled(&self.engine, &source).await?;
        if again.len() > doubt::MOST_AGAIN {
            return Ok(Some("more people than are looked at one by one failed, or were written by others".to_owned()));
        }
        again.retain(|unique_id| !told.mentions(unique_id));
        self.look_again(again, &mut told).await?;
        if !told.is_empty()
            && let Absorbed::Doubt(why) = self.absorb(told).await?
        {
            return Ok(Some(why));
        }
        // What was told after the last position comes again the next time.
        if let Some(position) = last {
            self.reached(&position).await?;
        }
        Ok(None)
    }

    /// Those who failed the last time, or were written by others: what stood in their way may be gone, and so may what they
    /// were given, and no feed tells of that.
    pub(super) async fn look_again(&mut self, again: BTreeSet<String>, told: &mut Told) -> Result<(), Broken> {
        let source = self.source.clone();
        let reads = again.into_iter().map(|unique_id| read(source.clone(), unique_id));
        let mut reads = stream::iter(reads).buffer_unordered(SIDE_BY_SIDE);
        while let Some((unique_id, read)) = reads.next().await {
            match read {
                Ok(Some(person)) => told.hear(FeedEvent::Person(Box::new(person))),
                Ok(None) => drop(self.settled.insert(unique_id)),
                Err(error @ DirectoryError::Unavailable { .. }) => return Err(error.into()),
                Err(error) => {
                    self.report.users.seen += 1;
                    self.report.users.failed += 1;
                    self.report.error(format!("{unique_id}: {}", chain(&error)));
                    self.fails(unique_id);
                }
            }
        }
        Ok(())
    }

    /// All that was told up to here has been carried out, or waits where the next run sees it.
    pub(super) async fn reached(&mut self, position: &Position) -> Result<(), Broken> {
        if self.request.dry_run {
            return Ok(());
        }
        self.settle().await?;
        Ok(doubt::reached(self.engine.store(), &self.source, position, self.engine.now()).await?)
    }

    /// Remembers what waits for another run: removals that are held, and whoever failed.
    pub(super) async fn settle(&mut self) -> Result<(), Broken> {
        if self.request.dry_run {
            return Ok(());
        }
        let (store, source, now) = (self.engine.store(), &self.source, self.engine.now());
        if self.report.reason.is_some() {
            doubt::pend(store, source, "removals of the last run wait for --allow-removals", now).await?;
        }
        let mut again = doubt::again(store, source).await?;
        let before = again.clone();
        again.retain(|unique_id| !self.settled.contains(unique_id));
        again.extend(self.failing.iter().cloned());
        if let Some(why) = doubt::too_many(&again) {
            doubt::pend(store, source, why, now).await?;
        }
        if again != before {
            doubt::put_again(store, source, &again, now).await?;
        }
        Ok(())
    }
}

/// Whoever bears a unique ID.
fn read(
    source: Arc<ActiveSource>,
    unique_id: String,
) -> BoxFuture<'static, (String, Result<Option<Person>, DirectoryError>)> {
    Box::pin(async move {
        let read = source.directory.read(&unique_id, None, &source.wanted).await;
        (unique_id, read)
    })
}
