//! `users.attributes`, `users.path`, `access`, `flags`, `group_map` and `extra`: the rules, and the app's own keys.

use std::collections::BTreeMap;

use bindery_directory::preset::Preset;
use serde_json::{Map, Value};

use super::reader::{Context, Section};
use super::tree::{Kind, Node};
use super::{expression, groups, values};
use crate::rules::{Access, FieldRule, FieldSource, GroupExpression, Template};

/// Local field = attribute, template or table. `username` and the four common fields are always there.
pub(super) fn attributes(section: &Section<'_>, preset: &Preset) -> BTreeMap<String, FieldRule> {
    let mut rules: BTreeMap<String, FieldRule> = COMMON
        .iter()
        .map(|&(field, source)| (field, source))
        .chain([("username", preset.username)])
        .filter_map(|(field, text)| Some((field.to_owned(), simple(source(text).ok()?))))
        .collect();
    for (field, node) in section.entries() {
        if let Err(problem) = values::identifier(field) {
            section.context.invalid(&node.at, problem);
        }
        if let Some(rule) = field_rule(section, field, node) {
            rules.insert(field.to_owned(), rule);
        }
    }
    rules
}

/// The same everywhere, unless the configuration says otherwise.
const COMMON: [(&str, &str); 4] =
    [("first_name", "givenName"), ("last_name", "sn"), ("email", "mail"), ("display_name", "{{ displayName or cn }}")];

fn simple(source: FieldSource) -> FieldRule {
    FieldRule { source, many: false, keep_when_absent: false }
}

fn field_rule(section: &Section<'_>, field: &str, node: &Node) -> Option<FieldRule> {
    let context = section.context;
    if node.plain_text().is_some() || node.is_string_form() {
        let text = context.string(node)?;
        let source = source(&text).map_err(|problem| context.invalid(&node.at, problem)).ok()?;
        return Some(simple(source));
    }
    if node.table().is_none() {
        let wanted = "an attribute, a template, or a table with attribute, many and keep_when_absent";
        context.wrong_type(node, wanted);
        return None;
    }
    section.section(field, |it| {
        let attribute = it.parsed("attribute", attribute);
        let template = it.parsed("template", template);
        let many = it.boolean("many").unwrap_or(false);
        let keep_when_absent = it.boolean("keep_when_absent").unwrap_or(false);
        let source = match (attribute, template) {
            (Some(attribute), None) => attribute.value,
            (None, Some(template)) => {
                if many {
                    context.invalid(&it.at("many"), "a template makes one value");
                }
                template.value
            }
            (Some(_), Some(template)) => {
                context.invalid(&template.at, "stands instead of attribute; remove one of the two");
                return None;
            }
            (None, None) => {
                if !it.has("attribute") && !it.has("template") {
                    it.missing("attribute", "the attribute that the field is read from");
                }
                return None;
            }
        };
        if field == "username" && many {
            context.invalid(&it.at("many"), "a username is one value");
        }
        Some(FieldRule { source, many, keep_when_absent })
    })
}

/// A text with template syntax in it is a template, any other the name of an attribute.
fn source(text: &str) -> Result<FieldSource, String> {
    if ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) { template(text) } else { attribute(text) }
}

fn attribute(text: &str) -> Result<FieldSource, String> {
    let name = values::attribute(text)?;
    no_password(&name)?;
    Ok(FieldSource::Attribute(name))
}

fn template(text: &str) -> Result<FieldSource, String> {
    compiled(text).map(FieldSource::Template)
}

/// Compiles a template and looks at what it reads. Its error's own words would repeat parts of the text.
fn compiled(text: &str) -> Result<Template, String> {
    let template = Template::parse(text)
        .map_err(|_| "the template cannot be used: a mistake in its syntax, or an unknown filter".to_owned())?;
    template.attributes().iter().try_for_each(|attribute| no_password(attribute))?;
    Ok(template)
}

fn no_password(attribute: &str) -> Result<(), String> {
    if values::is_password_attribute(attribute) {
        return Err("a password attribute must not be mapped".to_owned());
    }
    Ok(())
}

/// `users.path`: a template.
pub(super) fn path(section: &Section<'_>) -> Option<Template> {
    section.parsed("path", compiled).map(|it| it.value)
}

pub(super) fn access(section: &Section<'_>) -> Access {
    Access { require: expression::read(section, "require"), deny: expression::read(section, "deny") }
}

/// `[sources.NAME.flags]`.
pub(super) struct Flags {
    pub(super) rules: BTreeMap<String, GroupExpression>,
    pub(super) cascade: bool,
}

/// Flags stand beside these in `user show` and `/api/v1/me`.
const KEYS_OF_A_USER: [&str; 11] = [
    "id",
    "username",
    "first_name",
    "last_name",
    "email",
    "display_name",
    "path",
    "profile",
    "groups",
    "permissions",
    "link",
];

fn flag_name(flag: &str) -> Result<(), String> {
    if KEYS_OF_A_USER.contains(&flag) {
        return Err(
            "a flag cannot be called that: whoever reads a user finds something else under this name".to_owned()
        );
    }
    Ok(())
}

pub(super) fn flags(section: &Section<'_>) -> Flags {
    let cascade = section.boolean("cascade").unwrap_or(true);
    let flags = section.entries().filter(|(key, _)| *key != "cascade");
    let rules = flags
        .filter_map(|(flag, node)| {
            if let Err(problem) = values::identifier(flag).and_then(|()| flag_name(flag)) {
                section.context.invalid(&node.at, problem);
            }
            Some((flag.to_owned(), expression::expression(section.context, node)?))
        })
        .collect();
    Flags { rules, cascade }
}

/// `[sources.NAME.group_map]`.
pub(super) fn group_map(section: &Section<'_>) -> BTreeMap<String, GroupExpression> {
    section
        .entries()
        .filter_map(|(group, node)| {
            if let Err(problem) = groups::group_name(group) {
                section.context.invalid(&node.at, problem);
            }
            Some((group.to_owned(), expression::expression(section.context, node)?))
        })
        .collect()
}

/// `[sources.NAME.extra]`: the app's own keys, of any type.
pub(super) fn extra(section: &Section<'_>) -> Map<String, Value> {
    section.entries().filter_map(|(key, node)| Some((key.to_owned(), json(section.context, node)?))).collect()
}

fn json(context: &Context<'_>, node: &Node) -> Option<Value> {
    if node.is_string_form() {
        return context.string(node).map(Value::String);
    }
    Some(match &node.kind {
        Kind::Integer(number) => Value::from(*number),
        Kind::Float(number) => Value::from(*number),
        Kind::Boolean(value) => Value::Bool(*value),
        Kind::Array(items) => Value::Array(items.iter().filter_map(|it| json(context, it)).collect()),
        Kind::Table(table) => {
            let entry = |(key, it): (&str, &Node)| Some((key.to_owned(), json(context, it)?));
            Value::Object(table.iter().filter_map(entry).collect())
        }
        Kind::Raw { parsed: Some(node), .. } => return json(context, node),
        Kind::Raw { text, .. } | Kind::String(text) => Value::String(text.to_string()),
        Kind::Datetime(text) => Value::String(text.clone()),
    })
}
