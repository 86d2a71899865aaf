//! `currval` and `lastval`: what they tell is in the server where the client has drawn. Drawing (`nextval`, INSERT into a serial
//! column) is common and costs nothing here; asking is rare, and never answered with what another client has drawn.
//!
//! A server remembers who may have drawn from it since all was forgotten (`server/sequences.rs`), a client where it may have
//! drawn last. If both agree, PostgreSQL's answer is the client's own. Else the client is told 55000, and PgOtter learns:
//!
//! * an application that *asks* has DISCARD SEQUENCES run in front of its transactions on servers where another has drawn, in
//!   the guard that also sets its settings, and is given the server where it has drawn last if that is idle;
//! * one that has asked in vain behind the transaction in which it drew *keeps* its server behind every such transaction: until
//!   one that neither draws nor asks is over, or somebody has waited for [`LOOK`], or a second has passed. As it yields, it needs
//!   no place among the pinned.
//!
//! An application is all clients of a pool with one `application_name`: often a connection lives for one web page, and would never
//! learn anything. What is learned is kept as long as the pool.

use super::connection::Client;
use super::link::Link;
use crate::clock::{self, Instant};
use crate::config::PoolMode;
use crate::fault::{Blame, Fault, SqlState};
use crate::ids::ServerId;
use crate::pool::{Grant, Lane};
use crate::server::Server;
use crate::sql::{Discard, Facts, Touches, Verb};
use crate::wire::frontend::kind;
use memchr::memchr2_iter;
use std::num::NonZeroU64;
use std::time::Duration;

/// How long an idle client keeps its server for what it might ask while others wait for one, and after how many times that it
/// goes in any case. Applications ask at once; a second is several ways around the world.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: u8 = 10;

/// What a client has done with sequences.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    // Where it may have drawn last.
    at: Place,
    // In the transaction under way.
    now: bool,
    // It may have drawn there, or asked.
    used: bool,
    // It keeps its server for what it might ask; how often it was looked whether somebody waits for that.
    kept: Option<u8>,
}

/// A server, or none: half as long as an `Option` of its id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place(Option<NonZeroU64>);

impl Place {
    fn of(server: ServerId) -> Self {
        Self(NonZeroU64::new(server.0))
    }

    fn is_none(self) -> bool {
        self.0.is_none()
    }
}

impl Drawn {
    /// A transaction begins.
    pub fn begin(&mut self) {
        self.kept = self.kept.map(|_| 0);
        (self.now, self.used) = (false, false);
    }

    /// Nothing is kept any more.
    pub fn stop(&mut self) {
        self.kept = None;
    }

    /// DISCARD ALL.
    pub fn forget(&mut self) {
        self.at = Place::default();
    }
}

impl Client {
    /// A statement of these facts is about to be sent.
    ///
    /// # Errors
    /// ERROR 55000 if it might tell of another's sequence: it must not be run.
    pub(super) fn note_sequences(&mut self, facts: &Facts, server: &mut Server) -> Result<(), Fault> {
        let asks = facts.touches.any(Touches::SEQUENCE_READ) && facts.unsure.is_none();
        // What is prepared by SQL keeps its server.
        let executes = matches!(facts.statements.only().map(|only| &only.verb), Some(Verb::Execute { .. }));
        let nothing = facts.is_refused() || executes && self.pin.is_none();
        let draws = facts.touches.any(Touches::SEQUENCE_WRITE.and(Touches::HIDDEN)) && !nothing;
        let only_forgets = facts.statements.only().is_some_and(|only| forgets(&only.verb));
        if asks {
            self.ask_sequences(draws, server)?;
        }
        // Before it is run. Should it fail, the client has lost what it could still be told of: at worst a 55000 that there was no need for.
        if facts.statements.iter().any(|statement| forgets(&statement.verb)) {
            self.forget_others_sequences();
        }
        if draws {
            // What is hidden may have drawn; that it has is no ground to tell of another's.
            self.drawn.now |= facts.touches.any(Touches::SEQUENCE_WRITE);
            self.drawn.used = true;
            let here = Place::of(server.id);
            server.note_draw(self.id, self.drawn.at == here);
            self.drawn.at = here;
            if self.pool.keeps_for_sequences.has(&self.settings) && !only_forgets && !self.is_visiting() {
                self.drawn.kept = Some(0);
            }
        }
        Ok(())
    }

    /// `draws`: the same text may draw before it asks.
    fn ask_sequences(&mut self, draws: bool, server: &Server) -> Result<(), Fault> {
        self.pool.asks_for_sequences.add(&self.settings);
        self.drawn.used = true;
        let nothing_is_lost = draws || self.drawn.at.is_none();
        if self.has_own_sequences(server) && (nothing_is_lost || !server.has_nobodys_sequences()) {
            return Ok(());
        }
        if !self.drawn.at.is_none() && !self.drawn.now {
            self.pool.keeps_for_sequences.add(&self.settings);
        }
        Err(foreign_sequences())
    }

