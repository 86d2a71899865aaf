//! Reads of a block that may write, before it does: with `transaction_reads = "replica_until_write"` each runs on a replica outside of the
//! block, in a transaction of its own, and no server is held between them. The first statement that is no such read begins the block
//! on the primary (`client/block.rs`), where it stays.
//!
//! At READ COMMITTED a statement has a snapshot of its own in either case. What tells the difference is kept out: reads that ask when their
//! transaction began or leave something in it (portals) are not plain, the client is told that it is in a block, and an error fails that.
//! What is left are the locks on tables that a read takes: they end with it.

use super::between::Request;
use super::block::{Block as Begun, Said};
use super::connection::Client;
use super::texts::{begins_with_end, end_of_first};
use super::wanted::texts;
use crate::clock::Instant;
use crate::fault::{Blame, Fault, SqlState};
use crate::router::Block;
use crate::sql::{Begin, Facts, Isolation, Value, Verb, Verdict, is_now, says_now};
use crate::wire::backend;
use crate::wire::bind::Bind;
use crate::wire::frame::{self, HEAD, take_cstr};
use crate::wire::frontend::{self, kind};
use bytes::BytesMut;

impl Client {
    /// What the block that has been answered and has no server is to the router, for this request in it.
    pub(super) fn around(&self, begun: &Begun, request: &Request, verdict: Verdict) -> Block {
        if self.rules.max_prepared_statements == 0 {
            // What is bound in it is not judged again.
            return Block::Other;
        }
        let facts = self.read(begun.begin.as_bytes(), self.own_readings());
        let Some(Verb::Begin(begin)) = facts.statements.only().map(|only| &only.verb) else { return Block::Other };
        let only_reads =
            || self.settings.get(b"default_transaction_read_only").is_some_and(|set| set.eq_ignore_ascii_case(b"on"));
        match begin.read_only.unwrap_or_else(only_reads) {
            true if begin.isolation != Some(Isolation::Serializable) => Block::ReadOnly,
            false if verdict == Verdict::Read && self.reads_apart(begin) && self.stands_apart(request) => Block::Apart,
            _ => Block::Other,
        }
    }

    /// Whether plain reads of such a block run outside of it. Not for a client that listens: between two transactions it would be told. Nor for one
    /// whose tables may be in another entry: a block is in one.
    fn reads_apart(&self, begin: &Begin) -> bool {
        let Some(watch) = self.shape.watch.as_ref().filter(|watch| watch.reads_before_writes()) else { return false };
        let default = || match self.settings.get(b"default_transaction_isolation") {
            Some(set) => Isolation::named(set),
            None => self.shape.lanes.get(watch.view().primary?)?.isolation(),
        };
        let isolation = begin.isolation.or_else(default);
        isolation.is_some_and(Isolation::is_by_statement)
            && begin.deferrable != Some(true)
            && self.listening.is_none()
            && self.elsewhere.is_none()
    }

    /// Whether a whole request means the same outside of its block: nothing of it asks for the block's time, and no portal is left. It is
    /// known to read.
    fn stands_apart(&self, request: &Request) -> bool {
        let mut bound = false;
        frame::all(&request.bytes).all(|(kind, mut body)| match kind {
            kind::QUERY => take_cstr(&mut body).is_some_and(|text| self.is_timeless(text)),
            kind::PARSE => {
                take_cstr(&mut body).zip(take_cstr(&mut body)).is_some_and(|(_, text)| self.is_timeless(text))
            }
            kind::BIND => {
                !std::mem::replace(&mut bound, true)
                    && Bind::read(body).is_some_and(|bind| {
                        bind.portal.is_empty()
                            && self.is_timeless_statement(bind.statement)
                            && !bind.values.into_iter().flatten().any(is_now)
                    })
            }
            // All of its rows.
            kind::EXECUTE => std::mem::take(&mut bound) && body == [0; 5],
            kind::DESCRIBE | kind::CLOSE => body.first() == Some(&b'S') || body == b"P\0",
            kind::SYNC => !bound,
            _ => false,
        })
    }

    /// Of a statement that was prepared in an earlier request. One that is parsed in the same is looked at there.
    fn is_timeless_statement(&self, name: &[u8]) -> bool {
        let Some(statement) = self.statements.as_ref().and_then(|statements| statements.get(name)) else { return true };
        let Some(text) = statement.text() else { return false };
        statement.readings().only(text) == Some(self.settings.reading()) && self.is_timeless(text)
    }

    fn is_timeless(&self, text: &[u8]) -> bool {
        let reading = self.settings.reading();
        !says_now(text, reading) && !self.pool.catalog().read(text, reading).asks_transaction()
    }

