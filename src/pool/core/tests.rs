//! One named test for each rule; `machine` tries random histories.

mod machine;

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
        let now = Instant::now();
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

// Checkout.

#[test]
fn the_last_used_server_of_the_own_worker_goes_first() {
    let mut lane = Lane::with_idle(limits(4), &[A, B, A]);
    let (server, moved) = lane.take(A, 0);
    assert_eq!((server.id, moved), (3, false));
    assert_eq!(lane.counts(), (2, 1, 0, 0));
}

#[test]
fn with_round_robin_the_longest_idle_server_goes_first() {
    let mut lane = Lane::with_idle(Limits { round_robin: true, ..limits(3) }, &[A, A, A]);
    for expected in [1, 2, 3, 1, 2] {
        let (server, _) = lane.take(A, 0);
        assert_eq!(server.id, expected);
        lane.checkin(A, server);
    }
}

#[test]
fn a_server_in_the_clients_state_is_preferred_among_the_next_eight() {
    let mut lane = Lane::with_idle(limits(10), &[A; 10]);
    let mut servers: Vec<_> = (0..10).map(|_| lane.take(A, 0).0).collect();
    servers.sort_by_key(|server| server.id);
    for (place, mut server) in (0..).zip(servers) {
        server.key = place;
        lane.checkin(A, server);
    }
    assert_eq!(lane.take(A, 2).0.id, 3, "the eighth from the end has key 2");
    assert_eq!(lane.take(A, 0).0.id, 10, "the key 0 is too far away now");
}

#[test]
fn a_server_with_the_upper_half_of_the_key_is_the_next_best() {
    let mut lane = Lane::with_idle(limits(3), &[A; 3]);
    let mut servers: Vec<_> = (0..3).map(|_| lane.take(A, 0).0).collect();
    servers.sort_by_key(|server| server.id);
    for (key, mut server) in [7 << 32 | 1, 7 << 32 | 2, 8 << 32 | 3].into_iter().zip(servers) {
        server.key = key;
        lane.checkin(A, server);
    }
    assert_eq!(lane.take(A, 7 << 32 | 9).0.id, 2, "the last used of its half");
    assert_eq!(lane.take(A, 7 << 32 | 1).0.id, 1);
    assert_eq!(lane.take(A, 7 << 32 | 1).0.id, 3, "any one at all");
}

#[test]
fn a_free_slot_is_used_before_a_server_moves() {
    let mut lane = Lane::with_idle(limits(2), &[B]);
    lane.wait(A, 7);
    assert_eq!(lane.counts(), (1, 0, 1, 1));
    assert_eq!(lane.attempts[0].worker(), A);
    lane.open(A);
    assert_eq!(lane.one_grant().0, 7);
}

#[test]
fn at_the_limit_an_idle_server_of_another_worker_moves() {
    let mut lane = Lane::with_idle(limits(1), &[B]);
    let (server, moved) = lane.take(A, 0);
    assert!(moved);
    lane.checkin(A, server);
    assert!(!lane.take(A, 0).1, "it stays where it moved to");
}

#[test]
fn several_servers_open_at_once_up_to_the_limit() {
    let mut lane = Lane::new(limits(3));
    for waiter in 0..5 {
        lane.wait(A, waiter);
    }
    assert_eq!(lane.counts(), (0, 0, 3, 5));
}

#[test]
fn an_opening_that_lost_its_waiter_serves_the_next_one() {
    let mut lane = Lane::new(limits(3));
    let first = lane.wait(A, 1);
    assert!(lane.core.give_up(first));
    lane.wait(A, 2);
    assert_eq!(lane.counts(), (0, 0, 1, 1));
    lane.open(A);
    assert_eq!(lane.granted(), [2]);
}

#[test]
fn a_size_of_zero_means_no_limit_and_keeps_min() {
    let mut lane = Lane::new(Limits { min: 2, ..limits(0) });
    lane.tick(true);
    assert_eq!(lane.counts(), (0, 0, 2, 0));
    for waiter in 0..50 {
        lane.wait(A, waiter);
    }
    assert_eq!(lane.counts(), (0, 0, 50, 50));
}

