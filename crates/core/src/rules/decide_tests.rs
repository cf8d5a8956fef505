use super::super::testing::{ann, group, memberships, named, rules, template};
use super::super::{Access, Certainty, FieldRule, Mirror, Permissions, Template};
use super::*;
use bindery_directory::{Group, Known};
use serde_json::json;

fn decide_on(rules: &RuleSet, memberships: &Memberships) -> Result<Decision, Refused> {
    decide_about(rules, &ann(&[]), memberships)
}

fn decide_about(rules: &RuleSet, person: &Person, memberships: &Memberships) -> Result<Decision, Refused> {
    decide(rules, Facts { person, memberships, account: &AccountState::default() })
}

/// A member of `yes`, not of `no`; `lost` can't be found and `failed` could not be read.
fn everybody() -> Memberships {
    memberships(&["yes"], &["no"], &["lost"], &["failed"])
}

fn with_flags(flags: &[(&str, &str)]) -> RuleSet {
    let flags = flags.iter().map(|(flag, group)| ((*flag).to_owned(), named(group)));
    RuleSet { flags: flags.collect(), ..rules() }
}

fn reason(result: Result<Decision, Refused>) -> Option<(Step, Reason)> {
    result.err().map(|refused| (refused.step, refused.reason))
}

fn granted(result: Result<Decision, Refused>) -> Vec<String> {
    result.unwrap().groups.into_iter().map(|grant| grant.name).collect()
}

#[test]
fn without_rules_everybody_comes_in_and_nothing_is_touched() {
    let decision = decide_on(&rules(), &Memberships::default()).unwrap();
    assert_eq!(decision.username, "ann");
    assert!(decision.flags.is_empty() && decision.groups.is_empty() && decision.access.allowed);
}

#[test]
fn account_state_comes_first() {
    let state = AccountState::default;
    let table = [
        (AccountState { disabled: true, ..state() }, Reason::AccountDisabled),
        (AccountState { locked: Lock::Temporary, ..state() }, Reason::AccountLocked),
        (AccountState { locked: Lock::Administrator, ..state() }, Reason::AccountLocked),
        (AccountState { expired: true, ..state() }, Reason::AccountExpired),
        (AccountState { password_expired: true, ..state() }, Reason::PasswordExpired),
        (AccountState { password_past: true, ..state() }, Reason::PasswordExpired),
        (AccountState { must_change: true, ..state() }, Reason::PasswordMustChange),
        (AccountState { must_change: true, disabled: true, expired: true, ..state() }, Reason::AccountDisabled),
    ];
    let rules = RuleSet { access: Access { require: Some(named("no")), deny: None }, ..rules() };
    for (account, expected) in table {
        let facts = Facts { person: &ann(&[]), memberships: &everybody(), account: &account };
        let refused = decide(&rules, facts).unwrap_err();
        assert_eq!((refused.step, refused.reason), (Step::Account, expected), "{account:?}");
        assert!(refused.writable().is_none());
        assert_eq!(refused.decision.unwrap().username, "ann", "explain still gets the rest");
    }
}

#[test]
fn what_the_directory_said_is_in_the_detail() {
    let account =
        AccountState { disabled: true, because: vec!["nsAccountLock is true".into()], ..AccountState::default() };
    let facts = Facts { person: &ann(&[]), memberships: &everybody(), account: &account };
    assert!(decide(&rules(), facts).unwrap_err().detail.contains("nsAccountLock is true"));
}

#[test]
fn access() {
    let unknown = Some(Reason::MembershipUnknown);
    let table = [
        (Some("yes"), None, None),
        (Some("no"), None, Some(Reason::NotInRequiredGroup)),
        (Some("lost"), None, unknown),
        (Some("failed"), None, unknown),
        (None, Some("yes"), Some(Reason::InDeniedGroup)),
        (None, Some("no"), None),
        (None, Some("lost"), unknown),
        (None, Some("failed"), unknown),
        (Some("yes"), Some("yes"), Some(Reason::InDeniedGroup)),
        (Some("no"), Some("yes"), Some(Reason::NotInRequiredGroup)),
    ];
    for (require, deny, expected) in table {
        let access = Access { require: require.map(named), deny: deny.map(named) };
        let result = decide_on(&RuleSet { access, ..rules() }, &everybody());
        if let Err(refused) = &result {
            let ruling = &refused.decision.as_ref().unwrap().access;
            assert!(!ruling.allowed, "{require:?} {deny:?}");
            assert!(refused.writable().is_none());
        }
        assert_eq!(reason(result), expected.map(|reason| (Step::Access, reason)), "{require:?} {deny:?}");
    }
}

