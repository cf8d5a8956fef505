//! Framing: the outer length of each message against a cap, depth against a cap, then `rasn-ldap`.
//! Shared by the client, the embedded directory and the scripted servers of the tests.
//!
//! The client frames with the same code, but decodes responses with types of its own that tolerate what
//! directories really send (see `response.rs`); [`MessageCodec`] decodes strictly, as a server should.

use crate::ber;
use bytes::{Buf, BytesMut};
use rasn_ldap::LdapMessage;
use std::io;
use tokio_util::codec::{Decoder, Encoder};

pub use rasn_ldap as protocol;

/// `max_message` where nobody says otherwise: 64 MiB.
pub const DEFAULT_MAX_MESSAGE: usize = 64 << 20;

/// Frames and decodes messages; refuses what exceeds `max_message` before it is buffered.
///
/// ```
/// use bindery_ldap::codec::{MessageCodec, protocol};
/// use bytes::BytesMut;
/// use tokio_util::codec::{Decoder, Encoder};
///
/// let mut codec = MessageCodec::default();
/// let mut buffer = BytesMut::new();
/// let unbind = protocol::ProtocolOp::UnbindRequest(protocol::UnbindRequest);
/// codec.encode(protocol::LdapMessage::new(1, unbind), &mut buffer)?;
/// assert_eq!(codec.decode(&mut buffer)?.map(|message| message.message_id), Some(1));
/// # Ok::<(), bindery_ldap::codec::CodecError>(())
/// ```
#[derive(Debug, Clone)]
pub struct MessageCodec {
    /// The most octets that one message may take.
    pub max_message: usize,
}

impl Default for MessageCodec {
    fn default() -> Self {
        Self { max_message: DEFAULT_MAX_MESSAGE }
    }
}

/// Why a stream of octets is no stream of LDAP messages. After any of these the stream cannot be read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The octets are no LDAP message.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// The message announces more octets than are allowed.
    #[error("a message of {size} bytes exceeds max_message ({limit})")]
    TooLarge {
        /// The octets announced, header included.
        size: u64,
        /// The cap.
        limit: usize,
    },
}

impl CodecError {
    fn malformed(reason: &str) -> Self {
        Self::Malformed(reason.to_owned())
    }
}

/// The length of the complete message that `buffer` begins with; `None` when octets are missing.
/// Too long or impossible a message is an error as soon as its header is there.
pub(crate) fn frame_len(buffer: &[u8], max_message: usize) -> Result<Option<usize>, CodecError> {
    if buffer.first().is_some_and(|first| *first != ber::SEQUENCE) {
        return Err(CodecError::malformed("a message that is no SEQUENCE"));
    }
    let Some(header) = ber::header(buffer).map_err(CodecError::malformed)? else {
        return Ok(None);
    };
    let size = header.len.saturating_add(header.size as u64);
    let total = usize::try_from(size)
        .ok()
        .filter(|total| *total <= max_message)
        .ok_or(CodecError::TooLarge { size, limit: max_message })?;
    Ok((buffer.len() >= total).then_some(total))
}

impl Decoder for MessageCodec {
    type Item = LdapMessage;
    type Error = CodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<LdapMessage>, CodecError> {
        let Some(len) = frame_len(src, self.max_message)? else {
            return Ok(None);
        };
        let frame = src.get(..len).unwrap_or_default();
        ber::check(frame).map_err(CodecError::malformed)?;
        let message = rasn::ber::decode(frame).map_err(|e| CodecError::Malformed(e.to_string()))?;
        src.advance(len);
        Ok(Some(message))
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<LdapMessage>, CodecError> {
        match self.decode(src)? {
            None if !src.is_empty() => Err(CodecError::malformed("the stream ended inside a message")),
            other => Ok(other),
        }
    }
}

impl Encoder<LdapMessage> for MessageCodec {
    type Error = CodecError;

