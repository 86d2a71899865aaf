//! What is believed of the settings a server is in. It changes with what the server reports, and when a guard has been
//! answered; what is in force when a guard fails is what was in force before, as PostgreSQL undoes its transaction.
//!
//! Sends nothing: `server/guard.rs` does.

use crate::session::{CustomNames, Lack, Settings, TooMuch};
use std::sync::Arc;

/// What one server's settings are, and what will be.
pub(super) struct Belief {
    // None: not known any more; all must be undone, and set again.
    settings: Option<Arc<Settings>>,
    // One of the timeouts that are not known any more may be short.
    hasty: bool,
    // Those of the guard under way.
    pending: Option<Pending>,
    // What it is in when nobody has set anything.
    home: Arc<Settings>,
    custom: CustomNames,
    // The last guard failed, and no other was sent.
    refused: bool,
}

/// Where a server is, or will be when it has been brought home.
pub(super) struct Start {
    /// Its settings.
    pub from: Arc<Settings>,
    home: Arc<Settings>,
    /// It must be brought home first: what it is in is not known.
    pub anew: bool,
}

impl Start {
    /// What is to be set from there.
    pub fn lacking<'a>(&'a self, wanted: &'a Settings) -> Vec<Lack<'a>> {
        wanted.lacking(&self.from, &self.home, self.anew)
    }
}

struct Pending {
    settings: Arc<Settings>,
    // Which reported settings the server has spoken of since, by their places in `home`.
    heard: u64,
}

/// What a ParameterStatus was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing that is the client's to set.
    Foreign,
    /// The guard's doing. What it comes to is known at its end.
    OfGuard,
    /// Something has changed, or not.
    News,
}

impl Belief {
    /// Of a server that has just logged in, and is in `settings`. `home` as for [`Settings::lacking`].
    pub fn new(settings: Arc<Settings>, home: Arc<Settings>) -> Self {
        let settings = Some(settings);
        Self { settings, hasty: false, pending: None, home, custom: CustomNames::default(), refused: false }
    }

    /// What it is in; `None` when that is not known.
    pub fn settings(&self) -> Option<&Arc<Settings>> {
        self.settings.as_ref()
    }

    /// See [`Settings::key`]; 0 when nothing is known.
    pub fn key(&self) -> u64 {
        self.settings.as_ref().map_or(0, |settings| settings.key_with(&self.custom))
    }

    /// Whether a client with these settings cannot tell that others have used the server, and is not in danger of an error
    /// that would have been theirs.
    pub fn suits(&self, settings: &Settings) -> bool {
        let is_hasty = match &self.settings {
            Some(believed) => believed.is_hasty_for(settings),
            None => self.hasty && !settings.is_hasty(),
        };
        !is_hasty && self.custom.are_within(settings)
    }

    /// Whether it can be given to nobody else.
    pub fn is_beyond_memory(&self) -> bool {
        self.custom.are_too_many()
    }

    /// Where the way to other settings begins.
    pub fn start(&self) -> Start {
        let anew = self.settings.is_none();
        Start { from: self.settings.as_ref().unwrap_or(&self.home).clone(), home: self.home.clone(), anew }
    }

