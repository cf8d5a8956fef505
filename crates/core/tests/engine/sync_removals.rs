//! Who left is removed only within the limit, or once somebody has looked; what is held is named and waits.

use crate::sync_full::{FULL, planned, sync};
use crate::world::{Setup, World, dn};
use bindery_core::reconcile::group_key;
use bindery_core::sync::{Mode, SyncOutcome, SyncReason, SyncRequest, SyncRun, Thing};
use bindery_demo_directory::company;
use bindery_store::{Change, GroupRef, Owner};
use std::collections::BTreeSet;

const INCREMENTAL: SyncRequest<'static> = SyncRequest { full: false, ..FULL };
const ALLOW: SyncRequest<'static> = SyncRequest { allow_removals: true, ..FULL };

fn mirrored(sync: &str) -> String {
    format!("[sources.larkspur.groups]\nmirror = true\n[sources.larkspur.sync]\n{sync}\n")
}

fn dns(uids: &[&str]) -> Vec<String> {
    uids.iter().map(|uid| dn(uid)).collect()
}

fn group(cn: &str) -> String {
    format!("cn={cn},{}", company::GROUPS_DN)
}

fn held(run: &SyncRun, kind: Thing) -> Vec<&str> {
    run.would_remove.iter().filter(|one| one.kind == kind).map(|one| one.name.as_str()).collect()
}

async fn active(world: &World, uid: &str) -> bool {
    world.user(uid).await.unwrap().flag("is_active")
}

#[track_caller]
fn completed(run: &SyncRun) {
    assert_eq!((run.outcome, run.reason), (SyncOutcome::Completed, None), "{run:?}");
    assert!(run.would_remove.is_empty() && run.incomplete.is_empty(), "{run:?}");
}

#[track_caller]
fn over_the_limit(run: &SyncRun) {
    assert_eq!((run.outcome, run.reason), (SyncOutcome::Held, Some(SyncReason::RemovalLimit)), "{run:?}");
    assert!(run.incomplete.is_empty(), "{run:?}");
}

const FIVE: [&str; 5] = ["leo", "zoe", "sofia", "beth", "greta"];

/// What the run itself writes is not what a percentage is taken of, so that a dry run foretells how the real one ends.
#[tokio::test]
async fn a_percentage_is_of_those_there_were_before_the_run() {
    for request in [FULL, INCREMENTAL] {
        let world = World::with(&mirrored("removal_limit = { count = 500, percent = 25 }")).await;
        world.hire("newcomer").await;
        assert_eq!(sync(&world, FULL).await.users.created, 20);
        world.delete(&dns(&FIVE)).await;
        world.set("ann", "nsAccountLock", "TRUE").await;
        completed(&planned(&world, request).await);
        assert!(!active(&world, "leo").await && !active(&world, "ann").await);
    }
    let owner = Owner::Source("larkspur".to_owned());
    for request in [FULL, INCREMENTAL] {
        let world = World::with(&mirrored("")).await;
        sync(&world, FULL).await;
        let there = world.engine.store().count_memberships(&owner).await.unwrap();
        // Five are just too many of those, and would not be of those and ten more.
        let percent = 500 / there - u64::from(500 % there == 0);
        assert!((there + 10) * percent >= 500, "{there}");
        let source = mirrored(&format!("removal_limit = {{ count = 500, percent = {percent} }}"));
        world.reload(&Setup { source, ..Setup::default() });
        let who = ["hana", "owen", "zoe", "leo", "sofia", "beth", "greta", "ann", "priya", "june", "carlos", "kwame"];
        for uid in who {
            world.hire(&format!("{uid}2")).await;
            let member = format!("uid={uid}2,{}", company::PEOPLE_DN);
            world
                .edit(&format!("dn: {}\nchangetype: modify\nadd: member\nmember: {member}\n", group("contractors")))
                .await;
        }
        for (uid, group) in
            [("hana", "design"), ("owen", "design"), ("zoe", "design"), ("beth", "sales"), ("leo", "author-relations")]
        {
            world.leave(uid, group).await;
        }
        let run = planned(&world, request).await;
        over_the_limit(&run);
        assert_eq!(run.memberships.removed, 0, "{run:?}");
    }
}

