//! See `readers::tags`.
#![no_main]

#[allow(dead_code, reason = "each target uses one of its functions")]
#[path = "../readers.rs"]
mod readers;

libfuzzer_sys::fuzz_target!(|text: &[u8]| readers::tags(text));
