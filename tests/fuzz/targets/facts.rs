//! See `readers::facts`.
#![no_main]

#[allow(dead_code, reason = "each target uses one of its functions")]
#[path = "../readers.rs"]
mod readers;

libfuzzer_sys::fuzz_target!(|text: &[u8]| readers::facts(text));
