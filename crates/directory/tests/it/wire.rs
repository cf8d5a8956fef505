//! Servers that follow a script, message by message.

use bindery_ldap::codec::{MessageCodec, protocol as wire};
use bindery_ldap::control::{self, ControlValue};
use bytes::BytesMut;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Decoder, Encoder};
pub(crate) use wire::{LdapMessage, ProtocolOp as Op, ResultCode as Code};

/// What a server answers to one message.
type Script = dyn Fn(&LdapMessage) -> Vec<LdapMessage> + Send + Sync;

/// A server that follows a script on every connection; answers with its URL.
pub(crate) async fn serve(script: impl Fn(&LdapMessage) -> Vec<LdapMessage> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ldap://{}", listener.local_addr().unwrap());
    let script: Arc<Script> = Arc::new(script);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, Arc::clone(&script)));
        }
    });
    url
}

async fn converse(mut stream: TcpStream, script: Arc<Script>) {
    let mut input = BytesMut::new();
    loop {
        while let Some(message) = MessageCodec::default().decode(&mut input).unwrap() {
            for answer in script(&message) {
                let mut octets = BytesMut::new();
                MessageCodec::default().encode(answer, &mut octets).unwrap();
                if stream.write_all(&octets).await.is_err() {
                    return;
                }
            }
        }
        if stream.read_buf(&mut input).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

/// One search that a client asks for, as a script sees it.
pub(crate) struct Asked<'a> {
    message: &'a LdapMessage,
    pub(crate) search: &'a wire::SearchRequest,
}

impl<'a> Asked<'a> {
    /// `None` for anything but a search.
    pub(crate) fn of(message: &'a LdapMessage) -> Option<Self> {
        match &message.protocol_op {
            Op::SearchRequest(search) => Some(Self { message, search }),
            _ => None,
        }
    }

    pub(crate) fn is_root_dse(&self) -> bool {
        self.search.base_object.0.is_empty()
    }

    pub(crate) fn base(&self) -> &str {
        &self.search.base_object.0
    }

    /// A control of the request.
    pub(crate) fn control<C: ControlValue>(&self) -> Option<C> {
        let controls = self.message.controls.iter().flatten();
        let mut one = controls.filter(|one| one.control_type.as_ref() == C::OID.as_bytes());
        one.next().map(|one| C::decode(one.control_value.as_ref().unwrap()).unwrap())
    }

    /// The cookie of its paging control; empty without one.
    pub(crate) fn page_cookie(&self) -> Vec<u8> {
        self.control::<control::PagedResults>().map(|page| page.cookie.to_vec()).unwrap_or_default()
    }

    pub(crate) fn answer(&self, op: Op) -> LdapMessage {
        LdapMessage::new(self.message.message_id, op)
    }

    pub(crate) fn answer_with<C: ControlValue>(&self, op: Op, control: &C) -> LdapMessage {
        let mut message = self.answer(op);
        message.controls = Some(vec![encoded(control)]);
        message
    }

    pub(crate) fn done(&self, code: Code) -> LdapMessage {
        self.answer(done(code))
    }

    /// The end of a page; an empty cookie is the end of all.
    pub(crate) fn page_end(&self, code: Code, cookie: &[u8]) -> LdapMessage {
        self.answer_with(done(code), &control::PagedResults { size: 0, cookie: bytes::Bytes::copy_from_slice(cookie) })
    }

    /// A root DSE that offers these controls.
    pub(crate) fn root_dse(&self, controls: &[&str]) -> Vec<LdapMessage> {
        vec![self.answer(entry("", &[("supportedControl", controls)])), self.done(Code::Success)]
    }
}

fn encoded<C: ControlValue>(control: &C) -> wire::Control {
    wire::Control::new(C::OID.as_bytes().to_vec().into(), false, Some(control.encode().unwrap().into()))
}

pub(crate) fn done(code: Code) -> Op {
    Op::SearchResDone(wire::SearchResultDone(wire::LdapResult::new(code, "".into(), "".into())))
}

pub(crate) fn entry(dn: &str, attributes: &[(&str, &[&str])]) -> Op {
    let attribute = |(name, values): &(&str, &[&str])| {
        let values: Vec<_> = values.iter().map(|value| value.as_bytes().to_vec().into()).collect();
        wire::PartialAttribute::new((*name).into(), values.into())
    };
    Op::SearchResEntry(wire::SearchResultEntry::new(dn.into(), attributes.iter().map(attribute).collect()))
}

pub(crate) fn reference(url: &str) -> Op {
    Op::SearchResRef(wire::SearchResultReference(vec![url.into()]))
}

/// Success for a bind; nothing for what is neither bind nor search.
pub(crate) fn otherwise(message: &LdapMessage) -> Vec<LdapMessage> {
    match &message.protocol_op {
        Op::BindRequest(_) => {
            let bound = wire::BindResponse::new(Code::Success, "".into(), "".into(), None, None);
            vec![LdapMessage::new(message.message_id, Op::BindResponse(bound))]
        }
        _ => vec![],
    }
}
