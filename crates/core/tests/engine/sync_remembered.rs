//! What a run must not forget, and must not rest on: member lists, positions, fingerprints, groups that no feed tells of.

use crate::database::Database;
use crate::sync_full::{FULL, planned, sync};
use crate::world::{Setup, World, dn};
use bindery_core::sync::{Mode, SyncOutcome, SyncReason, SyncRequest};
use bindery_demo_directory::company;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

const INCREMENTAL: SyncRequest<'static> = SyncRequest { full: false, ..FULL };
const MIRROR: &str = "[sources.larkspur.groups]\nmirror = true\n";
/// A loaded machine gets this long before a test calls it a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// A group outside `groups.base_dn`, which only a rule names.
const APART: &str = "cn=app,ou=elsewhere,dc=larkspur,dc=example";

async fn stored(world: &World, feed: &str) -> Option<Value> {
    world.engine.store().position("larkspur", feed).await.unwrap()
}

async fn staff(world: &World, uid: &str) -> bool {
    world.user(uid).await.unwrap().flag("is_staff")
}

/// A refusal is remembered so that the next run passes over it, and not once they were let in again.
#[tokio::test]
async fn who_was_refused_let_in_and_is_refused_again_is_out() {
    let world = World::with("[sources.larkspur.access]\nrequire = \"sales\"\n").await;
    world.join("leo", "sales").await;
    sync(&world, FULL).await;
    world.leave("leo", "sales").await;
    assert!(sync(&world, FULL).await.users.skipped > 0);
    world.join("leo", "sales").await;
    let token = world.enter("leo").await;
    world.leave("leo", "sales").await;
    sync(&world, FULL).await;
    world.ended(&token).await;
}

/// Between two runs somebody joins, comes in, and leaves: the group lists whom it listed, and no feed tells of the rest.
#[tokio::test]
async fn what_a_sign_in_gave_between_two_runs_goes_with_the_next() {
    let rules = "[sources.larkspur.access]\nrequire = { any = [\"design\", \"sales\"] }\n\
                 [sources.larkspur.flags]\nis_superuser = \"it-admins\"\n[sources.larkspur.groups]\npermissions = \"live\"\n";
    let world = World::with(rules).await;
    let permitted = async |name| world.user(name).await.unwrap().permissions.contains(&"app.sell".to_owned());
    world.group("sales", "app.sell").await;
    let [leo, zoe] = ["leo", "zoe"];
    sync(&world, FULL).await;
    world.join(leo, "sales").await;
    world.join(zoe, "it-admins").await;
    world.join(zoe, "sales").await;
    let (out, stays) = (world.enter(leo).await, world.enter(zoe).await);
    assert!(world.user(zoe).await.unwrap().flag("is_superuser") && permitted(zoe).await);
    world.leave(leo, "sales").await;
    world.leave(zoe, "it-admins").await;
    world.leave(zoe, "sales").await;
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!(run.mode, Mode::Incremental, "{run:?}");
    world.ended(&out).await;
    world.current(&stays).await;
    assert!(!world.user(zoe).await.unwrap().flag("is_superuser") && !permitted(zoe).await);
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!((run.mode, run.users.seen), (Mode::Incremental, 0), "once is enough: {run:?}");
}

/// What is only written in the link vouches no more once a sign-in has changed it.
#[tokio::test]
async fn permissions_that_come_and_go_between_two_full_runs_go() {
    let world = World::with("[sources.larkspur.groups]\npermissions = \"live\"\n").await;
    world.group("sales", "app.sell").await;
    sync(&world, FULL).await;
    world.join("zoe", "sales").await;
    world.enter("zoe").await;
    let permitted = async || world.user("zoe").await.unwrap().permissions.contains(&"app.sell".to_owned());
    assert!(permitted().await);
    world.leave("zoe", "sales").await;
    sync(&world, FULL).await;
    assert!(!permitted().await);
}

