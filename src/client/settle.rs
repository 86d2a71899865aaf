//! What a client's statements leave in their server: noted when they are sent, and settled at the next boundary. What the
//! session holds can go with the client to any server, or the client is pinned to the one that has it.

use super::connection::Client;
use super::link::Link;
use super::own::{not_alone, shows_own};
use super::serve::Left;
use super::take_back::Residue;
use crate::config::PoolMode;
use crate::fault::{Blame, Fault, SqlState};
use crate::metrics::CheckoutFailure;
use crate::pool::{Lane, PinSeat};
use crate::server::{REPAIR_DEADLINE, Server, ask};
use crate::session::{
    Computed, ENCODING, Found, Noted, OWN, Pins, Settings, TooMuch, Touched, is_custom, is_harmless, is_opaque,
    is_planned_by, is_read_by_unheard, is_role, may_pin, reset_to,
};
use crate::sql::{Facts, Name, Setting, Touches, Value, Verb};
use crate::wire::backend;
use bytes::BytesMut;
use std::sync::Arc;

/// No answer about a session is longer: settings are bounded.
pub(super) const ANSWER: usize = 4 * 1024 * 1024;

/// Drops all that can be asked for.
const DISCARD: &str = "DISCARD ALL";

/// What the transaction under way may have done to the client's settings, so that they are not those that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bent {
    /// Nothing.
    No,
    /// Some may be others, but none by which a text is to be read, nor its constants if PostgreSQL does not report it.
    Settings,
    /// As [`Self::Settings`], and by other rules a text is to be read.
    Rules,
    /// Any may be others.
    Any,
    /// As a text says, one by which plans are made.
    Plans,
    /// As a text says, one by which constants are read and that nobody reports.
    Constants,
}

impl Bent {
    pub(super) fn by(facts: &Facts) -> Self {
        let named = facts.all_names().map(|name| match name {
            b"standard_conforming_strings" | b"client_encoding" => Self::Rules,
            name if is_read_by_unheard(name) => Self::Constants,
            name if is_planned_by(name) => Self::Plans,
            _ => Self::Settings,
        });
        let bent = named.max().unwrap_or(Self::No);
        if facts.touches.any(Touches::ALL_SETTINGS.and(Touches::HIDDEN)) {
            bent.max(Self::Any)
        } else if facts.touches.any(Touches::SETTINGS) {
            bent.max(Self::Settings)
        } else {
            bent
        }
    }
}

/// How a statement goes to its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// As a whole Query outside a block, behind nothing that is not answered yet.
    Alone,
    /// As a whole Query.
    Query,
    /// To be bound to a portal: what it resets is noted when that is executed, see [`Client::run_resets`].
    Bound,
    /// In any other way.
    Otherwise,
}

/// A client's place among the pinned of its lane.
pub(super) struct Pin {
    /// Why; empty while it is only to be feared.
    pub why: Pins,
    _seat: PinSeat,
}

impl Client {
    /// A request is refused by [`Self::touch`]: was it for want of a place among the pinned?
    pub(super) fn count_refused_pin(&self, fault: &Fault) {
        if fault.blame == Blame::Limit && fault.sqlstate == SqlState::TOO_MANY_CONNECTIONS {
            self.meter.not_assigned(CheckoutFailure::Limit);
        }
    }

