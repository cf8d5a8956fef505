use super::super::testing::{dn, group, group_dn, memberships, named, selector};
use super::*;
use Certainty::{No, Unknown, Yes};
use GroupExpression as E;
use UnknownBecause::{NotFound, ReadFailed};
use proptest::prelude::*;

const LOST: Certainty = Unknown(NotFound);
const FAILED: Certainty = Unknown(ReadFailed);

/// Somebody for whom `yes`, `no`, `lost` and `failed` have these values.
fn everybody() -> Memberships {
    memberships(&["yes"], &["no"], &["lost"], &["failed"])
}

fn value(expression: &E) -> Certainty {
    expression.test(&everybody()).value
}

fn all_of(names: &[&str]) -> E {
    E::All(names.iter().map(|name| named(name)).collect())
}

fn any_of(names: &[&str]) -> E {
    E::Any(names.iter().map(|name| named(name)).collect())
}

#[test]
fn the_truth_table() {
    let table: &[(&[&str], Certainty, Certainty)] = &[
        (&["yes", "no"], Yes, No),
        (&["yes", "lost"], Yes, LOST),
        (&["yes", "failed"], Yes, FAILED),
        (&["no", "lost"], LOST, No),
        (&["no", "failed"], FAILED, No),
        (&["lost", "failed"], FAILED, FAILED),
        (&["lost", "lost"], LOST, LOST),
        (&["yes", "no", "lost", "failed"], Yes, No),
        (&["yes"], Yes, Yes),
        (&["no"], No, No),
        (&["lost"], LOST, LOST),
        (&["failed"], FAILED, FAILED),
        (&[], No, Yes),
    ];
    for (names, any, all) in table {
        assert_eq!(value(&any_of(names)), *any, "any of {names:?}");
        assert_eq!(value(&all_of(names)), *all, "all of {names:?}");
    }
    for (name, not) in [("yes", No), ("no", Yes), ("lost", LOST), ("failed", FAILED)] {
        assert_eq!(value(&E::Not(Box::new(named(name)))), not, "not {name}");
    }
}

#[test]
fn names_compare_whole_and_without_regard_to_case() {
    let mut member = memberships(&["Domain Admins"], &[], &[], &[]);
    member.known.clear();
    assert_eq!(named("DOMAIN admins").test(&member).value, Yes);
    for other in ["Domain", "Admins", "Former Domain Admins (archived)", "Domain  Admins", "Domain Admins "] {
        assert_ne!(named(other).test(&member).value, Yes, "{other}");
    }
    let umlaut = memberships(&["STRASSE"], &[], &[], &[]);
    assert_eq!(named("Straße").test(&umlaut).value, Yes);
}

#[test]
fn a_name_is_compared_with_every_value() {
    let mut member = memberships(&["staff"], &[], &[], &[]);
    member.groups[0].names = vec!["staff".to_owned(), "All Staff".to_owned()];
    assert_eq!(named("all staff").test(&member).value, Yes);
}

#[test]
fn a_name_stands_for_every_group_that_bears_it() {
    let mut one = group("staff");
    one.dn = dn("cn=staff,ou=elsewhere,dc=example");
    let member = Memberships { groups: vec![one], ..memberships(&[], &["staff"], &[], &[]) };
    assert_eq!(named("Staff").test(&member).value, Yes);
    assert_eq!(E::Group(GroupSelector::Dn(group_dn("staff"))).test(&member).value, FAILED, "not looked up");
}

#[test]
fn a_dn_compares_by_what_it_means() {
    let member = memberships(&["staff"], &[], &[], &[]);
    for spelling in ["CN=Staff, OU=Groups, DC=Example", r"cn=\73taff,ou=groups,dc=example"] {
        assert_eq!(E::Group(GroupSelector::Dn(dn(spelling))).test(&member).value, Yes, "{spelling}");
    }
    let mut member = member;
    let other = GroupSelector::Dn(dn("cn=staff,ou=others,dc=example"));
    member.known.insert(GroupSelector::Dn(dn("CN=staff,OU=others,DC=example")), Known::Found);
    assert_eq!(E::Group(other).test(&member).value, No);
}

