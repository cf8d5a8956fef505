//! Operations on their way out: numbered, sent, given up. A bind goes alone (RFC 4511, 4.2.1), and what is given up the
//! server is told of (4.11). Never waits for anything.

use super::{Command, Driver, Operation};
use crate::ber;
use crate::fault::Fault;
use crate::response::Kind;
use tokio::time::Instant;

const ABANDON: u8 = 0x50;

impl Driver {
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

    pub(super) fn accept(&mut self, command: Command) -> Result<(), Fault> {
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
    pub(super) fn send(&mut self, body: &[u8]) -> Result<(), Fault> {
        let id = self.operations.unused_id();
        self.enqueue(id, body)
    }

    pub(super) fn cancel(&mut self, key: u64) -> Result<(), Fault> {
        if self.held.as_ref().is_some_and(|held| held.key == key) {
            self.held = None;
        }
        match self.operations.find(|operation| operation.key == key) {
            Some(id) => self.abandon(id),
            None => Ok(()),
        }
    }

    /// Nobody waits for the operation any more, and the server is told (RFC 4511, 4.11).
    pub(super) fn abandon(&mut self, id: u32) -> Result<(), Fault> {
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

    pub(super) fn operation_ended(&mut self) -> Result<(), Fault> {
        match self.held.take_if(|_| self.operations.len() == 0) {
            Some(bind) => self.start(bind),
            None => Ok(()),
        }
    }
}
