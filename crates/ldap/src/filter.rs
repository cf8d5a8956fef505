//! Search filters as a tree with byte values; the string form of RFC 4515.

/// A search filter (RFC 4511, 4.5.1.7). `Display` writes the RFC 4515 string, escaped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Equal { attribute: String, value: Vec<u8> },
    Substrings { attribute: String, initial: Option<Vec<u8>>, any: Vec<Vec<u8>>, last: Option<Vec<u8>> },
    GreaterOrEqual { attribute: String, value: Vec<u8> },
    LessOrEqual { attribute: String, value: Vec<u8> },
    Present(String),
    Approx { attribute: String, value: Vec<u8> },
    Extensible { rule: Option<String>, attribute: Option<String>, value: Vec<u8>, dn_attributes: bool },
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
    /// Parses the string form; nesting is capped.
    pub fn parse(text: &str) -> Result<Self, FilterError> { todo!() }
    /// `(attribute=value)`, the value taken literally.
    pub fn equal(attribute: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self::Equal { attribute: attribute.into(), value: value.into() }
    }
    /// `(attribute=*)`.
    pub fn present(attribute: impl Into<String>) -> Self { Self::Present(attribute.into()) }
    /// All of them; one filter stands for itself.
    pub fn all(filters: impl IntoIterator<Item = Filter>) -> Self { todo!() }
    /// Any of them; one filter stands for itself.
    pub fn any(filters: impl IntoIterator<Item = Filter>) -> Self { todo!() }
}
impl std::fmt::Display for Filter { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { todo!() } }
impl std::str::FromStr for Filter { type Err = FilterError; fn from_str(s: &str) -> Result<Self, FilterError> { Self::parse(s) } }
