//! A server that is a script: accepts, reads, and says what the test wants, right or wrong.

use super::raw::{Heard, frame};
use pgotter::wire::frame::first;
use pgotter::wire::startup::SSL_REQUEST;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// One connection of PgOtter's.
pub struct Caller {
    stream: TcpStream,
    received: Vec<u8>,
    cancels: Arc<Cancels>,
}

/// Cancel requests that have come to one server, whoever they were for.
#[derive(Default)]
struct Cancels {
    count: Mutex<usize>,
    changed: Condvar,
}

/// The caller has closed.
#[derive(Debug)]
pub struct Closed;

type Script = dyn Fn(&mut Caller) -> Result<(), Closed> + Send + Sync;

/// Plays `script` to every caller that sends a StartupMessage, on a thread of its own, and closes behind it. The port.
pub fn serve(script: impl Fn(&mut Caller) -> Result<(), Closed> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let (script, cancels): (Arc<Script>, Arc<Cancels>) = (Arc::new(script), Arc::default());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (script, cancels) = (script.clone(), cancels.clone());
            std::thread::spawn(move || {
                // As PostgreSQL does: what has been said is there.
                stream.set_nodelay(true).expect("an option");
                let mut caller = Caller { stream, received: Vec::new(), cancels };
                if caller.read_startup().is_ok() {
                    let _ = script(&mut caller);
                }
            });
        }
    });
    port
}

/// What PostgreSQL says to a client that is in.
pub fn welcome() -> Vec<u8> {
    let parameters = [
        "server_version\0 15.0\0",
        "client_encoding\0UTF8\0",
        "DateStyle\0ISO, MDY\0",
        "TimeZone\0UTC\0",
        "standard_conforming_strings\0on\0",
        "application_name\0\0",
    ];
    let mut bytes = frame(b'R', &[0; 4]);
    bytes.extend(parameters.iter().flat_map(|parameter| frame(b'S', parameter.as_bytes())));
    bytes.extend(frame(b'K', &[0, 0, 0, 9, 1, 2, 3, 4]));
    bytes.extend(frame(b'Z', b"I"));
    bytes
}

/// A result of one row, without its ReadyForQuery.
pub fn one_row() -> Vec<u8> {
    row(b'x')
}

fn row(value: u8) -> Vec<u8> {
    let column = [b"?column?\0".as_slice(), &[0; 6], &25_i32.to_be_bytes(), &[0xff; 6], &[0; 2]].concat();
    let values = [&b"\0\x01\0\0\0\x01"[..], &[value]].concat();
    [frame(b'T', &[&[0, 1][..], &column].concat()), frame(b'D', &values), frame(b'C', b"SELECT 1\0")].concat()
}

/// What is said to a question of PgOtter's own, which no script is about and which comes when it has time: there is no
/// catalog, and the role may log in. None: it is a client's.
fn answer_to_pgotter((kind, body): &(u8, Vec<u8>)) -> Option<Vec<u8>> {
    let answer = match body {
        _ if *kind != b'Q' => return None,
        sql if sql.starts_with(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") => frame(b'C', b"ROLLBACK\0"),
        sql if sql.starts_with(b"SELECT rolcanlogin AND ") => row(b't'),
        _ => return None,
    };
    Some([answer, frame(b'Z', b"I")].concat())
}

impl Caller {
    pub fn say(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        self.stream.write_all(bytes).map_err(|_| Closed)
    }

    fn receive(&mut self) -> Result<(), Closed> {
        let mut buffer = [0; 8192];
        match self.stream.read(&mut buffer) {
            Ok(bytes) if bytes > 0 => {
                self.received.extend_from_slice(&buffer[..bytes]);
                Ok(())
            }
            _ => Err(Closed),
        }
    }

    /// A cancel request is counted, and counts as closed: nothing is said to it.
    fn read_startup(&mut self) -> Result<(), Closed> {
        loop {
            if let Ok(Some(total)) = pgotter::wire::startup::packet_len(&self.received)
                && self.received.len() >= total
            {
                let packet: Vec<u8> = self.received.drain(..total).collect();
                if packet[4..8] == [0, 3, 0, 0] {
                    return Ok(());
                }
                if packet[4..8] == SSL_REQUEST.to_be_bytes() {
                    self.say(b"N")?;
                    continue;
                }
                *self.cancels.count.lock().expect("nobody panics with it") += 1;
                self.cancels.changed.notify_all();
                return Err(Closed);
            }
            self.receive()?;
        }
    }

    pub fn read(&mut self) -> Result<(u8, Vec<u8>), Closed> {
        loop {
            if let Some(message) = self.received_message()? {
                return Ok(message);
            }
            self.receive()?;
        }
    }

    /// A client's message, if it is here as a whole.
    fn received_message(&mut self) -> Result<Option<(u8, Vec<u8>)>, Closed> {
        while let Some((kind, body, total)) = first(&self.received) {
            let message = (kind, body.to_vec());
            self.received.drain(..total);
            match answer_to_pgotter(&message) {
                Some(answer) => self.say(&answer)?,
                None => return Ok(Some(message)),
            }
        }
        Ok(None)
    }

    /// Waits until a client's message has begun that is longer than what can be read at once.
    pub fn begin_to_read(&mut self) -> Result<(), Closed> {
        while self.received.len() < 4096 {
            self.receive()?;
            assert!(self.received_message()?.is_none(), "a longer message");
        }
        Ok(())
    }

    /// Logs the caller in and waits for its first message.
    pub fn let_in(&mut self) -> Result<Vec<u8>, Closed> {
        self.say(&welcome())?;
        Ok(self.read()?.1)
    }

    /// Waits until this server has been sent so many cancel requests more.
    pub fn wait_for_cancels(&self, more: usize) {
        let count = self.cancels.count.lock().expect("nobody panics with it");
        let wanted = *count + more;
        drop(self.cancels.changed.wait_while(count, |count| *count < wanted).expect("nobody panics with it"));
    }

    /// Closes, although the script goes on.
    pub fn hang_up(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    /// Says nothing more, until the caller closes.
    pub fn keep_silent(&mut self) -> Result<(), Closed> {
        while self.receive().is_ok() {
            self.received.clear();
        }
        Err(Closed)
    }
}

/// Types of the frames a client heard, and how the last one ended, for an assertion's message.
pub fn summary(heard: &Heard) -> String {
    format!("{} {:?} +{} bytes", heard.kinds(), heard.last_error(), heard.rest.len())
}
