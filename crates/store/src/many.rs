//! One statement over many rows: its text, and how the rows are dealt out to it.
//!
//! PostgreSQL takes each column, and each list, as one array: a text for any number of rows, with a handful of parameters.
//! SQLite has no arrays. It prepares a text once and keeps it, so there are a few lengths only: what is written goes in
//! parts of these lengths, and a list that is only looked up is filled up with its last value.

use std::fmt::Write;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::StoreError;
use crate::db::{Arg, Db, Dialect, Row, Statement, Tx};

/// Rows of one statement that writes, on SQLite.
const PARTS: [usize; 5] = [500, 100, 20, 4, 1];
/// The same on PostgreSQL, where any number would do: so that the arguments of one stay within some megabytes.
const PART: usize = 5000;
/// Values of one list that is looked up, on SQLite.
const LISTS: [usize; 5] = [1, 10, 100, 500, 1000];
/// Where a text takes a list of values.
const LIST: &str = "IN ({})";

/// A statement around rows: a table with the columns `column1`, `column2`, … Its parameters, those of `head` included,
/// are used once each and in order.
#[derive(Clone, Copy)]
pub(crate) struct Many {
    /// Before the rows, with parameters of its own.
    pub(crate) head: &'static str,
    /// How many parameters `head` has.
    pub(crate) lead: usize,
    /// Parameters of one row.
    pub(crate) columns: usize,
    /// After the rows.
    pub(crate) tail: &'static str,
}

impl Many {
    /// Whoever writes many rows starts over from further back than this statement if one of them fails. SQLite, told so,
    /// keeps no copies of the pages that it changes.
    pub(crate) fn values(&self, rows: usize) -> SqlStr {
        let mut text = String::with_capacity(self.head.len() + self.tail.len() + rows * self.columns * 3);
        text.push_str(&self.head.replacen("INSERT INTO", "INSERT OR FAIL INTO", 1));
        text.push_str("VALUES ");
        let row = format!("({})", vec!["?"; self.columns].join(", "));
        for number in 0..rows {
            text.push_str(if number == 0 { "" } else { ", " });
            text.push_str(&row);
        }
        text.push_str(self.tail);
        counted(&text)
    }

    fn arrays(&self, columns: &[Arg]) -> SqlStr {
        let parameters: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(at, column)| format!("${}::{}", self.lead + at + 1, column.postgres_type()))
            .collect();
        let names: Vec<String> = (1..=columns.len()).map(|number| format!("column{number}")).collect();
        let (parameters, names) = (parameters.join(", "), names.join(", "));
        let text = format!("{}SELECT * FROM unnest({parameters}) AS rows ({names}){}", self.head, self.tail);
        AssertSqlSafe(text).into_sql_str()
    }
}

/// SQLite looks a numbered parameter up by its name, one after the other: thousands of them take longer than the work.
/// Those without a number are counted.
fn counted(text: &str) -> SqlStr {
    let mut parts = text.split('$');
    let mut counted = String::with_capacity(text.len());
    counted.push_str(parts.next().unwrap_or_default());
    for part in parts {
        counted.push('?');
        counted.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    AssertSqlSafe(counted).into_sql_str()
}

/// The parameters of many rows, one row after the other.
#[derive(Default)]
pub(crate) struct Rows {
    rows: usize,
    values: Vec<Arg>,
}

impl Rows {
    pub(crate) fn push(&mut self, row: impl IntoIterator<Item = Arg>) {
        self.rows += 1;
        self.values.extend(row);
    }

    pub(crate) fn len(&self) -> usize {
        self.rows
    }
}

impl<R: IntoIterator<Item = Arg>> FromIterator<R> for Rows {
    fn from_iter<I: IntoIterator<Item = R>>(rows: I) -> Self {
        let mut collected = Self::default();
        rows.into_iter().for_each(|row| collected.push(row));
        collected
    }
}

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
        Dialect::Postgres => AssertSqlSafe(text).into_sql_str(),
        Dialect::Sqlite => counted(&text),
    };
    (text, args)
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

    /// Writes rows, each of them as many parameters as the statement has columns. Answers how many rows it touched.
    pub(crate) async fn write(&mut self, many: Many, lead: &[Arg], rows: Rows) -> Result<u64, StoreError> {
        let mut touched = 0;
        let (mut left, mut values) = (rows.len(), rows.values.into_iter());
        while left > 0 {
            let mut args = lead.to_vec();
            let text = match self.dialect() {
                Dialect::Postgres => {
                    let length = left.min(PART);
                    left -= length;
                    let mut columns: Vec<Vec<Arg>> = vec![Vec::with_capacity(length); many.columns];
                    for _ in 0..length {
                        columns.iter_mut().zip(values.by_ref()).for_each(|(column, value)| column.push(value));
                    }
                    let columns: Vec<Arg> = columns.into_iter().map(Arg::Column).collect();
                    let text = many.arrays(&columns);
                    args.extend(columns);
                    text
                }
                Dialect::Sqlite => {
                    let length = PARTS.into_iter().find(|part| *part <= left).unwrap_or(1);
                    left -= length;
                    args.extend(values.by_ref().take(length * many.columns));
                    many.values(length)
                }
            };
            touched += self.execute(text, args).await?;
        }
        Ok(touched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::args;

    const MANY: Many =
        Many { head: "UPDATE a SET x = $1 FROM (", lead: 1, columns: 2, tail: ") AS v WHERE a.y = v.column1" };

    #[test]
    fn rows_are_spelled_as_each_database_takes_them() {
        let tail = "AS v WHERE a.y = v.column1";
        let columns = [Arg::Column(args!["a", "b"]), Arg::Column(args![1_i64, 2_i64])];
        assert_eq!(
            MANY.arrays(&columns).as_str(),
            format!(
                "UPDATE a SET x = $1 FROM (SELECT * FROM unnest($2::text[], $3::bigint[]) AS rows (column1, column2)) {tail}"
            )
        );
        assert_eq!(MANY.values(2).as_str(), format!("UPDATE a SET x = ? FROM (VALUES (?, ?), (?, ?)) {tail}"));
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
