//! Groups of which nobody can say who is in them: they are unknown, and groups with nobody in them are not.

use crate::listing::people;
use crate::support::*;
use bindery_directory::settings::{MemberValue, Members, Nested};
use bindery_directory::{Authentication, Dn, GroupSelector, Known, Memberships, Reader, Source, SourceSettings};
use bindery_tests::{Ds389, Slapd};

/// What is known of a group for somebody who is not in it: as sign-in asks, as sync asks, and as a check asks. All of
/// them say the same, whatever the words.
pub(crate) async fn known(source: &Source, name: &str, group: &GroupSelector) -> Known {
    let asked = memberships(source, name, group).await;
    let known = asked.known.get(group).unwrap_or_else(|| panic!("{name} is in {group:?}")).clone();
    let plain = |known: &Known| match known {
        Known::Failed(_) => Known::Failed(String::new()),
        known => known.clone(),
    };
    let checked = source.afresh().known(std::slice::from_ref(group)).await;
    assert_eq!(plain(&checked[0].1), plain(&known), "{group:?}, by a check: {checked:?}");
    known
}

/// Somebody's groups, which sign-in and sync agree about.
pub(crate) async fn memberships(source: &Source, name: &str, group: &GroupSelector) -> Memberships {
    let named = std::slice::from_ref(group);
    let asked = groups_of(&source.afresh(), name, named).await;
    let roster = source.roster(named, &mut |_| {}).await.unwrap();
    let person = person(source, name).await;
    let listed = roster.memberships(&person);
    let plain = |memberships: &Memberships| {
        let mut groups: Vec<Dn> = memberships.groups.iter().map(|group| group.dn.clone()).collect();
        groups.sort();
        let known = memberships.known.get(group).map(|known| match known {
            Known::Failed(_) => "failed".to_owned(),
            known => format!("{known:?}"),
        });
        (groups, memberships.incomplete.is_some(), known)
    };
    assert_eq!(plain(&listed), plain(&asked), "{name} and {group:?}: {listed:?} {asked:?}");
    asked
}

fn by(members: &str, class: &str) -> impl Fn(&mut SourceSettings) + use<> {
    let (members, class) = (Members::OfGroup(members.to_owned()), filter(&format!("(objectClass={class})")));
    move |settings| (settings.groups.members, settings.groups.filter) = (members.clone(), class.clone())
}

pub(crate) fn posix(settings: &mut SourceSettings) {
    by("memberUid", "posixGroup")(settings);
    settings.groups.member_value = MemberValue::Attribute("uid".to_owned());
    settings.groups.nested = Nested::None;
}

pub(crate) fn member_of(settings: &mut SourceSettings) {
    settings.groups.members = Members::MemberOf;
}

pub(crate) fn is_failed(known: &Known, word: &str) -> bool {
    matches!(known, Known::Failed(why) if why.contains(word))
}

/// Lets the service account see everything of these entries but that attribute.
pub(crate) fn hidden(target: &str, attribute: &str, level: &str) -> String {
    format!("access to {target} attrs={attribute} by dn.exact=\"{}\" {level} by users read", Slapd::SYNC_DN)
}

#[tokio::test]
async fn an_entry_that_is_no_group_of_the_kind_is_not_found() {
    let slapd = Slapd::start();
    let member = source(&slapd, |_| {});
    let others = ["cn=press,ou=groups", "cn=directors,ou=groups", "cn=developers,ou=groups", "cn=ops,ou=groups"];
    for rdns in others.into_iter().chain(["ou=people", "uid=bob,ou=people", "ou=outside", "cn=sync,ou=services"]) {
        assert_eq!(known(&member, "ann", &at(rdns)).await, Known::NotFound, "{rdns}");
    }
    assert_eq!(known(&member, "ann", &GroupSelector::Dn(dn(SUFFIX))).await, Known::NotFound);
    let unique = source(&slapd, by("uniqueMember", "groupOfUniqueNames"));
    assert_eq!(known(&unique, "ann", &at("cn=leavers,ou=groups")).await, Known::NotFound);
    assert_eq!(known(&unique, "ann", &at("cn=press,ou=groups")).await, Known::Found);
}

#[tokio::test]
async fn an_entry_that_is_no_group_is_not_found_under_member_of_either() {
    let slapd = Slapd::builder().memberof().start();
    let source = source(&slapd, member_of);
    for rdns in ["ou=people", "uid=bob,ou=people"] {
        assert_eq!(known(&source, "ann", &at(rdns)).await, Known::NotFound, "{rdns}");
    }
    assert_eq!(known(&source, "ann", &at("cn=leavers,ou=groups")).await, Known::Found);
}

