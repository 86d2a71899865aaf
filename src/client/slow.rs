//! Statements that took long, told of one by one: a line of log and a row for the console. What is told is put together when PostgreSQL is
//! done with a statement, while it is still known where that was, and said when its client has the answer.
//!
//! What a client's statement says of itself (tags in its text, and where the operator wants them, the text and the parameters) is found there
//! only if it was kept when it was sent: texts that end in a comment are, prepared statements are anyway.

use super::connection::Client;
use super::link::Link;
use super::presence::application_name;
use crate::clock::{self, Instant};
use crate::config::SlowQueries;
use crate::metrics::{Call, Description, Name, SlowQuery, SlowTags, Stat};
use crate::server::Ended;
use crate::session::{Kept, Statement};
use crate::sql::{Tags, ends_in_comment, last_comment};
use crate::wire::parameters::shown_parameters;
use std::borrow::Cow;
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

    /// Whether none is.
    fn is_off(&self) -> bool {
        self.at_least == Duration::MAX
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
    /// The text of a Query, or of the unnamed statement where names are the server's, is on its way, counted as this.
    pub(super) fn note_text(&mut self, text: &[u8], name: Name) {
        if ends_in_comment(text) || self.rules.slow.tells_parameters() {
            self.keep_text(text, name);
        } else {
            self.forget_kept();
        }
    }

    #[cold]
    fn keep_text(&mut self, text: &[u8], name: Name) {
        let whole = self.rules.slow.tells_parameters();
        self.forget_kept();
        let kept = self.kept_mut();
        kept.name = Some(name);
        kept.comment.extend_from_slice(last_comment(text).unwrap_or_default());
        if whole {
            kept.text.extend_from_slice(&text[..text.len().min(TOLD_MAX + 1)]);
        }
    }

    /// What is on its way is something else.
    pub(super) fn forget_kept(&mut self) {
        match self.kept.as_mut().map(Arc::get_mut) {
            Some(Some(kept)) => kept.clear(),
            Some(None) => self.kept = None,
            None => (),
        }
    }

    /// What is kept of a statement that others are sent behind, and that is told apart from them, stays with that.
    fn kept_mut(&mut self) -> &mut Kept {
        Arc::make_mut(self.kept.get_or_insert_default())
    }

    /// A portal is bound of a statement with a name that is the server's, counted as this: its text is not known.
    pub(super) fn note_bound_there(&mut self, name: Name) {
        self.forget_kept();
        if self.rules.slow.tells_parameters() {
            self.kept_mut().name = Some(name);
        }
    }

    /// A portal is bound of this statement.
    pub(super) fn note_bound(&mut self, statement: Arc<Statement>) {
        if self.rules.slow.is_off() {
            return self.forget_kept();
        }
        let kept = self.kept_mut();
        kept.name = None;
        kept.bound = Some(statement);
    }

    /// A Bind supplies this, formats and values, and it is to be told.
    #[cold]
    pub(super) fn note_parameters(&mut self, supplied: &[u8]) {
        let kept = self.kept_mut();
        kept.parameters.clear();
        kept.parameters.extend_from_slice(&supplied[..supplied.len().min(BIND_MAX)]);
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
        // What was sent last is another one, if there were several.
        let kept = if ended.is_apart() { &timed.kept } else { &self.kept };
        if let Some((kept, (text, comment))) = kept.as_ref().and_then(|kept| Some((kept, kept.of(slow.name)?))) {
            let Tags { trace_id, route, action, application, broken } = comment.map(Tags::read).unwrap_or_default();
            slow.tags = SlowTags { trace_id, route, action, application };
            if broken > 0 {
                self.meter.slow().0.note_broken_tags(broken);
            }
            if self.rules.slow.tells_parameters() {
                slow.text = Some(text).filter(|text| !text.is_empty()).map(shown);
                let parameters = Some(shown_parameters(&kept.parameters, TOLD_MAX));
                slow.parameters =
                    parameters.filter(|all| !kept.parameters.is_empty() && !all.is_empty()).map(Box::from);
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
        database = %slow.database.escape_debug(),
        user = %slow.user.escape_debug(),
        application_name = %slow.application_name.escape_debug(),
        client = %slow.client,
        server = %slow.server,
        role = slow.role,
        reason = slow.reason,
        trace_id = tags.trace_id.as_deref(),
        route = tags.route.as_deref().map(visible).as_deref(),
        action = tags.action.as_deref().map(visible).as_deref(),
        application = tags.application.as_deref().map(visible).as_deref(),
        suppressed = slow.suppressed,
        query = &*visible(&slow.query),
        text = slow.text.as_deref().map(visible).as_deref(),
        parameters = slow.parameters.as_deref().map(visible).as_deref(),
        "slow query"
    );
}

/// With a number in place of what cannot be seen: it might turn a line around, or a terminal. Lines may end.
fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |char: char| char.escape_debug().len() > 2;
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if hidden(char) { shown.extend(char.escape_debug()) } else { shown.push(char) }
    }
    Cow::Owned(shown)
}

/// As text, cut at a character.
fn shown(bytes: &[u8]) -> Box<str> {
    let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(TOLD_MAX + 4)]).into_owned();
    text.truncate(text.floor_char_boundary(TOLD_MAX));
    text.into()
}

#[cfg(test)]
mod tests;
