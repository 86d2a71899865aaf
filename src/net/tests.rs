//! Sockets against real ones on loopback.

use super::connect::connect_to_first;
use super::*;
use bytes::BytesMut;
use socket2::{Domain, Socket as RawSocket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

fn pair() -> (Socket, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("socketpair");
    (Socket::new(Stream::Unix(ours), BytesMut::new()), theirs)
}

#[tokio::test]
async fn chunks_leave_in_the_order_they_were_queued() {
    let (mut socket, mut peer) = pair();
    let mut expected = Vec::new();
    for n in 0..40u8 {
        let chunk = vec![n; usize::from(n) * 300];
        expected.extend_from_slice(&chunk);
        socket.queue(BytesMut::from(&chunk[..]));
    }
    assert_eq!(socket.queued(), expected.len());
    let reader = tokio::spawn(async move {
        let mut got = vec![0; expected.len()];
        peer.read_exact(&mut got).await.expect("all of it");
        assert_eq!(got, expected);
    });
    socket.flush().await.expect("flush");
    assert_eq!(socket.queued(), 0);
    reader.await.expect("reader");
}

#[tokio::test]
async fn a_burst_makes_the_buffer_grow_and_a_trickle_makes_it_shrink() {
    let (mut socket, mut peer) = pair();
    let writer = tokio::spawn(async move {
        peer.write_all(&vec![7; 1 << 20]).await.expect("write");
        peer
    });
    let mut total = 0;
    while total < 1 << 20 {
        total += socket.recv().await.expect("recv");
        socket.inbox().clear();
    }
    let mut peer = writer.await.expect("writer");
    peer.write_all(b"x").await.expect("write");
    assert_eq!(socket.recv().await.expect("recv"), 1);
    assert_eq!(socket.received(), b"x");
}

#[tokio::test]
async fn a_peer_that_says_nothing_or_next_to_nothing_costs_next_to_no_buffer() {
    let (mut socket, mut peer) = pair();
    let poll = |socket: &mut Socket| socket.poll_recv(&mut Context::from_waker(Waker::noop()));
    assert!(poll(&mut socket).is_pending());
    assert_eq!(socket.inbox().capacity(), 0);
    for byte in [b"x", b"y"] {
        peer.write_all(byte).await.expect("write");
        socket.recv().await.expect("recv");
        assert!(poll(&mut socket).is_pending());
        assert!(socket.inbox().capacity() <= 1024, "{}", socket.inbox().capacity());
    }
    assert_eq!(socket.received(), b"xy");
}

#[tokio::test]
async fn the_end_of_the_peer_is_an_error_only_for_recv() {
    let (mut socket, peer) = pair();
    drop(peer);
    assert_eq!(socket.recv().await.expect_err("end").kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_parked_socket_keeps_its_bytes() {
    let (mut socket, mut peer) = pair();
    peer.write_all(b"abc").await.expect("write");
    socket.recv().await.expect("recv");
    socket.park().expect("park");
    assert!(socket.recv().await.is_err(), "a parked socket is in no runtime");
    socket.unpark().expect("unpark");
    peer.write_all(b"def").await.expect("write");
    socket.recv().await.expect("recv");
    assert_eq!(socket.received(), b"abcdef");
}

#[test]
fn a_host_with_a_slash_is_a_folder() {
    assert_eq!(Address::new("/run/pg", 5433).to_string(), "/run/pg/.s.PGSQL.5433");
    assert_eq!(Address::new("::1", 5432).to_string(), "[::1]:5432");
    assert_eq!(Address::new("pg-0", 5432).to_string(), "pg-0:5432");
}

#[tokio::test]
async fn the_last_bytes_of_a_long_transfer_reach_who_owns_the_socket_alone() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let stream = tokio::net::TcpStream::connect(listener.local_addr().expect("address")).await.expect("connect");
    let (mut peer, _) = listener.accept().await.expect("accept");
    let mut socket = Socket::new(Stream::Tcp(stream), BytesMut::new());
    let all = 20 << 20;
    let writer = tokio::spawn(async move {
        peer.write_all(&vec![7; all]).await.expect("write");
        peer
    });
    let mut total = 0;
    while total < all {
        total += socket.recv().await.expect("recv");
        socket.inbox().clear();
    }
    let mut peer = writer.await.expect("writer");
    peer.write_all(&[7; 10_000]).await.expect("write");
    let last = tokio::time::timeout(std::time::Duration::from_secs(20), socket.recv()).await;
    assert_eq!(last.expect("it hangs").expect("recv"), 10_000);
}

#[tokio::test]
async fn the_end_of_the_peer_is_known_behind_unread_bytes() {
    for reset in [false, true] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let stream = tokio::net::TcpStream::connect(listener.local_addr().expect("address")).await.expect("connect");
        let (mut peer, _) = listener.accept().await.expect("accept");
        let mut socket = Socket::new(Stream::Tcp(stream), BytesMut::new());
        peer.write_all(b"abc").await.expect("write");
        socket.recv().await.expect("recv");
        peer.write_all(b"def").await.expect("write");
        assert!(!socket.peer_closed());
        if reset {
            socket2::SockRef::from(&peer).set_linger(Some(std::time::Duration::ZERO)).expect("linger");
        }
        drop(peer);
        while !socket.peer_closed() {
            tokio::task::yield_now().await;
        }
        socket.recv().await.expect("what it said before");
        assert_eq!(socket.received(), b"abcdef");
    }
}

#[tokio::test]
async fn what_the_peer_said_is_known_however_much_the_task_has_done_before() {
    let (mut socket, mut peer) = pair();
    peer.write_all(b"abc").await.expect("write");
    drop(peer);
    while !socket.peer_closed() {
        tokio::task::yield_now().await;
    }
    // The runtime lets a task do so much before it must let others run: until then its sockets look silent.
    let mut spent = std::pin::pin!(async {
        loop {
            tokio::task::coop::consume_budget().await;
        }
    });
    std::future::poll_fn(|cx| {
        let pending: std::task::Poll<()> = spent.as_mut().poll(cx);
        assert!(pending.is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    assert_eq!(socket.try_recv().expect("what it said"), Some(3));
    assert_eq!(socket.try_recv().expect("its end"), Some(0));
}

#[tokio::test]
async fn tcp_options_are_set_on_accepted_and_on_opened_sockets() {
    let seconds = std::time::Duration::from_secs;
    let options = TcpOptions {
        keepalive: true,
        keepidle: Some(seconds(71)),
        keepintvl: Some(seconds(17)),
        keepcnt: Some(7),
        user_timeout: Some(seconds(23)),
    };
    let listener = listen_tcp(([127, 0, 0, 1], 0).into(), 8).expect("listen");
    let port = listener.describe().replace("127.0.0.1:", "").parse().expect("port");
    let address = Address::new("127.0.0.1", port);
    let (opened, accepted) = tokio::join!(connect(&address, &options), listener.accept(|| options));
    let opened = opened.expect("connect");
    opened.set_user_timeout(None);
    let Stream::Tcp(stream) = &opened else { panic!("a TCP socket") };
    assert_eq!(socket2::SockRef::from(stream).tcp_user_timeout().expect("user timeout"), None);
    opened.set_user_timeout(options.user_timeout);
    for stream in [opened, accepted.expect("accept").0] {
        let Stream::Tcp(stream) = stream else { panic!("a TCP socket") };
        let socket = socket2::SockRef::from(&stream);
        assert!(socket.tcp_nodelay().expect("nodelay"));
        assert!(socket.keepalive().expect("keepalive"));
        assert_eq!(socket.tcp_keepalive_time().expect("idle"), seconds(71));
        assert_eq!(socket.tcp_keepalive_interval().expect("interval"), seconds(17));
        assert_eq!(socket.tcp_keepalive_retries().expect("count"), 7);
        assert_eq!(socket.tcp_user_timeout().expect("user timeout"), Some(seconds(23)));
    }
}

#[tokio::test]
async fn f20_as_many_wait_to_be_accepted_as_the_backlog_says_and_not_many_more() {
    let brief = Duration::from_secs(1);
    for (backlog, all) in [(8, false), (64, true)] {
        let listener = listen_tcp(([127, 0, 0, 1], 0).into(), backlog).expect("listen");
        let address: SocketAddr = listener.describe().parse().expect("an address");
        // Whoever finds no room hears nothing; who is to find some may take his time.
        let connect = || if all { TcpStream::connect(address) } else { TcpStream::connect_timeout(&address, brief) };
        let waiting: Vec<_> = std::iter::from_fn(|| connect().ok()).take(40).collect();
        assert_eq!(waiting.len() == 40, all, "{} for a backlog of {backlog}", waiting.len());
    }
}

/// An address that does not answer: its queue of connections is full, and the system drops what comes.
struct Silent {
    listener: RawSocket,
    address: SocketAddr,
    _queue: Vec<TcpStream>,
}

impl Silent {
    fn new() -> Self {
        let listener = RawSocket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
        listener.listen(0).expect("listening");
        let address = listener.local_addr().ok().and_then(|address| address.as_socket()).expect("an address");
        let brief = Duration::from_secs(1);
        let queue: Vec<_> = std::iter::from_fn(|| TcpStream::connect_timeout(&address, brief).ok()).take(16).collect();
        assert!(queue.len() < 16, "the queue does not fill");
        Self { listener, address, _queue: queue }
    }
}

impl Silent {
    /// Whether somebody is connecting. Source: Linux `Documentation/networking/proc_net_tcp.rst`; state 2 is SYN_SENT.
    fn is_knocked_at(&self) -> bool {
        let connections = std::fs::read_to_string("/proc/net/tcp").expect("Linux tells");
        connections.contains(&format!(" 0100007F:{:04X} 02 ", self.address.port()))
    }
}

/// Nobody listens there, as long as the socket lives.
fn refusing() -> (RawSocket, SocketAddr) {
    let socket = RawSocket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("an address");
    (socket, address)
}

/// Far below the two minutes after which the system gives an address up.
async fn soon(addresses: Vec<SocketAddr>) -> io::Result<tokio::net::TcpStream> {
    tokio::time::timeout(Duration::from_secs(30), connect_to_first(addresses)).await.expect("an answer in time")
}

#[tokio::test]
async fn an_address_that_says_nothing_or_refuses_does_not_keep_from_the_next() {
    let silent = Silent::new();
    let (_bound, refused) = refusing();
    let good = TcpListener::bind("127.0.0.1:0").and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, _listener) = good.expect("a listener");
    let stream = soon(vec![silent.address, refused, address]).await.expect("one listens");
    assert_eq!(stream.peer_addr().expect("connected"), address);
}

#[tokio::test]
async fn an_address_that_answers_late_is_not_given_up() {
    let (silent, next) = (Silent::new(), Silent::new());
    let (_bound, refused) = refusing();
    let address = silent.address;
    let connecting = tokio::spawn(soon(vec![address, refused, next.address]));
    while !next.is_knocked_at() {
        assert!(!connecting.is_finished(), "the next one is not tried beside it");
        tokio::task::yield_now().await;
    }
    // Room in the queue: the system knocks again.
    silent.listener.accept().expect("the first of the queue");
    silent.listener.accept().ok();
    assert_eq!(connecting.await.expect("no panic").expect("one listens").peer_addr().expect("connected"), address);
}

#[tokio::test]
async fn when_every_address_refuses_the_reason_is_told() {
    let (_bound, refused) = refusing();
    assert_eq!(soon(vec![refused, refused]).await.expect_err("refused").kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(soon(vec![]).await.expect_err("nothing to try").kind(), io::ErrorKind::NotFound);
}

struct End(tokio::sync::mpsc::UnboundedSender<u32>, u32);

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}

#[test]
fn of_too_many_the_oldest_goes_and_who_is_done_makes_room() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    runtime.expect("a runtime").block_on(async {
        let crowd = std::rc::Rc::new(Crowd::default());
        let (ends, mut ended) = tokio::sync::mpsc::unbounded_channel();
        // Says when it is dropped; ends when it is told to.
        let task = |number: u32| {
            let (tell, told) = tokio::sync::oneshot::channel::<()>();
            let end = End(ends.clone(), number);
            let task = async move {
                let _end = end;
                let _ = told.await;
            };
            (task, tell)
        };
        let mut tells = Vec::new();
        for number in 0..3 {
            let (task, tell) = task(number);
            assert_eq!(crowd.join(3, |_| task), 0);
            tells.push(tell);
        }
        tells.remove(1).send(()).expect("it is there");
        assert_eq!(ended.recv().await, Some(1));
        let (fourth, _fourth) = task(3);
        assert_eq!(crowd.join(3, |_| fourth), 0, "one has left");
        let (fifth, _fifth) = task(4);
        assert_eq!(crowd.join(2, |_| fifth), 2, "a reload allows fewer");
        assert_eq!([ended.recv().await, ended.recv().await], [Some(0), Some(2)]);
        tokio::task::yield_now().await;
        assert!(ended.try_recv().is_err());
    });
}

#[test]
fn who_has_just_come_is_not_closed_for_the_next() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build_local(Default::default());
    runtime.expect("a runtime").block_on(async {
        // Of two, who may take 2.5 s each, or half a second if they say nothing.
        let patience = Patience { silent: Duration::from_millis(500), heard: Duration::from_millis(2500) };
        let crowd = std::rc::Rc::new(Crowd::new(patience));
        // Says something, and stays until it is told to go.
        let heard = || {
            let (tell, told) = tokio::sync::oneshot::channel::<()>();
            let task = |place: Place| async move {
                place.is_heard();
                let _ = told.await;
            };
            (tell, task)
        };
        let begun = tokio::time::Instant::now();
        let ((_first, first), (second, task), (third, other)) = (heard(), heard(), heard());
        crowd.join(2, first);
        crowd.room(2).await;
        crowd.join(2, task);
        tokio::time::advance(Duration::from_secs(1)).await;
        second.send(()).expect("it is there");
        crowd.room(2).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(1), "one has left");
        crowd.join(2, other);
        crowd.room(2).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(5), "the first one had time enough");
        assert_eq!(crowd.join(2, |_| std::future::pending()), 1);
        crowd.room(2).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(6), "who says nothing had a second, and the third one five");
        assert_eq!(crowd.join(2, |_| std::future::pending()), 1);
        tokio::task::yield_now().await;
        assert!(!third.is_closed(), "who says nothing goes first");
        assert_eq!(crowd.join(2, |_| std::future::pending()), 1);
        tokio::task::yield_now().await;
        assert!(third.is_closed(), "and who has only come does not");
    });
}

#[tokio::test]
async fn a_unix_socket_has_the_mode_it_is_to_have_and_takes_the_place_of_one_that_nobody_listens_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(".s.PGSQL.6432");
    // Its file outlives it.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    for mode in [0o600, 0o777] {
        let listener = listen_unix(folder.path(), 6432, mode).expect("it listens");
        let permissions = std::fs::metadata(&path).expect("a socket").permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777, mode);
        let other = listen_unix(folder.path(), 6432, mode).err().map(|error| error.kind());
        assert_eq!(other, Some(io::ErrorKind::AddrInUse));
        let _client = UnixStream::connect(&path).await.expect("it is left as it was");
        assert!(matches!(listener.accept(TcpOptions::default).await, Ok((_, Peer::Unix))));
    }
}