    /// A statement of these facts is about to be sent.
    ///
    /// # Errors
    /// ERROR 53300 if it would pin and too many are pinned, 55000 if it would tell of another's sequence: it must not be run.
    pub(super) fn touch(
        &mut self,
        facts: &Facts,
        sent: Sent,
        server: &mut Server,
        lane: &Arc<Lane>,
    ) -> Result<(), Fault> {
        if facts.touches.any(Touches::DEFINES.and(Touches::RELEASES))
            && facts.statements.iter().any(|statement| statement.verb == Verb::Other)
        {
            // What others have prepared statements for may become something else, or another of its name take its place.
            self.pool.statements().renew();
        }
        if let Some(own) = &mut self.own {
            own.note(facts);
        }
        self.note_facts(facts)?;
        self.note_sequences(facts, server)?;
        self.bent = self.bent.max(Bent::by(facts));
        if shows_own(facts) {
            return Err(not_alone());
        }
        self.note_path(facts);
        if is_harmless(facts) {
            if let Some(touched) = self.touched.as_mut().filter(|_| sent != Sent::Bound) {
                // It may end a transaction.
                touched.note_resets(facts, &self.base, false);
            }
            return Ok(());
        }
        if facts.all_names().any(|name| name.starts_with(OWN)) {
            return Err(not_alone());
        }
        let mut of_refused;
        let mut facts = facts;
        if facts.is_refused() {
            // What can be asked for is asked all the same.
            of_refused = facts.clone();
            of_refused.touches = facts.touches.without(Touches::UNMOVABLE.and(Touches::DYNAMIC));
            facts = &of_refused;
        }
        if self.pin.is_none() && may_pin(facts) {
            self.keep_free()?;
            let seat = PinSeat::take(lane, self.rules.max_pinned).ok_or_else(too_many_pinned)?;
            self.pin = Some(Box::new(Pin { why: Pins::default(), _seat: seat }));
        }
        // Only now: what is refused changes nothing.
        if self.change.is_none() && defines(facts) {
            self.change = Some(self.pool.catalog().begin_change());
        }
        let touched = self.touched.get_or_insert_with(|| Touched::new(&self.settings));
        touched.note(facts, sent == Sent::Alone);
        if sent != Sent::Bound {
            touched.note_resets(facts, &self.base, sent != Sent::Otherwise);
        }
        for name in touched.custom() {
            server.note_custom(name);
        }
        Ok(())
    }

    /// Whether the server is the client's over the transaction.
    pub(super) fn is_pinned(&self) -> bool {
        self.pin.as_ref().is_some_and(|pin| !pin.why.is_empty())
    }

    /// Whether its server may listen for it: made to by something that the text did not show.
    pub(super) fn has_hidden_listen(&self) -> bool {
        let may = |why: Pins| why.contains(Pins::LISTEN) || why.contains(Pins::UNMOVABLE);
        self.pin.as_ref().is_some_and(|pin| may(pin.why))
    }

    /// A statement of which nothing is known was sent.
    pub(super) fn touch_hidden(&mut self) {
        self.note_unparsed();
        self.bent = self.bent.max(Bent::Any);
        self.touched.get_or_insert_with(|| Touched::new(&self.settings)).note_hidden(&self.base);
    }

    /// What may have been defined by what it has sent and was not asked for yet.
    pub(super) fn computed(&self) -> Computed {
        self.touched.as_ref().map_or(Computed::Nothing, |touched| touched.computed())
    }

    /// What it would leave behind if it left now.
    pub(super) fn residue(&self, link: &Link) -> Residue {
        let reset = || Residue::Reset(self.rules.server_reset_query.clone());
        if link.mode == PoolMode::Session {
            return reset();
        }
        let pins = self.pin.as_ref().map_or(Pins::default(), |pin| pin.why);
        match &self.touched {
            _ if pins.contains(Pins::UNMOVABLE) => Residue::Everything,
            Some(touched) if touched.is_for_good() => Residue::Everything,
            None if pins.is_empty() && self.rules.server_reset_query_always => reset(),
            None if pins.is_empty() => Residue::Nothing,
            _ => Residue::Reset(DISCARD.to_owned()),
        }
    }

    /// Whether it is time to ask the server what the client has left there, before it goes on to others.
    pub(super) fn must_settle(&self, link: &mut Link) -> bool {
        if link.mode == PoolMode::Session || self.gather.is_passing() {
            return false;
        }
        link.server.send_early_sync();
        let tied = self.statements.as_ref().is_some_and(|statements| statements.is_tied());
        // A question would drop what ties it.
        self.touched.is_some()
            && !tied
            && !self.awaits_rest()
            && !link.server.cancel_under_way()
            && link.server.boundary().is_some()
    }

