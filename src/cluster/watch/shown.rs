//! What was found out about hosts, for operators: rows, one line for a client that has waited, and the log.

use super::{Watch, Watched};
use crate::clock::{self, Instant};
use crate::cluster::judge::{Judge, State, Why};
use crate::net::Address;
use crate::router::Role;
use std::fmt::Write;
use std::time::Duration;

/// A host as an operator sees it.
pub struct HostSeen {
    /// Where it is.
    pub address: Address,
    /// What it is, by what it said last.
    pub role: Role,
    /// As configured; 0 to 1000.
    pub weight: u32,
    /// What is thought of it.
    pub state: State,
    /// A replica, or what was one, that gets no reads.
    pub is_ejected: bool,
    /// It gets nothing, because it is not believed.
    pub is_fenced: bool,
    /// Why it is not used.
    pub reason: Option<String>,
    /// On which it is.
    pub timeline: Option<u32>,
    /// The primary's position, or what a replica has replayed.
    pub lsn: Option<u64>,
    /// Of a replica: how far it is behind.
    pub lag: Option<(Duration, u64)>,
}

impl Watch {
    /// What is known of each, for operators.
    pub fn seen(&self) -> Vec<HostSeen> {
        let now = clock::now();
        let view = self.view.load_full();
        let judged = self.judged.lock();
        let seen = |(at, watched): (usize, &Watched)| {
            let host = judged.judge.hosts().get(at)?;
            let reason = host.state().why().map(|why| why.to_string()).or_else(|| host.failure.clone());
            Some(HostSeen {
                address: watched.address.clone(),
                role: view.hosts.get(at).map_or(Role::Unknown, |host| host.role),
                weight: watched.weight,
                state: host.state(),
                is_ejected: matches!(host.state(), State::Ejected(_) | State::Down),
                is_fenced: matches!(host.state(), State::Fenced(_)),
                reason,
                timeline: host.timeline(),
                lsn: host.lsn(),
                lag: judged.judge.lag(at, now),
            })
        };
        self.hosts.iter().enumerate().filter_map(seen).collect()
    }

    /// Whether a replica may serve reads.
    pub fn has_ready_replica(&self) -> bool {
        self.judged.lock().judge.hosts().iter().any(|host| host.state() == State::Ready)
    }

    /// One line on why there is no primary, for who has waited for one.
    pub fn account(&self) -> String {
        let mut account = String::new();
        for host in self.seen() {
            let separator = if account.is_empty() { "" } else { "; " };
            // Writing to a String cannot fail.
            let _ = write!(account, "{separator}{} is {}", host.address, host.state.word());
            if let Some(reason) = host.reason {
                let _ = write!(account, " ({})", reason.escape_debug());
            }
        }
        account
    }

    /// A line for each host that has become something else.
    pub(super) fn log(&self, before: &[State], judge: &Judge, now: Instant) {
        let view = judge.view(now);
        let entry = self.entry.escape_debug();
        for (at, (host, before)) in judge.hosts().iter().zip(before).enumerate() {
            let state = host.state();
            let Some(watched) = self.hosts.get(at).filter(|_| state != *before) else { continue };
            let (host_at, timeline, why) = (&watched.address, host.timeline(), state.why());
            let why = why
                .map(|why| why.to_string())
                .or_else(|| host.failure.as_ref().map(|why| why.escape_debug().to_string()));
            let (state_word, before_word) = (state.word(), before.word());
            match state {
                State::Fenced(_) => {
                    tracing::error!(database = %entry, host = %host_at, timeline, why, "a host is fenced: it gets nothing");
                }
                State::Primary => {
                    tracing::info!(database = %entry, host = %host_at, timeline, "a host is confirmed as the primary");
                }
                State::Down => {
                    tracing::warn!(database = %entry, host = %host_at, why, before = before_word, "a host does not answer");
                }
                State::Claiming | State::Ejected(Why::LagUnknown | Why::NoPrimary | Why::Resting) => {
                    tracing::debug!(database = %entry, host = %host_at, state = state_word, why, "a host's state has changed");
                }
                _ => {
                    tracing::info!(database = %entry, host = %host_at, state = state_word, why, before = before_word, "a host's state has changed")
                }
            }
            let found = view.hosts.get(at).map_or(Role::Unknown, |host| host.role);
            if matches!(before, State::Unheard | State::Claiming | State::Down)
                && found != Role::Unknown
                && host.claim.is_some_and(|claim| claim != found)
                && matches!(state, State::Primary | State::Ready | State::Ejected(_))
            {
                tracing::warn!(database = %entry, host = %host_at, configured = ?host.claim, ?found, "a host is not what `hosts` says; what it is counts");
            }
        }
    }
}
