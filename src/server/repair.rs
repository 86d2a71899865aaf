//! Bringing a server that its client left in the middle of something to a boundary, and resetting it behind a
//! session. Never guessed: what cannot be brought there in time is closed, and what it still runs is cancelled.

use super::cancel::{CancelTarget, cancel};
use super::connection::{CleanServer, Server};
use super::exchange::Boundary;
use super::forwarding::NOTHING;
use super::outlets::Nowhere;
use super::reply_queue::Disposition::Swallow;
use crate::activity::ServerState;
use crate::wire::backend::Status;
use crate::wire::frontend::{self, kind};
use bytes::BytesMut;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Longest time for a cancelled statement, a ROLLBACK or a reset to end. Longer than any healthy server needs.
pub const REPAIR_DEADLINE: Duration = Duration::from_secs(5);

/// Between the first two cancels of a statement; doubled each time, up to [`REPAIR_DEADLINE`].
const CANCEL_AGAIN: Duration = Duration::from_millis(250);

/// How long a statement is cancelled that does not end in time. One that has not ended by then never will.
const LAST_CANCEL: Duration = Duration::from_secs(600);

/// How often a statement is cancelled whose connection is closed: the first may come before it has begun.
const LAST_TRIES: u32 = 3;

/// How the client left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// It said Terminate: what it sent runs to its end, as with PostgreSQL.
    Terminated,
    /// It vanished, or was thrown out: what runs is cancelled.
    Vanished,
}

/// Brings the server to a boundary: cancels (unless the client said goodbye), ends COPY, aborts what was not
/// committed by a Sync or COMMIT. `None`: it could not be done and the server is closed. `extra` are the places for
/// servers whose statement does not end, beside those of the pool.
pub async fn repair(
    mut server: Box<Server>,
    leaving: Leaving,
    patience: Duration,
    extra: &Semaphore,
) -> Option<(Box<Server>, Boundary)> {
    server.activity().does(ServerState::InRepair);
    if server.exchange.is_beyond_repair() {
        return close(server, leaving, extra).await;
    }
    let deadline = if leaving == Leaving::Terminated { patience } else { REPAIR_DEADLINE };
    match tokio::time::timeout(deadline, settle(&mut server, leaving)).await {
        Ok(Some(())) => (),
        Ok(None) => return close(server, leaving, extra).await,
        Err(_) => return give_up(server, extra).await,
    }
    server.note_failed_guard();
    let rolled_back = tokio::time::timeout(REPAIR_DEADLINE, roll_back(&mut server)).await;
    match (rolled_back, server.boundary()) {
        (Ok(Some(())), Some(boundary)) if !server.cancel_under_way() && !server.has_no_future() => {
            Some((server, boundary))
        }
        _ => None,
    }
}

/// Runs the reset query behind a session. `None`: it failed and the server is closed.
pub async fn reset(mut server: Box<Server>, _from: Boundary, query: &str) -> Option<CleanServer> {
    if !query.is_empty() {
        server.exchange.take_swallowed_error();
        let run = async {
            // Another query may undo all or nothing of what was set.
            if !is_discard_all(query) {
                if server.go_home() {
                    drain(&mut server).await?;
                }
                server.belief.came_home();
            }
            simple_query(&mut server, query);
            drain(&mut server).await
        };
        tokio::time::timeout(REPAIR_DEADLINE, run).await.ok()??;
        if server.exchange.take_swallowed_error() {
            return None;
        }
        if is_discard_all(query) {
            server.belief.discarded();
            server.forget_sequences();
        }
    }
    if !is_discard_all(query) {
        server.doubt_sequences();
    }
    // A session names and drops its statements as it likes.
    server.statements.doubt();
    server.portals.forget();
    server.statements.put_unnamed(None);
    let boundary = server.boundary()?;
    Some(CleanServer::kept(server, boundary))
}

fn is_discard_all(query: &str) -> bool {
    query.trim().trim_end_matches(';').trim_end().eq_ignore_ascii_case("DISCARD ALL")
}

/// Asks an idle server for a sign of life. No deadline of its own.
pub async fn probe(server: &mut Server) -> bool {
    simple_query(server, "");
    drain(server).await.is_some() && server.boundary().is_some()
}

async fn settle(server: &mut Server, leaving: Leaving) -> Option<()> {
    let running = server.exchange.owes() && !server.exchange.copy_in();
    if server.exchange.copy_in() {
        fail_copy(server);
    }
    if server.exchange.unsynced() {
        abort_implicit_transaction(server);
    }
    if running && leaving == Leaving::Vanished { drain_cancelling(server).await } else { drain(server).await }
}

