//! Tests of the wire room: every length a peer may claim, and bodies that are not what they should be.

use super::backend::{self, Authentication, Status, error_field, is_fatal, parameter_status};
use super::frame::{self, Head, LARGE_LIMIT, SMALL_LIMIT};
use super::frontend::{self, check, kind};
use super::startup::{self, CancelKey, FirstPacket, packet_len};
use crate::fault::{Blame, Fault, Severity, SqlState};
use bytes::BytesMut;
use proptest::prelude::*;

/// What PostgreSQL reads from a client that has logged in, with its limit.
const SMALL: &[u8] = b"EDCHSXcf";
const LARGE: &[u8] = b"QPBFd";

fn is_violation(fault: &Fault) -> bool {
    (fault.severity, fault.sqlstate) == (Severity::Fatal, SqlState::PROTOCOL_VIOLATION)
}

/// A first packet: its length field and what follows.
fn packet(code: i32, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(8 + body.len()).unwrap();
    [&length.to_be_bytes()[..], &code.to_be_bytes(), body].concat()
}

#[test]
fn a_first_packet_has_8_to_10004_bytes() {
    for length in [8_i32, 9, 10, 11, 12, 9_999, 10_000, 10_001, 10_003, 10_004] {
        let bytes = length.to_be_bytes();
        assert_eq!(packet_len(&bytes), Ok(Some(usize::try_from(length).unwrap())), "{length}");
    }
    for length in [i32::MIN, -1, 0, 1, 2, 3, 4, 5, 6, 7, 10_005, 65_536, i32::MAX - 1, i32::MAX] {
        let fault = packet_len(&length.to_be_bytes()).expect_err("too short or too long");
        assert!(is_violation(&fault), "{length}: {fault}");
    }
}

#[test]
fn a_first_packet_is_not_judged_before_its_length_is_there() {
    for bytes in [&b""[..], b"\xff", b"\xff\xff", b"\xff\xff\xff"] {
        assert_eq!(packet_len(bytes), Ok(None));
    }
}

#[test]
fn a_first_packet_cut_short_is_refused_and_never_a_startup() {
    let whole = packet(startup::PROTOCOL_3_0, b"user\0me\0database\0shop\0\0");
    for end in 0..whole.len() {
        assert!(is_violation(&startup::read(&whole[..end]).expect_err("cut short")), "{end}");
    }
    let FirstPacket::Startup(read) = startup::read(&whole).unwrap() else { panic!("a startup") };
    assert_eq!(read.parameters, [(b"user".to_vec(), b"me".to_vec()), (b"database".to_vec(), b"shop".to_vec())]);
}

#[test]
fn a_startup_with_bytes_behind_its_terminator_is_refused() {
    assert!(startup::read(&packet(startup::PROTOCOL_3_0, b"user\0me\0\0\0")).is_err());
    assert!(startup::read(&packet(startup::PROTOCOL_3_0, b"user\0me\0\0x")).is_err());
    assert!(startup::read(&packet(startup::PROTOCOL_3_0, b"user\0me\0")).is_err());
}

#[test]
fn a_request_for_encryption_has_no_body() {
    assert_eq!(startup::read(&packet(startup::SSL_REQUEST, b"")), Ok(FirstPacket::Ssl));
    assert_eq!(startup::read(&packet(startup::GSSENC_REQUEST, b"")), Ok(FirstPacket::GssEnc));
    assert!(startup::read(&packet(startup::SSL_REQUEST, b"x")).is_err());
    assert!(startup::read(&packet(startup::GSSENC_REQUEST, b"x")).is_err());
}

#[test]
fn a_cancel_key_has_4_to_256_bytes() {
    for length in 0..=300 {
        let secret = vec![7; length];
        let read = startup::read(&packet(startup::CANCEL_REQUEST, &[&[0, 0, 0, 9][..], &secret].concat()));
        if (4..=256).contains(&length) {
            assert_eq!(read, Ok(FirstPacket::Cancel(CancelKey { pid: 9, secret: secret.into() })));
        } else {
            assert!(is_violation(&read.expect_err("no key")), "{length}");
        }
    }
}

#[test]
fn a_cancel_key_is_no_other_one_and_its_secret_is_not_shown() {
    let key = |pid, secret: &[u8]| CancelKey { pid, secret: secret.into() };
    assert_eq!(key(9, &[171; 4]), key(9, &[171; 4]));
    for other in [key(8, &[171; 4]), key(9, &[171, 171, 171, 170]), key(9, &[171; 3]), key(9, &[171; 32]), key(9, &[])]
    {
        assert_ne!(key(9, &[171; 4]), other);
    }
    let shown = format!("{:?}", FirstPacket::Cancel(key(9, &[171; 4])));
    assert!(shown.contains('9') && !shown.contains("171"), "{shown}");
}

