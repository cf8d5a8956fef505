//! Runs `bindery_fuzz::ldif`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bindery_fuzz::ldif(input));
