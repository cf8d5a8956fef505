//! Groups by an attribute of the group: every kind, nested or not, and what cannot be read.

use crate::support::*;
use bindery_directory::settings::{MemberValue, Members, Nested};
use bindery_directory::{Dn, Known, Memberships, SourceSettings};
use bindery_tests::Slapd;
use std::fmt::Write as _;

/// The path of the group with that name, as first names.
fn path(memberships: &Memberships, name: &str) -> Vec<String> {
    let group = memberships.groups.iter().find(|group| group.names == [name]).unwrap_or_else(|| panic!("{name}"));
    group.path.iter().map(|dn| dn.leaf().unwrap().1).collect()
}

fn by(members: &str, class: &str) -> impl FnOnce(&mut SourceSettings) {
    let (members, class) = (Members::OfGroup(members.to_owned()), filter(&format!("(objectClass={class})")));
    move |settings| (settings.groups.members, settings.groups.filter) = (members, class)
}

fn posix(settings: &mut SourceSettings) {
    by("memberUid", "posixGroup")(settings);
    settings.groups.member_value = MemberValue::Attribute("uid".to_owned());
    settings.groups.nested = Nested::None;
}

#[tokio::test]
async fn member_direct_and_nested() {
    let slapd = Slapd::start();
    let walk = source(&slapd, |_| {});
    let ann = groups_of(&walk, "ann", &[]).await;
    assert_eq!(ann.incomplete, None);
    assert_eq!(names(&ann), ["app-users", "editors", "staff", "writers"]);
    assert_eq!(path(&ann, "writers"), ["writers"]);
    assert_eq!(path(&ann, "staff"), ["writers", "editors", "staff"]);
    let direct: Vec<_> = ann.groups.iter().filter(|group| group.direct).map(|group| group.names.join("")).collect();
    assert_eq!(direct.len(), 2, "{direct:?}");

    let flat = source(&slapd, |settings| settings.groups.nested = Nested::None);
    assert_eq!(names(&groups_of(&flat, "ann", &[]).await), ["app-users", "writers"]);
    assert_eq!(names(&groups_of(&flat, "bare", &[]).await), [""; 0]);
}

#[tokio::test]
async fn unique_member_and_role_occupant() {
    let slapd = Slapd::start();
    let unique = source(&slapd, by("uniqueMember", "groupOfUniqueNames"));
    assert_eq!(names(&groups_of(&unique, "bob", &[]).await), ["press"]);
    assert_eq!(names(&groups_of(&unique, "ann", &[]).await), [""; 0]);
    let role = source(&slapd, by("roleOccupant", "organizationalRole"));
    assert_eq!(names(&groups_of(&role, "ann", &[]).await), ["directors"]);
}

#[tokio::test]
async fn member_uid_and_the_primary_group() {
    let slapd = Slapd::start();
    let source = source(&slapd, posix);
    assert_eq!(names(&groups_of(&source, "ann", &[]).await), ["developers", "everyone"]);
    assert_eq!(names(&groups_of(&source, "carol", &[]).await), ["ops"], "by her gid alone");
    assert_eq!(names(&groups_of(&source, "dave", &[]).await), ["everyone", "ops"]);
}

#[tokio::test]
async fn member_uid_compares_without_regard_to_case() {
    let slapd = Slapd::start();
    slapd.ldapmodify(&format!(
        "dn: cn=ops,ou=groups,{SUFFIX}\nchangetype: modify\nadd: memberUid\nmemberUid: EVE\nmemberUid: zoe2\n"
    ));
    let source = source(&slapd, posix);
    assert_eq!(names(&groups_of(&source, "eve", &[]).await), ["everyone", "ops"]);
    assert_eq!(names(&groups_of(&source, "zoe", &[]).await), ["everyone"], "whole, not the beginning");
}

#[tokio::test]
async fn member_uid_needs_the_attribute_it_compares_with() {
    let slapd = Slapd::start();
    let source = source(&slapd, |settings| {
        posix(settings);
        settings.groups.member_value = MemberValue::Attribute("employeeNumber".to_owned());
    });
    let bob = groups_of(&source, "bob", &[]).await;
    assert!(bob.incomplete.unwrap().contains("employeeNumber"));
}

#[tokio::test]
async fn the_primary_group_nests_like_any_other() {
    let parent = format!(
        "dn: cn=all,ou=groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: all\nmember: cn=ops,ou=groups,{SUFFIX}\n"
    );
    let slapd = Slapd::builder().rfc2307bis().ldif(&parent).start();
    let walk = source(&slapd, |_| {});
    let carol = groups_of(&walk, "carol", &[]).await;
    assert_eq!(path(&carol, "ops"), ["ops"]);
    assert_eq!(path(&carol, "all"), ["ops", "all"]);
    let flat = source(&slapd, |settings| settings.groups.nested = Nested::None);
    assert!(names(&groups_of(&flat, "carol", &[]).await).contains(&"ops"), "in every mode");
}

