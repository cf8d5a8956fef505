//! Clients that break the protocol lose their connection, and nobody else notices.

use crate::support::{company_directory, connect, person, start};
use bindery_demo_directory::{DemoDirectory, Options};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends bytes and reads until the server closes.
async fn send(directory: &DemoDirectory, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(directory.address()).await.expect("connects");
    // The server may close before it has read everything.
    let _ = socket.write_all(bytes).await;
    let _ = socket.shutdown().await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut answer))
        .await
        .expect("the server closes");
    answer
}

async fn still_serves(directory: &DemoDirectory) {
    let rc = connect(directory).await.simple_bind(&person("ann"), "demo").await.expect("an answer").rc;
    assert_eq!(rc, 0);
}

/// A message: SEQUENCE { id, op }.
fn message(id: u8, op: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x30, u8::try_from(op.len() + 3).expect("short"), 2, 1, id];
    bytes.extend_from_slice(op);
    bytes
}

const NOTICE: &[u8] = b"1.3.6.1.4.1.1466.20036";

fn is_notice(answer: &[u8]) -> bool {
    answer.windows(NOTICE.len()).any(|window| window == NOTICE)
}

#[tokio::test]
async fn what_is_no_message_ends_the_connection_with_a_notice() {
    let directory = start(Options { max_message: 4096, ..Options::company() });
    let deep = [b"\x30\x82\x07\xd0".as_slice(), &b"\x30\x80".repeat(1000)].concat();
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00".to_vec(),
        b"\x30\x84\x7f\xff\xff\xff".to_vec(),
        b"\x30\x82\x20\x00".to_vec(),
        vec![0x30, 0],
        deep,
        message(1, &[0x7f, 0x55, 0]),
        // A response, which no client sends.
        message(1, &[0x61, 7, 10, 1, 0, 4, 0, 4, 0]),
        // Message IDs of 0 are the server's.
        message(0, &[0x42, 0]).into_iter().chain(message(0, &[0x4a, 0])).collect(),
    ] {
        let answer = send(&directory, &bytes).await;
        assert!(is_notice(&answer) || bytes.ends_with(&[0x4a, 0]), "{bytes:02x?} got {answer:02x?}");
    }
    still_serves(&directory).await;
}

#[tokio::test]
async fn a_message_cut_short_ends_quietly() {
    let directory = company_directory();
    let whole = message(1, &[0x60, 7, 2, 1, 3, 4, 0, 0x80, 0]);
    for length in 0..whole.len() {
        send(&directory, &whole[..length]).await;
    }
    assert_eq!(send(&directory, &whole).await, [0x30, 12, 2, 1, 1, 0x61, 7, 10, 1, 0, 4, 0, 4, 0]);
    still_serves(&directory).await;
}

#[tokio::test]
async fn unbind_ends_the_connection() {
    let directory = company_directory();
    assert!(send(&directory, &message(1, &[0x42, 0])).await.is_empty());
}

#[tokio::test]
async fn abandoning_what_is_not_there_is_no_error() {
    let directory = company_directory();
    let bytes = [message(1, &[0x50, 1, 9]), message(2, &[0x60, 7, 2, 1, 3, 4, 0, 0x80, 0])].concat();
    assert_eq!(send(&directory, &bytes).await, [0x30, 12, 2, 1, 2, 0x61, 7, 10, 1, 0, 4, 0, 4, 0]);
}

#[test]
fn no_bytes_hurt() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let directory = runtime.block_on(async { company_directory() });
    // Well-formed at the outside, anything within; and anything.
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        (0_u8..30, proptest::collection::vec(any::<u8>(), 0..100)).prop_map(|(kind, body)| {
            let mut op = vec![0x60 | kind, u8::try_from(body.len()).expect("short")];
            op.extend(body);
            message(1, &op)
        }),
    ];
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    runner
        .run(&bytes, |bytes| {
            runtime.block_on(send(&directory, &bytes));
            Ok(())
        })
        .expect("the server closes every time");
    runtime.block_on(still_serves(&directory));
}

#[tokio::test]
async fn shutdown_says_goodbye_to_everybody() {
    let directory = company_directory();
    let mut idle = TcpStream::connect(directory.address()).await.expect("connects");
    // Answered once, so accepted for certain.
    idle.write_all(&message(1, &[0x60, 7, 2, 1, 3, 4, 0, 0x80, 0])).await.expect("sent");
    idle.read_exact(&mut [0; 14]).await.expect("bound");
    directory.shutdown().await;
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.expect("closed");
    assert!(is_notice(&rest));
}