    /// Whether PostgreSQL would tell it of nothing but its own there.
    fn has_own_sequences(&self, server: &Server) -> bool {
        let last_here = self.drawn.at == Place::of(server.id);
        server.has_nobodys_sequences() || last_here && server.has_sequences_of(self.id)
    }

    /// Whether what others have drawn there is to be forgotten in front of a transaction.
    pub(super) fn must_discard_sequences(&self, server: &Server, mode: PoolMode) -> bool {
        // A session's statements are not looked at.
        let asks = mode == PoolMode::Session || self.pool.asks_for_sequences.has(&self.settings);
        asks && !self.has_own_sequences(server)
    }

    /// As that says, where a client has kept its server; if its settings are not all known, they are left alone.
    pub(super) fn discard_sequences(&mut self, server: &mut Server, mode: PoolMode) {
        if self.must_discard_sequences(server, mode) && server.is_in(&self.settings) {
            server.adopt(&mut self.settings, true);
        }
    }

    /// Looks for the names in a request that will begin a transaction: only there others' can be discarded. That they stand in
    /// it for something else does no harm.
    pub(super) fn look_for_sequences(&mut self, request: &[u8], first: u8) {
        if matches!(first, kind::QUERY | kind::PARSE) && names_one(request) {
            self.pool.asks_for_sequences.add(&self.settings);
        }
    }

    /// The server where it has drawn last, if that is idle and still tells of it.
    pub(super) fn own_server(&self, lane: &Lane) -> Option<Grant> {
        let at = self.drawn.at;
        if at.is_none() || !self.pool.asks_for_sequences.has(&self.settings) {
            return None;
        }
        lane.checkout_which(self.worker, |server| Place::of(server.id) == at && server.has_sequences_of(self.id))
    }

    /// Whether it has its server for that alone, and rests.
    pub(super) fn is_kept(&self, link: &Link) -> bool {
        self.drawn.kept.is_some() && !self.is_pinned() && link.is_at_rest()
    }

    /// Keeps its server for what it might ask, whether it is pinned or not.
    pub(super) fn keeps_for_sequences(&self) -> bool {
        self.drawn.kept.is_some()
    }

    /// When it is to be looked whether that may go on, for a client that has rested since `since`.
    pub(super) fn next_look(&self, since: Instant) -> Option<Instant> {
        self.drawn.kept.and_then(|looks| since.checked_add(LOOK * u32::from(looks + 1)))
    }

    /// That time has come.
    pub(super) fn look_at_keeping(&mut self, lane: &Lane) {
        let awaited = lane.stats(clock::now()).waiting > 0;
        self.drawn.kept = self.drawn.kept.map(|looks| looks + 1).filter(|looks| *looks < LOOKS && !awaited);
    }

    /// The transaction that is over may have been the last one that its server was kept for.
    pub(super) fn end_keeping(&mut self, link: &Link) {
        if self.drawn.kept.is_some() && !self.drawn.used && link.is_at_rest() {
            self.drawn.kept = None;
        }
    }
}

/// Whether all that it does is to forget.
fn forgets(verb: &Verb) -> bool {
    matches!(verb, Verb::Discard(Discard::All | Discard::Sequences))
}

/// Whether `currval` or `lastval` stands in it.
fn names_one(request: &[u8]) -> bool {
    let is_one = |word: &[u8]| word.eq_ignore_ascii_case(b"currval") || word.eq_ignore_ascii_case(b"lastval");
    // The rarest of their letters first.
    memchr2_iter(b'v', b'V', request).any(|at| at >= 4 && request.get(at - 4..at + 3).is_some_and(is_one))
}

fn foreign_sequences() -> Fault {
    let message = "currval and lastval are not defined in this transaction";
    Fault::error(Blame::Pooler, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .with_detail("The server on which this client has used sequences is not at hand, or others have used it since.")
        .with_hint("Call them in the transaction of the nextval, or use INSERT … RETURNING.")
}

#[cfg(test)]
mod tests {
    //! The names in a text.

    use super::names_one;

    #[test]
    fn the_names_are_found_anywhere_in_any_case_and_nothing_else_is() {
        for text in ["lastval", "select CurrVal('a')", "select 1, values, pg_catalog.LASTVAL()", "vvvvlastval"] {
            assert!(names_one(text.as_bytes()), "{text}");
        }
        for text in ["", "v", "insert into t values (nextval('a'))", "lastva", "ast val lastvol"] {
            assert!(!names_one(text.as_bytes()), "{text}");
        }
    }
}
