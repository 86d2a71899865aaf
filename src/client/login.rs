//! From the first byte to a proven user: the start of every connection. Runs on the front thread.
//!
//! Source: PostgreSQL `src/backend/tcop/backend_startup.c`.

use super::authenticate::{Credentials, Proved};
use super::registry::{Registration, Registry, Seat, Seats};
use super::strangers::{LookUp, Strangers};
use super::welcome::login_result;
use crate::auth::Authenticated;
use crate::clock::{self, Instant};
use crate::cluster::{Cluster, Pool};
use crate::config::{self, Access, Config};
use crate::fault::{Blame, Fault, SqlState};
use crate::metrics::{self, LoginResult};
use crate::net::{Memory, Peer, Place, SharedTls, Socket, Strange, Stream, Tls};
use crate::session::{self, ClientStartup, Intake};
use crate::wire::backend;
use crate::wire::startup::{self, CancelKey, FirstPacket, PROTOCOL_3_2, Startup};
use arc_swap::ArcSwap;
use bytes::BytesMut;
use std::io;
use std::sync::Arc;
use tokio::sync::Notify;

/// First byte of TLS: a record of the handshake. No first packet of ours begins with it. Source: RFC 8446, section 5.1.
const TLS_HANDSHAKE: u8 = 0x16;

/// What stands at the door.
pub struct Gate {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// Its users' secrets.
    pub credentials: Credentials,
    /// Clients by cancel key.
    pub registry: Arc<Registry>,
    /// Limits on clients.
    pub seats: Arc<Seats>,
    /// Connections at most that have not proven who they are.
    pub unproven: usize,
    /// What the buffers of all clients take.
    pub memory: Arc<Memory>,
    /// Who has failed to come in.
    pub strangers: Arc<Strangers>,
    /// Pools by name.
    pub cluster: Arc<Cluster>,
    /// The TLS in force.
    pub tls: SharedTls,
    /// Counts logins.
    pub metrics: Arc<metrics::Registry>,
}

impl Gate {
    /// Whether there is to be a line of log for one who was not let in, and how many had none before.
    fn may_log_refusal(&self) -> Option<u64> {
        self.config.pooler.log_pooler_errors.then(|| self.strangers.refusals.note(clock::now())).flatten()
    }
}

/// A client that may come in. It may travel to its worker's thread.
pub struct LoggedIn {
    /// Its socket, parked.
    pub socket: Socket,
    /// What it asked for.
    pub startup: ClientStartup,
    /// Proof.
    pub user: Authenticated,
    /// It takes cancel keys of protocol 3.2.
    pub long_key: bool,
    /// Where it is.
    pub peer: Peer,
    /// Its pool.
    pub pool: Arc<Pool>,
    /// Its place under the limits.
    pub seat: Seat,
    /// It came by an alias that only reads: that which writes.
    pub writer: Option<Box<str>>,
    /// When `client_login_timeout` is over. `None`: nobody waits that long.
    pub until: Option<Instant>,
}

const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<LoggedIn>();
};

/// Somebody who may enter the console, which answers it from here on, AuthenticationOk first.
pub struct Caller {
    /// Its socket.
    pub socket: Socket,
    /// Proof.
    pub user: Authenticated,
    /// Which of its names the console was called by.
    pub database: String,
    /// Its cancel key.
    pub registration: Registration,
    /// Notified by cancel requests.
    pub cancelled: Arc<Notify>,
}

/// What an opening connection turned out to be.
pub enum Opening {
    /// A client, let in.
    Client(Box<LoggedIn>),
    /// A console.
    Console(Box<Caller>),
    /// Anything else, dealt with.
    Over,
}

/// Why a connection ends before it is let in.
pub(super) enum Turned {
    /// It hears this.
    Away(Fault),
    /// It hears nothing: it is gone, or it was a cancel request.
    Silent,
}

