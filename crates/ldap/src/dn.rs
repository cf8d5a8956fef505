//! Distinguished names: parsing and comparison by RFC 4514 and RFC 4517, never by spelling.

use std::fmt;

/// A distinguished name. Equality, order and hash follow RFC 4514/4517 matching
/// (attribute types and values without regard to case, escapes decoded, insignificant
/// space folded, the parts of a multi-valued RDN in any order), not the spelling.
#[derive(Clone)]
pub struct Dn {
    text: String,
    /// One normalised key for each RDN, leaf first.
    rdns: Vec<String>,
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

impl Dn {
    /// Parses the string form of RFC 4514. The empty text is the root DSE's DN.
    pub fn parse(text: &str) -> Result<Self, DnError> { todo!() }
    /// As it was spelled.
    pub fn as_str(&self) -> &str { &self.text }
    /// The name above this one; none for the empty DN.
    pub fn parent(&self) -> Option<Self> { todo!() }
    /// Whether this is `base` or lies below it.
    pub fn is_within(&self, base: &Self) -> bool { todo!() }
    /// A name one level below this one; `value` is escaped.
    pub fn child(&self, attribute: &str, value: &str) -> Self { todo!() }
    /// How many RDNs it has.
    pub fn depth(&self) -> usize { self.rdns.len() }
    /// A normalised text, equal for equal DNs: a key for maps, caches and the store.
    pub fn key(&self) -> String { todo!() }
    /// The first attribute type and value, unescaped: ("cn", "Ann") of `cn=Ann,dc=x`.
    pub fn leaf(&self) -> Option<(String, String)> { todo!() }
}
impl PartialEq for Dn { fn eq(&self, other: &Self) -> bool { self.rdns == other.rdns } }
impl Eq for Dn {}
impl std::hash::Hash for Dn { fn hash<H: std::hash::Hasher>(&self, state: &mut H) { self.rdns.hash(state); } }
impl PartialOrd for Dn { fn partial_cmp(&self, o: &Self) -> Option<std::cmp::Ordering> { Some(self.cmp(o)) } }
impl Ord for Dn { fn cmp(&self, o: &Self) -> std::cmp::Ordering { self.rdns.iter().rev().cmp(o.rdns.iter().rev()) } }
impl fmt::Display for Dn { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.text) } }
impl fmt::Debug for Dn { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "Dn({:?})", self.text) } }
impl std::str::FromStr for Dn { type Err = DnError; fn from_str(s: &str) -> Result<Self, DnError> { Self::parse(s) } }

/// Escapes an attribute value for use inside a DN (RFC 4514, 2.4).
pub fn escape_value(value: &str) -> String { todo!() }
