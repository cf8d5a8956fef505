//! Statements with their arguments: to be joined with others, or ready for one database.

use std::fmt::Write as _;

use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::arg::{Arg, for_postgres, for_sqlite};
use crate::db::Dialect;

/// A statement with its parameters in the form that its database takes: of a large one, most of the work on this side.
pub(crate) enum Ready {
    Sqlite(Query<'static, Sqlite, SqliteArguments>),
    Postgres(Query<'static, Postgres, PgArguments>),
}

impl Ready {
    pub(crate) fn new(dialect: Dialect, sql: SqlStr, args: Vec<Arg>) -> Self {
        match dialect {
            Dialect::Sqlite => Self::Sqlite(for_sqlite(sql, args)),
            Dialect::Postgres => Self::Postgres(for_postgres(sql, args)),
        }
    }
}

/// A statement with its arguments.
#[derive(Clone)]
pub(crate) struct Statement {
    pub(crate) sql: SqlStr,
    pub(crate) args: Vec<Arg>,
}

impl Statement {
    pub(crate) fn new(sql: impl SqlSafeStr, args: Vec<Arg>) -> Self {
        Self { sql: sql.into_sql_str(), args }
    }

    /// Whether the other has the same text.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        is_same(self.sql.as_str(), other.sql.as_str())
    }
}

/// Statements as one text, the parameters of each numbered after those of the ones before.
#[derive(Default)]
pub(crate) struct Joined {
    text: String,
    args: Vec<Arg>,
}

impl Joined {
    /// A statement without parameters.
    pub(crate) fn plain(&mut self, sql: &str) {
        self.text.push_str(sql);
        self.text.push(';');
    }

    pub(crate) fn add(&mut self, statement: Statement) {
        let before = self.args.len();
        let mut rest = statement.sql.as_str();
        self.text.reserve(rest.len() + 16);
        while let Some((lead, after)) = rest.split_once('$') {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = after.split_at_checked(digits).unwrap_or((after, ""));
            self.text.push_str(lead);
            // Writing to a string does not fail.
            let _ = write!(self.text, "${}", number.parse::<usize>().unwrap_or_default() + before);
            rest = after;
        }
        self.plain(rest);
        self.args.extend(statement.args);
    }

    pub(crate) fn for_sqlite(self) -> Query<'static, Sqlite, SqliteArguments> {
        for_sqlite(AssertSqlSafe(self.text).into_sql_str(), self.args)
    }
}

/// Whether two texts are the same. Most are written in the program, and are the same one.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    std::ptr::eq(one, other) || one == other
}

/// `$first, $first+1, …` for a list of `count` parameters. Only numbers end up in the text.
pub(crate) fn placeholders(first: usize, count: usize) -> String {
    let mut text = String::with_capacity(count * 5);
    for n in first..first + count {
        let _ = write!(text, "{}${n}", if n == first { "" } else { ", " });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arg::args;

    #[test]
    fn placeholders_are_counted_on() {
        assert_eq!(placeholders(2, 3), "$2, $3, $4");
        assert_eq!(placeholders(1, 0), "");
    }

    #[test]
    fn joined_statements_keep_their_own_parameters() {
        let one = Statement::new("UPDATE a SET x = $2 WHERE y = $1", args!["one", 2_i64]);
        let other = Statement::new("DELETE FROM b WHERE z = $1 OR z = $1", args![true]);
        let mut joined = Joined::default();
        joined.plain("BEGIN");
        joined.add(one);
        joined.add(other);
        assert_eq!(joined.text, "BEGIN;UPDATE a SET x = $2 WHERE y = $1;DELETE FROM b WHERE z = $3 OR z = $3;");
        assert_eq!(joined.args.len(), 3);
    }
}
