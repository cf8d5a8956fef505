//! References: followed to the source's own servers where `referrals` is on, and to nobody else.

use crate::support::*;
use bindery_directory::settings::{DnTemplate, Members};
use bindery_directory::{Found, PasswordCheck, Source, SourceSettings};
use bindery_tests::{FaultProxy, Slapd, SlapdBuilder};

const FAR: &str = "ou=far,ou=people";

/// The server that holds `ou=far`, with `uid=fay` in it, and the service account.
fn far() -> Slapd {
    far_from(Slapd::builder())
}

fn far_from(builder: SlapdBuilder) -> Slapd {
    let service =
        "objectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: sync\nuserPassword: sync-secret";
    builder
        .without_people()
        .ldif(&format!(
            "dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\no: Far\ndc: example\n\n\
             dn: ou=services,{SUFFIX}\nobjectClass: organizationalUnit\nou: services\n\n\
             dn: cn=sync,ou=services,{SUFFIX}\n{service}\n\n\
             dn: ou=people,{SUFFIX}\nobjectClass: organizationalUnit\nou: people\n\n\
             dn: {FAR},{SUFFIX}\nobjectClass: organizationalUnit\nou: far\n\n\
             dn: uid=fay,{FAR},{SUFFIX}\nobjectClass: inetOrgPerson\nuid: fay\ncn: Fay\nsn: Far\nuserPassword: fay-secret\n"
        ))
        .start()
}

/// The server that everybody knows, whose `ou=far` lies at that address.
fn near(address: &str) -> Slapd {
    near_from(Slapd::builder(), address)
}

fn near_from(builder: SlapdBuilder, address: &str) -> Slapd {
    let reference = format!(
        "dn: {FAR},{SUFFIX}\nobjectClass: referral\nobjectClass: extensibleObject\nou: far\nref: {address}/{FAR},{SUFFIX}\n\n\
         dn: cn=travellers,ou=groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: travellers\nmember: uid=fay,{FAR},{SUFFIX}\n"
    );
    builder.ldif(&reference).start()
}

fn following(servers: &[&Slapd], change: impl FnOnce(&mut SourceSettings)) -> Source {
    let urls = servers.iter().map(|slapd| slapd.url()).collect::<Vec<_>>();
    let mut settings = settings(&urls);
    settings.referrals = true;
    change(&mut settings);
    Source::new(settings)
}

fn refused(answer: Result<Found, bindery_directory::DirectoryError>, why: &str) {
    let error = answer.map(|found| format!("{found:?}")).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[tokio::test]
async fn people_are_found_and_bind_where_they_are() {
    let far = far();
    let near = near(&far.url());
    let source = following(&[&near, &far], |_| {});
    let fay = person(&source, "fay").await;
    assert_eq!(fay.dn, below(&format!("uid=fay,{FAR}")));
    assert!(accepted(&check(&source, "fay", "fay-secret").await));
    assert_eq!(check(&source, "fay", "wrong").await, PasswordCheck::Wrong);
    assert!(accepted(&check(&source, "ann", "ann-secret").await));
    assert_eq!(names(&groups_of(&source, "fay", &[]).await), ["travellers"]);
    assert_eq!(names(&groups_of(&source, "ann", &[]).await), ["app-users", "editors", "staff", "writers"]);
    let again = source.read(&fay.unique_id, Some(&fay.dn), &nothing()).await.unwrap();
    assert_eq!(again.unwrap().dn, fay.dn, "result code 10 at the name itself");
    assert!(matches!(source.find("nobody", &nothing()).await.unwrap(), Found::Nobody));
}

/// Whether somebody who shows no groups has some is for the server to say that has them.
#[tokio::test]
async fn who_is_in_no_group_is_compared_where_they_are() {
    let far = far_from(Slapd::builder().memberof());
    let near = near_from(Slapd::builder().memberof(), &far.url());
    let source = following(&[&near, &far], |settings| settings.groups.members = Members::MemberOf);
    let fay = person(&source, "fay").await;
    assert_eq!(source.hides_groups(&fay).await, None);
    let told = groups_of(&source, "fay", &[]).await;
    assert_eq!((told.incomplete, told.groups.len()), (None, 0));
    let bare = person(&source, "bare").await;
    assert_eq!(source.hides_groups(&bare).await, None, "the others where they are");
}

#[tokio::test]
async fn result_code_10_leads_on() {
    let far = far();
    let near = near(&far.url());
    let base = following(&[&near, &far], |settings| settings.users.base_dn = vec![below(FAR)]);
    assert!(accepted(&check(&base, "fay", "fay-secret").await));
    let template = following(&[&near, &far], |settings| {
        settings.users.dn_template = Some(DnTemplate::parse(&format!("uid={{user}},{FAR},{SUFFIX}")).unwrap());
    });
    assert!(accepted(&check(&template, "fay", "fay-secret").await));
    assert_eq!(check(&template, "fay", "wrong").await, PasswordCheck::Wrong);
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_that_the_source_does_not_name() {
    let far = far();
    let proxy = FaultProxy::new(far.port());
    let near = near(&format!("ldap://127.0.0.1:{}", proxy.port()));
    // The same host on another port is another server, and so is the one that is named when its address differs.
    for servers in [&[&near][..], &[&near, &far]] {
        let source = following(servers, |_| {});
        refused(source.find("fay", &nothing()).await, "none of the source's servers");
        let answer = source.authenticate("fay", &secret("fay-secret"), &nothing()).await;
        assert!(answer.is_err(), "never a wrong password");
        assert!(accepted(&check(&source, "ann", "ann-secret").await), "who is found is found");
        let base = following(servers, |settings| settings.users.base_dn = vec![below(FAR)]);
        refused(base.find("fay", &nothing()).await, "none of the source's servers");
    }
    assert_eq!(proxy.accepted(), 0);
}

#[tokio::test]
async fn off_is_off() {
    let far = far();
    let near = near(&far.url());
    let source = following(&[&near, &far], |settings| settings.referrals = false);
    refused(source.find("fay", &nothing()).await, "referrals are not followed");
    assert!(accepted(&check(&source, "ann", "ann-secret").await));
}

#[tokio::test]
async fn a_server_that_is_down_leaves_its_people_unknown() {
    let mut far = far();
    let near = near(&far.url());
    let source = following(&[&near, &far], |_| {});
    assert!(accepted(&check(&source, "fay", "fay-secret").await));
    let fay = person(&source, "fay").await;
    far.stop();
    refused(source.find("fay", &nothing()).await, "not followed");
    let answer = source.check_password(&fay, &secret("fay-secret")).await;
    assert!(answer.is_err(), "the server that does not have her is not asked: {answer:?}");
    far.restart();
    assert!(accepted(&check(&source, "fay", "fay-secret").await));
}

#[tokio::test]
async fn references_in_a_circle_end() {
    let far = far();
    let near = near(&far.url());
    far.ldapdelete(&format!("uid=fay,{FAR},{SUFFIX}"));
    far.ldapdelete(&format!("{FAR},{SUFFIX}"));
    far.ldapadd(&format!(
        "dn: {FAR},{SUFFIX}\nobjectClass: referral\nobjectClass: extensibleObject\nou: far\nref: {}/{FAR},{SUFFIX}\n",
        near.url()
    ));
    let source = following(&[&near, &far], |_| {});
    refused(source.find("fay", &nothing()).await, "without end");
}
