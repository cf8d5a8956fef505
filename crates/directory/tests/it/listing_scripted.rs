//! Listings of servers that do what no good one does.

use crate::listing::{Listed, all, people};
use crate::support::*;
use crate::wire::{Asked, Code, LdapMessage, entry, otherwise, reference, serve};
use bindery_directory::{DirectoryError, GroupEntry, Incomplete, Person, Source};
use bindery_ldap::codec::protocol::ProtocolOp as Op;
use bindery_ldap::control::{ControlValue as _, PagedResults};
use bindery_tests::Slapd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const PAGING: &[&str] = &[PagedResults::OID];

/// A server with a paging control, whose pages are the script's.
async fn paging(script: impl Fn(&Asked<'_>) -> Vec<LdapMessage> + Send + Sync + 'static) -> Source {
    offering(PAGING, script).await
}

async fn offering(
    controls: &'static [&'static str],
    script: impl Fn(&Asked<'_>) -> Vec<LdapMessage> + Send + Sync + 'static,
) -> Source {
    let url = serve(move |message| match Asked::of(message) {
        Some(asked) if asked.is_root_dse() => asked.root_dse(controls),
        Some(asked) => script(&asked),
        None => otherwise(message),
    });
    let mut settings = settings(&[url.await]);
    settings.timeouts.operation = std::time::Duration::from_secs(5);
    Source::new(settings)
}

fn somebody(name: &str) -> Op {
    entry(&format!("uid={name},ou=people,dc=example,dc=test"), &[("uid", &[name]), ("entryUUID", &[name])])
}

/// A good first page, then that.
async fn after_a_page(
    then: impl Fn(&Asked<'_>) -> Vec<LdapMessage> + Send + Sync + 'static,
) -> Result<Listed<Person>, DirectoryError> {
    let source = paging(move |asked| match &asked.page_cookie()[..] {
        b"" => vec![asked.answer(somebody("ann")), asked.page_end(Code::Success, b"more")],
        _ => then(asked),
    });
    people(&source.await).await
}

fn reasons(listed: &Listed<Person>) -> Vec<Incomplete> {
    listed.short.iter().map(|one| one.reason).collect()
}

#[tokio::test]
async fn results_that_mean_less_than_the_whole() {
    for (code, reason) in [
        (Code::SizeLimitExceeded, Incomplete::SizeLimit),
        (Code::AdminLimitExceeded, Incomplete::SizeLimit),
        (Code::TimeLimitExceeded, Incomplete::TimeLimit),
        (Code::Referral, Incomplete::Referral),
        (Code::UnavailableCriticalExtension, Incomplete::LostCookie),
        (Code::UnwillingToPerform, Incomplete::LostCookie),
    ] {
        let listed = after_a_page(move |asked| vec![asked.done(code)]).await.unwrap();
        assert_eq!((reasons(&listed), listed.entries.len()), (vec![reason], 1), "{code:?}");
    }
}

#[tokio::test]
async fn any_other_result_is_an_error() {
    for code in [
        Code::OperationsError,
        Code::ProtocolError,
        Code::NoSuchObject,
        Code::InsufficientAccessRights,
        Code::Busy,
        Code::Unavailable,
        Code::Other,
    ] {
        let answer = after_a_page(move |asked| vec![asked.done(code)]).await;
        assert!(answer.is_err(), "{code:?}");
    }
    for code in [Code::UnwillingToPerform, Code::UnavailableCriticalExtension] {
        let source = paging(move |asked| vec![asked.done(code)]).await;
        assert!(people(&source).await.is_err(), "{code:?}: no cookie was refused");
    }
}

#[tokio::test]
async fn a_page_without_its_control() {
    let listed = after_a_page(|asked| vec![asked.answer(somebody("bob")), asked.done(Code::Success)]).await.unwrap();
    assert_eq!((reasons(&listed), listed.entries.len()), (vec![Incomplete::LostCookie], 2));
    let source = paging(|asked| vec![asked.answer(somebody("bob")), asked.done(Code::Success)]).await;
    assert_eq!(reasons(&people(&source).await.unwrap()), [Incomplete::LostCookie]);
}

#[tokio::test]
async fn pages_without_end() {
    let same = after_a_page(|asked| vec![asked.answer(somebody("ann")), asked.page_end(Code::Success, b"more")])
        .await
        .unwrap();
    assert_eq!(reasons(&same), [Incomplete::Endless]);
    let number = AtomicUsize::new(0);
    let fresh = after_a_page(move |asked| {
        let cookie = number.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        vec![asked.page_end(Code::Success, &cookie)]
    });
    assert_eq!(reasons(&fresh.await.unwrap()), [Incomplete::Endless]);
}

#[tokio::test]
async fn nothing_at_all() {
    let listed = people(&paging(|asked| vec![asked.page_end(Code::Success, b"")]).await).await.unwrap();
    assert_eq!(reasons(&listed), [Incomplete::Empty]);
    let outside = paging(|asked| {
        vec![asked.answer(entry("uid=x,dc=evil", &[("entryUUID", &["x"])])), asked.page_end(Code::Success, b"")]
    });
    let listed = people(&outside.await).await.unwrap();
    assert_eq!(
        (reasons(&listed), listed.entries.len()),
        (vec![Incomplete::Empty], 0),
        "entries from elsewhere are none"
    );
}

#[tokio::test]
async fn references_inside_the_base_and_those_of_other_contexts() {
    for (url, named) in [
        ("ldap://other/ou=x,ou=people,dc=example,dc=test", true),
        ("nonsense", true),
        ("ldap://other/DC=DomainDnsZones,ou=people,DC=example,DC=test", false),
        ("ldap://other/dc=elsewhere", false),
    ] {
        let listed = after_a_page(move |asked| {
            vec![asked.answer(somebody("bob")), asked.answer(reference(url)), asked.page_end(Code::Success, b"")]
        });
        assert_eq!(reasons(&listed.await.unwrap()), if named { vec![Incomplete::Referral] } else { vec![] }, "{url}");
    }
}

#[tokio::test]
async fn a_name_that_is_no_dn_is_named_and_alone() {
    let listed = after_a_page(|asked| {
        let broken = entry("not a name", &[("entryUUID", &["b"])]);
        vec![asked.answer(broken), asked.answer(somebody("bob")), asked.page_end(Code::Success, b"")]
    });
    let listed = listed.await.unwrap();
    assert_eq!((listed.entries.len(), listed.short.len()), (2, 0));
    assert_eq!(
        (listed.unreadable[0].dn.as_str(), listed.unreadable[0].unique_id.as_deref()),
        ("not a name", Some("b"))
    );
    assert!(listed.unreadable[0].why.contains("RFC 4514"));

    let nobody = after_a_page(|asked| vec![asked.answer(entry("?", &[])), asked.page_end(Code::Success, b"")]);
    assert_eq!(reasons(&nobody.await.unwrap()), [Incomplete::UnreadableUniqueId]);
}

/// What somebody asks for by hand is all there is, or an error.
#[tokio::test]
async fn a_search_that_lost_its_place_is_no_shorter_list() {
    let search = async |source: Source| {
        let people = (below("ou=people"), filter("(objectClass=person)"));
        source.search(&people.0, bindery_directory::Scope::Subtree, people.1, &[], 0).await.map(|entries| entries.len())
    };
    let at_once = |asked: &Asked<'_>| vec![asked.answer(somebody("ann")), asked.done(Code::Success)];
    let midway = |asked: &Asked<'_>| match &asked.page_cookie()[..] {
        b"" => vec![asked.answer(somebody("ann")), asked.page_end(Code::Success, b"more")],
        _ => vec![asked.answer(somebody("bob")), asked.done(Code::Success)],
    };
    assert_eq!(search(offering(&["1.2.3"], at_once).await).await.unwrap(), 1, "a server without pages");
    for source in [paging(at_once).await, paging(midway).await, offering(&["1.2.3"], midway).await] {
        assert!(search(source).await.unwrap_err().to_string().contains("lost its place"));
    }
}

#[tokio::test]
async fn a_server_without_paging_is_asked_once() {
    let asked_for_pages = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked_for_pages);
    let source = offering(&["1.2.3"], move |asked| {
        counter.fetch_add(usize::from(asked.control::<PagedResults>().is_some()), Ordering::Relaxed);
        let names = (0..2500).map(|number| asked.answer(somebody(&format!("p{number}"))));
        names.chain([asked.done(Code::Success)]).collect()
    });
    let listed = people(&source.await).await.unwrap();
    assert_eq!((listed.entries.len(), listed.pages, listed.short.len()), (2500, 3, 0));
    assert_eq!(asked_for_pages.load(Ordering::Relaxed), 0);

    let limited = offering(&[], |asked| vec![asked.answer(somebody("ann")), asked.done(Code::SizeLimitExceeded)]);
    assert_eq!(reasons(&people(&limited.await).await.unwrap()), [Incomplete::SizeLimit]);
}

