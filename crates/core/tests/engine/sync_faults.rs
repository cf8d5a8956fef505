//! A store that refuses in the middle of a run, and others who write at the same time: nothing is lost by it, nobody is
//! removed or let in, and the next run comes to what an undisturbed one comes to.

use crate::database::{Database, Fault};
use crate::sync_full::{FULL, balanced};
use crate::world::{Setup, World, dn};
use bindery_core::sync::{Mode, SyncOutcome, SyncReason, SyncRequest, SyncRun};
use bindery_demo_directory::company;
use bindery_store::{Owner, UserFilter};
use std::collections::{BTreeMap, BTreeSet};

const INCREMENTAL: SyncRequest<'static> = SyncRequest { full: false, ..FULL };
const SOURCE: &str =
    "[sources.larkspur.sync]\nremoval_limit = { percent = 100 }\n[sources.larkspur.groups]\nmirror = true\n";

/// Everything that a run writes, in about the order in which it does.
const POINTS: [(&str, &str, &str); 16] = [
    ("INSERT", "groups", ""),
    ("INSERT", "group_memberships", ""),
    ("INSERT", "users", ""),
    ("INSERT", "links", ""),
    ("UPDATE", "users", ""),
    ("UPDATE", "links", ""),
    ("INSERT", "memberships", ""),
    ("DELETE", "memberships", ""),
    ("DELETE", "sessions", ""),
    ("INSERT", "rosters", ""),
    ("DELETE", "rosters", ""),
    ("INSERT", "positions", "NEW.feed = 'pending'"),
    ("INSERT", "positions", "NEW.feed = 'again'"),
    ("INSERT", "positions", "NEW.feed = 'known'"),
    ("INSERT", "positions", "NEW.feed = 'search'"),
    ("INSERT", "positions", "NEW.feed = 'feed'"),
];

/// One run, wherever it ends. Nobody who was seen is counted for two things, also where it had to begin again.
async fn sync(world: &World, request: SyncRequest<'_>) -> SyncRun {
    let run = world.engine.sync(&world.engine.source("larkspur").unwrap(), request).await;
    balanced(&run);
    run
}

/// What somebody is, as far as the directory decides.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    active: bool,
    email: String,
    groups: BTreeSet<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Everything {
    people: BTreeMap<String, Standing>,
    /// Each group, whether it is tied to an entry, and what hangs under it.
    groups: BTreeMap<String, (bool, BTreeSet<String>)>,
}

async fn everything(world: &World) -> Everything {
    let store = world.engine.store();
    let mut all = Everything { people: BTreeMap::new(), groups: BTreeMap::new() };
    for user in store.users(&UserFilter { limit: 1000, ..UserFilter::default() }).await.unwrap() {
        let view = world.engine.view(user.id).await.unwrap().unwrap();
        let (active, groups) = (view.flag("is_active"), view.groups.into_iter().collect());
        all.people.insert(view.username, Standing { active, email: view.email, groups });
    }
    let states = store.all_groups().await.unwrap();
    let names: BTreeMap<_, _> = states.iter().map(|one| (one.group.id, one.group.name.clone())).collect();
    for state in &states {
        all.groups.insert(state.group.name.clone(), (!state.links.is_empty(), BTreeSet::new()));
    }
    for (child, parent) in store.subgroups(&Owner::Source("larkspur".to_owned())).await.unwrap() {
        all.groups.get_mut(&names[&parent]).unwrap().1.insert(names[&child].clone());
    }
    all
}

/// In between, everybody is as they were, as they are to be, or on the way, and nobody is anything else.
#[track_caller]
fn nothing_else(now: &Everything, before: &Everything, after: &Everything, at: &str) {
    for (name, is) in &now.people {
        let (was, will) = (before.people.get(name), after.people.get(name));
        let (Some(one), Some(other)) = (was.or(will), will.or(was)) else { panic!("{at}: who is {name}?") };
        let (one_in, other_in) = (&one.groups, &other.groups);
        assert!(is.active == one.active || is.active == other.active, "{at}: {name} {is:?}");
        assert!(is.email == one.email || is.email == other.email, "{at}: {name} {is:?}");
        assert!(
            is.groups.iter().all(|group| one_in.contains(group) || other_in.contains(group)),
            "{at}: {name} {is:?}"
        );
        if was.is_some() {
            assert!(one_in.intersection(other_in).all(|group| is.groups.contains(group)), "{at}: {name} {is:?}");
        }
    }
    assert!(before.people.keys().all(|name| now.people.contains_key(name)), "{at}: somebody is missing");
}

async fn world(database: &Database) -> World {
    let world = World::new(Setup { source: SOURCE.to_owned(), store: Some(database.url()), ..Setup::default() }).await;
    sync(&world, FULL).await;
    world.enter("leo").await;
    world
}

/// Somebody comes, goes, changes, joins and leaves; groups come and go.
async fn change(world: &World) {
    let base = company::GROUPS_DN;
    world.delete(&[dn("leo"), format!("cn=finance,{base}")]).await;
    world.leave("zoe", "design").await;
    world.join("hana", "sales").await;
    world.set("mei", "mail", "new@larkspur.example").await;
    world.hire("newcomer").await;
    let (beth, contractors) = (dn("beth"), format!("cn=contractors,{base}"));
    world
        .edit(&format!(
            "dn: cn=fresh,{base}\nchangetype: add\nobjectClass: groupOfNames\ncn: fresh\nmember: {beth}\nmember: {contractors}\n"
        ))
        .await;
}

