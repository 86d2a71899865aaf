//! What one client listens to, under PostgreSQL's rules for transactions: LISTEN and UNLISTEN count from the COMMIT on, in
//! their order, and ROLLBACK and ROLLBACK TO undo them. Pure.
//!
//! Source: PostgreSQL `src/backend/commands/async.c` (`pendingActions`, `AtSubAbort_Notify`).

use super::deeds::Deed;
use crate::cluster::Channel;
use std::collections::BTreeSet;

/// A client's channels, and what its open transaction will do to them.
#[derive(Debug, Default)]
pub struct Channels {
    own: BTreeSet<Channel>,
    pending: Vec<Deed>,
    // Savepoints since the first pending one, with how many were pending then.
    savepoints: Vec<(Channel, usize)>,
    // Listened to by the hub for this client, although it may yet come to nothing.
    ahead: BTreeSet<Channel>,
}

impl Channels {
    /// Whether the client listens to this.
    pub fn contains(&self, channel: &[u8]) -> bool {
        self.own.contains(channel)
    }

    /// What it listens to.
    pub fn own(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.own.iter().map(|channel| &**channel)
    }

    /// Whether the hub hears nothing for it.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.ahead.is_empty()
    }

    /// How much there is to remember.
    pub fn len(&self) -> usize {
        self.own.len() + self.ahead.len() + self.pending.len() + self.savepoints.len()
    }

    /// Everything that the hub hears for it.
    pub fn all(&self) -> Vec<Channel> {
        self.own.iter().chain(&self.ahead).cloned().collect()
    }

    /// Whether its transaction has done something that a later statement may undo.
    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// What the hub has to listen to before these statements run. It is taken to do so from now on.
    pub fn ahead(&mut self, deeds: &[Deed]) -> Vec<Channel> {
        let mut new = Vec::new();
        for deed in deeds {
            if let Deed::Listen(channel) = deed
                && !self.own.contains(channel)
                && self.ahead.insert(channel.clone())
            {
                new.push(channel.clone());
            }
        }
        new
    }

    /// The hub will not listen to these.
    pub fn forsake(&mut self, new: &[Channel]) {
        for channel in new {
            self.ahead.remove(channel);
        }
    }

    /// The hub listens to nothing any more.
    pub fn forsake_all(&mut self) {
        self.ahead.clear();
    }

    /// Whether there is nothing it could miss: it listens to nothing, nor will its transaction have it.
    pub fn is_idle(&self) -> bool {
        self.own.is_empty() && !self.is_pending()
    }

    /// Whether it listens to nothing, and to something from its COMMIT on.
    pub fn is_joining(&self) -> bool {
        self.own.is_empty() && self.pending.iter().any(Deed::is_listen)
    }

    /// A statement has been run; `committed` says what PostgreSQL has made of a COMMIT. What the hub is to listen to no more is added to `left`.
    pub fn done(&mut self, deed: Deed, committed: bool, left: &mut Vec<Channel>) {
        match deed {
            Deed::Listen(_) | Deed::Unlisten(_) | Deed::UnlistenAll => self.pending.push(deed),
            Deed::Savepoint(name) if self.is_pending() => self.savepoints.push((name, self.pending.len())),
            Deed::Savepoint(_) => (),
            Deed::Release(name) => {
                // One that is older than all of these takes them along.
                let from = self.find(&name).unwrap_or(0);
                self.savepoints.truncate(from);
            }
            Deed::RollBackTo(name) => match self.find(&name) {
                Some(at) => {
                    self.pending.truncate(self.savepoints[at].1);
                    self.savepoints.truncate(at + 1);
                }
                None => self.forget_pending(),
            },
            Deed::Commit if committed => self.commit(left),
            Deed::Commit | Deed::RollBack | Deed::Prepare => self.forget_pending(),
        }
    }

    /// No transaction is open any more. `failed`: an error has ended it.
    pub fn end(&mut self, failed: bool, left: &mut Vec<Channel>) {
        if failed {
            self.forget_pending();
        } else {
            self.commit(left);
        }
        let own = &self.own;
        left.extend(std::mem::take(&mut self.ahead).into_iter().filter(|channel| !own.contains(channel)));
    }

    fn commit(&mut self, left: &mut Vec<Channel>) {
        self.savepoints.clear();
        for deed in std::mem::take(&mut self.pending) {
            match deed {
                Deed::Listen(channel) => {
                    if self.own.insert(channel.clone()) {
                        left.retain(|left| *left != channel);
                    }
                }
                Deed::Unlisten(channel) => {
                    if self.own.remove(&channel) {
                        left.push(channel);
                    }
                }
                _ => left.extend(std::mem::take(&mut self.own)),
            }
        }
    }

    fn forget_pending(&mut self) {
        self.pending.clear();
        self.savepoints.clear();
    }

    /// The innermost savepoint of this name.
    fn find(&self, name: &[u8]) -> Option<usize> {
        self.savepoints.iter().rposition(|(known, _)| **known == *name)
    }
}

#[cfg(test)]
mod tests;
