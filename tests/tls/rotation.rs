//! Certificates that are replaced while clients come, work and stay.

use super::certificates::{Authority, Identity};
use super::raw::{Secure, error_code};
use super::world::{cluster, config, file, files, for_servers, ours, root, secure_postgres, showing, strangers};
use crate::support::talk::Client;
use crate::support::waiting::{eventually, reload};
use crate::support::{PgOtter, SetAtEnd, must};
use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use x509_parser::prelude::{FromDer, X509Certificate};

/// What has not happened by then never will.
const PATIENCE: Duration = Duration::from_secs(30);

/// A PgOtter whose certificate lies where nobody else's does.
struct Place {
    pooler: PgOtter,
    name: &'static str,
    identity: [PathBuf; 2],
}

impl Place {
    fn new(name: &'static str, mode: &str) -> Self {
        let identity = files(name, &signed());
        let pooler = PgOtter::start(|port| text(port, mode, &identity, ""));
        Self { pooler, name, identity }
    }

    fn port(&self) -> u16 {
        self.pooler.port()
    }

    /// Puts another certificate and key into its files.
    fn write(&self, certificate: &str, key: &str) {
        file(&format!("{}.crt", self.name), certificate);
        file(&format!("{}.key", self.name), key);
    }

    /// Sends SIGHUP and waits until everything has been read; whether it is in force.
    fn reload(&mut self) -> bool {
        let ended = |word| move |pooler: &PgOtter| pooler.log().matches(word).count();
        let (done, refused) = (ended("configuration reloaded"), ended("reload refused"));
        let before = (done(&self.pooler), refused(&self.pooler));
        self.pooler.signal(Signal::HUP);
        let since = Instant::now();
        loop {
            let now = (done(&self.pooler), refused(&self.pooler));
            if now != before {
                return now.0 > before.0;
            }
            assert!(since.elapsed() < PATIENCE && self.pooler.ended().is_none(), "no reload");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The certificate that a new client is shown.
    fn shown(&self) -> Vec<u8> {
        Secure::asked(self.port(), &["postgresql"]).unwrap().certificate()
    }
}

fn signed() -> Identity {
    ours().sign("pgotter", &["localhost"])
}

fn text(port: u16, mode: &str, identity: &[PathBuf; 2], more: &str) -> String {
    let lines = showing(mode, identity) + "server_tls_sslmode = \"require\"\nworkers = 2\n" + more;
    config(port, &format!("localhost:{}", cluster().port()), &lines, "")
}

fn der(identity: &Identity) -> Vec<u8> {
    CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap().to_vec()
}

#[test]
fn f31_a_hundred_rotations_under_load_fail_no_handshake_and_drop_nobody() {
    let mut place = Place::new("rotating", "require");
    let (port, over, come) = (place.port(), AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let end = SetAtEnd(&over);
        let load = |stays: bool| {
            let (over, come) = (&over, &come);
            move || {
                let mut handshakes = 0;
                while !over.load(Ordering::Relaxed) {
                    let secure = if handshakes % 2 == 0 { Secure::asked } else { Secure::direct };
                    let mut client = secure(port, &["postgresql"]).expect("a handshake");
                    client.log_in();
                    handshakes += 1;
                    come.fetch_add(1, Ordering::Relaxed);
                    loop {
                        assert_eq!(error_code(&client.ask("BEGIN -- with a server")), None);
                        let backend = client.value("SELECT pg_backend_pid()");
                        assert_eq!(client.value("SELECT pg_backend_pid()"), backend, "it moved in a transaction");
                        assert_eq!(error_code(&client.ask("COMMIT")), None);
                        if !stays || over.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                }
                handshakes
            }
        };
        let clients: Vec<_> = (0..6).map(|number| scope.spawn(load(number < 3))).collect();
        for round in 0..100 {
            let fresh = signed();
            place.write(&fresh.certificate, &fresh.key);
            // Each reload changes something else besides.
            let more = format!("default_pool_size = {}\n", 2 + round % 4);
            std::fs::write(place.pooler.config_file(), text(port, "require", &place.identity, &more)).unwrap();
            assert!(place.reload(), "refused:\n{}", place.pooler.log());
            let before = come.load(Ordering::Relaxed);
            eventually("somebody comes meanwhile", || come.load(Ordering::Relaxed) > before);
            if round % 10 == 0 {
                assert_eq!(place.shown(), der(&fresh), "a new client sees the new one");
            }
        }
        drop(end);
        let handshakes: Vec<usize> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        println!("handshakes by client: {handshakes:?}");
        assert_eq!(handshakes[..3], [1; 3], "who stays was dropped");
    });
    let log = place.pooler.log();
    assert!(!log.contains("panicked") && !log.contains("handshake failed"), "{log}");
}

#[test]
fn f31_a_bad_certificate_is_refused_and_the_one_in_force_goes_on() {
    let mut place = Place::new("spoiling", "prefer");
    let mut stays = Secure::asked(place.port(), &[]).unwrap();
    stays.log_in();
    let before = place.shown();
    let (good, other) = (signed(), signed());
    let half = &good.certificate[..good.certificate.len() / 2];
    let empty_certificate = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
    for (what, certificate, key) in [
        ("no certificate", "nonsense\n", &*good.key),
        ("an empty file", "", &good.key),
        ("half a certificate", half, &good.key),
        ("an empty certificate", empty_certificate, &good.key),
        ("no key", &good.certificate, "nonsense\n"),
        ("a certificate as a key", &good.certificate, &good.certificate),
        ("another's key", &good.certificate, &other.key),
    ] {
        place.write(certificate, key);
        assert!(!place.reload(), "{what} is in force");
        assert_eq!(place.shown(), before, "{what}");
        assert_eq!(stays.value("SELECT 'still here'"), "still here", "{what}");
    }
    std::fs::remove_file(&place.identity[0]).unwrap();
    assert!(!place.reload(), "a missing file is in force");
    assert_eq!(place.shown(), before);
    let log = place.pooler.log();
    assert!(log.contains("client_tls_cert_file") && log.contains("client_tls_key_file"), "{log}");
    place.write(&good.certificate, &good.key);
    assert!(place.reload());
    assert_eq!(place.shown(), der(&good));
    assert_eq!(stays.certificate(), before, "a session that has begun has the certificate it began with");
    assert_eq!(stays.value("SELECT 'still here'"), "still here");
}

#[test]
fn f31_whom_servers_are_checked_against_is_replaced_with_everything_else() {
    let trust = |authority: &Authority| file("trusted.crt", &authority.certificate);
    let lines = |trusted: &PathBuf| format!("server_tls_sslmode = \"verify-full\"\nserver_tls_ca_file = {trusted:?}\n");
    let host = format!("localhost:{}", cluster().port());
    let trusted = trust(strangers());
    let mut pooler = PgOtter::start(|port| config(port, &host, &lines(&trusted), ""));
    let log_in = |pooler: &PgOtter| {
        let mut client = crate::support::raw::Raw::connect(pooler.port());
        client.send(&crate::support::raw::startup(3, 0, crate::support::raw::USER));
        client.until_ready().last().is_some_and(|frame| frame.kind == b'Z')
    };
    assert!(!log_in(&pooler), "a stranger's word was taken");
    trust(ours());
    pooler.signal(Signal::HUP);
    let since = Instant::now();
    while !log_in(&pooler) {
        assert!(since.elapsed() < PATIENCE, "the authority is not replaced");
    }
}

#[test]
fn f31_what_servers_are_shown_is_replaced_with_everything_else() {
    let server = secure_postgres(ours(), &["hostssl all shown 127.0.0.1/32 cert"]);
    must(server.psql("postgres", "CREATE ROLE shown LOGIN"));
    let [old, new] = [(); 2].map(|()| ours().sign("shown", &[]));
    let [certificate, key] = files("shown", &old);
    let shown =
        format!("server_tls_cert_file = {certificate:?}\nserver_tls_key_file = {key:?}\nadmin_users = \"boss\"");
    let lines = for_servers("verify-full", &root()) + &shown;
    let mut pooler = PgOtter::start(|port| config(port, &format!("localhost:{}", server.port()), &lines, ""));
    let mut client = Client::connect(pooler.port(), "shown", "postgres");
    let mut sees = || client.value("SELECT client_serial FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    assert_eq!(sees(), serial(&old));
    files("shown", &new);
    assert!(reload(&mut pooler));
    assert_eq!(sees(), serial(&old), "a server that is open keeps what it was shown");
    let mut console = Client::connect(pooler.port(), "boss", "pgbouncer");
    assert_eq!(console.query("RECONNECT").tags, ["RECONNECT"]);
    assert_eq!(sees(), serial(&new));
}

/// As PostgreSQL writes it.
fn serial(identity: &Identity) -> String {
    let der = der(identity);
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    certificate.serial.to_string()
}

#[test]
fn who_has_shaken_hands_before_certificates_were_asked_for_must_come_again() {
    let mut place = Place::new("stricter", "require");
    let secure = |port| Secure::asked(port, &["postgresql"]).unwrap();
    let [mut late, mut unchanged] = [(); 2].map(|()| secure(place.port()));
    // Another certificate of ours admits whom the last one did.
    let fresh = signed();
    place.write(&fresh.certificate, &fresh.key);
    assert!(place.reload());
    unchanged.log_in();
    let ca = format!("client_tls_ca_file = {:?}\n", root());
    std::fs::write(place.pooler.config_file(), text(place.port(), "verify-ca", &place.identity, &ca)).unwrap();
    assert!(place.reload());
    late.send(&crate::support::raw::startup(3, 0, crate::support::raw::USER));
    assert_eq!(error_code(&late.until_ready()).as_deref(), Some("57P03"));
    assert_eq!(unchanged.value("SELECT 'still here'"), "still here");
}
