//! Tests of gathering: whatever the cuts, the bytes handed on are the bytes sent, and requests end where they end.

use super::*;
use crate::fault::{Severity, SqlState};
use proptest::prelude::*;

/// Larger than any request of these tests unless a test says otherwise.
const ROOM: usize = 64 * 1024;

fn frame(kind: u8, body: usize) -> Vec<u8> {
    let length = i32::try_from(body + 4).unwrap();
    let mut frame = vec![kind];
    frame.extend(length.to_be_bytes());
    frame.resize(body + 5, b'.');
    frame
}

fn frames(kinds: &[u8]) -> Vec<u8> {
    kinds.iter().flat_map(|kind| frame(*kind, 7)).collect()
}

/// What came out of feeding `stream` in `pieces`.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    /// Position behind each end of a request, with the message that ended it.
    ends: Vec<(usize, u8)>,
    /// Position of each chunk that begins with a message, with that message.
    firsts: Vec<(usize, u8)>,
    taken: Vec<u8>,
    terminated: bool,
    fault: Option<SqlState>,
}

fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> Outcome {
    let (mut gather, mut inbox, mut out) = (Gather::default(), Vec::new(), Outcome::default());
    for piece in pieces {
        inbox.extend_from_slice(piece);
        loop {
            match gather.look(&inbox, limit) {
                Ok(Gathered::More) => {
                    assert!(inbox.len() <= gather.room(limit), "a client with more in its inbox is not read any more");
                    break;
                }
                Ok(Gathered::Terminate) => {
                    out.terminated = true;
                    return out;
                }
                Err(fault) => {
                    assert_eq!(fault.severity, Severity::Fatal);
                    out.fault = Some(fault.sqlstate);
                    return out;
                }
                Ok(Gathered::Take { bytes, end, first }) => {
                    assert!(bytes > 0 && bytes <= inbox.len());
                    out.firsts.extend(first.map(|kind| (out.taken.len(), kind)));
                    out.taken.extend(inbox.drain(..bytes));
                    out.ends.extend(end.filter(|kind| ends_request(*kind)).map(|kind| (out.taken.len(), kind)));
                    assert_eq!(gather.is_passing(), gather.passing > 0);
                }
            }
        }
    }
    out
}

/// Where requests end in `stream`, read all at once.
fn true_ends(stream: &[u8]) -> Vec<(usize, u8)> {
    let (mut at, mut ends) = (0, Vec::new());
    while let Some(head) = stream.get(at..).and_then(Head::read) {
        at += head.frame_len().unwrap();
        if b"QFSH".contains(&head.kind) && at <= stream.len() {
            ends.push((at, head.kind));
        }
    }
    ends
}

#[test]
fn a_request_ends_with_query_function_call_sync_or_flush() {
    for end in *b"QFSH" {
        let stream = frames(&[b'P', b'B', b'D', b'E', b'C', end]);
        let out = feed([&stream[..]], ROOM);
        assert_eq!(out.ends, [(stream.len(), end)]);
        assert_eq!(out.firsts, [(0, b'P')], "one piece");
        assert_eq!(out.taken, stream);
    }
    let unended = frames(b"PBDEC");
    assert_eq!(feed([&unended[..]], ROOM), Outcome::default(), "nothing is handed on before the end");
}

#[test]
fn requests_that_came_together_are_handed_on_one_by_one() {
    let stream = frames(b"QPBESQFSH");
    let out = feed([&stream[..]], ROOM);
    assert_eq!(out.ends, true_ends(&stream));
    let firsts: Vec<u8> = out.firsts.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(firsts, b"QPQFSH");
}

#[test]
fn copy_data_is_handed_on_as_it_comes() {
    let stream = [frame(b'd', 100), frame(b'd', 0), frame(b'c', 0), frame(b'f', 9)].concat();
    let cut = stream.split_at(20);
    let out = feed([cut.0], ROOM);
    assert_eq!((out.taken.len(), out.firsts), (20, vec![(0, b'd')]));
    let out = feed([cut.0, cut.1], ROOM);
    assert_eq!((out.taken, out.ends), (stream, vec![]));
}

