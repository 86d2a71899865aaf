//! One client that has logged in, and what its task needs at hand.

use super::block::Block;
use super::counted::{Answer, Outgoing};
use super::in_force::InForce;
use super::listen::Listening;
use super::lookout::Lookout;
use super::presence::Presence;
use super::registry::{Registration, Seat};
use super::request::Gather;
use super::route::Route;
use super::sequences::Drawn;
use super::serve::Left;
use super::settle::{Bent, Pin};
use super::silence::Probes;
use super::slow::Slow;
use super::texts::Passing;
use super::timer::Timer;
use super::visit::Elsewhere;
use crate::clock::{self, Instant};
use crate::cluster::{Change, Pool, Shape};
use crate::config::{Alert, Config, RouteRule};
use crate::fault::Fault;
use crate::ids::{ClientId, WorkerId};
use crate::metrics::{Application, Meter, Repeated};
use crate::net::{Holding, Memory, Socket};
use crate::pool::Mailbox;
use crate::session::{KeptText, OwnSettings, Settings, Statements, Touched};
use crate::wire::backend;
use bytes::BytesMut;
use std::sync::Arc;
use std::time::Duration;

/// Longest time for the last replies to leave.
const LAST_FLUSH: Duration = Duration::from_secs(1);

/// Lines of log in ten seconds about errors that clients are told.
const LINES: u32 = 100;

/// Reads in ten seconds that run on the primary as replicas have refused them, in the whole process; beyond it the client is told.
const MOVES: u32 = 1000;

/// What the configuration says for every client, and what they share. `None` = no limit.
pub struct Rules {
    /// See `config::Pooler` for these.
    pub request_gather: usize,
    /// Notice to a client that waits.
    pub query_wait_notify: Option<Duration>,
    /// Deadline for a client that takes nothing.
    pub client_write_timeout: Option<Duration>,
    /// Where a client is silent within a transaction.
    pub(super) probes: Option<Probes>,
    /// Idle servers are probed after this long.
    pub server_check_delay: Duration,
    /// Deadline of the first server's login.
    pub server_connect_timeout: Duration,
    /// Deadline of a cancel connection.
    pub cancel_wait_timeout: Duration,
    /// Sent behind a session.
    pub server_reset_query: String,
    /// Clients that may keep a server of a pool over transactions; 0: half as many as it has servers.
    pub max_pinned: usize,
    /// `server_reset_query` behind each transaction.
    pub server_reset_query_always: bool,
    /// Statements that a server keeps prepared; 0: statements are not carried from server to server.
    pub max_prepared_statements: usize,
    /// Log leaves.
    pub log_disconnections: bool,
    /// Log errors told to clients.
    pub log_pooler_errors: bool,
    /// What the buffers of all clients take.
    pub memory: Arc<Memory>,
    /// Keeps the log of errors short when there are many.
    pub told: Arc<Repeated>,
    /// Bounds how many reads move from replicas to the primary.
    pub moved: Arc<Repeated>,
    /// `[routing] rules`.
    pub routes: Arc<[RouteRule]>,
    /// `[slow_queries]`.
    pub(super) slow: Slow,
    /// Patterns of applications whose statements alerts want to be counted by themselves.
    pub(super) circles: Arc<[Arc<str>]>,
    /// Debug builds only: a client named `panic at STEP` panics there. Tests prove with it that a bug in one client
    /// stays its own.
    pub panic_probe: bool,
}

impl Rules {
    /// Picks them out of the configuration.
    pub fn new(config: &Config, memory: Arc<Memory>) -> Self {
        let pooler = &config.pooler;
        Self {
            request_gather: pooler.request_gather,
            query_wait_notify: pooler.query_wait_notify,
            client_write_timeout: pooler.client_write_timeout,
            probes: Probes::new(pooler),
            server_check_delay: pooler.server_check_delay,
            server_connect_timeout: pooler.server_connect_timeout,
            cancel_wait_timeout: pooler.cancel_wait_timeout,
            server_reset_query: pooler.server_reset_query.clone(),
            max_pinned: pooler.max_pinned,
            server_reset_query_always: pooler.server_reset_query_always,
            max_prepared_statements: pooler.max_prepared_statements,
            log_disconnections: pooler.log_disconnections,
            log_pooler_errors: pooler.log_pooler_errors,
            memory,
            routes: config.routing.rules.clone().into(),
            slow: Slow::new(config.slow_queries),
            circles: Alert::circles(&config.alerts).into(),
            told: Arc::new(Repeated::new(LINES)),
            moved: Arc::new(Repeated::new(moves_max())),
            panic_probe: cfg!(debug_assertions) && std::env::var_os("PGOTTER_PANIC_PROBE").is_some(),
        }
    }

