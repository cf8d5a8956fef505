//! One statement over many rows: its text, and how the rows are dealt out to it.
//!
//! A database prepares a text once and keeps it. So there are a few lengths only: what is written goes in parts of
//! these lengths, and a list that is only looked up is filled up with its last value.

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::StoreError;
use crate::db::{Arg, Db, Dialect, Row, Statement, Tx};

/// Rows of one statement that writes.
const PARTS: [usize; 5] = [500, 100, 20, 4, 1];
/// Values of one list that is looked up.
const LISTS: [usize; 4] = [1, 10, 100, 1000];

/// A statement around a list of rows. Its parameters, those of `head` included, are used once each and in order.
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
    fn text(&self, rows: usize, dialect: Dialect) -> SqlStr {
        let mut text = String::with_capacity(self.head.len() + self.tail.len() + rows * self.columns * 6);
        text.push_str(self.head);
        let mut number = self.lead;
        for row in 0..rows {
            text.push_str(if row == 0 { "(" } else { ", (" });
            for column in 0..self.columns {
                number += 1;
                text.push_str(if column == 0 { "$" } else { ", $" });
                text.push_str(&number.to_string());
            }
            text.push(')');
        }
        text.push_str(self.tail);
        spelled(text, dialect)
    }
}

/// Lists of values to look up, in place of the marks `{}` in a text. Its parameters are used once each and in order.
fn listed(sql: &str, lead: usize, counts: &[usize], dialect: Dialect) -> SqlStr {
    let mut parts = sql.split("{}");
    let mut text = parts.next().unwrap_or_default().to_owned();
    let mut number = lead;
    for (count, part) in counts.iter().zip(parts) {
        let list: Vec<String> = (number + 1..=number + count).map(|number| format!("${number}")).collect();
        text.push_str(&list.join(", "));
        text.push_str(part);
        number += count;
    }
    spelled(text, dialect)
}

/// SQLite looks a numbered parameter up by its name, one after the other: thousands of them take longer than the work.
/// Those without a number are counted.
fn spelled(text: String, dialect: Dialect) -> SqlStr {
    match dialect {
        Dialect::Postgres => AssertSqlSafe(text).into_sql_str(),
        Dialect::Sqlite => {
            let mut parts = text.split('$');
            let mut spelled = String::with_capacity(text.len());
            spelled.push_str(parts.next().unwrap_or_default());
            for part in parts {
                spelled.push('?');
                spelled.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
            }
            AssertSqlSafe(spelled).into_sql_str()
        }
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

fn look_up(sql: &str, lead: &[Arg], lists: &[&[Arg]], dialect: Dialect) -> (SqlStr, Vec<Arg>) {
    let mut args = lead.to_vec();
    let counts: Vec<usize> = lists.iter().map(|list| fill(&mut args, list)).collect();
    (listed(sql, lead.len(), &counts, dialect), args)
}

impl Db {
    /// What a text with a list finds, for all of the values.
    pub(crate) async fn look_up(&self, sql: &str, lead: &[Arg], values: &[Arg]) -> Result<Vec<Row>, StoreError> {
        let mut found = Vec::new();
        for part in values.chunks(LONGEST) {
            let (text, args) = look_up(sql, lead, &[part], self.dialect());
            found.extend(self.rows(text, args).await?);
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
    /// What a text with a list finds, for all of the values.
    pub(crate) async fn look_up(&mut self, sql: &str, lead: &[Arg], values: &[Arg]) -> Result<Vec<Row>, StoreError> {
        let mut found = Vec::new();
        for part in values.chunks(LONGEST) {
            let (text, args) = look_up(sql, lead, &[part], self.dialect());
            found.extend(self.rows(text, args).await?);
        }
        Ok(found)
    }

    /// Writes rows, each of them as many parameters as the statement has columns. Answers how many rows it touched.
    pub(crate) async fn write(&mut self, many: Many, lead: &[Arg], rows: Vec<Vec<Arg>>) -> Result<u64, StoreError> {
        let mut touched = 0;
        let mut rows = rows.into_iter();
        while rows.len() > 0 {
            let length = PARTS.into_iter().find(|part| *part <= rows.len()).unwrap_or(1);
            let mut args = Vec::with_capacity(lead.len() + length * many.columns);
            args.extend_from_slice(lead);
            args.extend(rows.by_ref().take(length).flatten());
            touched += self.execute(many.text(length, self.dialect()), args).await?;
        }
        Ok(touched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::args;

    const MANY: Many =
        Many { head: "UPDATE a SET x = $1 FROM (VALUES ", lead: 1, columns: 2, tail: ") AS v WHERE a.y = v.column1" };

    #[test]
    fn rows_are_spelled_as_each_database_counts() {
        let tail = "AS v WHERE a.y = v.column1";
        assert_eq!(
            MANY.text(2, Dialect::Postgres).as_str(),
            format!("UPDATE a SET x = $1 FROM (VALUES ($2, $3), ($4, $5)) {tail}")
        );
        assert_eq!(
            MANY.text(2, Dialect::Sqlite).as_str(),
            format!("UPDATE a SET x = ? FROM (VALUES (?, ?), (?, ?)) {tail}")
        );
        let list = listed("SELECT 1 WHERE a = $1 AND b IN ({}) OR c IN ({})", 1, &[2, 1], Dialect::Postgres);
        assert_eq!(list.as_str(), "SELECT 1 WHERE a = $1 AND b IN ($2, $3) OR c IN ($4)");
    }

    #[test]
    fn a_list_is_filled_up_and_loses_nothing() {
        let values: Vec<Arg> = (0..234_i64).map(Arg::from).collect();
        let mut args = args!["lead"];
        assert_eq!((fill(&mut args, &values), args.len()), (1000, 1001));
        assert!(matches!(args.last(), Some(Arg::Int(Some(233)))));
        assert_eq!(fill(&mut args, &values[..10]), 10);
        assert_eq!(fill(&mut args, &[]), 1);
        assert!(matches!(args.last(), Some(Arg::Text(None))));
    }
}
