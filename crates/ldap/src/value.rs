//! Attribute values with a form of their own: SID, GUID, FILETIME, generalized time.
//!
//! Everything here refuses what it does not know: a value that cannot be read is `None`, never a default.

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, Utc};
use std::fmt::Write as _;
use uuid::Uuid;

/// The most sub-authorities a SID has (MS-DTYP, 2.4.2.2).
const MAX_SUB_AUTHORITIES: usize = 15;

/// The text form `S-1-5-21-…` of a binary `objectSid`.
pub fn sid_to_text(bytes: &[u8]) -> Option<String> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    let [revision, count, authority @ ..] = *head;
    let count = usize::from(count);
    if revision != 1 || count > MAX_SUB_AUTHORITIES || rest.len() != count.saturating_mul(4) {
        return None;
    }
    let authority = authority.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let mut text = match u32::try_from(authority) {
        Ok(small) => format!("S-1-{small}"),
        Err(_) => format!("S-1-0x{authority:012X}"),
    };
    for sub in rest.as_chunks::<4>().0 {
        // Writing to a String cannot fail.
        let _ = write!(text, "-{}", u32::from_le_bytes(*sub));
    }
    Some(text)
}

/// The binary form of a SID's text.
pub fn sid_from_text(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('-');
    if !parts.next()?.eq_ignore_ascii_case("S") || parts.next()? != "1" {
        return None;
    }
    let authority = sid_authority(parts.next()?)?;
    let subs = parts.map(|part| decimal(part)?.parse::<u32>().ok()).collect::<Option<Vec<_>>>()?;
    if subs.len() > MAX_SUB_AUTHORITIES {
        return None;
    }
    let mut bytes = vec![1, u8::try_from(subs.len()).ok()?];
    bytes.extend_from_slice(authority.to_be_bytes().get(2..)?);
    bytes.extend(subs.into_iter().flat_map(u32::to_le_bytes));
    Some(bytes)
}

fn sid_authority(text: &str) -> Option<u64> {
    let authority = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) if hex.len() <= 12 && hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
            u64::from_str_radix(hex, 16).ok()?
        }
        Some(_) => return None,
        None => decimal(text)?.parse().ok()?,
    };
    (authority < 1 << 48).then_some(authority)
}

/// The text, where it is digits and nothing else: `parse` would also take a sign.
fn decimal(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

/// The text form of a binary `objectGUID` (mixed-endian, lower case, no braces).
pub fn guid_to_text(bytes: &[u8]) -> Option<String> {
    let bytes: [u8; 16] = bytes.try_into().ok()?;
    Some(Uuid::from_bytes_le(bytes).hyphenated().to_string())
}

/// The binary form of an `objectGUID`'s text, with or without braces.
pub fn guid_from_text(text: &str) -> Option<Vec<u8>> {
    let bare = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}')?,
        None => text,
    };
    if bare.len() != 36 {
        return None;
    }
    Some(Uuid::try_parse(bare).ok()?.to_bytes_le().to_vec())
}

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

/// A Windows FILETIME as text: 100 ns steps since 1601. `None` for what is no such number.
pub fn filetime(text: &str) -> Option<FileTime> {
    match decimal(text)?.parse::<i64>().ok()? {
        0 => Some(FileTime::Zero),
        i64::MAX => Some(FileTime::Never),
        steps => {
            let since = Duration::microseconds(steps / 10) + Duration::nanoseconds((steps % 10) * 100);
            let epoch = NaiveDate::from_ymd_opt(1601, 1, 1)?.and_hms_opt(0, 0, 0)?.and_utc();
            Some(FileTime::At(epoch.checked_add_signed(since)?))
        }
    }
}

