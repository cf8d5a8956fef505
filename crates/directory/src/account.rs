//! Account state from the attributes that are there, whatever the preset: a table, not branches.
//!
//! A value that cannot be read as what its attribute holds counts as the refusing one: a lock
//! that nobody understands is still a lock.

use bindery_ldap::value::{self, FileTime};
use chrono::{DateTime, Utc};

/// What the directory says about an account, apart from its password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountState {
    /// `nsAccountLock`, `userAccountControl` (2).
    pub disabled: bool,
    /// Locked, and by whom.
    pub locked: Lock,
    /// The account is past its end (`krbPrincipalExpiration`, `shadowExpire`, `accountExpires`).
    pub expired: bool,
    /// The password is past its end (ppolicy, `userAccountControl`).
    pub password_expired: bool,
    /// The password is past the end that was noted for it (`passwordExpirationTime`). Whether the server's policy still minds
    /// a bind tells, and one that was accepted outweighs it ([`after_bind`](Self::after_bind)); and the server itself, where it
    /// may be asked ([`Source::password_expired`](crate::Source::password_expired)).
    pub password_past: bool,
    /// The password must be changed first (`pwdLastSet` = 0, `pwdReset`).
    pub must_change: bool,
    /// When the account will be past its end, where that is still to come.
    pub ends: Option<DateTime<Utc>>,
    /// When the password was last changed, where the directory says so (`pwdLastSet`, `krbLastPwdChange`, `pwdChangedTime`).
    pub password_changed: Option<DateTime<Utc>>,
    /// Which attribute said so, for `explain`: one sentence each.
    pub because: Vec<String>,
}

/// Whether an account is locked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lock {
    /// It is not.
    #[default]
    No,
    /// After too many failures; ends by itself. How long it lasts is in a policy that is seldom
    /// readable, and servers leave the mark until the next success: only a bind tells, and one
    /// that was accepted outweighs it ([`AccountState::after_bind`]).
    Temporary,
    /// By an administrator (`pwdAccountLockedTime: 000001010000Z`).
    Administrator,
}

impl AccountState {
    /// What holds after a bind that the directory accepted: its word and that of the attributes,
    /// without a temporary lock, which the success has ended, and without an end of the password that the server let pass.
    #[must_use]
    pub fn after_bind(mut self, accepted: &Self) -> Self {
        if self.locked == Lock::Temporary {
            self.locked = accepted.locked;
        }
        self.disabled |= accepted.disabled;
        self.expired |= accepted.expired;
        self.password_expired |= accepted.password_expired;
        self.password_past = accepted.password_past;
        self.must_change |= accepted.must_change;
        self.because.extend(accepted.because.iter().cloned());
        self
    }

    /// What holds of the account itself, where nobody bound: without a lock that ends by itself, and without the age of
    /// the password. They keep somebody from signing in, not from being who they are.
    #[must_use]
    pub fn lasting(mut self) -> Self {
        if self.locked == Lock::Temporary {
            self.locked = Lock::No;
        }
        (self.password_expired, self.password_past, self.must_change) = (false, false, false);
        self
    }
}

/// The attributes that [`state`] looks at.
pub const ATTRIBUTES: &[&str] = &[
    "nsAccountLock",
    "pwdAccountLockedTime",
    "accountUnlockTime",
    "pwdReset",
    "passwordExpirationTime",
    "userAccountControl",
    "accountExpires",
    "lockoutTime",
    "pwdLastSet",
    "krbPrincipalExpiration",
    "shadowExpire",
    "krbLastPwdChange",
    "pwdChangedTime",
];

/// One attribute, and what its value does to the state. Answers with the sentence for `because`.
type Rule = (&'static str, fn(&str, &Context<'_>, &mut AccountState) -> Option<&'static str>);

/// What a rule may look at besides its own value.
struct Context<'a> {
    entry: &'a bindery_ldap::Entry,
    now: DateTime<Utc>,
}

const RULES: &[Rule] = &[
    ("nsAccountLock", ns_account_lock),
    ("pwdAccountLockedTime", pwd_account_locked_time),
    ("accountUnlockTime", account_unlock_time),
    ("pwdReset", pwd_reset),
    ("passwordExpirationTime", password_expiration_time),
    ("userAccountControl", user_account_control),
    ("accountExpires", account_expires),
    ("lockoutTime", lockout_time),
    ("pwdLastSet", pwd_last_set),
    ("krbPrincipalExpiration", krb_principal_expiration),
    ("shadowExpire", shadow_expire),
    ("krbLastPwdChange", password_changed),
    ("pwdChangedTime", password_changed),
];

