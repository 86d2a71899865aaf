//! Clients that break the protocol, in front of a real PostgreSQL and a pool of one server: whatever they do, the next
//! client has that server.

use super::raw::{Conn, Heard, first_packet, frame, head, query, startup};
use crate::support::{PgOtter, psql, shared_postgres, simple_config, state};

const SSL: i32 = (1234 << 16) | 5679;
const GSS: i32 = (1234 << 16) | 5680;
const CANCEL: i32 = (1234 << 16) | 5678;

const SMALL: &[u8] = b"EDCHSXcf";
const LARGE: &[u8] = b"QPBFd";

fn one_server(pooler: &str) -> PgOtter {
    PgOtter::in_front_of(shared_postgres(), &format!("default_pool_size = 1\n{pooler}"))
}

/// An honest client has the one server, and nobody has met a bug.
fn all_is_well(pooler: &PgOtter) {
    assert_eq!(psql(pooler.port(), "SELECT 'honest'"), "honest");
    assert!(!pooler.log().contains("panicked"), "{}", pooler.log());
}

pub fn assert_turned_away(heard: &Heard, what: &str) {
    assert!(heard.rest.is_empty(), "{what}: {heard:?}");
    let error = heard.last_error();
    let known = ["FATAL 08P01", "FATAL 0A000", "FATAL 28000"];
    assert!(heard.frames.is_empty() || known.contains(&error.as_deref().unwrap_or("none")), "{what}: {heard:?}");
}

fn malformed_first_packets() -> Vec<Vec<u8>> {
    let mut packets: Vec<Vec<u8>> = [i32::MIN, -1, 0, 1, 3, 4, 5, 7, 10_005, 65_536, 1 << 30, i32::MAX]
        .iter()
        .map(|length| [&length.to_be_bytes()[..], &[0, 3, 0, 0]].concat())
        .collect();
    for code in [0, 1, 2 << 16, 4 << 16, -1, i32::MAX, (1234 << 16) | 5677] {
        packets.push(first_packet(code, b"user\0postgres\0\0"));
    }
    let startups: [&[u8]; 12] = [
        b"",
        b"\0",
        b"\0\0",
        b"user",
        b"user\0",
        b"user\0postgres",
        b"user\0postgres\0",
        b"user\0postgres\0\0x",
        b"user\0postgres\0database\0",
        b"user\0\0\0",
        b"database\0postgres\0\0",
        b"user\0\xff\xfe\0\0",
    ];
    packets.extend(startups.iter().map(|body| first_packet(3 << 16, body)));
    packets.extend([b"".as_slice(), b"\0\0", b"\0\0\0\x09abc", &[1; 300]].map(|body| first_packet(CANCEL, body)));
    packets.push(first_packet(CANCEL, b"\0\0\0\x09abcd")); // nobody's key
    packets.push(first_packet(SSL, b"x"));
    packets.push(first_packet(GSS, b"x"));
    packets.push(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec());
    packets.push(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()); // a ClientHello
    packets.push(vec![0; 20_000]);
    packets.push(vec![0xff; 20_000]);
    packets
}

#[test]
fn a_malformed_first_packet_ends_the_connection() {
    let pooler = one_server("");
    for packet in malformed_first_packets() {
        let shown = packet[..packet.len().min(40)].escape_ascii().to_string();
        let mut conn = Conn::open(pooler.port());
        conn.send(&packet);
        assert_turned_away(&conn.until_closed(), &shown);
    }
    // Half of one, and then the end.
    let whole = startup("postgres");
    for end in 0..whole.len() {
        let mut conn = Conn::open(pooler.port());
        conn.send(&whole[..end]);
        conn.finish();
        assert_turned_away(&conn.until_closed(), &format!("{end} bytes"));
    }
    all_is_well(&pooler);
}

