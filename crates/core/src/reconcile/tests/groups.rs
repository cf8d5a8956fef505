//! Memberships, mirrored groups, and where they hang.

use super::*;

#[test]
fn groups_are_made_when_missing_and_left_when_no_longer_given() {
    let provisioning = Provisioning::default();
    let mut world = World::default();
    world.run(terms(&provisioning), &with_groups(&[mirrored("Staff", "s"), mapped("Editors")])).unwrap();
    assert_eq!(groups_of(&world), [("Editors", SOURCE), ("Staff", SOURCE)]);
    assert_eq!(world.group("staff").group.owner, Owner::Source(SOURCE.into()));
    assert_eq!(world.group("staff").links[0].unique_id, "s");
    assert_eq!(world.group("editors").group.owner, Owner::Hand);
    assert!(world.group("editors").links.is_empty());

    world.run(terms(&provisioning), &with_groups(&[mapped("EDITORS")])).unwrap();
    assert_eq!(groups_of(&world), [("Editors", SOURCE)]);
    assert_eq!(world.groups.len(), 2, "a group that somebody left is still a group");
}

#[test]
fn memberships_of_others_stay_and_are_none_of_ours() {
    let provisioning = Provisioning::default();
    let mut world = World::default();
    world.run(terms(&provisioning), &decision()).unwrap();
    world.member("ann", "Editors", Owner::Hand);
    world.member("ann", "Press", Owner::Source("other".into()));
    world.run(terms(&provisioning), &with_groups(&[mapped("Editors"), mapped("Press")])).unwrap();
    assert_eq!(groups_of(&world), [("Editors", ""), ("Editors", SOURCE), ("Press", SOURCE), ("Press", "other")]);
    world.run(terms(&provisioning), &decision()).unwrap();
    assert_eq!(groups_of(&world), [("Editors", ""), ("Press", "other")]);
}

#[test]
fn a_renamed_directory_group_keeps_its_local_group() {
    let provisioning = Provisioning::default();
    let mut world = World::default();
    world.run(terms(&provisioning), &with_groups(&[mirrored("Staff", "s")])).unwrap();
    let id = world.group("staff").group.id;
    world.run(terms(&provisioning), &with_groups(&[mirrored("Crew", "s")])).unwrap();
    assert_eq!((world.group("crew").group.id, world.groups.len()), (id, 1));
    assert_eq!(groups_of(&world), [("Crew", SOURCE)]);
}

#[test]
fn a_local_group_is_renamed_only_while_it_is_nobody_elses() {
    let provisioning = Provisioning::default();
    let renamed = with_groups(&[mirrored("Crew", "s")]);
    // Made by hand.
    let mut world = World::default();
    world.make_group("Staff", Owner::Hand);
    world.run(terms(&provisioning), &with_groups(&[mirrored("Staff", "s")])).unwrap();
    world.run(terms(&provisioning), &renamed).unwrap();
    assert_eq!(groups_of(&world), [("Crew", SOURCE)]);
    assert_eq!(world.groups.len(), 2);
    assert!(world.plan(terms(&provisioning), &renamed).unwrap().plan.is_empty());
    // Shared with a second directory group of the same name.
    let mut world = World::default();
    world.run(terms(&provisioning), &with_groups(&[mirrored("Staff", "s")])).unwrap();
    world.run(terms(&provisioning), &with_groups(&[mirrored("Staff", "t")])).unwrap();
    assert_eq!(world.group("staff").links.len(), 2);
    world.run(terms(&provisioning), &renamed).unwrap();
    assert_eq!((groups_of(&world), world.groups.len()), (vec![("Crew", SOURCE)], 2));
    // Its old name goes on with another directory group.
    let mut world = World::default();
    world.run(terms(&provisioning), &with_groups(&[mirrored("Staff", "s")])).unwrap();
    let swapped = with_groups(&[mirrored("Crew", "s"), mirrored("Staff", "t")]);
    world.run(terms(&provisioning), &swapped).unwrap();
    assert_eq!(groups_of(&world), [("Crew", SOURCE), ("Staff", SOURCE)]);
    assert!(world.plan(terms(&provisioning), &swapped).unwrap().plan.is_empty());
}

