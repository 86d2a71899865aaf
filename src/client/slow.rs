//! Statements that took long, told of one by one: a line of log and a row for the console. What is told is put together when PostgreSQL is
//! done with a statement, while it is still known where that was, and said when its client has the answer.
//!
//! What a client's statement says of itself (tags in its text, and where the operator wants them, the text and the parameters) is found there
//! only if it was kept when it was sent, or bound to its portal: texts that end in a comment are, prepared statements are anyway.

use super::connection::Client;
use super::link::Link;
use super::presence::application_name;
use crate::clock::{self, Instant};
use crate::config::SlowQueries;
use crate::metrics::{Call, Description, Name, SlowQuery, SlowTags, Stat};
use crate::server::Ended;
use crate::session::{Kept, Supplied};
use crate::sql::{Tags, ends_in_comment, last_comment};
use crate::wire::parameters::shown_parameters;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a text and of parameters that are told.
const TOLD_MAX: usize = 2048;

/// Bytes of a Bind that are kept for that.
const BIND_MAX: usize = 4 * TOLD_MAX;

/// Utilities that are expected to take long, by the first words of their normal forms.
const LONG: [&str; 7] = ["vacuum", "analyze", "analyse", "cluster", "reindex", "refresh", "checkpoint"];

/// What is slow.
pub(super) struct Slow {
    /// Nothing faster than that is.
    at_least: Duration,
    rules: SlowQueries,
}

/// A slow statement whose client does not have all of the answer yet.
pub(super) struct SlowAnswer {
    arrived: Instant,
    slow: SlowQuery,
}

impl Slow {
    pub(super) fn new(rules: SlowQueries) -> Self {
        let least = rules.log.into_iter().chain(rules.utilities).min();
        Self { at_least: least.unwrap_or(Duration::MAX), rules }
    }

    /// Whether a statement that took as long may be slow.
    pub(super) fn may_be(&self, took: Duration) -> bool {
        took >= self.at_least
    }

    /// Whether what they were run with is told.
    pub(super) fn tells_parameters(&self) -> bool {
        self.rules.parameters
    }

    /// What a statement must have taken to be slow. `None`: it never is.
    fn threshold(&self, kind: &str, query: &str) -> Option<Duration> {
        let first = query.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        let is_long = kind == "ddl" || kind == "utility" && LONG.contains(&first);
        if is_long { self.rules.utilities } else { self.rules.log }
    }
}

impl Client {
    /// What is kept of the text of a Query that is on its way. It drops the unnamed statement.
    pub(super) fn keep_text(&mut self, text: &[u8]) -> Option<Kept> {
        if !ends_in_comment(text) && !self.rules.slow.tells_parameters() {
            self.forget_text();
            return None;
        }
        self.put_text(text);
        self.kept_text()
    }

    /// Where names are the server's: the text of the unnamed statement, or the beginning of it, is on its way.
    pub(super) fn note_unnamed(&mut self, text: &[u8], whole: bool) {
        if whole {
            drop(self.keep_text(text));
        } else {
            self.forget_text();
        }
    }

    #[cold]
    fn put_text(&mut self, text: &[u8]) {
        let whole = self.rules.slow.tells_parameters();
        // What is under way keeps its own.
        let kept = Arc::make_mut(self.text.get_or_insert_default());
        kept.clear();
        kept.comment.extend_from_slice(last_comment(text).unwrap_or_default());
        if whole {
            kept.text.extend_from_slice(&text[..text.len().min(TOLD_MAX + 1)]);
        }
    }

    fn forget_text(&mut self) {
        match self.text.as_mut().map(Arc::get_mut) {
            Some(Some(kept)) => kept.clear(),
            Some(None) => self.text = None,
            None => (),
        }
    }

    /// Of the text that was sent last.
    pub(super) fn kept_text(&self) -> Option<Kept> {
        self.text.as_ref().filter(|text| !text.is_empty()).cloned().map(Kept::Text)
    }

    /// PostgreSQL is done with this one, and took as long as something that may be slow.
    #[cold]
    pub(super) fn note_slow(&mut self, link: &Link, ended: &Ended, call: &Call, took: Duration) {
        let timed = &ended.timed;
        let waited = Duration::from_micros(timed.waited_us.into());
        let Some(mut slow) = self.admitted(link, &timed.stat, (waited, took), ended.at()) else { return };
        (slow.rows, slow.bytes) = (Some(call.rows), call.bytes as u64);
        slow.failed = call.failed;
        slow.sqlstate = link.server.exchange().sqlstate().filter(|_| call.failed).map(Box::from);
        if let Some(kept) = &timed.kept {
            let comment = kept.comment().filter(|comment| !comment.is_empty());
            let Tags { trace_id, route, action, application, broken } = comment.map(Tags::read).unwrap_or_default();
            slow.tags = SlowTags { trace_id, route, action, application };
            if broken > 0 {
                self.meter.slow().0.note_broken_tags(broken);
            }
            if self.rules.slow.tells_parameters() {
                slow.text = kept.text().filter(|text| !text.is_empty()).map(shown);
                let supplied = Some(kept.parameters()).filter(|supplied| !supplied.is_empty());
                let parameters = supplied.map(|supplied| shown_parameters(supplied, TOLD_MAX));
                slow.parameters = parameters.filter(|all| !all.is_empty()).map(Box::from);
            }
        }
        self.await_delivery(timed.sent - waited, slow);
    }

