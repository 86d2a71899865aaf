//! Lengths at every stage: in a COPY OUT, in a failed transaction, while a server is waited for, and inside TLS a message is believed
//! as far as PostgreSQL would believe it there.

use super::raw::{Conn, frame, head, query};
use crate::support::raw::{first_packet, startup};
use crate::support::{PgOtter, psql, shared_postgres};
use crate::tls::raw::{Secure, plain};
use crate::tls::world::for_clients;
use pgotter::wire::backend::error_field;
use pgotter::wire::startup::SSL_REQUEST;
use std::io::{Read, Write};

type Frames = Vec<(u8, Vec<u8>)>;

/// Each type of message with right and wrong lengths: the bytes, and what they are.
fn messages() -> impl Iterator<Item = (Vec<u8>, String)> {
    let lengths = [i32::MIN, -1, 0, 3, 4, 5, 9, 10_000, 10_001, i32::MAX];
    let kinds = b"QPBEDCHSFdcfXp".iter();
    kinds.flat_map(move |kind| {
        lengths.map(|length| {
            let body = usize::try_from(length).ok().filter(|length| *length < 20_000).unwrap_or_default();
            let bytes = [head(*kind, length), vec![0; body.saturating_sub(4)]].concat();
            (bytes, format!("{} {length}", char::from(*kind)))
        })
    })
}

/// Types of the frames and SQLSTATEs behind such a message, until the connection is in step, or "closed". Notices count for nothing.
fn outcome(bytes: &[u8], send: impl FnOnce(&[u8]), mut until_ready: impl FnMut() -> Frames) -> String {
    send(&[bytes, &frame(b'S', b""), &query("ROLLBACK"), &query("SELECT 'in step'")].concat());
    let mut heard = String::new();
    loop {
        let frames = until_ready();
        for (kind, body) in frames.iter().filter(|(kind, _)| *kind != b'N') {
            heard.push(char::from(*kind));
            if *kind == b'E' {
                heard += &String::from_utf8_lossy(error_field(body, b'C').unwrap_or_default());
            }
        }
        match frames.last() {
            Some((b'Z', _)) if heard.ends_with("DCZ") && frames.iter().any(|(_, body)| body.ends_with(b"in step")) => {
                return heard;
            }
            Some((b'Z', _)) => (),
            _ => return "closed".to_owned(),
        }
    }
}

fn outcome_at(port: u16, bytes: &[u8], reach: impl FnOnce(&mut Conn)) -> String {
    let mut conn = Conn::log_in(port, "postgres");
    reach(&mut conn);
    let conn = std::cell::RefCell::new(conn);
    outcome(bytes, |bytes| conn.borrow_mut().send(bytes), || conn.borrow_mut().until_ready().frames)
}

/// At a stage that `sql` and its first answer of type `last` lead to.
fn as_with_postgresql(sql: &str, last: u8) {
    let server = shared_postgres();
    let pooler = PgOtter::in_front_of(server, "default_pool_size = 1");
    for (bytes, what) in messages() {
        let outcomes = [server.port(), pooler.port()].map(|port| {
            outcome_at(port, &bytes, |conn| {
                conn.send(&query(sql));
                assert_eq!(conn.until_kind(last).frames.last().map(|(kind, _)| *kind), Some(last), "{what}");
            })
        });
        assert_eq!(outcomes[1], outcomes[0], "{sql}: {what}");
    }
    assert_eq!(psql(pooler.port(), "SELECT 'honest'"), "honest");
    assert!(!pooler.log().contains("panicked"), "{}", pooler.log());
}

#[test]
fn a_message_of_any_length_in_a_copy_out_goes_on_or_ends_as_with_postgresql() {
    // More than lies between PostgreSQL and a client that reads nothing.
    as_with_postgresql("COPY (SELECT repeat('x', 10000) FROM generate_series(1, 100)) TO STDOUT", b'H');
}