    /// At a boundary: takes over what the session holds now, and finds out whether the client is pinned.
    ///
    /// # Errors
    /// The server has died, or said what cannot be understood: nobody knows what the session holds.
    pub(super) async fn settle(&mut self, link: &mut Link) -> Result<(), Left> {
        let Some(touched) = self.touched.take() else { return Ok(()) };
        self.change = None;
        self.pool.catalog().read_behind(touched.computed());
        let failed = link.server.take_erred();
        if link.server.lacks_settings() {
            self.pin = self.pin.take().filter(|pin| !pin.why.is_empty());
            // Its settings were refused: nothing of it was run, and what holds there is another client's.
            return Ok(());
        }
        for name in touched.custom() {
            // From now on the client is one that uses the name, whatever became of the statement.
            if !self.settings.has(name) && link.server.note_unset(&mut self.settings, name).is_err() {
                return self.stay_for_good(link);
            }
        }
        if let (Some(setting), false) = (touched.literal().filter(|setting| !self.recodes(setting)), failed) {
            return match take_over(setting, &mut self.settings, &self.base, &mut link.server) {
                Ok(()) => Ok(()),
                Err(TooMuch) => self.stay_for_good(link),
            };
        }
        let for_good = touched.is_for_good();
        let certain = touched.is_alone() && !failed;
        let (back, masked) = (touched.resets().back(failed, touched.before()), touched.resets().masked(failed));
        let before = touched.before().clone();
        let accounted = touched.accounts_for();
        let question = touched.question(&self.settings, &self.base, failed);
        if question.is_empty() {
            return if for_good { self.stay_for_good(link) } else { Ok(()) };
        }
        if for_good {
            // In front of the question: what comes while that is asked may be what it listens to.
            self.stay_for_good(link)?;
        }
        // The client has its answer, and need not wait for ours.
        self.socket.flush_now();
        let about_objects = question.is_about_objects();
        let mut sql = question.sql();
        if self.settings.own(b"default_transaction_deferrable").is_some() {
            // Else it might wait for others' transactions.
            sql.insert_str(0, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; ");
        }
        let answer = tokio::time::timeout(REPAIR_DEADLINE, ask(&mut link.server, &sql, ANSWER)).await;
        let Ok(Some(mut answer)) = answer else { return Err(lost()) };
        self.pass_notifications(&mut answer, link);
        if answer.error.is_some() {
            // Say statement_timeout: what the session holds stays where it is.
            return self.stay_for_good(link);
        }
        let Some(found) = question.read(answer.rows) else { return Err(lost()) };
        let pins = found.pins;
        if let Some(count) = found.statements {
            link.server.note_statements(count);
        }
        // No guard could set it on another server, nor undo it here.
        let for_good = for_good || found.beyond_rights;
        let taken = self.take_over_all(&found, &before, certain, (&back, &masked), link);
        if taken.is_err() || for_good || self.is_misspelled(&found) {
            self.stay_for_good(link)?;
        } else if about_objects {
            self.pin_for(self.own_pins(pins, accounted, link), link);
        } else if !self.is_pinned() {
            self.pin = None;
        }
        if self.is_pinned() || self.keeps_for_sequences() {
            // No settings go in front of what it sends next.
            let lost = self.came_with_and_lost(&found);
            return self.bring_back(lost, link).await;
        }
        Ok(())
    }

    /// Whether what the client has set before, or came with, is spelled otherwise behind this.
    fn recodes(&self, setting: &Setting) -> bool {
        *setting.name == *ENCODING && !(is_ascii(&self.settings) && is_ascii(&self.base))
    }

    /// Whether something that the client has set, or came with, is spelled in another client_encoding than its own by now: put in front of what
    /// it sends, it would become another text.
    fn is_misspelled(&self, found: &Found) -> bool {
        let now = self.settings.get(ENCODING);
        // In which it was told.
        let told = found.named.iter().find(|(noted, _)| *noted.name == *ENCODING).map(|(_, value)| value.as_deref());
        !is_ascii(&self.settings) && told.is_some_and(|told| told != now)
            || !is_ascii(&self.base) && self.base.get(ENCODING) != now
    }

    /// What the client came with and has again, and its server has not, as it was reset.
    fn came_with_and_lost(&self, found: &Found) -> Vec<Name> {
        let is_lost = |name: &Name, value: &Option<Box<[u8]>>| {
            let own = self.base.own(name);
            own.is_some() && self.settings.get(name) == own && value.as_deref() != own
        };
        found
            .named
            .iter()
            .filter(|(noted, value)| is_lost(&noted.name, value))
            .map(|(noted, _)| noted.name.clone())
            .collect()
    }

    /// `before`: the client's settings then. `certain`: what the text says was done. `back`: these were reset to what the client came with; `masked`: and
    /// PostgreSQL may say that they were set.
    fn take_over_all(
        &mut self,
        found: &Found,
        before: &Settings,
        certain: bool,
        (back, masked): (&[Name], &[Name]),
        link: &mut Link,
    ) -> Result<(), TooMuch> {
        if let Some(all) = &found.all {
            let mut settings = Settings::clone(&self.base);
            for (name, value, is_default) in all {
                let noted = found.named.iter().find(|(noted, _)| noted.name.eq_ignore_ascii_case(name));
                let is_as_before = noted.is_some_and(|(noted, value)| before.get(&noted.name) == value.as_deref());
                let was_reset = *is_default && masked.iter().any(|reset| reset.eq_ignore_ascii_case(name));
                if was_reset && !is_as_before {
                    continue;
                }
                // As SHOW prints it, where that is known.
                let value = noted.and_then(|(_, value)| value.as_ref()).unwrap_or(value);
                if self.base.own(name).is_some() {
                    settings.set_explicitly(name, value)?;
                } else {
                    settings.set(name, value)?;
                }
            }
            for (Noted { name, .. }, value) in &found.named {
                match value.as_deref() {
                    Some(value) if is_opaque(name) && value == reset_to(name) && back.contains(name) => (),
                    Some(b"none") if **name == *b"role" => settings.unset(name)?,
                    Some(value) if is_custom(name) || is_role(name) => settings.set(name, value)?,
                    // Of all others it has told what is set.
                    _ => (),
                }
            }
            settings.keep_custom_names(&self.settings)?;
            link.server.forget_settings(settings.is_hasty());
            self.tell_settings(settings);
            return Ok(());
        }
        let told = self.settings.clone();
        for (Noted { name, reset }, value) in &found.named {
            let Some(value) = value else { continue };
            if self.settings.get(name) != Some(value)
                || self.base.own(name).is_some() && self.settings.own(name).is_none()
            {
                link.server.note_set(&mut self.settings, &self.base, name, value)?;
            }
            // Undone by a ROLLBACK, it would be what it was.
            if *reset && (certain || before.get(name) != Some(value)) {
                let mut settings = Settings::clone(&self.settings);
                match self.base.get(name) {
                    Some(base) => settings.set(name, base)?,
                    None => settings.unset(name)?,
                }
                self.put_settings(settings);
            }
        }
        self.tell_changes(&told);
        Ok(())
    }

    /// These are the client's settings from now on; it is told of those that PostgreSQL reports.
    pub(super) fn tell_settings(&mut self, settings: Settings) {
        let told = self.settings.clone();
        self.put_settings(settings);
        self.tell_changes(&told);
    }

    pub(super) fn put_settings(&mut self, settings: Settings) {
        self.settings = if settings == *self.base { self.base.clone() } else { Arc::new(settings) };
        self.show_settings();
    }

    /// Tells it of those that PostgreSQL reports and that it was `told` otherwise.
    fn tell_changes(&mut self, told: &Settings) {
        let mut news = BytesMut::new();
        for (name, value) in self.settings.reported() {
            if told.get(name) != Some(value) {
                backend::put_parameter_status(&mut news, name, value);
            }
        }
        if !news.is_empty() {
            self.socket.queue(news);
        }
    }

    /// What of that is the client's. What nothing of its own accounts for was there before it came, and whose it is nobody knows: a
    /// trigger has left it that had not been looked at. It ends with the server.
    fn own_pins(&self, found: Pins, accounted: Pins, link: &mut Link) -> Pins {
        if self.is_pinned() && !link.server.has_no_future() {
            return found;
        }
        let before = self.pin.as_ref().map_or(Pins::default(), |pin| pin.why);
        let own = found.only(accounted.and(before));
        if own != found {
            tracing::debug!(client = %self.id, server = %link.server.id, %found, "somebody has left something behind");
            link.server.doom();
        }
        own
    }

    fn pin_for(&mut self, why: Pins, link: &Link) {
        let before = self.pin.as_ref().map_or(Pins::default(), |pin| pin.why);
        let why = if before.contains(Pins::UNMOVABLE) { why.and(Pins::UNMOVABLE) } else { why };
        if why != before {
            tracing::debug!(client = %self.id, server = %link.server.id, %why, "pinned");
            self.show_pin(why);
        }
        self.pin = match self.pin.take() {
            _ if why.is_empty() => None,
            Some(pin) => Some(Box::new(Pin { why, ..*pin })),
            None => Some(Box::new(Pin { why, _seat: PinSeat::above_all(&link.lane) })),
        };
    }

    fn stay_for_good(&mut self, link: &mut Link) -> Result<(), Left> {
        self.pin_for(self.pin.as_ref().map_or(Pins::default(), |pin| pin.why).and(Pins::UNMOVABLE), link);
        Ok(())
    }
}

fn is_ascii(settings: &Settings) -> bool {
    settings.iter().all(|(_, value)| value.is_none_or(<[u8]>::is_ascii))
}

/// Whether it may change what functions, triggers and views do.
fn defines(facts: &Facts) -> bool {
    facts.touches.any(Touches::DEFINES) && !facts.is_refused()
}

fn take_over(
    setting: &Setting,
    settings: &mut Arc<Settings>,
    base: &Settings,
    server: &mut Server,
) -> Result<(), TooMuch> {
    let Value::Literal(literal) = &setting.value else { return Ok(()) };
    match settings.get(&setting.name).map(Box::<[u8]>::from) {
        // What is reported was taken over when the report came, as PostgreSQL spells it; if one came.
        Some(value) if settings.reported_at(&setting.name).is_some() => {
            let is_default = base.own(&setting.name).is_some() && settings.own(&setting.name).is_none();
            if is_default { server.note_set(settings, base, &setting.name, &value) } else { Ok(()) }
        }
        _ => server.note_set(settings, base, &setting.name, literal),
    }
}

pub(super) fn lost() -> Left {
    let fault = Fault::fatal(Blame::Server, SqlState::CONNECTION_FAILURE, "server closed the connection unexpectedly");
    Left::Refused(fault.with_detail("The last statement was completed; the session is lost.").with_hint("Reconnect."))
}

fn too_many_pinned() -> Fault {
    Fault::error(Blame::Limit, SqlState::TOO_MANY_CONNECTIONS, "too many clients keep a server of their own")
        .with_detail(
            "The statement leaves something behind that only its server has, and max_pinned clients keep one already.",
        )
        .with_hint(
            "Use temporary tables, session locks and cursors WITH HOLD within one transaction, or raise max_pinned.",
        )
}
