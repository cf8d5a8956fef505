//! The roster says of everybody what asking the directory says.

use crate::listing::people;
use crate::support::*;
use bindery_demo_directory::{DemoDirectory, Options, company};
use bindery_directory::settings::{MemberValue, Members, Nested};
use bindery_directory::{GroupSelector, Known, Memberships, Reader, Roster, Source, SourceSettings};
use bindery_tests::Slapd;
use std::collections::HashMap;
use std::fmt::Write as _;

async fn roster(source: &Source, named: &[GroupSelector]) -> Roster {
    source.roster(named, &mut |_| {}).await.unwrap()
}

/// Both, for everybody, with words left out; answers with how many memberships were compared.
async fn compare(source: &Source, named: &[GroupSelector]) -> usize {
    let roster = roster(source, named).await;
    let everybody = people(source).await.unwrap().entries;
    let mut compared = 0;
    for person in &everybody {
        let (asked, looked_up) =
            (source.memberships(&Reader::service(), person, named).await, roster.memberships(person));
        compared += asked.groups.len();
        assert_eq!(said(&looked_up), said(&asked), "{}", person.dn);
        let mut ids: Vec<_> = looked_up.groups.iter().map(|group| place(&roster, &group.dn)).collect();
        ids.sort_unstable();
        let (told, whole) = roster.group_ids(person);
        assert_eq!(told, ids);
        // What is unknown of them alone makes it no less short.
        let general: HashMap<_, _> = roster.known().collect();
        let alone = looked_up.known.iter().any(|(selector, known)| general[selector] != known);
        assert_eq!(whole, looked_up.incomplete.is_none() && !alone, "{}", person.dn);
    }
    compared
}

fn place(roster: &Roster, dn: &bindery_directory::Dn) -> u32 {
    let mut all = roster.groups().iter().chain(roster.apart());
    u32::try_from(all.position(|group| group.dn == *dn).unwrap()).unwrap()
}

/// In an order of its own, reasons left out.
fn said(memberships: &Memberships) -> String {
    let mut lines: Vec<String> = memberships.groups.iter().map(|group| format!("{group:?}")).collect();
    lines.extend(memberships.known.iter().map(|(selector, known)| match known {
        Known::Failed(_) => format!("{selector:?}: failed"),
        other => format!("{selector:?}: {other:?}"),
    }));
    lines.sort();
    format!("incomplete: {}\n{}", memberships.incomplete.is_some(), lines.join("\n"))
}

/// Rules that name groups of every kind: there, not there, outside the base, by name and by DN.
fn rules() -> Vec<GroupSelector> {
    let dns = ["cn=writers", "cn=leavers", "cn=nowhere"].map(|rdn| at(&format!("{rdn},ou=groups")));
    let outside = ["vip", "vips", "none", "top", "mix", "ring"].map(|name| at(&format!("cn={name},ou=outside")));
    let names = ["Staff", "LEAVERS", "nowhere", "vip", "admins"].map(named);
    dns.into_iter().chain(outside).chain(names).collect()
}

/// Groups in groups outside the base, and through one inside it.
pub(crate) fn nested_outside() -> String {
    let groups = [
        ("low", "ou=outside", ["uid=eve,ou=people"].as_slice()),
        ("top", "ou=outside", &["cn=low,ou=outside", "uid=zoe,ou=people"]),
        ("deep", "ou=branch", &["uid=bare,ou=people"]),
        ("inner", "ou=groups", &["cn=deep,ou=branch", "uid=frank,ou=people"]),
        ("club", "ou=groups", &["cn=deep,ou=branch"]),
        ("mix", "ou=outside", &["cn=inner,ou=groups"]),
        ("ring", "ou=outside", &["cn=mix,ou=outside", "cn=top,ou=outside", "cn=staff,ou=groups"]),
    ];
    let record = |(name, place, members): (&str, &str, &[&str])| {
        let members: Vec<String> = members.iter().map(|member| format!("member: {member},{SUFFIX}\n")).collect();
        format!("dn: cn={name},{place},{SUFFIX}\nobjectClass: groupOfNames\ncn: {name}\n{}\n", members.concat())
    };
    groups.into_iter().map(record).collect()
}

fn outside() -> String {
    let mut ldif = format!(
        "dn: cn=vip,ou=outside,{SUFFIX}\nobjectClass: groupOfNames\ncn: vip\nmember: uid=ann,ou=people,{SUFFIX}\n\n\
         dn: cn=vips,ou=outside,{SUFFIX}\nobjectClass: groupOfNames\ncn: vips\nmember: cn=staff,ou=groups,{SUFFIX}\n\n"
    );
    ldif.push_str(&nested_outside());
    // Deeper than anybody looks, and two ways to one group.
    for depth in 0..80 {
        let member = if depth == 0 { "uid=zoe,ou=people".to_owned() } else { format!("cn=d{},ou=groups", depth - 1) };
        let _ = write!(
            ldif,
            "dn: cn=d{depth},ou=groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: d{depth}\nmember: {member},{SUFFIX}\n\n"
        );
    }
    ldif
}

type Change = fn(&mut SourceSettings);