    /// Whether the request at hand runs outside of the block around it, which goes on.
    pub(super) fn is_apart(&self) -> bool {
        self.block.is_some() && self.route.as_ref().is_some_and(|route| route.is_apart())
    }

    /// Whether a request runs or parses something: PostgreSQL takes a snapshot for no other.
    pub(super) fn takes_snapshot(&self, request: &Request) -> bool {
        frame::all(&request.bytes).any(|(kind, body)| match kind {
            kind::QUERY => {
                let text = body.strip_suffix(b"\0").unwrap_or(body);
                let facts = self.read(text, self.own_readings());
                facts.unsure.is_some() || !facts.statements.is_empty()
            }
            kind::PARSE | kind::BIND => true,
            _ => false,
        })
    }

    /// The block that is to be begun in front of the request at hand.
    pub(super) fn block_to_begin(&mut self) -> Option<Box<Begun>> {
        let apart = self.is_apart();
        let reads = self.route.as_ref().is_some_and(|route| route.reads);
        let block = self.block.as_mut()?;
        if apart {
            if reads {
                block.read_since.get_or_insert(self.now);
            }
            // What is read has put another in its place.
            block.portal = false;
        }
        let read_since = block.read_since;
        if let Some(route) = &mut self.route {
            route.read_since = read_since;
        }
        if apart {
            return None;
        }
        if read_since.is_some() {
            self.meter.promoted(self.planned().kind());
        }
        self.block.take()
    }

    /// Whether the client is in a block that has no server, and has read in it.
    pub(super) fn has_read_in_block(&self) -> bool {
        self.block.as_ref().is_some_and(|block| block.read_since.is_some())
    }

    /// When the block at hand has to be over that has read and has no server.
    pub(super) fn end_of_block(&self) -> Option<Instant> {
        let since = self.block.as_ref()?.read_since?;
        since.checked_add(self.shape.settings.transaction_timeout?)
    }

    /// Why a request is not run: its block has read, and PostgreSQL would not let it say any more how. There it would be the first one.
    ///
    /// Source: `check_transaction_isolation` and `check_transaction_deferrable` in PostgreSQL's `src/backend/commands/variable.c`.
    pub(super) fn comes_too_late(&self, request: &Request) -> Option<Fault> {
        if !self.has_read_in_block() {
            return None;
        }
        let runs = frame::all(&request.bytes).any(|(kind, _)| matches!(kind, kind::QUERY | kind::BIND));
        let is_late = |text: &[u8]| says_how_to_read(&self.read(text, self.own_readings()));
        let late = runs && texts(self, &request.bytes).any(is_late);
        let message = "SET TRANSACTION ISOLATION LEVEL must be called before any query";
        late.then(|| Fault::error(Blame::Client, SqlState::ACTIVE_SQL_TRANSACTION, message))
    }

    /// What a text says that ends a block without a server in which something was read or has failed, whatever comments it has.
    pub(super) fn ends_block(&self, text: &[u8]) -> Option<Said> {
        let block = self.block.as_ref()?;
        // In a failed block nothing else is run, and nothing else is looked at.
        let looks = block.is_failed() || block.read_since.is_some() && text.len() <= ENDS_MAX;
        if !looks {
            return None;
        }
        let facts = self.read(text, self.own_readings());
        match facts.statements.only().filter(|_| facts.unsure.is_none())?.verb {
            Verb::Commit { chain: false } => Some(Said::Commit),
            Verb::Rollback { chain: false } => Some(Said::Rollback),
            Verb::Commit { chain: true } | Verb::Rollback { chain: true } if block.is_failed() => Some(Said::Chain),
            _ => None,
        }
    }

    /// A Query that begins with the end of a failed block and goes on: the client is told of the end, and the rest is run.
    pub(super) fn run_behind_end(&mut self, request: &mut Request) {
        if !self.block.as_ref().is_some_and(|block| block.is_failed()) || request.end != Some(kind::QUERY) {
            return;
        }
        let Some(text) = frame::first(&request.bytes).and_then(|(_, body, _)| body.strip_suffix(b"\0")) else {
            return;
        };
        let (readings, facts) = (self.own_readings(), self.read(text, self.own_readings()));
        let chain = match facts.statements.get(0).filter(|_| begins_with_end(&facts)).map(|first| &first.verb) {
            Some(Verb::Commit { chain } | Verb::Rollback { chain }) => *chain,
            _ => return,
        };
        let Some(reading) = readings.only(text) else { return };
        let rest = text.get(end_of_first(text, reading)..).unwrap_or_default().to_vec();
        if chain {
            self.chain_failed_block(false)
        } else {
            self.end_failed_block()
        }
        let mut told = BytesMut::new();
        backend::command_complete(&mut told, b"ROLLBACK");
        self.socket.queue(told);
        request.bytes = BytesMut::new();
        frontend::message(&mut request.bytes, kind::QUERY, |out| frontend::put_cstr(out, &rest));
    }

