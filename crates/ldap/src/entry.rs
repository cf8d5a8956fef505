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
///
/// A sync reads hundreds of thousands of them: one is two pieces of memory, however many values it has.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// The DN; then of each attribute its name and its values.
    octets: Vec<u8>,
    /// How long the DN is; then of each attribute how long its name is, how many values it has, and how long each is.
    lengths: Vec<usize>,
}

impl Entry {
    /// From a DN as sent and its attributes.
    pub fn new(raw_dn: impl AsRef<[u8]>, attributes: impl IntoIterator<Item = Attribute>) -> Self {
        let mut packer = Packer::new(raw_dn.as_ref(), 0);
        for attribute in attributes {
            packer.attribute(&attribute.name);
            attribute.values.iter().for_each(|value| packer.value(value));
        }
        packer.finish()
    }
    /// The DN, parsed; an error when the server sent something else.
    pub fn dn(&self) -> Result<Dn, DnError> {
        Dn::from_bytes(self.raw_dn())
    }
    /// The DN's bytes as sent.
    pub fn raw_dn(&self) -> &[u8] {
        self.lengths.first().and_then(|length| self.octets.get(..*length)).unwrap_or_default()
    }
    /// The DN for people to read, whatever the server sent.
    pub fn dn_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.raw_dn())
    }
    /// How many octets its DN, the names of its attributes and their values have together.
    pub fn octets(&self) -> usize {
        self.octets.len()
    }
    /// All attributes, in the server's order: their names and values.
    pub fn attributes(&self) -> Attributes<'_> {
        match self.lengths.split_first() {
            Some((dn, lengths)) => Attributes { octets: self.octets.get(*dn..).unwrap_or_default(), lengths },
            None => Attributes { octets: &[], lengths: &[] },
        }
    }
    /// The values of an attribute, none when absent.
    pub fn values(&self, name: &str) -> Values<'_> {
        let mut attributes = self.attributes();
        while let Some((own, values)) = attributes.advance() {
            if own.eq_ignore_ascii_case(name.as_bytes()) {
                return values;
            }
        }
        Values::default()
    }
    /// Whether it is there with at least one value.
    pub fn has(&self, name: &str) -> bool {
        self.first(name).is_some()
    }
    /// The first value.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.values(name).next()
    }
    /// The first value, where it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.first(name).and_then(|v| std::str::from_utf8(v).ok())
    }
    /// Every value that is UTF-8.
    pub fn texts<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.values(name).filter_map(|v| std::str::from_utf8(v).ok())
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes: Vec<Attribute> = self.attributes().map(Attribute::from).collect();
        f.debug_struct("Entry").field("dn", &self.dn_text()).field("attributes", &attributes).finish_non_exhaustive()
    }
}

/// The attributes of an entry: see [`Entry::attributes`].
#[derive(Clone)]
pub struct Attributes<'a> {
    octets: &'a [u8],
    lengths: &'a [usize],
}

impl<'a> Attributes<'a> {
    /// The next one. Its name is UTF-8.
    fn advance(&mut self) -> Option<(&'a [u8], Values<'a>)> {
        let [name, count, rest @ ..] = self.lengths else { return None };
        let (name, octets) = self.octets.split_at_checked(*name)?;
        let (lengths, lengths_after) = rest.split_at_checked(*count)?;
        let (octets, octets_after) = octets.split_at_checked(lengths.iter().sum())?;
        (self.octets, self.lengths) = (octets_after, lengths_after);
        Some((name, Values { octets, lengths }))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a str, Values<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, values) = self.advance()?;
        Some((std::str::from_utf8(name).ok()?, values))
    }
}

impl From<(&str, Values<'_>)> for Attribute {
    fn from((name, values): (&str, Values<'_>)) -> Self {
        Self { name: name.to_owned(), values: values.map(<[u8]>::to_vec).collect() }
    }
}

/// The values of an attribute, in the server's order: see [`Entry::values`].
#[derive(Clone, Default)]
pub struct Values<'a> {
    octets: &'a [u8],
    lengths: &'a [usize],
}

impl Values<'_> {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, lengths) = self.lengths.split_first()?;
        let (value, octets) = self.octets.split_at_checked(*length)?;
        (self.octets, self.lengths) = (octets, lengths);
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.lengths.len(), Some(self.lengths.len()))
    }
}

impl ExactSizeIterator for Values<'_> {}

/// What an entry is put together with, value by value.
pub(crate) struct Packer {
    entry: Entry,
    /// Where the count of the last attribute stands.
    count: usize,
}

/// Lengths that most entries have no more of.
const USUAL: usize = 32;

impl Packer {
    /// `room` is for as many octets as the entry may have.
    pub(crate) fn new(raw_dn: &[u8], room: usize) -> Self {
        let mut entry = Entry { octets: Vec::with_capacity(room), lengths: Vec::with_capacity(USUAL) };
        entry.octets.extend_from_slice(raw_dn);
        entry.lengths.push(raw_dn.len());
        Self { entry, count: 0 }
    }

    /// Begins an attribute.
    pub(crate) fn attribute(&mut self, name: &str) {
        let Entry { octets, lengths } = &mut self.entry;
        octets.extend_from_slice(name.as_bytes());
        lengths.push(name.len());
        self.count = lengths.len();
        lengths.push(0);
    }

    /// Adds a value to the attribute that was begun last.
    pub(crate) fn value(&mut self, value: &[u8]) {
        let Entry { octets, lengths } = &mut self.entry;
        let Some(count) = lengths.get_mut(self.count) else { return };
        *count += 1;
        octets.extend_from_slice(value);
        lengths.push(value.len());
    }

    pub(crate) fn finish(self) -> Entry {
        self.entry
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
    fn what_was_put_in_comes_out() {
        let attribute = |name: &str, values: &[&[u8]]| Attribute {
            name: name.into(),
            values: values.iter().map(|value| value.to_vec()).collect(),
        };
        let all = [attribute("a", &[b"1", b"", b"22"]), attribute("none", &[]), attribute("", &[b"x"])];
        let entry = Entry::new("cn=a", all.clone());
        assert_eq!(entry.attributes().map(Attribute::from).collect::<Vec<_>>(), all);
        assert_eq!((entry.raw_dn(), entry.values("A").len(), entry.octets()), (&b"cn=a"[..], 3, 13));
        assert_eq!(
            (entry.has("none"), entry.values("NONE").is_empty(), entry.first("")),
            (false, true, Some(&b"x"[..]))
        );
        assert_ne!(
            entry,
            Entry::new("cn=a", [attribute("a", &[b"1", b"22"]), attribute("none", &[]), attribute("", &[b"x"])])
        );
        let empty = Entry::default();
        assert_eq!((empty.raw_dn(), empty.attributes().count()), (&b""[..], 0));
    }

    #[test]
    fn passwords_are_not_shown() {
        let shown = format!("{:?}", entry());
        assert!(shown.contains("cn: [\"a\"]") && !shown.contains("hunter2"), "{shown}");
    }
}
