//! TLS towards PostgreSQL, with every sslmode, and towards servers that do it wrong.

use super::proxy::Proxy;
use super::world::{
    cluster, config, file, files, for_servers, has_tls, ours, pgotter, root, secure_postgres, strangers,
};
use crate::support::raw::{Raw, query};
use crate::support::{PgOtter, shared_postgres};
use pgotter::cli::local_postgres::SUPERUSER;
use pgotter::cli::ports;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

const IS_SECURE: &str = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

/// Whether the server of a client of this PgOtter is reached over TLS; else what the client hears.
fn secure(pooler: &PgOtter) -> Result<bool, String> {
    let mut client = Raw::connect(pooler.port());
    client.send(&crate::support::raw::startup(3, 0, crate::support::raw::USER));
    let frames = client.until_ready();
    if let Some(error) = frames.iter().find(|frame| frame.kind == b'E') {
        return Err(error.field(b'M').unwrap());
    }
    Ok(client.value(IS_SECURE) == "t")
}

#[test]
fn servers_are_reached_as_the_sslmode_says() {
    if !has_tls("sslmodes towards servers") {
        return;
    }
    let with = cluster().port();
    let without = shared_postgres().port();
    for (mode, port, expected) in [
        ("disable", with, Ok(false)),
        ("allow", with, Ok(false)),
        ("prefer", with, Ok(true)),
        ("require", with, Ok(true)),
        ("allow", without, Ok(false)),
        ("prefer", without, Ok(false)),
        ("require", without, Err("server does not support SSL, but SSL was required")),
    ] {
        let outcome = secure(&pgotter(port, &format!("server_tls_sslmode = \"{mode}\"")));
        match (&outcome, expected) {
            (Err(said), Err(part)) => assert!(said.contains(part), "{mode}: {said}"),
            _ => assert_eq!(outcome.clone().ok(), expected.ok(), "{mode}: {outcome:?}"),
        }
    }
    assert_eq!(secure(&pgotter(with, "")), Ok(true), "prefer is the default");
}

/// What /ready says of a database on this host, which has TLS.
fn ready(host: &str, pooler: &str) -> String {
    let http = ports::free_port();
    let rest = format!("[databases.known]\ndbname = \"postgres\"\nhosts = [\"{host}\"]\n");
    let rest = format!("{rest}[http]\nlisten = \"127.0.0.1:{http}\"");
    let _pooler = PgOtter::start(|port| config(port, host, pooler, &rest));
    let mut stream = TcpStream::connect(("127.0.0.1", http)).unwrap();
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said.lines().next_back().unwrap_or_default().to_owned()
}

#[test]
fn ready_believes_a_server_only_as_far_as_a_login_does() {
    if !has_tls("/ready over TLS") {
        return;
    }
    let port = cluster().port();
    let verified = for_servers("verify-full", &root());
    assert_eq!(ready(&format!("localhost:{port}"), &verified), "ok");
    let other = ready(&format!("127.0.0.1:{port}"), &verified);
    assert!(other.contains("cannot connect to the server: "), "its certificate is for localhost: {other}");
}

#[test]
fn what_pg_hba_wants_is_tried_second() {
    if !has_tls("pg_hba.conf with hostssl") {
        return;
    }
    let only_tls = secure_postgres(ours(), &["hostnossl all all all reject"]);
    let only_plain = secure_postgres(ours(), &["hostssl all all all reject"]);
    for (mode, server, expected) in [
        ("allow", &only_tls, Some(true)),
        ("prefer", &only_tls, Some(true)),
        ("disable", &only_tls, None),
        ("prefer", &only_plain, Some(false)),
        ("allow", &only_plain, Some(false)),
        ("require", &only_plain, None),
    ] {
        let outcome = secure(&pgotter(server.port(), &format!("server_tls_sslmode = \"{mode}\"")));
        assert_eq!(outcome.clone().ok(), expected, "{mode}: {outcome:?}");
    }
}

#[test]
fn a_server_must_show_a_certificate_of_the_right_authority_and_name() {
    if !has_tls("certificates of servers") {
        return;
    }
    let stranger = secure_postgres(strangers(), &[]);
    let foreign = file("strangers.crt", &strangers().certificate);
    for (mode, server, host, root, expected) in [
        ("verify-ca", cluster(), "127.0.0.1", root(), Ok(true)),
        ("verify-ca", &stranger, "localhost", root(), Err("UnknownIssuer")),
        ("verify-ca", &stranger, "localhost", foreign.clone(), Ok(true)),
        ("verify-full", cluster(), "localhost", root(), Ok(true)),
        ("verify-full", cluster(), "127.0.0.1", root(), Err("not valid for name")),
        ("verify-full", cluster(), "localhost", foreign, Err("UnknownIssuer")),
        ("verify-full", &stranger, "localhost", root(), Err("UnknownIssuer")),
    ] {
        let lines = for_servers(mode, &root);
        let pooler = PgOtter::start(|port| config(port, &format!("{host}:{}", server.port()), &lines, ""));
        let outcome = secure(&pooler);
        match (&outcome, expected) {
            (Err(said), Err(part)) => assert!(said.contains(part), "{mode} {host}: {said}"),
            _ => assert_eq!(outcome.clone().ok(), expected.ok(), "{mode} {host}: {outcome:?}"),
        }
    }
}