/// Generalized time (RFC 4517, 3.3.13): `YYYYMMDDHH[MM[SS]][.fraction](Z|±HH[MM])`. A leap second is the
/// second before it.
pub fn generalized_time(text: &str) -> Option<DateTime<Utc>> {
    let zone_at = text.find(['Z', '+', '-'])?;
    let (local, zone) = text.split_at_checked(zone_at)?;
    let (digits, fraction) = match local.split_once(['.', ',']) {
        Some((digits, fraction)) => (digits, Some(decimal(fraction)?)),
        None => (local, None),
    };
    let digits = decimal(digits)?;
    let (minute, second, unit) = match digits.len() {
        10 => (0, 0, Duration::hours(1)),
        12 => (number(digits, 10, 12)?, 0, Duration::minutes(1)),
        14 => (number(digits, 10, 12)?, number(digits, 12, 14)?, Duration::seconds(1)),
        _ => return None,
    };
    if second > 60 {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(number(digits, 0, 4)?).ok()?,
        number(digits, 4, 6)?,
        number(digits, 6, 8)?,
    )?;
    let moment = date.and_hms_opt(number(digits, 8, 10)?, minute, second.min(59))?;
    shift(moment.checked_add_signed(part_of(unit, fraction)?)?, zone)
}

fn number(digits: &str, from: usize, to: usize) -> Option<u32> {
    digits.get(from..to)?.parse().ok()
}

/// The fraction of a unit, to the nanosecond.
fn part_of(unit: Duration, fraction: Option<&str>) -> Option<Duration> {
    let Some(fraction) = fraction else {
        return Some(Duration::zero());
    };
    let nine: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let billionths: i64 = nine.parse().ok()?;
    Some(Duration::nanoseconds(unit.num_seconds().checked_mul(billionths)?))
}

fn shift(local: NaiveDateTime, zone: &str) -> Option<DateTime<Utc>> {
    if zone == "Z" {
        return Some(local.and_utc());
    }
    let (sign, offset) = zone.split_at_checked(1)?;
    let offset = decimal(offset)?;
    let minutes = match offset.len() {
        2 => 0,
        4 => number(offset, 2, 4)?,
        _ => return None,
    };
    let hours = number(offset, 0, 2)?;
    if hours > 23 || minutes > 59 {
        return None;
    }
    let offset = Duration::hours(i64::from(hours)) + Duration::minutes(i64::from(minutes));
    let utc = if sign == "+" { local.checked_sub_signed(offset)? } else { local.checked_add_signed(offset)? };
    Some(utc.and_utc())
}

