//! Server-side sorting (RFC 2891).

use super::{ControlValue, decode, encode};
use crate::{Error, ResultCode};
use bytes::Bytes;
use rasn::prelude::*;

/// Asks for entries in an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSort {
    /// By what, the most significant first.
    pub keys: Vec<SortKey>,
}

/// One key of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// The attribute.
    pub attribute: String,
    /// The ordering rule; none for the attribute's own.
    pub rule: Option<String>,
    /// The largest first.
    pub reverse: bool,
}

#[derive(AsnType, Encode, Decode)]
#[rasn(delegate)]
struct WireKeys(Vec<WireKey>);

#[derive(AsnType, Encode, Decode)]
struct WireKey {
    attribute: OctetString,
    #[rasn(tag(0))]
    rule: Option<OctetString>,
    #[rasn(tag(1), default)]
    reverse: bool,
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

impl ControlValue for ServerSort {
    const OID: &'static str = "1.2.840.113556.1.4.473";
    fn encode(&self) -> Result<Bytes, Error> {
        let key = |key: &SortKey| WireKey {
            attribute: OctetString::from(key.attribute.clone().into_bytes()),
            rule: key.rule.clone().map(|rule| OctetString::from(rule.into_bytes())),
            reverse: key.reverse,
        };
        encode(&WireKeys(self.keys.iter().map(key).collect()))
    }
    fn decode(value: &[u8]) -> Result<Self, Error> {
        let WireKeys(keys) = decode(value, "sort control")?;
        let key = |key: WireKey| SortKey {
            attribute: text(&key.attribute),
            rule: key.rule.as_deref().map(text),
            reverse: key.reverse,
        };
        Ok(Self { keys: keys.into_iter().map(key).collect() })
    }
}

/// Whether the entries came in the order asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortResult {
    /// Success, or why not.
    pub code: ResultCode,
    /// The attribute that was the trouble.
    pub attribute: Option<String>,
}

#[derive(AsnType, Encode, Decode)]
struct WireResult {
    #[rasn(tag(universal, 10))]
    code: u32,
    #[rasn(tag(0))]
    attribute: Option<OctetString>,
}

impl ControlValue for SortResult {
    const OID: &'static str = "1.2.840.113556.1.4.474";
    fn encode(&self) -> Result<Bytes, Error> {
        encode(&WireResult {
            code: self.code.0,
            attribute: self.attribute.clone().map(|a| OctetString::from(a.into_bytes())),
        })
    }
    fn decode(value: &[u8]) -> Result<Self, Error> {
        let wire: WireResult = decode(value, "sort response control")?;
        Ok(Self { code: ResultCode(wire.code), attribute: wire.attribute.as_deref().map(text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let sort = ServerSort {
            keys: vec![
                SortKey { attribute: "sn".into(), rule: None, reverse: false },
                SortKey { attribute: "cn".into(), rule: Some("2.5.13.3".into()), reverse: true },
            ],
        };
        assert_eq!(ServerSort::decode(&sort.encode().unwrap()).unwrap(), sort);
        let result = SortResult { code: ResultCode(16), attribute: Some("sn".into()) };
        let value = result.encode().unwrap();
        assert_eq!(&value[..], [0x30, 7, 0x0a, 1, 16, 0x80, 2, b's', b'n']);
        assert_eq!(SortResult::decode(&value).unwrap(), result);
    }
}
