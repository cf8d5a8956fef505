//! A sign-in that somebody else overtakes: what was so when the entry was read is not so any more when it is written.

use crate::database::Database;
use crate::sync_full::{FULL, sync};
use crate::world::{Setup, World, assert_refused, assert_signed_in, assert_unavailable, dn};
use bindery_core::engine::{PasswordChange, Via};
use bindery_core::events::{Event, EventHandler, Populate, Veto};
use bindery_core::sync::{Progress, SyncRequest};
use bindery_core::{Clock, Reason};
use bindery_demo_directory::company::PASSWORD;
use bindery_directory::Kind;
use bindery_store::{Change, Plan};
use futures::future::BoxFuture;
use sqlx::Connection as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

/// Stops once between the decision and the write.
#[derive(Default)]
struct Between {
    armed: AtomicBool,
    decided: Notify,
    go_on: Notify,
}

impl EventHandler for Between {
    fn populate<'a>(&'a self, _: Populate<'a>) -> BoxFuture<'a, Result<(), Veto>> {
        Box::pin(async move {
            if self.armed.swap(false, Ordering::SeqCst) {
                self.decided.notify_one();
                self.go_on.notified().await;
            }
            Ok(())
        })
    }
}

async fn world() -> (World, Arc<Between>) {
    let between = Arc::new(Between::default());
    let source = "[sources.larkspur.access]\nrequire = \"author-relations\"\n".to_owned();
    let world = World::new(Setup { source, handlers: vec![between.clone()], ..Setup::default() }).await;
    (world, between)
}

/// The sign-in read them as a member. Before it writes they have left, and a sync has ended their sessions.
#[tokio::test]
async fn who_is_shut_out_while_they_come_in_stays_out() {
    for gone in [false, true] {
        let (world, between) = world().await;
        sync(&world, FULL).await;
        let token = world.enter("leo").await;
        let leo = world.user("leo").await.unwrap().id;
        between.armed.store(true, Ordering::SeqCst);
        let shut_out = async {
            between.decided.notified().await;
            world.clock.advance(Duration::from_millis(10));
            if gone {
                world.delete(&[dn("leo")]).await;
            } else {
                world.leave("leo", "author-relations").await;
            }
            sync(&world, SyncRequest { full: false, ..FULL }).await;
            between.go_on.notify_one();
        };
        let (end, ()) = tokio::join!(world.sign_in("leo", PASSWORD), shut_out);
        assert_refused(&end, if gone { Reason::NoSuchUser } else { Reason::NotInRequiredGroup });
        world.ended(&token).await;
        assert!(world.engine.store().sessions_of(leo, world.clock.now()).await.unwrap().is_empty());
    }
}

/// What was read of somebody before their password was tried is no reason to refuse them afterwards.
#[tokio::test]
async fn who_is_let_in_again_while_they_come_in_is_in() {
    let (world, between) = world().await;
    sync(&world, FULL).await;
    let leo = world.user("leo").await.unwrap().id;
    let store = world.engine.store();
    store.apply(&Plan::deactivate(leo), world.clock.now()).await.unwrap();
    assert_refused(&world.sign_in("leo", PASSWORD).await, Reason::AccountDisabled);
    between.armed.store(true, Ordering::SeqCst);
    let let_in = async {
        between.decided.notified().await;
        store.apply(&Plan::activate(leo), world.clock.now()).await.unwrap();
        between.go_on.notify_one();
    };
    let (end, ()) = tokio::join!(world.sign_in("leo", PASSWORD), let_in);
    assert_signed_in(&end);
}

/// Stops a run once, wherever it is told to.
#[derive(Default)]
struct Midway {
    passed: AtomicBool,
    reached: Notify,
    go_on: (Mutex<bool>, Condvar),
}

impl Midway {
    fn stop(&self) {
        if !self.passed.swap(true, Ordering::SeqCst) {
            self.reached.notify_one();
            // Whatever else this thread was to run goes on elsewhere.
            tokio::task::block_in_place(|| {
                let waiting = self.go_on.1.wait_while(self.go_on.0.lock().unwrap(), |go_on| !*go_on);
                drop(waiting.unwrap());
            });
        }
    }

