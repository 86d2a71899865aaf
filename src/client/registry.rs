//! Who is connected: cancel keys, and seats under the limits on clients.

use crate::config::Resolved;
use crate::fault::{Blame, Fault, SqlState};
use crate::pool::Mailbox;
use crate::wire::startup::CancelKey;
use dashmap::DashMap;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// Bytes of a secret in protocol 3.2; 3.0 has 4.
const LONG_SECRET: usize = 32;

/// Every client's mailbox by its cancel key.
pub struct Registry {
    clients: DashMap<CancelKey, Arc<Mailbox>, foldhash::fast::RandomState>,
    left: mpsc::UnboundedSender<CancelKey>,
    // Everybody was told to leave; who comes now is told as well.
    closing: AtomicBool,
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
        (Arc::new(Self { clients: DashMap::default(), left, closing: AtomicBool::new(false) }), leaving)
    }

    /// Enters a client under a fresh random key.
    pub fn enter(&self, mailbox: Arc<Mailbox>, long_key: bool) -> Registration {
        let mut secret = crate::secret::random::<LONG_SECRET>().to_vec();
        if !long_key {
            secret.truncate(4);
        }
        // Process numbers are positive; the highest bit is cleared.
        let pid = i32::from_be_bytes(crate::secret::random::<4>()) & i32::MAX;
        let key = CancelKey { pid, secret: secret.into() };
        self.clients.insert(key.clone(), mailbox.clone());
        // Asked after the entry is made, set before the entries are walked over: nobody slips between.
        if self.closing.load(Ordering::SeqCst) {
            mailbox.put(|mail| mail.drain = true);
        }
        Registration { key, left: self.left.clone() }
    }

    /// A client has left.
    pub fn remove(&self, key: &CancelKey) {
        self.clients.remove(key);
    }

    /// A CancelRequest has come. False: its key is nobody's.
    pub fn cancel(&self, key: &CancelKey) -> bool {
        let mailbox = self.clients.get(key).map(|entry| entry.value().clone());
        mailbox.inspect(|mailbox| mailbox.put(|mail| mail.cancel = true)).is_some()
    }

    /// Clients connected.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Wakes every client: those between two transactions look at what is in force.
    pub fn wake(&self) {
        self.clients.iter().for_each(|entry| entry.value().put(|_| ()));
    }

    /// Tells every client to leave: at its next boundary, or now.
    pub fn dismiss(&self, now: bool) {
        self.closing.store(true, Ordering::SeqCst);
        for entry in &self.clients {
            entry.value().put(|mail| {
                mail.drain = true;
                mail.kill |= now;
            });
        }
    }
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
pub struct Seat(Vec<Arc<AtomicUsize>>);

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

    /// A seat among all clients.
    ///
    /// # Errors
    /// FATAL 53300.
    pub fn take(&self) -> Result<Seat, Fault> {
        let mut seat = Seat::default();
        seat.add(&self.all, self.limit.load(Ordering::Relaxed), "max_client_conn")?;
        Ok(seat)
    }

    /// Counts it for its database and user as well.
    ///
    /// # Errors
    /// FATAL 53300.
    pub fn assign(&self, seat: &mut Seat, database: &str, user: &str, limits: &Resolved) -> Result<(), Fault> {
        let counter = |map: &Mutex<HashMap<String, Arc<AtomicUsize>>>, name: &str| {
            let mut map = map.lock();
            if map.len() > 10_000 {
                map.retain(|_, count| count.load(Ordering::Relaxed) > 0);
            }
            map.entry(name.to_owned()).or_default().clone()
        };
        if limits.max_db_client_connections > 0 {
            let count = counter(&self.databases, database);
            seat.add(&count, limits.max_db_client_connections, "max_db_client_connections")?;
        }
        if limits.max_user_client_connections > 0 {
            let count = counter(&self.users, user);
            seat.add(&count, limits.max_user_client_connections, "max_user_client_connections")?;
        }
        Ok(())
    }

    /// Seats at most.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Seats taken.
    pub fn taken(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }
}

impl Seat {
    fn add(&mut self, count: &Arc<AtomicUsize>, limit: usize, setting: &'static str) -> Result<(), Fault> {
        let before = count.fetch_add(1, Ordering::Relaxed);
        self.0.push(count.clone());
        if before < limit {
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
