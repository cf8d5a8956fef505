//! JSON on its way into the store: text, or the reason why a value has none. Nothing is ever stored in its place.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, Postgres};
use sqlx::sqlite::{Sqlite, SqliteArgumentsBuffer, SqliteTypeInfo};
use sqlx::{Type, types};

/// A value as JSON.
#[derive(Clone, Debug)]
pub(crate) struct Json(Result<Arc<str>, Arc<NoJson>>);

/// A value without a JSON form. The driver keeps no more of it than its text.
#[derive(Debug, thiserror::Error)]
#[error("{field} cannot be written as JSON: {why}")]
pub(crate) struct NoJson {
    field: &'static str,
    why: serde_json::Error,
}

impl Json {
    /// What has no such form fails the statement that it is bound to, by the name of its field.
    pub(crate) fn of(field: &'static str, value: &impl Serialize) -> Self {
        Self(serde_json::to_string(value).map(Arc::from).map_err(|why| Arc::new(NoJson { field, why })))
    }

    /// The same for a list, in which PostgreSQL takes it as text, and reads it once: then it is the one to say whether it is JSON.
    pub(crate) fn as_text(&self) -> JsonText {
        JsonText(self.clone())
    }

    fn text(&self) -> Result<&Arc<str>, BoxDynError> {
        self.0.as_ref().map_err(|error| error.clone().into())
    }
}

impl PartialEq for Json {
    /// What has no form is like nothing.
    fn eq(&self, other: &Self) -> bool {
        matches!((&self.0, &other.0), (Ok(own), Ok(other)) if own == other)
    }
}

/// A value as the text of its JSON.
pub(crate) struct JsonText(Json);

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        Self(Ok(value.to_string().into()))
    }
}

impl Type<Sqlite> for Json {
    fn type_info() -> SqliteTypeInfo {
        <str as Type<Sqlite>>::type_info()
    }
}

impl Encode<'_, Sqlite> for Json {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        // Shared, not copied.
        Encode::<Sqlite>::encode(self.text()?.clone(), buffer)
    }
}

impl Type<Postgres> for Json {
    fn type_info() -> PgTypeInfo {
        <types::Json<&RawValue> as Type<Postgres>>::type_info()
    }
}

impl Type<Postgres> for JsonText {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }
}

impl PgHasArrayType for JsonText {
    fn array_type_info() -> PgTypeInfo {
        <&str as PgHasArrayType>::array_type_info()
    }
}

impl Encode<'_, Postgres> for JsonText {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let text: &str = self.0.text()?;
        Encode::<Postgres>::encode(text, buffer)
    }
}

impl Encode<'_, Postgres> for Json {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let raw: &RawValue = serde_json::from_str(self.text()?)?;
        Encode::<Postgres>::encode(types::Json(raw), buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{Arg, args};
    use crate::{Store, StoreError, StoreUrl};
    use bindery_tests::Postgres;
    use serde::{Serializer, ser::Error as _};
    use std::error::Error;

    struct Formless;

    impl Serialize for Formless {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("it is like nothing"))
        }
    }

    #[tokio::test]
    async fn what_has_no_form_fails_the_write_by_its_name() {
        let formless = || Arg::json("profile", &Formless);
        for (url, columns) in [("sqlite::memory:".to_owned(), false), (Postgres::start().database(), true)] {
            let store = Store::open(&StoreUrl::parse(&url).unwrap()).await.unwrap();
            let mut values = vec![formless()];
            values.extend(columns.then(|| Arg::Column(vec![Arg::from(serde_json::json!(1)), formless()])));
            for value in values {
                let mut tx = store.db.begin().await.unwrap();
                let sql = match value {
                    Arg::Column(_) => "INSERT INTO positions SELECT 'corp', 'x', v::jsonb, $2 FROM unnest($1) AS u (v)",
                    _ => "INSERT INTO positions VALUES ('corp', 'x', $1, $2)",
                };
                let written = tx.execute(sql, [vec![value], args![chrono::DateTime::UNIX_EPOCH]].concat()).await;
                let error = written.unwrap_err();
                assert!(matches!(error, StoreError::Unstorable { .. }), "{error:?}");
                let why = error.source().unwrap().to_string();
                assert!(why.contains("profile") && why.contains("it is like nothing"), "{why}");
            }
            assert_eq!(store.position("corp", "x").await.unwrap(), None);
        }
    }
}
