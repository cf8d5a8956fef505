//! Following a directory: what it may remove, what it says of itself, and how it comes back after an outage.

use crate::database::Database;
use crate::sync_full::{FULL, planned, sync};
use crate::world::{Setup, World, dn};
use bindery_core::Clock;
use bindery_core::events::{EventHandler, Populate, Veto};
use bindery_core::sync::{Progress, SyncOutcome, SyncReason, SyncRequest};
use bindery_demo_directory::company;
use bindery_store::{Change, SyncRunRecord};
use futures::future::BoxFuture;
use sqlx::Connection as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A loaded machine gets this long before a test calls it a failure.
const PATIENCE: Duration = Duration::from_secs(20);
const LIVE: &str = "[sources.larkspur.sync]\nlive = true\n";
const INCREMENTAL: SyncRequest<'static> = SyncRequest { full: false, ..FULL };
const ALLOW: SyncRequest<'static> = SyncRequest { allow_removals: true, ..FULL };
const MIRROR: &str = "[sources.larkspur.groups]\nmirror = true\n";

fn follow(world: &World) -> JoinHandle<()> {
    let engine = world.engine.clone();
    tokio::spawn(async move { engine.keep_in_sync().await })
}

/// A company that a run has read as a whole and that is followed from there.
async fn followed(world: World) -> (World, JoinHandle<()>) {
    sync(&world, FULL).await;
    let following = follow(&world);
    (world, following)
}

async fn stop(world: &World, following: JoinHandle<()>) {
    world.engine.stop_syncing();
    following.await.unwrap();
}

/// Waits until something is so, and says how long that took.
async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) -> Duration {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

async fn active(world: &World, uid: &str) -> bool {
    world.user(uid).await.is_some_and(|user| user.flag("is_active"))
}

async fn mail(world: &World, uid: &str, mail: &str) -> Duration {
    world.set(uid, "mail", mail).await;
    until("the change arrives", || async { world.user(uid).await.is_some_and(|user| user.email == mail) }).await
}

async fn runs(world: &World, outcome: &str) -> Vec<SyncRunRecord> {
    let runs = world.engine.store().sync_runs(None, 100).await.unwrap();
    runs.into_iter().filter(|run| run.outcome == outcome).collect()
}

/// The run that is held besides those.
async fn held(world: &World, so_far: &[SyncRunRecord]) -> SyncRunRecord {
    until("something is held", || async { runs(world, "held").await.len() > so_far.len() }).await;
    let mut runs = runs(world, "held").await;
    runs.retain(|run| !so_far.iter().any(|known| known.id == run.id));
    runs.remove(0)
}

/// One by one they are counted together, of those there were at first, whoever follows; after an hour anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removals_of_an_hour_count_together_whoever_follows() {
    let source = format!("{LIVE}removal_limit = {{ count = 500, percent = 25 }}\n");
    let world = World::with(&source).await;
    world.hire("newcomer").await;
    assert_eq!(sync(&world, FULL).await.users.created, 20);
    let following = follow(&world);
    for uid in ["leo", "zoe", "sofia", "beth"] {
        world.delete(&[dn(uid)]).await;
        until("the removal arrives", || async { !active(&world, uid).await }).await;
    }
    // Another follower, with the same configuration read again.
    world.reload(&Setup { source: source.clone(), ..Setup::default() });
    world.delete(&[dn("greta")]).await;
    until("the removal arrives", || async { !active(&world, "greta").await }).await;
    world.delete(&[dn("owen")]).await;
    let run = held(&world, &[]).await;
    assert_eq!((run.mode.as_str(), run.report["reason"].as_str()), ("live", Some("removal_limit")), "{run:?}");
    assert_eq!(run.report["would_remove"][0]["name"], "owen");
    assert!(active(&world, "owen").await);

    world.reload(&Setup { source, ..Setup::default() });
    world.delete(&[dn("hana")]).await;
    held(&world, &[run]).await;
    assert!(active(&world, "hana").await);
    world.clock.advance(Duration::from_hours(1));
    world.delete(&[dn("mei")]).await;
    until("the removal arrives", || async { !active(&world, "mei").await }).await;
    stop(&world, following).await;
}

