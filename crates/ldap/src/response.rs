//! Responses as directories really send them.
//!
//! `rasn-ldap` models RFC 4511 strictly: an unknown result code, a DN that is not UTF-8 or Active Directory's
//! Notice of Disconnection (its name stands outside the operation, where controls belong) would each fail a
//! whole message. The types here say the same grammar leniently and decode straight into [`Entry`].

use crate::codec::{CodecError, frame_len};
use crate::{Attribute, Control, Entry, LdapResult, ResultCode, ber, quick};
use bytes::Bytes;
use rasn::prelude::*;

/// One message from the server.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) id: u32,
    pub(crate) op: Op,
    pub(crate) controls: Vec<Control>,
    /// Roughly what it takes in memory, in octets.
    pub(crate) cost: usize,
}

#[derive(Debug)]
pub(crate) enum Op {
    Entry(Entry),
    Reference(Vec<String>),
    Intermediate { oid: Option<String>, value: Option<Bytes> },
    Result(Kind, Outcome),
}

/// Which operation a result answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bind,
    Search,
    Modify,
    Add,
    Delete,
    ModifyDn,
    Compare,
    Extended,
}

/// A result with what bind and extended responses add to it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) result: LdapResult,
    pub(crate) sasl_credentials: Option<Vec<u8>>,
    pub(crate) name: Option<String>,
    pub(crate) value: Option<Bytes>,
}

/// Cuts the next message off `input` and decodes it. `None` when octets are missing. Also says how many
/// octets the message took.
pub(crate) fn next(input: &[u8], max_message: usize) -> Result<Option<(Response, usize)>, CodecError> {
    let Some(len) = frame_len(input, max_message)? else { return Ok(None) };
    let response = decode(input.get(..len).unwrap_or_default())?;
    Ok(Some((response, len)))
}

fn decode(frame: &[u8]) -> Result<Response, CodecError> {
    quick::entry(frame).map_or_else(|| decode_any(frame), Ok)
}

/// Whether both decoders read the same from a message that `input` begins with. For the fuzz targets.
pub(crate) fn agree(input: &[u8], max_message: usize) -> bool {
    let Ok(Some(len)) = frame_len(input, max_message) else { return true };
    let frame = input.get(..len).unwrap_or_default();
    let Some(quick) = quick::entry(frame) else { return true };
    decode_any(frame).is_ok_and(|any| format!("{any:?}") == format!("{quick:?}"))
}

fn decode_any(frame: &[u8]) -> Result<Response, CodecError> {
    let elements = ber::check(frame).map_err(|reason| CodecError::Malformed(reason.to_owned()))?;
    let message: Message = rasn::ber::decode(frame).map_err(|error| CodecError::Malformed(error.to_string()))?;
    let stray = message.stray_response_name;
    let op = match message.op {
        WireOp::Entry(entry) => Op::Entry(entry.into()),
        WireOp::Reference(uris) => Op::Reference(uris.into_iter().map(Octets::text).collect()),
        WireOp::Intermediate(WireIntermediate { oid, value }) => {
            Op::Intermediate { oid: oid.map(Octets::text), value: value.map(Octets::bytes) }
        }
        WireOp::Bind(result) => Op::Result(Kind::Bind, result.into()),
        WireOp::SearchDone(result) => Op::Result(Kind::Search, result.into()),
        WireOp::Modify(result) => Op::Result(Kind::Modify, result.into()),
        WireOp::Add(result) => Op::Result(Kind::Add, result.into()),
        WireOp::Delete(result) => Op::Result(Kind::Delete, result.into()),
        WireOp::ModifyDn(result) => Op::Result(Kind::ModifyDn, result.into()),
        WireOp::Compare(result) => Op::Result(Kind::Compare, result.into()),
        WireOp::Extended(mut result) => {
            result.name = result.name.or(stray);
            Op::Result(Kind::Extended, result.into())
        }
    };
    let controls = message.controls.unwrap_or_default().into_iter().map(Control::from).collect();
    // An entry is kept in two pieces.
    let each = if matches!(op, Op::Entry(_)) { size_of::<usize>() } else { size_of::<Vec<u8>>() };
    let cost = frame.len() + elements * each;
    Ok(Response { id: message.id, op, controls, cost })
}

#[derive(AsnType, Decode)]
struct Message {
    id: u32,
    op: WireOp,
    #[rasn(tag(0))]
    controls: Option<Vec<WireControl>>,
    #[rasn(tag(10))]
    stray_response_name: Option<Octets>,
}

