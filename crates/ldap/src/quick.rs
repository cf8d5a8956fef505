//! The entry of a search, by far the most common message of a sync, read in one pass.
//!
//! Reads only what it is sure of: definite lengths, the tags of RFC 4511 in their order. Anything else is `None`, and
//! the lenient decoder of `response.rs` says what it is. What is read here is what that one would read.

use crate::entry::Packer;
use crate::response::{Op, Response};
use crate::{Control, ber};

const ENTRY: u8 = 0x64;
const CONTROLS: u8 = 0xa0;
const SET: u8 = 0x31;
const BOOLEAN: u8 = 0x01;

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

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.next(ber::OCTET_STRING)?).ok()
    }

    /// Reads until nothing is left.
    fn each(&mut self, mut read: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        while !self.input.is_empty() {
            read(self)?;
        }
        Some(())
    }
}

/// Reads a whole message that is an entry.
pub(crate) fn entry(frame: &[u8]) -> Option<Response> {
    let mut values = Values { input: frame, elements: 0 };
    let (id, entry, controls) = values.inside(ber::SEQUENCE, |message| {
        let id = number(message.next(ber::INTEGER)?)?;
        let entry = message.inside(ENTRY, |entry| {
            let mut packer = Packer::new(entry.next(ber::OCTET_STRING)?, frame.len());
            entry.inside(ber::SEQUENCE, |attributes| attributes.each(|one| attribute(one, &mut packer)))?;
            Some(packer.finish())
        })?;
        let controls = match message.input {
            [] => vec![],
            _ => message.inside(CONTROLS, controls)?,
        };
        Some((id, entry, controls))
    })?;
    if !values.input.is_empty() {
        return None;
    }
    let cost = frame.len() + values.elements * size_of::<usize>();
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

fn attribute(attributes: &mut Values<'_>, packer: &mut Packer) -> Option<()> {
    attributes.inside(ber::SEQUENCE, |attribute| {
        packer.attribute(attribute.text()?);
        attribute.inside(SET, |values| {
            values.each(|values| {
                packer.value(values.next(ber::OCTET_STRING)?);
                Some(())
            })
        })
    })
}

fn controls(all: &mut Values<'_>) -> Option<Vec<Control>> {
    let mut controls = Vec::new();
    all.each(|one| {
        controls.push(control(one)?);
        Some(())
    })?;
    Some(controls)
}

fn control(controls: &mut Values<'_>) -> Option<Control> {
    controls.inside(ber::SEQUENCE, |control| {
        let oid = control.text()?.to_owned();
        let critical = match control.input.first() {
            Some(&BOOLEAN) => match control.next(BOOLEAN)? {
                [0] => false,
                [0xff] => true,
                _ => return None,
            },
            _ => false,
        };
        let value =
            if control.input.is_empty() { None } else { Some(control.next(ber::OCTET_STRING)?.to_vec().into()) };
        Some(Control { oid, critical, value })
    })
}