/// The server sends everything at once; that somebody takes long over a part of it is no fault of anybody.
#[tokio::test]
async fn who_takes_the_parts_of_an_unpaged_listing_may_be_slow() {
    let long = "x".repeat(100_000);
    let url = serve(move |message| match Asked::of(message) {
        Some(asked) if asked.is_root_dse() => asked.root_dse(&[]),
        Some(asked) => {
            let one = |number: u32| {
                let (name, long) = (format!("p{number}"), long.as_str());
                let dn = format!("uid={name},ou=people,dc=example,dc=test");
                asked.answer(entry(&dn, &[("uid", &[&name]), ("entryUUID", &[&name]), ("sn", &[long])]))
            };
            (0..300).map(one).chain([asked.done(Code::Success)]).collect()
        }
        None => otherwise(message),
    });
    let mut settings = settings(&[url.await]);
    settings.timeouts.operation = std::time::Duration::from_secs(3);
    settings.page_size = 2;
    let mut listing = Source::new(settings).list_people(&nothing());
    let mut read = listing.next().await.unwrap().unwrap().entries.len();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    while let Some(page) = listing.next().await.unwrap() {
        read += page.entries.len();
    }
    assert_eq!(read, 300);
}

#[tokio::test]
async fn busy_at_the_beginning_gives_way_to_the_next_server() {
    let slapd = Slapd::start();
    for code in [Code::Busy, Code::Unavailable] {
        let busy = serve(move |message| match Asked::of(message) {
            Some(asked) if asked.is_root_dse() => asked.root_dse(PAGING),
            Some(asked) => vec![asked.done(code)],
            None => otherwise(message),
        });
        let source = Source::new(settings(&[busy.await, slapd.url()]));
        assert!(!people(&source).await.unwrap().entries.is_empty(), "{code:?}");
    }
}

