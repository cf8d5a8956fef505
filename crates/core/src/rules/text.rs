//! Attribute values as text: strings as they are, GUIDs and SIDs in their text forms, bytes as base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bindery_directory::value::{guid_to_text, sid_to_text};

/// Syntaxes that are bytes even where the bytes happen to be readable.
const BINARY: &[&str] = &[
    "audio",
    "cACertificate",
    "jpegPhoto",
    "mS-DS-ConsistencyGuid",
    "msExchMailboxGuid",
    "photo",
    "thumbnailLogo",
    "thumbnailPhoto",
    "userCertificate",
    "userPKCS12",
    "userSMIMECertificate",
];

/// One value of an attribute, as text that any store can hold: GUIDs and SIDs in their text forms, bytes as base64.
pub fn value_text(attribute: &str, value: &[u8]) -> String {
    readable(attribute, value).unwrap_or_else(|| STANDARD.encode(value))
}

/// One value of an attribute that has a text form of its own.
pub(super) fn readable(attribute: &str, value: &[u8]) -> Option<String> {
    let (name, options) = attribute.split_once(';').unwrap_or((attribute, ""));
    let is = |other: &&str| name.eq_ignore_ascii_case(other);
    let known_form = if is(&"objectGUID") {
        guid_to_text(value)
    } else if is(&"objectSid") || is(&"sIDHistory") {
        sid_to_text(value)
    } else {
        None
    };
    if known_form.is_some() {
        return known_form;
    }
    let binary = BINARY.iter().any(is) || options.split(';').any(|option| option.eq_ignore_ascii_case("binary"));
    // PostgreSQL holds no NUL in text.
    let text = std::str::from_utf8(value).ok().filter(|text| !binary && !text.contains('\0'));
    text.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(value_text("cn", "Zoë".as_bytes()), "Zoë");
    }

    #[test]
    fn bytes_become_base64_whatever_they_look_like() {
        assert_eq!(value_text("blob", &[0xff, 0xfe]), "//4=");
        assert_eq!(value_text("description", b"a\0b"), "YQBi");
        assert_eq!(value_text("JPEGPhoto", b"abc"), "YWJj");
        assert_eq!(value_text("userCertificate;binary", b"abc"), "YWJj");
        assert_eq!(value_text("x;lang-de;Binary", b"abc"), "YWJj");
    }

    #[test]
    fn identifiers_have_their_text_forms() {
        let guid: Vec<u8> = (0..16).collect();
        assert_eq!(value_text("objectguid", &guid), "03020100-0504-0706-0809-0a0b0c0d0e0f");
        let sid = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0];
        assert_eq!(value_text("objectSid", &sid), "S-1-5-32-544");
        assert_eq!(value_text("objectGUID", b"short"), "short");
    }
}
