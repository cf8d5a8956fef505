//! Passwords, on connections of their own.

use crate::support::*;
use bindery_directory::settings::{Bind, DnTemplate};
use bindery_directory::{Authentication, DirectoryError, PasswordCheck, Refusal};
use bindery_tests::{FaultProxy, Slapd};

#[tokio::test]
async fn right_and_wrong() {
    let slapd = Slapd::start();
    let source = source(&slapd, |_| {});
    assert!(accepted(&check(&source, "ann", "ann-secret").await));
    assert_eq!(check(&source, "ann", "bob-secret").await, PasswordCheck::Wrong);
    assert!(accepted(&check(&source, "we*ird(name)", "we*ird(name)-secret").await));
    assert!(accepted(&check(&source, "comma, plus+\\slash", "comma, plus+\\slash-secret").await));
    let nobody = source.authenticate("nobody", &secret("x"), &nothing()).await.unwrap();
    assert!(matches!(nobody, Authentication::Nobody));
}

#[tokio::test]
async fn an_empty_password_is_never_sent() {
    let slapd = Slapd::builder().global("allow bind_anon_dn").start();
    let proxy = FaultProxy::new(slapd.port());
    let source = bindery_directory::Source::new(settings(&[format!("ldap://127.0.0.1:{}", proxy.port())]));
    for password in ["", "\0", "ann-secret\0"] {
        let answer = source.authenticate("ann", &secret(password), &nothing()).await;
        assert!(matches!(answer, Err(DirectoryError::EmptyPassword { .. })), "{password:?}");
    }
    assert_eq!(proxy.accepted(), 0);
}

#[tokio::test]
async fn two_people_of_one_name_are_nobody_in_particular() {
    let slapd = Slapd::start();
    let source = source(&slapd, |settings| settings.users.base_dn.push(below("ou=branch")));
    let answer = source.authenticate("twin", &secret("twin-secret"), &nothing()).await.unwrap();
    let Authentication::Several(dns) = answer else { panic!() };
    assert_eq!(dns.len(), 2);
}

#[tokio::test]
async fn password_policy() {
    let slapd = Slapd::builder().ppolicy(3).start();
    let source = source(&slapd, |_| {});
    let refused = |refusal, password_was_right| PasswordCheck::Refused { refusal, password_was_right };
    for password in ["locked-secret", "wrong"] {
        assert_eq!(check(&source, "locked", password).await, refused(Refusal::AccountLocked, false), "{password}");
    }
    assert_eq!(check(&source, "expired", "expired-secret").await, refused(Refusal::PasswordExpired, true));
    assert_eq!(check(&source, "expired", "wrong").await, PasswordCheck::Wrong);
    let PasswordCheck::Accepted(state) = check(&source, "mustchange", "mustchange-secret").await else { panic!() };
    assert!(state.must_change && !state.because.is_empty());
    let PasswordCheck::Accepted(state) = check(&source, "ann", "ann-secret").await else { panic!() };
    assert!(!state.must_change);
}

#[tokio::test]
async fn failures_lock_and_the_lock_is_told_apart() {
    let slapd = Slapd::builder().ppolicy(2).start();
    let source = source(&slapd, |_| {});
    for _ in 0..2 {
        assert_eq!(check(&source, "bob", "wrong").await, PasswordCheck::Wrong);
    }
    let locked = check(&source, "bob", "bob-secret").await;
    assert!(matches!(locked, PasswordCheck::Refused { refusal: Refusal::AccountLocked, .. }), "{locked:?}");
}

#[tokio::test]
async fn states_are_read_with_the_person() {
    let slapd = Slapd::builder().ppolicy(3).start();
    slapd.ldapmodify(&format!(
        "dn: uid=bob,ou=people,{SUFFIX}\nchangetype: modify\nadd: objectClass\nobjectClass: testAccount\n-\n\
         add: nsAccountLock\nnsAccountLock: true\n"
    ));
    let source = source(&slapd, |_| {});
    let now = chrono::DateTime::UNIX_EPOCH;
    let state = |person: bindery_directory::Person| bindery_directory::account::state(&person.entry, now);
    assert!(state(person(&source, "bob").await).disabled);
    assert_eq!(state(person(&source, "locked").await).locked, bindery_directory::Lock::Administrator);
    assert!(state(person(&source, "mustchange").await).must_change);
    assert_eq!(state(person(&source, "ann").await), bindery_directory::AccountState::default());
}

