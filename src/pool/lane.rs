//! One lane: the books behind a short lock, and what they say carried out. The lock is never held over an await.

use super::core::{Action, Actions, Attempt, Checkout, CloseReason, Limits, PoolCore, Pooled, Rest, Stats, WaiterId};
use super::ledger::{Ledger, Quota, Served};
use super::mailbox::{Grant, Mailbox};
use super::steward::{Backoff, Chore, Chores};
use crate::activity::{ServerActivity, ServerSeen};
use crate::clock::{self, Instant};
use crate::ids::{ServerId, WorkerId};
use crate::net::Address;
use crate::server::{CleanServer, LoginError, LoginSpec, Server, Slot, log_in};
use crate::session::{Known, Parameter, Settings, Welcome};
use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use standing::Standing;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;

mod changes;
mod standing;

/// A failure that repeats is logged once in this time.
const REPORT_WINDOW: Duration = Duration::from_secs(60);

type Books = PoolCore<Box<Server>, Arc<Mailbox>>;
pub(super) type Todo = Actions<Box<Server>, Arc<Mailbox>>;

impl Pooled for Server {
    fn state_key(&self) -> u64 {
        Server::state_key(self)
    }

    fn opened(&self) -> Instant {
        Server::opened(self)
    }

    fn generation(&self) -> u64 {
        Server::generation(self)
    }
}

/// What the configuration in force makes of a lane.
pub struct LaneSpec {
    /// How its servers log in.
    pub login: LoginSpec,
    /// Its bounds.
    pub limits: Limits,
    /// What its servers count against beside its own bounds.
    pub quota: Quota,
    /// Longest time for one login.
    pub connect_timeout: Duration,
    /// Opened without need, because the database has a forced user and so its pool is known beforehand.
    pub always_live: bool,
}

/// The servers of one (database, user) on one host.
pub struct Lane {
    spec: ArcSwap<LaneSpec>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) chores: Chores,
    pub(super) backoff: Arc<Backoff>,
    books: Mutex<Books>,
    welcome: ArcSwapOption<Welcome>,
    // So says the welcome.
    serializable: AtomicBool,
    known: Mutex<Known>,
    // Written under the lock of the books, so that a refusal finds its reason.
    failure: ArcSwapOption<LoginError>,
    standing: Standing,
    clients: Arc<AtomicUsize>,
    // Clients that keep a server over transactions.
    pub(super) pinned: AtomicUsize,
    extra: Semaphore,
    servers: Mutex<Vec<Weak<ServerActivity>>>,
    // The last failure logged, when, and how often it has come again.
    reported: Mutex<Option<(String, Instant, u32)>>,
}

/// The answer to a checkout.
pub enum Checked {
    /// A server at once, registered with another worker's runtime if `moved`.
    Server(Grant),
    /// Queued; the mailbox will say.
    Wait(Waiting),
    /// The last login failed for good, and that was a moment ago.
    Refused(Arc<LoginError>),
    /// The lane serves nobody any more: the pool has others.
    Closed,
}

/// A place in the queue. Dropped without [`Waiting::end`], it is given up.
pub struct Waiting {
    lane: Arc<Lane>,
    id: WaiterId,
    mailbox: Arc<Mailbox>,
    over: bool,
}

impl Lane {
    /// A lane without servers. `chores` reach the steward that somebody must run; `clients` are those of its pool, which
    /// is kept warm while there is one.
    pub fn new(
        spec: LaneSpec,
        workers: usize,
        ledger: Arc<Ledger>,
        chores: Chores,
        backoff: Arc<Backoff>,
        clients: Arc<AtomicUsize>,
    ) -> Arc<Self> {
        ledger.enroll(&spec.quota, &chores);
        let size = if spec.limits.size == 0 { Semaphore::MAX_PERMITS } else { spec.limits.size };
        Arc::new(Self {
            extra: Semaphore::new(size.min(Semaphore::MAX_PERMITS)),
            books: Mutex::new(PoolCore::new(spec.limits.clone(), workers)),
            spec: ArcSwap::from_pointee(spec),
            ledger,
            chores,
            backoff,
            welcome: ArcSwapOption::empty(),
            serializable: AtomicBool::new(false),
            known: Mutex::default(),
            failure: ArcSwapOption::empty(),
            standing: Standing::default(),
            clients,
            pinned: AtomicUsize::new(0),
            servers: Mutex::default(),
            reported: Mutex::default(),
        })
    }