/// What a run that rests on all that was kept makes of one more change.
async fn one_more(world: &World) -> SyncRun {
    world.leave("owen", "design").await;
    world.leave("hana", "sales").await;
    sync(world, INCREMENTAL).await
}

async fn every_point(database: fn() -> Database, request: SyncRequest<'_>) {
    let undisturbed = database();
    let (before, after, at_last) = {
        let world = world(&undisturbed).await;
        let before = everything(&world).await;
        change(&world).await;
        let run = sync(&world, request).await;
        assert_eq!((run.outcome, run.mode == Mode::Full), (SyncOutcome::Completed, request.full), "{run:?}");
        let after = everything(&world).await;
        assert_eq!(one_more(&world).await.mode, Mode::Incremental);
        (before, after, everything(&world).await)
    };
    assert!(before != after && !after.people["leo"].active && after.people["hana"].groups.contains("sales"));
    let mut passed = Vec::new();
    for (verb, table, when) in POINTS {
        let at = format!("{verb} {table} {when}");
        let database = database();
        let world = world(&database).await;
        change(&world).await;
        database.fail(verb, table, when, Fault::Always).await;
        let run = sync(&world, request).await;
        if run.outcome == SyncOutcome::Completed && run.errors.is_empty() {
            // It writes nothing there.
            passed.push(at);
            continue;
        }
        nothing_else(&everything(&world).await, &before, &after, &at);
        database.mend(table).await;
        let run = sync(&world, INCREMENTAL).await;
        assert_eq!((run.outcome, &run.errors[..]), (SyncOutcome::Completed, &[][..]), "{at}: {run:?}");
        assert_eq!(everything(&world).await, after, "{at}: {run:?}");
        one_more(&world).await;
        assert_eq!(everything(&world).await, at_last, "{at}");
        assert_eq!(sync(&world, INCREMENTAL).await.mode, Mode::Incremental, "{at}: nothing is open any more");
    }
    // An incremental run does not touch what only a full one decides.
    let only_full = ["INSERT positions NEW.feed = 'known'", "INSERT positions NEW.feed = 'search'"];
    passed.retain(|at| request.full || !only_full.contains(&at.as_str()));
    passed.retain(|at| request.full || !at.ends_with("'pending'") && !at.ends_with("'again'"));
    assert!(passed.is_empty(), "{passed:?}");
}

#[tokio::test]
async fn a_full_run_that_sqlite_refuses_anywhere() {
    every_point(Database::sqlite, FULL).await;
}

#[tokio::test]
async fn an_incremental_run_that_sqlite_refuses_anywhere() {
    every_point(Database::sqlite, INCREMENTAL).await;
}

/// There the database says that it is full, which ends the run at once.
#[tokio::test]
async fn a_full_run_that_postgresql_refuses_anywhere() {
    every_point(Database::postgres, FULL).await;
}

#[tokio::test]
async fn an_incremental_run_that_postgresql_refuses_anywhere() {
    every_point(Database::postgres, INCREMENTAL).await;
}

/// Somebody else writes between the read and the removal: now and then is looked at again, always is left for the next run.
#[tokio::test]
async fn a_removal_that_others_are_in_the_way_of() {
    for (verb, table) in [("UPDATE", "users"), ("DELETE", "memberships")] {
        for request in [FULL, INCREMENTAL] {
            for fault in [Fault::Conflicts(1), Fault::Always] {
                let database = Database::postgres();
                let world = world(&database).await;
                let before = everything(&world).await;
                let base = company::GROUPS_DN;
                world.delete(&[dn("leo"), format!("cn=finance,{base}")]).await;
                world.leave("zoe", "design").await;
                let fault = if matches!(fault, Fault::Always) { Fault::Conflicts(1_000) } else { fault };
                let at = format!("{verb} {table} {} {fault:?}", request.full);
                database.fail(verb, table, "", fault).await;
                let run = sync(&world, request).await;
                assert_ne!(run.reason, Some(SyncReason::RemovalLimit), "{at}: {run:?}");
                let now = everything(&world).await;
                for (name, is) in &now.people {
                    let was = &before.people[name];
                    assert!(is.active == was.active || name == "leo", "{at}: {name}");
                    assert!(is.groups.is_subset(&was.groups), "{at}: {name}");
                }
                database.mend(table).await;
                let run = sync(&world, INCREMENTAL).await;
                assert_eq!((run.outcome, &run.errors[..]), (SyncOutcome::Completed, &[][..]), "{at}: {run:?}");
                let after = everything(&world).await;
                assert!(!after.people["leo"].active && !after.groups["finance"].0, "{at}: {run:?}");
                assert!(!after.people["zoe"].groups.contains("design"), "{at}: {run:?}");
                assert!(!after.people["greta"].groups.contains("finance"), "{at}: {run:?}");
                assert!(after.people.iter().all(|(name, is)| is.active == before.people[name].active || name == "leo"));
                assert_eq!(sync(&world, INCREMENTAL).await.mode, Mode::Incremental, "{at}");
            }
        }
    }
}
