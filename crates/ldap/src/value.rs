//! Attribute values with a form of their own: SID, GUID, FILETIME, generalized time.

use chrono::{DateTime, Utc};

/// The text form `S-1-5-21-…` of a binary `objectSid`.
pub fn sid_to_text(bytes: &[u8]) -> Option<String> { todo!() }
/// The binary form of a SID's text.
pub fn sid_from_text(text: &str) -> Option<Vec<u8>> { todo!() }
/// The text form of a binary `objectGUID` (mixed-endian, lower case, no braces).
pub fn guid_to_text(bytes: &[u8]) -> Option<String> { todo!() }
/// The binary form of an `objectGUID`'s text.
pub fn guid_from_text(text: &str) -> Option<Vec<u8>> { todo!() }
/// A Windows FILETIME as text (100 ns since 1601). `None` stands for "never" (0 and 0x7FFF…) and for no number: see [`FileTime`].
pub fn filetime(text: &str) -> Option<FileTime> { todo!() }
/// What a FILETIME attribute says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileTime {
    /// 0: depends on the attribute (never, or at once).
    Zero,
    /// 0x7FFF_FFFF_FFFF_FFFF: never.
    Never,
    /// A moment.
    At(DateTime<Utc>),
}
/// Generalized time (RFC 4517, 3.3.13).
pub fn generalized_time(text: &str) -> Option<DateTime<Utc>> { todo!() }
/// The generalized time of a moment, in seconds, UTC.
pub fn to_generalized_time(at: DateTime<Utc>) -> String { todo!() }
