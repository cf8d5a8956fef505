//! The configuration as a tree whose every value knows where it was written.
//!
//! Holds the TOML file, the environment overrides and the inheritance from `[defaults]`; knows no key by name
//! (except which tables are inherited key by key) and checks no value. It has no `Debug`: values may be secrets.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use zeroize::Zeroizing;

use super::error::Place;

/// Where a value is written, and under which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At {
    pub(super) place: Place,
    /// Dotted from the top.
    pub(super) key: String,
}

/// One value.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Clone)]
pub(super) enum Kind {
    String(Zeroizing<String>),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// As it is written.
    Datetime(String),
    Array(Vec<Node>),
    Table(Table),
    /// From the environment: text whose type the key decides. `parsed` is there if it reads as a TOML array or table.
    Raw {
        text: Zeroizing<String>,
        parsed: Option<Box<Node>>,
    },
}

/// A table, in order of appearance.
#[derive(Clone, Default)]
pub(super) struct Table {
    entries: Vec<(String, Node)>,
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries.iter_mut().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    pub(super) fn insert(&mut self, key: &str, node: Node) {
        match self.get_mut(key) {
            Some(there) => *there = node,
            None => self.entries.push((key.to_owned(), node)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.entries.iter().map(|(key, node)| (key.as_str(), node))
    }

    /// The key as it is spelled here that an environment variable's segment means: without regard to case,
    /// `-` written as `_`.
    pub(super) fn spelling(&self, segment: &str) -> Option<&str> {
        let plain = |text: &str| text.to_lowercase().replace('-', "_");
        let wanted = plain(segment);
        self.entries.iter().map(|(key, _)| key.as_str()).find(|key| plain(key) == wanted)
    }

    /// The only entry of a table with one.
    pub(super) fn single(&self) -> Option<(&str, &Node)> {
        match self.entries.as_slice() {
            [(key, node)] => Some((key, node)),
            _ => None,
        }
    }
}

impl Node {
    pub(super) fn table(&self) -> Option<&Table> {
        match &self.kind {
            Kind::Table(table) => Some(table),
            Kind::Raw { parsed: Some(node), .. } => node.table(),
            _ => None,
        }
    }

    pub(super) fn array(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::Array(items) => Some(items),
            Kind::Raw { parsed: Some(node), .. } => node.array(),
            _ => None,
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match &self.kind {
            Kind::Boolean(value) => Some(*value),
            Kind::Raw { text, .. } => text.trim().parse().ok(),
            _ => None,
        }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match &self.kind {
            Kind::Integer(value) => Some(*value),
            Kind::Raw { text, .. } => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The text of a string that is written out.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) | Kind::Raw { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The text, unless it came from the environment and reads as an array or a table: for keys that take either.
    pub(super) fn plain_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Raw { parsed: Some(_), .. } => None,
            _ => self.text(),
        }
    }

    pub(super) fn is_raw(&self) -> bool {
        matches!(self.kind, Kind::Raw { .. })
    }

    /// Whether this is a string that comes from elsewhere: `{ env = … }`, `{ file = … }` or `{ command = … }`.
    pub(super) fn is_string_form(&self) -> bool {
        self.table().and_then(Table::single).is_some_and(|(key, _)| STRING_FORMS.contains(&key))
    }

    /// What it is, for a person.
    pub(super) fn type_name(&self) -> &'static str {
        match &self.kind {
            Kind::String(_) => "a string",
            Kind::Integer(_) => "an integer",
            Kind::Float(_) => "a float",
            Kind::Boolean(_) => "a boolean",
            Kind::Datetime(_) => "a date",
            Kind::Array(_) => "an array",
            Kind::Table(_) => "a table",
            Kind::Raw { parsed: Some(node), .. } => node.type_name(),
            Kind::Raw { .. } => "a text",
        }
    }
}

/// The keys of the one-key tables that stand for a string.
pub(super) const STRING_FORMS: [&str; 3] = ["env", "file", "command"];

/// A dotted key; a part that is no bare key is quoted.
pub(super) fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let quoted = if bare { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { quoted } else { format!("{path}.{quoted}") }
}

/// Where the lines of a text begin.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn new(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect())
    }

    /// The line, counted from 1, that a byte lies on.
    pub(super) fn of(&self, byte: usize) -> usize {
        self.0.partition_point(|start| *start <= byte)
    }
}

