//! Where a request goes, and why. Pure: the view of the hosts comes from `cluster`, so that a decision never waits.
//!
//! For now the answer is always the first primary; reading SQL and replicas come later, behind the same call.

/// What the router knows of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostView {
    /// It may take writes, as far as the configuration says.
    pub primary: bool,
}

/// What the router knows of a database's hosts, in the configuration's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterView {
    /// At least one.
    pub hosts: Vec<HostView>,
}

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

/// Decides for one request.
pub fn decide(view: &ClusterView) -> Plan {
    let host = view.hosts.iter().position(|host| host.primary).unwrap_or(0);
    Plan { host, reason: Reason::Single }
}

#[cfg(test)]
mod tests {
    //! Decisions.
    use super::*;

    #[test]
    fn the_first_primary_takes_everything() {
        let view = ClusterView { hosts: [false, true, true].map(|primary| HostView { primary }).to_vec() };
        assert_eq!(decide(&view), Plan { host: 1, reason: Reason::Single });
    }
}
