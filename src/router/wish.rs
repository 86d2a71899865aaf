//! What is asked for one request beside what it says: by a hint, a setting of its client, or a rule. It only chooses among the servers that
//! may have the request anyway.

use super::ClusterView;

/// Where a request is to run, if it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// On the primary.
    Primary,
    /// On a replica.
    Replica {
        /// Which need not have replayed what the client must see.
        stale: bool,
    },
    /// On this one, an index into [`ClusterView::hosts`]; also for what it says of itself.
    Host(usize),
}

impl Wish {
    /// Whether that is what the primary (`None`) or this replica does for it.
    pub fn is_granted(self, view: &ClusterView, replica: Option<usize>) -> bool {
        match self {
            Self::Primary => replica.is_none(),
            Self::Replica { .. } => replica.is_some(),
            Self::Host(host) => replica.or(view.primary) == Some(host),
        }
    }
}