/// A full run that nobody asked for is no way around the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_removed_in_doubt_counts_together_with_what_was_before() {
    let limit = "removal_limit = { count = 2, percent = 100 }\n";
    let (world, following) = followed(World::with(&format!("{LIVE}{limit}")).await).await;
    for uid in ["leo", "zoe"] {
        world.delete(&[dn(uid)]).await;
        until("the removal arrives", || async { !active(&world, uid).await }).await;
    }
    // Not followed, until it is by other rules.
    world.reload(&Setup { source: format!("[sources.larkspur.sync]\n{limit}"), ..Setup::default() });
    let lease = async || world.engine.store().lease("live:larkspur", world.clock.now()).await.unwrap();
    until("nobody follows", || async { lease().await.is_none() }).await;
    world.delete(&[dn("sofia")]).await;
    let source = format!("{LIVE}{limit}[sources.larkspur.flags]\nis_staff = \"sales\"\n");
    world.reload(&Setup { source, ..Setup::default() });
    let run = held(&world, &[]).await;
    assert_eq!((run.mode.as_str(), run.report["reason"].as_str()), ("full", Some("removal_limit")), "{run:?}");
    assert!(active(&world, "sofia").await);
    // Once somebody has looked, the count begins anew.
    assert_eq!(sync(&world, ALLOW).await.users.deactivated, 1);
    world.delete(&[dn("owen")]).await;
    until("the removal arrives", || async { !active(&world, "owen").await }).await;
    stop(&world, following).await;
}

/// A run by hand or by schedule is no way around the limit either, unless somebody has looked or the hour is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_live_holds_no_other_run_carries_out() {
    let (world, following) =
        followed(World::with(&format!("{LIVE}removal_limit = {{ count = 1, percent = 100 }}\n{MIRROR}")).await).await;
    world.delete(&[dn("leo")]).await;
    until("the removal arrives", || async { !active(&world, "leo").await }).await;
    world.delete(&[dn("zoe")]).await;
    held(&world, &[]).await;
    stop(&world, following).await;
    let waits = async |request| {
        let run = planned(&world, request).await;
        assert_eq!((run.outcome, run.reason), (SyncOutcome::Held, Some(SyncReason::RemovalLimit)), "{run:?}");
        assert_eq!(run.would_remove.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["zoe"], "{run:?}");
        assert!(active(&world, "zoe").await);
    };
    waits(INCREMENTAL).await;
    waits(FULL).await;
    world.clock.advance(Duration::from_hours(1));
    let run = planned(&world, INCREMENTAL).await;
    assert_eq!((run.outcome, run.users.deactivated), (SyncOutcome::Completed, 1), "{run:?}");

    // Where nobody knows how many were removed, nobody goes; a dry run leaves that as it is.
    let store = world.engine.store();
    let damaged = serde_json::json!({ "of": "another kind" });
    store.put_position("larkspur", "removals", damaged.clone(), world.clock.now()).await.unwrap();
    world.delete(&[dn("sofia")]).await;
    let dry = sync(&world, SyncRequest { dry_run: true, ..FULL }).await;
    assert_eq!(dry.reason, Some(SyncReason::RemovalLimit), "{dry:?}");
    assert_eq!(store.position("larkspur", "removals").await.unwrap(), Some(damaged));
    assert_eq!(sync(&world, FULL).await.reason, Some(SyncReason::RemovalLimit));
    assert_eq!(sync(&world, ALLOW).await.users.deactivated, 1);
    world.delete(&[dn("beth")]).await;
    assert_eq!(sync(&world, FULL).await.users.deactivated, 1, "it is known again");
}

