//! Reading the string form of RFC 4514, in one pass over the bytes.
//!
//! The walk hands every attribute value to a [`Sink`]: one builds the key that DNs are compared by, the
//! other the list of components. Text without escapes is borrowed all the way.

use super::escape::push_hex;
use super::{AttributeValue, DnError, MAX_LENGTH, MAX_RDNS, MAX_VALUES_PER_RDN, prepare_case_ignore};
use crate::hex;
use std::borrow::Cow;

/// Takes what the walk finds.
trait Sink {
    fn value(&mut self, attribute: &str, value: Value<'_>);
    fn end_of_rdn(&mut self);
}

/// A value with its escapes decoded.
enum Value<'a> {
    Bytes(Cow<'a, [u8]>),
    /// `#…`: the BER encoding of something that is not a string.
    Ber(Vec<u8>),
}

/// The normalised key of a DN's text.
pub(super) fn key_of(text: &str) -> Result<String, DnError> {
    let mut sink = KeySink { key: String::with_capacity(text.len()), rdn_start: 0, multi_valued: false };
    walk(text, &mut sink, usize::MAX)?;
    Ok(sink.key)
}

/// Every RDN, leaf first.
pub(super) fn components(text: &str) -> Result<Vec<Vec<AttributeValue>>, DnError> {
    let mut sink = ListSink::default();
    walk(text, &mut sink, usize::MAX)?;
    Ok(sink.rdns)
}

/// The first RDN of a text that parsed before.
pub(super) fn first_rdn(text: &str) -> Vec<AttributeValue> {
    let mut sink = ListSink::default();
    match walk(text, &mut sink, 1) {
        Ok(()) => sink.rdns.into_iter().next().unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

/// Where the first RDN of a text that parsed before ends, if another follows.
pub(super) fn first_separator(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    text.bytes().position(|byte| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        match byte {
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b';' => return !quoted,
            _ => {}
        }
        false
    })
}

/// Appends `type=value` in normal form.
pub(super) fn push_key_part(key: &mut String, attribute: &str, value: &[u8]) {
    push_type(key, attribute);
    key.push('=');
    match std::str::from_utf8(value) {
        Ok(text) => push_escaped(key, &prepare_case_ignore(text)),
        // Escaping each byte keeps this apart from all text, whose escapes decode to UTF-8.
        Err(_) => value.iter().for_each(|byte| push_hex(key, *byte)),
    }
}

fn push_escaped(key: &mut String, text: &str) {
    let plain = |byte: u8| !matches!(byte, b',' | b'+' | b'=' | b'\\' | b'#' | 0);
    if text.bytes().all(plain) {
        return key.push_str(text);
    }
    for (at, c) in text.char_indices() {
        match c {
            ',' | '+' | '=' | '\\' | '\0' => push_hex(key, c as u8),
            '#' if at == 0 => push_hex(key, b'#'),
            c => key.push(c),
        }
    }
}

/// The types of RFC 4514, section 3, with the long names that servers also know them by.
const TYPES: &[(&str, &[&str])] = &[
    ("cn", &["2.5.4.3", "commonname"]),
    ("l", &["2.5.4.7", "localityname"]),
    ("st", &["2.5.4.8", "stateorprovincename"]),
    ("o", &["2.5.4.10", "organizationname"]),
    ("ou", &["2.5.4.11", "organizationalunitname"]),
    ("c", &["2.5.4.6", "countryname"]),
    ("street", &["2.5.4.9"]),
    ("dc", &["0.9.2342.19200300.100.1.25", "domaincomponent"]),
    ("uid", &["0.9.2342.19200300.100.1.1", "userid"]),
];

fn push_type(key: &mut String, attribute: &str) {
    // The short names are by far the most frequent, and shorter than any of the others.
    if attribute.len() > 5 {
        for (short, others) in TYPES {
            if others.iter().any(|other| other.eq_ignore_ascii_case(attribute)) {
                key.push_str(short);
                return;
            }
        }
    }
    let from = key.len();
    key.push_str(attribute);
    if let Some(pushed) = key.get_mut(from..) {
        pushed.make_ascii_lowercase();
    }
}

/// RFC 4512: `descr` or `numericoid`.
pub(super) fn is_attribute_type(text: &str) -> bool {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(first) if first.is_ascii_alphabetic() => {
            bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        }
        Some(first) if first.is_ascii_digit() => is_numeric_oid(text),
        _ => false,
    }
}

fn is_numeric_oid(text: &str) -> bool {
    text.contains('.')
        && text.split('.').all(|arc| {
            !arc.is_empty()
                && arc.bytes().all(|byte| byte.is_ascii_digit())
                && (arc.len() == 1 || !arc.starts_with('0'))
        })
}

struct KeySink {
    key: String,
    rdn_start: usize,
    multi_valued: bool,
}

impl Sink for KeySink {
    fn value(&mut self, attribute: &str, value: Value<'_>) {
        if self.key.len() > self.rdn_start {
            self.key.push('+');
            self.multi_valued = true;
        } else if self.rdn_start > 0 {
            self.key.push(',');
            self.rdn_start = self.key.len();
        }
        match value {
            Value::Bytes(bytes) => push_key_part(&mut self.key, attribute, &bytes),
            Value::Ber(bytes) => {
                push_type(&mut self.key, attribute);
                self.key.push_str("=#");
                for byte in bytes {
                    push_hex(&mut self.key, byte);
                }
            }
        }
    }