impl Turned {
    /// Whether it did not prove to be the user it named.
    fn is_wrong_proof(&self) -> bool {
        matches!(self, Self::Away(fault) if fault.sqlstate.0.starts_with("28"))
    }
}

impl From<io::Error> for Turned {
    fn from(_: io::Error) -> Self {
        Self::Silent
    }
}

impl From<Fault> for Turned {
    fn from(fault: Fault) -> Self {
        Self::Away(fault)
    }
}

/// Takes a new connection as far as its worker, within `client_login_timeout`, which goes on there. Never fails: who is not let in has
/// been told.
pub async fn log_in(stream: Stream, peer: Peer, place: &Place, gates: &ArcSwap<Gate>) -> Opening {
    let socket = Socket::new(stream, BytesMut::new());
    let gate = gates.load_full();
    let timeout = gate.config.pooler.client_login_timeout;
    let until = clock::now().checked_add(timeout);
    let held = Strange::new(gate.memory.clone());
    let database = String::new();
    let mut door = Door { socket, held, peer, place, gates, gate, database, tls: None, is_charged: false };
    let outcome = tokio::time::timeout(timeout, door.open()).await;
    let gate = door.gate.clone();
    if door.is_charged {
        gate.strangers.login_forgiven(peer, &gate.config);
    }
    match outcome {
        Ok(Ok(Admitted::Client(entry))) => match door.socket.park() {
            Ok(()) => Opening::Client(Box::new(entry.with(door.socket, peer, until))),
            Err(_) => Opening::Over,
        },
        Ok(Ok(Admitted::Console(entry))) => Opening::Console(Box::new(entry.with(door.socket, &gate.registry))),
        Ok(Err(Turned::Silent)) => Opening::Over,
        Ok(Err(Turned::Away(fault))) => {
            gate.metrics.front_login(&door.database, login_result(&fault));
            if let Some(unreported) = gate.may_log_refusal() {
                let (sqlstate, message) = (fault.sqlstate.0, &fault.message);
                tracing::info!(%peer, sqlstate, unreported, "login refused: {message}");
            }
            // Its farewell may take a second.
            drop(door.held);
            door.socket.part(&fault).await;
            Opening::Over
        }
        Err(_) => {
            gate.metrics.front_login(&door.database, LoginResult::Timeout);
            // Who has not said who it is hears nothing, as from PostgreSQL: there may be thousands at once.
            if !door.database.is_empty() {
                let message = "canceling authentication due to timeout";
                door.socket.part(&Fault::fatal(Blame::Client, SqlState::QUERY_CANCELED, message)).await;
            }
            Opening::Over
        }
    }
}

/// Who has passed the door.
enum Admitted {
    Client(Entry),
    Console(ConsoleEntry),
}

struct ConsoleEntry {
    user: Authenticated,
    database: String,
    long_key: bool,
}

impl ConsoleEntry {
    fn with(self, socket: Socket, registry: &Registry) -> Caller {
        let (registration, cancelled) = registry.enter_console(self.long_key);
        Caller { socket, user: self.user, database: self.database, registration, cancelled }
    }
}

struct Entry {
    startup: ClientStartup,
    user: Authenticated,
    long_key: bool,
    pool: Arc<Pool>,
    seat: Seat,
    writer: Option<Box<str>>,
}

impl Entry {
    fn with(self, socket: Socket, peer: Peer, until: Option<Instant>) -> LoggedIn {
        let Self { startup, user, long_key, pool, seat, writer } = self;
        LoggedIn { socket, startup, user, long_key, peer, pool, seat, writer, until }
    }
}

/// Who comes by an alias comes with what that is for. Of one that only reads: the alias that writes.
fn enter_by_alias(config: &Config, startup: &mut ClientStartup) -> Option<Box<str>> {
    let (entry, access) = config.alias(&startup.database)?;
    let (entry, writer) = (entry.to_owned(), format!("{entry}{}", Access::ReadWrite.suffix()));
    startup.database = entry;
    match access {
        Access::ReadOnly => {
            startup.come_with(b"default_transaction_read_only", b"on");
            Some(writer.into())
        }
        Access::ReadWrite => {
            startup.come_with(b"pgotter.route", b"primary");
            None
        }
    }
}

