//! Unique IDs as text, and back: what the store keeps, and what an entry is found by again.

use bindery_ldap::{Entry, Filter, value};

/// Marks a value that is no text.
const BINARY: &str = "hex:";

/// The text form of an entry's unique ID: a GUID's own form, else text as it stands, else hexadecimal.
pub(crate) fn text(entry: &Entry, attribute: &str) -> Option<String> {
    let bytes = entry.first(attribute).filter(|bytes| !bytes.is_empty())?;
    if attribute.eq_ignore_ascii_case("objectGUID") {
        return value::guid_to_text(bytes);
    }
    let readable = |text: &&str| !text.starts_with(BINARY) && !text.chars().any(char::is_control);
    Some(match std::str::from_utf8(bytes).ok().filter(readable) {
        // Hexadecimal digits in either case are one ID, and a change feed spells them in lower case.
        Some(text) if is_digits(attribute) => text.to_ascii_lowercase(),
        Some(text) => text.to_owned(),
        None => format!("{BINARY}{}", hex::encode(bytes)),
    })
}

/// Whether the values are UUIDs as text, which compare without regard to case (RFC 4530).
fn is_digits(attribute: &str) -> bool {
    ["entryUUID", "nsUniqueId"].iter().any(|one| attribute.eq_ignore_ascii_case(one))
}

/// The filter that finds the entry of a text made by [`text`].
pub(crate) fn filter(attribute: &str, text: &str) -> Filter {
    let bytes = if attribute.eq_ignore_ascii_case("objectGUID") {
        value::guid_from_text(text)
    } else {
        text.strip_prefix(BINARY).and_then(|digits| hex::decode(digits).ok())
    };
    Filter::equal(attribute, bytes.unwrap_or_else(|| text.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bindery_ldap::Attribute;

    fn entry(name: &str, value: &[u8]) -> Entry {
        Entry::new("cn=x", vec![Attribute { name: name.to_owned(), values: vec![value.to_vec()] }])
    }

    #[test]
    fn text_stays_text() {
        let uuid = "8d9e0a7c-1111-1040-8b1a-000000000001";
        assert_eq!(text(&entry("entryUUID", uuid.as_bytes()), "entryuuid").as_deref(), Some(uuid));
        assert_eq!(filter("entryUUID", uuid), Filter::equal("entryUUID", uuid));
    }

    #[test]
    fn uuids_have_one_spelling() {
        let lower = text(&entry("nsUniqueId", b"66446001-1dd211b2-AABB0000-cafe0000"), "nsUniqueId").unwrap();
        assert_eq!(lower, "66446001-1dd211b2-aabb0000-cafe0000");
        assert_eq!(text(&entry("ipaUniqueID", b"AbC"), "ipaUniqueID").as_deref(), Some("AbC"));
    }

    #[test]
    fn bytes_come_back_as_they_were() {
        for bytes in [&b"\xff\x00\x10"[..], b"hex:41", b"a\0b"] {
            let text = text(&entry("id", bytes), "id").unwrap();
            assert!(text.starts_with("hex:"), "{text}");
            assert_eq!(filter("id", &text), Filter::equal("id", bytes));
        }
    }

    #[test]
    fn a_guid_has_its_own_form() {
        let bytes: Vec<u8> = (0..16).collect();
        let text = text(&entry("objectGUID", &bytes), "objectGUID").unwrap();
        assert_eq!(text, "03020100-0504-0706-0809-0a0b0c0d0e0f");
        assert_eq!(filter("objectGUID", &text), Filter::equal("objectGUID", bytes));
        assert_eq!(super::text(&entry("objectGUID", b"short"), "objectGUID"), None);
    }

    #[test]
    fn nothing_is_no_id() {
        assert_eq!(text(&entry("entryUUID", b""), "entryUUID"), None);
        assert_eq!(text(&entry("cn", b"x"), "entryUUID"), None);
    }
}
