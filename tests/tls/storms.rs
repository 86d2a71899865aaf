//! Cancel requests in numbers, inside TLS and with TLS to the servers: each ends what its owner runs, and nothing else.

use super::raw::{Secure, error_code};
use super::world::{cluster, for_clients, has_tls, pgotter};
use crate::support::raw::{first_packet, query};
use pgotter::wire::startup::CANCEL_REQUEST;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

fn client(port: u16) -> (Secure, Vec<u8>) {
    let mut client = Secure::direct(port, &["postgresql"]).unwrap();
    let (pid, secret) = client.log_in();
    (client, first_packet(CANCEL_REQUEST, &[&pid.to_be_bytes()[..], &secret].concat()))
}

fn cancel(port: u16, request: &[u8]) {
    let mut connection = Secure::asked(port, &["postgresql"]).unwrap();
    connection.send(request);
    assert!(connection.ends_in_order(), "a cancel request is never answered");
}

/// Long statements must be cancelled; short ones, where the cancel races with the end, may be.
fn cancels_itself(port: u16) {
    let (mut client, request) = client(port);
    for _ in 0..4 {
        client.send(&query("SELECT pg_sleep(100)"));
        let ended = AtomicBool::new(false);
        let frames = thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    cancel(port, &request);
                }
            });
            let frames = client.until_ready();
            ended.store(true, Ordering::Relaxed);
            frames
        });
        assert_eq!(error_code(&frames).as_deref(), Some("57014"));
        client.send(&query("SELECT 1 FROM pg_sleep(0.001)"));
        cancel(port, &request);
        let code = error_code(&client.until_ready());
        assert!(code.is_none() || code.as_deref() == Some("57014"), "{code:?}");
    }
}

#[test]
fn a_storm_of_cancels_inside_tls_hits_owners_only() {
    if !has_tls("a storm of cancels") {
        return;
    }
    let lines = for_clients("require") + "server_tls_sslmode = \"require\"\ndefault_pool_size = 6\nworkers = 2\n";
    let pooler = pgotter(cluster().port(), &lines);
    let (port, cancelling) = (pooler.port(), AtomicBool::new(true));
    thread::scope(|scope| {
        let bystanders: Vec<_> = (0..12)
            .map(|number| {
                let cancelling = &cancelling;
                scope.spawn(move || {
                    let (mut client, _) = client(port);
                    while cancelling.load(Ordering::Relaxed) {
                        let value = client.value(&format!("SELECT '{number}' FROM pg_sleep(0.002)"));
                        assert_eq!(value, number.to_string(), "a foreign cancel");
                    }
                })
            })
            .collect();
        let owners: Vec<_> = (0..12).map(|_| scope.spawn(move || cancels_itself(port))).collect();
        let outcomes: Vec<_> = owners.into_iter().map(thread::ScopedJoinHandle::join).collect();
        cancelling.store(false, Ordering::Relaxed);
        bystanders.into_iter().for_each(|bystander| bystander.join().unwrap());
        outcomes.into_iter().for_each(|outcome| outcome.unwrap());
    });
}
