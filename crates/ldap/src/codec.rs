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
    let size = header.len.saturating_add(header.header_len as u64);
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