/// Twenty are active, so that five are a quarter.
#[tokio::test]
async fn the_limit_is_exceeded_strictly_and_percent_counts_from_five_on() {
    for request in [FULL, INCREMENTAL] {
        for (limit, leave, goes) in [
            ("count = 500, percent = 25", 5, true),
            ("count = 500, percent = 24", 5, false),
            ("count = 500, percent = 0", 4, true),
            ("count = 4, percent = 0", 4, true),
            ("count = 3, percent = 100", 4, false),
        ] {
            let world = World::with(&mirrored(&format!("removal_limit = {{ {limit} }}"))).await;
            world.hire("newcomer").await;
            assert_eq!(sync(&world, FULL).await.users.created, 20);
            world.delete(&dns(&FIVE[..leave])).await;
            let run = planned(&world, request).await;
            if goes {
                completed(&run);
                assert_eq!(run.users.deactivated, leave as u64, "{limit}: {run:?}");
            } else {
                over_the_limit(&run);
                assert_eq!((run.users.deactivated, held(&run, Thing::User).len()), (0, leave), "{limit}: {run:?}");
            }
            assert_eq!(active(&world, "leo").await, !goes, "{limit}");
        }
    }
}

#[tokio::test]
async fn everything_else_is_applied_and_what_is_held_waits_until_it_is_allowed() {
    for request in [FULL, INCREMENTAL] {
        let world = World::with(&mirrored("removal_limit = { count = 1, percent = 100 }")).await;
        sync(&world, FULL).await;
        let token = world.enter("leo").await;
        world.delete(&dns(&["leo", "zoe"])).await;
        world.set("ann", "mail", "new@larkspur.example").await;
        world.hire("newcomer").await;
        world.join("hana", "sales").await;
        let run = planned(&world, request).await;
        over_the_limit(&run);
        assert_eq!(held(&run, Thing::User), ["leo", "zoe"]);
        assert_eq!(run.would_remove[0].dn, dn("leo"));
        assert_eq!((run.users.created, run.users.updated), (1, 2), "{run:?}");
        assert_eq!(world.user("ann").await.unwrap().email, "new@larkspur.example");
        assert!(world.user("hana").await.unwrap().in_group("sales"));
        world.current(&token).await;

        let again = planned(&world, INCREMENTAL).await;
        over_the_limit(&again);
        assert_eq!((again.mode, held(&again, Thing::User)), (Mode::Full, vec!["leo", "zoe"]), "{again:?}");
        assert!(again.full_because.is_some());

        let allowed = planned(&world, SyncRequest { full: false, ..ALLOW }).await;
        completed(&allowed);
        assert_eq!(allowed.users.deactivated, 2);
        world.ended(&token).await;
        let quiet = sync(&world, INCREMENTAL).await;
        completed(&quiet);
        assert_eq!(quiet.mode, Mode::Incremental, "nothing is pending any more");
    }
}

#[tokio::test]
async fn users_groups_and_memberships_are_counted_apart() {
    for request in [FULL, INCREMENTAL] {
        let world = World::with(&mirrored("removal_limit = { count = 1, percent = 100 }")).await;
        sync(&world, FULL).await;
        world.delete(&[dn("leo"), group("contractors"), group("sales")]).await;
        world.leave("zoe", "design").await;
        let run = planned(&world, request).await;
        over_the_limit(&run);
        assert_eq!(held(&run, Thing::Group), ["contractors", "sales"], "{run:?}");
        assert_eq!(run.would_remove.len(), 2, "{run:?}");
        assert!(!active(&world, "leo").await, "one user is within the limit");
        assert!(!world.user("zoe").await.unwrap().in_group("design"), "a count is none of memberships");
        assert!(world.user("beth").await.unwrap().in_group("sales"), "a group that is held keeps its members");

        let allowed = planned(&world, ALLOW).await;
        completed(&allowed);
        assert_eq!(allowed.groups.deactivated, 2, "{allowed:?}");
        assert!(!world.user("beth").await.unwrap().in_group("sales"));
    }
}

#[tokio::test]
async fn memberships_are_held_by_percent_of_those_the_source_owns() {
    for request in [FULL, INCREMENTAL] {
        let world = World::with(&mirrored("removal_limit = { count = 500, percent = 5 }")).await;
        sync(&world, FULL).await;
        for (uid, group) in
            [("hana", "design"), ("owen", "design"), ("zoe", "design"), ("beth", "sales"), ("priya", "editors")]
        {
            world.leave(uid, group).await;
        }
        world.join("hana", "finance").await;
        let run = planned(&world, request).await;
        over_the_limit(&run);
        assert_eq!(run.memberships.removed, 0, "{run:?}");
        let names = held(&run, Thing::Membership);
        assert!(names.contains(&"hana in design") && names.contains(&"beth in sales"), "{names:?}");
        let hana = world.user("hana").await.unwrap();
        assert!(hana.in_group("design") && hana.in_group("finance"), "{:?}", hana.groups);
        assert_eq!(run.users.updated, 1, "nothing is written of the others: {run:?}");
        let again = planned(&world, INCREMENTAL).await;
        over_the_limit(&again);
        assert_eq!(again.users.updated, 0, "{again:?}");

        let allowed = planned(&world, ALLOW).await;
        completed(&allowed);
        assert_eq!(allowed.memberships.removed, names.len() as u64);
        let who: BTreeSet<&str> = names.iter().filter_map(|name| name.split(' ').next()).collect();
        assert_eq!(allowed.users.updated, who.len() as u64, "{allowed:?}");
        assert!(!world.user("hana").await.unwrap().in_group("design"));
        completed(&planned(&world, FULL).await);
    }
}

