//! How long a client may take with its server, and what becomes of it when that time is up.

use super::connection::{Client, Step};
use super::link::Link;
use super::serve::Left;
use super::turn::earlier;
use crate::clock::{self, Instant};
use crate::config::PoolMode;
use crate::fault::{Blame, Fault, SqlState};
use crate::server::cancel;
use crate::wire::backend::Status;
use std::time::Duration;

/// A statement that was cancelled because its time was up gets this long to end.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

impl Client {
    /// One at a time: however many a client sends, PostgreSQL sees one connection.
    pub(super) fn send_cancel(&mut self, link: &mut Link) {
        self.step(Step::Cancel);
        self.cancel_trial();
        link.cancel_again = link.server.cancel_under_way();
        if link.cancel_again {
            return;
        }
        let target = link.server.cancel_target();
        let activity = link.server.activity().clone();
        activity.is_cancelled(true);
        let (mailbox, limit) = (self.mailbox.clone(), self.rules.cancel_wait_timeout);
        tokio::task::spawn_local(async move {
            if !matches!(tokio::time::timeout(limit, cancel(&target)).await, Ok(Ok(()))) {
                tracing::warn!(address = %target.address, "a cancel request did not get through");
            }
            drop(target);
            activity.is_cancelled(false);
            // The client's task looks again whether its server may go back.
            mailbox.put(|mail| mail.cancel_ended = true);
        });
    }

    pub(super) fn deadline(&self, link: &Link) -> Option<Instant> {
        let limits = &self.shape.settings;
        let after = |from: Instant, limit: Option<Duration>| limit.and_then(|limit| from.checked_add(limit));
        let exchange = link.server.exchange();
        let phase = if link.overdue.is_some() {
            return link.overdue;
        } else if exchange.owes() {
            after(link.sent, limits.query_timeout)
        } else if link.held.is_some() || self.is_held_by_doubt() {
            // It is not the client that is waited for.
            None
        } else if exchange.status() != Status::Idle || exchange.unsynced() {
            after(link.heard, limits.idle_transaction_timeout)
        } else if self.is_kept(link) {
            return self.next_look(self.now.max(link.heard));
        } else if link.mode == PoolMode::Session || self.is_pinned() {
            return after(self.now.max(link.heard), limits.client_idle_timeout);
        } else {
            None
        };
        earlier(phase, after(self.began(link), limits.transaction_timeout))
    }

    /// When its transaction began, which may have read elsewhere before.
    fn began(&self, link: &Link) -> Instant {
        self.route.as_ref().and_then(|route| route.read_since).unwrap_or(link.since)
    }

    /// A deadline has passed: which one follows from what the link is doing.
    pub(super) fn time_is_up(&mut self, link: &mut Link) -> Result<(), Left> {
        let now = clock::now();
        let limits = &self.shape.settings;
        let over = |from: Instant, limit: Option<Duration>| limit.is_some_and(|limit| now >= from + limit);
        let fatal = |code, message| Err(Left::Refused(Fault::fatal(Blame::Limit, code, message)));
        let exchange = link.server.exchange();
        if link.overdue.is_some() {
            return fatal(
                SqlState::QUERY_CANCELED,
                "terminating connection: query_timeout passed and the cancel was not heeded",
            );
        }
        let transaction = link.mode != PoolMode::Session || exchange.owes() || exchange.status() != Status::Idle;
        if transaction && over(self.began(link), limits.transaction_timeout) {
            return Err(Left::Refused(transaction_timed_out()));
        }
        if exchange.owes() {
            // The client gets PostgreSQL's own 57014 and goes on.
            link.overdue = now.checked_add(CANCEL_GRACE);
            self.send_cancel(link);
            return Ok(());
        }
        if exchange.status() != Status::Idle || exchange.unsynced() {
            return fatal(
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                "terminating connection due to idle_transaction_timeout",
            );
        }
        fatal(SqlState::IDLE_SESSION_TIMEOUT, "terminating connection due to client_idle_timeout")
    }
}

/// `transaction_timeout` has passed.
pub(super) fn transaction_timed_out() -> Fault {
    let message = "terminating connection due to transaction_timeout";
    Fault::fatal(Blame::Limit, SqlState::TRANSACTION_TIMEOUT, message)
}
