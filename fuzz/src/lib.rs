//! What each target does with its input. Run by cargo-fuzz, and over the seeds by the tests of `bindery-ldap`.

use bindery_ldap::codec::{self, MessageCodec};
use bindery_ldap::control::{
    AccountUsable, ControlValue, DirSyncResponse, PagedResults, PasswordPolicyResponse, SortResult, SyncDone, SyncInfo,
    SyncState,
};
use bindery_ldap::{Dn, Filter, ldif, value};
use bytes::BytesMut;
use tokio_util::codec::Decoder;

const MAX_MESSAGE: usize = 1 << 16;

/// What a directory sends: responses, control values and binary attribute values are read or refused.
pub fn decode(input: &[u8]) {
    let _ = codec::probe_response(input, MAX_MESSAGE);
    assert!(codec::probe_agreement(input, MAX_MESSAGE), "the two decoders of entries disagree");
    let _ = AccountUsable::decode(input);
    let _ = PagedResults::decode(input);
    let _ = PasswordPolicyResponse::decode(input);
    let _ = SyncState::decode(input);
    let _ = SyncDone::decode(input);
    let _ = SyncInfo::decode(input);
    let _ = DirSyncResponse::decode(input);
    let _ = SortResult::decode(input);
    let _ = value::sid_to_text(input);
    let _ = value::guid_to_text(input);
    let _ = Dn::from_bytes(input);
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = value::filetime(text);
        let _ = value::generalized_time(text);
        let _ = value::sid_from_text(text);
        let _ = value::guid_from_text(text);
    }
}

/// Where a stream is cut never changes which messages come out of it. The first octet says where.
pub fn framing(input: &[u8]) {
    let Some((size, octets)) = input.split_first() else { return };
    let whole = ids(std::iter::once(octets));
    let cut = ids(octets.chunks(usize::from(*size).max(1)));
    assert_eq!(whole, cut);
}

fn ids<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Vec<u32> {
    let mut codec = MessageCodec { max_message: MAX_MESSAGE };
    let (mut buffer, mut ids) = (BytesMut::new(), vec![]);
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
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

/// Any text is a DN or refused, and what was parsed survives being written and read again.
pub fn dn(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(dn) = Dn::parse(text) else { return };
    assert_eq!(Dn::parse(dn.as_str()).as_ref(), Ok(&dn));
    assert!(dn.is_within(&dn));
    if let Some(parent) = dn.parent() {
        assert!(dn.is_within(&parent) && !parent.is_within(&dn));
    }
    let child = dn.child("cn", text);
    assert_eq!(child.parent().as_ref(), Some(&dn));
}

/// Any text is a filter or refused, and what was parsed survives being written and read again.
pub fn filter(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(filter) = Filter::parse(text) {
        assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
    }
    // A value is a value, whatever it looks like.
    let literal = Filter::equal("cn", text);
    assert_eq!(Filter::parse(&literal.to_string()), Ok(literal));
}

/// Any text is LDIF or refused, and entries survive being written and read again.
pub fn ldif(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = ldif::parse_changes(text);
    let Ok(entries) = ldif::parse_entries(text) else { return };
    for entry in entries {
        let again = ldif::parse_entries(&ldif::write_entry(&entry));
        assert_eq!(again, Ok(vec![entry]));
    }
}