    /// After a reload: what clients share is kept.
    pub fn renewed(&self, config: &Config) -> Self {
        Self { told: self.told.clone(), moved: self.moved.clone(), ..Self::new(config, self.memory.clone()) }
    }
}

/// [`MOVES`]; in debug builds tests may have less.
fn moves_max() -> u32 {
    let tests = cfg!(debug_assertions).then(|| std::env::var("PGOTTER_MOVES_MAX").ok()?.parse().ok());
    tests.flatten().unwrap_or(MOVES)
}

/// A client and its task's state. Everything goes back when it is dropped.
pub struct Client {
    /// Names it in logs.
    pub id: ClientId,
    pub(super) socket: Socket,
    pub(super) gather: Gather,
    pub(super) settings: Arc<Settings>,
    // Boxed: an idle client that prepares nothing does not pay for them.
    pub(super) statements: Option<Box<Statements>>,
    // What its statements may have left in its server, and what keeps it there.
    pub(super) touched: Option<Box<Touched>>,
    pub(super) pin: Option<Box<Pin>>,
    // It has changed the catalog in the transaction under way.
    pub(super) change: Option<Change>,
    // A transaction that has no server yet.
    pub(super) block: Option<Box<Block>>,
    // What it has set that is PgOtter's own; None: it has never asked.
    pub(super) own: Option<Box<OwnSettings>>,
    // Where its transactions go; None: there is nothing to choose from.
    pub(super) route: Option<Box<Route>>,
    // Where rules may send its transactions; None: nowhere.
    pub(super) elsewhere: Option<Box<Elsewhere>>,
    // Reads a text that is handed on in parts.
    pub(super) passing: Option<Box<Passing>>,
    // What it came with, and RESET returns to.
    pub(super) base: Arc<Settings>,
    // Boxed: an idle client that has never listened does not pay for it.
    pub(super) listening: Option<Box<Listening>>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) pool: Arc<Pool>,
    // What held when its transaction began, and after how many reloads that was.
    pub(super) shape: Arc<Shape>,
    pub(super) rules: Arc<Rules>,
    pub(super) in_force: Arc<InForce>,
    pub(super) generation: u32,
    pub(super) worker: WorkerId,
    pub(super) meter: Meter,
    // Of the name that it shows; of its own database, wherever it is.
    pub(super) application: Arc<Application>,
    // Of its user, of its own database as well.
    pub(super) whose: Arc<Application>,
    pub(super) timer: Timer,
    pub(super) lookout: Lookout,
    pub(super) holding: Holding,
    // What is on its way to it, where that is of interest: mostly the answer to one statement.
    pub(super) answer: Option<Answer>,
    // Bytes for it of answers whose statements have not ended.
    pub(super) answered_bytes: usize,
    pub(super) outgoing: Option<Box<Outgoing>>,
    // Of the text that was sent last: of a Query or, where names are the server's, of the unnamed statement. None: nothing.
    pub(super) text: Option<Arc<KeptText>>,
    // It has closed its connection behind a Terminate that is not read yet.
    pub(super) hung_up: bool,
    // Its machine is asked whether it is still there.
    pub(super) probed: bool,
    // What it has done with sequences.
    pub(super) drawn: Drawn,
    // Settings may be others in it than those that are known.
    pub(super) bent: Bent,
    // When it last did something.
    pub(super) now: Instant,
    // When its request at hand began to wait for a server. Here, and not in its task's steps, as each of them would hold it.
    pub(super) waits_since: Instant,
    // Leave at the next boundary; leave now; the client's own CancelRequest came while it waited.
    pub(super) draining: bool,
    pub(super) killed: bool,
    pub(super) cancelled: bool,
    // A request was refused: what comes is skipped up to the end of a message of this type.
    pub(super) skip_to: Option<u8>,
    pub(super) registration: Registration,
    pub(super) presence: Arc<Presence>,
    // The settings when it was last looked whether others are to be shown there.
    pub(super) shown: Arc<Settings>,
    _seat: Seat,
}

