//! Random histories of a client with the small PostgreSQL: both may be far ahead of each other, and answers come in
//! pieces. The client sees what it would see without us, and a boundary is one.

use super::talk::{Talk, frame};
use super::tiny_postgres::TinyPostgres;
use crate::server::Disposition::Hold;
use crate::server::Violation;
use proptest::prelude::*;
use std::collections::VecDeque;

/// A frame: type and what its body says.
type Message = (u8, u8);

/// How far things move between two messages of the client: frames read by the server, bytes that reach us.
type Pace = (usize, usize);

#[derive(Default)]
struct World {
    talk: Talk,
    server: TinyPostgres,
    /// The same conversation without us.
    direct: TinyPostgres,
    on_the_way: VecDeque<Message>,
    delivered: usize,
}

impl World {
    fn send(&mut self, (kind, what): Message) {
        self.talk.exchange.sending(&frame(kind, &[what, 0]));
        self.on_the_way.push_back((kind, what));
        self.direct.read(kind, what);
    }

    /// Settings in front of the next request; they fail if `bad`.
    fn guard(&mut self, bad: bool) {
        let value = if bad { b'!' } else { b'.' };
        let set = [(b'C', b'.'), (b'P', b'.'), (b'B', b'.'), (b'E', value)];
        let messages = [&[(b'C', b'g')][..], &set, &[(b'P', b'g'), (b'S', b'.'), (b'D', b'g')]].concat();
        for (kind, what) in messages {
            self.talk.exchange.sending_own(kind, Hold);
            self.on_the_way.push_back((kind, what));
        }
        self.talk.exchange.guard_sent();
        self.direct.fail_next = bad;
    }

    fn move_on(&mut self, (frames, bytes): Pace) -> Result<(), Violation> {
        for _ in 0..frames.min(self.on_the_way.len()) {
            let (kind, what) = self.on_the_way.pop_front().unwrap();
            self.server.read(kind, what);
        }
        let end = self.delivered.saturating_add(bytes).min(self.server.out.len());
        let piece = self.server.out[self.delivered..end].to_vec();
        self.delivered = end;
        self.talk.try_hear(&piece)?;
        let failed = self.talk.exchange.take_failed_guard();
        if self.talk.exchange.take_wanted_sync() {
            assert!(failed || frames > 0 || bytes > 0);
            self.talk.exchange.sending_own(b'S', crate::server::Disposition::Forward);
            self.on_the_way.push_back((b'S', b'.'));
        }
        self.check_boundary();
        Ok(())
    }

    /// Behind a boundary nothing comes any more.
    fn check_boundary(&self) {
        if self.talk.at_boundary() {
            let mut later = self.server.clone();
            self.on_the_way.iter().for_each(|(kind, what)| later.read(*kind, *what));
            assert_eq!(later.out.len(), self.delivered, "a boundary, and more is said");
            assert!(later.at_boundary(), "a boundary for us and not for the server: {later:?}");
        }
    }

    fn settle(&mut self) -> Result<(), Violation> {
        while !self.on_the_way.is_empty() || self.delivered < self.server.out.len() {
            self.move_on((usize::MAX, usize::MAX))?;
        }
        Ok(())
    }
}

/// The client has seen what it would see without us, and a boundary is one.
fn check_end(world: &World) -> Result<(), TestCaseError> {
    prop_assert_eq!(&world.talk.seen.bytes, &world.direct.out);
    // A server that is tied serves its client to the end and nobody after it. This one hides no block.
    let is_tied = world.talk.exchange.is_tied_to_client();
    prop_assert!(!is_tied || world.talk.exchange.owes());
    let usable = world.direct.at_boundary() && !is_tied;
    prop_assert_eq!(world.talk.at_boundary(), usable, "{:?}", world.direct);
    Ok(())
}