// Check-in.

#[test]
fn waiters_are_served_in_order_of_arrival() {
    let mut lane = Lane::with_idle(limits(1), &[A]);
    let (server, _) = lane.take(A, 0);
    for waiter in 1..=3 {
        lane.wait(A, waiter);
    }
    lane.checkin(A, server);
    for expected in 1..=3 {
        let (waiter, server, moved) = lane.one_grant();
        assert_eq!((waiter, moved), (expected, false));
        lane.checkin(A, server);
    }
    assert_eq!(lane.counts(), (1, 0, 0, 0));
}

#[test]
fn own_waiters_come_first_when_the_others_waited_little_longer() {
    let mut lane = Lane::with_idle(limits(1), &[A]);
    let (server, _) = lane.take(A, 0);
    lane.wait(B, 1);
    lane.now += millis(1);
    lane.wait(A, 2);
    lane.checkin(A, server);
    let (waiter, server, _) = lane.one_grant();
    assert_eq!(waiter, 2);
    lane.checkin(A, server);
    let (waiter, _, moved) = lane.one_grant();
    assert_eq!((waiter, moved), (1, true));
}

#[test]
fn a_waiter_elsewhere_that_waited_much_longer_comes_before_ones_own() {
    let mut lane = Lane::with_idle(limits(1), &[A]);
    let (server, _) = lane.take(A, 0);
    lane.wait(B, 1);
    lane.now += millis(2);
    lane.wait(A, 2);
    lane.checkin(A, server);
    let (waiter, _, moved) = lane.one_grant();
    assert_eq!((waiter, moved), (1, true));
}

#[test]
fn a_waiter_alone_on_its_worker_is_not_starved_by_a_busy_worker() {
    let mut lane = Lane::with_idle(limits(1), &[A]);
    let (mut server, _) = lane.take(A, 0);
    for waiter in 1..=20 {
        lane.wait(A, waiter);
    }
    lane.wait(B, 999);
    for turn in 0.. {
        assert!(turn < 200, "starved");
        lane.now += millis(1);
        lane.checkin(A, server);
        let (waiter, granted, _) = lane.one_grant();
        if waiter == 999 {
            break;
        }
        server = granted;
        lane.wait(A, waiter);
    }
}

#[test]
fn a_discarded_servers_slot_is_used_for_a_waiter() {
    let mut lane = Lane::with_idle(limits(1), &[A]);
    let (server, _) = lane.take(A, 0);
    lane.wait(A, 1);
    assert!(lane.attempts.is_empty());
    lane.discard(server);
    assert_eq!(lane.counts(), (0, 0, 1, 1));
    lane.open(B);
    let (waiter, _, moved) = lane.one_grant();
    assert_eq!((waiter, moved), (1, true));
}

#[test]
fn an_opened_server_that_nobody_waits_for_any_more_becomes_idle() {
    let mut lane = Lane::with_idle(limits(2), &[A]);
    let (server, _) = lane.take(A, 0);
    lane.wait(A, 1);
    lane.checkin(A, server);
    assert_eq!(lane.granted(), [1]);
    lane.open(A);
    assert_eq!(lane.counts(), (1, 1, 0, 0));
}

// The reserve.

#[test]
fn the_reserve_opens_only_when_the_oldest_waiter_has_waited_for_it() {
    let mut lane = Lane::with_idle(Limits { reserve: 1, ..limits(1) }, &[A]);
    let _held = lane.take(A, 0);
    assert_eq!(lane.core.next_deadline(), None);
    let arrived = lane.now;
    lane.wait(A, 1);
    lane.wait(B, 2);
    assert_eq!(lane.core.next_deadline(), Some(arrived + secs(5)));
    lane.now += secs(5) - millis(1);
    lane.tick(true);
    assert_eq!(lane.attempts.len(), 0);
    lane.now += millis(1);
    lane.act(|core, now, actions| core.deadline_passed(now, actions));
    assert_eq!(lane.counts(), (0, 1, 1, 2));
    assert_eq!(lane.core.next_deadline(), None, "there is no more of it");
}