#[test]
fn half_a_first_packet_and_silence_ends_with_the_login_timeout() {
    let pooler = one_server("client_login_timeout = \"1s\"");
    let whole = startup("postgres");
    let mut conns: Vec<Conn> = [0, 1, 3, 4, 7, 8, 20, whole.len() - 1]
        .iter()
        .map(|end| {
            let mut conn = Conn::open(pooler.port());
            conn.send(&whole[..*end]);
            conn
        })
        .collect();
    all_is_well(&pooler);
    for conn in &mut conns {
        assert_eq!(conn.until_closed().last_error(), None, "PostgreSQL says nothing either");
    }
    all_is_well(&pooler);
}

#[test]
fn bytes_behind_a_request_for_encryption_end_the_connection() {
    let pooler = one_server("");
    for code in [SSL, GSS] {
        for behind in [startup("postgres"), b"\x16\x03\x01".to_vec(), b"x".to_vec()] {
            let mut conn = Conn::open(pooler.port());
            conn.send(&[first_packet(code, b""), behind].concat());
            assert_eq!(conn.until_closed().last_error().as_deref(), Some("FATAL 08P01"));
        }
        let mut conn = Conn::open(pooler.port());
        conn.send(&first_packet(code, b""));
        assert_eq!(conn.byte(), Some(b'N'));
        conn.send(&first_packet(code, b""));
        assert_eq!(conn.until_closed().last_error().as_deref(), Some("FATAL 08P01"), "asked twice");
    }
    let mut conn = Conn::open(pooler.port());
    for code in [GSS, SSL] {
        conn.send(&first_packet(code, b""));
        assert_eq!(conn.byte(), Some(b'N'));
    }
    conn.send(&startup("postgres"));
    assert!(conn.until_ready().kinds().ends_with('Z'), "each once is fine");
    all_is_well(&pooler);
}

#[test]
fn a_second_startup_message_is_no_message() {
    let pooler = one_server("");
    let mut conn = Conn::open(pooler.port());
    conn.send(&[startup("postgres"), startup("postgres")].concat());
    assert!(conn.until_ready().kinds().ends_with('Z'));
    assert_eq!(conn.until_closed().last_error().as_deref(), Some("FATAL 08P01"));
    let mut conn = Conn::log_in(pooler.port(), "postgres");
    conn.send(&startup("postgres"));
    assert_eq!(conn.until_closed().last_error().as_deref(), Some("FATAL 08P01"));
    all_is_well(&pooler);
}

/// Every head that PostgreSQL would not read.
pub fn wrong_heads() -> Vec<Vec<u8>> {
    let mut heads = Vec::new();
    for kind in 0..=u8::MAX {
        match (SMALL.contains(&kind), LARGE.contains(&kind)) {
            (true, _) => heads.extend([-1, 0, 1, 2, 3, 10_001, i32::MAX].map(|length| head(kind, length))),
            (_, true) => {
                heads.extend([i32::MIN, -1, 0, 1, 2, 3, 0x3fff_ffff, i32::MAX].map(|length| head(kind, length)))
            }
            _ => heads.push(head(kind, 4)),
        }
    }
    heads
}

fn every_wrong_head_is_refused(stage: &[&str], last: u8) {
    let pooler = one_server("");
    for bytes in wrong_heads() {
        let mut conn = Conn::log_in(pooler.port(), "postgres");
        for sql in stage {
            conn.send(&query(sql));
            conn.until_kind(last);
        }
        conn.send(&bytes);
        let heard = conn.until_closed();
        let shown = bytes.escape_ascii();
        assert_eq!(heard.last_error().as_deref(), Some("FATAL 08P01"), "{stage:?} {shown}: {heard:?}");
    }
    all_is_well(&pooler);
}

#[test]
fn a_wrong_head_ends_an_idle_connection() {
    every_wrong_head_is_refused(&[], b'Z');
}

#[test]
fn a_wrong_head_ends_a_transaction() {
    every_wrong_head_is_refused(&["BEGIN"], b'Z');
}

