//! A hub's task, from its login to its end. Whatever ends it, everybody who listened is told.

use super::book::{Book, lose};
use super::conversation::{Conversation, Over};
use super::{LINGER, Order};
use crate::clock::{self, Instant};
use crate::cluster::Pool;
use crate::fault::{Fault, Severity};
use crate::pool::{Heard, Lane};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Interval, interval};

/// A hub that cannot log in refuses everybody for so long before another one tries: a client that repeats its LISTEN at
/// once makes no storm of logins.
const REST: Duration = Duration::from_secs(1);

/// What it calls itself in PostgreSQL.
const NAME: &str = "pgotter listen";

/// How often a hub looks whether it is still wanted.
const LOOK: Duration = Duration::from_secs(1);

/// Orders taken at a time, whose statements go out in one write.
const BATCH: usize = 256;

pub(super) struct Task {
    pool: Weak<Pool>,
    lane: Arc<Lane>,
    encoding: Box<[u8]>,
    orders: UnboundedReceiver<Order>,
    book: Book,
    // Nobody is left, and since when.
    unused: Option<Instant>,
    // Why nobody can listen.
    refused: Option<Arc<Fault>>,
}

enum Event {
    Orders(Vec<Order>),
    Heard,
    Lost(Over),
    Look,
    // The pool is gone, and with it everybody who could listen.
    Forgotten,
}

impl Task {
    pub fn new(pool: &Arc<Pool>, lane: &Arc<Lane>, encoding: &[u8], orders: UnboundedReceiver<Order>) -> Self {
        let (pool, lane) = (Arc::downgrade(pool), lane.clone());
        Self { pool, lane, encoding: encoding.into(), orders, book: Book::default(), unused: None, refused: None }
    }

