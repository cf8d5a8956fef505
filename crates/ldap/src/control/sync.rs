//! Content synchronization (RFC 4533): the request, and what comes with entries, in between, and at the end.

use super::{ControlValue, decode, encode};
use crate::Error;
use bytes::Bytes;
use rasn::prelude::*;
use uuid::Uuid;

/// How a synchronization goes on.
#[derive(AsnType, Encode, Decode, Debug, Clone, Copy, PartialEq, Eq)]
#[rasn(enumerated)]
pub enum SyncMode {
    /// Brings up to date, then ends.
    RefreshOnly = 1,
    /// Brings up to date, then tells of changes until it is abandoned.
    RefreshAndPersist = 3,
}

/// Goes with a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRequest {
    /// How it goes on.
    pub mode: SyncMode,
    /// Where the last one ended; none at first.
    pub cookie: Option<Bytes>,
    /// Whether to begin anew, rather than end with `e-syncRefreshRequired`, when the cookie is of no use.
    pub reload_hint: bool,
}

#[derive(AsnType, Encode, Decode)]
struct WireRequest {
    mode: SyncMode,
    cookie: Option<OctetString>,
    #[rasn(default)]
    reload_hint: bool,
}

impl ControlValue for SyncRequest {
    const OID: &'static str = "1.3.6.1.4.1.4203.1.9.1.1";
    fn encode(&self) -> Result<Bytes, Error> {
        encode(&WireRequest { mode: self.mode, cookie: to_wire(self.cookie.as_ref()), reload_hint: self.reload_hint })
    }
    fn decode(value: &[u8]) -> Result<Self, Error> {
        let wire: WireRequest = decode(value, "sync request control")?;
        Ok(Self { mode: wire.mode, cookie: wire.cookie.map(Bytes::from), reload_hint: wire.reload_hint })
    }
}

/// What happened to an entry.
#[derive(AsnType, Encode, Decode, Debug, Clone, Copy, PartialEq, Eq)]
#[rasn(enumerated)]
pub enum SyncStateKind {
    /// It is there, as it was.
    Present = 0,
    /// It came, or is told of for the first time.
    Add = 1,
    /// It changed.
    Modify = 2,
    /// It went.
    Delete = 3,
}

/// Comes with each entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncState {
    /// What happened to it.
    pub state: SyncStateKind,
    /// Which one it is.
    pub entry_uuid: Uuid,
    /// The position after it.
    pub cookie: Option<Bytes>,
}

#[derive(AsnType, Encode, Decode)]
struct WireState {
    state: SyncStateKind,
    entry_uuid: OctetString,
    cookie: Option<OctetString>,
}

impl ControlValue for SyncState {
    const OID: &'static str = "1.3.6.1.4.1.4203.1.9.1.2";
    fn encode(&self) -> Result<Bytes, Error> {
        encode(&WireState {
            state: self.state,
            entry_uuid: from_uuid(self.entry_uuid),
            cookie: to_wire(self.cookie.as_ref()),
        })
    }
    fn decode(value: &[u8]) -> Result<Self, Error> {
        let wire: WireState = decode(value, "sync state control")?;
        Ok(Self { state: wire.state, entry_uuid: to_uuid(&wire.entry_uuid)?, cookie: wire.cookie.map(Bytes::from) })
    }
}

/// Comes with the end of the search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncDone {
    /// The position reached.
    pub cookie: Option<Bytes>,
    /// Whether what was not told of is unchanged (true) or gone (false).
    pub refresh_deletes: bool,
}

#[derive(AsnType, Encode, Decode)]
struct WireDone {
    cookie: Option<OctetString>,
    #[rasn(default)]
    refresh_deletes: bool,
}

impl ControlValue for SyncDone {
    const OID: &'static str = "1.3.6.1.4.1.4203.1.9.1.3";
    fn encode(&self) -> Result<Bytes, Error> {
        encode(&WireDone { cookie: to_wire(self.cookie.as_ref()), refresh_deletes: self.refresh_deletes })
    }
    fn decode(value: &[u8]) -> Result<Self, Error> {
        let wire: WireDone = decode(value, "sync done control")?;
        Ok(Self { cookie: wire.cookie.map(Bytes::from), refresh_deletes: wire.refresh_deletes })
    }
}

/// Comes in between, as an intermediate response of the name [`SyncInfo::OID`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncInfo {
    /// The position reached.
    NewCookie(Bytes),
    /// The end of a delete phase: what went has been told of.
    RefreshDelete {
        /// The position reached.
        cookie: Option<Bytes>,
        /// Whether the refresh is over.
        refresh_done: bool,
    },
    /// The end of a present phase: what was not told of is gone.
    RefreshPresent {
        /// The position reached.
        cookie: Option<Bytes>,
        /// Whether the refresh is over.
        refresh_done: bool,
    },
    /// Many entries at once.
    IdSet {
        /// The position reached.
        cookie: Option<Bytes>,
        /// Whether they went (true) or are there as they were (false).
        refresh_deletes: bool,
        /// Which ones.
        uuids: Vec<Uuid>,
    },
}

#[derive(AsnType, Encode, Decode)]
struct WirePhase {
    cookie: Option<OctetString>,
    #[rasn(default = "yes")]
    refresh_done: bool,
}