/// A mistake of the TOML itself: where, and what, without its text.
pub(super) struct SyntaxError {
    pub(super) line: usize,
    /// The key, where one is given twice.
    pub(super) key: String,
    pub(super) message: String,
}

/// Reads a TOML document.
pub(super) fn parse_document(text: &str) -> Result<Node, Vec<SyntaxError>> {
    let lines = Lines::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let error = |error: &toml::de::Error| {
            let span = error.span().unwrap_or_default();
            let twice = error.message() == "duplicate key";
            let key = text.get(span.clone()).filter(|_| twice).unwrap_or_default().to_owned();
            SyntaxError { line: lines.of(span.start), key, message: error.message().to_owned() }
        };
        return Err(errors.iter().map(error).collect());
    }
    let place = |span: Range<usize>| Place::Line(lines.of(span.start));
    let table = table(document.get_ref(), "", &place);
    let at = At { place: Place::File, key: String::new() };
    Ok(Node { at, kind: Kind::Table(table) })
}

/// Reads an environment variable's text: as it stands, and as a TOML array or table where it is one.
pub(super) fn raw(text: &str, at: At) -> Node {
    let structured = text.trim_start().starts_with(['[', '{']);
    let parsed = structured.then(|| DeValue::parse(text.trim()).ok()).flatten().map(|value| {
        let place = |_: Range<usize>| at.place.clone();
        Box::new(Node { at: at.clone(), kind: kind(value.get_ref(), &at.key, &place) })
    });
    Node { at, kind: Kind::Raw { text: text.to_owned().into(), parsed } }
}

fn table(source: &DeTable<'_>, path: &str, place: &dyn Fn(Range<usize>) -> Place) -> Table {
    let mut entries: Vec<_> = source.iter().collect();
    // The map of the TOML library is sorted by name; the order of appearance is that of the keys' positions.
    entries.sort_by_key(|(key, _)| key.span().start);
    let entries = entries
        .into_iter()
        .map(|(key, value)| {
            let at = At { place: place(key.span()), key: join(path, key.get_ref()) };
            let kind = kind(value.get_ref(), &at.key, place);
            (key.get_ref().to_string(), Node { at, kind })
        })
        .collect();
    Table { entries }
}

fn kind(value: &DeValue<'_>, path: &str, place: &dyn Fn(Range<usize>) -> Place) -> Kind {
    match value {
        DeValue::String(text) => Kind::String(text.to_string().into()),
        DeValue::Integer(number) => {
            // A number beyond 64 bits fits no key; as a float it is refused by its type.
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Kind::Float(f64::INFINITY), Kind::Integer)
        }
        DeValue::Float(number) => Kind::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Kind::Boolean(*value),
        DeValue::Datetime(moment) => Kind::Datetime(moment.to_string()),
        DeValue::Array(items) => {
            let item = |item: &toml::Spanned<DeValue<'_>>| Node {
                at: At { place: place(item.span()), key: path.to_owned() },
                kind: kind(item.get_ref(), path, place),
            };
            Kind::Array(items.iter().map(item).collect())
        }
        DeValue::Table(entries) => Kind::Table(table(entries, path, place)),
    }
}

/// The tables of a source that are inherited key by key; any other value is replaced whole. A table that stands
/// for one value (a group expression, a string form) must not be mixed from two places.
const MERGED: [&[&str]; 15] = [
    &[],
    &["timeouts"],
    &["bind"],
    &["tls"],
    &["users"],
    &["users", "attributes"],
    &["groups"],
    &["access"],
    &["flags"],
    &["group_map"],
    &["provisioning"],
    &["passwords"],
    &["sync"],
    &["sync", "removal_limit"],
    &["extra"],
];

/// The source's own keys over those of `[defaults]`.
pub(super) fn inherit(source: &Node, defaults: &Node) -> Node {
    merge(source, defaults, &mut Vec::new())
}

fn merge<'a>(own: &'a Node, below: &'a Node, path: &mut Vec<&'a str>) -> Node {
    let (Some(own_table), Some(below_table)) = (own.table(), below.table()) else {
        return own.clone();
    };
    if !MERGED.contains(&path.as_slice()) {
        return own.clone();
    }
    let mut merged = own_table.clone();
    for (key, node) in below_table.iter() {
        match own_table.get(key) {
            None => merged.insert(key, node.clone()),
            Some(there) => {
                path.push(key);
                let node = merge(there, node, path);
                path.pop();
                merged.insert(key, node);
            }
        }
    }
    Node { at: own.at.clone(), kind: Kind::Table(merged) }
}
