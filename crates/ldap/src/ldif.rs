//! LDIF (RFC 2849): entries for people to read, change records to apply.

use crate::{Attribute, Entry};

/// Writes an entry as an LDIF content record, base64 where needed, folded at 76 columns.
pub fn write_entry(entry: &Entry) -> String { todo!() }

/// One change record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRecord { pub dn: String, pub change: Change, pub line: usize }
/// What a change record asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Add(Vec<Attribute>),
    Modify(Vec<Modification>),
    Delete,
    ModifyDn { new_rdn: String, delete_old_rdn: bool, new_superior: Option<String> },
}
/// One step of a modify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modification { pub kind: ModificationKind, pub attribute: Attribute }
/// RFC 4511, 4.6 (and RFC 4525 for increment).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModificationKind { Add, Delete, Replace, Increment }
/// Why a text is not LDIF.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct LdifError { pub line: usize, pub reason: String }
/// Parses entries (content records).
pub fn parse_entries(text: &str) -> Result<Vec<Entry>, LdifError> { todo!() }
/// Parses change records; a record without `changetype` is an add.
pub fn parse_changes(text: &str) -> Result<Vec<ChangeRecord>, LdifError> { todo!() }
