//! A client that sends statements in each form of the protocol, and notes how long it waits for each answer. What it does between its
//! statements takes time, too, and is nobody's.

use super::book::Book;
use super::bursts::Bursts;
use super::clock::Clock;
use super::server::Scripted;
use crate::support::raw::{
    Raw, bind, copy_data, copy_done, error_code, execute, flush, message, parse, print, query, sync,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub const ALL: [Form; 13] = [
    Form::Simple,
    Form::Multi,
    Form::Unnamed,
    Form::Prepared,
    Form::Flushed,
    Form::Burst,
    Form::BurstFlushed,
    Form::CopyIn,
    Form::CopyOut,
    Form::Error,
    Form::ErrorExtended,
    Form::Block,
    Form::Suspended,
];

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    Simple,
    /// Two in one string.
    Multi,
    /// Parse, Bind, Execute, Sync.
    Unnamed,
    Prepared,
    /// A pipeline whose client reads each answer, thanks to its Flush.
    Flushed,
    /// Three Executes and a Sync.
    Burst,
    /// Three Executes and a Flush; their Sync comes later.
    BurstFlushed,
    CopyIn,
    CopyOut,
    Error,
    ErrorExtended,
    /// Three in a transaction, with time between them.
    Block,
    /// A portal that is fetched from in two parts.
    Suspended,
}

impl Form {
    pub fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Multi => "multi",
            Self::Unnamed => "unnamed",
            Self::Prepared => "prepared",
            Self::Flushed => "flushed",
            Self::Burst => "burst",
            Self::BurstFlushed => "burstflushed",
            Self::CopyIn => "copyin",
            Self::CopyOut => "copyout",
            Self::Error => "error",
            Self::ErrorExtended => "errorextended",
            Self::Block => "block",
            Self::Suspended => "suspended",
        }
    }

    /// How many calls one [`Talker::talk`] is.
    pub fn calls(self) -> usize {
        if matches!(self, Self::Flushed | Self::Burst | Self::BurstFlushed | Self::Block) { 3 } else { 1 }
    }
}

pub struct Talker {
    raw: Raw,
    clock: Arc<Clock>,
    book: Arc<Book>,
    bursts: Arc<Bursts>,
    number: usize,
    think: Duration,
    prepared: Vec<String>,
}

