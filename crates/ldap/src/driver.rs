//! The task that owns a connection's socket. It frames, numbers, routes and abandons; it never decides
//! what an answer means.
//!
//! **Backpressure.** A search's results wait in a queue of bounded octets ([`SEARCH_QUEUE`]). When it is full the
//! socket is not read until the caller takes something, so that memory does not grow; TCP slows the server
//! down. Other operations on the connection have to wait meanwhile, but not for ever: after
//! [`Limits::stall`] the search that nobody reads is abandoned and its caller told so.
//!
//! **Trust.** Answers for operations that nobody asked for, of the wrong kind, or malformed end the connection
//! with a reason that every operation under way gets.

use crate::ber;
use crate::fault::Fault;
use crate::operations::{MAX_ACTIVE, Operations, Standing};
use crate::outbox::Outbox;
use crate::response::{self, Kind, Op, Response};
use crate::transport::Stream;
use bytes::{Buf, BytesMut};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// How many octets of results may wait for one search's caller.
pub(crate) const SEARCH_QUEUE: usize = 1 << 20;
/// Even the smallest entry takes this much of the queue.
const MIN_COST: usize = 128;
/// What is read at once, and kept when nothing is under way.
const READ_CHUNK: usize = 32 << 10;
const KEPT_BUFFER: usize = 1 << 20;
/// Unsolicited notifications that are ignored before the server is taken for a broken one.
const MAX_UNSOLICITED: usize = 100;
/// How long the last messages may take to leave.
const FAREWELL: Duration = Duration::from_secs(1);

const NOTICE_OF_DISCONNECTION: &str = "1.3.6.1.4.1.1466.20036";
const UNBIND: [u8; 2] = [0x42, 0];
const ABANDON: u8 = 0x50;

/// One operation on its way to the server.
pub(crate) struct Command {
    /// Names the operation before it has a message ID.
    pub(crate) key: u64,
    /// The operation and its controls, encoded; wiped once sent.
    pub(crate) body: Zeroizing<Vec<u8>>,
    pub(crate) kind: Kind,
    pub(crate) reply: Reply,
}

/// Where answers go.
pub(crate) enum Reply {
    One(oneshot::Sender<Result<Response, Fault>>),
    Many { items: mpsc::UnboundedSender<Item>, credit: Arc<Semaphore> },
}

/// One thing for the caller of a search. The permit holds its place in the queue.
pub(crate) enum Item {
    Response(Response, Option<OwnedSemaphorePermit>),
    /// The caller was too slow for too long.
    Stalled(Duration),
    Fault(Fault),
}

/// What a driver needs to know.
pub(crate) struct Limits {
    pub(crate) max_message: usize,
    /// How long a search's caller may keep everyone waiting, and the server a write.
    pub(crate) stall: Duration,
}

/// What handles share with their driver.
pub(crate) struct Channels {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) cancels: mpsc::UnboundedReceiver<u64>,
    pub(crate) close: Arc<tokio::sync::Notify>,
    pub(crate) fault: watch::Sender<Option<Fault>>,
}

struct Operation {
    key: u64,
    kind: Kind,
    reply: Reply,
}

/// A result that found its queue full.
struct Stall {
    id: u32,
    response: Response,
    credit: Arc<Semaphore>,
    cost: u32,
    until: Instant,
}

struct Driver {
    limits: Limits,
    operations: Operations<Operation>,
    outbox: Outbox,
    input: BytesMut,
    stall: Option<Stall>,
    /// A bind that waits until nothing else is under way (RFC 4511, 4.2.1).
    held: Option<Command>,
    /// Whether a bind is under way: nothing may be sent beside it.
    binding: bool,
    unflushed: bool,
    /// When the server has to have read something of what waits.
    write_until: Instant,
    unsolicited: usize,
}

