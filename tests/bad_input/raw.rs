//! A client that writes bytes and reads frames. Knows nothing of what is right.

pub use crate::support::raw::{first_packet, message as frame, query};
use crate::support::waiting::read;
use pgotter::wire::backend::error_field;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Every answer and every close comes within this; on an idle machine within a second.
pub const OUTER_BOUND: Duration = Duration::from_secs(5);

/// A head that claims `length`.
pub fn head(kind: u8, length: i32) -> Vec<u8> {
    [&[kind][..], &length.to_be_bytes()].concat()
}

pub fn startup(database: &str) -> Vec<u8> {
    crate::support::raw::startup(3, 0, &[("user", "postgres"), ("database", database)])
}

/// What a peer said before it closed or became ready.
#[derive(Debug, Default)]
pub struct Heard {
    pub frames: Vec<(u8, Vec<u8>)>,
    /// Bytes of a frame that was not finished.
    pub rest: Vec<u8>,
}

impl Heard {
    pub fn kinds(&self) -> String {
        self.frames.iter().map(|(kind, _)| char::from(*kind)).collect()
    }

    /// Severity and SQLSTATE of the last frame, if that is an error.
    pub fn last_error(&self) -> Option<String> {
        let (_, body) = self.frames.last().filter(|(kind, _)| *kind == b'E')?;
        let field = |letter| error_field(body, letter).map(|text| String::from_utf8_lossy(text).into_owned());
        Some(format!("{} {}", field(b'V').unwrap_or_default(), field(b'C').unwrap_or_default()))
    }
}

pub struct Conn {
    pub stream: TcpStream,
    received: Vec<u8>,
}

impl Conn {
    pub fn open(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
        stream.set_read_timeout(Some(OUTER_BOUND)).expect("a timeout");
        stream.set_nodelay(true).expect("an option");
        Self { stream, received: Vec::new() }
    }

    /// Logged in, without a password.
    pub fn log_in(port: u16, database: &str) -> Self {
        let mut conn = Self::open(port);
        conn.send(&startup(database));
        let heard = conn.until_ready();
        assert_eq!(heard.frames.last().map(|(kind, _)| *kind), Some(b'Z'), "{heard:?}");
        conn
    }

    /// A peer that has closed already is no failure here.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// False at the end; panics when nothing comes for too long.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match read(&self.stream, &mut buffer) {
            Ok(0) => false,
            Ok(bytes) => {
                self.received.extend_from_slice(&buffer[..bytes]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("no answer and no close: {error}"),
        }
    }

    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (kind, body, total) = pgotter::wire::frame::first(&self.received)?;
        let taken = (kind, body.to_vec());
        self.received.drain(..total);
        Some(taken)
    }

    /// The next frame; None at the end.
    pub fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(frame) = self.take_frame() {
                return Some(frame);
            }
            if !self.receive() {
                return None;
            }
        }
    }

    fn until(&mut self, last: Option<u8>) -> Heard {
        let mut heard = Heard::default();
        while let Some((kind, body)) = self.next() {
            heard.frames.push((kind, body));
            if Some(kind) == last {
                return heard;
            }
        }
        heard.rest = std::mem::take(&mut self.received);
        heard
    }

    /// Up to and with ReadyForQuery, or the end.
    pub fn until_ready(&mut self) -> Heard {
        self.until(Some(b'Z'))
    }

    /// Up to a frame of this type, or the end.
    pub fn until_kind(&mut self, kind: u8) -> Heard {
        self.until(Some(kind))
    }

    /// Up to the end.
    pub fn until_closed(&mut self) -> Heard {
        self.until(None)
    }

    /// One byte, as the answer to a request for encryption.
    pub fn byte(&mut self) -> Option<u8> {
        while self.received.is_empty() {
            if !self.receive() {
                return None;
            }
        }
        Some(self.received.remove(0))
    }

    pub fn ask(&mut self, sql: &str) -> Heard {
        self.send(&query(sql));
        self.until_ready()
    }

    /// Closes with an RST.
    pub fn reset(self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }
}
