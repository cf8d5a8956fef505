//! The rest of a source: TLS, other ways to bind, searches, changes, passwords, checks.

use crate::support::*;
use bindery_directory::settings::{Bind, DnTemplate, Members};
use bindery_directory::{
    ClientIdentity, DirectoryError, Known, PasswordChange, Roots, Scope, Source, SourceSettings, Step, TlsSettings,
    ldif,
};
use bindery_tests::{FaultProxy, Slapd};
use std::time::Duration;

type Change = fn(&mut SourceSettings);

fn private_ca(slapd: &Slapd) -> TlsSettings {
    TlsSettings { roots: Roots::Pem(std::fs::read(slapd.ca_pem()).unwrap()), ..TlsSettings::default() }
}

fn over_tls(slapd: &Slapd) -> SourceSettings {
    let mut settings = settings(&[slapd.ldaps_url()]);
    settings.tls = private_ca(slapd);
    settings
}

#[tokio::test]
async fn ldaps_with_a_private_ca() {
    let slapd = Slapd::builder().require_tls().start();
    let source = Source::new(over_tls(&slapd));
    assert!(accepted(&check(&source, "ann", "ann-secret").await));
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_refused() {
    let (slapd, other) = (Slapd::start(), Slapd::start());
    for tls in [TlsSettings::default(), private_ca(&other)] {
        let source = source(&slapd, |settings| {
            *settings = over_tls(&slapd);
            settings.tls = tls;
        });
        let error = source.find("ann", &nothing()).await.unwrap_err();
        assert!(matches!(error, DirectoryError::Untrusted { .. }), "{error:?}");
        let report = source.check(&[]).await.remove(0);
        assert!(report.answered && report.tls.is_failed(), "{report:?}");
    }
}

#[tokio::test]
async fn starttls_or_nothing() {
    let slapd = Slapd::builder().require_tls().start();
    let source = source(&slapd, |settings| {
        settings.tls = private_ca(&slapd);
        settings.tls.starttls = true;
    });
    assert!(accepted(&check(&source, "ann", "ann-secret").await));
}

#[tokio::test]
async fn external_and_anonymous() {
    let slapd = Slapd::builder().client_certs("try").allow_anonymous().start();
    let issued = slapd.client_cert("sync");
    let mut settings = over_tls(&slapd);
    settings.bind = Bind::External;
    settings.tls.identity = Some(ClientIdentity {
        certificates_pem: std::fs::read(&issued.cert).unwrap(),
        key_pem: std::fs::read(&issued.key).unwrap().into(),
    });
    assert!(accepted(&check(&Source::new(settings), "ann", "ann-secret").await));

    let socket = source(&slapd, |settings| {
        settings.servers = vec![bindery_directory::LdapUrl::parse(&slapd.ldapi_url()).unwrap()];
        settings.bind = Bind::External;
    });
    assert!(accepted(&check(&socket, "ann", "ann-secret").await));

    let anonymous = source(&slapd, |settings| settings.bind = Bind::Anonymous);
    assert!(accepted(&check(&anonymous, "ann", "ann-secret").await));
}

#[tokio::test]
async fn a_search_reads_every_page_or_fails() {
    let slapd = Slapd::builder().size_limit(5).start();
    let all = async |source: &Source, limit| {
        source.search(&dn(SUFFIX), Scope::Subtree, filter("(objectClass=*)"), &["cn".to_owned()], limit).await
    };
    let unlimited = source(&slapd, |settings| settings.page_size = 3);
    let entries = all(&unlimited, 0).await.unwrap();
    assert!(entries.len() > 25, "{}", entries.len());
    assert_eq!(all(&unlimited, 4).await.unwrap().len(), 4);
    assert_eq!(all(&unlimited, 0).await.unwrap().len(), entries.len(), "after one that was cut short on purpose");

    let limited = source(&slapd, |settings| {
        settings.page_size = 3;
        settings.bind = service(Slapd::LIMITED_DN, "limited-secret");
    });
    let error = all(&limited, 0).await.unwrap_err();
    assert!(error.to_string().contains("size limit"), "{error}");
}

#[tokio::test]
async fn read_only_sends_nothing() {
    let slapd = Slapd::start();
    let proxy = FaultProxy::new(slapd.port());
    let source = Source::new(settings(&[format!("ldap://127.0.0.1:{}", proxy.port())]));
    for record in changes() {
        assert!(matches!(source.change(&record).await, Err(DirectoryError::ReadOnly { .. })));
    }
    assert_eq!(proxy.accepted(), 0);
}

fn changes() -> Vec<ldif::ChangeRecord> {
    let text = format!(
        "dn: cn=new,ou=groups,{SUFFIX}\nchangetype: add\nobjectClass: groupOfNames\ncn: new\nmember: cn=x\n\n\
         dn: cn=new,ou=groups,{SUFFIX}\nchangetype: modify\nreplace: description\ndescription: here\n-\n\n\
         dn: cn=new,ou=groups,{SUFFIX}\nchangetype: modrdn\nnewrdn: cn=newer\ndeleteoldrdn: 1\n\n\
         dn: cn=newer,ou=groups,{SUFFIX}\nchangetype: delete\n"
    );
    ldif::parse_changes(&text).unwrap()
}

#[tokio::test]
async fn changes_are_applied_in_order() {
    let slapd = Slapd::start();
    let root = slapd.root_dn();
    let source = source(&slapd, |settings| {
        settings.read_only = false;
        settings.bind = service(&root, Slapd::ROOT_PASSWORD);
    });
    let records = changes();
    for record in &records[..3] {
        source.change(record).await.unwrap();
    }
    assert!(slapd.ldapsearch("(cn=newer)", &["description"]).contains("here"));
    source.change(&records[3]).await.unwrap();
    let error = source.change(&records[3]).await.unwrap_err();
    assert!(error.to_string().contains("noSuchObject"), "{error}");
}

#[tokio::test]
async fn a_password_is_changed_by_its_owner_over_tls() {
    let slapd =
        Slapd::builder().access("access to attrs=userPassword by self =xw by anonymous auth").ppolicy(5).start();
    let source = Source::new(over_tls(&slapd));
    let ann = below("uid=ann,ou=people");
    let change = async |old, new| source.change_password(&ann, &secret(old), &secret(new)).await.unwrap();
    assert_eq!(change("wrong", "another-secret").await, PasswordChange::WrongOld);
    let short = change("ann-secret", "short").await;
    assert!(matches!(&short, PasswordChange::Refused(words) if !words.is_empty()), "{short:?}");
    assert_eq!(change("ann-secret", "another-secret").await, PasswordChange::Changed);
    assert!(accepted(&check(&source, "ann", "another-secret").await));
    assert!(!accepted(&check(&source, "ann", "ann-secret").await));
}

#[tokio::test]
async fn a_password_is_never_changed_in_clear() {
    let slapd = Slapd::start();
    let source = source(&slapd, |_| {});
    let error =
        source.change_password(&below("uid=ann,ou=people"), &secret("ann-secret"), &secret("another-secret")).await;
    assert!(matches!(error, Err(DirectoryError::Unprotected { .. })), "{error:?}");
    assert!(accepted(&check(&source, "ann", "ann-secret").await));
}

#[tokio::test]
async fn a_check_tells_what_is_there_and_what_is_missing() {
    let slapd = Slapd::start();
    let proxy = FaultProxy::new(slapd.port());
    let source =
        Source::new(settings(&[format!("ldap://127.0.0.1:{}", proxy.port()), "ldap://127.0.0.1:1".to_owned()]));
    let reports = source.check(&[named("writers"), named("nowhere"), at("cn=gone,ou=groups")]).await;
    let [good, gone] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!(good.vendor.as_deref(), Some("OpenLDAP"));
    assert!(good.answered && matches!(good.bind, Step::Done(_)), "{good:?}");
    assert!(good.users.more && good.users.dns.len() == 5, "{good:?}");
    assert_eq!(good.missing_groups.len(), 2);
    assert!(good.missing_groups.iter().all(|(_, known)| *known == Known::NotFound));
    assert_eq!(good.findings().len(), 2, "{:?}", good.findings());
    assert!(!gone.answered && gone.connect.is_failed());
    // The connection that was checked serves on.
    person(&source, "ann").await;
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn a_server_that_accepts_connections_and_says_nothing_did_not_answer() {
    let slapd = Slapd::start();
    let silent = |bind: Change| {
        source(&slapd, |settings| {
            bind(settings);
            settings.timeouts.connect = Duration::from_millis(500);
            settings.timeouts.operation = Duration::from_millis(500);
        })
    };
    for bind in [(|_| {}) as Change, |settings| settings.bind = Bind::AsUser] {
        let source = silent(bind);
        let report = source.check(&[]).await.remove(0);
        assert!(report.answered, "{report:?}");
        slapd.pause();
        let report = source.check(&[]).await.remove(0);
        slapd.resume();
        assert!(!report.answered && !report.findings().is_empty(), "{report:?}");
    }
}

#[tokio::test]
async fn a_check_names_what_can_never_work() {
    let slapd = Slapd::builder().memberof().start();
    let cases: [(Change, &str); 7] = [
        (|settings| settings.users.unique_id = "entryUUIDx".to_owned(), "has no readable entryUUIDx"),
        (
            |settings| settings.users.login_attributes = vec!["uidd".to_owned()],
            "nobody of the sample has a readable uidd",
        ),
        (
            |settings| {
                settings.users.dn_template =
                    Some(DnTemplate::parse(&format!("uid={{user}},ou=branch,{SUFFIX}")).unwrap());
            },
            "dn_template makes DNs outside",
        ),
        (|settings| settings.groups.name = vec!["cnn".to_owned()], "no group of the sample has a readable cnn"),
        (|settings| settings.groups.members = Members::OfGroup("membr".to_owned()), "membr cannot be read"),
        (|settings| settings.groups.members = Members::OfGroup("uniqueMember".to_owned()), "another kind"),
        (|settings| settings.groups.filter = filter("(cn=press)"), "another kind"),
    ];
    for (change, word) in cases {
        let report = source(&slapd, change).check(&[]).await.remove(0);
        assert!(
            report.answered && report.findings().iter().any(|finding| finding.contains(word)),
            "{word}: {report:?}"
        );
    }
    for change in [(|_| {}) as Change, |settings| settings.groups.members = Members::MemberOf] {
        let report = source(&slapd, change).check(&[named("leavers")]).await.remove(0);
        assert!(report.findings().is_empty(), "{report:?}");
    }
    let without = Slapd::start();
    let report = source(&without, |settings| settings.groups.members = Members::MemberOf).check(&[]).await.remove(0);
    assert!(report.findings().iter().any(|finding| finding.contains("memberOf cannot be read")), "{report:?}");
}

#[tokio::test]
async fn a_check_names_a_refused_bind_and_empty_bases() {
    let slapd = Slapd::builder().ppolicy(3).start();
    let wrong = source(&slapd, |settings| settings.bind = service(Slapd::SYNC_DN, "wrong"));
    let report = wrong.check(&[]).await.remove(0);
    assert!(report.answered && report.bind.is_failed(), "{report:?}");
    let failures = slapd.ldapsearch("(cn=sync)", &["pwdFailureTime"]);
    assert_eq!(failures.matches("pwdFailureTime:").count(), 1, "one bind: {failures}");

    let empty = source(&slapd, |settings| settings.groups.base_dn = vec![below("ou=branch")]);
    let report = empty.check(&[]).await.remove(0);
    assert!(report.groups.step.is_failed() && !report.users.step.is_failed(), "{report:?}");
}
