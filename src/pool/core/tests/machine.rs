//! Random histories of a lane against a model that only knows where each server and waiter is.
//!
//! The seed is printed; `POOL_SEED=n cargo test pool::core` repeats a run, `POOL_CASES=n` sets its
//! length.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

use super::*;

/// One step. A `pick` chooses among what exists at that moment; the step is skipped if nothing does.
#[derive(Debug, Clone)]
enum Step {
    Checkout {
        worker: u16,
        key: u64,
    },
    Checkin {
        pick: usize,
        worker: u16,
        key: u64,
        sick: bool,
    },
    Discard {
        pick: usize,
    },
    Opened {
        pick: usize,
        worker: u16,
    },
    Failed {
        pick: usize,
        rest: u64,
        refuse: bool,
    },
    Stillborn {
        pick: usize,
        rest: u64,
    },
    Refused {
        pick: usize,
    },
    Forgone {
        pick: usize,
    },
    ForgetRefusal,
    Poke,
    /// Of a waiter that may have been granted a server already.
    GiveUp {
        pick: usize,
    },
    Tick {
        live: bool,
    },
    DeadlinePassed,
    Pass {
        micros: u64,
    },
    Retire,
    WorkerEnds {
        worker: u16,
    },
    Pause,
    Resume,
    Close,
    Evict,
    Resize {
        size: usize,
        reserve: usize,
        min: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let pick = 0_usize..1000;
    let worker = 0_u16..4;
    let passes = prop_oneof![4 => 0_u64..3000, 2 => 0_u64..6_000_000, 1 => 0_u64..2_000_000_000];
    prop_oneof![
        12 => (worker.clone(), 0_u64..3).prop_map(|(worker, key)| Step::Checkout { worker, key }),
        10 => (pick.clone(), worker.clone(), 0_u64..3, prop::bool::weighted(0.05))
            .prop_map(|(pick, worker, key, sick)| Step::Checkin { pick, worker, key, sick }),
        2 => pick.clone().prop_map(|pick| Step::Discard { pick }),
        5 => (pick.clone(), worker.clone()).prop_map(|(pick, worker)| Step::Opened { pick, worker }),
        2 => (pick.clone(), 0_u64..2000, prop::bool::weighted(0.3))
            .prop_map(|(pick, rest, refuse)| Step::Failed { pick, rest, refuse }),
        1 => (pick.clone(), 0_u64..2000).prop_map(|(pick, rest)| Step::Stillborn { pick, rest }),
        1 => pick.clone().prop_map(|pick| Step::Refused { pick }),
        1 => pick.clone().prop_map(|pick| Step::Forgone { pick }),
        1 => Just(Step::ForgetRefusal),
        1 => Just(Step::Poke),
        3 => pick.prop_map(|pick| Step::GiveUp { pick }),
        2 => prop::bool::weighted(0.8).prop_map(|live| Step::Tick { live }),
        3 => Just(Step::DeadlinePassed),
        6 => passes.prop_map(|micros| Step::Pass { micros }),
        1 => Just(Step::Retire),
        1 => worker.prop_map(|worker| Step::WorkerEnds { worker }),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        1 => Just(Step::Evict),
        1 => sizes().prop_map(|(size, reserve, min)| Step::Resize { size, reserve, min }),
    ]
}

fn sizes() -> impl Strategy<Value = (usize, usize, usize)> {
    (0_usize..7, 0_usize..3, 0_usize..4)
}

fn bounded(size: usize, reserve: usize, min: usize, round_robin: bool) -> Limits {
    Limits {
        size,
        reserve,
        min,
        round_robin,
        reserve_timeout: secs(5),
        lifetime: secs(900),
        idle_timeout: Some(secs(60)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Idle(WorkerId),
    Active,
}

struct Model {
    core: PoolCore<Server, u32>,
    limits: Limits,
    workers: u16,
    now: Instant,
    servers: u32,
    generation: u64,
    places: BTreeMap<u32, Place>,
    held: Vec<Server>,
    /// Where each held server is registered.
    homes: BTreeMap<u32, WorkerId>,
    queues: Vec<VecDeque<(u32, Instant)>>,
    ids: Vec<(u32, WaiterId)>,
    next_waiter: u32,
    attempts: Vec<Attempt>,
    failing: bool,
    rest: Option<Rest>,
    refused: bool,
    pokes: u64,
    live: bool,
    service: Service,
}

impl Model {
    fn new(limits: Limits, workers: u16) -> Self {
        Self {
            core: PoolCore::new(limits.clone(), usize::from(workers)),
            limits,
            workers,
            now: crate::clock::now(),
            servers: 0,
            generation: 1,
            places: BTreeMap::new(),
            held: vec![],
            homes: BTreeMap::new(),
            queues: vec![VecDeque::new(); usize::from(workers)],
            ids: vec![],
            next_waiter: 0,
            attempts: vec![],
            failing: false,
            rest: None,
            refused: false,
            pokes: 0,
            live: false,
            service: Service::Open,
        }
    }

    fn run(&mut self, step: Step) {
        let now = self.now;
        let mut actions = Vec::new();
        match step {
            Step::Checkout { worker, key } => self.checkout(WorkerId(worker % self.workers), key, &mut actions),
            Step::Checkin { pick, worker, key, sick } => {
                let Some(mut server) = pop(&mut self.held, pick) else { return };
                let worker = WorkerId(worker % self.workers);
                (server.key, server.healthy) = (key, !sick);
                // Assumed; a grant or a closing among the actions corrects it.
                self.places.insert(server.id, Place::Idle(worker));
                self.core.checkin(now, worker, server, &mut actions);
            }
            Step::Discard { pick } => {
                let Some(server) = pop(&mut self.held, pick) else { return };
                self.places.remove(&server.id);
                self.core.discarded(now, &mut actions);
            }
            Step::Opened { pick, worker } => {
                let Some(attempt) = pop(&mut self.attempts, pick) else { return };
                let worker = WorkerId(worker % self.workers);
                self.servers += 1;
                let generation = self.generation;
                let server = Server { id: self.servers, key: 0, opened: now, generation, healthy: true };
                self.places.insert(server.id, Place::Idle(worker));
                self.failing = false;
                self.rest = None;
                self.core.opened(now, attempt, worker, server, &mut actions);
            }
            Step::Failed { pick, rest, refuse } => {
                let Some(attempt) = pop(&mut self.attempts, pick) else { return };
                let current = attempt.generation == self.generation;
                let rest = if current { self.fail(rest, refuse) } else { Rest { until: now + millis(rest), refuse } };
                self.core.open_failed(now, attempt, rest, &mut actions);
                self.settle_actions(actions);
                let refused = if self.refuses() { self.waiting() } else { 0 };
                assert_eq!(self.core.drain_refused(now).len(), refused);
                if refused > 0 {
                    self.queues.iter_mut().for_each(VecDeque::clear);
                }
                return;
            }
            Step::Stillborn { pick, rest } => {
                let Some(server) = pop(&mut self.held, pick) else { return };
                self.places.remove(&server.id);
                let rest = self.fail(rest, false);
                self.core.stillborn(now, rest, &mut actions);
            }
            Step::Refused { pick } => {
                let Some(attempt) = pop(&mut self.attempts, pick) else { return };
                self.refused |= attempt.pokes == self.pokes;
                self.core.open_refused(now, attempt, &mut actions);
            }
            Step::Forgone { pick } => {
                let Some(attempt) = pop(&mut self.attempts, pick) else { return };
                self.core.open_forgone(now, attempt, &mut actions);
            }
            Step::ForgetRefusal => {
                self.refused &= self.waiting() > 0;
                assert_eq!(self.core.forget_refusal(), self.waiting() == 0);
                assert!(!self.core.asks_for_nobody());
            }
            Step::Poke => {
                self.refused = false;
                self.pokes += 1;
                self.core.poke(now, &mut actions);
            }
            Step::GiveUp { pick } => {
                let Some((waiter, id)) = pop(&mut self.ids, pick) else { return };
                let before = self.waiting();
                self.queues.iter_mut().for_each(|queue| queue.retain(|(queued, _)| *queued != waiter));
                assert_eq!(self.core.give_up(id), self.waiting() < before, "who is queued can leave, nobody else");
            }
            Step::Tick { live } => {
                self.live = live;
                self.rest.take_if(|rest| rest.until <= now);
                self.core.tick(now, live, |server| server.healthy, &mut actions);
            }
            Step::DeadlinePassed => {
                self.rest.take_if(|rest| rest.until <= now);
                self.core.deadline_passed(now, &mut actions);
            }
            Step::Pass { micros } => self.now += Duration::from_micros(micros),
            Step::Retire => {
                self.generation += 1;
                self.rest = None;
                self.core.retire(now, self.generation, &mut actions);
            }
            Step::WorkerEnds { worker } => {
                let worker = WorkerId(worker % self.workers);
                self.core.close_idle_of(now, worker, &mut actions);
                assert_eq!(self.core.seats[usize::from(worker.0)].idle.len(), 0);
            }
            Step::Pause => {
                if self.service == Service::Open {
                    self.service = Service::Paused;
                }
                self.core.pause(&mut actions);
            }
            Step::Resume => {
                if self.service == Service::Paused {
                    self.service = Service::Open;
                    self.rest.take_if(|rest| rest.until <= now);
                }
                self.core.resume(now, &mut actions);
            }
            Step::Close => {
                self.service = Service::Closed;
                self.rest = None;
                let sent_away: Vec<u32> =
                    self.queues.iter_mut().flat_map(|queue| queue.drain(..)).map(|(w, _)| w).collect();
                assert_eq!(self.core.close(&mut actions), sent_away);
            }
            Step::Evict => {
                if let Some(server) = self.core.take_idle_oldest() {
                    assert!(matches!(self.places.remove(&server.id), Some(Place::Idle(_))));
                }
            }
            Step::Resize { size, reserve, min } => {
                self.limits = bounded(size, reserve, min, self.limits.round_robin);
                self.core.set_limits(now, self.limits.clone(), &mut actions);
            }
        }
        self.settle_actions(actions);
    }

    fn checkout(&mut self, worker: WorkerId, key: u64, actions: &mut Actions<Server, u32>) {
        let waiter = self.next_waiter;
        self.next_waiter += 1;
        match self.core.checkout(self.now, worker, key, || waiter, actions) {
            Checkout::Server { server, moved } => self.hand_out(server, worker, moved),
            Checkout::Refused => assert!(self.refuses(), "refused without a reason"),
            Checkout::Closed => assert_eq!(self.service, Service::Closed, "sent away without a reason"),
            Checkout::Wait(id) => {
                assert_ne!(self.service, Service::Closed, "waits where nobody is served");
                assert!(!self.refuses(), "waits for what cannot come");
                let own_idle = self.places.values().any(|place| *place == Place::Idle(worker));
                assert!(!own_idle, "waits beside an idle server of its own worker");
                self.queues[usize::from(worker.0)].push_back((waiter, self.now));
                self.ids.push((waiter, id));
            }
        }
    }

    fn fail(&mut self, millis_of_rest: u64, refuse: bool) -> Rest {
        self.failing = true;
        let rest = Rest { until: self.now + millis(millis_of_rest), refuse };
        self.rest = Some(rest);
        rest
    }

    fn resting(&self) -> bool {
        self.rest.is_some_and(|rest| self.now < rest.until)
    }

    fn refuses(&self) -> bool {
        self.service == Service::Open
            && self.places.is_empty()
            && self.resting()
            && self.rest.is_some_and(|rest| rest.refuse)
    }

    /// A server must have been idle where it is said to come from.
    fn hand_out(&mut self, server: Server, worker: WorkerId, moved: bool) {
        assert_eq!(self.service, Service::Open, "a server was handed out");
        assert_eq!(server.generation, self.generation, "a retired server was handed out");
        let place = self.places.insert(server.id, Place::Active);
        let Some(Place::Idle(home)) = place else { panic!("{server:?} was {place:?}") };
        assert_eq!(moved, home != worker, "{server:?} came from {home:?} to {worker:?}");
        self.homes.insert(server.id, worker);
        self.held.push(server);
    }

    fn settle_actions(&mut self, actions: Actions<Server, u32>) {
        let opens = actions.iter().filter(|action| matches!(action, Action::Open(_))).count();
        for action in actions {
            match action {
                Action::Grant { waiter, worker, server, moved, waited } => {
                    let first = self.queues[usize::from(worker.0)].pop_front();
                    let (expected, since) = first.expect("granted where nobody waits");
                    assert_eq!(waiter, expected, "order of arrival");
                    assert_eq!(waited, self.now - since);
                    self.hand_out(server, worker, moved);
                }
                Action::Open(attempt) => self.attempts.push(attempt),
                Action::Close { server, .. } => {
                    let place = self.places.remove(&server.id);
                    assert!(matches!(place, Some(Place::Idle(_))), "closed {server:?}, which was {place:?}");
                }
            }
        }
        if opens > 0 {
            assert_eq!(self.service, Service::Open, "opens for nobody");
            assert!(!self.refused, "opens although the Ledger refused");
            assert!(!self.resting(), "opens although the host is to rest");
            assert!(!self.failing || self.attempts.len() == 1, "two at a failing host");
            assert!(self.taken() <= self.allowed(), "opens above the limit");
            assert!(self.attempts.len() <= self.waiting() + self.min_deficit(), "opens for nobody");
        }
    }

    fn waiting(&self) -> usize {
        self.queues.iter().map(VecDeque::len).sum()
    }

    fn taken(&self) -> usize {
        self.places.len() + self.attempts.len()
    }

    fn min_deficit(&self) -> usize {
        if self.live { self.limits.min.saturating_sub(self.places.len()) } else { 0 }
    }

    fn allowed(&self) -> usize {
        let first = self.queues.iter().filter_map(VecDeque::front).map(|(_, since)| *since).min();
        let in_need = first.is_some_and(|since| self.now - since >= self.limits.reserve_timeout);
        match self.limits.size {
            0 => usize::MAX,
            size if in_need => size + self.limits.reserve,
            size => size,
        }
    }

    fn check(&self, reserve_used: bool) {
        let stats = self.core.stats(self.now);
        let idle = self.places.values().filter(|place| matches!(place, Place::Idle(_))).count();
        assert_eq!((stats.idle, stats.active), (idle, self.held.len()), "each server is in one place");
        assert_eq!(idle + self.held.len(), self.places.len());
        assert_eq!((stats.opening, stats.waiting), (self.attempts.len(), self.waiting()));
        let shelved: usize = self.core.seats.iter().map(|seat| seat.idle.len()).sum();
        assert_eq!(shelved, idle);
        let covered = if self.failing { 0 } else { self.attempts.len() };
        assert!(idle == 0 || self.waiting() <= covered, "somebody waits beside an idle server");
        let room = self.taken() < if reserve_used { self.allowed() } else { self.ordinary() };
        assert!(idle == 0 || self.service == Service::Open, "a server is kept for nobody");
        if self.waiting() > 0 && room && !self.refused && self.service == Service::Open {
            let trying = self.attempts.len() + usize::from(self.rest.is_some());
            let needed = if self.failing { 1 } else { self.waiting() };
            assert!(trying >= needed.min(self.waiting()), "a free slot is left unused");
        }
        let deadline = self.core.next_deadline();
        if let Some(due) = deadline {
            let useful = self.waiting() > 0 || self.rest.is_some();
            assert!(useful && (!reserve_used || due > self.now), "a deadline that changes nothing");
        }
        if let Some(rest) = self.rest {
            assert_eq!(deadline, Some(rest.until), "nobody would notice the end of a rest");
        }
    }

    fn ordinary(&self) -> usize {
        if self.limits.size == 0 { usize::MAX } else { self.limits.size }
    }

    /// From here on all goes well and no client comes: everybody waiting must be served.
    fn finish(&mut self) {
        self.run(Step::Resume);
        self.run(Step::Poke);
        for _ in 0..10_000 {
            if self.waiting() == 0 {
                return;
            }
            self.now += millis(1);
            if self.core.next_deadline().is_some_and(|due| due <= self.now) {
                self.run(Step::DeadlinePassed);
            }
            if self.attempts.is_empty() {
                self.run(Step::Checkin { pick: 0, worker: 0, key: 0, sick: false });
            } else {
                self.run(Step::Opened { pick: 0, worker: 0 });
            }
            self.check(false);
        }
        panic!("{} waiters are stranded", self.waiting());
    }
}

fn pop<T>(list: &mut Vec<T>, pick: usize) -> Option<T> {
    if list.is_empty() { None } else { Some(list.remove(pick % list.len())) }
}

fn number_from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn whatever_happens_the_books_agree_with_the_model_and_nobody_is_stranded() {
    let seed = number_from_environment("POOL_SEED").unwrap_or_else(rand_seed);
    let cases = number_from_environment("POOL_CASES").and_then(|cases| u32::try_from(cases).ok()).unwrap_or(300);
    println!("POOL_SEED={seed} POOL_CASES={cases}");
    let config = ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    // Some lanes are closed in the end, and then see a part of their history again.
    let history = (prop::collection::vec(step(), 1..300), prop::option::weighted(0.2, 0_usize..100));
    let histories = (sizes(), 1_u16..5, any::<bool>(), history);
    let outcome =
        TestRunner::new(config).run(&histories, |((size, reserve, min), workers, round_robin, (steps, close))| {
            let mut model = Model::new(bounded(size, reserve, min, round_robin), workers);
            let after = close.map(|again| steps.iter().take(again).cloned().collect::<Vec<_>>()).unwrap_or_default();
            let close = close.map(|_| Step::Close);
            for step in steps.into_iter().chain(close).chain(after) {
                // Only these two look at the reserve again; time passing alone opens nothing.
                let reserve_used = matches!(step, Step::Tick { .. } | Step::DeadlinePassed);
                model.run(step);
                model.check(reserve_used);
            }
            model.finish();
            Ok(())
        });
    if let Err(failure) = outcome {
        panic!("POOL_SEED={seed}: {failure}");
    }
}

/// A seed that differs from run to run.
fn rand_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}
