//! Opening a connection: connect, prove who we are, learn what the server reports.
//!
//! Source: PostgreSQL documentation, "Message Flow", Start-up.

use super::cancel::CancelTarget;
use super::connection::Server;
use super::keyring::Keyring;
use super::open::{Way, open, ways};
use crate::auth::Stored;
use crate::fault::{Blame, Fault, SqlState};
use crate::ids::ServerId;
use crate::net::{Address, Found, SharedTls, Socket, TcpOptions, Tls};
use crate::session::{Parameter, Welcome};
use crate::sql::Isolation;
use crate::wire::backend::{self, kind};
use crate::wire::frame;
use crate::wire::frontend;
use crate::wire::startup::CancelKey;
use bytes::{Buf, BytesMut};
use rustix::io::Errno;
use std::io;
use std::sync::Arc;

/// The longest message taken before the login is done. Source: PostgreSQL `PG_MAX_AUTH_TOKEN_LENGTH`.
const LOGIN_MESSAGE: usize = 65_535;

/// Whatever a connect_query has set belongs to the server, and is what clients find who set nothing.
const WHAT_IS_SET: &str = "SELECT name, setting FROM pg_catalog.pg_settings WHERE source = 'session' UNION ALL \
    SELECT 'role', pg_catalog.current_setting('role') WHERE pg_catalog.current_setting('role') <> 'none'";

/// A role, a database or postgresql.conf may say it, and nothing reports it. Whoever is serializable may ask a standby for no more.
const ISOLATION: &str = "SHOW default_transaction_isolation";

/// PostgreSQL has fewer settings, and a connect_query sets few of them.
const SET_MAX: usize = 256;

/// Bytes of names and values that a server may report while it lets us in. PostgreSQL reports 14 to 15 settings, few of them longer
/// than a word.
const REPORTED_MAX: usize = 256 * 1024;

/// Where to log in, and as whom.
#[derive(Clone)]
pub struct LoginSpec {
    /// Host.
    pub address: Address,
    /// Where that was found, if it is one of several.
    pub found: Arc<Found>,
    /// Socket options.
    pub options: TcpOptions,
    /// The TLS in force.
    pub tls: SharedTls,
    /// Role.
    pub user: String,
    /// Database.
    pub database: String,
    /// What proves the role; None = trust only. A verifier stands for the keys that clients of this role show.
    pub secret: Option<Stored>,
    /// Keys that are in no file.
    pub keyring: Arc<Keyring>,
    /// Further startup parameters.
    pub parameters: Vec<(String, String)>,
    /// Run after login; a failure is logged and the server used all the same, as in PgBouncer.
    pub connect_query: Option<String>,
    /// `track_extra_parameters`.
    pub track_extra: Vec<String>,
    /// What decides where reads may run is asked: the database has several hosts.
    pub routes: bool,
    /// Generation of the configuration, from 1.
    pub generation: u64,
}

/// Why a server could not be opened.
#[derive(Debug)]
pub enum LoginError {
    /// The way to it failed.
    Unreachable(io::Error),
    /// It took longer than `server_connect_timeout`.
    TimedOut,
    /// PostgreSQL said no.
    Refused {
        /// Its SQLSTATE.
        sqlstate: String,
        /// Its primary message.
        message: String,
        /// What we know about it.
        detail: Option<&'static str>,
    },
    /// It asks for a proof we cannot give.
    NoSecret(&'static str),
    /// It has no TLS although it must, or its certificate does not do. It has not been told any secret.
    Insecure(String),
    /// It does not speak as PostgreSQL does, or does not know our password.
    Untrusted(String),
}

impl LoginError {
    /// Whether another attempt can only end the same way until an operator acts: waiting clients are told at once.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut => false,
            Self::Refused { sqlstate, .. } => ["28", "3D", "42", "0A"].iter().any(|class| sqlstate.starts_with(class)),
            Self::NoSecret(_) | Self::Insecure(_) | Self::Untrusted(_) => true,
        }
    }

    /// Whether the host is not there, or not yet or no longer: nobody listens, or PostgreSQL is starting up or stopping.
    pub fn is_absence(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            // 57P01 and 57P02 end a login that is under way when PostgreSQL stops or has crashed.
            Self::Refused { sqlstate, .. } => ["57P01", "57P02", "57P03"].contains(&sqlstate.as_str()),
            Self::TimedOut | Self::NoSecret(_) | Self::Insecure(_) | Self::Untrusted(_) => false,
        }
    }

    /// Whether it failed for want of descriptors, in this process or on this machine. The host was not asked.
    pub fn is_our_own(&self) -> bool {
        let Self::Unreachable(error) = self else { return false };
        [Errno::MFILE, Errno::NFILE].iter().any(|errno| Errno::from_io_error(error) == Some(*errno))
    }

    /// As a client that waits for this server hears it.
    pub fn fault(&self) -> Fault {
        let code = match self {
            Self::Unreachable(_) | Self::TimedOut => SqlState::CANNOT_CONNECT_NOW,
            Self::Refused { sqlstate, .. } => known_sqlstate(sqlstate),
            Self::NoSecret(_) | Self::Insecure(_) | Self::Untrusted(_) => SqlState::CONNECTION_FAILURE,
        };
        let fault = Fault::fatal(Blame::Server, code, self.to_string());
        match self {
            Self::Refused { detail: Some(detail), .. } => fault.with_detail(*detail),
            _ => fault,
        }
    }
}

