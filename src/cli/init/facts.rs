//! What one host says of itself: logs in, as PgOtter would, and asks. Writes nothing anywhere.

use super::url::Target;
use crate::auth::{MalformedVerifier, Stored};
use crate::ids::ServerId;
use crate::net::{Address, TcpOptions, Tls};
use crate::server::{LoginError, LoginSpec, Server, log_in};
use crate::wire::backend::{self, kind};
use crate::wire::{frame, frontend};
use bytes::{Buf, BytesMut};
use std::fmt;
use std::sync::Arc;

/// Larger answers are not PostgreSQL's to this question.
const ANSWER: usize = 64 * 1024;

/// One row. Names stand in pg_catalog, whatever the search path.
const QUESTION: &str = "\
select current_setting('server_version'), pg_is_in_recovery()::int, current_setting('max_connections'), \
current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true), '0')::int, \
(select sum(numbackends) - 1 from pg_catalog.pg_stat_database), \
(select count(*) from pg_catalog.pg_stat_replication), rolsuper::int, rolconnlimit, \
(select datconnlimit from pg_catalog.pg_database where datname = current_database()) \
from pg_catalog.pg_roles where rolname = session_user";

/// What PostgreSQL told us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Such as `15.14`.
    pub version: String,
    /// It replays another's log and takes no writes.
    pub standby: bool,
    /// Its `max_connections`.
    pub max_connections: u32,
    /// Of these, kept for superusers and, since PostgreSQL 16, for pg_use_reserved_connections.
    pub reserved: u32,
    /// Connections at this moment, without ours.
    pub in_use: u32,
    /// Standbys that stream from it now.
    pub standbys: u32,
    /// The user may do everything.
    pub superuser: bool,
    /// The least of the limits that the user and the database have of their own.
    pub own_limit: Option<u32>,
    /// PostgreSQL wanted to see the password.
    pub asks_password: bool,
}

impl Facts {
    /// Connections that this user can have at most.
    pub fn room(&self) -> u32 {
        let room = self.max_connections.saturating_sub(self.reserved);
        room.min(self.own_limit.unwrap_or(u32::MAX)).max(1)
    }
}

/// Why there are no facts.
#[derive(Debug)]
pub enum Failure {
    /// The login.
    Login(LoginError),
    /// It asks for a password and the URL has none.
    NeedsPassword,
    /// The URL's password looks like a SCRAM verifier; `userlist.txt` could not tell.
    LooksLikeVerifier(MalformedVerifier),
    /// Logged in, but the question was not answered.
    Question(String),
}

/// Logs in to one host of `target` and asks. Without the password first: a server that never looks at it must not be
/// taken for one that has checked it.
///
/// # Errors
/// See [`Failure`].
pub async fn gather(target: &Target, host: &str, port: u16) -> Result<Facts, Failure> {
    let (mut server, asks_password) = connect(target, host, port).await?;
    let asked = tokio::time::timeout(target.timeout, ask(&mut server, QUESTION));
    let row = asked.await.map_err(|_| Failure::Question("no answer in time".to_owned()))?.map_err(Failure::Question)?;
    server.retire();
    read(&row, asks_password).ok_or_else(|| Failure::Question("this is not how PostgreSQL answers".to_owned()))
}

/// Logs in to one host, and says whether it wanted to see the password.
///
/// # Errors
/// See [`Failure`].
pub async fn connect(target: &Target, host: &str, port: u16) -> Result<(Box<Server>, bool), Failure> {
    let secret = target.password.as_ref().map(|password| Stored::parse(password.expose()));
    let secret = secret.transpose().map_err(Failure::LooksLikeVerifier)?;
    match open(target, host, port, None).await {
        Ok(server) => Ok((server, false)),
        Err(LoginError::NoSecret(_)) if secret.is_none() => Err(Failure::NeedsPassword),
        Err(LoginError::NoSecret(_)) => {
            open(target, host, port, secret).await.map(|server| (server, true)).map_err(Failure::Login)
        }
        Err(error) => Err(Failure::Login(error)),
    }
}

async fn open(target: &Target, host: &str, port: u16, secret: Option<Stored>) -> Result<Box<Server>, LoginError> {
    let spec = LoginSpec {
        address: Address::new(host, port),
        found: Arc::default(),
        options: TcpOptions::default(),
        tls: Tls::default().share(),
        user: target.user.clone(),
        database: target.database.clone(),
        secret,
        keyring: Arc::default(),
        parameters: vec![("application_name".to_owned(), "pgotter".to_owned())],
        connect_query: None,
        track_extra: Vec::new(),
        routes: false,
        generation: 0,
    };
    match tokio::time::timeout(target.timeout, log_in(&spec, ServerId(0))).await {
        Ok(outcome) => outcome.map(|(server, _)| server),
        Err(_) => Err(LoginError::TimedOut),
    }
}

