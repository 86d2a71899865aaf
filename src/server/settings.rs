//! What settings a server is believed to have, for who has to choose one, and what a client has done to them.

use super::connection::Server;
use crate::session::{Settings, TooMuch};
use std::sync::Arc;

impl Server {
    /// Names the settings it is in, for the pool's preference: see [`Settings::key`].
    pub fn state_key(&self) -> u64 {
        self.belief.key()
    }

    /// It has just logged in, and earlier servers of its pool came with these: see [`Settings::share_reported`].
    pub fn come_with(&mut self, others: &Arc<Settings>) {
        self.belief.come_with(others);
    }

    /// Whether a client with these settings cannot tell that others have used it. If not, only closing it helps.
    pub fn suits(&self, settings: &Settings) -> bool {
        self.belief.suits(settings)
    }

    /// Whether it is known to be in these.
    pub fn is_in(&self, settings: &Arc<Settings>) -> bool {
        self.belief.settings().is_some_and(|believed| believed == settings)
    }

    /// The client's settings were refused, so nothing of it may run here.
    pub fn lacks_settings(&self) -> bool {
        self.belief.is_refused()
    }

    /// The client has set this here, by SQL, and PostgreSQL has acknowledged it. `settings` are the client's.
    ///
    /// # Errors
    /// [`TooMuch`]: it can be set here, but not be kept for the client elsewhere. Nothing is noted: call
    /// [`Server::forget_settings`], unless the client keeps this server.
    pub fn note_set(
        &mut self,
        settings: &mut Arc<Settings>,
        base: &Settings,
        name: &[u8],
        value: &[u8],
    ) -> Result<(), TooMuch> {
        let explicitly = base.own(name).is_some();
        self.belief.note(settings, name, |settings| {
            if explicitly { settings.set_explicitly(name, value) } else { settings.set(name, value) }
        })
    }

    /// As [`Server::note_set`], for what has been brought to PostgreSQL's default.
    ///
    /// # Errors
    /// As there.
    pub fn note_unset(&mut self, settings: &mut Arc<Settings>, name: &[u8]) -> Result<(), TooMuch> {
        self.belief.note(settings, name, |settings| settings.unset(name))
    }

    /// A custom setting of this name was used in passing, as by SET LOCAL: only clients that use it too may get this
    /// server from now on.
    pub fn note_custom(&mut self, name: &[u8]) {
        self.belief.note_custom(name);
    }

    /// Nobody knows what its settings are, except that custom names used here have been noted. Whoever uses it next has
    /// everything undone first. Reported ones follow what the server says all the same. `hasty`: one of its timeouts may be short; it
    /// may be anyway if it was.
    pub fn forget_settings(&mut self, hasty: bool) {
        self.belief.forget(hasty);
    }
}