async fn drain_cancelling(server: &mut Server) -> Option<()> {
    let _ = tokio::time::timeout(CANCEL_AGAIN, server.socket.flush()).await;
    let target = server.cancel_target();
    while_cancelling(&target, drain(server)).await
}

/// Cancels again and again until `end` has come: PostgreSQL forgets a cancel that comes before the statement has begun.
async fn while_cancelling<T>(target: &CancelTarget, end: impl Future<Output = T>) -> T {
    let mut end = std::pin::pin!(end);
    let mut pause = CANCEL_AGAIN;
    loop {
        // One that did not arrive is followed by another.
        let _ = tokio::time::timeout(REPAIR_DEADLINE, cancel(target)).await;
        if let Ok(ended) = tokio::time::timeout(pause, &mut end).await {
            return ended;
        }
        pause = (pause * 2).min(REPAIR_DEADLINE);
    }
}

/// A connection was closed in the middle of a statement, which would run to its end with all its locks. Cancels it some
/// times: whether it has ended cannot be seen.
pub async fn abandon(target: &CancelTarget) {
    for tries in 0..LAST_TRIES {
        // One that did not arrive is followed by another.
        let _ = tokio::time::timeout(REPAIR_DEADLINE, cancel(target)).await;
        tokio::time::sleep(CANCEL_AGAIN * (1 << tries)).await;
    }
}

/// It is gone, or cannot be brought back. Always `None`.
async fn close(server: Box<Server>, leaving: Leaving, extra: &Semaphore) -> Option<(Box<Server>, Boundary)> {
    let runs_on = server.exchange.is_beyond_repair() && !server.exchange.said_fatal();
    if runs_on && leaving == Leaving::Vanished { give_up(server, extra).await } else { None }
}

/// Closed alone, PostgreSQL would run the statement to its end, with all its locks. The server is cancelled until its end
/// of the connection has come. Its place goes to another one at once, unless there are too many like it: else a
/// PostgreSQL that heeds no cancels would be given ever more connections. Always `None`.
async fn give_up(mut server: Box<Server>, extra: &Semaphore) -> Option<(Box<Server>, Boundary)> {
    let _extra = extra.try_acquire().inspect(|_| server.leave_slot());
    // Ends PostgreSQL's process, once it reads on.
    let _ = server.socket.shut_down().await;
    let target = server.cancel_target();
    let end = async {
        while server.socket.recv().await.is_ok() {
            server.socket.inbox().clear();
        }
    };
    if tokio::time::timeout(LAST_CANCEL, while_cancelling(&target, end)).await.is_err() {
        tracing::warn!(server = %server.id, "a statement without a client cannot be cancelled and runs on");
    }
    None
}

async fn roll_back(server: &mut Server) -> Option<()> {
    if server.exchange.status() != Status::Idle {
        simple_query(server, "ROLLBACK");
        drain(server).await?;
    }
    Some(())
}

/// Receives until nothing is owed. A COPY that asks for data the client will never send is failed.
async fn drain(server: &mut Server) -> Option<()> {
    loop {
        if server.exchange.copy_in() {
            fail_copy(server);
            if server.exchange.unsynced() {
                server.send_sync(Swallow);
            }
        }
        server.socket.flush().await.ok()?;
        if !server.exchange.owes() && server.socket.received().is_empty() {
            server.note_all_read();
            return Some(());
        }
        server.socket.recv().await.ok()?;
        let mut out = Nowhere { belief: &mut server.belief, statements: &mut server.statements, passed: false };
        server.exchange.receive(server.socket.inbox(), &mut out).ok()?;
        if server.exchange.said_fatal() {
            return None;
        }
    }
}

fn fail_copy(server: &mut Server) {
    let mut out = BytesMut::new();
    frontend::copy_fail(&mut out, "the client left in the middle of COPY");
    server.exchange.sending_own(kind::COPY_FAIL, Swallow);
    server.socket.queue(out);
}

/// A Sync alone would commit what the client never synced. Naming what does not exist fails, and takes an unfinished implicit
/// transaction with it.
fn abort_implicit_transaction(server: &mut Server) {
    let mut out = BytesMut::new();
    frontend::close_statement(&mut out, NOTHING);
    frontend::describe_statement(&mut out, NOTHING);
    server.exchange.sending_own(kind::CLOSE, Swallow);
    server.exchange.sending_own(kind::DESCRIBE, Swallow);
    server.socket.queue(out);
    server.send_sync(Swallow);
}

fn simple_query(server: &mut Server, sql: &str) {
    let mut out = BytesMut::new();
    frontend::query(&mut out, sql);
    server.exchange.sending_own(kind::QUERY, Swallow);
    server.statements.put_unnamed(None);
    server.socket.queue(out);
}
