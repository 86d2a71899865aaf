//! A client that speaks the protocol byte by byte, in any order and any cut, as no driver would. Blocking; every read
//! has a deadline, so that a test that waits for nothing fails instead of hanging.

use super::waiting::read;
use std::fmt::Write as _;
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Longer than any answer takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What every client of these tests asks for, unless it says otherwise.
pub const USER: &[(&str, &str)] = &[("user", "postgres"), ("database", "postgres")];

/// One message from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub body: Vec<u8>,
}

/// A connection, with what it learned at login.
pub struct Raw {
    pub stream: TcpStream,
    inbox: Vec<u8>,
    pub parameters: Vec<(String, String)>,
    pub pid: i32,
    pub secret: Vec<u8>,
}

impl Raw {
    /// Connects and says nothing.
    pub fn connect(port: u16) -> Self {
        Self::over(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connect"))
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("nodelay");
        stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("write timeout");
        Self { stream, inbox: Vec::new(), parameters: Vec::new(), pid: 0, secret: Vec::new() }
    }

    /// As [`Self::connect`], from another address of this machine.
    pub fn connect_from(source: Ipv4Addr, port: u16) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.bind(&std::net::SocketAddr::from((source, 0)).into()).expect("an address of this machine");
        socket.connect(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).expect("connect");
        Self::over(socket.into())
    }

    /// Logs in as the superuser with further startup parameters.
    pub fn log_in(port: u16, more: &[(&str, &str)]) -> Self {
        let mut client = Self::connect(port);
        client.send(&startup(3, 0, &[USER, more].concat()));
        client.welcomed();
        client
    }

    /// Reads the welcome up to ReadyForQuery and keeps what it says.
    pub fn welcomed(&mut self) -> Vec<Frame> {
        let frames = self.until_ready();
        for frame in &frames {
            match frame.kind {
                b'S' => self.parameters.push(frame.parameter()),
                b'K' => {
                    let (pid, secret) = frame.body.split_at(4);
                    self.pid = i32::from_be_bytes(pid.try_into().expect("four bytes"));
                    self.secret = secret.to_vec();
                }
                b'E' => panic!("login refused: {}", print(std::slice::from_ref(frame))),
                _ => (),
            }
        }
        frames
    }

