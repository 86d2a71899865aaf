//! Who is connected: cancel keys, and seats under the limits on clients.

use super::presence::Presence;
use crate::activity::ClientSeen;
use crate::config::Resolved;
use crate::fault::{Blame, Fault, SqlState};
use crate::ids::ClientId;
use crate::pool::{Mail, Mailbox};
use crate::wire::startup::CancelKey;
use dashmap::DashMap;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::{Notify, mpsc};
use zeroize::Zeroizing;

/// Bytes of a secret in protocol 3.2; 3.0 has 4.
const LONG_SECRET: usize = 32;

/// Every client's mailbox by its cancel key. Whoever guesses learns nothing by the time it takes: where a key lies depends on all of it, and
/// keys are compared in constant time.
pub struct Registry {
    clients: DashMap<CancelKey, Listed, foldhash::fast::RandomState>,
    // Consoles, which are no clients: nobody waits for them to leave.
    consoles: DashMap<CancelKey, Arc<Notify>>,
    left: mpsc::UnboundedSender<CancelKey>,
    // Everybody was told to leave; who comes now is told as well.
    closing: AtomicBool,
}

/// One client, as the registry has it.
struct Listed {
    mailbox: Arc<Mailbox>,
    presence: Option<Arc<Presence>>,
}

/// One client's entry; dropped, it is removed soon.
pub struct Registration {
    key: CancelKey,
    left: mpsc::UnboundedSender<CancelKey>,
}

impl Registry {
    /// An empty registry, and the stream of keys to [`Registry::remove`].
    pub fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<CancelKey>) {
        let (left, leaving) = mpsc::unbounded_channel();
        let (clients, consoles) = (DashMap::default(), DashMap::default());
        (Arc::new(Self { clients, consoles, left, closing: AtomicBool::new(false) }), leaving)
    }

    /// Enters a client under a fresh random key. Without a presence it is not shown.
    pub fn enter(&self, mailbox: Arc<Mailbox>, presence: Option<Arc<Presence>>, long_key: bool) -> Registration {
        let key = fresh_key(long_key);
        self.clients.insert(key.clone(), Listed { mailbox: mailbox.clone(), presence });
        // Asked after the entry is made, set before the entries are walked over: nobody slips between.
        if self.closing.load(Ordering::SeqCst) {
            mailbox.put(|mail| mail.drain = true);
        }
        Registration { key, left: self.left.clone() }
    }

    /// Enters a console, which is notified of a cancel request. It counts for nothing else.
    pub fn enter_console(&self, long_key: bool) -> (Registration, Arc<Notify>) {
        let (key, cancelled) = (fresh_key(long_key), Arc::new(Notify::new()));
        self.consoles.insert(key.clone(), cancelled.clone());
        (Registration { key, left: self.left.clone() }, cancelled)
    }

    /// A client has left.
    pub fn remove(&self, key: &CancelKey) {
        if self.clients.remove(key).is_none() {
            self.consoles.remove(key);
        }
    }

    /// A CancelRequest has come. False: its key is nobody's.
    pub fn cancel(&self, key: &CancelKey) -> bool {
        let mailbox = self.clients.get(key).map(|entry| entry.mailbox.clone());
        if let Some(mailbox) = mailbox {
            mailbox.put(|mail| mail.cancel = true);
            return true;
        }
        let console = self.consoles.get(key).map(|entry| entry.value().clone());
        console.inspect(|console| console.notify_waiters()).is_some()
    }

    /// Clients connected; consoles are none.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Wakes every client: those between two transactions look at what is in force.
    pub fn wake(&self) {
        self.clients.iter().for_each(|entry| entry.mailbox.put(|_| ()));
    }

    /// Everybody who is connected, in no order.
    pub fn seen(&self) -> Vec<ClientSeen> {
        self.presences().iter().map(|presence| presence.seen()).collect()
    }

    /// Throws one client out. False: there is none of this number.
    pub fn expel(&self, id: ClientId) -> bool {
        self.mail(id, |mail| mail.kill = true)
    }

    /// As if the client had sent a CancelRequest: what it runs or waits for is canceled, if it does. False: there is none of this number.
    pub fn cancel_of(&self, id: ClientId) -> bool {
        self.mail(id, |mail| mail.cancel = true)
    }

    fn mail(&self, id: ClientId, write: impl FnOnce(&mut Mail)) -> bool {
        let is_it = |listed: &Listed| listed.presence.as_ref().is_some_and(|presence| presence.activity.id == id);
        let found = self.clients.iter().find(|entry| is_it(entry.value()));
        // The entry is let go of first: who is woken may be on its way to it.
        let mailbox = found.map(|entry| entry.mailbox.clone());
        mailbox.map(|mailbox| mailbox.put(write)).is_some()
    }

    /// The same, to be looked at one by one.
    pub fn presences(&self) -> Vec<Arc<Presence>> {
        self.clients.iter().filter_map(|entry| entry.presence.clone()).collect()
    }

    /// Whether everybody was told to leave.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Tells every client to leave: at its next boundary, or now.
    pub fn dismiss(&self, now: bool) {
        self.closing.store(true, Ordering::SeqCst);
        for entry in &self.clients {
            entry.mailbox.put(|mail| {
                mail.drain = true;
                mail.kill |= now;
            });
        }
    }
}

