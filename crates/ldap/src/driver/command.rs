//! What the handles of a connection and its driver tell one another. Nothing is sent or read here.

use crate::fault::Fault;
use crate::layer::SecurityLayer;
use crate::response::{Kind, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use zeroize::Zeroizing;

/// How many octets of results may wait for one search's caller.
pub(crate) const SEARCH_QUEUE: usize = 1 << 20;

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

impl Reply {
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::One(reply) => reply.is_closed(),
            Self::Many { items, .. } => items.is_closed(),
        }
    }

    pub(super) fn fail(self, fault: Fault) {
        match self {
            Self::One(reply) => drop(reply.send(Err(fault))),
            Self::Many { items, .. } => drop(items.send(Item::Fault(fault))),
        }
    }
}
