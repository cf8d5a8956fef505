//! Synchronizations that end as they should not.

use crate::changes::{Replica, Told, catch_up, wanted};
use crate::support::*;
use crate::wire::{Asked, Code, LdapMessage, entry, otherwise, serve};
use bindery_directory::{DirectoryError, FeedEvent, FeedKind, Kind, Source};
use bindery_ldap::codec::protocol::ProtocolOp as Op;
use bindery_ldap::control::{ControlValue as _, SyncDone, SyncInfo, SyncRequest, SyncState, SyncStateKind};
use bytes::Bytes;
use uuid::Uuid;

const COOKIE: &[u8] = b"rid=000,csn=20261122050000.000000Z#000000#000#000000";

#[allow(clippy::unnecessary_wraps, reason = "as the controls hold it")]
fn cookie() -> Option<Bytes> {
    Some(Bytes::from_static(COOKIE))
}

fn end(asked: &Asked<'_>, cookie: Option<Bytes>, refresh_deletes: bool) -> LdapMessage {
    asked.answer_with(crate::wire::done(Code::Success), &SyncDone { cookie, refresh_deletes })
}

fn somebody(asked: &Asked<'_>, number: u128, state: SyncStateKind) -> LdapMessage {
    let id = Uuid::from_u128(number);
    let (dn, text) = (format!("uid=p{number},ou=people,dc=example,dc=test"), id.to_string());
    let op = entry(&dn, &[("uid", &["p"]), ("entryUUID", &[&text])]);
    asked.answer_with(op, &SyncState { state, entry_uuid: id, cookie: None })
}

fn info(asked: &Asked<'_>, info: &SyncInfo) -> LdapMessage {
    asked.answer(Op::IntermediateResponse(bindery_ldap::codec::protocol::IntermediateResponse {
        response_name: Some(SyncInfo::OID.as_bytes().to_vec().into()),
        response_value: Some(info.encode().unwrap().into()),
    }))
}

