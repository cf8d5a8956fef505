//! Statements with their arguments: to be joined with others, or ready for one database.

use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use sqlx::{SqlSafeStr, SqlStr};

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
pub(crate) struct Statement {
    pub(crate) sql: SqlStr,
    pub(crate) args: Vec<Arg>,
}

impl Statement {
    pub(crate) fn new(sql: impl SqlSafeStr, args: Vec<Arg>) -> Self {
        Self { sql: sql.into_sql_str(), args }
    }
}

/// Statements as one text, the parameters of each numbered after those of the ones before.
pub(crate) fn joined(statements: Vec<Statement>) -> (String, Vec<Arg>) {
    let (mut text, mut args) = (String::new(), Vec::new());
    for statement in statements {
        let mut parts = statement.sql.as_str().split('$');
        text.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = part.split_at(digits);
            let number = number.parse::<usize>().unwrap_or_default() + args.len();
            text.push('$');
            text.push_str(&number.to_string());
            text.push_str(rest);
        }
        text.push(';');
        args.extend(statement.args);
    }
    (text, args)
}

/// `$first, $first+1, …` for a list of `count` parameters. Only numbers end up in the text.
pub(crate) fn placeholders(first: usize, count: usize) -> String {
    (first..first + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arg::args;

    #[test]
    fn joined_statements_keep_their_own_parameters() {
        let one = Statement::new("UPDATE a SET x = $2 WHERE y = $1", args!["one", 2_i64]);
        let other = Statement::new("DELETE FROM b WHERE z = $1 OR z = $1", args![true]);
        let (text, args) = joined(vec![one, other]);
        assert_eq!(text, "UPDATE a SET x = $2 WHERE y = $1;DELETE FROM b WHERE z = $3 OR z = $3;");
        assert_eq!(args.len(), 3);
    }
}
