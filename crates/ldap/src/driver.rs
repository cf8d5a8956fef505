//! The task that owns a connection's socket. It frames, numbers, routes and abandons; it never decides
//! what an answer means.
//!
//! **Backpressure.** A search's results wait in a queue of bounded octets ([`SEARCH_QUEUE`]). When it is full the
//! socket is not read until the caller takes something, so that memory does not grow; TCP slows the server
//! down. Other operations on the connection have to wait meanwhile, but not for ever: after
//! [`Limits::stall`] the search that nobody reads is abandoned and its caller told so, unless it was to be waited for.
//!
//! **Trust.** Answers for operations that nobody asked for, of the wrong kind, or malformed end the connection
//! with a reason that every operation under way gets.

use crate::ber;
use crate::fault::Fault;
use crate::layer::{Layered, SecurityLayer};
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
/// So many answers travel together at most: one wake-up of the caller for all that one read brought.
const MAX_BATCH: usize = 64;
/// What is read at once, and kept when nothing is under way.
const READ_CHUNK: usize = 64 << 10;
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
    /// Of a SASL bind: after success nothing is read or sent until it says whether there is a layer.
    pub(crate) layer: Option<LayerChoice>,
}

/// What a mechanism decides once its bind has succeeded.
pub(crate) type LayerChoice = oneshot::Receiver<Option<Box<dyn SecurityLayer>>>;

/// Where answers go.
pub(crate) enum Reply {
    One(oneshot::Sender<Result<Response, Fault>>),
    Many { items: mpsc::UnboundedSender<Item>, credit: Arc<Semaphore>, unhurried: bool },
}

/// What goes to the caller of a search. The permit holds its place in the queue.
pub(crate) enum Item {
    Responses(Vec<Response>, Option<OwnedSemaphorePermit>),
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
    layer: Option<LayerChoice>,
}

/// Results of one search that are about to be sent, with their places in its queue.
struct Batch {
    id: u32,
    responses: Vec<Response>,
    permit: OwnedSemaphorePermit,
}

/// A result that found its queue full.
struct Stall {
    id: u32,
    response: Response,
    credit: Arc<Semaphore>,
    cost: u32,
    until: Option<Instant>,
}

