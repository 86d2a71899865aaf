//! Clients that open a connection in other ways than psql does, right and wrong.

use super::raw::{Secure, error_code, plain};
use super::world::{cluster, config, for_clients, pgotter};
use crate::support::raw::{Raw, USER, first_packet, print, query, startup};
use crate::support::{PgOtter, state};
use pgotter::wire::startup::{CANCEL_REQUEST, GSSENC_REQUEST, SSL_REQUEST};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn direct_tls_needs_the_protocols_name() {
    let pooler = pgotter(cluster().port(), &for_clients("require"));
    let mut client = Secure::direct(pooler.port(), &["postgresql"]).unwrap();
    client.log_in();
    client.send(&query("SELECT 'direct'"));
    assert_eq!(error_code(&client.until_ready()), None);
    let mut several = Secure::direct(pooler.port(), &["http/1.1", "postgresql"]).unwrap();
    several.log_in();
    assert!(Secure::direct(pooler.port(), &["http/1.1"]).is_err(), "another protocol");
    // Whether the end comes inside the handshake or behind it, nothing is served.
    if let Ok(mut nameless) = Secure::direct(pooler.port(), &[]) {
        assert_eq!(nameless.until_ready(), []);
    }
}

#[test]
fn behind_an_ssl_request_the_protocols_name_may_be_left_out_but_not_be_another() {
    let pooler = pgotter(cluster().port(), &for_clients("allow"));
    Secure::asked(pooler.port(), &[]).unwrap().log_in();
    Secure::asked(pooler.port(), &["postgresql"]).unwrap().log_in();
    assert!(Secure::asked(pooler.port(), &["http/1.1"]).is_err());
}

#[test]
fn without_tls_direct_tls_is_closed_and_an_ssl_request_answered_with_no() {
    let pooler = pgotter(cluster().port(), "");
    assert!(Secure::direct(pooler.port(), &["postgresql"]).is_err());
    let mut client = Raw::connect(pooler.port());
    client.send(&first_packet(SSL_REQUEST, &[]));
    assert_eq!(client.byte(), Some(b'N'));
    client.send(&startup(3, 0, USER));
    client.welcomed();
}

#[test]
fn what_is_smuggled_in_plain_behind_a_request_for_encryption_ends_the_connection() {
    for mode in ["disable", "require"] {
        let pooler = pgotter(cluster().port(), &for_clients(mode));
        for (request, name) in [(SSL_REQUEST, "SSL"), (GSSENC_REQUEST, "GSSAPI encryption")] {
            let mut client = Raw::connect(pooler.port());
            client.send(&[first_packet(request, &[]), startup(3, 0, USER)].concat());
            let said = print(&client.until_end());
            assert!(said.contains("C08P01"), "{mode} {said}");
            assert!(said.contains(&format!("received unencrypted data after {name} request")), "{mode} {said}");
        }
    }
}

#[test]
fn encryption_is_asked_for_once() {
    let pooler = pgotter(cluster().port(), &for_clients("prefer"));
    for request in [SSL_REQUEST, GSSENC_REQUEST] {
        for direct in [false, true] {
            let secure = if direct { Secure::direct } else { Secure::asked };
            let mut client = secure(pooler.port(), &["postgresql"]).unwrap();
            client.send(&first_packet(request, &[]));
            assert_eq!(error_code(&client.until_ready()).as_deref(), Some("08P01"));
        }
    }
    // GSSAPI first, TLS then, as libpq does it.
    let mut client = plain(pooler.port());
    client.write_all(&first_packet(GSSENC_REQUEST, &[])).unwrap();
    let mut said = [0];
    client.read_exact(&mut said).unwrap();
    client.write_all(&first_packet(SSL_REQUEST, &[])).unwrap();
    let mut then = [0];
    client.read_exact(&mut then).unwrap();
    assert_eq!((&said, &then), (b"N", b"S"));
}

#[test]
fn what_does_not_become_tls_is_closed() {
    let pooler = pgotter(cluster().port(), &for_clients("prefer"));
    for nonsense in [&[0x16, 3, 1, 0xff, 0xff, 1][..], &[0x16; 300], &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]] {
        let mut client = plain(pooler.port());
        client.write_all(nonsense).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        // An alert, or nothing; a reset is an end as well.
        let _ = client.read_to_end(&mut rest);
        assert!(rest.is_empty() || rest[0] == 0x15, "{rest:?}");
    }
    Secure::asked(pooler.port(), &[]).unwrap().log_in();
}

#[test]
fn a_cancel_request_inside_tls_reaches_its_statement() {
    let pooler = pgotter(cluster().port(), &for_clients("require"));
    for direct in [false, true] {
        let secure = if direct { Secure::direct } else { Secure::asked };
        let mut client = secure(pooler.port(), &["postgresql"]).unwrap();
        let (pid, secret) = client.log_in();
        client.send(&query("SELECT pg_sleep(100)"));
        let cancel = first_packet(CANCEL_REQUEST, &[&pid.to_be_bytes()[..], &secret].concat());
        let cancelled = AtomicBool::new(false);
        let frames = std::thread::scope(|scope| {
            // The first may come before the statement.
            scope.spawn(|| {
                while !cancelled.load(Ordering::Relaxed) {
                    let mut connection = secure(pooler.port(), &["postgresql"]).unwrap();
                    connection.send(&cancel);
                    assert!(connection.ends_in_order());
                }
            });
            let frames = client.until_ready();
            cancelled.store(true, Ordering::Relaxed);
            frames
        });
        assert_eq!(error_code(&frames).as_deref(), Some("57014"));
    }
}

#[test]
fn clients_of_the_unix_socket_need_no_tls_and_get_none() {
    let folder = state().path().to_owned();
    let pooler = PgOtter::start(|port| {
        let lines = for_clients("require") + &format!("unix_socket_dir = {folder:?}\n");
        config(port, &format!("localhost:{}", cluster().port()), &lines, "")
    });
    let socket = folder.join(format!(".s.PGSQL.{}", pooler.port()));
    // TCP is listened on first.
    let mut client = std::iter::repeat_with(|| UnixStream::connect(&socket)).find_map(Result::ok).unwrap();
    client.write_all(&first_packet(SSL_REQUEST, &[])).unwrap();
    let mut said = [0];
    client.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"N");
    client.write_all(&startup(3, 0, USER)).unwrap();
    client.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"R", "authentication goes on");
}

#[test]
fn a_bad_certificate_file_is_a_mistake_that_names_it() {
    let bad = super::world::file("bad.crt", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
    let lines = for_clients("require");
    let without = |setting: &str| {
        lines.lines().filter(|line| !line.starts_with(setting)).map(|line| format!("{line}\n")).collect::<String>()
    };
    let pooler = without("client_tls_cert_file") + &format!("client_tls_cert_file = {bad:?}\n");
    let port = pgotter::cli::ports::free_port();
    let text = config(port, "localhost:1", &pooler, "");
    let error = PgOtter::try_start(&text, port).err().unwrap().to_string();
    assert!(error.contains("client_tls_cert_file") && error.contains("bad.crt"), "{error}");
    assert!(error.contains("nothing was applied"), "{error}");
}
