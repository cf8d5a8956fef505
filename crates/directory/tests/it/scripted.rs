//! Servers that say what no honest one would: entries from elsewhere, busy, refusals in words, nonsense.

use crate::support::*;
use bindery_directory::settings::Bind;
use bindery_directory::{
    Authentication, DirectoryError, Found, PasswordCheck, Reader, Refusal, Source, SourceSettings,
};
use bindery_ldap::codec::protocol as wire;
use bindery_tests::Slapd;
use wire::{ProtocolOp as Op, ResultCode as Code};

/// A server that follows a script on every connection; answers with its URL.
async fn serve(script: impl Fn(&Op) -> Vec<Op> + Send + Sync + 'static) -> String {
    crate::wire::serve(move |request| {
        let id = request.message_id;
        script(&request.protocol_op).into_iter().map(|op| wire::LdapMessage::new(id, op)).collect()
    })
    .await
}

fn done(code: Code, message: &str) -> Op {
    Op::SearchResDone(wire::SearchResultDone(wire::LdapResult::new(code, "".into(), message.into())))
}

fn bound(code: Code, message: &str) -> Op {
    Op::BindResponse(wire::BindResponse::new(code, "".into(), message.into(), None, None))
}

fn entry(dn: &str) -> Op {
    let attribute =
        |name: &str, value: &str| wire::PartialAttribute::new(name.into(), vec![value.as_bytes().into()].into());
    let attributes = vec![attribute("uid", "ann"), attribute("entryUUID", dn), attribute("cn", "writers")];
    Op::SearchResEntry(wire::SearchResultEntry::new(dn.into(), attributes))
}

/// Whether a bind is the service account's.
fn is_service(op: &Op) -> bool {
    matches!(op, Op::BindRequest(bind) if bind.name.0.starts_with("cn=sync"))
}

const ANN: &str = "uid=ann,ou=people,dc=example,dc=test";