    /// The guard for `wanted` goes out and sets these.
    pub fn guard_sent(&mut self, wanted: &Arc<Settings>, lacking: &[Lack<'_>]) {
        lacking.iter().for_each(|(name, _)| self.custom.note(name));
        self.pending = Some(Pending { settings: wanted.clone(), heard: 0 });
        self.refused = false;
    }

    /// It is in its client's settings already.
    pub fn guard_unneeded(&mut self) {
        self.refused = false;
    }

    /// A ParameterStatus came.
    pub fn hear(&mut self, name: &[u8], value: &[u8]) -> Heard {
        let Some(at) = self.home.reported_at(name) else { return Heard::Foreign };
        let settings = match &mut self.pending {
            Some(pending) => {
                pending.heard |= place(at);
                Some(&mut pending.settings)
            }
            None => self.settings.as_mut(),
        };
        if let Some(settings) = settings
            && settings.get(name) != Some(value)
        {
            Arc::make_mut(settings).hear(name, value);
        }
        if self.pending.is_some() { Heard::OfGuard } else { Heard::News }
    }

    /// The guard's settings are in force. Gives them as the server spells them.
    pub fn guard_done(&mut self) -> Option<Arc<Settings>> {
        let Pending { mut settings, heard } = self.pending.take()?;
        if let Some(before) = &self.settings {
            // What was set and is not reported is as it was before, be it in other letters.
            let wanted = settings.clone();
            for (name, _, value) in wanted.unlike(before).into_iter().filter(|(name, ..)| !self.is_heard(heard, name)) {
                Arc::make_mut(&mut settings).hear(name, value);
            }
        }
        (self.settings, self.hasty) = (Some(settings.clone()), false);
        Some(settings)
    }

    fn is_heard(&self, heard: u64, name: &[u8]) -> bool {
        self.home.reported_at(name).is_some_and(|at| heard & place(at) != 0)
    }

    /// The guard has failed: what it may have set is undone.
    pub fn guard_failed(&mut self) {
        self.pending = None;
        self.refused = true;
    }

    /// Whether the client's settings were refused, so that nothing of it may run here.
    pub fn is_refused(&self) -> bool {
        self.refused
    }

    /// Its settings are not known any more: next time everything is undone, and set again. `hasty`: one of the timeouts may be short, as
    /// it may if it was.
    pub fn forget(&mut self, hasty: bool) {
        self.hasty |= hasty || self.settings.as_ref().is_some_and(|settings| settings.is_hasty());
        self.settings = None;
        self.pending = None;
    }

    /// Other servers of its pool come with these: what is equal becomes one.
    pub fn come_with(&mut self, others: &Arc<Settings>) {
        for settings in [self.settings.as_mut(), Some(&mut self.home)].into_iter().flatten() {
            share(settings, others);
            settings.share_reported(others);
        }
    }

    /// As it logged in.
    pub fn home(&self) -> &Arc<Settings> {
        &self.home
    }

    /// It has been brought home.
    pub fn came_home(&mut self) {
        self.hasty = false;
        let settings = self.settings.get_or_insert_with(|| self.home.clone());
        Arc::make_mut(settings).drop_unreported();
    }

    /// DISCARD ALL was run, which also undoes what a connect_query has set.
    pub fn discarded(&mut self) {
        if self.home.iter().next().is_none() { self.came_home() } else { self.forget(false) }
    }

    /// A custom name was used that leaves no setting behind, as in SET LOCAL.
    pub fn note_custom(&mut self, name: &[u8]) {
        self.custom.note(name);
    }

    /// `change` has been made on the server, to the settings of its client. Both share their memory if they did before.
    pub fn note(
        &mut self,
        client: &mut Arc<Settings>,
        name: &[u8],
        change: impl Fn(&mut Settings) -> Result<(), TooMuch>,
    ) -> Result<(), TooMuch> {
        self.custom.note(name);
        let mut changed = Settings::clone(client);
        change(&mut changed)?;
        let changed = Arc::new(changed);
        if let Some(settings) = &mut self.settings {
            if Arc::ptr_eq(settings, client) {
                *settings = changed.clone();
            } else {
                change(Arc::make_mut(settings))?;
                share(settings, &changed);
            }
        }
        *client = changed;
        Ok(())
    }

    /// The client was told of what it is in: equal settings become one, so that the next comparison is of two pointers.
    pub fn share_with(&mut self, told: &Arc<Settings>) {
        if let Some(settings) = &mut self.settings {
            share(settings, told);
        }
    }
}

/// One bit for each reported setting; PostgreSQL reports eleven that are tracked.
fn place(at: usize) -> u64 {
    u32::try_from(at).ok().and_then(|at| 1_u64.checked_shl(at)).unwrap_or(0)
}

fn share(settings: &mut Arc<Settings>, with: &Arc<Settings>) {
    if settings == with {
        *settings = with.clone();
    }
}

#[cfg(test)]
mod tests;
