//! Writing records, so that whatever a server sent stays one value on its own line.

use super::lines::is_attribute_description;
use super::{Change, ChangeRecord, ModificationKind};
use crate::Entry;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Where lines are folded.
const COLUMNS: usize = 76;

/// Writes an entry as an LDIF content record, base64 where needed, folded at 76 columns, with an empty
/// line at the end: records may be written one after the other.
///
/// Base64 stands for everything that RFC 2849 asks it for, and for control characters, which a terminal
/// might obey. An attribute whose name is none becomes a comment. An attribute without values (asked for
/// by `typesOnly`) is written as `ldapsearch` writes it, as its name alone.
pub fn write_entry(entry: &Entry) -> String {
    let mut out = String::new();
    line(&mut out, "dn", entry.raw_dn());
    for (name, values) in entry.attributes() {
        attribute(&mut out, name, values);
    }
    out.push('\n');
    out
}

/// Writes a change record, with an empty line at the end.
pub fn write_change(record: &ChangeRecord) -> String {
    let mut out = String::new();
    line(&mut out, "dn", record.dn.as_bytes());
    match &record.change {
        Change::Add(added) => {
            out.push_str("changetype: add\n");
            for one in added {
                attribute(&mut out, &one.name, one.values.iter().map(Vec::as_slice));
            }
        }
        Change::Delete => out.push_str("changetype: delete\n"),
        Change::ModifyDn { new_rdn, delete_old_rdn, new_superior } => {
            out.push_str("changetype: modrdn\n");
            line(&mut out, "newrdn", new_rdn.as_bytes());
            line(&mut out, "deleteoldrdn", if *delete_old_rdn { b"1" } else { b"0" });
            if let Some(superior) = new_superior {
                line(&mut out, "newsuperior", superior.as_bytes());
            }
        }
        Change::Modify(steps) => {
            out.push_str("changetype: modify\n");
            for step in steps {
                let kind = match step.kind {
                    ModificationKind::Add => "add",
                    ModificationKind::Delete => "delete",
                    ModificationKind::Replace => "replace",
                    ModificationKind::Increment => "increment",
                };
                line(&mut out, kind, step.attribute.name.as_bytes());
                for value in &step.attribute.values {
                    line(&mut out, &step.attribute.name, value);
                }
                out.push_str("-\n");
            }
        }
    }
    out.push('\n');
    out
}

fn attribute<'a>(out: &mut String, name: &str, values: impl ExactSizeIterator<Item = &'a [u8]>) {
    if values.len() == 0 {
        line(out, name, b"");
    }
    values.for_each(|value| line(out, name, value));
}

fn line(out: &mut String, name: &str, value: &[u8]) {
    if !is_attribute_description(name) {
        fold(out, &format!("# left out, its name is none: {}", name.escape_default()));
        return;
    }
    match std::str::from_utf8(value) {
        Ok("") => fold(out, &format!("{name}:")),
        Ok(text) if is_safe(text) => fold(out, &format!("{name}: {text}")),
        _ => fold(out, &format!("{name}:: {}", STANDARD.encode(value))),
    }
}

/// RFC 2849 `SAFE-STRING`, without control characters and without space at the end.
fn is_safe(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !text.starts_with([' ', ':', '<']) && !text.ends_with(' ')
}

/// All of `text` is ASCII; a line that goes on begins with a space, which counts.
fn fold(out: &mut String, text: &str) {
    let mut rest = text;
    let mut room = COLUMNS;
    while let Some((head, tail)) = rest.split_at_checked(room).filter(|(_, tail)| !tail.is_empty()) {
        out.push_str(head);
        out.push_str("\n ");
        rest = tail;
        room = COLUMNS.saturating_sub(1);
    }
    out.push_str(rest);
    out.push('\n');
}
