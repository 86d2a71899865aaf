//! No two SCRAM exchanges are alike, with clients and with servers: what was heard of one is worth nothing in another.

use super::place::{fresh_role, line, pgotter, pgotter_with};
use super::strangers::{ask, request, sasl_initial};
use super::tls::any_database;
use crate::support::raw::message;
use pgotter::auth::{Binding, NONCE_BYTES, ScramClient};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// What follows `r=`.
fn nonce(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message).into_owned();
    text.split(',').find_map(|field| field.strip_prefix("r=")).expect("a nonce").to_owned()
}

#[test]
fn every_client_is_given_another_nonce() {
    let role = fresh_role("trust");
    let pooler = pgotter("scram-sha-256", &line(&role.name, &role.password()));
    let scram = ScramClient::new(&[7; NONCE_BYTES], Binding::Impossible);
    let own = nonce(&scram.client_first());
    // Of one that nobody has as well.
    for user in [&role.name, "nobody"] {
        let ours: BTreeSet<_> = (0..10)
            .map(|_| {
                let mut client = ask(pooler.port(), user, "postgres");
                client.frame().unwrap();
                client.send(&sasl_initial(&scram.client_first()));
                let heard = client.frame().unwrap();
                nonce(request(&heard).1).strip_prefix(&own).expect("the client's half comes first").to_owned()
            })
            .collect();
        assert_eq!(ours.len(), 10, "{user}: {ours:?}");
        // 18 bytes, in base64.
        assert!(ours.iter().all(|nonce| nonce.len() >= 24), "{user}: {ours:?}");
    }
}

fn packet(stream: &mut TcpStream, head: usize) -> Vec<u8> {
    let mut start = vec![0; head + 4];
    stream.read_exact(&mut start).unwrap();
    let length = u32::from_be_bytes(*start.last_chunk().unwrap()) as usize;
    let mut body = vec![0; length - 4];
    stream.read_exact(&mut body).unwrap();
    body
}

#[test]
fn every_server_is_given_another_nonce() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = "server_tls_sslmode = \"disable\"\nserver_login_retry = \"10ms\"\n".to_owned();
    let databases = settings + &any_database(listener.local_addr().unwrap().port());
    let pooler = pgotter_with("trust", &line("otter", "river stone"), &databases);
    let _client = ask(pooler.port(), "otter", "postgres");
    let nonces: BTreeSet<_> = (0..5)
        .map(|_| {
            let (mut stream, _) = listener.accept().unwrap();
            packet(&mut stream, 0);
            stream.write_all(&message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0")).unwrap();
            nonce(&packet(&mut stream, 1))
        })
        .collect();
    assert_eq!(nonces.len(), 5, "{nonces:?}");
    assert!(nonces.iter().all(|nonce| nonce.len() >= 24), "{nonces:?}");
}
