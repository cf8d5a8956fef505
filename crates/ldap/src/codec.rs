//! Framing: the outer length of each message against a cap, depth against a cap, then `rasn-ldap`.
//! Shared by the client, the embedded directory and the scripted servers of the tests.

pub use rasn_ldap as protocol;

/// Frames and decodes messages; refuses what exceeds `max_message` before it is buffered.
#[derive(Debug, Clone)]
pub struct MessageCodec { pub max_message: usize }
