//! One connection's conversation: reads requests, sees to their operations, writes what they answer.
//!
//! Short operations are carried out where they are read. Searches run beside, so that they can be abandoned
//! and so that one that follows changes holds up nothing.

use crate::directory::Directory;
use crate::message;
use crate::node::Node;
use crate::operations::search::{Page, Pages, Search};
use crate::operations::{self, Identity, Refusal, result, success};
use crate::root_dse::{self, PASSWORD_MODIFY, START_TLS, WHO_AM_I};
use crate::server::{Protection, Socket};
use bindery_ldap::Control;
use bindery_ldap::codec::protocol::{
    AddResponse, BindRequest, CompareResponse, Control as WireControl, DelResponse, ExtendedRequest, LdapMessage,
    LdapResult, ModifyDnResponse, ModifyResponse, ProtocolOp, ResultCode, SearchRequest, SearchResultDone,
};
use bindery_ldap::codec::{CodecError, MessageCodec};
use bindery_ldap::control::{self, PagedResults, PasswordPolicyError, PasswordPolicyResponse, SyncRequest};
use futures::{SinkExt as _, StreamExt as _};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;

/// How many searches one connection may have under way.
const MAX_SEARCHES: usize = 32;
/// How many answers may wait to be written.
const QUEUE: usize = 64;

type Stream = Framed<Box<dyn Socket>, MessageCodec>;

/// How a conversation ended.
pub(crate) enum Ended {
    Closed,
    /// The client begins TLS on this socket.
    StartTls(Box<dyn Socket>),
}

/// What becomes of the connection after a request.
enum Next {
    Go,
    Close,
    StartTls,
}

pub(crate) struct Session {
    directory: Arc<Directory>,
    max_message: usize,
    shutdown: CancellationToken,
    pub protection: Protection,
    who: Identity,
    pages: Pages,
    /// The searches under way, by message ID. What comes from any other is not written.
    running: HashMap<u32, AbortHandle>,
    tasks: JoinSet<()>,
    out: Sender<LdapMessage>,
    answers: Receiver<LdapMessage>,
}

impl Session {
    pub(crate) fn new(directory: Arc<Directory>, max_message: usize, shutdown: CancellationToken) -> Self {
        let (out, answers) = mpsc::channel(QUEUE);
        Self {
            directory,
            max_message,
            shutdown,
            protection: Protection::None,
            who: Identity::default(),
            pages: Pages::default(),
            running: HashMap::new(),
            tasks: JoinSet::new(),
            out,
            answers,
        }
    }

    /// Talks until either side has had enough.
    pub(crate) async fn run(&mut self, socket: Box<dyn Socket>) -> Ended {
        let mut stream = Framed::new(socket, MessageCodec { max_message: self.max_message });
        let ended = self.talk(&mut stream).await;
        match ended {
            Ok(Next::StartTls) => {
                if stream.read_buffer().is_empty() {
                    return Ended::StartTls(stream.into_inner());
                }
                // Bytes sent in clear before the handshake could have come from anybody.
                tracing::debug!("bytes before the TLS handshake");
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "connection ended"),
        }
        self.tasks.abort_all();
        Ended::Closed
    }

