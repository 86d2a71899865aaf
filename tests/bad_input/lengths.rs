//! Lengths: every message says how long it is, and is believed only as far as PostgreSQL would.

use super::raw::{Conn, Heard, first_packet, frame, head, query};
use crate::support::{PgOtter, shared_postgres, simple_config, state};

const PROTOCOL: i32 = 3 << 16;

fn padded_startup(length: usize) -> Vec<u8> {
    let (front, end) = (&b"user\0postgres\0database\0postgres\0application_name\0"[..], &b"\0\0"[..]);
    let rest = length - 8 - front.len() - end.len();
    first_packet(PROTOCOL, &[front, &vec![b'x'; rest], end].concat())
}

#[test]
fn a_first_packet_is_as_long_as_it_may_be_or_refused_unread() {
    let pooler = PgOtter::in_front_of(shared_postgres(), "client_login_timeout = \"1s\"");
    for length in [9_999, 10_000, 10_001, 10_004] {
        let mut conn = Conn::open(pooler.port());
        let packet = padded_startup(length);
        assert_eq!(packet.len(), length);
        conn.send(&packet);
        assert!(conn.until_ready().kinds().ends_with('Z'), "{length}");
    }
    let mut claims: Vec<(i32, Conn)> = Vec::new();
    for length in (0..=9).chain([10_000, 10_001, 10_004, 10_005, i32::MAX, -1, i32::MIN]) {
        let mut conn = Conn::open(pooler.port());
        conn.send(&[length.to_be_bytes(), PROTOCOL.to_be_bytes()].concat());
        claims.push((length, conn));
    }
    for (length, mut conn) in claims {
        let error = conn.until_closed().last_error();
        // Who is waited for is closed in the end without a word.
        let waited = (9..=10_004).contains(&length);
        assert_eq!(error.is_none(), waited, "{length}: {error:?}");
    }
}

/// What is in step is heard as PostgreSQL says it; where PostgreSQL closes, so do we.
fn outcome(port: u16, bytes: &[u8]) -> String {
    let mut conn = Conn::log_in(port, "postgres");
    conn.send(&[bytes, &frame(b'S', b""), &query("SELECT 'in step'")].concat());
    let mut heard = Heard::default();
    while let Some((kind, body)) = conn.next() {
        let end = kind == b'Z' && heard.kinds().ends_with("DC");
        heard.frames.push((kind, body));
        if end {
            let codes = heard.frames.iter().filter(|(kind, _)| *kind == b'E');
            let codes: Vec<_> = codes.map(|(_, body)| pgotter::wire::backend::error_field(body, b'C')).collect();
            return format!("{} {codes:?}", heard.kinds());
        }
    }
    "closed".to_owned()
}

#[test]
fn a_message_of_any_length_goes_on_or_ends_as_with_postgresql() {
    let server = shared_postgres();
    let pooler = PgOtter::in_front_of(server, "default_pool_size = 1");
    for kind in *b"QPBEDCHSFdcfX" {
        for length in [4, 5, 6, 7, 8, 9, 10_000, 10_001] {
            let body = usize::try_from(length).expect("positive") - 4;
            let bytes = [head(kind, length), vec![0; body]].concat();
            let outcomes = [server.port(), pooler.port()].map(|port| outcome(port, &bytes));
            assert_eq!(outcomes[1], outcomes[0], "{} {length}", char::from(kind));
        }
    }
    assert!(!pooler.log().contains("panicked"), "{}", pooler.log());
}

/// A stage of the login in which a password message is due, by what is said to reach it.
fn login_stages() -> [(&'static str, Vec<Vec<u8>>); 4] {
    let startup = super::raw::startup("postgres");
    let first = b"n,,n=,r=abcdefghijklmnopqrstuvwx";
    let length = i32::try_from(first.len()).expect("short").to_be_bytes();
    let initial = frame(b'p', &[b"SCRAM-SHA-256\0", &length[..], first].concat());
    [
        ("plain", vec![startup.clone()]),
        ("md5", vec![startup.clone()]),
        ("scram-sha-256", vec![startup.clone()]),
        ("scram-sha-256", vec![startup, initial]),
    ]
}

#[test]
fn nothing_but_a_password_message_of_a_sound_length_is_read_at_login() {
    let users = state().path().join("lengths.users");
    state().write(&users, "\"postgres\" \"otter-postgres\"\n").unwrap_or_else(|error| panic!("{error}"));
    for (method, said) in login_stages() {
        let pooler = PgOtter::start(|port| {
            let auth = format!("auth_type = \"{method}\"\nauth_file = \"{}\"", users.display());
            simple_config(port, shared_postgres(), "client_login_timeout = \"1s\"")
                .replace("auth_type = \"trust\"", &auth)
        });
        let reach = || {
            let mut conn = Conn::open(pooler.port());
            for bytes in &said {
                conn.send(bytes);
                assert_eq!(conn.next().map(|(kind, _)| kind), Some(b'R'), "{method}");
            }
            conn
        };
        let mut wrong = super::clients::wrong_heads();
        wrong.retain(|bytes| bytes[0] != b'p');
        wrong.extend([i32::MIN, -1, 0, 1, 2, 3, 65_536, i32::MAX].map(|length| head(b'p', length)));
        wrong.extend([4, 5, 9, 10_001].map(|length| head(b'Q', length)));
        for bytes in wrong {
            let mut conn = reach();
            conn.send(&bytes);
            let heard = conn.until_closed();
            assert_eq!(
                heard.last_error().as_deref(),
                Some("FATAL 08P01"),
                "{method} {}: {heard:?}",
                bytes.escape_ascii()
            );
        }
        for length in [4, 5, 6, 7, 8, 9, 10_000, 10_001, 65_535] {
            let body = vec![0; usize::try_from(length).expect("positive") - 4];
            let mut conn = reach();
            conn.send(&[head(b'p', length), body].concat());
            let error = conn.until_closed().last_error();
            assert!(matches!(error.as_deref(), Some("FATAL 08P01" | "FATAL 28P01")), "{method} {length}: {error:?}");
        }
        // The same, and nothing behind the head: it is waited for, but not for ever.
        let claims = [5, 9, 10_000, 10_001, 60_000].map(|length| {
            let mut conn = reach();
            conn.send(&head(b'p', length));
            (length, conn)
        });
        for (length, mut conn) in claims {
            assert_eq!(conn.until_closed().last_error().as_deref(), Some("FATAL 57014"), "{method} {length}");
        }
        assert!(!pooler.log().contains("panicked"), "{}", pooler.log());
    }
}

#[test]
fn no_message_is_one_before_the_login() {
    let pooler = PgOtter::in_front_of(shared_postgres(), "");
    let whole = b"QPBEDCHSFdcfXp".iter().flat_map(|kind| [frame(*kind, b""), frame(*kind, &[0; 5])]);
    for bytes in super::clients::wrong_heads().into_iter().chain(whole) {
        let mut conn = Conn::open(pooler.port());
        conn.send(&bytes);
        let heard = conn.until_closed();
        super::clients::assert_turned_away(&heard, &bytes.escape_ascii().to_string());
    }
    assert!(!pooler.log().contains("panicked"), "{}", pooler.log());
}
