//! Asks the hosts of each entry that has several what they are and how far, for ever: one connection to each, one small question
//! every `monitor_interval`. Runs on a thread of its own, so that a busy worker delays no failover and a failover no client.
//!
//! It logs in as somebody who needs LOGIN and nothing else. What the answers mean is the judge's business, and what follows for
//! the pools that of `Cluster::follow`.

use super::Cluster;
use super::watch::{Watch, Watched};
use crate::clock::{self, Instant};
use crate::fault::SqlState;
use crate::ids::ServerId;
use crate::server::{LoginError, log_in};
use line::Line;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

mod line;

/// Longest time for an answer, and for a login. A host that takes longer for so little serves nobody well.
const PATIENCE: Duration = Duration::from_secs(3);

/// Longest time for a flush: it hangs behind that of anybody else, and as long as it does nobody hears of the host.
const FLUSH_PATIENCE: Duration = Duration::from_millis(500);

/// Two questions to a host are so far apart at least, whatever is asked of the monitor.
const QUESTIONS_APART: Duration = Duration::from_millis(10);

/// A host that is not there is looked for again after `monitor_interval`, doubled up to this.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// One that lets nobody in after this, doubled up to the second: PostgreSQL logs each attempt. A reload, a new pool and new keys
/// end the pause.
const BARRED_PAUSE: Duration = Duration::from_secs(1);
const BARRED_PAUSE_MAX: Duration = Duration::from_secs(32);

/// A task that panicked begins again after this long.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// Why there is no connection.
enum NoAnswer {
    /// Nobody is known who could ask.
    Nobody,
    /// PostgreSQL lets nobody in who could ask.
    Barred(String),
    /// `gone`: it is not up. Else it says nothing, or nothing that makes sense.
    Failed { why: String, gone: bool },
    /// We ourselves lack descriptors, or it has no place left for us: that says nothing of what it is.
    NoNews,
}

impl Cluster {
    /// Asks for ever; runs on a `LocalRuntime`.
    pub async fn watch_hosts(self: Arc<Self>) {
        loop {
            for watch in self.watches() {
                if watch.begin() {
                    for at in 0..watch.hosts().len() {
                        tokio::task::spawn_local(tend(self.clone(), watch.clone(), at));
                    }
                }
            }
            self.watches_changed.notified().await;
        }
    }

    /// Takes over what was heard.
    fn report(&self, watch: &Arc<Watch>, heard: impl FnOnce(&mut super::judge::Judge, Instant)) {
        watch.hear(heard, |change| self.follow(watch, change));
    }

    async fn connect(&self, watch: &Watch, at: usize) -> Result<(Line, u64), NoAnswer> {
        let mut barred = None;
        for login in self.monitors(watch, at) {
            let id = ServerId(self.server_numbers.next());
            let opened = timeout(PATIENCE, log_in(&login, id)).await.unwrap_or(Err(LoginError::TimedOut));
            match opened {
                Ok((server, _)) => {
                    let opened = timeout(PATIENCE, Line::open(server)).await;
                    let opened = opened.unwrap_or_else(|_| Err("it lets us in and says nothing".to_owned()));
                    return opened.map_err(|why| NoAnswer::Failed { why, gone: false });
                }
                Err(error) if error.is_final() => barred = Some(format!("{}: {error}", login.user)),
                Err(error) if error.is_our_own() || error.fault().sqlstate == SqlState::TOO_MANY_CONNECTIONS => {
                    return Err(NoAnswer::NoNews);
                }
                Err(error) => {
                    let gone = error.is_absence();
                    return Err(NoAnswer::Failed { why: error.to_string(), gone });
                }
            }
        }
        Err(barred.map_or(NoAnswer::Nobody, NoAnswer::Barred))
    }

    /// One host, until its watch is over.
    async fn ask_host(&self, watch: &Arc<Watch>, at: usize) {
        let Some(host) = watch.hosts().get(at) else { return };
        let retry = self.books.lock().config.pooler.server_login_retry;
        let meter = self.backoff(&host.address, retry);
        let mut failures = 0;
        while !watch.is_over() {
            let connected = self.connect(watch, at).await;
            if let Some(up) = is_up(&connected) {
                meter.meter.seen(up);
            }
            match connected {
                Ok((line, identity)) => {
                    failures = 0;
                    self.let_in(watch);
                    self.find(host, line.server.activity().line.peer.map(|end| end.ip));
                    self.report(watch, |judge, now| judge.connected(at, identity, now));
                    self.converse(watch, at, line).await;
                    host.found.set(None);
                    continue;
                }
                Err(NoAnswer::NoNews) => (),
                Err(NoAnswer::Nobody) => {
                    // A client that comes brings its login with it.
                    self.go_blind(watch, "no user is known who could ask");
                    let _ = timeout(BARRED_PAUSE_MAX, host.poke.notified()).await;
                    continue;
                }
                Err(NoAnswer::Failed { why, gone }) => {
                    self.report(watch, |judge, now| judge.failed(at, why, gone, now));
                }
                Err(NoAnswer::Barred(why)) => {
                    self.report(watch, |judge, now| judge.failed(at, why.clone(), false, now));
                    self.look_for_blindness(watch, &why);
                    let pause = BARRED_PAUSE.saturating_mul(1 << failures.min(5)).min(BARRED_PAUSE_MAX);
                    failures += 1;
                    let _ = timeout(pause, host.poke.notified()).await;
                    continue;
                }
            }
            let pause = watch.rules().measure.interval.saturating_mul(1 << failures.min(6)).min(PAUSE_MAX);
            failures += 1;
            let _ = timeout(pause, host.poke.notified()).await;
            self.report(watch, |judge, now| judge.judge(now));
        }
    }

