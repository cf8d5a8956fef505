//! What has changed, and no more: by an incremental run, and live.

use crate::database::{Database, Fault};
use crate::sync_full::{FULL, sync};
use crate::world::{Setup, World, dn};
use bindery_core::engine::SessionState;
use bindery_core::sync::{Mode, SyncOutcome, SyncRequest};
use bindery_core::token::Token;
use bindery_demo_directory::company;
use bindery_store::Change;
use std::time::Duration;
use tokio::time::Instant;

const MIRROR: &str = "[sources.larkspur.groups]\nmirror = true\n";
const INCREMENTAL: SyncRequest<'static> = SyncRequest { full: false, ..FULL };
/// A second is promised; a loaded machine gets more before a test calls it a failure.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_first_run_is_full_and_says_why_and_the_next_reads_changes_only() {
    let world = World::with(MIRROR).await;
    let first = sync(&world, INCREMENTAL).await;
    assert_eq!((first.mode, first.outcome), (Mode::Full, SyncOutcome::Completed), "{first:?}");
    assert!(first.full_because.is_some());
    let quiet = sync(&world, INCREMENTAL).await;
    assert_eq!((quiet.mode, quiet.users.seen, quiet.groups.seen), (Mode::Incremental, 0, 0), "{quiet:?}");
    world.set("leo", "mail", "new@larkspur.example").await;
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!((run.mode, run.users.seen, run.users.updated), (Mode::Incremental, 1, 1), "{run:?}");
    assert_eq!(world.user("leo").await.unwrap().email, "new@larkspur.example");
}

#[tokio::test]
async fn a_change_of_a_group_reaches_its_people() {
    let world = World::with(MIRROR).await;
    sync(&world, FULL).await;
    world.leave("leo", "author-relations").await;
    world.join("leo", "sales").await;
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!((run.mode, run.outcome), (Mode::Incremental, SyncOutcome::Completed), "{run:?}");
    let leo = world.user("leo").await.unwrap();
    assert!(leo.in_group("sales") && !leo.in_group("author-relations"), "{:?} {run:?}", leo.groups);
}

#[tokio::test]
async fn somebody_deleted_is_deactivated_by_an_incremental_run() {
    let world = World::with(MIRROR).await;
    sync(&world, FULL).await;
    let token = world.enter("leo").await;
    world.edit(&format!("dn: {}\nchangetype: delete\n", dn("leo"))).await;
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!((run.mode, run.users.deactivated), (Mode::Incremental, 1), "{run:?}");
    world.ended(&token).await;
}

/// Whoever was written before a run had to begin again is met again as they are to be, and is still one person.
#[tokio::test]
async fn a_run_that_begins_again_counts_everybody_once() {
    let database = Database::sqlite();
    let world = World::new(Setup { source: MIRROR.to_owned(), store: Some(database.url()), ..Setup::default() }).await;
    sync(&world, FULL).await;
    world.set("mei", "mail", "new@larkspur.example").await;
    world.hire("newcomer").await;
    world.delete(&[dn("leo")]).await;
    let (base, beth) = (company::GROUPS_DN, dn("beth"));
    let fresh = format!("dn: cn=fresh,{base}\nchangetype: add\nobjectClass: groupOfNames\ncn: fresh\nmember: {beth}\n");
    world.edit(&fresh).await;
    world.leave("zoe", "design").await;
    // The store refuses a removal: no feed tells of it again.
    database.fail("DELETE", "memberships", "", Fault::Always).await;
    let run = sync(&world, INCREMENTAL).await;
    assert!(run.full_because.as_ref().unwrap().contains("could not be carried out"), "{run:?}");
    let (users, groups) = (run.users, run.groups);
    assert_eq!((users.created, users.deactivated, users.deleted, users.failed), (1, 1, 0, 0), "{run:?}");
    assert_eq!(users.created + users.updated + users.unchanged + users.skipped, users.seen, "{run:?}");
    assert_eq!((groups.created, groups.updated, groups.failed), (1, 0, 0), "{run:?}");
    assert_eq!(groups.created + groups.unchanged + groups.skipped, groups.seen, "{run:?}");
    assert_eq!(users.seen, 21, "everybody but leo, once: {run:?}");
}

/// What stood in somebody's way goes, and no feed tells of that.
#[tokio::test]
async fn somebody_who_failed_is_looked_at_again_by_the_next_run() {
    for first in [FULL, INCREMENTAL] {
        let world = World::with(MIRROR).await;
        let squatter = world.local("newcomer", None).await;
        sync(&world, FULL).await;
        world.hire("newcomer").await;
        let run = sync(&world, first).await;
        assert_eq!((run.users.failed, run.users.created), (1, 0), "{run:?}");
        let run = sync(&world, INCREMENTAL).await;
        assert_eq!((run.mode, run.users.failed), (Mode::Incremental, 1), "{run:?}");
        assert!(run.errors[0].contains("newcomer"), "{:?}", run.errors);
        world.apply(vec![Change::DeleteUser { user: squatter }]).await;
        let run = sync(&world, INCREMENTAL).await;
        assert_eq!((run.mode, run.users.created, run.users.failed), (Mode::Incremental, 1, 0), "{run:?}");
        assert!(world.user("newcomer").await.unwrap().link.is_some());
        assert_eq!(sync(&world, INCREMENTAL).await.users.seen, 0, "once");
    }
}

