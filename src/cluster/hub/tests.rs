//! A hub before a PostgreSQL of thirty lines: when it opens and closes, and what its listeners are told.

use super::*;
use crate::cluster::Cluster;
use crate::pool::{FromHub, Heard};
use crate::wire::backend::{self, Status};
use crate::wire::frame;
use bytes::{Buf, BytesMut};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

/// One connection to the PostgreSQL of these tests: what it was asked, and what else it is to say. Its end is the end of
/// what it was asked.
struct Backend {
    asked: UnboundedReceiver<String>,
    say: UnboundedSender<Vec<u8>>,
}

/// Lets everybody in, unless it is to refuse; a query that names `bad` fails, any other succeeds.
async fn postgres(refuse: bool) -> (u16, UnboundedReceiver<Backend>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let (came, backends) = unbounded_channel();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (ask, asked) = unbounded_channel();
            let (say, says) = unbounded_channel();
            tokio::task::spawn_local(backend(stream, refuse, ask, says));
            let _ = came.send(Backend { asked, say });
        }
    });
    (port, backends)
}

async fn backend(
    mut stream: TcpStream,
    refuse: bool,
    ask: UnboundedSender<String>,
    mut says: UnboundedReceiver<Vec<u8>>,
) -> Option<()> {
    let length = stream.read_u32().await.ok()?;
    stream.read_exact(&mut vec![0; length as usize - 4]).await.ok()?;
    let mut out = BytesMut::new();
    let error = |severity: &str| [b"S", severity.as_bytes(), b"\0C53300\0Mno\0\0"].concat();
    let put_error = |out: &mut BytesMut, severity: &str| {
        crate::wire::frontend::message(out, backend::kind::ERROR_RESPONSE, |out| {
            out.extend_from_slice(&error(severity))
        });
    };
    if refuse {
        put_error(&mut out, "FATAL");
        return stream.write_all(&out).await.ok();
    }
    backend::authentication_ok(&mut out);
    backend::backend_key_data(&mut out, 7, b"1234");
    backend::ready_for_query(&mut out, Status::Idle);
    let mut inbox = BytesMut::new();
    loop {
        stream.write_all(&std::mem::take(&mut out)).await.ok()?;
        tokio::select! {
            received = stream.read_buf(&mut inbox) => if received.ok()? == 0 { return None },
            say = says.recv() => out.extend_from_slice(&say?),
        }
        while let Some((kind, body, total)) = frame::first(&inbox) {
            if kind == b'X' {
                return None;
            }
            let sql = String::from_utf8_lossy(&body[..body.len() - 1]).into_owned();
            if sql.contains("bad") {
                put_error(&mut out, "ERROR");
            }
            backend::ready_for_query(&mut out, Status::Idle);
            let _ = ask.send(sql);
            inbox.advance(total);
        }
    }
}

/// A pool on it, and some who may listen.
struct Hall {
    // A pool lives as long as somebody keeps its cluster.
    cluster: Cluster,
    pool: Arc<Pool>,
    listeners: Vec<Listener>,
    tickets: u64,
}

impl Hall {
    fn new(port: u16) -> Self {
        let pooler = "[pooler]\nauth_type = \"trust\"\nserver_tls_sslmode = \"disable\"";
        let text = format!("{pooler}\n[databases.shop]\nhosts = [\"127.0.0.1:{port}\"]\n");
        let nothing = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
        let config = crate::config::parse(&text, Path::new("/pooler.toml"), &nothing, &|_| None, 1);
        let config = config.unwrap_or_else(|report| panic!("{report}"));
        let tls = crate::net::Tls::load(&config).expect("no files are needed").share();
        let cluster = Cluster::new(Arc::new(config), tls, Box::new(|_, _| ()), Box::new(|| ()));
        let pool = cluster.pool("shop", "app").expect("there is such a database");
        let listener = |id| Listener { id: ClientId(id), mailbox: Arc::default() };
        Self { cluster, pool, listeners: (0..3).map(listener).collect(), tickets: 0 }
    }