#[test]
fn a_wrong_head_ends_a_copy() {
    let kinds = "CREATE TABLE IF NOT EXISTS wrong_head (n text)";
    psql(shared_postgres().port(), kinds);
    every_wrong_head_is_refused(&["COPY wrong_head FROM STDIN"], b'G');
    assert_eq!(psql(shared_postgres().port(), "SELECT count(*) FROM wrong_head"), "0");
}

#[test]
fn a_wrong_head_ends_a_pipeline_and_what_was_not_synced_is_not_committed() {
    psql(shared_postgres().port(), "CREATE TABLE IF NOT EXISTS wrong_head_in_pipeline (n text)");
    let pooler = one_server("");
    let executed = crate::support::raw::extended("INSERT INTO wrong_head_in_pipeline VALUES ('lost')", &[]);
    for bytes in wrong_heads() {
        for (behind, heard_before) in [(&[][..], None), (&frame(b'H', b""), Some(b'C'))] {
            let mut conn = Conn::log_in(pooler.port(), "postgres");
            conn.send(&[&executed, behind].concat());
            if let Some(kind) = heard_before {
                conn.until_kind(kind);
            }
            conn.send(&bytes);
            let heard = conn.until_closed();
            let shown = bytes.escape_ascii();
            assert_eq!(heard.last_error().as_deref(), Some("FATAL 08P01"), "{shown}: {heard:?}");
        }
    }
    all_is_well(&pooler);
    assert_eq!(psql(shared_postgres().port(), "SELECT count(*) FROM wrong_head_in_pipeline"), "0");
}

#[test]
fn a_wrong_message_in_the_middle_of_scram_ends_the_connection() {
    let users = state().path().join("bad_input.users");
    state().write(&users, "\"postgres\" \"otter-postgres\"\n").unwrap_or_else(|error| panic!("{error}"));
    let pooler = PgOtter::start(|port| {
        let auth = format!("auth_type = \"scram-sha-256\"\nauth_file = \"{}\"", users.display());
        simple_config(port, shared_postgres(), "default_pool_size = 1").replace("auth_type = \"trust\"", &auth)
    });
    let initial = |mechanism: &str, length: i32, data: &str| {
        frame(b'p', &[mechanism.as_bytes(), b"\0", &length.to_be_bytes(), data.as_bytes()].concat())
    };
    let mut wrong: Vec<Vec<u8>> = wrong_heads().into_iter().filter(|bytes| bytes[0] != b'p').collect();
    wrong.extend([-1, 0, 3, 65_536, i32::MAX].map(|length| head(b'p', length)));
    wrong.extend([
        frame(b'p', b""),
        frame(b'p', b"SCRAM-SHA-256"),
        frame(b'p', b"SCRAM-SHA-256\0"),
        initial("SCRAM-SHA-512", 3, "n,,"),
        initial("SCRAM-SHA-256-PLUS", 3, "n,,"),
        initial("SCRAM-SHA-256", -1, ""),
        initial("SCRAM-SHA-256", 100, "n,,n=,r=abc"),
        initial("SCRAM-SHA-256", 0, ""),
        initial("SCRAM-SHA-256", 11, "n,,n=,r=\0\0\0"),
        initial("SCRAM-SHA-256", 8, "p=x,,n=,"),
        initial("SCRAM-SHA-256", 9, "n,a=x,n=,"),
        query("SELECT 1"),
    ]);
    for bytes in wrong {
        let mut conn = Conn::open(pooler.port());
        conn.send(&startup("postgres"));
        assert_eq!(conn.next().map(|(kind, _)| kind), Some(b'R'));
        conn.send(&bytes);
        let heard = conn.until_closed();
        let error = heard.last_error().unwrap_or_default();
        assert!(
            matches!(error.as_str(), "FATAL 08P01" | "FATAL 28P01" | "FATAL 0A000"),
            "{}: {heard:?}",
            bytes.escape_ascii()
        );
    }
    all_is_well(&pooler);
}

