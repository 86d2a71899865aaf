//! A server that is a script: it takes as long over a statement as that says, and notes how long that was by its own clock.
//!
//! A statement is of a table, `form_distribution`, which is what its times are noted under, and says `us = 1500`, or has that as its only
//! parameter. One of a table `error_…` fails, a COPY to it at its first data. One of a table `held_…` lasts until the test or a cancel
//! request says so, as does a Parse for one of `parsed_…`; other texts (BEGIN, what PgOtter asks for itself) take no time and are not noted.

use super::book::Book;
use super::bursts::Bursts;
use super::clock::Clock;
use crate::support::raw::{Frame, message};
use crate::support::waiting::PATIENCE;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

pub struct Scripted {
    pub port: u16,
    pub book: Arc<Book>,
    pub bursts: Arc<Bursts>,
    pub clock: Arc<Clock>,
    held: Mutex<Held>,
    changed: Condvar,
}

/// Statements that do not end by themselves.
#[derive(Default)]
struct Held {
    reached: usize,
    to_open: usize,
    to_cancel: usize,
    // Connections that are open.
    callers: usize,
}

/// The caller has closed.
struct Closed;

/// What a statement ends with that was cancelled.
const CANCELLED: &[u8] = b"SERROR\0VERROR\0C57014\0Mcancelled\0\0";

/// One connection of PgOtter's.
struct Caller {
    server: Arc<Scripted>,
    stream: TcpStream,
    inbox: Vec<u8>,
    out: Vec<u8>,
    status: u8,
    skipping: bool,
    statements: HashMap<Vec<u8>, String>,
    portals: HashMap<Vec<u8>, Portal>,
    // Since the last ReadyForQuery: how many statements, and when the first one was begun.
    executed: usize,
    begun: Duration,
    took: Duration,
    // The last one, if it belongs to a burst: whose, and its table.
    of_burst: Option<(String, String)>,
    pipelines: usize,
    apart: usize,
}

#[derive(Clone)]
struct Portal {
    text: String,
    parameter: Option<u64>,
    begun: bool,
}

impl Scripted {
    pub fn start(clock: Clock) -> Arc<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (book, bursts, clock) = (Arc::default(), Arc::default(), Arc::new(clock));
        let server = Arc::new(Self { port, book, bursts, clock, held: Mutex::default(), changed: Condvar::new() });
        let shared = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = shared.clone();
                server.held.lock().callers += 1;
                std::thread::spawn(move || Caller::new(server, stream).serve());
            }
        });
        server
    }

    /// Waits until so many statements, since the beginning, have come that are held.
    pub fn until_held(&self, count: usize) {
        let mut held = self.held.lock();
        let outcome = self.changed.wait_while_for(&mut held, |held| held.reached < count, PATIENCE);
        assert!(!outcome.timed_out(), "of {count} statements that are held only {} have come", held.reached);
    }

    /// Waits until PgOtter, which is gone, has left.
    pub fn until_left(&self) {
        let mut held = self.held.lock();
        let outcome = self.changed.wait_while_for(&mut held, |held| held.callers > 0, PATIENCE);
        assert!(!outcome.timed_out(), "{} connections are open", held.callers);
    }

    /// Ends one that is held.
    pub fn open(&self) {
        self.held.lock().to_open += 1;
        self.changed.notify_all();
    }

    fn cancel(&self) {
        self.held.lock().to_cancel += 1;
        self.changed.notify_all();
    }

    /// Whether it has been cancelled.
    fn hold(&self) -> bool {
        let mut held = self.held.lock();
        held.reached += 1;
        self.changed.notify_all();
        self.changed.wait_while(&mut held, |held| held.to_open + held.to_cancel == 0);
        let is_cancelled = held.to_cancel > 0;
        let ending = if is_cancelled { &mut held.to_cancel } else { &mut held.to_open };
        *ending -= 1;
        is_cancelled
    }
}