#[tokio::test]
async fn memberships_that_go_with_a_user_or_a_group_do_not_count() {
    for request in [FULL, INCREMENTAL] {
        for removed in ["deactivate", "delete"] {
            let limit = format!("removed = \"{removed}\"\nremoval_limit = {{ count = 500, percent = 1 }}");
            let world = World::with(&mirrored(&limit)).await;
            sync(&world, FULL).await;
            world.delete(&[group("all-staff"), dn("tobias"), dn("june"), dn("hana")]).await;
            let run = planned(&world, request).await;
            completed(&run);
            assert!(run.memberships.removed > 5, "{run:?}");
            assert!(!world.user("ann").await.unwrap().in_group("all-staff"));
        }
    }
}

#[tokio::test]
async fn removed_says_what_becomes_of_users_and_groups() {
    for request in [FULL, INCREMENTAL] {
        for removed in ["keep", "deactivate", "delete"] {
            let world =
                World::with(&mirrored(&format!("removed = \"{removed}\"\nremoval_limit = {{ percent = 100 }}"))).await;
            let hand = world.group("finance", "app.count").await;
            sync(&world, FULL).await;
            let (leo, ann) = (world.user("leo").await.unwrap(), world.user("ann").await.unwrap());
            let sales = world.engine.store().group_by_name("sales").await.unwrap().unwrap().group.id;
            let add = |user, group| Change::AddMembership { user, group: GroupRef::Id(group), owner: Owner::Hand };
            world.apply(vec![add(ann.id, sales), add(ann.id, hand)]).await;
            let token = world.enter("leo").await;
            world.delete(&[dn("leo"), group("sales"), group("finance")]).await;
            let run = planned(&world, request).await;
            completed(&run);
            let there = world.engine.view(leo.id).await.unwrap();
            let group = world.engine.store().group_by_name(&group_key("sales")).await.unwrap();
            let (ann, beth) = (world.user("ann").await.unwrap(), world.user("beth").await.unwrap());
            assert!(ann.in_group("finance"), "a group that somebody made is never deleted");
            assert!(!beth.in_group("sales"), "a membership goes when the directory no longer gives it");
            match removed {
                "keep" => {
                    assert!(there.unwrap().flag("is_active"));
                    assert_eq!((run.users.deactivated, run.groups.deactivated), (0, 0), "{run:?}");
                    assert!(!group.unwrap().links.is_empty());
                    world.current(&token).await;
                }
                "deactivate" => {
                    assert!(!there.unwrap().flag("is_active"));
                    assert!(group.unwrap().links.is_empty() && ann.in_group("sales"), "{:?}", ann.groups);
                    assert_eq!((run.users.deactivated, run.groups.deactivated), (1, 2), "{run:?}");
                    world.ended(&token).await;
                }
                _ => {
                    assert!(there.is_none() && group.is_none());
                    assert_eq!((run.users.deleted, run.groups.deleted), (1, 1), "{run:?}");
                    world.ended(&token).await;
                }
            }
            let after = planned(&world, FULL).await;
            completed(&after);
            assert_eq!((after.users.deactivated, after.users.deleted, after.groups.deactivated), (0, 0, 0), "once");
        }
    }
}

