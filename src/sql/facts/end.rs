//! The end of a statement: what it was, and what it touches beside the names in it.

use super::body::Body;
use super::machine::Machine;
use super::now::{Now, Shape};
use super::set_config::Called;
use super::verb::{Discard, Name, Prepare, Setting, Statement, Value, Verb};
use super::words::First;
use super::{Facts, Named, Reach, STATEMENTS_MAX, Touches};
use super::{NAMES_MAX, value, verdict};
use crate::sql::token::Unsure;

impl Machine {
    /// The text is over, at `end`. A semicolon may have been its last token.
    pub(super) fn finish(&mut self, end: usize) -> Facts {
        self.end(end);
        std::mem::take(&mut self.facts)
    }

    /// The statement under way ends in front of `end`.
    pub(super) fn end(&mut self, end: usize) {
        if self.now.begun {
            self.end_body();
            if self.call.take().is_some() {
                self.now.touches |= Touches::SETTINGS | Touches::HIDDEN | Touches::DYNAMIC;
            }
            let statement = self.statement(end);
            self.facts.touches |= statement.touches;
            self.facts.bounds |= self.now.judge.bounds;
            self.facts.named.beyond |= !self.now.names_all();
            if self.facts.statements.len() >= STATEMENTS_MAX {
                self.facts.unsure = Some(Unsure::Overfull);
            } else if !self.in_body {
                self.facts.statements.push(statement);
            }
            self.head.clear();
            self.said.clear();
        }
        self.reset();
    }

    fn statement(&mut self, end: usize) -> Statement {
        if self.now.first != First::Select || self.now.writes {
            self.now.touches |= self.now.written;
        }
        let verb = match self.now.first {
            First::Prepare => self.prepare(end),
            first if first.is_kept() => self.head.verb(first, end),
            _ => Some(self.plain()),
        };
        let Some(verb) = verb else {
            // PostgreSQL refuses it, as far as is known here. If it names no custom setting, all it can do can be asked for.
            let hidden = if self.in_body || self.head.may_name_custom() { Touches::ALL } else { Touches::HIDDEN };
            let touches = self.now.touches | hidden;
            return Statement { verb: Verb::Other, touches, verdict: verdict::of(&self.now, touches) };
        };
        let touches = self.now.touches;
        let verdict = verdict::of(&self.now, touches);
        let touches = match &verb {
            Verb::Prepare(prepare) => of_prepare(prepare.touches),
            Verb::Set(settings) => self.set(settings) | touches,
            Verb::Reset(name) => self.note(name, value::ends_with_transaction(name)) | touches,
            verb => touches | of_verb(verb),
        };
        // Its value does not tell that it was reset: the client may have come with another than PostgreSQL's default.
        let hides = self.in_body && resets(&verb);
        Statement { verb, touches: if hides { touches | Touches::ALL_SETTINGS } else { touches }, verdict }
    }

    fn prepare(&mut self, end: usize) -> Option<Verb> {
        let Some(body) = self.now.body else {
            return self.head.is_prepare_transaction().then_some(Verb::PrepareTransaction);
        };
        let (name, types) = self.head.prepared()?;
        Some(Verb::Prepare(Prepare { name, types, body: body..end, touches: self.now.touches }))
    }

    /// Of a statement that is not kept.
    fn plain(&mut self) -> Verb {
        let Now { first, writes, copies_in, shape, executed, touches, .. } = &mut self.now;
        *touches |= match first {
            // Who creates a temporary object has it alone.
            First::Create if touches.any(Touches::TEMP) => Touches::CREATES,
            First::Create | First::Import => Touches::CREATES.and(Touches::DEFINES),
            First::Drop => Touches::RELEASES,
            // Of a table: it fills a new column, from a sequence for one.
            First::Alter => Touches::SEQUENCE_WRITE.and(Touches::DEFINES),
            _ => Touches::NOTHING,
        };
        if let Some(name) = executed.take().filter(|name| !name.is_empty()) {
            return Verb::Execute { name, within: true };
        }
        match first {
            First::Select if matches!(shape, Shape::Closed | Shape::Label) && !self.said.is_empty() => {
                Verb::SetConfig(std::mem::take(&mut self.said))
            }
            First::Select if *writes => Verb::Write,
            First::Select => Verb::Select,
            First::Write => Verb::Write,
            First::Copy => Verb::Copy { from: *copies_in },
            First::Explain => Verb::Explain,
            First::Do => Verb::Do,
            First::Call => Verb::Call,
            First::Load => Verb::Load,
            First::Lock => Verb::Lock,
            First::Fetch => Verb::Fetch,
            _ => Verb::Other,
        }
    }

    fn end_body(&mut self) {
        let Some(bodies) = self.body.take() else { return };
        let [facts, otherwise] = bodies.map(Body::finish);
        self.now.touches |= facts.touches;
        if facts.unsure.is_some() || otherwise != facts && !otherwise.is_refused() {
            self.now.touches |= Touches::DYNAMIC;
        }
        for Named { name, text, code } in facts.settings {
            let (session, local) = (text.session || code.session, text.local || code.local);
            for local in [false].into_iter().filter(|_| session).chain([true].into_iter().filter(|_| local)) {
                let _ = self.note_by_code(&name, local);
            }
        }
    }

