//! Writing attribute values into a DN (RFC 4514, 2.4).

use std::fmt::Write as _;

/// Escapes an attribute value for use inside a DN (RFC 4514, 2.4).
///
/// Whatever the value holds, the result is one value and never syntax.
///
/// ```
/// use bindery_ldap::dn::escape_value;
/// assert_eq!(escape_value("Lee, Ann"), "Lee\\, Ann");
/// assert_eq!(escape_value(" #x"), "\\20#x");
/// ```
pub fn escape_value(value: &str) -> String {
    let mut out = String::with_capacity(value.len().saturating_add(4));
    let last = value.len().saturating_sub(1);
    for (at, c) in value.char_indices() {
        match c {
            // A hexadecimal space cannot be trimmed by whatever carries the text.
            ' ' if at == 0 || at == last => out.push_str("\\20"),
            '#' if at == 0 => out.push_str("\\#"),
            '"' | '+' | ',' | ';' | '<' | '=' | '>' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            // NUL must be escaped; the other controls are, lest a log or a terminal obeys them.
            c if c.is_control() => {
                let mut buffer = [0; 4];
                for byte in c.encode_utf8(&mut buffer).bytes() {
                    push_hex(&mut out, byte);
                }
            }
            c => out.push(c),
        }
    }
    out
}

/// Escapes a value of bytes: as [`escape_value`] where it is UTF-8, otherwise every byte as a hex pair.
pub fn escape_bytes(value: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(value) {
        return escape_value(text);
    }
    let mut out = String::with_capacity(value.len().saturating_mul(3));
    for byte in value {
        push_hex(&mut out, *byte);
    }
    out
}

/// `\xx`.
pub(super) fn push_hex(out: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\\{byte:02x}");
}
