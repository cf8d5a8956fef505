//! Reading the string form of RFC 4515.

use super::{Filter, FilterError, MAX_DEPTH};
use crate::hex;

pub(super) fn parse(text: &str) -> Result<Filter, FilterError> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_space();
    let filter = reader.filter(MAX_DEPTH)?;
    reader.skip_space();
    if reader.peek().is_some() {
        return Err(reader.error("text after the end of the filter"));
    }
    Ok(filter)
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

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.bump();
        }
    }

    fn error(&self, reason: &'static str) -> FilterError {
        FilterError { reason, at: self.at }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        if there {
            self.bump();
        }
        there
    }

    fn expect(&mut self, byte: u8, reason: &'static str) -> Result<(), FilterError> {
        if self.eat(byte) { Ok(()) } else { Err(self.error(reason)) }
    }

    /// `(` … `)`.
    fn filter(&mut self, depth: usize) -> Result<Filter, FilterError> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.error("nested too deeply"))?;
        self.expect(b'(', "'(' was expected: a filter stands in parentheses")?;
        let filter = match self.peek() {
            Some(b'&') => Filter::And(self.list(depth)?),
            Some(b'|') => Filter::Or(self.list(depth)?),
            Some(b'!') => {
                self.bump();
                self.skip_space();
                let negated = self.filter(depth)?;
                self.skip_space();
                Filter::Not(Box::new(negated))
            }
            _ => self.item()?,
        };
        self.expect(b')', "')' was expected")?;
        Ok(filter)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Filter>, FilterError> {
        self.bump();
        let mut filters = Vec::new();
        loop {
            self.skip_space();
            if self.peek() != Some(b'(') {
                return Ok(filters);
            }
            filters.push(self.filter(depth)?);
        }
    }

    fn item(&mut self) -> Result<Filter, FilterError> {
        let attribute = self.description();
        if self.peek() == Some(b':') {
            return self.extensible(attribute);
        }
        self.check_description(attribute)?;
        let attribute = attribute.to_owned();
        match self.peek() {
            Some(b'=') => {
                self.bump();
                self.equality(attribute)
            }
            Some(sign @ (b'>' | b'<' | b'~')) => {
                self.bump();
                self.expect(b'=', "'=' was expected")?;
                let value = self.plain_value()?;
                Ok(match sign {
                    b'>' => Filter::GreaterOrEqual { attribute, value },
                    b'<' => Filter::LessOrEqual { attribute, value },
                    _ => Filter::Approx { attribute, value },
                })
            }
            _ => Err(self.error("'=', '>=', '<=', '~=' or ':=' was expected")),
        }
    }

    /// An attribute description or a rule's name: as far as its characters reach.
    fn description(&mut self) -> &'a str {
        let start = self.at;
        // '_' is in no standard, but in attributes that people made.
        while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b';' | b'.' | b'_')) {
            self.bump();
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn check_description(&self, text: &str) -> Result<(), FilterError> {
        if text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric()) {
            Ok(())
        } else {
            Err(self.error("an attribute was expected"))
        }
    }

    /// `[:dn][:rule]:=value`, after the attribute.
    fn extensible(&mut self, attribute: &str) -> Result<Filter, FilterError> {
        if !attribute.is_empty() {
            self.check_description(attribute)?;
        }
        let mut dn_attributes = false;
        let mut rule = None;
        while self.eat(b':') {
            if self.eat(b'=') {
                if rule.is_none() && attribute.is_empty() {
                    return Err(self.error("an attribute or a matching rule was expected"));
                }
                let attribute = (!attribute.is_empty()).then(|| attribute.to_owned());
                let value = self.plain_value()?;
                return Ok(Filter::Extensible { rule, attribute, value, dn_attributes });
            }
            if rule.is_some() {
                break;
            }
            let word = self.description();
            self.check_description(word)
                .map_err(|error| FilterError { reason: "a matching rule was expected", ..error })?;
            if word.eq_ignore_ascii_case("dn") && !dn_attributes {
                dn_attributes = true;
            } else {
                rule = Some(word.to_owned());
            }
        }
        Err(self.error("':=' was expected"))
    }

    /// After `=`: equality, presence or substrings.
    fn equality(&mut self, attribute: String) -> Result<Filter, FilterError> {
        let first = self.value()?;
        if !self.eat(b'*') {
            return Ok(Filter::Equal { attribute, value: first });
        }
        let mut parts = vec![first];
        loop {
            parts.push(self.value()?);
            if !self.eat(b'*') {
                break;
            }
        }
        let last = parts.pop().filter(|part| !part.is_empty());
        let mut parts = parts.into_iter();
        let initial = parts.next().filter(|part| !part.is_empty());
        let middle = parts.len();
        let any: Vec<Vec<u8>> = parts.filter(|part| !part.is_empty()).collect();
        if any.len() != middle {
            return Err(self.error("nothing between two '*'"));
        }
        if initial.is_none() && any.is_empty() && last.is_none() {
            return Ok(Filter::Present(attribute));
        }
        Ok(Filter::Substrings { attribute, initial, any, last })
    }

    /// A value in which a `*` has no meaning and must be escaped.
    fn plain_value(&mut self) -> Result<Vec<u8>, FilterError> {
        let value = self.value()?;
        if self.peek() == Some(b'*') {
            return Err(self.error("'*' must be written \\2a here"));
        }
        Ok(value)
    }

    /// RFC 4515 `valueencoding`: up to `)` or `*`.
    fn value(&mut self) -> Result<Vec<u8>, FilterError> {
        let mut value = Vec::new();
        loop {
            match self.peek() {
                None => return Err(self.error("')' was expected")),
                Some(b')' | b'*') => return Ok(value),
                Some(b'(') => return Err(self.error("'(' must be written \\28 here")),
                Some(0) => return Err(self.error("NUL must be written \\00")),
                Some(b'\\') => {
                    self.bump();
                    let high = self.hex_digit()?;
                    let low = self.hex_digit()?;
                    value.push((high << 4) | low);
                }
                Some(byte) => {
                    value.push(byte);
                    self.bump();
                }
            }
        }
    }

    fn hex_digit(&mut self) -> Result<u8, FilterError> {
        let digit = self.peek().and_then(hex::digit);
        let digit = digit.ok_or_else(|| self.error("two hex digits were expected after '\\'"))?;
        self.bump();
        Ok(digit)
    }
}