    fn set(&mut self, settings: &[Setting]) -> Touches {
        settings.iter().map(|setting| self.note(&setting.name, setting.local)).fold(Touches::NOTHING, Touches::and)
    }

    /// A setting that is named: what that touches.
    fn note(&mut self, name: &[u8], local: bool) -> Touches {
        self.note_reach(name, local, |named| &mut named.text)
    }

    /// The same, where code names it that is called or run.
    pub(super) fn note_by_code(&mut self, name: &[u8], local: bool) -> Touches {
        self.note_reach(name, local, |named| &mut named.code)
    }

    fn note_reach(&mut self, name: &[u8], local: bool, reach: fn(&mut Named) -> &mut Reach) -> Touches {
        // What PREPARE prepares is not run yet.
        if self.now.first != First::Prepare {
            let Facts { settings: named, unsure, .. } = &mut self.facts;
            let at = named.iter().position(|named| *named.name == *name).unwrap_or(named.len());
            if at == named.len() && at < NAMES_MAX {
                named.push(Named { name: Name::from(name), text: Reach::default(), code: Reach::default() });
            }
            match named.get_mut(at) {
                Some(named) => reach(named).add(local),
                None => *unsure = Some(Unsure::Overfull),
            }
        }
        match name {
            // It keeps nothing that could be read.
            b"seed" => Touches::UNMOVABLE,
            // Outside ASCII PostgreSQL may know it under another.
            _ if !name.is_ascii() => Touches::SETTINGS | Touches::HIDDEN | Touches::DYNAMIC,
            _ if local => Touches::NOTHING,
            _ => Touches::SETTINGS,
        }
    }

    /// A call of `set_config`.
    pub(super) fn called(&mut self, called: Called) {
        let touches = match called {
            Called::Tells(setting) => {
                let touches = self.note(&setting.name, setting.local);
                if self.now.shape == Shape::Closed && self.said.len() < NAMES_MAX {
                    self.said.push(setting);
                } else {
                    self.now.shape = Shape::No;
                }
                touches
            }
            Called::Names(name, local) => {
                self.now.shape = Shape::No;
                self.note(&name, local == Some(true) || value::ends_with_transaction(&name))
            }
            Called::Nothing(local) => {
                self.now.shape = Shape::No;
                match local {
                    Some(true) => Touches::PLACEHOLDERS,
                    _ => Touches::SETTINGS | Touches::HIDDEN | Touches::DYNAMIC,
                }
            }
        };
        self.now.touches |= touches;
    }
}

/// What a statement of `PREPARE` may do whenever it is executed, as far as nobody can look at it then: a setting that it makes may be a
/// custom one.
fn of_prepare(touches: Touches) -> Touches {
    let dynamic = if touches.any(Touches::SETTINGS) { Touches::DYNAMIC } else { Touches::NOTHING };
    let hidden = Touches::UNMOVABLE | Touches::DYNAMIC | Touches::PLACEHOLDERS | Touches::SEQUENCE_READ;
    Touches::STATEMENTS | touches.only(hidden) | dynamic
}

/// Whether it brings a setting that it names to PostgreSQL's default for the session.
fn resets(verb: &Verb) -> bool {
    match verb {
        Verb::Reset(_) => true,
        Verb::Set(settings) => settings.iter().any(|setting| setting.value == Value::Default && !setting.local),
        _ => false,
    }
}

/// What a statement touches whatever is named in it.
fn of_verb(verb: &Verb) -> Touches {
    match verb {
        Verb::Begin(_)
        | Verb::Commit { .. }
        | Verb::Rollback { .. }
        | Verb::Savepoint(_)
        | Verb::Release(_)
        | Verb::RollbackTo(_)
        | Verb::PrepareTransaction => Touches::CONTROLS,
        Verb::ResetAll => Touches::SETTINGS | Touches::ALL_SETTINGS,
        // Of what was defined in it, perhaps long ago.
        Verb::FinishPrepared => Touches::DEFINES,
        // What it runs was told when it was prepared, perhaps long ago.
        Verb::Execute { .. } => Touches::STATEMENTS | Touches::HIDDEN,
        Verb::Deallocate(_) | Verb::DeallocateAll => Touches::STATEMENTS,
        Verb::Discard(Discard::All) => {
            Touches::SETTINGS
                | Touches::ALL_SETTINGS
                | Touches::STATEMENTS
                | Touches::LISTENS
                | Touches::RELEASES
                | Touches::SEQUENCE_WRITE
        }
        Verb::Discard(Discard::Sequences) => Touches::SEQUENCE_WRITE,
        Verb::Discard(Discard::Temp) | Verb::CloseCursor(_) | Verb::CloseAll => Touches::RELEASES,
        Verb::Listen(_) | Verb::Unlisten(_) | Verb::UnlistenAll => Touches::LISTENS,
        Verb::Notify(_) => Touches::NOTIFIES,
        Verb::Declare { hold: true, .. } => Touches::HOLD_CURSOR,
        Verb::Do => Touches::HIDDEN,
        Verb::Load => Touches::UNMOVABLE,
        _ => Touches::NOTHING,
    }
}