    fn end_of_rdn(&mut self) {
        if std::mem::take(&mut self.multi_valued) {
            let rdn = self.key.split_off(self.rdn_start);
            let mut parts: Vec<&str> = rdn.split('+').collect();
            parts.sort_unstable();
            self.key.push_str(&parts.join("+"));
        }
        self.rdn_start = self.key.len();
    }
}

#[derive(Default)]
struct ListSink {
    rdns: Vec<Vec<AttributeValue>>,
    current: Vec<AttributeValue>,
}

impl Sink for ListSink {
    fn value(&mut self, attribute: &str, value: Value<'_>) {
        let value = match value {
            Value::Bytes(bytes) => bytes.into_owned(),
            Value::Ber(bytes) => bytes,
        };
        self.current.push(AttributeValue { attribute: attribute.to_owned(), value });
    }

    fn end_of_rdn(&mut self) {
        self.rdns.push(std::mem::take(&mut self.current));
    }
}

/// Walks the text, RDN by RDN, until its end or until `limit` RDNs were seen.
fn walk(text: &str, sink: &mut dyn Sink, limit: usize) -> Result<(), DnError> {
    if text.len() > MAX_LENGTH {
        return Err(DnError { reason: "longer than a DN may be", at: MAX_LENGTH });
    }
    let mut reader = Reader { text, at: 0 };
    reader.skip_spaces();
    if reader.peek().is_none() {
        return Ok(());
    }
    let mut rdns = 0_usize;
    loop {
        reader.rdn(sink)?;
        sink.end_of_rdn();
        rdns = rdns.saturating_add(1);
        if reader.peek().is_none() || rdns >= limit {
            return Ok(());
        }
        if rdns >= MAX_RDNS {
            return Err(reader.error("more parts than a DN may have"));
        }
        reader.bump(); // The separator, the only thing that an RDN stops at.
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn bump(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn skip_spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.bump();
        }
    }

    fn error(&self, reason: &'static str) -> DnError {
        DnError { reason, at: self.at }
    }

    fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    /// `type=value` (`+` `type=value`)*, up to a separator or the end.
    fn rdn(&mut self, sink: &mut dyn Sink) -> Result<(), DnError> {
        for _ in 0..MAX_VALUES_PER_RDN {
            let attribute = self.attribute_type()?;
            let value = self.value()?;
            sink.value(attribute, value);
            match self.peek() {
                Some(b'+') => self.bump(),
                Some(b',' | b';') | None => return Ok(()),
                Some(_) => return Err(self.error("text after the end of a value")),
            }
        }
        Err(self.error("more values than one part may have"))
    }

    /// The attribute type, with the `=` behind it.
    fn attribute_type(&mut self) -> Result<&'a str, DnError> {
        self.skip_spaces();
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')) {
            self.bump();
        }
        let mut attribute = self.slice(start, self.at);
        if let Some((prefix, oid)) = attribute.split_at_checked(4)
            && prefix.eq_ignore_ascii_case("oid.")
        {
            attribute = oid;
        }
        if !is_attribute_type(attribute) {
            return Err(self.error("an attribute type was expected"));
        }
        self.skip_spaces();
        if self.peek() != Some(b'=') {
            return Err(self.error("'=' was expected"));
        }
        self.bump();
        Ok(attribute)
    }

    fn value(&mut self) -> Result<Value<'a>, DnError> {
        self.skip_spaces();
        match self.peek() {
            Some(b'#') => self.hex_string(),
            Some(b'"') => self.quoted().map(Value::Bytes),
            _ => self.string().map(Value::Bytes),
        }
    }

    /// RFC 4514 `string`: up to an unescaped separator; unescaped trailing spaces do not belong to it.
    fn string(&mut self) -> Result<Cow<'a, [u8]>, DnError> {
        let start = self.at;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let plain =
            rest.iter().position(|byte| matches!(byte, b',' | b';' | b'+' | b'\\' | b'"' | b'<' | b'>' | b' ' | 0));
        let plain = plain.unwrap_or(rest.len());
        // All that is plain belongs to it, and most values are nothing else.
        self.at = start.saturating_add(plain);
        let mut end = self.at;
        let mut decoded: Option<Vec<u8>> = None;
        while let Some(byte) = self.peek() {
            match byte {
                b',' | b';' | b'+' => break,
                b'\\' => {
                    let out = decoded
                        .get_or_insert_with(|| self.text.as_bytes().get(start..end).unwrap_or_default().to_vec());
                    // Spaces before an escape are inner ones.
                    out.extend_from_slice(self.text.as_bytes().get(end..self.at).unwrap_or_default());
                    let byte = self.escape()?;
                    if let Some(out) = decoded.as_mut() {
                        out.push(byte);
                    }
                    end = self.at;
                    continue;
                }
                b'"' | b'<' | b'>' | 0 => {
                    return Err(self.error("a character that must be escaped"));
                }
                b' ' => {}
                _ => {
                    let seen = self.at.saturating_add(1);
                    if let Some(out) = decoded.as_mut() {
                        out.extend_from_slice(self.text.as_bytes().get(end..seen).unwrap_or_default());
                    }
                    end = seen;
                }
            }
            self.bump();
        }
        Ok(match decoded {
            Some(out) => Cow::Owned(out),
            None => Cow::Borrowed(self.text.as_bytes().get(start..end).unwrap_or_default()),
        })
    }

    /// One escape: a hex pair or a special character (RFC 4514 `pair`).
    fn escape(&mut self) -> Result<u8, DnError> {
        self.bump();
        let first = self.peek().ok_or_else(|| self.error("nothing after '\\'"))?;
        if let Some(high) = hex::digit(first) {
            self.bump();
            let low = self.peek().and_then(hex::digit).ok_or_else(|| self.error("a second hex digit was expected"))?;
            self.bump();
            return Ok((high << 4) | low);
        }
        if matches!(first, b'\\' | b'"' | b'+' | b',' | b';' | b'<' | b'>' | b' ' | b'#' | b'=') {
            self.bump();
            return Ok(first);
        }
        Err(self.error("an escape of a character that has none"))
    }

    /// A quoted value (RFC 2253, section 4).
    fn quoted(&mut self) -> Result<Cow<'a, [u8]>, DnError> {
        self.bump();
        let mut out = Vec::new();
        loop {
            match self.peek() {
                None => return Err(self.error("a quote that is not closed")),
                Some(b'"') => break,
                Some(b'\\') => out.push(self.escape()?),
                Some(0) => return Err(self.error("a character that must be escaped")),
                Some(byte) => {
                    out.push(byte);
                    self.bump();
                }
            }
        }
        self.bump();
        self.skip_spaces();
        Ok(Cow::Owned(out))
    }

    /// `#` and hex pairs: the BER encoding of the value.
    fn hex_string(&mut self) -> Result<Value<'a>, DnError> {
        self.bump();
        let mut bytes = Vec::new();
        while let Some(high) = self.peek().and_then(hex::digit) {
            self.bump();
            let low = self.peek().and_then(hex::digit).ok_or_else(|| self.error("a second hex digit was expected"))?;
            self.bump();
            bytes.push((high << 4) | low);
        }
        if bytes.is_empty() {
            return Err(self.error("hex digits were expected after '#'"));
        }
        self.skip_spaces();
        Ok(match ber_string(&bytes) {
            Some(content) => Value::Bytes(Cow::Owned(content.to_vec())),
            None => Value::Ber(bytes),
        })
    }
}

/// The content of a BER string whose content is the value's text: OCTET STRING, UTF8String,
/// NumericString, PrintableString, IA5String. Such a `#…` equals the value written plainly.
fn ber_string(bytes: &[u8]) -> Option<&[u8]> {
    let (tag, rest) = bytes.split_first()?;
    if !matches!(tag, 0x04 | 0x0c | 0x12 | 0x13 | 0x16) {
        return None;
    }
    let (first, rest) = rest.split_first()?;
    let (length, content) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81 => rest.split_first().map(|(length, content)| (usize::from(*length), content))?,
        0x82 => match rest {
            [high, low, content @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), content),
            _ => return None,
        },
        _ => return None,
    };
    (content.len() == length).then_some(content)
}
