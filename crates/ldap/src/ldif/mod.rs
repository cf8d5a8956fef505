//! LDIF (RFC 2849): entries for people to read, change records to apply.
//!
//! It reads and writes text; it never fetches what a `<` URL names, and knows nothing of connections.

mod changes;
mod lines;
mod write;

#[cfg(test)]
mod tests;

pub use write::{write_change, write_entry};

use crate::{Attribute, Entry};

/// One change record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRecord {
    /// The entry it is about.
    pub dn: String,
    /// What is asked for.
    pub change: Change,
    /// The line of its `dn:`, from 1.
    pub line: usize,
}

/// What a change record asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A new entry with these attributes.
    Add(Vec<Attribute>),
    /// These steps, all or none.
    Modify(Vec<Modification>),
    /// The entry goes.
    Delete,
    /// Another name or place.
    ModifyDn {
        /// The new RDN.
        new_rdn: String,
        /// Whether the values of the old RDN go.
        delete_old_rdn: bool,
        /// The new parent, if it changes.
        new_superior: Option<String>,
    },
}

/// One step of a modify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modification {
    /// What happens to the attribute.
    pub kind: ModificationKind,
    /// The attribute, with the values that are added, deleted or put in place.
    pub attribute: Attribute,
}

/// RFC 4511, 4.6 (and RFC 4525 for increment).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModificationKind {
    /// The values are added.
    Add,
    /// The values go; without values, the whole attribute.
    Delete,
    /// The values take the place of all there are; without values, the attribute goes if it is there.
    Replace,
    /// The one value is added to the number that is there.
    Increment,
}

/// Why a text is not LDIF.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct LdifError {
    /// The line, from 1; of a folded line the first.
    pub line: usize,
    /// What was wrong.
    pub reason: String,
}

/// Parses entries (content records). The values of an attribute that is named several times are brought
/// together, in their order.
///
/// ```
/// let entries = bindery_ldap::ldif::parse_entries("dn: cn=Ann,dc=x\ncn: Ann\nmail: ann@x.example\n")?;
/// assert_eq!(entries[0].text("mail"), Some("ann@x.example"));
/// # Ok::<(), bindery_ldap::ldif::LdifError>(())
/// ```
pub fn parse_entries(text: &str) -> Result<Vec<Entry>, LdifError> {
    lines::records(text)?
        .into_iter()
        .map(|record| {
            if let Some(line) = record.lines.iter().find(|line| line.is("changetype") || line.is("control")) {
                return Err(line.error("a change record, where entries were expected"));
            }
            let attributes = changes::collect(&record.lines)?;
            Ok(Entry::new(record.dn.value, attributes))
        })
        .collect()
}

/// Parses change records; a record without `changetype` is an add.
///
/// ```
/// use bindery_ldap::ldif::{Change, parse_changes};
/// let changes = parse_changes("dn: cn=Ann,dc=x\nchangetype: modify\nreplace: title\ntitle: Editor\n-\n")?;
/// assert!(matches!(&changes[0].change, Change::Modify(steps) if steps.len() == 1));
/// # Ok::<(), bindery_ldap::ldif::LdifError>(())
/// ```
pub fn parse_changes(text: &str) -> Result<Vec<ChangeRecord>, LdifError> {
    lines::records(text)?.into_iter().map(changes::change_record).collect()
}
