//! The outside of BER: headers, a walk that bounds a message before anything decodes it, and the few
//! encodings that carry secrets. Never recursive, never allocating from a length that a peer claims.
//!
//! RFC 4511, 5.1 restricts BER: definite lengths only, strings primitive only. Lengths need not be
//! minimal (Active Directory writes all of its lengths in five octets), so they are not refused here.

use zeroize::Zeroizing;

/// How deep values may nest: a filter of many levels, never an attack on the stack.
pub(crate) const MAX_DEPTH: usize = 100;

/// How many values one message may hold. A group of a million members fits; 64 MiB of empty values, which
/// would take a gigabyte once decoded, do not.
pub(crate) const MAX_ELEMENTS: usize = 2_000_000;

const CONSTRUCTED: u8 = 0x20;
const OCTET_STRING_CONSTRUCTED: u8 = 0x24;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;

/// The identifier and length octets of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) identifier: u8,
    /// Octets of the header itself.
    pub(crate) size: usize,
    /// Octets of the contents.
    pub(crate) len: u64,
}

/// Reads a header. `None` when more octets are needed.
pub(crate) fn header(input: &[u8]) -> Result<Option<Header>, &'static str> {
    let Some(&identifier) = input.first() else {
        return Ok(None);
    };
    if identifier & 0x1f == 0x1f {
        return Err("a tag number above 30, which LDAP does not use");
    }
    let Some(&first) = input.get(1) else {
        return Ok(None);
    };
    let short = |len| Header { identifier, size: 2, len };
    match first {
        0..=0x7f => Ok(Some(short(u64::from(first)))),
        0x80 => Err("an indefinite length (RFC 4511, 5.1)"),
        0x81..=0x88 => {
            let count = usize::from(first & 0x7f);
            let Some(octets) = input.get(2..2 + count) else {
                return Ok(None);
            };
            let len = octets.iter().fold(0u64, |len, octet| (len << 8) | u64::from(*octet));
            Ok(Some(Header { identifier, size: 2 + count, len }))
        }
        _ => Err("a length of more than eight octets"),
    }
}

/// Walks one whole value without recursion: every length inside its parent, nesting and number of
/// values bounded, no constructed strings. Returns how many values there are.
pub(crate) fn check(input: &[u8]) -> Result<usize, &'static str> {
    let mut ends = [0usize; MAX_DEPTH];
    let mut depth = 0usize;
    let mut end = input.len();
    let mut at = 0usize;
    let mut elements = 0usize;
    loop {
        while at == end {
            if depth == 0 {
                return Ok(elements);
            }
            depth -= 1;
            end = ends.get(depth).copied().unwrap_or(0);
        }
        let rest = input.get(at..end).ok_or("a value that overruns its parent")?;
        let header = header(rest)?.ok_or("a value that ends inside its header")?;
        let len = usize::try_from(header.len).map_err(|_| "a value that overruns its parent")?;
        let start = at + header.size;
        if len > end.saturating_sub(start) {
            return Err("a value that overruns its parent");
        }
        elements += 1;
        if elements > MAX_ELEMENTS {
            return Err("too many values in one message");
        }
        if header.identifier == OCTET_STRING_CONSTRUCTED {
            return Err("a string in constructed form (RFC 4511, 5.1)");
        }
        if header.identifier & CONSTRUCTED == 0 {
            at = start + len;
        } else {
            *ends.get_mut(depth).ok_or("values nested too deep")? = end;
            depth += 1;
            end = start + len;
            at = start;
        }
    }
}

/// Decodes a value that came inside an octet string (a control's or an extended operation's), checked first.
pub(crate) fn decode<T: rasn::Decode>(value: &[u8], what: &'static str) -> Result<T, crate::Error> {
    let malformed = |reason: String| crate::Error::Malformed { reason: format!("{what}: {reason}") };
    check(value).map_err(|reason| malformed(reason.to_owned()))?;
    rasn::ber::decode(value).map_err(|error| malformed(error.to_string()))
}

