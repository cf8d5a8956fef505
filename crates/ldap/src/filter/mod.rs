//! Search filters as a tree with byte values; the string form of RFC 4515.
//!
//! A value in the tree is what the server compares with, whatever bytes it holds. Syntax exists only in
//! the text form: user input that is put into a [`Filter`] can never become any.

mod display;
mod parse;

#[cfg(test)]
mod tests;

/// How deep a filter may be nested; more than any server takes.
pub const MAX_DEPTH: usize = 40;

/// A search filter (RFC 4511, 4.5.1.7). `Display` writes the RFC 4515 string, escaped.
///
/// ```
/// use bindery_ldap::Filter;
///
/// let typed = "bob)(cn=*";
/// let filter = Filter::all([
///     Filter::parse("(objectClass=person)")?,
///     Filter::equal("uid", typed),
/// ]);
/// assert_eq!(filter.to_string(), r"(&(objectClass=person)(uid=bob\29\28cn=\2a))");
/// # Ok::<(), bindery_ldap::FilterError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Filter {
    /// Every one of them. Empty: absolutely true (RFC 4526).
    And(Vec<Filter>),
    /// At least one of them. Empty: absolutely false (RFC 4526).
    Or(Vec<Filter>),
    /// Not this one.
    Not(Box<Filter>),
    /// `(attribute=value)`.
    Equal {
        /// The attribute description.
        attribute: String,
        /// What its values are compared with.
        value: Vec<u8>,
    },
    /// `(attribute=initial*any*last)`.
    Substrings {
        /// The attribute description.
        attribute: String,
        /// What a value begins with.
        initial: Option<Vec<u8>>,
        /// What it has in between, in this order.
        any: Vec<Vec<u8>>,
        /// What it ends with.
        last: Option<Vec<u8>>,
    },
    /// `(attribute>=value)`.
    GreaterOrEqual {
        /// The attribute description.
        attribute: String,
        /// The bound, included.
        value: Vec<u8>,
    },
    /// `(attribute<=value)`.
    LessOrEqual {
        /// The attribute description.
        attribute: String,
        /// The bound, included.
        value: Vec<u8>,
    },
    /// `(attribute=*)`.
    Present(String),
    /// `(attribute~=value)`.
    Approx {
        /// The attribute description.
        attribute: String,
        /// What its values are compared with.
        value: Vec<u8>,
    },
    /// `(attribute:dn:rule:=value)`.
    Extensible {
        /// The matching rule, by OID or name.
        rule: Option<String>,
        /// The attribute description; without one, every attribute that the rule fits.
        attribute: Option<String>,
        /// What the values are compared with.
        value: Vec<u8>,
        /// Whether the values of the DN are compared as well.
        dn_attributes: bool,
    },
}

/// Why a text is not a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a search filter (RFC 4515): {reason} at byte {at}")]
pub struct FilterError {
    /// What was wrong.
    pub reason: &'static str,
    /// Where.
    pub at: usize,
}

impl Filter {
    /// Parses the string form. Nesting is capped at [`MAX_DEPTH`]; white space is accepted around a
    /// parenthesised filter, nowhere else: elsewhere it belongs to a value.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parse::parse(text)
    }

    /// `(attribute=value)`, the value taken literally.
    pub fn equal(attribute: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self::Equal { attribute: attribute.into(), value: value.into() }
    }

    /// `(attribute=*)`.
    pub fn present(attribute: impl Into<String>) -> Self {
        Self::Present(attribute.into())
    }

    /// All of them; one filter stands for itself.
    pub fn all(filters: impl IntoIterator<Item = Filter>) -> Self {
        Self::sole(filters.into_iter().collect()).unwrap_or_else(Self::And)
    }

    /// Any of them; one filter stands for itself.
    pub fn any(filters: impl IntoIterator<Item = Filter>) -> Self {
        Self::sole(filters.into_iter().collect()).unwrap_or_else(Self::Or)
    }

    /// The one filter of a list of one; otherwise the list.
    fn sole(mut filters: Vec<Filter>) -> Result<Self, Vec<Filter>> {
        if filters.len() == 1 { filters.pop().ok_or(filters) } else { Err(filters) }
    }
}

impl std::str::FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}
