//! Reads typed values out of the tree, collects every mistake, and finds the keys that nobody asked for.
//!
//! A section's reader asks for each of its keys once; whatever it did not ask for is unknown. So the list of
//! known keys is the code that reads them and cannot drift from it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use super::env::Environment;
use super::error::{ConfigError, ErrorKind};
use super::features::Feature;
use super::secret;
use super::tree::{At, Kind, Node, STRING_FORMS, Table, join};
use super::values;

/// A value and where it is written.
#[derive(Clone)]
pub(super) struct Spot<T> {
    pub(super) value: T,
    pub(super) at: At,
}

impl<T> Spot<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Spot<U> {
        Spot { value: change(self.value), at: self.at }
    }
}

/// What all sections share: where the file lies, the environment, the mistakes so far.
pub(super) struct Context<'a> {
    pub(super) file: &'a Path,
    pub(super) directory: &'a Path,
    pub(super) environment: &'a Environment,
    errors: RefCell<Vec<ConfigError>>,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(file: &'a Path, directory: &'a Path, environment: &'a Environment) -> Self {
        Self { file, directory, environment, errors: RefCell::default(), asked: RefCell::default() }
    }

    pub(super) fn error_count(&self) -> usize {
        self.errors.borrow().len()
    }

    /// Every key that was asked for.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.borrow().iter().cloned().collect()
    }

    pub(super) fn into_errors(self) -> Vec<ConfigError> {
        self.errors.into_inner()
    }

    /// Notes a mistake.
    pub(super) fn error(&self, at: &At, kind: ErrorKind, problem: impl Into<String>) {
        self.push(at, kind, problem.into(), None);
    }

    /// Notes a value that does not do.
    pub(super) fn invalid(&self, at: &At, problem: impl Into<String>) {
        self.error(at, ErrorKind::Invalid, problem);
    }

    fn push(&self, at: &At, kind: ErrorKind, problem: String, nearest: Option<String>) {
        self.errors.borrow_mut().push(ConfigError {
            file: self.file.to_owned(),
            place: at.place.clone(),
            key: at.key.clone(),
            kind,
            problem,
            nearest,
        });
    }

    pub(super) fn push_all(&self, errors: impl IntoIterator<Item = ConfigError>) {
        self.errors.borrow_mut().extend(errors);
    }

    /// Notes a value of the wrong type.
    pub(super) fn wrong_type(&self, node: &Node, wanted: &str) {
        let problem = format!("expected {wanted}, found {}", node.type_name());
        self.error(&node.at, ErrorKind::WrongType, problem);
    }

    /// Notes a key that is not known; `known` are those that are.
    pub(super) fn unknown_key(&self, node: &Node, key: &str, known: &[String]) {
        let nearest = nearest(key, known);
        let problem = match &nearest {
            Some((name, true)) => format!("unknown key; did you mean \"{name}\"?"),
            Some((name, false)) => format!("unknown key; the nearest known key is \"{name}\""),
            None => "unknown key".to_owned(),
        };
        let nearest = nearest.map(|(name, _)| name);
        self.push(&node.at, ErrorKind::UnknownKey, problem, nearest);
    }

    /// Notes a key that needs a feature, unless this build has it.
    pub(super) fn needs(&self, at: &At, feature: Feature) {
        if !feature.is_built_in() {
            let problem = format!(
                "needs the feature \"{}\", which this build does not have (bindery --version lists those it has)",
                feature.name()
            );
            self.error(at, ErrorKind::FeatureAbsent, problem);
        }
    }

    /// The string that a node is or names.
    pub(super) fn string(&self, node: &Node) -> Option<String> {
        if let Some(text) = node.text() {
            return Some(text.to_owned());
        }
        match node.table().and_then(Table::single) {
            Some((form, source)) if STRING_FORMS.contains(&form) => self.string_form(form, source),
            _ => {
                self.wrong_type(node, "a string");
                None
            }
        }
    }

    fn string_form(&self, form: &str, source: &Node) -> Option<String> {
        let result = if form == "command" {
            let words = self.strings(source)?;
            let words: Vec<String> = words.into_iter().map(|word| word.value).collect();
            secret::from_command(&words, self.directory)
        } else {
            let Some(text) = source.text() else {
                self.wrong_type(source, "a string");
                return None;
            };
            match form {
                "env" => secret::from_env(text, self.environment),
                _ => secret::from_file(&self.directory.join(text)),
            }
        };
        result.map_err(|problem| self.error(&source.at, ErrorKind::Unavailable, problem)).ok()
    }

    /// The strings of an array. From the environment, one plain text is an array of one.
    pub(super) fn strings(&self, node: &Node) -> Option<Vec<Spot<String>>> {
        let one = |node: &Node| {
            let at = node.at.clone();
            self.string(node).map(|value| Spot { value, at })
        };
        match node.array() {
            Some(items) => Some(items.iter().filter_map(one).collect()),
            None if node.is_raw() && node.plain_text().is_some() => one(node).map(|it| vec![it]),
            None => {
                self.wrong_type(node, "an array of strings");
                None
            }
        }
    }

    /// The root of the tree as a section.
    pub(super) fn section<T>(&self, node: &Node, read: impl FnOnce(&Section<'_>) -> T) -> T {
        Section::read(self, Some(node), node.at.clone(), read)
    }
}

