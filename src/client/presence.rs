//! What others can see of a client: what it does, whose it is, and what it calls itself.

use super::connection::Client;
use crate::activity::{ClientActivity, ClientSeen, ClientState, Doing, End};
use crate::clock::{self, Instant};
use crate::cluster::Pool;
use crate::ids::ClientId;
use crate::metrics::Name;
use crate::net::Peer;
use crate::session::{Pins, Settings};
use arc_swap::ArcSwapOption;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

/// One client, for whoever asks. Its task keeps it up to date.
pub struct Presence {
    pub(super) activity: ClientActivity,
    pool: Arc<Pool>,
    // As it logged in, where that is not its pool's.
    user: Option<Box<str>>,
    // The alias that writes, of who came by that which only reads.
    writer: Option<Box<str>>,
    // What it calls itself; `None`: nothing.
    name: ArcSwapOption<Box<[u8]>>,
    // Why it keeps its server over transactions, and behind that since when it does so for these reasons: microseconds after it was let
    // in. 0: it does not.
    pinned: AtomicU64,
    // The same moment of the first reason that it had.
    pin_began_us: AtomicU64,
    // The fingerprint of the statement that it has asked for last; 0: none, or it is not known.
    statement: AtomicU64,
}

/// Bytes of a name that PostgreSQL keeps.
const NAME_MAX: usize = 63;

/// Those of [`Pins`] are fewer.
const REASONS: u32 = 8;

impl Presence {
    pub(super) fn new(activity: ClientActivity, pool: Arc<Pool>, user: &str, writer: Option<Box<str>>) -> Self {
        let user = (pool.user != user).then(|| user.into());
        Self {
            activity,
            pool,
            user,
            writer,
            name: ArcSwapOption::empty(),
            pinned: AtomicU64::new(0),
            pin_began_us: AtomicU64::new(0),
            statement: AtomicU64::new(0),
        }
    }

    /// Where it has logged in to.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Names it.
    pub fn id(&self) -> ClientId {
        self.activity.id
    }

    /// Where it is.
    pub fn peer(&self) -> Peer {
        match self.activity.line.peer {
            Some(End { ip, port }) => Peer::Tcp(SocketAddr::new(ip, port)),
            None => Peer::Unix,
        }
    }

    /// The database to which it has logged in.
    pub fn database(&self) -> &str {
        &self.pool.database
    }

    /// As it logged in.
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or(&self.pool.user)
    }

    /// If its client only reads: the alias under which it could write.
    pub fn writer(&self) -> Option<&str> {
        self.writer.as_deref()
    }

    /// As it is now.
    pub fn seen(&self) -> ClientSeen {
        let name = self.name.load().as_deref().map_or_else(Vec::new, |name| name.to_vec());
        let seen = self.activity.seen(self.user().to_owned(), self.pool.database.clone(), name);
        let pin = self.pin().map(|(why, since)| (why.to_string(), since));
        let statement = match self.statement.load(Ordering::Relaxed) {
            0 => None,
            fingerprint => Some(Name::Fingerprint(fingerprint)),
        };
        ClientSeen { pin, statement, ..seen }
    }

    /// It asks for a statement that is counted as this.
    pub(super) fn asks(&self, name: Name) {
        let fingerprint = if let Name::Fingerprint(fingerprint) = name { fingerprint } else { 0 };
        self.statement.store(fingerprint, Ordering::Relaxed);
    }

    /// Why it keeps its server over transactions, and since when.
    pub fn pin(&self) -> Option<(Pins, Instant)> {
        self.uncounted_pin().map(|(why, _)| (why, self.after(self.pin_began_us.load(Ordering::Relaxed))))
    }

    /// The same, since when for just these reasons: what was before that is counted.
    pub fn uncounted_pin(&self) -> Option<(Pins, Instant)> {
        let pinned = self.pinned.load(Ordering::Relaxed);
        let why = Pins::from_bits((pinned & ((1 << REASONS) - 1)) as u8);
        (!why.is_empty()).then(|| (why, self.after(pinned >> REASONS)))
    }

    /// What it does, in one word.
    pub fn doing(&self) -> Doing {
        self.activity.doing(self.pinned.load(Ordering::Relaxed) != 0)
    }

    /// What it had been pinned by until now, and for how long.
    fn set_pin(&self, why: Pins, now: Instant) -> Option<(Pins, Duration)> {
        let before = self.uncounted_pin();
        let after = now.saturating_duration_since(self.activity.connected).as_micros() as u64;
        if before.is_none() {
            self.pin_began_us.store(after, Ordering::Relaxed);
        }
        let pinned = if why.is_empty() { 0 } else { after << REASONS | u64::from(why.bits()) };
        self.pinned.store(pinned, Ordering::Relaxed);
        before.map(|(why, since)| (why, now.saturating_duration_since(since)))
    }

    fn after(&self, us: u64) -> Instant {
        self.activity.connected + Duration::from_micros(us)
    }
}

impl Client {
    /// Shows what the client calls itself, if that has changed. Others with equal settings lend it theirs all the time.
    pub(super) fn show_settings(&mut self) {
        if Arc::ptr_eq(&self.settings, &self.shown) {
            return;
        }
        let before = std::mem::replace(&mut self.shown, self.settings.clone());
        let name = application_name(&self.settings);
        if application_name(&before) != name {
            self.presence.name.store((!name.is_empty()).then(|| Arc::new(name.into())));
            self.count_application();
        }
    }

    /// From now on it is counted as what it calls itself.
    pub(super) fn count_application(&mut self) {
        self.application = self.meter.of(&self.home_pool().database).application(&self.calls_itself());
    }

    /// Its application, as it is counted and shown: text of at most 63 bytes, as PostgreSQL cuts names; empty: it calls itself nothing.
    pub(super) fn calls_itself(&self) -> String {
        let name = application_name(&self.settings);
        let mut text = String::from_utf8_lossy(&name[..name.len().min(NAME_MAX)]).into_owned();
        text.truncate(text.floor_char_boundary(NAME_MAX));
        text
    }

    /// It is pinned by this from now on, and what it was pinned by until now is counted. It is at home: elsewhere nothing pins.
    pub(super) fn show_pin(&self, why: Pins) {
        if let Some((before, took)) = self.presence.set_pin(why, clock::now()) {
            // Whoever finds it counted does not find it going on behind that; see `http::pins`.
            fence(Ordering::Release);
            self.meter.pinned(before.bits(), took);
        }
    }

    /// It leaves.
    pub(super) fn end_pin(&self) {
        if self.presence.uncounted_pin().is_some() {
            self.show_pin(Pins::default());
        }
    }

    pub(super) fn does(&self, state: ClientState) {
        self.presence.activity.does(state);
        self.show_prepared();
    }

    /// The console shows how many statements it has prepared.
    pub(super) fn show_prepared(&self) {
        if let Some(statements) = &self.statements {
            self.presence.activity.has_prepared(statements.count());
        }
    }
}

pub(super) fn application_name(settings: &Settings) -> &[u8] {
    settings.get(b"application_name").unwrap_or_default()
}
