//! Sessions without sockets, sockets with sessions, and files that do not do.

#[allow(dead_code, reason = "shared with tests that use more of it")]
#[path = "../../../tests/support/certificates.rs"]
mod certificates;

use super::*;
use crate::net::{Socket, Stream};
use certificates::{Authority, Identity, self_signed, self_signed_by};
use std::path::PathBuf;
use std::task::{Context, Waker};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

/// Files for one test.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    /// Settings that show `identity` to clients and check what they show against `authority`.
    fn client_settings(&self, identity: &Identity) -> String {
        let (certificate, key) = (self.put("own.crt", &identity.certificate), self.put("own.key", &identity.key));
        format!(
            "client_tls_sslmode = \"require\"\nclient_tls_cert_file = {certificate:?}\nclient_tls_key_file = {key:?}\n"
        )
    }

    fn server_settings(&self, mode: &str, authority: &str) -> String {
        let file = self.put("root.crt", authority);
        format!("server_tls_sslmode = \"{mode}\"\nserver_tls_ca_file = {file:?}\n")
    }
}

fn tls(settings: &str) -> Result<Tls, Report> {
    let text = format!("[pooler]\nauth_type = \"trust\"\n{settings}[databases.shop]\nhosts = [\"pg\"]\n");
    let nothing = |_: &Path| Err(io::ErrorKind::NotFound.into());
    Tls::load(&crate::config::parse(&text, Path::new("/pooler.toml"), &nothing, &|_| None, 1)?)
}

fn good(settings: &str) -> Tls {
    tls(settings).unwrap_or_else(|report| panic!("{report}"))
}

fn sessions(tls: &Tls, host: &str) -> (Session, Session) {
    let acceptor = tls.acceptor().expect("configured");
    (tls.connector().session(host).expect("a session"), acceptor.session(BytesMut::new()).expect("a session"))
}

/// Passes ciphertext on in pieces of so many bytes until neither has any; what each side heard.
fn pump(one: &mut Session, other: &mut Session, piece: usize) -> io::Result<(BytesMut, BytesMut)> {
    let mut heard = (BytesMut::new(), BytesMut::new());
    one.advance(&mut heard.0)?;
    loop {
        pass(one, other, piece, &mut heard.1)?;
        pass(other, one, piece, &mut heard.0)?;
        if one.unsent() + other.unsent() == 0 {
            return Ok(heard);
        }
    }
}

fn pass(from: &mut Session, to: &mut Session, piece: usize, heard: &mut BytesMut) -> io::Result<()> {
    let sent = std::mem::take(from.outgoing());
    for piece in sent.chunks(piece) {
        // As a socket does before it receives.
        to.incoming().reserve(8192);
        to.incoming().extend_from_slice(piece);
        to.advance(heard)?;
    }
    Ok(())
}

/// Whether a server with this certificate does.
fn handshake(files: &Files, mode: &str, host: &str, shown: &Identity, root: &str) -> io::Result<()> {
    let tls = good(&(files.client_settings(shown) + &files.server_settings(mode, root)));
    let (mut client, mut server) = sessions(&tls, host);
    pump(&mut client, &mut server, 4096).map(|_| ())
}

#[test]
fn a_servers_certificate_is_checked_as_far_as_the_mode_says() {
    let files = Files::new();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let good = ours.sign("pg", &["pg.example", "10.0.0.1"]);
    let foreign = theirs.sign("pg", &["pg.example"]);
    let nameless = ours.sign("pg.example", &[]);
    let wildcard = ours.sign("*.example", &[]);
    let alone = self_signed("pg.example");
    for (mode, host, shown, root, does) in [
        ("require", "pg.example", &foreign, &ours.certificate, true),
        ("verify-ca", "pg.example", &good, &ours.certificate, true),
        ("verify-ca", "elsewhere", &good, &ours.certificate, true),
        ("verify-ca", "pg.example", &foreign, &ours.certificate, false),
        ("verify-ca", "pg.example", &alone, &ours.certificate, false),
        ("verify-ca", "elsewhere", &alone, &alone.certificate, true),
        ("verify-full", "pg.example", &good, &ours.certificate, true),
        ("verify-full", "10.0.0.1", &good, &ours.certificate, true),
        ("verify-full", "10.0.0.2", &good, &ours.certificate, false),
        ("verify-full", "elsewhere", &good, &ours.certificate, false),
        ("verify-full", "pg", &good, &ours.certificate, false),
        ("verify-full", "pg.example", &foreign, &ours.certificate, false),
        ("verify-full", "PG.example", &nameless, &ours.certificate, true),
        ("verify-full", "elsewhere", &nameless, &ours.certificate, false),
        ("verify-full", "pg.example", &wildcard, &ours.certificate, true),
        ("verify-full", "deep.pg.example", &wildcard, &ours.certificate, false),
        ("verify-full", "pg.example", &alone, &alone.certificate, true),
        ("verify-full", "elsewhere", &alone, &alone.certificate, false),
    ] {
        let outcome = handshake(&files, mode, host, shown, root);
        assert_eq!(outcome.is_ok(), does, "{mode} {host}: {outcome:?}");
        assert!(outcome.err().is_none_or(|error| error.kind() == io::ErrorKind::InvalidData));
    }
}