#[test]
fn a_server_of_the_reserve_goes_when_it_is_idle() {
    let mut lane = Lane::with_idle(Limits { reserve: 1, ..limits(1) }, &[A]);
    let (server, _) = lane.take(A, 0);
    lane.wait(A, 1);
    lane.now += secs(5);
    lane.tick(true);
    lane.open(A);
    lane.checkin(A, server);
    assert_eq!(lane.counts(), (1, 1, 0, 0));
    lane.tick(true);
    assert_eq!(lane.closed, [(1, CloseReason::OverLimit)]);
    assert_eq!(lane.counts(), (0, 1, 0, 0));
}

// A host that fails.

#[test]
fn while_the_host_fails_one_attempt_is_made_after_each_rest() {
    let mut lane = Lane::new(limits(5));
    for waiter in 0..4 {
        lane.wait(A, waiter);
    }
    (0..4).for_each(|_| lane.fail());
    lane.wait(A, 4);
    lane.tick(true);
    assert_eq!(lane.counts(), (0, 0, 0, 5), "a new client waits for the end of the rest");
    lane.rest();
    assert_eq!(lane.counts(), (0, 0, 1, 5));
    lane.wait(B, 5);
    assert_eq!(lane.counts(), (0, 0, 1, 6), "a new client waits for the attempt");
    lane.fail();
    assert_eq!(lane.counts(), (0, 0, 0, 6));
    lane.rest();
    assert_eq!(lane.counts(), (0, 0, 1, 6));
}

#[test]
fn after_the_first_success_the_other_openings_begin() {
    let mut lane = Lane::new(limits(5));
    for waiter in 0..8 {
        lane.wait(A, waiter);
    }
    for _ in 0..5 {
        lane.fail();
    }
    lane.rest();
    lane.open(A);
    assert_eq!(lane.granted(), [0]);
    assert_eq!(lane.counts(), (0, 1, 4, 7));
}

#[test]
fn a_host_that_failed_is_left_alone_when_nobody_waits_any_more() {
    let mut lane = Lane::new(limits(5));
    let waiter = lane.wait(A, 1);
    lane.fail();
    assert!(lane.core.give_up(waiter));
    lane.rest();
    assert_eq!(lane.counts(), (0, 0, 0, 0));
    assert_eq!(lane.core.next_deadline(), None);
    lane.wait(A, 2);
    assert_eq!(lane.attempts.len(), 1, "the next client tries anew");
}

#[test]
fn a_server_that_is_dead_before_it_served_counts_as_a_failed_opening() {
    let mut lane = Lane::new(limits(5));
    lane.wait(A, 1);
    lane.open(A);
    assert_eq!(lane.granted(), [1]);
    let rest = Rest { until: lane.now + REST, refuse: false };
    lane.act(|core, now, actions| core.stillborn(now, rest, actions));
    lane.wait(A, 1);
    assert_eq!(lane.counts(), (0, 0, 0, 1), "its client waits for the end of the rest");
    lane.rest();
    assert_eq!(lane.counts(), (0, 0, 1, 1));
}

#[test]
fn a_failed_opening_hands_its_waiter_an_idle_server_of_another_worker() {
    let mut lane = Lane::with_idle(limits(2), &[B]);
    lane.wait(A, 1);
    lane.fail();
    let (waiter, _, moved) = lane.one_grant();
    assert_eq!((waiter, moved), (1, true));
}

#[test]
fn while_the_host_fails_a_server_moves_rather_than_a_slot_is_used() {
    let mut lane = Lane::with_idle(limits(5), &[B]);
    lane.wait(A, 1);
    lane.fail();
    let (_, server, _) = lane.one_grant();
    lane.checkin(B, server);
    assert!(lane.take(A, 0).1);
}

