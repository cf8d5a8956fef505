//! The entry of a search, by far the most common message of a sync, read in one pass.
//!
//! Reads only what it is sure of: definite lengths, the tags of RFC 4511 in their order. Anything else is `None`, and
//! the lenient decoder of `response.rs` says what it is. What is read here is what that one would read.

use crate::response::{Op, Response};
use crate::{Attribute, Control, Entry, ber};

const ENTRY: u8 = 0x64;
const CONTROLS: u8 = 0xa0;
const SET: u8 = 0x31;
const BOOLEAN: u8 = 0x01;
/// Room that is made for values from the length of the first.
const MAX_GUESS: usize = 1024;

/// Cursor over the values of one constructed value; counts what it reads.
struct Values<'a> {
    input: &'a [u8],
    elements: usize,
}

impl<'a> Values<'a> {
    fn next(&mut self, identifier: u8) -> Option<&'a [u8]> {
        let header = ber::header(self.input).ok().flatten()?;
        if header.identifier != identifier {
            return None;
        }
        let end = header.size.checked_add(usize::try_from(header.len).ok()?)?;
        let contents = self.input.get(header.size..end)?;
        self.input = self.input.get(end..)?;
        self.elements += 1;
        (self.elements <= ber::MAX_ELEMENTS).then_some(contents)
    }

    /// Goes into the next value, does something there, and comes back. Nothing may be left inside.
    fn inside<T>(&mut self, identifier: u8, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let contents = self.next(identifier)?;
        let after = std::mem::replace(&mut self.input, contents);
        let value = read(self)?;
        let whole = self.input.is_empty();
        self.input = after;
        whole.then_some(value)
    }

    fn octets(&mut self) -> Option<Vec<u8>> {
        self.next(ber::OCTET_STRING).map(<[u8]>::to_vec)
    }

    fn text(&mut self) -> Option<String> {
        Some(match std::str::from_utf8(self.next(ber::OCTET_STRING)?) {
            Ok(text) => text.to_owned(),
            Err(_) => return None,
        })
    }

    fn many<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut all = Vec::new();
        while !self.input.is_empty() {
            let before = self.input.len();
            let value = read(self)?;
            if all.is_empty() {
                // The others are most likely as long; a liar gains little.
                let alike = self.input.len() / (before - self.input.len()).max(1);
                all.reserve_exact(1 + alike.min(MAX_GUESS));
            }
            all.push(value);
        }
        Some(all)
    }
}

/// Reads a whole message that is an entry.
pub(crate) fn entry(frame: &[u8]) -> Option<Response> {
    let mut values = Values { input: frame, elements: 0 };
    let (id, entry, controls) = values.inside(ber::SEQUENCE, |message| {
        let id = number(message.next(ber::INTEGER)?)?;
        let entry = message.inside(ENTRY, |entry| {
            let dn = entry.octets()?;
            Some(Entry::new(dn, entry.inside(ber::SEQUENCE, |attributes| attributes.many(attribute))?))
        })?;
        let controls = match message.input {
            [] => vec![],
            _ => message.inside(CONTROLS, |controls| controls.many(control))?,
        };
        Some((id, entry, controls))
    })?;
    if !values.input.is_empty() {
        return None;
    }
    let cost = frame.len() + values.elements * size_of::<Vec<u8>>();
    Some(Response { id, op: Op::Entry(entry), controls, cost })
}

/// A message ID in its shortest form.
fn number(octets: &[u8]) -> Option<u32> {
    match octets {
        [0, second, ..] if *second < 0x80 => None,
        [first, ..] if octets.len() <= 4 && *first < 0x80 => {
            Some(octets.iter().fold(0, |number, octet| (number << 8) | u32::from(*octet)))
        }
        _ => None,
    }
}

fn attribute(attributes: &mut Values<'_>) -> Option<Attribute> {
    attributes.inside(ber::SEQUENCE, |attribute| {
        let name = attribute.text()?;
        Some(Attribute { name, values: attribute.inside(SET, |values| values.many(Values::octets))? })
    })
}

fn control(controls: &mut Values<'_>) -> Option<Control> {
    controls.inside(ber::SEQUENCE, |control| {
        let oid = control.text()?;
        let critical = match control.input.first() {
            Some(&BOOLEAN) => match control.next(BOOLEAN)? {
                [0] => false,
                [0xff] => true,
                _ => return None,
            },
            _ => false,
        };
        let value = if control.input.is_empty() { None } else { Some(control.octets()?.into()) };
        Some(Control { oid, critical, value })
    })
}
