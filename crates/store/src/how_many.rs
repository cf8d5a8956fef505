//! How rows are taken over from a database that hands over one by one.

use std::time::Duration;

use futures::{FutureExt, Stream, TryStreamExt};

/// How many rows an answer may have, or how many have to be looked at for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HowMany {
    /// It takes no time: others wait for it.
    Few,
    Many,
}

impl HowMany {
    /// What SQLite answers. Its thread hands over each row by itself, and who waits for one is woken for each: of many, that
    /// takes ten times as long as reading them. So for many nobody waits, but looks again a moment later. For few, others have
    /// their turn once the first is there: most often the rest has come by then.
    pub(crate) async fn collect<T>(
        self,
        mut answers: impl Stream<Item = Result<T, sqlx::Error>> + Unpin,
    ) -> Result<Vec<T>, sqlx::Error> {
        let mut collected = Vec::new();
        let mut yielded = false;
        loop {
            let answer = match answers.try_next().now_or_never() {
                Some(answer) => answer,
                None if self == Self::Many => {
                    tokio::time::sleep(MOMENT).await;
                    continue;
                }
                None if !yielded && !collected.is_empty() => {
                    yielded = true;
                    tokio::task::yield_now().await;
                    continue;
                }
                None => answers.try_next().await,
            };
            match answer? {
                Some(answer) => collected.push(answer),
                None => return Ok(collected),
            }
        }
    }
}

/// The shortest that a timer measures; as many rows as wait at most take no longer.
const MOMENT: Duration = Duration::from_millis(1);
