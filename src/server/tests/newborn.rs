//! When the end of a server counts as a failed login.

use crate::ids::ServerId;
use crate::net::{Address, TcpOptions};
use crate::server::{LoginSpec, Server, log_in};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

/// A server that has just logged in.
async fn fresh() -> Box<Server> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a caller");
        let mut startup = [0; 512];
        assert_eq!(socket.read(&mut startup).expect("a request for TLS"), 8);
        socket.write_all(b"N").expect("it listens");
        assert!(socket.read(&mut startup).expect("a startup message") > 8);
        let (authentication, key) = (b"R\0\0\0\x08\0\0\0\0", b"K\0\0\0\x0c\0\0\0\x01\0\0\0\x02");
        socket.write_all(&[&authentication[..], key, b"Z\0\0\0\x05I"].concat()).expect("it listens");
    });
    let spec = LoginSpec {
        keyring: std::sync::Arc::default(),
        tls: crate::net::Tls::default().share(),
        address: Address::new("127.0.0.1", port),
        found: std::sync::Arc::default(),
        options: TcpOptions::default(),
        user: "app".to_owned(),
        database: "shop".to_owned(),
        secret: None,
        parameters: Vec::new(),
        connect_query: None,
        track_extra: Vec::new(),
        routes: false,
        generation: 0,
    };
    log_in(&spec, ServerId(1)).await.expect("a login").0
}

#[tokio::test]
async fn a_server_is_newborn_for_a_second_unless_it_has_served() {
    let mut server = fresh().await;
    let login = server.opened();
    assert!(server.is_newborn(login) && server.is_newborn(login + Duration::from_millis(900)));
    assert!(!server.is_newborn(login + Duration::from_secs(60)), "it was kept ready, and its host restarted");
    server.used(login + Duration::from_millis(1));
    assert!(!server.is_newborn(login + Duration::from_millis(2)));
}
