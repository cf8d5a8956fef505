//! How names compare: whole, without regard to case, the same for every alphabet.

use unicode_normalization::UnicodeNormalization;

/// The form in which two names compare: canonically composed (NFC) and case-folded as Unicode
/// defines it, so that `STRASSE` meets `Straße` and `É` meets `e` with an accent of its own.
///
/// Look-alikes stay apart: a full-width `１` is not `1`, and a Cyrillic `а` is not `a`.
///
/// ```
/// use bindery_core::rules::fold;
/// assert_eq!(fold("Domain Admins"), fold("DOMAIN ADMINS"));
/// assert_ne!(fold("Domain Admins"), fold("Former Domain Admins"));
/// ```
pub fn fold(name: &str) -> String {
    // Most names are, and nothing composes or folds in them but the case.
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let composed: String = name.nfc().collect();
    unicase::UniCase::new(composed.as_str()).to_folded_case().nfc().collect()
}

/// A username as it is shown under `lowercase_usernames`: composed and in lower case.
///
/// This is what people see, so `Straße` keeps its `ß`; what is compared is [`fold`] of it.
pub(super) fn lowercase(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    name.nfc().collect::<String>().to_lowercase().nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_folded_in_every_alphabet() {
        for (one, other) in [
            ("ANN", "ann"),
            ("Straße", "STRASSE"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
            ("Łukasz", "łUKASZ"),
            ("É", "e\u{301}"),
            ("\u{212A}elvin", "kelvin"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} and {other}");
        }
    }

    #[test]
    fn ascii_folds_as_unicode_does() {
        let ascii: String = (0..=127_u8).map(char::from).collect();
        let folded: String = unicase::UniCase::new(ascii.as_str()).to_folded_case().nfc().collect();
        assert_eq!(fold(&ascii), folded);
        assert_eq!(fold(&ascii), ascii.nfkc().collect::<String>().to_lowercase());
        assert_eq!(lowercase(&ascii), ascii.nfc().collect::<String>().to_lowercase().nfc().collect::<String>());
    }

    #[test]
    fn look_alikes_stay_apart() {
        for (one, other) in
            [("user1", "user１"), ("ann", "аnn"), ("admin", "admın"), ("ann", "ann "), ("ann", "ann\u{200b}")]
        {
            assert_ne!(fold(one), fold(other), "{one} and {other}");
        }
    }

    #[test]
    fn a_lower_case_name_reads_as_written() {
        assert_eq!(lowercase("Straße"), "straße");
        assert_eq!(lowercase("E\u{301}VA"), "éva");
    }
}
