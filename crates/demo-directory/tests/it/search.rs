//! Search: every kind of filter, scopes, selections, limits and pages.

use crate::support::{admin, company_directory, connect, entries, found, person, service, start};
use bindery_demo_directory::{Options, company, crowd};
use bindery_ldap::Dn;
use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::controls::RawControl;
use ldap3::{Ldap, Scope, SearchEntry, SearchOptions};

#[tokio::test]
async fn every_kind_of_filter() {
    let directory = company_directory();
    let mut ldap = service(&directory).await;
    for (filter, expected) in [
        ("(uid=ann)", &["ann"][..]),
        ("(UID=ANN)", &["ann"]),
        ("(0.9.2342.19200300.100.1.1=ann)", &["ann"]),
        ("(cn=zoë   müller)", &["zoe"]),
        ("(sn=O'Neill)", &["beth"]),
        ("(uid=nobody)", &[]),
        ("(uid=an*)", &["ann"]),
        ("(cn=*berg*)", &["ingrid", "nils"]),
        ("(cn=* *ski)", &[]),
        ("(cn=D*i*kov)", &["dmitri"]),
        (
            "(mail=*@larkspur.example)",
            &[
                "ann", "beth", "carlos", "dmitri", "greta", "hana", "ingrid", "june", "kwame", "leo", "marcus", "mei",
                "nils", "owen", "paul", "priya", "rafael", "sofia", "tobias", "victor", "zoe",
            ],
        ),
        ("(employeeNumber>=1020)", &["mei", "paul"]),
        ("(employeeNumber<=1001)", &["ann"]),
        ("(shadowExpire>=18999)", &["paul"]),
        ("(shadowExpire>=19001)", &[]),
        ("(shadowExpire<=019000)", &["paul"]),
        ("(pwdAccountLockedTime<=20250116081500.0Z)", &["victor"]),
        ("(cn~=annwhitfield)", &["ann"]),
        ("(&(title=Editor)(departmentNumber=editorial))", &["marcus"]),
        ("(|(uid=ann)(uid=leo)(uid=ann))", &["ann", "leo"]),
        ("(&(employeeType=contractor)(!(uid=mei)))", &["paul"]),
        ("(&(objectClass=inetOrgPerson)(!(manager=*)))", &["ann"]),
        ("(nsAccountLock=TRUE)", &["nils"]),
        ("(telephoneNumber=+442079460001)", &["ann"]),
        ("(manager=UID=Dmitri, OU=People, DC=Larkspur, DC=Example)", &["june", "kwame", "sofia"]),
        ("(member=uid=kwame,ou=people,dc=larkspur,dc=example)", &["it-admins"]),
        ("(memberOf=cn=it-admins,ou=groups,dc=larkspur,dc=example)", &["june", "kwame"]),
        (
            "(memberOf:1.2.840.113556.1.4.1941:=cn=engineering,ou=groups,dc=larkspur,dc=example)",
            &["dmitri", "it-admins", "june", "kwame", "sofia"],
        ),
        (
            "(member:1.2.840.113556.1.4.1941:=uid=kwame,ou=people,dc=larkspur,dc=example)",
            &["all-staff", "engineering", "it-admins"],
        ),
        ("(cn:caseExactMatch:=Ann Whitfield)", &["ann"]),
        ("(cn:2.5.13.5:=ann whitfield)", &[]),
        ("(cn:=ann whitfield)", &["ann"]),
        ("(:caseIgnoreMatch:=Publisher)", &["ann"]),
        ("(ou:dn:=contractors)", &["mei", "ou=contractors,ou=people,dc=larkspur,dc=example", "paul"]),
        ("(shadowExpire:1.2.840.113556.1.4.803:=8)", &["paul"]),
        ("(shadowExpire:1.2.840.113556.1.4.804:=12)", &["paul"]),
        ("(&(objectClass=2.5.6.6)(uid=ann))", &["ann"]),
        ("(&(objectClass=top)(cn=bindery))", &["bindery"]),
        ("(&(structuralObjectClass=inetOrgPerson)(objectClass=shadowAccount))", &["paul"]),
        ("(|)", &[]),
        // Undefined is neither true nor, negated, true.
        ("(uid:1.2.3.4:=ann)", &[]),
        ("(!(uid:1.2.3.4:=ann))", &[]),
        ("(!(manager=nonsense))", &[]),
        ("(|(manager=nonsense)(uid=ann))", &["ann"]),
    ] {
        assert_eq!(found(&mut ldap, filter).await, expected, "{filter}");
    }
    assert_eq!(found(&mut ldap, "(&)").await.len(), company::entries().len());
    assert_eq!(found(&mut ldap, "(objectClass=*)").await.len(), company::entries().len());
}

