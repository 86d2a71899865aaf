//! One failover after the other under load, whatever becomes of the old primary: it acknowledges nothing more, nothing that was
//! acknowledged is lost where replication is synchronous, and nothing is run twice. `make test-failover PROMOTIONS=20` makes it longer, and says
//! how long nobody was served.

use super::load::{Acknowledged, Load};
use super::reloading::reload_with;
use super::talk::Client;
use super::trio::{Trio, config, pgotter};
use super::world::{eventually, host};
use crate::support::{PgOtter, must};
use pgotter::cli::local_postgres::{LocalPostgres, SUPERUSER, StopMode};
use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

/// Whose waits are measured.
const CLIENTS: usize = 4;

/// Twice `monitor_interval`: later than this behind the promotion the old primary acknowledges nothing.
const LATEST: Duration = Duration::from_millis(200);

/// Who begins a transaction is answered within this time behind the promotion.
const UNAVAILABLE: Duration = Duration::from_secs(2);

/// What both may be multiplied by where a machine has other things to do.
const BUSY: u32 = 5;

/// What becomes of the old primary, round by round.
const OLD: [Old; 4] = [Old::ComesBack, Old::GoesOn, Old::IsGone, Old::GoesOnAlone];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Old {
    /// It dies, and is started again when the other one has taken over.
    ComesBack,
    /// It knows nothing of it and commits without asking anybody. What it has acknowledged and the new one has not got PostgreSQL loses.
    GoesOn,
    /// It dies.
    IsGone,
    /// It knows nothing of it, and its commits wait for replicas that it has not any more.
    GoesOnAlone,
}

impl Old {
    fn dies(self) -> bool {
        matches!(self, Self::ComesBack | Self::IsGone)
    }
}

/// What came of a promotion.
struct Round {
    /// From the end of `pg_promote()` to when the last client was acknowledged something by the new primary.
    unavailable: Duration,
    /// The longest that a client had to wait for the next acknowledgement. PostgreSQL tells of a promotion up to 100 ms late, so that the time
    /// above may well be nothing.
    gap: Duration,
    /// From the end of `pg_promote()` to the last acknowledgement by the old one, if there was one behind it.
    late: Option<Duration>,
    /// What the old one has acknowledged, without waiting for anybody.
    excused: BTreeSet<u64>,
}

impl Round {
    fn of(these: &[Acknowledged], (old, new): (u16, u16), promoted: Instant, waited: bool) -> Self {
        let by = |port: u16| these.iter().filter(move |one| one.by == port);
        assert!(these.iter().all(|one| one.by == old || one.by == new), "by neither of both");
        let first = |client: usize| by(new).find(|one| one.client == client).map(|one| one.at);
        let last = (0..CLIENTS).filter_map(first).max().expect("they went on");
        let gap = |client: usize| {
            let at: Vec<_> = these.iter().filter(|one| one.client == client).map(|one| one.at).collect();
            at.windows(2).map(|pair| pair[1] - pair[0]).max()
        };
        Self {
            unavailable: last.saturating_duration_since(promoted),
            gap: (0..CLIENTS).filter_map(gap).max().unwrap_or_default(),
            late: by(old).filter(|one| one.at > promoted).map(|one| one.at - promoted).max(),
            excused: by(old).filter(|_| !waited).map(|one| one.number).collect(),
        }
    }
}

/// How often each number is there.
fn kept(server: &LocalPostgres) -> BTreeMap<u64, usize> {
    let mut kept = BTreeMap::new();
    for line in must(server.psql("postgres", "SELECT v FROM t")).lines() {
        *kept.entry(line.parse().unwrap()).or_default() += 1;
    }
    kept
}