/// A connection that is not let in yet.
pub(super) struct Door<'a> {
    pub(super) socket: Socket,
    held: Strange,
    peer: Peer,
    // Among those who are not let in yet.
    place: &'a Place,
    gates: &'a ArcSwap<Gate>,
    // The one it is judged by. A reload puts another in its place.
    pub(super) gate: Arc<Gate>,
    // What it asks for; empty before it has said so.
    database: String,
    // Under which it has shaken hands.
    tls: Option<Arc<Tls>>,
    // It had to wait, and counts as failed although it has not.
    is_charged: bool,
}

impl Door<'_> {
    async fn open(&mut self) -> Result<Admitted, Turned> {
        let packet = self.startup_packet().await?;
        if packet.needs_negotiation() {
            let mut out = BytesMut::new();
            let unknown = packet.protocol_options.iter().map(Vec::as_slice);
            let newest = PROTOCOL_3_2.min((3 << 16) | i32::from(packet.minor));
            backend::negotiate_protocol_version(&mut out, newest, unknown);
            self.socket.queue(out);
        }
        let (user, database) = session::names(&packet)?;
        self.database.clone_from(&database);
        self.hold_up().await;
        // It may have been kept open for long before it said who it is.
        self.gate = self.gates.load_full();
        if config::is_console(&database) {
            let user = self.prove(&user).await?.user;
            return self.console(user, database, packet.long_keys()).map(Admitted::Console);
        }
        // What is wrong with it is said before a proof is asked for.
        self.read(&packet)?;
        self.gate.memory.admit()?;
        // Nothing before this depends on which users and databases there are.
        let Proved { user, keys } = self.prove(&user).await?;
        let (startup, writer) = self.read(&packet)?;
        // Not before: whoever connects and proves nothing would keep out who can.
        let mut seat = self.gate.seats.take()?;
        let missing = || {
            let message = format!("database \"{}\" does not exist", startup.database);
            Fault::fatal(Blame::Client, SqlState::INVALID_CATALOG_NAME, message)
        };
        let pool = self.gate.cluster.pool(&startup.database, user.user()).ok_or_else(missing)?;
        // Not the pool's: clients of one pool may have logged in under several names.
        let limits = self.gate.config.resolve(&startup.database, user.user()).ok_or_else(missing)?;
        if let Some(keys) = keys {
            self.gate.cluster.learn(user.user(), keys);
        }
        self.gate.seats.assign(&mut seat, &startup.database, user.user(), &limits)?;
        self.log_login(user.user());
        self.socket.flush().await?;
        Ok(Admitted::Client(Entry { long_key: packet.long_keys(), startup, user, pool, seat, writer }))
    }

    /// What it asks for, by the gate. Of an alias that only reads: the one that writes.
    fn read(&mut self, packet: &Startup) -> Result<(ClientStartup, Option<Box<str>>), Fault> {
        let pooler = &self.gate.config.pooler;
        let intake = Intake {
            ignored: &pooler.ignore_startup_parameters,
            extra: &pooler.track_extra_parameters,
            host: pooler.application_name_add_host.then(|| self.peer.to_string()),
        };
        let mut startup = session::read(packet, &intake)?;
        let writer = enter_by_alias(&self.gate.config, &mut startup);
        self.database.clone_from(&startup.database);
        Ok((startup, writer))
    }

    /// An address that fails again and again has to wait. Never for so long that the right password would be too late: many
    /// may come from behind one address, and one of them with a wrong password must not keep the others out.
    async fn hold_up(&mut self) {
        if !self.is_charged {
            let delay = self.gate.strangers.login_delay(self.peer, &self.gate.config);
            if !delay.is_zero() {
                self.is_charged = true;
                let most = self.gate.config.pooler.client_login_timeout / 4;
                tokio::time::sleep(delay.min(most)).await;
            }
        }
    }

    /// Others from there may have failed since it was let through: of guesses made at once, right and wrong ones alike wait
    /// before they hear which they are.
    async fn prove(&mut self, user: &str) -> Result<Proved, Turned> {
        let proved = self.authenticate(user).await;
        let is_wrong = proved.as_ref().is_err_and(Turned::is_wrong_proof);
        if is_wrong || proved.is_ok() {
            self.hold_up().await;
        }
        if is_wrong && !std::mem::take(&mut self.is_charged) {
            self.gate.strangers.login_failed(self.peer, &self.gate.config);
        }
        let proved = proved?;
        self.judge_again(user)?;
        Ok(proved)
    }

    /// There may have been a reload since it was asked: it is let in by what is in force now, or not at all.
    fn judge_again(&mut self, user: &str) -> Result<(), Fault> {
        let asked_by = std::mem::replace(&mut self.gate, self.gates.load_full());
        if !Arc::ptr_eq(&asked_by, &self.gate) {
            self.gate.honours(&asked_by, user)?;
        }
        self.check_encrypted()?;
        match &self.tls {
            Some(tls) if !self.gate.tls.load().admits_as(tls) => Err(changed_meanwhile()),
            _ => Ok(()),
        }
    }

    /// No seat is taken: an operator must get in when there is none left.
    fn console(&self, user: Authenticated, database: String, long_key: bool) -> Result<ConsoleEntry, Turned> {
        if self.gate.config.console_rights(user.user()).is_none() {
            let fault = Fault::fatal(Blame::Client, SqlState::INSUFFICIENT_PRIVILEGE, "not allowed");
            return Err(fault.with_detail("The console is for admin_users and stats_users.").into());
        }
        self.log_login(user.user());
        Ok(ConsoleEntry { user, database, long_key })
    }

    fn log_login(&self, user: &str) {
        if self.gate.config.pooler.log_connections {
            let (database, peer) = (&self.database, self.peer);
            tracing::info!(%peer, %database, %user, "login");
        }
    }

    /// Answers requests for encryption, each at most once, until the StartupMessage comes.
    async fn startup_packet(&mut self) -> Result<Startup, Turned> {
        let direct = self.direct_tls().await?;
        let (mut ssl_asked, mut gss_asked) = (direct, direct);
        loop {
            let packet = self.first_packet().await?;
            let what = match packet {
                FirstPacket::Startup(packet) => {
                    self.check_encrypted()?;
                    return Ok(packet);
                }
                FirstPacket::Cancel(key) => {
                    self.cancel(&key).await;
                    return Err(Turned::Silent);
                }
                FirstPacket::Ssl if !std::mem::replace(&mut ssl_asked, true) => "SSL",
                FirstPacket::GssEnc if !std::mem::replace(&mut gss_asked, true) => "GSSAPI encryption",
                FirstPacket::Ssl | FirstPacket::GssEnc => {
                    return Err(violation("encryption was asked for twice").into());
                }
            };
            if !self.socket.received().is_empty() {
                let message = format!("received unencrypted data after {what} request");
                return Err(Fault::fatal(Blame::Client, SqlState::PROTOCOL_VIOLATION, message)
                    .with_detail("This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.")
                    .into());
            }
            let tls = if what == "SSL" { self.tls_for_client() } else { None };
            self.socket.queue(BytesMut::from(if tls.is_some() { "S" } else { "N" }));
            if let Some(tls) = tls {
                self.socket.flush().await?;
                self.begin_tls(&tls).await?;
                gss_asked = true;
            }
        }
    }

    /// Takes no seat: it has places of its own, and few of them. Nobody is told what became of it, as with PostgreSQL. Whoever has not
    /// guessed before is heard at once: late, a right one may hit its owner's next statement.
    async fn cancel(&mut self, key: &CancelKey) {
        let Gate { strangers, registry, config, .. } = &*self.gate;
        match strangers.hold_up_cancel(self.peer, config).await {
            LookUp::AtOnce if !registry.cancel(key) => strangers.cancel_failed(self.peer, config),
            LookUp::InItsTurn if registry.cancel(key) => strangers.cancel_forgiven(self.peer, config),
            LookUp::AtOnce | LookUp::InItsTurn | LookUp::Never => (),
        }
        // An end that TLS does not announce libpq takes for a failure. Whether it gets through is nobody's business.
        let _ = self.socket.shut_down().await;
    }

    /// TLS from the first byte on, as PostgreSQL 17 has it: then the client must name the protocol it wants inside, so
    /// that nobody can make a client of another protocol talk to us.
    async fn direct_tls(&mut self) -> Result<bool, Turned> {
        self.receive().await?;
        if self.socket.received().first() != Some(&TLS_HANDSHAKE) {
            return Ok(false);
        }
        let tls = self.tls_for_client().ok_or(Turned::Silent)?;
        self.place.is_heard();
        self.begin_tls(&tls).await?;
        if self.socket.has_alpn() { Ok(true) } else { Err(Turned::Silent) }
    }

    /// A client whose handshake fails has been told so by an alert, and would read nothing else.
    async fn begin_tls(&mut self, tls: &Arc<Tls>) -> Result<(), Turned> {
        let acceptor = tls.acceptor().ok_or(Turned::Silent)?;
        self.tls = Some(tls.clone());
        let held = &mut self.held;
        let note = |bytes| held.note(bytes).map_err(|fault| io::Error::other(fault.message));
        self.socket.accept_tls(acceptor, note).await.map_err(|error| {
            self.gate.metrics.front_login(&self.database, LoginResult::Tls);
            if let Some(unreported) = self.gate.may_log_refusal() {
                tracing::info!(peer = %self.peer, %error, unreported, "TLS handshake failed");
            }
            Turned::Silent
        })
    }

    /// The TLS in force, where this client can have it.
    fn tls_for_client(&self) -> Option<Arc<Tls>> {
        let tls = self.gate.tls.load_full();
        (self.peer != Peer::Unix && tls.acceptor().is_some()).then_some(tls)
    }

    /// Anybody could read what a client without TLS says next.
    fn check_encrypted(&self) -> Result<(), Fault> {
        if self.peer == Peer::Unix || self.socket.is_encrypted() || !self.gate.tls.load().is_required() {
            return Ok(());
        }
        Err(Fault::fatal(Blame::Client, SqlState::INVALID_AUTHORIZATION_SPECIFICATION, "SSL required"))
    }

    /// More behind what is in the inbox, as far as there is memory for it.
    pub(super) async fn receive(&mut self) -> Result<(), Turned> {
        self.socket.recv().await?;
        Ok(self.held.note(self.socket.memory())?)
    }

    async fn first_packet(&mut self) -> Result<FirstPacket, Turned> {
        self.socket.flush().await?;
        loop {
            if let Some(total) = startup::packet_len(self.socket.received())?
                && self.socket.received().len() >= total
            {
                self.place.is_heard();
                let packet = self.socket.inbox().split_to(total);
                return Ok(startup::read(&packet)?);
            }
            self.receive().await?;
        }
    }
}

/// A reload has changed what a client has proven itself by.
pub(super) fn changed_meanwhile() -> Fault {
    let message = "the configuration has changed during the login";
    Fault::fatal(Blame::Client, SqlState::CANNOT_CONNECT_NOW, message).with_hint("Try again.")
}

pub(super) fn violation(message: &'static str) -> Fault {
    Fault::fatal(Blame::Client, SqlState::PROTOCOL_VIOLATION, message)
}
