//! Decisions, over views that are written down here.

use super::*;
use crate::metrics::ROUTES;
use crate::sql::Verdict;
use std::collections::{BTreeMap, BTreeSet};

/// What each replica covers.
fn covering(numbers: [u64; 3]) -> Freshness {
    let freshness = Freshness::new(3);
    (0..9).for_each(|_| _ = freshness.ask());
    numbers.into_iter().enumerate().for_each(|(host, number)| freshness.cover(host, number));
    freshness
}

fn view(hosts: &[(Role, bool, u32)]) -> ClusterView {
    let mut view = ClusterView::fixed(hosts.iter().map(|(role, _, weight)| (*role, *weight)));
    view.hosts.iter_mut().zip(hosts).for_each(|(host, (_, eligible, _))| host.eligible = *eligible);
    view
}

fn usual() -> ClusterView {
    view(&[(Role::Standby, true, 1), (Role::Primary, false, 1), (Role::Standby, true, 1)])
}

fn ask(verdict: Verdict, fence: &Fence) -> Ask<'_> {
    Ask { verdict, block: Block::None, serializable: false, fence, height: 0, after: 0, wish: None, draw: 0 }
}

fn fresh() -> Freshness {
    covering([9, 9, 9])
}

fn idle(_: usize) -> usize {
    0
}

fn plan(view: &ClusterView, ask: &Ask<'_>, freshness: &Freshness) -> Plan {
    decide(view, freshness, ask, idle)
}

/// Some numbers, the same in each run.
fn draws() -> impl Iterator<Item = u64> {
    let next =
        |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
    std::iter::successors(Some(7), next).map(|state| state ^ state >> 29).take(4000)
}

fn spread(
    view: &ClusterView,
    fence: &Fence,
    freshness: &Freshness,
    load: impl Fn(usize) -> usize,
) -> BTreeMap<Option<usize>, usize> {
    let mut spread = BTreeMap::new();
    for draw in draws() {
        let plan = decide(view, freshness, &Ask { draw, ..ask(Verdict::Read, fence) }, &load);
        let host = if let To::Replica(replica) = plan.to { Some(replica.host()) } else { None };
        *spread.entry(host).or_default() += 1;
    }
    spread
}

fn only(host: usize) -> BTreeMap<Option<usize>, usize> {
    BTreeMap::from([(Some(host), 4000)])
}

#[test]
fn only_a_read_goes_to_a_replica_and_anything_else_says_why() {
    use Verdict::{Catalog, Ddl, Function, Lock, Node, Read, Session, Unparsed, Utility, Write};
    for verdict in [Catalog, Node, Session, Function, Utility, Ddl, Lock, Write, Unparsed] {
        let plan = plan(&usual(), &ask(verdict, &Fence::default()), &fresh());
        assert_eq!((plan.to, plan.reason.word()), (To::Primary, verdict.word()));
    }
    let plan = plan(&usual(), &ask(Read, &Fence::default()), &fresh());
    assert!(matches!(plan.to, To::Replica(_)) && plan.reason == Reason::Read);
}

#[test]
fn a_block_that_may_write_or_is_serializable_is_the_primarys() {
    let fence = Fence::default();
    let in_block = |block, serializable| {
        plan(&usual(), &Ask { block, serializable, ..ask(Verdict::Read, &fence) }, &fresh()).reason
    };
    assert_eq!(in_block(Block::Other, false), Reason::Transaction);
    assert_eq!(in_block(Block::None, true), Reason::Transaction);
    assert_eq!(in_block(Block::ReadOnly, true), Reason::Transaction);
    assert_eq!(in_block(Block::ReadOnly, false), Reason::Read);
}

#[test]
fn a_plain_read_of_a_block_that_may_write_is_decided_as_one_that_stands_alone() {
    let mut fence = Fence::default();
    let apart = |verdict, serializable, fence: &Fence, freshness: &Freshness| {
        plan(&usual(), &Ask { block: Block::Apart, serializable, ..ask(verdict, fence) }, freshness)
    };
    let read = apart(Verdict::Read, false, &fence, &fresh());
    assert!(matches!(read.to, To::Replica(_)) && read.reason == Reason::Read);
    assert_eq!(apart(Verdict::Read, true, &fence, &fresh()).reason, Reason::Transaction);
    for verdict in [Verdict::Catalog, Verdict::Session, Verdict::Utility, Verdict::Lock, Verdict::Write] {
        let plan = apart(verdict, false, &fence, &fresh());
        assert_eq!((plan.to, plan.reason.word()), (To::Primary, verdict.word()));
    }
    fence.wrote(5);
    assert_eq!(apart(Verdict::Read, false, &fence, &covering([5, 9, 5])).reason, Reason::Fresh);
}

