//! What the chosen server lacks goes in front of the request, in the same write, and stops the request if it fails.
//!
//! `Close(guard) · Close/Parse/Bind/Execute(settings) · Parse(guard) · Sync`, then `Describe(guard)` and the request. If
//! a setting fails, the guard does not exist, its Describe fails, and PostgreSQL skips the request up to the next Sync.
//! A simple SET in front would let the request run with the wrong settings.
//!
//! Where nobody knows what the server's settings are, a RESET ALL stands in front of them, in the same transaction: if that
//! fails, nothing was reset either.
//!
//! The settings are prepared anew each time: a client may have dropped the statement, without PostgreSQL telling, or put
//! one of its own in its place.

use super::belief::Start;
use super::connection::Server;
use super::reply_queue::Disposition::{self, Hold};
use crate::session::{ENCODING, Lack, Settings};
use crate::wire::frontend::{self, kind};
use bytes::BytesMut;
use std::sync::{Arc, LazyLock};

/// The statement that sets what is lacking.
const SET: &str = "pgotter.set";
/// The BEGIN that was answered already.
const BEGIN: &str = "pgotter.begin";
/// The empty statement that exists only if the settings are in force.
const GUARD: &str = "pgotter.guard";

impl Server {
    /// Queues what brings the server into the client's settings; nothing when it is in them already. The request must
    /// follow in the same write. `discards`: what others have drawn from sequences is forgotten as well.
    pub fn adopt(&mut self, wanted: &mut Arc<Settings>, discards: bool) {
        if !discards && self.belief.settings().is_some_and(|believed| Arc::ptr_eq(believed, wanted)) {
            self.belief.guard_unneeded();
            return;
        }
        let start = self.belief.start();
        let lacking = start.lacking(wanted);
        if !discards && lacking.is_empty() {
            self.belief.guard_unneeded();
            drop(lacking);
            *wanted = start.from;
            return;
        }
        let mut own = Own { out: BytesMut::with_capacity(512), sent: Vec::with_capacity(16) };
        own.put_made(&OPENS);
        own.begin(&start);
        if discards {
            own.statement("DISCARD SEQUENCES", &[]);
            self.forget_sequences();
        }
        own.way(start.anew, &lacking);
        own.put_made(&CLOSES);
        self.belief.guard_sent(wanted, &lacking);
        self.send_own(own, Hold);
        self.exchange.guard_sent();
    }

    /// As [`Server::adopt`], and the BEGIN of a client's block behind it, which is a guard of its own: if it fails, nothing of
    /// the request is run. It is prepared first, as its Sync behind the settings' guard would end what that guard skips; nothing
    /// but BEGIN may be executed in front of a request without a Sync (`exchange/tangle.rs`). `keeps_portal`: the client has bound
    /// it to the unnamed portal.
    pub fn adopt_and_begin(&mut self, wanted: &mut Arc<Settings>, discards: bool, text: &str, keeps_portal: bool) {
        let mut own = Own::default();
        own.put(kind::CLOSE, |out| frontend::close_statement(out, BEGIN));
        own.put(kind::PARSE, |out| frontend::parse(out, BEGIN, text));
        own.put(kind::SYNC, frontend::sync);
        self.send_own(own, Disposition::Swallow);
        self.adopt(wanted, discards);
        let mut own = Own::default();
        own.put(kind::BIND, |out| frontend::bind(out, "", BEGIN, &[]));
        own.put(kind::EXECUTE, |out| frontend::execute(out, ""));
        self.send_own(own, Disposition::Begin);
        if keeps_portal {
            return;
        }
        // The client has bound no portal yet.
        let mut own = Own::default();
        own.put(kind::CLOSE, |out| frontend::close_portal(out, ""));
        self.send_own(own, Disposition::Swallow);
    }

    /// Queues what undoes all that was set; says whether there is anything. Nobody sees the answers.
    pub(super) fn go_home(&mut self) -> bool {
        let (start, home) = (self.belief.start(), self.belief.home().clone());
        let lacking = start.lacking(&home);
        if lacking.is_empty() {
            return false;
        }
        let mut own = Own::default();
        own.begin(&start);
        own.way(start.anew, &lacking);
        own.put(kind::SYNC, frontend::sync);
        self.send_own(own, Disposition::Swallow);
        true
    }

    /// Queues messages of our own.
    pub(super) fn send_own(&mut self, own: Own, disposition: Disposition) {
        for message in own.sent {
            self.exchange.sending_own(message, disposition);
        }
        self.socket.queue(own.out);
    }
}

/// What opens a guard, and what closes it: made once.
static OPENS: LazyLock<Own> =
    LazyLock::new(|| Own::made(|own| own.put(kind::CLOSE, |out| frontend::close_statement(out, GUARD))));