    /// Until its end, which a bug of ours brings about as well. So does that of its worker.
    pub async fn run(mut self) {
        let panicked = {
            let mut life = pin!(self.live());
            poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| life.as_mut().poll(cx))) {
                Ok(poll) => poll.map(|()| false),
                Err(_) => Poll::Ready(true),
            })
            .await
        };
        if panicked {
            tracing::error!("a hub's task panicked; whoever listened through it is disconnected");
        }
    }

    async fn live(&mut self) {
        let Some(pool) = self.pool.upgrade() else { return };
        let id = pool.fresh_server_id();
        drop(pool);
        let encoding = String::from_utf8_lossy(&self.encoding).into_owned();
        let parameters = [("client_encoding", encoding.as_str()), ("application_name", NAME)];
        match self.lane.log_in_beside(id, &parameters).await {
            Ok(server) => {
                tracing::debug!(server = %id, %encoding, "hub opened");
                self.serve(Conversation::new(server)).await;
            }
            Err(error) => {
                let (user, text) = (self.lane.role(), error.to_string());
                tracing::warn!(address = %self.lane.address(), %user, error = %text, "cannot open a hub for LISTEN");
                self.refuse(Fault { severity: Severity::Error, ..error.fault() }).await;
            }
        }
    }

    async fn refuse(&mut self, fault: Fault) {
        let hint = "LISTEN needs a connection of its own to PostgreSQL, beside the pool's.";
        self.refused = Some(Arc::new(fault.with_hint(hint)));
        let refuse_all = async {
            while let Some(order) = self.orders.recv().await {
                self.turn_down(order);
            }
        };
        let _ = tokio::time::timeout(REST, refuse_all).await;
    }

    fn turn_down(&self, order: Order) {
        if let Order::Listen(who, _, ticket) | Order::Ask(who, ticket) = order {
            match &self.refused {
                Some(fault) => who.mailbox.put(|mail| mail.hear(Heard::Failed(ticket, fault.clone()))),
                None => lose(&who.mailbox),
            }
        }
    }

    async fn serve(&mut self, mut line: Conversation) {
        let mut look = interval(LOOK);
        loop {
            match poll_fn(|cx| self.turn(&mut line, &mut look, cx)).await {
                Event::Orders(orders) => orders.into_iter().for_each(|order| self.obey(order, &mut line)),
                Event::Heard => {
                    if let Err(over) = line.hear(&mut self.book) {
                        return self.lost(line, &over);
                    }
                }
                Event::Lost(over) => return self.lost(line, &over),
                Event::Look if self.is_elsewhere(&line) => {
                    return self.lost(line, &Over("the pool's servers are replaced".to_owned()));
                }
                Event::Look if self.is_let_go() => {
                    tracing::info!(server = %line.server.id, "a hub is closed for a pause; whoever listened through it is disconnected");
                    line.unanswered().for_each(|mailbox| lose(&mailbox));
                    return line.server.retire();
                }
                Event::Look if !self.is_over() => (),
                Event::Look | Event::Forgotten => {
                    tracing::debug!(server = %line.server.id, "hub closed");
                    return line.server.retire();
                }
            }
        }
    }

    fn turn(&mut self, line: &mut Conversation, look: &mut Interval, cx: &mut Context<'_>) -> Poll<Event> {
        let over = |error: std::io::Error| Poll::Ready(Event::Lost(Over(error.to_string())));
        // What has been heard is older than what is asked for now.
        let socket = line.server.socket();
        socket.end_bulk();
        match socket.poll_recv(cx) {
            Poll::Ready(Ok(0)) => return over(std::io::ErrorKind::UnexpectedEof.into()),
            Poll::Ready(Ok(_)) => return Poll::Ready(Event::Heard),
            Poll::Ready(Err(error)) => return over(error),
            Poll::Pending => (),
        }
        let mut orders = Vec::new();
        if self.orders.poll_recv_many(cx, &mut orders, BATCH).is_ready() {
            return Poll::Ready(if orders.is_empty() { Event::Forgotten } else { Event::Orders(orders) });
        }
        let flushed = socket.poll_flush(cx);
        line.flushed();
        if let Poll::Ready(Err(error)) = flushed {
            return over(error);
        }
        look.poll_tick(cx).map(|_| Event::Look)
    }

    fn obey(&mut self, order: Order, line: &mut Conversation) {
        match order {
            Order::Listen(who, channels, ticket) => {
                let new = channels.into_iter().filter(|channel| self.book.listen(&who, channel)).collect();
                line.say(new, &[], Some((who.mailbox, ticket)));
            }
            Order::Unlisten(who, channels) => {
                let old: Vec<_> = channels.into_iter().filter(|channel| self.book.unlisten(who, channel)).collect();
                line.say(Vec::new(), &old, None);
            }
            Order::Ask(who, ticket) => line.say(Vec::new(), &[], Some((who.mailbox, ticket))),
        }
        self.unused = None;
    }

    /// Whether it listens where the pool's servers are not, or not as the configuration says, or where they are about to
    /// be replaced: what is notified there is not all that its listeners are to hear.
    fn is_elsewhere(&self, line: &Conversation) -> bool {
        let Some(pool) = self.pool.upgrade() else { return true };
        let shape = pool.shape();
        let is_own = |lane: &Arc<Lane>| Arc::ptr_eq(lane, &self.lane);
        // Where no primary is confirmed, the last one may be so again.
        let moved = shape.lane().map_or_else(|| !shape.lanes.iter().any(is_own), |lane| !is_own(lane));
        moved || !self.lane.is_current(&line.server)
    }

    /// Whether the pool is paused and has no other server. Before that a transaction that goes on may notify, and who has begun
    /// the pause take it back.
    fn is_let_go(&self) -> bool {
        let shape = self.pool.upgrade().map(|pool| pool.shape());
        shape.is_some_and(|shape| shape.lanes.iter().all(|lane| lane.is_paused() && lane.is_empty()))
    }

    /// Nobody has needed it for long. Then nobody can find it any more.
    fn is_over(&mut self) -> bool {
        let now = clock::now();
        if !self.book.is_empty() {
            return false;
        }
        let since = *self.unused.get_or_insert(now);
        if now.saturating_duration_since(since) < LINGER {
            return false;
        }
        let Some(pool) = self.pool.upgrade() else { return true };
        let mut open = pool.hubs.open.lock();
        let over = self.orders.is_empty();
        if over {
            open.remove(&self.encoding);
            self.orders.close();
        }
        over
    }

    fn lost(&mut self, mut line: Conversation, over: &Over) {
        let (server, reason) = (line.server.id, &over.0);
        tracing::warn!(%server, %reason, "a hub's connection is lost; whoever listened through it is disconnected");
        line.unanswered().for_each(|mailbox| lose(&mailbox));
    }
}

impl Drop for Task {
    /// Nobody reaches it any more, and everybody who waits for something is told that there is nothing to come. Its locks are kept for a line.
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            let mut open = pool.hubs.open.lock();
            // One that has ended in peace has left its place, and another may be in it.
            if !self.orders.is_closed() {
                open.remove(&self.encoding);
            }
        }
        self.orders.close();
        while let Ok(order) = self.orders.try_recv() {
            self.turn_down(order);
        }
        self.book.lose();
    }
}
