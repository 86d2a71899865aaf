//! Settings that a client came with and that may be at PostgreSQL's default now: RESET brings back that of the server, which is not
//! the client's. What says so, and whether that is to be looked at.
//!
//! Of most settings PostgreSQL shows where their value comes from. Of custom ones and of the role it does not: what is `''`, or
//! `none`, may have been set to that.

use super::{ROLE, SESSION_AUTHORIZATION};
use crate::session::custom::is_custom;
use crate::session::settings::{Settings, is_role};
use crate::sql::{Discard, Facts, Name, Setting, Statement, Touches, Value, Verb};
use crate::wire::backend::Status;

/// What is known of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// It was set, perhaps to what a reset would make of it, and PostgreSQL does not show the difference.
    Set,
    /// Code may have reset it.
    Hidden,
    /// A text had, and code may have set it since.
    Clouded,
    /// A text had, before it was looked at or rolled back.
    Was,
    /// A text had, in a transaction that was rolled back.
    Undone,
    /// A text had, before it was set for its transaction.
    Masked,
    /// A text has.
    Said,
    /// A text of nothing else has: in a block that goes on it is done.
    Done,
}

#[derive(Debug)]
struct Reset {
    name: Name,
    word: Word,
    // Something has happened to it since it was looked at.
    due: bool,
    // No ROLLBACK undoes the reset.
    committed: bool,
    // That it is, or is undone, the request at hand says, if it has run to there.
    just_ended: bool,
    // In front of it, it was set to what a reset would make of it.
    was_set: bool,
}

impl Reset {
    /// Where a setting was reset and then set until the transaction ends, PostgreSQL takes the default that is back for what the
    /// session has set. `failed`: some of what was sent was refused, or skipped.
    fn is_masked(&self, failed: bool) -> bool {
        match self.word {
            Word::Was | Word::Masked => true,
            // By a function perhaps.
            Word::Said | Word::Done => !failed,
            Word::Set | Word::Hidden | Word::Clouded | Word::Undone => false,
        }
    }

    /// Whether it is back if it looks reset. `failed`: some of what was sent was refused, or skipped, and that was sent outside a block. One that
    /// is over has ended as it says. Else it is where it did not look so `before`.
    fn is_back(&self, failed: bool, before: &Settings) -> bool {
        match self.word {
            Word::Set => false,
            Word::Undone => !self.was_set && before.get(&self.name) != Some(reset_to(&self.name)),
            Word::Hidden | Word::Clouded => is_opaque(&self.name),
            Word::Said | Word::Done => {
                let certain = !failed || self.committed && !self.just_ended;
                certain || before.get(&self.name) != Some(reset_to(&self.name))
            }
            Word::Was | Word::Masked => true,
        }
    }

    /// Another word of it. If a ROLLBACK undoes that, it does not undo what was committed before.
    fn put(&mut self, word: Word) {
        self.was_set |= self.word == Word::Set;
        (self.word, self.due) = (word, true);
    }

    /// Code may have set it behind that.
    fn cloud(&mut self) {
        self.word = match self.word {
            Word::Said | Word::Done => Word::Clouded,
            Word::Was | Word::Undone => Word::Hidden,
            other => other,
        };
    }

    /// It was set behind that for its transaction.
    fn was(&mut self) {
        if matches!(self.word, Word::Said | Word::Done | Word::Clouded) {
            self.word = Word::Masked;
        }
    }
}

/// All of one client, each once.
#[derive(Debug, Default)]
pub struct Resets {
    each: Vec<Reset>,
    // What is noted is sent to a block, and that has failed.
    in_block: bool,
    failed: bool,
}

