//! Sessions of many clients on few servers: nothing leaks, nothing is lost; see `leaks/suite.rs`.

mod support;

#[path = "leaks/suite.rs"]
mod suite;
