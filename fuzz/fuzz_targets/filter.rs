//! Filters: any text is parsed or refused, and what was parsed survives being written and read again.
#![no_main]

use bindery_ldap::Filter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(filter) = Filter::parse(text) {
        assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
    }
    // A value is a value, whatever it looks like.
    let literal = Filter::equal("cn", text);
    assert_eq!(Filter::parse(&literal.to_string()), Ok(literal));
});
