//! Controls of Active Directory that have a value (MS-ADTS 3.1.1.3.4.1).

use super::{ControlValue, decode, encode};
use crate::Error;
use bytes::Bytes;
use rasn::prelude::*;

/// DirSync: everything that changed in a naming context since a position. The request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirSync {
    /// See the constants.
    pub flags: i32,
    /// The most octets of attributes to return at once; 0 leaves it to the server.
    pub max_bytes: i32,
    /// Where the last one ended; empty at first.
    pub cookie: Bytes,
}

impl DirSync {
    /// Only what the caller may read; needs no special right.
    pub const OBJECT_SECURITY: i32 = 0x1;
    /// Parents come before their children.
    pub const ANCESTORS_FIRST_ORDER: i32 = 0x800;
    /// No private data.
    pub const PUBLIC_DATA_ONLY: i32 = 0x2000;
    /// Of values, only those that changed.
    pub const INCREMENTAL_VALUES: i32 = i32::MIN;
}

impl ControlValue for DirSync {
    const OID: &'static str = "1.2.840.113556.1.4.841";
    fn encode(&self) -> Result<Bytes, Error> {
        encode(&WireDirSync { first: self.flags, max_bytes: self.max_bytes, cookie: self.cookie.clone().into() })
    }
    fn decode(value: &[u8]) -> Result<Self, Error> {
        let wire: WireDirSync = decode(value, "DirSync control")?;
        Ok(Self { flags: wire.first, max_bytes: wire.max_bytes, cookie: wire.cookie.into() })
    }
}

/// DirSync: the answer, under the same OID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirSyncResponse {
    /// Whether there is more to fetch at once.
    pub more: bool,
    /// The position reached.
    pub cookie: Bytes,
}

#[derive(AsnType, Encode, Decode)]
struct WireDirSync {
    /// Flags in the request, "more" in the answer.
    first: i32,
    max_bytes: i32,
    cookie: OctetString,
}

impl ControlValue for DirSyncResponse {
    const OID: &'static str = DirSync::OID;
    fn encode(&self) -> Result<Bytes, Error> {
        encode(&WireDirSync { first: i32::from(self.more), max_bytes: 0, cookie: self.cookie.clone().into() })
    }
    fn decode(value: &[u8]) -> Result<Self, Error> {
        let wire: WireDirSync = decode(value, "DirSync control")?;
        Ok(Self { more: wire.first != 0, cookie: wire.cookie.into() })
    }
}

/// How DNs are written in results: with GUID and SID before them.
#[derive(AsnType, Encode, Decode, Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtendedDn {
    /// 0: hexadecimal; 1: in their text forms.
    pub flag: i32,
}

impl ControlValue for ExtendedDn {
    const OID: &'static str = "1.2.840.113556.1.4.529";
    fn encode(&self) -> Result<Bytes, Error> {
        encode(self)
    }
    fn decode(value: &[u8]) -> Result<Self, Error> {
        decode(value, "extended DN control")
    }
}

/// Where a search goes.
#[derive(AsnType, Encode, Decode, Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchOptions {
    /// See the constants.
    pub flags: i32,
}

impl SearchOptions {
    /// No referrals to other domains.
    pub const DOMAIN_SCOPE: i32 = 1;
    /// All naming contexts below the base that this server holds.
    pub const PHANTOM_ROOT: i32 = 2;
}

impl ControlValue for SearchOptions {
    const OID: &'static str = "1.2.840.113556.1.4.1340";
    fn encode(&self) -> Result<Bytes, Error> {
        encode(self)
    }
    fn decode(value: &[u8]) -> Result<Self, Error> {
        decode(value, "search options control")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dirsync_round_trips_with_the_sign_bit() {
        let request = DirSync {
            flags: DirSync::INCREMENTAL_VALUES | DirSync::OBJECT_SECURITY,
            max_bytes: 0,
            cookie: Bytes::new(),
        };
        let value = request.encode().unwrap();
        assert_eq!(&value[..], [0x30, 11, 2, 4, 0x80, 0, 0, 1, 2, 1, 0, 4, 0]);
        assert_eq!(DirSync::decode(&value).unwrap(), request);
        let response = DirSyncResponse { more: true, cookie: Bytes::from_static(b"MSDS") };
        assert_eq!(DirSyncResponse::decode(&response.encode().unwrap()).unwrap(), response);
    }
}