/// One value of a definite, minimal length from the octets of its parts, in a buffer of exactly the
/// size it needs: nothing is reallocated, so that no copy of a secret is left behind.
pub(crate) fn tlv(identifier: u8, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let octets = len.to_be_bytes();
    let significant = octets.iter().skip_while(|octet| **octet == 0);
    let count = significant.clone().count();
    let mut out = Vec::with_capacity(2 + count + len);
    out.push(identifier);
    if len < 0x80 {
        out.push(u8::try_from(len).unwrap_or(0));
    } else {
        out.push(0x80 | u8::try_from(count).unwrap_or(0));
        out.extend(significant);
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    Zeroizing::new(out)
}

/// A non-negative INTEGER in its shortest form.
pub(crate) fn integer(value: u32) -> Zeroizing<Vec<u8>> {
    let [a, b, c, d] = value.to_be_bytes();
    let padded = [0, a, b, c, d];
    let mut octets: &[u8] = &padded;
    while let [0, rest @ ..] = octets
        && rest.first().is_some_and(|next| *next < 0x80)
    {
        octets = rest;
    }
    tlv(INTEGER, &[octets])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_are_minimal_and_never_negative() {
        let cases: &[(u32, &[u8])] = &[
            (0, &[2, 1, 0]),
            (127, &[2, 1, 0x7f]),
            (128, &[2, 2, 0, 0x80]),
            (256, &[2, 2, 1, 0]),
            (u32::MAX, &[2, 5, 0, 0xff, 0xff, 0xff, 0xff]),
        ];
        for (value, expected) in cases {
            assert_eq!(integer(*value).as_slice(), *expected);
            assert_eq!(rasn::ber::decode::<u32>(&integer(*value)).unwrap(), *value);
        }
    }

    #[test]
    fn lengths_are_written_as_rasn_writes_them() {
        for len in [0usize, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let value = vec![7u8; len];
            let expected = rasn::ber::encode(&rasn::types::OctetString::from(value.clone())).unwrap();
            assert_eq!(*tlv(OCTET_STRING, &[&value]), expected);
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let mut message = vec![];
        for _ in 0..=MAX_DEPTH {
            message = tlv(SEQUENCE, &[&message]).to_vec();
        }
        assert_eq!(check(&message), Err("values nested too deep"));
        let mut message = vec![];
        for _ in 0..MAX_DEPTH {
            message = tlv(SEQUENCE, &[&message]).to_vec();
        }
        assert_eq!(check(&message), Ok(MAX_DEPTH));
    }

    #[test]
    fn too_many_values_are_refused() {
        let message = tlv(SEQUENCE, &[&[4, 0].repeat(MAX_ELEMENTS)]);
        assert_eq!(check(&message), Err("too many values in one message"));
    }

    #[test]
    fn what_rfc_4511_forbids_is_refused() {
        assert!(header(&[0x30, 0x80]).is_err(), "indefinite length");
        assert!(header(&[0x3f, 0x81, 0x01]).is_err(), "high tag number");
        assert!(header(&[0x30, 0x89]).is_err(), "nine octets of length");
        assert!(check(&[0x24, 0x02, 0x04, 0x00]).is_err(), "constructed string");
        assert!(check(&[0x30, 0x02, 0x04, 0x01]).is_err(), "overrun");
        assert!(check(&[0x30, 0x01, 0x04]).is_err(), "half a header");
    }

    #[test]
    fn lengths_as_active_directory_writes_them_are_read() {
        let header = header(&[0x30, 0x84, 0, 0, 0, 5]).unwrap().unwrap();
        assert_eq!((header.size, header.len), (6, 5));
    }

    proptest! {
        #[test]
        fn any_octets_are_walked_without_a_panic(input in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = check(&input);
            let _ = header(&input);
        }
    }
}
