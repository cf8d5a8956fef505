//! From text to records of `name: value` lines: folding, comments, base64, line ends.

use super::LdifError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One `name: value`, unfolded and decoded.
#[derive(Debug)]
pub(super) struct Line {
    pub number: usize,
    pub name: String,
    pub value: Vec<u8>,
    /// Whether it was a lone `-`, which has neither.
    pub separator: bool,
}

/// The lines of one record, without its `dn:`.
#[derive(Debug)]
pub(super) struct Record {
    pub dn: Line,
    pub lines: Vec<Line>,
}

impl Line {
    pub(super) fn is(&self, name: &str) -> bool {
        !self.separator && self.name.eq_ignore_ascii_case(name)
    }

    pub(super) fn error(&self, reason: impl Into<String>) -> LdifError {
        LdifError { line: self.number, reason: reason.into() }
    }

    /// The value of a line whose value is syntax, and so must be text.
    pub(super) fn text(&self) -> Result<&str, LdifError> {
        std::str::from_utf8(&self.value).map_err(|_| self.error(format!("the value of \"{}\" is not UTF-8", self.name)))
    }
}

/// Splits a text into records. Comments are dropped, and a `version: 1` at the beginning.
pub(super) fn records(text: &str) -> Result<Vec<Record>, LdifError> {
    let mut records = Vec::new();
    let mut current: Vec<Line> = Vec::new();
    let mut versioned = false;
    for (number, line) in logical_lines(text)? {
        if line.is_empty() {
            finish(&mut current, &mut records)?;
            continue;
        }
        let line = parse_line(number, &line)?;
        if line.is("version") && records.is_empty() && current.is_empty() && !versioned {
            if line.value != b"1" {
                return Err(line.error("only version 1 of LDIF is known"));
            }
            versioned = true;
            continue;
        }
        current.push(line);
    }
    finish(&mut current, &mut records)?;
    Ok(records)
}

fn finish(current: &mut Vec<Line>, records: &mut Vec<Record>) -> Result<(), LdifError> {
    let mut lines = std::mem::take(current).into_iter();
    let Some(dn) = lines.next() else {
        return Ok(());
    };
    if !dn.is("dn") {
        return Err(dn.error("a record begins with \"dn:\""));
    }
    let lines: Vec<Line> = lines.collect();
    if let Some(second) = lines.iter().find(|line| line.is("dn")) {
        return Err(second.error("a second \"dn:\" in one record; an empty line goes between records"));
    }
    records.push(Record { dn, lines });
    Ok(())
}

/// Unfolds: a line that begins with a space goes on the one before it, comments included.
fn logical_lines(text: &str) -> Result<Vec<(usize, String)>, LdifError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut in_comment = false;
    for (at, line) in text.split('\n').enumerate() {
        let number = at.saturating_add(1);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if let Some(rest) = line.strip_prefix(' ') {
            match lines.last_mut() {
                _ if in_comment => {}
                Some((_, begun)) if !begun.is_empty() => begun.push_str(rest),
                _ => {
                    return Err(LdifError {
                        line: number,
                        reason: "a line that begins with a space goes on the one before it, and there is none".into(),
                    });
                }
            }
            continue;
        }
        in_comment = line.starts_with('#');
        if !in_comment {
            lines.push((number, line.to_owned()));
        }
    }
    Ok(lines)
}

fn parse_line(number: usize, line: &str) -> Result<Line, LdifError> {
    let error = |reason: &str| LdifError { line: number, reason: reason.into() };
    if line == "-" {
        return Ok(Line { number, name: String::new(), value: Vec::new(), separator: true });
    }
    let (name, rest) = line.split_once(':').ok_or_else(|| error("\"name: value\" was expected"))?;
    if !is_attribute_description(name) {
        return Err(error("an attribute name was expected before ':'"));
    }
    let value = if let Some(encoded) = rest.strip_prefix(':') {
        STANDARD.decode(encoded.trim_matches(' ')).map_err(|_| error("not base64 after '::'"))?
    } else if rest.starts_with('<') {
        return Err(error("a value from a URL (':<') is not read; put the value itself there, as base64 after '::'"));
    } else {
        rest.trim_start_matches(' ').as_bytes().to_vec()
    };
    Ok(Line { number, name: name.to_owned(), value, separator: false })
}

/// RFC 4512 `attributedescription`; `_`, which is in no standard, is in attributes that people made.
pub(super) fn is_attribute_description(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b';' | b'_'))
}