#[test]
fn a_refusal_names_the_group() {
    let access = Access { require: Some(named("lost")), deny: None };
    let refused = decide_on(&RuleSet { access, ..rules() }, &everybody()).unwrap_err();
    assert_eq!(refused.detail, r#"access.require is unknown: no group named "lost" can be found"#);
    assert_eq!(refused.decision.unwrap().unresolved, [r#"no group named "lost" can be found"#]);
}

#[test]
fn is_active() {
    let unknown = Some((Step::Active, Reason::MembershipUnknown));
    for (group, expected) in
        [("yes", None), ("no", Some((Step::Active, Reason::AccountDisabled))), ("lost", unknown), ("failed", unknown)]
    {
        assert_eq!(reason(decide_on(&with_flags(&[("is_active", group)]), &everybody())), expected, "{group}");
    }
}

#[test]
fn only_a_certain_inactivity_is_written() {
    let refused = decide_on(&with_flags(&[("is_active", "no"), ("other", "yes")]), &everybody()).unwrap_err();
    let decision = refused.writable().unwrap();
    assert!(!decision.flags["is_active"].value && decision.flags["other"].value);

    for (flag, group) in [("is_active", "lost"), ("is_active", "failed"), ("other", "failed")] {
        let mut rules = with_flags(&[("is_active", "no")]);
        rules.flags.insert(flag.to_owned(), named(group));
        assert!(decide_on(&rules, &everybody()).unwrap_err().writable().is_none(), "{flag} {group}");
    }
    let access = Access { require: Some(named("lost")), deny: None };
    let rules = RuleSet { access, ..with_flags(&[("is_active", "no")]) };
    assert!(decide_on(&rules, &everybody()).unwrap_err().writable().is_none());
}

#[test]
fn other_flags() {
    let decision = decide_on(&with_flags(&[("a", "yes"), ("b", "no"), ("c", "lost")]), &everybody()).unwrap();
    let values: Vec<bool> = decision.flags.values().map(|flag| flag.value).collect();
    assert_eq!(values, [true, false, false]);
    assert_eq!(decision.unresolved, [r#"no group named "lost" can be found"#]);
    let refused = decide_on(&with_flags(&[("a", "failed")]), &everybody());
    assert_eq!(reason(refused), Some((Step::Flags, Reason::MembershipUnknown)));
}

#[test]
fn cascade_stays_among_the_configured_flags() {
    let flags = |rules: &RuleSet| -> Vec<(String, bool)> {
        let decision = match decide_on(rules, &everybody()) {
            Ok(decision) => decision,
            Err(refused) => *refused.decision.unwrap(),
        };
        decision.flags.into_iter().map(|(name, flag)| (name, flag.value)).collect()
    };
    let all = with_flags(&[("is_superuser", "yes"), ("is_staff", "no"), ("is_active", "no")]);
    let given = |names: &[(&str, bool)]| names.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect::<Vec<_>>();
    assert_eq!(flags(&all), given(&[("is_active", true), ("is_staff", true), ("is_superuser", true)]));
    assert!(decide_on(&all, &everybody()).is_ok());
    let off = RuleSet { cascade: false, ..all };
    assert_eq!(flags(&off), given(&[("is_active", false), ("is_staff", false), ("is_superuser", true)]));
    assert_eq!(flags(&with_flags(&[("is_superuser", "yes")])), given(&[("is_superuser", true)]));
    let gap = with_flags(&[("is_superuser", "yes"), ("is_active", "no")]);
    assert_eq!(flags(&gap), given(&[("is_active", true), ("is_superuser", true)]));
    let lost = with_flags(&[("is_superuser", "lost"), ("is_staff", "no"), ("other", "no")]);
    assert_eq!(flags(&lost), given(&[("is_staff", false), ("is_superuser", false), ("other", false)]));
}

#[test]
fn cascade_does_not_make_an_unknown_is_active_known() {
    let result = decide_on(&with_flags(&[("is_staff", "yes"), ("is_active", "lost")]), &everybody());
    assert_eq!(reason(result), Some((Step::Active, Reason::MembershipUnknown)));
}

#[test]
fn mapped_groups() {
    let map = |pairs: &[(&str, &str)]| RuleSet {
        group_map: pairs.iter().map(|(local, group)| ((*local).to_owned(), named(group))).collect(),
        ..rules()
    };
    assert_eq!(granted(decide_on(&map(&[("A", "yes"), ("B", "no"), ("C", "lost")]), &everybody())), ["A"]);
    let refused = decide_on(&map(&[("A", "failed")]), &everybody());
    assert_eq!(reason(refused), Some((Step::Groups, Reason::MembershipUnknown)));
}

fn mirroring(mirror: Mirror) -> RuleSet {
    RuleSet { mirror, ..rules() }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn mirrored_groups() {
    let member = memberships(&["Editors", "Press"], &[], &[], &[]);
    let table = [
        (Mirror::Off, vec![]),
        (Mirror::All, vec!["Editors", "Press"]),
        (Mirror::Only(names(&["EDITORS"])), vec!["Editors"]),
        (Mirror::Only(names(&["Edit"])), vec![]),
        (Mirror::Only(vec![]), vec![]),
        (Mirror::Except(names(&["press"])), vec!["Editors"]),
        (Mirror::Except(vec![]), vec!["Editors", "Press"]),
    ];
    for (mirror, expected) in table {
        assert_eq!(granted(decide_on(&mirroring(mirror.clone()), &member)), expected, "{mirror:?}");
    }
}

#[test]
fn a_mirror_cut_short_takes_nothing_away() {
    let cut = Memberships { incomplete: Some("size limit".into()), ..memberships(&["Editors"], &[], &[], &[]) };
    let unknown = Some((Step::Groups, Reason::MembershipUnknown));
    for mirror in [Mirror::All, Mirror::Only(names(&["Editors"])), Mirror::Except(vec![])] {
        assert_eq!(reason(decide_on(&mirroring(mirror), &cut)), unknown);
    }
    let live = RuleSet { permissions: Permissions::Live, ..rules() };
    assert_eq!(reason(decide_on(&live, &cut)), unknown);
    assert_eq!(reason(decide_on(&rules(), &cut)), None, "nothing rests on the groups");
}

#[test]
fn a_listed_group_that_cannot_be_found_or_read() {
    let only = mirroring(Mirror::Only(names(&["lost", "yes"])));
    let decision = decide_on(&only, &everybody()).unwrap();
    assert_eq!(decision.unresolved, [r#"no group named "lost" can be found"#]);
    assert_eq!(decision.groups.len(), 1);
    let failed = decide_on(&mirroring(Mirror::Only(names(&["failed"]))), &everybody());
    assert_eq!(reason(failed), Some((Step::Groups, Reason::MembershipUnknown)));
}

fn twins() -> Vec<Group> {
    let twin = |ou: &str, name: &str| Group {
        dn: bindery_directory::Dn::parse(&format!("cn=staff,ou={ou},dc=example")).unwrap(),
        names: vec![name.to_owned()],
        unique_id: Some(format!("entry-{ou}")),
        ..group("staff")
    };
    vec![twin("b", "STAFF"), twin("a", "Staff")]
}

#[test]
fn two_groups_of_one_name_are_one_and_order_does_not_count() {
    let mut member = Memberships { groups: twins(), ..Memberships::default() };
    let rules = RuleSet { permissions: Permissions::Live, ..mirroring(Mirror::All) };
    let one = decide_on(&rules, &member).unwrap();
    assert_eq!(one.groups.len(), 1);
    assert_eq!(one.groups[0].name, "Staff");
    assert_eq!(one.live_permission_groups, ["Staff"]);
    member.groups.reverse();
    assert_eq!(decide_on(&rules, &member).unwrap(), one);
}

#[test]
fn mapped_and_mirrored_under_one_name_is_one() {
    let rules = RuleSet { group_map: [("editors".to_owned(), named("Editors"))].into(), ..mirroring(Mirror::All) };
    let decision = decide_on(&rules, &memberships(&["Editors"], &[], &[], &[])).unwrap();
    assert_eq!(decision.groups.len(), 1);
    assert_eq!(decision.groups[0].name, "editors");
    assert!(decision.groups[0].because.contains("mirrors"));
    assert_eq!(decision.groups[0].mirrored_from.as_ref().unwrap().0.as_deref(), Some("entry-Editors"));
}

#[test]
fn a_group_without_a_usable_name_is_told_and_not_mirrored() {
    let long = "x".repeat(NAME_LIMIT + 1);
    for bad in ["", "  ", "a\0b", "a\nb", &long] {
        let mut member = memberships(&["ok", "bad"], &[], &[], &[]);
        member.groups[1].names = vec![bad.to_owned()];
        let decision = decide_on(&mirroring(Mirror::All), &member).unwrap();
        assert_eq!(decision.groups.len(), 1, "{bad:?}");
        assert_eq!(decision.unresolved.len(), 1, "{bad:?}");
    }
}

#[test]
fn live_permissions_are_off_unless_asked_for() {
    assert!(decide_on(&rules(), &everybody()).unwrap().live_permission_groups.is_empty());
    let live = RuleSet { permissions: Permissions::Live, ..rules() };
    let decision = decide_on(&live, &everybody()).unwrap();
    assert_eq!(decision.live_permission_groups, ["yes"]);
    assert!(decision.groups.is_empty(), "no row is written");
}

#[test]
fn the_username_comes_from_the_entry() {
    let person = |uid: &str| Person { entry: super::super::testing::entry(&[("uid", uid)]), ..ann(&[]) };
    let name =
        |rules: &RuleSet, uid: &str| decide_about(rules, &person(uid), &Memberships::default()).map(|d| d.username);
    let as_is = RuleSet { lowercase_usernames: false, ..rules() };
    assert_eq!(name(&rules(), " ÉVA ").unwrap(), "éva");
    assert_eq!(name(&as_is, "Éva").unwrap(), "Éva");
    let long = "x".repeat(NAME_LIMIT + 1);
    for bad in ["", "   ", "a\0b", "a\nb", "a\u{7f}b", "ann\u{200b}", "ann\u{202e}", &long] {
        let refused = name(&as_is, bad).unwrap_err();
        assert_eq!((refused.step, refused.reason), (Step::Fields, Reason::MissingAttribute), "{bad:?}");
    }
}

#[test]
fn a_username_that_is_missing_is_named() {
    let person = Person { entry: bindery_directory::Entry::default(), ..ann(&[]) };
    let refused = decide_about(&rules(), &person, &Memberships::default()).unwrap_err();
    assert_eq!((refused.step, refused.reason), (Step::Fields, Reason::MissingAttribute));
    assert!(refused.detail.contains("users.attributes.username = uid"), "{}", refused.detail);
    let none = RuleSet { fields: BTreeMap::new(), ..rules() };
    assert_eq!(reason(decide_on(&none, &Memberships::default())), Some((Step::Fields, Reason::MissingAttribute)));
}

#[test]
fn fields_have_values_and_places_they_come_from() {
    let mut rules = rules();
    rules.fields.insert("email".into(), FieldRule::attribute("mail"));
    rules.fields.insert("display_name".into(), template("{{ displayName or cn }}"));
    rules.fields.insert("title".into(), FieldRule::attribute("title"));
    rules.path = Some(Template::parse("corp/{{ department }}").unwrap());
    let decision = decide_about(&rules, &ann(&[("mail", "a@x"), ("cn", "Ann")]), &Memberships::default()).unwrap();
    let fields: Vec<_> = decision.fields.iter().map(|(n, f)| (n.as_str(), &f.value, f.from.as_str())).collect();
    assert_eq!(
        fields,
        [
            ("display_name", &json!("Ann"), "template {{ displayName or cn }}"),
            ("email", &json!("a@x"), "mail"),
            ("title", &Value::Null, "title"),
            ("username", &json!("ann"), "uid"),
        ]
    );
    assert_eq!(decision.path.as_deref(), Some("corp/"));
}

#[test]
fn a_field_that_cannot_be_made_is_named_and_the_rest_is_told() {
    let mut rules = rules();
    rules.fields.insert("nick".into(), template("{% if cn %}{{ cn + 1 }}{% endif %}"));
    let refused = decide_about(&rules, &ann(&[("cn", "Ann")]), &Memberships::default()).unwrap_err();
    assert_eq!((refused.step, refused.reason), (Step::Fields, Reason::MissingAttribute));
    assert!(refused.detail.contains("nick") && refused.detail.contains("uid=ann"), "{}", refused.detail);
    assert_eq!(refused.decision.unwrap().username, "ann");
    assert!(decide_about(&rules, &ann(&[]), &Memberships::default()).is_ok(), "one bad entry fails alone");
    rules.fields.remove("nick");
    rules.path = Some(Template::parse("{% if cn %}{{ cn + 1 }}{% endif %}").unwrap());
    assert!(decide_about(&rules, &ann(&[("cn", "Ann")]), &Memberships::default()).is_err());
}

#[test]
fn rules_know_what_they_need() {
    let mut rules = with_flags(&[("a", "one"), ("b", "two")]);
    rules.access = Access { require: Some(named("two")), deny: Some(named("three")) };
    rules.group_map.insert("X".into(), named("four"));
    rules.mirror = Mirror::Only(names(&["five"]));
    let expected: Vec<_> = ["five", "four", "one", "three", "two"].map(super::super::testing::selector).into();
    assert_eq!(rules.selectors(), expected);

    rules.fields.insert("a".into(), FieldRule::attribute("MAIL"));
    rules.fields.insert("b".into(), template("{{ mail }}{{ sn }}"));
    rules.path = Some(Template::parse("{{ ou }}").unwrap());
    assert_eq!(rules.wanted().0, ["MAIL", "sn", "uid", "ou"]);
}

#[test]
fn what_was_looked_up_is_what_counts() {
    let mut member = everybody();
    member.known.insert(super::super::testing::selector("no"), Known::NotFound);
    let access = Access { require: None, deny: Some(named("no")) };
    let result = decide_on(&RuleSet { access, ..rules() }, &member);
    let ruling = result.unwrap_err().decision.unwrap().access.deny.unwrap();
    assert_eq!(ruling.value, Certainty::Unknown(UnknownBecause::NotFound));
}