#[test]
fn a_client_reads_where_its_own_write_has_been_replayed_and_nowhere_else() {
    let mut fence = Fence::default();
    fence.wrote(5);
    assert_eq!(spread(&usual(), &fence, &covering([5, 9, 6]), idle), only(2));
    let stale = plan(&usual(), &ask(Verdict::Read, &fence), &covering([5, 9, 5]));
    assert_eq!((stale.to, stale.reason), (To::Primary, Reason::Fresh));
    fence.wrote(3);
    assert!(!fence.allows(0, 0, 5, 0), "an older write takes nothing back");
}

#[test]
fn what_others_have_written_counts_as_well() {
    let fence = Fence::default();
    let reads_at = |height| plan(&usual(), &Ask { height, ..ask(Verdict::Read, &fence) }, &covering([5, 9, 5]));
    assert_eq!((reads_at(4).reason, reads_at(5).reason), (Reason::Read, Reason::Fresh));
}

#[test]
fn a_position_that_must_be_seen_is_read_where_it_has_been_replayed() {
    let (fence, freshness) = (Fence::default(), fresh());
    freshness.replay(2, 0x10);
    let reads = |after| plan(&usual(), &Ask { after, ..ask(Verdict::Read, &fence) }, &freshness);
    assert!(matches!(reads(0x10).to, To::Replica(host) if host.host() == 2));
    assert_eq!((reads(0x11).to, reads(0x11).reason), (To::Primary, Reason::Fresh));
    assert_eq!((lsn("16/B374D848"), lsn("0/0")), (Some(0x16_B374_D848), Some(0)));
    for text in ["", "/", "0", "0/", "0/x", "+1/0", "123456789/0", "0/0/0"] {
        assert_eq!(lsn(text), None, "{text}");
    }
}

#[test]
fn a_replica_of_which_nothing_is_known_yet_takes_no_reads() {
    let plan = plan(&usual(), &ask(Verdict::Read, &Fence::default()), &covering([0, 9, 0]));
    assert_eq!((plan.to, plan.reason), (To::Primary, Reason::Fresh));
}

#[test]
fn a_client_stays_with_its_replica_until_another_has_seen_as_much() {
    let mut fence = Fence::default();
    fence.read(2, 0, 8);
    assert_eq!(spread(&usual(), &fence, &covering([8, 9, 1]), idle), only(2));
    assert_eq!(spread(&usual(), &fence, &covering([9, 9, 1]), idle).len(), 2);
    fence.renew(9);
    assert!(!fence.allows(2, 0, 9, 0) && fence.allows(2, 0, 10, 0));
}

#[test]
fn no_replica_means_none_that_is_able_and_not_one_that_is_late() {
    let hosts = [
        view(&[(Role::Standby, false, 1), (Role::Primary, false, 1), (Role::Standby, true, 0)]),
        view(&[(Role::Primary, false, 1)]),
    ];
    for hosts in hosts {
        let plan = plan(&hosts, &ask(Verdict::Read, &Fence::default()), &fresh());
        assert_eq!((plan.to, plan.reason), (To::Primary, Reason::NoReplica));
    }
}

#[test]
fn the_less_loaded_of_two_is_chosen_by_weight() {
    let even = spread(&usual(), &Fence::default(), &fresh(), idle);
    assert!(even.len() == 2 && even.values().all(|count| (1800..2200).contains(count)), "{even:?}");
    assert_eq!(spread(&usual(), &Fence::default(), &fresh(), |host| [3, 0, 2][host]), only(2));
    let heavy = view(&[(Role::Standby, true, 4), (Role::Primary, false, 1), (Role::Standby, true, 1)]);
    assert_eq!(spread(&heavy, &Fence::default(), &fresh(), |host| [6, 0, 1][host]), only(0));
    assert_eq!(spread(&heavy, &Fence::default(), &fresh(), |host| [8, 0, 1][host]), only(2));
}

fn wished(wish: Wish, verdict: Verdict, fence: &Fence, freshness: &Freshness) -> (To, &'static str) {
    let plan = plan(&usual(), &Ask { wish: Some((wish, Reason::Hint)), ..ask(verdict, fence) }, freshness);
    (plan.to, plan.reason.word())
}

#[test]
fn a_wish_chooses_only_among_those_that_may_have_the_request() {
    let fence = Fence::default();
    let wished = |wish, verdict| wished(wish, verdict, &fence, &fresh());
    assert_eq!(wished(Wish::Primary, Verdict::Read), (To::Primary, "hint"));
    assert!(matches!(wished(Wish::Replica { stale: false }, Verdict::Read), (To::Replica(_), "hint")));
    assert!(matches!(wished(Wish::Host(2), Verdict::Read), (To::Replica(host), "hint") if host.host() == 2));
    assert_eq!(wished(Wish::Host(1), Verdict::Read), (To::Primary, "hint"));
    for verdict in [Verdict::Write, Verdict::Function, Verdict::Session, Verdict::Unparsed] {
        for wish in [Wish::Replica { stale: false }, Wish::Replica { stale: true }, Wish::Host(2)] {
            assert_eq!(wished(wish, verdict), (To::Primary, verdict.word()), "{wish:?}");
        }
    }
    let block = |block| {
        let wish = Some((Wish::Host(2), Reason::Hint));
        plan(&usual(), &Ask { block, wish, ..ask(Verdict::Read, &fence) }, &fresh()).reason
    };
    assert_eq!((block(Block::Other), block(Block::ReadOnly)), (Reason::Transaction, Reason::Hint));
}

