//! What the answer to a person's bind says: tables, not branches.
//!
//! Only an answer that speaks of the credentials is ever "wrong". Whatever else a server says
//! (busy, a referral, an operations error) is a directory that could not answer.

use crate::{AccountState, Lock, PasswordCheck, Refusal, account};
use bindery_ldap::control::{self, PasswordPolicyError, PasswordPolicyResponse};
use bindery_ldap::{Control, Entry, LdapResult, ResultCode};

/// Why, and whether the answer comes only after the right password.
type Refused = (Refusal, bool);

/// Active Directory's sub-codes, `data XXX` in the text of result 49. 52e (wrong), 525 (nobody) are not
/// here: they are plain "wrong". 775 can come without the right password.
const AD_SUB_CODES: &[(&str, Refused)] = &[
    ("530", (Refusal::SignInHours, true)),
    ("531", (Refusal::WorkstationNotAllowed, true)),
    ("532", (Refusal::PasswordExpired, true)),
    ("533", (Refusal::AccountDisabled, true)),
    ("701", (Refusal::AccountExpired, true)),
    ("773", (Refusal::PasswordMustChange, true)),
    ("775", (Refusal::AccountLocked, false)),
];

/// The password policy's own errors. Servers look at the lock before the password, and at its age only
/// after it (slapd's ppolicy, 389-DS).
const POLICY_ERRORS: &[(PasswordPolicyError, Refused)] = &[
    (PasswordPolicyError::AccountLocked, (Refusal::AccountLocked, false)),
    (PasswordPolicyError::PasswordExpired, (Refusal::PasswordExpired, true)),
    (PasswordPolicyError::ChangeAfterReset, (Refusal::PasswordMustChange, true)),
];

/// What 389-DS and FreeIPA say in words, whatever the password (result 53, and 19 for the lock).
const WORDS: &[(ResultCode, &str, Refusal)] = &[
    (ResultCode::UNWILLING_TO_PERFORM, "inactivated", Refusal::AccountDisabled),
    (ResultCode::UNWILLING_TO_PERFORM, "is expired", Refusal::AccountExpired),
    (ResultCode::CONSTRAINT_VIOLATION, "retry limit", Refusal::AccountLocked),
];

/// The answers that mean "not with these credentials": the last three are those of servers that tell
/// apart what others call invalid credentials (no such entry, no password stored, no such name).
const WRONG: &[ResultCode] = &[
    ResultCode::INVALID_CREDENTIALS,
    ResultCode::NO_SUCH_OBJECT,
    ResultCode::INAPPROPRIATE_AUTHENTICATION,
    ResultCode::INVALID_DN_SYNTAX,
];

/// Reads the answer to a bind. `entry` is the person's, where it was read before. `None`: the answer
/// says nothing about the password.
pub(crate) fn read(result: &LdapResult, controls: &[Control], entry: Option<&Entry>) -> Option<PasswordCheck> {
    // A control that cannot be read changes nothing about the answer it came with.
    let policy = control::find::<PasswordPolicyResponse>(controls).ok().flatten().unwrap_or_default();
    if result.code == ResultCode::SUCCESS {
        return Some(accepted(policy));
    }
    // 389-DS calls a disabled account locked in the control, and tells the two apart in words.
    if let Some((_, _, refusal)) =
        WORDS.iter().find(|(code, words, _)| *code == result.code && result.message.contains(words))
    {
        return Some(refuse((*refusal, false)));
    }
    if result.code == ResultCode::UNWILLING_TO_PERFORM && entry.is_some_and(account::is_disabled) {
        return Some(refuse((Refusal::AccountDisabled, false)));
    }
    if let Some(refused) = policy.error.and_then(|error| row(POLICY_ERRORS, &error)) {
        return Some(refuse(refused));
    }
    if result.code == ResultCode::INVALID_CREDENTIALS
        && let Some(refused) = sub_code(&result.message).and_then(|code| row(AD_SUB_CODES, &code))
    {
        return Some(refuse(refused));
    }
    WRONG.contains(&result.code).then_some(PasswordCheck::Wrong)
}

fn accepted(policy: PasswordPolicyResponse) -> PasswordCheck {
    let mut state = AccountState { locked: Lock::No, ..AccountState::default() };
    if policy.error == Some(PasswordPolicyError::ChangeAfterReset) {
        state.must_change = true;
        state.because.push("the password policy asks for a new password (changeAfterReset)".to_owned());
    }
    PasswordCheck::Accepted(state)
}

fn refuse((refusal, password_was_right): Refused) -> PasswordCheck {
    PasswordCheck::Refused { refusal, password_was_right }
}

