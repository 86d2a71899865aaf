//! A question of PgOtter's own to a server, in place of its client: one Query and its rows at a boundary, or statements that stand
//! apart from what the client does.

use super::connection::Server;
use super::exchange::{Outlet, Say};
use super::guard::Own;
use super::outlets::Nowhere;
use super::reply_queue::Disposition::Forward;
use crate::session::Effect;
use crate::wire::backend::{Status, error_field, kind};
use crate::wire::frame::{first, take_i32};
use crate::wire::frontend;
use bytes::{Buf, BytesMut};

/// Columns of one row; `None` is NULL.
pub type Row = Vec<Option<Box<[u8]>>>;

/// What came back.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The rows of all statements of the Query, in order.
    pub rows: Vec<Row>,
    /// SQLSTATE of the first error.
    pub error: Option<Box<[u8]>>,
    /// What the server was notified of meanwhile, as it came: for the client, if the server listens for it.
    pub notifications: BytesMut,
}

/// One statement, and what stands for its parameters.
pub type Asked<'a> = (String, Vec<&'a [u8]>);

/// Asks a server that owes nothing. An answer of more than `limit` bytes is none. `None`: the server is dead, or not at a
/// boundary behind it, and can only be closed. No deadline of its own.
pub async fn ask(server: &mut Server, sql: &str, limit: usize) -> Option<Answer> {
    let mut out = BytesMut::new();
    frontend::query(&mut out, sql);
    server.exchange.sending_own(frontend::kind::QUERY, Forward);
    // As any Query does.
    server.statements.put_unnamed(None);
    server.socket.queue(out);
    let answer = read(hear_answer(server, limit).await?);
    server.exchange.forget_own_answer();
    server.boundary()?;
    Some(answer)
}

/// Asks in the middle of what a client does, which goes on as if nothing had been asked: in its block, if there is one, it is done in
/// a subtransaction, so that an error undoes that alone; the unnamed statement and the unnamed portal are not touched. Outside a block
/// all of it is one transaction. Else as [`ask`].
pub async fn ask_apart(server: &mut Server, all: &[Asked<'_>], limit: usize) -> Option<Answer> {
    const SAVE: &str = "SAVEPOINT \"pgotter.apart\"";
    const KEEP: &str = "RELEASE \"pgotter.apart\"";
    const UNDO: [&str; 2] = ["ROLLBACK TO \"pgotter.apart\"", KEEP];
    let in_block = server.exchange.status() == Status::InTransaction;
    let around = |sql| Some((sql, &[][..])).filter(|_| in_block).into_iter();
    let statements = all.iter().map(|(sql, parameters)| (&**sql, &**parameters));
    server.send_own(Own::apart(around(SAVE).chain(statements).chain(around(KEEP))), Forward);
    let answer = read(hear_answer(server, limit).await?);
    if in_block && server.exchange.status() == Status::Failed {
        server.send_own(Own::apart(UNDO.into_iter().flat_map(around)), Forward);
        hear_answer(server, limit).await?;
    }
    server.exchange.forget_own_answer();
    let goes_on = in_block == (server.exchange.status() == Status::InTransaction);
    goes_on.then_some(answer)
}

/// What comes until nothing is owed, and of a notification behind that the rest; `limit` bytes of it. `None`: the server is dead, or
/// says more.
pub(super) async fn hear_answer(server: &mut Server, limit: usize) -> Option<BytesMut> {
    let mut heard = BytesMut::new();
    while server.exchange.owes() || server.exchange.cut_incoming() {
        server.socket.flush().await.ok()?;
        server.socket.recv().await.ok()?;
        let rest = Nowhere { belief: &mut server.belief, statements: &mut server.statements, passed: false };
        let mut out = Heard { heard: &mut heard, rest };
        server.exchange.receive(server.socket.inbox(), &mut out).ok()?;
        if server.exchange.said_fatal() || heard.len() > limit {
            return None;
        }
    }
    Some(heard)
}

fn read(mut heard: BytesMut) -> Answer {
    let mut answer = Answer::default();
    while let Some((message, body, total)) = first(&heard) {
        match message {
            kind::DATA_ROW => answer.rows.push(row(body).unwrap_or_default()),
            kind::ERROR_RESPONSE if answer.error.is_none() => {
                answer.error = Some(error_field(body, b'C').unwrap_or_default().into());
            }
            kind::NOTIFICATION_RESPONSE => answer.notifications.extend_from_slice(&heard[..total]),
            _ => (),
        }
        heard.advance(total);
    }
    answer
}

fn row(body: &[u8]) -> Option<Row> {
    let mut rest = body.get(2..)?;
    let mut row = Row::new();
    while !rest.is_empty() {
        let value = match usize::try_from(take_i32(&mut rest)?) {
            Ok(length) => {
                let (value, behind) = rest.split_at_checked(length)?;
                rest = behind;
                Some(value.into())
            }
            Err(_) => None,
        };
        row.push(value);
    }
    Some(row)
}

struct Heard<'a> {
    heard: &'a mut BytesMut,
    rest: Nowhere<'a>,
}

impl Outlet for Heard<'_> {
    fn pass(&mut self, chunk: BytesMut) {
        self.heard.extend_from_slice(&chunk);
    }

    fn parameter(&mut self, name: &[u8], value: &[u8]) -> Say {
        self.rest.parameter(name, value)
    }

    fn take_back(&mut self, effect: Effect, failed: bool) {
        self.rest.take_back(effect, failed);
    }

    fn guard_done(&mut self) {
        self.rest.guard_done();
    }
}

#[cfg(test)]
mod tests {
    //! What answers say.

    use super::*;
    use crate::fault::{Blame, Fault, SqlState};
    use crate::wire::backend;

    #[test]
    fn rows_and_the_first_error_are_read() {
        let mut heard = BytesMut::new();
        frontend::message(&mut heard, kind::DATA_ROW, |out| {
            out.extend_from_slice(b"\0\x03\0\0\0\x02ab\xff\xff\xff\xff\0\0\0\0");
        });
        for code in ["42704", "XX000"] {
            backend::error_response(&mut heard, &Fault::error(Blame::Server, SqlState(code), "no"));
        }
        let value = |text: &[u8]| Some(Box::from(text));
        let rows = vec![vec![value(b"ab"), None, value(b"")]];
        let expected = Answer { rows, error: value(b"42704"), ..Answer::default() };
        assert_eq!(read(heard), expected);
    }

    #[test]
    fn a_row_that_breaks_off_says_nothing() {
        assert_eq!(row(b"\0\x01\0\0\0\x05ab"), None);
        assert_eq!(row(b"\0"), None);
    }
}
