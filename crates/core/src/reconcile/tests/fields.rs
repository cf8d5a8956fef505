//! Fields: what the entry gives and no longer gives, and what people set.

use super::*;

#[test]
fn what_the_entry_no_longer_gives_is_cleared() {
    let mut world = World::default();
    let provisioning = Provisioning::default();
    let full = Decision { path: Some("p".into()), ..with_fields(&[("email", json!("a@x")), ("title", json!("T"))]) };
    world.run(terms(&provisioning), &full).unwrap();
    // Absent from the entry, and absent from the rules.
    world.run(terms(&provisioning), &with_fields(&[("email", Value::Null)])).unwrap();
    let state = world.user("ann");
    assert_eq!((&*state.user.email, &*state.user.email_key, &*state.user.path), ("", "", ""));
    assert!(state.user.profile.is_empty() && state.links[0].given_fields.is_empty());
}

#[test]
fn what_people_set_by_hand_stays() {
    let mut world = World::default();
    let provisioning = Provisioning { link_existing: LinkExisting::Username, ..Provisioning::default() };
    world.local("ann");
    world.mail("ann", "by@hand");
    world.edit("ann", |user| {
        user.profile.insert("hobby".into(), json!("chess"));
        user.flags.insert("is_staff".into(), true);
        user.flags.insert("beta".into(), true);
    });
    world.member("ann", "Chess Club", Owner::Hand);
    world.member("ann", "Others", Owner::Source("other".into()));
    world.run(terms(&provisioning), &with_fields(&[("email", Value::Null), ("hobby", Value::Null)])).unwrap();
    let state = world.user("ann");
    assert_eq!(state.user.email, "by@hand");
    assert_eq!(state.user.profile.get("hobby"), Some(&json!("chess")));
    assert!(state.user.flag("is_staff") && state.user.flag("beta"));
    assert_eq!(state.memberships.len(), 2);
}

#[test]
fn a_field_to_be_kept_is_kept_and_still_the_sources() {
    let mut world = World::default();
    let provisioning = Provisioning::default();
    world.run(terms(&provisioning), &with_fields(&[("employee_id", json!("7"))])).unwrap();
    let mut gone = decision();
    gone.fields.insert("employee_id".into(), FieldValue { value: Value::Null, from: "kept".into(), keep: true });
    world.run(terms(&provisioning), &gone).unwrap();
    assert_eq!(world.user("ann").user.profile.get("employee_id"), Some(&json!("7")));
    // Once no rule keeps it, it goes.
    world.run(terms(&provisioning), &decision()).unwrap();
    assert!(world.user("ann").user.profile.is_empty());
}

#[test]
fn on_create_keeps_fields_and_keeps_flags_and_groups_true() {
    let mut world = World::default();
    let provisioning = Provisioning { update: Update::OnCreate, ..Provisioning::default() };
    world.run(terms(&provisioning), &with_fields(&[("email", json!("a@x")), ("title", json!("T"))])).unwrap();
    let mut later = with_fields(&[("email", json!("b@x"))]);
    later.username = "anna".into();
    later.flags = with_flags(&[("is_staff", true)]).flags;
    later.groups = vec![mapped("Editors")];
    later.live_permission_groups = vec!["Press".into()];
    world.run(terms(&provisioning), &later).unwrap();
    let state = world.user("ann");
    assert_eq!((&*state.user.email, state.user.profile.get("title")), ("a@x", Some(&json!("T"))));
    assert!(state.user.is_staff());
    assert_eq!(state.memberships[0].group_name, "Editors");
    assert!(state.links[0].live_groups.contains("press"));
}
