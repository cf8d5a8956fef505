//! Group expressions: a DN, a group name, a list (= any), `any`, `all`, `not`, and `name` and `dn` to say it outright.

use bindery_directory::{Dn, GroupSelector};

use super::error::ErrorKind;
use super::reader::{Context, Section};
use super::tree::{Node, Table};
use crate::rules::GroupExpression;

const WANTED: &str = "a group expression (a DN, a group name, a list, or a table with one of any, all, not, name, dn)";

/// The expression under a key; absent or wrong is `None`, wrong is noted.
pub(super) fn read(section: &Section<'_>, key: &str) -> Option<GroupExpression> {
    expression(section.context, section.get(key)?)
}

pub(super) fn expression(context: &Context<'_>, node: &Node) -> Option<GroupExpression> {
    if let Some(text) = node.plain_text() {
        return named(context, node, text);
    }
    if let Some(items) = node.array() {
        return list(context, items).map(GroupExpression::Any);
    }
    if node.is_string_form() {
        let text = context.string(node)?;
        return named(context, node, &text);
    }
    match node.table().map(Table::single) {
        Some(Some((operator, operand))) => applied(context, operator, operand),
        Some(None) => {
            let problem = "expected exactly one of any, all, not, name and dn; combine several with all = [ … ]";
            context.invalid(&node.at, problem);
            None
        }
        None => {
            context.wrong_type(node, WANTED);
            None
        }
    }
}

fn list(context: &Context<'_>, items: &[Node]) -> Option<Vec<GroupExpression>> {
    // Every item is read, so that every mistake is found.
    let read: Vec<_> = items.iter().map(|item| expression(context, item)).collect();
    read.into_iter().collect()
}

fn applied(context: &Context<'_>, operator: &str, operand: &Node) -> Option<GroupExpression> {
    match operator {
        "any" | "all" => {
            let Some(items) = operand.array() else {
                context.wrong_type(operand, "a list of group expressions");
                return None;
            };
            let all = operator == "all";
            if all && items.is_empty() {
                context.invalid(&operand.at, "an empty \"all\" would hold for everybody");
                return None;
            }
            let items = list(context, items)?;
            Some(if all { GroupExpression::All(items) } else { GroupExpression::Any(items) })
        }
        "not" => expression(context, operand).map(|inner| GroupExpression::Not(Box::new(inner))),
        "name" => {
            let name = context.string(operand)?;
            name_selector(context, operand, &name)
        }
        "dn" => {
            let text = context.string(operand)?;
            dn_selector(context, operand, &text)
        }
        other => {
            let known = ["any", "all", "not", "name", "dn"].map(str::to_owned);
            context.unknown_key(operand, other, &known);
            None
        }
    }
}

/// Anything with `=` is meant as a DN; a malformed one is never read as a name.
fn named(context: &Context<'_>, node: &Node, text: &str) -> Option<GroupExpression> {
    if text.contains('=') { dn_selector(context, node, text) } else { name_selector(context, node, text) }
}

fn name_selector(context: &Context<'_>, node: &Node, text: &str) -> Option<GroupExpression> {
    if text.trim().is_empty() {
        context.invalid(&node.at, "the name of a group is empty");
        return None;
    }
    Some(GroupExpression::Group(GroupSelector::Name(text.to_owned())))
}

fn dn_selector(context: &Context<'_>, node: &Node, text: &str) -> Option<GroupExpression> {
    match Dn::parse(text) {
        Ok(dn) if !text.trim().is_empty() => Some(GroupExpression::Group(GroupSelector::Dn(dn))),
        Ok(_) => {
            context.error(&node.at, ErrorKind::Invalid, "the DN of a group is empty");
            None
        }
        Err(error) => {
            let problem = format!("{error}; a group name with \"=\" in it is written {{ name = \"…\" }}");
            context.invalid(&node.at, problem);
            None
        }
    }
}