/// The steps of a request's life, named for the panic probe.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Gather,
    Renew,
    Answer,
    Enter,
    Route,
    Decide,
    Checkout,
    Wait,
    Refuse,
    Link,
    Adopt,
    Send,
    Relay,
    Hear,
    LookBack,
    Cancel,
    Release,
    Part,
    TakeBack,
    Bereave,
    Tell,
}

impl Client {
    #[allow(clippy::too_many_arguments, reason = "a constructor that only gathers what its caller has made")]
    pub(super) fn new(
        id: ClientId,
        worker: WorkerId,
        socket: Socket,
        mailbox: Arc<Mailbox>,
        pool: Arc<Pool>,
        in_force: Arc<InForce>,
        meter: Meter,
        registration: Registration,
        presence: Arc<Presence>,
        seat: Seat,
    ) -> Self {
        pool.client_came();
        // Before what it counts: a reload in between shows as one more.
        let generation = in_force.generation();
        let rules = in_force.rules();
        let (application, whose) = (meter.application(""), Arc::default());
        let now = clock::now();
        let mut client = Self {
            id,
            socket,
            gather: Gather::default(),
            settings: Arc::default(),
            statements: None,
            touched: None,
            pin: None,
            change: None,
            block: None,
            own: None,
            route: None,
            elsewhere: None,
            passing: None,
            base: Arc::default(),
            listening: None,
            mailbox,
            shape: pool.shape(),
            pool,
            lookout: Lookout::default(),
            holding: Holding::new(rules.memory.clone()),
            rules,
            in_force,
            generation,
            worker,
            meter,
            application,
            whose,
            timer: Timer::default(),
            answer: None,
            answered_bytes: 0,
            outgoing: None,
            text: None,
            hung_up: false,
            probed: false,
            drawn: Drawn::default(),
            bent: Bent::No,
            now,
            waits_since: now,
            draining: false,
            killed: false,
            cancelled: false,
            skip_to: None,
            registration,
            presence,
            shown: Arc::default(),
            _seat: seat,
        };
        client.look_for_elsewhere();
        client
    }

    /// Its socket, for its last words.
    pub fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// Gives the last replies a moment to leave.
    pub async fn flush_briefly(&mut self) {
        let _ = tokio::time::timeout(LAST_FLUSH, self.socket.flush()).await;
    }

    /// One line when it leaves, if the operator wants that.
    pub fn log_leave(&self, left: &Left) {
        if self.rules.log_disconnections {
            let why = match left {
                Left::Terminated => "terminated",
                Left::Gone => "connection lost",
                Left::Refused(_) => "refused",
            };
            let (database, user) = (&self.home_pool().database, self.presence.user());
            tracing::info!(client = %self.id, peer = %self.presence.peer(), %database, %user, why, "leave");
        }
    }

    /// An error that the client is told is counted, and logged if the operator wants that.
    pub fn note_fault(&self, fault: &Fault) {
        self.count_fault(fault);
        self.log_fault(fault);
    }

    /// One line for an error that the client is told, if the operator wants that.
    pub(super) fn log_fault(&self, fault: &Fault) {
        if self.rules.log_pooler_errors
            && let Some(unreported) = self.rules.told.note(clock::now())
        {
            let (database, user) = (&self.pool.database, self.presence.user());
            let message = &fault.message;
            tracing::info!(client = %self.id, peer = %self.presence.peer(), %database, %user, sqlstate = fault.sqlstate.0, unreported, "{message}");
        }
    }

    /// Tells the client of an error; it goes on after ReadyForQuery, or leaves if it is FATAL.
    pub(super) fn tell(&mut self, fault: &Fault) {
        self.note_fault(fault);
        let mut out = BytesMut::new();
        backend::error_response(&mut out, fault);
        self.socket.queue(out);
    }

    pub(super) fn tell_ready(&mut self) {
        let mut out = BytesMut::new();
        backend::ready_for_query(&mut out, self.status());
        self.socket.queue(out);
    }

    /// A place where a test can make this client's task panic.
    pub(super) fn step(&self, step: Step) {
        if cfg!(debug_assertions) && self.rules.panic_probe {
            let name = String::from_utf8_lossy(self.settings.get(b"application_name").unwrap_or_default());
            assert_ne!(name, format!("panic at {step:?}"), "the panic probe");
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.note_delivered();
        self.end_pin();
        self.home_pool().client_left();
    }
}
