//! Groups by `memberOf`, read from the person.

use crate::support::*;
use bindery_directory::settings::{Members, Nested};
use bindery_directory::{Known, SourceSettings};
use bindery_tests::Slapd;

fn member_of(settings: &mut SourceSettings) {
    settings.groups.members = Members::MemberOf;
}

#[tokio::test]
async fn direct_and_nested() {
    let slapd = Slapd::builder().memberof().start();
    let walk = source(&slapd, member_of);
    let ann = groups_of(&walk, "ann", &[named("leavers"), at("cn=admins,ou=groups"), named("nowhere")]).await;
    assert_eq!(ann.incomplete, None);
    assert_eq!(names(&ann), ["app-users", "editors", "staff", "writers"]);
    let staff = ann.groups.iter().find(|group| group.names == ["staff"]).unwrap();
    assert_eq!(staff.path, ["writers", "editors", "staff"].map(|name| below(&format!("cn={name},ou=groups"))));
    assert!(!staff.direct && staff.unique_id.is_some());
    assert_eq!(ann.known[&named("leavers")], Known::Found);
    assert_eq!(ann.known[&at("cn=admins,ou=groups")], Known::Found);
    assert_eq!(ann.known[&named("nowhere")], Known::NotFound);

    let flat = source(&slapd, |settings| {
        member_of(settings);
        settings.groups.nested = Nested::None;
    });
    assert_eq!(names(&groups_of(&flat, "ann", &[]).await), ["app-users", "writers"]);
}

#[tokio::test]
async fn loops_end() {
    let slapd = Slapd::builder().memberof().start();
    assert_eq!(names(&groups_of(&source(&slapd, member_of), "frank", &[]).await), ["loop-a", "loop-b"]);
}

#[tokio::test]
async fn the_primary_group_counts_too() {
    let slapd = Slapd::builder().memberof().rfc2307bis().start();
    let carol = groups_of(&source(&slapd, member_of), "carol", &[]).await;
    assert!(names(&carol).contains(&"ops"), "{carol:?}");
}

#[tokio::test]
async fn a_group_outside_the_base_counts_where_a_rule_names_it() {
    let outside = format!(
        "dn: cn=vip,ou=outside,{SUFFIX}\nobjectClass: groupOfNames\ncn: vip\nmember: uid=ann,ou=people,{SUFFIX}\n"
    );
    let slapd = Slapd::builder().memberof().ldif(&outside).start();
    let source = source(&slapd, member_of);
    assert!(!names(&groups_of(&source, "ann", &[]).await).contains(&"vip"));
    let ann = groups_of(&source, "ann", &[at("cn=vip,ou=outside")]).await;
    assert!(names(&ann).contains(&"vip"), "{ann:?}");
    let bob = groups_of(&source, "bob", &[at("cn=vip,ou=outside")]).await;
    assert_eq!(bob.known[&at("cn=vip,ou=outside")], Known::Found);
}

#[tokio::test]
async fn a_group_that_cannot_be_read_counts_by_dn_alone() {
    let slapd = Slapd::builder().memberof().start();
    let source = source(&slapd, |settings| {
        member_of(settings);
        settings.bind = service(Slapd::BLIND_DN, "blind-secret");
    });
    let ann = groups_of(&source, "ann", &[at("cn=writers,ou=groups"), named("app-users")]).await;
    assert_eq!(names(&ann), [""], "writers, by its DN: {ann:?}");
    assert_eq!(ann.groups[0].dn, below("cn=writers,ou=groups"));
    assert_ne!(ann.known[&named("app-users")], Known::Found, "nobody can say");
}

#[tokio::test]
async fn an_outage_leaves_it_incomplete() {
    let mut slapd = Slapd::builder().memberof().start();
    let source = source(&slapd, member_of);
    let ann = person(&source, "ann").await;
    slapd.stop();
    let memberships = source.memberships(&bindery_directory::Reader::service(), &ann, &[]).await;
    assert!(memberships.incomplete.is_some());
}
