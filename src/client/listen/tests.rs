//! What a client asks of its hub, and how long it remembers what it is owed.

use super::*;
use crate::cluster::Listener;
use crate::pool::{FromHub, Heard};

/// The process of its server, and of another.
const SERVER: i32 = 7;

struct Stage {
    listening: Listening,
    orders: Box<dyn Fn() -> usize>,
}

impl Stage {
    /// A client that listens to `a`, through a hub that never answers.
    fn new() -> Self {
        let (hub, orders) = Hub::stopped();
        let mut listening = Listening::new(ClientId(1));
        (listening.hub, listening.server) = (Some(hub), SERVER);
        let mut stage = Self { listening, orders: Box::new(orders) };
        stage.transaction(&[], &["LISTEN a"]);
        stage
    }

    /// A transaction that notifies of these, each with an empty payload, and does the statements, which are of UNLISTEN and LISTEN.
    fn transaction(&mut self, notices: &[&str], statements: &[&str]) {
        notices.iter().for_each(|channel| self.listening.owed.send(format!("{channel}\0\0").into_bytes().into()));
        for statement in statements {
            self.listening.expected.extend(deeds::Deeds::by(statement.as_bytes(), Default::default()).deeds);
            self.listening.complete(b"UNLISTEN");
        }
        self.listening.ready(Status::Idle);
    }

    /// It is told that it is its turn.
    fn rest(&mut self) -> Option<Ticket> {
        self.listening.ask_at_rest(listener())
    }

    fn hear(&mut self, heard: Heard) {
        let mut hub = FromHub::default();
        hub.push(heard);
        self.listening.hear(hub, listener());
    }

    /// What another client notifies of through the same server: whether it is taken for this one's own.
    fn is_taken(&mut self, channel: &str) -> bool {
        self.listening.owed.take(SERVER, format!("{channel}\0\0").as_bytes(), 0)
    }
}

fn listener() -> Listener {
    Listener { id: ClientId(1), mailbox: Arc::default() }
}

#[test]
fn a_hub_that_does_not_answer_is_asked_once() {
    let mut stage = Stage::new();
    stage.transaction(&["a"], &[]);
    for _ in 0..1_000 {
        assert!(stage.rest().is_none(), "no server is held for it");
        stage.transaction(&[], &[]);
    }
    assert_eq!((stage.orders)(), 1);
    // What came to be owed meanwhile is asked for behind the answer, and nothing behind that.
    stage.transaction(&["b"], &[]);
    stage.rest();
    assert_eq!((stage.orders)(), 1);
    stage.hear(Heard::Done(Ticket(1)));
    assert_eq!((stage.orders)(), 2);
    assert!(!stage.is_taken("a"), "it would have come");
    stage.hear(Heard::Done(Ticket(2)));
    stage.rest();
    assert_eq!((stage.orders)(), 2);
    assert!(!stage.is_taken("b"));
}

#[test]
fn who_notifies_is_told_behind_the_answer() {
    let mut stage = Stage::new();
    stage.listening.notifying = true;
    stage.transaction(&["a"], &[]);
    let ticket = stage.rest().expect("it waits");
    stage.hear(Heard::Done(ticket));
    assert_eq!((stage.orders)(), 1);
    assert!(!stage.is_taken("a"));
}

#[test]
fn a_refusal_waits_for_the_request_that_it_refuses() {
    let mut stage = Stage::new();
    stage.transaction(&["a"], &[]);
    let ticket = Ticket(stage.listening.asked.0 + 1);
    stage.listening.asked = ticket;
    stage.rest();
    let fault = Fault::error(crate::fault::Blame::Server, crate::fault::SqlState::CANNOT_CONNECT_NOW, "no");
    stage.hear(Heard::Failed(ticket, Arc::new(fault)));
    assert!(stage.listening.refusal.is_some() && (stage.orders)() == 0);
}

#[test]
fn who_listens_to_nothing_any_more_is_owed_nothing() {
    let mut stage = Stage::new();
    stage.transaction(&["a"], &["UNLISTEN *"]);
    assert!(stage.rest().is_none());
    stage.transaction(&[], &["LISTEN a"]);
    assert!(!stage.is_taken("a"), "another one's");
    stage.transaction(&["a"], &[]);
    let mut lost = FromHub::default();
    lost.lost = true;
    stage.listening.hear(lost, listener());
    assert!(!stage.is_taken("a"));
}

