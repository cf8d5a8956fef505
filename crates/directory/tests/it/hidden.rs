//! Members that only some people show, that are hidden behind a number, or that are behind groups of nobody's.

use crate::support::*;
use crate::unknown::{hidden, is_failed, known, member_of, memberships, posix};
use bindery_directory::settings::{Members, Nested};
use bindery_directory::{GroupSelector, Known, Reader, Source};
use bindery_tests::{Ds389, Slapd};
use std::fmt::Write as _;

const GROUPS: &str = "dn.subtree=\"ou=groups,dc=example,dc=test\"";

/// Ann's primary group is found by its number, whoever may read which members.
#[tokio::test]
async fn a_primary_group_does_not_show_that_members_may_be_read() {
    for level in ["none", "compare"] {
        let slapd = Slapd::builder().access(&hidden(GROUPS, "memberUid", level)).start();
        let source = source(&slapd, posix);
        let ann = memberships(&source, "ann", &named("developers")).await;
        assert_eq!(names(&ann), ["everyone"], "what is seen is seen");
        let why = ann.incomplete.unwrap();
        assert!(why.contains("memberUid cannot be read") && why.contains("search and compare memberUid"), "{why}");
        assert!(
            why.contains("cn=developers") || level == "none",
            "one that has none says nothing of the others: {why}"
        );
        let roster = source.roster(&[], &mut |_| {}).await.unwrap();
        assert!(!roster.is_whole() && !roster.group_ids(&person(&source, "ann").await).1);
    }
}