#[tokio::test]
async fn a_group_of_another_kind_is_unknown_though_the_filter_takes_it() {
    let slapd = Slapd::start();
    let source = source(&slapd, |settings| settings.groups.filter = filter("(cn=*)"));
    for group in [named("developers"), at("cn=developers,ou=groups"), named("press")] {
        assert!(is_failed(&known(&source, "carol", &group).await, "another kind"), "{group:?}");
    }
    assert_eq!(known(&source, "eve", &named("leavers")).await, Known::Found);
}

#[tokio::test]
async fn members_that_may_not_be_read_are_a_failed_read() {
    for level in ["none", "compare"] {
        let slapd =
            Slapd::builder().access(&hidden("dn.subtree=\"ou=groups,dc=example,dc=test\"", "member", level)).start();
        let source = source(&slapd, |_| {});
        for group in [named("leavers"), at("cn=leavers,ou=groups")] {
            let known = known(&source, "dave", &group).await;
            assert!(is_failed(&known, "member cannot be read"), "{level}: {group:?}: {known:?}");
        }
        // No rule names a group: what is mirrored goes by the list alone.
        let dave = groups_of(&source, "dave", &[]).await;
        assert!(dave.incomplete.unwrap().contains("member cannot be read"), "{level}");
        let roster = source.roster(&[], &mut |_| {}).await.unwrap();
        assert!(!roster.is_whole() && roster.memberships(&person(&source, "dave").await).incomplete.is_some());
    }
}

#[tokio::test]
async fn one_group_whose_members_may_not_be_read_is_unknown_alone() {
    for level in ["none", "compare"] {
        let leavers = "dn.exact=\"cn=leavers,ou=groups,dc=example,dc=test\"";
        let slapd = Slapd::builder().access(&hidden(leavers, "member", level)).start();
        let source = source(&slapd, |_| {});
        for group in [named("leavers"), at("cn=leavers,ou=groups")] {
            assert!(is_failed(&known(&source, "dave", &group).await, "member cannot be read"), "{level}: {group:?}");
        }
        assert_eq!(known(&source, "dave", &named("admins")).await, Known::Found);
        assert_eq!(groups_of(&source, "bare", &[]).await.incomplete, None, "{level}");
    }
}

#[tokio::test]
async fn of_two_groups_of_one_name_both_must_show_their_members() {
    let twin = format!(
        "dn: cn=leavers,ou=branch,{SUFFIX}\nobjectClass: groupOfNames\ncn: leavers\nmember: uid=ann,ou=people,{SUFFIX}\n"
    );
    let branch = "dn.subtree=\"ou=branch,dc=example,dc=test\"";
    let slapd = Slapd::builder().ldif(&twin).access(&hidden(branch, "member", "none")).start();
    let source = source(&slapd, |settings| settings.groups.base_dn.push(below("ou=branch")));
    assert!(is_failed(&known(&source, "ann", &named("leavers")).await, "member cannot be read"));
    assert_eq!(known(&source, "ann", &named("admins")).await, Known::Found);
}

#[tokio::test]
async fn a_group_with_nobody_in_it_is_no() {
    let empty = format!("dn: cn=vacant,ou=groups,{SUFFIX}\nobjectClass: organizationalRole\ncn: vacant\n");
    let slapd = Slapd::builder().ldif(&empty).start();
    let role = source(&slapd, by("roleOccupant", "organizationalRole"));
    let (name, by_dn) = (named("vacant"), at("cn=vacant,ou=groups"));
    for group in [&name, &by_dn] {
        assert_eq!(known(&role, "ann", group).await, Known::Found, "{group:?}");
    }
    // Not one group shows a member: those of whom nobody is in any are many, and it is true of all.
    let only = source(&slapd, |settings| {
        by("roleOccupant", "organizationalRole")(settings);
        settings.groups.filter = filter("(&(objectClass=organizationalRole)(cn=vacant))");
    });
    for group in [&name, &by_dn] {
        assert_eq!(known(&only, "bob", group).await, Known::Found, "{group:?}");
        assert_eq!(memberships(&only, "bob", group).await.incomplete, None);
    }
    let outside = source(&slapd, |settings| {
        by("roleOccupant", "organizationalRole")(settings);
        settings.groups.base_dn = vec![below("ou=branch")];
    });
    assert_eq!(known(&outside, "ann", &by_dn).await, Known::Found, "where it lies");
    let primary = source(&slapd, |settings| {
        posix(settings);
        settings.groups.filter = filter("(&(objectClass=posixGroup)(cn=everyone))");
    });
    assert_eq!(known(&primary, "carol", &named("everyone")).await, Known::Found, "its members are so by their number");
    assert_eq!(memberships(&primary, "carol", &named("everyone")).await.incomplete, None);
}

