//! Runs `bindery_fuzz::dn`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bindery_fuzz::dn(input));
