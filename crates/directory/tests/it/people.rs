//! Finding people.

use crate::support::*;
use bindery_directory::settings::DnTemplate;
use bindery_directory::{DirectoryError, Found, Scope, Wanted};
use bindery_tests::Slapd;

fn dns(found: Found) -> Vec<String> {
    match found {
        Found::One(person) => vec![person.dn.to_string()],
        Found::Nobody => vec![],
        Found::Several(dns) => dns.iter().map(ToString::to_string).collect(),
    }
}

#[tokio::test]
async fn by_any_login_attribute() {
    let slapd = Slapd::start();
    let source = source(&slapd, |settings| settings.users.login_attributes.push("mail".to_owned()));
    for name in ["ann", "ANN", "ann@example.test"] {
        assert_eq!(person(&source, name).await.dn, below("uid=ann,ou=people"), "{name}");
    }
    assert!(matches!(source.find("nobody", &nothing()).await.unwrap(), Found::Nobody));
    assert!(matches!(source.find("", &nothing()).await.unwrap(), Found::Nobody));
}

#[tokio::test]
async fn the_unique_id_is_the_entrys_own() {
    let slapd = Slapd::start();
    let ann = person(&source(&slapd, |_| {}), "ann").await;
    let said = slapd.ldapsearch("(uid=ann)", &["entryUUID"]);
    assert!(said.contains(&format!("entryUUID: {}", ann.unique_id)), "{said}");
}

#[tokio::test]
async fn only_what_was_asked_for_is_read() {
    let slapd = Slapd::start();
    let source = source(&slapd, |_| {});
    let Found::One(ann) = source.find("ann", &Wanted(vec!["title".to_owned()])).await.unwrap() else { panic!() };
    assert_eq!(ann.entry.text("title"), Some("Writer"));
    assert!(!ann.entry.has("mail") && !ann.entry.has("userPassword"), "{:?}", ann.entry);
}

#[tokio::test]
async fn names_are_values_never_syntax() {
    let slapd = Slapd::start();
    let source = source(&slapd, |_| {});
    for name in
        ["*", "a*", "ann)(cn=*", "*)(uid=*))(|(uid=*", "(", ")", "\\2a", "ann\0", "\0", "uid=ann", "{{ann}}", "an%6e"]
    {
        let found = source.find(name, &nothing()).await;
        assert!(matches!(found, Ok(Found::Nobody)), "{name:?}: {found:?}");
    }
    assert_eq!(person(&source, "we*ird(name)").await.dn, below("uid=we*ird(name),ou=people"));
    assert_eq!(person(&source, "comma, plus+\\slash").await.entry.text("uid"), Some("comma, plus+\\slash"));
}

#[tokio::test]
async fn several_bases_are_one_union() {
    let slapd = Slapd::start();
    let both = source(&slapd, |settings| settings.users.base_dn.push(below("ou=branch")));
    assert_eq!(person(&both, "ann").await.dn, below("uid=ann,ou=people"));
    assert_eq!(person(&both, "grace").await.dn, below("uid=grace,ou=branch"));
    assert_eq!(dns(both.find("twin", &nothing()).await.unwrap()).len(), 2, "one in each");

    let overlapping = source(&slapd, |settings| settings.users.base_dn.push(dn(SUFFIX)));
    assert_eq!(person(&overlapping, "ann").await.dn, below("uid=ann,ou=people"), "seen twice, but one");
}

#[tokio::test]
async fn an_error_in_one_base_is_no_shorter_union() {
    let slapd = Slapd::start();
    let source = source(&slapd, |settings| settings.users.base_dn.push(below("ou=gone")));
    for name in ["ann", "nobody"] {
        let error = source.find(name, &nothing()).await.unwrap_err();
        assert!(error.to_string().contains("ou=gone"), "{error}");
    }
}

#[tokio::test]
async fn people_outside_the_base_are_nobody() {
    let slapd = Slapd::start();
    let source = source(&slapd, |_| {});
    assert!(dns(source.find("outsider", &nothing()).await.unwrap()).is_empty());
}

#[tokio::test]
async fn the_scope_holds() {
    let slapd = Slapd::start();
    let one = source(&slapd, |settings| {
        settings.users.base_dn = vec![dn(SUFFIX)];
        settings.users.scope = Scope::One;
    });
    assert!(dns(one.find("ann", &nothing()).await.unwrap()).is_empty());
}

#[tokio::test]
async fn no_readable_unique_id_is_an_error_with_a_next_step() {
    let slapd = Slapd::start();
    let source = source(&slapd, |settings| settings.users.unique_id = "nsUniqueId".to_owned());
    let error = source.find("ann", &nothing()).await.unwrap_err();
    assert!(matches!(error, DirectoryError::MissingUniqueId { .. }), "{error:?}");
    assert!(error.to_string().contains("nsUniqueId"), "{error}");
}

