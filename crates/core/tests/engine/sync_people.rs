//! What a run makes of each person, and what it leaves as people set it.

use crate::sync_full::{FULL, planned, sync};
use crate::world::{Setup, World, dn};
use bindery_core::Clock;
use bindery_core::sync::{Mode, SyncOutcome, SyncRequest, SyncRun};
use bindery_demo_directory::company;
use bindery_store::{Change, Flags, GroupRef, Owner, Plan};

const INCREMENTAL: SyncRequest<'static> = SyncRequest { full: false, ..FULL };
const BOTH: [SyncRequest<'static>; 2] = [FULL, INCREMENTAL];
const MIRROR: &str = "[sources.larkspur.groups]\nmirror = true\n";

async fn active(world: &World, uid: &str) -> bool {
    world.user(uid).await.unwrap().flag("is_active")
}

/// A run that completes, and is of the kind that was asked for.
async fn run(world: &World, request: SyncRequest<'_>) -> SyncRun {
    let run = planned(world, request).await;
    assert_eq!(run.outcome, SyncOutcome::Completed, "{run:?}");
    assert_eq!(run.mode == Mode::Full, request.full, "{run:?}");
    run
}

#[tokio::test]
async fn who_may_not_enter_is_kept_without_a_session_and_never_made() {
    for request in BOTH {
        let world = World::with("[sources.larkspur.access]\ndeny = \"sales\"\n").await;
        sync(&world, FULL).await;
        assert!(world.user("beth").await.is_none());
        let token = world.enter("leo").await;
        world.join("leo", "sales").await;
        let run1 = run(&world, request).await;
        assert_eq!((run1.users.deactivated, run1.users.failed), (0, 0), "{run1:?}");
        assert!(run1.users.skipped >= 1, "{run1:?}");
        assert!(active(&world, "leo").await, "the account is as good as before");
        world.ended(&token).await;
        run(&world, request).await;
        world.leave("leo", "sales").await;
        world.leave("beth", "sales").await;
        let run2 = run(&world, request).await;
        assert_eq!(run2.users.created, 1, "{run2:?}");
        world.enter("leo").await;
        world.enter("beth").await;
    }
}

#[tokio::test]
async fn a_required_group_lets_people_in_and_out() {
    for request in BOTH {
        let world = World::with("[sources.larkspur.access]\nrequire = \"engineering\"\n").await;
        assert_eq!(sync(&world, FULL).await.users.created, 4);
        let token = world.enter("june").await;
        world.join("zoe", "it-admins").await;
        world.leave("june", "it-admins").await;
        let run1 = run(&world, request).await;
        assert_eq!((run1.users.created, run1.users.deactivated), (1, 0), "{run1:?}");
        world.ended(&token).await;
        world.enter("zoe").await;
    }
}

#[tokio::test]
async fn an_account_that_is_off_is_deactivated_and_comes_back() {
    for request in BOTH {
        for (attribute, value) in
            [("nsAccountLock", "TRUE"), ("shadowExpire", "1"), ("pwdAccountLockedTime", "000001010000Z")]
        {
            let world = World::with(MIRROR).await;
            sync(&world, FULL).await;
            let token = world.enter("leo").await;
            world.set("leo", attribute, value).await;
            world.set("paul", "mail", "still-expired@larkspur.example").await;
            let off = run(&world, request).await;
            assert_eq!((off.users.deactivated, off.users.created), (1, 0), "{attribute}: {off:?}");
            assert!(!active(&world, "leo").await && world.user("paul").await.is_none());
            world.ended(&token).await;
            assert_eq!(run(&world, FULL).await.users.deactivated, 0);
            world.unset("leo", attribute).await;
            let on = run(&world, request).await;
            assert_eq!(on.users.reactivated, 1, "{attribute}: {on:?}");
            assert!(active(&world, "leo").await);
            world.enter("leo").await;
        }
    }
}

/// Permissions that no row stands for change as much as any field.
#[tokio::test]
async fn permissions_that_are_live_are_a_change() {
    for request in BOTH {
        let world = World::with("[sources.larkspur.groups]\npermissions = \"live\"\n").await;
        world.group("sales", "app.sell").await;
        sync(&world, FULL).await;
        let may = async || world.user("beth").await.unwrap().permissions.contains(&"app.sell".to_owned());
        assert!(may().await);
        for (is_in, verb) in [(false, "leave"), (true, "join")] {
            if is_in {
                world.join("beth", "sales").await;
            } else {
                world.leave("beth", "sales").await;
            }
            let dry = sync(&world, SyncRequest { dry_run: true, ..request }).await;
            let changes: Vec<_> =
                dry.changes.iter().flatten().map(|one| (&*one.name, one.action, &*one.fields)).collect();
            assert_eq!(changes, [("beth", "update", &["groups".to_owned()][..])], "{verb}");
            assert_eq!(run(&world, request).await.users.updated, 1, "{verb}");
            assert_eq!(may().await, is_in);
            assert_eq!(run(&world, FULL).await.users.updated, 0, "once");
        }
    }
}

/// A lock that ends by itself says something of this moment only.
#[tokio::test]
async fn a_lock_for_a_while_changes_nothing() {
    for request in BOTH {
        let world = World::with(MIRROR).await;
        sync(&world, FULL).await;
        let token = world.enter("leo").await;
        let at = world.clock.now().format("%Y%m%d%H%M%SZ").to_string();
        world.set("leo", "pwdAccountLockedTime", &at).await;
        let run = run(&world, request).await;
        let users = run.users;
        assert_eq!((users.deactivated, users.updated, users.skipped - users.skipped.min(2)), (0, 0, 0), "{run:?}");
        assert!(active(&world, "leo").await && active(&world, "victor").await);
        world.current(&token).await;
    }
}

#[tokio::test]
async fn only_sync_undoes_what_sync_did() {
    for request in BOTH {
        let world = World::usual().await;
        sync(&world, FULL).await;
        let (leo, zoe) = (world.user("leo").await.unwrap().id, world.user("zoe").await.unwrap().id);
        for user in [leo, zoe] {
            world.engine.store().apply(&Plan::deactivate(user), world.clock.now()).await.unwrap();
        }
        world.set("leo", "nsAccountLock", "TRUE").await;
        assert_eq!(run(&world, request).await.users.deactivated, 0, "out already");
        world.unset("leo", "nsAccountLock").await;
        world.set("zoe", "mail", "new@larkspur.example").await;
        assert_eq!(run(&world, request).await.users.reactivated, 0);
        assert!(!active(&world, "leo").await && !active(&world, "zoe").await);
        assert_eq!(world.user("zoe").await.unwrap().email, "new@larkspur.example", "their data stays true");
        // Somebody lets them in, and the directory is asked again.
        world.set("leo", "nsAccountLock", "TRUE").await;
        world.engine.store().apply(&Plan::activate(leo), world.clock.now()).await.unwrap();
        assert_eq!(run(&world, request).await.users.deactivated, 1);
    }
}

#[tokio::test]
async fn a_name_that_somebody_has_is_a_conflict_of_one() {
    let world = World::with(MIRROR).await;
    let local = world.local("leo", None).await;
    let run = run(&world, FULL).await;
    assert_eq!((run.users.failed, run.users.created), (1, 18), "{run:?}");
    assert!(run.errors.len() == 1 && run.errors[0].contains(&dn("leo")), "{:?}", run.errors);
    let leo = world.user("leo").await.unwrap();
    assert!(leo.id == local && leo.link.is_none() && leo.groups.is_empty());
}

#[tokio::test]
async fn what_people_set_by_hand_stays_and_what_they_broke_is_mended() {
    let world = World::with(&format!("{MIRROR}[sources.larkspur.flags]\nis_staff = \"author-relations\"\n")).await;
    let hand = world.group("by-hand", "app.use").await;
    sync(&world, FULL).await;
    let (leo, tobias) = (world.user("leo").await.unwrap(), world.user("tobias").await.unwrap());
    let flag = |name: &str, value| Flags::from([(name.to_owned(), value)]);
    let user = leo.id;
    world
        .apply(vec![
            Change::AddMembership { user, group: GroupRef::Id(hand), owner: Owner::Hand },
            Change::SetFlags { user, flags: flag("is_superuser", true) },
        ])
        .await;
    let group = GroupRef::Key("author-relations".to_owned());
    world.apply(vec![Change::DeleteGroup { group }]).await;
    world.apply(vec![Change::SetFlags { user: tobias.id, flags: flag("is_staff", false) }]).await;
    run(&world, FULL).await;
    let (leo, tobias) = (world.user("leo").await.unwrap(), world.user("tobias").await.unwrap());
    assert!(leo.in_group("by-hand") && leo.flag("is_superuser"), "{leo:?}");
    assert!(leo.in_group("author-relations") && tobias.in_group("author-relations"), "{:?}", tobias.groups);
    assert!(tobias.flag("is_staff") && leo.flag("is_staff"));
    world.set("leo", "mail", "new@larkspur.example").await;
    world.leave("leo", "author-relations").await;
    run(&world, INCREMENTAL).await;
    let leo = world.user("leo").await.unwrap();
    assert!(leo.in_group("by-hand") && leo.flag("is_superuser") && !leo.flag("is_staff"), "{leo:?}");
}

#[tokio::test]
async fn a_rename_and_a_move_keep_the_user_and_their_groups() {
    for request in BOTH {
        let world = World::with(MIRROR).await;
        sync(&world, FULL).await;
        let id = world.user("leo").await.unwrap().id;
        let there = "ou=contractors,ou=people,dc=larkspur,dc=example";
        let rename = format!(
            "dn: {}\nchangetype: modrdn\nnewrdn: uid=leonard\ndeleteoldrdn: 1\nnewsuperior: {there}\n",
            dn("leo")
        );
        world.edit(&rename).await;
        let group = format!("cn=author-relations,{}", company::GROUPS_DN);
        let member = |verb: &str, dn: &str| format!("{verb}: member\nmember: {dn}\n-\n");
        let (old, new) = (member("delete", &dn("leo")), member("add", &format!("uid=leonard,{there}")));
        world.edit(&format!("dn: {group}\nchangetype: modify\n{old}{new}")).await;
        let run = run(&world, request).await;
        assert_eq!((run.users.updated, run.users.created, run.users.deactivated), (1, 0, 0), "{run:?}");
        let user = world.user("leonard").await.unwrap();
        assert!(user.id == id && user.in_group("author-relations"), "{user:?}");
        assert_eq!(user.link.unwrap().dn, format!("uid=leonard,{there}"));
        assert!(world.user("leo").await.is_none());
    }
}

#[tokio::test]
async fn on_create_keeps_fields_while_groups_follow() {
    for request in BOTH {
        let source = format!("{MIRROR}[sources.larkspur.provisioning]\nupdate = \"on-create\"\n");
        let world = World::with(&source).await;
        sync(&world, FULL).await;
        world.set("leo", "mail", "new@larkspur.example").await;
        world.join("leo", "sales").await;
        run(&world, request).await;
        let leo = world.user("leo").await.unwrap();
        assert!(leo.email == "leo@larkspur.example" && leo.in_group("sales"), "{leo:?}");
    }
}

#[tokio::test]
async fn half_of_it_may_be_switched_off() {
    let world = World::with(&format!("{MIRROR}[sources.larkspur.sync]\nusers = false\n")).await;
    let first = run(&world, FULL).await;
    assert_eq!((first.users.seen, first.groups.created), (0, 11), "{first:?}");
    assert!(world.user("leo").await.is_none());
    world.login("leo", company::PASSWORD).await;
    world.delete(&[dn("leo"), format!("cn=sales,{}", company::GROUPS_DN)]).await;
    let next = run(&world, INCREMENTAL).await;
    assert_eq!((next.users.deactivated, next.groups.deactivated), (0, 1), "{next:?}");
    assert!(active(&world, "leo").await);

    let world = World::with(&format!("{MIRROR}[sources.larkspur.sync]\ngroups = false\n")).await;
    let first = run(&world, FULL).await;
    assert_eq!((first.groups.seen, first.users.created), (0, 19), "{first:?}");
    assert!(world.user("leo").await.unwrap().in_group("author-relations"), "memberships belong to people");
    world.delete(&[dn("leo"), format!("cn=sales,{}", company::GROUPS_DN)]).await;
    let next = run(&world, INCREMENTAL).await;
    assert_eq!((next.users.deactivated, next.groups.deactivated), (1, 0), "{next:?}");
    assert!(!world.user("beth").await.unwrap().in_group("sales"), "{next:?}");
}

/// Other rules are other facts: everybody is looked at again.
#[tokio::test]
async fn changed_rules_reach_everybody_with_the_next_full_run() {
    let world = World::usual().await;
    sync(&world, FULL).await;
    let source = format!("{MIRROR}[sources.larkspur.flags]\nis_staff = \"sales\"\n");
    world.reload(&Setup { source, ..Setup::default() });
    run(&world, FULL).await;
    let beth = world.user("beth").await.unwrap();
    assert!(beth.flag("is_staff") && beth.in_group("sales") && beth.in_group("all-staff"), "{beth:?}");
}