#[test]
fn every_cut_of_the_ciphertext_carries_the_same_plaintext() {
    let files = Files::new();
    let identity = Authority::new("ours").sign("pg", &[]);
    let text: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    for protocols in ["tlsv1.2", "tlsv1.3"] {
        let versions = format!("client_tls_protocols = \"{protocols}\"\n");
        let tls = good(&(files.client_settings(&identity) + &versions));
        for piece in [1, 2, 3, 5, 7, 1000, 16 << 10, 1 << 20] {
            let (mut client, mut server) = sessions(&tls, "pg");
            pump(&mut client, &mut server, piece).expect("a handshake");
            assert_eq!(client.end_point(), server.end_point(), "the same certificate");
            assert_eq!(client.end_point().map(<[u8]>::len), Some(32));
            let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
            let mut sent = 0;
            while sent < text.len() {
                let end = text.len().min(sent + 1 + sent * 2);
                let taken = client.encrypt(&text[sent..end]).expect("encrypted");
                server.encrypt(&text[sent..sent + taken]).expect("encrypted");
                sent += taken;
                pass(&mut client, &mut server, piece, &mut to_server).expect("decrypted");
                pass(&mut server, &mut client, piece, &mut to_client).expect("decrypted");
            }
            assert!(to_server == text && to_client == text, "{protocols} in pieces of {piece}");
            client.say_goodbye().expect("close_notify");
            pass(&mut client, &mut server, piece, &mut to_server).expect("closed in order");
            assert!(server.peer_closed() && to_server == text);
        }
    }
}

#[test]
fn both_ends_know_the_hash_of_the_certificate_or_neither_does() {
    for (kind, bytes) in
        [(&rcgen::PKCS_RSA_SHA512, Some(64)), (&rcgen::PKCS_ECDSA_P384_SHA384, Some(48)), (&rcgen::PKCS_ED25519, None)]
    {
        let tls = good(&Files::new().client_settings(&self_signed_by(kind, "pg")));
        let (mut client, mut server) = sessions(&tls, "pg");
        pump(&mut client, &mut server, 4096).expect("a handshake");
        assert_eq!((client.end_point().map(<[u8]>::len), client.end_point()), (bytes, server.end_point()), "{kind:?}");
    }
}

#[test]
fn an_idle_session_holds_no_buffers() {
    let tls = good(&Files::new().client_settings(&Authority::new("ours").sign("pg", &[])));
    let (mut client, mut server) = sessions(&tls, "pg");
    pump(&mut client, &mut server, 4096).expect("a handshake");
    client.encrypt(&[7; 10_000]).expect("encrypted");
    let mut heard = BytesMut::new();
    pass(&mut client, &mut server, 1 << 20, &mut heard).expect("decrypted");
    assert_eq!((server.incoming().capacity(), server.outgoing().capacity(), client.incoming().capacity()), (0, 0, 0));
}