/// Another one follows by now: what was being written is given up, what was removed counts for whoever follows, and nobody has
/// to wait for a lease that nobody uses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_no_longer_follows_leaves_a_count_and_no_lease() {
    for in_doubt in [false, true] {
        let database = Database::postgres();
        let setup = |rules: &str| {
            let source = format!("{LIVE}{rules}{MIRROR}");
            Setup { source, store: Some(database.url()), ..Setup::default() }
        };
        let world = World::new(setup("")).await;
        sync(&world, FULL).await;
        // What comes after the removals.
        let lists = database.hold("rosters").await;
        world.leave("zoe", "design").await;
        if in_doubt {
            world.reload(&setup("[sources.larkspur.flags]\nis_staff = \"sales\"\n"));
        }
        let following = follow(&world);
        let out = || async { !world.user("zoe").await.unwrap().in_group("design") };
        until("the membership goes", out).await;
        database.run("UPDATE leases SET holder = 'another' WHERE name = 'live:larkspur'").await;
        let lease = async |name: &str| world.engine.store().lease(name, world.clock.now()).await.unwrap();
        until("the lease is free", || async { lease("sync:larkspur").await.is_none() }).await;
        let count = world.engine.store().position("larkspur", "removals").await.unwrap().unwrap();
        assert!(count[0]["memberships"].as_u64() > Some(0), "in doubt {in_doubt}: {count}");
        assert_eq!(lease("live:larkspur").await.unwrap().holder, "another");
        lists.close().await.unwrap();
        stop(&world, following).await;
    }
}

/// Notes the addresses that are decided for leo.
#[derive(Default)]
struct Addresses(Mutex<Vec<String>>);

impl EventHandler for Addresses {
    fn populate<'a>(&'a self, event: Populate<'a>) -> BoxFuture<'a, Result<(), Veto>> {
        if event.decision.username == "leo" {
            let mail = event.person.entry.text("mail").unwrap_or_default().to_owned();
            self.0.lock().unwrap().push(mail);
        }
        Box::pin(async { Ok(()) })
    }
}

/// What the follower was told while somebody else had the source is older than what they have read.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_told_before_a_run_is_not_written_over_it() {
    let addresses = Arc::new(Addresses::default());
    let setup = Setup { source: format!("{LIVE}{MIRROR}"), handlers: vec![addresses.clone()], ..Setup::default() };
    let (world, following) = followed(World::new(setup).await).await;
    mail(&world, "leo", "first@larkspur.example").await;
    let (engine, source) = (world.engine.clone(), world.engine.source("larkspur").unwrap());
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let (reached, at_groups) = tokio::sync::oneshot::channel();
    let (reached, wait) = (Mutex::new(Some(reached)), Mutex::new(wait));
    let run = tokio::spawn(async move {
        let stop = move |_: Progress| {
            if let Some(reached) = reached.lock().unwrap().take() {
                reached.send(()).unwrap();
                tokio::task::block_in_place(|| wait.lock().unwrap().recv().unwrap());
            }
        };
        engine.sync(&source, SyncRequest { progress: Some(&stop), ..FULL }).await
    });
    at_groups.await.unwrap();
    world.set("leo", "mail", "old@larkspur.example").await;
    // Nothing tells when the follower was told: it has to be before the next change.
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.set("leo", "mail", "new@larkspur.example").await;
    go_on.send(()).unwrap();
    assert_eq!(run.await.unwrap().outcome, SyncOutcome::Completed);
    mail(&world, "zoe", "later@larkspur.example").await;
    let addresses = addresses.0.lock().unwrap().clone();
    assert!(!addresses.contains(&"old@larkspur.example".to_owned()), "{addresses:?}");
    assert_eq!(world.user("leo").await.unwrap().email, "new@larkspur.example");
    stop(&world, following).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_hang_as_they_do_in_the_directory() {
    let (world, following) = followed(World::with(&format!("{LIVE}{MIRROR}")).await).await;
    let base = bindery_demo_directory::company::GROUPS_DN;
    world.edit(&format!("dn: cn=sales,{base}\nchangetype: modify\nadd: member\nmember: cn=contractors,{base}\n")).await;
    let store = world.engine.store();
    let sales = store.group_by_name("sales").await.unwrap().unwrap().group.id;
    until("it hangs there", || async { !store.subgroups_of(sales).await.unwrap().is_empty() }).await;
    stop(&world, following).await;
}

