//! Templates over an entry, bounded in steps, in what they read and in what they write.
//!
//! They see the entry and nothing else: no files, no other templates, no clock.

use super::text::value_text;
use bindery_directory::Entry;
use minijinja::value::{Object, Value};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Steps of one rendering.
const FUEL: u64 = 20_000;
/// Bytes that one rendering may write, and bytes of one value that it may read.
const LIMIT: usize = 64 * 1024;
/// Bytes of a template's text.
const SOURCE_LIMIT: usize = 8 * 1024;
/// The only template of its environment.
const NAME: &str = "template";
/// The entry as a whole, for attributes whose names are no identifiers: `entry["x-y"]`.
const ENTRY: &str = "entry";
/// All values of an attribute: `values("memberOf")`, or `entry.all.memberOf`.
const VALUES: &str = "values";
const ALL: &str = "all";
/// The entry's DN.
const DN: &str = "dn";

/// A compiled minijinja template over an entry.
///
/// `{{ displayName or cn }}` is the first value of an attribute, its name in any case; what is not there is empty.
/// `{{ entry["x-y"] }}` reaches names with a hyphen, `{{ values("memberOf") | join(", ") }}` every value.
#[derive(Clone)]
pub struct Template {
    text: Arc<str>,
    environment: Arc<Environment<'static>>,
    attributes: Arc<BTreeSet<String>>,
}

/// Why a template is no good, or failed on an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct TemplateError {
    /// What was wrong.
    pub reason: String,
}

impl Template {
    /// Compiles it; syntax errors and names of filters that do not exist show here, not at sign-in.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > SOURCE_LIMIT {
            return Err(TemplateError { reason: format!("the template is longer than {SOURCE_LIMIT} bytes") });
        }
        let mut environment = environment();
        environment.add_template_owned(NAME, text.to_owned()).map_err(|error| describe(&error))?;
        let mut attributes = named(&environment, text)?;
        attributes.extend(tried(&environment)?);
        for (global, _) in environment.globals() {
            attributes.remove(global);
        }
        let attributes = distinct(attributes);
        Ok(Self { text: text.into(), environment: Arc::new(environment), attributes: Arc::new(attributes) })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The attributes that it may read. At worst one too many, never one too few, as long as it spells their names out.
    pub fn attributes(&self) -> Vec<String> {
        self.attributes.iter().cloned().collect()
    }

    /// Its text over an entry, without space around it. Empty is absent.
    ///
    /// # Errors
    ///
    /// When it takes too many steps, reads or writes too much, or does with a value what cannot be done with it.
    pub fn render(&self, entry: &Entry) -> Result<String, TemplateError> {
        let view = Arc::new(View { entry: entry.clone(), asked: None });
        let text = render(&self.environment, view).map_err(|error| describe(&error))?;
        let text = text.trim();
        if text.contains('\0') {
            return Err(TemplateError { reason: "the template wrote a NUL".to_owned() });
        }
        Ok(text.to_owned())
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.text).finish()
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(32);
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_debug(false);
    // No use here, and they let a few steps fill the memory.
    for name in ["debug", "dict", "namespace"] {
        environment.remove_global(name);
    }
    environment.remove_filter("indent");
    environment.add_filter("replace", replace);
    environment
}

/// minijinja's own filter multiplies lengths without a bound.
fn replace(text: &str, from: &str, to: &str) -> Result<String, Error> {
    let found = text.matches(from).count();
    if text.len().saturating_add(found.saturating_mul(to.len())) > LIMIT {
        return Err(Error::new(ErrorKind::InvalidOperation, "replace makes the text too long"));
    }
    Ok(text.replace(from, to))
}

fn render(environment: &Environment<'static>, view: Arc<View>) -> Result<String, Error> {
    let mut output = Bounded::default();
    let template = environment.get_template(NAME)?;
    template.render_captured_to(Value::from_dyn_object(view), &mut output)?;
    String::from_utf8(output.0).map_err(|_| Error::new(ErrorKind::BadSerialization, "the output is not UTF-8"))
}