#[test]
fn after_a_final_failure_everybody_is_refused_until_the_rest_is_over() {
    let mut lane = Lane::new(limits(5));
    let first = lane.wait(B, 1);
    lane.wait(A, 2);
    assert_eq!(lane.fail_for_good(), [1, 2]);
    assert!(!lane.core.give_up(first));
    assert!(matches!(lane.checkout(A, 0, 3), Checkout::Refused));
    lane.tick(true);
    assert_eq!(lane.counts(), (0, 0, 1, 0), "the other attempt was under way");
    lane.fail_for_good();
    lane.rest();
    assert_eq!(lane.counts(), (0, 0, 0, 0), "nobody asks, nobody tries");
    lane.wait(A, 4);
    lane.wait(B, 5);
    assert_eq!(lane.counts(), (0, 0, 1, 2), "one tries for all who come now");
    assert_eq!(lane.fail_for_good(), [4, 5]);
    lane.rest();
    lane.wait(A, 6);
    lane.open(A);
    assert_eq!(lane.granted(), [6]);
    lane.wait(A, 7);
}

#[test]
fn a_final_failure_refuses_nobody_who_can_have_a_server_that_is_open() {
    let mut lane = Lane::with_idle(limits(2), &[A]);
    let (server, _) = lane.take(A, 0);
    lane.wait(A, 1);
    assert_eq!(lane.fail_for_good(), [0; 0]);
    lane.wait(B, 2);
    lane.checkin(A, server);
    assert_eq!(lane.granted(), [1]);
    assert_eq!(lane.counts(), (0, 1, 0, 1));
    lane.rest();
    assert_eq!(lane.counts(), (0, 1, 1, 1));
}

#[test]
fn a_new_configuration_ends_a_rest() {
    let mut lane = Lane::new(limits(1));
    lane.wait(A, 1);
    assert_eq!(lane.fail_for_good(), [1]);
    lane.act(|core, now, actions| core.retire(now, 2, actions));
    lane.wait(A, 2);
    assert_eq!(lane.attempts.len(), 1);
}

#[test]
fn an_opening_that_hangs_keeps_no_waiter_from_an_idle_server_for_long() {
    let mut lane = Lane::with_idle(limits(2), &[B]);
    lane.wait(A, 1);
    lane.now += secs(1);
    lane.tick(true);
    assert_eq!(lane.granted(), [1]);
}

// The Ledger.

#[test]
fn what_the_ledger_refuses_is_not_asked_again_before_a_poke() {
    let mut lane = Lane::new(limits(5));
    lane.wait(A, 1);
    lane.refuse();
    lane.wait(A, 2);
    lane.tick(true);
    assert_eq!(lane.counts(), (0, 0, 0, 2));
    lane.poke();
    assert_eq!(lane.counts(), (0, 0, 2, 2));
}

#[test]
fn a_poke_that_overtakes_a_refusal_is_not_lost() {
    let mut lane = Lane::new(limits(5));
    lane.wait(A, 1);
    lane.poke();
    lane.refuse();
    assert_eq!(lane.attempts.len(), 1, "it asks again");
    lane.refuse();
    assert_eq!(lane.attempts.len(), 0, "once");
}

#[test]
fn a_refused_opening_hands_its_waiter_an_idle_server_of_another_worker() {
    let mut lane = Lane::with_idle(limits(2), &[B]);
    lane.wait(A, 1);
    lane.refuse();
    assert_eq!(lane.granted(), [1]);
}

#[test]
fn eviction_takes_the_longest_idle_server_of_all_workers() {
    let mut lane = Lane::with_idle(limits(3), &[A, B, A]);
    let (first, _) = lane.take(B, 0);
    lane.now += millis(1);
    lane.checkin(B, first);
    let order: Vec<_> = std::iter::from_fn(|| lane.core.take_idle_oldest()).map(|server| server.id).collect();
    assert_eq!(order, [1, 3, 2]);
    assert_eq!(lane.counts(), (0, 0, 0, 0));
}

// Giving up.

