//! Entries as read: a DN and many-valued attributes of bytes, names without regard to case.

use crate::protection::is_password_attribute;
use crate::{Dn, DnError};
use std::borrow::Cow;
use std::fmt;

/// One attribute, its name as the server spelled it, options (`;binary`) included. `Debug` shows no passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The attribute description.
    pub name: String,
    /// Its values; bytes stay bytes.
    pub values: Vec<Vec<u8>>,
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        if is_password_attribute(&self.name) {
            return f.write_str("[redacted]");
        }
        f.debug_list().entries(self.values.iter().map(|value| String::from_utf8_lossy(value))).finish()
    }
}

/// An LDAP entry as the server sent it. `Debug` shows no passwords.
#[derive(Clone, PartialEq, Eq, Default)]
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

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("dn", &self.dn_text())
            .field("attributes", &self.attributes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let attribute = |name: &str, value: &[u8]| Attribute { name: name.into(), values: vec![value.to_vec()] };
        Entry::new(
            "cn=a",
            vec![attribute("cn", b"a"), attribute("userPassword", b"hunter2"), attribute("photo", &[0xff])],
        )
    }

    #[test]
    fn names_have_no_case_and_values_stay_octets() {
        let entry = entry();
        assert_eq!((entry.text("CN"), entry.first("PHOTO")), (Some("a"), Some(&[0xff][..])));
        assert_eq!((entry.text("photo"), entry.has("sn")), (None, false));
        assert_eq!(entry.texts("cn").collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn passwords_are_not_shown() {
        let shown = format!("{:?}", entry());
        assert!(shown.contains("cn: [\"a\"]") && !shown.contains("hunter2"), "{shown}");
    }
}