    fn listen(&mut self, who: usize, channels: &[&str]) -> (Hub, Ticket) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let lane = self.pool.shape().lane().expect("a lane").clone();
        let channels = channels.iter().map(|name| name.as_bytes().into()).collect();
        (self.pool.listen(&lane, b"UTF8", self.listeners[who].clone(), channels, ticket), ticket)
    }

    /// The next that this one is told.
    async fn told(&self, who: usize) -> FromHub {
        let told = async {
            loop {
                if let Some(hub) = self.listeners[who].mailbox.take().and_then(|mail| mail.hub) {
                    return *hub;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), told).await.expect("it is told something")
    }

    async fn is_done(&self, who: usize, expected: Ticket) {
        let told = self.told(who).await;
        assert!(matches!(told.heard[..], [Heard::Done(ticket)] if ticket == expected), "{told:?}");
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    runtime.expect("a runtime").block_on(test);
}

fn notification(channel: &str) -> Vec<u8> {
    let mut out = BytesMut::new();
    let body = [&7i32.to_be_bytes()[..], channel.as_bytes(), b"\0\0"].concat();
    crate::wire::frontend::message(&mut out, backend::kind::NOTIFICATION_RESPONSE, |out| out.extend_from_slice(&body));
    out.to_vec()
}

#[test]
fn it_says_to_postgresql_what_is_new_and_answers_behind_everything_that_came() {
    run(async {
        let (port, mut backends) = postgres(false).await;
        let mut hall = Hall::new(port);
        let (hub, first) = hall.listen(0, &["a", "b\"c"]);
        hall.is_done(0, first).await;
        let mut backend = backends.recv().await.expect("a login");
        assert_eq!(backend.asked.recv().await.as_deref(), Some("LISTEN \"a\";LISTEN \"b\"\"c\";"));
        let (_, second) = hall.listen(1, &["a"]);
        hall.is_done(1, second).await;
        assert_eq!(backend.asked.recv().await.as_deref(), Some(""), "nothing is new");
        for channel in ["a", "nobody's", "b\"c", "a"] {
            backend.say.send(notification(channel)).expect("it is there");
        }
        let mut heard = 0;
        while heard < 3 {
            heard += hall.told(0).await.heard.len();
        }
        assert_eq!(hall.told(1).await.heard.len(), 2);
        hub.unlisten(ClientId(0), vec![(*b"a").into(), (*b"b\"c").into()]);
        assert_eq!(backend.asked.recv().await.as_deref(), Some("UNLISTEN \"b\"\"c\";"), "another one listens to a");
    });
}

#[test]
fn it_closes_when_nobody_has_listened_for_long_and_another_one_opens() {
    run(async {
        let (port, mut backends) = postgres(false).await;
        let mut hall = Hall::new(port);
        let (hub, ticket) = hall.listen(0, &["a"]);
        hall.is_done(0, ticket).await;
        let mut backend = backends.recv().await.expect("a login");
        backend.asked.recv().await.expect("LISTEN");
        tokio::time::pause();
        tokio::time::sleep(LINGER * 2).await;
        assert!(backend.asked.try_recv().is_err() && !backend.asked.is_closed(), "somebody listens");
        hub.unlisten(ClientId(0), vec![(*b"a").into()]);
        assert_eq!(backend.asked.recv().await.as_deref(), Some("UNLISTEN \"a\";"));
        assert_eq!(backend.asked.recv().await, None);
        tokio::time::resume();
        let (_, ticket) = hall.listen(0, &["a"]);
        hall.is_done(0, ticket).await;
        assert!(backends.recv().await.is_some());
    });
}

#[test]
fn a_lost_connection_is_told_to_all_who_listen_or_wait() {
    run(async {
        let (port, mut backends) = postgres(false).await;
        let mut hall = Hall::new(port);
        let (hub, ticket) = hall.listen(0, &["a"]);
        hall.is_done(0, ticket).await;
        drop(backends.recv().await.expect("a login").say);
        assert!(hall.told(0).await.lost);
        assert!(!hub.ask(hall.listeners[0].clone(), Ticket(9)), "it has ended");
        let (_, ticket) = hall.listen(1, &["a"]);
        hall.is_done(1, ticket).await;
        assert!(hall.listeners[0].mailbox.take().is_none(), "the new hub is not the old one's listeners'");
    });
}

#[test]
fn a_pause_closes_it_behind_the_last_server_and_all_who_listen_are_told() {
    run(async {
        let (port, mut backends) = postgres(false).await;
        let mut hall = Hall::new(port);
        let (_, ticket) = hall.listen(0, &["a"]);
        hall.is_done(0, ticket).await;
        let mut backend = backends.recv().await.expect("a login");
        backend.asked.recv().await.expect("LISTEN");
        hall.cluster.begin_pause(Some("shop")).expect("there is such a database");
        hall.cluster.until_quiet(Some("shop")).await;
        assert!(hall.told(0).await.lost);
        assert_eq!(backend.asked.recv().await, None);
        hall.cluster.resume(None).expect("it was paused");
        let (_, ticket) = hall.listen(0, &["a"]);
        hall.is_done(0, ticket).await;
        assert!(backends.recv().await.is_some());
    });
}

#[test]
fn what_postgresql_refuses_fails_for_who_asked_and_those_who_joined_are_told() {
    run(async {
        let (port, mut backends) = postgres(false).await;
        let mut hall = Hall::new(port);
        let (hub, good) = hall.listen(2, &["good"]);
        hall.is_done(2, good).await;
        let _backend = backends.recv().await.expect("a login");
        let (_, bad) = hall.listen(0, &["bad"]);
        hall.listen(1, &["bad"]);
        // In the same breath.
        let asked = Ticket(bad.0 + 10);
        assert!(hub.ask(hall.listeners[2].clone(), asked));
        let told = hall.told(0).await;
        assert!(matches!(&told.heard[..], [Heard::Failed(ticket, _)] if *ticket == bad), "{told:?}");
        let told = hall.told(1).await;
        assert!(told.lost, "{told:?}");
        hall.is_done(2, asked).await;
    });
}

#[test]
fn a_hub_that_cannot_log_in_refuses_all_for_a_while_and_then_tries_again() {
    run(async {
        let (port, mut backends) = postgres(true).await;
        let mut hall = Hall::new(port);
        for _ in 0..3 {
            let (_, expected) = hall.listen(0, &["a"]);
            let told = hall.told(0).await;
            let [Heard::Failed(ticket, fault)] = &told.heard[..] else { panic!("{told:?}") };
            assert_eq!((*ticket, fault.sqlstate.0), (expected, "53300"));
        }
        assert!(backends.recv().await.is_some());
        assert!(backends.try_recv().is_err(), "one attempt for all of them");
        while backends.try_recv().is_err() {
            hall.listen(0, &["a"]);
            hall.told(0).await;
        }
    });
}
