//! Plays a script to PostgreSQL and through PgOtter, and says how the replies differ.

use super::disturb::Disturbers;
use super::step::{self, Step};
use crate::support::raw::{self, Frame, Raw, print};
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options};
use std::time::{Duration, Instant};

/// Long enough for any answer; short enough to make a script small that hears none.
const PATIENCE: Duration = Duration::from_secs(15);

/// PostgreSQL, and one PgOtter in front of it.
pub struct Stage {
    server: LocalPostgres,
    pgotter: PgOtter,
    servers: usize,
    disturbers: Disturbers,
    /// Empties the table between two plays.
    sweeper: Raw,
}

/// What was heard, and how much of it when each [`Step::Wait`] was over.
struct Heard {
    frames: Vec<Frame>,
    marks: Vec<usize>,
}

impl Stage {
    /// With so many servers; with more than one, other clients come between the requests.
    pub fn new(servers: usize) -> Self {
        let server = postgres(&Options::default());
        must(server.psql(
            "postgres",
            "CREATE TABLE noted (id int, note text); CREATE TABLE place (id text); INSERT INTO place VALUES ('public');
             CREATE SCHEMA other; CREATE TABLE other.place (id text); INSERT INTO other.place VALUES ('other');
             CREATE FUNCTION notes(text) RETURNS text LANGUAGE plpgsql AS
               $$ BEGIN RAISE NOTICE 'noted %', $1; INSERT INTO noted VALUES (8, $1); RETURN $1; END $$;
             CREATE PROCEDURE commits() LANGUAGE plpgsql AS
               $$ BEGIN INSERT INTO noted VALUES (6, 'six'); COMMIT; INSERT INTO noted VALUES (7, 'seven'); END $$",
        ));
        let (pgotter, disturbers) = pooled(&server, servers);
        let sweeper = Raw::log_in(server.port(), &[]);
        Self { server, pgotter, servers, disturbers, sweeper }
    }

    /// Another PgOtter, in which nothing has happened yet.
    pub fn renew(&mut self) {
        let (pgotter, disturbers) = pooled(&self.server, self.servers);
        // In this order: it would wait for its clients.
        self.disturbers = disturbers;
        self.pgotter = pgotter;
    }

    /// How many PgOtter has.
    pub fn servers(&self) -> usize {
        self.servers
    }

    /// What is wrong with what PgOtter answers to `script`, if anything is.
    pub fn difference(&mut self, script: &[Step]) -> Option<String> {
        let direct = self.direct(script);
        if !self.sweep() {
            println!("PostgreSQL itself does not survive this:\n{}", step::listing(script));
            self.recover();
            return None;
        }
        let pooled = self.pooled(script, &direct.marks);
        self.disturbers.let_go();
        self.sweep();
        let expected = told(&direct.frames);
        match pooled {
            Ok(frames) if told(&without_goodbye(&frames, &direct.frames)) == expected => None,
            Ok(frames) => Some(format!("--- PgOtter:\n{}--- PostgreSQL:\n{expected}", told(&frames))),
            Err(why) => Some(format!("{why}--- PostgreSQL:\n{expected}")),
        }
    }

    /// False if PostgreSQL has crashed.
    fn sweep(&mut self) -> bool {
        send(&mut self.sweeper, &raw::query("TRUNCATE noted"));
        loop {
            match self.sweeper.frame_or_silence() {
                Ok(Some(frame)) if frame.kind == b'Z' => return true,
                Ok(Some(frame)) if frame.kind == b'E' => return false,
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(_) => panic!("a lock is kept"),
            }
        }
    }

    /// A backend that crashes takes all others with it, and PostgreSQL starts again by itself.
    fn recover(&mut self) {
        must(self.server.wait_until("postgres", "SELECT true"));
        self.sweeper = Raw::log_in(self.server.port(), &[]);
        self.sweep();
        self.renew();
    }

    fn client(port: u16) -> Raw {
        let client = Raw::log_in(port, &[("application_name", "watched")]);
        client.stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
        client
    }

    fn direct(&self, script: &[Step]) -> Heard {
        let mut heard = Heard { frames: Vec::new(), marks: Vec::new() };
        let mut client = Self::client(self.server.port());
        for (number, step) in script.iter().enumerate() {
            match step {
                Step::Wait => {
                    if step::may_wait(&script[..number]) {
                        heard.frames.extend(quiet(&mut client));
                    }
                    heard.marks.push(heard.frames.len());
                }
                Step::Leave => {
                    part(&mut client, &mut heard.frames).expect("PostgreSQL answers");
                    client = Self::client(self.server.port());
                }
                message => send(&mut client, &message.bytes()),
            }
        }
        part(&mut client, &mut heard.frames).expect("PostgreSQL answers");
        heard
    }

