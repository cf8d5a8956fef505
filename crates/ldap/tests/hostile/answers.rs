//! Answers that are odd and still answers.

use crate::script::{Scripted, encoded, entry, message, search_done, tlv};
use crate::{answered_with, everyone, malformed};
use bindery_ldap::codec::protocol as wire;
use bindery_ldap::{Error, ResultCode};

#[tokio::test]
async fn a_dn_that_is_not_utf8_fails_alone() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        let broken = tlv(0x64, &[&[4, 4, b'c', b'n', b'=', 0xff][..], &[0x30, 0]].concat());
        peer.raw(&message(u8::try_from(id).unwrap(), &broken)).await;
        peer.send(id, entry("cn=good")).await;
        peer.done(id).await;
    })
    .await;
    let outcome = server.connect().await.search(everyone()).await.unwrap();
    assert!(outcome.entries[0].dn().is_err() && outcome.entries[0].raw_dn() == b"cn=\xff");
    assert_eq!(outcome.entries[1].dn().unwrap().as_str(), "cn=good");
}

#[tokio::test]
async fn unknown_result_codes_are_results() {
    let server = Scripted::start(|mut peer| async move {
        let id = u8::try_from(peer.id().await).unwrap();
        peer.raw(&message(id, &tlv(0x65, &[0x0a, 2, 0x10, 0, 4, 0, 4, 0]))).await;
        let id = u8::try_from(peer.id().await).unwrap();
        peer.raw(&message(id, &tlv(0x6b, &[0x0a, 2, 0x7f, 1, 4, 0, 4, 0]))).await;
        peer.rest().await;
    })
    .await;
    let connection = server.connect().await;
    let outcome = connection.search(everyone()).await.unwrap();
    assert_eq!(outcome.result.code, ResultCode::SYNC_REFRESH_REQUIRED);
    let error = connection.delete("cn=a").await.unwrap_err();
    assert_eq!(error.result().unwrap().code, ResultCode(0x7f01));
}

#[tokio::test]
async fn a_notice_of_disconnection_ends_everything_with_its_reason() {
    let name = b"1.3.6.1.4.1.1466.20036";
    let tail = |code: u8| [&[0x0a, 1, code, 4, 0][..], &tlv(4, b"restarting")].concat();
    let proper = tlv(0x78, &[tail(52), tlv(0x8a, name)].concat());
    // As Active Directory writes it: the name after the operation instead of in it.
    let active_directory = [tlv(0x78, &tail(52)), tlv(0x8a, name)].concat();
    for notice in [proper, active_directory] {
        match answered_with(message(0, &notice)).await {
            Err(Error::Closed { reason, notice: true }) => {
                assert!(reason.contains("disconnection") && reason.contains("restarting"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn other_unsolicited_notifications_are_ignored_but_not_for_ever() {
    let unknown = message(0, &tlv(0x78, &[&[0x0a, 1, 0, 4, 0, 4, 0][..], &tlv(0x8a, b"1.2.3")].concat()));
    let done = encoded(2, search_done(wire::ResultCode::Success), vec![]);
    let few = [unknown.repeat(5), done.to_vec()].concat();
    assert_eq!(answered_with(few).await.unwrap(), 0);
    assert!(malformed(unknown.repeat(200)).await.contains("flood"));
}
