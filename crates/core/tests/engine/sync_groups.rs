//! Groups of the directory as local ones, with and without people in them.

use crate::database::Database;
use crate::sync_full::{FULL, planned, sync};
use crate::world::{Setup, World};
use bindery_core::reconcile::group_key;
use bindery_core::sync::{Mode, SyncOutcome, SyncRequest, SyncRun};
use bindery_demo_directory::company;
use sqlx::Executor as _;
use uuid::Uuid;

const INCREMENTAL: SyncRequest<'static> = SyncRequest { full: false, ..FULL };
const BOTH: [SyncRequest<'static>; 2] = [FULL, INCREMENTAL];
/// Among so few people any change of a nested group is too many removals.
const MIRROR: &str =
    "[sources.larkspur.sync]\nremoval_limit = { percent = 100 }\n[sources.larkspur.groups]\nmirror = true\n";

async fn completed(world: &World, request: SyncRequest<'_>) -> SyncRun {
    let run = planned(world, request).await;
    assert_eq!(run.outcome, SyncOutcome::Completed, "{run:?}");
    assert_eq!((run.groups.failed, run.users.failed), (0, 0), "{:?}", run.errors);
    run
}

async fn id(world: &World, name: &str) -> Uuid {
    world.engine.store().group_by_name(&group_key(name)).await.unwrap().expect("a group").group.id
}

async fn hang_under(world: &World, name: &str) -> Vec<String> {
    let store = world.engine.store();
    let groups = store.subgroups_of(id(world, name).await).await.unwrap();
    let mut names: Vec<_> = groups.into_iter().map(|group| group.name).collect();
    names.sort();
    names
}

async fn nest(world: &World, verb: &str, child: &str, parent: &str) {
    let base = company::GROUPS_DN;
    world
        .edit(&format!("dn: cn={parent},{base}\nchangetype: modify\n{verb}: member\nmember: cn={child},{base}\n"))
        .await;
}

#[tokio::test]
async fn groups_hang_under_each_other_and_the_rest_under_the_parent() {
    for request in BOTH {
        let world = World::with(&format!("{MIRROR}parent = \"directory\"\n")).await;
        completed(&world, FULL).await;
        assert_eq!(hang_under(&world, "directory").await, ["all-staff", "contractors"]);
        assert_eq!(hang_under(&world, "engineering").await, ["it-admins"]);
        assert_eq!(hang_under(&world, "operations").await, ["finance"]);
        nest(&world, "delete", "finance", "operations").await;
        nest(&world, "add", "contractors", "sales").await;
        let run = completed(&world, request).await;
        assert_eq!(run.mode == Mode::Full, request.full, "{run:?}");
        assert_eq!(hang_under(&world, "directory").await, ["all-staff", "finance"]);
        assert_eq!(hang_under(&world, "sales").await, ["contractors"]);
        assert!(hang_under(&world, "operations").await.is_empty());
        let mei = world.user("mei").await.unwrap();
        assert!(mei.in_group("sales") && mei.in_group("all-staff"), "{:?}", mei.groups);
        assert!(!world.user("greta").await.unwrap().in_group("all-staff"));
        let quiet = completed(&world, FULL).await;
        assert_eq!((quiet.groups.updated, quiet.groups.created, quiet.users.updated), (0, 0, 0), "{quiet:?}");
    }
}

/// Made, listed before it was there, renamed, no longer covered, gone: an incremental run hangs groups as a full one does.
#[tokio::test]
async fn groups_that_come_move_and_go_hang_where_they_belong() {
    let setup =
        format!("{MIRROR}parent = \"directory\"\n").replace("mirror = true", "mirror = { except = [\"covert\"] }");
    let base = company::GROUPS_DN;
    let made = |cn: &str, member: &str| {
        format!(
            "dn: cn={cn},{base}\nchangetype: add\nobjectClass: groupOfNames\ncn: {cn}\nmember: cn={member},{base}\n"
        )
    };
    let renamed =
        |old: &str, new: &str| format!("dn: cn={old},{base}\nchangetype: modrdn\nnewrdn: cn={new}\ndeleteoldrdn: 1\n");
    let mut seen = Vec::new();
    for request in BOTH {
        let world = World::with(&setup).await;
        // Listed by two before it is there, under its name and under the one to come.
        nest(&world, "add", "late", "sales").await;
        nest(&world, "add", "later", "design").await;
        completed(&world, FULL).await;
        let mut all = Vec::new();
        let groups = || ["directory", "engineering", "sales", "design", "operations", "late", "later"];
        let steps = [
            made("late", "contractors"),
            renamed("late", "later"),
            renamed("later", "covert"),
            renamed("covert", "later"),
            format!("dn: cn=later,{base}\nchangetype: delete\n"),
        ];
        for step in steps {
            world.edit(&step).await;
            completed(&world, request).await;
            for name in groups() {
                if world.engine.store().group_by_name(&group_key(name)).await.unwrap().is_some() {
                    all.push(format!("{name}: {:?}", hang_under(&world, name).await));
                }
            }
            all.push("--".to_owned());
        }
        let first: Vec<_> = all.iter().take_while(|line| *line != "--").cloned().collect();
        assert!(first.contains(&"sales: [\"late\"]".to_owned()), "{first:?}");
        assert!(first.contains(&"late: [\"contractors\"]".to_owned()), "{first:?}");
        seen.push(all);
    }
    assert_eq!(seen[0], seen[1]);
}

/// A group whose removal is held keeps its place, and what hangs under it stays there.
#[tokio::test]
async fn a_group_that_is_held_stays_where_it_hangs() {
    for request in BOTH {
        let held = MIRROR.replace("percent = 100", "count = 0, percent = 100");
        let world = World::with(&format!("{held}parent = \"directory\"\n")).await;
        completed(&world, FULL).await;
        let hanging = async || {
            let mut all = Vec::new();
            for name in ["directory", "all-staff", "engineering"] {
                all.push(hang_under(&world, name).await);
            }
            all
        };
        let before = hanging().await;
        assert!(before[1].contains(&"engineering".to_owned()) && before[2] == ["it-admins"], "{before:?}");
        nest(&world, "delete", "engineering", "all-staff").await;
        world.delete(&[format!("cn=engineering,{}", company::GROUPS_DN)]).await;
        let run = planned(&world, request).await;
        assert_eq!((run.outcome, run.mode == Mode::Full), (SyncOutcome::Held, request.full), "{run:?}");
        assert_eq!(hanging().await, before);
        planned(&world, request).await;
        assert_eq!(hanging().await, before);

        completed(&world, SyncRequest { allow_removals: true, ..FULL }).await;
        let after = hanging().await;
        assert!(after[0].contains(&"it-admins".to_owned()), "{after:?}");
        assert!(!after[1].contains(&"engineering".to_owned()) && after[2].is_empty(), "{after:?}");
    }
}

/// Where no group is read any more, none is taken anywhere.
#[tokio::test]
async fn groups_that_nobody_reads_any_more_stay_where_they_hang() {
    let world = World::with(MIRROR).await;
    completed(&world, FULL).await;
    let source = MIRROR.split_once("[sources.larkspur.groups]").unwrap().0.to_owned();
    world.reload(&Setup { source, ..Setup::default() });
    completed(&world, FULL).await;
    assert_eq!(hang_under(&world, "engineering").await, ["it-admins"]);
}

/// What an incremental run makes of nested groups is what a full one would.
#[tokio::test]
async fn a_nested_group_that_changes_reaches_its_people() {
    for request in BOTH {
        let world = World::with(&format!("{MIRROR}[sources.larkspur.flags]\nis_staff = \"engineering\"\n")).await;
        sync(&world, FULL).await;
        world.join("zoe", "it-admins").await;
        nest(&world, "add", "contractors", "it-admins").await;
        let run = completed(&world, request).await;
        assert_eq!(run.mode == Mode::Full, request.full, "{run:?}");
        for uid in ["zoe", "mei"] {
            let user = world.user(uid).await.unwrap();
            assert!(user.in_group("it-admins") && user.in_group("engineering") && user.flag("is_staff"), "{user:?}");
        }
        nest(&world, "delete", "it-admins", "engineering").await;
        world.leave("zoe", "it-admins").await;
        completed(&world, request).await;
        for uid in ["zoe", "mei", "kwame"] {
            let user = world.user(uid).await.unwrap();
            assert!(!user.in_group("engineering") && !user.flag("is_staff"), "{user:?}");
            assert_eq!(user.in_group("it-admins"), uid != "zoe", "{user:?}");
        }
        let after = completed(&world, FULL).await;
        assert_eq!((after.users.updated, after.memberships.added, after.memberships.removed), (0, 0, 0), "{after:?}");
    }
}

#[tokio::test]
async fn a_renamed_group_stays_the_same_with_its_people() {
    for request in BOTH {
        let world = World::with(MIRROR).await;
        sync(&world, FULL).await;
        let before = id(&world, "finance").await;
        let rename =
            format!("dn: cn=finance,{}\nchangetype: modrdn\nnewrdn: cn=money\ndeleteoldrdn: 1\n", company::GROUPS_DN);
        world.edit(&rename).await;
        nest(&world, "add", "money", "operations").await;
        nest(&world, "delete", "finance", "operations").await;
        completed(&world, request).await;
        assert_eq!(id(&world, "money").await, before);
        let greta = world.user("greta").await.unwrap();
        assert!(greta.in_group("money") && !greta.in_group("finance") && greta.in_group("operations"), "{greta:?}");
        let after = completed(&world, FULL).await;
        assert_eq!((after.users.updated, after.groups.updated, after.memberships.added), (0, 0, 0), "{after:?}");
    }
}

/// Two names change hands: nobody gets into the wrong group.
#[tokio::test]
async fn names_that_change_hands_take_nobody_along() {
    for request in BOTH {
        let world = World::with(MIRROR).await;
        sync(&world, FULL).await;
        let base = company::GROUPS_DN;
        for (old, new) in [("sales", "aside"), ("finance", "sales"), ("aside", "finance")] {
            world.edit(&format!("dn: cn={old},{base}\nchangetype: modrdn\nnewrdn: cn={new}\ndeleteoldrdn: 1\n")).await;
        }
        completed(&world, request).await;
        let (beth, greta) = (world.user("beth").await.unwrap(), world.user("greta").await.unwrap());
        assert!(beth.in_group("finance") && !beth.in_group("sales"), "{:?}", beth.groups);
        assert!(greta.in_group("sales") && !greta.in_group("finance"), "{:?}", greta.groups);
    }
}

#[tokio::test]
async fn mapped_groups_are_made_and_filled_and_nothing_else_is() {
    for request in BOTH {
        let map = "[sources.larkspur.group_map]\nPress = [\"sales\", \"design\"]\nNobody = { all = [\"sales\", \"design\"] }\n";
        let world = World::with(map).await;
        let first = completed(&world, FULL).await;
        assert_eq!(first.groups.created, 2, "{first:?}");
        assert_eq!(world.engine.store().groups().await.unwrap().len(), 2);
        assert!(world.user("beth").await.unwrap().in_group("Press"));
        id(&world, "Nobody").await;
        world.join("beth", "design").await;
        world.leave("zoe", "design").await;
        completed(&world, request).await;
        let (beth, zoe) = (world.user("beth").await.unwrap(), world.user("zoe").await.unwrap());
        assert!(beth.in_group("Press") && beth.in_group("Nobody") && !zoe.in_group("Press"), "{:?}", beth.groups);
    }
}

#[tokio::test]
async fn a_group_that_comes_or_goes_is_made_or_emptied() {
    for request in BOTH {
        let world = World::with(MIRROR).await;
        sync(&world, FULL).await;
        let base = company::GROUPS_DN;
        let leo = crate::world::dn("leo");
        world.edit(&format!("dn: cn=new,{base}\nchangetype: add\nobjectClass: groupOfNames\ncn: new\nmember: {leo}\nmember: cn=sales,{base}\n")).await;
        world.delete(&[format!("cn=finance,{base}")]).await;
        let run = completed(&world, request).await;
        assert_eq!((run.groups.created, run.groups.deactivated), (1, 1), "{run:?}");
        assert!(world.user("leo").await.unwrap().in_group("new") && world.user("beth").await.unwrap().in_group("new"));
        let greta = world.user("greta").await.unwrap();
        assert!(!greta.in_group("finance") && !greta.in_group("operations"), "{:?}", greta.groups);
        assert!(world.engine.store().members(id(&world, "finance").await).await.unwrap().is_empty());
        let after = completed(&world, FULL).await;
        assert_eq!((after.users.updated, after.groups.updated, after.groups.deactivated), (0, 0, 0), "{after:?}");
    }
}

#[tokio::test]
async fn only_listed_groups_are_mirrored() {
    for (mirror, made) in [("[\"sales\", \"nowhere\"]", 1), ("{ except = [\"sales\"] }", 10)] {
        let world = World::with(&format!("[sources.larkspur.groups]\nmirror = {mirror}\n")).await;
        let run = completed(&world, FULL).await;
        assert_eq!((run.groups.seen, run.groups.created, run.groups.skipped), (11, made, 11 - made), "{run:?}");
        assert_eq!(world.user("beth").await.unwrap().in_group("sales"), made == 1);
    }
}

/// Somebody who signs in makes the groups that they are in. A run that is making them meanwhile makes do with those.
#[tokio::test]
async fn a_group_that_others_make_at_the_same_time_is_no_reason_to_read_everything_again() {
    let database = Database::postgres();
    let mapped = "[sources.larkspur.group_map]\nsellers = \"sales\"\n";
    let source = format!("[sources.larkspur.groups]\nmirror = true\n{mapped}");
    let world = World::new(Setup { source, store: Some(database.url()), ..Setup::default() }).await;
    let make = |name: &str| {
        format!(
            "INSERT INTO groups (id, name, name_key, owner, created_at) \
             VALUES (gen_random_uuid(), '{name}', '{name}', 'larkspur', '2026-01-01T00:00:00Z')"
        )
    };
    let mut other = database.begin(make("sales")).await;
    let mut another = database.begin(make("sellers")).await;
    let commit = async {
        database.waiting(&mut another, 1).await;
        another.execute("COMMIT").await.unwrap();
        database.waiting(&mut other, 1).await;
        other.execute("COMMIT").await.unwrap();
    };
    let (run, ()) = tokio::join!(sync(&world, FULL), commit);
    assert_eq!((run.outcome, run.groups.failed, run.errors.len()), (SyncOutcome::Completed, 0, 0), "{run:?}");
    let run = sync(&world, SyncRequest { full: false, ..FULL }).await;
    assert_eq!((run.mode, run.groups.seen), (Mode::Incremental, 0), "{run:?}");
    assert!(world.user("beth").await.unwrap().in_group("sales"));
}
