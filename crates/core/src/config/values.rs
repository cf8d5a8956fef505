//! Texts with a form of their own: durations, sizes, schedules, names. Pure; errors never repeat the text.

use std::str::FromStr;
use std::time::Duration;

use chrono::DateTime;
use croner::Cron;

/// `500ms`, `15s`, `1h30m`, `14d`, `0s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    const WANTED: &str = "expected a duration such as \"15s\", \"1h30m\" or \"14d\"";
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(WANTED.to_owned());
    }
    while !rest.is_empty() {
        let (number, unit, after) = leading_part(rest).ok_or(WANTED)?;
        let part = match unit {
            "ms" => Some(Duration::from_millis(number)),
            "s" => Some(Duration::from_secs(number)),
            "m" => seconds(number, 60),
            "h" => seconds(number, 3600),
            "d" => seconds(number, 86_400),
            "w" => seconds(number, 604_800),
            _ => return Err(format!("{WANTED}; the units are ms, s, m, h, d and w")),
        };
        total = part
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= LONGEST)
            .ok_or("the duration is too long (at most 100 years)")?;
        rest = after.trim_start();
    }
    Ok(total)
}

/// Beyond this, adding to a point in time could overflow.
const LONGEST: Duration = Duration::from_hours(100 * 366 * 24);

fn seconds(number: u64, unit: u64) -> Option<Duration> {
    number.checked_mul(unit).map(Duration::from_secs)
}

/// The number at the start, its unit, and what follows.
fn leading_part(text: &str) -> Option<(u64, &str, &str)> {
    let (digits, rest) = split_while(text, |c| c.is_ascii_digit());
    let (unit, after) = split_while(rest.trim_start(), |c| c.is_ascii_alphabetic());
    Some((digits.parse().ok()?, unit, after))
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// `64MiB`, `512 KiB`, `1000000` (bytes).
pub(super) fn size(text: &str) -> Result<u64, String> {
    const WANTED: &str = "expected a size such as \"64MiB\"";
    let (number, unit, after) = leading_part(text.trim()).ok_or(WANTED)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(format!("{WANTED}; the units are B, KiB, MiB and GiB")),
    };
    if !after.is_empty() {
        return Err(WANTED.to_owned());
    }
    number.checked_mul(factor).ok_or_else(|| "the size is too large".to_owned())
}

/// Five cron fields.
pub(super) fn schedule(text: &str) -> Result<String, String> {
    const WANTED: &str = "expected a schedule of five fields, such as \"0 */2 * * *\", or \"off\"";
    if text.split_whitespace().count() != 5 {
        return Err(WANTED.to_owned());
    }
    let schedule = Cron::from_str(text).map_err(|_| WANTED.to_owned())?;
    // Every day of a calendar comes within a few years of any day.
    match schedule.find_next_occurrence(&DateTime::UNIX_EPOCH, false) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("a time that never comes, as the 30th of February".to_owned()),
    }
}

/// An LDAP attribute description (RFC 4512, 2.5): a name or an OID, with options.
pub(super) fn attribute(text: &str) -> Result<String, String> {
    let mut parts = text.split(';');
    let name = parts.next().unwrap_or_default();
    let word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let keystring = word(name) && name.starts_with(|c: char| c.is_ascii_alphabetic());
    let oid = !name.is_empty() && name.split('.').all(|arc| !arc.is_empty() && arc.chars().all(|c| c.is_ascii_digit()));
    if (keystring || oid) && parts.all(word) {
        Ok(text.to_owned())
    } else {
        Err("not the name of an attribute (letters, digits and hyphens)".to_owned())
    }
}

/// Whether an attribute holds a password or a key made from one. Compared without options and case.
pub(super) fn is_password_attribute(attribute: &str) -> bool {
    const PASSWORDS: [&str; 22] = [
        "userpassword",
        "2.5.4.35",
        "unicodepwd",
        "1.2.840.113556.1.4.90",
        "dbcspwd",
        "ntpwdhistory",
        "lmpwdhistory",
        "supplementalcredentials",
        "sambantpassword",
        "sambalmpassword",
        "sambapasswordhistory",
        "sambapreviousclearpassword",
        "krbprincipalkey",
        "krbextradata",
        "krbmkey",
        "pwdhistory",
        "passwordhistory",
        "authpassword",
        "ipanthash",
        "ipatokenotpkey",
        "ms-mcs-admpwd",
        "mslaps-password",
    ];
    let name = attribute.split(';').next().unwrap_or_default();
    PASSWORDS.contains(&name.to_ascii_lowercase().as_str())
}

/// The name of a local field, flag or slug: short, plain, safe in templates, headers and addresses.
pub(super) fn identifier(text: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let start = |c: char| c.is_ascii_alphanumeric();
    if text.len() <= 64 && text.starts_with(start) && text.chars().all(plain) {
        Ok(())
    } else {
        Err("expected a name of at most 64 letters, digits, \"_\" and \"-\"".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("14d"), Ok(Duration::from_hours(14 * 24)));
        for bad in ["", "5", "h", "-5s", "1.5h", "5 fortnights", "99999999999d", "18446744073709551616s"] {
            assert!(duration(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("1000"), Ok(1000));
        for bad in ["", "MiB", "1 parsec", "64MiB!", "99999999999GiB"] {
            assert!(size(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn password_attributes_are_known_by_any_spelling() {
        assert!(is_password_attribute("UserPassword;x-1"));
        assert!(is_password_attribute("unicodePwd"));
        assert!(!is_password_attribute("pwdLastSet"));
    }

    #[test]
    fn attributes_are_names_or_oids() {
        for good in ["cn", "2.5.4.3", "cn;lang-de", "ms-DS-User"] {
            assert!(attribute(good).is_ok(), "{good:?} was refused");
        }
        for bad in ["", "given name", "cn)", "cn;", "2..5", "a*"] {
            assert!(attribute(bad).is_err(), "{bad:?} was taken");
        }
    }
}
