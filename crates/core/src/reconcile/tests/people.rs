//! Whom an entry becomes: made, adopted, linked, or in conflict.

use super::*;

#[test]
fn a_new_person_becomes_a_linked_user() {
    let mut world = World::default();
    let decision = Decision {
        path: Some("corp/it".into()),
        ..with_fields(&[
            ("first_name", json!("Ann")),
            ("last_name", json!("B")),
            ("email", json!("Ann@X")),
            ("display_name", json!("Ann B")),
            ("phones", json!(["1", "2"])),
            ("title", Value::Null),
        ])
    };
    let done = world.run(terms(&Provisioning::default()), &decision).unwrap();
    assert_eq!(done.standing, Standing::Created);
    let state = world.user("ann");
    let user = &state.user;
    assert_eq!(
        (&*user.first_name, &*user.last_name, &*user.email, &*user.email_key, &*user.display_name, &*user.path),
        ("Ann", "B", "Ann@X", "ann@x", "Ann B", "corp/it")
    );
    assert_eq!(user.profile.get("phones"), Some(&json!(["1", "2"])));
    assert!(!user.profile.contains_key("title"));
    assert!(user.is_active() && !user.is_staff() && !user.is_superuser());
    assert_eq!(user.password_hash, None);
    let link = state.link(SOURCE).unwrap();
    assert_eq!((&*link.unique_id, &*link.dn, link.entity_id), ("entry-ann", "uid=ann,ou=people,dc=example", user.id));
    assert_eq!(link.last_seen, now());
    assert_eq!(
        Vec::from_iter(&link.given_fields),
        ["display_name", "email", "first_name", "last_name", "path", "phones"]
    );
}

#[test]
fn nothing_new_is_an_empty_plan_that_is_still_seen() {
    let mut world = World::default();
    let (provisioning, decision) = (Provisioning::default(), with_groups(&[mirrored("A", "a"), mapped("B")]));
    world.run(terms(&provisioning), &decision).unwrap();
    let again = world.plan(terms(&provisioning), &decision).unwrap();
    assert_eq!(again.plan, Plan::default());
    let seen = Change::Seen { user: again.user, source: SOURCE.to_owned(), at: now() };
    assert_eq!(again.seen().changes, [seen]);
}

#[test]
fn a_link_that_is_written_anyway_is_not_written_twice() {
    let done = World::default().plan(terms(&Provisioning::default()), &decision()).unwrap();
    let links =
        done.seen().changes.iter().filter(|change| matches!(change, Change::Link(_) | Change::UpdateLink(_))).count();
    assert_eq!(links, 1);
}

#[test]
fn renames_and_moves_keep_the_user() {
    let mut world = World::default();
    let provisioning = Provisioning::default();
    let before = world.run(terms(&provisioning), &decision()).unwrap();
    let moved = Person { dn: dn("uid=anna,ou=elsewhere,dc=example"), ..ann(&[]) };
    let renamed = Decision { username: "anna".into(), ..decision() };
    let after = world.run_as(terms(&provisioning), &moved, &renamed).unwrap();
    assert_eq!((after.user, after.standing), (before.user, Standing::Linked));
    assert_eq!(after.plan.expected, [Expected { user: before.user, version: 1 }]);
    assert_eq!(world.user("anna").user.id, before.user);
    assert_eq!(world.user("anna").links[0].dn, "uid=anna,ou=elsewhere,dc=example");
    assert_eq!(world.users.len(), 1);
}

#[test]
fn a_new_spelling_of_the_name_is_taken_over() {
    let mut world = World::default();
    world.run(terms(&Provisioning::default()), &decision()).unwrap();
    let spelled = Decision { username: "Ann".into(), ..decision() };
    world.run(terms(&Provisioning::default()), &spelled).unwrap();
    assert_eq!(world.user("ann").user.username, "Ann");
}

fn conflict(result: Result<Reconciled, Refused>) {
    let refused = result.unwrap_err();
    assert_eq!((refused.step, refused.reason), (Step::Reconcile, Reason::AccountConflict));
    assert!(refused.decision.is_some() && refused.writable().is_none());
}

#[test]
fn nobody_takes_a_name_that_is_somebody_elses() {
    let provisioning = Provisioning::default();
    for holder in ["ann", "ANN", "ａｎｎ"] {
        let mut world = World::default();
        world.local(holder);
        conflict(world.plan(terms(&provisioning), &decision()));
    }
    // Renamed onto a name that is taken.
    let mut world = World::default();
    world.local("bob");
    world.run(terms(&provisioning), &decision()).unwrap();
    conflict(world.plan(terms(&provisioning), &Decision { username: "bob".into(), ..decision() }));
    // The same name in another source, and a new entry under the name of an old one.
    let mut world = World::default();
    world.run(Terms { source: "other", ..terms(&provisioning) }, &decision()).unwrap();
    conflict(world.plan(terms(&provisioning), &decision()));
    let successor = Person { unique_id: "another entry".into(), ..ann(&[]) };
    conflict(world.plan_as(Terms { source: "other", ..terms(&provisioning) }, &successor, &decision()));
}