#[test]
fn a_message_of_any_length_in_a_failed_transaction_goes_on_or_ends_as_with_postgresql() {
    as_with_postgresql("BEGIN; SELECT 1/0", b'Z');
}

#[test]
fn a_message_of_any_length_from_one_who_waits_for_a_server_goes_on_or_ends_as_with_postgresql() {
    let server = shared_postgres();
    let pooler = PgOtter::in_front_of(server, "default_pool_size = 1\nquery_wait_notify = \"1ms\"");
    let mut holder = Conn::log_in(pooler.port(), "postgres");
    for (bytes, what) in messages() {
        holder.ask("BEGIN; SELECT 1");
        let direct = outcome_at(server.port(), &bytes, |conn| conn.send(&query("SELECT 1")));
        let mut waiting = Conn::log_in(pooler.port(), "postgres");
        waiting.send(&query("SELECT 1"));
        waiting.until_kind(b'N');
        let (waiting, holder) = (std::cell::RefCell::new(waiting), &mut holder);
        let send = |bytes: &[u8]| {
            waiting.borrow_mut().send(bytes);
            holder.ask("COMMIT");
        };
        let pooled = outcome(&bytes, send, || waiting.borrow_mut().until_ready().frames);
        assert_eq!(pooled, direct, "{what}");
    }
    assert!(!pooler.log().contains("panicked"), "{}", pooler.log());
}

#[test]
fn a_message_of_any_length_inside_tls_goes_on_or_ends_as_with_postgresql() {
    let server = shared_postgres();
    let pooler = PgOtter::in_front_of(server, &format!("default_pool_size = 1\n{}", for_clients("require")));
    for (bytes, what) in messages() {
        let direct = outcome_at(server.port(), &bytes, |_| ());
        let mut secure = Secure::asked(pooler.port(), &[]).unwrap();
        secure.log_in();
        let secure = std::cell::RefCell::new(secure);
        let pooled = outcome(&bytes, |bytes| secure.borrow_mut().send(bytes), || secure.borrow_mut().until_ready());
        assert_eq!(pooled, direct, "{what}");
    }
    assert!(!pooler.log().contains("panicked"), "{}", pooler.log());
}

#[test]
fn a_plain_startup_message_behind_the_s_of_an_sslrequest_ends_the_connection() {
    for mode in ["allow", "require"] {
        let pooler = PgOtter::in_front_of(shared_postgres(), &for_clients(mode));
        let mut stream = plain(pooler.port());
        stream.write_all(&first_packet(SSL_REQUEST, &[])).unwrap();
        let mut answer = [0];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"S");
        stream.write_all(&startup(3, 0, &[("user", "postgres"), ("database", "postgres")])).unwrap();
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        // An alert of TLS, and nothing in plain.
        assert!(heard.is_empty() || heard[0] == 0x15, "{mode}: {heard:?}");
        Secure::asked(pooler.port(), &[]).unwrap().log_in();
        assert!(!pooler.log().contains("panicked"), "{}", pooler.log());
    }
}

#[test]
fn a_short_message_that_is_full_to_its_end_has_no_room_for_another_name() {
    let pooler = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1");
    for kind in *b"CDE" {
        for length in 9_960..=10_000 {
            let mut body = vec![b'x'; length - 4];
            body[..5].copy_from_slice(b"Sabc\0");
            let mut client = Conn::log_in(pooler.port(), "postgres");
            client.ask("BEGIN; SELECT 1");
            client.send(&[frame(kind, &body), frame(b'S', b"")].concat());
            let heard = client.until_ready().frames;
            assert!(heard.iter().any(|(kind, _)| *kind == b'E'), "{} {length}", char::from(kind));
        }
    }
    assert!(!pooler.log().contains("panicked"), "{}", pooler.log());
    assert_eq!(Conn::log_in(pooler.port(), "postgres").ask("SELECT 1").kinds(), "TDCZ");
}
