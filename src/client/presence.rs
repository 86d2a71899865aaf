//! What others can see of a client: what it does, whose it is, and what it calls itself.

use super::connection::Client;
use crate::activity::{ClientActivity, ClientSeen, ClientState, End};
use crate::cluster::Pool;
use crate::net::Peer;
use crate::session::Settings;
use arc_swap::ArcSwapOption;
use std::net::SocketAddr;
use std::sync::Arc;

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
}

impl Presence {
    pub(super) fn new(activity: ClientActivity, pool: Arc<Pool>, user: &str, writer: Option<Box<str>>) -> Self {
        let user = (pool.user != user).then(|| user.into());
        Self { activity, pool, user, writer, name: ArcSwapOption::empty() }
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
        self.activity.seen(self.user().to_owned(), self.pool.database.clone(), name)
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
        }
    }

    pub(super) fn does(&self, state: ClientState) {
        self.presence.activity.does(state);
    }
}

pub(super) fn application_name(settings: &Settings) -> &[u8] {
    settings.get(b"application_name").unwrap_or_default()
}
