//! Changes at 389-DS, whose positions belong to one search each.

use crate::changes::{Replica, catch_up, wanted};
use crate::follow::{follow, until};
use crate::support::*;
use bindery_directory::{FeedKind, Source};
use bindery_tests::Ds389;

#[tokio::test]
async fn it_tells_what_changed_and_what_left() {
    let server = Ds389::builder().content_sync().start();
    let mut settings = settings(&[server.url()]);
    settings.bind = service(Ds389::SYNC_DN, Ds389::SYNC_PASSWORD);
    settings.users.unique_id = "nsUniqueId".to_owned();
    let source = Source::new(settings);
    assert_eq!(source.feed_kind().await.unwrap(), FeedKind::Syncrepl);
    let position = source.position(&wanted()).await.unwrap();
    assert_eq!(position.kind, FeedKind::Syncrepl);
    let mut replica = Replica::read(&source).await;
    let told = catch_up(&source, &position, &mut replica).await.unwrap();
    assert_eq!((told.doubt, told.rest_gone), (None, 0));

    server.ldapmodify(&format!(
        "dn: uid=ann,ou=people,{SUFFIX}\nchangetype: modify\nreplace: mail\nmail: ann@elsewhere.test\n-\n\
         add: nsAccountLock\nnsAccountLock: true\n\n\
         dn: uid=bob,ou=people,{SUFFIX}\nchangetype: delete\n\n\
         dn: cn=leavers,ou=groups,{SUFFIX}\nchangetype: modify\nadd: member\nmember: uid=carol,ou=people,{SUFFIX}\n"
    ));
    let position = told.reached.unwrap();
    let told = catch_up(&source, &position, &mut replica).await.unwrap();
    assert_eq!((told.doubt.as_deref(), told.rest_gone), (None, 0), "{told:?}");
    assert!(told.gone >= 1 && told.changed >= 2, "{told:?}");
    assert_eq!(replica, Replica::read(&source).await);

    let locked = |replica: &Replica| replica.people.values().filter(|person| person.contains("locked: true")).count();
    assert_eq!(locked(&replica), 1, "what the server leaves out of its changes is read");

    let mut changed = source.settings().clone();
    changed.page_size = 3;
    let told = catch_up(&Source::new(changed), &told.reached.unwrap(), &mut replica).await.unwrap();
    assert_eq!((told.changed, told.gone, told.doubt), (0, 0, None));

    let mut changes = follow(&source, &told.reached.unwrap()).await;
    server.ldapmodify(&format!(
        "dn: uid=ann,ou=people,{SUFFIX}\nchangetype: modify\nreplace: mail\nmail: ann@pushed.test\n"
    ));
    let pushed = |replica: &Replica| replica.people.values().any(|person| person.contains("pushed.test"));
    until(&mut changes, &mut replica, pushed).await;
    let people = replica.people.len();
    server.ldapdelete(&format!("uid=carol,ou=people,{SUFFIX}"));
    until(&mut changes, &mut replica, |replica| replica.people.len() == people - 1).await;
    assert_eq!(replica, Replica::read(&source).await);
}