/// The attributes that the text names, on every branch.
fn named(environment: &Environment<'static>, text: &str) -> Result<BTreeSet<String>, TemplateError> {
    let template = environment.get_template(NAME).map_err(|error| describe(&error))?;
    let mut names = BTreeSet::new();
    let mut by_subscript = false;
    for path in template.undeclared_variables(true) {
        let mut parts = path.split('.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(ENTRY), Some(ALL), Some(name)) | (Some(ENTRY), Some(name), _) if name != ALL => {
                names.insert(name.to_owned());
            }
            (Some(ENTRY | VALUES), ..) => by_subscript = true,
            (Some(name), ..) => {
                names.insert(name.to_owned());
            }
            (None, ..) => {}
        }
    }
    if by_subscript {
        names.extend(quoted(text));
    }
    Ok(names)
}

/// Everything in quotes that may be the name of an attribute.
fn quoted(text: &str) -> impl Iterator<Item = String> + '_ {
    let parts = |quote: char| text.split(quote).skip(1).filter(|part| is_attribute(part)).map(str::to_owned);
    parts('"').chain(parts('\''))
}

/// RFC 4512, 2.5: a descriptor or numeric OID with options; the underscore is what servers add.
fn is_attribute(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ';' | '.' | '_'))
}

/// The attributes asked for while rendering an entry that has none, and the errors that no entry could mend.
fn tried(environment: &Environment<'static>) -> Result<BTreeSet<String>, TemplateError> {
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    let view = Arc::new(View { entry: Entry::default(), asked: Some(Arc::clone(&asked)) });
    match render(environment, view) {
        Err(error) if is_lasting(&error) => Err(describe(&error)),
        _ => Ok(std::mem::take(&mut *asked.lock().unwrap_or_else(PoisonError::into_inner))),
    }
}

fn is_lasting(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::TemplateNotFound
            | ErrorKind::BadInclude
            | ErrorKind::OutOfFuel
            | ErrorKind::TooManyArguments
            | ErrorKind::MissingArgument
    )
}

/// Each attribute once, without regard to case, and without the names that are no attributes.
fn distinct(names: BTreeSet<String>) -> BTreeSet<String> {
    let own = [ENTRY, VALUES, DN, "loop", "self", "super", "caller"];
    let mut seen = BTreeSet::new();
    let mut names = names;
    names.retain(|name| is_attribute(name) && !own.contains(&name.as_str()) && seen.insert(name.to_ascii_lowercase()));
    names
}

fn describe(error: &Error) -> TemplateError {
    let mut reason = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    if let Some(line) = error.line().filter(|line| *line > 1) {
        reason = format!("{reason} (line {line})");
    }
    TemplateError { reason }
}

/// An output that ends at [`LIMIT`].
#[derive(Default)]
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > LIMIT {
            return Err(io::Error::other(format!("the template wrote more than {LIMIT} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The entry as a template sees it. Reads values only when asked.
#[derive(Debug)]
struct View {
    entry: Entry,
    /// Set while finding out what a template reads.
    asked: Option<Arc<Mutex<BTreeSet<String>>>>,
}

impl View {
    fn ask(&self, name: &str) {
        if let Some(asked) = &self.asked {
            asked.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        }
    }

    fn first(&self, name: &str) -> Option<Value> {
        self.ask(name);
        self.entry.first(name).map(|value| bounded(name, value))
    }

    fn all(&self, name: &str) -> Value {
        self.ask(name);
        self.entry.values(name).map(|value| bounded(name, value)).collect()
    }
}

/// A value, or (as soon as the template touches it) the error that it is too long.
fn bounded(name: &str, value: &[u8]) -> Value {
    if value.len() > LIMIT {
        let reason = format!("a value of {name} is longer than {LIMIT} bytes");
        return Value::from(Error::new(ErrorKind::InvalidOperation, reason));
    }
    Value::from(value_text(name, value))
}

impl Object for View {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        match name {
            ENTRY => Some(Value::from_object(Whole(Arc::clone(self)))),
            VALUES => {
                let view = Arc::clone(self);
                Some(Value::from_function(move |name: &str| view.all(name)))
            }
            DN if !self.entry.has(DN) => Some(Value::from(self.entry.dn_text().into_owned())),
            _ => self.first(name),
        }
    }
}

/// `entry`.
#[derive(Debug)]
struct Whole(Arc<View>);

impl Object for Whole {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            ALL => Some(Value::from_object(Lists(Arc::clone(&self.0)))),
            DN => self.0.get_value(key),
            name => self.0.first(name),
        }
    }
}

/// `entry.all`.
#[derive(Debug)]
struct Lists(Arc<View>);

impl Object for Lists {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        key.as_str().map(|name| self.0.all(name))
    }
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
