//! Reads that take no time, and that somebody waits for: those that wait together are sent together.
//!
//! Each commit makes every other connection read its pages again, so that there is one connection for them all: what several
//! sign-ins look for has the same pages on the way.

use std::sync::Arc;

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Either, Executor};
use tokio::sync::oneshot;

use super::batches::{Batches, parts};
use super::lane::Lane;
use crate::arg::for_sqlite;
use crate::how_many::HowMany;
use crate::statement::{Joined, Statement};

/// Those behind them would wait too long.
const MOST: usize = 32;

type Answer = Result<Vec<Vec<SqliteRow>>, sqlx::Error>;

pub(super) struct Quick {
    lane: Lane,
    asked: Arc<Batches<Asked>>,
}

struct Asked {
    statements: Vec<Statement>,
    how_many: HowMany,
    answer: oneshot::Sender<Answer>,
}

impl Asked {
    fn is_like(&self, other: &Self) -> bool {
        self.how_many == other.how_many
            && self.statements.len() == other.statements.len()
            && self.statements.iter().zip(&other.statements).all(|(own, other)| own.is_like(other))
    }
}

impl Quick {
    pub(super) fn new(lane: Lane) -> Arc<Self> {
        Arc::new(Self { lane, asked: Arc::new(Batches::of(MOST)) })
    }

    /// Reads with several statements, at one moment, and answers the rows of each.
    pub(super) async fn ask(self: &Arc<Self>, statements: Vec<Statement>, how_many: HowMany) -> Answer {
        let (answer, answered) = oneshot::channel();
        if let Some(mut service) = self.asked.add(Asked { statements, how_many, answer }) {
            let quick = self.clone();
            tokio::spawn(async move {
                while let Some(batch) = service.next().await {
                    quick.serve(batch).await;
                }
            });
        }
        answered.await.unwrap_or(Err(sqlx::Error::PoolClosed))
    }

    pub(super) async fn close(&self) {
        self.lane.close().await;
    }

    async fn serve(&self, batch: Vec<Asked>) {
        for alike in grouped(batch) {
            let mut alike = alike.into_iter();
            for part in parts(alike.len()) {
                self.serve_part(alike.by_ref().take(part).collect()).await;
            }
        }
    }

    /// Several who ask the same of different people. Where that goes wrong, each finds out for itself.
    async fn serve_part(&self, part: Vec<Asked>) {
        if part.len() > 1
            && let Ok(answers) = self.read(&part).await
        {
            for (asked, answer) in part.into_iter().zip(answers) {
                let _ = asked.answer.send(Ok(answer));
            }
            return;
        }
        for asked in part {
            let answer = self.read(std::slice::from_ref(&asked)).await;
            let _ = asked.answer.send(answer.map(|answers| answers.into_iter().next().unwrap_or_default()));
        }
    }

    async fn read(&self, part: &[Asked]) -> Result<Vec<Vec<Vec<SqliteRow>>>, sqlx::Error> {
        let Some(first) = part.first() else { return Ok(Vec::new()) };
        let each = first.statements.len();
        let statements = part.iter().flat_map(|asked| asked.statements.iter().cloned()).collect();
        let mut turn = self.lane.turn().await?;
        turn.doubt();
        let read = read_in(turn.connection()?, statements, first.how_many, When::AtOnce).await;
        match read {
            Ok(rows) => {
                turn.trust();
                let mut rows = rows.into_iter();
                Ok(part.iter().map(|_| rows.by_ref().take(each).collect()).collect())
            }
            Err(error) => {
                turn.undo().await;
                Err(error)
            }
        }
    }
}

/// Those who are alike together, each kind in the order in which they came.
fn grouped(batch: Vec<Asked>) -> Vec<Vec<Asked>> {
    let mut groups: Vec<Vec<Asked>> = Vec::new();
    for asked in batch {
        match groups.iter_mut().find(|group| group.first().is_some_and(|first| first.is_like(&asked))) {
            Some(group) => group.push(asked),
            None => groups.push(vec![asked]),
        }
    }
    groups
}

/// When several statements are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// All see one moment: every statement of its own would look again at what has been committed meanwhile. Whoever goes away
    /// midway, or meets an error, leaves a transaction open.
    AtOnce,
    /// Whoever goes away leaves nothing behind.
    OneByOne,
}