/// Codes PostgreSQL gives to a login, so that drivers act on the same ones.
fn known_sqlstate(code: &str) -> SqlState {
    [
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        SqlState::INVALID_PASSWORD,
        SqlState::INVALID_CATALOG_NAME,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::ADMIN_SHUTDOWN,
        SqlState::INVALID_PARAMETER_VALUE,
        SqlState::FEATURE_NOT_SUPPORTED,
    ]
    .into_iter()
    .find(|known| known.0 == code)
    .unwrap_or(SqlState::CONNECTION_FAILURE)
}

impl std::fmt::Display for LoginError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(error) => write!(f, "cannot connect to the server: {error}"),
            Self::TimedOut => f.write_str("cannot connect to the server: timed out"),
            Self::Refused { message, .. } => f.write_str(message),
            Self::NoSecret(why) => write!(f, "cannot log in to the server: {why}"),
            Self::Insecure(why) => write!(f, "cannot connect to the server: {why}"),
            Self::Untrusted(why) => write!(f, "cannot log in to the server: {why}"),
        }
    }
}

impl std::error::Error for LoginError {}

impl From<io::Error> for LoginError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Unreachable(io::Error::new(error.kind(), "the server closed the connection"));
        }
        match error.kind() {
            io::ErrorKind::InvalidData => Self::Insecure(error.to_string()),
            _ => Self::Unreachable(error),
        }
    }
}

/// Opens one server, with or without TLS as the settings have it. No deadline of its own; dropped in the middle it leaves
/// nothing behind.
pub async fn log_in(spec: &LoginSpec, id: ServerId) -> Result<(Box<Server>, Welcome), LoginError> {
    let tls = spec.tls.load_full();
    let (first, second) = ways(tls.connector().mode(), &spec.address);
    let mut encrypted = false;
    let outcome = attempt(spec, id, (&tls, first), &mut encrypted).await;
    match (second, outcome) {
        (Some(second), Err(error)) if is_for_want_of(second, &error, encrypted) => {
            attempt(spec, id, (&tls, second), &mut encrypted).await
        }
        (_, outcome) => outcome,
    }
}

/// Whether the other way may do better: TLS did not come about, or `pg_hba.conf` wants the other.
fn is_for_want_of(other: Way, error: &LoginError, encrypted: bool) -> bool {
    let forbidden = SqlState::INVALID_AUTHORIZATION_SPECIFICATION.0;
    match error {
        LoginError::Insecure(_) => true,
        LoginError::Refused { sqlstate, .. } => sqlstate == forbidden && encrypted == (other == Way::Plain),
        _ => false,
    }
}

async fn attempt(
    spec: &LoginSpec,
    id: ServerId,
    (tls, way): (&Tls, Way),
    encrypted: &mut bool,
) -> Result<(Box<Server>, Welcome), LoginError> {
    let place = spec.address.at(spec.found.get());
    let host = spec.address.host();
    let socket = open((&place, host), &spec.options, tls.connector(), way).await?;
    *encrypted = socket.is_encrypted();
    // A name may have several addresses; a cancel has to go to this one.
    let address = socket.peer_address().unwrap_or_else(|| spec.address.clone());
    let mut login = Login { socket, spec };
    login.send_startup();
    let role_is_proven = login.authenticate().await?;
    let (mut welcome, key) = login.hear_parameters().await?;
    let set = match &spec.connect_query {
        Some(sql) => {
            login.run(sql, "connect_query failed").await?;
            login.run(WHAT_IS_SET, "what connect_query has set is not known").await?
        }
        None => Vec::new(),
    };
    let home = welcome.home(&set, &spec.track_extra);
    if spec.routes {
        let isolation = login.run(ISOLATION, "what its transactions are if nobody says it is not known").await?;
        welcome.isolation = isolation.first().and_then(|(isolation, _)| Isolation::named(isolation));
    }
    login.check_what_follows()?;
    let host = encrypted.then(|| host.to_owned());
    let (options, tls) = (spec.options, spec.tls.clone());
    let target = CancelTarget { address, key, options, host, tls, astray: 0.into() };
    let settings = (welcome.settings.clone(), home);
    let mut server = Server::new(id, login.socket, settings, target, crate::clock::now(), spec.generation);
    server.role_is_proven = role_is_proven;
    // Kept in the inbox it would make the server look unfit for every client, and be opened again at once.
    if !server.take_in() {
        return Err(untrusted("it said what nobody asked for behind its login"));
    }
    Ok((Box::new(server), welcome))
}