#[tokio::test]
async fn where_no_group_of_a_class_of_its_own_shows_members_they_are_unknown() {
    let slapd = Slapd::start();
    // An organizationalUnit is of no class that is known to have members.
    let source = source(&slapd, |settings| {
        settings.groups.base_dn = vec![dn(SUFFIX)];
        settings.groups.filter = filter("(objectClass=organizationalUnit)");
        settings.groups.name = vec!["ou".to_owned()];
    });
    for group in [named("branch"), at("ou=branch")] {
        assert!(is_failed(&known(&source, "ann", &group).await, "no group of the source shows"), "{group:?}");
    }
}

#[tokio::test]
async fn member_of_that_the_server_does_not_keep_is_unknown() {
    let slapd = Slapd::start();
    let source = source(&slapd, member_of);
    let ann = memberships(&source, "ann", &named("leavers")).await;
    assert!(ann.incomplete.unwrap().contains("memberOf cannot be read"));
}

#[tokio::test]
async fn member_of_that_may_not_be_read_is_unknown() {
    let slapd = Slapd::builder()
        .memberof()
        .access(&hidden("dn.subtree=\"ou=people,dc=example,dc=test\"", "memberOf", "none"))
        .start();
    let source = source(&slapd, member_of);
    let ann = memberships(&source, "ann", &named("leavers")).await;
    assert!(ann.incomplete.unwrap().contains("memberOf cannot be read"));
}

#[tokio::test]
async fn somebody_in_no_group_is_in_no_group() {
    let slapd = Slapd::builder().memberof().start();
    for change in [(|_| {}) as fn(&mut SourceSettings), member_of] {
        let source = source(&slapd, change);
        let bare = memberships(&source, "bare", &named("leavers")).await;
        assert_eq!((bare.incomplete, bare.groups.len()), (None, 0));
        assert_eq!(bare.known[&named("leavers")], Known::Found);
    }
}

#[tokio::test]
async fn a_person_who_reads_for_themselves_finds_the_same() {
    let slapd = Slapd::builder().access("access to dn.exact=\"cn=leavers,ou=groups,dc=example,dc=test\" attrs=member by dn.children=\"ou=people,dc=example,dc=test\" none by users read").start();
    let source = source(&slapd, |settings| settings.bind = bindery_directory::settings::Bind::AsUser);
    let at_people = |name: &str| below(&format!("uid={name},ou=people"));
    let answer = source.authenticate_as(at_people("eve"), &secret("eve-secret"), &nothing()).await.unwrap();
    let Authentication::Checked { person: Some(person), reader, .. } = answer else { panic!("not accepted") };
    let rules = [named("leavers"), at("cn=leavers,ou=groups"), at("ou=people"), named("admins")];
    let eve = source.memberships(&reader, &person, &rules).await;
    assert!(rules[..2].iter().all(|rule| is_failed(&eve.known[rule], "member cannot be read")), "{eve:?}");
    assert_eq!((&eve.known[&rules[2]], &eve.known[&rules[3]]), (&Known::NotFound, &Known::Found));
}

#[tokio::test]
async fn an_empty_group_of_389_ds_is_no_and_a_hidden_one_unknown() {
    let groups = format!(
        "dn: cn=vacant,ou=groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: vacant\n\n\
         dn: cn=secret,ou=branch,{SUFFIX}\nobjectClass: groupOfNames\ncn: secret\nmember: uid=ann,ou=people,{SUFFIX}\n"
    );
    let hidden = format!(
        "(target=\"ldap:///ou=branch,{SUFFIX}\")(targetattr=\"member\")(version 3.0; acl \"hidden\"; deny (all) userdn=\"ldap:///{}\";)",
        Ds389::SYNC_DN
    );
    let server = Ds389::builder().ldif(&groups).access(&hidden).start();
    let mut settings = settings(&[server.url()]);
    settings.bind = service(Ds389::SYNC_DN, Ds389::SYNC_PASSWORD);
    settings.users.unique_id = "nsUniqueId".to_owned();
    settings.groups.base_dn.push(below("ou=branch"));
    let source = Source::new(settings);
    for group in [named("vacant"), at("cn=vacant,ou=groups"), named("leavers")] {
        assert_eq!(known(&source, "ann", &group).await, Known::Found, "{group:?}");
    }
    for group in [named("secret"), at("cn=secret,ou=branch")] {
        assert!(is_failed(&known(&source, "ann", &group).await, "member cannot be read"), "{group:?}");
    }
    let everybody = people(&source).await.unwrap().entries;
    let ann = everybody.iter().find(|person| person.entry.text("uid") == Some("ann")).unwrap();
    assert!(source.memberships(&Reader::service(), ann, &[]).await.incomplete.is_none());
}
