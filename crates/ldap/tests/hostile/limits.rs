//! More than the cap, and readers that are slower than the server.

use crate::everyone;
use crate::script::{Peer, Scripted, encoded, entry, result};
use bindery_ldap::codec::protocol as wire;
use bindery_ldap::codec::protocol::ProtocolOp as Op;
use bindery_ldap::{Connection, Deadline, Error};
use std::time::Duration;

#[tokio::test]
async fn more_than_the_cap_is_not_collected() {
    let server = Scripted::start(|mut peer| async move {
        let id = peer.id().await;
        let entry = encoded(id, entry(&"cn=x,".repeat(1000)), vec![]);
        // Without an end, until the client has had enough.
        let flood = async {
            loop {
                peer.raw(&entry).await;
            }
        };
        tokio::select! { () = flood => {}, () = tokio::time::sleep(Duration::from_secs(5)) => {} }
    })
    .await;
    let mut options = server.options();
    options.max_message = 1 << 20;
    let connection = Connection::open(&options).await.unwrap();
    let error = connection.search(everyone()).await.unwrap_err();
    assert!(matches!(error, Error::TooManyResults { limit: 0x10_0000, .. }), "{error}");
    assert!(!connection.is_closed(), "only the search is over");
}

/// Answers the first search without end, and every compare.
async fn flood(mut peer: Peer) {
    let id = peer.id().await;
    let octets = encoded(id, entry(&"cn=x,".repeat(2000)), vec![]);
    // More than queues and socket buffers hold together.
    for _ in 0..1200 {
        peer.raw(&octets).await;
    }
    while let Some(request) = peer.read().await {
        if matches!(request.protocol_op, Op::CompareRequest(_)) {
            let answer = Op::CompareResponse(wire::CompareResponse(result(wire::ResultCode::CompareTrue)));
            peer.send(request.message_id, answer).await;
        }
    }
}

#[tokio::test]
async fn a_slow_reader_loses_its_search_and_the_others_go_on() {
    let server = Scripted::start(flood).await;
    let mut options = server.options();
    options.operation_timeout = Duration::from_secs(8);
    let connection = Connection::open(&options).await.unwrap();
    let mut stream = connection.search_stream(everyone().deadline(Deadline::None)).await.unwrap();
    // Nobody reads the stream; this waits behind it, but within its own deadline.
    assert!(connection.compare("cn=a", "cn", b"a").await.unwrap());
    let mut read = 0;
    let error = loop {
        match stream.next().await {
            Ok(Some(_)) => read += 1,
            Ok(None) => panic!("the search ended"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::SlowReader { .. }), "{error}");
    assert!(read < 300, "the queue is bounded: {read}");
}

#[tokio::test]
async fn dropping_a_search_with_a_full_queue_frees_the_connection_at_once() {
    let server = Scripted::start(flood).await;
    let connection = server.connect().await;
    let mut stream = connection.search_stream(everyone()).await.unwrap();
    assert!(stream.next().await.unwrap().is_some());
    drop(stream);
    assert!(connection.compare("cn=a", "cn", b"a").await.unwrap());
}
