//! SHOW POOLS, and what the pools hold at one moment.

use super::super::desk::{Desk, PGBOUNCER, Process};
use super::{Row, int4, text};
use crate::activity::{ServerSeen, ServerState};
use crate::clock::{self, Instant};
use crate::cluster::Pool;
use crate::config::{PoolMode, pool_mode_text};
use crate::wire::rows::{Cell, Column};
use std::time::Duration;

pub(super) const COLUMNS: [Column; 17] = [
    text("database"),
    text("user"),
    int4("cl_active"),
    int4("cl_waiting"),
    int4("cl_active_cancel_req"),
    int4("cl_waiting_cancel_req"),
    int4("sv_active"),
    int4("sv_active_cancel"),
    int4("sv_being_canceled"),
    int4("sv_idle"),
    int4("sv_used"),
    int4("sv_tested"),
    int4("sv_login"),
    int4("maxwait"),
    int4("maxwait_us"),
    text("pool_mode"),
    text("load_balance_hosts"),
];

/// One pool, all of its lanes together.
pub(super) struct Seen {
    pub database: String,
    /// As servers log in: the database's forced user, or the clients'.
    pub user: String,
    pub mode: PoolMode,
    pub clients: usize,
    pub waiting: usize,
    pub active: usize,
    pub idle: usize,
    /// Those of the idle ones that are to be asked for a sign of life before they serve.
    pub used: usize,
    pub opening: usize,
    pub repaired: usize,
    /// Cancel requests for its servers that are on their way.
    pub cancels: usize,
    pub oldest_wait: Duration,
}

impl Seen {
    /// Servers, those that are being opened among them.
    pub fn servers(&self) -> usize {
        self.active + self.idle + self.opening
    }

    fn of(pool: &Pool, check_delay: Duration, now: Instant) -> Self {
        let shape = pool.shape();
        let mut seen = Self {
            database: pool.database.clone(),
            user: pool.user.clone(),
            mode: shape.settings.pool_mode,
            clients: pool.clients(),
            waiting: 0,
            active: 0,
            idle: 0,
            used: 0,
            opening: 0,
            repaired: 0,
            cancels: 0,
            oldest_wait: Duration::ZERO,
        };
        for lane in &shape.lanes {
            let stats = lane.stats(now);
            seen.waiting += stats.waiting;
            seen.active += stats.active;
            seen.idle += stats.idle;
            seen.opening += stats.opening;
            seen.oldest_wait = seen.oldest_wait.max(stats.oldest_wait);
            let servers = lane.servers();
            let count = |is: &dyn Fn(&ServerSeen) -> bool| servers.iter().filter(|server| is(server)).count();
            seen.repaired += count(&|server| server.state == ServerState::InRepair).min(stats.active);
            seen.used += lane.idle_for(check_delay, now).min(stats.idle);
            seen.cancels += count(&|server| server.is_cancelled);
        }
        seen
    }

    fn row(&self) -> Row {
        let none = || Cell::Number(0);
        vec![
            self.database.as_str().into(),
            self.user.as_str().into(),
            self.clients.saturating_sub(self.waiting).into(),
            self.waiting.into(),
            none(),
            none(),
            (self.active - self.repaired).into(),
            self.cancels.into(),
            none(),
            (self.idle - self.used).into(),
            self.used.into(),
            self.repaired.into(),
            self.opening.into(),
            self.oldest_wait.as_secs().into(),
            u64::from(self.oldest_wait.subsec_micros()).into(),
            pool_mode_text(self.mode).into(),
            Cell::Null,
        ]
    }
}

/// Every pool.
pub(super) fn seen<P: Process>(desk: &Desk<P>) -> Vec<Seen> {
    let (now, check_delay) = (clock::now(), desk.process.config().pooler.server_check_delay);
    desk.cluster.pools().iter().map(|pool| Seen::of(pool, check_delay, now)).collect()
}

/// One row for each, and one for the console.
pub(super) fn pools<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let mut pools: Vec<Seen> = seen(desk).into_iter().chain([console(desk)]).collect();
    pools.sort_by(|one, other| (&one.database, &one.user).cmp(&(&other.database, &other.user)));
    pools.iter().map(Seen::row).collect()
}

fn console<P: Process>(desk: &Desk<P>) -> Seen {
    Seen {
        database: PGBOUNCER.to_owned(),
        user: PGBOUNCER.to_owned(),
        mode: PoolMode::Statement,
        clients: desk.consoles().len(),
        waiting: 0,
        active: 0,
        idle: 0,
        used: 0,
        opening: 0,
        repaired: 0,
        cancels: 0,
        oldest_wait: Duration::ZERO,
    }
}
