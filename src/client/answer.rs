//! What PgOtter answers itself, because it concerns what only PgOtter has: names of prepared statements, and the resets with
//! which drivers and their pools give a session back. Nothing of a client that is not pinned is in any server, so that a reset needs
//! none.

use super::connection::Client;
use crate::session::{Settings, Statements, is_role};
use crate::sql::{Discard, Facts, Name, Statement, Verb};
use crate::wire::backend::{self, Status, command_complete};
use bytes::{BufMut, BytesMut};

/// A longer text is no reset.
const RESET_MAX: usize = 512;

/// What a reset does to a session, statement by statement.
#[derive(Clone, Copy)]
enum Reset {
    /// Nothing: there are no locks, cursors or temporary objects.
    Nothing(&'static str),
    /// `SELECT pg_advisory_unlock_all()`, which answers with a row.
    Unlock,
    Listening,
    Settings,
    Statements,
    All,
}

impl Client {
    /// The answer to a Query that comes while the client has no server. `None`: it is for a server.
    pub(super) fn answer_alone(&mut self, query: &[u8]) -> Option<BytesMut> {
        let text = query.get(crate::wire::frame::HEAD..)?.strip_suffix(b"\0")?;
        if text.len() > RESET_MAX || self.block.is_some() || !may_be_reset(text) {
            return None;
        }
        let facts = self.read(text, self.own_readings());
        if let Some(answer) = self.answer_of_names(&facts, Status::Idle) {
            return Some(answer);
        }
        let resets = resets(text, &facts)?;
        let mut out = BytesMut::new();
        for reset in &resets {
            self.reset(*reset, &mut out);
        }
        self.socket.queue(out);
        // What has become of settings is told behind all else, as by PostgreSQL.
        for reset in resets {
            match reset {
                Reset::Settings => self.reset_settings(false),
                Reset::All => self.reset_settings(true),
                _ => continue,
            }
            self.reset_own();
        }
        Some(ready(Status::Idle))
    }

    /// The answer to a Query about names that only PgOtter knows. `None`: it is for the server.
    pub(super) fn answer_of_names(&mut self, facts: &Facts, status: Status) -> Option<BytesMut> {
        if status == Status::Failed {
            return None;
        }
        let names = deallocates(facts)?;
        let statements = self.statements.as_mut()?;
        let mut out = BytesMut::new();
        let mut dropped = Vec::with_capacity(names.len());
        for name in names {
            let Some(before) = statements.put(name, None) else {
                // PostgreSQL is to say that it is not there, or not any more.
                dropped.into_iter().for_each(|(name, before)| drop(statements.put(name, Some(before))));
                return None;
            };
            dropped.push((name, before));
            command_complete(&mut out, b"DEALLOCATE");
        }
        out.unsplit(ready(status));
        Some(out)
    }

    fn reset(&mut self, reset: Reset, out: &mut BytesMut) {
        match reset {
            Reset::Nothing(tag) => command_complete(out, tag.as_bytes()),
            Reset::Unlock => {
                // One column of type void (2278) that holds nothing.
                let column = b"\0\x01pg_advisory_unlock_all\0\0\0\0\0\0\0\0\0\x08\xe6\0\x04\xff\xff\xff\xff\0\0";
                message(out, backend::kind::ROW_DESCRIPTION, column);
                message(out, backend::kind::DATA_ROW, b"\0\x01\0\0\0\0");
                command_complete(out, b"SELECT 1");
            }
            Reset::Listening => {
                self.unlisten_all();
                command_complete(out, b"UNLISTEN");
            }
            Reset::Statements => {
                self.statements.as_deref_mut().map(Statements::clear_named);
                command_complete(out, b"DEALLOCATE ALL");
            }
            Reset::Settings => command_complete(out, b"RESET"),
            Reset::All => {
                self.statements.as_deref_mut().map(Statements::clear_named);
                self.unlisten_all();
                self.drawn.forget();
                self.forget_others_sequences();
                command_complete(out, b"DISCARD ALL");
            }
        }
    }

