//! Stands between the engine and the directory, and makes of the second page of a listing what no good server makes of it.

use bindery_ldap::codec::{MessageCodec, protocol as wire};
use bindery_ldap::control::{ControlValue as _, PagedResults};
use bytes::{Bytes, BytesMut};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Decoder, Encoder};
pub(crate) use wire::ResultCode as Code;
use wire::{LdapMessage, ProtocolOp as Op};

/// What becomes of the second page of a listing, and of those after it.
#[derive(Clone, Copy)]
pub(crate) enum Twist {
    /// Nothing.
    Straight,
    /// It ends the search with this result.
    Ends(Code),
    /// It comes with a reference to there.
    Refers(&'static str),
    /// It comes without its control.
    Uncontrolled,
    /// It is followed by itself, without entries, for ever.
    Endless,
}

const ROUND: &[u8] = b"round and round";

/// A relay.
pub(crate) struct Relay {
    address: SocketAddr,
    twist: Arc<Mutex<Twist>>,
}

impl Relay {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, twist) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Twist::Straight)));
        let own = twist.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(target).await.unwrap();
                tokio::spawn(relay(client, server, own.clone()));
            }
        });
        Self { address, twist }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set(&self, twist: Twist) {
        *self.twist.lock().unwrap() = twist;
    }
}

/// Ends when either side does.
async fn relay(mut client: TcpStream, mut server: TcpStream, twist: Arc<Mutex<Twist>>) {
    let (mut asked, mut answered) = (BytesMut::new(), BytesMut::new());
    let mut later = HashSet::new();
    loop {
        let read = tokio::select! {
            read = client.read_buf(&mut asked) => read,
            read = server.read_buf(&mut answered) => read,
        };
        if !matches!(read, Ok(1..)) {
            return;
        }
        let now = *twist.lock().unwrap();
        while let Some(request) = MessageCodec::default().decode(&mut asked).unwrap() {
            let more = cookie(&request).filter(|cookie| !cookie.is_empty());
            if more.is_some() {
                later.insert(request.message_id);
            }
            let to = if more == Some(ROUND.into()) { (&mut client, again(&request)) } else { (&mut server, request) };
            if send(to.0, to.1).await.is_err() {
                return;
            }
        }
        while let Some(answer) = MessageCodec::default().decode(&mut answered).unwrap() {
            let now = if later.contains(&answer.message_id) { now } else { Twist::Straight };
            for message in twisted(answer, now) {
                if send(&mut client, message).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn send(to: &mut TcpStream, message: LdapMessage) -> std::io::Result<()> {
    let mut octets = BytesMut::new();
    MessageCodec::default().encode(message, &mut octets).unwrap();
    to.write_all(&octets).await
}

fn cookie(message: &LdapMessage) -> Option<Bytes> {
    let mut controls = message.controls.iter().flatten();
    let page = controls.find(|one| one.control_type.as_ref() == PagedResults::OID.as_bytes())?;
    Some(PagedResults::decode(page.control_value.as_ref()?).unwrap().cookie)
}

fn done(id: u32, code: Code) -> LdapMessage {
    LdapMessage::new(id, Op::SearchResDone(wire::SearchResultDone(wire::LdapResult::new(code, "".into(), "".into()))))
}

fn again(request: &LdapMessage) -> LdapMessage {
    let value = PagedResults { size: 0, cookie: Bytes::from_static(ROUND) }.encode().unwrap();
    let mut page = done(request.message_id, Code::Success);
    page.controls =
        Some(vec![wire::Control::new(PagedResults::OID.as_bytes().to_vec().into(), false, Some(value.into()))]);
    page
}

fn twisted(answer: LdapMessage, twist: Twist) -> Vec<LdapMessage> {
    let is_page = matches!(answer.protocol_op, Op::SearchResDone(_));
    match twist {
        Twist::Ends(code) if is_page => vec![done(answer.message_id, code)],
        Twist::Uncontrolled if is_page => vec![done(answer.message_id, Code::Success)],
        Twist::Endless if is_page => vec![again(&answer)],
        Twist::Refers(url) if is_page => {
            let reference = Op::SearchResRef(wire::SearchResultReference(vec![url.into()]));
            vec![LdapMessage::new(answer.message_id, reference), answer]
        }
        _ => vec![answer],
    }
}