pub(super) struct Login<'a> {
    pub(super) socket: Socket,
    pub(super) spec: &'a LoginSpec,
}

impl Login<'_> {
    fn send_startup(&mut self) {
        let fixed = [("user", self.spec.user.as_str()), ("database", &self.spec.database)];
        let more = self.spec.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut out = BytesMut::new();
        frontend::startup(&mut out, fixed.into_iter().chain(more).map(|(n, v)| (n.as_bytes(), v.as_bytes())));
        self.socket.queue(out);
    }

    /// The next message, whole: its type and body.
    async fn next(&mut self) -> Result<(u8, BytesMut), LoginError> {
        self.socket.flush().await?;
        loop {
            if let Some(head) = frame::Head::read(self.socket.received()) {
                let total = head.frame_len().filter(|total| *total <= LOGIN_MESSAGE);
                let total = total.ok_or_else(|| untrusted("a message of impossible length"))?;
                if self.socket.received().len() >= total {
                    let mut message = self.socket.inbox().split_to(total);
                    message.advance(frame::HEAD);
                    return Ok((head.kind, message));
                }
            }
            self.socket.recv().await?;
        }
    }

    /// As [`Login::next`], with an ErrorResponse turned into an error and notices passed over.
    pub(super) async fn expect(&mut self) -> Result<(u8, BytesMut), LoginError> {
        loop {
            match self.next().await? {
                (kind::ERROR_RESPONSE, body) => return Err(refused(&body)),
                (kind::NOTICE_RESPONSE, _) => continue,
                other => return Ok(other),
            }
        }
    }

    async fn hear_parameters(&mut self) -> Result<(Welcome, CancelKey), LoginError> {
        let (mut parameters, mut reported) = (Vec::new(), 0);
        let mut key = None;
        loop {
            match self.expect().await? {
                (kind::PARAMETER_STATUS, body) => {
                    reported += body.len();
                    if reported > REPORTED_MAX {
                        return Err(untrusted("settings without end"));
                    }
                    let (name, value) =
                        backend::parameter_status(&body).ok_or_else(|| untrusted("a malformed ParameterStatus"))?;
                    parameters.push((name.into(), value.into()));
                }
                (kind::BACKEND_KEY_DATA, body) => {
                    let mut rest = &body[..];
                    let pid = frame::take_i32(&mut rest).ok_or_else(|| untrusted("a malformed BackendKeyData"))?;
                    key = Some(CancelKey { pid, secret: rest.into() });
                }
                (kind::READY_FOR_QUERY, _) => break,
                _ => return Err(untrusted("an unexpected message after authentication")),
            }
        }
        // Without a key the server cannot be cancelled; nobody answers to this one.
        let key = key.unwrap_or(CancelKey { pid: 0, secret: Box::default() });
        Ok((Welcome::new(parameters, &self.spec.track_extra), key))
    }

    /// What came together with the last ReadyForQuery: a server that takes its leave again is not open.
    fn check_what_follows(&self) -> Result<(), LoginError> {
        match frame::first(self.socket.received()) {
            Some((kind::ERROR_RESPONSE, body, _)) => Err(refused(body)),
            _ => Ok(()),
        }
    }

    /// Runs a query; the first two fields of each row, of which there may be one. That it `failed` is only logged.
    async fn run(&mut self, sql: &str, failed: &'static str) -> Result<Vec<Parameter>, LoginError> {
        let mut out = BytesMut::new();
        frontend::query(&mut out, sql);
        self.socket.queue(out);
        let mut rows = Vec::new();
        loop {
            match self.next().await? {
                (kind::READY_FOR_QUERY, _) => return Ok(rows),
                (kind::ERROR_RESPONSE, body) => {
                    let error = refused(&body).to_string();
                    tracing::warn!(server = %self.spec.address, error = %error, "{failed}");
                }
                (kind::DATA_ROW, body) if rows.len() < SET_MAX => {
                    if let Some([name, rest @ ..]) = backend::row_fields(&body).as_deref() {
                        rows.push(((*name).into(), rest.first().copied().unwrap_or_default().into()));
                    }
                }
                _ => (),
            }
        }
    }
}

fn refused(body: &[u8]) -> LoginError {
    let field = |letter, missing: &str| {
        backend::error_field(body, letter).map_or(missing.to_owned(), |text| String::from_utf8_lossy(text).into_owned())
    };
    LoginError::Refused {
        sqlstate: field(b'C', "08006"),
        message: field(b'M', "the server refused the login"),
        detail: None,
    }
}

pub(super) fn untrusted(why: &str) -> LoginError {
    LoginError::Untrusted(why.to_owned())
}
