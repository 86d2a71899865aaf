//! Where a request goes, and why. Pure: the view of the hosts comes from `cluster`, so that a decision never waits.
//!
//! For now the answer is always the primary; reading SQL and replicas come later, behind the same call.

mod view;

pub use view::{ClusterView, Freshness, HostView, Role};

/// Why a request goes where it goes. The same word in logs, metrics and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is nothing to choose from.
    Single,
}

/// The router's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Index into [`ClusterView::hosts`], and of the pool's lane.
    pub host: usize,
    /// Why.
    pub reason: Reason,
}

/// Decides for one request. `None`: it is for the primary, and none is confirmed.
pub fn decide(view: &ClusterView) -> Option<Plan> {
    view.primary.map(|host| Plan { host, reason: Reason::Single })
}

#[cfg(test)]
mod tests {
    //! Decisions.
    use super::*;

    #[test]
    fn the_confirmed_primary_takes_everything() {
        let mut view = ClusterView::fixed([(Role::Standby, 1), (Role::Primary, 1), (Role::Primary, 1)]);
        assert_eq!(decide(&view), Some(Plan { host: 1, reason: Reason::Single }));
        view.primary = None;
        assert_eq!(decide(&view), None);
    }
}
