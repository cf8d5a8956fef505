//! Entries as read: a DN and many-valued attributes of bytes, names without regard to case.

use crate::{Dn, DnError};
use std::borrow::Cow;

/// One attribute, its name as the server spelled it, options (`;binary`) included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The attribute description.
    pub name: String,
    /// Its values; bytes stay bytes.
    pub values: Vec<Vec<u8>>,
}

/// An LDAP entry as the server sent it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    raw_dn: Vec<u8>,
    attributes: Vec<Attribute>,
}

impl Entry {
    /// From a DN as sent and its attributes.
    pub fn new(raw_dn: impl Into<Vec<u8>>, attributes: Vec<Attribute>) -> Self {
        Self { raw_dn: raw_dn.into(), attributes }
    }
    /// The DN, parsed; an error when the server sent something else.
    pub fn dn(&self) -> Result<Dn, DnError> {
        Dn::from_bytes(&self.raw_dn)
    }
    /// The DN's bytes as sent.
    pub fn raw_dn(&self) -> &[u8] {
        &self.raw_dn
    }
    /// The DN for people to read, whatever the server sent.
    pub fn dn_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.raw_dn)
    }
    /// All attributes, in the server's order.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }
    /// The values of an attribute, empty when absent.
    pub fn values(&self, name: &str) -> &[Vec<u8>] {
        self.attributes.iter().find(|a| a.name.eq_ignore_ascii_case(name)).map_or(&[], |a| &a.values)
    }
    /// Whether it is there with at least one value.
    pub fn has(&self, name: &str) -> bool {
        !self.values(name).is_empty()
    }
    /// The first value.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.values(name).first().map(Vec::as_slice)
    }
    /// The first value, where it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.first(name).and_then(|v| std::str::from_utf8(v).ok())
    }
    /// Every value that is UTF-8.
    pub fn texts<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.values(name).iter().filter_map(|v| std::str::from_utf8(v).ok())
    }
}
