//! Asks the hosts of each entry that has several what they are and how far, for ever: one connection to each, one small question
//! every `monitor_interval`. Runs on a thread of its own, so that a busy worker delays no failover and a failover no client.
//!
//! It logs in as somebody who needs LOGIN and nothing else. What the answers mean is the judge's business, and what follows for
//! the pools that of `Cluster::follow`.

use super::judge::{Answer, without_header};
use super::watch::Watch;
use super::{Cluster, entry_name, secret};
use crate::auth::Stored;
use crate::clock;
use crate::config::{Config, Database};
use crate::fault::SqlState;
use crate::ids::ServerId;
use crate::server::{LoginError, LoginSpec, Row, Server, ask, log_in};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// What it calls itself in PostgreSQL.
const NAME: &str = "pgotter monitor";

/// Longest time for an answer, and for a login. A host that takes longer for so little serves nobody well.
const PATIENCE: Duration = Duration::from_secs(3);

/// Two questions to a host are so far apart at least, whatever is asked of the monitor.
const QUESTIONS_APART: Duration = Duration::from_millis(10);

/// A host that is not there is looked for again after `monitor_interval`, doubled up to this; one that lets nobody in after this.
const PAUSE_MAX: Duration = Duration::from_millis(500);
const BARRED_PAUSE: Duration = Duration::from_secs(1);

/// A task that panicked begins again after this long.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// No answer is longer.
const ANSWER: usize = 4 * 1024;

/// Once for each connection: which cluster it is, and the sizes that positions are reckoned with. All of it may be asked by anybody
/// (checked on PostgreSQL 15).
const GREETING: &str = "SELECT system_identifier, pg_catalog.current_setting('wal_block_size'), \
    pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')) FROM pg_catalog.pg_control_system()";

/// In one row: whether it is in recovery; its position, which for a primary is that of the *insert*: what was committed
/// asynchronously is not flushed yet; the timeline, and whether that is exact. What a standby's receiver follows is told to members of
/// pg_read_all_stats alone; to others, and without a receiver, it is the latest timeline that the control file knows of.
const QUESTION: &str = "SELECT standby, \
    CASE WHEN standby THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn() END, \
    CASE WHEN standby THEN NULL ELSE pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) END, \
    CASE WHEN standby THEN received_tli END, \
    CASE WHEN standby AND received_tli IS NULL THEN (SELECT GREATEST(timeline_id, min_recovery_end_timeline) \
        FROM pg_catalog.pg_control_checkpoint(), pg_catalog.pg_control_recovery()) END \
    FROM (SELECT pg_catalog.pg_is_in_recovery() AS standby OFFSET 0) AS itself, pg_catalog.pg_stat_get_wal_receiver()";

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

/// A connection, and the sizes that its host reckons with.
struct Line {
    server: Box<Server>,
    page: u64,
    segment: u64,
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
    fn report(&self, watch: &Arc<Watch>, heard: impl FnOnce(&mut super::judge::Judge, std::time::Instant)) {
        let change = watch.hear(heard);
        if change.primary.is_some() || change.revoked.is_some() {
            self.follow(watch, &change);
        }
    }

    /// Who may ask a host, in the order in which they are tried.
    fn monitors(&self, watch: &Watch, at: usize) -> Vec<LoginSpec> {
        let books = self.books.lock();
        let config = &books.config;
        let Some(entry) = config.databases.get(&watch.entry) else { return Vec::new() };
        let Some(host) = entry.hosts.get(at) else { return Vec::new() };
        let pools = books.pools.values().filter(|pool| entry_name(config, &pool.database) == watch.entry);
        let pools: Vec<_> = pools.cloned().collect();
        let database = match (&entry.monitor_dbname, &entry.dbname) {
            (Some(name), _) | (None, Some(name)) => name.as_str(),
            (None, None) if watch.entry != "*" => &watch.entry,
            (None, None) => pools.first().map_or("postgres", |pool| &pool.database),
        };
        let mut logins = Vec::new();
        for (user, secret) in named(config, entry) {
            logins.push(self.plain_login(config, host, (&user, database), secret));
        }
        if logins.is_empty() || entry.monitor_user.is_none() && entry.user.is_none() {
            let of_pool = |pool: &Arc<super::Pool>| LoginSpec {
                connect_query: None,
                parameters: Vec::new(),
                database: database.to_owned(),
                ..self.login(config, entry, host, pool)
            };
            logins.extend(pools.iter().map(of_pool));
        }
        let name = ("application_name".to_owned(), NAME.to_owned());
        logins.iter_mut().for_each(|login| login.parameters.push(name.clone()));
        logins
    }