#[test]
fn new_mirrored_groups_hang_under_the_parent() {
    let provisioning = Provisioning::default();
    let terms = Terms { parent: Some("Directory"), ..terms(&provisioning) };
    let mut world = World::default();
    let decision = with_groups(&[mirrored("A", "a"), mirrored("B", "b"), mapped("C"), mirrored("directory", "d")]);
    world.run(terms, &decision).unwrap();
    let directory = world.group("directory").group.id;
    assert_eq!(world.subgroups, [(world.group("a").group.id, directory), (world.group("b").group.id, directory)]);
    assert!(world.plan(terms, &decision).unwrap().plan.is_empty());
}

#[test]
fn another_parent_is_followed() {
    let provisioning = Provisioning::default();
    let under = |parent| Terms { parent, ..terms(&provisioning) };
    let mut world = World::default();
    world.make_group("Made", Owner::Hand);
    let both = with_groups(&[mirrored("A", "a"), mirrored("Made", "m")]);
    world.run(under(None), &both).unwrap();
    assert!(world.subgroups.is_empty());
    for parent in [Some("One"), Some("Two"), None, Some("Two"), Some("A"), Some("one")] {
        world.run(under(parent), &both).unwrap();
        let expected = parent
            .filter(|parent| *parent != "A")
            .map(|parent| (world.group("a").group.id, world.group(&group_key(parent)).group.id));
        assert_eq!(world.subgroups, Vec::from_iter(expected), "{parent:?}");
        assert!(world.plan(under(parent), &both).unwrap().plan.is_empty(), "{parent:?}");
    }
    // A renamed one goes along, and so does one that somebody else sees.
    world.run(under(Some("Two")), &with_groups(&[mirrored("Crew", "a")])).unwrap();
    assert_eq!(world.subgroups, [(world.group("crew").group.id, world.group("two").group.id)]);
}

#[test]
fn a_parent_is_made_once() {
    let provisioning = Provisioning::default();
    let terms = Terms { parent: Some("Directory"), ..terms(&provisioning) };
    let mut world = World::default();
    world.run(terms, &with_groups(&[mirrored("A", "a"), mirrored("B", "b")])).unwrap();
    assert_eq!(world.groups.len(), 3);
    assert_eq!(world.group("directory").group.owner, Owner::Hand);
    assert_eq!(groups_of(&world), [("A", SOURCE), ("B", SOURCE)], "nobody is put into the parent");
}

#[test]
fn live_groups_follow_the_directory() {
    let provisioning = Provisioning::default();
    let mut world = World::default();
    let live = Decision { live_permission_groups: vec!["Staff".into()], ..decision() };
    world.run(terms(&provisioning), &live).unwrap();
    let of = |world: &World, source| Vec::from_iter(world.user("ann").link(source).unwrap().live_groups.clone());
    assert_eq!(of(&world, SOURCE), ["staff"]);
    // Another source of the same person says nothing of this one's.
    let other = Link { source: "other".into(), live_groups: BTreeSet::new(), ..world.user("ann").links[0].clone() };
    world.apply(&Plan::from(vec![Change::Link(other)]));
    let press = Decision { live_permission_groups: vec!["Press".into()], ..decision() };
    world.run(Terms { source: "other", ..terms(&provisioning) }, &press).unwrap();
    assert_eq!((of(&world, SOURCE), of(&world, "other")), (vec!["staff".to_owned()], vec!["press".to_owned()]));
    world.run(terms(&provisioning), &decision()).unwrap();
    assert!(of(&world, SOURCE).is_empty());
    assert_eq!(of(&world, "other"), ["press"]);
}

#[test]
fn what_a_namesake_gave_goes_when_somebody_is_adopted() {
    let provisioning = Provisioning { link_existing: LinkExisting::Username, ..Provisioning::default() };
    let mut world = World::default();
    world.local("ann");
    world.edit("ann", |user| user.live_groups = ["press".to_owned()].into());
    world.run(terms(&provisioning), &decision()).unwrap();
    assert!(world.user("ann").user.live_groups.is_empty());
    assert!(world.plan(terms(&provisioning), &decision()).unwrap().plan.is_empty());
}
