//! From the lines of a record to attributes and changes.

use super::lines::{Line, Record};
use super::{Change, ChangeRecord, LdifError, Modification, ModificationKind};
use crate::{Attribute, Dn};
use std::collections::HashMap;

/// Brings the values of each attribute together.
pub(super) fn collect(lines: &[Line]) -> Result<Vec<Attribute>, LdifError> {
    let mut attributes: Vec<Attribute> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for line in lines {
        if line.separator {
            return Err(line.error("'-' stands only between the steps of a modify"));
        }
        let place = *places.entry(line.name.to_ascii_lowercase()).or_insert(attributes.len());
        match attributes.get_mut(place) {
            Some(attribute) => attribute.values.push(line.value.clone()),
            None => attributes.push(Attribute { name: line.name.clone(), values: vec![line.value.clone()] }),
        }
    }
    Ok(attributes)
}

pub(super) fn change_record(record: Record) -> Result<ChangeRecord, LdifError> {
    let Record { dn: dn_line, lines } = record;
    let dn = dn_text(&dn_line)?;
    if let Some(control) = lines.iter().find(|line| line.is("control")) {
        return Err(control.error("controls are not supported in change records"));
    }
    let change = match lines.split_first() {
        Some((first, rest)) if first.is("changetype") => match first.text()?.to_ascii_lowercase().as_str() {
            "add" => add(first, rest)?,
            "modify" => Change::Modify(modify(first, rest)?),
            "delete" => delete(rest)?,
            "modrdn" | "moddn" => modify_dn(first, rest)?,
            other => {
                return Err(first.error(format!(
                    "unknown changetype \"{}\"; known are add, modify, delete, modrdn, moddn",
                    other.escape_debug()
                )));
            }
        },
        _ => add(&dn_line, &lines)?,
    };
    Ok(ChangeRecord { dn, change, line: dn_line.number })
}

fn dn_text(line: &Line) -> Result<String, LdifError> {
    let text = line.text()?;
    Dn::parse(text).map_err(|error| line.error(error.to_string()))?;
    Ok(text.to_owned())
}

fn add(at: &Line, lines: &[Line]) -> Result<Change, LdifError> {
    if let Some(late) = lines.iter().find(|line| line.is("changetype")) {
        return Err(late.error("\"changetype:\" follows \"dn:\" at once"));
    }
    if lines.is_empty() {
        return Err(at.error("an add without attributes"));
    }
    collect(lines).map(Change::Add)
}

fn delete(lines: &[Line]) -> Result<Change, LdifError> {
    match lines.first() {
        Some(line) => Err(line.error("nothing follows \"changetype: delete\"")),
        None => Ok(Change::Delete),
    }
}

/// Steps, each `kind: attribute`, its values, and `-`, which may be absent after the last.
fn modify(at: &Line, lines: &[Line]) -> Result<Vec<Modification>, LdifError> {
    let steps = lines
        .split_inclusive(|line| line.separator)
        .map(|step| modification(without_separator(step)))
        .collect::<Result<Vec<_>, _>>()?;
    if steps.is_empty() {
        return Err(at.error("a modify without steps"));
    }
    Ok(steps)
}

/// A step without its closing `-`; a `-` that closes nothing stays, to be refused.
fn without_separator(step: &[Line]) -> &[Line] {
    match step.split_last() {
        Some((last, step)) if last.separator && !step.is_empty() => step,
        _ => step,
    }
}

fn modification(step: &[Line]) -> Result<Modification, LdifError> {
    let Some((head, rest)) = step.split_first() else {
        return Err(LdifError { line: 0, reason: "an empty step".into() });
    };
    if head.separator {
        return Err(head.error("a step was expected before '-'"));
    }
    let kind = match head.name.to_ascii_lowercase().as_str() {
        "add" => ModificationKind::Add,
        "delete" => ModificationKind::Delete,
        "replace" => ModificationKind::Replace,
        "increment" => ModificationKind::Increment,
        _ => {
            return Err(head.error(format!(
                "\"add:\", \"delete:\", \"replace:\" or \"increment:\" was expected, not \"{}:\"",
                head.name
            )));
        }
    };
    let name = head.text()?.trim_end_matches(' ').to_owned();
    if !super::lines::is_attribute_description(&name) {
        return Err(head.error("the name of an attribute was expected"));
    }
    if let Some(other) = rest.iter().find(|line| !line.is(&name)) {
        return Err(other.error(format!("a value of \"{name}\" or '-' was expected, not \"{}:\"", other.name)));
    }
    let values: Vec<Vec<u8>> = rest.iter().map(|line| line.value.clone()).collect();
    match kind {
        ModificationKind::Add if values.is_empty() => Err(head.error("an add without values")),
        ModificationKind::Increment if values.len() != 1 => Err(head.error("an increment has one value")),
        _ => Ok(Modification { kind, attribute: Attribute { name, values } }),
    }
}

/// `newrdn:`, `deleteoldrdn:`, and perhaps `newsuperior:`, in this order.
fn modify_dn(at: &Line, lines: &[Line]) -> Result<Change, LdifError> {
    let [new_rdn, delete_old, rest @ ..] = lines else {
        return Err(at.error("\"newrdn:\" and \"deleteoldrdn:\" were expected"));
    };
    if !new_rdn.is("newrdn") {
        return Err(new_rdn.error("\"newrdn:\" was expected"));
    }
    if !delete_old.is("deleteoldrdn") {
        return Err(delete_old.error("\"deleteoldrdn:\" was expected"));
    }
    let rdn = dn_text(new_rdn)?;
    if Dn::parse(&rdn).map_or(0, |dn| dn.depth()) != 1 {
        return Err(new_rdn.error("one RDN was expected, as in \"cn=Ann\""));
    }
    let delete_old_rdn = match delete_old.value.as_slice() {
        b"0" => false,
        b"1" => true,
        _ => return Err(delete_old.error("0 or 1 was expected")),
    };
    let new_superior = match rest {
        [] => None,
        [line] if line.is("newsuperior") => Some(dn_text(line)?),
        [line, ..] => {
            return Err(line.error("\"newsuperior:\" or the end of the record was expected"));
        }
    };
    Ok(Change::ModifyDn { new_rdn: rdn, delete_old_rdn, new_superior })
}
