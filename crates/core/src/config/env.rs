//! The environment: `BINDERY__SERVER__LISTEN=…` overrides, and what `{ env = "NAME" }` reads.
//!
//! The process environment is read in one place only, by the caller; everything here is data.

use std::collections::BTreeMap;
use std::fmt;

use super::error::Place;
use super::tree::{self, At, Kind, Node, STRING_FORMS, Table};

/// What overrides begin with.
const PREFIX: &str = "BINDERY__";

/// The environment variables that the configuration may use. `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// That of this process. A variable that is not UTF-8 is left out.
    pub fn of_process() -> Self {
        let pairs =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self(pairs.collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The overrides: the variable, its path through the tables, its text.
    fn overrides(&self) -> impl Iterator<Item = (&str, Vec<&str>, &str)> {
        self.0.iter().filter_map(|(name, value)| {
            let path = name.strip_prefix(PREFIX)?;
            Some((name.as_str(), path.split("__").collect(), value.as_str()))
        })
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter();
        Self(pairs.map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Lays the overrides over the file's tree.
pub(super) fn apply(root: &mut Node, environment: &Environment) {
    for (name, path, text) in environment.overrides() {
        let place = Place::Variable(name.to_owned());
        set(root, &path, text, &place);
    }
}

fn set(node: &mut Node, path: &[&str], text: &str, place: &Place) {
    let [segment, rest @ ..] = path else { return };
    if replaces_string_form(node, segment, rest) {
        *node = empty(At { place: place.clone(), key: node.at.key.clone() });
    } else if !matches!(node.kind, Kind::Table(_)) {
        node.kind = Kind::Table(node.table().cloned().unwrap_or_default());
        node.at.place = place.clone();
    }
    let at_key = node.at.key.clone();
    let Kind::Table(table) = &mut node.kind else { return };
    let key = table.spelling(segment).map_or_else(|| segment.to_lowercase(), str::to_owned);
    let at = At { place: place.clone(), key: tree::join(&at_key, &key) };
    if rest.is_empty() {
        table.insert(&key, tree::raw(text, at));
        return;
    }
    if table.get(&key).is_none() {
        table.insert(&key, empty(at));
    }
    if let Some(child) = table.get_mut(&key) {
        set(child, rest, text, place);
    }
}

/// `…__PASSWORD__FILE` over `password = { env = … }`: a string form is replaced whole, not mixed.
fn replaces_string_form(node: &Node, segment: &str, rest: &[&str]) -> bool {
    let form = STRING_FORMS.contains(&segment.to_lowercase().as_str());
    rest.is_empty() && form && node.is_string_form()
}

fn empty(at: At) -> Node {
    Node { at, kind: Kind::Table(Table::default()) }
}