static CLOSES: LazyLock<Own> = LazyLock::new(|| {
    Own::made(|own| {
        own.put(kind::PARSE, |out| frontend::parse(out, GUARD, ""));
        own.put(kind::SYNC, frontend::sync);
        own.put(kind::DESCRIBE, |out| frontend::describe_statement(out, GUARD));
    })
});

/// Messages of our own in the making.
#[derive(Default)]
pub(super) struct Own {
    out: BytesMut,
    sent: Vec<u8>,
}

impl Own {
    fn made(make: impl FnOnce(&mut Self)) -> Self {
        let mut own = Self::default();
        make(&mut own);
        own
    }

    fn put_made(&mut self, made: &Self) {
        self.sent.extend_from_slice(&made.sent);
        self.out.extend_from_slice(&made.out);
    }

    /// One message.
    pub fn put(&mut self, message: u8, write: impl FnOnce(&mut BytesMut)) {
        self.sent.push(message);
        write(&mut self.out);
    }

    /// Of a transaction that might wait for others', as the last client wanted its own to, or may have wanted.
    fn begin(&mut self, start: &Start) {
        if start.anew || start.from.own(b"default_transaction_deferrable").is_some() {
            self.statement("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", &[]);
        }
    }

    /// From where it is to where it lacks nothing.
    fn way(&mut self, anew: bool, lacking: &[Lack<'_>]) {
        if anew {
            self.statement("RESET ALL", &[]);
        }
        if !lacking.is_empty() {
            self.settings(lacking);
        }
    }

    /// Sets them in their order. What is not ASCII is in the client's encoding: that must be in force before PostgreSQL
    /// reads it.
    pub fn settings(&mut self, lacking: &[Lack<'_>]) {
        let is_plain = |(_, value): &Lack<'_>| value.is_none_or(<[u8]>::is_ascii);
        let encoding = lacking.iter().position(|(name, _)| name.eq_ignore_ascii_case(ENCODING));
        match encoding {
            Some(at) if !lacking.iter().all(is_plain) => {
                self.set_all(&lacking[at..=at]);
                self.set_all(&[&lacking[..at], &lacking[at + 1..]].concat());
            }
            _ => self.set_all(lacking),
        }
    }

    /// One statement for all of them: `select set_config($1, $2, false), set_config($3, null, false)` and so on.
    fn set_all(&mut self, lacking: &[Lack<'_>]) {
        let mut sql = String::with_capacity(SET_ONE.len() * (lacking.len() + 1));
        let mut parameters = Vec::with_capacity(2 * lacking.len());
        for (name, value) in lacking {
            sql.push_str(if parameters.is_empty() { "select " } else { ", " });
            sql.push_str("pg_catalog.set_config(");
            put_parameter(&mut sql, name, &mut parameters);
            sql.push_str(", ");
            match value {
                Some(value) => put_parameter(&mut sql, value, &mut parameters),
                None => sql.push_str("null"),
            }
            sql.push_str(", false)");
        }
        self.statement(&sql, &parameters);
    }

    /// Statements that touch nothing of their client's, and a Sync.
    pub fn apart<'a>(statements: impl Iterator<Item = (&'a str, &'a [&'a [u8]])>) -> Self {
        let mut own = Self::default();
        for (sql, parameters) in statements {
            own.leave_nothing();
            own.put(kind::PARSE, |out| frontend::parse(out, SET, sql));
            own.put(kind::BIND, |out| frontend::bind(out, SET, SET, parameters));
            own.put(kind::EXECUTE, |out| frontend::execute(out, SET));
        }
        own.leave_nothing();
        own.put(kind::SYNC, frontend::sync);
        own
    }

    fn leave_nothing(&mut self) {
        self.put(kind::CLOSE, |out| frontend::close_portal(out, SET));
        self.put(kind::CLOSE, |out| frontend::close_statement(out, SET));
    }

    fn statement(&mut self, sql: &str, parameters: &[&[u8]]) {
        self.put(kind::CLOSE, |out| frontend::close_statement(out, SET));
        self.put(kind::PARSE, |out| frontend::parse(out, SET, sql));
        self.put(kind::BIND, |out| frontend::bind(out, "", SET, parameters));
        self.put(kind::EXECUTE, |out| frontend::execute(out, ""));
    }
}

/// What sets one, and as long as what sets any.
const SET_ONE: &str = ", pg_catalog.set_config($1234, $1234, false)";

fn put_parameter<'a>(sql: &mut String, value: &'a [u8], parameters: &mut Vec<&'a [u8]>) {
    parameters.push(value);
    sql.push('$');
    // As `write!` does in many times as many steps. There are far fewer than 10,000: see `NAMES_MAX`.
    let number = parameters.len();
    let digits = [1_000, 100, 10, 1].into_iter().filter(|power| number >= *power);
    sql.extend(digits.map(|power| char::from(b"0123456789"[number / power % 10])));
}
