//! A statement that looks for a list of values.
//!
//! PostgreSQL takes each list as one array. SQLite has no arrays: it prepares a text once and keeps it, so there are a few
//! lengths only, and a list is filled up with its last value.

use std::fmt::Write;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::StoreError;
use crate::db::{Arg, Db, Dialect, Row, Statement, Tx};

/// Values of one list that is looked up, on SQLite.
const LISTS: [usize; 5] = [1, 10, 100, 500, 1000];
/// Where a text takes a list of values.
const LIST: &str = "IN ({})";
/// Most values that one list takes.
pub(crate) const LONGEST: usize = 1000;

/// Adds a list to arguments, filled up to one of the lengths with its last value. Answers its length.
fn fill(args: &mut Vec<Arg>, values: &[Arg]) -> usize {
    let length = LISTS.into_iter().find(|length| *length >= values.len()).unwrap_or(values.len());
    args.extend_from_slice(values);
    // Nothing is equal to NULL.
    let last = values.last().cloned().unwrap_or(Arg::Text(None));
    args.extend(std::iter::repeat_n(last, length - values.len()));
    length
}

/// Parameters with numbers, used once each and in order, as such that are counted: SQLite looks a number up by its name, one
/// after the other, and of thousands that takes longer than the work.
pub(crate) fn count(text: &str) -> String {
    let mut parts = text.split('$');
    let mut counted = String::with_capacity(text.len());
    counted.push_str(parts.next().unwrap_or_default());
    for part in parts {
        counted.push('?');
        counted.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    counted
}

/// A text with lists in place of its marks `IN ({})`. Its parameters are used once each and in order.
fn look_up(sql: &str, lead: &[Arg], lists: &[&[Arg]], dialect: Dialect) -> (SqlStr, Vec<Arg>) {
    let mut args = lead.to_vec();
    let mut parts = sql.split(LIST);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (list, part) in lists.iter().zip(parts) {
        match dialect {
            Dialect::Postgres => {
                args.push(Arg::Column(list.to_vec()));
                let _ = write!(text, "= ANY (${})", args.len());
            }
            Dialect::Sqlite => {
                let marks = vec!["?"; fill(&mut args, list)];
                let _ = write!(text, "IN ({})", marks.join(", "));
            }
        }
        text.push_str(part);
    }
    let text = match dialect {
        Dialect::Postgres => text,
        Dialect::Sqlite => count(&text),
    };
    (AssertSqlSafe(text).into_sql_str(), args)
}

/// A list this long is answered by many rows.
const LONG: usize = 50;

impl Db {
    async fn fetch_list(&self, text: SqlStr, args: Vec<Arg>, length: usize) -> Result<Vec<Row>, StoreError> {
        if length < LONG { self.rows(text, args).await } else { self.many_rows(text, args).await }
    }

    /// What a text with a list finds, for all of the values.
    pub(crate) async fn look_up(&self, sql: &str, lead: &[Arg], values: &[Arg]) -> Result<Vec<Row>, StoreError> {
        let mut found = Vec::new();
        for part in values.chunks(LONGEST) {
            let (text, args) = look_up(sql, lead, &[part], self.dialect());
            found.extend(self.fetch_list(text, args, part.len()).await?);
        }
        Ok(found)
    }

    /// The statement for a text with several lists, each of them of at most [`LONGEST`] values.
    pub(crate) fn looking_up(&self, sql: &str, lead: &[Arg], lists: &[&[Arg]]) -> Statement {
        let (text, args) = look_up(sql, lead, lists, self.dialect());
        Statement::new(text, args)
    }
}

impl Tx {
    async fn fetch_list(&mut self, text: SqlStr, args: Vec<Arg>, length: usize) -> Result<Vec<Row>, StoreError> {
        if length < LONG { self.rows(text, args).await } else { self.many_rows(text, args).await }
    }

    /// What a text with a list finds, for all of the values.
    pub(crate) async fn look_up(&mut self, sql: &str, lead: &[Arg], values: &[Arg]) -> Result<Vec<Row>, StoreError> {
        let mut found = Vec::new();
        for part in values.chunks(LONGEST) {
            let (text, args) = look_up(sql, lead, &[part], self.dialect());
            found.extend(self.fetch_list(text, args, part.len()).await?);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::args;

    #[test]
    fn a_list_is_spelled_as_each_database_takes_it() {
        let sql = "SELECT 1 WHERE a = $1 AND b IN ({}) OR c IN ({})";
        let (lead, one, two) = (args!["lead"], args!["x"], args!["y"]);
        let (text, args) = look_up(sql, &lead, &[&one, &two], Dialect::Postgres);
        assert_eq!((text.as_str(), args.len()), ("SELECT 1 WHERE a = $1 AND b = ANY ($2) OR c = ANY ($3)", 3));
        let (text, args) = look_up(sql, &lead, &[&one, &two], Dialect::Sqlite);
        assert_eq!((text.as_str(), args.len()), ("SELECT 1 WHERE a = ? AND b IN (?) OR c IN (?)", 3));
    }

    #[test]
    fn a_list_is_filled_up_and_loses_nothing() {
        let values: Vec<Arg> = (0..634_i64).map(Arg::from).collect();
        let mut args = args!["lead"];
        assert_eq!((fill(&mut args, &values), args.len()), (1000, 1001));
        assert!(matches!(args.last(), Some(Arg::Int(Some(633)))));
        assert_eq!(fill(&mut args, &values[..10]), 10);
        assert_eq!(fill(&mut args, &[]), 1);
        assert!(matches!(args.last(), Some(Arg::Text(None))));
    }
}
