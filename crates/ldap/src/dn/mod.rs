//! Distinguished names: parsing and comparison by RFC 4514 and RFC 4517, never by spelling.
//!
//! Holds [`Dn`] and what builds one safely. It never asks a server or a schema: every attribute type is
//! compared by `caseIgnoreMatch`, which is what the naming attributes of RFC 4519 use.

mod escape;
mod keys;
mod parse;
mod prepare;

#[cfg(test)]
mod tests;

pub use escape::{escape_bytes, escape_value};
pub use keys::Keys;
pub use prepare::prepare_case_ignore;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

/// The longest text that [`Dn::parse`] looks at, in bytes. Active Directory's longest names stay far below.
pub const MAX_LENGTH: usize = 16 * 1024;
/// The most RDNs a DN may have.
pub const MAX_RDNS: usize = 256;
/// The most attribute values one RDN may have.
pub const MAX_VALUES_PER_RDN: usize = 16;

/// A distinguished name.
///
/// Equality, order and hash follow RFC 4514 and RFC 4517: attribute types and values without regard to
/// case, escapes decoded, insignificant space folded, the parts of a multi-valued RDN in any order, the
/// OID of a type equal to its short name. The spelling is kept for `Display`.
///
/// ```
/// use bindery_ldap::Dn;
///
/// let spelled = Dn::parse("CN=Lee\\, Ann,OU=Press,DC=example,DC=com")?;
/// let other = Dn::parse("2.5.4.3=lee\\2c  ann , ou=press,dc=Example,dc=com")?;
/// assert_eq!(spelled, other);
/// assert_eq!(spelled.leaf(), Some(("CN".into(), "Lee, Ann".into())));
/// assert!(spelled.is_within(&Dn::parse("dc=example,dc=com")?));
/// # Ok::<(), bindery_ldap::DnError>(())
/// ```
#[derive(Clone)]
pub struct Dn {
    /// The text as it was spelled, and after it the key: the RDNs in normal form, leaf first, joined by `,`. A `,` inside a
    /// value is written `\2c` there, so that every `,` of it separates: equality is equality of bytes, being within is
    /// being a suffix. Shared: the DN of a group is handed out for each of its members.
    both: Arc<str>,
    /// How long the text is.
    text: usize,
}

/// Why a text is not a DN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a distinguished name (RFC 4514): {reason} at byte {at}")]
pub struct DnError {
    /// What was wrong.
    pub reason: &'static str,
    /// Where.
    pub at: usize,
}

/// One `type=value` of an RDN, with the value's escapes decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeValue {
    /// The attribute type as it was spelled, without a leading `OID.`.
    pub attribute: String,
    /// The value.
    pub value: Vec<u8>,
}

impl Dn {
    /// Parses the string form of RFC 4514. The empty text is the DN of the root DSE.
    ///
    /// Accepted besides the RFC's grammar, as RFC 2253 asks: spaces around `,`, `+` and `=`, `;` for `,`,
    /// quoted values, and `OID.` before a numeric type.
    pub fn parse(text: &str) -> Result<Self, DnError> {
        Ok(Self::of(text, &parse::key_of(text)?))
    }