/// A moment after the right was taken away nothing rests on what was seen before.
#[tokio::test]
async fn that_members_were_seen_is_soon_forgotten() {
    let readers = format!(
        "dn: cn=readers,ou=services,{SUFFIX}\nobjectClass: groupOfNames\ncn: readers\nmember: {}\nmember: cn=nobody\n",
        Slapd::SYNC_DN
    );
    let access = format!(
        "access to {GROUPS} attrs=member by group.exact=\"cn=readers,ou=services,{SUFFIX}\" read by dn.exact=\"{}\" none by users read",
        Slapd::SYNC_DN
    );
    let slapd = Slapd::builder().ldif(&readers).access(&access).start();
    let source = source(&slapd, |_| {});
    assert_eq!(groups_of(&source, "bare", &[]).await.incomplete, None);
    slapd.ldapmodify(&format!(
        "dn: cn=readers,ou=services,{SUFFIX}\nchangetype: modify\ndelete: member\nmember: {}\n",
        Slapd::SYNC_DN
    ));
    let unknown = async || groups_of(&source, "bare", &[]).await.incomplete.is_some();
    tokio::time::timeout(std::time::Duration::from_secs(10), async {
        while !unknown().await {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn member_of_that_some_people_hide_is_unknown_of_these_alone() {
    let execs = format!(
        "dn: ou=execs,ou=people,{SUFFIX}\nobjectClass: organizationalUnit\nou: execs\n\n\
         dn: uid=eva,ou=execs,ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: eva\ncn: Eva\nsn: Eva\n\n\
         dn: cn=board,ou=groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: board\nmember: uid=eva,ou=execs,ou=people,{SUFFIX}\n"
    );
    let below_execs = format!("dn.subtree=\"ou=execs,ou=people,{SUFFIX}\"");
    for level in ["none", "compare"] {
        let slapd = Slapd::builder().memberof().ldif(&execs).access(&hidden(&below_execs, "memberOf", level)).start();
        let source = source(&slapd, member_of);
        let roster = source.roster(&[], &mut |_| {}).await.unwrap();
        assert!(roster.is_whole());
        let eva = person(&source, "eva").await;
        let why = source.hides_groups(&eva).await.unwrap();
        assert!(why.contains("uid=eva") && why.contains("search and compare memberOf"), "{why}");
        assert!(source.memberships(&Reader::service(), &eva, &[]).await.incomplete.is_some(), "sign-in says the same");
        for name in ["bare", "ann"] {
            assert_eq!(source.hides_groups(&person(&source, name).await).await, None, "{name}");
        }
    }
    let slapd = Slapd::start();
    let by_group = source(&slapd, |_| {});
    assert_eq!(by_group.hides_groups(&person(&by_group, "bare").await).await, None, "groups tell");
}

/// Its members are those whose primary group it is; the next one names some.
#[tokio::test]
async fn a_posix_group_that_names_nobody_is_one_by_number() {
    let slapd = Slapd::start();
    let source = source(&slapd, |settings| {
        settings.groups.filter = filter("(|(objectClass=groupOfNames)(objectClass=posixGroup))");
    });
    for group in [named("everyone"), at("cn=everyone,ou=groups")] {
        assert_eq!(known(&source, "carol", &group).await, Known::Found, "{group:?}");
    }
    assert_eq!(names(&memberships(&source, "eve", &named("everyone")).await), ["Former admins (archived)", "everyone"]);
    assert!(is_failed(&known(&source, "carol", &named("developers")).await, "another kind"));
    // Where it is the only kind, all that anybody is in is in by number.
    let numbers = crate::support::source(&slapd, |settings| {
        settings.groups.filter = filter("(&(objectClass=posixGroup)(cn=everyone))");
    });
    assert_eq!(memberships(&numbers, "carol", &named("everyone")).await.incomplete, None);
}

#[tokio::test]
async fn who_may_search_and_not_compare_is_told_which_right_is_missing() {
    let vacant = format!("dn: cn=vacant,ou=groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: vacant\n");
    let access = format!(
        "(target=\"ldap:///ou=groups,{SUFFIX}\")(targetattr=\"member\")(version 3.0; acl \"no compare\"; deny (compare) userdn=\"ldap:///{}\";)",
        Ds389::SYNC_DN
    );
    let server = Ds389::builder().ldif(&vacant).access(&access).start();
    let mut settings = settings(&[server.url()]);
    settings.bind = service(Ds389::SYNC_DN, Ds389::SYNC_PASSWORD);
    settings.users.unique_id = "nsUniqueId".to_owned();
    let source = Source::new(settings);
    let known = known(&source, "ann", &named("vacant")).await;
    assert!(
        is_failed(&known, "cn=vacant") && is_failed(&known, "allow the service account to search and compare member"),
        "{known:?}"
    );
}

/// Groups deeper than anybody looks, behind one that is none of the source's.
fn deep_and_elsewhere() -> String {
    let mut ldif = String::new();
    for depth in 0..80 {
        let member = if depth == 0 { "uid=zoe,ou=people".to_owned() } else { format!("cn=e{},ou=branch", depth - 1) };
        let _ = write!(
            ldif,
            "dn: cn=e{depth},ou=branch,{SUFFIX}\nobjectClass: groupOfNames\ncn: e{depth}\nmember: {member},{SUFFIX}\n\n"
        );
    }
    let _ = write!(
        ldif,
        "dn: cn=far,ou=outside,{SUFFIX}\nobjectClass: groupOfNames\ncn: far\nmember: cn=e79,ou=branch,{SUFFIX}\n\n"
    );
    ldif
}

#[tokio::test]
async fn what_is_missing_behind_a_group_of_nobody_spoils_only_what_lies_apart() {
    let slapd = Slapd::builder().memberof().ldif(&deep_and_elsewhere()).start();
    for members in [Members::OfGroup("member".to_owned()), Members::MemberOf] {
        let source = source(&slapd, |settings| settings.groups.members = members.clone());
        let rules = [at("cn=far,ou=outside"), named("leavers"), at("cn=admins,ou=groups")];
        let zoe = person(&source, "zoe").await;
        let roster = source.roster(&rules, &mut |_| {}).await.unwrap();
        for told in [source.memberships(&Reader::service(), &zoe, &rules).await, roster.memberships(&zoe)] {
            assert_eq!(
                (told.incomplete.as_deref(), names(&told)),
                (None, vec!["Research, Development"]),
                "{members:?}"
            );
            assert!(is_failed(&told.known[&rules[0]], "deep"), "{members:?}: {told:?}");
            assert!(rules[1..].iter().all(|rule| told.known[rule] == Known::Found), "{members:?}: {told:?}");
        }
        assert!(!roster.group_ids(&zoe).1, "nothing may be rested on that");
        let ann = person(&source, "ann").await;
        assert_eq!(roster.memberships(&ann).known[&rules[0]], Known::Found);
        assert!(roster.group_ids(&ann).1);
    }
}

/// Zoe is in `gc` by way of a group that is none of the source's, and one level further up by way of two that are: it
/// counts, and so does what lies above it.
#[tokio::test]
async fn a_group_that_is_reached_by_two_ways_counts_by_the_one_that_does() {
    let groups = [
        ("step", "ou=branch", ["uid=zoe,ou=people"].as_slice()),
        ("ga", "ou=groups", &["uid=zoe,ou=people"]),
        ("gb", "ou=groups", &["cn=ga,ou=groups"]),
        ("gc", "ou=groups", &["cn=step,ou=branch", "cn=gb,ou=groups"]),
        ("gd", "ou=groups", &["cn=gc,ou=groups"]),
        ("tip", "ou=outside", &["cn=gc,ou=groups"]),
    ];
    let ldif: String = groups.iter().fold(String::new(), |mut ldif, (name, place, members)| {
        let members: Vec<String> = members.iter().map(|member| format!("member: {member},{SUFFIX}\n")).collect();
        let _ = write!(
            ldif,
            "dn: cn={name},{place},{SUFFIX}\nobjectClass: groupOfNames\ncn: {name}\n{}\n",
            members.concat()
        );
        ldif
    });
    let slapd = Slapd::builder().memberof().ldif(&ldif).start();
    for members in [Members::OfGroup("member".to_owned()), Members::MemberOf] {
        let source = source(&slapd, |settings| settings.groups.members = members.clone());
        let rules = [at("cn=tip,ou=outside")];
        let zoe = person(&source, "zoe").await;
        let roster = source.roster(&rules, &mut |_| {}).await.unwrap();
        for told in [source.memberships(&Reader::service(), &zoe, &rules).await, roster.memberships(&zoe)] {
            assert_eq!(names(&told), ["Research, Development", "ga", "gb", "gc", "gd", "tip"], "{members:?}");
            let gc = told.groups.iter().find(|group| group.names == ["gc"]).unwrap();
            assert_eq!(gc.path, ["ga", "gb", "gc"].map(|name| below(&format!("cn={name},ou=groups"))), "{members:?}");
        }
        let none = source.memberships(&Reader::service(), &zoe, &[]).await;
        assert_eq!(names(&none), ["Research, Development", "ga", "gb", "gc", "gd"], "{members:?}");
    }
}

/// A rule names a group inside the base, and nothing but a group of nobody's leads to it.
#[tokio::test]
async fn a_group_of_the_source_does_not_count_by_way_of_one_that_is_none() {
    let slapd = Slapd::builder().memberof().ldif(&crate::roster::nested_outside()).start();
    for members in [Members::OfGroup("member".to_owned()), Members::MemberOf] {
        let source = source(&slapd, |settings| settings.groups.members = members.clone());
        let rules = [at("cn=mix,ou=outside"), at("cn=club,ou=groups")];
        let bare = person(&source, "bare").await;
        let roster = source.roster(&rules, &mut |_| {}).await.unwrap();
        for told in [source.memberships(&Reader::service(), &bare, &rules).await, roster.memberships(&bare)] {
            assert_eq!((names(&told), told.known.get(&rules[1])), (vec!["mix"], Some(&Known::Found)), "{members:?}");
        }
    }
}

/// Where the source has no `base_dn` of its own it is that of its people: what is below `groups.base_dn` counts all the same.
#[tokio::test]
async fn steps_are_looked_for_where_groups_are() {
    let vip = format!(
        "dn: cn=vip,ou=outside,{SUFFIX}\nobjectClass: groupOfNames\ncn: vip\nmember: cn=app-users,ou=groups,{SUFFIX}\n"
    );
    let slapd = Slapd::builder().memberof().ldif(&vip).start();
    for members in [Members::OfGroup("member".to_owned()), Members::MemberOf] {
        let source = source(&slapd, |settings| {
            settings.base_dn = below("ou=people");
            settings.groups.filter = filter("(cn=w*)");
            settings.groups.members = members;
        });
        assert_eq!(names(&memberships(&source, "ann", &at("cn=vip,ou=outside")).await), ["vip", "writers"]);
    }
}

/// Those of them that no feed tells of.
#[tokio::test]
async fn groups_among_members_are_those_that_no_listing_has() {
    let slapd = Slapd::builder().ldif(&crate::roster::nested_outside()).start();
    let source = source(&slapd, |settings| settings.groups.filter = filter("(&(objectClass=groupOfNames)(cn=w*))"));
    let keys =
        ["cn=writers,ou=groups", "cn=app-users,ou=groups", "cn=low,ou=outside", "uid=ann,ou=people", "cn=no,ou=groups"]
            .map(|rdns| below(rdns).key());
    let found = source.groups_among(&keys.each_ref().map(String::as_str)).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|apart| apart.dn).collect();
    assert_eq!(found, [below("cn=app-users,ou=groups"), below("cn=low,ou=outside")]);
}

#[tokio::test]
async fn of_the_groups_elsewhere_those_that_lead_to_a_rule_are_kept_with_their_members() {
    let slapd = Slapd::builder().ldif(&crate::roster::nested_outside()).start();
    let source = source(&slapd, |settings| settings.page_size = 2);
    let rules: [GroupSelector; 1] = [at("cn=top,ou=outside")];
    let roster = source.roster(&rules, &mut |_| {}).await.unwrap();
    let kept: Vec<_> = roster
        .elsewhere()
        .iter()
        .map(|apart| (apart.dn.clone(), apart.entry.as_ref().map(|entry| entry.members.len())))
        .collect();
    assert_eq!(kept, [(below("cn=top,ou=outside"), Some(2)), (below("cn=low,ou=outside"), Some(1))]);
    assert_eq!(source.groups_at(&[below("cn=low,ou=outside")]).await.unwrap()[0], roster.elsewhere()[1]);
    let flat = crate::support::source(&slapd, |settings| settings.groups.nested = Nested::None);
    assert_eq!(flat.roster(&rules, &mut |_| {}).await.unwrap().elsewhere().len(), 1);
}