#[test]
fn a_request_longer_than_the_limit_streams_and_still_ends() {
    let stream = [frame(b'Q', 5_000), frame(b'Q', 3)].concat();
    let out = feed(stream.chunks(700), 1_000);
    assert_eq!(out.taken, stream);
    assert_eq!(out.ends, true_ends(&stream));
    assert_eq!(out.firsts, [(0, b'Q'), (5_005, b'Q')]);
    let many = [frames(&[b'B'; 200]), frames(b"S")].concat();
    let out = feed(many.chunks(64), 1_000);
    assert_eq!(out.taken, many);
    assert_eq!(out.ends, [(many.len(), b'S')]);
}

#[test]
fn a_long_query_says_so_while_it_passes() {
    for kind in *b"QFPB" {
        let (mut stream, mut gather) = (frame(kind, 5_000), Gather::default());
        stream[HEAD..HEAD + 2].fill(0);
        assert!(matches!(gather.look(&stream[..2_000], 1_000), Ok(Gathered::Take { bytes: 2_000, end: None, .. })));
        assert!(gather.is_passing());
        assert_eq!(gather.passing_simple(), b"QF".contains(&kind).then_some(kind));
        assert!(!gather.is_between(&[]));
        let last = gather.look(&stream[2_000..], 1_000);
        let end = b"QF".contains(&kind).then_some(kind);
        assert_eq!(last, Ok(Gathered::Take { bytes: 3_005, end, first: None }));
        assert_eq!(gather.is_between(&[]), end.is_some(), "a long Parse has its Sync still to come");
    }
}

#[test]
fn a_head_cut_at_the_limit_does_not_stop_the_stream() {
    // Complete messages up to the limit, and behind them a part of a head: the inbox is over the limit, so nothing
    // more is received until some of it is taken.
    for over in 1..=4 {
        let stream = [frame(b'P', 995), frame(b'S', 0)].concat();
        let cut = 1_000 + over;
        let out = feed([&stream[..cut], &stream[cut..]], 1_000);
        assert_eq!(out.taken, stream, "cut at {cut}");
        assert_eq!(out.ends, [(stream.len(), b'S')]);
    }
}

#[test]
fn terminate_is_seen_between_messages_only() {
    assert!(feed([&frames(b"X")[..]], ROOM).terminated);
    let out = feed([&frames(b"PBEX")[..]], ROOM);
    assert!(out.terminated && out.taken == frames(b"PBE") && out.ends.is_empty(), "what stands in front of it is done");
    let after = frames(b"QX");
    let out = feed([&after[..]], ROOM);
    assert!(out.terminated);
    assert_eq!(out.ends.len(), 1, "what was asked before is still run");
    let inside = [frame(b'Q', 9_000), frame(b'X', 0)].concat();
    let out = feed(inside.chunks(10), 1_024);
    assert!(out.terminated && out.taken == frame(b'Q', 9_000));
    assert!(!feed([&b"QX\0\0\0\x04"[..]], ROOM).terminated, "the bytes of a length are no message");
}

#[test]
fn a_message_postgres_would_not_read_is_refused_at_its_head() {
    for bad in
        [&b"x\0\0\0\x04"[..], b"p\0\0\0\x08", b"\0\0\0\0\x08", b"Q\0\0\0\x03", b"S\0\0\x27\x11", b"Q\x7f\xff\xff\xff"]
    {
        let out = feed([bad], ROOM);
        assert_eq!(out.fault, Some(SqlState::PROTOCOL_VIOLATION), "{bad:?}");
        assert!(out.taken.is_empty());
    }
    let out = feed([&[frames(b"Q"), b"x\0\0\0\x04".to_vec()].concat()[..]], ROOM);
    assert_eq!((out.ends.len(), out.fault), (1, Some(SqlState::PROTOCOL_VIOLATION)));
}

