//! Framing: where a stream is cut never changes which messages come out of it.
#![no_main]

use bindery_ldap::codec::MessageCodec;
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use tokio_util::codec::Decoder;

const MAX_MESSAGE: usize = 1 << 16;

fn ids(chunks: impl Iterator<Item = Vec<u8>>) -> Vec<u32> {
    let mut codec = MessageCodec { max_message: MAX_MESSAGE };
    let (mut buffer, mut ids) = (BytesMut::new(), vec![]);
    for chunk in chunks {
        buffer.extend_from_slice(&chunk);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(message)) => ids.push(message.message_id),
                Ok(None) => break,
                Err(_) => return ids,
            }
        }
    }
    ids
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, octets) = input;
    let whole = ids(std::iter::once(octets.to_vec()));
    let cut = ids(octets.chunks(usize::from(size).max(1)).map(<[u8]>::to_vec));
    assert_eq!(whole, cut);
});