#[derive(AsnType, Decode)]
#[rasn(choice)]
enum WireOp {
    #[rasn(tag(application, 1))]
    Bind(WireResult),
    #[rasn(tag(application, 4))]
    Entry(WireEntry),
    #[rasn(tag(application, 5))]
    SearchDone(WireResult),
    #[rasn(tag(application, 7))]
    Modify(WireResult),
    #[rasn(tag(application, 9))]
    Add(WireResult),
    #[rasn(tag(application, 11))]
    Delete(WireResult),
    #[rasn(tag(application, 13))]
    ModifyDn(WireResult),
    #[rasn(tag(application, 15))]
    Compare(WireResult),
    #[rasn(tag(application, 19))]
    Reference(Vec<Octets>),
    #[rasn(tag(application, 24))]
    Extended(WireResult),
    #[rasn(tag(application, 25))]
    Intermediate(WireIntermediate),
}

/// Every result; what only some of them have is optional by its tag.
#[derive(AsnType, Decode)]
struct WireResult {
    /// ENUMERATED on the wire, any number here.
    #[rasn(tag(universal, 10))]
    code: u32,
    matched_dn: Octets,
    message: Octets,
    #[rasn(tag(3))]
    referrals: Option<Vec<Octets>>,
    #[rasn(tag(7))]
    sasl_credentials: Option<Octets>,
    #[rasn(tag(10))]
    name: Option<Octets>,
    #[rasn(tag(11))]
    value: Option<Octets>,
}

#[derive(AsnType, Decode)]
struct WireEntry {
    dn: Octets,
    attributes: Vec<WireAttribute>,
}

#[derive(AsnType, Decode)]
struct WireAttribute {
    name: Octets,
    #[rasn(tag(universal, 17))]
    values: Vec<Octets>,
}

#[derive(AsnType, Decode)]
struct WireIntermediate {
    #[rasn(tag(0))]
    oid: Option<Octets>,
    #[rasn(tag(1))]
    value: Option<Octets>,
}

#[derive(AsnType, Decode)]
struct WireControl {
    oid: Octets,
    #[rasn(default)]
    critical: bool,
    value: Option<Octets>,
}

/// An OCTET STRING, decoded into the `Vec` that an [`Entry`] keeps: one copy, out of the read buffer.
struct Octets(Vec<u8>);

