//! What a directory sends: responses, control values and binary attribute values are read or refused.
#![no_main]

use bindery_ldap::control::{
    ControlValue, DirSyncResponse, PagedResults, PasswordPolicyResponse, SortResult, SyncDone, SyncInfo, SyncState,
};
use bindery_ldap::{Dn, codec, value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = codec::probe_response(input, 1 << 16);
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
});