    /// Parses bytes as a server sent them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DnError> {
        let text =
            std::str::from_utf8(bytes).map_err(|error| DnError { reason: "not UTF-8", at: error.valid_up_to() })?;
        Self::parse(text)
    }

    /// The empty DN: that of the root DSE.
    pub fn root() -> Self {
        Self::of("", "")
    }

    fn of(text: &str, key: &str) -> Self {
        Self { both: [text, key].concat().into(), text: text.len() }
    }

    /// As it was spelled.
    pub fn as_str(&self) -> &str {
        self.both.get(..self.text).unwrap_or_default()
    }

    /// Whether it is the empty DN.
    pub fn is_root(&self) -> bool {
        self.key_str().is_empty()
    }

    /// The name above this one; none for the empty DN.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let text = parse::first_separator(self.as_str())
            .and_then(|at| self.as_str().get(at.saturating_add(1)..))
            .unwrap_or_default();
        let key = self.key_str().split_once(',').map_or("", |(_, rest)| rest);
        Some(Self::of(text.trim_start_matches(' '), key))
    }

    /// Whether this is `base` or lies below it. Everything lies within the empty DN.
    pub fn is_within(&self, base: &Self) -> bool {
        match self.key_str().strip_suffix(base.key_str()) {
            Some(above) => base.is_root() || above.is_empty() || above.ends_with(','),
            None => false,
        }
    }

    /// A name one level below this one; `value` is escaped, so that no text in it becomes syntax.
    ///
    /// `attribute` comes from the program, not from a person: it is taken as it stands.
    #[must_use]
    pub fn child(&self, attribute: &str, value: &str) -> Self {
        debug_assert!(parse::is_attribute_type(attribute), "{attribute:?} is no attribute type");
        let mut text = format!("{attribute}={}", escape_value(value));
        let mut key = String::with_capacity(text.len().saturating_add(self.key_str().len()).saturating_add(1));
        parse::push_key_part(&mut key, attribute, value.as_bytes());
        if !self.is_root() {
            text.push(',');
            text.push_str(self.as_str());
            key.push(',');
            key.push_str(self.key_str());
        }
        Self::of(&text, &key)
    }

    /// This name with its last part (leaf) under another parent.
    #[must_use]
    pub fn moved_to(&self, parent: &Self) -> Self {
        let leaf = match parse::first_separator(self.as_str()) {
            Some(at) => self.as_str().get(..at).unwrap_or_default(),
            None => self.as_str(),
        };
        let (leaf_key, _) = self.key_str().split_once(',').unwrap_or((self.key_str(), ""));
        if parent.is_root() {
            return Self::of(leaf, leaf_key);
        }
        if leaf_key.is_empty() {
            return parent.clone();
        }
        Self::of(&format!("{leaf},{parent}"), &format!("{leaf_key},{}", parent.key_str()))
    }

    /// How many RDNs it has.
    pub fn depth(&self) -> usize {
        if self.is_root() { 0 } else { self.key_str().split(',').count() }
    }

    /// A normalised text, equal exactly for equal DNs: a key for maps, caches and the store. It is meant
    /// for comparing, not for people or servers to read.
    pub fn key(&self) -> String {
        self.key_str().to_owned()
    }

    /// The same as [`Dn::key`], borrowed.
    pub fn key_str(&self) -> &str {
        self.both.get(self.text..).unwrap_or_default()
    }

    /// The first attribute type and value, unescaped: `("cn", "Ann")` of `cn=Ann,dc=x`. None for the empty
    /// DN and for a value that is not text.
    pub fn leaf(&self) -> Option<(String, String)> {
        let first = parse::first_rdn(self.as_str()).into_iter().next()?;
        Some((first.attribute, String::from_utf8(first.value).ok()?))
    }

    /// The attribute values of the first RDN, in the order of the text.
    pub fn leaf_values(&self) -> Vec<AttributeValue> {
        parse::first_rdn(self.as_str())
    }

    /// Every RDN, leaf first, each with its attribute values in the order of the text.
    pub fn rdns(&self) -> Vec<Vec<AttributeValue>> {
        parse::components(self.as_str()).unwrap_or_default()
    }
}

impl PartialEq for Dn {
    fn eq(&self, other: &Self) -> bool {
        self.key_str() == other.key_str()
    }
}

impl Eq for Dn {}

impl Hash for Dn {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key_str().hash(state);
    }
}

impl PartialOrd for Dn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Parents come before their children.
impl Ord for Dn {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mine, theirs) = (self.key_str().rsplit(','), other.key_str().rsplit(','));
        mine.filter(|rdn| !rdn.is_empty()).cmp(theirs.filter(|rdn| !rdn.is_empty()))
    }
}

impl fmt::Display for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dn({:?})", self.as_str())
    }
}

impl FromStr for Dn {
    type Err = DnError;

    fn from_str(text: &str) -> Result<Self, DnError> {
        Self::parse(text)
    }
}
