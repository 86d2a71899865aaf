//! A client that speaks TLS by itself, directly or behind an SSLRequest, and PostgreSQL's protocol byte by byte.

use super::world::ours;
use crate::support::raw::{PATIENCE, first_packet, startup};
use crate::support::waiting::read;
use pgotter::wire::frame::first;
use pgotter::wire::startup::SSL_REQUEST;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;

/// A TLS connection whose handshake is done.
pub struct Secure {
    stream: StreamOwned<ClientConnection, TcpStream>,
    received: Vec<u8>,
}

/// Connects in plain.
pub fn plain(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

impl Secure {
    /// TLS from the first byte on.
    pub fn direct(port: u16, alpn: &[&str]) -> io::Result<Self> {
        Self::over(plain(port), alpn)
    }

    /// TLS behind an SSLRequest.
    pub fn asked(port: u16, alpn: &[&str]) -> io::Result<Self> {
        let mut stream = plain(port);
        stream.write_all(&first_packet(SSL_REQUEST, &[])).unwrap();
        let mut answer = [0];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"S");
        Self::over(stream, alpn)
    }

    fn over(mut stream: TcpStream, alpn: &[&str]) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ours().certificate.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Self { stream: StreamOwned::new(connection, stream), received: Vec::new() })
    }

    /// The certificate that was shown, as DER.
    pub fn certificate(&self) -> Vec<u8> {
        self.stream.conn.peer_certificates().expect("a handshake that is done")[0].to_vec()
    }

    /// Logs in as the superuser: process number and secret.
    pub fn log_in(&mut self) -> (i32, Vec<u8>) {
        self.send(&startup(3, 0, crate::support::raw::USER));
        let frames = self.until_ready();
        let (_, body) = frames.iter().find(|(kind, _)| *kind == b'K').unwrap_or_else(|| panic!("{frames:?}"));
        let (pid, secret) = body.split_at(4);
        (i32::from_be_bytes(pid.try_into().unwrap()), secret.to_vec())
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
        self.stream.flush().unwrap();
    }

    /// Messages up to and with ReadyForQuery, or the end of the connection, however it comes.
    pub fn until_ready(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut frames = Vec::new();
        loop {
            while let Some((kind, body, total)) = first(&self.received) {
                frames.push((kind, body.to_vec()));
                self.received.drain(..total);
                if kind == b'Z' {
                    return frames;
                }
            }
            let mut buffer = [0; 32 * 1024];
            match read(&mut self.stream, &mut buffer) {
                Ok(0) => return frames,
                Ok(bytes) => self.received.extend_from_slice(&buffer[..bytes]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("nothing came for {PATIENCE:?}"),
                Err(_) => return frames,
            }
        }
    }
}

impl Secure {
    /// Nothing comes any more, and TLS says so.
    pub fn ends_in_order(&mut self) -> bool {
        let mut rest = [0];
        self.received.is_empty() && matches!(read(&mut self.stream, &mut rest), Ok(0))
    }

    /// A Query and its answer.
    pub fn ask(&mut self, sql: &str) -> Vec<(u8, Vec<u8>)> {
        self.send(&crate::support::raw::query(sql));
        self.until_ready()
    }

    /// The only value of a Query's answer, which must be no error.
    #[track_caller]
    pub fn value(&mut self, sql: &str) -> String {
        let frames = self.ask(sql);
        let row = frames.iter().find(|(kind, _)| *kind == b'D').unwrap_or_else(|| panic!("{sql}: {frames:?}"));
        String::from_utf8_lossy(&row.1[6..]).into_owned()
    }
}

/// SQLSTATE of the first error.
pub fn error_code(frames: &[(u8, Vec<u8>)]) -> Option<String> {
    let (_, body) = frames.iter().find(|(kind, _)| *kind == b'E')?;
    pgotter::wire::backend::error_field(body, b'C').map(|code| String::from_utf8_lossy(code).into_owned())
}
