//! What is bound to a statement, in the form that each database takes.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};
use sqlx::SqlStr;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use uuid::Uuid;

use crate::json::Json;

/// A bound parameter. There is no other way for a value to reach a statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Arg {
    /// Shared, because SQLite's driver shares it with its thread.
    Text(Option<Arc<str>>),
    Int(Option<i64>),
    Bool(bool),
    Bytes(Option<Vec<u8>>),
    Uuid(Option<Uuid>),
    Time(Option<DateTime<Utc>>),
    Json(Json),
    /// Values of one kind, as an array. PostgreSQL alone has them.
    Column(Vec<Arg>),
}

impl Arg {
    /// The types that PostgreSQL gives a list of these, and each of them. JSON in a list goes as text.
    pub(crate) fn postgres_types(list: &[Self]) -> (&'static str, &'static str) {
        match list.first() {
            Some(Self::Int(_)) => ("bigint[]", "bigint"),
            Some(Self::Bool(_)) => ("boolean[]", "boolean"),
            Some(Self::Bytes(_)) => ("bytea[]", "bytea"),
            Some(Self::Uuid(_)) => ("uuid[]", "uuid"),
            Some(Self::Time(_)) => ("timestamptz[]", "timestamptz"),
            Some(Self::Json(_)) => ("text[]", "jsonb"),
            Some(Self::Text(_) | Self::Column(_)) | None => ("text[]", "text"),
        }
    }

    /// What a type of ours is as JSON.
    pub(crate) fn json(field: &'static str, value: &impl serde::Serialize) -> Self {
        Self::Json(Json::of(field, value))
    }
}

macro_rules! arg_from {
    ($($type:ty, $value:ident => $arg:expr;)*) => {
        $(impl From<$type> for Arg {
            fn from($value: $type) -> Self {
                $arg
            }
        })*
    };
}

arg_from! {
    &str, v => Self::Text(Some(v.into()));
    &String, v => Self::Text(Some(v.as_str().into()));
    String, v => Self::Text(Some(v.into()));
    &Arc<str>, v => Self::Text(Some(v.clone()));
    Option<String>, v => Self::Text(v.map(Arc::from));
    &Option<String>, v => Self::Text(v.as_deref().map(Arc::from));
    i64, v => Self::Int(Some(v));
    Option<i64>, v => Self::Int(v);
    bool, v => Self::Bool(v);
    &[u8], v => Self::Bytes(Some(v.to_vec()));
    Option<Vec<u8>>, v => Self::Bytes(v);
    Uuid, v => Self::Uuid(Some(v));
    Option<Uuid>, v => Self::Uuid(v);
    serde_json::Value, v => Self::Json(v.into());
    crate::TokenHash, v => Self::Bytes(Some(v.as_bytes().to_vec()));
    &crate::Owner, v => Self::Text(Some(v.as_str().into()));
    // PostgreSQL keeps microseconds; so that both answer alike, SQLite gets no more.
    DateTime<Utc>, v => Self::Time(Some(v.trunc_subsecs(6)));
    Option<DateTime<Utc>>, v => Self::Time(v.map(|time| time.trunc_subsecs(6)));
}

/// The arguments of a statement, in the order of `$1`, `$2`, …
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::db::Arg::from($value)),*] };
}
pub(crate) use args;

/// The same as an array, for one row of many.
macro_rules! row {
    ($($value:expr),* $(,)?) => { [$($crate::db::Arg::from($value)),*] };
}
pub(crate) use row;

macro_rules! bind {
    ($query:expr, $arg:expr, $column:ident => $bind_column:expr) => {
        match $arg {
            Arg::Text(v) => $query.bind(v),
            Arg::Int(v) => $query.bind(v),
            Arg::Bool(v) => $query.bind(v),
            Arg::Bytes(v) => $query.bind(v),
            Arg::Uuid(v) => $query.bind(v),
            Arg::Time(v) => $query.bind(v),
            Arg::Json(v) => $query.bind(v),
            Arg::Column($column) => $bind_column,
        }
    };
}

pub(crate) fn for_sqlite(sql: SqlStr, args: Vec<Arg>) -> Query<'static, Sqlite, SqliteArguments> {
    // Nobody makes columns for SQLite; its own words about a parameter that is not there would be as good as ours.
    args.into_iter().fold(sqlx::query(sql), |query, arg| bind!(query, arg, _column => query))
}

pub(crate) fn for_postgres(sql: SqlStr, args: Vec<Arg>) -> Query<'static, Postgres, PgArguments> {
    args.into_iter().fold(sqlx::query(sql), |query, arg| bind!(query, arg, column => bind_column(query, column)))
}

/// Binds values of one kind as an array.
fn bind_column(
    query: Query<'static, Postgres, PgArguments>,
    column: Vec<Arg>,
) -> Query<'static, Postgres, PgArguments> {
    macro_rules! array {
        ($variant:ident) => {
            query.bind(
                column
                    .into_iter()
                    .map(|value| if let Arg::$variant(value) = value { value } else { Default::default() })
                    .collect::<Vec<_>>(),
            )
        };
    }
    match column.first() {
        Some(Arg::Int(_)) => array!(Int),
        Some(Arg::Bool(_)) => array!(Bool),
        Some(Arg::Bytes(_)) => array!(Bytes),
        Some(Arg::Uuid(_)) => array!(Uuid),
        Some(Arg::Time(_)) => array!(Time),
        Some(Arg::Json(_)) => {
            let json = |value: &Arg| if let Arg::Json(json) = value { Some(json.as_text()) } else { None };
            query.bind(column.iter().map(json).collect::<Vec<_>>())
        }
        Some(Arg::Text(_) | Arg::Column(_)) | None => {
            let text = |value: &Arg| if let Arg::Text(value) = value { value.clone() } else { None };
            let texts: Vec<Option<Arc<str>>> = column.iter().map(text).collect();
            query.bind(texts.iter().map(Option::as_deref).collect::<Vec<_>>())
        }
    }
}
