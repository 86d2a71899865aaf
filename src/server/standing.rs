//! Whether PostgreSQL would still let a server's role in. A connection that is open stays open whatever becomes of its
//! role; the next client must not profit from that.

use super::connection::{Nowhere, Server};
use super::exchange::Outlet;
use super::reply_queue::Disposition::Forward;
use crate::wire::backend::{error_field, kind};
use crate::wire::{frame, frontend};
use bytes::{Buf, BytesMut};

/// The role that logged in, whatever a client has made of the current one. A client that bends search_path bends the
/// answer for its own role alone.
const QUESTION: &str = "SELECT rolcanlogin AND (rolvaliduntil IS NULL OR rolvaliduntil > pg_catalog.now()) \
                        FROM pg_catalog.pg_roles WHERE rolname = SESSION_USER";

/// No answer to it is longer.
const ANSWER: usize = 8 * 1024;

/// Asks an idle server. True also where the answer cannot be understood: then the role is only not known to be barred.
/// None: the server is dead. No deadline of its own.
pub async fn may_log_in(server: &mut Server) -> Option<bool> {
    if server.belief.is_somebody_else() {
        // It would speak of a role that a client has taken on.
        return Some(true);
    }
    let mut out = BytesMut::new();
    frontend::query(&mut out, QUESTION);
    server.exchange.sending_own(frontend::kind::QUERY, Forward);
    server.socket.queue(out);
    Some(is_fine(hear_answer(server, ANSWER).await?))
}

/// What comes until nothing is owed, `most` bytes of it. `None`: the server is dead, or says more.
pub(super) async fn hear_answer(server: &mut Server, most: usize) -> Option<BytesMut> {
    let mut heard = BytesMut::new();
    while server.exchange.owes() {
        server.socket.flush().await.ok()?;
        server.socket.recv().await.ok()?;
        let mut out = Heard { heard: &mut heard, rest: Nowhere { belief: &mut server.belief, passed: false } };
        server.exchange.receive(server.socket.inbox(), &mut out).ok()?;
        if server.exchange.said_fatal() || heard.len() > most {
            return None;
        }
    }
    server.boundary()?;
    Some(heard)
}

fn is_fine(mut heard: BytesMut) -> bool {
    let mut rows = 0;
    while let Some((message, body, total)) = frame::first(&heard) {
        match message {
            // One column, one byte.
            kind::DATA_ROW if body == b"\0\x01\0\0\0\x01f" => return false,
            kind::DATA_ROW => rows += 1,
            // What is not allowed, or takes too long, says nothing of the role, unless it is that there is none.
            kind::ERROR_RESPONSE => return error_field(body, b'C') != Some(b"42704"),
            _ => (),
        }
        heard.advance(total);
    }
    rows > 0
}

struct Heard<'a> {
    heard: &'a mut BytesMut,
    rest: Nowhere<'a>,
}

impl Outlet for Heard<'_> {
    fn pass(&mut self, chunk: BytesMut) {
        self.heard.extend_from_slice(&chunk);
    }

    fn parameter(&mut self, name: &[u8], value: &[u8]) -> bool {
        self.rest.parameter(name, value)
    }

    fn guard_done(&mut self) {
        self.rest.guard_done();
    }
}

#[cfg(test)]
mod tests;