/// Serves a connection until it ends.
pub(crate) async fn run(stream: Box<dyn Stream>, limits: Limits, mut channels: Channels) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut driver = Driver::new(limits);
    let fault = loop {
        match driver.turn(&mut reader, &mut writer, &mut channels).await {
            Ok(true) => {}
            Ok(false) => {
                // Only a connection that was well says goodbye.
                let _ = tokio::time::timeout(FAREWELL, driver.farewell(&mut writer)).await;
                break Fault::closed("it was closed on this side");
            }
            Err(fault) => break fault,
        }
    };
    tracing::debug!(?fault, "LDAP connection ended");
    channels.fault.send_replace(Some(fault.clone()));
    channels.commands.close();
    driver.fail(&fault);
    while let Ok(command) = channels.commands.try_recv() {
        command.reply.fail(fault.clone());
    }
}

impl Driver {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            // 1 may have been STARTTLS.
            operations: Operations::new(1),
            outbox: Outbox::default(),
            input: BytesMut::new(),
            stall: None,
            held: None,
            binding: false,
            unflushed: false,
            write_until: Instant::now(),
            unsolicited: 0,
        }
    }

    /// Waits for one thing to happen and deals with it. `false` when nothing is left to do.
    async fn turn<R, W>(&mut self, reader: &mut R, writer: &mut W, channels: &mut Channels) -> Result<bool, Fault>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let stalled = self.stall.is_some();
        let writing = !self.outbox.is_empty();
        if !stalled {
            self.make_room();
        }
        tokio::select! {
            // In this order: a cancelled operation is abandoned before anything new is sent, and commands,
            // which are bounded, come before what a server may send without end.
            biased;
            Some(key) = channels.cancels.recv() => self.cancel(key)?,
            () = channels.close.notified() => return Ok(false),
            command = channels.commands.recv(), if self.takes_commands() => match command {
                Some(command) => self.accept(command),
                None => return Ok(false),
            },
            octets = write_or_flush(&self.outbox, writer), if writing || self.unflushed => self.written(octets?)?,
            () = tokio::time::sleep_until(self.write_until), if writing => {
                return Err(Fault::closed("the server does not read"));
            }
            room = room_for(self.stall.as_ref()), if stalled => self.room_made(room)?,
            octets = reader.read_buf(&mut self.input), if !stalled => self.received(octets?)?,
        }
        Ok(true)
    }

    fn takes_commands(&self) -> bool {
        self.held.is_none() && !self.binding && self.operations.len() < MAX_ACTIVE && !self.outbox.is_full()
    }

    fn make_room(&mut self) {
        if self.input.is_empty() && self.input.capacity() > KEPT_BUFFER {
            self.input = BytesMut::new();
        }
        self.input.reserve(READ_CHUNK);
    }

    /// Takes leave (RFC 4511, 4.3).
    async fn farewell(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
        self.send(&UNBIND);
        while !self.outbox.is_empty() {
            let octets = self.outbox.write(writer).await?;
            if octets == 0 {
                break;
            }
            self.outbox.advance(octets);
        }
        writer.shutdown().await
    }

    fn written(&mut self, octets: usize) -> Result<(), Fault> {
        if self.outbox.is_empty() {
            self.unflushed = false;
            return Ok(());
        }
        if octets == 0 {
            return Err(Fault::closed("the socket takes nothing more"));
        }
        self.outbox.advance(octets);
        self.write_until = Instant::now() + self.limits.stall;
        // TLS may hold back what the socket did not take.
        self.unflushed = true;
        Ok(())
    }

    fn enqueue(&mut self, id: u32, body: &[u8]) {
        if self.outbox.is_empty() {
            self.write_until = Instant::now() + self.limits.stall;
        }
        self.outbox.push(ber::tlv(ber::SEQUENCE, &[&ber::integer(id), body]));
    }

    fn accept(&mut self, command: Command) {
        if command.reply.is_abandoned() {
            return;
        }
        if command.kind == Kind::Bind && self.operations.len() > 0 {
            self.held = Some(command);
        } else {
            self.start(command);
        }
    }

    fn start(&mut self, command: Command) {
        self.binding = command.kind == Kind::Bind;
        let Command { key, body, kind, reply } = command;
        let id = self.operations.insert(Operation { key, kind, reply });
        self.enqueue(id, &body);
    }

    /// Sends something that nothing answers.
    fn send(&mut self, body: &[u8]) {
        let id = self.operations.unused_id();
        self.enqueue(id, body);
    }

    fn cancel(&mut self, key: u64) -> Result<(), Fault> {
        if self.held.as_ref().is_some_and(|held| held.key == key) {
            self.held = None;
        }
        match self.operations.find(|operation| operation.key == key) {
            Some(id) => self.abandon(id),
            None => Ok(()),
        }
    }

    /// Nobody waits for the operation any more, and the server is told (RFC 4511, 4.11).
    fn abandon(&mut self, id: u32) -> Result<(), Fault> {
        let Some(operation) = self.operations.abandon(id) else { return Ok(()) };
        if operation.kind == Kind::Bind {
            // It cannot be abandoned, and who is bound now, nobody can say.
            return Err(Fault::closed("a bind was given up midway"));
        }
        let abandon = ber::integer(id);
        // The tag of AbandonRequest instead of INTEGER's.
        self.send(&[&[ABANDON][..], abandon.get(1..).unwrap_or_default()].concat());
        if self.stall.as_ref().is_some_and(|stall| stall.id == id) {
            self.stall = None;
            self.deliver_buffered()?;
        }
        self.operation_ended();
        Ok(())
    }

    fn operation_ended(&mut self) {
        if self.operations.len() == 0
            && let Some(bind) = self.held.take()
        {
            self.start(bind);
        }
    }

    fn received(&mut self, octets: usize) -> Result<(), Fault> {
        if octets == 0 {
            return Err(Fault::closed(if self.input.is_empty() {
                "the server closed it"
            } else {
                "the server closed it in the middle of a message"
            }));
        }
        self.deliver_buffered()
    }

    /// Delivers every complete message that was read, until one finds its queue full.
    fn deliver_buffered(&mut self) -> Result<(), Fault> {
        while self.stall.is_none() {
            let Some((response, len)) = response::next(&self.input, self.limits.max_message)? else { break };
            self.input.advance(len);
            self.deliver(response)?;
        }
        Ok(())
    }

    fn deliver(&mut self, response: Response) -> Result<(), Fault> {
        let id = response.id;
        if id == 0 {
            return self.unsolicited(response);
        }
        let is_last = matches!(response.op, Op::Result(..));
        match self.operations.standing(id) {
            Standing::Active if is_last => self.finish(response),
            Standing::Active => self.deliver_item(response),
            Standing::Abandoned => {
                if is_last {
                    self.operations.forget_abandoned(id);
                }
                Ok(())
            }
            Standing::Unknown => {
                Err(Fault::malformed(format!("an answer to message {id}, which was never sent or is over")))
            }
        }
    }

    /// The last answer of an operation.
    fn finish(&mut self, response: Response) -> Result<(), Fault> {
        let id = response.id;
        let Op::Result(kind, _) = &response.op else { return Ok(()) };
        let kind = *kind;
        let Some(operation) = self.operations.remove(id) else { return Ok(()) };
        if operation.kind != kind {
            let fault = Fault::malformed(format!("a {kind:?} answer to a {:?} request", operation.kind));
            operation.reply.fail(fault.clone());
            return Err(fault);
        }
        if kind == Kind::Bind {
            self.binding = false;
        }
        match operation.reply {
            Reply::One(reply) => drop(reply.send(Ok(response))),
            Reply::Many { items, .. } => drop(items.send(Item::Response(response, None))),
        }
        self.operation_ended();
        Ok(())
    }

    /// One of many answers: into the queue, or the connection waits until there is room.
    fn deliver_item(&mut self, response: Response) -> Result<(), Fault> {
        let id = response.id;
        let Some(Operation { reply: Reply::Many { items, credit }, .. }) = self.operations.get(id) else {
            // Intermediate responses may come with anything (RFC 4511, 4.13); entries may not.
            return match response.op {
                Op::Intermediate { .. } => Ok(()),
                _ => Err(Fault::malformed("an entry in answer to something else than a search")),
            };
        };
        let cost = u32::try_from(response.cost.clamp(MIN_COST, SEARCH_QUEUE)).unwrap_or(u32::MAX);
        match credit.clone().try_acquire_many_owned(cost) {
            // Where nobody listens, the search is about to be cancelled.
            Ok(permit) => drop(items.send(Item::Response(response, Some(permit)))),
            Err(_) if credit.is_closed() => {}
            Err(_) => {
                let until = Instant::now() + self.limits.stall;
                self.stall = Some(Stall { id, response, credit: credit.clone(), cost, until });
            }
        }
        Ok(())
    }

    /// The queue that was full has room, or its caller is gone, or it took too long.
    fn room_made(&mut self, room: Room) -> Result<(), Fault> {
        let Some(Stall { id, response, .. }) = self.stall.take() else { return Ok(()) };
        match (room, self.operations.get(id).map(|operation| &operation.reply)) {
            (Room::Made(permit), Some(Reply::Many { items, .. })) => {
                drop(items.send(Item::Response(response, Some(permit))));
            }
            (Room::TooLate, Some(Reply::Many { items, .. })) => {
                drop(items.send(Item::Stalled(self.limits.stall)));
                self.abandon(id)?;
            }
            // The cancellation is on its way.
            _ => {}
        }
        self.deliver_buffered()
    }

    /// RFC 4511, 4.4: only the Notice of Disconnection means something.
    fn unsolicited(&mut self, response: Response) -> Result<(), Fault> {
        let Op::Result(Kind::Extended, outcome) = response.op else {
            return Err(Fault::malformed("message 0 that is no unsolicited notification"));
        };
        if outcome.name.as_deref().is_none_or(|name| name == NOTICE_OF_DISCONNECTION) {
            return Err(Fault::closed(format!("the server gave notice of disconnection: {}", outcome.result)));
        }
        self.unsolicited += 1;
        if self.unsolicited > MAX_UNSOLICITED {
            return Err(Fault::malformed("a flood of unsolicited notifications"));
        }
        tracing::debug!(name = outcome.name, "unsolicited notification ignored");
        Ok(())
    }

    /// Tells everyone.
    fn fail(&mut self, fault: &Fault) {
        self.stall = None;
        let held = self.held.take().map(|command| command.reply);
        for reply in self.operations.drain().map(|operation| operation.reply).chain(held) {
            reply.fail(fault.clone());
        }
    }
}

impl Reply {
    fn is_abandoned(&self) -> bool {
        match self {
            Self::One(reply) => reply.is_closed(),
            Self::Many { items, .. } => items.is_closed(),
        }
    }

    fn fail(self, fault: Fault) {
        match self {
            Self::One(reply) => drop(reply.send(Err(fault))),
            Self::Many { items, .. } => drop(items.send(Item::Fault(fault))),
        }
    }
}

enum Room {
    Made(OwnedSemaphorePermit),
    CallerGone,
    TooLate,
}

async fn room_for(stall: Option<&Stall>) -> Room {
    let Some(stall) = stall else { return Room::CallerGone };
    match tokio::time::timeout_at(stall.until, stall.credit.clone().acquire_many_owned(stall.cost)).await {
        Ok(Ok(permit)) => Room::Made(permit),
        Ok(Err(_)) => Room::CallerGone,
        Err(_) => Room::TooLate,
    }
}

async fn write_or_flush(outbox: &Outbox, writer: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<usize> {
    if outbox.is_empty() { writer.flush().await.map(|()| 0) } else { outbox.write(writer).await }
}