#[tokio::test]
async fn a_range_of_members_is_not_all_of_them() {
    for (name, whole) in [("member;range=0-1499", false), ("member;range=0-*", true), ("member", true)] {
        let source = paging(move |asked| {
            let dn = "cn=g,ou=groups,dc=example,dc=test";
            let group = entry(dn, &[("cn", &["g"]), ("entryUUID", &["g"]), (name, &["uid=ann,dc=example,dc=test"])]);
            vec![asked.answer(group), asked.page_end(Code::Success, b"")]
        });
        let listed: Listed<GroupEntry> = all(source.await.list_groups()).await.unwrap();
        assert_eq!(listed.entries[0].members.len(), 1, "{name}");
        let short: Vec<_> = listed.short.iter().map(|one| one.reason).collect();
        assert_eq!(short, if whole { vec![] } else { vec![Incomplete::SizeLimit] }, "{name}");
    }
}

#[tokio::test]
async fn a_dropped_listing_asks_for_no_more() {
    let (sender, mut abandoned) = tokio::sync::mpsc::unbounded_channel();
    let url = serve(move |message| match Asked::of(message) {
        Some(asked) if asked.is_root_dse() => asked.root_dse(PAGING),
        Some(asked) if asked.page_cookie().is_empty() => {
            vec![asked.answer(somebody("ann")), asked.page_end(Code::Success, b"more")]
        }
        // The second page never ends.
        Some(_) => vec![],
        None => {
            if matches!(message.protocol_op, Op::AbandonRequest(_) | Op::UnbindRequest(_)) {
                let _ = sender.send(());
            }
            otherwise(message)
        }
    });
    let source = Source::new(settings(&[url.await]));
    let mut listing = source.list_people(&nothing());
    assert!(listing.next().await.unwrap().is_some());
    drop(listing);
    tokio::time::timeout(std::time::Duration::from_secs(10), abandoned.recv()).await.unwrap().unwrap();
}
