//! DNs: any text is parsed or refused, and what was parsed survives being written and read again.
#![no_main]

use bindery_ldap::Dn;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(dn) = Dn::parse(text) else { return };
    assert_eq!(Dn::parse(dn.as_str()).as_ref(), Ok(&dn));
    assert!(dn.is_within(&dn));
    if let Some(parent) = dn.parent() {
        assert!(dn.is_within(&parent) && !parent.is_within(&dn));
    }
    let child = dn.child("cn", text);
    assert_eq!(child.parent().as_ref(), Some(&dn));
});
