//! The one place where a client's task waits: for its socket, its server's socket, its mailbox, its sends, its timer.

use super::connection::Client;
use crate::clock::{self, Instant};
use crate::pool::Mail;
use crate::server::Server;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

/// What happened.
pub enum Event {
    /// The client's inbox has more.
    Client,
    /// The client is gone.
    ClientGone,
    /// The server's inbox has more.
    Server,
    /// The server is gone.
    ServerGone,
    /// Somebody left mail.
    Mail(Mail),
    /// The deadline has passed.
    Deadline,
    /// Memory is short, and this client holds too much of it.
    TooMuch,
}

/// Sends what is queued on both sides and waits for the next thing to happen. Cancel-safe.
///
/// No async fn: that would hold its arguments twice, in the task of every client.
pub fn turn(
    client: &mut Client,
    mut server: Option<&mut Server>,
    deadline: Option<Instant>,
) -> impl Future<Output = Event> {
    poll_fn(move |cx| poll(client, server.as_deref_mut(), deadline, cx))
}

fn poll(
    client: &mut Client,
    mut server: Option<&mut Server>,
    deadline: Option<Instant>,
    cx: &mut Context<'_>,
) -> Poll<Event> {
    let mut server_queued = 0;
    let mut server_full = false;
    let sent = client.socket.poll_flush(cx);
    client.note_sent(&sent);
    if let Some(server) = server.as_deref_mut() {
        server_full = server.exchange().is_full();
        let socket = server.socket();
        let broken = matches!(socket.poll_flush(cx), Poll::Ready(Err(_)));
        server_queued = socket.queued();
        let mut heard = None;
        if !client.holding.all().is_full(client.socket.queued()) {
            // What a server said before it went is worth hearing.
            match socket.poll_recv(cx) {
                Poll::Ready(Ok(bytes)) if bytes > 0 => heard = Some(Event::Server),
                Poll::Ready(_) => heard = Some(Event::ServerGone),
                Poll::Pending if broken => heard = Some(Event::ServerGone),
                Poll::Pending => (),
            }
        }
        // A host that is not the primary any more may have done what it says, and nobody will find it done.
        if server.activity().is_revoked() {
            return Poll::Ready(Event::ServerGone);
        }
        if let Some(event) = heard {
            return Poll::Ready(event);
        }
    }
    if !note_memory(client, server.as_deref_mut()) {
        return Poll::Ready(Event::TooMuch);
    }
    match sent {
        Poll::Ready(Ok(())) => (),
        Poll::Ready(Err(_)) => return Poll::Ready(Event::ClientGone),
        Poll::Pending => note_stall(client),
    }
    // Before the next request is read: a cancel that came while nothing ran must not find it.
    if let Some(mail) = client.mailbox.take() {
        return Poll::Ready(Event::Mail(mail));
    }
    if may_receive(client, server_full || client.holding.all().is_full(server_queued)) {
        match client.socket.poll_recv(cx) {
            Poll::Ready(Ok(bytes)) if bytes > 0 => {
                client.lookout.read(bytes);
                client.meter.received(bytes);
                return Poll::Ready(Event::Client);
            }
            // What it said before it hung up is still to be done.
            Poll::Ready(_) if client.gather.says_goodbye(client.socket.received()) => {
                client.hung_up = true;
                client.lookout.end();
            }
            Poll::Ready(_) => return Poll::Ready(Event::ClientGone),
            Poll::Pending => (),
        }
    } else if client.lookout.has_lost(&client.socket, client.holding.all()) {
        return Poll::Ready(Event::ClientGone);
    }
    wait(client, server, deadline, cx)
}

/// Whether to read the client: while there is room for what it says, or to find its end.
fn may_receive(client: &mut Client, server_full: bool) -> bool {
    if client.hung_up {
        return false;
    }
    if server_full || client.socket.received().len() > client.gather.room(client.rules.request_gather) {
        // Sending to a client that has gone tells as well.
        return client.socket.queued() == 0 && client.lookout.wants_more(client.holding.all());
    }
    client.lookout.rest();
    true
}

/// What both sides hold of memory. Whether that is still fine.
fn note_memory(client: &mut Client, server: Option<&mut Server>) -> bool {
    let (bytes, sent) = server
        .map_or((0, 0), |server| (server.socket().memory() + server.exchange().invented(), server.socket().sent()));
    let news = client.listening.as_ref().map_or(0, |listening| listening.memory());
    client.holding.note(bytes + news + client.socket.memory(), sent + client.socket.sent())
}

/// The one timer, for whatever comes first.
fn wait(
    client: &mut Client,
    mut server: Option<&mut Server>,
    deadline: Option<Instant>,
    cx: &mut Context<'_>,
) -> Poll<Event> {
    loop {
        let bulk = server.as_deref_mut().and_then(|server| server.socket().bulk_deadline());
        let bulk = earlier(bulk, client.socket.bulk_deadline());
        let stall = write_deadline(client);
        let look = client.lookout.deadline();
        let weigh = client.holding.deadline();
        ready!(client.timer.poll(cx, earlier(earlier(deadline, stall), earlier(bulk, earlier(look, weigh)))));
        let now = clock::now();
        if look.is_some_and(|at| at <= now) {
            client.lookout.look(now);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if weigh.is_some_and(|at| at <= now) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if bulk.is_some_and(|at| at <= now) {
            // What is left of a long transfer is not enough to wake anybody by itself.
            client.socket.end_bulk();
            if let Some(server) = server.as_deref_mut() {
                server.socket().end_bulk();
            }
            continue;
        }
        let stalled = stall.is_some_and(|at| at <= now);
        return Poll::Ready(if stalled { Event::ClientGone } else { Event::Deadline });
    }
}

/// Any byte taken starts the client's write deadline anew.
fn note_stall(client: &mut Client) {
    let sent = client.socket.sent();
    let stalled = &mut client.outgoing.get_or_insert_default().stalled;
    if stalled.is_none_or(|(_, before)| before != sent) {
        *stalled = Some((clock::now(), sent));
    }
}

fn write_deadline(client: &Client) -> Option<Instant> {
    let (since, _) = client.outgoing.as_ref()?.stalled?;
    since.checked_add(client.rules.client_write_timeout?)
}

/// The earlier of two deadlines, either of which may be missing.
pub fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}