impl Caller {
    fn new(server: Arc<Scripted>, stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("an option");
        Self {
            server,
            stream,
            inbox: Vec::new(),
            out: Vec::new(),
            status: b'I',
            skipping: false,
            statements: HashMap::new(),
            portals: HashMap::new(),
            executed: 0,
            begun: Duration::ZERO,
            took: Duration::ZERO,
            of_burst: None,
            pipelines: 0,
            apart: 0,
        }
    }

    fn serve(mut self) {
        _ = self.talk();
        let server = self.server;
        server.bursts.note_share(self.apart, self.pipelines);
        server.held.lock().callers -= 1;
        server.changed.notify_all();
    }

    fn talk(&mut self) -> Result<(), Closed> {
        self.log_in()?;
        loop {
            let frame = self.read()?;
            self.answer(frame)?;
        }
    }

    fn log_in(&mut self) -> Result<(), Closed> {
        loop {
            let packet = self.take(|inbox| {
                let length = u32::from_be_bytes(*inbox.first_chunk()?) as usize;
                (inbox.len() >= length).then_some(length)
            })?;
            match packet[4..8] {
                [0, 3, 0, 0] if packet.windows(13).any(|part| part == b"user\0refused_") => {
                    self.say(b'E', b"SFATAL\0VFATAL\0C28000\0Mno such role\0\0");
                    return self.flush();
                }
                [0, 3, 0, 0] => break,
                // TLS: no.
                [4, 210, 22, 47] => self.write(b"N")?,
                [4, 210, 22, 46] => {
                    self.server.cancel();
                    return Err(Closed);
                }
                _ => return Err(Closed),
            }
        }
        self.say(b'R', &[0; 4]);
        for parameter in [
            "server_version\0 15.0\0",
            "client_encoding\0UTF8\0",
            "DateStyle\0ISO, MDY\0",
            "TimeZone\0UTC\0",
            "standard_conforming_strings\0on\0",
        ] {
            self.say(b'S', parameter.as_bytes());
        }
        self.say(b'K', &[0, 0, 0, 9, 1, 2, 3, 4]);
        self.ready()
    }

    fn answer(&mut self, Frame { kind, body }: Frame) -> Result<(), Closed> {
        // Behind a COPY that has failed its data may still come.
        if self.skipping && kind != b'S' || matches!(kind, b'd' | b'c') {
            return Ok(());
        }
        match kind {
            b'Q' => self.query(&text(&body)),
            b'S' => self.sync(),
            b'H' => {
                self.note_pipeline();
                let alone = self.of_burst.take().filter(|_| self.executed == 1);
                let Some((client, table)) = alone else { return self.flush() };
                self.server.book.server(&table, self.took);
                let is_first = self.server.bursts.flushes(&client, self.server.clock.now());
                self.pipelines += usize::from(is_first);
                self.apart += usize::from(is_first);
                self.flush()?;
                self.server.bursts.until_heard(&client);
                Ok(())
            }
            b'X' => Err(Closed),
            _ => self.extended(kind, &body),
        }
    }

    fn query(&mut self, sql: &str) -> Result<(), Closed> {
        let Some(statement) = Statement::read(sql, None) else {
            self.plain(sql);
            return self.ready();
        };
        self.read_copy(sql, &statement)?;
        let is_cancelled = self.run(&statement, true);
        if is_cancelled {
            self.fail_with(CANCELLED);
        } else if statement.fails() {
            self.fail();
        } else if sql.contains("to stdout") {
            self.say(b'H', &[0, 0, 0]);
            (0..3).for_each(|_| self.say(b'd', b"a line\n"));
            self.say(b'c', b"");
            self.say(b'C', b"COPY 3\0");
        } else if sql.starts_with("copy") {
            self.say(b'C', b"COPY 2\0");
        } else {
            for _ in 0..sql.split(';').count() {
                self.say(b'T', &description());
                self.row();
                self.say(b'C', b"SELECT 1\0");
            }
        }
        self.ready()
    }

    /// If it is a COPY, up to the end of its data, or to those that are no good. Whether it is.
    fn read_copy(&mut self, sql: &str, statement: &Statement) -> Result<bool, Closed> {
        if !sql.starts_with("copy") || !sql.contains("from stdin") {
            return Ok(false);
        }
        self.say(b'G', &[0, 0, 0]);
        self.flush()?;
        let last = if statement.fails() { b'd' } else { b'c' };
        while self.read()?.kind != last {}
        Ok(true)
    }

