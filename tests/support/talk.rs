//! A small client that shows what is on the wire: codes, details, notices, ReadyForQuery, and when the connection ends.

use super::raw::{self, first_packet};
pub use super::raw::{message, query};
use super::waiting::read;
use super::world::PATIENCE;
use std::collections::HashMap;
use std::io::Write;
use std::net::TcpStream;

/// One connection, blocking. A read that takes longer than [`PATIENCE`] fails the test.
pub struct Client {
    pub stream: TcpStream,
    received: Vec<u8>,
    pub pid: i32,
    pub secret: Vec<u8>,
    pub parameters: HashMap<String, String>,
    port: u16,
}

/// An ErrorResponse or NoticeResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub severity: String,
    pub code: String,
    pub message: String,
    pub detail: String,
    pub hint: String,
}

/// Everything up to ReadyForQuery, or to the end of the connection.
#[derive(Debug, Default)]
pub struct Answer {
    pub rows: Vec<Vec<String>>,
    pub tags: Vec<String>,
    pub errors: Vec<Said>,
    pub notices: Vec<Said>,
    /// Of ReadyForQuery; None: the connection ended.
    pub status: Option<u8>,
}

impl Answer {
    /// The one value that a query without an error returned.
    #[track_caller]
    pub fn value(&self) -> &str {
        assert!(self.errors.is_empty() && self.status.is_some(), "{self:?}");
        &self.rows[0][0]
    }

    /// The code of the only error.
    #[track_caller]
    pub fn code(&self) -> &str {
        assert_eq!(self.errors.len(), 1, "{self:?}");
        &self.errors[0].code
    }

    /// Asserts an error that ended the connection.
    #[track_caller]
    pub fn fatal(&self, code: &str) {
        assert_eq!(self.code(), code, "{self:?}");
        assert_eq!(self.errors[0].severity, "FATAL", "{self:?}");
        assert_eq!(self.status, None, "{self:?}");
    }

    /// Asserts an error behind which the connection goes on, idle.
    #[track_caller]
    pub fn error(&self, code: &str) {
        assert_eq!(self.code(), code, "{self:?}");
        assert_eq!(self.errors[0].severity, "ERROR", "{self:?}");
        assert_eq!(self.status, Some(b'I'), "{self:?}");
    }
}

impl Client {
    /// Logs in where no password is asked for.
    #[track_caller]
    pub fn connect(port: u16, user: &str, database: &str) -> Self {
        Self::connect_with(port, &[("user", user), ("database", database)])
    }

    /// As [`Self::connect`], with all startup parameters.
    #[track_caller]
    pub fn connect_with(port: u16, parameters: &[(&str, &str)]) -> Self {
        match Self::try_connect(port, parameters) {
            Ok(client) => client,
            Err(answer) => panic!("login failed: {answer:?}"),
        }
    }

    /// The error is what came instead of a welcome.
    pub fn try_connect(port: u16, parameters: &[(&str, &str)]) -> Result<Self, Answer> {
        let mut client = Self::open(port);
        client.send(&startup(parameters));
        let answer = client.answer();
        if answer.status.is_some() { Ok(client) } else { Err(answer) }
    }

    /// A connection that has said nothing yet.
    pub fn open(port: u16) -> Self {
        Self::over(TcpStream::connect(("127.0.0.1", port)).expect("PgOtter accepts"), port)
    }