#[tokio::test]
async fn loops_end() {
    let slapd = Slapd::start();
    let frank = groups_of(&source(&slapd, |_| {}), "frank", &[]).await;
    assert_eq!(names(&frank), ["loop-a", "loop-b"]);
    assert_eq!(frank.incomplete, None);
}

#[tokio::test]
async fn many_groups_keep_their_paths() {
    // 120 direct groups, more than one filter takes; two of them lie in groups of their own.
    let mut ldif = String::new();
    for number in 0..120 {
        let _ = write!(
            ldif,
            "dn: cn=g{number},ou=groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: g{number}\nmember: uid=zoe,ou=people,{SUFFIX}\n\n"
        );
    }
    for (number, child) in [(0, 7), (1, 93)] {
        let _ = write!(
            ldif,
            "dn: cn=p{number},ou=groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: p{number}\nmember: cn=g{child},ou=groups,{SUFFIX}\n\n"
        );
    }
    let slapd = Slapd::builder().ldif(&ldif).start();
    let zoe = groups_of(&source(&slapd, |_| {}), "zoe", &[]).await;
    assert_eq!(zoe.incomplete, None);
    assert_eq!(zoe.groups.len(), 123);
    assert_eq!(path(&zoe, "p0"), ["g7", "p0"]);
    assert_eq!(path(&zoe, "p1"), ["g93", "p1"]);
}

#[tokio::test]
async fn depth_has_an_end_and_says_so() {
    let mut ldif = format!(
        "dn: cn=d0,ou=groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: d0\nmember: uid=zoe,ou=people,{SUFFIX}\n\n"
    );
    for depth in 1..80 {
        let _ = write!(
            ldif,
            "dn: cn=d{depth},ou=groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: d{depth}\nmember: cn=d{},ou=groups,{SUFFIX}\n\n",
            depth - 1
        );
    }
    let slapd = Slapd::builder().ldif(&ldif).start();
    let zoe = groups_of(&source(&slapd, |_| {}), "zoe", &[]).await;
    assert!(zoe.incomplete.unwrap().contains("deep"));
}

#[tokio::test]
async fn groups_of_rules_are_found_unknown_or_not_there() {
    let slapd = Slapd::start();
    let source = source(&slapd, |_| {});
    let selectors = [named("Writers"), named("LEAVERS"), named("nowhere"), named("adm*"), named("admins (archived)")];
    let ann = groups_of(&source, "ann", &selectors).await;
    assert!(!ann.known.contains_key(&named("Writers")), "a member: nothing to look up");
    assert_eq!(ann.known[&named("LEAVERS")], Known::Found);
    for name in ["nowhere", "adm*", "admins (archived)"] {
        assert_eq!(ann.known[&named(name)], Known::NotFound, "{name}");
    }
}

#[tokio::test]
async fn dns_compare_by_meaning_not_by_spelling() {
    let slapd = Slapd::start();
    let source = source(&slapd, |_| {});
    let spelled = |text: &str| bindery_directory::GroupSelector::Dn(dn(text));
    let zoe = [
        spelled("CN=Research\\2c  development , OU=Groups,DC=Example,DC=test"),
        spelled("cn=\"Research, Development\",ou=groups,dc=example,dc=test"),
    ];
    assert!(groups_of(&source, "zoe", &zoe).await.known.is_empty(), "a member");
    let ann = groups_of(&source, "ann", &zoe).await;
    assert!(zoe.iter().all(|selector| ann.known[selector] == Known::Found), "{:?}", ann.known);
}

#[tokio::test]
async fn a_group_outside_the_base_is_read_where_it_lies() {
    let outside = format!(
        "dn: cn=vip,ou=outside,{SUFFIX}\nobjectClass: groupOfNames\ncn: vip\nmember: uid=ann,ou=people,{SUFFIX}\n\n\
         dn: cn=vips,ou=outside,{SUFFIX}\nobjectClass: groupOfNames\ncn: vips\nmember: cn=staff,ou=groups,{SUFFIX}\n"
    );
    let slapd = Slapd::builder().ldif(&outside).start();
    let source = source(&slapd, |_| {});
    let rules = [at("cn=vip,ou=outside"), at("cn=vips,ou=outside"), at("cn=none,ou=outside"), named("vip")];
    let ann = groups_of(&source, "ann", &rules).await;
    assert_eq!(ann.incomplete, None);
    assert_eq!(path(&ann, "vip"), ["vip"]);
    assert_eq!(path(&ann, "vips"), ["writers", "editors", "staff", "vips"]);
    assert_eq!(ann.known[&at("cn=none,ou=outside")], Known::NotFound);
    let bob = groups_of(&source, "eve", &rules).await;
    assert_eq!(bob.known[&at("cn=vip,ou=outside")], Known::Found, "there, and not a member");
    assert_eq!(bob.known[&named("vip")], Known::NotFound, "names are looked for in the bases only");
    assert!(names(&groups_of(&source, "ann", &[]).await).iter().all(|name| !name.starts_with("vip")));
}

