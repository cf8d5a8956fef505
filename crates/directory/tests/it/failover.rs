//! Several servers: the next one at once, and back as soon as one is back. Service accounts are left in peace.

use crate::support::*;
use bindery_directory::settings::Timeouts;
use bindery_directory::{DirectoryError, Source, SourceSettings};
use bindery_tests::{FaultProxy, Slapd};
use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "a test that measures")]
fn start() -> Instant {
    Instant::now()
}

fn short(settings: &mut SourceSettings) {
    settings.timeouts =
        Timeouts { connect: Duration::from_secs(2), operation: Duration::from_secs(8), sync: Duration::from_mins(1) };
}

fn pair(first: &str, second: &str) -> SourceSettings {
    let mut settings = settings(&[first.to_owned(), second.to_owned()]);
    short(&mut settings);
    settings
}

fn through(proxy: &FaultProxy) -> String {
    format!("ldap://127.0.0.1:{}", proxy.port())
}

/// Until the first server is up (or not) again, as the source sees it.
async fn until_first_is(source: &Source, up: bool) {
    let waiting = async {
        while source.health()[0].up != up {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap();
}

#[tokio::test]
async fn the_next_server_at_once_and_the_first_again_when_it_is_back() {
    let (mut first, second) = (Slapd::start(), Slapd::start());
    slapd_differs(&second);
    let source = Source::new(pair(&first.url(), &second.url()));
    assert_eq!(title(&source).await, "Writer");
    first.stop();
    let started = start();
    assert_eq!(title(&source).await, "Second");
    assert!(accepted(&check(&source, "ann", "ann-secret").await));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(!source.health()[0].up && source.health()[0].error.is_some());
    assert!(source.health()[1].up);

    first.restart();
    until_first_is(&source, true).await;
    assert_eq!(title(&source).await, "Writer", "the preferred server is used again");
}

/// Marks which server answered.
fn slapd_differs(slapd: &Slapd) {
    slapd.ldapmodify(&format!("dn: uid=ann,ou=people,{SUFFIX}\nchangetype: modify\nreplace: title\ntitle: Second\n"));
}

async fn title(source: &Source) -> String {
    let found = source.find("ann", &bindery_directory::Wanted(vec!["title".to_owned()])).await.unwrap();
    let bindery_directory::Found::One(ann) = found else { panic!("{found:?}") };
    ann.entry.text("title").unwrap().to_owned()
}

#[tokio::test]
async fn a_server_that_keeps_silent_is_passed_over() {
    let (first, second) = (Slapd::start(), Slapd::start());
    let source = Source::new(pair(&first.url(), &second.url()));
    assert!(accepted(&check(&source, "ann", "ann-secret").await));
    first.pause();
    let started = start();
    assert!(accepted(&check(&source, "ann", "ann-secret").await), "on connections that were open");
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    let fresh = Source::new(pair(&first.url(), &second.url()));
    assert!(accepted(&check(&fresh, "ann", "ann-secret").await), "on new ones");
    let started = start();
    assert!(accepted(&check(&fresh, "ann", "ann-secret").await));
    assert!(started.elapsed() < Duration::from_secs(2), "known to be down: {:?}", started.elapsed());
    first.resume();
    until_first_is(&source, true).await;
}

#[tokio::test]
async fn all_down_is_unavailable_and_ends_with_the_outage() {
    let (mut first, mut second) = (Slapd::start(), Slapd::start());
    let source = Source::new(pair(&first.url(), &second.url()));
    assert!(accepted(&check(&source, "ann", "ann-secret").await));
    first.stop();
    second.stop();
    for _ in 0..3 {
        let error = source.authenticate("ann", &secret("ann-secret"), &nothing()).await.err().unwrap();
        assert!(matches!(error, DirectoryError::Unavailable { .. }), "{error:?}");
        let (first, second) = (first.url(), second.url());
        assert!(error.to_string().contains(&first) && error.to_string().contains(&second), "{error}");
    }
    second.restart();
    assert!(accepted(&check(&source, "ann", "ann-secret").await), "at once, not after a wait");
}

#[tokio::test]
async fn connections_that_died_idle_are_replaced_without_a_word() {
    let slapd = Slapd::start();
    let proxy = FaultProxy::new(slapd.port());
    let source = Source::new(settings(&[through(&proxy)]));
    for _ in 0..5 {
        assert!(accepted(&check(&source, "ann", "ann-secret").await));
        proxy.cut();
    }
    assert!(source.health()[0].up);
}

#[tokio::test]
async fn a_server_restarted_is_used_at_once() {
    let mut slapd = Slapd::start();
    let source = source(&slapd, |_| {});
    for _ in 0..3 {
        assert!(accepted(&check(&source, "ann", "ann-secret").await));
        slapd.restart();
    }
}

#[tokio::test]
async fn a_stalled_connection_gives_way_to_a_new_one() {
    let slapd = Slapd::start();
    let proxy = FaultProxy::new(slapd.port());
    let mut settings = settings(&[through(&proxy)]);
    short(&mut settings);
    let source = Source::new(settings);
    person(&source, "ann").await;
    proxy.stall();
    let error = source.find("ann", &nothing()).await.unwrap_err();
    assert!(matches!(error, DirectoryError::Unavailable { .. }), "{error:?}");
    proxy.pass();
    person(&source, "ann").await;
}

#[tokio::test]
async fn a_refused_service_account_is_named_and_left_in_peace() {
    let slapd = Slapd::builder().ppolicy(3).start();
    let source = source(&slapd, |settings| settings.bind = service(Slapd::SYNC_DN, "wrong"));
    for _ in 0..20 {
        let error = source.authenticate("ann", &secret("ann-secret"), &nothing()).await.err().unwrap();
        assert!(matches!(error, DirectoryError::ServiceBind { .. }), "{error:?}");
        assert!(error.to_string().contains("[sources.corp.bind]"), "{error}");
    }
    let health = &source.health()[0];
    assert!(!health.up && health.error.as_ref().unwrap().contains("refused"), "{health:?}");
    // Three failures lock it: it was offered once.
    let failures = slapd.ldapsearch("(cn=sync)", &["pwdFailureTime"]);
    assert_eq!(failures.matches("pwdFailureTime:").count(), 1, "{failures}");
    let right = Source::new(on(&slapd));
    person(&right, "ann").await;
}

/// Whoever was never needed is looked at all the same, and connections do not pile up.
#[tokio::test]
async fn servers_are_looked_at_before_they_are_needed() {
    let (slapd, mut other) = (Slapd::start(), Slapd::start());
    let source = Source::new(pair(&slapd.url(), &other.url()));
    for _ in 0..3 {
        source.look().await;
    }
    for health in source.health() {
        assert!(health.up && health.connections == 1, "{health:?}");
        assert_eq!(health.vendor.as_deref(), Some("OpenLDAP"));
    }
    other.stop();
    source.look().await;
    let health = source.health();
    assert!(health[0].up && !health[1].up && health[1].error.is_some(), "{health:?}");

    let proxy = FaultProxy::new(slapd.port());
    let mut settings = settings(&[through(&proxy)]);
    settings.bind = service(Slapd::SYNC_DN, "wrong");
    let refused = Source::new(settings);
    for _ in 0..2 {
        refused.look().await;
    }
    assert!(!refused.health()[0].up, "{:?}", refused.health());
    assert_eq!(proxy.accepted(), 1, "it is left in peace");
}

#[tokio::test]
async fn one_bind_for_many_at_the_start() {
    let slapd = Slapd::start();
    let proxy = FaultProxy::new(slapd.port());
    let source = Source::new(settings(&[through(&proxy)]));
    let (one, two, three) = tokio::join!(person(&source, "ann"), person(&source, "bob"), person(&source, "carol"));
    assert_eq!([one.dn, two.dn, three.dn].len(), 3);
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_servers_come_and_go() {
    let (mut first, second) = (Slapd::start(), Slapd::start());
    let source = Source::new(pair(&first.url(), &second.url()));
    let people = (0..8).map(|_| {
        let source = source.clone();
        tokio::spawn(async move {
            for _ in 0..100 {
                assert!(accepted(&check(&source, "ann", "ann-secret").await));
            }
        })
    });
    let people: Vec<_> = people.collect();
    for _ in 0..3 {
        tokio::task::block_in_place(|| first.restart());
    }
    for one in people {
        one.await.unwrap();
    }
}
