//! The smallest PostgreSQL client: it discards what it is sent, so that it costs next to nothing beside a pooler.
//! Source of the formats: PostgreSQL documentation, chapter "Frontend/Backend Protocol".

use crate::Result;
use crate::raw_login::Line;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// `bytea`'s type id.
const BYTEA_OID: u32 = 17;

/// One connection, blocking. `raw_login.rs` makes it.
pub struct RawClient {
    line: BufReader<Line>,
}

impl RawClient {
    /// Over a line that the login goes on on.
    pub fn new(line: Line) -> RawClient {
        RawClient { line: BufReader::with_capacity(64 * 1024, line) }
    }

    /// The connection, for whoever goes on with it. `None`: it is encrypted.
    pub fn into_socket(self) -> Option<TcpStream> {
        match self.line.into_inner() {
            Line::Plain(socket) => Some(socket),
            Line::Tls(_) => None,
        }
    }

    /// Terminates the session, as libpq does: without waiting for the end of the connection.
    pub fn leave(mut self) -> Result<()> {
        self.send(&message(b'X', b"")?)
    }

    /// Sends one simple query.
    pub fn ask(&mut self, sql: &str) -> Result<()> {
        self.send(&query(sql)?)
    }

    /// Runs one simple query; returns the number of bytes of the messages that came back.
    pub fn query(&mut self, sql: &str) -> Result<u64> {
        self.ask(sql)?;
        self.until_ready()
    }

    /// Binds `size` bytes to `select octet_length($1)` in the extended protocol, streaming them.
    pub fn bind_bytes(&mut self, size: usize) -> Result<()> {
        let mut parse = b"\0select octet_length($1)\0\0\x01".to_vec();
        parse.extend_from_slice(&BYTEA_OID.to_be_bytes());
        self.send(&message(b'P', &parse)?)?;

        // Bind: unnamed portal and statement, one format (binary), one parameter; behind it one text result format.
        let mut head = b"\0\0\0\x01\0\x01\0\x01".to_vec();
        head.extend_from_slice(&u32::try_from(size)?.to_be_bytes());
        let tail = [0, 0];
        let mut bind = vec![b'B'];
        bind.extend_from_slice(&length_of(head.len() + size + tail.len())?.to_be_bytes());
        bind.extend_from_slice(&head);
        self.send(&bind)?;
        let chunk = vec![b'x'; 64 * 1024];
        let mut left = size;
        while left > 0 {
            let part = left.min(chunk.len());
            self.send(&chunk[..part])?;
            left -= part;
        }
        self.send(&tail)?;
        self.send(&message(b'E', b"\0\0\0\0\0")?)?;
        self.send(&message(b'S', b"")?)?;
        self.until_ready().map(|_| ())
    }

    /// Prepares so many statements of some 100 bytes, under names of their own or none.
    pub fn prepare(&mut self, statements: u32, named: bool) -> Result<()> {
        for number in 0..statements {
            let name = if named { format!("statement_{number}") } else { String::new() };
            let text =
                format!("select abalance, bid, filler from pgbench_accounts where aid = $1 and bid <> {number:03}");
            let body = [name.as_bytes(), b"\0", text.as_bytes(), b"\0\0\0"].concat();
            self.send(&message(b'P', &body)?)?;
        }
        self.send(&message(b'S', b"")?)?;
        self.until_ready().map(|_| ())
    }

    /// Sends all of it.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.line.get_mut().write_all(bytes)?)
    }

    /// The body of the next message, an Authentication one.
    pub fn authentication(&mut self) -> Result<Vec<u8>> {
        let (kind, length) = self.head()?;
        let mut body = Vec::new();
        (&mut self.line).take(length).read_to_end(&mut body)?;
        if kind == b'R' { Ok(body) } else { Err(String::from_utf8_lossy(&body).replace('\0', " ").into()) }
    }

    /// Type and length of the body of the next message.
    fn head(&mut self) -> Result<(u8, u64)> {
        let mut head = [0; 5];
        self.line.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        Ok((kind, u64::from(u32::from_be_bytes(length)).saturating_sub(4)))
    }

    /// Reads up to and with ReadyForQuery; returns the number of bytes. An ErrorResponse is an error.
    pub fn until_ready(&mut self) -> Result<u64> {
        let mut total = 0;
        let mut refusal = None;
        loop {
            let (kind, body) = self.head()?;
            total += 5 + body;
            if kind == b'E' {
                let mut text = Vec::new();
                (&mut self.line).take(body).read_to_end(&mut text)?;
                let text = String::from_utf8_lossy(&text).replace('\0', " ");
                // One before the login is done is the last thing a server says: no ReadyForQuery follows.
                if text.contains("FATAL") {
                    return Err(text.into());
                }
                refusal = Some(text);
            } else {
                self.skip(body)?;
            }
            if kind == b'Z' {
                return refusal.map_or(Ok(total), |text| Err(text.into()));
            }
        }
    }

    fn skip(&mut self, bytes: u64) -> Result<()> {
        let mut left = bytes;
        while left > 0 {
            let here = self.line.fill_buf()?.len();
            if here == 0 {
                return Err("the connection was closed in the middle of a message".into());
            }
            let part = here.min(usize::try_from(left).unwrap_or(here));
            self.line.consume(part);
            left -= part as u64;
        }
        Ok(())
    }
}

/// A simple query.
pub fn query(sql: &str) -> Result<Vec<u8>> {
    message(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

/// One message of the frontend.
fn message(kind: u8, body: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&length_of(body.len())?.to_be_bytes());
    bytes.extend_from_slice(body);
    Ok(bytes)
}

/// The length field counts itself.
fn length_of(body: usize) -> Result<u32> {
    Ok(u32::try_from(body + 4)?)
}
