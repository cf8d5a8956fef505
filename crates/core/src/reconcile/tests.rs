use super::*;
use crate::rules::testing::{ann, dn, template};
use crate::rules::{AccessRuling, FieldValue, FlagRuling, GroupGrant, Update};
use bindery_store::{Cause, Deactivation, Flags, GroupRef, GroupState, Membership, User};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

mod stored;
mod world;
use world::World;

const SOURCE: &str = "corp";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn terms(provisioning: &Provisioning) -> Terms<'_> {
    Terms { source: SOURCE, provisioning, parent: None, admit: true }
}

fn field(value: impl Into<Value>) -> FieldValue {
    FieldValue { value: value.into(), from: "attribute".into(), keep: false }
}

/// Ann, with nothing but a name.
fn decision() -> Decision {
    Decision {
        username: "ann".into(),
        fields: [("username".to_owned(), field("ann"))].into(),
        path: None,
        flags: BTreeMap::new(),
        groups: Vec::new(),
        live_permission_groups: Vec::new(),
        access: AccessRuling { allowed: true, require: None, deny: None },
        unresolved: Vec::new(),
    }
}

fn with_fields(fields: &[(&str, Value)]) -> Decision {
    let mut decision = decision();
    decision.fields.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), field(value.clone()))));
    decision
}

fn with_flags(flags: &[(&str, bool)]) -> Decision {
    let ruling =
        |(name, value): &(&str, bool)| ((*name).to_owned(), FlagRuling { value: *value, because: "a rule".into() });
    Decision { flags: flags.iter().map(ruling).collect(), ..decision() }
}

fn mapped(name: &str) -> GroupGrant {
    GroupGrant { name: name.into(), mirrored_from: None, because: "a rule".into() }
}

fn mirrored(name: &str, entry: &str) -> GroupGrant {
    let from = (Some(entry.to_owned()), format!("cn={entry},dc=example"));
    GroupGrant { name: name.into(), mirrored_from: Some(from), because: "a rule".into() }
}

fn with_groups(groups: &[GroupGrant]) -> Decision {
    Decision { groups: groups.to_vec(), ..decision() }
}

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
    let seen = again.clone().seen();
    assert_eq!(seen.changes, [Change::UpdateLink(again.link)]);
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

#[test]
fn flags_without_a_rule_are_never_touched() {
    let mut world = World::default();
    let provisioning = Provisioning::default();
    world.run(terms(&provisioning), &with_flags(&[("is_superuser", true)])).unwrap();
    assert!(world.user("ann").user.is_superuser());
    world.run(terms(&provisioning), &decision()).unwrap();
    assert!(world.user("ann").user.is_superuser(), "a flag whose rule leaves keeps its last value");
    world.run(terms(&provisioning), &with_flags(&[("is_superuser", false)])).unwrap();
    assert!(!world.user("ann").user.is_superuser());
}

fn disabled(result: Result<Reconciled, Refused>) -> String {
    let refused = result.unwrap_err();
    assert_eq!((refused.step, refused.reason), (Step::Reconcile, Reason::AccountDisabled));
    refused.detail
}

fn by(cause: Cause) -> Option<Deactivation> {
    Some(Deactivation::new(cause, SOURCE))
}

#[test]
fn only_what_this_source_deactivated_is_reactivated() {
    let provisioning = Provisioning::default();
    let active = with_flags(&[("is_active", true)]);
    let other = Some(Deactivation::new(Cause::Left, "other"));
    for (decision, by, comes_back) in [
        (&decision(), by(Cause::Account), true),
        (&decision(), by(Cause::Left), true),
        // The rule has left the configuration, and the flag keeps its last value.
        (&decision(), by(Cause::Rule), false),
        (&active, by(Cause::Account), true),
        (&active, by(Cause::Left), true),
        (&active, by(Cause::Rule), true),
        (&decision(), other.clone(), false),
        (&active, other, false),
        (&decision(), None, false),
        (&active, None, false),
    ] {
        let mut world = World::default();
        world.run(terms(&provisioning), decision).unwrap();
        world.edit("ann", |user| {
            user.flags.insert("is_active".into(), false);
            user.deactivated_by.clone_from(&by);
        });
        if comes_back {
            world.run(terms(&provisioning), decision).unwrap();
            assert_eq!(world.user("ann").user.deactivated_by, None);
        } else {
            disabled(world.plan(terms(&provisioning), decision));
            // A sync keeps the rest of them true, and them out.
            world.run(Terms { admit: false, ..terms(&provisioning) }, decision).unwrap();
            assert_eq!(world.user("ann").user.deactivated_by, by);
        }
        assert_eq!(world.user("ann").user.is_active(), comes_back, "{by:?}");
    }
}

