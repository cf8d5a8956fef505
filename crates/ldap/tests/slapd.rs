//! The client against a real slapd: every operation, every way to connect, and its refusals.

#![allow(clippy::unwrap_used, reason = "a test that cannot begin fails by panicking")]

use bindery_ldap::codec::DEFAULT_MAX_MESSAGE;
use bindery_ldap::control::{self, PasswordPolicyError, PasswordPolicyResponse, SyncInfo, SyncMode, SyncRequest};
use bindery_ldap::control::{ControlValue, SyncState, SyncStateKind};
use bindery_ldap::ldif::{Modification, ModificationKind};
use bindery_ldap::{
    Attribute, ClientIdentity, ConnectOptions, Connection, Control, Deadline, Dn, Error, Filter, LdapUrl, ResultCode,
    Roots, Scope, SearchItem, SearchRequest,
};
use bindery_tests::Slapd;
use std::time::Duration;

const PEOPLE: &str = "ou=people,dc=example,dc=test";

fn options(url: &str) -> ConnectOptions {
    ConnectOptions::new(LdapUrl::parse(url).unwrap())
}

fn private_ca(slapd: &Slapd, url: &str) -> ConnectOptions {
    let mut options = options(url);
    options.tls.roots = Roots::Pem(std::fs::read(slapd.ca_pem()).unwrap());
    options
}

async fn bound(options: &ConnectOptions) -> Connection {
    let connection = Connection::open(options).await.unwrap();
    let (result, _) = connection.bind_simple(Slapd::SYNC_DN, &Slapd::SYNC_PASSWORD.into()).await.unwrap();
    assert!(result.is_success(), "{result}");
    connection
}

async fn root(slapd: &Slapd, options: &ConnectOptions) -> Connection {
    let connection = Connection::open(options).await.unwrap();
    let (result, _) = connection.bind_simple(&slapd.root_dn(), &Slapd::ROOT_PASSWORD.into()).await.unwrap();
    assert!(result.is_success(), "{result}");
    connection
}

fn people(filter: Filter) -> SearchRequest {
    SearchRequest::new(&Dn::parse(PEOPLE).unwrap(), Scope::Subtree, filter)
}

fn text(name: &str, value: &str) -> Attribute {
    Attribute { name: name.into(), values: vec![value.into()] }
}

fn replace(name: &str, value: &str) -> Modification {
    Modification { kind: ModificationKind::Replace, attribute: text(name, value) }
}

fn person(uid: &str) -> Vec<Attribute> {
    vec![text("objectClass", "inetOrgPerson"), text("uid", uid), text("cn", uid), text("sn", uid)]
}

#[tokio::test]
async fn ldaps_with_a_private_ca() {
    let slapd = Slapd::start();
    let connection = bound(&private_ca(&slapd, &slapd.ldaps_url())).await;
    assert!(connection.is_protected());
    assert_eq!(connection.who_am_i().await.unwrap(), format!("dn:{}", Slapd::SYNC_DN));
    connection.close().await;
    assert!(connection.is_closed());
    assert!(matches!(connection.who_am_i().await, Err(Error::Closed { .. })));
}

#[tokio::test]
async fn ldaps_to_an_ipv6_literal() {
    let slapd = Slapd::start();
    let url = format!("ldaps://[::1]:{}", slapd.ldaps_port());
    let connection = bound(&private_ca(&slapd, &url)).await;
    assert!(connection.is_protected());
}

#[tokio::test]
async fn starttls_with_a_private_ca() {
    let slapd = Slapd::builder().require_tls().start();
    let plain = Connection::open(&options(&slapd.url())).await.unwrap();
    let (result, _) = plain.bind_simple(Slapd::SYNC_DN, &Slapd::SYNC_PASSWORD.into()).await.unwrap();
    assert_eq!(result.code, ResultCode::CONFIDENTIALITY_REQUIRED);

    let mut options = private_ca(&slapd, &slapd.url());
    options.tls.starttls = true;
    let connection = bound(&options).await;
    assert!(connection.is_protected());
    assert_eq!(connection.who_am_i().await.unwrap(), format!("dn:{}", Slapd::SYNC_DN));
}

