//! One named test for each rule; `machine` tries random histories.

mod ageing;
mod checkout;
mod ending;
mod failing;
mod machine;
mod waiting;

use super::*;

/// A server as the book-keeping sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    id: u32,
    key: u64,
    opened: Instant,
    generation: u64,
    healthy: bool,
}

impl Pooled for Server {
    fn state_key(&self) -> u64 {
        self.key
    }

    fn opened(&self) -> Instant {
        self.opened
    }

    fn generation(&self) -> u64 {
        self.generation
    }
}

const A: WorkerId = WorkerId(0);
const B: WorkerId = WorkerId(1);

/// How long a host rests after a failure.
const REST: Duration = Duration::from_millis(500);

fn limits(size: usize) -> Limits {
    Limits {
        size,
        min: 0,
        reserve: 0,
        reserve_timeout: secs(5),
        lifetime: secs(3600),
        idle_timeout: Some(secs(600)),
        round_robin: false,
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A lane with a hand-turned clock, whose actions are sorted into lists.
struct Lane {
    core: PoolCore<Server, u32>,
    now: Instant,
    servers: u32,
    generation: u64,
    attempts: Vec<Attempt>,
    /// Waiter, server, moved.
    grants: Vec<(u32, Server, bool)>,
    closed: Vec<(u32, CloseReason)>,
}

impl Lane {
    fn new(limits: Limits) -> Self {
        let core = PoolCore::new(limits, 2);
        let now = crate::clock::now();
        Self { core, now, servers: 0, generation: 1, attempts: vec![], grants: vec![], closed: vec![] }
    }

    /// A lane with one idle server for each of `workers`; their ids are 1, 2, …
    fn with_idle(limits: Limits, workers: &[WorkerId]) -> Self {
        let mut lane = Self::new(limits);
        let _: Vec<_> = workers.iter().map(|worker| lane.wait(*worker, 0)).collect();
        for worker in workers {
            lane.open(*worker);
        }
        let granted: Vec<_> = lane.grants.drain(..).collect();
        for ((_, server, _), worker) in granted.into_iter().zip(workers) {
            lane.checkin(*worker, server);
        }
        lane
    }

    fn act<R>(&mut self, call: impl FnOnce(&mut PoolCore<Server, u32>, Instant, &mut Actions<Server, u32>) -> R) -> R {
        let mut actions = Vec::new();
        let answer = call(&mut self.core, self.now, &mut actions);
        for action in actions {
            match action {
                Action::Grant { waiter, server, moved, .. } => self.grants.push((waiter, server, moved)),
                Action::Open(attempt) => self.attempts.push(attempt),
                Action::Close { server, reason } => self.closed.push((server.id, reason)),
            }
        }
        answer
    }

    fn checkout(&mut self, worker: WorkerId, key: u64, waiter: u32) -> Checkout<Server> {
        self.act(|core, now, actions| core.checkout(now, worker, key, || waiter, actions))
    }

    fn wait(&mut self, worker: WorkerId, waiter: u32) -> WaiterId {
        match self.checkout(worker, 0, waiter) {
            Checkout::Wait(id) => id,
            other => panic!("was to wait, got {other:?}"),
        }
    }

    fn take(&mut self, worker: WorkerId, key: u64) -> (Server, bool) {
        match self.checkout(worker, key, 0) {
            Checkout::Server { server, moved } => (server, moved),
            other => panic!("was to get a server, got {other:?}"),
        }
    }

    fn checkin(&mut self, worker: WorkerId, server: Server) {
        self.act(|core, now, actions| core.checkin(now, worker, server, actions));
    }

    fn discard(&mut self, _closed: Server) {
        self.act(|core, now, actions| core.discarded(now, actions));
    }

    /// The oldest attempt succeeds.
    fn open(&mut self, worker: WorkerId) {
        self.servers += 1;
        let generation = self.generation;
        let server = Server { id: self.servers, key: 0, opened: self.now, generation, healthy: true };
        let attempt = self.attempts.remove(0);
        self.act(|core, now, actions| core.opened(now, attempt, worker, server, actions));
    }

    /// The oldest attempt fails; the host is to rest for [`REST`].
    fn fail(&mut self) {
        self.fail_with(false);
    }

    fn fail_for_good(&mut self) -> Vec<u32> {
        self.fail_with(true);
        let mut refused = self.core.drain_refused(self.now);
        refused.sort_unstable();
        refused
    }

    fn fail_with(&mut self, refuse: bool) {
        let attempt = self.attempts.remove(0);
        let rest = Rest { until: self.now + REST, refuse };
        self.act(|core, now, actions| core.open_failed(now, attempt, rest, actions));
    }

    /// The rest is over.
    fn rest(&mut self) {
        self.now += REST;
        assert!(self.core.next_deadline().is_some_and(|due| due <= self.now));
        self.act(|core, now, actions| core.deadline_passed(now, actions));
    }

    fn refuse(&mut self) {
        let attempt = self.attempts.remove(0);
        self.act(|core, now, actions| core.open_refused(now, attempt, actions));
    }

    fn poke(&mut self) {
        self.act(|core, now, actions| core.poke(now, actions));
    }

    fn tick(&mut self, live: bool) {
        self.act(|core, now, actions| core.tick(now, live, |server| server.healthy, actions));
    }

    fn counts(&self) -> (usize, usize, usize, usize) {
        let Stats { idle, active, opening, waiting, .. } = self.core.stats(self.now);
        (idle, active, opening, waiting)
    }

    fn granted(&mut self) -> Vec<u32> {
        self.grants.drain(..).map(|(waiter, ..)| waiter).collect()
    }

    fn one_grant(&mut self) -> (u32, Server, bool) {
        assert_eq!(self.grants.len(), 1, "{:?}", self.grants);
        self.grants.remove(0)
    }
}