/// Lets the service account in, finds Ann, and answers to people's binds as told.
fn directory(people: impl Fn() -> Op + Send + Sync + 'static) -> impl Fn(&Op) -> Vec<Op> + Send + Sync + 'static {
    move |op| match op {
        op if is_service(op) => vec![bound(Code::Success, "")],
        Op::BindRequest(_) => vec![people()],
        Op::SearchRequest(_) => vec![entry(ANN), done(Code::Success, "")],
        _ => vec![],
    }
}

fn quick(urls: &[String]) -> SourceSettings {
    let mut settings = settings(urls);
    settings.timeouts.operation = std::time::Duration::from_secs(5);
    settings
}

async fn bind_answered(answer: impl Fn() -> Op + Send + Sync + 'static) -> Result<PasswordCheck, DirectoryError> {
    let source = Source::new(quick(&[serve(directory(answer)).await]));
    match source.authenticate("ann", &secret("ann-secret"), &nothing()).await? {
        Authentication::Checked { check, .. } => Ok(check),
        _ => panic!("Ann is there"),
    }
}

#[tokio::test]
async fn an_entry_from_outside_the_base_is_nobody() {
    for dn in ["uid=ann,ou=outside,dc=example,dc=test", "uid=ann,dc=evil", "uid=ann", ""] {
        let url = serve(move |op| match op {
            Op::BindRequest(_) => vec![bound(Code::Success, "")],
            Op::SearchRequest(_) => vec![entry(dn), done(Code::Success, "")],
            _ => vec![],
        });
        let source = Source::new(quick(&[url.await]));
        let answer = source.authenticate("ann", &secret("x"), &nothing()).await.unwrap();
        assert!(matches!(answer, Authentication::Nobody), "{dn:?}");
    }
}

#[tokio::test]
async fn one_from_outside_does_not_make_two() {
    let url = serve(|op| match op {
        Op::BindRequest(_) => vec![bound(Code::Success, "")],
        Op::SearchRequest(_) => vec![entry("uid=ann,dc=evil"), entry(ANN), done(Code::Success, "")],
        _ => vec![],
    });
    assert_eq!(person(&Source::new(quick(&[url.await])), "ann").await.dn, dn(ANN));
}

#[tokio::test]
async fn groups_from_outside_the_base_are_none() {
    let url = serve(|op| match op {
        Op::BindRequest(_) => vec![bound(Code::Success, "")],
        Op::SearchRequest(search) if search.base_object.0.starts_with("ou=groups") => {
            vec![entry("cn=admins,dc=evil"), done(Code::Success, "")]
        }
        Op::SearchRequest(_) => vec![entry(ANN), done(Code::Success, "")],
        _ => vec![],
    });
    let source = Source::new(quick(&[url.await]));
    let ann = groups_of(&source, "ann", &[named("writers")]).await;
    assert!(ann.groups.is_empty() && ann.incomplete.is_none(), "{ann:?}");
    assert_eq!(ann.known[&named("writers")], bindery_directory::Known::NotFound);
}

#[tokio::test]
async fn a_name_that_is_no_dn_is_an_error_of_the_search() {
    let url = serve(|op| match op {
        Op::BindRequest(_) => vec![bound(Code::Success, "")],
        Op::SearchRequest(_) => vec![entry("not a name"), done(Code::Success, "")],
        _ => vec![],
    });
    let error = Source::new(quick(&[url.await])).find("ann", &nothing()).await.unwrap_err();
    assert!(error.to_string().contains("RFC 4514"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_busy_gives_way_to_one_that_is_not() {
    let slapd = Slapd::start();
    for code in [Code::Busy, Code::Unavailable] {
        let busy = serve(move |op| match op {
            Op::BindRequest(_) => vec![bound(Code::Success, "")],
            Op::SearchRequest(_) => vec![done(code, "later")],
            _ => vec![],
        });
        let source = Source::new(quick(&[busy.await, slapd.url()]));
        assert!(accepted(&check(&source, "ann", "ann-secret").await));
    }
}

#[tokio::test]
async fn a_bind_that_is_busy_is_offered_to_the_next() {
    let slapd = Slapd::start();
    let busy = serve(directory(|| bound(Code::Busy, ""))).await;
    let source = Source::new(quick(&[busy, slapd.url()]));
    assert!(accepted(&check(&source, "ann", "ann-secret").await));
}

#[tokio::test]
async fn answers_that_say_nothing_of_the_password_are_errors() {
    for code in
        [Code::Busy, Code::Unavailable, Code::Other, Code::OperationsError, Code::Referral, Code::UnwillingToPerform]
    {
        let answer = bind_answered(move || bound(code, "")).await;
        assert!(answer.is_err(), "{code:?}: {answer:?}");
    }
    let malformed = bind_answered(|| done(Code::Success, "")).await;
    assert!(malformed.is_err(), "{malformed:?}");
    assert_eq!(bind_answered(|| bound(Code::InvalidCredentials, "")).await.unwrap(), PasswordCheck::Wrong);
}

#[tokio::test]
async fn refusals_in_words() {
    let refused = |refusal, password_was_right| PasswordCheck::Refused { refusal, password_was_right };
    let words = "Account inactivated. Contact system administrator.";
    let answer = bind_answered(move || bound(Code::UnwillingToPerform, words)).await.unwrap();
    assert_eq!(answer, refused(Refusal::AccountDisabled, false));
    let sub_code = "80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data 773, v4563";
    let answer = bind_answered(move || bound(Code::InvalidCredentials, sub_code)).await.unwrap();
    assert_eq!(answer, refused(Refusal::PasswordMustChange, true));
}

#[tokio::test]
async fn a_service_account_refused_by_one_server_is_accepted_by_the_next() {
    let slapd = Slapd::start();
    let refusing = serve(|op| match op {
        Op::BindRequest(_) => vec![bound(Code::InvalidCredentials, "")],
        _ => vec![],
    });
    let source = Source::new(quick(&[refusing.await, slapd.url()]));
    assert!(matches!(source.find("ann", &nothing()).await.unwrap(), Found::One(_)));
}

#[tokio::test]
async fn endless_groups_end() {
    // Every question about groups has a new group for an answer.
    let number = std::sync::atomic::AtomicUsize::new(0);
    let url = serve(move |op| match op {
        Op::BindRequest(_) => vec![bound(Code::Success, "")],
        Op::SearchRequest(search) if search.base_object.0.starts_with("ou=groups") => {
            let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            vec![entry(&format!("cn=g{number},ou=groups,dc=example,dc=test")), done(Code::Success, "")]
        }
        Op::SearchRequest(_) => vec![entry(ANN), done(Code::Success, "")],
        _ => vec![],
    });
    let source = Source::new(quick(&[url.await]));
    let ann = person(&source, "ann").await;
    let memberships = source.memberships(&Reader::service(), &ann, &[]).await;
    assert!(memberships.incomplete.is_some() && memberships.groups.len() < 100);
}

#[tokio::test]
async fn as_user_trusts_no_other_entry_than_the_one_that_bound() {
    let url = serve(|op| match op {
        Op::BindRequest(_) => vec![bound(Code::Success, "")],
        Op::SearchRequest(_) => vec![entry("uid=root,ou=people,dc=example,dc=test"), done(Code::Success, "")],
        _ => vec![],
    });
    let mut settings = quick(&[url.await]);
    settings.bind = Bind::AsUser;
    settings.users.dn_template =
        Some(bindery_directory::settings::DnTemplate::parse("uid={user},ou=people,dc=example,dc=test").unwrap());
    let answer = Source::new(settings).authenticate("ann", &secret("x"), &nothing()).await.unwrap();
    assert!(matches!(answer, Authentication::Nobody));
}
