//! What holds for every decision after any other.

use super::*;
use proptest::prelude::*;

fn decisions() -> impl Strategy<Value = Decision> {
    let text = || prop::sample::select(vec![Value::Null, json!("x"), json!("y"), json!(["1", "2"])]);
    let fields = prop::collection::btree_map(
        prop::sample::select(vec!["email", "first_name", "title", "hobby"]),
        (text(), any::<bool>()),
        0..4,
    );
    let flags = prop::collection::btree_map(
        prop::sample::select(vec!["is_staff", "is_superuser", "is_active", "beta"]),
        any::<bool>(),
        0..4,
    );
    let grant = prop_oneof![
        prop::sample::select(vec!["A", "B", "C"]).prop_map(mapped),
        (prop::sample::select(vec!["A", "B", "D", "E"]), prop::sample::select(vec!["1", "2"]))
            .prop_map(|(name, entry)| mirrored(name, entry)),
    ];
    let groups = prop::collection::vec(grant, 0..4);
    let path = prop::option::of(Just("p".to_owned()));
    (prop::sample::select(vec!["ann", "anna", "Ann"]), fields, flags, groups, path).prop_map(
        |(name, fields, flags, mut groups, path)| {
            let mut decision = with_flags(&flags.into_iter().collect::<Vec<_>>());
            decision.username = name.into();
            decision.path = path;
            decision.fields.extend(fields.into_iter().map(|(name, (value, keep))| {
                let keep = keep && value.is_null();
                (name.to_owned(), FieldValue { keep, ..field(value) })
            }));
            // As the rules give them: each name once, each entry once.
            let mut names = BTreeSet::new();
            let mut entries = BTreeSet::new();
            groups.retain(|grant| {
                let entry = grant.mirrored_from.as_ref().and_then(|(entry, _)| entry.clone());
                entry.is_none_or(|entry| entries.insert(entry)) && names.insert(group_key(&grant.name))
            });
            decision.groups = groups;
            decision
        },
    )
}

/// Somebody with things of their own, things of another source, and things of ours from before.
fn lived_in(before: &Decision) -> World {
    let provisioning = Provisioning::default();
    let mut world = World::default();
    world.run(Terms { admit: false, ..terms(&provisioning) }, before).unwrap();
    let name = before.username.clone();
    world.edit(&name, |user| {
        user.profile.insert("by_hand".into(), json!("chess"));
        user.flags.insert("by_hand".into(), true);
    });
    world.member(&name, "A", Owner::Hand);
    world.member(&name, "D", Owner::Source("other".into()));
    world
}

proptest! {
    #[test]
    fn applied_once_there_is_nothing_left_to_do(before in decisions(), after in decisions()) {
        let provisioning = Provisioning::default();
        let sync = Terms { admit: false, ..terms(&provisioning) };
        let mut world = lived_in(&before);
        world.run(sync, &after).unwrap();
        prop_assert_eq!(world.plan(sync, &after).unwrap().plan, Plan::default());
    }

    #[test]
    fn what_is_not_ours_is_never_touched(before in decisions(), after in decisions()) {
        let provisioning = Provisioning::default();
        let mut world = lived_in(&before);
        world.run(Terms { admit: false, ..terms(&provisioning) }, &after).unwrap();
        let state = world.user(&after.username);
        prop_assert_eq!(state.user.profile.get("by_hand"), Some(&json!("chess")));
        prop_assert!(state.user.flag("by_hand"));
        let others: Vec<&str> =
            state.memberships.iter().filter(|m| !m.owner.is_source(SOURCE)).map(|m| m.owner.as_str()).collect();
        prop_assert_eq!(others.len(), 2, "{:?}", others);
    }

    /// The state after a decision does not depend on what the decision before it was.
    #[test]
    fn the_last_decision_decides(one in decisions(), other in decisions(), last in decisions()) {
        let provisioning = Provisioning::default();
        let sync = Terms { admit: false, ..terms(&provisioning) };
        let ours = |before: &Decision| {
            let mut world = World::default();
            world.run(sync, before).unwrap();
            world.run(sync, &last).unwrap();
            let state = world.user(&last.username);
            let groups: Vec<String> = state.memberships.iter().map(|m| m.group_key.clone()).collect();
            let ruled: Flags = state.user.flags.clone().into_iter().filter(|(n, _)| last.flags.contains_key(n)).collect();
            let kept = |name: &str| last.fields.get(name).is_some_and(|field| field.keep);
            // By name: whether a JSON object keeps the order of its keys depends on who else is in the build.
            let profile: std::collections::BTreeMap<_, _> =
                state.user.profile.clone().into_iter().filter(|(n, _)| !kept(n)).collect();
            (state.user.username.clone(), state.user.path.clone(), groups, ruled, profile)
        };
        prop_assert_eq!(ours(&one), ours(&other));
    }

    #[test]
    fn the_order_of_groups_does_not_count(before in decisions(), mut after in decisions()) {
        let provisioning = Provisioning::default();
        let sync = Terms { admit: false, ..terms(&provisioning) };
        let (mut one, mut other) = (lived_in(&before), lived_in(&before));
        one.run(sync, &after).unwrap();
        after.groups.reverse();
        other.run(sync, &after).unwrap();
        let names = |world: &World| -> Vec<(String, Owner)> {
            world.user(&after.username).memberships.iter().map(|m| (m.group_key.clone(), m.owner.clone())).collect()
        };
        prop_assert_eq!(names(&one), names(&other));
    }
}