    async fn connect(&self, watch: &Watch, at: usize) -> Result<(Line, u64), NoAnswer> {
        let mut barred = None;
        for login in self.monitors(watch, at) {
            let id = ServerId(self.server_numbers.next());
            let opened = timeout(PATIENCE, log_in(&login, id)).await.unwrap_or(Err(LoginError::TimedOut));
            match opened {
                Ok((server, _)) => return greet(server).await,
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
                    host.set_peer(line.server.activity().line.peer.map(|end| end.ip));
                    self.report(watch, |judge, now| judge.connected(at, identity, now));
                    self.converse(watch, at, line).await;
                    continue;
                }
                Err(NoAnswer::NoNews) => (),
                Err(NoAnswer::Nobody) => {
                    // A client that comes brings its login with it.
                    self.go_blind(watch, "no user is known who could ask");
                    let _ = timeout(BARRED_PAUSE, host.poke.notified()).await;
                    continue;
                }
                Err(NoAnswer::Failed { why, gone }) => {
                    self.report(watch, |judge, now| judge.failed(at, why, gone, now));
                }
                Err(NoAnswer::Barred(why)) => {
                    self.report(watch, |judge, now| judge.failed(at, why.clone(), false, now));
                    self.look_for_blindness(watch, &why);
                    let _ = timeout(BARRED_PAUSE, host.poke.notified()).await;
                    continue;
                }
            }
            let pause = watch.rules().measure.interval.saturating_mul(1 << failures.min(6)).min(PAUSE_MAX);
            failures += 1;
            let _ = timeout(pause, host.poke.notified()).await;
            self.report(watch, |judge, now| judge.judge(now));
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
                Ok(Some(answer)) => self.report(watch, |judge, now| judge.answered(at, answer, now)),
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
            tracing::info!(database = %watch.entry.escape_debug(), "the hosts can be asked which one is the primary");
        }
    }

    /// Where one host lets nobody in who could ask, and no other answers, the configuration has to do.
    fn look_for_blindness(&self, watch: &Arc<Watch>, why: &str) {
        if watch.may_be_asked() {
            return;
        }
        if self.go_blind(watch, why) {
            tracing::warn!(database = %watch.entry.escape_debug(), why = %why.escape_debug(), "nobody can ask the hosts which one is the primary: `hosts` is believed; set `monitor_user`");
        }
    }

    /// The configuration has to do. True: it did not before.
    fn go_blind(&self, watch: &Arc<Watch>, why: &str) -> bool {
        let config = self.books.lock().config.clone();
        let change = config.databases.get(&watch.entry).and_then(|entry| watch.go_blind(why, entry));
        if let Some(change) = &change {
            self.follow(watch, change);
        }
        change.is_some()
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
        tracing::error!(database = %watch.entry.escape_debug(), "the monitor of a host panicked; it begins again");
        sleep(AFTER_PANIC).await;
    }
}

/// Users whom the configuration names, with what proves them. An administrator without a secret may be none of PostgreSQL's.
fn named(config: &Config, entry: &Database) -> Vec<(String, Option<Stored>)> {
    let parse = |text: &str| Stored::parse(text).ok().filter(|secret| !matches!(secret, Stored::Scram(_)));
    let listed = |user: &str| {
        let own = config.users.get(user).and_then(|user| user.password.as_ref());
        own.or_else(|| config.pooler.auth_users.get(user)).and_then(|text| parse(text.expose()))
    };
    if let Some(user) = &entry.monitor_user {
        let own = entry.monitor_password.as_ref().and_then(|text| parse(text.expose()));
        return vec![(user.clone(), own.or_else(|| listed(user)))];
    }
    if let Some(user) = &entry.user {
        return vec![(user.clone(), secret(config, entry, user).and_then(parse))];
    }
    let admin = config.pooler.admin_users.iter().find_map(|user| Some((user.clone(), Some(listed(user)?))));
    admin.into_iter().collect()
}

