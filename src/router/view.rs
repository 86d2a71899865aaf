//! What is known of a database's hosts: the snapshot that a decision is made on, and how far each replica is.
//!
//! `cluster` fills both. Knows neither addresses nor how anything was found out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// What a host is, by what it last said of itself; where nobody can ask it, by what the configuration claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It has not said anything yet, or not for too long.
    Unknown,
    /// It takes writes, as far as it is concerned. Whether it may have any is [`ClusterView::primary`].
    Primary,
    /// It is in recovery.
    Standby,
}

/// A position in the write-ahead log as PostgreSQL writes it, `16/B374D848`. Source: PostgreSQL documentation, "pg_lsn Type".
pub fn lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let is_half = |half: &&str| (1..=8).contains(&half.len()) && half.bytes().all(|byte| byte.is_ascii_hexdigit());
    let half =
        |half: &str| Some(half).filter(is_half).and_then(|half| u32::from_str_radix(half, 16).ok()).map(u64::from);
    Some(half(high)? << 32 | half(low)?)
}

/// What the router knows of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostView {
    /// What it is.
    pub role: Role,
    /// Share of the reads, as configured. 0: none.
    pub weight: u32,
    /// A standby that may serve reads, as far as they need not see a certain write: it answers, it follows the primary, and
    /// its lag is known and within `max_replica_lag`. Never a primary.
    pub eligible: bool,
    /// It claims to be the primary, or to belong to this database, and is not believed. It gets nothing.
    pub fenced: bool,
}

/// What the router knows of a database's hosts, in the configuration's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterView {
    /// At least one.
    pub hosts: Vec<HostView>,
    /// The one host that may be written to. `None`: none is confirmed, and who wants to write has to wait.
    pub primary: Option<usize>,
}

impl ClusterView {
    /// Where roles are what the configuration says: the first of those with this role is the primary.
    pub fn fixed(hosts: impl IntoIterator<Item = (Role, u32)>) -> Self {
        let view = |(role, weight)| HostView { role, weight, eligible: false, fenced: false };
        let hosts: Vec<HostView> = hosts.into_iter().map(view).collect();
        let primary = hosts.iter().position(|host| host.role == Role::Primary);
        Self { primary: primary.or((!hosts.is_empty()).then_some(0)), hosts }
    }
}

/// How far each replica is, in numbers of questions and never in times. The questions to a database's hosts are numbered, each
/// number raised before its question is sent. One writer, the monitor; read by every client without a lock.
///
/// A client that has written stores [`Freshness::fence`] when the end of what may have been a write comes in from the server,
/// before it passes it on. A replica is safe for that client if it has replayed what the primary had written when it got a
/// question with a *greater* number: that question was sent behind the commit.
///
/// Why the order holds: the client hears of the commit (a receive) and then reads `asked`; the monitor raises `asked` and then
/// sends (a send) the question whose answer is the position in the WAL. If the client reads a number below that of the question,
/// its read came before the raise in the one order of all sequentially consistent operations, so its receive came before the send,
/// and the commit, which is older than its receive, is within the answer. Neither half may be weaker: a raise that is still on its
/// way to other cores while the question is answered, or a read that is done before the receive, would each let a commit be newer
/// than the answer. On x86 the reader's side is a plain load.
#[derive(Debug)]
pub struct Freshness {
    // Shared by all editions: a fence from before a reload holds behind it.
    asked: Arc<AtomicU64>,
    covers: Box<[AtomicU64]>,
    // Positions in the write-ahead log.
    replayed: Box<[AtomicU64]>,
    // How often what was known of each was taken back.
    lives: Box<[AtomicU64]>,
}

impl Freshness {
    /// Of so many hosts, of which nothing is known.
    pub fn new(hosts: usize) -> Self {
        Self { asked: Arc::default(), covers: zeros(hosts), replayed: zeros(hosts), lives: zeros(hosts) }
    }

