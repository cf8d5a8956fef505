//! Whole listings of real servers.

use crate::support::*;
use bindery_directory::settings::{MemberValue, Members};
use bindery_directory::{
    DirectoryError, GroupEntry, Incomplete, Listing, Person, Shortcoming, Source, Unreadable, Wanted,
};
use bindery_tests::{FaultProxy, Slapd};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Everything that a listing tells.
pub(crate) struct Listed<T> {
    pub(crate) entries: Vec<T>,
    pub(crate) unreadable: Vec<Unreadable>,
    pub(crate) short: Vec<Shortcoming>,
    pub(crate) pages: usize,
}

pub(crate) async fn all<T>(mut listing: Listing<T>) -> Result<Listed<T>, DirectoryError> {
    let mut listed = Listed { entries: vec![], unreadable: vec![], short: vec![], pages: 0 };
    while let Some(page) = listing.next().await? {
        listed.entries.extend(page.entries);
        listed.unreadable.extend(page.unreadable);
        listed.pages += 1;
    }
    listed.short = listing.shortcomings();
    Ok(listed)
}

pub(crate) async fn people(source: &Source) -> Result<Listed<Person>, DirectoryError> {
    all(source.list_people(&Wanted(vec!["mail".to_owned()]))).await
}

pub(crate) async fn groups(source: &Source) -> Listed<GroupEntry> {
    all(source.list_groups()).await.unwrap()
}

pub(crate) fn uids(people: &[Person]) -> Vec<&str> {
    people.iter().map(|person| person.entry.text("uid").unwrap()).collect()
}

fn reasons<T>(listed: &Listed<T>) -> Vec<Incomplete> {
    listed.short.iter().map(|one| one.reason).collect()
}

#[tokio::test]
async fn everybody_comes_once_in_pages() {
    let slapd = Slapd::start();
    let listed = people(&source(&slapd, |settings| settings.page_size = 3)).await.unwrap();
    assert_eq!(listed.pages, listed.entries.len().div_ceil(3));
    assert!(listed.short.is_empty() && listed.unreadable.is_empty());
    let unique: BTreeSet<_> = listed.entries.iter().map(|person| &person.unique_id).collect();
    assert_eq!(unique.len(), listed.entries.len());
    let counted = slapd.ldapsearch("(objectClass=inetOrgPerson)", &["1.1"]);
    let inside = counted.lines().filter(|line| line.contains(",ou=people,")).count();
    assert_eq!(listed.entries.len(), inside);
    assert!(listed.entries.iter().any(|person| person.entry.text("mail") == Some("ann@example.test")));
}

#[tokio::test]
async fn bases_that_overlap_are_one_union() {
    let slapd = Slapd::start();
    let whole = people(&source(&slapd, |_| {})).await.unwrap();
    let bases = [["ou=people", "uid=ann,ou=people"], ["uid=ann,ou=people", "ou=people"]];
    for bases in bases {
        let source = source(&slapd, |settings| settings.users.base_dn = bases.map(below).to_vec());
        let listed = people(&source).await.unwrap();
        assert_eq!(listed.entries.len(), whole.entries.len());
        assert!(listed.short.is_empty(), "a base whose entries came before is not empty: {:?}", listed.short);
    }
}

#[tokio::test]
async fn a_size_limit_is_named_and_what_came_counts() {
    let slapd = Slapd::builder().size_limit(5).start();
    let limited = source(&slapd, |settings| {
        settings.bind = service(Slapd::LIMITED_DN, "limited-secret");
        settings.page_size = 3;
    });
    let listed = people(&limited).await.unwrap();
    assert_eq!(reasons(&listed), [Incomplete::SizeLimit]);
    assert_eq!(listed.entries.len(), 5);
    assert_eq!(listed.short[0].base, below("ou=people").to_string());
}

#[tokio::test]
async fn one_of_several_bases_that_is_empty_is_named() {
    let slapd = Slapd::start();
    let source = source(&slapd, |settings| {
        settings.users.base_dn = vec![below("ou=people"), below("ou=groups")];
    });
    let listed = people(&source).await.unwrap();
    let expected = Shortcoming { reason: Incomplete::Empty, base: below("ou=groups").to_string() };
    assert_eq!(listed.short, [expected]);
    assert!(!listed.entries.is_empty());
}

#[tokio::test]
async fn a_base_that_is_not_there_is_a_failed_read() {
    let slapd = Slapd::start();
    let source = source(&slapd, |settings| settings.users.base_dn = vec![below("ou=people"), below("ou=nowhere")]);
    let Err(error) = people(&source).await else { panic!("it has an end") };
    assert!(error.to_string().contains("noSuchObject"), "{error}");
}

