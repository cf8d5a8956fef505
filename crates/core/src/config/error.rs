//! What can be wrong with a configuration, and how it is told.
//!
//! An error names the file, the line (or the environment variable), the key and the next step. It never shows
//! a value: any value may be a secret, or stand next to one.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Where in the configuration something stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A line of the file, counted from 1.
    Line(usize),
    /// An environment variable that overrides a key.
    Variable(String),
    /// The file as a whole: something is missing from it.
    File,
}

/// What kind of mistake it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file cannot be read.
    Unreadable,
    /// The file is no TOML.
    Syntax,
    /// A key that means nothing here.
    UnknownKey,
    /// A value of the wrong type.
    WrongType,
    /// A value of the right type that does not do: a bad DN, filter, URL, duration, template or schedule.
    Invalid,
    /// A key that must be there.
    Missing,
    /// Keys that do not go together, or two sources that claim one name.
    Conflict,
    /// A value that was to come from the environment, a file or a command, and did not.
    Unavailable,
    /// A setting that would give a password away.
    Insecure,
    /// A key that needs a feature which this build does not have.
    FeatureAbsent,
}

/// One mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, thiserror::Error)]
pub struct ConfigError {
    /// The configuration file.
    pub file: PathBuf,
    /// Where in it, or which variable.
    pub place: Place,
    /// The key, dotted from the top, as it is written there; empty where the file as a whole is meant.
    pub key: String,
    /// What kind of mistake.
    pub kind: ErrorKind,
    /// What is wrong, in words; without any value.
    pub problem: String,
    /// The nearest known key, where a key is unknown.
    pub nearest: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Line(line) => write!(f, "{}:{line}: ", self.file.display())?,
            Place::Variable(name) => write!(f, "{name}: ")?,
            Place::File => write!(f, "{}: ", self.file.display())?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.problem)
    }
}

/// Every mistake that was found; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Sorts by place and drops what is told twice (a default that several sources inherit).
    pub(super) fn new(mut errors: Vec<ConfigError>) -> Self {
        let order = |error: &ConfigError| match &error.place {
            Place::File => (0, 0, String::new()),
            Place::Line(line) => (1, *line, String::new()),
            Place::Variable(name) => (2, 0, name.clone()),
        };
        errors.sort_by_key(order);
        let mut unique: Vec<ConfigError> = Vec::with_capacity(errors.len());
        for error in errors {
            if !unique.contains(&error) {
                unique.push(error);
            }
        }
        Self(unique)
    }

    /// One error about the file itself.
    pub(super) fn file(file: &Path, kind: ErrorKind, problem: String) -> Self {
        Self(vec![ConfigError {
            file: file.to_owned(),
            place: Place::File,
            key: String::new(),
            kind,
            problem,
            nearest: None,
        }])
    }

    /// The mistakes, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never true of one that was returned.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}