/// What was not decided because groups were not read has to come again.
#[tokio::test]
async fn a_run_that_could_not_read_groups_leaves_the_position_and_the_lists() {
    let mut world = World::with("[sources.larkspur.flags]\nis_staff = \"sales\"\n").await;
    sync(&world, FULL).await;
    let (feed, seen) = (stored(&world, "feed").await, world.user("leo").await.unwrap().link.unwrap().last_seen);
    let lists = world.engine.store().roster_ids("larkspur").await.unwrap();
    world.clock.advance(Duration::from_mins(1));
    world.outage().await;
    world.recover_with(|options| options.size_limit = 6);
    let run = sync(&world, FULL).await;
    assert_eq!((run.outcome, run.reason), (SyncOutcome::Held, Some(SyncReason::Incomplete)), "{run:?}");
    assert_eq!(stored(&world, "feed").await, feed, "the feed goes on from where it was");
    assert!(stored(&world, "pending").await.is_some_and(|pending| pending.is_string()));
    assert_eq!(world.engine.store().roster_ids("larkspur").await.unwrap(), lists, "no list is forgotten");
    assert_eq!(world.user("leo").await.unwrap().link.unwrap().last_seen, seen);

    world.outage().await;
    world.recover();
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!((run.mode, run.outcome), (Mode::Full, SyncOutcome::Completed), "{run:?}");
    assert_ne!(stored(&world, "feed").await, feed);
    assert_eq!(stored(&world, "pending").await, Some(Value::Null));
}

fn rule(attribute: &str) -> String {
    format!("{MIRROR}[sources.larkspur.flags]\nis_staff = \"{attribute}\"\n")
}

async fn add_group(world: &World, dn: &str, attributes: &str) {
    world.edit(&format!("dn: {dn}\nchangetype: add\nobjectClass: groupOfNames\n{attributes}")).await;
}

/// Whose primary group it is, is in no list.
#[tokio::test]
async fn people_whose_primary_group_goes_are_concerned() {
    let clerks = format!("cn=clerks,{}", company::GROUPS_DN);
    for change in ["changetype: delete\n", "changetype: modify\ndelete: gidNumber\n"] {
        let world = World::with(&rule("clerks")).await;
        add_group(&world, &clerks, &format!("cn: clerks\ngidNumber: 5000\nmember: {}\n", dn("zoe"))).await;
        world.set("leo", "gidNumber", "5000").await;
        sync(&world, FULL).await;
        assert!(world.user("leo").await.unwrap().in_group("clerks"));
        world.edit(&format!("dn: {clerks}\n{change}")).await;
        sync(&world, INCREMENTAL).await;
        assert!(!world.user("leo").await.unwrap().in_group("clerks"), "{change}");
    }
}

#[tokio::test]
async fn people_whose_primary_group_leaves_a_group_are_concerned() {
    let (clerks, office) = (format!("cn=clerks,{}", company::GROUPS_DN), format!("cn=office,{}", company::GROUPS_DN));
    let world = World::with(&rule("office")).await;
    add_group(&world, &clerks, &format!("cn: clerks\ngidNumber: 5000\nmember: {}\n", dn("beth"))).await;
    add_group(&world, &office, &format!("cn: office\nmember: {clerks}\nmember: {}\n", dn("zoe"))).await;
    world.set("leo", "gidNumber", "5000").await;
    sync(&world, FULL).await;
    assert!(staff(&world, "leo").await && staff(&world, "zoe").await);
    world.edit(&format!("dn: {office}\nchangetype: modify\ndelete: member\nmember: {clerks}\n")).await;
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!(run.mode, Mode::Incremental, "{run:?}");
    assert!(!staff(&world, "leo").await && staff(&world, "zoe").await);
}