    /// What a parameter was reported to be at login.
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("send");
    }

    /// One byte, for the answer to SSLRequest. `None` at the end of the connection.
    pub fn byte(&mut self) -> Option<u8> {
        while self.inbox.is_empty() {
            if !self.receive().unwrap_or_else(|error| panic!("nothing came for {PATIENCE:?}: {error}")) {
                return None;
            }
        }
        Some(self.inbox.remove(0))
    }

    /// The next message; `None` at the end of the connection.
    pub fn frame(&mut self) -> Option<Frame> {
        self.frame_or_silence().unwrap_or_else(|error| panic!("nothing came for {PATIENCE:?}: {error}"))
    }

    /// As [`Self::frame`], for whoever wants to say more than that nothing came in time.
    pub fn frame_or_silence(&mut self) -> std::io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.received() {
                return Ok(Some(frame));
            }
            if !self.receive()? {
                assert!(self.inbox.is_empty(), "the connection ended inside a message: {:?}", self.inbox);
                return Ok(None);
            }
        }
    }

    /// Every message that is already here; waits for none.
    pub fn frames_here(&mut self) -> Vec<Frame> {
        self.stream.set_nonblocking(true).expect("nonblocking");
        while matches!(self.receive(), Ok(true)) {}
        self.stream.set_nonblocking(false).expect("blocking");
        std::iter::from_fn(|| self.received()).collect()
    }

    /// The first whole message of the inbox.
    fn received(&mut self) -> Option<Frame> {
        let (head, rest) = self.inbox.split_first_chunk::<5>()?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4;
        let frame = Frame { kind: head[0], body: rest.get(..length)?.to_vec() };
        self.inbox.drain(..5 + length);
        Some(frame)
    }

    /// Whether nothing has come, not even the end of the connection.
    pub fn hears_nothing(&self) -> bool {
        self.stream.set_nonblocking(true).expect("nonblocking");
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("blocking");
        matches!(peeked, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// False at the end of the connection.
    fn receive(&mut self) -> std::io::Result<bool> {
        let mut buffer = [0; 64 * 1024];
        match read(&self.stream, &mut buffer) {
            Ok(bytes) => {
                self.inbox.extend_from_slice(&buffer[..bytes]);
                Ok(bytes > 0)
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Everything up to and with the next message of this type, or the end of the connection.
    pub fn until(&mut self, kind: u8) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.frame() {
            let last = frame.kind == kind;
            frames.push(frame);
            if last {
                break;
            }
        }
        frames
    }

    pub fn until_ready(&mut self) -> Vec<Frame> {
        self.until(b'Z')
    }

    /// Everything up to the end of the connection.
    pub fn until_end(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.frame()).collect()
    }

    /// Sends a Query and reads its whole answer.
    pub fn ask(&mut self, sql: &str) -> Vec<Frame> {
        self.send(&query(sql));
        self.until_ready()
    }

    /// The first column of the first row of a Query's answer, which must be no error.
    pub fn value(&mut self, sql: &str) -> String {
        let frames = self.ask(sql);
        assert!(error_code(&frames).is_none(), "{sql}: {}", print(&frames));
        first_value(&frames).unwrap_or_else(|| panic!("{sql}: {}", print(&frames)))
    }
}

impl Frame {
    /// Name and value of a ParameterStatus.
    pub fn parameter(&self) -> (String, String) {
        let mut words = self.body.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }

    /// A field of an error or a notice.
    pub fn field(&self, letter: u8) -> Option<String> {
        let mut fields = self.body.split(|&byte| byte == 0);
        let field = fields.find(|field| field.first() == Some(&letter))?;
        Some(String::from_utf8_lossy(&field[1..]).into_owned())
    }
}

/// SQLSTATE of the first error.
pub fn error_code(frames: &[Frame]) -> Option<String> {
    frames.iter().find(|frame| frame.kind == b'E')?.field(b'C')
}

/// First column of the first row.
pub fn first_value(frames: &[Frame]) -> Option<String> {
    row_values(frames.iter().find(|frame| frame.kind == b'D')?).into_iter().next()?
}

/// The columns of a DataRow; None is NULL.
pub fn row_values(row: &Frame) -> Vec<Option<String>> {
    let (mut values, mut rest) = (Vec::new(), row.body.get(2..).unwrap_or_default());
    while let Some((length, more)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (value, behind) = more.split_at(length.unwrap_or(0).min(more.len()));
        values.push(length.map(|_| String::from_utf8_lossy(value).into_owned()));
        rest = behind;
    }
    values
}

/// The columns of a RowDescription.
pub fn column_names(description: &Frame) -> Vec<String> {
    let (mut names, mut rest) = (Vec::new(), description.body.get(2..).unwrap_or_default());
    while let Some(end) = rest.iter().position(|&byte| byte == 0) {
        names.push(String::from_utf8_lossy(&rest[..end]).into_owned());
        // Table, column, type, its size and modifier, format.
        rest = rest.get(end + 19..).unwrap_or_default();
    }
    names
}

/// One line for each message. What differs from server to server is left out: keys, process numbers, and where in
/// PostgreSQL's source an error was raised. Parameters that come together are sorted.
pub fn print(frames: &[Frame]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut together = 0;
    for frame in frames {
        let text = match frame.kind {
            b'K' => String::new(),
            b'A' => frame.body.get(4..).unwrap_or_default().escape_ascii().to_string(),
            b'E' | b'N' => {
                let fields = frame.body.split(|&byte| byte == 0);
                let told = fields.filter(|field| !matches!(field.first(), None | Some(b'F' | b'L' | b'R')));
                told.map(|field| field.escape_ascii().to_string()).collect::<Vec<_>>().join(" | ")
            }
            _ if frame.body.len() > 400 => {
                let sum = frame.body.iter().fold(0u64, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
                format!("{} bytes, {sum:x}", frame.body.len())
            }
            _ => frame.body.escape_ascii().to_string(),
        };
        lines.push(format!("{} {text}", char::from(frame.kind)));
        together = if frame.kind == b'S' { together + 1 } else { 0 };
        let from = lines.len() - together;
        lines[from..].sort();
    }
    lines.iter().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "{line}");
        out
    })
}