    /// To what the client came with; `roles`: who it runs as, too. Custom names that were used stay known.
    fn reset_settings(&mut self, roles: bool) {
        let mut settings = Settings::clone(&self.base);
        let mut kept = settings.keep_custom_names(&self.settings);
        for (name, value) in self.settings.iter().filter(|(name, _)| !roles && is_role(name)) {
            kept = kept.and_then(|()| value.map_or(Ok(()), |value| settings.set(name, value)));
        }
        // What it came with and what it has are both within bounds; together they are hardly ever above them.
        if kept.is_err() {
            tracing::debug!(client = %self.id, "a setting is lost in a reset");
        }
        self.tell_settings(settings);
    }
}

/// The names that a text drops which does nothing else. Only those that may be of the protocol: they are not empty.
pub(super) fn deallocates(facts: &Facts) -> Option<Vec<&Name>> {
    let first = facts.statements.get(0).filter(|_| facts.unsure.is_none())?;
    if !matches!(first.verb, Verb::Deallocate(_)) {
        return None;
    }
    let name = |statement| match statement {
        &Statement { verb: Verb::Deallocate(ref name), .. } if !name.is_empty() => Some(name),
        _ => None,
    };
    facts.statements.iter().map(name).collect()
}

/// Whether a text drops all statements, as far as it succeeds.
pub(super) fn may_drop_statements(facts: &Facts) -> bool {
    let drops = |verb: &Verb| matches!(verb, Verb::DeallocateAll | Verb::Discard(Discard::All));
    facts.statements.iter().any(|statement| drops(&statement.verb))
}

/// Whether it is worth reading: most queries begin otherwise.
fn may_be_reset(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    match text.first().map(u8::to_ascii_lowercase) {
        Some(b'd') => begins(b"deallocate") || begins(b"discard"),
        Some(b'r') => begins(b"reset"),
        Some(b'c') => begins(b"close"),
        Some(b'u') => begins(b"unlisten"),
        Some(b's') => begins(b"select pg_advisory_unlock_all"),
        _ => false,
    }
}

/// The statements of a text that does nothing but reset. DISCARD ALL stands alone, as PostgreSQL wants.
fn resets(text: &[u8], facts: &Facts) -> Option<Vec<Reset>> {
    let pieces: Vec<&[u8]> =
        text.split(|&byte| byte == b';').map(<[u8]>::trim_ascii).filter(|piece| !piece.is_empty()).collect();
    // A semicolon or a comment elsewhere would make it another number.
    if facts.unsure.is_some() || pieces.len() != facts.statements.len() {
        return None;
    }
    let mut resets = Vec::with_capacity(pieces.len());
    for (statement, piece) in facts.statements.iter().zip(&pieces) {
        resets.push(match statement.verb {
            Verb::CloseAll => Reset::Nothing("CLOSE CURSOR ALL"),
            Verb::UnlistenAll => Reset::Listening,
            Verb::ResetAll => Reset::Settings,
            Verb::DeallocateAll => Reset::Statements,
            Verb::Discard(Discard::Temp) => Reset::Nothing("DISCARD TEMP"),
            Verb::Discard(Discard::Plans) => Reset::Nothing("DISCARD PLANS"),
            Verb::Discard(Discard::All) if pieces.len() == 1 => Reset::All,
            Verb::Select if piece.eq_ignore_ascii_case(b"select pg_advisory_unlock_all()") => Reset::Unlock,
            _ => return None,
        });
        if !is_plain(piece) {
            return None;
        }
    }
    (!resets.is_empty()).then_some(resets)
}

/// Words only: a text that PostgreSQL refuses has facts as well.
fn is_plain(piece: &[u8]) -> bool {
    let words = piece.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let known: [&[u8]; 14] = [
        b"close",
        b"all",
        b"unlisten",
        b"*",
        b"reset",
        b"deallocate",
        b"prepare",
        b"discard",
        b"temp",
        b"temporary",
        b"plans",
        b"select",
        b"pg_advisory_unlock_all()",
        b"",
    ];
    words.into_iter().all(|word| known.iter().any(|known| word.eq_ignore_ascii_case(known)))
}

fn message(out: &mut BytesMut, kind: u8, body: &[u8]) {
    crate::wire::frontend::message(out, kind, |out| out.put_slice(body));
}

fn ready(status: Status) -> BytesMut {
    let mut out = BytesMut::new();
    backend::ready_for_query(&mut out, status);
    out
}
