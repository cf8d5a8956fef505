//! Runs `bindery_fuzz::decode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bindery_fuzz::decode(input));
