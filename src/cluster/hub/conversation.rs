//! What a hub says to PostgreSQL and hears from it: simple queries in a pipeline, each answered in its turn.

use super::Channel;
use super::book::Book;
use crate::fault::{Blame, Fault, SqlState};
use crate::pool::{Heard, Mailbox, Ticket};
use crate::server::Server;
use crate::wire::backend::{self, kind};
use crate::wire::frame::{self, Head};
use crate::wire::frontend;
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::Arc;

/// No message to a hub is longer: a notification has 8,000 bytes of payload at most.
const LONGEST: usize = 64 * 1024;

/// The connection, and what has been asked on it.
pub struct Conversation {
    pub server: Box<Server>,
    asked: VecDeque<Asked>,
    // Of those, how many wait in the socket since the last flush.
    fresh: bool,
}

/// One query under way.
#[derive(Default)]
struct Asked {
    // Channels that it begins to listen to.
    listens: Vec<Channel>,
    answer_to: Vec<(Arc<Mailbox>, Ticket)>,
    failed: Option<Arc<Fault>>,
}

/// Why a conversation is over.
pub struct Over(pub String);

impl Conversation {
    pub fn new(server: Box<Server>) -> Self {
        Self { server, asked: VecDeque::new(), fresh: false }
    }

    /// Queues the statements that bring PostgreSQL to what the book says, and an answer for `who` behind them.
    pub fn say(&mut self, listens: Vec<Channel>, unlistens: &[Channel], who: Option<(Arc<Mailbox>, Ticket)>) {
        if listens.is_empty() && unlistens.is_empty() {
            let Some(who) = who else { return };
            match self.asked.back_mut() {
                // It has not been sent yet, so it is answered behind all that is committed now. A LISTEN may fail, which is its own asker's matter.
                Some(last) if self.fresh && last.listens.is_empty() => last.answer_to.push(who),
                // An empty query: PostgreSQL passes on what it has heard before it is ready again.
                _ => self.ask(b"", Asked { answer_to: vec![who], ..Asked::default() }),
            }
            return;
        }
        let mut sql = Vec::new();
        listens.iter().for_each(|channel| statement(&mut sql, b"LISTEN ", channel));
        unlistens.iter().for_each(|channel| statement(&mut sql, b"UNLISTEN ", channel));
        self.ask(&sql, Asked { listens, answer_to: who.into_iter().collect(), failed: None });
    }

    fn ask(&mut self, sql: &[u8], asked: Asked) {
        let mut out = BytesMut::new();
        frontend::message(&mut out, frontend::kind::QUERY, |out| frontend::put_cstr(out, sql));
        self.server.socket().queue(out);
        self.asked.push_back(asked);
        self.fresh = true;
    }

    /// What was queued is on its way.
    pub fn flushed(&mut self) {
        self.fresh = false;
    }

    /// Takes in what has come.
    ///
    /// # Errors
    /// [`Over`]: PostgreSQL ends the connection, or does not speak as PostgreSQL does.
    pub fn hear(&mut self, book: &mut Book) -> Result<(), Over> {
        loop {
            let received = self.server.socket().received();
            let Some(head) = Head::read(received) else { return Ok(()) };
            let total = head.frame_len().filter(|total| *total <= LONGEST);
            let total = total.ok_or_else(|| Over("a message of impossible length".to_owned()))?;
            let Some((kind, body, _)) = frame::first(received) else { return Ok(()) };
            match kind {
                kind::NOTIFICATION_RESPONSE => book.hear(&Bytes::copy_from_slice(&received[..total])),
                kind::ERROR_RESPONSE if backend::is_fatal(body) => return Err(Over(words(body))),
                kind::ERROR_RESPONSE => {
                    let fault = Arc::new(refusal(body));
                    if let Some(asked) = self.asked.front_mut() {
                        asked.failed = Some(fault);
                    }
                }
                kind::READY_FOR_QUERY => {
                    let asked = self.asked.pop_front();
                    asked.ok_or_else(|| Over("an answer that nothing asked for".to_owned()))?.answer(book);
                }
                _ => (),
            }
            self.server.socket().inbox().advance(total);
        }
    }

    /// Those whose answer will not come.
    pub fn unanswered(&mut self) -> impl Iterator<Item = Arc<Mailbox>> {
        self.asked.drain(..).flat_map(|asked| asked.answer_to).map(|(mailbox, _)| mailbox)
    }
}

impl Asked {
    fn answer(self, book: &mut Book) {
        let Some(fault) = self.failed else {
            for (mailbox, ticket) in self.answer_to {
                mailbox.put(|mail| mail.hear(Heard::Done(ticket)));
            }
            return;
        };
        for channel in &self.listens {
            // Others who have joined were told that they listen, or will be.
            for (_, mailbox) in book.give_up(channel) {
                if !self.answer_to.iter().any(|(asker, _)| Arc::ptr_eq(asker, &mailbox)) {
                    super::book::lose(&mailbox);
                }
            }
        }
        for (mailbox, ticket) in self.answer_to {
            mailbox.put(|mail| mail.hear(Heard::Failed(ticket, fault.clone())));
        }
    }
}

/// A quote inside a name is doubled. In none of PostgreSQL's encodings is it half of another character.
fn statement(sql: &mut Vec<u8>, verb: &[u8], channel: &[u8]) {
    sql.extend_from_slice(verb);
    sql.push(b'"');
    for &byte in channel {
        if byte == b'"' {
            sql.push(b'"');
        }
        sql.push(byte);
    }
    sql.extend_from_slice(b"\";");
}

fn words(body: &[u8]) -> String {
    String::from_utf8_lossy(backend::error_field(body, b'M').unwrap_or_default()).into_owned()
}

fn refusal(body: &[u8]) -> Fault {
    let code = SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE;
    Fault::error(Blame::Server, code, format!("cannot listen: {}", words(body)))
}
