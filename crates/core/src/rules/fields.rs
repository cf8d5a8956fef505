//! Fields of a user from an entry: attributes, templates bounded in steps and output, tables.

use std::sync::Arc;

/// How one local field is made.
#[derive(Debug, Clone)]
pub struct FieldRule {
    /// Where its value comes from.
    pub source: FieldSource,
    /// All values instead of the first.
    pub many: bool,
    /// Keep the last value when the attribute is absent; the default clears the field.
    pub keep_when_absent: bool,
}

/// Where a field's value comes from.
#[derive(Debug, Clone)]
pub enum FieldSource {
    /// An attribute.
    Attribute(String),
    /// A template over the entry.
    Template(Template),
}

/// A compiled minijinja template over an entry.
#[derive(Debug, Clone)]
pub struct Template {
    text: Arc<str>,
}

/// Why a template is no good, or failed on an entry.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct TemplateError {
    /// What was wrong.
    pub reason: String,
}

impl Template {
    /// Compiles it; syntax errors show here, not at sign-in.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(Self { text: text.into() })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The attributes that it reads.
    pub fn attributes(&self) -> Vec<String> {
        todo!()
    }

    /// Its text over an entry, bounded in steps and length. Empty is absent.
    pub fn render(&self, entry: &bindery_directory::Entry) -> Result<String, TemplateError> {
        let _ = entry;
        todo!()
    }
}