#[tokio::test]
async fn a_part_on_another_server_is_named() {
    let referral = format!(
        "dn: ou=far,ou=people,{SUFFIX}\nobjectClass: referral\nobjectClass: extensibleObject\nou: far\n\
         ref: ldap://127.0.0.1:1/ou=far,ou=people,{SUFFIX}\n"
    );
    let slapd = Slapd::builder().ldif(&referral).start();
    let listed = people(&source(&slapd, |_| {})).await.unwrap();
    assert_eq!(reasons(&listed), [Incomplete::Referral]);
    assert!(!listed.entries.is_empty());
}

#[tokio::test]
async fn people_without_a_readable_unique_id_are_named() {
    let slapd = Slapd::start();
    let source = source(&slapd, |settings| settings.users.unique_id = "employeeNumber".to_owned());
    let listed = people(&source).await.unwrap();
    assert_eq!(reasons(&listed), [Incomplete::UnreadableUniqueId]);
    assert_eq!(uids(&listed.entries), ["ann"]);
    assert!(listed.unreadable.iter().any(|one| one.dn.starts_with("uid=bob") && one.unique_id.is_none()));
    let groups = groups(&source).await;
    assert_eq!(reasons(&groups), [Incomplete::UnreadableUniqueId]);
    assert!(groups.entries.iter().all(|group| group.unique_id.is_none()), "they count as groups all the same");
}

#[tokio::test]
async fn groups_come_with_members_as_they_compare() {
    let slapd = Slapd::start();
    let listed = groups(&source(&slapd, |settings| settings.page_size = 2)).await;
    let writers = listed.entries.iter().find(|group| group.names == ["writers"]).unwrap();
    assert!(writers.members.contains(&below("UID=Ann,ou=people").key()));
    assert!(writers.unique_id.is_some() && listed.pages > 1);

    let posix = source(&slapd, |settings| {
        settings.groups.members = Members::OfGroup("memberUid".to_owned());
        settings.groups.member_value = MemberValue::Attribute("uid".to_owned());
        settings.groups.filter = filter("(objectClass=posixGroup)");
    });
    let listed = groups(&posix).await;
    let ann = person(&posix, "ann").await;
    let keys = posix.member_keys(&ann);
    let developers = listed.entries.iter().find(|group| group.names == ["developers"]).unwrap();
    assert!(keys.iter().all(|key| developers.members.contains(key)), "{keys:?} {developers:?}");
    assert!(developers.gid.is_some());
}

/// So many people, `p0` and on.
pub(crate) fn crowd(size: usize) -> String {
    let mut ldif = String::new();
    for number in 0..size {
        let _ = write!(
            ldif,
            "dn: uid=p{number},ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: p{number}\ncn: P {number}\nsn: P\n\n"
        );
    }
    ldif
}

#[tokio::test]
async fn a_connection_cut_midway_is_an_error_and_nothing_follows() {
    let slapd = Slapd::builder().ldif(&crowd(300)).start();
    for octets in [3_000, 10_000, 18_000] {
        let proxy = FaultProxy::new(slapd.port());
        let mut settings = settings(&[format!("ldap://127.0.0.1:{}", proxy.port())]);
        settings.page_size = 50;
        let source = Source::new(settings);
        person(&source, "ann").await;
        proxy.cut_answers_after(octets);
        let mut listing = source.list_people(&nothing());
        let mut came = 0;
        loop {
            match listing.next().await {
                Ok(Some(page)) => came += page.entries.len(),
                Ok(None) => panic!("{octets}: it has an end after {came}"),
                Err(error) => break assert!(came < 300, "{error}"),
            }
        }
        assert!(listing.next().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_server_that_stalls_is_given_up() {
    let slapd = Slapd::builder().ldif(&crowd(300)).start();
    let proxy = FaultProxy::new(slapd.port());
    let mut settings = settings(&[format!("ldap://127.0.0.1:{}", proxy.port())]);
    settings.page_size = 10;
    settings.timeouts.operation = std::time::Duration::from_millis(500);
    let source = Source::new(settings);
    let mut listing = source.list_people(&nothing());
    assert!(listing.next().await.unwrap().is_some());
    proxy.stall();
    let error = loop {
        match listing.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it has an end"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("did not end within"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_down_gives_way_to_the_next() {
    let slapd = Slapd::start();
    let source = Source::new(settings(&["ldap://127.0.0.1:1".to_owned(), slapd.url()]));
    assert!(!people(&source).await.unwrap().entries.is_empty());
}