impl Talker {
    /// `think` is what it does between the statements of a transaction, and before it sends the data of a COPY.
    pub fn new(port: u16, server: &Scripted, think: Duration) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let (raw, number) = (Raw::log_in(port, &[]), NUMBER.fetch_add(1, Ordering::Relaxed));
        let Scripted { clock, book, bursts, .. } = server;
        let (clock, book, bursts) = (clock.clone(), book.clone(), bursts.clone());
        Self { raw, clock, book, bursts, number, think, prepared: Vec::new() }
    }

    /// Has a statement of this table run, or as many as belong to the form, which takes so many microseconds each.
    pub fn talk(&mut self, form: Form, table: &str, us: u64) {
        let sql = format!("select 1 from {table} where us = {us}");
        let with_parameter = format!("select 1 from {table} where us = $1");
        let value = us.to_string();
        let bound = |portal: &str, statement: &str| bind(portal, statement, &[value.as_bytes()]);
        match form {
            Form::Simple => self.one(table, &query(&sql), 1),
            Form::Multi => {
                let (one, other) = (us / 3, us - us / 3);
                let both = format!("select 1 from {table} where us = {one}; select 1 from {table} where us = {other}");
                self.one(table, &query(&both), 2);
            }
            Form::Unnamed => {
                let request = [parse("", &with_parameter), bound("", ""), execute("", 0), sync()].concat();
                self.one(table, &request, 1);
            }
            Form::Prepared => {
                if !self.prepared.iter().any(|known| known == table) {
                    self.raw.send(&[parse(table, &with_parameter), sync()].concat());
                    self.raw.until_ready();
                    self.prepared.push(table.to_owned());
                }
                self.one(table, &[bound("", table), execute("", 0), sync()].concat(), 1);
            }
            Form::Flushed => {
                let begin = parse("", &with_parameter);
                for begin in [&begin[..], b"", b""] {
                    self.timed(table, &[begin, &bound("", ""), &execute("", 0), &flush()].concat(), b'C');
                    self.count(table, 0, 1);
                    self.clock.pass(self.think);
                }
                self.raw.send(&sync());
                self.raw.until_ready();
            }
            Form::Burst => self.burst(table, &parse("", &with_parameter), &bound, &sync()),
            Form::BurstFlushed => {
                self.burst(table, &parse("", &with_parameter), &bound, &flush());
                self.clock.pass(self.think);
                self.raw.send(&sync());
                self.raw.until_ready();
            }
            Form::CopyIn => self.copy_in(table, us),
            Form::CopyOut => self.one(table, &query(&format!("copy {table} to stdout /* us = {us} */")), 3),
            Form::Error => self.failing(table, &query(&sql)),
            Form::ErrorExtended => {
                self.failing(table, &[parse("", &with_parameter), bound("", ""), execute("", 0), sync()].concat());
            }
            Form::Block => {
                self.raw.ask("begin");
                for _ in 0..3 {
                    self.clock.pass(self.think);
                    self.one(table, &query(&sql), 1);
                }
                self.clock.pass(self.think);
                self.raw.ask("commit");
            }
            Form::Suspended => self.suspended(table, &[parse("", &with_parameter), bound("p", "")].concat()),
        }
    }

    /// One request, which is one call.
    fn one(&mut self, table: &str, request: &[u8], rows: u64) {
        self.timed(table, request, b'Z');
        self.count(table, 0, rows);
    }

    fn failing(&mut self, table: &str, request: &[u8]) {
        let since = self.clock.now();
        self.raw.send(request);
        let frames = self.raw.until_ready();
        self.note(table, since);
        assert_eq!(error_code(&frames).as_deref(), Some("22012"), "{}", print(&frames));
        self.count(table, 1, 0);
    }

    /// Three at once, of which it is told what they took together; or of each, if the server has said when it had done it.
    fn burst(&mut self, table: &str, begin: &[u8], bound: &dyn Fn(&str, &str) -> Vec<u8>, end: &[u8]) {
        let client = self.number.to_string();
        let one = |at: usize| {
            let portal = format!("{client}_{at}");
            [bound(&portal, ""), execute(&portal, 0)].concat()
        };
        let request = [begin, &one(0), &one(1), &one(2), end].concat();
        self.bursts.begin(&client);
        let since = self.clock.now();
        self.raw.send(&request);
        let (mut frames, mut heard) = (Vec::new(), [since; 3]);
        for at in &mut heard {
            frames.extend(self.raw.until(b'C'));
            *at = self.clock.now();
            self.bursts.heard(&client);
        }
        if end == sync() {
            frames.extend(self.raw.until_ready());
            heard[2] = self.clock.now();
        }
        assert!(error_code(&frames).is_none(), "{}", print(&frames));
        let flushed = self.bursts.end(&client);
        if flushed.is_empty() {
            self.note("pipeline", since);
        }
        for (at, _) in heard.iter().enumerate().filter(|_| !flushed.is_empty()) {
            // PgOtter has heard of the one before not earlier than that was said.
            let begun = at.checked_sub(1).map_or(since, |before| flushed[before]);
            self.book.with(table, |times| times.client.push(heard[at] - begun));
        }
        (0..3).for_each(|_| self.count(table, 0, 1));
    }

    fn copy_in(&mut self, table: &str, us: u64) {
        let since = self.clock.now();
        self.raw.send(&query(&format!("copy {table} from stdin /* us = {us} */")));
        self.raw.until(b'G');
        let until_ready = self.clock.now() - since;
        self.clock.pass(self.think);
        let since = self.clock.now();
        self.raw.send(&copy_data("a line\n"));
        let with_line = self.clock.now() - since;
        self.clock.pass(self.think);
        let since = self.clock.now();
        self.raw.send(&[copy_data("another\n"), copy_done()].concat());
        let frames = self.raw.until_ready();
        assert!(error_code(&frames).is_none(), "{}", print(&frames));
        let took = until_ready + with_line + (self.clock.now() - since);
        self.book.with(table, |times| times.client.push(took));
        self.count(table, 0, 2);
    }

    fn suspended(&mut self, table: &str, begin: &[u8]) {
        self.raw.ask("begin");
        self.timed(table, &[begin, &execute("p", 1), &sync()].concat(), b'Z');
        self.count(table, 0, 2);
        self.clock.pass(self.think);
        let since = self.clock.now();
        self.raw.send(&[execute("p", 1), sync()].concat());
        self.raw.until_ready();
        let took = self.clock.now() - since;
        self.book.with(table, |times| times.client_more += took);
        self.raw.ask("commit");
    }

    fn timed(&mut self, table: &str, request: &[u8], last: u8) {
        let since = self.clock.now();
        self.raw.send(request);
        let frames = self.raw.until(last);
        self.note(table, since);
        assert!(
            error_code(&frames).is_none() && frames.last().is_some_and(|frame| frame.kind == last),
            "{}",
            print(&frames)
        );
    }

    fn note(&self, table: &str, since: Duration) {
        let took = self.clock.now() - since;
        self.book.with(table, |times| times.client.push(took));
    }

    fn count(&self, table: &str, errors: u64, rows: u64) {
        self.book.with(table, |times| {
            times.calls += 1;
            times.errors += errors;
            times.rows += rows;
        });
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        use std::io::Write;
        let _ = self.raw.stream.write_all(&message(b'X', b""));
    }
}
