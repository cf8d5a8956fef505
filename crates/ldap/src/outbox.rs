//! What waits to be written. Every message is wiped once it is, since some hold passwords.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

/// Enough to fill a socket; beyond it no further commands are taken.
const FULL: usize = 1 << 20;
/// Messages given to the socket at once.
const BATCH: usize = 16;

#[derive(Default)]
pub(crate) struct Outbox {
    messages: VecDeque<Zeroizing<Vec<u8>>>,
    /// Octets of the first message that are written already.
    written: usize,
    octets: usize,
}

impl Outbox {
    pub(crate) fn push(&mut self, message: Zeroizing<Vec<u8>>) {
        self.octets += message.len();
        self.messages.push_back(message);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.octets >= FULL
    }

    /// Writes what the socket takes and returns how much that was. Safe to give up at any await.
    pub(crate) async fn write(&self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); BATCH];
        let mut skip = self.written;
        for (slice, message) in slices.iter_mut().zip(&self.messages) {
            *slice = IoSlice::new(message.get(skip..).unwrap_or_default());
            skip = 0;
        }
        let count = self.messages.len().min(BATCH);
        writer.write_vectored(slices.get(..count).unwrap_or_default()).await
    }

    /// Wipes what was written.
    pub(crate) fn advance(&mut self, octets: usize) {
        self.written += octets;
        while let Some(first) = self.messages.front()
            && self.written >= first.len()
        {
            self.written -= first.len();
            self.octets -= first.len();
            self.messages.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everything_is_written_in_order_however_little_the_socket_takes() {
        let mut outbox = Outbox::default();
        let mut expected = vec![];
        for n in 0..40u8 {
            outbox.push(Zeroizing::new(vec![n; usize::from(n) + 1]));
            expected.extend(vec![n; usize::from(n) + 1]);
        }
        let mut written = vec![];
        while !outbox.is_empty() {
            let mut room = [0u8; 7];
            let octets = outbox.write(&mut io::Cursor::new(&mut room[..])).await.unwrap();
            outbox.advance(octets);
            written.extend_from_slice(&room[..octets]);
        }
        assert_eq!(written, expected);
        assert_eq!((outbox.octets, outbox.written), (0, 0));
    }
}
