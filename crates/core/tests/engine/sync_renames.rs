//! Names that pass from one person to another: the account stays with its person, and nobody comes into another one.

use crate::sync_full::{FULL, planned, sync};
use crate::world::{Setup, World, dn};
use bindery_core::sync::{Mode, SyncOutcome, SyncRequest, SyncRun};
use bindery_demo_directory::company;
use bindery_store::Change;
use uuid::Uuid;

const INCREMENTAL: SyncRequest<'static> = SyncRequest { full: false, ..FULL };
const BOTH: [SyncRequest<'static>; 2] = [FULL, INCREMENTAL];

/// Everybody is called by their `uid`, unless they have an `carLicense`.
async fn company(sync_keys: &str) -> World {
    let attributes = "[sources.larkspur.users.attributes]\nusername = \"{{ carLicense or uid }}\"\n";
    let groups = "[sources.larkspur.groups]\nmirror = true\n";
    let world = World::with(&format!("{attributes}{groups}[sources.larkspur.sync]\n{sync_keys}\n")).await;
    assert_eq!(sync(&world, FULL).await.users.failed, 0);
    world
}

/// Each is called so from now on.
async fn call(world: &World, names: &[(&str, &str)]) {
    for (uid, name) in names {
        world.set(uid, "carLicense", name).await;
    }
}

async fn id(world: &World, name: &str) -> Option<Uuid> {
    world.user(name).await.map(|user| user.id)
}

async fn ids<const N: usize>(world: &World, names: [&str; N]) -> [Option<Uuid>; N] {
    let mut ids = [None; N];
    for (id_of, name) in ids.iter_mut().zip(names) {
        *id_of = id(world, name).await;
    }
    ids
}

/// A run of the kind that was asked for, which completes.
async fn run(world: &World, request: SyncRequest<'_>) -> SyncRun {
    let run = planned(world, request).await;
    assert_eq!((run.outcome, run.mode == Mode::Full), (SyncOutcome::Completed, request.full), "{run:?}");
    run
}

#[tokio::test]
async fn two_swap_names_and_each_keeps_their_account() {
    for request in BOTH {
        let world = company("").await;
        let [leo, zoe] = ids(&world, ["leo", "zoe"]).await;
        let token = world.enter("leo").await;
        call(&world, &[("leo", "zoe"), ("zoe", "leo")]).await;
        world.leave("leo", "author-relations").await;
        let swapped = run(&world, request).await;
        assert_eq!((swapped.users.updated, swapped.users.failed), (2, 0), "{swapped:?}");
        assert_eq!(ids(&world, ["zoe", "leo"]).await, [leo, zoe]);
        let user = world.user("zoe").await.unwrap();
        assert_eq!(
            (user.link.as_ref().unwrap().dn.as_str(), user.email.as_str()),
            (&*dn("leo"), "leo@larkspur.example")
        );
        assert!(!user.in_group("author-relations"), "what else has changed of them is written as well");
        world.current(&token).await;
        assert_eq!(run(&world, FULL).await.users.updated, 0, "once");
    }
}

#[tokio::test]
async fn a_row_and_a_round_are_through_in_one_run() {
    for request in BOTH {
        let world = company("").await;
        let before = ids(&world, ["leo", "zoe", "beth", "ann", "owen", "hana"]).await;
        call(&world, &[("beth", "zoe"), ("zoe", "leo"), ("leo", "chief")]).await;
        call(&world, &[("ann", "owen"), ("owen", "hana"), ("hana", "ann")]).await;
        // Somebody new, too, gets a name that is given up.
        let base = company::PEOPLE_DN;
        let entry = "objectClass: inetOrgPerson\nuid: late\ncn: late\nsn: late\ncarLicense: beth\n";
        world.edit(&format!("dn: uid=late,{base}\nchangetype: add\n{entry}")).await;
        let renamed = run(&world, request).await;
        let users = renamed.users;
        assert_eq!((users.updated, users.created, users.failed), (6, 1, 0), "{renamed:?}");
        assert_eq!(ids(&world, ["chief", "leo", "zoe", "owen", "hana", "ann"]).await, before);
        let late = world.user("beth").await.unwrap();
        assert!(!before.contains(&Some(late.id)) && late.groups.is_empty(), "{late:?}");
    }
}

/// Whoever has a name keeps it unless their own entry, read in the same run, has another one.
#[tokio::test]
async fn nobody_gets_the_name_of_an_account_that_keeps_it() {
    for request in BOTH {
        let world = company("").await;
        let root = world.local("root", None).await;
        let before = ids(&world, ["leo", "zoe", "beth", "hana"]).await;
        // Of a local account, and of somebody who waits for that one; of somebody who stays; of somebody who left.
        call(&world, &[("leo", "root"), ("zoe", "leo"), ("beth", "ann"), ("owen", "hana")]).await;
        world.delete(&[dn("hana")]).await;
        let refused = run(&world, request).await;
        assert_eq!((refused.users.failed, refused.users.updated), (4, 0), "{refused:?}");
        assert_eq!(ids(&world, ["leo", "zoe", "beth", "hana"]).await, before);
        assert_eq!(id(&world, "root").await, Some(root));
        assert!(!world.user("hana").await.unwrap().flag("is_active"));

        world.apply(vec![Change::DeleteUser { user: root }]).await;
        let healed = run(&world, request).await;
        assert_eq!((healed.users.failed, healed.users.updated), (2, 2), "{healed:?}");
        assert_eq!(ids(&world, ["root", "leo"]).await, before[..2]);
    }
}

/// Under `delete` the removal comes first, and the names behind it follow.
#[tokio::test]
async fn names_pass_on_behind_somebody_who_is_deleted() {
    for request in BOTH {
        let world = company("removed = \"delete\"\nremoval_limit = { percent = 100 }").await;
        let before = ids(&world, ["zoe", "beth"]).await;
        world.delete(&[dn("leo")]).await;
        call(&world, &[("beth", "zoe"), ("zoe", "leo")]).await;
        world.leave("zoe", "design").await;
        let renamed = run(&world, request).await;
        let users = renamed.users;
        assert_eq!((users.deleted, users.updated, users.failed), (1, 2, 0), "{renamed:?}");
        assert_eq!(ids(&world, ["leo", "zoe"]).await, before);
        // How many memberships go had been decided by then.
        assert!(world.user("leo").await.unwrap().in_group("design"));
        assert!(run(&world, INCREMENTAL).await.memberships.removed > 0);
        assert!(!world.user("leo").await.unwrap().in_group("design"));
    }
}

/// Whoever is refused and is to have a name that somebody else has keeps theirs, and nothing else: neither rights nor groups
/// wait for it.
#[tokio::test]
async fn who_is_refused_loses_everything_else_though_their_name_is_taken() {
    for request in BOTH {
        let world = company("").await;
        let rules = "[sources.larkspur.users.attributes]\nusername = \"{{ carLicense or uid }}\"\n\
                     [sources.larkspur.groups]\nmirror = true\n[sources.larkspur.flags]\nis_active = \"author-relations\"\n\
                     is_staff = \"author-relations\"\n";
        world.reload(&Setup { source: rules.to_owned(), ..Setup::default() });
        sync(&world, FULL).await;
        let in_the_way = world.local("taken", None).await;
        assert!(world.user("leo").await.unwrap().flag("is_staff"));
        let token = world.enter("leo").await;
        call(&world, &[("leo", "taken")]).await;
        world.leave("leo", "author-relations").await;
        run(&world, request).await;
        let leo = world.user("leo").await.unwrap();
        assert!(!leo.flag("is_active") && !leo.flag("is_staff") && !leo.in_group("author-relations"), "{leo:?}");
        world.ended(&token).await;
        world.apply(vec![Change::DeleteUser { user: in_the_way }]).await;
        run(&world, request).await;
        assert!(world.user("leo").await.is_none() && world.user("taken").await.is_some());
    }
}
