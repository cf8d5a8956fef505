//! The fingerprint, and rules and reconcile together.

use super::*;

#[test]
fn a_fingerprint_is_of_the_content_and_not_of_its_reasons() {
    let base = Decision { path: Some("p".into()), ..with_groups(&[mirrored("A", "a"), mapped("B")]) };
    let print = |decision: &Decision| fingerprint(&ann(&[]), decision);
    let mut same = base.clone();
    same.groups.reverse();
    same.groups[0].because = "another reason".into();
    same.unresolved.push("a group".into());
    assert_eq!(print(&same), print(&base));
    let others = [
        Decision { username: "b".into(), ..base.clone() },
        Decision { path: None, ..base.clone() },
        Decision { groups: vec![], ..base.clone() },
        Decision { fields: with_fields(&[("email", json!("a@x"))]).fields, ..base.clone() },
        Decision { flags: with_flags(&[("a", true)]).flags, ..base.clone() },
        Decision { flags: with_flags(&[("a", false)]).flags, ..base.clone() },
        Decision { live_permission_groups: vec!["A".into()], ..base.clone() },
    ];
    for other in &others {
        assert_ne!(print(other), print(&base), "{other:?}");
    }
    let moved = Person { dn: dn("uid=ann,dc=elsewhere"), ..ann(&[]) };
    assert_ne!(fingerprint(&moved, &base), print(&base));
}

#[test]
fn rules_and_reconcile_go_together() {
    use crate::rules::testing::{memberships, rules};
    use crate::rules::{Facts, Mirror, RuleSet, decide};
    let mut rules = RuleSet { mirror: Mirror::All, ..rules() };
    rules.fields.insert("display_name".into(), template("{{ displayName or cn }}"));
    let person = ann(&[("cn", "Ann B")]);
    let (member, account) = (memberships(&["Staff"], &[], &[], &[]), bindery_directory::AccountState::default());
    let decision = decide(&rules, Facts { person: &person, memberships: &member, account: &account }).unwrap();
    let mut world = World::default();
    world.run_as(terms(&rules.provisioning), &person, &decision).unwrap();
    assert_eq!(world.user("ann").user.display_name, "Ann B");
    assert_eq!(groups_of(&world), [("Staff", SOURCE)]);
}
