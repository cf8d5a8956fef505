//! Flags, and who is shut out by whom and let in again.

use super::*;

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

#[expect(clippy::unnecessary_wraps, reason = "as the users of these tests have it")]
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