#[tokio::test]
async fn binds_reuse_connections_and_never_the_service_ones() {
    let slapd = Slapd::start();
    let proxy = FaultProxy::new(slapd.port());
    let source = bindery_directory::Source::new(settings(&[format!("ldap://127.0.0.1:{}", proxy.port())]));
    for round in 0..20 {
        let (name, password) = [("ann", "ann-secret"), ("bob", "wrong"), ("bob", "bob-secret")][round % 3];
        let _ = check(&source, name, password).await;
    }
    assert_eq!(proxy.accepted(), 2, "one for searches, one for binds");
    // Had a person's bind been on the service connection, this search would be theirs.
    assert!(accepted(&check(&source, "carol", "carol-secret").await));
    assert_eq!(person(&source, "dave").await.dn, below("uid=dave,ou=people"));
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test]
async fn many_at_once_share_a_few_connections() {
    let slapd = Slapd::start();
    let proxy = FaultProxy::new(slapd.port());
    let source = bindery_directory::Source::new(settings(&[format!("ldap://127.0.0.1:{}", proxy.port())]));
    let all = (0..64).map(|_| {
        let source = source.clone();
        tokio::spawn(async move { person(&source, "ann").await.dn })
    });
    for one in all.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), below("uid=ann,ou=people"));
    }
    assert!(proxy.accepted() <= 4, "{}", proxy.accepted());
}

fn as_user(settings: &mut bindery_directory::SourceSettings) {
    settings.bind = Bind::AsUser;
    settings.users.dn_template = Some(DnTemplate::parse(&format!("uid={{user}},ou=people,{SUFFIX}")).unwrap());
}

#[tokio::test]
async fn as_user_reads_everything_as_the_person() {
    let slapd = Slapd::start();
    let source = source(&slapd, as_user);
    let answer = source.authenticate("ann", &secret("ann-secret"), &nothing()).await.unwrap();
    let Authentication::Checked { person: Some(ann), reader, check, .. } = answer else { panic!() };
    assert!(accepted(&check));
    assert_eq!(ann.dn, below("uid=ann,ou=people"));
    let memberships = source.memberships(&reader, &ann, &[named("leavers"), named("nowhere")]).await;
    assert_eq!(memberships.incomplete, None);
    assert_eq!(names(&memberships), ["app-users", "editors", "staff", "writers"]);
    assert_eq!(memberships.known[&named("leavers")], bindery_directory::Known::Found);
    assert_eq!(memberships.known[&named("nowhere")], bindery_directory::Known::NotFound);
}

#[tokio::test]
async fn as_user_with_a_wrong_password_reads_nothing() {
    let slapd = Slapd::start();
    let source = source(&slapd, as_user);
    for name in ["ann", "nobody", "ann,ou=people", "*", "we*ird(name)"] {
        let answer = source.authenticate(name, &secret("wrong"), &nothing()).await.unwrap();
        let Authentication::Checked { person, check, .. } = answer else { panic!("{name}") };
        assert!(person.is_none());
        assert_eq!(check, PasswordCheck::Wrong, "{name}");
    }
    let answer = source.authenticate("we*ird(name)", &secret("we*ird(name)-secret"), &nothing()).await.unwrap();
    assert!(matches!(answer, Authentication::Checked { person: Some(_), .. }));
}

#[tokio::test]
async fn as_user_without_a_template_searches_anonymously_for_the_name_alone() {
    let slapd = Slapd::builder().allow_anonymous().start();
    let source = source(&slapd, |settings| settings.bind = Bind::AsUser);
    assert!(accepted(&check(&source, "ann", "ann-secret").await));
    assert_eq!(check(&source, "ann", "wrong").await, PasswordCheck::Wrong);
}

#[tokio::test]
async fn as_user_says_what_needs_a_service_account() {
    let slapd = Slapd::start();
    let source = source(&slapd, as_user);
    let error = source.find("ann", &nothing()).await.unwrap_err();
    assert!(matches!(error, DirectoryError::NoServiceAccount { .. }), "{error:?}");
    assert!(source.read("x", None, &nothing()).await.is_err());
}

#[tokio::test]
async fn a_bind_that_cannot_be_answered_is_never_a_wrong_password() {
    let slapd = Slapd::start();
    // The rule holds for people's connections alone: their answer never comes.
    let proxy = FaultProxy::new(slapd.port());
    let mut settings = settings(&[format!("ldap://127.0.0.1:{}", proxy.port())]);
    settings.timeouts.operation = std::time::Duration::from_millis(500);
    settings.timeouts.connect = std::time::Duration::from_millis(500);
    let source = bindery_directory::Source::new(settings);
    let ann = person(&source, "ann").await;
    assert!(accepted(&source.check_password(&ann, &secret("ann-secret")).await.unwrap()));
    proxy.stall();
    let error = source.check_password(&ann, &secret("wrong")).await.unwrap_err();
    assert!(matches!(error, DirectoryError::Unavailable { .. }), "{error:?}");
    proxy.refuse();
    let error = source.check_password(&ann, &secret("wrong")).await.unwrap_err();
    assert!(matches!(error, DirectoryError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_decoy_changes_nothing_and_costs_one_bind() {
    let slapd = Slapd::builder().ppolicy(1).start();
    let source = source(&slapd, |_| {});
    for _ in 0..5 {
        source.decoy_bind().await;
    }
    assert!(accepted(&check(&source, "ann", "ann-secret").await));
}