/// The known key nearest to a mistyped one, and whether it is near enough to be meant.
fn nearest(key: &str, known: &[String]) -> Option<(String, bool)> {
    let key = key.to_lowercase();
    let distance = |name: &String| strsim::osa_distance(&key, &name.to_lowercase());
    let best = known.iter().min_by_key(|name| distance(name))?;
    let limit = (best.len() / 3).max(1);
    let part = key.len() >= 3 && (best.starts_with(&key) || key.starts_with(best.as_str()));
    let meant = part || distance(best) <= limit;
    Some((best.clone(), meant))
}

/// What stands behind a word, without regard to case; or what was expected, and which word may be meant.
fn one_of<'a, T>(text: &str, choices: &'a [T], word: impl Fn(&T) -> &str) -> Result<&'a T, String> {
    if let Some(found) = choices.iter().find(|one| word(one).eq_ignore_ascii_case(text)) {
        return Ok(found);
    }
    let known: Vec<String> = choices.iter().map(|one| word(one).to_owned()).collect();
    let listed: Vec<String> = known.iter().map(|word| format!("\"{word}\"")).collect();
    let meant = meant(text, &known).map(|word| format!("; did you mean \"{word}\"?")).unwrap_or_default();
    Err(format!("expected one of {}{meant}", listed.join(", ")))
}

/// The known name that a mistyped one most likely stands for, if any is near enough.
pub(super) fn meant(typed: &str, known: &[String]) -> Option<String> {
    nearest(typed, known).filter(|(_, near)| *near).map(|(name, _)| name)
}

/// One table being read. It may be absent: then every key is.
pub(super) struct Section<'a> {
    pub(super) context: &'a Context<'a>,
    table: Option<&'a Table>,
    /// The table as a whole: for what is missing from it.
    pub(super) at: At,
    asked: RefCell<Vec<String>>,
}

