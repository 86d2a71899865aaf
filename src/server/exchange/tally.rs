//! What the client's requests came to: how many queries were answered, and how many transactions that held one are over.

use crate::metrics::Answered;
use crate::wire::backend::Status;

/// Counts until they are taken.
#[derive(Default)]
pub(super) struct Tally {
    answered: Answered,
    // The transaction under way holds a query.
    open: bool,
}

impl Tally {
    /// A Query, FunctionCall or Execute of the client has been answered, well or not.
    pub fn query(&mut self) {
        self.answered.queries += 1;
        self.open = true;
    }

    /// One was not answered after all.
    pub fn take_back_query(&mut self) {
        self.answered.queries = self.answered.queries.saturating_sub(1);
    }

    /// A ReadyForQuery of the client.
    pub fn ready(&mut self, status: Status) {
        if status == Status::Idle && std::mem::take(&mut self.open) {
            self.answered.transactions += 1;
        }
    }

    pub fn take(&mut self) -> Answered {
        std::mem::take(&mut self.answered)
    }
}