#[test]
fn what_is_no_tls_ends_it_with_an_alert() {
    let tls = good(&Files::new().client_settings(&Authority::new("ours").sign("pg", &[])));
    let (mut client, mut server) = sessions(&tls, "pg");
    pump(&mut client, &mut server, 4096).expect("a handshake");
    let mut heard = BytesMut::new();
    client.encrypt(b"SELECT 1").expect("encrypted");
    let mut forged = std::mem::take(client.outgoing());
    *forged.last_mut().expect("some") ^= 1;
    server.incoming().extend_from_slice(&forged);
    let error = server.advance(&mut heard).expect_err("forged");
    assert_eq!((error.kind(), heard.len()), (io::ErrorKind::InvalidData, 0));
    assert!(server.unsent() > 0, "an alert");
    let (_, mut server) = sessions(&tls, "pg");
    server.incoming().extend_from_slice(b"\0\0\0\x08\x04\xd2\x16\x2f and more of it");
    assert!(server.advance(&mut heard).is_err());
}

async fn secure_pair(tls: &Tls) -> (Socket, Socket) {
    let (ours, theirs) = UnixStream::pair().expect("socketpair");
    let mut ours = Socket::new(Stream::Unix(ours), BytesMut::new());
    let mut theirs = Socket::new(Stream::Unix(theirs), BytesMut::new());
    let acceptor = tls.acceptor().expect("configured");
    let (accepted, connected) =
        tokio::join!(ours.accept_tls(acceptor, |_| Ok(())), theirs.connect_tls(tls.connector(), "pg"));
    accepted.and(connected).expect("a handshake");
    (ours, theirs)
}

#[tokio::test]
async fn a_socket_under_tls_keeps_what_it_promises_without() {
    let tls = good(&Files::new().client_settings(&Authority::new("ours").sign("pg", &[])));
    let (mut socket, mut peer) = secure_pair(&tls).await;
    assert!(socket.is_encrypted() && socket.has_alpn() && socket.peer_certificate().is_none());
    assert_eq!(socket.tls_server_end_point(), peer.tls_server_end_point());
    assert!(peer.peer_certificate().is_some(), "ours");
    let mut expected = Vec::new();
    for n in 0..200u32 {
        let chunk = vec![n as u8; n as usize * 30];
        expected.extend_from_slice(&chunk);
        socket.queue(BytesMut::from(&chunk[..]));
    }
    assert_eq!(socket.queued(), expected.len());
    socket.park().expect("park");
    let mut socket = std::thread::spawn(move || socket).join().expect("it may travel");
    socket.unpark().expect("unpark");
    let sender = async {
        socket.flush().await.expect("flush");
        assert_eq!(socket.queued(), 0);
        socket.shut_down().await.expect("close_notify");
    };
    let receiver = async {
        while peer.received().len() < expected.len() {
            peer.recv().await.expect("more");
        }
        assert!(peer.received() == expected);
        assert_eq!(peer.recv().await.expect_err("the end").kind(), io::ErrorKind::UnexpectedEof);
        assert!(peer.peer_closed());
    };
    tokio::join!(sender, receiver);
}

#[tokio::test]
async fn close_notify_is_the_end_although_the_connection_stays_open() {
    let tls = good(&Files::new().client_settings(&Authority::new("ours").sign("pg", &[])));
    let (mut socket, mut peer) = secure_pair(&tls).await;
    socket.queue(BytesMut::from("the last word"));
    socket.say_goodbye().await.expect("close_notify");
    peer.recv().await.expect("the last word");
    assert_eq!(peer.received(), b"the last word");
    for _ in 0..2 {
        let end = tokio::time::timeout(std::time::Duration::from_secs(20), peer.recv()).await.expect("no end");
        assert_eq!(end.expect_err("the end").kind(), io::ErrorKind::UnexpectedEof);
    }
    peer.queue(BytesMut::from("an answer"));
    peer.flush().await.expect("the other direction is open");
    socket.recv().await.expect("the answer");
    assert_eq!(socket.received(), b"an answer");
}

#[tokio::test]
async fn f22_what_stands_before_the_rest_of_its_record_counts_as_memory() {
    let tls = good(&Files::new().client_settings(&Authority::new("ours").sign("pg", &[])));
    let (mut socket, mut peer) = secure_pair(&tls).await;
    assert_eq!(socket.memory(), 0);
    let session = peer.tls.as_mut().expect("TLS");
    let taken = session.encrypt(&[7; 16 << 10]).expect("encrypted");
    let whole = session.unsent();
    session.outgoing().truncate(whole - 1);
    peer.flush().await.expect("all but a byte");
    while socket.tls.as_mut().expect("TLS").incoming().len() < whole - 1 {
        let received = std::future::poll_fn(|cx| std::task::Poll::Ready(socket.poll_recv(cx))).await;
        assert!(received.is_pending(), "{received:?}");
        tokio::task::yield_now().await;
    }
    assert!(socket.received().is_empty() && socket.memory() >= taken, "{}", socket.memory());
}