struct Driver {
    limits: Limits,
    operations: Operations<Operation>,
    outbox: Outbox,
    /// What was read, opened where there is a layer.
    input: BytesMut,
    layer: Option<Layered>,
    /// A layer that is being decided on.
    choice: Option<LayerChoice>,
    stall: Option<Stall>,
    /// Empty whenever the driver waits.
    batch: Option<Batch>,
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
            layer: None,
            choice: None,
            stall: None,
            batch: None,
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
        let choosing = self.choice.is_some();
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
                Some(command) => self.accept(command)?,
                None => return Ok(false),
            },
            octets = write_or_flush(&self.outbox, writer), if writing || self.unflushed => self.written(octets?)?,
            () = tokio::time::sleep_until(self.write_until), if writing => {
                return Err(Fault::closed("the server does not read"));
            }
            room = room_for(self.stall.as_ref()), if stalled => self.room_made(room)?,
            layer = chosen(self.choice.as_mut()), if choosing => self.layer_chosen(layer?)?,
            octets = reader.read_buf(incoming(&mut self.layer, &mut self.input)), if !stalled && !choosing => {
                self.received(octets?)?;
            }
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
        incoming(&mut self.layer, &mut self.input).reserve(READ_CHUNK);
    }

    /// The bind's caller has decided: from the octet after its answer on everything goes through the layer.
    fn layer_chosen(&mut self, layer: Option<Box<dyn SecurityLayer>>) -> Result<(), Fault> {
        self.choice = None;
        self.binding = false;
        if let Some(layer) = layer {
            let mut early = std::mem::take(&mut self.input);
            if let Some(before) = &mut self.layer {
                // What an earlier layer opened came before this one; what it did not open yet did not.
                early = std::mem::take(&mut before.wrapped);
            }
            self.layer = Some(Layered::new(layer, early));
        }
        self.open()?;
        self.deliver_buffered()
    }

    fn open(&mut self) -> Result<(), Fault> {
        self.layer.as_mut().map_or(Ok(()), |layer| layer.open(&mut self.input))
    }

    /// Takes leave (RFC 4511, 4.3).
    async fn farewell(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
        if self.choice.is_some() || self.send(&UNBIND).is_err() {
            return Ok(());
        }
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

    fn enqueue(&mut self, id: u32, body: &[u8]) -> Result<(), Fault> {
        if self.outbox.is_empty() {
            self.write_until = Instant::now() + self.limits.stall;
        }
        let message = ber::tlv(ber::SEQUENCE, &[&ber::integer(id), body]);
        let message = match &mut self.layer {
            Some(layer) => layer.seal(&message)?,
            None => message,
        };
        self.outbox.push(message);
        Ok(())
    }

    fn accept(&mut self, command: Command) -> Result<(), Fault> {
        if command.reply.is_abandoned() {
            return Ok(());
        }
        if command.kind == Kind::Bind && self.operations.len() > 0 {
            self.held = Some(command);
            return Ok(());
        }
        self.start(command)
    }

    fn start(&mut self, command: Command) -> Result<(), Fault> {
        self.binding = command.kind == Kind::Bind;
        let Command { key, body, kind, reply, layer } = command;
        let id = self.operations.insert(Operation { key, kind, reply, layer });
        self.enqueue(id, &body)
    }

    /// Sends something that nothing answers.
    fn send(&mut self, body: &[u8]) -> Result<(), Fault> {
        let id = self.operations.unused_id();
        self.enqueue(id, body)
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
        self.send(&[&[ABANDON][..], abandon.get(1..).unwrap_or_default()].concat())?;
        if self.stall.as_ref().is_some_and(|stall| stall.id == id) {
            self.stall = None;
            self.deliver_buffered()?;
        }
        self.operation_ended()
    }

    fn operation_ended(&mut self) -> Result<(), Fault> {
        match self.held.take_if(|_| self.operations.len() == 0) {
            Some(bind) => self.start(bind),
            None => Ok(()),
        }
    }

    fn received(&mut self, octets: usize) -> Result<(), Fault> {
        if octets == 0 {
            return Err(Fault::closed(
                if incoming(&mut self.layer, &mut self.input).is_empty() && self.input.is_empty() {
                    "the server closed it"
                } else {
                    "the server closed it in the middle of a message"
                },
            ));
        }
        self.open()?;
        self.deliver_buffered()
    }

    /// Delivers every complete message that was read, until one finds its queue full.
    fn deliver_buffered(&mut self) -> Result<(), Fault> {
        let delivered = self.deliver_all();
        // Also what came before a fault.
        self.send_batch();
        delivered
    }

    fn deliver_all(&mut self) -> Result<(), Fault> {
        while self.stall.is_none() && self.choice.is_none() {
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
        let Op::Result(kind, outcome) = &response.op else { return Ok(()) };
        let (kind, is_success) = (*kind, outcome.result.is_success());
        if self.batch.as_ref().is_some_and(|batch| batch.id != id) {
            self.send_batch();
        }
        let Some(operation) = self.operations.remove(id) else { return Ok(()) };
        if operation.kind != kind {
            let fault = Fault::malformed(format!("a {kind:?} answer to a {:?} request", operation.kind));
            operation.reply.fail(fault.clone());
            return Err(fault);
        }
        if kind == Kind::Bind {
            self.choice = operation.layer.filter(|_| is_success);
            self.binding = self.choice.is_some();
        }
        match operation.reply {
            Reply::One(reply) => drop(reply.send(Ok(response))),
            Reply::Many { items, .. } => {
                let (mut responses, permit) =
                    self.batch.take().map_or((vec![], None), |batch| (batch.responses, Some(batch.permit)));
                responses.push(response);
                drop(items.send(Item::Responses(responses, permit)));
            }
        }
        self.operation_ended()
    }

    /// One of many answers: into the queue, or the connection waits until there is room.
    fn deliver_item(&mut self, response: Response) -> Result<(), Fault> {
        let id = response.id;
        let Some(Operation { reply: Reply::Many { credit, unhurried, .. }, .. }) = self.operations.get(id) else {
            // Intermediate responses may come with anything (RFC 4511, 4.13); entries may not.
            return match response.op {
                Op::Intermediate { .. } => Ok(()),
                _ => Err(Fault::malformed("an entry in answer to something else than a search")),
            };
        };
        let cost = u32::try_from(response.cost.clamp(MIN_COST, SEARCH_QUEUE)).unwrap_or(u32::MAX);
        match credit.clone().try_acquire_many_owned(cost) {
            Ok(permit) => self.add_to_batch(response, permit),
            // Where nobody listens, the search is about to be cancelled.
            Err(_) if credit.is_closed() => {}
            Err(_) => {
                let until = (!unhurried).then(|| Instant::now() + self.limits.stall);
                self.stall = Some(Stall { id, response, credit: credit.clone(), cost, until });
            }
        }
        Ok(())
    }

    fn add_to_batch(&mut self, response: Response, permit: OwnedSemaphorePermit) {
        let full = |batch: &Batch| batch.id != response.id || batch.responses.len() >= MAX_BATCH;
        if self.batch.as_ref().is_some_and(full) {
            self.send_batch();
        }
        match &mut self.batch {
            Some(batch) => {
                batch.responses.push(response);
                batch.permit.merge(permit);
            }
            None => self.batch = Some(Batch { id: response.id, responses: vec![response], permit }),
        }
    }

    fn send_batch(&mut self) {
        let Some(Batch { id, responses, permit }) = self.batch.take() else { return };
        if let Some(Operation { reply: Reply::Many { items, .. }, .. }) = self.operations.get(id) {
            drop(items.send(Item::Responses(responses, Some(permit))));
        }
    }

    /// The queue that was full has room, or its caller is gone, or it took too long.
    fn room_made(&mut self, room: Room) -> Result<(), Fault> {
        let Some(Stall { id, response, .. }) = self.stall.take() else { return Ok(()) };
        match (room, self.operations.get(id).map(|operation| &operation.reply)) {
            (Room::Made(permit), Some(Reply::Many { items, .. })) => {
                drop(items.send(Item::Responses(vec![response], Some(permit))));
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
    let room = stall.credit.clone().acquire_many_owned(stall.cost);
    let room = match stall.until {
        Some(until) => tokio::time::timeout_at(until, room).await,
        None => Ok(room.await),
    };
    match room {
        Ok(Ok(permit)) => Room::Made(permit),
        Ok(Err(_)) => Room::CallerGone,
        Err(_) => Room::TooLate,
    }
}

/// Where octets that arrive go.
fn incoming<'a>(layer: &'a mut Option<Layered>, input: &'a mut BytesMut) -> &'a mut BytesMut {
    match layer {
        Some(layer) => &mut layer.wrapped,
        None => input,
    }
}

async fn chosen(choice: Option<&mut LayerChoice>) -> Result<Option<Box<dyn SecurityLayer>>, Fault> {
    let given_up = || Fault::closed("a bind was given up midway");
    choice.ok_or_else(given_up)?.await.map_err(|_| given_up())
}

async fn write_or_flush(outbox: &Outbox, writer: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<usize> {
    if outbox.is_empty() { writer.flush().await.map(|()| 0) } else { outbox.write(writer).await }
}
