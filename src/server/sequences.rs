//! Whose sequences `currval` and `lastval` would tell of on a server. PostgreSQL does not say who has drawn, so every statement
//! that may draw counts as if it had.

use super::connection::Server;
use crate::ids::ClientId;

/// Who may have drawn since all was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sequences {
    Nobodys,
    Of(ClientId),
    OfSeveral,
}

impl Server {
    /// This client may draw here. `again`: the last time that it may have drawn was here.
    pub fn note_draw(&mut self, client: ClientId, again: bool) {
        self.sequences = match self.sequences {
            Sequences::Nobodys => Sequences::Of(client),
            Sequences::Of(other) if other == client && again => Sequences::Of(client),
            // What it has drawn elsewhere meanwhile is not here.
            _ => Sequences::OfSeveral,
        };
    }

    /// Nobody may have drawn.
    pub fn has_nobodys_sequences(&self) -> bool {
        self.sequences == Sequences::Nobodys
    }

    /// This client may have drawn, and nobody else.
    pub fn has_sequences_of(&self, client: ClientId) -> bool {
        self.sequences == Sequences::Of(client)
    }

    /// DISCARD SEQUENCES has been run, or what does the same.
    pub(super) fn forget_sequences(&mut self) {
        self.sequences = Sequences::Nobodys;
    }

    /// Anybody may have drawn.
    pub(super) fn doubt_sequences(&mut self) {
        self.sequences = Sequences::OfSeveral;
    }
}