/// A good position, and then this for an answer about people.
async fn answered(
    script: impl Fn(&Asked<'_>) -> Vec<LdapMessage> + Send + Sync + 'static,
) -> Result<(Told, Replica), DirectoryError> {
    let url = serve(move |message| match Asked::of(message) {
        Some(asked) if asked.is_root_dse() => asked.root_dse(&[SyncRequest::OID]),
        Some(asked) => match asked.control::<SyncRequest>() {
            Some(request) if request.cookie.is_none() => vec![end(&asked, cookie(), true)],
            Some(_) if asked.base().starts_with("ou=people") => script(&asked),
            _ => vec![end(&asked, cookie(), true)],
        },
        None => otherwise(message),
    });
    let mut settings = settings(&[url.await]);
    settings.timeouts.operation = std::time::Duration::from_secs(2);
    let source = Source::new(settings);
    let position = source.position(&wanted()).await?;
    let mut replica = Replica::default();
    replica.people.insert("old".to_owned(), String::new());
    let told = catch_up(&source, &position, &mut replica).await?;
    Ok((told, replica))
}

#[tokio::test]
async fn a_refresh_that_is_whole_counts() {
    let (told, replica) = answered(|asked| {
        vec![
            somebody(asked, 1, SyncStateKind::Add),
            info(asked, &SyncInfo::IdSet { cookie: None, refresh_deletes: false, uuids: vec![Uuid::from_u128(2)] }),
            end(asked, cookie(), false),
        ]
    })
    .await
    .unwrap();
    assert_eq!((told.rest_gone, told.changed, replica.people.len()), (1, 1, 1), "{told:?}");
    assert!(told.reached.is_some());
}

#[tokio::test]
async fn without_a_whole_end_nobody_is_gone() {
    let (no_control, replica) =
        answered(|asked| vec![somebody(asked, 1, SyncStateKind::Add), asked.done(Code::Success)]).await.unwrap();
    assert!(no_control.doubt.is_some() && no_control.rest_gone == 0 && replica.people.len() == 2);
    assert!(no_control.reached.is_none());

    let (no_cookie, replica) =
        answered(|asked| vec![somebody(asked, 1, SyncStateKind::Add), end(asked, None, false)]).await.unwrap();
    assert!(no_cookie.doubt.is_some() && no_cookie.rest_gone == 0 && replica.people.len() == 2);

    for code in [Code::SizeLimitExceeded, Code::TimeLimitExceeded, Code::AdminLimitExceeded, Code::UnwillingToPerform] {
        let (cut, replica) =
            answered(move |asked| vec![somebody(asked, 1, SyncStateKind::Add), asked.done(code)]).await.unwrap();
        assert!(cut.doubt.is_some() && cut.rest_gone == 0 && replica.people.len() == 2, "{code:?}");
    }
    for code in [Code::OperationsError, Code::Busy, Code::Unavailable, Code::Other, Code::InsufficientAccessRights] {
        assert!(answered(move |asked| vec![asked.done(code)]).await.is_err(), "{code:?}");
    }
}

#[tokio::test]
async fn what_breaks_the_protocol_is_an_error() {
    let plain = answered(|asked| vec![asked.answer(entry("uid=x,ou=people,dc=example,dc=test", &[]))]).await;
    assert!(plain.is_err_and(|error| error.to_string().contains("sync state")));
    let silent = answered(|_| vec![]).await;
    assert!(silent.is_err_and(|error| error.to_string().contains("did not end within")));
}

#[tokio::test]
async fn entries_that_are_not_what_they_are_called() {
    let (other, _) = answered(|asked| {
        let op = entry("uid=p,ou=people,dc=example,dc=test", &[("entryUUID", &["something-else"])]);
        let state = SyncState { state: SyncStateKind::Add, entry_uuid: Uuid::from_u128(7), cookie: None };
        vec![asked.answer_with(op, &state), end(asked, cookie(), true)]
    })
    .await
    .unwrap();
    assert!(other.doubt.unwrap().contains("unique ID"));

    let (nameless, replica) = answered(|asked| {
        let state = SyncState { state: SyncStateKind::Add, entry_uuid: Uuid::from_u128(7), cookie: None };
        let outside = SyncState { state: SyncStateKind::Add, entry_uuid: Uuid::from_u128(8), cookie: None };
        vec![
            asked.answer_with(entry("no name", &[]), &state),
            asked.answer_with(entry("uid=x,dc=evil", &[]), &outside),
            end(asked, cookie(), true),
        ]
    })
    .await
    .unwrap();
    assert_eq!((nameless.unreadable, nameless.changed, replica.people.len()), (1, 0, 1), "{nameless:?}");
    assert!(nameless.reached.is_some());
}

#[tokio::test]
async fn a_server_whose_cookies_are_behind_its_changelog_is_polled() {
    // As 389-DS 2.3 on LMDB, which ends when it gets such a cookie back.
    for (change, kind) in [("40", FeedKind::Syncrepl), ("0", FeedKind::ModifyTimestamp)] {
        let url = serve(move |message| match Asked::of(message) {
            Some(asked) if asked.is_root_dse() => {
                let root = [
                    ("supportedControl", &[SyncRequest::OID][..]),
                    ("firstchangenumber", &["1"]),
                    ("lastchangenumber", &["40"]),
                    ("currentTime", &["20261122050000Z"]),
                ];
                vec![asked.answer(entry("", &root)), asked.done(Code::Success)]
            }
            Some(asked) => vec![end(&asked, Some(format!("host:389#x#{change}").into()), false)],
            None => otherwise(message),
        });
        let mut settings = settings(&[url.await]);
        settings.users.unique_id = "nsUniqueId".to_owned();
        assert_eq!(Source::new(settings).position(&wanted()).await.unwrap().kind, kind, "{change}");
    }
}

/// Two searches are followed side by side, and each reaches positions of its own: whom a present phase names is told at
/// once, at its end, together with those who were sent, usable or not.
#[tokio::test]
async fn a_present_phase_that_is_followed_is_told_as_one() {
    let url = serve(move |message| match Asked::of(message) {
        Some(asked) if asked.is_root_dse() => asked.root_dse(&[SyncRequest::OID]),
        Some(asked) => match asked.control::<SyncRequest>() {
            Some(request) if request.cookie.is_none() => vec![end(&asked, cookie(), true)],
            Some(_) if asked.base().starts_with("ou=people") => {
                let unusable = SyncState { state: SyncStateKind::Add, entry_uuid: Uuid::from_u128(9), cookie: None };
                let set = |number| SyncInfo::IdSet {
                    cookie: None,
                    refresh_deletes: false,
                    uuids: vec![Uuid::from_u128(number)],
                };
                let done = SyncInfo::RefreshPresent { cookie: cookie(), refresh_done: true };
                vec![
                    info(&asked, &set(2)),
                    somebody(&asked, 1, SyncStateKind::Add),
                    info(&asked, &set(3)),
                    asked.answer_with(entry("no name", &[]), &unusable),
                    info(&asked, &done),
                    somebody(&asked, 4, SyncStateKind::Add),
                ]
            }
            Some(_) => vec![info(&asked, &SyncInfo::RefreshDelete { cookie: cookie(), refresh_done: true })],
            None => vec![end(&asked, cookie(), true)],
        },
        None => otherwise(message),
    });
    let source = Source::new(settings(&[url.await]));
    let position = source.position(&wanted()).await.unwrap();
    let mut changes = crate::follow::follow(&source, &position).await;
    let only = async {
        loop {
            if let FeedEvent::Only(kind, ids) = changes.next().await.unwrap().unwrap() {
                return (kind, ids);
            }
        }
    };
    let only = tokio::time::timeout(std::time::Duration::from_secs(30), only).await.unwrap();
    let ids = [1, 2, 3, 9].map(|number| Uuid::from_u128(number).to_string());
    assert_eq!(only, (Kind::User, ids.into()));
}