#[tokio::test]
async fn a_template_builds_the_dn() {
    let slapd = Slapd::start();
    let template = format!("uid={{user}},ou=people,{SUFFIX}");
    let source = source(&slapd, |settings| settings.users.dn_template = Some(DnTemplate::parse(&template).unwrap()));
    assert_eq!(person(&source, "ann").await.dn, below("uid=ann,ou=people"));
    assert_eq!(person(&source, "comma, plus+\\slash").await.entry.text("uid"), Some("comma, plus+\\slash"));
    for name in ["nobody", "ann,ou=people", "ann+cn=Ann Archer", "*", "ann\0", "#616e6e", "\"ann\"", "ann;", "<", ""] {
        let found = source.find(name, &nothing()).await;
        assert!(matches!(found, Ok(Found::Nobody)), "{name:?}: {found:?}");
    }
}

#[tokio::test]
async fn a_template_outside_the_base_finds_nobody() {
    let slapd = Slapd::start();
    let template = format!("uid={{user}},ou=outside,{SUFFIX}");
    let source = source(&slapd, |settings| settings.users.dn_template = Some(DnTemplate::parse(&template).unwrap()));
    assert!(dns(source.find("outsider", &nothing()).await.unwrap()).is_empty());
}

#[tokio::test]
async fn a_template_still_wants_the_filter() {
    let slapd = Slapd::start();
    let template = format!("cn={{user}},ou=services,{SUFFIX}");
    let source = source(&slapd, |settings| {
        settings.users.base_dn = vec![dn(SUFFIX)];
        settings.users.dn_template = Some(DnTemplate::parse(&template).unwrap());
    });
    assert!(dns(source.find("sync", &nothing()).await.unwrap()).is_empty(), "no inetOrgPerson");
}

#[tokio::test]
async fn somebody_is_read_again_wherever_they_went() {
    let slapd = Slapd::start();
    let source = source(&slapd, |settings| settings.users.base_dn.push(below("ou=branch")));
    let ann = person(&source, "ann").await;
    let again = source.read(&ann.unique_id, Some(&ann.dn), &nothing()).await.unwrap().unwrap();
    assert_eq!(again.dn, ann.dn);

    slapd.ldapmodify(&format!(
        "dn: {}\nchangetype: modrdn\nnewrdn: uid=anna\ndeleteoldrdn: 1\nnewsuperior: ou=branch,{SUFFIX}\n",
        ann.dn
    ));
    let moved = source.read(&ann.unique_id, Some(&ann.dn), &nothing()).await.unwrap().unwrap();
    assert_eq!(moved.dn, below("uid=anna,ou=branch"));
    let moved = source.read(&ann.unique_id, None, &nothing()).await.unwrap().unwrap();
    assert_eq!(moved.unique_id, ann.unique_id);

    slapd.ldapdelete(moved.dn.as_str());
    assert!(source.read(&ann.unique_id, Some(&moved.dn), &nothing()).await.unwrap().is_none(), "gone");
}

#[tokio::test]
async fn somebody_else_at_the_old_name_is_not_the_same_person() {
    let slapd = Slapd::start();
    let source = source(&slapd, |_| {});
    let (ann, bob) = (person(&source, "ann").await, person(&source, "bob").await);
    let read = source.read(&ann.unique_id, Some(&bob.dn), &nothing()).await.unwrap().unwrap();
    assert_eq!(read.dn, ann.dn);
}

#[tokio::test]
async fn whoever_left_the_filter_is_gone_and_an_error_is_not() {
    let slapd = Slapd::start();
    let ann = person(&source(&slapd, |_| {}), "ann").await;
    let narrow = source(&slapd, |settings| settings.users.filter = filter("(employeeType=retired)"));
    assert!(narrow.read(&ann.unique_id, Some(&ann.dn), &nothing()).await.unwrap().is_none());
    let lost = source(&slapd, |settings| settings.users.base_dn.push(below("ou=gone")));
    assert!(lost.read(&ann.unique_id, Some(&below("uid=x,ou=people")), &nothing()).await.is_err());
}

#[tokio::test]
async fn a_part_of_the_base_on_another_server_is_not_nobody() {
    let referral = format!(
        "dn: ou=far,ou=people,{SUFFIX}\nobjectClass: referral\nobjectClass: extensibleObject\nou: far\n\
         ref: ldap://127.0.0.1:1/ou=far,ou=people,{SUFFIX}\n"
    );
    let slapd = Slapd::builder().ldif(&referral).start();
    let source = source(&slapd, |_| {});
    assert_eq!(person(&source, "ann").await.dn, below("uid=ann,ou=people"), "who is found is found");
    let error = source.find("nobody", &nothing()).await.unwrap_err();
    assert!(error.to_string().contains("referrals are not followed"), "{error}");
}

#[tokio::test]
async fn a_size_limit_is_an_error_not_an_answer() {
    let slapd = Slapd::builder().size_limit(1).start();
    let source = source(&slapd, |settings| {
        settings.bind = service(Slapd::LIMITED_DN, "limited-secret");
        settings.users.login_attributes = vec!["gidNumber".to_owned()];
    });
    let error = source.find("5000", &nothing()).await.unwrap_err();
    assert!(error.to_string().contains("size limit"), "{error}");
}
