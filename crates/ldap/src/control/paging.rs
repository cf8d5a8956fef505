//! Simple paged results (RFC 2696).

use super::{ControlValue, decode, encode};
use crate::Error;
use bytes::Bytes;
use rasn::prelude::*;

/// Asks for a page, and says where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagedResults {
    /// In a request: entries wanted. In a response: the server's estimate of all of them, often 0.
    pub size: u32,
    /// Empty at the beginning and at the end.
    pub cookie: Bytes,
}

/// Servers have been seen to send negative estimates; only the cookie matters.
#[derive(AsnType, Encode, Decode)]
struct Wire {
    size: i64,
    cookie: OctetString,
}

impl ControlValue for PagedResults {
    const OID: &'static str = "1.2.840.113556.1.4.319";

    fn encode(&self) -> Result<Bytes, Error> {
        encode(&Wire { size: i64::from(self.size), cookie: self.cookie.clone().into() })
    }

    fn decode(value: &[u8]) -> Result<Self, Error> {
        let wire: Wire = decode(value, "paged results control")?;
        Ok(Self { size: u32::try_from(wire.size).unwrap_or(0), cookie: wire.cookie.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_known_octets() {
        let page = PagedResults { size: 1000, cookie: Bytes::from_static(b"ab") };
        let value = page.encode().unwrap();
        assert_eq!(&value[..], [0x30, 8, 2, 2, 3, 0xe8, 4, 2, b'a', b'b']);
        assert_eq!(PagedResults::decode(&value).unwrap(), page);
        let negative = [0x30, 5, 2, 1, 0xff, 4, 0];
        assert_eq!(PagedResults::decode(&negative).unwrap().size, 0);
    }
}