const FLAT: Change = |settings| settings.groups.nested = Nested::None;
const MEMBER_UID: Change = |settings| {
    settings.groups.members = Members::OfGroup("memberUid".to_owned());
    settings.groups.member_value = MemberValue::Attribute("uid".to_owned());
    settings.groups.filter = filter("(objectClass=posixGroup)");
};
const BY_A_NUMBER_FEW_HAVE: Change = |settings| {
    MEMBER_UID(settings);
    settings.groups.member_value = MemberValue::Attribute("employeeNumber".to_owned());
};
const UNIQUE_MEMBER: Change = |settings| {
    settings.groups.members = Members::OfGroup("uniqueMember".to_owned());
    settings.groups.filter = filter("(objectClass=groupOfUniqueNames)");
};
const FILTERED: Change = |settings| settings.groups.filter = filter("(cn=w*)");
const MEMBER_OF: Change = |settings| settings.groups.members = Members::MemberOf;

async fn in_modes(slapd: &Slapd, modes: &[(&str, Change)]) {
    for (name, mode) in modes {
        for flat in [false, true] {
            let source = source(slapd, |settings| {
                mode(settings);
                if flat {
                    FLAT(settings);
                }
            });
            assert!(compare(&source, &rules()).await > 0, "{name}: nobody is in a group");
        }
    }
}

#[tokio::test]
async fn on_slapd_by_attributes_of_the_group() {
    let slapd = Slapd::builder().ldif(&outside()).start();
    let modes: [(&str, Change); 4] =
        [("member", |_| {}), ("memberUid", MEMBER_UID), ("uniqueMember", UNIQUE_MEMBER), ("filtered", FILTERED)];
    in_modes(&slapd, &modes).await;
    let numbers = source(&slapd, BY_A_NUMBER_FEW_HAVE);
    compare(&numbers, &rules()).await;
}

#[tokio::test]
async fn on_slapd_with_groups_that_are_primary_groups_too() {
    let slapd = Slapd::builder().rfc2307bis().memberof().ldif(&outside()).start();
    in_modes(&slapd, &[("member", |_| {}), ("memberOf", MEMBER_OF)]).await;
}

#[tokio::test]
async fn on_slapd_by_member_of() {
    let slapd = Slapd::builder().memberof().ldif(&outside()).start();
    in_modes(&slapd, &[("memberOf", MEMBER_OF)]).await;
    let blind = source(&slapd, |settings| {
        MEMBER_OF(settings);
        settings.bind = service(Slapd::BLIND_DN, "blind-secret");
    });
    assert!(blind.roster(&[], &mut |_| {}).await.is_err(), "a base that may not be read is a failed read");
}

#[tokio::test]
async fn in_the_embedded_directory() {
    let directory = DemoDirectory::start(Options { seed: Some(1), ..Options::company() }).unwrap();
    for nested in [Nested::Walk, Nested::None] {
        let mut settings = settings(&[directory.url()]);
        settings.base_dn = dn(company::BASE_DN);
        settings.users.base_dn = vec![dn(company::PEOPLE_DN)];
        settings.groups.base_dn = vec![dn(company::GROUPS_DN)];
        settings.groups.nested = nested;
        settings.bind = service(company::SERVICE_DN, company::SERVICE_PASSWORD);
        assert!(compare(&Source::new(settings), &[named("staff")]).await > 20);
    }
}

#[tokio::test]
async fn several_bases() {
    let branch = format!(
        "dn: cn=scribes,ou=branch,{SUFFIX}\nobjectClass: groupOfNames\ncn: scribes\nmember: cn=writers,ou=groups,{SUFFIX}\n"
    );
    let slapd = Slapd::builder().ldif(&branch).start();
    let source = source(&slapd, |settings| settings.groups.base_dn.push(below("ou=branch")));
    assert!(compare(&source, &rules()).await > 0);
}

#[tokio::test]
async fn a_listing_that_is_cut_short_leaves_everything_unknown() {
    let slapd = Slapd::builder().size_limit(3).start();
    let source = source(&slapd, |settings| settings.bind = service(Slapd::LIMITED_DN, "limited-secret"));
    let roster = roster(&source, &[named("leavers"), named("nowhere")]).await;
    assert_eq!(roster.groups().len(), 3);
    let limited = source.list_people(&nothing()).next().await.unwrap().unwrap();
    let memberships = roster.memberships(&limited.entries[0]);
    assert!(memberships.incomplete.unwrap().contains("size limit"));
    assert!(matches!(memberships.known[&named("nowhere")], Known::Failed(_)));
    assert!(!roster.group_ids(&limited.entries[0]).1);
}

#[tokio::test]
async fn pages_are_told_of_with_their_members_and_parents_are_known() {
    let slapd = Slapd::start();
    let source = source(&slapd, |settings| settings.page_size = 4);
    let (mut pages, mut members) = (0, 0);
    let mut listed = |groups: &[bindery_directory::GroupEntry]| {
        pages += 1;
        members += groups.iter().map(|group| group.members.len()).sum::<usize>();
    };
    let roster = source.roster(&[], &mut listed).await.unwrap();
    assert!(pages > 1 && members > 10);
    assert!(roster.groups().iter().all(|group| group.members.is_empty()));
    let index = |name: &str| roster.groups().iter().position(|group| group.names == [name]).unwrap();
    assert_eq!(roster.parents(index("writers")), [index("editors")]);
    assert!(roster.shortcomings().is_empty());
}

#[tokio::test]
async fn an_outage_is_an_error() {
    let mut slapd = Slapd::start();
    let source = source(&slapd, |_| {});
    person(&source, "ann").await;
    slapd.stop();
    assert!(source.roster(&[], &mut |_| {}).await.is_err());
}