    /// A request that begins with Close in a failed block: that is done, as PostgreSQL does it there, and the rest is what there is to run. Whether there is none.
    pub(super) fn close_in_failed(&mut self, request: &mut Request) -> bool {
        let failed = self.block.as_ref().is_some_and(|block| block.is_failed());
        if !failed || request.first != kind::CLOSE || request.end.is_none() || self.rules.max_prepared_statements == 0 {
            return false;
        }
        let mut told = BytesMut::new();
        while let Some((kind::CLOSE, body, total)) = frame::first(&request.bytes) {
            let Some((what @ (b'S' | b'P'), name)) =
                body.split_first().and_then(|(what, rest)| Some((*what, rest.strip_suffix(b"\0")?)))
            else {
                break;
            };
            if what == b'S'
                && let Some(statements) = &mut self.statements
            {
                statements.put(name, None);
            }
            backend::empty(&mut told, backend::kind::CLOSE_COMPLETE);
            _ = request.bytes.split_to(total);
        }
        self.socket.queue(told);
        let Some(next) = request.bytes.first() else { return true };
        request.first = *next;
        let is_end = request.bytes.len() == HEAD && matches!(request.first, kind::SYNC | kind::FLUSH);
        if is_end && request.first == kind::SYNC {
            self.tell_ready();
        }
        is_end
    }

    /// Whether its transactions are serializable without a word, as the client has set it, or as its servers come. A standby whose
    /// sessions come so cannot be brought into a client's settings.
    pub(super) fn is_serializable(&self) -> bool {
        self.settings.is_serializable() || self.shape.lanes.iter().any(|lane| lane.is_serializable())
    }
}

/// A longer text ends no block here that has not failed.
const ENDS_MAX: usize = 512;

/// Whether a text says how the transaction around it is to read: another isolation level than that of each statement, a snapshot, DEFERRABLE.
/// What stands behind an end of that says it of another.
fn says_how_to_read(facts: &Facts) -> bool {
    let of_modes = |modes: &Begin| {
        modes.deferrable.is_some() || modes.isolation.is_some_and(|isolation| !isolation.is_by_statement())
    };
    let ends = |verb: &Verb| matches!(verb, Verb::Commit { .. } | Verb::Rollback { .. } | Verb::PrepareTransaction);
    facts.statements.iter().take_while(|statement| !ends(&statement.verb)).any(|statement| match &statement.verb {
        Verb::SetTransaction(modes) | Verb::Begin(modes) => of_modes(modes),
        _ => statement.settings().iter().any(|setting| match (&*setting.name, &setting.value) {
            (b"transaction_deferrable", _) => true,
            (b"transaction_isolation", Value::Literal(level)) => {
                !Isolation::named(level).is_some_and(Isolation::is_by_statement)
            }
            _ => false,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Plain, Reading, read};

    #[test]
    fn a_text_says_how_to_read_or_something_else() {
        let says = |text: &str| says_how_to_read(&read(text.as_bytes(), Reading::default(), &Plain));
        for text in [
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "set transaction isolation level repeatable read, read only",
            "SET TRANSACTION SNAPSHOT '00000003-0000001B-1'",
            "SET TRANSACTION NOT DEFERRABLE",
            "SET transaction_isolation = 'repeatable read'",
            "SET LOCAL transaction_deferrable = on",
            "SELECT set_config('transaction_isolation', 'serializable', true)",
            "SET LOCAL TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SET TRANSACTION /* , */ ISOLATION LEVEL SERIALIZABLE; SET CONSTRAINTS ALL DEFERRED",
            "BEGIN ISOLATION LEVEL SERIALIZABLE",
            "START TRANSACTION READ ONLY, DEFERRABLE",
            "SAVEPOINT a; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        ] {
            assert!(says(text), "{text}");
        }
        for text in [
            "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
            "SET TRANSACTION READ ONLY",
            "SET CONSTRAINTS snapshot DEFERRED",
            "SET transaction_isolation = 'read committed'",
            "SET work_mem = '1MB'",
            "SELECT 'serializable'",
            "SET TRANSACTION READ ONLY /* not serializable */",
            "SET TRANSACTION READ ONLY; SELECT 'deferrable'",
            "SET CONSTRAINTS ALL DEFERRED",
            "BEGIN",
            "BEGIN ISOLATION LEVEL READ COMMITTED",
            "COMMIT; BEGIN ISOLATION LEVEL SERIALIZABLE",
            "ROLLBACK; SET TRANSACTION DEFERRABLE",
        ] {
            assert!(!says(text), "{text}");
        }
    }
}