#[tokio::test]
async fn a_peer_that_takes_nothing_stops_the_encrypting() {
    let tls = good(&Files::new().client_settings(&Authority::new("ours").sign("pg", &[])));
    let (mut socket, _deaf) = secure_pair(&tls).await;
    socket.queue(BytesMut::from(&vec![7; 8 << 20][..]));
    let flushed = std::future::poll_fn(|cx| std::task::Poll::Ready(socket.poll_flush(cx))).await;
    assert!(flushed.is_pending());
    assert!(socket.queued() > 7 << 20, "{}", socket.queued());
    assert!(socket.tls.as_ref().expect("TLS").unsent() <= 140 << 10);
}

#[test]
fn a_file_that_does_not_do_is_named_with_the_reason() {
    let files = Files::new();
    let (identity, other) = (Authority::new("ours").sign("pg", &[]), Authority::new("others").sign("pg", &[]));
    let fine = files.client_settings(&identity);
    let (empty, torn) = (files.put("empty.pem", ""), files.put("torn.pem", &identity.certificate[..200]));
    let (key, missing) = (files.put("other.key", &other.key), PathBuf::from("/nowhere/at.all"));
    let with = |setting: &str, file: &Path| {
        let lines = fine.lines().filter(|line| !line.starts_with(setting)).collect::<Vec<_>>().join("\n");
        format!("{lines}\n{setting} = {file:?}\n")
    };
    for (setting, file, why) in [
        ("client_tls_cert_file", &missing, "cannot be read"),
        ("client_tls_cert_file", &empty, "no certificate"),
        ("client_tls_cert_file", &torn, ""),
        ("client_tls_cert_file", &key, "no certificate"),
        ("client_tls_key_file", &empty, ""),
        ("client_tls_key_file", &missing, "cannot be read"),
        ("client_tls_ca_file", &empty, "no certificate"),
    ] {
        let report = tls(&with(setting, file)).err().unwrap_or_else(|| panic!("{setting} {}", file.display()));
        let text = report.to_string();
        assert!(text.contains(setting) && text.contains(&file.display().to_string()) && text.contains(why), "{text}");
        assert!(text.contains("/pooler.toml: 1 mistake, nothing was applied"), "{text}");
    }
    let text = tls(&with("client_tls_key_file", &key)).err().expect("another's key").to_string();
    assert!(text.contains("own.crt") && text.contains("KeyMismatch"), "{text}");
    for setting in ["verify-ca", "verify-full"] {
        let settings = format!("server_tls_sslmode = \"{setting}\"\nserver_tls_ca_file = {torn:?}\n");
        assert!(tls(&settings).err().expect("torn").to_string().contains("torn.pem"));
    }
}

#[tokio::test]
async fn a_session_begins_with_a_whole_record() {
    let files = Files::new();
    let tls = good(&files.client_settings(&self_signed("pg.example")));
    let acceptor = tls.acceptor().expect("configured");
    let begun = async |bytes: &'static [u8]| {
        let (ours, mut theirs) = UnixStream::pair().expect("socketpair");
        if !bytes.is_empty() {
            theirs.write_all(bytes).await.expect("written");
            ours.readable().await.expect("there");
        }
        let mut socket = Socket::new(Stream::Unix(ours), BytesMut::new());
        let ended =
            std::pin::pin!(socket.accept_tls(acceptor, |_| Ok(()))).poll(&mut Context::from_waker(Waker::noop()));
        (socket.is_encrypted(), ended.is_ready())
    };
    for part in [&[][..], &[0x16], &[0x16, 3, 1, 2, 0, 1, 0], &[0x16, 3, 1, 0, 3, 1, 0]] {
        assert_eq!(begun(part).await, (false, false), "{part:?}");
    }
    // One that cannot become a record is refused at once: by the session, in the words of TLS.
    for none in [&b"GET /"[..], &[0x16, 3, 1, 0xff, 0xff], &[0x16, 3, 1, 0, 4, 0xff, 0, 0, 0]] {
        assert_eq!(begun(none).await, (true, true), "{none:?}");
    }
}
