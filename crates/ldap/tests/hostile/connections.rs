//! Silence, trickles, and operations that are given up.

use crate::everyone;
use crate::script::{Scripted, bind_response, entry};
use bindery_ldap::codec::protocol as wire;
use bindery_ldap::codec::protocol::ProtocolOp as Op;
use bindery_ldap::{Connection, Deadline, Error, SearchItem};
use std::time::Duration;

#[tokio::test]
async fn a_silent_server_ends_by_the_deadline_and_is_told() {
    let server = Scripted::start(|mut peer| async move { peer.rest().await }).await;
    let mut options = server.options();
    options.operation_timeout = Duration::from_millis(300);
    let connection = Connection::open(&options).await.unwrap();
    let search = connection.search(everyone()).await.unwrap_err();
    assert!(matches!(search, Error::Timeout { after, .. } if after.as_millis() == 300), "{search}");
    let compare = connection.compare("cn=a", "cn", b"a").await.unwrap_err();
    assert!(matches!(compare, Error::Timeout { .. }) && compare.is_connection_lost(), "{compare}");
    drop(connection);
    let sent = server.outcome().await;
    let abandoned: Vec<_> = sent
        .iter()
        .filter_map(|m| match &m.protocol_op {
            Op::AbandonRequest(id) => Some(id.0),
            _ => None,
        })
        .collect();
    assert_eq!(abandoned, [sent[0].message_id, sent[2].message_id], "{sent:?}");
    assert!(matches!(sent.last().unwrap().protocol_op, Op::UnbindRequest(_)));
}

#[tokio::test]
async fn a_trickling_server_is_held_to_the_deadline_as_a_whole() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        for n in 0..1000 {
            peer.send(id, entry(&format!("cn={n}"))).await;
            // The pace of a hostile server, not synchronisation.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let mut options = server.options();
    options.operation_timeout = Duration::from_millis(400);
    let connection = Connection::open(&options).await.unwrap();
    let error = connection.search(everyone()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    let request = everyone().deadline(Deadline::After(Duration::from_millis(200)));
    let error = connection.search(request).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { after, .. } if after.as_millis() == 200), "{error}");
}

#[tokio::test]
async fn a_bind_that_is_given_up_closes_the_connection() {
    let server = Scripted::start(|mut peer| async move { peer.rest().await }).await;
    let mut options = server.options();
    options.operation_timeout = Duration::from_millis(200);
    let connection = Connection::open(&options).await.unwrap();
    let error = connection.bind_simple("cn=a", &"secret".into()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    connection.closed().await;
    server.outcome().await;
}

#[tokio::test]
async fn dropping_a_search_abandons_it_and_late_answers_hurt_nobody() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        peer.send(id, entry("cn=a")).await;
        let Some(Op::AbandonRequest(abandoned)) = peer.read().await.map(|m| m.protocol_op) else {
            panic!("no Abandon")
        };
        assert_eq!(abandoned.0, id);
        // What was on its way before the server heard of it.
        peer.send(id, entry("cn=b")).await;
        peer.done(id).await;
        let id = peer.id().await;
        peer.done(id).await;
    })
    .await;
    let connection = server.connect().await;
    let mut stream = connection.search_stream(everyone()).await.unwrap();
    assert!(matches!(stream.next().await.unwrap(), Some(SearchItem::Entry { .. })));
    drop(stream);
    assert!(connection.search(everyone()).await.unwrap().result.is_success());
    server.outcome().await;
}

#[tokio::test]
async fn dropping_a_future_abandons_its_operation() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        let Some(Op::AbandonRequest(abandoned)) = peer.read().await.map(|m| m.protocol_op) else {
            panic!("no Abandon")
        };
        assert_eq!(abandoned.0, id);
    })
    .await;
    let connection = server.connect().await;
    let compare = connection.compare("cn=a", "cn", b"a");
    assert!(tokio::time::timeout(Duration::from_millis(100), compare).await.is_err());
    server.outcome().await;
}

#[tokio::test]
async fn nothing_is_sent_beside_a_bind() {
    let server = Scripted::start(|mut peer| async move {
        let bind = peer.id().await;
        // The search that was asked for meanwhile must not be here yet.
        let early = tokio::time::timeout(Duration::from_millis(100), peer.read()).await;
        assert!(early.is_err(), "{early:?}");
        peer.send(bind, bind_response(wire::ResultCode::Success)).await;
        let search = peer.id().await;
        peer.done(search).await;
    })
    .await;
    let connection = server.connect().await;
    let password = "secret".into();
    let bind = connection.bind_simple("cn=a", &password);
    let search = connection.search(everyone());
    let (bind, search) = tokio::join!(bind, search);
    assert!(bind.unwrap().0.is_success() && search.unwrap().result.is_success());
    server.outcome().await;
}

#[tokio::test]
async fn an_empty_password_sends_nothing() {
    let server = Scripted::start(|mut peer| async move { peer.rest().await }).await;
    let connection = server.connect().await;
    for password in ["", "\0", "secret\0"] {
        let error = connection.bind_simple("cn=a", &password.into()).await.unwrap_err();
        assert!(matches!(error, Error::EmptyPassword), "{error}");
    }
    let error = connection.password_modify(None, None, Some(&"x".into())).await.unwrap_err();
    assert!(matches!(error, Error::Plaintext { .. }), "{error}");
    connection.close().await;
    let sent = server.outcome().await;
    assert!(matches!(sent[..], [wire::LdapMessage { protocol_op: Op::UnbindRequest(_), .. }]), "{sent:?}");
}