#[test]
fn half_a_frame_and_the_end_of_the_connection_leave_nothing() {
    let pooler = one_server("request_gather = 2048");
    psql(shared_postgres().port(), "CREATE TABLE IF NOT EXISTS half (n text)");
    let long = query(&format!("SELECT '{}'", "x".repeat(20_000)));
    let stages: [(&[&str], u8); 3] =
        [(&[], b'Z'), (&["BEGIN", "INSERT INTO half VALUES ('lost')"], b'Z'), (&["COPY half FROM STDIN"], b'G')];
    let row = frame(b'd', &[b'x'; 9_000]);
    let halves = [&long[..3], &long[..5], &long[..100], &long[..10_000], &row[..3], &row[..6], &row[..5_000]];
    for (stage, last) in stages {
        for half in halves {
            for reset in [false, true] {
                let mut conn = Conn::log_in(pooler.port(), "postgres");
                for sql in stage {
                    conn.send(&query(sql));
                    conn.until_kind(last);
                }
                conn.send(half);
                if reset { conn.reset() } else { drop(conn) }
            }
        }
        all_is_well(&pooler);
    }
    assert_eq!(psql(pooler.port(), "SELECT count(*) FROM half"), "0");
}

#[test]
fn half_a_frame_and_silence_holds_no_server() {
    let pooler = one_server("");
    let mut silent: Vec<Conn> = (0..5).map(|_| Conn::log_in(pooler.port(), "postgres")).collect();
    let whole = query("SELECT 'late'");
    silent.iter_mut().enumerate().for_each(|(at, conn)| conn.send(&whole[..2 + 3 * at]));
    all_is_well(&pooler);
    for (at, conn) in silent.iter_mut().enumerate() {
        conn.send(&whole[2 + 3 * at..]);
        assert_eq!(conn.until_ready().kinds(), "TDCZ");
    }
}

fn reserved_kib(pooler: &PgOtter) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pooler.id())).expect("it runs");
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.strip_suffix("kB")?.trim().parse().ok());
    size.expect("proc(5) has it")
}

#[test]
fn a_claim_of_a_gigabyte_costs_next_to_nothing() {
    const CLIENTS: u64 = 50;
    let pooler = one_server("");
    // What is reserved and never touched is not resident. An allocator may reserve some of it at once.
    const RESERVED_KIB_MAX: u64 = 4 << 20;
    for kind in LARGE {
        let mut conns: Vec<Conn> = (0..CLIENTS).map(|_| Conn::log_in(pooler.port(), "postgres")).collect();
        let before = (pooler.resident_kib(), reserved_kib(&pooler));
        for conn in &mut conns {
            conn.send(&head(*kind, 0x3fff_fffe));
        }
        all_is_well(&pooler);
        let resident = pooler.resident_kib().saturating_sub(before.0);
        let reserved = reserved_kib(&pooler).saturating_sub(before.1);
        let kind = kind.escape_ascii();
        assert!(resident < CLIENTS * 64, "{kind}: {resident} KiB for {CLIENTS} clients");
        assert!(reserved < RESERVED_KIB_MAX, "{kind}: {reserved} KiB reserved for {CLIENTS} clients");
    }
}

#[test]
fn f3_stray_copy_messages_and_syncs_are_answered_as_postgres_does() {
    let pooler = one_server("");
    let stray = [frame(b'd', b"1\n"), frame(b'c', b""), frame(b'f', b"why\0")].concat();
    let (sync, flush) = (frame(b'S', b""), frame(b'H', b""));
    let mut conn = Conn::log_in(pooler.port(), "postgres");
    conn.send(&[&stray, &flush, &sync, &stray, &query("SELECT 1"), &stray].map(Vec::as_slice).concat());
    assert_eq!(conn.until_ready().kinds(), "Z");
    assert_eq!(conn.until_ready().kinds(), "TDCZ");
    assert_eq!(conn.ask("BEGIN").kinds(), "CZ");
    conn.send(&stray);
    assert_eq!(conn.ask("SELECT 2").kinds(), "TDCZ");
    assert_eq!(conn.ask("COMMIT").kinds(), "CZ");
    all_is_well(&pooler);
}