impl Resets {
    /// A statement of these facts is sent. `base` is what the client came with, `before` are its settings before all this; `runs`:
    /// all of it runs if PostgreSQL refuses nothing.
    pub fn note(&mut self, facts: &Facts, base: &Settings, before: &Settings, runs: bool) {
        if base.iter().next().is_none() {
            return;
        }
        let said = if runs && facts.statements.only().is_some() { Word::Done } else { Word::Said };
        for statement in facts.statements.iter() {
            match &statement.verb {
                Verb::Reset(name) => self.reset(name, base, said),
                Verb::ResetAll => self.put_all(base, said),
                Verb::Discard(Discard::All) => {
                    self.put_all(base, said);
                    self.reset(SESSION_AUTHORIZATION, base, said);
                    self.commit();
                }
                Verb::Set(settings) | Verb::SetConfig(settings) => {
                    for Setting { name, value, local } in settings {
                        match value {
                            _ if *local => self.was(name),
                            Value::Default => self.reset(name, base, said),
                            // It drops the role.
                            _ if **name == *SESSION_AUTHORIZATION => self.set(ROLE, base, false),
                            Value::Literal(value) if **value != *reset_to(name) => self.doubt(name),
                            _ if is_opaque(name) => self.set(name, base, false),
                            _ => self.doubt(name),
                        }
                    }
                }
                Verb::Commit { .. } | Verb::PrepareTransaction if !self.failed => {
                    self.look_again(false);
                    self.commit();
                }
                Verb::Commit { .. } | Verb::PrepareTransaction | Verb::Rollback { .. } => {
                    self.look_again(true);
                    self.undo();
                    self.failed = false;
                }
                Verb::RollbackTo(_) => {
                    self.look_again(true);
                    self.failed = false;
                }
                _ => (),
            }
        }
        let hidden = facts.touches.any(Touches::HIDDEN);
        if facts.touches.any(Touches::DYNAMIC) || hidden && facts.touches.any(Touches::ALL_SETTINGS) {
            self.hide_all(base, before);
            return;
        }
        if facts.touches.any(Touches::PLACEHOLDERS) {
            // Of a name that is computed.
            self.each.iter_mut().for_each(Reset::was);
        }
        let is_told = |name: &[u8]| facts.statements.iter().any(|statement| tells_of(statement, name));
        for (name, reach) in facts.code_names() {
            if reach.local {
                self.was(name);
            } else if is_told(name) && !is_opaque(name) {
                // In which order, nobody knows.
                self.doubt(name);
            } else {
                self.cloud(name);
            }
        }
        for name in facts.names().filter(|name| !is_told(name)) {
            if is_opaque(name) {
                self.set(name, base, hidden);
            } else if name == SESSION_AUTHORIZATION {
                self.set(ROLE, base, hidden);
            } else if hidden {
                self.hide(name, base, before);
            }
        }
    }

    /// What is noted next is sent behind this, in a block that has failed or not. In one that has, the last COMMIT or ROLLBACK was skipped.
    pub fn send_behind(&mut self, status: Status) {
        (self.in_block, self.failed) = (status != Status::Idle, status == Status::Failed);
        for reset in &mut self.each {
            if std::mem::take(&mut reset.just_ended) && self.failed {
                match reset.word {
                    Word::Undone => reset.word = Word::Was,
                    _ => reset.committed = false,
                }
            }
        }
    }

    /// Anything may have been done to all of them.
    pub fn hide_all(&mut self, base: &Settings, before: &Settings) {
        base.iter().for_each(|(name, _)| self.hide(name, base, before));
    }

    /// Nothing may be at PostgreSQL's default.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// Whether it matters for one of them how the block at hand ends, or something has happened that was not looked at.
    pub fn await_an_end(&self) -> bool {
        self.each.iter().any(|reset| reset.due || !matches!(reset.word, Word::Hidden | Word::Clouded))
    }

    /// Whether something has happened that was not looked at.
    pub fn are_due(&self) -> bool {
        self.each.iter().any(|reset| reset.due)
    }

    /// Whether a default that PostgreSQL tells of comes of what a text has reset just now, or of the end of what had brought that back.
    pub fn are_said_of(&self, name: &[u8]) -> bool {
        self.find(name).is_some_and(|reset| match reset.word {
            Word::Said | Word::Done | Word::Clouded => true,
            Word::Was => reset.committed,
            Word::Masked | Word::Undone | Word::Hidden | Word::Set => false,
        })
    }

    /// What PostgreSQL is to be asked of: whether it is at the default; and whether it may be, and look set. `ended`: so is the block,
    /// and of nothing it is known what has become of it.
    pub fn to_look_at(&self, ended: bool) -> Vec<(&[u8], bool)> {
        let unknown = self.each.iter().filter(|reset| ended || reset.due && reset.word != Word::Done);
        unknown.map(|reset| (&*reset.name, reset.is_masked(false))).collect()
    }

    /// PostgreSQL has said that these are at the default. What is to be brought back. `failed` and `before` as in [`Self::back`].
    pub fn looked(&mut self, at_default: &[Box<[u8]>], ended: bool, failed: bool, before: &Settings) -> Vec<Name> {
        let mut lost = Vec::new();
        self.each.retain_mut(|reset| {
            if !ended && !std::mem::take(&mut reset.due) {
                return true;
            }
            let is_lost = at_default.contains(&reset.name) || reset.word == Word::Done && !ended;
            match reset.word {
                Word::Set => return is_lost,
                _ if is_opaque(&reset.name) && !reset.is_back(failed && !self.in_block, before) => (),
                _ if is_lost => lost.push(reset.name.clone()),
                _ => (),
            }
            reset.word = match reset.word {
                Word::Said | Word::Done => Word::Was,
                Word::Clouded => Word::Hidden,
                other => other,
            };
            true
        });
        lost
    }

    /// What is the client's own again behind its transaction, if it looks reset. `failed`: some of what was sent was refused, or skipped. `before`
    /// are its settings before that.
    pub fn back(&self, failed: bool, before: &Settings) -> Vec<Name> {
        let failed = failed && !self.in_block;
        self.each.iter().filter(|reset| reset.is_back(failed, before)).map(|reset| reset.name.clone()).collect()
    }

    /// What was reset, and may look set to its default. `failed`: some of what was sent was refused, or skipped.
    pub fn masked(&self, failed: bool) -> Vec<Name> {
        self.each.iter().filter(|reset| reset.is_masked(failed)).map(|reset| reset.name.clone()).collect()
    }