#[tokio::test]
async fn what_people_type_is_never_syntax() {
    let directory = company_directory();
    let mut ldap = service(&directory).await;
    for typed in ["*", "ann)(uid=*", "a\\n", "\0", "(", "ann\0"] {
        let filter = bindery_ldap::Filter::equal("uid", typed).to_string();
        assert!(found(&mut ldap, &filter).await.is_empty(), "{typed:?}");
    }
}

#[tokio::test]
async fn scopes() {
    let directory = company_directory();
    let mut ldap = service(&directory).await;
    let count =
        async |ldap: &mut Ldap, base: &str, scope| entries(ldap, base, scope, "(objectClass=*)", &["1.1"]).await.len();
    assert_eq!(count(&mut ldap, company::BASE_DN, Scope::Base).await, 1);
    assert_eq!(count(&mut ldap, company::BASE_DN, Scope::OneLevel).await, 4);
    assert_eq!(count(&mut ldap, company::PEOPLE_DN, Scope::OneLevel).await, 20);
    assert_eq!(count(&mut ldap, "OU=People, DC=larkspur,DC=example", Scope::Subtree).await, 23);
    assert_eq!(entries(&mut ldap, company::PEOPLE_DN, Scope::OneLevel, "(uid=mei)", &[]).await.len(), 0);
    assert_eq!(entries(&mut ldap, company::GROUPS_DN, Scope::Subtree, "(uid=ann)", &[]).await.len(), 0);

    let missing = ldap
        .search("cn=x,ou=nowhere,dc=larkspur,dc=example", Scope::Subtree, "(cn=*)", vec!["*"])
        .await
        .expect("an answer")
        .1;
    assert_eq!((missing.rc, missing.matched.as_str()), (32, company::BASE_DN));
    assert_eq!(ldap.search("nonsense", Scope::Subtree, "(cn=*)", vec!["*"]).await.expect("an answer").1.rc, 34);
}

#[tokio::test]
async fn selections() {
    let directory = company_directory();
    let mut ldap = service(&directory).await;
    let names = async |ldap: &mut Ldap, attributes: &[&str]| {
        let entry = entries(ldap, &person("nils"), Scope::Base, "(objectClass=*)", attributes).await.remove(0);
        let mut names: Vec<String> = entry.attrs.into_keys().chain(entry.bin_attrs.into_keys()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&mut ldap, &["1.1"]).await, [""; 0]);
    assert_eq!(names(&mut ldap, &["CN", "2.5.4.4", "nothing"]).await, ["cn", "sn"]);
    let user = names(&mut ldap, &[]).await;
    assert_eq!(names(&mut ldap, &["*"]).await, user);
    assert!(
        user.contains(&"mail".into()) && !user.contains(&"entryUUID".into()) && !user.contains(&"nsAccountLock".into())
    );
    let operational = names(&mut ldap, &["+"]).await;
    for name in [
        "createTimestamp",
        "entryCSN",
        "entryDN",
        "entryUUID",
        "hasSubordinates",
        "memberOf",
        "modifyTimestamp",
        "nsAccountLock",
        "subschemaSubentry",
    ] {
        assert!(operational.contains(&name.into()), "{name}");
    }
    assert!(!operational.contains(&"mail".into()));
    assert_eq!(names(&mut ldap, &["*", "+"]).await.len(), user.len() + operational.len());
    assert_eq!(names(&mut ldap, &["memberOf", "entryuuid"]).await, ["entryUUID", "memberOf"]);

    let (entries, _) = ldap
        .with_search_options(SearchOptions::new().typesonly(true))
        .search(&person("ann"), Scope::Base, "(objectClass=*)", vec!["mail"])
        .await
        .expect("an answer")
        .success()
        .expect("succeeds");
    assert_eq!(SearchEntry::construct(entries[0].clone()).attrs.get("mail").map(Vec::len), Some(0));
}