#[test]
fn a_claim_of_a_gigabyte_keeps_no_more_than_came() {
    let out = feed([&b"Q\x3f\xff\xff\xfeSELECT"[..]], ROOM);
    assert_eq!(out, Outcome::default());
}

#[test]
fn f18_any_cut_gives_the_same_requests() {
    let stream =
        [frames(b"QPBDESdcfHF"), frame(b'Q', 3_000), frames(b"PBES"), frame(b'd', 2_500), frames(b"cS")].concat();
    for size in [1, 2, 3, 5, 7, 11, 1_023, 1_024, 1_025, 4_095, 4_096, 4_097] {
        for limit in [1_024, ROOM] {
            let out = feed(stream.chunks(size), limit);
            assert_eq!(out.taken, stream, "cut by {size}, limit {limit}");
            assert_eq!(out.ends, true_ends(&stream), "cut by {size}, limit {limit}");
        }
    }
}

/// Frames of any known type but Terminate, some of them long.
fn any_stream() -> impl Strategy<Value = Vec<(u8, usize)>> {
    let kind = proptest::sample::select(b"QPBEDCHSFdcf".to_vec());
    let body = prop_oneof![8 => 0..40_usize, 2 => 900..1_100_usize, 1 => 1_100..9_000_usize];
    proptest::collection::vec((kind, body), 0..40)
}

/// Sizes of pieces, used in turn.
fn any_cuts() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(prop_oneof![4 => 1..20_usize, 2 => 1_000..1_100_usize, 1 => 1..9_000_usize], 1..20)
}

fn cut<'a>(mut stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let (mut pieces, mut sizes) = (Vec::new(), cuts.iter().cycle());
    while !stream.is_empty() {
        let (piece, rest) = stream.split_at((*sizes.next().unwrap()).min(stream.len()));
        pieces.push(piece);
        stream = rest;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn bytes_taken_are_bytes_sent_and_ends_are_right(messages in any_stream(), cuts in any_cuts()) {
        // Small messages have 10,000 bytes at most; these have less.
        let stream: Vec<u8> = messages.iter().flat_map(|(kind, body)| frame(*kind, *body)).collect();
        let out = feed(cut(&stream, &cuts), 1_024);
        prop_assert_eq!(out.fault, None);
        let ends = true_ends(&stream);
        prop_assert_eq!(&out.ends, &ends);
        // All up to the last end is handed on; what is behind it may wait.
        prop_assert!(out.taken.len() >= ends.last().map_or(0, |(at, _)| *at));
        prop_assert_eq!(&out.taken[..], &stream[..out.taken.len()]);
        // A chunk that says it begins with a message does.
        for (at, kind) in out.firsts {
            prop_assert_eq!(stream[at], kind);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cuts in any_cuts()) {
        feed(cut(&bytes, &cuts), 64);
    }
}

#[test]
fn a_name_that_arrives_in_pieces_is_looked_at_once() {
    for (kind, names) in [(kind::PARSE, 1), (kind::BIND, 2)] {
        let (limit, mut gather) = (20, Gather::default());
        let mut inbox = frame(kind, 5000);
        inbox.truncate(100);
        assert_eq!(gather.look(&inbox, limit).unwrap(), Gathered::More);
        // It would end here, if that were looked at again.
        inbox[50..50 + names].fill(0);
        inbox.push(b'.');
        assert_eq!(gather.look(&inbox, limit).unwrap(), Gathered::More);
        for _ in 0..names {
            assert_eq!(gather.look(&inbox, limit).unwrap(), Gathered::More);
            inbox.push(0);
        }
        let take = Gathered::Take { bytes: inbox.len(), end: None, first: Some(kind) };
        assert_eq!(gather.look(&inbox, limit).unwrap(), take);
    }
}
