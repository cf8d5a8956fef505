//! Hex digits, as names (RFC 4514) and filters (RFC 4515) write bytes with.

/// The value of a hex digit.
pub(crate) fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
