//! A request of Parse, Bind, Execute and Sync that only begins or ends a block: it is answered as the Query of the same text
//! (`client/block.rs`) where it is certain that PostgreSQL takes all of it.
//!
//! `[Parse] [Describe] Bind [Describe] Execute [Close] Sync`, with the unnamed portal and without parameters. Any other goes to a
//! server, and a BEGIN that stands in front of more than its Sync with what is behind it.

use super::connection::Client;
use crate::config::PoolMode;
use crate::session::{Statement, key};
use crate::wire::backend;
use crate::wire::frame;
use crate::wire::frontend::{self, kind};
use bytes::BytesMut;
use std::sync::Arc;

/// A longer request is not looked at, but in a failed block.
const REQUEST_MAX: usize = 512;

/// What such a request says.
struct Request<'a> {
    /// The body of its Parse behind the name.
    parse: Option<&'a [u8]>,
    /// Of the statement.
    name: &'a [u8],
    describes_statement: bool,
    describes_portal: bool,
    closes_statement: bool,
}

impl Client {
    /// Answers a request about a block that has no server, or opens one. `None`: it is for a server.
    pub(super) fn answer_block_messages(&mut self, request: &[u8]) -> Option<BytesMut> {
        let failed = self.block.as_ref().is_some_and(|block| block.is_failed());
        if request.len() > REQUEST_MAX && !failed
            || self.shape.settings.pool_mode != PoolMode::Transaction
            || self.rules.max_prepared_statements == 0
        {
            return None;
        }
        let request = read(request)?;
        let known = self.statements.as_ref().and_then(|statements| statements.get(request.name)).cloned();
        let statement = match request.parse {
            Some(body) => {
                self.said(text(body)?.as_bytes())?;
                self.prepared_without_server(request.name, known, body)?
            }
            None => known?,
        };
        let text = text(statement.body()?)?;
        let tag = self.go_on_with_block(self.said(text.as_bytes())?, text, true)?;
        let statements = self.statements.get_or_insert_default();
        let mut out = BytesMut::new();
        if request.parse.is_some() {
            statements.put(request.name, Some(statement.clone()));
            backend::empty(&mut out, backend::kind::PARSE_COMPLETE);
        }
        if request.describes_statement {
            frontend::message(&mut out, backend::kind::PARAMETER_DESCRIPTION, |out| out.extend_from_slice(b"\0\0"));
            backend::empty(&mut out, backend::kind::NO_DATA);
        }
        backend::empty(&mut out, backend::kind::BIND_COMPLETE);
        if request.describes_portal {
            backend::empty(&mut out, backend::kind::NO_DATA);
        }
        backend::command_complete(&mut out, tag.as_bytes());
        if request.closes_statement {
            statements.put(request.name, None);
            backend::empty(&mut out, backend::kind::CLOSE_COMPLETE);
        }
        backend::ready_for_query(&mut out, self.status());
        Some(out)
    }

    /// What a Parse makes that PostgreSQL is certain to take. `None`: the name is taken, or it is too much.
    fn prepared_without_server(
        &self,
        name: &[u8],
        known: Option<Arc<Statement>>,
        body: &[u8],
    ) -> Option<Arc<Statement>> {
        if name.is_empty() {
            let same = known.filter(|statement| statement.body() == Some(body) && statement.suits(&self.settings));
            let new = || Arc::new(Statement::unnamed(Some(body), &self.settings, self.own_readings()));
            return Some(same.unwrap_or_else(new));
        }
        let has_room = self.statements.as_ref().is_none_or(|statements| statements.has_room(key(name), body.len()));
        if known.is_some() || !has_room { None } else { self.pool.statements().share(body, &self.settings) }
    }
}

/// Of a Parse without types.
fn text(body: &[u8]) -> Option<&str> {
    std::str::from_utf8(body.strip_suffix(b"\0\0\0")?).ok()
}

fn read(mut rest: &[u8]) -> Option<Request<'_>> {
    let mut next = || {
        let (kind, body, total) = frame::first(rest)?;
        rest = &rest[total..];
        Some((kind, body))
    };
    let mut message = next()?;
    let (mut parse, mut describes_statement) = (None, false);
    if message.0 == kind::PARSE {
        let (name, body) = split(message.1)?;
        parse = Some((name, body));
        message = next()?;
        if message.0 == kind::DESCRIBE && is_named(message.1, b'S', name) {
            describes_statement = true;
            message = next()?;
        }
    }
    let (b"", bound) = split(message.1).filter(|_| message.0 == kind::BIND)? else { return None };
    let (name, bound) = split(bound)?;
    if parse.is_some_and(|(parsed, _)| parsed != name) || !is_without_parameters(bound) {
        return None;
    }
    message = next()?;
    let describes_portal = message.0 == kind::DESCRIBE && is_named(message.1, b'P', b"");
    if describes_portal {
        message = next()?;
    }
    let is_execute = message.0 == kind::EXECUTE && message.1.len() == 5 && message.1.first() == Some(&0);
    message = next().filter(|_| is_execute)?;
    let closes_statement = message.0 == kind::CLOSE && is_named(message.1, b'S', name);
    if closes_statement {
        message = next()?;
    }
    let is_last = message == (kind::SYNC, &[][..]) && next().is_none();
    let parse = parse.map(|(_, body)| body);
    is_last.then_some(Request { parse, name, describes_statement, describes_portal, closes_statement })
}

/// At the first zero.
fn split(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = body.iter().position(|&byte| byte == 0)?;
    Some((&body[..end], &body[end + 1..]))
}

/// Whether it is about this statement or portal.
fn is_named(body: &[u8], what: u8, name: &[u8]) -> bool {
    body.split_first().and_then(|(kind, rest)| Some((*kind, rest.strip_suffix(b"\0")?))) == Some((what, name))
}

/// What follows the names in a Bind: no parameters, and as many formats as there may be of what is not there.
fn is_without_parameters(bound: &[u8]) -> bool {
    match bound {
        [0, 0, 0, 0, 0, 0] => true,
        [0, formats @ 0..=1, rest @ ..] => {
            let results = rest.get(2 * usize::from(*formats)..);
            matches!(results, Some([0, 0, 0, 0] | [0, 0, 0, 1, 0, 0 | 1]))
        }
        _ => false,
    }
}