/// What is told of others after a group was held changes nothing about that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_held_stays_where_it_hangs() {
    let world = World::with(&format!("{LIVE}removal_limit = {{ count = 0, percent = 100 }}\n{MIRROR}")).await;
    sync(&world, FULL).await;
    let store = world.engine.store();
    let staff = store.group_by_name("all-staff").await.unwrap().unwrap().group.id;
    let before = store.subgroups_of(staff).await.unwrap();
    let following = follow(&world);
    let engineering = format!("cn=engineering,{}", company::GROUPS_DN);
    world.delete(std::slice::from_ref(&engineering)).await;
    held(&world, &[]).await;
    let all = format!("cn=all-staff,{}", company::GROUPS_DN);
    world.edit(&format!("dn: {all}\nchangetype: modify\ndelete: member\nmember: {engineering}\n")).await;
    mail(&world, "leo", "new@larkspur.example").await;
    assert_eq!(store.subgroups_of(staff).await.unwrap(), before);
    stop(&world, following).await;
}

/// Whoever is read again meanwhile finds the group gone, and loses nothing by that before somebody has decided it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_held_keeps_its_members() {
    let sales = format!("cn=sales,{}", company::GROUPS_DN);
    for back in [false, true] {
        let world = World::with(&format!("{LIVE}removal_limit = {{ count = 0, percent = 100 }}\n{MIRROR}")).await;
        sync(&world, FULL).await;
        let following = follow(&world);
        world.delete(std::slice::from_ref(&sales)).await;
        held(&world, &[]).await;
        world.join("beth", "design").await;
        mail(&world, "beth", "new@larkspur.example").await;
        mail(&world, "beth", "newer@larkspur.example").await;
        let beth = world.user("beth").await.unwrap();
        assert!(beth.in_group("sales"), "{:?}", beth.groups);
        assert!(beth.in_group("design"), "{:?}", beth.groups);
        // A membership of a group that is there goes as ever.
        world.leave("beth", "design").await;
        let left = || async { !world.user("beth").await.unwrap().in_group("design") };
        until("it goes", left).await;
        assert!(world.user("beth").await.unwrap().in_group("sales"));
        stop(&world, following).await;
        if back {
            let member = dn("zoe");
            let made = format!("changetype: add\nobjectClass: groupOfNames\ncn: sales\nmember: {member}\n");
            world.edit(&format!("dn: {sales}\n{made}")).await;
        }
        let run = sync(&world, SyncRequest { allow_removals: true, ..FULL }).await;
        assert_eq!(run.outcome, SyncOutcome::Completed, "{run:?}");
        assert!(!world.user("beth").await.unwrap().in_group("sales"));
        assert_eq!(world.user("zoe").await.unwrap().in_group("sales"), back);
    }
}

/// A new configuration is followed at once, also where the old one was waiting to read everything once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_configuration_waits_for_nothing_old() {
    let by_member_of = format!("{LIVE}{MIRROR}members = \"memberOf\"\n");
    let world = World::with(&by_member_of).await;
    let following = follow(&world);
    until("everything is read", || async { !runs(&world, "completed").await.is_empty() }).await;
    // Each change of a group is a doubt, and each time it is put off longer.
    for (times, uid) in [(2, "zoe"), (3, "leo")] {
        world.join(uid, "sales").await;
        until("everything is read again", || async { runs(&world, "completed").await.len() == times }).await;
    }
    world.join("ann", "sales").await;
    // Not to wait for anything: it is to be in the middle of putting off.
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.reload(&Setup { source: format!("{LIVE}{MIRROR}"), ..Setup::default() });
    let took = mail(&world, "mei", "new@larkspur.example").await;
    assert!(took < Duration::from_secs(4), "{took:?}");
    stop(&world, following).await;
}

