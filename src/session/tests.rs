//! Startup parameters and settings.

mod coming;
mod keeping;

use super::*;
use crate::wire::startup::Startup;

fn startup(parameters: &[(&str, &str)]) -> Startup {
    Startup {
        minor: 0,
        parameters: parameters.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect(),
        protocol_options: Vec::new(),
    }
}

fn parameter(name: &str, value: &str) -> Parameter {
    (name.as_bytes().into(), value.as_bytes().into())
}

fn parameters(all: &[(&str, &str)]) -> Vec<Parameter> {
    all.iter().map(|(name, value)| parameter(name, value)).collect()
}

/// A server that reports a few settings.
fn welcome() -> Welcome {
    let reported = [
        ("application_name", ""),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("in_hot_standby", "off"),
        ("is_superuser", "on"),
        ("server_version", "15.4 (Debian)"),
        ("session_authorization", "postgres"),
        ("TimeZone", "UTC"),
    ];
    Welcome::new(parameters(&reported), &[])
}

/// Names and values in words.
fn said<'a>(lacking: impl IntoIterator<Item = Lack<'a>>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = lacking.into_iter().map(|(name, value)| match value {
        Some(value) => format!("{}={}", text(name), text(value)),
        None => format!("{} back", text(name)),
    });
    said.collect::<Vec<_>>().join(" ")
}
