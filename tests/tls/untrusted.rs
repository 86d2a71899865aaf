//! A server whose certificate does not do is told nothing: neither who comes, nor a password.

use super::certificates::Identity;
use super::world::{config, for_servers, ours, root, strangers};
use crate::support::PgOtter;
use crate::support::raw::{Raw, USER, error_code, message, startup};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

/// What servers want before they let anybody in.
const PASSWORD: &str = "river stone";

/// A server that shows this certificate, asks for a password in clear, and passes on what it hears under TLS, up to the end.
fn showing(shown: &Identity) -> (u16, Receiver<Vec<u8>>) {
    let chain = CertificateDer::pem_slice_iter(shown.certificate.as_bytes()).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = Arc::new(versions.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heard, hears) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if heard.send(listen(stream, tls.clone())).is_err() {
                return;
            }
        }
    });
    (port, hears)
}

fn listen(mut stream: TcpStream, tls: Arc<ServerConfig>) -> Vec<u8> {
    let mut heard = Vec::new();
    let mut request = [0; 8];
    stream.read_exact(&mut request).unwrap();
    assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47], "an SSLRequest");
    stream.write_all(b"S").unwrap();
    let mut stream = StreamOwned::new(ServerConnection::new(tls).unwrap(), stream);
    let mut buffer = [0; 1024];
    // A handshake that fails is an end as well.
    while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
        heard.extend_from_slice(&buffer[..bytes]);
        if stream.write_all(&message(b'R', &3u32.to_be_bytes())).is_err() {
            break;
        }
    }
    heard
}

/// What a server with this certificate hears of a client, and what the client does.
fn told(mode: &str, shown: &Identity) -> (String, String) {
    let (port, hears) = showing(shown);
    let tls = match mode {
        "require" => "server_tls_sslmode = \"require\"\n".to_owned(),
        _ => for_servers(mode, &root()),
    };
    let lines = tls + "server_login_retry = \"10ms\"\nserver_connect_timeout = \"3s\"\n";
    let users = format!("[users.postgres]\npassword = \"{PASSWORD}\"\n");
    let pooler = PgOtter::start(|own| config(own, &format!("localhost:{port}"), &lines, &users));
    let mut client = Raw::connect(pooler.port());
    client.send(&startup(3, 0, USER));
    let heard = hears.recv().unwrap();
    // It is the same the next time.
    if !heard.is_empty() {
        return (String::from_utf8_lossy(&heard).into_owned(), String::new());
    }
    let frames = client.until_end();
    assert!(error_code(&frames).is_some(), "{mode}: {frames:?}");
    let said = frames.last().and_then(|frame| frame.field(b'M')).unwrap_or_default();
    (String::from_utf8_lossy(&hears.try_iter().flatten().collect::<Vec<_>>()).into_owned(), said)
}

#[test]
fn neither_startup_nor_password_goes_to_a_server_whose_certificate_does_not_do() {
    let stranger = strangers().sign("postgres", &["localhost"]);
    let elsewhere = ours().sign("postgres", &["elsewhere"]);
    let expired = ours().sign_expired("postgres", &["localhost"]);
    for (mode, shown, why) in [
        ("verify-ca", &stranger, "UnknownIssuer"),
        ("verify-full", &stranger, "UnknownIssuer"),
        ("verify-full", &elsewhere, "not valid for name"),
        ("verify-ca", &expired, "expired"),
        ("verify-full", &expired, "expired"),
    ] {
        let (heard, said) = told(mode, shown);
        assert_eq!(heard, "", "{mode}, {why}");
        assert!(said.contains(why), "{mode}, {why}: {said}");
    }
    // One that is trusted is told both.
    for (mode, shown) in [("require", &stranger), ("verify-ca", &elsewhere)] {
        let (heard, _) = told(mode, shown);
        assert!(heard.contains("user\0postgres\0") && heard.contains(PASSWORD), "{mode}: {heard:?}");
    }
}