#[tokio::test]
async fn a_new_entry_of_an_old_name_comes_in_once_the_old_one_is_deleted() {
    for request in [FULL, INCREMENTAL] {
        for removed in ["deactivate", "delete"] {
            let world = World::with(&mirrored(&format!("removed = \"{removed}\""))).await;
            sync(&world, FULL).await;
            let old = world.user("leo").await.unwrap();
            world.delete(&dns(&["leo"])).await;
            world.hire("leo").await;
            world.set("ann", "mail", "new@larkspur.example").await;
            let run = planned(&world, request).await;
            completed(&run);
            let leo = world.user("leo").await.unwrap();
            assert_eq!(world.user("ann").await.unwrap().email, "new@larkspur.example", "one failure is alone");
            if removed == "delete" {
                assert_eq!((run.users.deleted, run.users.created, run.users.failed), (1, 1, 0), "{run:?}");
                assert!(leo.id != old.id && leo.flag("is_active") && leo.email.is_empty());
            } else {
                assert_eq!((run.users.deactivated, run.users.failed), (1, 1), "{run:?}");
                assert!(run.errors[0].contains(&dn("leo")), "{:?}", run.errors);
                assert!(leo.id == old.id && !leo.flag("is_active"));
            }
        }
    }
}

/// Held over a limit, under `delete`: the old one is there, so the new one has to wait.
#[tokio::test]
async fn a_name_that_is_not_free_because_its_removal_is_held_is_a_conflict() {
    let world = World::with(&mirrored("removed = \"delete\"\nremoval_limit = { count = 0, percent = 0 }")).await;
    sync(&world, FULL).await;
    world.delete(&dns(&["leo"])).await;
    world.hire("leo").await;
    let run = planned(&world, FULL).await;
    over_the_limit(&run);
    assert_eq!((run.users.failed, run.users.deleted, held(&run, Thing::User)), (1, 0, vec!["leo"]), "{run:?}");
    let run = planned(&world, ALLOW).await;
    completed(&run);
    assert_eq!((run.users.created, run.users.deleted), (1, 1), "{run:?}");
}

#[tokio::test]
async fn who_is_out_already_is_not_removed_again() {
    let world = World::with(&mirrored("removal_limit = { count = 4, percent = 100 }")).await;
    sync(&world, FULL).await;
    world.delete(&dns(&FIVE[..4])).await;
    completed(&planned(&world, INCREMENTAL).await);
    world.delete(&dns(&["ann"])).await;
    let run = planned(&world, INCREMENTAL).await;
    completed(&run);
    assert_eq!((run.mode, run.users.deactivated), (Mode::Incremental, 1), "{run:?}");
    world.delete(&dns(&["owen"])).await;
    let run = planned(&world, FULL).await;
    completed(&run);
    assert_eq!(run.users.deactivated, 1, "{run:?}");
}

/// Another filter, and those it leaves out are not gone because somebody mistyped.
#[tokio::test]
async fn a_changed_search_removes_nobody_until_it_is_allowed() {
    let mut world = World::usual().await;
    sync(&world, FULL).await;
    let without = "[sources.larkspur.users]\nfilter = '(&(objectClass=inetOrgPerson)(!(uid=leo)))'\n";
    world.reload(&Setup { source: without.to_owned(), ..Setup::default() });
    for request in [INCREMENTAL, FULL, INCREMENTAL] {
        let run = planned(&world, request).await;
        let why = (run.mode, run.outcome, run.reason);
        assert_eq!(why, (Mode::Full, SyncOutcome::Held, Some(SyncReason::ChangedSearch)), "{run:?}");
        assert_eq!(run.incomplete[0].reason, "changed_search");
        assert_eq!((held(&run, Thing::User), run.users.deactivated), (vec!["leo"], 0), "{run:?}");
    }
    // A read that was cut short in between vouches for nothing.
    world.outage().await;
    world.recover_with(|options| options.size_limit = 3);
    assert_eq!(planned(&world, FULL).await.incomplete[0].reason, "size_limit");
    world.outage().await;
    world.recover();
    assert_eq!(planned(&world, FULL).await.reason, Some(SyncReason::ChangedSearch));
    assert!(active(&world, "leo").await);

    let allowed = planned(&world, ALLOW).await;
    completed(&allowed);
    assert_eq!(allowed.users.deactivated, 1);
    assert_eq!(sync(&world, INCREMENTAL).await.mode, Mode::Incremental);
}

#[tokio::test]
async fn a_changed_search_that_removes_nobody_is_nothing_to_look_at() {
    let world = World::usual().await;
    sync(&world, FULL).await;
    let same = "[sources.larkspur.users]\nfilter = '(&(objectClass=inetOrgPerson)(uid=*))'\n";
    world.reload(&Setup { source: same.to_owned(), ..Setup::default() });
    let run = planned(&world, INCREMENTAL).await;
    completed(&run);
    assert_eq!(run.mode, Mode::Full);
    assert!(run.full_because.is_some());
    assert_eq!(sync(&world, INCREMENTAL).await.mode, Mode::Incremental);
}
