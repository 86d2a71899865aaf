//! Waiting where no primary is confirmed: in order, with a deadline that the client hears of. Nothing of its request has been sent
//! anywhere, so that it simply goes to whoever is the primary then.

use super::checkout::NoServer;
use super::connection::Client;
use super::turn::earlier;
use super::wait::Until;
use crate::clock::{self, Instant};
use crate::cluster::Watch;
use crate::fault::{Blame, Fault, SqlState};

impl Client {
    /// Returns once a primary is confirmed, or a reload has made this watch a former one. `since` is when the request came;
    /// `end` is when the wait is over in any case; `notify` says whether the client is told that it waits.
    pub(super) async fn until_primary(
        &mut self,
        watch: &Watch,
        since: Instant,
        end: Option<Instant>,
        notify: bool,
    ) -> Result<(), NoServer> {
        let waited = self.wait_for_primary(watch, since, end, notify).await;
        if watch.is_over() && self.look_again().is_err() {
            return Err(NoServer::SentAway);
        }
        waited
    }

    async fn wait_for_primary(
        &mut self,
        watch: &Watch,
        since: Instant,
        end: Option<Instant>,
        notify: bool,
    ) -> Result<(), NoServer> {
        let patience = self.shape.settings.query_wait_timeout;
        let patience = patience.map_or(watch.failover_timeout(), |wait| wait.min(watch.failover_timeout()));
        let last = earlier(since.checked_add(patience), end);
        let notice = self.rules.query_wait_notify.filter(|_| notify).and_then(|after| since.checked_add(after));
        // In front of looking: a primary that is confirmed in between calls.
        let _place = watch.wait(&self.mailbox);
        let until = Until { last, notice, stuck: true };
        match self.wait_until(until, || watch.primary().is_some() || watch.is_over()).await? {
            true => Ok(()),
            false => Err(NoServer::Refused(no_primary(watch, since))),
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