#[test]
fn the_idle_server_that_is_meant_is_found_wherever_it_is_and_no_other_is_given() {
    let mut lane = Lane::with_idle(limits(3), &[A, A, B]);
    let mut which =
        |id: u32| lane.core.checkout_which(A, |server| server.id == id).map(|(server, moved)| (server.id, moved));
    assert_eq!([1, 3, 3, 9].map(&mut which), [Some((1, false)), Some((3, true)), None, None]);
    assert_eq!(lane.counts(), (1, 2, 0, 0));
}

#[test]
fn a_waiter_that_gives_up_is_passed_over() {
    let mut lane = Lane::with_idle(limits(1), &[A]);
    let (server, _) = lane.take(A, 0);
    let ids: Vec<_> = (1..=3).map(|waiter| lane.wait(A, waiter)).collect();
    assert!(lane.core.give_up(ids[0]));
    assert!(lane.core.give_up(ids[1]));
    assert!(!lane.core.give_up(ids[1]), "only once");
    lane.checkin(A, server);
    assert_eq!(lane.granted(), [3]);
}

#[test]
fn a_waiter_that_was_granted_a_server_cannot_give_up_and_hands_it_on() {
    let mut lane = Lane::with_idle(limits(1), &[A]);
    let (server, _) = lane.take(A, 0);
    let first = lane.wait(A, 1);
    lane.wait(A, 2);
    lane.checkin(A, server);
    let (_, server, _) = lane.one_grant();
    assert!(!lane.core.give_up(first));
    lane.checkin(A, server);
    assert_eq!(lane.granted(), [2]);
}

#[test]
fn thousands_that_give_up_leave_no_holes_behind() {
    let mut lane = Lane::with_idle(limits(1), &[A]);
    let _held = lane.take(A, 0);
    lane.wait(A, 0);
    for waiter in 1..=10_000 {
        let id = lane.wait(A, waiter);
        assert!(lane.core.give_up(id));
    }
    assert_eq!(lane.counts(), (0, 1, 0, 1));
    assert!(lane.core.seats[0].waiters.footprint() < 100);
}

// The tick.

#[test]
fn dead_idle_servers_are_closed_and_replaced_up_to_min() {
    let mut lane = Lane::with_idle(Limits { min: 2, ..limits(3) }, &[A, B]);
    let (mut server, _) = lane.take(B, 0);
    server.healthy = false;
    lane.checkin(B, server);
    lane.tick(true);
    assert_eq!(lane.closed, [(2, CloseReason::Dead)]);
    assert_eq!(lane.counts(), (1, 0, 1, 0));
    lane.tick(true);
    assert_eq!(lane.counts(), (1, 0, 1, 0), "one opening is enough");
}

#[test]
fn idle_servers_are_closed_after_their_timeout_but_not_below_min() {
    let mut lane = Lane::with_idle(Limits { min: 1, ..limits(3) }, &[A, B, A]);
    lane.now += secs(599);
    lane.tick(true);
    assert!(lane.closed.is_empty());
    lane.now += secs(1);
    lane.tick(true);
    assert_eq!(lane.closed.len(), 2);
    assert!(lane.closed.iter().all(|(_, reason)| *reason == CloseReason::IdleTooLong));
    assert_eq!(lane.counts(), (1, 0, 0, 0));
    lane.tick(false);
    assert_eq!(lane.counts(), (0, 0, 0, 0), "a pool without clients keeps none");
}

#[test]
fn min_is_opened_only_while_the_pool_is_live_and_never_above_size() {
    let mut lane = Lane::new(Limits { min: 9, ..limits(3) });
    lane.tick(false);
    assert_eq!(lane.counts(), (0, 0, 0, 0));
    lane.tick(true);
    assert_eq!(lane.counts(), (0, 0, 3, 0));
    (0..3).for_each(|_| lane.fail());
    lane.rest();
    assert_eq!(lane.counts(), (0, 0, 1, 0), "min is worth trying again without any waiter");
}

