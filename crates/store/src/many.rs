//! One statement over many rows: its text, and how the rows are dealt out to it.
//!
//! PostgreSQL takes each column as one array: a text for any number of rows, with a handful of parameters. SQLite has no
//! arrays. It prepares a text once and keeps it, so there are a few lengths only, and rows are written in parts of these. What is
//! the same in all rows of a large part is bound once: of what a sync writes that is half.

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::StoreError;
use crate::db::{Arg, Dialect, Ready, Tx};
use crate::lists::count;

/// Rows of one statement on SQLite.
const PARTS: [usize; 5] = [500, 100, 20, 4, 1];
/// The same on PostgreSQL, where any number would do: so that the arguments of one stay within some megabytes.
const PART: usize = 5000;
/// Fewer rows than this are all bound one by one: what they have in common by chance would be a new text each time, and a text
/// costs more to prepare than a few parameters.
const LARGE: usize = 100;

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
    /// The statements that write rows, each ready for its database.
    pub(crate) fn ready(&self, dialect: Dialect, lead: &[Arg], rows: Rows) -> Vec<Ready> {
        let mut statements = Vec::new();
        let (mut left, mut values) = (rows.rows, rows.values.into_iter());
        while left > 0 {
            let length = match dialect {
                Dialect::Postgres => left.min(PART),
                Dialect::Sqlite => PARTS.into_iter().find(|part| *part <= left).unwrap_or(1),
            };
            left -= length;
            let same = self.same(values.as_slice(), length);
            let mut args = lead.to_vec();
            let part = values.by_ref().take(length * self.columns);
            let text = match dialect {
                Dialect::Postgres => {
                    args.extend(columns(&same, part, length));
                    self.arrays(args.get(self.lead..).unwrap_or_default())
                }
                Dialect::Sqlite => {
                    let mut once = Vec::new();
                    for (at, (value, same)) in part.zip(same.iter().cycle()).enumerate() {
                        match same {
                            false => args.push(value),
                            true if at < self.columns => once.push(value),
                            true => {}
                        }
                    }
                    let text = self.values(length, &same, args.len());
                    args.extend(once);
                    text
                }
            };
            statements.push(Ready::new(dialect, text, args));
        }
        statements
    }

    /// The text for so many rows on SQLite that have nothing in common.
    #[cfg(test)]
    pub(crate) fn plain(&self, rows: usize) -> SqlStr {
        self.values(rows, &vec![false; self.columns], self.lead + rows * self.columns)
    }

    /// Which columns hold the same in all of the first rows. The first column never counts as one.
    fn same(&self, values: &[Arg], rows: usize) -> Vec<bool> {
        let mut same: Vec<bool> = (0..self.columns).map(|column| column > 0 && rows >= LARGE).collect();
        let mut rows = values.chunks_exact(self.columns).take(rows);
        let Some(first) = rows.next() else { return same };
        for row in rows {
            for (same, (value, first)) in same.iter_mut().zip(row.iter().zip(first)) {
                *same = *same && value == first;
            }
        }
        same
    }

    /// Whoever writes many rows starts over from further back than this statement if one of them fails. SQLite, told so,
    /// keeps no copies of the pages that it changes.
    ///
    /// SQLite looks a parameter with a number up by its name, one after the other: thousands of them take longer than the work.
    /// Those without one are counted, and only what is the same in all rows has a number, after all of the others.
    fn values(&self, rows: usize, same: &[bool], counted: usize) -> SqlStr {
        let mut number = counted;
        let parameters = same.iter().map(|same| {
            number += usize::from(*same);
            if *same { format!("${number}") } else { "?".to_owned() }
        });
        let row = format!("({})", parameters.collect::<Vec<_>>().join(", "));
        let mut text = String::with_capacity(self.head.len() + self.tail.len() + rows * (row.len() + 2));
        text.push_str(&count(&self.head.replacen("INSERT INTO", "INSERT OR FAIL INTO", 1)));
        text.push_str("VALUES ");
        for number in 0..rows {
            text.push_str(if number == 0 { "" } else { ", " });
            text.push_str(&row);
        }
        text.push_str(self.tail);
        AssertSqlSafe(text).into_sql_str()
    }

    /// Each parameter is a list, or one value for all rows.
    fn arrays(&self, columns: &[Arg]) -> SqlStr {
        let (mut lists, mut names, mut taken) = (Vec::new(), Vec::new(), Vec::new());
        for (at, column) in columns.iter().enumerate() {
            let (number, name) = (self.lead + at + 1, format!("column{}", at + 1));
            if let Arg::Column(values) = column {
                let (list, value) = Arg::postgres_types(values);
                lists.push(format!("${number}::{list}"));
                taken.push(format!("{name}::{value} AS {name}"));
                names.push(name);
            } else {
                let (_, value) = Arg::postgres_types(std::slice::from_ref(column));
                taken.push(format!("${number}::{value} AS {name}"));
            }
        }
        let (lists, names, taken) = (lists.join(", "), names.join(", "), taken.join(", "));
        let text = format!("{}SELECT {taken} FROM unnest({lists}) AS rows ({names}){}", self.head, self.tail);
        AssertSqlSafe(text).into_sql_str()
    }
}