impl Octets {
    fn text(self) -> String {
        String::from_utf8(self.0).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    fn bytes(self) -> Bytes {
        Bytes::from(self.0)
    }
}

impl AsnType for Octets {
    const TAG: Tag = Tag::OCTET_STRING;
}

impl Decode for Octets {
    fn decode_with_tag_and_constraints<D: Decoder>(
        decoder: &mut D,
        tag: Tag,
        constraints: &Constraints,
    ) -> Result<Self, D::Error> {
        decoder.decode_octet_string(tag, constraints).map(Self)
    }
}

impl From<WireEntry> for Entry {
    fn from(entry: WireEntry) -> Self {
        let attribute = |a: WireAttribute| Attribute {
            name: a.name.text(),
            values: a.values.into_iter().map(|value| value.0).collect(),
        };
        Self::new(entry.dn.0, entry.attributes.into_iter().map(attribute))
    }
}

impl From<WireResult> for Outcome {
    fn from(wire: WireResult) -> Self {
        let referrals = wire.referrals.unwrap_or_default();
        Self {
            result: LdapResult {
                code: ResultCode(wire.code),
                matched_dn: wire.matched_dn.text(),
                message: wire.message.text(),
                referrals: referrals.into_iter().map(Octets::text).collect(),
            },
            sasl_credentials: wire.sasl_credentials.map(|octets| octets.0),
            name: wire.name.map(Octets::text),
            value: wire.value.map(Octets::bytes),
        }
    }
}

impl From<WireControl> for Control {
    fn from(wire: WireControl) -> Self {
        Self { oid: wire.oid.text(), critical: wire.critical, value: wire.value.map(Octets::bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ber::tlv;
    use crate::codec::{MessageCodec, protocol};
    use bytes::BytesMut;
    use proptest::prelude::*;
    use tokio_util::codec::Encoder;

    const MAX: usize = 1 << 20;

    fn message(op: &[u8]) -> Vec<u8> {
        tlv(ber::SEQUENCE, &[&ber::integer(7), op]).to_vec()
    }

    fn decoded(op: &[u8]) -> Response {
        next(&message(op), MAX).unwrap().unwrap().0
    }

    /// An entry of two attributes with these values, and a control.
    fn entry_with(values: &[Vec<u8>], oid: &str, critical: Option<bool>) -> Vec<u8> {
        let octets = |octets: &[u8]| tlv(ber::OCTET_STRING, &[octets]).to_vec();
        let set = tlv(0x31, &[&values.iter().flat_map(|value| octets(value)).collect::<Vec<_>>()]);
        let attribute = |name: &str| tlv(ber::SEQUENCE, &[&octets(name.as_bytes()), &set]).to_vec();
        let attributes = tlv(ber::SEQUENCE, &[&attribute("cn"), &attribute("member;range=0-1")]);
        let entry = tlv(0x64, &[&octets(b"cn=a"), &attributes]);
        let critical = critical.map(|critical| [1, 1, if critical { 0xff } else { 0 }]);
        let critical = critical.as_ref().map_or(&[][..], |octets| octets);
        let control = tlv(ber::SEQUENCE, &[&octets(oid.as_bytes()), critical, &octets(b"value")]);
        tlv(ber::SEQUENCE, &[&ber::integer(7), &entry, &tlv(0xa0, &[&control])]).to_vec()
    }

    #[test]
    fn unknown_result_codes_are_kept() {
        // 4096, e-syncRefreshRequired, which rasn-ldap refuses.
        let response = decoded(&[0x65, 8, 0x0a, 2, 0x10, 0, 4, 0, 4, 0]);
        let Op::Result(Kind::Search, outcome) = response.op else { panic!("{response:?}") };
        assert_eq!(outcome.result.code, ResultCode::SYNC_REFRESH_REQUIRED);
    }

    #[test]
    fn a_dn_that_is_not_utf8_is_kept_as_octets() {
        let entry = tlv(0x64, &[&[4, 4, b'c', b'n', b'=', 0xff], &[0x30, 0]]);
        let response = decoded(&entry);
        let Op::Entry(entry) = response.op else { panic!("{response:?}") };
        assert_eq!(entry.dn_text(), "cn=\u{fffd}");
    }

    #[test]
    fn the_notice_of_disconnection_of_active_directory_is_read() {
        // The response name follows the operation instead of standing in it.
        let name = tlv(0x8a, &[b"1.3.6.1.4.1.1466.20036"]);
        let op = [&[0x78, 7, 0x0a, 1, 52, 4, 0, 4, 0][..], &name].concat();
        let response = decoded(&op);
        let Op::Result(Kind::Extended, outcome) = response.op else { panic!("{response:?}") };
        assert_eq!(outcome.name.as_deref(), Some("1.3.6.1.4.1.1466.20036"));
        assert_eq!(outcome.result.code, ResultCode::UNAVAILABLE);
    }

    #[test]
    fn entries_of_rasn_ldap_are_read() {
        let values = vec![vec![1u8, 0xff].into(), b"two".as_slice().into()];
        let attribute = protocol::PartialAttribute::new("cn".into(), SetOf::from_vec(values));
        let entry = protocol::SearchResultEntry::new("cn=a,dc=x".into(), vec![attribute]);
        let mut buffer = BytesMut::new();
        let message = protocol::LdapMessage::new(9, protocol::ProtocolOp::SearchResEntry(entry));
        MessageCodec::default().encode(message, &mut buffer).unwrap();
        let (response, taken) = next(&buffer, MAX).unwrap().unwrap();
        assert_eq!((response.id, taken), (9, buffer.len()));
        let Op::Entry(entry) = response.op else { panic!("{response:?}") };
        assert_eq!(entry.dn_text(), "cn=a,dc=x");
        assert_eq!(entry.values("CN").collect::<Vec<_>>(), [&[1, 0xff][..], b"two"]);
    }

    #[test]
    fn requests_from_a_server_are_malformed() {
        assert!(matches!(next(&message(&[0x42, 0]), MAX), Err(CodecError::Malformed(_))));
    }

    #[test]
    fn a_long_message_is_refused_by_its_header_alone() {
        let error = next(&[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff], MAX).unwrap_err();
        assert!(matches!(error, CodecError::TooLarge { size: 0x8000_0005, .. }), "{error}");
        let error = next(&[0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], MAX).unwrap_err();
        assert!(matches!(error, CodecError::TooLarge { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn any_octets_are_decoded_or_refused(input in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = next(&input, 256);
            let framed = tlv(ber::SEQUENCE, &[&input]);
            let _ = next(&framed, MAX);
            for op in [0x61u8, 0x64, 0x65, 0x73, 0x78, 0x79] {
                let message = message(&tlv(op, &[&input]));
                let _ = next(&message, MAX);
                prop_assert!(agree(&message, MAX));
            }
        }

        #[test]
        fn damaged_entries_are_read_alike_by_both_decoders(
            values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..6), 0..4),
            oid in "[0-9.]{0,5}",
            critical in proptest::option::of(any::<bool>()),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            let mut frame = entry_with(&values, &oid, critical);
            let whole = frame.clone();
            prop_assert!(quick::entry(&whole).is_some() && agree(&whole, MAX));
            for (at, value) in damage {
                let at = at.index(frame.len());
                frame[at] = value;
            }
            prop_assert!(agree(&frame, MAX), "{frame:x?}");
        }

        #[test]
        fn a_message_cut_anywhere_waits_for_the_rest(cut in 0usize..60) {
            let whole = message(&tlv(0x64, &[&[4, 4, b'c', b'n', b'=', b'a'], &[0x30, 0]]));
            let cut = cut.min(whole.len() - 1);
            prop_assert!(next(&whole[..cut], MAX).unwrap().is_none());
        }
    }
}