    /// What is none of ours.
    fn plain(&mut self, sql: &str) {
        match sql.split([' ', ';']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "" => self.say(b'I', b""),
            // PgOtter's own question for the catalog: there is none.
            "begin" if sql.starts_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") => {
                self.say(b'C', b"ROLLBACK\0")
            }
            "begin" => {
                self.status = b'T';
                self.say(b'C', b"BEGIN\0");
            }
            "commit" => {
                self.status = b'I';
                self.say(b'C', b"COMMIT\0");
            }
            // Another one of its own: the role may log in.
            "select" if sql.starts_with("SELECT rolcanlogin AND ") => {
                self.say(b'T', &description());
                self.say(b'D', b"\0\x01\0\0\0\x01t");
                self.say(b'C', b"SELECT 1\0");
            }
            _ => self.say(b'C', b"SELECT 0\0"),
        }
    }

    fn extended(&mut self, kind: u8, body: &[u8]) -> Result<(), Closed> {
        let mut names = body.split(|&byte| byte == 0);
        let (first, second) = (names.next().unwrap_or_default().to_vec(), names.next().unwrap_or_default().to_vec());
        match kind {
            b'P' => {
                let text = text(&second);
                let is_held = text.contains(" from parsed_");
                self.statements.insert(first, text);
                if is_held && self.server.hold() {
                    self.fail_with(CANCELLED);
                } else {
                    self.say(b'1', b"");
                }
            }
            b'B' => {
                let text = self.statements.get(&second).cloned().unwrap_or_default();
                let values = &body[first.len() + second.len() + 2..];
                self.portals.insert(first, Portal { text, parameter: parameter(values), begun: false });
                self.say(b'2', b"");
            }
            b'D' => self.say(b'n', b""),
            b'C' => self.say(b'3', b""),
            b'E' => return self.execute(&first, body.ends_with(&[0; 4])),
            other => panic!("{}", char::from(other)),
        }
        Ok(())
    }

    fn execute(&mut self, name: &[u8], all: bool) -> Result<(), Closed> {
        let Some(portal) = self.portals.get_mut(name) else {
            self.fail();
            return Ok(());
        };
        let Portal { text, parameter, begun } = portal.clone();
        portal.begun = true;
        let Some(statement) = Statement::read(&text, parameter) else {
            self.plain(&text);
            return Ok(());
        };
        let copies = self.read_copy(&text, &statement)?;
        self.run(&statement, !begun);
        if statement.table.starts_with("burst") {
            let client = String::from_utf8_lossy(name).split('_').next().unwrap_or_default().to_owned();
            self.of_burst = Some((client, statement.table.clone()));
        }
        if statement.fails() {
            self.fail();
            // Whoever waits for its error sends no Sync before.
            return if copies { self.flush() } else { Ok(()) };
        }
        self.row();
        if all || begun {
            self.say(b'C', b"SELECT 1\0");
        } else {
            self.say(b's', b"");
        }
        Ok(())
    }

    /// Takes as long as it says. `is_new`: it is not the rest of one. Whether it was cancelled.
    fn run(&mut self, statement: &Statement, is_new: bool) -> bool {
        let server = self.server.clone();
        let begun = server.clock.now();
        if self.executed == 0 {
            self.begun = begun;
        }
        self.executed += 1;
        if !statement.takes.is_zero() {
            server.clock.pass(statement.takes);
        }
        let is_cancelled = statement.table.starts_with("held") && server.hold();
        let took = server.clock.now() - begun;
        self.took = took;
        if is_new && statement.is_sample() {
            server.book.server(&statement.table, took);
        } else if !is_new {
            server.book.server_more(&statement.table, took);
        }
        is_cancelled
    }

    fn sync(&mut self) -> Result<(), Closed> {
        self.note_pipeline();
        // The last of those that were answered on their own.
        let last = self.of_burst.take().filter(|(client, _)| self.executed == 1 && self.server.bursts.is_apart(client));
        if let Some((_, table)) = last {
            self.server.book.server(&table, self.took);
        }
        self.skipping = false;
        self.ready()
    }

    /// What was sent together ends.
    fn note_pipeline(&mut self) {
        if self.executed > 1 {
            self.pipelines += 1;
            self.server.book.server("pipeline", self.server.clock.now() - self.begun);
        }
    }

    fn fail(&mut self) {
        self.fail_with(b"SERROR\0VERROR\0C22012\0Mdivision by zero\0\0");
    }

    fn fail_with(&mut self, error: &[u8]) {
        self.say(b'E', error);
        self.skipping = true;
        if self.status == b'T' {
            self.status = b'E';
        }
    }

    fn ready(&mut self) -> Result<(), Closed> {
        (self.executed, self.skipping) = (0, false);
        if self.status == b'I' {
            self.portals.clear();
        }
        self.say(b'Z', &[self.status]);
        self.flush()
    }

    fn row(&mut self) {
        self.say(b'D', b"\0\x01\0\0\0\x01x");
    }

    fn say(&mut self, kind: u8, body: &[u8]) {
        self.out.extend(message(kind, body));
    }

    fn flush(&mut self) -> Result<(), Closed> {
        // Whoever flushes takes what follows apart.
        self.executed = 0;
        let out = std::mem::take(&mut self.out);
        self.write(&out)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        self.stream.write_all(bytes).map_err(|_| Closed)
    }

    fn read(&mut self) -> Result<Frame, Closed> {
        let bytes = self.take(|inbox| {
            let length = u32::from_be_bytes(*inbox.get(1..)?.first_chunk()?) as usize;
            (inbox.len() > length).then_some(length + 1)
        })?;
        Ok(Frame { kind: bytes[0], body: bytes[5..].to_vec() })
    }

    /// The first bytes of what has come, as soon as it is said how many.
    fn take(&mut self, length: impl Fn(&[u8]) -> Option<usize>) -> Result<Vec<u8>, Closed> {
        let mut buffer = [0; 8192];
        loop {
            if let Some(length) = length(&self.inbox) {
                return Ok(self.inbox.drain(..length).collect());
            }
            match self.stream.read(&mut buffer) {
                Ok(bytes) if bytes > 0 => self.inbox.extend_from_slice(&buffer[..bytes]),
                _ => return Err(Closed),
            }
        }
    }
}