    /// What the configuration in force says.
    pub(super) fn spec(&self) -> Arc<LaneSpec> {
        self.spec.load_full()
    }

    /// What the first server reported at login; `None` before.
    pub fn welcome(&self) -> Option<Arc<Welcome>> {
        self.welcome.load_full()
    }

    /// Those of a client's settings of which it is not known whether PostgreSQL takes them.
    pub fn open_questions(&self, welcome: &Welcome, wanted: &[Parameter]) -> Vec<Parameter> {
        self.known.lock().open_questions(welcome, wanted)
    }

    /// PostgreSQL takes these.
    pub fn takes(&self, parameters: Vec<Parameter>) {
        self.known.lock().takes(parameters);
    }

    /// The settings of a client that has come; clients that ask for the same share one.
    pub fn share(&self, settings: Arc<Settings>) -> Arc<Settings> {
        self.known.lock().share(settings)
    }

    /// Servers it may have; 0 = as many as are wanted.
    pub(super) fn size(&self) -> usize {
        self.spec.load().limits.size
    }

    /// Clients that keep a server over transactions.
    pub fn pinned(&self) -> usize {
        self.pinned.load(Ordering::Relaxed)
    }

    /// Who its servers log in as.
    pub fn role(&self) -> String {
        self.spec.load().login.user.clone()
    }

    /// Why the last login failed; `None` when it did not.
    pub fn failure(&self) -> Option<Arc<LoginError>> {
        self.failure.load_full()
    }

    /// A server for a client of `worker`, best one in state `state_key`.
    pub fn checkout(
        self: &Arc<Self>,
        worker: WorkerId,
        state_key: u64,
        now: Instant,
        mailbox: &Arc<Mailbox>,
    ) -> Checked {
        let mut todo = Todo::new();
        let mut books = self.books.lock();
        let answer = match books.checkout(now, worker, state_key, || mailbox.clone(), &mut todo) {
            Checkout::Server { server, moved } => Checked::Server(Grant { server, moved }),
            Checkout::Wait(id) => {
                Checked::Wait(Waiting { lane: self.clone(), id, mailbox: mailbox.clone(), over: false })
            }
            Checkout::Closed => Checked::Closed,
            Checkout::Refused => Checked::Refused(self.failure().expect("invariant: a failure is why it is refused")),
        };
        drop(books);
        self.carry_out(todo);
        answer
    }

    /// The idle server that is the one, if there is.
    pub fn checkout_which(&self, worker: WorkerId, is_it: impl Fn(&Server) -> bool) -> Option<Grant> {
        let (server, moved) = self.books.lock().checkout_which(worker, |server| is_it(server))?;
        Some(Grant { server, moved })
    }

    /// A clean server comes back on `worker`.
    pub fn checkin(&self, worker: WorkerId, server: CleanServer, now: Instant) {
        let mut server = server.into_inner();
        server.used(now);
        let handed_over = self.with_books_at(now, |books, now, todo| {
            let contended = self.ledger.is_contended();
            let handed_over = if contended { self.hand_over(books.oldest_wait(now), now) } else { None };
            match handed_over {
                Some(_) => books.forfeit(now, server, todo),
                None => books.checkin(now, worker, server, todo),
            }
            handed_over
        });
        drop(handed_over);
    }

    /// See [`Ledger::hand_over`].
    pub(super) fn hand_over(&self, own_wait: Option<Duration>, now: Instant) -> Option<Served> {
        self.ledger.hand_over(&self.spec.load().quota, &self.chores, own_wait, now)
    }

    /// The place of a server that is closed, or did not come to be.
    pub(super) fn release_place(&self) {
        self.ledger.release(&self.chores);
    }