fn yes() -> bool {
    true
}

#[derive(AsnType, Encode, Decode)]
struct WireIdSet {
    cookie: Option<OctetString>,
    #[rasn(default)]
    refresh_deletes: bool,
    #[rasn(tag(universal, 17))]
    uuids: Vec<OctetString>,
}

#[derive(AsnType, Encode, Decode)]
#[rasn(choice)]
enum WireInfo {
    #[rasn(tag(0))]
    NewCookie(OctetString),
    #[rasn(tag(1))]
    RefreshDelete(WirePhase),
    #[rasn(tag(2))]
    RefreshPresent(WirePhase),
    #[rasn(tag(3))]
    IdSet(WireIdSet),
}

impl ControlValue for SyncInfo {
    const OID: &'static str = "1.3.6.1.4.1.4203.1.9.1.4";
    fn encode(&self) -> Result<Bytes, Error> {
        let phase = |cookie: &Option<Bytes>, refresh_done: &bool| WirePhase {
            cookie: to_wire(cookie.as_ref()),
            refresh_done: *refresh_done,
        };
        encode(&match self {
            Self::NewCookie(cookie) => WireInfo::NewCookie(cookie.clone().into()),
            Self::RefreshDelete { cookie, refresh_done } => WireInfo::RefreshDelete(phase(cookie, refresh_done)),
            Self::RefreshPresent { cookie, refresh_done } => WireInfo::RefreshPresent(phase(cookie, refresh_done)),
            Self::IdSet { cookie, refresh_deletes, uuids } => WireInfo::IdSet(WireIdSet {
                cookie: to_wire(cookie.as_ref()),
                refresh_deletes: *refresh_deletes,
                uuids: uuids.iter().copied().map(from_uuid).collect(),
            }),
        })
    }
    fn decode(value: &[u8]) -> Result<Self, Error> {
        Ok(match decode(value, "sync info message")? {
            WireInfo::NewCookie(cookie) => Self::NewCookie(cookie.into()),
            WireInfo::RefreshDelete(WirePhase { cookie, refresh_done }) => {
                Self::RefreshDelete { cookie: cookie.map(Bytes::from), refresh_done }
            }
            WireInfo::RefreshPresent(WirePhase { cookie, refresh_done }) => {
                Self::RefreshPresent { cookie: cookie.map(Bytes::from), refresh_done }
            }
            WireInfo::IdSet(set) => Self::IdSet {
                cookie: set.cookie.map(Bytes::from),
                refresh_deletes: set.refresh_deletes,
                uuids: set.uuids.iter().map(|uuid| to_uuid(uuid)).collect::<Result<_, _>>()?,
            },
        })
    }
}

fn to_wire(cookie: Option<&Bytes>) -> Option<OctetString> {
    cookie.map(OctetString::from)
}

fn from_uuid(uuid: Uuid) -> OctetString {
    OctetString::from(uuid.as_bytes().to_vec())
}

fn to_uuid(octets: &[u8]) -> Result<Uuid, Error> {
    Uuid::from_slice(octets)
        .map_err(|_| Error::Malformed { reason: format!("an entryUUID of {} octets", octets.len()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_octets_of_the_rfc() {
        let request = SyncRequest { mode: SyncMode::RefreshAndPersist, cookie: None, reload_hint: false };
        assert_eq!(&request.encode().unwrap()[..], [0x30, 3, 0x0a, 1, 3]);
        assert_eq!(SyncRequest::decode(&request.encode().unwrap()).unwrap(), request);
    }

    #[test]
    fn states_round_trip_and_short_uuids_are_refused() {
        let state = SyncState {
            state: SyncStateKind::Delete,
            entry_uuid: Uuid::from_u128(7),
            cookie: Some(Bytes::from_static(b"rid=1")),
        };
        assert_eq!(SyncState::decode(&state.encode().unwrap()).unwrap(), state);
        assert!(SyncState::decode(&[0x30, 6, 0x0a, 1, 1, 4, 1, 0]).is_err());
    }

    #[test]
    fn infos_round_trip() {
        let cookie = Some(Bytes::from_static(b"c"));
        for info in [
            SyncInfo::NewCookie(Bytes::from_static(b"c")),
            SyncInfo::RefreshDelete { cookie: cookie.clone(), refresh_done: true },
            SyncInfo::RefreshPresent { cookie: None, refresh_done: false },
            SyncInfo::IdSet { cookie, refresh_deletes: true, uuids: vec![Uuid::from_u128(1), Uuid::from_u128(2)] },
        ] {
            assert_eq!(SyncInfo::decode(&info.encode().unwrap()).unwrap(), info);
        }
        // As slapd sends it at the end of a refresh: refreshDone left to its default.
        let decoded = SyncInfo::decode(&[0xa1, 3, 4, 1, b'c']).unwrap();
        assert!(matches!(decoded, SyncInfo::RefreshDelete { refresh_done: true, .. }));
    }

    #[test]
    fn done_without_anything() {
        let done = SyncDone::decode(&[0x30, 0]).unwrap();
        assert_eq!(done, SyncDone { cookie: None, refresh_deletes: false });
    }
}
