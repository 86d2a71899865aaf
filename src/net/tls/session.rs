//! One TLS connection between ciphertext and plaintext: no socket, no waiting. rustls keeps no buffer here (its
//! "unbuffered" interface): what is not yet a whole record and what is not yet sent stands in two of ours, which are
//! dropped when empty. An idle session costs its keys and nothing else.

use super::end_point;
use bytes::{Buf, BytesMut};
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::{ClientConfig, CommonState, ServerConfig};
use std::io;
use std::sync::Arc;

/// Plaintext encrypted at a time, four full records. Twice as much at most waits as ciphertext.
const ENCRYPT_MAX: usize = 64 * 1024;
/// Plaintext of a full record. Source: RFC 8446, section 5.1.
const RECORD: usize = 16 * 1024;
/// A record is at most this much longer than its plaintext: header, type, nonce and tag are 29 bytes. Twice that, for a
/// key update that may go in front.
const OVERHEAD: usize = 64;
/// A handshake that needs more than this at once is none. rustls stops at messages of 64 KiB.
const HANDSHAKE_MAX: usize = 128 * 1024;

enum Connection {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Progress {
    /// The peer's part of the handshake.
    Handshake,
    /// Whatever either side wants to say.
    Traffic,
    /// Nothing more: the peer has said that it will send nothing.
    Closed,
}

pub(in crate::net) struct Session {
    connection: Connection,
    // Between two calls less than a record.
    incoming: BytesMut,
    outgoing: BytesMut,
    peer_closed: bool,
    end_point: Option<Arc<[u8]>>,
}

impl Session {
    /// The server's side; `incoming` is what has come of the handshake. `end_point` is our certificate's.
    pub(super) fn server(
        config: Arc<ServerConfig>,
        incoming: BytesMut,
        end_point: Option<Arc<[u8]>>,
    ) -> io::Result<Self> {
        let connection = UnbufferedServerConnection::new(config).map_err(broken)?;
        Ok(Self::new(Connection::Server(connection), incoming, end_point))
    }

    /// The client's side.
    pub(super) fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Self> {
        let connection = UnbufferedClientConnection::new(config, name).map_err(broken)?;
        Ok(Self::new(Connection::Client(connection), BytesMut::new(), None))
    }

    fn new(connection: Connection, incoming: BytesMut, end_point: Option<Arc<[u8]>>) -> Self {
        Self { connection, incoming, outgoing: BytesMut::new(), peer_closed: false, end_point }
    }

    /// Where ciphertext is received to, for [`Session::advance`].
    pub(in crate::net) fn incoming(&mut self) -> &mut BytesMut {
        &mut self.incoming
    }

    /// Ciphertext to be sent. Replaced when empty: an idle session holds none.
    pub(in crate::net) fn outgoing(&mut self) -> &mut BytesMut {
        &mut self.outgoing
    }

    /// Bytes of ciphertext to be sent.
    pub(in crate::net) fn unsent(&self) -> usize {
        self.outgoing.len()
    }

    /// Bytes of memory that its buffers take.
    pub(in crate::net) fn memory(&self) -> usize {
        self.incoming.capacity() + self.outgoing.capacity()
    }

    /// Whether more may be encrypted before what was is sent.
    pub(in crate::net) fn has_room(&self) -> bool {
        self.outgoing.len() < ENCRYPT_MAX
    }