    fn encode(&mut self, message: LdapMessage, dst: &mut BytesMut) -> Result<(), CodecError> {
        let encoded = rasn::ber::encode(&message).map_err(|e| CodecError::Malformed(e.to_string()))?;
        dst.extend_from_slice(&encoded);
        Ok(())
    }
}

/// Decodes the response that `input` begins with as the client does, and throws it away: the octets it took.
/// For the fuzz targets.
#[doc(hidden)]
pub fn probe_response(input: &[u8], max_message: usize) -> Result<Option<usize>, CodecError> {
    Ok(crate::response::next(input, max_message)?.map(|(_, octets)| octets))
}

/// Whether the decoder for entries and the one for everything read the same. For the fuzz targets.
#[doc(hidden)]
pub fn probe_agreement(input: &[u8], max_message: usize) -> bool {
    crate::response::agree(input, max_message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rasn_ldap::{ProtocolOp, UnbindRequest};

    /// Everything that comes out when the octets arrive in chunks of these sizes.
    fn decoded(octets: &[u8], chunks: &[usize]) -> (Vec<LdapMessage>, bool) {
        let mut codec = MessageCodec { max_message: 1 << 16 };
        let (mut buffer, mut messages, mut rest) = (BytesMut::new(), vec![], octets);
        let mut sizes = chunks.iter().copied().cycle();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(sizes.next().unwrap_or(rest.len()).clamp(1, rest.len()));
            buffer.extend_from_slice(now);
            rest = later;
            loop {
                match codec.decode(&mut buffer) {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(_) => return (messages, false),
                }
            }
        }
        let whole = codec.decode_eof(&mut buffer).is_ok();
        (messages, whole)
    }

    fn stream(ids: &[u32]) -> BytesMut {
        let mut octets = BytesMut::new();
        for id in ids {
            let abandon = ProtocolOp::AbandonRequest(rasn_ldap::AbandonRequest(*id));
            MessageCodec::default().encode(LdapMessage::new(*id, abandon), &mut octets).unwrap();
        }
        octets
    }

    #[test]
    fn the_cap_holds_before_anything_is_buffered() {
        let mut codec = MessageCodec { max_message: 1000 };
        let mut buffer = BytesMut::from(&[0x30, 0x82, 0x03, 0xe5][..]);
        assert!(matches!(codec.decode(&mut buffer), Err(CodecError::TooLarge { size: 1001, limit: 1000 })));
        let mut buffer = BytesMut::from(&[0x30, 0x82, 0x03, 0xe4][..]);
        assert!(matches!(codec.decode(&mut buffer), Ok(None)));
        assert!(codec.decode_eof(&mut buffer).is_err(), "half a message at the end");
    }

    #[test]
    fn filters_nested_too_deep_for_rasn_are_refused() {
        let mut filter = rasn_ldap::Filter::Present("a".into());
        for _ in 0..90 {
            filter = !filter;
        }
        let encoded = rasn::ber::encode(&filter).unwrap();
        let parts: [&[u8]; 8] =
            [&[4, 0], &[0x0a, 1, 0], &[0x0a, 1, 0], &[2, 1, 0], &[2, 1, 0], &[1, 1, 0], &encoded, &[0x30, 0]];
        let search = ber::tlv(0x63, &parts);
        let mut buffer = BytesMut::from(&ber::tlv(ber::SEQUENCE, &[&ber::integer(1), &search])[..]);
        let decoded = MessageCodec::default().decode(&mut buffer);
        if let Ok(Some(message)) = decoded {
            // Within rasn's own limit; converting must be bounded as well.
            let ProtocolOp::SearchRequest(request) = message.protocol_op else { panic!("no search") };
            let _ = crate::Filter::try_from(request.filter);
        }
    }

    #[test]
    fn a_message_is_taken_whole() {
        let mut buffer = BytesMut::new();
        let mut codec = MessageCodec::default();
        codec.encode(LdapMessage::new(5, ProtocolOp::UnbindRequest(UnbindRequest)), &mut buffer).unwrap();
        assert_eq!(&buffer[..], [0x30, 5, 2, 1, 5, 0x42, 0]);
        assert_eq!(codec.decode(&mut buffer).unwrap().unwrap().message_id, 5);
        assert!(buffer.is_empty() && codec.decode_eof(&mut buffer).unwrap().is_none());
    }

    proptest! {
        #[test]
        fn where_a_stream_is_cut_does_not_matter(
            ids in proptest::collection::vec(1u32..1 << 30, 0..20),
            chunks in proptest::collection::vec(1usize..40, 1..10),
        ) {
            let octets = stream(&ids);
            let (messages, whole) = decoded(&octets, &chunks);
            prop_assert!(whole);
            prop_assert_eq!(messages.iter().map(|m| m.message_id).collect::<Vec<_>>(), ids);
        }

        #[test]
        fn damaged_streams_are_cut_the_same_way_whatever_the_chunks(
            ids in proptest::collection::vec(1u32..1 << 30, 1..10),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            chunks in proptest::collection::vec(1usize..40, 1..10),
        ) {
            let mut octets = stream(&ids);
            for (at, value) in damage {
                let at = at.index(octets.len());
                octets[at] = value;
            }
            let all_at_once = decoded(&octets, &[usize::MAX]);
            prop_assert_eq!(decoded(&octets, &chunks), all_at_once);
        }
    }
}
