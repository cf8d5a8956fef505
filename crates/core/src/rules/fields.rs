//! Fields of a user from an entry: attributes, templates, tables.

use super::text::value_text;
use super::{FieldValue, Template, TemplateError};
use bindery_directory::Entry;
use serde_json::Value;

/// How one local field is made.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldRule {
    /// Where its value comes from.
    pub source: FieldSource,
    /// All values instead of the first.
    pub many: bool,
    /// Keep the last value when the attribute is absent; the default clears the field.
    pub keep_when_absent: bool,
}

/// Where a field's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldSource {
    /// An attribute.
    Attribute(String),
    /// A template over the entry.
    Template(Template),
}

impl FieldRule {
    /// The first value of an attribute; absent clears the field.
    pub fn attribute(name: impl Into<String>) -> Self {
        Self { source: FieldSource::Attribute(name.into()), many: false, keep_when_absent: false }
    }

    /// A template; empty clears the field.
    pub fn template(template: Template) -> Self {
        Self { source: FieldSource::Template(template), many: false, keep_when_absent: false }
    }

    /// The attributes that it reads.
    pub fn attributes(&self) -> Vec<String> {
        match &self.source {
            FieldSource::Attribute(name) => vec![name.clone()],
            FieldSource::Template(template) => template.attributes(),
        }
    }

    /// Its value for an entry. Fails alone: other fields are none the worse.
    pub fn value(&self, entry: &Entry) -> Result<FieldValue, TemplateError> {
        let (value, from) = match &self.source {
            FieldSource::Attribute(name) => (self.read(entry, name), name.clone()),
            FieldSource::Template(template) => {
                (self.written(template.render(entry)?), format!("template {}", template.as_str()))
            }
        };
        if value.is_null() && self.keep_when_absent {
            return Ok(FieldValue { value, from: "kept".to_owned(), keep: true });
        }
        Ok(FieldValue { value, from, keep: false })
    }

    fn read(&self, entry: &Entry, name: &str) -> Value {
        let mut texts = entry.values(name).map(|value| value_text(name, value)).filter(|text| !text.is_empty());
        if !self.many {
            return texts.next().map_or(Value::Null, Value::String);
        }
        // LDAP values are a set: sorted, a server's change of mood changes nothing.
        let mut texts: Vec<String> = texts.collect();
        texts.sort_unstable();
        if texts.is_empty() { Value::Null } else { texts.into() }
    }

    fn written(&self, text: String) -> Value {
        match (text.is_empty(), self.many) {
            (true, _) => Value::Null,
            (false, true) => Value::Array(vec![Value::String(text)]),
            (false, false) => Value::String(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bindery_directory::Attribute;
    use serde_json::json;

    fn entry(attributes: &[(&str, &[&[u8]])]) -> Entry {
        let attribute = |(name, values): &(&str, &[&[u8]])| Attribute {
            name: (*name).to_owned(),
            values: values.iter().map(|value| value.to_vec()).collect(),
        };
        Entry::new("uid=ann,dc=example", attributes.iter().map(attribute))
    }

    #[test]
    fn an_attribute_gives_its_first_value_whatever_the_case_of_its_name() {
        let field = FieldRule::attribute("MAIL").value(&entry(&[("mail", &[b"a@x", b"b@x"])])).unwrap();
        assert_eq!(field, FieldValue { value: json!("a@x"), from: "MAIL".into(), keep: false });
    }

    #[test]
    fn many_gives_every_value_in_an_order_of_its_own() {
        let rule = FieldRule { many: true, ..FieldRule::attribute("telephoneNumber") };
        let one = rule.value(&entry(&[("telephoneNumber", &[b"2", b"1"])])).unwrap();
        let other = rule.value(&entry(&[("telephoneNumber", &[b"1", b"2"])])).unwrap();
        assert_eq!(one.value, json!(["1", "2"]));
        assert_eq!(one, other);
        assert_eq!(rule.value(&entry(&[])).unwrap().value, Value::Null);
    }

    #[test]
    fn absent_clears_unless_it_is_to_be_kept() {
        let rule = FieldRule::attribute("mail");
        assert_eq!(
            rule.value(&entry(&[])).unwrap(),
            FieldValue { value: Value::Null, from: "mail".into(), keep: false }
        );
        let rule = FieldRule { keep_when_absent: true, ..rule };
        assert_eq!(
            rule.value(&entry(&[])).unwrap(),
            FieldValue { value: Value::Null, from: "kept".into(), keep: true }
        );
        assert!(!rule.value(&entry(&[("mail", &[b"a@x"])])).unwrap().keep);
    }

    #[test]
    fn an_empty_template_is_absent() {
        let rule = FieldRule::template(Template::parse("{{ displayName or cn }}").unwrap());
        assert_eq!(rule.value(&entry(&[])).unwrap().value, Value::Null);
        let field = rule.value(&entry(&[("cn", &[b"Ann"])])).unwrap();
        assert_eq!(
            field,
            FieldValue { value: json!("Ann"), from: "template {{ displayName or cn }}".into(), keep: false }
        );
    }
}
