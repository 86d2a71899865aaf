//! Records are small, and tell what was written into them.

use super::*;
use crate::clock;

/// The counts in front of what an `Arc` holds.
const COUNTS: usize = 2 * size_of::<usize>();

#[test]
fn a_record_stays_small() {
    // A client's comes with two pointers to what it belongs to.
    assert!(COUNTS + size_of::<ClientActivity>() + 16 <= 120, "{}", size_of::<ClientActivity>());
    assert!(COUNTS + size_of::<ServerActivity>() <= 120, "{}", size_of::<ServerActivity>());
}

#[test]
fn a_client_is_seen_as_it_was_last_written() {
    let start = clock::now();
    let client = ClientActivity::new(ClientId(7), Line::default(), start);
    let seen = || {
        let seen = client.seen("me".to_owned(), "shop".to_owned(), b"psql".to_vec());
        assert_eq!((seen.id, seen.connected, seen.line), (ClientId(7), start, Line::default()));
        assert_eq!((&*seen.user, &*seen.database, &*seen.application_name), ("me", "shop", &b"psql"[..]));
        (seen.state, seen.requested)
    };
    assert_eq!(seen(), (ClientState::Idle, start));
    let later = start + Duration::new(3_000_000_000, 5);
    client.requests(later);
    let rest = || client.seen(String::new(), String::new(), Vec::new()).rest;
    for asked in [Rest::No, Rest::InTransaction, Rest::Between] {
        client.rests(asked);
        assert_eq!((rest(), seen().1), (asked, later));
    }
    client.requests(later);
    assert_eq!(rest(), Rest::No);
    for state in [ClientState::Waiting, ClientState::Active(ServerId(1)), ClientState::Idle] {
        client.does(state);
        assert_eq!(seen(), (state, later));
    }
}

#[test]
fn a_server_is_outdated_once_there_is_a_newer_generation() {
    let start = clock::now();
    let server = ServerActivity::new(ServerId(7), Line::default(), 3, start);
    server.requests(start + Duration::from_millis(1));
    for state in [ServerState::InRepair, ServerState::Active(ClientId(1)), ServerState::Idle] {
        server.does(state);
        let seen = server.seen(3);
        assert_eq!((seen.state, seen.outdated), (state, false));
        assert_eq!(seen.requested - seen.connected, Duration::from_millis(1));
    }
    assert!(server.seen(4).outdated);
    assert!(server.outdate() && !server.outdate(), "once");
    assert!(server.seen(1).outdated, "whatever the configuration");
}

#[test]
fn an_unknown_cipher_suite_is_still_encrypted() {
    assert_eq!([0, 0x1302, 1].map(cipher_suite_name), ["", "TLSv1.3/TLS_AES_256_GCM_SHA384", "TLS"]);
}
