//! From tokens to facts: follows one statement after the other, and hands each token to what it may matter to. Nothing it keeps
//! grows with the text beyond the bounds of [`Facts`], of [`Head`] and of one `set_config`.

use super::body::Body;
use super::call::{Held, Last, Schema};
use super::head::Head;
use super::now::{Now, Shape};
use super::relations::Place;
use super::set_config::SetConfig;
use super::verb::Setting;
use super::words::{First, Key};
use super::{Bounds, Effects, Facts, Functions, Touches, builtin};
use crate::sql::token::{Reading, Token};

#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    reading: Reading,
    /// It reads PL/pgSQL.
    pub(super) in_body: bool,
    pub(super) facts: Facts,
    pub(super) now: Now,
    pub(super) head: Head,
    pub(super) held: Held,
    pub(super) last: Last,
    pub(super) call: Option<Box<SetConfig>>,
    // The bracket of `current_setting` is open, and the setting not named yet.
    asks: bool,
    /// What calls of `set_config` say, while the statement may consist of them.
    pub(super) said: Vec<Setting>,
    /// Of a `DO`: read when it is executed, by what rules there are then.
    pub(super) body: Option<Box<[Body; 2]>>,
}

impl Machine {
    pub(super) fn new(reading: Reading) -> Self {
        Self { reading, ..Self::default() }
    }

    /// The next token, which begins at `at`.
    pub(super) fn token(&mut self, token: Token<'_>, at: usize, functions: &dyn Functions) {
        if self.asks {
            self.asked(token);
        }
        match token {
            Token::Word { name, quoted } => self.word(name, quoted, at, functions),
            Token::Text(part) => self.text(part, functions),
            Token::TextEnd { exact } => self.text_end(exact, at, functions),
            Token::Symbol(symbol) => self.symbol(symbol, at, functions),
            Token::Number(number) => {
                self.other(Last::Constant, functions);
                if self.now.kept {
                    self.facts.by_constants = true;
                    self.head.number(number, at);
                }
            }
            Token::Parameter => {
                self.other(Last::Parameter, functions);
                if self.now.kept {
                    self.head.opaque(at);
                }
            }
            Token::Operator(sign) => {
                self.other(Last::Operator, functions);
                let effects = builtin::operator(sign, functions);
                self.take(effects);
                if effects.more {
                    self.add_more(sign, functions);
                }
                if self.now.kept {
                    self.head.sign(sign, at);
                }
            }
        }
    }

    /// The name before this token was not called.
    pub(super) fn settle(&mut self, functions: &dyn Functions) {
        self.doubt_values();
        if std::mem::take(&mut self.held.waits) && !self.held.first {
            let effects = self.held.mentioned(functions);
            self.add(effects, functions);
            self.name_relation(effects, false, functions);
        }
    }

    /// What the name at hand does.
    fn add(&mut self, effects: Effects, functions: &dyn Functions) {
        self.take(effects);
        if effects.more {
            let held = self.held.clone();
            self.add_more(held.name(), functions);
        }
    }

    fn take(&mut self, effects: Effects) {
        self.now.takes(effects);
        self.facts.named.beyond |= effects.beyond;
    }

    /// What else there is to tell of a name.
    fn add_more(&mut self, name: &[u8], functions: &dyn Functions) {
        let mut settings = Touches::NOTHING;
        functions.settings(name, &mut |setting, local| settings |= self.note_by_code(setting, local));
        self.now.touches |= settings;
        self.now.written |= functions.written(name);
    }

    /// Behind the bracket of `current_setting`: a literal name with a dot is one's own, which goes with its client.
    fn asked(&mut self, token: Token<'_>) {
        match token {
            Token::Text(part) => self.asks = !part.contains(&b'.'),
            _ => {
                self.asks = false;
                self.now.judge.bounds |= Bounds::NODE;
            }
        }
    }

    fn other(&mut self, last: Last, functions: &dyn Functions) {
        self.settle(functions);
        self.now.begun = true;
        self.last = last;
        match &mut self.call {
            Some(call) => call.other(),
            None => self.now.shape = Shape::No,
        }
    }

    fn text(&mut self, part: &[u8], functions: &dyn Functions) {
        self.settle(functions);
        if self.now.kept {
            self.head.text(part);
        }
        if let Some(call) = &mut self.call {
            call.text(part);
        }
        if self.now.first == First::Do && !self.in_body && !self.is_behind(Key::Language) {
            let reading = self.reading;
            let otherwise = Reading { standard_strings: !reading.standard_strings, ..reading };
            let bodies = self.body.get_or_insert_with(|| Box::new([reading, otherwise].map(Body::new)));
            bodies.iter_mut().for_each(|body| body.feed(part, functions));
        }
    }

