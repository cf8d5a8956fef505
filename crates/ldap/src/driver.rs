//! The task that owns a connection's socket: what it waits for, and what it reads and writes there. Which operation is sent is
//! in `requests`, whom an answer is for in `answers`, and what both sides tell one another in `command`. It never decides what an
//! answer means.
//!
//! **Backpressure.** A search's results wait in a queue of bounded octets ([`SEARCH_QUEUE`]). When it is full the
//! socket is not read until the caller takes something, so that memory does not grow; TCP slows the server
//! down. Other operations on the connection have to wait meanwhile, but not for ever: after
//! [`Limits::stall`] the search that nobody reads is abandoned and its caller told so, unless it was to be waited for.
//!
//! **Trust.** Answers for operations that nobody asked for, of the wrong kind, or malformed end the connection
//! with a reason that every operation under way gets.

mod answers;
mod command;
mod requests;

pub(crate) use command::{Channels, Command, Item, LayerChoice, Limits, Reply, SEARCH_QUEUE};

use crate::fault::Fault;
use crate::layer::{Layered, SecurityLayer};
use crate::operations::{MAX_ACTIVE, Operations};
use crate::outbox::Outbox;
use crate::response::Kind;
use crate::transport::Stream;
use answers::{Batch, Stall, room_for};
use bytes::BytesMut;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

/// What is read at once, and kept when nothing is under way.
const READ_CHUNK: usize = 64 << 10;
const KEPT_BUFFER: usize = 1 << 20;
/// How long the last messages may take to leave.
const FAREWELL: Duration = Duration::from_secs(1);

const UNBIND: [u8; 2] = [0x42, 0];

struct Operation {
    key: u64,
    kind: Kind,
    reply: Reply,
    layer: Option<LayerChoice>,
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

    /// Tells everyone.
    fn fail(&mut self, fault: &Fault) {
        self.stall = None;
        let held = self.held.take().map(|command| command.reply);
        for reply in self.operations.drain().map(|operation| operation.reply).chain(held) {
            reply.fail(fault.clone());
        }
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