    /// As [`Self::open`], between buffers so small that 100 kB fill them.
    pub fn open_narrow(port: u16) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.set_tcp_mss(536).unwrap();
        socket.connect(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()).expect("PgOtter accepts");
        Self::over(socket.into(), port)
    }

    fn over(stream: TcpStream, port: u16) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new(), pid: 0, secret: Vec::new(), parameters: HashMap::new(), port }
    }

    /// Sends bytes as they are. That the other side has gone shows in the answer.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a Query and waits for all of its answer.
    pub fn query(&mut self, sql: &str) -> Answer {
        self.send(&query(sql));
        self.answer()
    }

    /// The only value of an answer without an error.
    #[track_caller]
    pub fn value(&mut self, sql: &str) -> String {
        self.query(sql).value().to_owned()
    }

    /// The server's process.
    #[track_caller]
    pub fn backend(&mut self) -> String {
        self.value("SELECT pg_backend_pid()")
    }

    /// Everything up to the next ReadyForQuery or the end.
    pub fn answer(&mut self) -> Answer {
        let mut answer = Answer::default();
        while let Some((kind, body)) = self.message() {
            self.note(kind, &body, &mut answer);
            if answer.status.is_some() {
                break;
            }
        }
        answer
    }

    /// Waits for a NOTICE, passing over nothing.
    #[track_caller]
    pub fn notice(&mut self) -> Said {
        match self.message() {
            Some((b'N', body)) => said(&body),
            other => panic!("expected a notice, got {other:?}"),
        }
    }

    /// Sends a Query that has to wait for a server, and waits until PgOtter says so (query_wait_notify).
    #[track_caller]
    pub fn queue(&mut self, sql: &str) {
        self.send(&query(sql));
        self.notice();
    }

    /// The next message; None at the end of the connection.
    pub fn message(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = self.take(5)?;
        let length = i32::from_be_bytes(head[1..5].try_into().unwrap());
        let body = self.take(usize::try_from(length).expect("a length") - 4)?;
        Some((head[0], body))
    }

    /// The port it is connected to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Asks PgOtter to cancel what this client runs, as libpq does; returns when the connection has been closed.
    pub fn cancel(&self) {
        cancel(self.port, self.pid, &self.secret);
    }

    /// Says goodbye.
    pub fn leave(mut self) {
        self.send(&[b'X', 0, 0, 0, 4]);
    }

    /// Closes with a reset.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }

    fn take(&mut self, bytes: usize) -> Option<Vec<u8>> {
        let mut chunk = [0; 16 * 1024];
        while self.received.len() < bytes {
            match read(&self.stream, &mut chunk) {
                Ok(0) => return None,
                Ok(bytes) => self.received.extend_from_slice(&chunk[..bytes]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer in {PATIENCE:?}"),
                Err(_) => return None,
            }
        }
        let rest = self.received.split_off(bytes);
        Some(std::mem::replace(&mut self.received, rest))
    }

    fn note(&mut self, kind: u8, body: &[u8], answer: &mut Answer) {
        match kind {
            b'E' => answer.errors.push(said(body)),
            b'N' => answer.notices.push(said(body)),
            b'C' => answer.tags.push(text(&body[..body.len() - 1])),
            b'D' => answer.rows.push(row(body)),
            b'Z' => answer.status = Some(body[0]),
            b'S' => {
                let mut words = body.split(|&byte| byte == 0).map(text);
                self.parameters.insert(words.next().unwrap(), words.next().unwrap());
            }
            b'K' => {
                self.pid = i32::from_be_bytes(body[..4].try_into().unwrap());
                self.secret = body[4..].to_vec();
            }
            _ => (),
        }
    }
}

/// One CancelRequest.
pub fn cancel(port: u16, pid: i32, secret: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("PgOtter accepts");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&first_packet(80_877_102, &[&pid.to_be_bytes()[..], secret].concat())).unwrap();
    let _ = read(&stream, &mut [0]);
}

/// StartupMessage 3.0.
pub fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    raw::startup(3, 0, parameters)
}

/// Parse, Bind, Execute; what ends the request is up to the caller: [`SYNC`] or [`FLUSH`].
pub fn extended(sql: &str) -> Vec<u8> {
    let parse = message(b'P', &[b"\0", sql.as_bytes(), b"\0\0\0"].concat());
    let bind = message(b'B', &[0; 8]);
    let execute = message(b'E', &[0; 5]);
    [parse, bind, execute].concat()
}

pub const SYNC: [u8; 5] = [b'S', 0, 0, 0, 4];
pub const FLUSH: [u8; 5] = [b'H', 0, 0, 0, 4];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn said(body: &[u8]) -> Said {
    let mut said = Said::default();
    for field in body.split(|&byte| byte == 0).filter(|field| !field.is_empty()) {
        let value = text(&field[1..]);
        match field[0] {
            b'V' => said.severity = value,
            b'C' => said.code = value,
            b'M' => said.message = value,
            b'D' => said.detail = value,
            b'H' => said.hint = value,
            _ => (),
        }
    }
    said
}

fn row(body: &[u8]) -> Vec<String> {
    let mut rest = &body[2..];
    let mut row = Vec::new();
    while !rest.is_empty() {
        let length = i32::from_be_bytes(rest[..4].try_into().unwrap());
        let length = usize::try_from(length).unwrap_or(0);
        row.push(text(&rest[4..4 + length]));
        rest = &rest[4 + length..];
    }
    row
}