async fn greet(mut server: Box<Server>) -> Result<(Line, u64), NoAnswer> {
    let silent = |why: &str| NoAnswer::Failed { why: why.to_owned(), gone: false };
    let answer = timeout(PATIENCE, ask(&mut server, GREETING, ANSWER)).await;
    let answer = answer.ok().flatten().ok_or_else(|| silent("it lets us in and says nothing"))?;
    if let Some(code) = answer.error {
        return Err(silent(&format!(
            "it does not tell its system identifier: SQLSTATE {}",
            String::from_utf8_lossy(&code)
        )));
    }
    let numbers = answer.rows.first().map(|row| row.iter().map(|value| number(value.as_deref())).collect::<Vec<_>>());
    match numbers.as_deref() {
        Some([Some(identity), Some(page), Some(segment)]) => {
            Ok((Line { server, page: *page, segment: *segment }, *identity))
        }
        _ => Err(silent("it does not tell its system identifier")),
    }
}

impl Line {
    /// `None`: the connection is lost, or what comes makes no sense.
    async fn ask(&mut self, number: u64) -> Option<Answer> {
        let answer = ask(&mut self.server, QUESTION, ANSWER).await?;
        if answer.error.is_some() {
            return None;
        }
        read(answer.rows.first()?, number, (self.page, self.segment))
    }

    /// Something has come that nothing asked for, or the end.
    async fn is_spoken_to(&mut self) {
        let socket = self.server.socket();
        let _ = poll_fn(|cx| socket.poll_recv(cx)).await;
    }
}

fn read(row: &Row, number: u64, (page, segment): (u64, u64)) -> Option<Answer> {
    let [Some(standby), lsn, file, received, control] = row.as_slice() else { return None };
    let text = |value: &Option<Box<[u8]>>| {
        value.as_deref().and_then(|value| std::str::from_utf8(value).ok().map(str::to_owned))
    };
    let standby = **standby == *b"t";
    let lsn = text(lsn).and_then(|lsn| position(&lsn));
    let written = text(file).and_then(|name| u32::from_str_radix(name.get(..8)?, 16).ok());
    let timeline = |value| text(value).and_then(|value| value.parse().ok());
    let (received, control) = (timeline(received), timeline(control));
    Some(Answer {
        number,
        standby,
        timeline: if standby { received.or(control) } else { written },
        exact: !standby || received.is_some(),
        lsn: if standby { lsn } else { lsn.map(|lsn| without_header(lsn, page, segment)) },
    })
}

/// `16/B374D848`. Source: PostgreSQL documentation, "pg_lsn Type".
fn position(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let half = |text: &str| u32::from_str_radix(text, 16).ok().map(u64::from);
    Some(half(high)? << 32 | half(low)?)
}

/// A bigint. A system identifier may be shown as a negative one.
fn number(value: Option<&[u8]>) -> Option<u64> {
    std::str::from_utf8(value?).ok()?.parse::<i64>().ok().map(i64::cast_unsigned)
}

#[cfg(test)]
mod tests {
    //! Answers as PostgreSQL writes them.
    use super::*;

    fn row(values: [Option<&str>; 5]) -> Row {
        values.map(|value| value.map(|value| value.as_bytes().into())).to_vec()
    }

    #[test]
    fn a_primary_says_where_the_next_record_goes_and_on_which_timeline() {
        let said = row([Some("f"), Some("16/B3000018"), Some("0000000A00000016000000B3"), None, None]);
        let answer = read(&said, 7, (8192, 16 << 20)).expect("an answer");
        let lsn = Some(0x16_B300_0018); // not 24 behind a page's beginning, but in a segment's long header
        assert_eq!(answer, Answer { number: 7, standby: false, timeline: Some(10), exact: true, lsn });
    }

    #[test]
    fn a_standbys_timeline_is_exact_only_if_its_receiver_tells_it() {
        let said =
            |received, control| read(&row([Some("t"), Some("0/3000060"), None, received, control]), 1, (8192, 1));
        let timeline = |answer: Option<Answer>| answer.map(|answer| (answer.timeline, answer.exact));
        assert_eq!(timeline(said(Some("3"), None)), Some((Some(3), true)));
        assert_eq!(timeline(said(None, Some("2"))), Some((Some(2), false)));
        assert_eq!(timeline(said(None, None)), Some((None, false)));
        assert_eq!(read(&row([None; 5]), 1, (8192, 1)), None);
        assert_eq!(number(Some(b"-1")), Some(u64::MAX));
        assert_eq!(position("G/0"), None);
    }
}