    /// A part of a record has come, and the rest has not.
    pub(in crate::net) fn is_cut(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// The peer has said that it will send nothing more.
    pub(in crate::net) fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// See `Socket::tls_server_end_point`.
    pub(in crate::net) fn end_point(&self) -> Option<&[u8]> {
        self.end_point.as_deref()
    }

    /// See `Socket::peer_certificate`.
    pub(in crate::net) fn peer_certificate(&self) -> Option<&[u8]> {
        self.state().peer_certificates().and_then(|chain| chain.first()).map(CertificateDer::as_ref)
    }

    /// The application protocol that both sides agreed on.
    pub(in crate::net) fn alpn(&self) -> Option<&[u8]> {
        self.state().alpn_protocol()
    }

    /// The IANA's number of the cipher suite; 0 before there is one.
    pub(in crate::net) fn cipher_suite(&self) -> u16 {
        self.state().negotiated_cipher_suite().map_or(0, |suite| suite.suite().into())
    }

    fn state(&self) -> &CommonState {
        match &self.connection {
            Connection::Server(connection) => connection,
            Connection::Client(connection) => connection,
        }
    }

    /// Takes in every whole record that has come: plaintext goes behind `inbox`, answers to [`Session::outgoing`].
    ///
    /// # Errors
    /// `InvalidData`: the peer breaks TLS or does not prove itself. An alert for it is in [`Session::outgoing`].
    pub(in crate::net) fn advance(&mut self, inbox: &mut BytesMut) -> io::Result<Progress> {
        let progress = loop {
            if let Some(progress) = self.step(inbox)? {
                break progress;
            }
        };
        match progress {
            Progress::Handshake if self.incoming.len() > HANDSHAKE_MAX => return Err(broken("an endless handshake")),
            Progress::Traffic if self.end_point.is_none() => self.note_server(),
            Progress::Closed => self.peer_closed = true,
            _ => (),
        }
        if self.incoming.is_empty() {
            self.incoming = BytesMut::new();
        }
        Ok(progress)
    }

    /// As a client, the certificate at the server's end is its own.
    fn note_server(&mut self) {
        if let Connection::Client(_) = self.connection {
            self.end_point = self.peer_certificate().and_then(end_point::hash).map(Arc::from);
        }
    }

    fn step(&mut self, inbox: &mut BytesMut) -> io::Result<Option<Progress>> {
        let (incoming, outgoing) = (&mut self.incoming, &mut self.outgoing);
        let (used, outcome) = match &mut self.connection {
            Connection::Server(connection) => take(connection.process_tls_records(incoming), inbox, outgoing),
            Connection::Client(connection) => take(connection.process_tls_records(incoming), inbox, outgoing),
        };
        incoming.advance(used.min(incoming.len()));
        let Err(error) = outcome else { return outcome };
        // The alert that says why. There is nothing to be done if that fails as well.
        let (_, _alert) = match &mut self.connection {
            Connection::Server(connection) => take(connection.process_tls_records(&mut []), inbox, outgoing),
            Connection::Client(connection) => take(connection.process_tls_records(&mut []), inbox, outgoing),
        };
        Err(error)
    }

    /// Encrypts from the front of `plain` into [`Session::outgoing`], a bounded part of it; how many bytes of it.
    ///
    /// # Errors
    /// The session is not, or no longer, one that can send.
    pub(in crate::net) fn encrypt(&mut self, plain: &[u8]) -> io::Result<usize> {
        let taken = plain.len().min(ENCRYPT_MAX);
        let room = taken + (taken / RECORD + 1) * OVERHEAD;
        self.write(room, Say::Data(&plain[..taken]))?;
        Ok(taken)
    }

    /// Says that nothing more will be sent.
    pub(in crate::net) fn say_goodbye(&mut self) -> io::Result<()> {
        self.write(OVERHEAD, Say::Goodbye)
    }

    fn write(&mut self, room: usize, what: Say<'_>) -> io::Result<()> {
        let start = self.outgoing.len();
        self.outgoing.resize(start + room, 0);
        let out = &mut self.outgoing[start..];
        let incoming = &mut self.incoming;
        let written = match &mut self.connection {
            Connection::Server(connection) => say(connection.process_tls_records(incoming), &what, out),
            Connection::Client(connection) => say(connection.process_tls_records(incoming), &what, out),
        };
        self.outgoing.truncate(start + written.as_ref().copied().unwrap_or(0));
        written.map(|_| ())
    }
}

enum Say<'a> {
    Data(&'a [u8]),
    Goodbye,
}

/// Does what rustls asks for: the bytes of ciphertext used up, and what it waits for once it asks for nothing.
fn take<D>(
    status: UnbufferedStatus<'_, '_, D>,
    inbox: &mut BytesMut,
    outgoing: &mut BytesMut,
) -> (usize, io::Result<Option<Progress>>) {
    let mut used = status.discard;
    let outcome = match status.state {
        Ok(ConnectionState::ReadTraffic(mut records)) => loop {
            match records.next_record() {
                None => break Ok(None),
                Some(Err(error)) => break Err(broken(error)),
                Some(Ok(record)) => {
                    used += record.discard;
                    inbox.extend_from_slice(record.payload);
                }
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => encode(outgoing, |out| data.encode(out)).map(|()| None),
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(None)
        }
        Ok(ConnectionState::BlockedHandshake) => Ok(Some(Progress::Handshake)),
        Ok(ConnectionState::WriteTraffic(_)) => Ok(Some(Progress::Traffic)),
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Some(Progress::Closed)),
        Ok(other) => Err(broken(format!("{other:?}"))),
        Err(error) => Err(broken(error)),
    };
    (used, outcome)
}

/// A message of the handshake.
fn encode(
    outgoing: &mut BytesMut,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, rustls::unbuffered::EncodeError>,
) -> io::Result<()> {
    use rustls::unbuffered::EncodeError;
    let start = outgoing.len();
    let needed = match encode(&mut []) {
        Err(EncodeError::InsufficientSize(needed)) => needed.required_size,
        Err(error) => return Err(broken(error)),
        Ok(_) => return Ok(()),
    };
    outgoing.resize(start + needed, 0);
    let written = encode(&mut outgoing[start..]).map_err(broken)?;
    outgoing.truncate(start + written);
    Ok(())
}

fn say<D>(status: UnbufferedStatus<'_, '_, D>, what: &Say<'_>, out: &mut [u8]) -> io::Result<usize> {
    match (status.state, what) {
        (Ok(ConnectionState::WriteTraffic(mut traffic)), Say::Data(plain)) => traffic.encrypt(plain, out),
        (Ok(ConnectionState::WriteTraffic(mut traffic)), Say::Goodbye) => traffic.queue_close_notify(out),
        (Ok(_), _) => return Err(io::ErrorKind::BrokenPipe.into()),
        (Err(error), _) => return Err(broken(error)),
    }
    .map_err(broken)
}

fn broken(why: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("TLS: {}", why.to_string()))
}
