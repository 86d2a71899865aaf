//! The same bytes, cut anywhere, come to the same.

use super::talk::{Talk, frame, said};
use crate::server::Disposition::{Hold, Swallow};
use proptest::prelude::*;

/// All kinds of conversations one after the other, and what the server says in them.
fn conversation() -> (Talk, Vec<u8>) {
    let mut talk = Talk::default();
    talk.send_own("CCPBEPSD", Hold);
    talk.exchange.guard_sent();
    talk.send("PBDES").send_own("PBDES", Swallow).send("QQ").send("PBES");
    talk.exchange.invent(said("3")[..].into());
    talk.settle();
    talk.send("QF");
    let words =
        "3 3 1 E Zi E Zi 1 2 T D C Zi S:TimeZone:UTC T D D C S:hidden:x Zi E Zi 1 2 D s Zi H d d c C Zi N A V Zi";
    let long = [said(words), Vec::new()].concat();
    let mut bytes = long;
    talk.send("QQ");
    bytes.extend(said("T"));
    bytes.extend((0..10).flat_map(|row: usize| frame(b'D', &vec![b'r'; row * 1_700])));
    bytes.extend(frame(b'N', &[b'n'; 5_000]));
    bytes.extend(said("C Zt"));
    bytes.extend(frame(b'E', &[b"SERROR\0VERROR\0C22012\0M", &[b'x'; 70_000][..], b"\0\0"].concat()));
    bytes.extend(said("Ze"));
    (talk, bytes)
}

fn hear_in_pieces(mut sizes: impl Iterator<Item = usize>) -> Talk {
    let (mut talk, bytes) = conversation();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(sizes.next().unwrap().min(rest.len()));
        talk.try_hear(piece).unwrap();
        assert!(!talk.at_boundary() || behind.len() > 5);
        rest = behind;
    }
    assert!(talk.inbox.is_empty() && !talk.exchange.owes());
    talk
}

#[test]
fn f18_any_cut_gives_the_client_the_same() {
    let whole = hear_in_pieces(std::iter::repeat(usize::MAX));
    assert_eq!(whole.seen(), "EZSTDDCZEZ12DsZ3HddcCZNAVZTDDDDDDDDDDNCZEZ");
    for size in [1, 2, 3, 4, 5, 6, 7, 8, 64, 4_095, 4_096, 4_097, 65_535, 65_536] {
        let cut = hear_in_pieces(std::iter::repeat(size));
        assert!(cut.seen == whole.seen, "cut by {size}");
        assert_eq!(cut.exchange.status(), whole.exchange.status());
    }
}

#[test]
fn f18_one_cut_anywhere_gives_the_client_the_same() {
    let whole = hear_in_pieces(std::iter::repeat(usize::MAX));
    for at in 1..400 {
        assert!(hear_in_pieces([at, usize::MAX].into_iter()).seen == whole.seen, "cut at {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn f18_random_cuts_give_the_client_the_same(sizes in proptest::collection::vec(prop_oneof![1..9_usize, 1..9_000_usize], 1..50)) {
        let whole = hear_in_pieces(std::iter::repeat(usize::MAX));
        prop_assert!(hear_in_pieces(sizes.into_iter().cycle()).seen == whole.seen);
    }

    #[test]
    fn no_bytes_of_a_server_make_it_panic(
        kinds in "[QPBDECSFHcfd]{0,12}",
        bytes in proptest::collection::vec(prop_oneof![2 => Just(0_u8), 2 => 0..12_u8, 1 => proptest::sample::select(b"ZSEC12T3tnDsIGHdcVNAWR".to_vec()), 1 => any::<u8>()], 0..200),
        size in 1..50_usize,
    ) {
        let mut talk = Talk::default();
        talk.send(&kinds);
        for piece in bytes.chunks(size) {
            if talk.try_hear(piece).is_err() {
                break;
            }
        }
    }
}