    /// The replies, or why there are none.
    fn pooled(&mut self, script: &[Step], marks: &[usize]) -> Result<Vec<Frame>, String> {
        let mut client = Self::client(self.pgotter.port());
        let (mut heard, mut marks) = (Vec::new(), marks.iter());
        let (mut boundary, mut unsynced, mut pinned) = (true, false, false);
        for step in script {
            match step {
                Step::Wait => {
                    let mark = *marks.next().expect("a mark for each wait");
                    while heard.len() < mark && hear(&mut client, &mut heard)? {}
                    boundary |= !unsynced
                        && !pinned
                        && heard.last().is_some_and(|frame| frame.kind == b'Z' && frame.body == b"I");
                }
                Step::Disturb(manner) if self.servers > 1 => self.disturbers.disturb(*manner, boundary)?,
                Step::Disturb(_) => {}
                Step::Leave => {
                    part(&mut client, &mut heard)?;
                    client = Self::client(self.pgotter.port());
                    (boundary, unsynced, pinned) = (true, false, false);
                }
                message => {
                    send(&mut client, &message.bytes());
                    boundary = false;
                    pinned |= message.may_pin();
                    unsynced = *message != Step::Sync && (unsynced || message.needs_sync());
                }
            }
        }
        // All other clients must be able to go on, whatever state the watched one is in.
        self.disturbers.let_go();
        part(&mut client, &mut heard)?;
        Ok(heard)
    }
}

/// The next message; false at the end of the connection.
fn hear(client: &mut Raw, heard: &mut Vec<Frame>) -> Result<bool, String> {
    match client.frame_or_silence() {
        Ok(frame) => {
            let more = frame.is_some();
            heard.extend(frame);
            Ok(more)
        }
        Err(_) => Err(format!("--- PgOtter says no more than this:\n{}", print(heard))),
    }
}

/// Reads what is left to hear.
fn part(client: &mut Raw, heard: &mut Vec<Frame>) -> Result<(), String> {
    send(client, &farewell());
    let from = heard.len();
    while hear(client, heard)? && !is_end(&heard[from..]) {}
    Ok(())
}

fn pooled(server: &LocalPostgres, servers: usize) -> (PgOtter, Disturbers) {
    let pgotter = PgOtter::in_front_of(server, &format!("default_pool_size = {servers}\nmax_pinned = 3"));
    let disturbers = Disturbers::new(pgotter.port(), server.port());
    (pgotter, disturbers)
}

/// Whatever came before, this is answered, or the connection ends.
fn farewell() -> Vec<u8> {
    [raw::sync(), raw::query("ROLLBACK"), raw::query("SELECT 'the end of the script'")].concat()
}

fn is_end(heard: &[Frame]) -> bool {
    let [.., row, _, ready] = heard else { return false };
    ready.kind == b'Z' && row.kind == b'D' && row.body.ends_with(b"the end of the script")
}

/// Readable. What a COPY is ended by, and the connection with it, is perhaps not the message itself, but one in front of it. Where two
/// names of a client stand for equal statements, or one has gone since, an error about the number of parameters may tell another.
fn told(frames: &[Frame]) -> String {
    let mut lines = String::new();
    for line in print(frames).lines() {
        let line = match (line.split_once("unexpected message type 0x"), line.split_once("but prepared statement ")) {
            (Some((before, after)), _) => {
                format!("{before}unexpected message type {}", after.get(2..).unwrap_or_default())
            }
            (_, Some((before, after))) if before.contains("bind message supplies") => {
                format!("{before}but it{}", after.rsplit_once(" requires ").map_or("", |(_, count)| count))
            }
            _ => line.to_owned(),
        };
        lines.push_str(&line);
        lines.push('\n');
    }
    lines
}

/// To a Describe, Execute or Close of more than 10,000 bytes PostgreSQL closes the connection without a word, and what it had not
/// flushed before is lost, or not. PgOtter says why.
fn without_goodbye(pooled: &[Frame], direct: &[Frame]) -> Vec<Frame> {
    let [before @ .., last] = pooled else { return Vec::new() };
    let (here, there) = (told(before), told(direct));
    let is_lost = last.field(b'M').as_deref() == Some("invalid message length") && !is_end(direct);
    if is_lost && (there.starts_with(&here) || here.starts_with(&there)) { direct.to_vec() } else { pooled.to_vec() }
}

/// A connection that the other side has ended is judged by its replies.
fn send(client: &mut Raw, bytes: &[u8]) {
    let _ = std::io::Write::write_all(&mut client.stream, bytes);
}

/// What PostgreSQL has to say to what it has been sent: its process sleeps, so it waits for more. On loopback what has been
/// sent has arrived, and its reader is awake, when the system call returns.
fn quiet(client: &mut Raw) -> Vec<Frame> {
    let (mut frames, until) = (Vec::new(), Instant::now() + PATIENCE);
    loop {
        let asleep = is_asleep(client.pid);
        let here = client.frames_here();
        if asleep && here.is_empty() {
            return frames;
        }
        assert!(Instant::now() < until, "PostgreSQL does not come to rest");
        frames.extend(here);
        std::thread::sleep(Duration::from_micros(30));
    }
}

/// Or gone.
fn is_asleep(pid: i32) -> bool {
    let Ok(line) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    let Some((name, rest)) = line.rsplit_once(") ") else { return true };
    // Another process may have its number by now.
    !name.ends_with("(postgres") || rest.starts_with(['S', 'Z', 'X'])
}