    fn text_end(&mut self, exact: bool, at: usize, functions: &dyn Functions) {
        self.settle(functions);
        self.now.begun = true;
        self.facts.by_constants |= self.now.kept || self.call.is_some() || self.now.first == First::Do;
        if self.now.kept {
            self.head.text_end(exact, at);
        }
        match &mut self.call {
            Some(call) => call.text_end(exact),
            None => self.now.shape = Shape::No,
        }
        // A body that needs decoding, that is another language's, or inside another.
        if self.now.first == First::Do && (!exact || self.in_body || self.is_behind(Key::Language)) {
            self.now.touches |= Touches::DYNAMIC;
        }
        self.last = Last::Constant;
    }

    fn is_behind(&self, key: Key) -> bool {
        self.last == Last::Word && self.held.key == key
    }

    fn word(&mut self, name: &[u8], quoted: bool, at: usize, functions: &dyn Functions) {
        if self.held.place != Place::No {
            self.foresee(name, quoted);
        }
        self.settle(functions);
        let dotted = self.last == Last::Dot;
        let before = (self.last, if self.last == Last::Word { self.held.key } else { Key::Plain });
        // A label may be any word.
        let labels = before.1 == Key::As && matches!(self.now.first, First::Select | First::Write) && name != b"not";
        let key = if quoted || dotted || labels { Key::Plain } else { Key::of(name) };
        let begins = self.now.first == First::Nothing;
        if !(name.is_ascii() || self.reading.utf8 && functions.is_utf8()) {
            // What has this name in the database is not known.
            self.now.judge.bounds |= Bounds::WRITES;
            self.facts.named.lose();
        }
        if !quoted && !dotted && tells_time(name) {
            self.now.judge.bounds |= Bounds::TRANSACTION;
        }
        let place = if self.in_body { Place::No } else { self.place(name, quoted, begins, before) };
        if begins {
            self.begin(name, quoted);
            self.take(functions.everywhere());
        } else {
            let reads = !self.now.copies_in;
            self.follow(name, quoted, key, before, at);
            if reads && self.now.copies_in {
                self.copy_into(functions);
            }
            if self.now.kept {
                self.head.word(name, quoted, at);
            }
        }
        if let Some(call) = &mut self.call {
            call.word(name, quoted);
        }
        self.hold(name, quoted, key, before, begins);
        self.held.place = place;
        self.now.shape = self.shape_behind(begins, key);
        if self.in_body && matches!(key, Key::Begin | Key::Blocks) {
            // Behind it another statement may begin.
            self.end_inner();
        }
    }

    fn begin(&mut self, name: &[u8], quoted: bool) {
        self.now.begun = true;
        self.now.first = match (quoted, self.in_body) {
            (true, _) => First::Other,
            (false, true) => First::in_body(name),
            (false, false) => First::of(name),
        };
        self.now.judge.begin(self.now.first, name);
        self.now.kept = self.now.first.is_kept();
        self.now.opening = self.now.first == First::Explain;
        self.now.writes = self.now.first == First::Write;
        if self.now.writes && name != b"delete" {
            self.now.touches |= Touches::SEQUENCE_WRITE;
        }
        if self.in_body && name == b"execute" && !quoted {
            self.now.touches |= Touches::HIDDEN | Touches::DYNAMIC;
        }
    }

    fn hold(&mut self, name: &[u8], quoted: bool, key: Key, before: (Last, Key), begins: bool) {
        let held = &mut self.held;
        if before.0 != Last::Dot {
            held.before = before;
            (held.schema, held.notation) = (Schema::None, false);
        }
        held.keep(name);
        (held.waits, held.quoted, held.key) = (true, quoted, key);
        held.first = begins && !self.in_body;
        self.last = Last::Word;
    }

    fn symbol(&mut self, symbol: u8, at: usize, functions: &dyn Functions) {
        match symbol {
            b'(' => self.open(functions),
            b'.' => self.dot(functions),
            _ => self.settle(functions),
        }
        if symbol == b';' && (self.in_body || self.now.depth == 0 && self.now.atomic == 0) {
            self.end(at);
            return;
        }
        self.now.begun = true;
        self.now.shape = self.shape_at(symbol);
        if symbol == b')' {
            self.close();
        } else if symbol != b'(' {
            if let Some(call) = &mut self.call {
                call.symbol(symbol);
            }
            if symbol == b',' {
                self.now.sources.comma(self.now.depth);
            }
            self.last = match symbol {
                b'.' => Last::Dot,
                b'[' => Last::Open,
                b']' => Last::Close,
                b';' => Last::Semicolon,
                b':' if self.last == Last::Colon => Last::Cast,
                b':' => Last::Colon,
                _ => Last::Other,
            };
        }
        if self.now.kept {
            self.head.symbol(symbol, at);
        }
    }