#[tokio::test]
async fn an_untrusted_ca_is_refused_over_ldaps_and_starttls() {
    let slapd = Slapd::start();
    let stranger = Slapd::start();
    for (url, starttls) in [(slapd.ldaps_url(), false), (slapd.url(), true)] {
        for roots in [Roots::System, Roots::Pem(std::fs::read(stranger.ca_pem()).unwrap())] {
            let mut options = options(&url);
            options.tls.roots = roots;
            options.tls.starttls = starttls;
            let error = Connection::open(&options).await.unwrap_err();
            assert!(matches!(&error, Error::Tls { reason, .. } if reason.contains("ca_file")), "{url}: {error}");
        }
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_unless_it_is_the_one_asked_for() {
    let slapd = Slapd::builder().certificate_names(&["dc.example.test"]).start();
    let mut options = private_ca(&slapd, &slapd.ldaps_url());
    let error = Connection::open(&options).await.unwrap_err();
    assert!(matches!(&error, Error::Tls { reason, .. } if reason.contains("server_name")), "{error}");
    options.tls.server_name = Some("dc.example.test".into());
    bound(&options).await;
    options.tls.server_name = Some("dc2.example.test".into());
    assert!(matches!(Connection::open(&options).await, Err(Error::Tls { .. })));
}

#[tokio::test]
async fn ldapi_with_external() {
    let slapd = Slapd::start();
    let connection = Connection::open(&options(&slapd.ldapi_url())).await.unwrap();
    assert!(connection.is_protected());
    assert!(connection.bind_external().await.unwrap().is_success());
    assert_eq!(connection.who_am_i().await.unwrap(), format!("dn:{}", Slapd::SYNC_DN));
}

#[tokio::test]
async fn a_client_certificate_with_external() {
    let slapd = Slapd::builder().client_certs("demand").start();
    let mut options = private_ca(&slapd, &slapd.ldaps_url());
    let refused = match Connection::open(&options).await {
        Ok(connection) => connection.bind_external().await.map(|result| result.is_success()),
        Err(error) => Err(error),
    };
    assert!(refused.is_err(), "without a certificate: {refused:?}");

    let issued = slapd.client_cert("sync");
    options.tls.identity = Some(ClientIdentity {
        certificates_pem: std::fs::read(issued.cert).unwrap(),
        key_pem: std::fs::read(issued.key).unwrap().into(),
    });
    let connection = Connection::open(&options).await.unwrap();
    assert!(connection.bind_external().await.unwrap().is_success());
    assert_eq!(connection.who_am_i().await.unwrap(), format!("dn:{}", Slapd::SYNC_DN));
}

#[tokio::test]
async fn a_wrong_password_is_an_answer_and_the_connection_lives_on() {
    let slapd = Slapd::start();
    let connection = Connection::open(&options(&slapd.url())).await.unwrap();
    let (result, _) = connection.bind_simple(Slapd::SYNC_DN, &"wrong".into()).await.unwrap();
    assert_eq!(result.code, ResultCode::INVALID_CREDENTIALS);
    let (result, _) = connection.bind_simple(Slapd::SYNC_DN, &Slapd::SYNC_PASSWORD.into()).await.unwrap();
    assert!(result.is_success());
}

#[tokio::test]
async fn anonymous_is_nobody() {
    let slapd = Slapd::builder().allow_anonymous().start();
    let connection = Connection::open(&options(&slapd.url())).await.unwrap();
    assert!(connection.bind_anonymous().await.unwrap().is_success());
    assert_eq!(connection.who_am_i().await.unwrap(), "");
}

#[tokio::test]
async fn searches_find_entries_attributes_and_nothing() {
    let slapd = Slapd::start();
    let connection = bound(&options(&slapd.url())).await;
    let all = connection.search(people(Filter::present("uid"))).await.unwrap();
    assert!(all.result.is_success() && all.entries.len() > 3, "{:?}", all.result);

    let uid = all.entries.iter().find_map(|entry| entry.text("uid")).unwrap().to_owned();
    let one = connection.search(people(Filter::equal("uid", uid.as_str())).attributes(["cn"])).await.unwrap();
    assert_eq!(one.entries.len(), 1);
    assert!(one.entries[0].has("CN") && !one.entries[0].has("uid"));
    assert!(one.entries[0].dn().unwrap().is_within(&Dn::parse(PEOPLE).unwrap()));

    let none = connection.search(people(Filter::equal("uid", "nobody*)(uid=*"))).await.unwrap();
    assert!(none.result.is_success() && none.entries.is_empty());

    let limited = connection.search(people(Filter::present("uid")).size_limit(1)).await.unwrap();
    assert_eq!((limited.result.code, limited.entries.len()), (ResultCode::SIZE_LIMIT_EXCEEDED, 1));

    let nowhere = SearchRequest::raw("ou=nowhere,dc=example,dc=test", Scope::Base, Filter::present("objectClass"));
    assert_eq!(connection.search(nowhere).await.unwrap().result.code, ResultCode::NO_SUCH_OBJECT);
}

#[tokio::test]
async fn pages_arrive_whole() {
    let crowd: Vec<String> = (0..95)
        .map(|n| format!("dn: uid=crowd{n},{PEOPLE}\nobjectClass: inetOrgPerson\nuid: crowd{n}\ncn: c{n}\nsn: c{n}\n"))
        .collect();
    let slapd = Slapd::builder().ldif(&crowd.join("\n")).start();
    let connection = bound(&options(&slapd.url())).await;
    let mut search = connection.search_paged(people(Filter::parse("(uid=crowd*)").unwrap()).attributes(["uid"]), 10);
    let (mut names, mut pages) = (std::collections::BTreeSet::new(), 0);
    while let Some(page) = search.next_page().await.unwrap() {
        pages += 1;
        assert!(!page.control_missing && !page.endless && page.new_entries == page.entries.len());
        assert_eq!(page.completes(), page.last);
        assert!(page.entries.len() <= 10);
        names.extend(page.entries.iter().map(|entry| entry.text("uid").unwrap().to_owned()));
        assert_eq!(page.last, names.len() == 95 && pages >= 10);
    }
    assert_eq!(names.len(), 95);
}

#[tokio::test]
async fn a_size_limit_cuts_pages_short_and_says_so() {
    let slapd = Slapd::builder().size_limit(3).start();
    let connection = Connection::open(&options(&slapd.url())).await.unwrap();
    connection.bind_simple(Slapd::LIMITED_DN, &"limited-secret".into()).await.unwrap();
    let mut search = connection.search_paged(people(Filter::present("uid")), 2);
    let mut last = None;
    while let Some(page) = search.next_page().await.unwrap() {
        last = Some(page);
    }
    let last = last.unwrap();
    assert_eq!(last.result.code, ResultCode::SIZE_LIMIT_EXCEEDED);
    assert!(last.last && !last.completes());
}

#[tokio::test]
async fn entries_are_added_compared_changed_moved_and_deleted() {
    let slapd = Slapd::start();
    let connection = root(&slapd, &options(&slapd.url())).await;
    let dn = format!("uid=new,{PEOPLE}");
    connection.add(&dn, &person("new")).await.unwrap();
    let error = connection.add(&dn, &person("new")).await.unwrap_err();
    assert_eq!(error.result().unwrap().code, ResultCode::ENTRY_ALREADY_EXISTS);
    assert!(!error.is_connection_lost());

    assert!(connection.compare(&dn, "sn", b"NEW").await.unwrap());
    assert!(!connection.compare(&dn, "sn", b"old").await.unwrap());
    let error = connection.compare(&format!("uid=gone,{PEOPLE}"), "sn", b"x").await.unwrap_err();
    assert_eq!(error.result().unwrap().code, ResultCode::NO_SUCH_OBJECT);

    let mails = Attribute { name: "mail".into(), values: vec![b"a@x".to_vec(), b"b@x".to_vec()] };
    let changes = [replace("sn", "Newer"), Modification { kind: ModificationKind::Add, attribute: mails }];
    connection.modify(&dn, &changes).await.unwrap();
    let delete = Modification { kind: ModificationKind::Delete, attribute: text("mail", "a@x") };
    connection.modify(&dn, &[delete]).await.unwrap();

    connection.modify_dn(&dn, "uid=renamed", true, Some("dc=example,dc=test")).await.unwrap();
    let moved = "uid=renamed,dc=example,dc=test";
    let request = SearchRequest::raw(moved, Scope::Base, Filter::present("objectClass"));
    let entry = connection.search(request.clone()).await.unwrap().entries.remove(0);
    assert_eq!((entry.text("sn"), entry.text("uid")), (Some("Newer"), Some("renamed")));
    assert_eq!(entry.values("mail").collect::<Vec<_>>(), [b"b@x"]);

    connection.delete(moved).await.unwrap();
    assert_eq!(connection.search(request).await.unwrap().result.code, ResultCode::NO_SUCH_OBJECT);
}

#[tokio::test]
async fn numbers_are_incremented_and_assertions_hold() {
    let slapd = Slapd::start();
    let connection = root(&slapd, &options(&slapd.url())).await;
    let dn = format!("uid=number,{PEOPLE}");
    let mut attributes = person("number");
    attributes[0].values.push(b"posixAccount".to_vec());
    attributes.extend([text("uidNumber", "41"), text("gidNumber", "1"), text("homeDirectory", "/")]);
    connection.add(&dn, &attributes).await.unwrap();
    let increment = Modification { kind: ModificationKind::Increment, attribute: text("uidNumber", "1") };
    connection.modify(&dn, &[increment]).await.unwrap();
    assert!(connection.compare(&dn, "uidNumber", b"42").await.unwrap());

    let unless = Control::assertion(&Filter::equal("uidNumber", "7")).unwrap();
    let error = connection.modify_with(&dn, &[replace("sn", "x")], &[unless]).await.unwrap_err();
    assert_eq!(error.result().unwrap().code, ResultCode::ASSERTION_FAILED);
}

#[tokio::test]
async fn passwords_are_changed_over_tls_only() {
    let slapd = Slapd::start();
    let plain = root(&slapd, &options(&slapd.url())).await;
    let dn = format!("uid=pw,{PEOPLE}");
    plain.add(&dn, &person("pw")).await.unwrap();
    let new = "brand-new-one".into();
    let error = plain.password_modify(Some(&dn), None, Some(&new)).await.unwrap_err();
    assert!(matches!(error, Error::Plaintext { .. }), "{error}");
    let error = plain.modify(&dn, &[replace("userPassword", "brand-new-one")]).await.unwrap_err();
    assert!(matches!(error, Error::Plaintext { .. }), "{error}");
    let with_password = [person("pw2"), vec![text("userPassword", "x")]].concat();
    let error = plain.add(&format!("uid=pw2,{PEOPLE}"), &with_password).await.unwrap_err();
    assert!(matches!(error, Error::Plaintext { .. }), "{error}");

    let tls = root(&slapd, &private_ca(&slapd, &slapd.ldaps_url())).await;
    let error = tls.password_modify(Some(&dn), None, Some(&"".into())).await.unwrap_err();
    assert!(matches!(error, Error::EmptyPassword), "{error}");
    let answer = tls.password_modify(Some(&dn), None, Some(&new)).await.unwrap();
    assert!(answer.result.is_success() && answer.generated.is_none());
    assert!(plain.bind_simple(&dn, &new).await.unwrap().0.is_success());

    let generated = tls.password_modify(Some(&dn), None, None).await.unwrap().generated.unwrap();
    assert!(!plain.bind_simple(&dn, &new).await.unwrap().0.is_success());
    assert!(plain.bind_simple(&dn, &generated).await.unwrap().0.is_success());
}

#[tokio::test]
async fn the_password_policy_control_tells_of_a_locked_account() {
    let slapd = Slapd::builder().ppolicy(2).start();
    let connection = Connection::open(&options(&slapd.url())).await.unwrap();
    let dn = format!("uid=locked,{PEOPLE}");
    let (result, controls) = connection.bind_simple(&dn, &"locked-secret".into()).await.unwrap();
    assert_eq!(result.code, ResultCode::INVALID_CREDENTIALS);
    let policy = control::find::<PasswordPolicyResponse>(&controls).unwrap().unwrap();
    assert_eq!(policy.error, Some(PasswordPolicyError::AccountLocked));
}

#[tokio::test]
async fn many_operations_are_under_way_at_once() {
    let slapd = Slapd::start();
    let mut options = private_ca(&slapd, &slapd.ldaps_url());
    // Long enough for a busy machine.
    options.operation_timeout = Duration::from_mins(1);
    let connection = bound(&options).await;
    let searches = (0..500).map(|n| {
        let connection = connection.clone();
        tokio::spawn(async move {
            let filter = if n % 2 == 0 { Filter::present("uid") } else { Filter::equal("uid", "nobody") };
            (n, connection.search(people(filter)).await.unwrap())
        })
    });
    let expected = connection.search(people(Filter::present("uid"))).await.unwrap().entries.len();
    for search in searches.collect::<Vec<_>>() {
        let (n, outcome) = search.await.unwrap();
        assert_eq!(outcome.entries.len(), if n % 2 == 0 { expected } else { 0 });
    }
}

#[tokio::test]
async fn a_persistent_search_tells_of_changes_until_it_is_dropped() {
    let slapd = Slapd::builder().syncprov().start();
    let connection = bound(&options(&slapd.url())).await;
    let sync = SyncRequest { mode: SyncMode::RefreshAndPersist, cookie: None, reload_hint: false };
    let request =
        people(Filter::present("uid")).control(sync.to_control().unwrap().critical()).deadline(Deadline::None);
    let mut stream = connection.search_stream(request).await.unwrap();
    // The refresh ends with a message that says so.
    loop {
        match stream.next().await.unwrap().unwrap() {
            SearchItem::Intermediate { oid: Some(oid), value: Some(value) } => {
                assert_eq!(oid, SyncInfo::OID);
                if let SyncInfo::RefreshDelete { refresh_done: true, .. }
                | SyncInfo::RefreshPresent { refresh_done: true, .. } = SyncInfo::decode(&value).unwrap()
                {
                    break;
                }
            }
            SearchItem::Entry { controls, .. } => {
                assert_eq!(control::find::<SyncState>(&controls).unwrap().unwrap().state, SyncStateKind::Add);
            }
            other => panic!("{other:?}"),
        }
    }
    let writer = root(&slapd, &options(&slapd.url())).await;
    let dn = format!("uid=live,{PEOPLE}");
    writer.add(&dn, &person("live")).await.unwrap();
    let Some(SearchItem::Entry { entry, .. }) = stream.next().await.unwrap() else { panic!("no entry") };
    assert_eq!(entry.text("uid"), Some("live"));
    drop(stream);
    assert!(connection.who_am_i().await.is_ok(), "the connection outlives the search");
}

#[tokio::test]
async fn a_slapd_that_hangs_is_noticed_by_the_deadline_and_one_that_is_gone_at_once() {
    let mut slapd = Slapd::start();
    let mut options = options(&slapd.url());
    options.operation_timeout = Duration::from_secs(2);
    let connection = bound(&options).await;
    slapd.pause();
    // Its threads may still finish what they are at.
    let error = loop {
        if let Err(error) = connection.search(people(Filter::present("uid"))).await {
            break error;
        }
    };
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    slapd.resume();
    slapd.kill();
    connection.closed().await;
    let error = Connection::open(&options).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
}

#[tokio::test]
async fn collected_results_are_capped() {
    let slapd = Slapd::start();
    let mut options = options(&slapd.url());
    assert_eq!(options.max_message, DEFAULT_MAX_MESSAGE);
    options.max_message = 2000;
    let connection = bound(&options).await;
    let error = connection.search(people(Filter::present("uid"))).await.unwrap_err();
    assert!(matches!(error, Error::TooManyResults { .. }), "{error}");
    assert!(connection.who_am_i().await.is_ok());
}
