//! Answers on their way in: each to whom it is for, the results of a search through its bounded queue, several at once.
//! Never decides what an answer means, and never takes one that nobody asked for.

use super::{Driver, Item, Operation, Reply, SEARCH_QUEUE};
use crate::fault::Fault;
use crate::operations::Standing;
use crate::response::{self, Kind, Op, Response};
use bytes::Buf;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Even the smallest entry takes this much of the queue.
const MIN_COST: usize = 128;
/// So many answers travel together at most: one wake-up of the caller for all that one read brought.
const MAX_BATCH: usize = 64;
/// Unsolicited notifications that are ignored before the server is taken for a broken one.
const MAX_UNSOLICITED: usize = 100;

const NOTICE_OF_DISCONNECTION: &str = "1.3.6.1.4.1.1466.20036";

/// Results of one search that are about to be sent, with their places in its queue.
pub(super) struct Batch {
    id: u32,
    responses: Vec<Response>,
    permit: OwnedSemaphorePermit,
}

/// A result that found its queue full.
pub(super) struct Stall {
    pub(super) id: u32,
    response: Response,
    credit: Arc<Semaphore>,
    cost: u32,
    until: Option<Instant>,
}

impl Driver {
    /// Delivers every complete message that was read, until one finds its queue full.
    pub(super) fn deliver_buffered(&mut self) -> Result<(), Fault> {
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
    pub(super) fn room_made(&mut self, room: Room) -> Result<(), Fault> {
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
            return Err(Fault::Notice(outcome.result.to_string()));
        }
        self.unsolicited += 1;
        if self.unsolicited > MAX_UNSOLICITED {
            return Err(Fault::malformed("a flood of unsolicited notifications"));
        }
        tracing::debug!(name = outcome.name, "unsolicited notification ignored");
        Ok(())
    }
}

/// Whether a queue that was full has room.
pub(super) enum Room {
    Made(OwnedSemaphorePermit),
    CallerGone,
    TooLate,
}

/// Waits for room.
pub(super) async fn room_for(stall: Option<&Stall>) -> Room {
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