    async fn talk(&mut self, stream: &mut Stream) -> Result<Next, CodecError> {
        let shutdown = self.shutdown.clone();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => {
                    stream.send(message::notice_of_disconnection(ResultCode::Unavailable, "the server stops")).await?;
                    return Ok(Next::Close);
                }
                Some(answer) = self.answers.recv() => self.write(stream, answer).await?,
                Some(_) = self.tasks.join_next() => {}
                request = stream.next() => match request {
                    None => return Ok(Next::Close),
                    Some(Ok(request)) => match self.request(stream, request).await? {
                        Next::Go => {}
                        next => return Ok(next),
                    },
                    Some(Err(CodecError::Io(error))) => return Err(error.into()),
                    Some(Err(error)) => {
                        stream.send(message::notice_of_disconnection(ResultCode::ProtocolError, &error.to_string())).await?;
                        return Err(error);
                    }
                },
            }
        }
    }

    /// Writes an answer of a search, and those that wait behind it.
    async fn write(&mut self, stream: &mut Stream, first: LdapMessage) -> Result<(), CodecError> {
        let mut answer = Some(first);
        while let Some(message) = answer {
            let last = matches!(message.protocol_op, ProtocolOp::SearchResDone(_));
            let wanted = if last {
                self.running.remove(&message.message_id).is_some()
            } else {
                self.running.contains_key(&message.message_id)
            };
            if wanted {
                stream.feed(message).await?;
            }
            answer = self.answers.try_recv().ok();
        }
        stream.flush().await
    }

    async fn request(&mut self, stream: &mut Stream, request: LdapMessage) -> Result<Next, CodecError> {
        let id = request.message_id;
        if id == 0 || self.running.contains_key(&id) {
            stream
                .send(message::notice_of_disconnection(ResultCode::ProtocolError, "a message ID that is 0 or in use"))
                .await?;
            return Ok(Next::Close);
        }
        let controls: Vec<Control> = request.controls.into_iter().flatten().map(from_wire).collect();
        let unknown = unknown_critical(&controls);
        let answer = match request.protocol_op {
            ProtocolOp::UnbindRequest(_) => return Ok(Next::Close),
            ProtocolOp::AbandonRequest(abandoned) => {
                if let Some(task) = self.running.remove(&abandoned.0) {
                    task.abort();
                }
                return Ok(Next::Go);
            }
            ProtocolOp::BindRequest(bind) => self.bind(id, &bind, &controls, unknown),
            ProtocolOp::SearchRequest(search) => {
                match unknown.map_or_else(|| self.search(id, &search, &controls), Err) {
                    Ok(()) => return Ok(Next::Go),
                    Err(refusal) => {
                        message::plain(id, ProtocolOp::SearchResDone(SearchResultDone(refusal.into_result())))
                    }
                }
            }
            ProtocolOp::ExtendedReq(extended) => {
                let (answer, next) = self.extended(id, &extended, &controls, unknown);
                stream.send(answer).await?;
                return Ok(next);
            }
            other => {
                let Some(answer) = self.other(id, other, &controls, unknown) else {
                    stream
                        .send(message::notice_of_disconnection(
                            ResultCode::ProtocolError,
                            "a message that is no request",
                        ))
                        .await?;
                    return Ok(Next::Close);
                };
                answer
            }
        };
        stream.send(answer).await?;
        Ok(Next::Go)
    }

    /// RFC 4511, 4.2.1: a bind ends what is under way, and a failed one leaves the connection anonymous.
    fn bind(&mut self, id: u32, request: &BindRequest, controls: &[Control], unknown: Option<Refusal>) -> LdapMessage {
        for (_, task) in self.running.drain() {
            task.abort();
        }
        self.pages = Pages::default();
        self.who = Identity::default();
        let bound = unknown.map_or_else(|| operations::bind::bind(&self.directory, request), Err);
        let (result, policy) = match bound {
            Ok((who, policy)) => {
                self.who = who;
                (success(), policy)
            }
            Err(refusal) => (refusal.clone().into_result(), refusal.policy),
        };
        message::with_control(id, message::bind_response(result), asked_policy(controls, policy).as_ref())
    }

    fn search(&mut self, id: u32, request: &SearchRequest, controls: &[Control]) -> Result<(), Refusal> {
        if self.running.len() >= MAX_SEARCHES {
            return Err(Refusal::new(ResultCode::Busy, "too many searches at once on one connection"));
        }
        let malformed = |error: bindery_ldap::Error| Refusal::new(ResultCode::ProtocolError, error.to_string());
        let search = Search::new(&self.directory, &self.who, request)?;
        let out = self.out.clone();
        let special = search.special(&self.directory.read(), self.protection);
        if let Some(entry) = special {
            let wanted = crate::matching::matches_attributes(&search.filter, &entry);
            self.spawn(id, async move {
                if wanted {
                    let _ = out.send(message::plain(id, ProtocolOp::SearchResEntry(entry))).await;
                }
                let _ = out.send(message::plain(id, ProtocolOp::SearchResDone(SearchResultDone(success())))).await;
            });
            return Ok(());
        }
        if let Some(sync) = control::find::<SyncRequest>(controls).map_err(malformed)? {
            let (directory, who) = (Arc::clone(&self.directory), self.who.clone());
            self.spawn(id, operations::sync::sync(directory, who, search, sync, id, out));
            return Ok(());
        }
        let paging = control::find::<PagedResults>(controls).map_err(malformed)?;
        let page = self.pages.page(&self.directory, &self.who, &search, paging.as_ref())?;
        self.spawn(id, send_page(Arc::clone(&self.directory), search, page, id, out));
        Ok(())
    }

    fn spawn(&mut self, id: u32, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(task);
        self.running.insert(id, task);
    }

    fn extended(
        &mut self,
        id: u32,
        request: &ExtendedRequest,
        controls: &[Control],
        unknown: Option<Refusal>,
    ) -> (LdapMessage, Next) {
        let respond = |result: LdapResult, value| message::plain(id, message::extended_response(result, None, value));
        if let Some(refusal) = unknown {
            return (respond(refusal.into_result(), None), Next::Go);
        }
        match std::str::from_utf8(&request.request_name) {
            Ok(WHO_AM_I) => {
                let name = self.who.0.as_ref().map(|dn| format!("dn:{dn}")).unwrap_or_default();
                (respond(success(), Some(name.into_bytes())), Next::Go)
            }
            Ok(PASSWORD_MODIFY) => {
                let done = operations::password_modify::password_modify(
                    &self.directory,
                    &self.who,
                    request.request_value.as_deref(),
                );
                let (result, value, policy) = match done {
                    Ok(value) => (success(), value, None),
                    Err(refusal) => (refusal.clone().into_result(), None, refusal.policy),
                };
                let op = message::extended_response(result, None, value);
                (message::with_control(id, op, asked_policy(controls, policy).as_ref()), Next::Go)
            }
            Ok(START_TLS) if self.protection == Protection::StartTlsOffered && self.running.is_empty() => {
                (message::plain(id, message::extended_response(success(), Some(START_TLS), None)), Next::StartTls)
            }
            Ok(START_TLS) => {
                let reason =
                    if self.protection == Protection::Tls { "TLS is on already" } else { "TLS cannot begin now" };
                (respond(Refusal::new(ResultCode::OperationsError, reason).into_result(), None), Next::Go)
            }
            _ => (
                respond(Refusal::new(ResultCode::ProtocolError, "an unknown extended operation").into_result(), None),
                Next::Go,
            ),
        }
    }

    /// The operations that answer with a result and nothing else. None for what no client may send.
    fn other(&self, id: u32, op: ProtocolOp, controls: &[Control], unknown: Option<Refusal>) -> Option<LdapMessage> {
        let (directory, who) = (&*self.directory, &self.who);
        let done = |perform: &dyn Fn() -> Result<(), Refusal>| match &unknown {
            Some(refusal) => Err(refusal.clone()),
            None => perform(),
        };
        Some(match op {
            ProtocolOp::ModifyRequest(request) => {
                let done = done(&|| operations::modify::modify(directory, who, &request));
                let policy = done.as_ref().err().and_then(|refusal| refusal.policy);
                let op = ProtocolOp::ModifyResponse(ModifyResponse(result(done)));
                message::with_control(id, op, asked_policy(controls, policy).as_ref())
            }
            ProtocolOp::AddRequest(request) => message::plain(
                id,
                ProtocolOp::AddResponse(AddResponse(result(done(&|| operations::add::add(directory, who, &request))))),
            ),
            ProtocolOp::DelRequest(request) => message::plain(
                id,
                ProtocolOp::DelResponse(DelResponse(result(done(&|| {
                    operations::delete::delete(directory, who, &request)
                })))),
            ),
            ProtocolOp::ModDnRequest(request) => {
                let done = done(&|| operations::modify_dn::modify_dn(directory, who, &request));
                message::plain(id, ProtocolOp::ModDnResponse(ModifyDnResponse(result(done))))
            }
            ProtocolOp::CompareRequest(request) => {
                let compared = unknown.map_or_else(|| operations::compare::compare(directory, who, &request), Err);
                let result = match compared {
                    Ok(true) => Refusal::new(ResultCode::CompareTrue, "").into_result(),
                    Ok(false) => Refusal::new(ResultCode::CompareFalse, "").into_result(),
                    Err(refusal) => refusal.into_result(),
                };
                message::plain(id, ProtocolOp::CompareResponse(CompareResponse(result)))
            }
            _ => return None,
        })
    }
}