    fn dot(&mut self, functions: &dyn Functions) {
        self.doubt_values();
        if self.held.notation && self.held.waits {
            // Of `(x).f.g` and `(x).f.*` it is not the schema.
            let effects = self.held.mentioned(functions);
            self.add(effects, functions);
        }
        if self.in_body && self.held.waits {
            // `v t.a%TYPE` is a variable of the type of its column.
            let effects = functions.relation(self.held.name());
            self.add(effects, functions);
        }
        if std::mem::take(&mut self.held.waits) {
            // Only what is written last names the schema.
            let catalog = self.held.name() == b"pg_catalog";
            match self.held.name() {
                [b'p', b'g', b'_', b't', b'e', b'm', b'p', ..] => self.now.touches |= Touches::TEMP,
                b"information_schema" => self.now.judge.bounds |= Bounds::CATALOG,
                _ => (),
            }
            self.held.schema = if catalog { Schema::Catalog } else { Schema::Other };
            if self.held.place != Place::No {
                self.now.sources.schema = Some(self.held.name().into());
            }
        } else {
            self.held.before = (self.last, Key::Plain);
            self.held.schema = Schema::Other;
            self.held.notation = matches!(self.last, Last::Close | Last::CloseBefore | Last::Parameter);
        }
    }

    fn open(&mut self, functions: &dyn Functions) {
        let only = self.last == Last::Word && !self.held.quoted && self.held.name() == b"only";
        let mut before_operand = false;
        let mut begun = None;
        if std::mem::take(&mut self.held.waits) {
            let held = &self.held;
            self.asks = held.schema != Schema::Other && held.name() == b"current_setting";
            self.facts.by_constants |= self.asks;
            before_operand = held.key == Key::Operator || held.key == Key::On && held.before.1 == Key::Distinct;
            if held.is_set_config() {
                self.now.judge.bounds |= Bounds::WRITES;
                if self.call.is_none() {
                    begun = Some(Box::default());
                } else {
                    // One inside another: not looked into.
                    self.now.touches |= Touches::SETTINGS | Touches::HIDDEN | Touches::DYNAMIC;
                }
            } else {
                let effects = if self.in_body && held.is_of_bodies() {
                    functions.function(held.name()).unwrap_or_default()
                } else {
                    held.called(functions)
                };
                self.add(effects, functions);
                self.name_relation(effects, true, functions);
            }
        }
        if let Some(call) = &mut self.call {
            call.depth += 1;
            call.other();
        } else {
            self.call = begun;
        }
        if let Some(bit) = 1_u64.checked_shl(self.now.depth) {
            self.now.before_operand &= !bit;
            self.now.before_operand |= if before_operand { bit } else { 0 };
        }
        self.now.depth = self.now.depth.saturating_add(1);
        self.now.sources.open(self.now.depth, only);
        self.last = Last::Open;
    }

    fn close(&mut self) {
        self.now.depth = self.now.depth.saturating_sub(1);
        self.now.sources.close(self.now.depth);
        // Too deep to be remembered: it may be.
        let operand = 1_u64.checked_shl(self.now.depth).is_none_or(|bit| self.now.before_operand & bit != 0);
        self.last = if operand { Last::CloseBefore } else { Last::Close };
        let Some(call) = &mut self.call else { return };
        match call.depth.checked_sub(1) {
            Some(depth) => call.depth = depth,
            None => {
                let call = self.call.take().map(|call| *call).unwrap_or_default();
                self.called(call.finish());
            }
        }
    }

    /// Behind a statement.
    pub(super) fn reset(&mut self) {
        self.now = Now::default();
        self.held.waits = false;
        self.last = Last::Start;
        (self.call, self.asks) = (None, false);
    }

    /// What PL/pgSQL may follow with another statement: it counts with what is outside its brackets.
    fn end_inner(&mut self) {
        let (depth, before_operand) = (self.now.depth, self.now.before_operand);
        let held = self.held.clone();
        let (call, last) = (self.call.take(), self.last);
        self.end(0);
        (self.now.depth, self.now.before_operand) = (depth, before_operand);
        (self.held, self.call, self.last) = (held, call, last);
    }
}

#[cfg(test)]
impl Machine {
    /// Nothing of it lives on the heap.
    pub(super) fn is_lean(&self) -> bool {
        self.head.is_lean() && self.call.is_none() && self.body.is_none() && self.said.capacity() == 0
    }
}

/// Words that stand for the time at which the transaction began, with a bracket behind them or without.
fn tells_time(word: &[u8]) -> bool {
    matches!(word, b"current_timestamp" | b"current_date" | b"current_time" | b"localtimestamp" | b"localtime")
}