    /// Several statements that were sent together have been answered by `now` with so many bytes, or lost.
    #[cold]
    pub(super) fn note_slow_pipeline(&mut self, link: &Link, lost: bool, bytes: usize, now: Instant) {
        let (waited, took) = link.watch.times(now);
        if !self.rules.slow.may_be(waited + took) {
            return;
        }
        let stat = self.meter.statement(Name::Pipeline, Description::default);
        if let Some(slow) = self.admitted(link, &stat, (waited, took), now) {
            self.await_delivery(now - took - waited, SlowQuery { failed: lost, bytes: bytes as u64, ..slow });
        }
    }

    /// What there is to say of a statement that has waited and taken as long, if that is slow and to be told of.
    fn admitted(
        &self,
        link: &Link,
        stat: &Stat,
        (waited, took): (Duration, Duration),
        ended: Instant,
    ) -> Option<SlowQuery> {
        let (description, name) = (stat.description(), stat.name());
        let threshold = self.rules.slow.threshold(description.kind, &description.text)?;
        if waited + took < threshold {
            return None;
        }
        let (log, label) = self.meter.slow();
        let suppressed = log.admit(label, name, threshold, ended)?;
        Some(SlowQuery {
            ended,
            name,
            kind: description.kind,
            query: description.text.clone(),
            database: self.pool.database.as_str().into(),
            user: self.presence.user().into(),
            application_name: String::from_utf8_lossy(application_name(&self.settings)).into(),
            client: self.presence.peer().to_string().into(),
            server: link.lane.address().to_string().into(),
            role: self.role(),
            reason: self.planned().reason.word(),
            waited,
            server_time: took,
            total: waited + took,
            transaction: ended - link.since,
            rows: None,
            bytes: 0,
            failed: false,
            sqlstate: None,
            tags: SlowTags::default(),
            text: None,
            parameters: None,
            suppressed,
        })
    }

    fn await_delivery(&mut self, arrived: Instant, slow: SlowQuery) {
        self.outgoing.get_or_insert_default().slow.push(SlowAnswer { arrived, slow });
    }

    /// Their client has all of their answers, or is gone.
    #[cold]
    pub(super) fn tell_slow(&self, answers: Vec<SlowAnswer>) {
        if answers.is_empty() {
            return;
        }
        let now = clock::now();
        for SlowAnswer { arrived, mut slow } in answers {
            slow.total = now.saturating_duration_since(arrived);
            log(&slow);
            self.meter.slow().0.keep(Arc::new(slow));
        }
    }
}

/// A Bind supplies this, formats and values, and it is to be told.
#[cold]
pub(super) fn supplied(to: Option<Kept>, parameters: &[u8]) -> Kept {
    Kept::Supplied(Arc::new(Supplied { to, parameters: parameters[..parameters.len().min(BIND_MAX)].to_vec() }))
}

/// One line.
fn log(slow: &SlowQuery) {
    let ms = |duration: Duration| duration.as_micros() as f64 / 1e3;
    let tags = &slow.tags;
    tracing::info!(
        fingerprint = %slow.name,
        kind = slow.kind,
        total_ms = ms(slow.total),
        wait_ms = ms(slow.waited),
        server_ms = ms(slow.server_time),
        transaction_ms = ms(slow.transaction),
        rows = slow.rows,
        bytes = slow.bytes,
        failed = slow.failed,
        sqlstate = slow.sqlstate.as_deref(),
        database = %slow.database,
        user = %slow.user,
        application_name = %slow.application_name,
        client = %slow.client,
        server = %slow.server,
        role = slow.role,
        reason = slow.reason,
        trace_id = tags.trace_id.as_deref(),
        route = tags.route.as_deref(),
        action = tags.action.as_deref(),
        application = tags.application.as_deref(),
        suppressed = slow.suppressed,
        query = &*slow.query,
        text = slow.text.as_deref(),
        parameters = slow.parameters.as_deref(),
        "slow query"
    );
}

/// As text, cut at a character.
fn shown(bytes: &[u8]) -> Box<str> {
    let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(TOLD_MAX + 4)]).into_owned();
    text.truncate(text.floor_char_boundary(TOLD_MAX));
    text.into()
}

#[cfg(test)]
mod tests;