/// A list that must not be empty is often filled with the empty DN.
#[tokio::test]
async fn a_filler_among_members_is_nobody_and_no_failure() {
    let world = World::with(&rule("sales")).await;
    let filled = format!("cn=filled,{}", company::GROUPS_DN);
    add_group(&world, &filled, &format!("cn: filled\nmember: {}\nmember:\n", dn("leo"))).await;
    for request in [FULL, INCREMENTAL] {
        let run = sync(&world, request).await;
        assert_eq!((run.outcome, run.mode == Mode::Full), (SyncOutcome::Completed, request.full), "{run:?}");
    }
    world.edit(&format!("dn: {filled}\nchangetype: modify\ndelete: member\nmember: {}\n", dn("leo"))).await;
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!((run.outcome, run.mode), (SyncOutcome::Completed, Mode::Incremental), "{run:?}");
    assert!(!world.user("leo").await.unwrap().in_group("filled"));
}

async fn with_apart(live: &str) -> World {
    let groups = format!("[sources.larkspur.groups]\nbase_dn = \"{}\"\n", company::GROUPS_DN);
    let world = World::with(&format!("{live}{groups}[sources.larkspur.access]\nrequire = \"{APART}\"\n")).await;
    let ou = APART.split_once(',').unwrap().1;
    world.edit(&format!("dn: {ou}\nchangetype: add\nobjectClass: organizationalUnit\nou: elsewhere\n")).await;
    add_group(&world, APART, &format!("cn: app\nmember: {}\nmember: {}\n", dn("leo"), dn("zoe"))).await;
    world
}

async fn leave_apart(world: &World, uid: &str) {
    world.edit(&format!("dn: {APART}\nchangetype: modify\ndelete: member\nmember: {}\n", dn(uid))).await;
}

#[tokio::test]
async fn a_group_that_only_a_rule_names_is_read_again_by_each_run() {
    let world = with_apart("").await;
    sync(&world, FULL).await;
    let (leo, zoe) = (world.enter("leo").await, world.enter("zoe").await);
    assert_eq!(sync(&world, INCREMENTAL).await.users.seen, 0);
    leave_apart(&world, "leo").await;
    let run = planned(&world, INCREMENTAL).await;
    assert_eq!((run.mode, run.users.seen), (Mode::Incremental, 1), "{run:?}");
    world.ended(&leo).await;
    world.current(&zoe).await;
    assert_eq!(sync(&world, INCREMENTAL).await.users.seen, 0, "once");

    world.delete(&[APART.to_owned()]).await;
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!(run.mode, Mode::Full, "{run:?}");
    assert!(run.full_because.unwrap().contains("cn=app"));
    world.current(&zoe).await;
}