#[test]
fn only_protocol_3_is_spoken() {
    for code in [0, 1, 2 << 16, (2 << 16) | 1, 4 << 16, -1, i32::MIN, i32::MAX, (1234 << 16) | 5677] {
        let fault = startup::read(&packet(code, b"user\0me\0\0")).expect_err("another protocol");
        assert_eq!((fault.severity, fault.sqlstate), (Severity::Fatal, SqlState::FEATURE_NOT_SUPPORTED), "{code}");
    }
    for minor in [0, 1, 2, 3, 9_999, 0xffff] {
        let FirstPacket::Startup(read) = startup::read(&packet((3 << 16) | minor, b"user\0me\0\0")).unwrap() else {
            panic!("a startup")
        };
        assert_eq!(i32::from(read.minor), minor);
        assert_eq!((read.needs_negotiation(), read.long_keys()), (minor > 2, minor >= 2));
    }
}

#[test]
fn every_type_is_read_up_to_its_own_limit_and_no_other_type_is() {
    let (small, large) = (i32::try_from(SMALL_LIMIT).unwrap(), i32::try_from(LARGE_LIMIT).unwrap());
    let lengths = [i32::MIN, -1, 0, 1, 2, 3, 4, 5, small - 1, small, small + 1, large - 1, large, large + 1, i32::MAX];
    for kind in 0..=u8::MAX {
        let limit = if LARGE.contains(&kind) { large } else { small };
        let known = LARGE.contains(&kind) || SMALL.contains(&kind);
        for length in lengths {
            let checked = check(Head { kind, length });
            if known && (4..=limit).contains(&length) {
                assert_eq!(checked, Ok(usize::try_from(length).unwrap() + 1), "{kind} {length}");
            } else {
                let fault = checked.expect_err("PostgreSQL would not read it");
                assert!(is_violation(&fault), "{kind} {length}: {fault}");
                assert_eq!(fault.message.starts_with("invalid frontend message type"), !known, "{kind} {length}");
            }
        }
    }
}

#[test]
fn a_password_message_is_no_message_behind_the_login() {
    assert!(check(Head { kind: kind::PASSWORD, length: 8 }).is_err());
}

#[test]
fn a_head_is_five_bytes_and_a_frame_at_least_that() {
    assert_eq!(Head::read(b"Q\0\0\0"), None);
    assert_eq!(Head::read(b"Q\0\0\x01\x04rest"), Some(Head { kind: b'Q', length: 260 }));
    for (length, whole) in [(4, Some(5)), (3, None), (0, None), (-1, None), (i32::MIN, None)] {
        assert_eq!(Head { kind: b'Q', length }.frame_len(), whole);
    }
    assert_eq!(Head { kind: b'Q', length: i32::MAX }.frame_len(), Some(1 << 31));
    assert_eq!(frame::first(b"Z\0\0\0\x05IX"), Some((b'Z', &b"I"[..], 6)));
    assert_eq!(frame::first(b"Z\0\0\0\x05"), None);
    assert_eq!(frame::first(b"Z\0\0\0\x03III"), None);
}

#[test]
fn a_field_of_an_error_is_found_or_missing_whatever_the_body() {
    let body = b"SERROR\0VERROR\0C42601\0Msyntax\0\0";
    assert_eq!(error_field(body, b'C'), Some(&b"42601"[..]));
    assert_eq!(error_field(body, b'D'), None);
    for malformed in [&b""[..], b"\0", b"C", b"C42601", b"\0C42601\0", b"SERROR", b"SERROR\0C42601"] {
        assert_eq!(error_field(malformed, b'C'), None, "{malformed:?}");
    }
    assert_eq!(error_field(b"C42601\0", b'C'), Some(&b"42601"[..]), "no terminator behind the last field");
    assert_eq!(error_field(b"C\0\0", b'C'), Some(&b""[..]));
    for end in 0..body.len() {
        // Never more than was there.
        let found = error_field(&body[..end], b'M');
        assert!(found.is_none() || found == Some(b"syntax"), "{end}");
    }
}