/// The generalized time of a moment, in seconds, UTC.
pub fn to_generalized_time(at: DateTime<Utc>) -> String {
    at.format("%Y%m%d%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time of the test")
    }

    #[test]
    fn sid_of_a_domain_user() {
        let bytes = hex_bytes("010500000000000515000000a065cf7e784b9b5fe77c8770091c0100");
        let text = "S-1-5-21-2127521184-1604012920-1887927527-72713";
        assert_eq!(sid_to_text(&bytes).as_deref(), Some(text));
        assert_eq!(sid_from_text(text), Some(bytes));
    }

    #[test]
    fn sid_with_a_large_authority_is_hexadecimal() {
        let bytes = [1, 1, 0xff, 0, 0, 0, 0, 1, 7, 0, 0, 0];
        assert_eq!(sid_to_text(&bytes).as_deref(), Some("S-1-0xFF0000000001-7"));
        assert_eq!(sid_from_text("S-1-0xFF0000000001-7").as_deref(), Some(bytes.as_slice()));
    }

    #[test]
    fn what_is_no_sid_is_refused() {
        for bytes in [&b""[..], &[1, 1, 0, 0, 0, 0, 0, 5], &[2, 0, 0, 0, 0, 0, 0, 5], &[1, 0, 0, 0, 0, 0, 0, 5, 0]] {
            assert_eq!(sid_to_text(bytes), None, "{bytes:?}");
        }
        for text in ["", "S-1", "S-2-5", "S-1-5-", "S-1-5-+1", "S-1-5-4294967296", "S-1-0x1000000000000", "X-1-5"] {
            assert_eq!(sid_from_text(text), None, "{text}");
        }
    }

    #[test]
    fn guid_is_mixed_endian() {
        let bytes: Vec<u8> = (0..16).collect();
        let text = "03020100-0504-0706-0809-0a0b0c0d0e0f";
        assert_eq!(guid_to_text(&bytes).as_deref(), Some(text));
        assert_eq!(guid_from_text(text), Some(bytes.clone()));
        assert_eq!(guid_from_text("{03020100-0504-0706-0809-0A0B0C0D0E0F}"), Some(bytes));
        assert_eq!(guid_to_text(&[0; 15]), None);
        for bad in [
            "",
            "{",
            "{03020100-0504-0706-0809-0a0b0c0d0e0f",
            "03020100050407060809000000000000",
            "zz020100-0504-0706-0809-0a0b0c0d0e0f",
        ] {
            assert_eq!(guid_from_text(bad), None, "{bad}");
        }
    }

    #[test]
    fn filetimes() {
        assert_eq!(filetime("0"), Some(FileTime::Zero));
        assert_eq!(filetime("9223372036854775807"), Some(FileTime::Never));
        assert_eq!(filetime("116444736000000000"), Some(FileTime::At(utc("1970-01-01T00:00:00Z"))));
        assert_eq!(filetime("133484864000000001"), Some(FileTime::At(utc("2023-12-31T08:53:20.0000001Z"))));
        for bad in ["", "-1", "+1", "never", "9223372036854775808", " 1"] {
            assert_eq!(filetime(bad), None, "{bad}");
        }
    }

    #[test]
    fn generalized_times() {
        for (text, means) in [
            ("20240229123456Z", "2024-02-29T12:34:56Z"),
            ("20240229123456.5Z", "2024-02-29T12:34:56.5Z"),
            ("20240229123456,25Z", "2024-02-29T12:34:56.25Z"),
            ("202402291234Z", "2024-02-29T12:34:00Z"),
            ("2024022912.5Z", "2024-02-29T12:30:00Z"),
            ("20240229123456+0130", "2024-02-29T11:04:56Z"),
            ("20240229233456-01", "2024-03-01T00:34:56Z"),
            ("20161231235960Z", "2016-12-31T23:59:59Z"),
            ("20240229123456.0Z", "2024-02-29T12:34:56Z"),
        ] {
            assert_eq!(generalized_time(text), Some(utc(means)), "{text}");
        }
        for bad in [
            "",
            "Z",
            "2024",
            "20240229123456",
            "20230229123456Z",
            "20240229243456Z",
            "20240229123461Z",
            "20240229123456z",
            "20240229123456.Z",
            "20240229123456+2400",
            "20240229123456ZZ",
            "+0240229123456Z",
            "é",
        ] {
            assert_eq!(generalized_time(bad), None, "{bad}");
        }
        assert_eq!(to_generalized_time(utc("2024-02-29T12:34:56.9Z")), "20240229123456Z");
    }

    fn hex_bytes(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
    }

    proptest! {
        #[test]
        fn sids_round_trip(authority in 0_u64..1 << 48, subs in proptest::collection::vec(any::<u32>(), 0..=15)) {
            let mut bytes = vec![1, u8::try_from(subs.len()).expect("few")];
            bytes.extend_from_slice(&authority.to_be_bytes()[2..]);
            bytes.extend(subs.into_iter().flat_map(u32::to_le_bytes));
            let text = sid_to_text(&bytes).expect("a SID");
            prop_assert_eq!(sid_from_text(&text), Some(bytes));
        }

        #[test]
        fn guids_round_trip(bytes in any::<[u8; 16]>()) {
            let text = guid_to_text(&bytes).expect("a GUID");
            prop_assert_eq!(guid_from_text(&text), Some(bytes.to_vec()));
        }

        #[test]
        fn times_round_trip(seconds in 0_i64..253_402_300_799) {
            let at = DateTime::from_timestamp(seconds, 0).expect("in range");
            prop_assert_eq!(generalized_time(&to_generalized_time(at)), Some(at));
        }

        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80), text in "\\PC{0,40}|[0-9Z.,+-]{0,24}|S-[0-9x-]{0,40}") {
            let _ = (sid_to_text(&bytes), guid_to_text(&bytes));
            let _ = (sid_from_text(&text), guid_from_text(&text), filetime(&text), generalized_time(&text));
        }
    }
}