    /// Places beside those of the pool, as many as `size`, for servers that cannot be brought back and run on.
    pub fn extra(&self) -> &Semaphore {
        &self.extra
    }

    /// Counts for the console and for messages to clients.
    pub fn stats(&self, now: Instant) -> Stats {
        self.books.lock().stats(now)
    }

    /// Servers that have been idle for so long or longer.
    pub fn idle_for(&self, time: Duration, now: Instant) -> usize {
        now.checked_sub(time).map_or(0, |then| self.books.lock().idle_since(then))
    }

    /// How much is under way or waits.
    pub fn load(&self) -> usize {
        self.books.lock().load()
    }

    /// Its servers, in the order in which they were opened.
    pub fn servers(&self) -> Vec<ServerSeen> {
        let generation = self.books.lock().generation();
        self.servers.lock().iter().filter_map(|server| Some(server.upgrade()?.seen(generation))).collect()
    }

    /// Lists one that was opened. Those that have been closed are forgotten.
    fn list(&self, server: &Server) {
        let mut servers = self.servers.lock();
        servers.retain(|server| server.strong_count() > 0);
        servers.push(Arc::downgrade(server.activity()));
    }

    /// Opens a connection beside the pool's servers, which counts against none of its bounds, with these startup parameters in
    /// place of their own. It is listed with the servers.
    ///
    /// # Errors
    /// As a server's login, within `server_connect_timeout`.
    pub async fn log_in_beside(&self, id: ServerId, parameters: &[(&str, &str)]) -> Result<Box<Server>, LoginError> {
        let spec = self.spec();
        let mut login = spec.login.clone();
        for (name, value) in parameters {
            login.parameters.retain(|(known, _)| known != name);
            login.parameters.push(((*name).to_owned(), (*value).to_owned()));
        }
        let opened = tokio::time::timeout(spec.connect_timeout, log_in(&login, id)).await;
        let (server, _) = opened.unwrap_or(Err(LoginError::TimedOut))?;
        self.list(&server);
        Ok(server)
    }

    /// Whether a server is as the configuration in force has it, and its host's name still leads to it.
    pub fn is_current(&self, server: &Server) -> bool {
        server.generation() >= self.books.lock().generation()
    }

    /// Where its servers are.
    pub fn address(&self) -> Address {
        self.spec().login.address.clone()
    }

    /// Whether servers are to be kept ready for it.
    pub fn is_live(&self) -> bool {
        self.spec.load().always_live || self.clients.load(Ordering::Relaxed) > 0
    }

    /// What made the last login fail may be gone: the pause that it asked for ends. Idle servers that are outdated go.
    pub fn try_again(&self) {
        self.with_books(|books, now, todo| books.retire(now, 0, todo));
    }

    /// One call of the books, and what it says carried out.
    pub(super) fn with_books<T>(&self, call: impl FnOnce(&mut Books, Instant, &mut Todo) -> T) -> T {
        self.with_books_at(clock::now(), call)
    }

    fn with_books_at<T>(&self, now: Instant, call: impl FnOnce(&mut Books, Instant, &mut Todo) -> T) -> T {
        let mut todo = Todo::new();
        let mut books = self.books.lock();
        let before = books.asks_for_nobody();
        let answer = call(&mut books, now, &mut todo);
        let last_has_left = !before && books.asks_for_nobody();
        drop(books);
        self.carry_out(todo);
        if last_has_left {
            self.chores.send(Chore::Unneeded);
        }
        answer
    }

    /// Leaves the ledger's queue if nobody waits here; whether that is so.
    pub(super) fn leave_ledgers_queue(&self) -> bool {
        self.with_books(|books, _, _| {
            let unneeded = books.forget_refusal();
            if unneeded {
                self.ledger.withdraw(&self.chores);
            }
            unneeded
        })
    }

