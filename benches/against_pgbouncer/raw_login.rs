//! How the smallest client gets in: TCP, perhaps TLS, trust or SCRAM. It spends as little as it can: keys are derived
//! once, and the server's certificate is checked against a single root.

use crate::Result;
use crate::lab::{DATABASE, USER};
use crate::raw_client::RawClient;
use bytes::BytesMut;
use pgotter::auth::{Binding, NONCE_BYTES, SCRAM_SHA_256, ScramClient, ScramKeys};
use pgotter::secret::random;
use pgotter::wire::backend::Authentication;
use pgotter::wire::frontend;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A pooler that has stopped answering must not stop the benchmark.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the certificate is for.
pub const HOST: &str = "localhost";

/// Where to log in, and how.
#[derive(Clone)]
pub struct Entrance {
    /// On 127.0.0.1.
    pub port: u16,
    /// Ask for TLS.
    pub tls: Option<Arc<ClientConfig>>,
    /// Prove the password by these; None is trust.
    pub keys: Option<Arc<ScramKeys>>,
}

/// A connection, with or without TLS.
pub enum Line {
    /// As it is.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Entrance {
    /// A connection that has said nothing yet.
    pub fn knock(&self) -> Result<TcpStream> {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(socket)
    }

    /// Connects, and waits until the pooler says that it is ready.
    pub fn log_in(&self) -> Result<RawClient> {
        self.log_in_with(&[])
    }

    /// As [`Entrance::log_in`], with settings in the startup packet.
    pub fn log_in_with(&self, settings: &[(&str, &str)]) -> Result<RawClient> {
        let socket = self.knock()?;
        let line = match &self.tls {
            None => Line::Plain(socket),
            Some(config) => {
                let socket = ask_for_tls(socket)?;
                let connection = ClientConnection::new(config.clone(), ServerName::try_from(HOST)?)?;
                Line::Tls(Box::new(StreamOwned::new(connection, socket)))
            }
        };
        let mut client = RawClient::new(line);
        let mut startup = BytesMut::new();
        let parameters = [&[("user", USER), ("database", DATABASE)], settings].concat();
        frontend::startup(&mut startup, parameters.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        client.send(&startup)?;
        if let Some(keys) = &self.keys {
            prove(&mut client, keys)?;
        }
        client.until_ready()?;
        Ok(client)
    }
}

/// SSLRequest, and its answer.
pub fn ask_for_tls(mut socket: TcpStream) -> Result<TcpStream> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    socket.write_all(&request)?;
    let mut answer = [0];
    socket.read_exact(&mut answer)?;
    if answer == *b"S" { Ok(socket) } else { Err("the pooler has no TLS".into()) }
}

/// SCRAM-SHA-256, not bound to the connection: PgBouncer 1.18 has no PLUS.
fn prove(client: &mut RawClient, keys: &ScramKeys) -> Result<()> {
    const UNEXPECTED: &str = "not the message of SCRAM that was due";
    let Some(Authentication::Sasl(_)) = Authentication::read(&client.authentication()?) else {
        return Err(UNEXPECTED.into());
    };
    let scram = ScramClient::new(&random::<NONCE_BYTES>(), Binding::Impossible);
    let mut out = BytesMut::new();
    frontend::sasl_initial(&mut out, SCRAM_SHA_256, &scram.client_first());
    client.send(&out)?;
    let body = client.authentication()?;
    let Some(Authentication::SaslContinue(first)) = Authentication::read(&body) else {
        return Err(UNEXPECTED.into());
    };
    let (expect, client_final) = scram.server_first(first)?.with_keys(keys);
    out.clear();
    frontend::sasl_response(&mut out, &client_final);
    client.send(&out)?;
    let body = client.authentication()?;
    let Some(Authentication::SaslFinal(last)) = Authentication::read(&body) else { return Err(UNEXPECTED.into()) };
    Ok(expect.server_final(last)?)
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
