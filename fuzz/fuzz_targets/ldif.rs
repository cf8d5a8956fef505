//! LDIF: any text is read or refused, and entries survive being written and read again.
#![no_main]

use bindery_ldap::ldif;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = ldif::parse_changes(text);
    let Ok(entries) = ldif::parse_entries(text) else { return };
    for entry in entries {
        let again = ldif::parse_entries(&ldif::write_entry(&entry));
        assert_eq!(again, Ok(vec![entry]));
    }
});