/// Has every commit wait for both replicas, so that either may be promoted.
fn synchronise(primary: &LocalPostgres) {
    must(primary.psql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '2 (*)'"));
    must(primary.psql("postgres", "SELECT pg_reload_conf()"));
    must(primary.wait_until("postgres", "SELECT count(*) = 2 FROM pg_stat_replication WHERE sync_state = 'sync'"));
}

/// When it was done.
fn promote(replica: &LocalPostgres) -> Instant {
    let mut client = Client::connect(replica.port(), SUPERUSER, "postgres");
    assert_eq!(client.value("SELECT pg_promote()"), "t");
    Instant::now()
}

/// One promotion. The old primary with its other replica, which stay until they are dropped.
fn fail_over(trio: &mut Trio, pooler: &mut PgOtter, load: &Load, old: Old) -> (Round, Trio) {
    if old != Old::GoesOn {
        synchronise(&trio.primary);
    }
    let begun = load.acknowledged().len();
    let since = |enough: &dyn Fn(&[Acknowledged]) -> bool| enough(&load.acknowledged()[begun..]);
    eventually("they work", || since(&|these| these.len() > 100));
    let slow = load.slow();
    eventually("a long transaction has begun", || load.slow() > slow);
    if old.dies() {
        must(trio.primary.stop(StopMode::Immediate));
    }
    let promoted = promote(&trio.replicas[0]);
    let ports = (trio.primary.port(), trio.replicas[0].port());
    let at_new =
        |these: &[Acknowledged], client: usize| these.iter().any(|one| one.by == ports.1 && one.client == client);
    eventually("all go on", || since(&|these| (0..CLIENTS).all(|client| at_new(these, client))));
    eventually("they go on", || load.count(ports.1) > 100);
    if old == Old::ComesBack {
        let alarms = || pooler.log().matches("a host is fenced").count();
        let before = alarms();
        must(trio.primary.start());
        eventually("it is fenced", || alarms() > before);
    }
    let mut primary = trio.replicas.swap_remove(0);
    let replicas = (0..2).map(|_| must(primary.replica())).collect();
    let former = std::mem::replace(trio, Trio { replicas, primary });
    must(trio.primary.wait_for_replicas(2));
    // The old primary stays in the list, and its replicas go.
    let hosts: Vec<_> = trio.hosts().into_iter().chain([format!("\"{}\"", host(&former.primary))]).collect();
    let text = config(pooler.port(), &hosts, "", "");
    assert!(reload_with(pooler, &text));
    let round = Round::of(&load.acknowledged()[begun..], ports, promoted, old != Old::GoesOn);
    (round, former)
}

/// Median and most.
fn spread(times: impl Iterator<Item = Duration>) -> (Duration, Duration) {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() - 1])
}

fn failovers(promotions: usize) {
    let mut trio = Trio::start();
    let mut pooler = pgotter(&trio.hosts(), "", "");
    let (port, load) = (pooler.port(), Load::default());
    let rounds: Vec<_> = thread::scope(|scope| {
        let end = load.until_dropped();
        let load = &load;
        let mut clients: Vec<_> = (0..CLIENTS).map(|me| scope.spawn(move || load.insert(me, port))).collect();
        // It is in the middle of something whenever a promotion comes.
        clients.push(scope.spawn(move || load.insert_slowly(CLIENTS, port)));
        let mut former = None;
        let rounds = OLD.iter().cycle().take(promotions).map(|old| {
            let (round, stays) = fail_over(&mut trio, &mut pooler, load, *old);
            // So that no server of the next round has its port.
            former = Some(stays);
            let Round { unavailable, gap, late, .. } = &round;
            println!("{old:?}: {unavailable:.0?} behind pg_promote() all go on, the longest gap {gap:.0?}, the old one's last {late:.0?}");
            round
        });
        let rounds = rounds.collect();
        drop((former, end));
        clients.into_iter().for_each(|client| client.join().unwrap());
        rounds
    });
    let (median, most) = spread(rounds.iter().map(|round| round.unavailable));
    let (gap, gap_max) = spread(rounds.iter().map(|round| round.gap));
    let late = rounds.iter().filter_map(|round| round.late).max();
    println!("{promotions} promotions. Behind pg_promote() nobody is served for: median {median:.0?}, most {most:.0?}");
    println!("the longest that a client has waited: median {gap:.0?}, most {gap_max:.0?}");
    println!("the old primary's latest acknowledgement behind pg_promote(): {late:.0?}");
    assert!(most < BUSY * UNAVAILABLE, "unavailable for {most:?}");
    assert!(late.is_none_or(|late| late < BUSY * LATEST), "{late:?}");
    let kept = kept(&trio.primary);
    assert!(kept.values().all(|times| *times == 1), "something was run twice");
    let excused: BTreeSet<u64> = rounds.into_iter().flat_map(|round| round.excused).collect();
    let acknowledged = load.acknowledged();
    let numbers = acknowledged.iter().map(|one| one.number);
    let lost: Vec<_> = numbers.filter(|number| !kept.contains_key(number) && !excused.contains(number)).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), acknowledged.len());
    assert!(!pooler.log().contains("panicked"));
}

#[test]
fn f26_one_failover_after_the_other_loses_nothing_and_runs_nothing_twice() {
    failovers(2);
}

#[test]
#[ignore = "make test-failover PROMOTIONS=20"]
fn f26_many_failovers_one_after_the_other_lose_nothing_and_run_nothing_twice() {
    let promotions = std::env::var("PGOTTER_LONG_PROMOTIONS").ok().and_then(|promotions| promotions.parse().ok());
    failovers(promotions.unwrap_or(20));
}