/// Rows as columns: a list, or the one value that is the same in all of them.
fn columns(same: &[bool], mut values: impl Iterator<Item = Arg>, rows: usize) -> Vec<Arg> {
    let mut columns: Vec<Vec<Arg>> = same.iter().map(|same| Vec::with_capacity(if *same { 1 } else { rows })).collect();
    for row in 0..rows {
        for ((column, same), value) in columns.iter_mut().zip(same).zip(values.by_ref()) {
            if row == 0 || !same {
                column.push(value);
            }
        }
    }
    let argument = |(mut column, same): (Vec<Arg>, &bool)| match column.pop() {
        Some(value) if *same => value,
        value => {
            column.extend(value);
            Arg::Column(column)
        }
    };
    columns.into_iter().zip(same).map(argument).collect()
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

impl Tx {
    /// Writes rows, each of them as many parameters as the statement has columns. Answers how many rows it touched.
    pub(crate) async fn write(&mut self, many: Many, lead: &[Arg], rows: Rows) -> Result<u64, StoreError> {
        let ready = many.ready(self.dialect(), lead, rows);
        self.run_all(ready).await
    }

    /// Runs statements in order. Answers how many rows they touched.
    pub(crate) async fn run_all(&mut self, statements: Vec<Ready>) -> Result<u64, StoreError> {
        let mut touched = 0;
        for statement in statements {
            touched += self.run(statement).await?;
        }
        Ok(touched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{args, row};

    const MANY: Many =
        Many { head: "UPDATE a SET x = $1 FROM (", lead: 1, columns: 3, tail: ") AS v WHERE a.y = v.column1" };

    fn rows(count: i64) -> Rows {
        (0..count).map(|number| row!["same", number, "same"]).collect()
    }

    #[test]
    fn what_is_the_same_in_many_rows_is_bound_once() {
        assert_eq!(MANY.same(&rows(100).values, 100), [false, false, true], "the first column is always a list");
        assert_eq!(MANY.same(&rows(99).values, 99), [false; 3], "so few are all bound");
        let mut all_but_one = rows(100);
        all_but_one.values.pop();
        all_but_one.values.push("other".into());
        assert_eq!(MANY.same(&all_but_one.values, 100), [false; 3]);
    }

    #[test]
    fn rows_are_spelled_as_each_database_takes_them() {
        let tail = ") AS v WHERE a.y = v.column1";
        let columns = columns(&[false, false, true], rows(2).values.into_iter(), 2);
        assert_eq!(
            MANY.arrays(&columns).as_str(),
            format!(
                "UPDATE a SET x = $1 FROM (SELECT column1::text AS column1, column2::bigint AS column2, \
                 $4::text AS column3 FROM unnest($2::text[], $3::bigint[]) AS rows (column1, column2){tail}"
            )
        );
        assert_eq!(columns, [Arg::Column(args!["same", "same"]), Arg::Column(args![0_i64, 1_i64]), Arg::from("same")]);
        assert_eq!(
            MANY.values(3, &[false, false, true], 7).as_str(),
            format!("UPDATE a SET x = ? FROM (VALUES (?, ?, $8), (?, ?, $8), (?, ?, $8){tail}")
        );
        let json = [Arg::Column(vec![Arg::json("x", &[1])]), Arg::json("x", &[1])];
        assert!(MANY.arrays(&json).as_str().contains(
            "SELECT column1::jsonb AS column1, $3::jsonb AS column2 FROM unnest($2::text[]) AS rows (column1)"
        ));
    }

    #[test]
    fn rows_are_dealt_out_in_parts() {
        assert_eq!(MANY.ready(Dialect::Sqlite, &row!["lead"], rows(626)).len(), 6, "500, 100, 20, 4, 1, 1");
        assert_eq!(MANY.ready(Dialect::Postgres, &row!["lead"], rows(5001)).len(), 2);
        assert!(MANY.ready(Dialect::Sqlite, &row!["lead"], rows(0)).is_empty());
    }
}