/// Only so many are remembered one by one; nobody is forgotten for that.
#[tokio::test]
async fn if_more_fail_than_are_remembered_the_next_run_is_full_and_says_why() {
    let crowd = |verb: &str, from: usize, to: usize| {
        let attributes = if verb == "add" { "objectClass: inetOrgPerson\ncn: x\nsn: x\n" } else { "" };
        let one = |at: usize| format!("dn: uid=x{at},{}\nchangetype: {verb}\n{attributes}\n", company::PEOPLE_DN);
        (from..to).map(one).collect::<String>()
    };
    for first in [FULL, INCREMENTAL] {
        // Nobody of the crowd has a name.
        let world = World::with("[sources.larkspur.users.attributes]\nusername = \"employeeNumber\"\n").await;
        sync(&world, FULL).await;
        world.edit(&crowd("add", 0, 500)).await;
        assert_eq!(sync(&world, first).await.users.failed, 500);
        let run = sync(&world, INCREMENTAL).await;
        assert_eq!((run.mode, run.users.failed), (Mode::Incremental, 500), "each is remembered: {run:?}");
        world.edit(&crowd("add", 500, 501)).await;
        let run = sync(&world, first).await;
        assert_eq!((run.mode == Mode::Full, run.users.failed), (first.full, 501), "{run:?}");
        let run = sync(&world, INCREMENTAL).await;
        assert_eq!((run.mode, run.users.failed), (Mode::Full, 501), "{run:?}");
        assert!(run.full_because.as_ref().is_some_and(|why| why.contains("too many")), "{:?}", run.full_because);
        world.edit(&crowd("delete", 0, 400)).await;
        assert_eq!(sync(&world, INCREMENTAL).await.mode, Mode::Full, "they had not left when it began");
        assert_eq!(sync(&world, INCREMENTAL).await.mode, Mode::Incremental);
    }
}

#[tokio::test]
async fn somebody_who_failed_and_left_is_not_looked_for_for_ever() {
    let world = World::with(MIRROR).await;
    world.local("newcomer", None).await;
    world.hire("newcomer").await;
    sync(&world, FULL).await;
    world.edit(&format!("dn: uid=newcomer,{}\nchangetype: delete\n", company::PEOPLE_DN)).await;
    sync(&world, INCREMENTAL).await;
    let again = world.engine.store().position("larkspur", "again").await.unwrap();
    assert_eq!(again, Some(serde_json::json!([])));
}

/// How groups count is a rule as much as those in `access`.
#[tokio::test]
async fn another_way_to_read_groups_is_another_rule() {
    let world = World::with(MIRROR).await;
    sync(&world, FULL).await;
    assert!(world.user("kwame").await.unwrap().in_group("engineering"));
    let source = format!("{MIRROR}nested = \"none\"\n[sources.larkspur.sync]\nremoval_limit = {{ percent = 100 }}\n");
    world.reload(&Setup { source, ..Setup::default() });
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!((run.mode, run.outcome), (Mode::Full, SyncOutcome::Completed), "{run:?}");
    assert!(run.full_because.unwrap().contains("rules"));
    assert!(!world.user("kwame").await.unwrap().in_group("engineering"));
}

/// Everybody is in doubt while a group of the rules cannot be found. Once it can, no feed tells of those who are not in it.
#[tokio::test]
async fn a_group_of_the_rules_that_comes_or_goes_concerns_everybody() {
    let world = World::with("[sources.larkspur.access]\ndeny = \"leavers\"\n").await;
    let run = sync(&world, FULL).await;
    assert_eq!((run.users.created, run.users.skipped), (0, 21), "{run:?}");
    let (base, leo) = (company::GROUPS_DN, dn("leo"));
    world
        .edit(&format!(
            "dn: cn=leavers,{base}\nchangetype: add\nobjectClass: groupOfNames\ncn: leavers\nmember: {leo}\n"
        ))
        .await;
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!((run.mode, run.users.created, run.users.skipped), (Mode::Full, 18, 3), "{run:?}");
    assert!(run.full_because.unwrap().contains("rules name"));
    world.edit(&format!("dn: cn=leavers,{base}\nchangetype: modify\nadd: member\nmember: {}\n", dn("zoe"))).await;
    assert_eq!(sync(&world, INCREMENTAL).await.mode, Mode::Incremental);
    world.delete(&[format!("cn=leavers,{base}")]).await;
    let run = sync(&world, INCREMENTAL).await;
    assert_eq!((run.mode, run.users.skipped, run.users.deactivated), (Mode::Full, 21, 0), "{run:?}");
}

/// Waits until a session has ended.
async fn ends(world: &World, token: &Token) -> Duration {
    let began = Instant::now();
    while !matches!(world.engine.session(token).await, SessionState::Ended(_)) {
        assert!(began.elapsed() < PATIENCE, "the session never ended");
        tokio::task::yield_now().await;
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_disabled_deleted_or_out_of_a_required_group_is_out_at_once() {
    let source = "[sources.larkspur.sync]\nlive = true\n[sources.larkspur.access]\nrequire = \"everyone\"\n";
    let world = World::with(&source.replace("everyone", "author-relations")).await;
    let engine = world.engine.clone();
    let following = tokio::spawn(async move { engine.keep_in_sync().await });
    let token = world.enter("leo").await;
    world.leave("leo", "author-relations").await;
    ends(&world, &token).await;
    world.join("leo", "author-relations").await;
    let token = world.enter("leo").await;
    world.edit(&format!("dn: {}\nchangetype: delete\n", dn("leo"))).await;
    ends(&world, &token).await;
    world.engine.stop_syncing();
    following.await.unwrap();
}
