//! What a random client does: one message, or waiting for what PostgreSQL would have said by now.
//!
//! Knows the bytes of a message and a readable form of it, not what it means.

use crate::support::raw::{self, message};
use std::fmt;

#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Query(String),
    /// Name, text, types of parameters.
    Parse(String, String, Vec<u32>),
    Bind {
        portal: String,
        statement: String,
        values: Vec<Option<String>>,
        binary: bool,
    },
    /// `b'S'` or `b'P'`, name.
    Describe(u8, String),
    Close(u8, String),
    /// Portal, rows; 0 = all.
    Execute(String, u32),
    Flush,
    Sync,
    CopyData(String),
    CopyDone,
    CopyFail,
    /// The function `int4abs`.
    Call(String),
    /// Reads until as much has come as PostgreSQL would have sent by now.
    Wait,
    /// Other clients do something, of several kinds. For PostgreSQL itself it is nothing.
    Disturb(usize),
    /// The client goes, and another one comes.
    Leave,
}

impl Step {
    /// Nothing for what is no message.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Query(sql) => raw::query(sql),
            Self::Parse(name, sql, types) => parse(name, sql, types),
            Self::Bind { portal, statement, values, binary } => bind(portal, statement, values, *binary),
            Self::Describe(what, name) => raw::describe(*what, name),
            Self::Close(what, name) => raw::close(*what, name),
            Self::Execute(portal, rows) => raw::execute(portal, *rows),
            Self::Flush => raw::flush(),
            Self::Sync => raw::sync(),
            Self::CopyData(data) => raw::copy_data(data),
            Self::CopyDone => raw::copy_done(),
            Self::CopyFail => raw::copy_fail("changed my mind"),
            Self::Call(argument) => raw::function_call(1397, &[argument]),
            Self::Wait | Self::Disturb(_) | Self::Leave => Vec::new(),
        }
    }

    /// Whether its client may keep a server behind it, between two transactions.
    pub fn may_pin(&self) -> bool {
        let (Self::Query(sql) | Self::Parse(_, sql, _)) = self else { return false };
        ["PREPARE", "TEMP", "WITH HOLD"].iter().any(|word| sql.contains(word))
    }

    /// Whether it is one of the extended protocol, which a Sync ends.
    pub fn needs_sync(&self) -> bool {
        use Step::{Bind, Close, Describe, Execute, Flush, Parse};
        matches!(self, Parse(..) | Bind { .. } | Describe(..) | Close(..) | Execute(..) | Flush)
    }
}

/// Whether a client may wait for an answer behind these. PostgreSQL sends an error at once, also one of a message that neither
/// a Sync nor a Flush follows; PgOtter hands a request on when it is complete.
pub fn may_wait(sent: &[Step]) -> bool {
    let copied = |step: &&Step| {
        matches!(step, Step::CopyData(_) | Step::CopyDone | Step::CopyFail | Step::Wait | Step::Disturb(_))
    };
    let last = sent.iter().rev().find(|step| !copied(step));
    matches!(last, Some(Step::Query(_) | Step::Sync | Step::Flush | Step::Call(_)))
}

fn parse(name: &str, sql: &str, types: &[u32]) -> Vec<u8> {
    let mut body = [name.as_bytes(), b"\0", sql.as_bytes(), b"\0"].concat();
    body.extend(u16::try_from(types.len()).expect("few").to_be_bytes());
    body.extend(types.iter().flat_map(|oid| oid.to_be_bytes()));
    message(b'P', &body)
}

/// Text parameters; all results in text, or all in binary.
fn bind(portal: &str, statement: &str, values: &[Option<String>], binary: bool) -> Vec<u8> {
    let mut body = [portal.as_bytes(), b"\0", statement.as_bytes(), b"\0\0\0"].concat();
    body.extend(u16::try_from(values.len()).expect("few").to_be_bytes());
    for value in values {
        let length = value.as_ref().map_or(-1, |value| i32::try_from(value.len()).expect("short"));
        body.extend(length.to_be_bytes());
        body.extend(value.iter().flat_map(|value| value.bytes()));
    }
    body.extend(if binary { &[0, 1, 0, 1][..] } else { &[0, 0] });
    message(b'B', &body)
}

/// Long names and texts shortened.
fn short(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((at, _)) => format!("{:?}… ({} bytes)", &text[..at.min(20)], text.len()),
        None => format!("{text:?}"),
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(sql) => write!(f, "Query {}", short(sql)),
            Self::Parse(name, sql, types) => write!(f, "Parse {} {} {types:?}", short(name), short(sql)),
            Self::Bind { portal, statement, values, binary } => {
                let results = if *binary { "binary" } else { "text" };
                write!(f, "Bind portal {} statement {} {values:?} {results}", short(portal), short(statement))
            }
            Self::Describe(what, name) => write!(f, "Describe {} {}", char::from(*what), short(name)),
            Self::Close(what, name) => write!(f, "Close {} {}", char::from(*what), short(name)),
            Self::Execute(portal, rows) => write!(f, "Execute {} {rows}", short(portal)),
            Self::CopyData(data) => write!(f, "CopyData {}", short(data)),
            other => write!(f, "{other:?}"),
        }
    }
}

/// A script, one step in each line.
pub fn listing(steps: &[Step]) -> String {
    steps.iter().map(|step| format!("    {step}\n")).collect()
}
