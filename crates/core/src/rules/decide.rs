//! From facts to a decision: every rule is looked at, the first that objects is the reason.

use super::expression::{Certainty, Truth, UnknownBecause};
use super::fold::lowercase;
use super::text::readable;
use super::{AccessRuling, Decision, Facts, FieldValue, FlagRuling, GroupExpression, Refused, RuleSet, Step, groups};
use crate::Reason;
use bindery_directory::{AccountState, Lock, Memberships, Person};
use serde_json::Value;
use std::collections::BTreeMap;

/// The flag without which nobody comes in.
const IS_ACTIVE: &str = "is_active";
/// Each implies the ones after it, under `cascade`.
const CASCADE: [&str; 3] = ["is_superuser", "is_staff", IS_ACTIVE];
/// The field that becomes the local name.
pub(super) const USERNAME: &str = "username";
/// Longer names do not fit the indexes of every store.
pub(super) const NAME_LIMIT: usize = 512;

/// Decides about one person. Account state comes first, then access, flags, groups, fields.
///
/// All of it is worked out whatever objects, so that `explain` can tell the whole story.
///
/// # Errors
///
/// The first objection, in that order. Unknown objects wherever it could admit somebody or take something away.
pub fn decide(rules: &RuleSet, facts: Facts<'_>) -> Result<Decision, Refused> {
    let mut objections = Objections::default();
    check_account(facts.account, &mut objections);
    let access = check_access(rules, facts.memberships, &mut objections);
    let flags = rule_flags(rules, facts.memberships, &mut objections);
    let granted = groups::granted(rules, facts.memberships, &mut objections);
    let mut fields = map_fields(rules, facts.person, &mut objections);
    let username = name(rules, &mut fields, facts.person, &mut objections);
    let path = place(rules, facts.person, &mut objections);
    let decision = Decision {
        username,
        fields,
        path,
        flags,
        groups: granted.grants,
        live_permission_groups: granted.live,
        access,
        account_ends: facts.account.ends,
        password_changed: facts.account.password_changed,
        unresolved: unresolved(rules, facts.memberships, granted.unusable),
    };
    objections.settle(decision)
}

/// What speaks against a person.
#[derive(Default)]
pub(super) struct Objections(Vec<(Step, Reason, String)>);

impl Objections {
    pub(super) fn raise(&mut self, step: Step, reason: Reason, detail: impl Into<String>) {
        self.0.push((step, reason, detail.into()));
    }

    fn settle(self, decision: Decision) -> Result<Decision, Refused> {
        let certain =
            self.0.iter().all(|(step, reason, _)| *step == Step::Active && *reason == Reason::AccountDisabled);
        match self.0.into_iter().next() {
            None => Ok(decision),
            Some((step, reason, detail)) => {
                Err(Refused { reason, step, detail, decision: Some(Box::new(decision)), certain })
            }
        }
    }
}

fn check_account(account: &AccountState, objections: &mut Objections) {
    let because = account.because.join("; ");
    let states = [
        (account.disabled, Reason::AccountDisabled, "the account is disabled in the directory"),
        (account.locked != Lock::No, Reason::AccountLocked, "the account is locked in the directory"),
        (account.expired, Reason::AccountExpired, "the account is past its end"),
        (account.password_expired || account.password_past, Reason::PasswordExpired, "the password is past its end"),
        (account.must_change, Reason::PasswordMustChange, "the password must be changed first"),
    ];
    for (_, reason, what) in states.into_iter().filter(|(holds, ..)| *holds) {
        let detail = if because.is_empty() { what.to_owned() } else { format!("{what} ({because})") };
        objections.raise(Step::Account, reason, detail);
    }
}

fn check_access(rules: &RuleSet, memberships: &Memberships, objections: &mut Objections) -> AccessRuling {
    let test =
        |expression: &Option<GroupExpression>| expression.as_ref().map(|expression| expression.test(memberships));
    let (require, deny) = (test(&rules.access.require), test(&rules.access.deny));
    let mut allowed = true;
    let mut object = |reason, what: &str, truth: &Truth| {
        allowed = false;
        objections.raise(Step::Access, reason, format!("{what}: {}", truth.reason()));
    };
    // A certain no comes before any doubt: all(no, unknown) is no.
    if let Some(truth) = require.as_ref().filter(|truth| truth.value == Certainty::No) {
        object(Reason::NotInRequiredGroup, "access.require says no", truth);
    }
    if let Some(truth) = deny.as_ref().filter(|truth| truth.value == Certainty::Yes) {
        object(Reason::InDeniedGroup, "access.deny says yes", truth);
    }
    for (what, truth) in [("access.require is unknown", &require), ("access.deny is unknown", &deny)] {
        if let Some(truth) = truth.as_ref().filter(|truth| matches!(truth.value, Certainty::Unknown(_))) {
            object(Reason::MembershipUnknown, what, truth);
        }
    }
    AccessRuling { allowed, require, deny }
}

fn rule_flags(rules: &RuleSet, memberships: &Memberships, objections: &mut Objections) -> BTreeMap<String, FlagRuling> {
    let truths = rules.flags.iter().map(|(name, expression)| (name, expression.test(memberships)));
    let truths: BTreeMap<&String, Truth> = truths.collect();
    let ruling = |(name, truth): (&&String, &Truth)| {
        ((*name).clone(), FlagRuling { value: truth.value == Certainty::Yes, because: truth.reason() })
    };
    let mut flags: BTreeMap<String, FlagRuling> = truths.iter().map(ruling).collect();
    if rules.cascade {
        cascade(&mut flags);
    }
    check_active(&flags, &truths, objections);
    for (name, truth) in truths {
        // A group that nobody can find grants nothing; a failed read may not take anything away.
        if name != IS_ACTIVE && truth.value == Certainty::Unknown(UnknownBecause::ReadFailed) {
            let detail = format!("the flag {name} is unknown: {}", truth.reason());
            objections.raise(Step::Flags, Reason::MembershipUnknown, detail);
        }
    }
    flags
}