/// A frame with any type and body.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("below 4 GiB");
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// A first packet: length, code, body.
pub fn first_packet(code: i32, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 8).expect("small");
    [&length.to_be_bytes()[..], &code.to_be_bytes(), body].concat()
}

pub fn startup(major: i32, minor: i32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let parameters: Vec<_> = parameters.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    startup_bytes(major, minor, &parameters)
}

/// For values that are no UTF-8.
pub fn startup_bytes(major: i32, minor: i32, parameters: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in parameters {
        body.extend_from_slice(&[*name, b"\0", *value, b"\0"].concat());
    }
    body.push(0);
    first_packet((major << 16) | minor, &body)
}

pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &cstr(sql))
}

pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', &[cstr(name), cstr(sql), vec![0, 0]].concat())
}

/// Text parameters, text results.
pub fn bind(portal: &str, statement: &str, values: &[&[u8]]) -> Vec<u8> {
    let mut body = [cstr(portal), cstr(statement), vec![0, 0]].concat();
    body.extend_from_slice(&u16::try_from(values.len()).expect("few").to_be_bytes());
    for value in values {
        body.extend_from_slice(&u32::try_from(value.len()).expect("below 4 GiB").to_be_bytes());
        body.extend_from_slice(value);
    }
    body.extend_from_slice(&[0, 0]);
    message(b'B', &body)
}

/// `what` is b'S' or b'P'.
pub fn describe(what: u8, name: &str) -> Vec<u8> {
    message(b'D', &[vec![what], cstr(name)].concat())
}

pub fn close(what: u8, name: &str) -> Vec<u8> {
    message(b'C', &[vec![what], cstr(name)].concat())
}

/// At most `rows` rows; 0 = all.
pub fn execute(portal: &str, rows: u32) -> Vec<u8> {
    message(b'E', &[cstr(portal), rows.to_be_bytes().to_vec()].concat())
}

pub fn sync() -> Vec<u8> {
    message(b'S', b"")
}

pub fn flush() -> Vec<u8> {
    message(b'H', b"")
}

pub fn terminate() -> Vec<u8> {
    message(b'X', b"")
}

pub fn copy_data(data: &str) -> Vec<u8> {
    message(b'd', data.as_bytes())
}

pub fn copy_done() -> Vec<u8> {
    message(b'c', b"")
}

pub fn copy_fail(why: &str) -> Vec<u8> {
    message(b'f', &cstr(why))
}

/// FunctionCall with text arguments and a text result.
pub fn function_call(function: u32, arguments: &[&str]) -> Vec<u8> {
    let mut body = [&function.to_be_bytes()[..], &[0, 0]].concat();
    body.extend_from_slice(&u16::try_from(arguments.len()).expect("few").to_be_bytes());
    for argument in arguments {
        body.extend_from_slice(&u32::try_from(argument.len()).expect("small").to_be_bytes());
        body.extend_from_slice(argument.as_bytes());
    }
    body.extend_from_slice(&[0, 0]);
    message(b'F', &body)
}

/// Parse, Bind, Describe, Execute on the unnamed statement and portal, without a Sync.
pub fn extended(sql: &str, values: &[&[u8]]) -> Vec<u8> {
    [parse("", sql), bind("", "", values), describe(b'P', ""), execute("", 0)].concat()
}

fn cstr(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}
