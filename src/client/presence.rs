//! What others can see of a client: what it does, whose it is, and what it calls itself.

use super::connection::Client;
use crate::activity::{ClientActivity, ClientSeen, ClientState, End};
use crate::cluster::Pool;
use crate::net::Peer;
use crate::session::Settings;
use arc_swap::ArcSwap;
use std::net::SocketAddr;
use std::sync::Arc;

/// One client, for whoever asks. Its task keeps it up to date.
pub struct Presence {
    pub(super) activity: ClientActivity,
    pool: Arc<Pool>,
    // As it logged in, where that is not its pool's.
    user: Option<Box<str>>,
    // As the client's: replaced when that is another one.
    settings: ArcSwap<Settings>,
}

impl Presence {
    pub(super) fn new(activity: ClientActivity, pool: Arc<Pool>, user: &str) -> Self {
        let user = (pool.user != user).then(|| user.into());
        Self { activity, pool, user, settings: ArcSwap::default() }
    }

    /// Where it is.
    pub fn peer(&self) -> Peer {
        match self.activity.line.peer {
            Some(End { ip, port }) => Peer::Tcp(SocketAddr::new(ip, port)),
            None => Peer::Unix,
        }
    }

    /// As it logged in.
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or(&self.pool.user)
    }

    /// As it is now.
    pub fn seen(&self) -> ClientSeen {
        let name = Settings::index(b"application_name").map(|index| self.settings.load().get(index).to_vec());
        ClientSeen {
            id: self.activity.id,
            user: self.user().to_owned(),
            database: self.pool.database.clone(),
            application_name: name.unwrap_or_default(),
            line: self.activity.line,
            connected: self.activity.connected,
            requested: self.activity.requested(),
            state: self.activity.state(),
        }
    }
}

impl Client {
    /// Shows the settings if they are others than those that were shown last. While they are shown they are shared, so
    /// that a change makes others.
    pub(super) fn show_settings(&mut self) {
        let settings = Arc::as_ptr(&self.settings).addr();
        if settings != self.shown {
            self.shown = settings;
            self.presence.settings.store(self.settings.clone());
        }
    }

    pub(super) fn does(&self, state: ClientState) {
        self.presence.activity.does(state);
    }
}
