//! What others can see of a client: what it does, whose it is, and what it calls itself.

use super::connection::Client;
use crate::activity::{ClientActivity, ClientSeen, ClientState};
use crate::cluster::Pool;
use crate::session::Settings;
use arc_swap::ArcSwap;
use std::sync::Arc;

/// One client, for whoever asks. Its task keeps it up to date.
pub struct Presence {
    pub(super) activity: ClientActivity,
    pool: Arc<Pool>,
    // As the client's: replaced when that is another one.
    settings: ArcSwap<Settings>,
}

impl Presence {
    pub(super) fn new(activity: ClientActivity, pool: Arc<Pool>) -> Self {
        Self { activity, pool, settings: ArcSwap::default() }
    }

    /// As it is now.
    pub fn seen(&self) -> ClientSeen {
        let name = Settings::index(b"application_name").map(|index| self.settings.load().get(index).to_vec());
        ClientSeen {
            id: self.activity.id,
            user: self.pool.user.clone(),
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
