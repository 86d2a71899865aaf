//! What a repaired server is like.

use super::talk::{frame, said};
use crate::ids::ServerId;
use crate::net::{Address, Socket, Stream, TcpOptions};
use crate::server::connection::Server;
use crate::server::{CancelTarget, Leaving, repair};
use crate::wire::startup::CancelKey;
use bytes::BytesMut;
use socket2::SockRef;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

const USER_TIMEOUT: Option<Duration> = Some(Duration::from_secs(7));

pub(super) fn server(stream: TcpStream) -> Box<Server> {
    let options = TcpOptions { user_timeout: USER_TIMEOUT, ..TcpOptions::default() };
    options.apply(&stream).unwrap();
    let address = Address::new("127.0.0.1", stream.peer_addr().unwrap().port());
    let key = CancelKey { pid: 9, secret: Box::new([1, 2, 3, 4]) };
    let cancel =
        CancelTarget { address, key, options, host: None, tls: crate::net::Tls::default().share(), astray: 0.into() };
    let socket = Socket::new(Stream::Tcp(stream), BytesMut::new());
    Box::new(Server::new(ServerId(1), socket, Default::default(), cancel, crate::clock::now(), 0))
}

#[tokio::test]
async fn a_server_repaired_behind_a_large_request_has_its_user_timeout_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream.set_nonblocking(true).unwrap();
    let watched = stream.try_clone().unwrap();
    let user_timeout = || SockRef::from(&watched).tcp_user_timeout().unwrap();
    let mut server = server(TcpStream::from_std(stream).unwrap());
    assert_eq!(user_timeout(), USER_TIMEOUT);
    let request = frame(b'Q', &[b' '; 100_000]);
    server.send(BytesMut::from(&request[..]));
    assert_eq!(user_timeout(), None);
    let answer = async {
        let (mut peer, _) = listener.accept().await.unwrap();
        peer.read_exact(&mut vec![0; request.len()]).await.unwrap();
        peer.write_all(&said("C Zi")).await.unwrap();
        peer
    };
    let extra = Semaphore::new(0);
    let patience = Duration::from_secs(20);
    let (_peer, repaired) = tokio::join!(answer, repair(server, Leaving::Terminated, patience, &extra));
    assert!(repaired.is_some());
    assert_eq!(user_timeout(), USER_TIMEOUT);
}
