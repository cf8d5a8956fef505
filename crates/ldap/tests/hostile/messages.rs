//! Octets that are no message, and messages that are no answer.

use crate::script::{Scripted, bind_response, encoded, entry, message, search_done, tlv};
use crate::{answered_with, everyone, malformed};
use bindery_ldap::Error;
use bindery_ldap::codec::protocol as wire;

#[tokio::test]
async fn deep_nesting_is_refused_without_recursion() {
    let mut nested = vec![];
    for _ in 0..60_000 {
        nested = [&[0x30, 0x84][..], &u32::try_from(nested.len()).unwrap().to_be_bytes(), &nested].concat();
        if nested.len() > 360_000 {
            break;
        }
    }
    let reason = malformed(message(2, &tlv(0x64, &nested))).await;
    assert!(reason.contains("nested"), "{reason}");
}

#[tokio::test]
async fn huge_lengths_are_refused_before_anything_is_buffered() {
    for header in [
        vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        vec![0x30, 0x88, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        vec![0x30, 0x84, 0x04, 0x00, 0x00, 0x01],
    ] {
        let error = answered_with(header).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: 0x400_0000, .. }), "{error}");
    }
}

#[tokio::test]
async fn messages_that_are_none_fail_at_once() {
    let broken: &[(&str, Vec<u8>)] = &[
        ("no SEQUENCE", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("an indefinite length", vec![0x30, 0x80, 2, 1, 2, 0, 0]),
        ("nine octets of length", vec![0x30, 0x89, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ("an inner length that overruns", message(2, &[0x64, 0x84, 0, 0, 1, 0])),
        ("an unknown operation", message(2, &[0x7e, 0])),
        ("a request", message(2, &[0x42, 0])),
        ("an entry without attributes", message(2, &tlv(0x64, &[4, 0]))),
        ("an empty message", vec![0x30, 0]),
        ("a result that is cut short", message(2, &tlv(0x65, &[0x0a, 1]))),
        ("a result code that is a string", message(2, &tlv(0x65, &[4, 1, 0, 4, 0, 4, 0]))),
        ("a negative message ID", vec![0x30, 12, 2, 1, 0xff, 0x65, 7, 0x0a, 1, 0, 4, 0, 4, 0]),
        ("a constructed string", message(2, &tlv(0x64, &[0x24, 2, 4, 0, 0x30, 0]))),
    ];
    for (what, octets) in broken {
        let reason = malformed(octets.clone()).await;
        assert!(!reason.is_empty(), "{what}");
    }
}

#[tokio::test]
async fn a_flood_of_empty_values_is_refused() {
    let values = tlv(0x31, &[4, 0].repeat(3_000_000));
    let attribute = tlv(0x30, &[&[4, 1, b'a'][..], &values].concat());
    let entry = tlv(0x64, &[&[4, 0][..], &tlv(0x30, &attribute)].concat());
    let reason = malformed(message(2, &entry)).await;
    assert!(reason.contains("too many values"), "{reason}");
}

#[tokio::test]
async fn answers_to_nobody_are_refused() {
    let wrong_id = encoded(77, search_done(wire::ResultCode::Success), vec![]);
    assert!(malformed(wrong_id.to_vec()).await.contains("77"));
    let wrong_kind = encoded(2, bind_response(wire::ResultCode::Success), vec![]);
    assert!(malformed(wrong_kind.to_vec()).await.contains("Bind"));
    let zero = encoded(0, entry("cn=a"), vec![]);
    assert!(malformed(zero.to_vec()).await.contains("message 0"));
}

#[tokio::test]
async fn entries_in_answer_to_a_bind_are_refused() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        peer.send(id, entry("cn=a")).await;
        peer.rest().await;
    })
    .await;
    let connection = server.connect().await;
    let error = connection.bind_simple("cn=a", &"secret".into()).await.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
    drop(connection);
    server.outcome().await;
}

#[tokio::test]
async fn an_answer_given_twice_is_refused() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        peer.done(id).await;
        peer.done(id).await;
        peer.rest().await;
    })
    .await;
    let connection = server.connect().await;
    assert!(connection.search(everyone()).await.unwrap().result.is_success());
    connection.closed().await;
    assert!(matches!(connection.search(everyone()).await, Err(Error::Malformed { .. })));
}

#[tokio::test]
async fn an_end_in_the_middle_of_a_message_is_no_result() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        peer.send(id, entry("cn=a")).await;
        let last = encoded(id, search_done(wire::ResultCode::Success), vec![]);
        peer.raw(&last[..last.len() - 1]).await;
    })
    .await;
    let error = server.connect().await.search(everyone()).await.unwrap_err();
    assert!(matches!(&error, Error::Closed { reason, notice: false } if reason.contains("middle")), "{error}");
}

#[tokio::test]
async fn an_end_instead_of_a_result_is_no_result() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        peer.send(id, entry("cn=a")).await;
    })
    .await;
    let error = server.connect().await.search(everyone()).await.unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error}");
}