#[tokio::test]
async fn unique_ids_are_unique_and_stay() {
    let directory = company_directory();
    let mut ldap = admin(&directory).await;
    let id = async |ldap: &mut Ldap, dn: &str| {
        entries(ldap, dn, Scope::Base, "(objectClass=*)", &["entryUUID"]).await[0].attrs["entryUUID"][0].clone()
    };
    let all = entries(&mut ldap, company::BASE_DN, Scope::Subtree, "(objectClass=*)", &["entryUUID"]).await;
    let ids: std::collections::HashSet<_> = all.iter().map(|entry| entry.attrs["entryUUID"][0].clone()).collect();
    assert_eq!(ids.len(), company::entries().len());

    let before = id(&mut ldap, &person("ann")).await;
    ldap.modifydn(&person("ann"), "uid=anna", true, None).await.expect("an answer").success().expect("succeeds");
    assert_eq!(id(&mut ldap, "uid=anna,ou=people,dc=larkspur,dc=example").await, before);
    let filter = format!("(entryUUID={})", before.to_uppercase());
    assert_eq!(found(&mut ldap, &filter).await, ["anna"]);
}

#[tokio::test]
async fn the_root_tells_what_it_can_do_to_anybody() {
    let directory = company_directory();
    let mut ldap = connect(&directory).await;
    let root = entries(&mut ldap, "", Scope::Base, "(objectClass=*)", &["*", "+"]).await.remove(0);
    assert_eq!(root.attrs["namingContexts"], [company::BASE_DN]);
    assert_eq!(root.attrs["vendorName"], ["Bindery demo directory"]);
    assert_eq!(root.attrs["supportedLDAPVersion"], ["3"]);
    assert!(root.attrs["supportedControl"].contains(&"1.2.840.113556.1.4.319".into()));
    assert!(
        !root.attrs["supportedExtension"].contains(&"1.3.6.1.4.1.1466.20037".into()),
        "no STARTTLS without a certificate"
    );
    let plain = entries(&mut ldap, "", Scope::Base, "(objectClass=*)", &[]).await.remove(0);
    assert_eq!(plain.attrs.keys().collect::<Vec<_>>(), ["objectClass"]);
    let schema = &root.attrs["subschemaSubentry"][0];
    assert_eq!(entries(&mut ldap, schema, Scope::Base, "(objectClass=subschema)", &["+"]).await.len(), 1);
}

#[tokio::test]
async fn size_limits() {
    let directory = company_directory();
    let mut ldap = service(&directory).await;
    let limited = SearchOptions::new().sizelimit(3);
    let result = ldap
        .with_search_options(limited)
        .search(company::BASE_DN, Scope::Subtree, "(uid=*)", vec!["uid"])
        .await
        .expect("an answer");
    assert_eq!((result.0.len(), result.1.rc), (3, 4));
    let exact = SearchOptions::new().sizelimit(1);
    let result = ldap
        .with_search_options(exact)
        .search(company::BASE_DN, Scope::Subtree, "(uid=ann)", vec!["uid"])
        .await
        .expect("an answer");
    assert_eq!((result.0.len(), result.1.rc), (1, 0));
}

fn crowd_options(people: usize) -> Options {
    let base = Dn::parse("dc=crowd,dc=example").expect("a DN");
    let mut entries = company::entries();
    entries.extend(crowd(&base, people, 50));
    Options { entries, administrators: company::administrators(), ..Options::default() }
}

async fn paged(ldap: &mut Ldap, size: i32) -> (Vec<String>, u32) {
    let adapters: Vec<Box<dyn Adapter<'_, _, _>>> =
        vec![Box::new(EntriesOnly::new()), Box::new(PagedResults::new(size))];
    let mut stream = ldap
        .streaming_search_with(adapters, "dc=crowd,dc=example", Scope::Subtree, "(uid=*)", vec!["uid"])
        .await
        .expect("begins");
    let mut uids = Vec::new();
    while let Ok(Some(entry)) = stream.next().await {
        uids.push(SearchEntry::construct(entry).attrs["uid"][0].clone());
    }
    let rc = stream.finish().await.rc;
    (uids, rc)
}