    fn go_on(&self) {
        *self.go_on.0.lock().unwrap() = true;
        self.go_on.1.notify_all();
    }
}

/// Once a run has written somebody, and before it takes memberships back.
struct OnceWritten(Arc<Midway>, AtomicBool);

impl EventHandler for OnceWritten {
    fn notify(&self, event: &Event) {
        if matches!(event, Event::Synced { .. }) && self.1.load(Ordering::SeqCst) {
            self.0.stop();
        }
    }
}

/// A run has read them as no member. Before it takes the membership back they are one again, and come in as one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_membership_that_a_sign_in_has_confirmed_is_not_taken_back() {
    for written in [false, true] {
        let midway = Arc::new(Midway::default());
        let once_written = Arc::new(OnceWritten(midway.clone(), AtomicBool::new(false)));
        let handlers: Vec<Arc<dyn EventHandler>> = if written { vec![once_written.clone()] } else { vec![] };
        let source = "[sources.larkspur.groups]\nmirror = true\n".to_owned();
        let world = World::new(Setup { source, handlers, ..Setup::default() }).await;
        sync(&world, FULL).await;
        let before = world.user("leo").await.unwrap().groups;
        world.clock.advance(Duration::from_secs(1));
        world.leave("leo", "author-relations").await;
        world.leave("zoe", "design").await;
        once_written.1.store(true, Ordering::SeqCst);
        let (engine, larkspur) = (world.engine.clone(), world.engine.source("larkspur").unwrap());
        let groups_read = midway.clone();
        let run = tokio::spawn(async move {
            let stop = move |at: Progress| {
                if at.kind == Kind::Group {
                    groups_read.stop();
                }
            };
            let request = SyncRequest { progress: if written { None } else { Some(&stop) }, ..FULL };
            engine.sync(&larkspur, request).await
        });
        midway.reached.notified().await;
        world.clock.advance(Duration::from_millis(10));
        world.join("leo", "author-relations").await;
        world.enter("leo").await;
        midway.go_on();
        let run = run.await.unwrap();
        let leo = world.user("leo").await.unwrap();
        assert_eq!(leo.groups, before, "{run:?}");
        assert!(!world.user("zoe").await.unwrap().in_group("design"), "{run:?}");
        let again = world.engine.store().position("larkspur", "again").await.unwrap().unwrap();
        assert_eq!(again, serde_json::json!([leo.link.unwrap().unique_id]), "they are looked at again");
        sync(&world, SyncRequest { full: false, ..FULL }).await;
        let again = world.engine.store().position("larkspur", "again").await.unwrap().unwrap();
        assert_eq!(again, serde_json::json!([]));
    }
}

/// The directory took the old password. Before the sign-in is written the password is another one, and all sessions ended.
#[tokio::test]
async fn a_password_that_was_changed_meanwhile_lets_nobody_in() {
    let between = Arc::new(Between::default());
    let source = "[sources.larkspur.passwords]\noffline = \"7d\"\n".to_owned();
    let mut world = World::new(Setup { source, handlers: vec![between.clone()], ..Setup::default() }).await;
    world.enter("leo").await;
    let user = world.user("leo").await.unwrap().id;
    between.armed.store(true, Ordering::SeqCst);
    let change = async {
        between.decided.notified().await;
        world.clock.advance(Duration::from_millis(10));
        world.set_password("leo", "a new password").await;
        let changes = vec![Change::DropVerifiers { user }, Change::EndSessions { user, except: None }];
        world.apply(changes).await;
        between.go_on.notify_one();
    };
    let (end, ()) = tokio::join!(world.sign_in("leo", PASSWORD), change);
    assert_refused(&end, Reason::BadCredentials);
    assert!(!end.password_verified, "they are told what anybody is who has it wrong");
    assert!(world.engine.store().sessions_of(user, world.clock.now()).await.unwrap().is_empty());
    world.outage().await;
    assert_unavailable(&world.login("leo", PASSWORD).await);
}