fn fresh_key(long: bool) -> CancelKey {
    let secret = Zeroizing::new(crate::secret::random::<LONG_SECRET>());
    let length = if long { LONG_SECRET } else { 4 };
    // Process numbers are positive; the highest bit is cleared.
    let pid = i32::from_be_bytes(crate::secret::random::<4>()) & i32::MAX;
    CancelKey { pid, secret: secret[..length].into() }
}

impl Registration {
    /// What the client is told in BackendKeyData.
    pub fn key(&self) -> &CancelKey {
        &self.key
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let _ = self.left.send(self.key.clone());
    }
}

/// Counts clients against `max_client_conn` and its relatives.
pub struct Seats {
    all: Arc<AtomicUsize>,
    limit: AtomicUsize,
    databases: Mutex<HashMap<String, Arc<AtomicUsize>>>,
    users: Mutex<HashMap<String, Arc<AtomicUsize>>>,
}

/// One client's place; given back when dropped.
#[derive(Default)]
pub struct Seat(Box<[Arc<AtomicUsize>]>);

impl Seats {
    /// `limit` clients in all.
    pub fn new(limit: usize) -> Self {
        Self {
            all: Arc::default(),
            limit: AtomicUsize::new(limit),
            databases: Mutex::default(),
            users: Mutex::default(),
        }
    }

    /// A reload has changed `max_client_conn`. Whoever has a seat keeps it.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Seats there are.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// A seat among all clients.
    ///
    /// # Errors
    /// FATAL 53300.
    pub fn take(&self) -> Result<Seat, Fault> {
        let mut seat = Seat::default();
        seat.add(&self.all, self.limit.load(Ordering::Relaxed), "max_client_conn")?;
        Ok(seat)
    }

    /// Counts it for its database and user as well; without a limit too, as a reload may bring one.
    ///
    /// # Errors
    /// FATAL 53300.
    pub fn assign(&self, seat: &mut Seat, database: &str, user: &str, limits: &Resolved) -> Result<(), Fault> {
        let counter = |map: &Mutex<HashMap<String, Arc<AtomicUsize>>>, name: &str| {
            let mut map = map.lock();
            if let Some(count) = map.get(name) {
                return count.clone();
            }
            // It would grow.
            if map.len() == map.capacity() {
                map.retain(|_, count| count.load(Ordering::Relaxed) > 0);
            }
            map.entry(name.to_owned()).or_default().clone()
        };
        let (of_database, of_user) = (limits.max_db_client_connections, limits.max_user_client_connections);
        seat.add(&counter(&self.databases, database), of_database, "max_db_client_connections")?;
        seat.add(&counter(&self.users, user), of_user, "max_user_client_connections")
    }

    /// Seats taken.
    pub fn taken(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }
}

impl Seat {
    /// 0 = no limit.
    fn add(&mut self, count: &Arc<AtomicUsize>, limit: usize, setting: &'static str) -> Result<(), Fault> {
        let before = count.fetch_add(1, Ordering::Relaxed);
        self.0 = std::mem::take(&mut self.0).into_iter().chain([count.clone()]).collect();
        if limit == 0 || before < limit {
            return Ok(());
        }
        Err(Fault::fatal(Blame::Limit, SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already")
            .with_detail(format!("{setting} is {limit}."))
            .with_hint("Close idle connections, or raise the limit."))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        for count in &self.0 {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