/// Whoever reads it may have two who swapped names before them: nothing is destroyed that the next run puts right.
#[test]
fn a_conflict_says_first_what_mends_itself() {
    let provisioning = Provisioning::default();
    let told = |source: &str| {
        let mut world = World::default();
        world.run(Terms { source, ..terms(&provisioning) }, &decision()).unwrap();
        let successor = Person { unique_id: "another entry".into(), ..ann(&[]) };
        world.plan_as(terms(&provisioning), &successor, &decision()).unwrap_err().detail
    };
    let words = told(SOURCE);
    let place = |part: &str| words.find(part).unwrap_or_else(|| panic!("{part}: {words}"));
    assert!(place("the next run of sync passes this one on") < place("`bindery user unlink ann corp`"), "{words}");
    assert!(place("`bindery user unlink ann corp`") < place("`bindery user link ann corp Ann`"), "{words}");
    assert!(!told("other").contains("passes"), "no run of one source frees what another one gave");
}

#[test]
fn nobody_is_made_without_a_name() {
    for name in ["", " ", "\u{3000}"] {
        let nameless = Decision { username: name.into(), ..decision() };
        let refused = World::default().plan(terms(&Provisioning::default()), &nameless).unwrap_err();
        assert_eq!(refused.reason, Reason::MissingAttribute);
    }
}

#[test]
fn link_existing_by_username_adopts_only_who_has_no_link() {
    let provisioning = Provisioning { link_existing: LinkExisting::Username, create: false, ..Provisioning::default() };
    let mut world = World::default();
    let id = world.local("Ann");
    let done = world.run(terms(&provisioning), &decision()).unwrap();
    assert_eq!((done.user, done.standing), (id, Standing::Adopted));
    assert_eq!(world.user("ann").links.len(), 1);

    let successor = Person { unique_id: "another entry".into(), ..ann(&[]) };
    conflict(world.plan_as(terms(&provisioning), &successor, &decision()));
    conflict(world.plan_as(Terms { source: "other", ..terms(&provisioning) }, &successor, &decision()));
}

#[test]
fn link_existing_by_email() {
    let provisioning = Provisioning { link_existing: LinkExisting::Email, ..Provisioning::default() };
    let mailed = with_fields(&[("email", json!("ann@x"))]);
    let mut world = World::default();
    let id = world.local("annie");
    world.mail("annie", "ANN@x");
    assert_eq!(
        world.plan(terms(&provisioning), &decision()).unwrap().standing,
        Standing::Created,
        "no address, no match"
    );
    let done = world.run(terms(&provisioning), &mailed).unwrap();
    assert_eq!((done.user, done.standing), (id, Standing::Adopted));
    assert_eq!(world.user("ann").user.id, id, "the name is the directory's");

    // Somebody who is linked keeps their account; the next one with that address gets one of their own.
    let other = Person { unique_id: "another entry".into(), ..ann(&[]) };
    let done =
        world.plan_as(terms(&provisioning), &other, &Decision { username: "bob".into(), ..mailed.clone() }).unwrap();
    assert_eq!(done.standing, Standing::Created);

    // Two who could be meant.
    let mut world = World::default();
    for name in ["one", "two"] {
        world.local(name);
        world.mail(name, "ann@x");
    }
    conflict(world.plan(terms(&provisioning), &mailed));

    // The address fits one, the name belongs to another.
    let mut world = World::default();
    world.local("annie");
    world.mail("annie", "ann@x");
    world.local("ann");
    conflict(world.plan(terms(&provisioning), &mailed));
}

#[test]
fn an_address_adopts_nobody_unless_the_configuration_says_so() {
    let mut world = World::default();
    world.local("annie");
    world.mail("annie", "ann@x");
    let mailed = with_fields(&[("email", json!("ann@x"))]);
    for link_existing in [LinkExisting::Never, LinkExisting::Username] {
        let provisioning = Provisioning { link_existing, ..Provisioning::default() };
        assert_eq!(world.plan(terms(&provisioning), &mailed).unwrap().standing, Standing::Created);
    }
}

#[test]
fn without_create_only_those_who_exist_come_in() {
    let closed = Provisioning { create: false, ..Provisioning::default() };
    let mut world = World::default();
    let refused = world.plan(terms(&closed), &decision()).unwrap_err();
    assert_eq!((refused.step, refused.reason), (Step::Reconcile, Reason::NewUsersNotAllowed));
    world.run(terms(&Provisioning::default()), &decision()).unwrap();
    assert!(world.plan(terms(&closed), &decision()).is_ok());
}