    /// What may have been set to what looks reset.
    pub fn set_ones(&self) -> impl Iterator<Item = &[u8]> {
        self.each.iter().filter(|reset| reset.word == Word::Set).map(|reset| &*reset.name)
    }

    fn find(&self, name: &[u8]) -> Option<&Reset> {
        self.each.iter().find(|reset| reset.name.eq_ignore_ascii_case(name))
    }

    /// What was brought back may be undone, and what was undone not. What was said is only this any more.
    fn look_again(&mut self, undone: bool) {
        for reset in self.each.iter_mut().filter(|reset| reset.word != Word::Set) {
            reset.due = true;
            reset.word = match reset.word {
                Word::Said | Word::Done | Word::Masked | Word::Was if undone && reset.committed => Word::Said,
                Word::Said | Word::Done | Word::Masked if undone => Word::Was,
                Word::Clouded if undone => Word::Hidden,
                Word::Done => Word::Said,
                other => other,
            };
        }
    }

    /// All that is not committed is as it was before the transaction.
    fn undo(&mut self) {
        for reset in self.each.iter_mut().filter(|reset| !reset.committed) {
            reset.due = false;
            if reset.word == Word::Was {
                (reset.word, reset.just_ended) = (Word::Undone, true);
            }
        }
    }

    /// What was reset is, whatever becomes of the transaction behind it.
    fn commit(&mut self) {
        for reset in self.each.iter_mut().filter(|reset| !matches!(reset.word, Word::Set | Word::Undone)) {
            reset.just_ended |= !reset.committed;
            reset.committed = true;
        }
    }

    /// With who a session is, the role that it came with is back.
    fn reset(&mut self, name: &[u8], base: &Settings, word: Word) {
        self.put(name, base, word);
        if name == SESSION_AUTHORIZATION {
            self.put(ROLE, base, word);
        }
    }

    fn put(&mut self, name: &[u8], base: &Settings, word: Word) {
        match self.each.iter_mut().find(|reset| *reset.name == *name) {
            Some(reset) => reset.put(word),
            None if base.own(name).is_some() => self.push(name, word),
            None => (),
        }
    }

    fn push(&mut self, name: &[u8], word: Word) {
        self.each.push(Reset {
            name: name.into(),
            word,
            due: true,
            committed: false,
            just_ended: false,
            was_set: false,
        });
    }

    /// `RESET ALL` leaves alone who a session runs as. A text may say it thousands of times.
    fn put_all(&mut self, base: &Settings, word: Word) {
        let (known, new) =
            (self.each.iter_mut(), base.iter().filter(|(name, value)| value.is_some() && !is_role(name)));
        let known = known.filter(|reset| !is_role(&reset.name)).map(|reset| reset.put(word)).count();
        if known < new.clone().count() {
            for (name, _) in new {
                if self.find(name).is_none() {
                    self.push(name, word);
                }
            }
        }
    }

    fn set(&mut self, name: &[u8], base: &Settings, due: bool) {
        self.put(name, base, Word::Set);
        if let Some(reset) = self.each.iter_mut().find(|reset| *reset.name == *name) {
            (reset.due, reset.committed) = (due, false);
        }
    }

    fn hide(&mut self, name: &[u8], base: &Settings, before: &Settings) {
        match self.each.iter_mut().find(|reset| *reset.name == *name) {
            Some(reset) => {
                reset.due = true;
                reset.cloud();
            }
            None if is_opaque(name) && before.get(name).is_none_or(|value| value == reset_to(name)) => (),
            None => self.put(name, base, Word::Hidden),
        }
    }

    /// It was set behind that for its transaction.
    fn was(&mut self, name: &[u8]) {
        if let Some(reset) = self.each.iter_mut().find(|reset| *reset.name == *name) {
            reset.was();
        }
    }

    /// Code may have set it behind that.
    fn cloud(&mut self, name: &[u8]) {
        if let Some(reset) = self.each.iter_mut().find(|reset| *reset.name == *name) {
            reset.cloud();
        }
    }

    /// It was set behind that, unless that fails.
    fn doubt(&mut self, name: &[u8]) {
        if let Some(reset) = self.each.iter_mut().find(|reset| *reset.name == *name && reset.word != Word::Set) {
            reset.word = Word::Hidden;
        }
    }
}

/// Whether it says of this setting what it does.
fn tells_of(statement: &Statement, name: &[u8]) -> bool {
    let resets = matches!(&statement.verb, Verb::Reset(reset) if **reset == *name);
    resets || statement.settings().iter().any(|setting| *setting.name == *name)
}

/// Whether PostgreSQL does not show where its value comes from.
pub fn is_opaque(name: &[u8]) -> bool {
    is_custom(name) || name == ROLE
}

/// What a reset makes of one that is opaque.
pub fn reset_to(name: &[u8]) -> &'static [u8] {
    if name == ROLE { b"none" } else { b"" }
}

#[cfg(test)]
mod tests;
