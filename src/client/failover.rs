//! Waiting where no primary is confirmed: in order, with a deadline that the client hears of. Nothing of its request has been sent
//! anywhere, so that it simply goes to whoever is the primary then.

use super::checkout::NoServer;
use super::connection::{Client, Step};
use super::turn::{Event, earlier, turn};
use crate::activity::ClientState;
use crate::clock::{self, Instant};
use crate::cluster::Watch;
use crate::fault::{Blame, Fault, SqlState};

impl Client {
    /// Returns once a primary is confirmed, or a reload has made this watch a former one. `since` is when the request came;
    /// `notify` says whether the client is told that it waits.
    pub(super) async fn until_primary(&mut self, watch: &Watch, since: Instant, notify: bool) -> Result<(), NoServer> {
        self.step(Step::Wait);
        self.does(ClientState::Waiting);
        let waited = self.wait_for_primary(watch, since, notify).await;
        self.now = clock::now();
        self.does(ClientState::Idle);
        if watch.is_over() && self.look_again().is_err() {
            return Err(NoServer::SentAway);
        }
        waited
    }

    async fn wait_for_primary(&mut self, watch: &Watch, since: Instant, notify: bool) -> Result<(), NoServer> {
        let patience = self.shape.settings.query_wait_timeout;
        let patience = patience.map_or(watch.failover_timeout(), |wait| wait.min(watch.failover_timeout()));
        let last = since.checked_add(patience);
        let mut notice = self.rules.query_wait_notify.filter(|_| notify).and_then(|after| since.checked_add(after));
        let place = watch.wait(&self.mailbox);
        loop {
            // Behind taking the place: a primary that is confirmed in between calls.
            if watch.primary().is_some() || watch.is_over() {
                drop(place);
                return Ok(());
            }
            match turn(self, None, earlier(last, notice)).await {
                Event::Client | Event::Server | Event::ServerGone => (),
                Event::Mail(mail) => {
                    let _called = self.answer(mail);
                    if let Some(why) = self.leave_queue(true) {
                        self.cancelled = false;
                        return Err(why);
                    }
                }
                Event::Deadline if notice.is_some_and(|at| at <= clock::now()) => {
                    notice = None;
                    self.tell_waiting();
                }
                Event::Deadline => return Err(NoServer::Refused(no_primary(watch, since))),
                Event::TooMuch => return Err(NoServer::Refused(self.holding.shed())),
                Event::ClientGone => return Err(NoServer::ClientGone),
            }
        }
    }
}

/// A read that only replicas may serve.
pub(super) fn no_replica() -> Fault {
    Fault::error(Blame::Server, SqlState::CANNOT_CONNECT_NOW, "no replica can serve the read")
        .with_detail("replica_required keeps reads from the primary.")
        .with_hint("SHOW HOSTS on the console tells what each host says. Within a transaction that may write, or behind a hint (/* pgotter: primary */), it runs on the primary.")
}

fn no_primary(watch: &Watch, since: Instant) -> Fault {
    let waited = clock::now().saturating_duration_since(since).as_secs_f64();
    Fault::error(Blame::Server, SqlState::CANNOT_CONNECT_NOW, "no primary is confirmed")
        .with_detail(format!("Waited {waited:.1} s; {}.", watch.account()))
        .with_hint("Check that one of the hosts is up and not in recovery. SHOW HOSTS on the console tells what each of them says.")
}
