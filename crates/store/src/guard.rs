//! Refuses values that one of the databases could not keep, before anything is sent.
//!
//! PostgreSQL has no NUL in text or JSON, and no more than 2,704 bytes in an indexed key.

use std::borrow::Cow;

use serde_json::Value;

use crate::StoreError;

/// Longest text that has an index, in bytes.
const KEY_LIMIT: usize = 1000;
/// Longest text from outside in an audit line or a session, in characters.
const TRACE_LIMIT: usize = 256;

/// Any text that is stored.
pub(crate) fn text(field: &str, text: &str) -> Result<(), StoreError> {
    if text.contains('\0') {
        return Err(StoreError::Invalid { field: field.to_owned(), reason: "it contains NUL" });
    }
    Ok(())
}

/// Text that has an index.
pub(crate) fn key(field: &str, key: &str) -> Result<(), StoreError> {
    if key.len() > KEY_LIMIT {
        return Err(StoreError::Invalid { field: field.to_owned(), reason: "it is longer than 1,000 bytes" });
    }
    text(field, key)
}

/// A key that must not be empty: names of people and groups.
pub(crate) fn name(field: &str, name: &str) -> Result<(), StoreError> {
    if name.is_empty() {
        return Err(StoreError::Invalid { field: field.to_owned(), reason: "it is empty" });
    }
    key(field, name)
}

/// JSON, names and values alike.
pub(crate) fn json(field: &str, value: &Value) -> Result<(), StoreError> {
    match value {
        Value::String(string) => text(field, string),
        Value::Array(items) => items.iter().try_for_each(|item| json(field, item)),
        Value::Object(members) => members.iter().try_for_each(|(name, member)| {
            text(field, name)?;
            json(field, member)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// Whether anything of this key can be in the store at all. What cannot be stored cannot be found: no error.
pub(crate) fn findable(candidate: &str) -> bool {
    key("", candidate).is_ok()
}

/// Text from outside that is kept as a trace only: always storable, however hostile.
pub(crate) fn trace(text: &str) -> String {
    text.chars().take(TRACE_LIMIT).map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The same for JSON; strings keep their length.
pub(crate) fn trace_json(value: Value) -> Value {
    match value {
        Value::String(string) => Value::String(without_nul(&string).into_owned()),
        Value::Array(items) => items.into_iter().map(trace_json).collect(),
        Value::Object(members) => {
            let clean = |(name, member): (String, Value)| (without_nul(&name).into_owned(), trace_json(member));
            Value::Object(members.into_iter().map(clean).collect())
        }
        other => other,
    }
}

fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_refused_wherever_it_hides() {
        assert!(text("first_name", "a\0b").is_err());
        assert!(json("profile", &serde_json::json!({"a": [{"b\0": 1}]})).is_err());
        assert!(json("profile", &serde_json::json!({"a": ["\0"]})).is_err());
        assert!(json("profile", &serde_json::json!({"a": ["; DROP TABLE users"]})).is_ok());
    }

    #[test]
    fn a_key_has_a_length() {
        assert!(name("username", &"x".repeat(1000)).is_ok());
        assert!(name("username", &"x".repeat(1001)).is_err());
        assert!(name("username", "").is_err());
    }

    #[test]
    fn a_trace_is_always_storable() {
        assert_eq!(trace("a\0b"), "a\u{fffd}b");
        assert_eq!(trace(&"é".repeat(9000)).chars().count(), 256);
        assert!(json("", &trace_json(serde_json::json!({"\0": ["\0"]}))).is_ok());
    }
}
