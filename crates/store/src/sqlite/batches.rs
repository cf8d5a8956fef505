//! Whoever waits for the same connection is served together.
//!
//! Nothing here knows what they wait for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A line of those who wait.
pub(crate) struct Batches<J> {
    line: Mutex<Line<J>>,
    most: usize,
}

struct Line<J> {
    waiting: Vec<J>,
    /// Whether somebody serves the line.
    served: bool,
}

impl<J> Batches<J> {
    /// Nobody is served together with more than `most`: those behind them would wait too long.
    pub(crate) fn of(most: usize) -> Self {
        Self { line: Mutex::new(Line { waiting: Vec::new(), served: false }), most }
    }

    /// Puts one more into the line. Where nobody serves it, whoever gets a [`Service`] has to, in a task of its own: a request
    /// that is given up must not take others with it.
    pub(crate) fn add(self: &Arc<Self>, one: J) -> Option<Service<J>> {
        let mut line = self.line();
        line.waiting.push(one);
        let served = std::mem::replace(&mut line.served, true);
        drop(line);
        (!served).then(|| Service { batches: self.clone(), over: false })
    }

    fn line(&self) -> MutexGuard<'_, Line<J>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever serves the line, until it is empty.
pub(crate) struct Service<J> {
    batches: Arc<Batches<J>>,
    over: bool,
}

impl<J> Service<J> {
    /// Those whose turn it is. Nobody: then whoever comes next starts another service.
    pub(crate) async fn next(&mut self) -> Option<Vec<J>> {
        self.gather().await;
        let mut line = self.batches.line();
        let most = line.waiting.len().min(self.batches.most);
        if most == 0 {
            line.served = false;
            self.over = true;
            return None;
        }
        Some(line.waiting.drain(..most).collect())
    }

    /// Lets everybody else have a turn, for as long as that brings more: where there is much to do, whoever is about to come
    /// joins the same batch, and where there is nothing to do, this takes no time.
    async fn gather(&self) {
        let mut waiting = 0;
        loop {
            tokio::task::yield_now().await;
            let now = self.batches.line().waiting.len();
            if now == waiting || now >= self.batches.most {
                return;
            }
            waiting = now;
        }
    }
}

impl<J> Drop for Service<J> {
    /// Cut off midway, as when the runtime stops: those who wait are told so, by what they leave, instead of waiting for ever.
    fn drop(&mut self) {
        if !self.over {
            let mut line = self.batches.line();
            line.served = false;
            line.waiting.clear();
        }
    }
}

/// How many that are alike go into one text. SQLite prepares a text once and keeps it, so there are a few lengths only.
const PARTS: [usize; 9] = [16, 8, 7, 6, 5, 4, 3, 2, 1];

/// The lengths of the parts that so many become.
pub(crate) fn parts(mut count: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let part = PARTS.into_iter().find(|part| *part <= count)?;
        count -= part;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_lengths_are_made() {
        assert_eq!(parts(0).count(), 0);
        assert_eq!(parts(7).collect::<Vec<_>>(), [7]);
        assert_eq!(parts(64).collect::<Vec<_>>(), [16; 4]);
        assert_eq!(parts(43).collect::<Vec<_>>(), [16, 16, 8, 3]);
    }

    #[tokio::test]
    async fn who_waits_is_served_together_and_each_once() {
        let batches = Arc::new(Batches::of(3));
        let mut service = batches.add(1).unwrap();
        for other in 2..=5 {
            assert!(batches.add(other).is_none(), "somebody serves already");
        }
        assert_eq!(service.next().await, Some(vec![1, 2, 3]));
        assert_eq!(service.next().await, Some(vec![4, 5]));
        assert_eq!(service.next().await, None);
        assert!(batches.add(6).is_some(), "the line is served anew");
    }

    #[tokio::test]
    async fn cut_off_midway_nobody_waits_for_ever() {
        let batches = Arc::new(Batches::of(3));
        let (answer, answered) = tokio::sync::oneshot::channel::<()>();
        drop(batches.add(answer));
        assert!(answered.await.is_err());
        assert!(batches.add(tokio::sync::oneshot::channel().0).is_some());
    }
}