#[test]
fn a_rule_for_is_active_that_leaves_the_configuration_lets_nobody_in() {
    let provisioning = Provisioning::default();
    let sync = Terms { admit: false, ..terms(&provisioning) };
    let mut world = World::default();
    world.run(terms(&provisioning), &decision()).unwrap();
    world.run(sync, &with_flags(&[("is_active", false)])).unwrap();
    world.run(sync, &decision()).unwrap();
    assert!(!world.user("ann").user.is_active());
    assert!(disabled(world.plan(terms(&provisioning), &decision())).contains("no longer in the configuration"));
    // Nor does their account being disabled and enabled in between, nor their entry leaving and coming back.
    assert!(deactivate(world.user("ann"), SOURCE, Cause::Account).is_empty());
    // The rule comes back, and says yes.
    world.run(terms(&provisioning), &with_flags(&[("is_active", true)])).unwrap();
    assert!(world.user("ann").user.is_active());
}

#[test]
fn the_last_to_say_no_is_the_one_that_counts() {
    let provisioning = Provisioning::default();
    let sync = Terms { admit: false, ..terms(&provisioning) };
    let mut world = World::default();
    world.run(terms(&provisioning), &decision()).unwrap();
    let plan = deactivate(world.user("ann"), SOURCE, Cause::Account);
    world.apply(&plan);
    assert_eq!(world.user("ann").user.deactivated_by, by(Cause::Account));
    world.run(sync, &with_flags(&[("is_active", false)])).unwrap();
    assert_eq!(world.user("ann").user.deactivated_by, by(Cause::Rule));
    world.run(sync, &decision()).unwrap();
    assert!(!world.user("ann").user.is_active());
}

#[test]
fn an_inactivity_by_rule_is_written_by_a_sync_and_undone_by_the_rule() {
    let provisioning = Provisioning::default();
    let sync = Terms { admit: false, ..terms(&provisioning) };
    let inactive = with_flags(&[("is_active", false)]);
    let mut world = World::default();
    world.run(terms(&provisioning), &decision()).unwrap();
    disabled(world.plan(terms(&provisioning), &inactive));
    let done = world.run(sync, &inactive).unwrap();
    assert!(done.plan.changes.contains(&Change::EndSessions { user: done.user, except: None }));
    let user = &world.user("ann").user;
    assert_eq!((user.is_active(), user.deactivated_by.clone()), (false, by(Cause::Rule)));
    assert!(world.plan(sync, &inactive).unwrap().plan.is_empty());
    world.run(terms(&provisioning), &with_flags(&[("is_active", true)])).unwrap();
    assert!(world.user("ann").user.is_active());
}

#[test]
fn somebody_new_and_inactive_is_made_inactive() {
    let provisioning = Provisioning::default();
    let mut world = World::default();
    world.run(Terms { admit: false, ..terms(&provisioning) }, &with_flags(&[("is_active", false)])).unwrap();
    let user = &world.user("ann").user;
    assert_eq!((user.is_active(), user.deactivated_by.clone()), (false, by(Cause::Rule)));
}

#[test]
fn deactivating_ends_sessions_and_can_be_undone() {
    let provisioning = Provisioning::default();
    let mut world = World::default();
    let id = world.run(terms(&provisioning), &decision()).unwrap().user;
    let plan = deactivate(world.user("ann"), SOURCE, Cause::Left);
    assert!(plan.changes.contains(&Change::EndSessions { user: id, except: None }));
    assert_eq!(plan.expected.len(), 1);
    world.apply(&plan);
    assert_eq!(world.user("ann").user.deactivated_by, by(Cause::Left));
    assert!(deactivate(world.user("ann"), SOURCE, Cause::Account).is_empty());
    assert!(deactivate(world.user("ann"), "other", Cause::Left).is_empty(), "whoever was first");
    world.run(terms(&provisioning), &decision()).unwrap();
    assert!(world.user("ann").user.is_active());
}

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

fn groups_of(world: &World) -> Vec<(&str, &str)> {
    world.user("ann").memberships.iter().map(|m| (m.group_name.as_str(), m.owner.as_str())).collect()
}

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