    /// A host is asked at this address of its name from now on. What pools have at others is none of its servers.
    fn find(&self, host: &Watched, ip: Option<IpAddr>) {
        host.found.set(ip);
        for pool in self.pools() {
            let lanes = pool.shape().lanes.clone();
            let its = lanes.iter().filter(|lane| lane.is_found_as(&host.found));
            let servers: usize = its.map(|lane| lane.leave(|ip| host.found.is_other(ip))).sum();
            if servers > 0 {
                tracing::info!(host = %host.address, servers, "servers at other addresses than the one that is asked are replaced");
            }
        }
    }

    /// Asks over one connection until that is lost, or the watch is over.
    async fn converse(&self, watch: &Arc<Watch>, at: usize, mut line: Line) {
        let Some(host) = watch.hosts().get(at) else { return };
        while !watch.is_over() && !host.has_moved() {
            let asked = clock::now();
            // Raised before it is sent: see `router::Freshness`.
            let number = watch.freshness.ask();
            match timeout(PATIENCE, line.ask(number)).await {
                Ok(Some(answer)) => {
                    self.report(watch, |judge, now| judge.answered(at, answer, now));
                    if watch.must_flush(at, &answer) {
                        match timeout(FLUSH_PATIENCE, line.flush()).await {
                            Ok(Some(())) => (),
                            Ok(None) => return self.report(watch, |judge, now| judge.lost(at, now)),
                            // Whatever it says yet would be no answer to the next question.
                            Err(_) => {
                                return self.report(watch, |judge, now| {
                                    judge.flush_hangs();
                                    judge.lost(at, now);
                                });
                            }
                        }
                    }
                }
                Ok(None) => return self.report(watch, |judge, now| judge.lost(at, now)),
                Err(_) => {
                    let why = format!("no answer within {} s", PATIENCE.as_secs());
                    return self.report(watch, |judge, now| judge.failed(at, why, false, now));
                }
            }
            // Whoever wants it asked at once may want so all the time.
            sleep(QUESTIONS_APART).await;
            let rest = watch.rules().measure.interval.saturating_sub(clock::now().saturating_duration_since(asked));
            tokio::select! {
                () = sleep(rest) => (),
                () = host.poke.notified() => (),
                () = line.is_spoken_to() => {
                    if !line.server.still_idle() {
                        return self.report(watch, |judge, now| judge.lost(at, now));
                    }
                }
            }
        }
        line.server.retire();
        self.report(watch, |judge, now| judge.lost(at, now));
    }

    /// Somebody was let in.
    fn let_in(&self, watch: &Watch) {
        if watch.blindness().is_some() {
            watch.see_again();
            tracing::info!(database = %watch.entry, "the hosts can be asked which one is the primary");
        }
    }

    /// Where one host lets nobody in who could ask, and no other answers, the configuration has to do.
    fn look_for_blindness(&self, watch: &Arc<Watch>, why: &str) {
        if watch.may_be_asked() {
            return;
        }
        if self.go_blind(watch, why) {
            tracing::warn!(database = %watch.entry, %why, "nobody can ask the hosts which one is the primary: `hosts` is believed; set `monitor_user`");
        }
    }

    /// The configuration has to do. True: it did not before.
    fn go_blind(&self, watch: &Arc<Watch>, why: &str) -> bool {
        let config = self.books.lock().config.clone();
        let entry = config.databases.get(&watch.entry);
        entry.is_some_and(|entry| watch.go_blind(why, entry, |change| self.follow(watch, change)).is_some())
    }
}

/// Whether PostgreSQL is there; `None`: it was not asked.
fn is_up<T>(connected: &Result<T, NoAnswer>) -> Option<bool> {
    match connected {
        Ok(_) | Err(NoAnswer::Barred(_)) => Some(true),
        Err(NoAnswer::Failed { .. }) => Some(false),
        Err(NoAnswer::Nobody | NoAnswer::NoNews) => None,
    }
}

/// A task that asks must not end by a bug.
async fn tend(cluster: Arc<Cluster>, watch: Arc<Watch>, at: usize) {
    loop {
        let (cluster, of) = (cluster.clone(), watch.clone());
        let task = tokio::task::spawn_local(async move { cluster.ask_host(&of, at).await });
        if task.await.is_ok() {
            return;
        }
        tracing::error!(database = %watch.entry, "the monitor of a host panicked; it begins again");
        sleep(AFTER_PANIC).await;
    }
}
