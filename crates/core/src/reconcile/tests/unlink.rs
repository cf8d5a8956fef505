//! What goes when somebody is untied.

use super::*;

#[test]
fn what_a_source_gave_goes_with_the_link_and_the_rest_stays() {
    let provisioning = Provisioning::default();
    let mut world = World::default();
    let given = Decision {
        path: Some("p".into()),
        groups: vec![mirrored("Staff", "s"), mapped("Editors")],
        flags: with_flags(&[("is_staff", true), ("beta", true), ("is_active", true)]).flags,
        ..with_fields(&[("email", json!("a@x")), ("first_name", json!("Ann")), ("title", json!("T"))])
    };
    world.run(terms(&provisioning), &given).unwrap();
    // The rule for beta has left the configuration since.
    let flags = with_flags(&[("is_staff", true), ("is_active", true)]).flags;
    world.run(terms(&provisioning), &Decision { flags, ..given }).unwrap();
    world.member("ann", "Editors", Owner::Hand);
    world.edit("ann", |user| {
        user.profile.insert("desk".into(), json!("3"));
        user.flags.insert("by_hand".into(), true);
        user.last_name = "by hand".into();
    });
    assert!(unlink(world.user("ann"), Some("other")).is_empty());
    let plan = unlink(world.user("ann"), Some(SOURCE));
    assert_eq!(plan.expected.len(), 1);
    world.apply(&plan);
    let state = world.user("ann");
    assert!(state.links.is_empty());
    assert_eq!(groups_of(&world), [("Editors", "")]);
    let user = &state.user;
    assert_eq!((&*user.first_name, &*user.email, &*user.email_key, &*user.path), ("", "", "", ""));
    assert_eq!(Value::Object(user.profile.clone()), json!({"desk": "3"}));
    assert_eq!((&*user.username, &*user.last_name), ("ann", "by hand"));
    let on: Vec<&str> = user.flags.iter().filter(|(_, value)| **value).map(|(name, _)| &**name).collect();
    assert_eq!(on, ["by_hand", "is_active"]);
    assert!(unlink(world.user("ann"), None).is_empty());
}

#[test]
fn what_another_source_gives_too_stays() {
    let provisioning = Provisioning { link_existing: LinkExisting::Username, ..Provisioning::default() };
    let mut world = World::default();
    let given = Decision {
        flags: with_flags(&[("is_staff", true)]).flags,
        ..with_fields(&[("email", json!("a@x")), ("first_name", json!("Ann"))])
    };
    world.run(terms(&provisioning), &given).unwrap();
    let other = Link { source: "other".into(), ..world.user("ann").links[0].clone() };
    let other = Link { given_fields: ["email".to_owned()].into(), ..other };
    world.apply(&Plan::from(vec![Change::Link(other)]));
    let plan = unlink(world.user("ann"), Some(SOURCE));
    world.apply(&plan);
    let user = &world.user("ann").user;
    assert_eq!((&*user.email, &*user.first_name), ("a@x", ""));
    assert!(user.is_staff(), "both decide it");
    let plan = unlink(world.user("ann"), None);
    world.apply(&plan);
    assert!(!world.user("ann").user.is_staff() && world.user("ann").user.email.is_empty());
}

#[test]
fn nobody_comes_in_by_being_untied() {
    let provisioning = Provisioning::default();
    let mut world = World::default();
    world.run(terms(&provisioning), &decision()).unwrap();
    let plan = deactivate(world.user("ann"), SOURCE, Cause::Account);
    world.apply(&plan);
    let plan = unlink(world.user("ann"), None);
    world.apply(&plan);
    let user = &world.user("ann").user;
    assert_eq!((user.is_active(), &user.deactivated_by), (false, &None));
}