/// Somebody whom others write of while they are on their way in.
struct Overtaken {
    database: Database,
    world: World,
    user: Uuid,
}

impl Overtaken {
    async fn new() -> Self {
        let database = Database::postgres();
        let world = World::new(Setup { store: Some(database.url()), ..Setup::default() }).await;
        let user = world.local("amy", Some(PASSWORD)).await;
        Self { database, world, user }
    }

    /// Carries out `attempt` so that what `before` writes is written first, though `attempt` has read what was so before it.
    async fn by<T>(&self, before: Vec<Change>, attempt: impl Future<Output = T>) -> T {
        let mut hold = self.database.hold_user(self.user).await;
        let write = self.world.apply(before);
        let order = async {
            self.database.waiting(&mut hold, 1).await;
            let (end, ()) = tokio::join!(attempt, async {
                self.database.waiting(&mut hold, 2).await;
                hold.close().await.unwrap();
            });
            end
        };
        tokio::join!(write, order).1
    }
}

/// Who knows the old password of an account cannot come in by it, nor bring it back, once it was reset.
#[tokio::test]
async fn a_reset_of_a_local_password_counts_for_whoever_is_on_the_way_in() {
    for changed in [false, true] {
        let amy = Overtaken::new().await;
        let (world, user) = (&amy.world, amy.user);
        let hash = Some(world.hash("the new password").await);
        let before = vec![Change::SetPassword { user, hash }, Change::EndSessions { user, except: None }];
        if changed {
            let (old, new) = (PASSWORD.to_owned().into(), "a third password".to_owned().into());
            let change = world.engine.change_password("amy", &old, &new, None, Via::CommandLine);
            assert!(matches!(Box::pin(amy.by(before, change)).await, PasswordChange::Unavailable(_)));
        } else {
            assert_refused(&Box::pin(amy.by(before, world.sign_in("amy", PASSWORD))).await, Reason::BadCredentials);
        }
        assert!(world.engine.store().sessions_of(user, world.clock.now()).await.unwrap().is_empty());
        assert_signed_in(&world.login("amy", "the new password").await);
    }
}

/// Who was shut out by hand while an outage kept the sign-in waiting has no session.
#[tokio::test]
async fn who_is_shut_out_during_an_outage_does_not_come_in_by_a_kept_password() {
    let database = Database::postgres();
    let source = "[sources.larkspur.passwords]\noffline = \"7d\"\n".to_owned();
    let mut world = World::new(Setup { source, store: Some(database.url()), ..Setup::default() }).await;
    world.enter("leo").await;
    let user = world.user("leo").await.unwrap().id;
    world.outage().await;
    let leo = Overtaken { database, world, user };
    let end = Box::pin(leo.by(Plan::deactivate(user).changes, leo.world.sign_in("leo", PASSWORD))).await;
    assert_unavailable(&end);
    assert!(leo.world.engine.store().sessions_of(user, leo.world.clock.now()).await.unwrap().is_empty());
}

#[tokio::test]
async fn who_may_come_in_all_the_same_is_read_again_and_let_in() {
    let (world, between) = world().await;
    world.enter("leo").await;
    let user = world.user("leo").await.unwrap().id;
    between.armed.store(true, Ordering::SeqCst);
    let sign_out = async {
        between.decided.notified().await;
        world.clock.advance(Duration::from_millis(10));
        let plan = Plan::from(vec![Change::EndSessions { user, except: None }]);
        world.engine.store().apply(&plan, world.clock.now()).await.unwrap();
        between.go_on.notify_one();
    };
    let (end, ()) = tokio::join!(world.sign_in("leo", PASSWORD), sign_out);
    assert_signed_in(&end);
    let sessions = world.engine.store().sessions_of(user, world.clock.now()).await.unwrap();
    assert_eq!(sessions.len(), 1, "the one that was begun last");
}