/// What one client does at a time, ended or not.
fn any_unit() -> impl Strategy<Value = Vec<Message>> {
    let what = || proptest::sample::select(b"....!rrbcoes?p".to_vec());
    let message = (proptest::sample::select(b"PBDEC".to_vec()), what());
    let batch = proptest::collection::vec(message, 0..6);
    let data = || proptest::collection::vec(prop_oneof![9 => Just((b'd', b'.')), 1 => Just((b'd', b'!'))], 0..4);
    let end = || prop_oneof![3 => Just((b'c', b'.')), 1 => Just((b'f', b'.'))];
    let stray = proptest::sample::select(vec![(b'd', b'.'), (b'c', b'.'), (b'f', b'.')]);
    prop_oneof![
        4 => what().prop_map(|what| vec![(b'Q', what)]),
        1 => what().prop_map(|what| vec![(b'F', what)]),
        4 => (batch.clone(), prop_oneof![4 => Just(b'S'), 1 => Just(b'H'), 1 => Just(b'Q')])
            .prop_map(|(batch, end)| [batch, vec![(end, b'.')]].concat()),
        2 => (data(), end()).prop_map(|(data, end)| [vec![(b'Q', b'i')], data, vec![end]].concat()),
        1 => (data(), end(), data(), end())
            .prop_map(|(one, e, two, f)| [vec![(b'Q', b'j')], one, vec![e], two, vec![f]].concat()),
        2 => (batch, 0..3_usize, data(), end()).prop_map(|(batch, syncs, data, end)| {
            let early = vec![(b'S', b'.'); syncs];
            [batch, vec![(b'E', b'i')], early, data, vec![end, (b'S', b'.')]].concat()
        }),
        1 => stray.prop_map(|stray| vec![stray]),
    ]
}

fn any_pace() -> impl Strategy<Value = Pace> {
    let frames = prop_oneof![3 => Just(0_usize), 2 => 1..4_usize, 1 => Just(usize::MAX)];
    let bytes = prop_oneof![2 => Just(0_usize), 3 => 1..40_usize, 1 => Just(usize::MAX)];
    (frames, bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

    #[test]
    fn f6_a_client_sees_what_it_would_see_without_us(
        units in proptest::collection::vec(any_unit(), 1..8),
        paces in proptest::collection::vec(any_pace(), 1..40),
    ) {
        let (mut world, mut paces) = (World::default(), paces.into_iter().cycle());
        for message in units.concat() {
            world.send(message);
            if world.move_on(paces.next().unwrap()).is_err() {
                prop_assert!(world.server.dead, "only the end of the connection may come unasked");
                return Ok(());
            }
        }
        world.settle().unwrap();
        check_end(&world)?;
    }

    #[test]
    fn f6_a_client_behind_settings_sees_what_it_would_see_without_us(
        units in proptest::collection::vec((any_unit(), proptest::option::of(any::<bool>())), 1..8),
        paces in proptest::collection::vec(any_pace(), 1..40),
    ) {
        let (mut world, mut paces) = (World::default(), paces.into_iter().cycle());
        for (unit, guard) in units {
            // As for a client whose server is handed out: the last request is over, and this one needs a server.
            let asks = !b"dcfSH".contains(&unit[0].0);
            if let (Some(bad), true, true) = (guard, asks, world.talk.at_boundary()) {
                world.guard(bad);
            }
            let mut unit = VecDeque::from(unit);
            while let Some(message) = unit.pop_front() {
                world.send(message);
                world.move_on(paces.next().unwrap()).unwrap();
                let ends_request = b"QFSH".contains(&message.0);
                while ends_request && world.talk.exchange.guard_pending() {
                    world.move_on((usize::MAX, usize::MAX)).unwrap();
                }
                if world.server.dead || world.direct.dead {
                    return Ok(());
                }
            }
            world.settle().unwrap();
        }
        check_end(&world)?;
    }

    #[test]
    fn a_boundary_is_one_whatever_a_client_sends(
        messages in proptest::collection::vec(
            (proptest::sample::select(b"QPBDECSHFdcf".to_vec()), proptest::sample::select(b"..!rbcijoes?".to_vec())), 1..40),
        paces in proptest::collection::vec(any_pace(), 1..40),
    ) {
        let (mut world, mut paces) = (World::default(), paces.into_iter().cycle());
        for message in messages {
            world.send(message);
            if world.move_on(paces.next().unwrap()).is_err() {
                return Ok(());
            }
        }
        let _ = world.settle();
    }
}
