//! A sign-in that somebody else overtakes: what was so when the entry was read is not so any more when it is written.

use crate::sync_full::{FULL, sync};
use crate::world::{Setup, World, assert_refused, assert_signed_in, dn};
use bindery_core::events::{EventHandler, Populate, Veto};
use bindery_core::sync::SyncRequest;
use bindery_core::{Clock, Reason};
use bindery_demo_directory::company::PASSWORD;
use bindery_store::{Change, Plan};
use futures::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

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