/// A notification of another one's server.
fn notification(channel: &str, payload: &str) -> Heard {
    let body = [&(SERVER + 1).to_be_bytes()[..], channel.as_bytes(), b"\0", payload.as_bytes(), b"\0"].concat();
    let mut out = BytesMut::new();
    crate::wire::frontend::message(&mut out, backend::kind::NOTIFICATION_RESPONSE, |out| out.extend_from_slice(&body));
    Heard::Notification(out.freeze())
}

/// What the client is told now.
fn told(stage: &mut Stage) -> Vec<String> {
    let Listening { news, channels, .. } = &mut stage.listening;
    let told = news.take(channels, 1, false);
    let (mut rest, mut payloads) = (&told[..], Vec::new());
    while let Some((_, body, total)) = crate::wire::frame::first(rest) {
        payloads.push(String::from_utf8_lossy(&body[6..body.len() - 1]).into_owned());
        rest = &rest[total..];
    }
    payloads
}

#[test]
fn a_first_listen_hears_what_is_behind_the_answer_in_front_of_its_commit_and_nothing_before() {
    for (chain, listens) in [(false, false), (true, false), (false, true)] {
        let mut stage = Stage::new();
        let (hub, _orders) = Hub::stopped();
        if !listens {
            stage.transaction(&[], &["UNLISTEN *"]);
            stage.listening.hub = Some(hub);
        }
        let listen = Deed::Listen((*b"b").into());
        stage.listening.channels.ahead(std::slice::from_ref(&listen));
        stage.listening.expected.push_back(listen);
        stage.listening.complete(b"UNLISTEN");
        stage.listening.ready(Status::InTransaction);
        stage.hear(notification("b", "early"));
        assert_eq!(stage.listening.joins(&[Deed::Commit]), !listens);
        assert!(!stage.listening.joins(&[Deed::RollBack]));
        let ticket = stage.listening.ask(listener()).expect("there is a hub");
        stage.hear(notification("b", "early, and late"));
        stage.hear(Heard::Done(ticket));
        stage.listening.set_out();
        stage.listening.expected.push_back(Deed::Commit);
        stage.listening.complete(b"COMMIT");
        // Others may know of the COMMIT before its client does, or the next transaction is begun with it.
        if chain {
            stage.listening.ready(Status::InTransaction);
        }
        stage.hear(notification("b", "behind"));
        stage.listening.ready(Status::Idle);
        stage.hear(notification("b", "late"));
        // Who listens already hears all, as with PostgreSQL.
        let before: &[&str] = if listens { &["early", "early, and late"] } else { &[] };
        assert_eq!(told(&mut stage), [before, &["behind", "late"]].concat());
    }
}

#[test]
fn a_listen_without_a_commit_of_its_own_loses_nothing_that_comes_behind_it() {
    let mut stage = Stage::new();
    let (hub, _orders) = Hub::stopped();
    stage.transaction(&[], &["UNLISTEN *"]);
    stage.listening.hub = Some(hub);
    stage.listening.channels.ahead(&[Deed::Listen((*b"b").into())]);
    stage.hear(notification("b", "early"));
    stage.listening.set_out();
    stage.listening.expected.push_back(Deed::Listen((*b"b").into()));
    stage.listening.complete(b"UNLISTEN");
    stage.hear(notification("b", "behind"));
    stage.listening.ready(Status::Idle);
    assert!(stage.rest().is_none(), "nothing is waited for");
    assert_eq!(told(&mut stage), ["behind"]);
}

#[test]
fn a_hub_that_is_lost_while_a_first_listen_is_under_way_makes_its_client_deaf_and_before_it_does_not() {
    for sent in [false, true] {
        let mut stage = Stage::new();
        stage.transaction(&[], &["UNLISTEN *"]);
        stage.listening.channels.ahead(&[Deed::Listen((*b"b").into())]);
        if sent {
            stage.listening.expected.push_back(Deed::Listen((*b"b").into()));
        }
        let mut lost = FromHub::default();
        lost.lost = true;
        stage.listening.hear(lost, listener());
        assert_eq!(stage.listening.lost, sent);
    }
}

#[test]
fn a_refusal_of_what_nobody_waits_for_any_more_refuses_nothing() {
    let mut stage = Stage::new();
    let old = stage.listening.next_ticket();
    let new = stage.listening.next_ticket();
    let fault = Fault::error(crate::fault::Blame::Server, crate::fault::SqlState::CANNOT_CONNECT_NOW, "no");
    stage.hear(Heard::Failed(old, Arc::new(fault)));
    stage.hear(Heard::Done(new));
    assert!(stage.listening.refusal.is_none());
    assert!(stage.listening.lost, "of the same channel, nothing would be heard any more");
}