#[test]
fn a_list_cut_short_leaves_only_what_was_seen() {
    let member = Memberships { incomplete: Some("size limit".to_owned()), ..everybody() };
    assert_eq!(named("yes").test(&member).value, Yes);
    for name in ["no", "lost", "failed", "never heard of"] {
        let truth = named(name).test(&member);
        assert_eq!(truth.value, FAILED, "{name}");
        assert!(truth.reason().contains("size limit"), "{}", truth.reason());
    }
}

#[test]
fn a_group_that_was_not_looked_up_is_no_no() {
    assert_eq!(value(&named("never heard of")), FAILED);
}

#[test]
fn what_is_known_is_found_under_any_spelling() {
    assert_eq!(value(&named("NO")), No);
    assert_eq!(value(&named("Lost")), LOST);
}

#[test]
fn every_value_says_why() {
    let member = {
        let mut member = everybody();
        member.groups[0].direct = false;
        member.groups[0].path = vec![group_dn("inner"), group_dn("yes")];
        member
    };
    let because = |expression: E| expression.test(&member).because;
    assert_eq!(
        because(named("yes")),
        ["member of cn=yes,ou=groups,dc=example by way of cn=inner,ou=groups,dc=example"]
    );
    assert_eq!(because(named("no")), [r#"not a member of group named "no""#]);
    assert_eq!(because(named("lost")), [r#"no group named "lost" can be found"#]);
    assert_eq!(because(named("failed")), [r#"group named "failed" could not be read: timed out"#]);
    // Only what the value rests on.
    assert_eq!(because(all_of(&["yes", "no", "lost"])), [r#"not a member of group named "no""#]);
    assert_eq!(because(any_of(&["no", "lost"])), [r#"no group named "lost" can be found"#]);
}

#[test]
fn every_group_that_is_named_is_listed() {
    let expression = E::All(vec![named("a"), E::Not(Box::new(any_of(&["b", "c"])))]);
    assert_eq!(expression.selectors(), [&selector("a"), &selector("b"), &selector("c")]);
}

fn expressions() -> impl Strategy<Value = E> {
    let leaf = prop::sample::select(vec!["yes", "no", "lost", "failed", "unheard"]).prop_map(named);
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(E::Any),
            prop::collection::vec(inner.clone(), 0..4).prop_map(E::All),
            inner.prop_map(|part| E::Not(Box::new(part))),
        ]
    })
}

fn not(expression: E) -> E {
    E::Not(Box::new(expression))
}

proptest! {
    #[test]
    fn de_morgan(parts in prop::collection::vec(expressions(), 0..4)) {
        let negated: Vec<E> = parts.iter().cloned().map(not).collect();
        prop_assert_eq!(value(&not(E::Any(parts.clone()))), value(&E::All(negated.clone())));
        prop_assert_eq!(value(&not(E::All(parts))), value(&E::Any(negated)));
    }

    #[test]
    fn not_not_is_nothing(expression in expressions()) {
        prop_assert_eq!(value(&not(not(expression.clone()))), value(&expression));
    }

    #[test]
    fn order_does_not_count(parts in prop::collection::vec(expressions(), 0..5), turn in 0_usize..5) {
        let mut turned = parts.clone();
        turned.reverse();
        if !turned.is_empty() {
            let by = turn % turned.len();
            turned.rotate_left(by);
        }
        prop_assert_eq!(value(&E::Any(parts.clone())), value(&E::Any(turned.clone())));
        prop_assert_eq!(value(&E::All(parts)), value(&E::All(turned)));
    }

    /// Whatever the unknown groups turn out to be, a certain answer stays what it was.
    #[test]
    fn certainty_survives_every_answer(expression in expressions(), answers in prop::collection::vec(any::<bool>(), 3)) {
        let before = value(&expression);
        let unknown = ["lost", "failed", "unheard"];
        let pick = |wanted: bool| -> Vec<&str> {
            unknown.iter().zip(&answers).filter(|(_, answer)| **answer == wanted).map(|(name, _)| *name).collect()
        };
        let (mut yes, mut no) = (pick(true), pick(false));
        yes.push("yes");
        no.push("no");
        let after = expression.test(&memberships(&yes, &no, &[], &[])).value;
        prop_assert!(after == Yes || after == No);
        if before == Yes || before == No {
            prop_assert_eq!(before, after);
        }
    }

    #[test]
    fn every_value_has_a_reason(expression in expressions()) {
        prop_assert!(!expression.test(&everybody()).because.is_empty());
    }
}
