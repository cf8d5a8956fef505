//! Preparing strings for `caseIgnoreMatch` (RFC 4518), by which names are compared.

use std::borrow::Cow;
use stringprep::tables::case_fold_for_nfkc;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// The form in which two strings are equal exactly when `caseIgnoreMatch` (RFC 4517, 4.2.11) says so.
///
/// Case is folded by RFC 3454, table B.2, compatibility characters are replaced (NFKC), leading and
/// trailing space goes, inner space becomes one space. Different from RFC 4518 in one point on purpose:
/// controls and invisible characters are kept. No common server drops them, and two entries that a server
/// holds apart must not become one here.
///
/// ```
/// use bindery_ldap::dn::prepare_case_ignore;
/// assert_eq!(prepare_case_ignore("  Ann   LEE "), "ann lee");
/// assert_eq!(prepare_case_ignore("Straße"), prepare_case_ignore("STRASSE"));
/// ```
pub fn prepare_case_ignore(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { prepare_ascii(text) } else { Cow::Owned(prepare_unicode(text)) }
}

fn prepare_ascii(text: &str) -> Cow<'_, str> {
    if is_prepared_ascii(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().map(|c| c.to_ascii_lowercase()));
    }
    Cow::Owned(out)
}

fn is_prepared_ascii(bytes: &[u8]) -> bool {
    let mut after_space = true;
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'\t'..=b'\r' => return false,
            b' ' if after_space => return false,
            other => after_space = *other == b' ',
        }
    }
    !after_space || bytes.is_empty()
}

fn prepare_unicode(text: &str) -> String {
    // Folding after a first NFKC also reaches letters that only appear by it, as those of U+1F130.
    let folded: String = text.chars().nfkc().flat_map(fold).nfkc().collect();
    let mut out = String::with_capacity(folded.len());
    let mut chars = folded.chars().peekable();
    let mut pending = false;
    while let Some(c) = chars.next() {
        // A space that carries a combining mark is a character, not a gap (RFC 4518, 2.6.1).
        if is_space(c) && !chars.peek().is_some_and(|next| is_combining_mark(*next)) {
            pending = true;
            continue;
        }
        if pending && !out.is_empty() {
            out.push(' ');
        }
        pending = false;
        out.push(c);
    }
    out
}

fn fold(c: char) -> impl Iterator<Item = char> {
    // The table ends with Unicode 3.2; what it does not know is folded by today's lower case, which it may know: that of
    // U+1E9E is a sharp s, and so `ss`.
    case_fold_for_nfkc(c).flat_map(char::to_lowercase).flat_map(case_fold_for_nfkc)
}

/// What RFC 4518, 2.2 maps to SPACE.
fn is_space(c: char) -> bool {
    matches!(
        c,
        ' ' | '\t'..='\r' | '\u{85}' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}'
            | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}