#[test]
fn the_closing_of_aged_servers_is_spaced() {
    let mut lane = Lane::with_idle(Limits { idle_timeout: None, ..limits(4) }, &[A, A, B, B]);
    lane.now += secs(3600);
    lane.tick(true);
    lane.tick(true);
    assert_eq!(lane.closed, [(1, CloseReason::Aged)]);
    lane.now += secs(900);
    lane.tick(true);
    assert_eq!(lane.closed.len(), 2, "a quarter of the lifetime later");
    lane.now += secs(2700);
    lane.tick(true);
    assert_eq!(lane.closed.len(), 4, "at twice the lifetime all go");
}

#[test]
fn an_aged_server_is_closed_at_check_in_and_replaced_for_a_waiter() {
    let mut lane = Lane::with_idle(limits(1), &[A]);
    let (server, _) = lane.take(A, 0);
    lane.wait(A, 1);
    lane.now += secs(3600);
    lane.checkin(A, server);
    assert_eq!(lane.closed, [(1, CloseReason::Aged)]);
    assert_eq!(lane.counts(), (0, 0, 1, 1));
}

#[test]
fn an_aged_server_lives_on_while_the_host_fails() {
    let mut lane = Lane::with_idle(limits(2), &[A]);
    let (server, _) = lane.take(A, 0);
    lane.wait(A, 1);
    lane.fail();
    lane.now += secs(3600);
    lane.checkin(A, server);
    assert_eq!(lane.granted(), [1]);
}

#[test]
fn with_a_lifetime_of_zero_a_server_serves_once() {
    let mut lane = Lane::new(Limits { lifetime: Duration::ZERO, min: 1, ..limits(1) });
    lane.tick(true);
    lane.open(A);
    lane.tick(true);
    assert_eq!(lane.counts(), (1, 0, 0, 0), "it has not served yet");
    let (server, _) = lane.take(A, 0);
    lane.checkin(A, server);
    assert_eq!(lane.closed, [(1, CloseReason::Aged)]);
}

// Reload.

#[test]
fn servers_of_an_older_generation_retire_now_if_idle_and_else_at_check_in() {
    let mut lane = Lane::with_idle(limits(3), &[A, B]);
    let (server, _) = lane.take(A, 0);
    lane.wait(A, 5);
    lane.generation = 2;
    lane.act(|core, now, actions| core.retire(now, 2, actions));
    assert_eq!(lane.closed, [(2, CloseReason::Retired)]);
    lane.checkin(A, server);
    assert_eq!(lane.closed[1], (1, CloseReason::Retired));
    lane.open(A);
    assert_eq!(lane.granted(), [5]);
}

#[test]
fn a_server_that_has_to_go_in_any_case_retires_although_no_configuration_is_newer() {
    let mut lane = Lane::with_idle(limits(3), &[A, A]);
    let (mut server, _) = lane.take(A, 0);
    server.generation = 0;
    lane.checkin(A, server);
    assert_eq!(lane.closed, [(2, CloseReason::Retired)]);
    assert_eq!(lane.counts(), (1, 0, 0, 0), "the other one stays");
}

#[test]
fn a_server_opened_with_a_replaced_configuration_is_closed_and_opened_again() {
    let mut lane = Lane::new(limits(1));
    lane.wait(A, 1);
    lane.act(|core, now, actions| core.retire(now, 2, actions));
    lane.open(A);
    assert_eq!(lane.closed, [(1, CloseReason::Retired)]);
    assert_eq!(lane.counts(), (0, 0, 1, 1));
}

#[test]
fn what_failed_with_a_replaced_configuration_says_nothing_about_the_one_in_force() {
    let mut lane = Lane::new(limits(2));
    lane.wait(A, 1);
    lane.act(|core, now, actions| core.retire(now, 2, actions));
    assert_eq!(lane.fail_for_good(), [0_u32; 0]);
    assert!(!lane.core.is_failing());
    assert_eq!(lane.counts(), (0, 0, 1, 1), "it is tried at once with the new one");
    assert_eq!(lane.fail_for_good(), [1]);
}