/// Groups in such a group, which nothing names at all.
#[tokio::test]
async fn groups_in_a_group_that_only_a_rule_names_are_read_again_too() {
    let world = with_apart("").await;
    let (crew, night) = (APART.replacen("app", "crew", 1), APART.replacen("app", "night", 1));
    add_group(&world, &crew, &format!("cn: crew\nmember: {}\n", dn("beth"))).await;
    world.edit(&format!("dn: {APART}\nchangetype: modify\nadd: member\nmember: {crew}\n")).await;
    sync(&world, FULL).await;
    let beth = world.enter("beth").await;
    assert_eq!(sync(&world, INCREMENTAL).await.users.seen, 0);

    world.edit(&format!("dn: {crew}\nchangetype: modify\nreplace: member\nmember: {}\n", dn("ann"))).await;
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!((run.mode, run.users.seen), (Mode::Incremental, 2), "{run:?}");
    world.ended(&beth).await;
    world.enter("ann").await;

    // Another one comes into it: from then on that one is read again as well.
    add_group(&world, &night, &format!("cn: night\nmember: {}\n", dn("beth"))).await;
    world.edit(&format!("dn: {crew}\nchangetype: modify\nadd: member\nmember: {night}\n")).await;
    let run = sync(&world, INCREMENTAL).await;
    assert!(run.mode == Mode::Full && run.full_because.as_ref().unwrap().contains("cn=night"), "{run:?}");
    let beth = world.enter("beth").await;
    world.edit(&format!("dn: {night}\nchangetype: modify\nreplace: member\nmember: {}\n", dn("zoe"))).await;
    assert_eq!(sync(&world, INCREMENTAL).await.mode, Mode::Incremental);
    world.ended(&beth).await;

    // What the group in it is out of, those in that one are out of.
    let zoe = world.enter("zoe").await;
    leave_apart(&world, "zoe").await;
    sync(&world, INCREMENTAL).await;
    world.current(&zoe).await;
    world.edit(&format!("dn: {crew}\nchangetype: modify\ndelete: member\nmember: {night}\n")).await;
    assert_eq!(sync(&world, INCREMENTAL).await.outcome, SyncOutcome::Completed);
    world.ended(&zoe).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_only_a_rule_names_is_polled_by_a_follower() {
    let world = with_apart("[sources.larkspur.sync]\nlive = true\n").await;
    sync(&world, FULL).await;
    let leo = world.enter("leo").await;
    let engine = world.engine.clone();
    let following = tokio::spawn(async move { engine.keep_in_sync().await });
    leave_apart(&world, "leo").await;
    let began = Instant::now();
    while !matches!(world.engine.session(&leo).await, bindery_core::engine::SessionState::Ended(_)) {
        assert!(began.elapsed() < PATIENCE, "the session never ended");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.engine.stop_syncing();
    following.await.unwrap();
}

/// What a run rests on, each as nobody can read it: of a newer version, and no JSON at all.
const LEFT: [&str; 6] = ["again", "apart", "pending", "feed", "search", "rules"];

/// It says so, reads everything by itself, and what can be read after it is rested on again.
async fn everything_is_read_because(world: &World, what: &str) {
    let run = sync(world, INCREMENTAL).await;
    assert_eq!((run.mode, run.outcome), (Mode::Full, SyncOutcome::Completed), "{what}: {run:?}");
    assert!(run.full_because.is_some() && run.errors.is_empty(), "{what}: {run:?}");
    assert_eq!((run.users.deactivated, run.groups.deactivated, run.memberships.removed), (0, 0, 0), "{what}: {run:?}");
    world.leave("leo", "author-relations").await;
    let run = sync(world, INCREMENTAL).await;
    assert!(run.mode == Mode::Incremental && run.memberships.removed > 0, "{what}: {run:?}");
    world.join("leo", "author-relations").await;
    sync(world, INCREMENTAL).await;
}

#[tokio::test]
async fn what_was_left_and_cannot_be_read_is_doubt() {
    let database = Database::sqlite();
    let setup = Setup { source: MIRROR.to_owned(), store: Some(database.url()), ..Setup::default() };
    let world = World::new(setup).await;
    sync(&world, FULL).await;
    for what in LEFT {
        for value in ["[{\"of\": \"a newer version\"}]", "{\"cut"] {
            database.run(&format!("UPDATE positions SET value = '{value}' WHERE feed = '{what}'")).await;
            everything_is_read_because(&world, what).await;
        }
    }
    // The others are read as they are needed.
    world.join("hana", "sales").await;
    database.run("UPDATE positions SET value = '{\"cut' WHERE feed = 'known'").await;
    everything_is_read_because(&world, "known").await;
    world.leave("zoe", "design").await;
    database.run("UPDATE rosters SET members = CAST(x'fffe' AS TEXT)").await;
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!((run.mode, run.outcome), (Mode::Full, SyncOutcome::Completed), "{run:?}");
    assert!(
        !world.user("zoe").await.unwrap().in_group("design") && run.full_because.unwrap().contains("cannot be read")
    );
    world.join("zoe", "design").await;
    sync(&world, INCREMENTAL).await;
    database.run("UPDATE rosters SET digest = x'01'").await;
    assert_eq!(sync(&world, FULL).await.outcome, SyncOutcome::Completed);
    world.leave("zoe", "design").await;
    let run = sync(&world, INCREMENTAL).await;
    assert!(run.mode == Mode::Incremental && run.memberships.removed > 0, "{run:?}");
}

/// A source that is searched in another way than nobody can say removes nobody by itself.
#[tokio::test]
async fn a_search_that_cannot_be_read_is_another_one() {
    for database in Database::all() {
        let setup = Setup { source: MIRROR.to_owned(), store: Some(database.url()), ..Setup::default() };
        let world = World::new(setup).await;
        sync(&world, FULL).await;
        world.delete(&[dn("leo")]).await;
        database.run("UPDATE positions SET value = '{\"of\": \"a newer version\"}' WHERE feed = 'search'").await;
        for _ in 0..2 {
            let run = sync(&world, INCREMENTAL).await;
            assert_eq!((run.mode, run.reason), (Mode::Full, Some(SyncReason::ChangedSearch)), "{run:?}");
            assert!(world.user("leo").await.unwrap().flag("is_active"));
        }
        let run = sync(&world, SyncRequest { allow_removals: true, ..FULL }).await;
        assert_eq!((run.outcome, run.users.deactivated), (SyncOutcome::Completed, 1), "{run:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_reads_everything_where_what_was_left_cannot_be_read() {
    let database = Database::sqlite();
    let source = format!("{MIRROR}[sources.larkspur.sync]\nlive = true\nremoval_limit = {{ percent = 100 }}\n");
    let world = World::new(Setup { source, store: Some(database.url()), ..Setup::default() }).await;
    sync(&world, FULL).await;
    for what in ["again", "apart"] {
        database.run(&format!("UPDATE positions SET value = '{{\"cut' WHERE feed = '{what}'")).await;
    }
    // How many were removed in the last hour nobody knows: none may be now.
    database.run("INSERT INTO positions VALUES ('larkspur', 'removals', '{\"cut', '2026-01-01T00:00:00Z')").await;
    let engine = world.engine.clone();
    let following = tokio::spawn(async move { engine.keep_in_sync().await });
    world.set("leo", "mail", "new@larkspur.example").await;
    until(async || world.user("leo").await.unwrap().email == "new@larkspur.example").await;
    database.run("UPDATE rosters SET members = CAST(x'fffe' AS TEXT)").await;
    world.join("leo", "sales").await;
    until(async || world.user("leo").await.unwrap().in_group("sales")).await;
    let because = async || {
        let runs = world.engine.store().sync_runs(None, 100).await.unwrap();
        runs.iter().filter(|run| run.report["full_because"].to_string().contains("cannot be read")).count()
    };
    until(async || because().await == 2).await;
    world.delete(&[dn("zoe")]).await;
    let held = async || {
        let runs = world.engine.store().sync_runs(None, 100).await.unwrap();
        runs.iter().any(|run| run.outcome == "held")
    };
    until(held).await;
    assert!(world.user("zoe").await.unwrap().flag("is_active"));
    world.clock.advance(Duration::from_hours(1));
    world.delete(&[dn("sofia")]).await;
    until(async || !world.user("sofia").await.unwrap().flag("is_active")).await;
    world.engine.stop_syncing();
    following.await.unwrap();
}

async fn until(is_so: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "never");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A local group of two entries goes with the last of them, whoever notices.
#[tokio::test]
async fn a_group_of_two_entries_goes_with_both() {
    for request in [FULL, INCREMENTAL] {
        let world = World::with(MIRROR).await;
        let twin = |ou: &str| format!("cn=twin,{ou}{}", company::GROUPS_DN);
        let ou =
            format!("dn: ou=more,{}\nchangetype: add\nobjectClass: organizationalUnit\nou: more\n", company::GROUPS_DN);
        world.edit(&ou).await;
        for ou in ["", "ou=more,"] {
            add_group(&world, &twin(ou), &format!("cn: twin\nmember: {}\n", dn("leo"))).await;
        }
        sync(&world, FULL).await;
        let links = async || world.engine.store().group_by_name("twin").await.unwrap().unwrap().links.len();
        assert_eq!(links().await, 2);
        world.delete(&[twin("")]).await;
        sync(&world, request).await;
        assert!(world.user("leo").await.unwrap().in_group("twin"));
        world.delete(&[twin("ou=more,")]).await;
        let run = sync(&world, request).await;
        assert_eq!((run.groups.deactivated, links().await), (1, 0), "{run:?}");
    }
}
