//! A server that says exactly what a test wants it to say.

use bindery_ldap::codec::{MessageCodec, protocol as wire};
use bindery_ldap::{ConnectOptions, Connection, LdapUrl};
use bytes::BytesMut;
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::codec::{Decoder, Encoder};

/// The server's end of one connection.
pub(crate) struct Peer {
    stream: TcpStream,
    input: BytesMut,
}

/// A scripted server; the script's outcome is what it learned.
pub(crate) struct Scripted<T> {
    pub(crate) url: String,
    script: JoinHandle<T>,
}

impl<T: Send + 'static> Scripted<T> {
    /// Listens on a free loopback port and runs the script on the first connection.
    pub(crate) async fn start<F, S>(script: S) -> Self
    where
        S: FnOnce(Peer) -> F + Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ldap://{}", listener.local_addr().unwrap());
        let script = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            script(Peer { stream, input: BytesMut::new() }).await
        });
        Self { url, script }
    }

    pub(crate) fn options(&self) -> ConnectOptions {
        let mut options = ConnectOptions::new(LdapUrl::parse(&self.url).unwrap());
        // Long enough for a busy machine; tests of deadlines shorten it.
        options.operation_timeout = Duration::from_secs(30);
        options
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(&self.options()).await.unwrap()
    }

    /// What the script learned.
    pub(crate) async fn outcome(self) -> T {
        tokio::time::timeout(Duration::from_mins(1), self.script).await.expect("the script ends").unwrap()
    }
}

impl Peer {
    /// The client's next message; `None` at its end.
    pub(crate) async fn read(&mut self) -> Option<wire::LdapMessage> {
        loop {
            if let Some(message) = MessageCodec::default().decode(&mut self.input).unwrap() {
                return Some(message);
            }
            if self.stream.read_buf(&mut self.input).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The message ID of the client's next message.
    pub(crate) async fn id(&mut self) -> u32 {
        self.read().await.expect("a request").message_id
    }

    /// Everything until the client closes.
    pub(crate) async fn rest(&mut self) -> Vec<wire::LdapMessage> {
        let mut messages = vec![];
        while let Some(message) = self.read().await {
            messages.push(message);
        }
        messages
    }

    /// Everything until the client closes, whatever it is.
    pub(crate) async fn rest_raw(&mut self) -> Vec<u8> {
        while self.stream.read_buf(&mut self.input).await.unwrap_or(0) > 0 {}
        self.input.to_vec()
    }

    /// Octets as they are. A client that has gone already is no failure.
    pub(crate) async fn raw(&mut self, octets: &[u8]) {
        let _ = self.stream.write_all(octets).await;
    }

    pub(crate) async fn send(&mut self, id: u32, op: wire::ProtocolOp) {
        self.send_with(id, op, vec![]).await;
    }

    pub(crate) async fn send_with(&mut self, id: u32, op: wire::ProtocolOp, controls: Vec<wire::Control>) {
        self.raw(&encoded(id, op, controls)).await;
    }

    pub(crate) async fn done(&mut self, id: u32) {
        self.send(id, search_done(wire::ResultCode::Success)).await;
    }
}

pub(crate) fn encoded(id: u32, op: wire::ProtocolOp, controls: Vec<wire::Control>) -> BytesMut {
    let mut message = wire::LdapMessage::new(id, op);
    if !controls.is_empty() {
        message.controls = Some(controls);
    }
    let mut octets = BytesMut::new();
    MessageCodec::default().encode(message, &mut octets).unwrap();
    octets
}

pub(crate) fn result(code: wire::ResultCode) -> wire::LdapResult {
    wire::LdapResult::new(code, "".into(), "".into())
}

pub(crate) fn search_done(code: wire::ResultCode) -> wire::ProtocolOp {
    wire::ProtocolOp::SearchResDone(wire::SearchResultDone(result(code)))
}

pub(crate) fn bind_response(code: wire::ResultCode) -> wire::ProtocolOp {
    wire::ProtocolOp::BindResponse(wire::BindResponse::new(code, "".into(), "".into(), None, None))
}

pub(crate) fn entry(dn: &str) -> wire::ProtocolOp {
    let attribute = wire::PartialAttribute::new("cn".into(), vec![dn.as_bytes().into()].into());
    wire::ProtocolOp::SearchResEntry(wire::SearchResultEntry::new(dn.into(), vec![attribute]))
}

/// A definite-length value.
pub(crate) fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let len = u32::try_from(contents.len()).unwrap().to_be_bytes();
    [&[tag, 0x84][..], &len, contents].concat()
}

/// A message around an operation that no encoder would write.
pub(crate) fn message(id: u8, op: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&[2, 1, id][..], op].concat())
}