#[tokio::test]
async fn pages() {
    let directory = start(crowd_options(250));
    let mut ldap = service(&directory).await;
    for size in [1, 100, 125, 250, 1000] {
        let (mut uids, rc) = paged(&mut ldap, size).await;
        uids.sort();
        uids.dedup();
        assert_eq!((uids.len(), rc), (250, 0), "in pages of {size}");
    }
}

#[tokio::test]
async fn a_size_limit_counts_all_pages_except_for_administrators() {
    let directory = start(Options { size_limit: 120, ..crowd_options(250) });
    let (uids, rc) = paged(&mut service(&directory).await, 50).await;
    assert_eq!((uids.len(), rc), (120, 4));
    let (uids, rc) = paged(&mut admin(&directory).await, 50).await;
    assert_eq!((uids.len(), rc), (250, 0));
}

/// A paged search control: SEQUENCE { size, cookie }.
fn paging(size: u8, cookie: &[u8]) -> RawControl {
    let mut value = vec![
        0x30,
        u8::try_from(5 + cookie.len()).expect("short"),
        2,
        1,
        size,
        4,
        u8::try_from(cookie.len()).expect("short"),
    ];
    value.extend_from_slice(cookie);
    RawControl { ctype: "1.2.840.113556.1.4.319".into(), crit: true, val: Some(value) }
}

#[tokio::test]
async fn cookies_are_of_one_search_on_one_connection() {
    let directory = company_directory();
    let mut ldap = service(&directory).await;
    let search = async |ldap: &mut Ldap, filter: &str, control| {
        let result = ldap
            .with_controls(control)
            .search(company::BASE_DN, Scope::Subtree, filter, vec!["uid"])
            .await
            .expect("an answer");
        let cookie = result.1.ctrls.first().and_then(|control| control.1.val.clone()).map(|value| value[7..].to_vec());
        (result.0.len(), result.1.rc, cookie.unwrap_or_default())
    };
    assert_eq!(search(&mut ldap, "(uid=*)", paging(5, b"invented")).await.1, 53);
    let (count, rc, cookie) = search(&mut ldap, "(uid=*)", paging(5, b"")).await;
    assert_eq!((count, rc, cookie.is_empty()), (5, 0, false));
    assert_eq!(search(&mut ldap, "(cn=*)", paging(5, &cookie)).await.1, 53, "another filter");
    let (_, _, cookie) = search(&mut ldap, "(uid=*)", paging(5, b"")).await;
    assert_eq!(search(&mut service(&directory).await, "(uid=*)", paging(5, &cookie)).await.1, 53, "another connection");
    assert_eq!(search(&mut ldap, "(uid=*)", paging(0, &cookie)).await, (0, 0, vec![]), "given up");
    assert_eq!(search(&mut ldap, "(uid=*)", paging(5, &cookie)).await.1, 53, "after that");
}

#[tokio::test]
async fn controls_that_must_not_be_ignored_are_not() {
    let directory = company_directory();
    let mut ldap = service(&directory).await;
    for (crit, rc) in [(true, 12), (false, 0)] {
        let control = RawControl { ctype: "1.2.3.4".into(), crit, val: None };
        let result = ldap
            .with_controls(control)
            .search(company::BASE_DN, Scope::Base, "(objectClass=*)", vec!["*"])
            .await
            .expect("an answer");
        assert_eq!(result.1.rc, rc);
    }
}

#[tokio::test]
async fn compare() {
    let directory = company_directory();
    let mut ldap = service(&directory).await;
    let compare = async |ldap: &mut Ldap, dn: &str, name: &str, value: &str| {
        ldap.compare(dn, name, value).await.expect("an answer").0.rc
    };
    assert_eq!(compare(&mut ldap, &person("ann"), "title", "PUBLISHER").await, 6);
    assert_eq!(compare(&mut ldap, &person("ann"), "title", "Editor").await, 5);
    assert_eq!(compare(&mut ldap, &person("ann"), "shadowExpire", "1").await, 16);
    assert_eq!(
        compare(&mut ldap, &person("kwame"), "memberOf", "CN=it-admins,OU=groups,DC=larkspur,DC=example").await,
        6
    );
    assert_eq!(compare(&mut ldap, "uid=nobody,ou=people,dc=larkspur,dc=example", "cn", "x").await, 32);
    assert_eq!(compare(&mut connect(&directory).await, &person("ann"), "title", "Publisher").await, 50);
}