fn row<K: PartialEq>(table: &[(K, Refused)], key: &K) -> Option<Refused> {
    table.iter().find(|(one, _)| one == key).map(|(_, refused)| *refused)
}

/// `533` of `80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data 533, v2580`.
fn sub_code(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once(", data ")?;
    let code = rest.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    (!code.is_empty()).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bindery_ldap::Attribute;

    fn answer(code: u32, message: &str) -> LdapResult {
        LdapResult { code: ResultCode(code), matched_dn: String::new(), message: message.to_owned(), referrals: vec![] }
    }

    /// The response control with just an error: `SEQUENCE { [1] ENUMERATED }`.
    fn policy(error: u8) -> Vec<Control> {
        let value = Some(vec![0x30, 0x03, 0x81, 0x01, error].into());
        vec![Control { oid: "1.3.6.1.4.1.42.2.27.8.5.1".to_owned(), critical: false, value }]
    }

    fn refused(refusal: Refusal, password_was_right: bool) -> PasswordCheck {
        PasswordCheck::Refused { refusal, password_was_right }
    }

    #[test]
    fn success_is_success() {
        assert_eq!(read(&answer(0, ""), &[], None), Some(PasswordCheck::Accepted(AccountState::default())));
    }

    #[test]
    fn the_policy_may_ask_for_a_new_password() {
        let Some(PasswordCheck::Accepted(state)) = read(&answer(0, ""), &policy(2), None) else { panic!() };
        assert!(state.must_change);
    }

    #[test]
    fn the_policy_names_locks_and_old_passwords() {
        assert_eq!(read(&answer(49, ""), &policy(1), None), Some(refused(Refusal::AccountLocked, false)));
        assert_eq!(read(&answer(49, ""), &policy(0), None), Some(refused(Refusal::PasswordExpired, true)));
        assert_eq!(read(&answer(19, "x"), &policy(1), None), Some(refused(Refusal::AccountLocked, false)));
    }

    #[test]
    fn sub_codes_of_active_directory() {
        let text = |code: &str| {
            format!("80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data {code}, v2580\0")
        };
        for (code, refusal, proves) in [
            ("530", Refusal::SignInHours, true),
            ("531", Refusal::WorkstationNotAllowed, true),
            ("532", Refusal::PasswordExpired, true),
            ("533", Refusal::AccountDisabled, true),
            ("701", Refusal::AccountExpired, true),
            ("773", Refusal::PasswordMustChange, true),
            ("775", Refusal::AccountLocked, false),
        ] {
            assert_eq!(read(&answer(49, &text(code)), &[], None), Some(refused(refusal, proves)), "{code}");
        }
        for code in ["52e", "525", "5330", "", "zzz"] {
            assert_eq!(read(&answer(49, &text(code)), &[], None), Some(PasswordCheck::Wrong), "{code}");
        }
        assert_eq!(read(&answer(1, &text("533")), &[], None), None, "only result 49 has sub-codes");
    }

    #[test]
    fn a_disabled_account_at_389ds() {
        let words = answer(53, "Account inactivated. Contact system administrator.");
        assert_eq!(read(&words, &[], None), Some(refused(Refusal::AccountDisabled, false)));
        assert_eq!(
            read(&words, &policy(1), None),
            Some(refused(Refusal::AccountDisabled, false)),
            "as it really comes"
        );
        let locked =
            Entry::new("uid=ann", vec![Attribute { name: "nsAccountLock".into(), values: vec![b"TRUE".to_vec()] }]);
        assert_eq!(read(&answer(53, ""), &[], Some(&locked)), Some(refused(Refusal::AccountDisabled, false)));
        assert_eq!(read(&answer(53, ""), &[], None), None);
    }

    #[test]
    fn what_says_nothing_of_the_password_is_no_answer() {
        for code in [1, 2, 3, 7, 8, 10, 11, 13, 14, 50, 51, 52, 53, 80, 9999] {
            assert_eq!(read(&answer(code, "data 533"), &[], None), None, "{code}");
        }
        for code in [32, 34, 48, 49] {
            assert_eq!(read(&answer(code, ""), &[], None), Some(PasswordCheck::Wrong), "{code}");
        }
    }

    #[test]
    fn a_broken_control_changes_nothing() {
        let broken = vec![Control {
            oid: "1.3.6.1.4.1.42.2.27.8.5.1".to_owned(),
            critical: false,
            value: Some(vec![0x30, 0x84, 0xff].into()),
        }];
        assert_eq!(read(&answer(49, ""), &broken, None), Some(PasswordCheck::Wrong));
    }
}