#[test]
fn smaller_limits_close_what_is_idle_and_the_rest_at_check_in() {
    let mut lane = Lane::with_idle(limits(3), &[A, A, A]);
    let (one, _) = lane.take(A, 0);
    let (two, _) = lane.take(A, 0);
    lane.act(|core, now, actions| core.set_limits(now, limits(1), actions));
    assert_eq!(lane.closed, [(1, CloseReason::OverLimit)]);
    lane.checkin(A, one);
    lane.checkin(A, two);
    assert_eq!(lane.counts(), (1, 0, 0, 0));
}

#[test]
fn larger_limits_open_for_those_who_wait() {
    let mut lane = Lane::new(limits(1));
    for waiter in 0..3 {
        lane.wait(A, waiter);
    }
    lane.act(|core, now, actions| core.set_limits(now, limits(2), actions));
    assert_eq!(lane.counts(), (0, 0, 2, 3));
}

// A pause, and the end.

#[test]
fn a_paused_lane_closes_its_servers_and_serves_who_waited_when_it_goes_on() {
    let mut lane = Lane::with_idle(limits(3), &[A, B, B]);
    let (server, _) = lane.take(A, 0);
    lane.act(|core, _, actions| core.pause(actions));
    lane.act(|core, _, actions| core.pause(actions));
    assert_eq!(lane.closed, [(2, CloseReason::Paused), (3, CloseReason::Paused)]);
    lane.wait(B, 7);
    lane.checkin(A, server);
    assert_eq!(lane.closed[2], (1, CloseReason::Paused));
    lane.now += secs(100);
    lane.tick(true);
    assert_eq!(lane.counts(), (0, 0, 0, 1), "it is quiet");
    assert_eq!(lane.core.next_deadline(), None);
    lane.act(|core, now, actions| core.resume(now, actions));
    lane.open(A);
    assert_eq!(lane.granted(), [7]);
}

#[test]
fn an_opening_under_way_when_the_pause_began_ends_closed() {
    let mut lane = Lane::new(limits(1));
    lane.wait(A, 1);
    lane.act(|core, _, actions| core.pause(actions));
    lane.open(A);
    assert_eq!(lane.closed, [(1, CloseReason::Paused)]);
    assert_eq!(lane.counts(), (0, 0, 0, 1));
}

#[test]
fn nobody_is_refused_for_a_failed_login_while_the_lane_is_paused() {
    let mut lane = Lane::new(limits(1));
    lane.wait(A, 1);
    lane.act(|core, _, actions| core.pause(actions));
    assert_eq!(lane.fail_for_good(), [0_u32; 0]);
    lane.wait(A, 2);
    lane.rest();
    lane.act(|core, now, actions| core.resume(now, actions));
    lane.open(A);
    assert_eq!(lane.granted(), [1]);
}

#[test]
fn the_reserve_is_no_reason_to_look_at_a_paused_lane() {
    let mut lane = Lane::new(Limits { reserve: 1, ..limits(1) });
    lane.wait(A, 1);
    lane.act(|core, _, actions| core.pause(actions));
    lane.wait(A, 2);
    assert_eq!(lane.core.next_deadline(), None);
}

#[test]
fn a_closed_lane_sends_everybody_away_and_keeps_no_server() {
    let mut lane = Lane::with_idle(limits(2), &[A, B]);
    let (one, _) = lane.take(A, 0);
    let (two, _) = lane.take(B, 0);
    lane.wait(B, 4);
    lane.wait(B, 5);
    let sent_away = lane.act(|core, _, actions| core.close(actions));
    assert_eq!(sent_away, [4, 5]);
    assert!(matches!(lane.checkout(A, 0, 6), Checkout::Closed));
    lane.checkin(A, one);
    lane.discard(two);
    lane.act(|core, now, actions| core.resume(now, actions));
    lane.tick(true);
    assert_eq!(lane.counts(), (0, 0, 0, 0));
    assert_eq!(lane.closed, [(1, CloseReason::Retired)]);
}
