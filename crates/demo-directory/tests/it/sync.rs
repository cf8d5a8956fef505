//! Content synchronization: what a follower is told, and that nothing falls through.

use crate::support::{admin, company_directory, connect, person, service};
use bindery_demo_directory::company;
use ldap3::controls::{EntryState, RefreshMode, SyncDone, SyncRequest, SyncState};
use ldap3::{Ldap, Mod, Scope, SearchEntry, SearchStream};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

const STATE: &str = "1.3.6.1.4.1.4203.1.9.1.2";
const DONE: &str = "1.3.6.1.4.1.4203.1.9.1.3";

/// One refresh: what came by DN with its state, how many came as mere IDs, whether the rest is unchanged,
/// and the cookie.
async fn refresh(
    ldap: &mut Ldap,
    filter: &str,
    cookie: Option<Vec<u8>>,
) -> (BTreeMap<String, EntryState>, usize, bool, Vec<u8>) {
    let request = SyncRequest { mode: RefreshMode::RefreshOnly, cookie, reload_hint: true };
    let mut stream = ldap
        .with_controls(request)
        .streaming_search(company::BASE_DN, Scope::Subtree, filter, vec!["uid"])
        .await
        .expect("begins");
    let (mut entries, mut ids) = (BTreeMap::new(), 0);
    while let Some(entry) = stream.next().await.expect("an answer") {
        if entry.is_intermediate() {
            ids += 1;
            continue;
        }
        let state = entry.1.iter().find(|control| control.1.ctype == STATE).expect("a state").1.parse::<SyncState>();
        assert_eq!(state.entry_uuid.len(), 16);
        entries.insert(SearchEntry::construct(entry).dn, state.state);
    }
    let result = stream.finish().await.success().expect("succeeds");
    let done = result.ctrls.iter().find(|control| control.1.ctype == DONE).expect("the end").1.parse::<SyncDone>();
    (entries, ids, done.refresh_deletes, done.cookie.expect("a cookie"))
}

#[tokio::test]
async fn a_refresh_tells_everything_then_what_changed() {
    let directory = company_directory();
    let (mut ldap, mut admin) = (service(&directory).await, admin(&directory).await);
    let (entries, _, deletes, cookie) = refresh(&mut ldap, "(uid=*)", None).await;
    assert_eq!((entries.len(), deletes), (company::people().len(), false), "what was not told of is gone");

    let (entries, ids, deletes, cookie) = refresh(&mut ldap, "(uid=*)", Some(cookie)).await;
    assert_eq!((entries.len(), ids, deletes), (0, 0, true), "nothing changed");

    admin
        .modify(&person("ann"), vec![Mod::Replace("title", HashSet::from(["Owner"]))])
        .await
        .expect("an answer")
        .success()
        .expect("succeeds");
    admin.delete(&person("owen")).await.expect("an answer").success().expect("succeeds");
    let (entries, ids, deletes, cookie) = refresh(&mut ldap, "(uid=*)", Some(cookie)).await;
    assert_eq!((entries.into_keys().collect::<Vec<_>>(), ids, deletes), (vec![person("ann")], 1, true));

    // Leaving by filter is leaving.
    let (entries, _, _, of_owners) = refresh(&mut ldap, "(title=Owner)", None).await;
    assert_eq!(entries.len(), 1);
    admin
        .modify(&person("ann"), vec![Mod::Replace("title", HashSet::from(["Publisher"]))])
        .await
        .expect("an answer")
        .success()
        .expect("succeeds");
    let (entries, ids, _, _) = refresh(&mut ldap, "(title=Owner)", Some(of_owners)).await;
    assert_eq!((entries.len(), ids), (0, 1));
    assert_eq!(refresh(&mut ldap, "(uid=*)", Some(cookie)).await.0.len(), 1);
}

#[tokio::test]
async fn a_cookie_of_no_use_begins_anew() {
    let directory = company_directory();
    let mut ldap = service(&directory).await;
    for cookie in [
        &b"nonsense"[..],
        b"",
        b"\xff",
        b"rid=000,csn=20010101000000.000000Z#000000#000#000000",
        b"rid=000,csn=29990101000000.000000Z#000000#000#000000",
    ] {
        let (entries, _, deletes, _) = refresh(&mut ldap, "(uid=*)", Some(cookie.to_vec())).await;
        assert_eq!((entries.len(), deletes), (company::people().len(), false), "{cookie:?}");
    }
}

#[tokio::test]
async fn only_who_is_bound_follows() {
    let directory = company_directory();
    let mut ldap = connect(&directory).await;
    let request = SyncRequest { mode: RefreshMode::RefreshAndPersist, cookie: None, reload_hint: false };
    let result = ldap
        .with_controls(request)
        .search(company::BASE_DN, Scope::Subtree, "(uid=*)", vec!["uid"])
        .await
        .expect("an answer");
    assert_eq!((result.0.len(), result.1.rc), (0, 50));
}

async fn next_change(stream: &mut SearchStream<'static, &'static str, Vec<&'static str>>) -> (String, String) {
    let entry = tokio::time::timeout(Duration::from_secs(10), stream.next())
        .await
        .expect("in time")
        .expect("an answer")
        .expect("an entry");
    let state = entry.1.iter().find(|control| control.1.ctype == STATE).expect("a state").1.parse::<SyncState>();
    assert!(state.cookie.is_some());
    (SearchEntry::construct(entry).dn, format!("{:?}", state.state))
}

#[tokio::test]
async fn a_follower_is_told_of_changes_as_they_happen() {
    let directory = company_directory();
    let (mut ldap, mut admin) = (service(&directory).await, admin(&directory).await);
    let request = SyncRequest { mode: RefreshMode::RefreshAndPersist, cookie: None, reload_hint: false };
    let mut stream = ldap
        .with_controls(request)
        .streaming_search(company::BASE_DN, Scope::Subtree, "(objectClass=inetOrgPerson)", vec!["uid"])
        .await
        .expect("begins");
    let mut told = 0;
    loop {
        let entry = stream.next().await.expect("an answer").expect("an entry");
        if entry.is_intermediate() {
            break;
        }
        told += 1;
    }
    assert_eq!(told, company::people().len());

    let nina = "uid=nina,ou=people,dc=larkspur,dc=example";
    let attributes = vec![
        ("objectClass", HashSet::from(["inetOrgPerson"])),
        ("cn", HashSet::from(["Nina"])),
        ("sn", HashSet::from(["Rossi"])),
    ];
    admin.add(nina, attributes).await.expect("an answer").success().expect("succeeds");
    let (dn, state) = next_change(&mut stream).await;
    assert_eq!((dn.as_str(), state.as_str()), (nina, "Add"));

    // A group is not looked for, and so not told of.
    admin
        .modify("cn=design,ou=groups,dc=larkspur,dc=example", vec![Mod::Add("member", HashSet::from([nina]))])
        .await
        .expect("an answer");
    admin
        .modify(nina, vec![Mod::Add("title", HashSet::from(["Editor"]))])
        .await
        .expect("an answer")
        .success()
        .expect("succeeds");
    let mut changes = Vec::new();
    loop {
        let (dn, state) = next_change(&mut stream).await;
        let last = dn == nina;
        changes.push((dn, state));
        if last {
            break;
        }
    }
    assert_eq!(changes.last(), Some(&(nina.to_owned(), "Modify".to_owned())));
    assert!(changes.iter().all(|(dn, state)| dn == nina || state == "Delete"));

    admin.delete(nina).await.expect("an answer").success().expect("succeeds");
    assert_eq!(next_change(&mut stream).await, (nina.to_owned(), "Delete".to_owned()));
}
