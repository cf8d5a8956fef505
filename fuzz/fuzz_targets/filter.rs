//! Runs `bindery_fuzz::filter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bindery_fuzz::filter(input));