    /// Of other hosts of the same database. Fences that were taken before go on to hold.
    pub fn renewed(&self, hosts: usize) -> Self {
        Self { asked: self.asked.clone(), covers: zeros(hosts), replayed: zeros(hosts), lives: zeros(hosts) }
    }

    /// The number of a question that is sent next, from 1.
    pub fn ask(&self) -> u64 {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        // Behind it comes a send, which is no operation of the memory model: nothing of it may begin before.
        fence(Ordering::SeqCst);
        number
    }

    /// The newest question's number, to be stored behind what may have been a write. Costs one load.
    pub fn fence(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// The greatest number of a question of whose answer by the primary this host has replayed everything; 0: nothing is known.
    pub fn covers(&self, host: usize) -> u64 {
        // Acquire, and with it what the monitor knew when it wrote it: its view is at least as new.
        self.covers.get(host).map_or(0, |covers| covers.load(Ordering::Acquire))
    }

    /// How far this host has replayed at least, as a position in the write-ahead log; 0: nothing is known.
    pub fn replayed(&self, host: usize) -> u64 {
        self.replayed.get(host).map_or(0, |replayed| replayed.load(Ordering::Acquire))
    }

    /// The monitor has found that out. 0 takes it back.
    pub fn replay(&self, host: usize, lsn: u64) {
        if let Some(replayed) = self.replayed.get(host) {
            replayed.store(lsn, Ordering::Release);
        }
    }

    /// Which of a host's lives this is: another one whenever what was known of it was taken back, since it may have been started anew
    /// and show less than before. To be asked for in front of [`Self::covers`].
    pub fn life(&self, host: usize) -> u64 {
        self.lives.get(host).map_or(0, |lives| lives.load(Ordering::Acquire))
    }

    /// The monitor has found out. 0 takes everything back.
    pub fn cover(&self, host: usize, number: u64) {
        let (Some(covers), Some(lives)) = (self.covers.get(host), self.lives.get(host)) else { return };
        let ends = number == 0 && covers.load(Ordering::Relaxed) > 0;
        covers.store(number, Ordering::Release);
        if ends {
            // Behind that: who sees the new life does not see what the old one covered.
            lives.fetch_add(1, Ordering::Release);
        }
    }
}

fn zeros(hosts: usize) -> Box<[AtomicU64]> {
    (0..hosts).map(|_| AtomicU64::new(0)).collect()
}

#[cfg(test)]
mod tests {
    //! Fences.
    use super::*;

    #[test]
    fn a_host_is_safe_only_behind_a_question_that_was_asked_after_the_write() {
        let freshness = Freshness::new(2);
        let before = freshness.ask();
        let fence = freshness.fence();
        freshness.cover(1, before);
        assert!(freshness.covers(1) <= fence, "the question may have been answered before the commit");
        let behind = freshness.ask();
        freshness.cover(1, behind);
        assert!(freshness.covers(1) > fence);
        assert!(freshness.covers(0) <= fence && freshness.covers(7) == 0, "of these nothing is known");
        freshness.cover(1, 0);
        assert_eq!(freshness.covers(1), 0);
    }

    #[test]
    fn a_fence_from_before_a_reload_holds_behind_it() {
        let old = Freshness::new(1);
        let fence = old.ask();
        let new = old.renewed(3);
        let overlapping = old.ask();
        assert_eq!((new.fence(), new.covers(0)), (overlapping, 0));
        new.cover(2, new.ask());
        assert!(new.covers(2) > fence.max(overlapping));
    }

    #[test]
    fn without_a_claim_the_first_host_is_taken_for_the_primary() {
        use Role::{Primary, Standby};
        let primary = |roles: &[Role]| ClusterView::fixed(roles.iter().map(|role| (*role, 1))).primary;
        assert_eq!(primary(&[Standby, Primary, Primary]), Some(1));
        assert_eq!(primary(&[Standby, Standby]), Some(0));
        assert_eq!(primary(&[]), None);
    }
}
