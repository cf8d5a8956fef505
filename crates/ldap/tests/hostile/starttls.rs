//! STARTTLS, and connections that close under their operations.

use crate::everyone;
use crate::script::Scripted;
use bindery_ldap::codec::protocol::ProtocolOp as Op;
use bindery_ldap::{Connection, Error};
use std::time::Duration;

/// What `open` makes of a server that answers STARTTLS so.
async fn starttls_answered_with(octets: &'static [u8]) -> Error {
    let server = Scripted::start(move |mut peer| async move {
        let Some(Op::ExtendedReq(request)) = peer.read().await.map(|m| m.protocol_op) else { panic!("no STARTTLS") };
        assert_eq!(&*request.request_name, b"1.3.6.1.4.1.1466.20037");
        peer.raw(octets).await;
        tokio::time::timeout(Duration::from_secs(5), peer.rest_raw()).await.unwrap_or_default()
    })
    .await;
    let mut options = server.options();
    options.tls.starttls = true;
    let error = Connection::open(&options).await.unwrap_err();
    let sent = server.outcome().await;
    assert!(!sent.windows(2).any(|window| window == [0x02, 0x60]), "no bind in clear");
    error
}

#[tokio::test]
async fn starttls_that_is_refused_is_fatal() {
    let error = starttls_answered_with(&[0x30, 12, 2, 1, 1, 0x78, 7, 0x0a, 1, 2, 4, 0, 4, 0]).await;
    assert!(matches!(&error, Error::StartTls { reason, .. } if reason.contains("protocolError")), "{error}");
}

#[tokio::test]
async fn octets_injected_before_the_handshake_are_fatal() {
    // Success, and then a bind response that an attacker would like to see taken for one inside TLS.
    let error = starttls_answered_with(&[
        0x30, 12, 2, 1, 1, 0x78, 7, 0x0a, 1, 0, 4, 0, 4, 0, 0x30, 12, 2, 1, 2, 0x61, 7, 0x0a, 1, 0, 4, 0, 4, 0,
    ])
    .await;
    assert!(matches!(&error, Error::StartTls { reason, .. } if reason.contains("injection")), "{error}");
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let server = Scripted::start(|mut peer| async move { peer.rest_raw().await }).await;
    let mut options = server.options();
    options.connect_timeout = Duration::from_millis(300);
    options.tls.starttls = true;
    let error = Connection::open(&options).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { operation: "connecting", .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_read_is_given_up() {
    let (hold, held) = tokio::sync::oneshot::channel::<()>();
    let server = Scripted::start(|peer| async move {
        let _ = held.await;
        drop(peer);
    })
    .await;
    let mut options = server.options();
    options.operation_timeout = Duration::from_secs(8);
    let connection = Connection::open(&options).await.unwrap();
    // More than socket buffers hold.
    let value = bindery_ldap::Attribute { name: "photo".into(), values: vec![vec![0; 12_000_000]] };
    let error = connection.add("cn=a", &[value]).await.unwrap_err();
    assert!(matches!(&error, Error::Closed { reason, .. } if reason.contains("does not read")), "{error}");
    assert!(connection.is_closed());
    drop(hold);
}

#[tokio::test]
async fn one_connection_closing_is_told_to_all_of_its_operations() {
    let server = Scripted::start(|mut peer| async move {
        for _ in 0..20 {
            peer.id().await;
        }
    })
    .await;
    let connection = server.connect().await;
    let searches = (0..20).map(|_| connection.search(everyone()));
    for outcome in futures::future::join_all(searches).await {
        assert!(matches!(outcome, Err(Error::Closed { .. })), "{outcome:?}");
    }
}
