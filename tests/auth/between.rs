//! Somebody between PgOtter and a server, who ends the TLS of both: where the certificate is not asked for, channel binding finds it out.

use super::certificates::{Authority, Identity};
use super::place::{line, log_in, pgotter_with};
use super::tls::{any_database, encrypted};
use crate::support::must;
use pgotter::wire::startup::SSL_REQUEST;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// How long one side may have nothing to say before the other one is listened to.
const TURN: Duration = Duration::from_millis(5);

/// Shows one certificate, and passes on what is said to the server at `port`, whose certificate an authority has signed. Its own port.
fn somebody_between(port: u16, authority: &Authority, shown: &Identity) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = vec![CertificateDer::from_pem_slice(shown.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).unwrap();
    let here = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let here = Arc::new(here.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap()).unwrap();
    let there = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let there = Arc::new(there.with_root_certificates(roots).with_no_client_auth());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (here, there) = (here.clone(), there.clone());
            std::thread::spawn(move || pass_on(stream, port, here, there));
        }
    });
    own
}

fn pass_on(mut near: TcpStream, port: u16, here: Arc<ServerConfig>, there: Arc<ClientConfig>) -> io::Result<()> {
    let request = [8_i32.to_be_bytes(), SSL_REQUEST.to_be_bytes()].concat();
    let mut asked = [0; 8];
    near.read_exact(&mut asked)?;
    assert_eq!(asked, *request);
    near.write_all(b"S")?;
    let mut far = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    far.write_all(&request)?;
    far.read_exact(&mut asked[..1])?;
    let mut near_tls = ServerConnection::new(here).unwrap();
    let mut far_tls = ClientConnection::new(there, ServerName::try_from("localhost").unwrap()).unwrap();
    while near_tls.is_handshaking() {
        near_tls.complete_io(&mut near)?;
    }
    while far_tls.is_handshaking() {
        far_tls.complete_io(&mut far)?;
    }
    near.set_read_timeout(Some(TURN))?;
    far.set_read_timeout(Some(TURN))?;
    let (mut near, mut far) = (StreamOwned::new(near_tls, near), StreamOwned::new(far_tls, far));
    while pass(&mut near, &mut far)? && pass(&mut far, &mut near)? {}
    Ok(())
}

/// What one side has to say now. False: it has said its last.
fn pass(from: &mut impl Read, to: &mut impl Write) -> io::Result<bool> {
    let mut buffer = [0; 8192];
    match from.read(&mut buffer) {
        Ok(bytes) => to.write_all(&buffer[..bytes]).and_then(|()| to.flush()).map(|()| bytes > 0),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(true),
        Err(error) => Err(error),
    }
}

#[test]
fn whoever_ends_the_tls_of_a_server_is_found_out_also_where_no_certificate_is_asked_for() {
    let ours = Authority::new("ours");
    let own = ours.sign("localhost", &["localhost"]);
    let server = encrypted(&own);
    must(server.psql("postgres", "CREATE ROLE otter LOGIN PASSWORD 'river stone'"));
    let verifier = must(server.psql("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'otter'"));
    let of_another = ours.sign("localhost", &["localhost"]);
    for (shown, gets_in) in [(&own, true), (&of_another, false)] {
        let port = somebody_between(server.port(), &ours, shown);
        for secret in ["river stone", &verifier] {
            let rest = "server_tls_sslmode = \"require\"\n".to_owned() + &any_database(port);
            let pooler = pgotter_with("scram-sha-256", &line("otter", secret), &rest);
            let outcome = log_in(pooler.port(), "otter", "river stone");
            assert_eq!(outcome.is_ok(), gets_in, "{outcome:?}");
        }
    }
}
