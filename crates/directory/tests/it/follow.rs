//! Changes as they happen.

use crate::changes::{Replica, Told, embedded, provider, wanted};
use crate::support::*;
use bindery_demo_directory::{DemoDirectory, Options, company};
use bindery_directory::{Changes, FeedEvent, Position, Since, Source, ldif};
use bindery_tests::{FaultProxy, Slapd};
use std::time::Duration;

const POLL: Duration = Duration::from_millis(50);

pub(crate) async fn follow(source: &Source, since: &Position) -> Changes {
    match source.changes(since, &wanted(), Some(POLL)).await.unwrap() {
        Since::Changes(changes) => changes,
        Since::Doubt(why) => panic!("{why}"),
    }
}

/// Applies events until the replica is as it should be and that counts; answers with the position then.
pub(crate) async fn until(changes: &mut Changes, replica: &mut Replica, done: impl Fn(&Replica) -> bool) -> Position {
    let mut told = Told::default();
    let waiting = async {
        loop {
            let event = changes.next().await.unwrap().expect("a feed that is followed has no end");
            let reached = matches!(event, FeedEvent::Reached(_));
            told.apply(event, replica);
            assert_eq!(told.doubt, None);
            if reached && done(replica) {
                return told.reached.take().unwrap();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it comes")
}

fn mail(replica: &Replica, mail: &str) -> bool {
    replica.people.values().any(|person| person.contains(mail))
}

fn set_mail(slapd: &Slapd, mail: &str) {
    slapd.ldapmodify(&format!("dn: uid=ann,ou=people,{SUFFIX}\nchangetype: modify\nreplace: mail\nmail: {mail}\n"));
}

#[tokio::test]
async fn openldap_pushes() {
    let slapd = provider().start();
    let source = source(&slapd, |_| {});
    let position = source.position(&wanted()).await.unwrap();
    let mut replica = Replica::read(&source).await;
    set_mail(&slapd, "before@x.test");
    let mut changes = follow(&source, &position).await;
    until(&mut changes, &mut replica, |replica| mail(replica, "before@x.test")).await;
    set_mail(&slapd, "after@x.test");
    until(&mut changes, &mut replica, |replica| mail(replica, "after@x.test")).await;
    let people = replica.people.len();
    slapd.ldapdelete(&format!("uid=bob,ou=people,{SUFFIX}"));
    slapd.ldapdelete(&format!("cn=writers,ou=groups,{SUFFIX}"));
    let groups = replica.groups.len();
    let position = until(&mut changes, &mut replica, |replica| {
        replica.people.len() == people - 1 && replica.groups.len() == groups - 1
    })
    .await;
    assert_eq!(replica, Replica::read(&source).await);
    // Another follower goes on where this one was.
    drop(changes);
    set_mail(&slapd, "again@x.test");
    let mut changes = follow(&source, &position).await;
    until(&mut changes, &mut replica, |replica| mail(replica, "again@x.test")).await;
}

#[tokio::test]
async fn the_embedded_directory_pushes() {
    let directory = DemoDirectory::start(Options { seed: Some(1), ..Options::company() }).unwrap();
    let source = embedded(&directory);
    let position = source.position(&wanted()).await.unwrap();
    let mut replica = Replica::read(&source).await;
    let mut changes = follow(&source, &position).await;
    let people = replica.people.len();
    let record = format!("dn: {}\nchangetype: delete\n", company::people()[0].dn);
    for record in ldif::parse_changes(&record).unwrap() {
        source.change(&record).await.unwrap();
    }
    until(&mut changes, &mut replica, |replica| replica.people.len() == people - 1).await;
}

#[tokio::test]
async fn where_nobody_pushes_it_is_asked_again_and_again() {
    let slapd = Slapd::start();
    let source = source(&slapd, |_| {});
    let position = source.position(&wanted()).await.unwrap();
    let mut replica = Replica::read(&source).await;
    let mut changes = follow(&source, &position).await;
    set_mail(&slapd, "after@x.test");
    until(&mut changes, &mut replica, |replica| mail(replica, "after@x.test")).await;
    set_mail(&slapd, "later@x.test");
    until(&mut changes, &mut replica, |replica| mail(replica, "later@x.test")).await;
}

#[tokio::test]
async fn a_connection_that_ends_or_falls_silent_is_noticed() {
    let slapd = provider().start();
    for cut in [true, false] {
        let proxy = FaultProxy::new(slapd.port());
        let mut settings = settings(&[format!("ldap://127.0.0.1:{}", proxy.port())]);
        settings.timeouts.operation = Duration::from_secs(1);
        let source = Source::new(settings);
        let position = source.position(&wanted()).await.unwrap();
        let mut changes = follow(&source, &position).await;
        // Both searches are up to date.
        for _ in 0..2 {
            assert!(matches!(changes.next().await.unwrap(), Some(FeedEvent::Reached(_))));
        }
        if cut {
            proxy.cut();
        } else {
            proxy.stall();
        }
        let ended = tokio::time::timeout(Duration::from_secs(20), changes.next()).await;
        assert!(ended.expect("it is noticed").is_err(), "cut: {cut}");
        assert!(changes.next().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn silence_of_a_server_that_is_there_is_no_end() {
    let slapd = provider().start();
    let source = source(&slapd, |settings| settings.timeouts.operation = Duration::from_millis(300));
    let position = source.position(&wanted()).await.unwrap();
    let mut replica = Replica::read(&source).await;
    let mut changes = follow(&source, &position).await;
    for _ in 0..2 {
        assert!(matches!(changes.next().await.unwrap(), Some(FeedEvent::Reached(_))));
    }
    // Several questions whether it is still there.
    assert!(tokio::time::timeout(Duration::from_secs(2), changes.next()).await.is_err());
    set_mail(&slapd, "after@x.test");
    until(&mut changes, &mut replica, |replica| mail(replica, "after@x.test")).await;
}