async fn send_page(directory: Arc<Directory>, search: Search, page: Page, id: u32, out: Sender<LdapMessage>) {
    for node in page.entries {
        let entry = entry(&directory, &search, &node);
        if out.send(message::plain(id, entry)).await.is_err() {
            return;
        }
    }
    let done = ProtocolOp::SearchResDone(SearchResultDone(LdapResult::new(page.code, "".into(), "".into())));
    let _ = out.send(message::with_control(id, done, page.paging.as_ref())).await;
}

fn entry(directory: &Directory, search: &Search, node: &Node) -> ProtocolOp {
    ProtocolOp::SearchResEntry(search.selection.entry(node, &directory.read().tree))
}

fn from_wire(control: WireControl) -> Control {
    Control {
        oid: String::from_utf8_lossy(&control.control_type).into_owned(),
        critical: control.criticality,
        value: control.control_value.map(Into::into),
    }
}

/// RFC 4511, 4.1.11: what must not be ignored and is not understood is refused.
fn unknown_critical(controls: &[Control]) -> Option<Refusal> {
    let known = root_dse::supported_controls();
    controls.iter().find(|control| control.critical && !known.contains(&control.oid)).map(|control| {
        Refusal::new(
            ResultCode::UnavailableCriticalExtension,
            format!("the control {} is not understood", control.oid.escape_debug()),
        )
    })
}

fn asked_policy(controls: &[Control], error: Option<PasswordPolicyError>) -> Option<PasswordPolicyResponse> {
    let asked = controls.iter().any(|control| control.oid == Control::password_policy().oid);
    message::policy(asked, error)
}
