//! The fingerprint, and rules and reconcile together.

use super::*;
use crate::rules::RuleSet;
use bindery_directory::AccountState;

#[test]
fn a_fingerprint_stays_while_nothing_changes_and_goes_with_the_first_change() {
    let (mut world, provisioning) = (World::default(), Provisioning::default());
    let print = Fingerprints::new(SOURCE, &RuleSet::default()).of(&ann(&[]), &mut [], &AccountState::default());
    let sync = Terms { admit: false, fingerprint: Some(print), ..terms(&provisioning) };
    let stored = |world: &World| world.user("ann").link(SOURCE).unwrap().fingerprint.clone();
    world.run(sync, &decision()).unwrap();
    assert_eq!(stored(&world), Some(print.to_bytes()));
    assert!(world.run(sync, &decision()).unwrap().plan.is_empty());
    world.run(terms(&provisioning), &decision()).unwrap();
    assert_eq!(stored(&world), Some(print.to_bytes()), "a sign-in that changes nothing");
    world.run(terms(&provisioning), &with_flags(&[("is_staff", true)])).unwrap();
    assert_eq!(stored(&world), None, "a sign-in that found something else");
}

#[test]
fn rules_and_reconcile_go_together() {
    use crate::rules::testing::{memberships, rules};
    use crate::rules::{Facts, Mirror, decide};
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
