//! Fields: set what the entry gives, clear what the source gave before and gives no longer, leave the rest.

use super::{Terms, email_key, username_key};
use crate::rules::{Decision, Update};
use bindery_store::{Field, NewUser, User, UserState};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The name of `users.path` among the fields that a source gave.
const PATH: &str = "path";
/// Not a field like the others: see [`Decision::username`].
const USERNAME: &str = "username";
const EMAIL: &str = "email";

/// What becomes of the fields.
pub(super) struct Mapped {
    pub(super) changed: Vec<Field>,
    /// Names of the fields that the source has given once this is applied.
    pub(super) given: BTreeSet<String>,
}

/// The address that the entry gives.
pub(super) fn email(decision: &Decision) -> Option<String> {
    decision.fields.get(EMAIL).map(|field| text(&field.value)).filter(|address| !address.is_empty())
}

pub(super) fn map(
    terms: Terms<'_>,
    decision: &Decision,
    state: Option<&UserState>,
    given: &BTreeSet<String>,
) -> Mapped {
    let user = state.map(|state| &state.user);
    if user.is_some() && terms.provisioning.update == Update::OnCreate {
        return Mapped { changed: Vec::new(), given: given.clone() };
    }
    let path = decision.path.clone().map(Value::String);
    let values = values(decision, path.as_ref());
    let kept = |name: &String| decision.fields.get(name).is_some_and(|field| field.keep);
    let gone = given.iter().filter(|name| !values.contains_key(name.as_str()) && !kept(name));

    let mut changed: Vec<Field> = rename(decision, user).into_iter().collect();
    changed
        .extend(gone.map(|name| (name.as_str(), &Value::Null)).filter_map(|(name, value)| change(user, name, value)));
    changed.extend(values.iter().filter_map(|(name, value)| change(user, name, value)));
    let given = values.keys().map(|name| (*name).to_owned()).chain(given.iter().filter(|name| kept(name)).cloned());
    Mapped { changed, given: given.collect() }
}

/// What the entry gives, by field.
fn values<'a>(decision: &'a Decision, path: Option<&'a Value>) -> BTreeMap<&'a str, &'a Value> {
    let mapped = decision.fields.iter().filter(|(name, field)| *name != USERNAME && !field.value.is_null());
    mapped.map(|(name, field)| (name.as_str(), &field.value)).chain(path.map(|path| (PATH, path))).collect()
}

fn rename(decision: &Decision, user: Option<&User>) -> Option<Field> {
    let (name, key) = (decision.username.clone(), username_key(&decision.username));
    let same = user.is_some_and(|user| user.username == name && user.username_key == key);
    (!same).then_some(Field::Username { name, key })
}

/// A field with a new value; null clears. `None` when it has that value already.
pub(super) fn change(user: Option<&User>, name: &str, value: &Value) -> Option<Field> {
    let differs = |stored: fn(&User) -> &String, new: &str| user.map_or("", |user| stored(user).as_str()) != new;
    let text = text(value);
    match name {
        "first_name" => differs(|user| &user.first_name, &text).then_some(Field::FirstName(text)),
        "last_name" => differs(|user| &user.last_name, &text).then_some(Field::LastName(text)),
        "display_name" => differs(|user| &user.display_name, &text).then_some(Field::DisplayName(text)),
        PATH => differs(|user| &user.path, &text).then_some(Field::Path(text)),
        EMAIL => {
            let key = email_key(&text);
            let differs = differs(|user| &user.email, &text) || differs(|user| &user.email_key, &key);
            differs.then_some(Field::Email { address: text, key })
        }
        _ => {
            let value = Some(value).filter(|value| !value.is_null());
            let stored = user.and_then(|user| user.profile.get(name));
            (stored != value).then(|| Field::Profile { name: name.to_owned(), value: value.cloned() })
        }
    }
}

/// The built-in fields hold one text: of a list, the first.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.first().map(text).unwrap_or_default(),
        _ => String::new(),
    }
}

/// Puts a field into a user who is about to be made.
pub(super) fn put(user: &mut NewUser, field: Field) {
    match field {
        Field::Username { name, key } => (user.username, user.username_key) = (name, key),
        Field::FirstName(text) => user.first_name = text,
        Field::LastName(text) => user.last_name = text,
        Field::Email { address, key } => (user.email, user.email_key) = (address, key),
        Field::DisplayName(text) => user.display_name = text,
        Field::Path(text) => user.path = text,
        Field::LiveGroups(keys) => user.live_groups = keys,
        Field::Profile { name, value } => {
            user.profile.extend(value.map(|value| (name, value)));
        }
    }
}