struct Statement {
    table: String,
    takes: Duration,
}

impl Statement {
    /// `None`: not one of these. The times of several are those of one.
    fn read(sql: &str, parameter: Option<u64>) -> Option<Self> {
        let marks = ["copy ", " from "];
        let table = marks.iter().find_map(|mark| sql.split_once(mark)).map(|(_, rest)| rest)?;
        let table = table.split([' ', ';']).next().filter(|table| table.contains('_'))?;
        let number =
            |part: &str| part.split(|c: char| !c.is_ascii_digit()).next().and_then(|us| us.parse::<u64>().ok());
        let us: u64 = sql.split("us = ").skip(1).filter_map(number).chain(parameter).sum();
        Some(Self { table: table.to_owned(), takes: Duration::from_micros(us) })
    }

    fn fails(&self) -> bool {
        self.table.starts_with("error")
    }

    /// Of what is sent together with others nobody knows how long one takes; other tests do not look at the book.
    fn is_sample(&self) -> bool {
        !["burst", "storm", "held"].iter().any(|other| self.table.starts_with(other))
    }
}

fn description() -> Vec<u8> {
    let column = [b"x\0".as_slice(), &[0; 6], &25_i32.to_be_bytes(), &[0xff; 6], &[0; 2]].concat();
    [&[0, 1][..], &column].concat()
}

/// The only one of a Bind, whose formats and values these bytes are.
fn parameter(values: &[u8]) -> Option<u64> {
    let value = values.get(8..)?;
    let end = value.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(value.len());
    std::str::from_utf8(&value[..end]).ok()?.parse().ok()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.strip_suffix(b"\0").unwrap_or(bytes)).into_owned()
}