    pub(super) fn opened(self: &Arc<Self>, attempt: Attempt, mut server: Box<Server>, mut welcome: Welcome) {
        if let Some(before) = self.welcome() {
            welcome.share(&before);
            server.come_with(&before.settings);
        }
        let chores = self.chores.clone();
        self.list(&server);
        let (spec, activity) = (self.spec(), server.activity());
        if activity.line.peer.is_some_and(|end| spec.login.found.is_other(end.ip)) {
            // It is asked elsewhere since this was begun.
            activity.outdate();
        }
        let server = server.with_slot(Slot::new(move |forsaken| {
            chores.send(Chore::Freed);
            if let Some(target) = forsaken {
                chores.send(Chore::Forsaken(target));
            }
        }));
        self.backoff.succeeded();
        self.may_log_in(clock::now());
        let worker = self.chores.home();
        self.with_books(|books, now, todo| {
            if books.is_current(&server) {
                self.failure.store(None);
                self.come_with(Some(welcome));
            }
            books.opened(now, attempt, worker, server, todo);
        });
    }

    /// An attempt came to nothing.
    pub(super) fn open_failed(&self, attempt: Attempt, begun: Instant, error: LoginError) {
        self.fail(error, begun, |books, now, rest, todo| books.open_failed(now, attempt, rest, todo));
    }

    /// A client found its server dead before it served anybody: as good as a failed login. Else a host that lets us in and
    /// throws us out again would be asked without a pause.
    pub fn stillborn(&self, server: Box<Server>) {
        server.retire();
        let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection behind the login");
        self.fail(LoginError::Unreachable(error), clock::now(), |books, now, rest, todo| {
            books.stillborn(now, rest, todo)
        });
    }

    /// What had begun then has failed: lets the host rest, and tells those who need not wait for the next attempt.
    fn fail(&self, error: LoginError, begun: Instant, tell: impl FnOnce(&mut Books, Instant, Rest, &mut Todo)) {
        self.release_place();
        self.report(&error);
        let [random] = crate::secret::random::<1>();
        let pause = self.backoff.failed(&error, begun, clock::now(), random);
        let error = Arc::new(error);
        let refused = self.with_books(|books, now, todo| {
            self.failure.store(Some(error.clone()));
            tell(books, now, Rest { until: now + pause, refuse: error.is_final() }, todo);
            books.drain_refused(now)
        });
        for waiter in refused {
            waiter.put(|mail| mail.failed = Some(error.clone()));
        }
        self.chores.send(Chore::Look);
    }

    /// One line for a failure; the same one again only once a window, with how often it was.
    fn report(&self, error: &LoginError) {
        let mut last = self.reported.lock();
        let text = error.to_string();
        let now = clock::now();
        let same = last
            .as_ref()
            .is_some_and(|(before, since, _)| *before == text && now.saturating_duration_since(*since) < REPORT_WINDOW);
        if let (true, Some((_, _, times))) = (same, last.as_mut()) {
            *times += 1;
            return;
        }
        let unreported = last.take().map_or(0, |(.., times)| times);
        let spec = self.spec.load();
        let login = &spec.login;
        tracing::warn!(address = %login.address, user = %login.user, error = %text, unreported, "cannot open a server");
        *last = Some((text, now, 0));
    }

    fn carry_out(&self, todo: Todo) {
        for action in todo {
            match action {
                Action::Grant { waiter, server, moved, .. } => {
                    waiter.put(|mail| mail.grant = Some(Grant { server, moved }));
                }
                Action::Open(attempt) => self.chores.send(Chore::Open(attempt)),
                Action::Close { server, reason } => {
                    tracing::debug!(server = %server.id, ?reason, "server closed");
                    server.retire();
                    // Its place is another lane's already.
                    if reason != CloseReason::Forfeited {
                        self.release_place();
                    }
                }
            }
        }
    }
}

impl Waiting {
    /// The mailbox has answered.
    pub fn end(mut self) {
        self.over = true;
    }

    /// Leaves the queue. False: the answer is in the mailbox already, and must be taken out and dealt with.
    #[must_use]
    pub fn give_up(mut self) -> bool {
        self.over = true;
        let id = self.id;
        self.lane.with_books(|books, _, _| books.give_up(id))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.over {
            // No lock in a drop: the steward does it.
            self.lane.chores.send(Chore::Abandoned(self.id, self.mailbox.clone()));
        }
    }
}