fn check_active(flags: &BTreeMap<String, FlagRuling>, truths: &BTreeMap<&String, Truth>, objections: &mut Objections) {
    let Some((_, truth)) = truths.iter().find(|(name, _)| **name == IS_ACTIVE) else { return };
    if let Certainty::Unknown(_) = truth.value {
        let detail = format!("the flag is_active is unknown: {}", truth.reason());
        objections.raise(Step::Active, Reason::MembershipUnknown, detail);
    } else if flags.get(IS_ACTIVE).is_some_and(|flag| !flag.value) {
        let detail = format!("the flag is_active is false: {}", truth.reason());
        objections.raise(Step::Active, Reason::AccountDisabled, detail);
    }
}

/// A superuser is also staff, staff also active, as far as these flags are configured.
fn cascade(flags: &mut BTreeMap<String, FlagRuling>) {
    let mut higher: Option<&str> = None;
    for name in CASCADE {
        let Some(flag) = flags.get_mut(name) else { continue };
        match higher {
            Some(higher) if !flag.value => {
                *flag = FlagRuling { value: true, because: format!("follows from {higher}") }
            }
            _ => {}
        }
        if flag.value {
            higher = Some(name);
        }
    }
}

fn map_fields(rules: &RuleSet, person: &Person, objections: &mut Objections) -> BTreeMap<String, FieldValue> {
    let mut fields = BTreeMap::new();
    for (name, rule) in &rules.fields {
        match rule.value(&person.entry) {
            Ok(value) => {
                fields.insert(name.clone(), value);
            }
            Err(error) => {
                let detail = format!("the field {name} of {} cannot be made: {error}", person.dn);
                objections.raise(Step::Fields, Reason::MissingAttribute, detail);
            }
        }
    }
    fields
}

/// The local name. It comes from the entry, never from what was typed.
fn name(
    rules: &RuleSet,
    fields: &mut BTreeMap<String, FieldValue>,
    person: &Person,
    objections: &mut Objections,
) -> String {
    let Some(field) = fields.get_mut(USERNAME) else {
        if !rules.fields.contains_key(USERNAME) {
            let detail = "no rule says what the username is; set users.attributes.username";
            objections.raise(Step::Fields, Reason::MissingAttribute, detail);
        }
        return String::new();
    };
    let given = field.value.as_str().unwrap_or_default().trim();
    let name = if rules.lowercase_usernames { lowercase(given) } else { given.to_owned() };
    if let Some(fault) = unreadable(rules, person).or_else(|| fault(&name)) {
        let detail = format!("the username of {} {fault} ({})", person.dn, from(rules));
        objections.raise(Step::Fields, Reason::MissingAttribute, detail);
        return String::new();
    }
    field.value = Value::String(name.clone());
    name
}

/// Characters without a shape of their own: with them two names look the same, or read backwards.
fn is_invisible(c: char) -> bool {
    let ranges = ['\u{ad}'..='\u{ad}', '\u{200b}'..='\u{200b}', '\u{200e}'..='\u{200f}', '\u{202a}'..='\u{202e}'];
    let more = ['\u{2028}'..='\u{2029}', '\u{2060}'..='\u{206f}', '\u{feff}'..='\u{feff}'];
    ranges.iter().chain(&more).any(|range| range.contains(&c))
}

/// Bytes make a field, in base64, but no name.
fn unreadable(rules: &RuleSet, person: &Person) -> Option<&'static str> {
    let super::FieldSource::Attribute(attribute) = &rules.fields.get(USERNAME)?.source else { return None };
    let value = person.entry.first(attribute)?;
    readable(attribute, value).is_none().then_some("is no readable text")
}

/// What keeps a text from being a name.
pub(super) fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is absent")
    } else if name.chars().any(char::is_control) {
        Some("has a control character in it")
    } else if name.chars().any(is_invisible) {
        Some("has an invisible character in it")
    } else if name.len() > NAME_LIMIT {
        Some("is longer than 512 bytes")
    } else {
        None
    }
}

fn from(rules: &RuleSet) -> String {
    match rules.fields.get(USERNAME).map(|rule| &rule.source) {
        Some(super::FieldSource::Attribute(name)) => format!("users.attributes.username = {name}"),
        Some(super::FieldSource::Template(template)) => format!("users.attributes.username = {}", template.as_str()),
        None => "users.attributes.username".to_owned(),
    }
}

fn place(rules: &RuleSet, person: &Person, objections: &mut Objections) -> Option<String> {
    match rules.path.as_ref()?.render(&person.entry) {
        Ok(path) => Some(path).filter(|path| !path.is_empty()),
        Err(error) => {
            let detail = format!("users.path of {} cannot be made: {error}", person.dn);
            objections.raise(Step::Fields, Reason::MissingAttribute, detail);
            None
        }
    }
}

/// Every group in rules that can't be found, in words.
fn unresolved(rules: &RuleSet, memberships: &Memberships, unusable: Vec<String>) -> Vec<String> {
    let tests = rules.selectors().into_iter().map(|selector| GroupExpression::Group(selector).test(memberships));
    let mut sentences: Vec<String> = tests
        .filter(|truth| truth.value == Certainty::Unknown(UnknownBecause::NotFound))
        .flat_map(|truth| truth.because)
        .chain(unusable)
        .collect();
    sentences.sort_unstable();
    sentences.dedup();
    sentences
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