#[test]
fn only_who_names_a_host_asks_it_for_itself() {
    let fence = Fence::default();
    for verdict in [Verdict::Node, Verdict::Catalog] {
        let wished = |wish, freshness: &Freshness| wished(wish, verdict, &fence, freshness);
        assert!(matches!(wished(Wish::Host(2), &fresh()), (To::Replica(host), "hint") if host.host() == 2));
        assert_eq!(wished(Wish::Host(1), &fresh()), (To::Primary, "hint"));
        assert_eq!(wished(Wish::Replica { stale: true }, &fresh()), (To::Primary, verdict.word()));
        // Nothing is known of it, and another one is not meant.
        assert_eq!(wished(Wish::Host(2), &covering([9, 9, 0])), (To::Primary, verdict.word()));
        assert_eq!(wished(Wish::Host(7), &fresh()), (To::Primary, verdict.word()));
    }
}

#[test]
fn who_asks_for_a_stale_replica_need_not_see_what_he_has_written_and_others_must() {
    let mut fence = Fence::default();
    fence.wrote(9);
    let wished = |wish| wished(wish, Verdict::Read, &fence, &fresh());
    assert!(matches!(wished(Wish::Replica { stale: true }), (To::Replica(_), "hint")));
    assert_eq!(wished(Wish::Replica { stale: false }), (To::Primary, "fresh"));
    assert_eq!(wished(Wish::Host(0)), (To::Primary, "fresh"));
}

#[test]
fn a_host_that_is_not_near_enough_leaves_a_read_to_the_others() {
    let wish = Some((Wish::Host(0), Reason::Hint));
    let fence = Fence::default();
    let plan = plan(&usual(), &Ask { wish, ..ask(Verdict::Read, &fence) }, &covering([0, 9, 9]));
    assert!(matches!(plan.to, To::Replica(host) if host.host() == 2) && plan.reason == Reason::Read);
}

#[test]
fn behind_a_stale_read_a_client_sees_again_what_it_had_seen_before() {
    let mut fence = Fence::default();
    fence.read(2, 0, 8);
    fence.read(0, 0, 9);
    assert!(!fence.allows(0, 0, 5, 0), "the stale one has less than the other one had");
    assert!(fence.allows(0, 0, 9, 0) && !fence.allows(2, 0, 9, 0) && fence.allows(2, 0, 10, 0));
}

#[test]
fn every_reason_has_a_word_of_its_own() {
    let words: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.word()).collect();
    assert_eq!(words.len(), Reason::ALL.len());
    assert!(Reason::ALL.iter().enumerate().all(|(at, reason)| *reason as usize == at));
}

#[test]
fn every_kind_of_plan_is_counted_under_its_own_labels() {
    assert!(kinds().count() <= ROUTES);
    let read = plan(&usual(), &ask(Verdict::Read, &Fence::default()), &fresh());
    assert_eq!(kinds().nth(read.kind()), Some(("replica", Reason::Read)));
    assert_eq!(kinds().nth(Plan::SINGLE.kind()), Some(("primary", Reason::Single)));
}

#[test]
fn a_replica_that_was_started_anew_must_first_show_that_it_has_what_was_read_on_it() {
    let (view, freshness) = (usual(), fresh());
    let mut fence = Fence::default();
    fence.read(0, freshness.life(0), 9);
    let to = |freshness: &Freshness| {
        let all = draws().map(|draw| plan(&view, &Ask { draw, ..ask(Verdict::Read, &fence) }, freshness).to);
        all.map(|to| if let To::Replica(replica) = to { Some(replica.host()) } else { None }).collect::<BTreeSet<_>>()
    };
    // It need not show it while it lives, and the other one would have to.
    assert_eq!(to(&freshness), BTreeSet::from([Some(0)]));
    freshness.cover(0, 0);
    freshness.cover(0, 9);
    assert_eq!(to(&freshness), BTreeSet::from([None]), "what it has replayed by now may be less");
    freshness.cover(0, 10);
    assert_eq!(to(&freshness), BTreeSet::from([Some(0)]));
    // Where nothing was known there was nothing to take back.
    let life = freshness.life(0);
    (0..2).for_each(|_| freshness.cover(0, 0));
    assert_eq!(freshness.life(0), life + 1);
}