/// The state at a moment.
pub fn state(entry: &bindery_ldap::Entry, now: DateTime<Utc>) -> AccountState {
    let mut state = AccountState::default();
    let context = Context { entry, now };
    for (attribute, rule) in RULES {
        let Some(bytes) = entry.first(attribute) else {
            continue;
        };
        let text = String::from_utf8_lossy(bytes);
        if let Some(why) = rule(text.trim(), &context, &mut state) {
            state.because.push(format!("{attribute} {why}"));
        }
    }
    state
}

/// Whether an attribute says, at any time, that the account is disabled.
pub(crate) fn is_disabled(entry: &bindery_ldap::Entry) -> bool {
    state(entry, DateTime::UNIX_EPOCH).disabled
}

fn ns_account_lock(value: &str, _: &Context<'_>, state: &mut AccountState) -> Option<&'static str> {
    if value.eq_ignore_ascii_case("false") {
        return None;
    }
    state.disabled = true;
    Some(if value.eq_ignore_ascii_case("true") { "is true" } else { "is neither true nor false" })
}

/// The moment that stands for "until an administrator unlocks it" in draft-behera-ldap-password-policy.
const LOCKED_FOR_GOOD: &str = "000001010000Z";

#[expect(clippy::unnecessary_wraps, reason = "every row of the table has one shape")]
fn pwd_account_locked_time(value: &str, _: &Context<'_>, state: &mut AccountState) -> Option<&'static str> {
    if value == LOCKED_FOR_GOOD {
        state.locked = Lock::Administrator;
        return Some("says that an administrator locked the account");
    }
    raise(state, Lock::Temporary);
    Some("says that the account was locked after failures")
}

fn account_unlock_time(value: &str, context: &Context<'_>, state: &mut AccountState) -> Option<&'static str> {
    // 389-DS writes the epoch for "until somebody resets it".
    match value::generalized_time(value) {
        Some(until) if until.timestamp() != 0 && until <= context.now => None,
        _ => {
            raise(state, Lock::Temporary);
            Some("says that the account is locked after failures")
        }
    }
}

fn pwd_reset(value: &str, _: &Context<'_>, state: &mut AccountState) -> Option<&'static str> {
    if value.eq_ignore_ascii_case("false") {
        return None;
    }
    state.must_change = true;
    Some("asks for a new password")
}

fn password_expiration_time(value: &str, context: &Context<'_>, state: &mut AccountState) -> Option<&'static str> {
    match value::generalized_time(value) {
        // 389-DS writes the epoch for a password that is to be changed first, which `pwdReset` says.
        Some(end) if end.timestamp() == 0 || end > context.now => None,
        _ => {
            state.password_past = true;
            Some("is past")
        }
    }
}

const UAC_DISABLED: i64 = 0x0000_0002;
const UAC_PASSWORD_NEVER_EXPIRES: i64 = 0x0001_0000;
const UAC_PASSWORD_EXPIRED: i64 = 0x0080_0000;

fn user_account_control(value: &str, _: &Context<'_>, state: &mut AccountState) -> Option<&'static str> {
    let Ok(bits) = value.parse::<i64>() else {
        state.disabled = true;
        return Some("is not a number");
    };
    state.password_expired |= bits & UAC_PASSWORD_EXPIRED != 0;
    state.disabled |= bits & UAC_DISABLED != 0;
    match (state.disabled, state.password_expired) {
        (true, _) => Some("has the bit of a disabled account (2)"),
        (false, true) => Some("has the bit of an expired password (0x800000)"),
        (false, false) => None,
    }
}

fn account_expires(value: &str, context: &Context<'_>, state: &mut AccountState) -> Option<&'static str> {
    match value::filetime(value) {
        Some(FileTime::Zero | FileTime::Never) => None,
        Some(FileTime::At(end)) => end_at(end, context, state),
        None => {
            state.expired = true;
            Some("is not a time")
        }
    }
}

fn lockout_time(value: &str, _: &Context<'_>, state: &mut AccountState) -> Option<&'static str> {
    if value == "0" {
        return None;
    }
    raise(state, Lock::Temporary);
    Some("says that the account was locked after failures")
}

fn pwd_last_set(value: &str, context: &Context<'_>, state: &mut AccountState) -> Option<&'static str> {
    let never_expires = context
        .entry
        .text("userAccountControl")
        .and_then(|bits| bits.trim().parse::<i64>().ok())
        .is_some_and(|bits| bits & UAC_PASSWORD_NEVER_EXPIRES != 0);
    if let Some(FileTime::At(changed)) = value::filetime(value) {
        state.password_changed = state.password_changed.max(Some(changed));
    }
    if value != "0" || never_expires {
        return None;
    }
    state.must_change = true;
    Some("is 0: the password must be changed first")
}

fn krb_principal_expiration(value: &str, context: &Context<'_>, state: &mut AccountState) -> Option<&'static str> {
    let Some(end) = value::generalized_time(value) else {
        state.expired = true;
        return Some("is not a time");
    };
    end_at(end, context, state)
}

/// What cannot be read says nothing.
fn password_changed(value: &str, _: &Context<'_>, state: &mut AccountState) -> Option<&'static str> {
    state.password_changed = state.password_changed.max(value::generalized_time(value));
    None
}

/// Days since 1970-01-01; negative is never, and 0 is the day itself, as `pam_unix` reads it.
fn shadow_expire(value: &str, context: &Context<'_>, state: &mut AccountState) -> Option<&'static str> {
    match value.parse::<i64>() {
        Ok(day) if day < 0 => None,
        // A day beyond the calendar never comes.
        Ok(day) => end_at(day.checked_mul(86_400).and_then(|at| DateTime::from_timestamp(at, 0))?, context, state),
        Err(_) => {
            state.expired = true;
            Some("is not a number of days")
        }
    }
}

/// An account that ends then: it is over, or the moment is kept. Of several ends the first counts.
fn end_at(end: DateTime<Utc>, context: &Context<'_>, state: &mut AccountState) -> Option<&'static str> {
    if end > context.now {
        state.ends = Some(state.ends.map_or(end, |known| known.min(end)));
        return None;
    }
    state.expired = true;
    Some("is past")
}

/// An administrator's lock is never weakened by a later row.
fn raise(state: &mut AccountState, lock: Lock) {
    if state.locked == Lock::No {
        state.locked = lock;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bindery_ldap::{Attribute, Entry};
    use chrono::TimeZone;

    fn now() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 7, 1, 12, 0, 0).unwrap()
    }

    fn of(attributes: &[(&str, &str)]) -> AccountState {
        let attributes = attributes
            .iter()
            .map(|(name, value)| Attribute { name: (*name).to_owned(), values: vec![value.as_bytes().to_vec()] });
        state(&Entry::new("uid=ann", attributes), now())
    }

    #[test]
    fn every_rule_has_its_attribute_asked_for() {
        assert!(RULES.iter().map(|(name, _)| *name).eq(ATTRIBUTES.iter().copied()));
    }

    #[test]
    fn nothing_there_means_a_free_account() {
        assert_eq!(of(&[("uid", "ann")]), AccountState::default());
    }

    #[test]
    fn disabled() {
        assert!(of(&[("nsaccountlock", "TRUE")]).disabled);
        assert!(!of(&[("nsAccountLock", "false")]).disabled);
        assert!(of(&[("nsAccountLock", "maybe")]).disabled, "a lock nobody understands is a lock");
        assert!(of(&[("userAccountControl", "514")]).disabled);
        assert!(!of(&[("userAccountControl", "512")]).disabled);
        assert!(of(&[("userAccountControl", "x")]).disabled);
        assert_eq!(of(&[("nsAccountLock", "true")]).because, ["nsAccountLock is true"]);
    }

    #[test]
    fn locked() {
        assert_eq!(of(&[("pwdAccountLockedTime", "000001010000Z")]).locked, Lock::Administrator);
        assert_eq!(of(&[("pwdAccountLockedTime", "20260101000000Z")]).locked, Lock::Temporary);
        assert_eq!(of(&[("lockoutTime", "0")]).locked, Lock::No);
        assert_eq!(of(&[("lockoutTime", "133000000000000000")]).locked, Lock::Temporary);
        assert_eq!(of(&[("accountUnlockTime", "20260101000000Z")]).locked, Lock::No);
        assert_eq!(of(&[("accountUnlockTime", "20270101000000Z")]).locked, Lock::Temporary);
        assert_eq!(of(&[("accountUnlockTime", "19700101000000Z")]).locked, Lock::Temporary);
        let both = of(&[("pwdAccountLockedTime", "000001010000Z"), ("lockoutTime", "1330")]);
        assert_eq!(both.locked, Lock::Administrator);
    }

    #[test]
    fn a_password_past_its_end_is_one_until_the_server_takes_it() {
        let past = of(&[("passwordExpirationTime", "20260701120000Z")]);
        assert!(past.password_past && past.because == ["passwordExpirationTime is past"], "{past:?}");
        assert!(of(&[("passwordExpirationTime", "soon")]).password_past);
        assert!(!of(&[("passwordExpirationTime", "20260701120001Z")]).password_past);
        assert!(!of(&[("passwordExpirationTime", "19700101000000Z")]).password_past);
        let after = past.clone().after_bind(&AccountState::default());
        assert!(!after.password_past && !after.password_expired);
        assert!(
            past.clone()
                .after_bind(&AccountState { password_expired: true, ..AccountState::default() })
                .password_expired
        );
        assert!(!past.lasting().password_past, "it is no end of the account");
    }

    #[test]
    fn an_accepted_bind_ends_a_temporary_lock_but_no_other() {
        let accepted = AccountState { must_change: true, ..AccountState::default() };
        let after = of(&[("pwdAccountLockedTime", "20260101000000Z")]).after_bind(&accepted);
        assert_eq!((after.locked, after.must_change), (Lock::No, true));
        let after = of(&[("pwdAccountLockedTime", "000001010000Z")]).after_bind(&accepted);
        assert_eq!(after.locked, Lock::Administrator);
    }

    #[test]
    fn expired() {
        assert!(of(&[("krbPrincipalExpiration", "20260701115959Z")]).expired);
        assert!(!of(&[("krbPrincipalExpiration", "20260701120001Z")]).expired);
        assert!(of(&[("krbPrincipalExpiration", "soon")]).expired);
        // 2026-07-01 is day 20,635.
        assert!(of(&[("shadowExpire", "20635")]).expired);
        assert!(!of(&[("shadowExpire", "20636")]).expired);
        assert!(!of(&[("shadowExpire", "-1")]).expired);
        assert!(of(&[("shadowExpire", "never")]).expired);
        assert!(!of(&[("accountExpires", "0")]).expired);
        assert!(!of(&[("accountExpires", "9223372036854775807")]).expired);
        assert!(of(&[("accountExpires", "133000000000000000")]).expired);
        assert!(of(&[("accountExpires", "-")]).expired);
    }

    #[test]
    fn an_end_to_come_is_kept_and_the_first_counts() {
        let at = |text: &str| Some(text.parse::<DateTime<Utc>>().unwrap());
        assert_eq!(of(&[("shadowExpire", "20636")]).ends, at("2026-07-02T00:00:00Z"));
        assert_eq!(of(&[("krbPrincipalExpiration", "20260701120001Z")]).ends, at("2026-07-01T12:00:01Z"));
        // 2026-07-01T12:00:01Z in units of 100 ns since 1601.
        assert_eq!(of(&[("accountExpires", "134273808010000000")]).ends, at("2026-07-01T12:00:01Z"));
        let both = of(&[("shadowExpire", "20637"), ("krbPrincipalExpiration", "20260701130000Z")]);
        assert_eq!(both.ends, at("2026-07-01T13:00:00Z"));
        for free in [("shadowExpire", "-1"), ("accountExpires", "0"), ("shadowExpire", "9223372036854775807")] {
            assert_eq!((of(&[free]).ends, of(&[free]).expired), (None, false), "{free:?}");
        }
        assert_eq!(of(&[("shadowExpire", "20635")]).ends, None, "it is over already");
    }

    #[test]
    fn passwords() {
        assert!(of(&[("pwdReset", "TRUE")]).must_change);
        assert!(!of(&[("pwdReset", "FALSE")]).must_change);
        assert!(of(&[("pwdLastSet", "0")]).must_change);
        assert!(!of(&[("pwdLastSet", "133000000000000000")]).must_change);
        assert!(!of(&[("pwdLastSet", "0"), ("userAccountControl", "66048")]).must_change);
        assert!(of(&[("userAccountControl", "8389120")]).password_expired);
    }

    #[test]
    fn when_a_password_was_changed() {
        let at = |text: &str| Some(text.parse::<DateTime<Utc>>().unwrap());
        assert_eq!(of(&[("pwdLastSet", "134273808010000000")]).password_changed, at("2026-07-01T12:00:01Z"));
        assert_eq!(of(&[("krbLastPwdChange", "20260701120001Z")]).password_changed, at("2026-07-01T12:00:01Z"));
        let both = of(&[("pwdChangedTime", "20260701120002Z"), ("krbLastPwdChange", "20260701120001Z")]);
        assert_eq!(both.password_changed, at("2026-07-01T12:00:02Z"));
        for nothing in [("pwdLastSet", "0"), ("pwdLastSet", "x"), ("pwdChangedTime", "soon")] {
            assert_eq!(of(&[nothing]).password_changed, None, "{nothing:?}");
        }
    }
}
