//! How rows are taken over from a database that hands over one by one.

use std::time::Duration;

use futures::{FutureExt, Stream, TryStreamExt};

/// How many rows an answer may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HowMany {
    Few,
    Many,
}

impl HowMany {
    /// What SQLite answers. Its thread hands over each row by itself, and who waits for one is woken for each: of many, that
    /// takes ten times as long as reading them. So for many nobody waits, but looks again a moment later.
    pub(crate) async fn collect<T>(
        self,
        mut answers: impl Stream<Item = Result<T, sqlx::Error>> + Unpin,
    ) -> Result<Vec<T>, sqlx::Error> {
        if self == Self::Few {
            return answers.try_collect().await;
        }
        let mut collected = Vec::new();
        loop {
            match answers.try_next().now_or_never() {
                Some(Ok(Some(answer))) => collected.push(answer),
                Some(Ok(None)) => return Ok(collected),
                Some(Err(error)) => return Err(error),
                None => tokio::time::sleep(MOMENT).await,
            }
        }
    }
}

/// The shortest that a timer measures; as many rows as wait at most take no longer.
const MOMENT: Duration = Duration::from_millis(1);