impl<'a> Section<'a> {
    fn read<T>(context: &Context<'_>, node: Option<&Node>, at: At, read: impl FnOnce(&Section<'_>) -> T) -> T {
        let table = node.and_then(Node::table);
        if let (Some(node), None) = (node, table) {
            context.wrong_type(node, "a table");
        }
        let section = Section { context, table, at, asked: RefCell::default() };
        let result = read(&section);
        section.report_unknown();
        result
    }

    fn report_unknown(&self) {
        let asked = self.asked.borrow();
        for (key, node) in self.table.into_iter().flat_map(Table::iter) {
            if !asked.iter().any(|name| name == key) {
                self.context.unknown_key(node, key, &asked);
            }
        }
    }

    /// The value of a key, whatever its type.
    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        let mut asked = self.asked.borrow_mut();
        if !asked.iter().any(|name| name == key) {
            asked.push(key.to_owned());
            self.context.asked.borrow_mut().insert(join(&self.at.key, key));
        }
        self.table?.get(key)
    }

    /// Whether a key is there; does not count as asking for it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.get(key).is_some())
    }

    /// Whether a key of a table below is there; does not count as asking for it.
    pub(super) fn nested_has(&self, table: &str, key: &str) -> bool {
        let below = self.table.and_then(|it| it.get(table)).and_then(Node::table);
        below.is_some_and(|it| it.get(key).is_some())
    }

    /// Every entry, for a table whose keys are the user's own.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Node)> {
        let entries = self.table.into_iter().flat_map(Table::iter);
        entries.inspect(|(key, _)| self.asked.borrow_mut().push((*key).to_owned()))
    }

    /// Where a key would stand: for what is missing, or wrong about keys together.
    pub(super) fn at(&self, key: &str) -> At {
        let there = self.table.and_then(|table| table.get(key));
        there.map_or_else(|| At { place: self.at.place.clone(), key: join(&self.at.key, key) }, |node| node.at.clone())
    }

    /// Notes that a key is missing.
    pub(super) fn missing(&self, key: &str, why: &str) {
        self.context.error(&self.at(key), ErrorKind::Missing, format!("missing: {why}"));
    }

    pub(super) fn boolean(&self, key: &str) -> Option<bool> {
        let node = self.get(key)?;
        let value = node.boolean();
        if value.is_none() {
            self.context.wrong_type(node, "true or false");
        }
        value
    }

    /// A whole number within bounds.
    pub(super) fn integer(&self, key: &str, bounds: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let node = self.get(key)?;
        let Some(number) = node.integer() else {
            self.context.wrong_type(node, "an integer");
            return None;
        };
        let number = u32::try_from(number).ok().filter(|number| bounds.contains(number));
        if number.is_none() {
            let problem = format!("expected an integer from {} to {}", bounds.start(), bounds.end());
            self.context.invalid(&node.at, problem);
        }
        number
    }

    pub(super) fn string(&self, key: &str) -> Option<Spot<String>> {
        let node = self.get(key)?;
        let value = self.context.string(node)?;
        let at = node.at.clone();
        Some(Spot { value, at })
    }

    pub(super) fn secret(&self, key: &str) -> Option<Spot<SecretString>> {
        self.string(key).map(|text| text.map(SecretString::from))
    }

    pub(super) fn strings(&self, key: &str) -> Option<Vec<Spot<String>>> {
        self.context.strings(self.get(key)?)
    }

    /// A string with a form of its own.
    pub(super) fn parsed<T>(&self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<Spot<T>> {
        let text = self.string(key)?;
        self.parse(text, parse)
    }

    /// Strings with a form of their own. `None` where the key is absent or no array.
    pub(super) fn all_parsed<T>(&self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<Spot<T>>> {
        let texts = self.strings(key)?;
        let parsed = texts.into_iter().filter_map(|text| self.parse(text, &parse));
        Some(parsed.collect())
    }

    fn parse<T>(&self, text: Spot<String>, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<Spot<T>> {
        let Spot { value, at } = text;
        let value = parse(&value).map_err(|problem| self.context.invalid(&at, problem)).ok()?;
        Some(Spot { value, at })
    }

    pub(super) fn duration(&self, key: &str) -> Option<Spot<Duration>> {
        self.parsed(key, values::duration)
    }

    /// A duration, or the word that stands for none at all.
    pub(super) fn duration_or(&self, key: &str, word: &str) -> Option<Spot<Option<Duration>>> {
        self.parsed(key, |text| {
            if text == word {
                return Ok(None);
            }
            let told = |problem: String| format!("{problem}, or \"{word}\"");
            values::duration(text).map(Some).map_err(told)
        })
    }

    /// A size in bytes, as text with a unit or as a number.
    pub(super) fn size(&self, key: &str, bounds: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let node = self.get(key)?;
        let size = match &node.kind {
            Kind::Integer(number) => u64::try_from(*number).ok(),
            _ => self.parsed(key, values::size).map(|size| size.value),
        };
        let size = size?;
        if bounds.contains(&size) {
            return Some(size);
        }
        let problem = format!("expected a size from {} to {} bytes", bounds.start(), bounds.end());
        self.context.invalid(&node.at, problem);
        None
    }

    /// One of a few words, without regard to case.
    pub(super) fn choice<T: Clone>(&self, key: &str, choices: &[(&str, T)]) -> Option<Spot<T>> {
        self.parsed(key, |text| one_of(text, choices, |(word, _)| word).map(|(_, value)| value.clone()))
    }

    /// The same, as it is written.
    pub(super) fn word(&self, key: &str, words: &[&str]) -> Option<Spot<String>> {
        self.parsed(key, |text| one_of(text, words, |word| word).map(|_| text.to_owned()))
    }

    /// A local file's path; a relative one lies beside the configuration file.
    pub(super) fn path(&self, key: &str) -> Option<Spot<PathBuf>> {
        let directory = self.context.directory;
        self.parsed(key, |text| {
            if text.is_empty() || text.contains('\0') {
                return Err("expected the path of a file".to_owned());
            }
            Ok(directory.join(text))
        })
    }

    /// The path of a file that is there.
    pub(super) fn file(&self, key: &str) -> Option<Spot<PathBuf>> {
        let file = self.path(key);
        if let Some(missing) = file.as_ref().filter(|file| !file.value.is_file()) {
            self.context.error(&missing.at, ErrorKind::Unavailable, "there is no such file");
        }
        file
    }

    /// A table below this one.
    pub(super) fn section<T>(&self, key: &str, read: impl FnOnce(&Section<'_>) -> T) -> T {
        let node = self.get(key);
        Section::read(self.context, node, self.at(key), read)
    }
}