/// Reads on a connection, and answers the rows of each statement.
pub(super) async fn read_in(
    connection: &mut SqliteConnection,
    mut statements: Vec<Statement>,
    how_many: HowMany,
    when: When,
) -> Answer {
    let framed = when == When::AtOnce && statements.len() > 1;
    let query = match statements.pop() {
        Some(Statement { sql, args }) if statements.is_empty() => for_sqlite(sql, args),
        last => in_one(statements.into_iter().chain(last), framed).for_sqlite(),
    };
    let (mut answers, mut rows) = (Vec::new(), Vec::new());
    for result in how_many.collect(connection.fetch_many(query)).await? {
        match result {
            Either::Right(row) => rows.push(row),
            // The end of one statement.
            Either::Left(_) => answers.push(std::mem::take(&mut rows)),
        }
    }
    if framed {
        // What BEGIN and COMMIT answer.
        answers.pop();
        answers.drain(..1.min(answers.len()));
    }
    Ok(answers)
}

fn in_one(statements: impl Iterator<Item = Statement>, framed: bool) -> Joined {
    let mut joined = Joined::default();
    if framed {
        joined.plain("BEGIN");
    }
    for statement in statements {
        joined.add(statement);
    }
    if framed {
        joined.plain("COMMIT");
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::args;
    use crate::{Store, StoreUrl};
    use sqlx::Row as _;

    async fn file() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("bindery.db").display());
        let store = Store::open(&StoreUrl::parse(&url).unwrap()).await.unwrap();
        for n in 0..40 {
            store.put_setting(&format!("key {n}"), format!("value {n}").as_bytes()).await.unwrap();
        }
        (folder, store)
    }

    fn quick(store: &Store) -> Arc<Quick> {
        match &store.db.pool {
            crate::db::Pool::Sqlite(connections) => connections.quick.clone(),
            crate::db::Pool::Postgres(_) => panic!("SQLite"),
        }
    }

    /// Two statements, of which the first may not be understood.
    fn question(n: usize, good: bool) -> Vec<Statement> {
        let first =
            if good { "SELECT value FROM settings WHERE key = $1" } else { "SELECT value FROM nowhere WHERE key = $1" };
        let count = "SELECT count(*) AS value FROM settings WHERE key = $1 OR key = $2";
        vec![
            Statement::new(first, args![format!("key {n}")]),
            Statement::new(count, args![format!("key {n}"), "no such key"]),
        ]
    }

    fn value(answer: &Answer) -> Option<(Vec<u8>, i64)> {
        let [rows, counts] = answer.as_ref().ok()?.as_slice() else { return None };
        Some((rows.first()?.get("value"), counts.first()?.get("value")))
    }

    #[tokio::test]
    async fn everybody_gets_their_own_answer_and_somebody_elses_error_is_nobodys() {
        let (_folder, store) = file().await;
        let quick = quick(&store);
        let questions = (0..40).map(|n| quick.ask(question(n, n % 10 != 3), HowMany::Few));
        let answers = futures::future::join_all(questions).await;
        for (n, answer) in answers.iter().enumerate() {
            let own = (n % 10 != 3).then(|| (format!("value {n}").into_bytes(), 1));
            assert_eq!(value(answer), own, "{n}");
        }
    }

    #[tokio::test]
    async fn who_goes_away_takes_nobody_along() {
        let (_folder, store) = file().await;
        let quick = quick(&store);
        let mut gone = Box::pin(quick.ask(question(1, true), HowMany::Few));
        assert!(futures::poll!(&mut gone).is_pending());
        let stays = quick.ask(question(2, true), HowMany::Few);
        drop(gone);
        assert_eq!(value(&stays.await), Some((b"value 2".to_vec(), 1)));
    }

    /// A connection that were left in the transaction of a failed read would see that moment for ever.
    #[tokio::test]
    async fn after_an_error_the_next_read_sees_what_was_written_since() {
        let (_folder, store) = file().await;
        let crate::db::Pool::Sqlite(connections) = &store.db.pool else { panic!("SQLite") };
        for how_many in [HowMany::Few, HowMany::Many] {
            // The third of its statements fails, after others have looked.
            let statements = question(1, true).into_iter().chain(question(1, false)).collect();
            assert!(connections.rows_of_all(statements, how_many).await.is_err());
            let new = format!("{how_many:?}").into_bytes();
            store.put_setting("key 1", &new).await.unwrap();
            let answer = connections.rows_of_all(question(1, true), how_many).await;
            assert_eq!(value(&answer), Some((new, 1)));
        }
    }
}