#[test]
fn an_error_is_fatal_by_its_untranslated_severity() {
    assert!(is_fatal(b"SFATAL\0VFATAL\0\0"));
    assert!(is_fatal(b"SPANIK\0VPANIC\0\0"));
    assert!(is_fatal(b"SFATAL\0C57P01\0\0"), "before 9.6");
    assert!(!is_fatal(b"SFATAL\0VERROR\0\0"));
    assert!(!is_fatal(b"SERROR\0VERROR\0MFATAL\0\0"));
    assert!(!is_fatal(b""));
}

#[test]
fn a_parameter_is_a_name_and_a_value_and_nothing_else() {
    assert_eq!(parameter_status(b"TimeZone\0UTC\0"), Some((&b"TimeZone"[..], &b"UTC"[..])));
    for malformed in [&b""[..], b"\0", b"TimeZone", b"TimeZone\0", b"TimeZone\0UTC", b"TimeZone\0UTC\0x"] {
        assert_eq!(parameter_status(malformed), None, "{malformed:?}");
    }
}

#[test]
fn a_status_is_one_of_three_bytes() {
    assert_eq!([&b"I"[..], b"T", b"E"].map(Status::read).map(|status| status.is_some()), [true; 3]);
    assert!([&b""[..], b"i", b"X", b"II", b"I\0"].map(Status::read).iter().all(Option::is_none));
}

#[test]
fn a_malformed_request_for_authentication_is_none() {
    for malformed in [&b""[..], b"\0", b"\0\0\0", b"\0\0\0\x05salt5", b"\0\0\0\x05abc", b"\0\0\0\x05"] {
        assert_eq!(Authentication::read(malformed), None, "{malformed:?}");
    }
    assert_eq!(Authentication::read(b"\0\0\0\0"), Some(Authentication::Ok));
    assert_eq!(Authentication::read(b"\0\0\0\0x"), Some(Authentication::Unknown(0)), "not a login");
    assert_eq!(Authentication::read(b"\0\0\0\x03x"), Some(Authentication::Unknown(3)));
    assert_eq!(Authentication::read(b"\xff\xff\xff\xff"), Some(Authentication::Unknown(-1)));
}

#[test]
fn a_fault_becomes_a_frame_that_reads_back() {
    let fault = Fault::fatal(Blame::Client, SqlState::PROTOCOL_VIOLATION, "zero \0 inside").with_hint("h");
    let mut out = BytesMut::new();
    backend::error_response(&mut out, &fault);
    let (kind, body, total) = frame::first(&out).unwrap();
    assert_eq!((kind, total), (backend::kind::ERROR_RESPONSE, out.len()));
    assert!(is_fatal(body) && body.ends_with(b"\0\0"));
    assert_eq!(error_field(body, b'C'), Some(&b"08P01"[..]));
    assert_eq!(error_field(body, b'M'), Some(&b"zero "[..]));
    assert_eq!(error_field(body, b'H'), Some(&b"h"[..]));
    assert_eq!(error_field(body, b'D'), None);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = packet_len(&bytes);
        let _ = startup::read(&bytes);
        let _ = Head::read(&bytes).map(check);
        let _ = frame::first(&bytes);
        let _ = Authentication::read(&bytes);
        let _ = parameter_status(&bytes);
        let _ = error_field(&bytes, b'C');
        let _ = is_fatal(&bytes);
        let _ = Status::read(&bytes);
    }

    #[test]
    fn no_body_behind_a_known_code_makes_the_startup_panic(
        code in prop_oneof![
            Just(startup::PROTOCOL_3_0), Just(startup::PROTOCOL_3_2), Just(startup::CANCEL_REQUEST),
            Just(startup::SSL_REQUEST), any::<i32>()
        ],
        words in proptest::collection::vec("(user|database|_pq_\\.x|[a-z]{0,3})", 0..8),
        end in any::<proptest::sample::Index>(),
    ) {
        let body = words.join("\0").into_bytes();
        let whole = packet(code, &body);
        let _ = startup::read(&whole);
        let _ = startup::read(&whole[..end.index(whole.len())]);
    }

    #[test]
    fn a_startup_of_our_own_reads_back(
        parameters in proptest::collection::vec(("[a-z]{1,9}", "[^\0]{0,9}"), 0..6)
    ) {
        let mut out = BytesMut::new();
        let pairs = parameters.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        frontend::startup(&mut out, pairs);
        prop_assert_eq!(packet_len(&out), Ok(Some(out.len())));
        let Ok(FirstPacket::Startup(read)) = startup::read(&out) else { panic!("a startup") };
        let sent: Vec<_> = parameters.into_iter().map(|(n, v)| (n.into_bytes(), v.into_bytes())).collect();
        prop_assert_eq!(read.parameters, sent);
    }
}