#[test]
fn the_systems_authorities_do_for_verify_full() {
    if !has_tls("the system's authorities") {
        return;
    }
    let (host, trusted) = (format!("localhost:{}", cluster().port()), root());
    let lines = "server_tls_sslmode = \"verify-full\"";
    for (file, expected) in [(trusted, Some(true)), (file("strangers.crt", &strangers().certificate), None)] {
        let environment = [("SSL_CERT_FILE", file.to_str().unwrap())];
        let outcome = secure(&PgOtter::start_with(|port| config(port, &host, lines, ""), &environment));
        assert_eq!(outcome.clone().ok(), expected, "{outcome:?}");
    }
}

#[test]
fn our_certificate_is_shown_to_servers_that_ask_for_it() {
    if !has_tls("our certificate for servers") {
        return;
    }
    let server = secure_postgres(ours(), &["hostssl all all all cert", "host all all all reject"]);
    let [certificate, key] = files("pooler-client", &ours().sign(SUPERUSER, &[]));
    let lines = format!(
        "server_tls_sslmode = \"require\"\nserver_tls_cert_file = {certificate:?}\nserver_tls_key_file = {key:?}\n"
    );
    assert_eq!(secure(&pgotter(server.port(), &lines)), Ok(true));
    assert!(secure(&pgotter(server.port(), "server_tls_sslmode = \"require\"")).is_err());
}

#[test]
fn the_unix_socket_has_no_tls_whatever_is_asked_for() {
    let folder = cluster().socket_dir().display();
    let lines = for_servers("verify-full", &root());
    let pooler = PgOtter::start(|port| config(port, &format!("{folder}:{}", cluster().port()), &lines, ""));
    assert_eq!(secure(&pooler), Ok(false));
}

#[test]
fn a_cancel_takes_tls_where_its_server_has_it() {
    if !has_tls("cancel over TLS") {
        return;
    }
    const CANCEL_REQUEST: [u8; 8] = [0, 0, 0, 16, 4, 210, 22, 46];
    for (mode, in_plain) in [("require", false), ("disable", true)] {
        let proxy = Proxy::before(cluster().port(), 0);
        let pooler = proxy.behind_pgotter(&format!("server_tls_sslmode = \"{mode}\""));
        let mut client = Raw::log_in(pooler.port(), &[]);
        let before = proxy.connections();
        client.send(&query("SELECT pg_sleep(100)"));
        let body = [&client.pid.to_be_bytes()[..], &client.secret].concat();
        while proxy.connections() == before || client.hears_nothing() {
            // The first may come before the statement, here or at PostgreSQL.
            let mut cancel = Raw::connect(pooler.port());
            cancel.send(&crate::support::raw::first_packet((1234 << 16) | 5678, &body));
            assert_eq!(cancel.byte(), None);
        }
        let frames = client.until_ready();
        assert_eq!(crate::support::raw::error_code(&frames).as_deref(), Some("57014"), "{mode}");
        assert_eq!(proxy.has_heard(&CANCEL_REQUEST), in_plain, "{mode}");
    }
}

/// A server that answers the SSLRequest with these bytes and passes on what it hears behind that, up to the end.
fn scripted(answer: &'static [u8]) -> (u16, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heard, hears) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 8];
            if stream.read_exact(&mut request).is_ok() && request == [0, 0, 0, 8, 4, 210, 22, 47] {
                let _ = stream.write_all(answer);
            }
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            if heard.send(rest).is_err() {
                return;
            }
        }
    });
    (port, hears)
}

#[test]
fn nothing_is_said_to_a_server_that_smuggles_or_refuses_tls() {
    for (mode, answer, reason) in [
        ("require", &b"SR\0\0\0\x08\0\0\0\0"[..], "received unencrypted data after SSL response"),
        ("prefer", b"SR\0\0\0\x08\0\0\0\0", "received unencrypted data after SSL response"),
        ("prefer", b"NR\0\0\0\x08\0\0\0\0", "received unencrypted data after SSL response"),
        ("require", b"N", "server does not support SSL"),
        ("verify-full", b"N", "server does not support SSL"),
        ("prefer", b"X", "received invalid response to SSL negotiation"),
        ("require", b"E\0\0\0\x09Mno\0\0", "received invalid response to SSL negotiation"),
    ] {
        let (port, hears) = scripted(answer);
        let lines = if mode == "verify-full" {
            for_servers(mode, &root())
        } else {
            format!("server_tls_sslmode = \"{mode}\"\n")
        };
        let said = secure(&pgotter(port, &lines)).unwrap_err();
        assert!(said.contains(reason), "{mode}: {said}");
        assert_eq!(hears.recv().unwrap(), b"", "{mode} {answer:?}");
    }
}

#[test]
fn servers_that_were_reached_otherwise_are_replaced_when_a_reload_changes_the_sslmode() {
    if !has_tls("a reload of the sslmode") {
        return;
    }
    let mut pooler = pgotter(cluster().port(), "server_tls_sslmode = \"disable\"");
    let mut client = Raw::connect(pooler.port());
    client.send(&crate::support::raw::startup(3, 0, crate::support::raw::USER));
    client.until_ready();
    assert_eq!(client.value(IS_SECURE), "f");
    let text =
        config(pooler.port(), &format!("localhost:{}", cluster().port()), "server_tls_sslmode = \"require\"", "");
    std::fs::write(pooler.config_file(), text).unwrap();
    pooler.signal(rustix::process::Signal::HUP);
    while !pooler.log().contains("configuration reloaded") {
        assert!(pooler.ended().is_none());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(client.value(IS_SECURE), "t");
}