/// Nobody asked for a full run: it says why it read everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_why_it_reads_everything() {
    let world = World::with(LIVE).await;
    let following = follow(&world);
    until("everything is read", || async { runs(&world, "completed").await.len() == 1 }).await;
    world.clock.advance(Duration::from_secs(1));
    let source = format!("{LIVE}[sources.larkspur.flags]\nis_staff = \"sales\"\n");
    world.reload(&Setup { source, ..Setup::default() });
    until("everything is read again", || async { runs(&world, "completed").await.len() == 2 }).await;
    let runs = runs(&world, "completed").await;
    let because: Vec<&str> = runs.iter().map(|run| run.report["full_because"].as_str().unwrap_or_default()).collect();
    assert!(because[0].contains("rules") && because[1].contains("position"), "{because:?}");
    stop(&world, following).await;
}

/// What another search does not find may be there: memberships are withheld as people are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_a_changed_search_no_membership_goes() {
    let limit = "removal_limit = { count = 500, percent = 100 }\n";
    let world = World::with(&format!("{LIVE}{limit}{MIRROR}")).await;
    sync(&world, FULL).await;
    let without = "[sources.larkspur.users]\nfilter = '(&(objectClass=inetOrgPerson)(!(uid=leo)))'\n";
    world.reload(&Setup { source: format!("{LIVE}{limit}{MIRROR}{without}"), ..Setup::default() });
    let following = follow(&world);
    held(&world, &[]).await;
    mail(&world, "zoe", "new@larkspur.example").await;
    let so_far = runs(&world, "held").await;
    world.leave("beth", "sales").await;
    let run = held(&world, &so_far).await;
    assert_eq!(run.report["reason"], "changed_search", "{run:?}");
    assert_eq!(run.report["incomplete"][0]["reason"], "changed_search");
    assert_eq!(run.report["would_remove"][1]["name"], "beth in sales", "{run:?}");
    assert!(world.user("beth").await.unwrap().in_group("sales"));
    stop(&world, following).await;
}

/// An outage that began before anything was read is no doubt that is put off longer and longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_outage_it_follows_again_within_five_seconds() {
    let mut world = World::with(LIVE).await;
    world.outage().await;
    let following = follow(&world);
    // Not to wait for anything: it is the length of the outage that matters.
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(runs(&world, "failed").await.len() <= 1, "an outage does not fill the list of runs");
    world.recover();
    let began = Instant::now();
    until("people are there", || async { world.user("leo").await.is_some() }).await;
    mail(&world, "leo", "new@larkspur.example").await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    stop(&world, following).await;
    assert_eq!(world.clock.now().timestamp(), 1_800_000_000, "no clock moved");
}

/// Those that went with a group are no reason to hold what is removed later on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_with_a_group_does_not_count_for_an_hour() {
    let (world, following) = followed(World::with(&format!("{LIVE}{MIRROR}")).await).await;
    let is_in = async |uid: &str, group: &str| world.user(uid).await.unwrap().in_group(group);
    world.delete(&[format!("cn=all-staff,{}", company::GROUPS_DN)]).await;
    until("the group goes", || async { !is_in("ann", "all-staff").await }).await;
    world.leave("leo", "author-relations").await;
    until("the membership goes", || async { !is_in("leo", "author-relations").await }).await;
    assert!(runs(&world, "held").await.is_empty());
    stop(&world, following).await;
}