/// The fields of the only row; NULL is empty.
async fn ask(server: &mut Server, sql: &str) -> Result<Vec<String>, String> {
    let mut out = BytesMut::new();
    frontend::query(&mut out, sql);
    server.send(out);
    let socket = server.socket();
    socket.flush().await.map_err(|error| error.to_string())?;
    let mut row = Vec::new();
    loop {
        while let Some((kind, body, length)) = frame::first(socket.received()) {
            match kind {
                kind::DATA_ROW => row = fields(body).ok_or("a malformed row")?,
                kind::ERROR_RESPONSE => {
                    let message = backend::error_field(body, b'M').unwrap_or(b"an error without a message");
                    return Err(String::from_utf8_lossy(message).into_owned());
                }
                kind::READY_FOR_QUERY => return Ok(row),
                _ => {}
            }
            socket.inbox().advance(length);
        }
        if socket.received().len() > ANSWER {
            return Err("a message of impossible length".to_owned());
        }
        socket.recv().await.map_err(|error| error.to_string())?;
    }
}

fn fields(body: &[u8]) -> Option<Vec<String>> {
    let text = |field: &&[u8]| String::from_utf8_lossy(field).into_owned();
    Some(backend::row_fields(body)?.iter().map(text).collect())
}

fn read(row: &[String], asks_password: bool) -> Option<Facts> {
    let [version, standby, most, reserved, in_use, standbys, superuser, role, database] = row else {
        return None;
    };
    let own_limit = [role, database].iter().filter_map(|limit| limit.parse().ok()).min();
    Some(Facts {
        version: version.split_whitespace().next()?.to_owned(),
        standby: standby == "1",
        max_connections: most.parse().ok()?,
        reserved: reserved.parse().ok()?,
        // May be NULL or negative for a moment: the statistics lag.
        in_use: in_use.parse().unwrap_or(0),
        standbys: standbys.parse().unwrap_or(0),
        superuser: superuser == "1",
        // -1 is no limit, and does not parse. It does not hold for superusers.
        own_limit: own_limit.filter(|_| superuser != "1"),
        asks_password,
    })
}

impl Failure {
    /// What the reader can do about it.
    pub fn advice(&self) -> String {
        let advice = match self {
            Self::NeedsPassword => "write it into the URL (postgresql://user:password@…) or set PGPASSWORD",
            Self::LooksLikeVerifier(_) => "choose a password that does not begin with SCRAM-SHA-256$",
            Self::Question(_) => "is this a PostgreSQL, and not a pooler or another database?",
            Self::Login(error) => return login_advice(error),
        };
        advice.to_owned()
    }
}

fn login_advice(error: &LoginError) -> String {
    let advice = match error {
        LoginError::Unreachable(_) | LoginError::TimedOut => {
            "is PostgreSQL running there, does its listen_addresses include this address, and does no firewall stand in \
             between?"
        }
        LoginError::Refused { sqlstate, message, .. } => match sqlstate.as_str() {
            "28P01" => {
                "the password is wrong, or the user does not exist or has none; in a URL, / ? # : @ % of a password are \
                 written %2F %3F %23 %3A %40 %25"
            }
            "28000" if message.contains("pg_hba.conf") => {
                "add a line for this user, database and address to pg_hba.conf and reload PostgreSQL; a hostssl line \
                 will do where PostgreSQL has TLS"
            }
            "28000" => "does the user exist, and may it log in (ALTER ROLE … LOGIN)?",
            "3D000" => "name a database that exists behind the last / of the URL (psql -l lists them)",
            "42501" => "the user needs the right to connect: GRANT CONNECT ON DATABASE … TO …",
            "53300" => "PostgreSQL has no connection left: close some, or raise max_connections",
            "57P03" => "PostgreSQL is starting, stopping or recovering: try again in a moment",
            _ => "that was PostgreSQL's answer; its log may say more",
        },
        LoginError::NoSecret(_) => "the URL's password is a hash, and PostgreSQL wants the password itself",
        LoginError::Insecure(_) | LoginError::Untrusted(_) => "is this a PostgreSQL, and the one you mean?",
    };
    advice.to_owned()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login(error) => error.fmt(f),
            Self::NeedsPassword => f.write_str("PostgreSQL asks for a password, and the URL has none"),
            Self::LooksLikeVerifier(_) => f.write_str("the password looks like a SCRAM verifier"),
            Self::Question(why) => write!(f, "logged in, but could not ask for its settings: {why}"),
        }
    }
}

impl std::error::Error for Failure {}