#[tokio::test]
async fn groups_in_a_group_outside_the_base_may_lie_outside_too() {
    let slapd = Slapd::builder().memberof().ldif(&crate::roster::nested_outside()).start();
    for members in [Members::OfGroup("member".to_owned()), Members::MemberOf] {
        let with = |nested: Nested| {
            source(&slapd, |settings| (settings.groups.members, settings.groups.nested) = (members.clone(), nested))
        };
        let (top, mix, ring) = (at("cn=top,ou=outside"), at("cn=mix,ou=outside"), at("cn=ring,ou=outside"));
        let walk = with(Nested::Walk);
        let eve = groups_of(&walk, "eve", std::slice::from_ref(&top)).await;
        assert_eq!(path(&eve, "top"), ["low", "top"]);
        assert!(!names(&eve).contains(&"low"), "a step is no group of the source: {eve:?}");
        let bare = groups_of(&walk, "bare", &[mix.clone(), ring.clone()]).await;
        assert_eq!(names(&bare), ["mix", "ring"], "neither the step inside the base nor what lies above it");
        assert_eq!(path(&bare, "ring"), ["deep", "inner", "mix", "ring"]);
        let frank = groups_of(&walk, "frank", std::slice::from_ref(&mix)).await;
        assert_eq!(names(&frank), ["inner", "loop-a", "loop-b", "mix"]);
        let ann = groups_of(&walk, "ann", &[top.clone(), mix.clone()]).await;
        assert_eq!((&ann.known[&top], &ann.known[&mix]), (&Known::Found, &Known::Found));

        let without = groups_of(&walk, "bare", &[]).await;
        assert_eq!((names(&without).len(), without.incomplete), (0, None), "no rule names any");
        let flat = groups_of(&with(Nested::None), "eve", std::slice::from_ref(&top)).await;
        assert_eq!(flat.known[&top], Known::Found, "only direct membership counts");
    }
}

#[tokio::test]
async fn a_group_outside_the_base_is_unknown_where_those_in_it_cannot_be_looked_for() {
    let referral = format!(
        "dn: ou=far,ou=branch,{SUFFIX}\nobjectClass: referral\nobjectClass: extensibleObject\nou: far\n\
         ref: ldap://127.0.0.1:1/ou=far,ou=branch,{SUFFIX}\n\n"
    );
    let slapd = Slapd::builder().ldif(&referral).ldif(&crate::roster::nested_outside()).start();
    let source = source(&slapd, |_| {});
    let rules = [at("cn=top,ou=outside"), at("cn=leavers,ou=groups"), named("leavers")];
    let roster = source.roster(&rules, &mut |_| {}).await.unwrap();
    let ann = person(&source, "ann").await;
    for told in [groups_of(&source, "ann", &rules).await, roster.memberships(&ann)] {
        let Known::Failed(why) = &told.known[&rules[0]] else { panic!("{told:?}") };
        assert!(why.contains("looking for groups in cn=top") && why.contains("outside groups.base_dn"), "{why}");
        assert_eq!((&told.known[&rules[1]], &told.known[&rules[2]]), (&Known::Found, &Known::Found));
        assert_eq!(told.incomplete, None);
    }
    let checked = source.known(&rules).await;
    assert!(matches!(checked[0].1, Known::Failed(_)) && checked[1].1 == Known::Found, "{checked:?}");
    assert!(names(&groups_of(&source, "zoe", &rules).await).contains(&"top"), "what is seen is a yes");
}

#[tokio::test]
async fn a_group_outside_the_filter_counts_where_a_rule_names_its_dn() {
    let slapd = Slapd::start();
    let source = source(&slapd, |settings| settings.groups.filter = filter("(cn=w*)"));
    let ann = groups_of(&source, "ann", &[at("cn=app-users,ou=groups"), at("cn=leavers,ou=groups")]).await;
    assert_eq!(names(&ann), ["app-users", "writers"]);
    assert_eq!(ann.known[&at("cn=leavers,ou=groups")], Known::Found);
}