/// The name that somebody failed for becomes free, and nobody tells of that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_failed_is_looked_at_again() {
    let world = World::with(LIVE).await;
    let in_the_way = world.local("newcomer", None).await;
    sync(&world, FULL).await;
    let following = follow(&world);
    world.hire("newcomer").await;
    let again = || async { world.engine.store().position("larkspur", "again").await.unwrap() };
    until("they failed", || async { again().await.is_some_and(|again| again != serde_json::json!([])) }).await;
    world.apply(vec![Change::DeleteUser { user: in_the_way }]).await;
    until("they are there", || async { world.user("newcomer").await.is_some_and(|user| user.link.is_some()) }).await;
    assert_eq!(again().await, Some(serde_json::json!([])));
    stop(&world, following).await;
}

/// Panics once.
#[derive(Default)]
struct Fragile(AtomicBool);

impl EventHandler for Fragile {
    fn populate<'a>(&'a self, _: Populate<'a>) -> BoxFuture<'a, Result<(), Veto>> {
        assert!(!self.0.swap(false, Ordering::SeqCst), "the app's own mistake");
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_the_app_makes_panic_begins_again() {
    let fragile = Arc::new(Fragile::default());
    let setup = Setup { source: LIVE.to_owned(), handlers: vec![fragile.clone()], ..Setup::default() };
    let (world, following) = followed(World::new(setup).await).await;
    mail(&world, "zoe", "before@larkspur.example").await;
    fragile.0.store(true, Ordering::SeqCst);
    world.set("zoe", "mail", "after@larkspur.example").await;
    until("it panics", || async { !fragile.0.load(Ordering::SeqCst) }).await;
    // Its leases end by themselves.
    world.clock.advance(Duration::from_mins(1));
    let arrived = || async { world.user("zoe").await.unwrap().email == "after@larkspur.example" };
    until("the change arrives", arrived).await;
    stop(&world, following).await;
}

/// Another process has stored another position, or none: what is told is nothing to go on with, and the follower does not
/// write over it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_somebody_else_has_stored_counts() {
    let (world, following) = followed(World::with(LIVE).await).await;
    mail(&world, "zoe", "first@larkspur.example").await;
    let store = world.engine.store();
    let is_free = || async { store.lease("sync:larkspur", world.clock.now()).await.unwrap().is_none() };
    until("the change is carried out", is_free).await;
    let so_far = runs(&world, "completed").await.len();
    store.put_position("larkspur", "feed", serde_json::Value::Null, world.clock.now()).await.unwrap();
    mail(&world, "zoe", "second@larkspur.example").await;
    until("everything is read again", || async { runs(&world, "completed").await.len() > so_far }).await;
    stop(&world, following).await;
}

/// What a follower is about to remove counts before it is removed: it may be gone a moment later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removals_count_before_they_are_carried_out() {
    let database = Database::postgres();
    let source = format!("{LIVE}{MIRROR}");
    let world = World::new(Setup { source, store: Some(database.url()), ..Setup::default() }).await;
    let (world, following) = followed(world).await;
    mail(&world, "zoe", "first@larkspur.example").await;
    let count = async |what: &str| {
        let noted = world.engine.store().position("larkspur", "removals").await.unwrap().unwrap_or_default();
        noted.as_array().into_iter().flatten().filter_map(|one| one[what].as_u64()).sum::<u64>()
    };
    for (what, table) in [("memberships", "memberships"), ("users", "users")] {
        let before = count(what).await;
        let mut held = database.hold(table).await;
        match what {
            "users" => world.delete(&[dn("beth")]).await,
            _ => world.leave("zoe", "design").await,
        }
        database.waiting(&mut held, 1).await;
        assert!(count(what).await > before, "{what}");
        held.close().await.unwrap();
        until("it is carried out", || async {
            let zoe = world.user("zoe").await.unwrap();
            !zoe.in_group("design") && (what != "users" || !active(&world, "beth").await)
        })
        .await;
    }
    stop(&world, following).await;
}