#[tokio::test]
async fn a_missing_base_is_a_failed_read() {
    let slapd = Slapd::start();
    for bases in [vec![below("ou=gone")], vec![below("ou=groups"), below("ou=gone")]] {
        let source = source(&slapd, |settings| settings.groups.base_dn = bases);
        let ann = groups_of(&source, "ann", &[named("nowhere")]).await;
        assert!(ann.incomplete.as_ref().unwrap().contains("ou=gone"), "{:?}", ann.incomplete);
        assert!(matches!(ann.known[&named("nowhere")], Known::Failed(_)), "{:?}", ann.known);
    }
}

#[tokio::test]
async fn groups_that_may_not_be_read_are_a_failed_read() {
    let slapd = Slapd::start();
    let source = source(&slapd, |settings| settings.bind = service(Slapd::BLIND_DN, "blind-secret"));
    let ann = groups_of(&source, "ann", &[at("cn=leavers,ou=groups")]).await;
    assert!(ann.incomplete.is_some(), "{ann:?}");
    assert_ne!(ann.known[&at("cn=leavers,ou=groups")], Known::Found);
}

#[tokio::test]
async fn a_size_limit_leaves_the_list_incomplete_and_keeps_what_came() {
    let slapd = Slapd::builder().size_limit(1).start();
    let source = source(&slapd, |settings| settings.bind = service(Slapd::LIMITED_DN, "limited-secret"));
    let ann = groups_of(&source, "ann", &[]).await;
    assert!(ann.incomplete.unwrap().contains("size limit"));
    assert_eq!(ann.groups.iter().filter(|group| group.direct).count(), 1, "what came is a yes");
}

#[tokio::test]
async fn an_outage_is_unknown_and_nothing_of_it_is_remembered() {
    let mut slapd = Slapd::start();
    let source = source(&slapd, |_| {});
    let ann = person(&source, "ann").await;
    let reader = bindery_directory::Reader::service();
    let rules = [named("leavers"), at("cn=admins,ou=groups")];
    slapd.stop();
    let during = source.memberships(&reader, &ann, &rules).await;
    assert!(during.incomplete.is_some());
    assert!(during.known.values().all(|known| matches!(known, Known::Failed(_))), "{:?}", during.known);
    slapd.restart();
    let after = source.memberships(&reader, &ann, &rules).await;
    assert_eq!(after.incomplete, None);
    assert!(after.known.values().all(|known| *known == Known::Found), "{:?}", after.known);
}

#[tokio::test]
async fn a_deleted_group_is_noticed() {
    let slapd = Slapd::start();
    let source = source(&slapd, |_| {});
    let rules = [named("leavers"), at("cn=leavers,ou=groups")];
    assert!(source.known(&rules).await.iter().all(|(_, known)| *known == Known::Found));
    slapd.ldapdelete(&format!("cn=leavers,ou=groups,{SUFFIX}"));
    let gone = async || source.known(&rules).await.iter().all(|(_, known)| *known == Known::NotFound);
    // A second at the most: that is how long an answer is used again.
    tokio::time::timeout(std::time::Duration::from_secs(5), async {
        while !gone().await {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn several_names_and_several_bases() {
    let branch = format!(
        "dn: cn=writers,ou=branch,{SUFFIX}\nobjectClass: groupOfNames\ncn: writers\ncn: scribes\nmember: uid=eve,ou=people,{SUFFIX}\n"
    );
    let slapd = Slapd::builder().ldif(&branch).start();
    let source = source(&slapd, |settings| settings.groups.base_dn.push(below("ou=branch")));
    let eve = groups_of(&source, "eve", &[named("Scribes"), named("writers")]).await;
    assert!(eve.known.is_empty(), "a member by either name: {:?}", eve.known);
    let dns: Vec<&Dn> = eve.groups.iter().map(|group| &group.dn).collect();
    assert!(dns.contains(&&below("cn=writers,ou=branch")));
    assert!(eve.groups.iter().all(|group| group.unique_id.is_some()));
}

#[tokio::test]
async fn a_part_of_the_groups_on_another_server_is_unknown() {
    let referral = format!(
        "dn: ou=far,ou=groups,{SUFFIX}\nobjectClass: referral\nobjectClass: extensibleObject\nou: far\n\
         ref: ldap://127.0.0.1:1/ou=far,ou=groups,{SUFFIX}\n"
    );
    let slapd = Slapd::builder().ldif(&referral).start();
    let ann = groups_of(&source(&slapd, |_| {}), "ann", &[]).await;
    assert!(ann.incomplete.unwrap().contains("referrals are not followed"));
    assert!(!ann.groups.is_empty());
}
