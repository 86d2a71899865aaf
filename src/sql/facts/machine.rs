//! From tokens to facts: follows one statement after the other, and what `DO` runs with a machine inside. Nothing it keeps
//! grows with the text beyond the bounds of [`Facts`], of [`Head`] and of one `set_config`.

use super::call::{Held, Last, Schema};
use super::head::Head;
use super::relations::{Place, Sources};
use super::set_config::SetConfig;
use super::verb::{Name, Setting};
use super::verdict::Judge;
use super::words::{First, Key};
use super::{Bounds, Effects, Facts, Functions, Touches, builtin};
use crate::sql::scan::Scanner;
use crate::sql::token::{Reading, Token};

/// A `SELECT` of nothing but `set_config`, as far as it is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shape {
    /// In front of an item.
    Item,
    Schema,
    Dot,
    Name,
    Inside,
    /// Behind an item.
    Closed,
    As,
    Label,
    /// It is another statement.
    #[default]
    No,
}

/// Where the first `AS` outside brackets stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Definition {
    #[default]
    Ahead,
    /// It was the last word.
    Here,
    Behind,
}

/// The statement under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Now {
    pub(super) first: First,
    /// Tokens of it have been seen.
    pub(super) begun: bool,
    pub(super) touches: Touches,
    /// What it touches if it writes.
    pub(super) written: Touches,
    pub(super) writes: bool,
    pub(super) copies_in: bool,
    pub(super) shape: Shape,
    /// Where the statement of `PREPARE` begins.
    pub(super) body: Option<usize>,
    /// What only its verdict needs.
    pub(super) judge: Judge,
    pub(super) sources: Sources,
    /// What is executed inside another statement.
    pub(super) executed: Option<Name>,
    kept: bool,
    pub(super) depth: u32,
    // One for each of the outer brackets: an operand follows when it closes.
    before_operand: u64,
    /// `EXPLAIN` with its options, so far.
    pub(super) opening: bool,
    // Of `CREATE … AS`.
    definition: Definition,
    routine: bool,
    atomic: u32,
}

/// The body of a `DO`.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) scanner: Scanner,
    pub(super) machine: Machine,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    reading: Reading,
    /// It reads PL/pgSQL.
    pub(super) in_body: bool,
    pub(super) facts: Facts,
    pub(super) now: Now,
    pub(super) head: Head,
    pub(super) held: Held,
    last: Last,
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
                self.now.takes(effects);
                self.facts.named.beyond |= effects.beyond;
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
        if std::mem::take(&mut self.held.waits) && !self.held.first {
            let effects = self.held.mentioned(functions);
            self.add(effects, functions);
            self.name_relation(effects, false, functions);
        }
    }

    /// What the name at hand does.
    fn add(&mut self, effects: Effects, functions: &dyn Functions) {
        self.now.takes(effects);
        if effects.more {
            let held = self.held.clone();
            self.add_more(held.name(), functions);
        }
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
        let key = if quoted || dotted { Key::Plain } else { Key::of(name) };
        let begins = self.now.first == First::Nothing;
        if !(name.is_ascii() || self.reading.utf8 && functions.is_utf8()) {
            // What has this name in the database is not known.
            self.now.judge.bounds |= Bounds::WRITES;
            self.facts.named.beyond = true;
        }
        if !quoted && !dotted && tells_time(name) {
            self.now.judge.bounds |= Bounds::TRANSACTION;
        }
        let place = if self.in_body { Place::No } else { self.place(name, quoted, begins, before) };
        if begins {
            self.begin(name, quoted);
            self.now.judge.bounds |= functions.everywhere();
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

    /// What a word behind the first one changes.
    fn follow(&mut self, name: &[u8], quoted: bool, key: Key, (last, before): (Last, Key), at: usize) {
        let now = &mut self.now;
        let outside = now.depth == 0;
        let is_to = last == Last::Word && !self.held.quoted && self.held.name() == b"to";
        now.follow(name, quoted, key, (before, is_to));
        // A label is no keyword.
        let named = self.held.before.1 == Key::As && now.first != First::Prepare;
        let fills = matches!(before, Key::Insert | Key::Merge) && !named;
        let is_name = matches!(before, Key::As | Key::On | Key::For);
        let locks = before == Key::Keys && key == Key::Update && now.judge.bounds.any(Bounds::LOCKS_ROWS);
        if let Some(prepared) = now.executed.as_mut().filter(|name| name.is_empty()) {
            *prepared = name.into();
        }
        // What is gone touches nothing: only of what runs by itself, or under a name that others have, is it worth a look.
        if now.first == First::Drop && self.last == Last::Word && drops_code(name) {
            now.touches |= Touches::DEFINES;
        }
        if before == Key::Language && now.first == First::Do && name != b"plpgsql" {
            now.touches |= Touches::DYNAMIC;
        }
        match key {
            Key::Plain => (),
            Key::Temp if matches!(before, Key::Create | Key::Local | Key::Into | Key::Replace) => {
                now.touches |= Touches::TEMP;
            }
            // In PL/pgSQL it names variables.
            Key::Into if !fills && !self.in_body => now.touches |= Touches::CREATES,
            Key::Create => now.touches |= Touches::CREATES,
            Key::Insert | Key::Merge | Key::Update | Key::Delete if !is_name && !locks => {
                now.writes = true;
                if key != Key::Delete {
                    now.touches |= Touches::SEQUENCE_WRITE;
                }
            }
            Key::From if outside && now.first == First::Copy => {
                now.copies_in = true;
                now.touches |= Touches::SEQUENCE_WRITE;
            }
            Key::Routine if matches!(before, Key::Create | Key::Replace) => now.routine = true,
            Key::Atomic if before == Key::Begin && now.routine && outside => now.atomic += 1,
            // Each statement inside ends with a semicolon: no `END` of `CASE`, nor a name, stands here.
            Key::End if now.atomic > 0 && (last == Last::Semicolon || before == Key::Atomic) => now.atomic -= 1,
            Key::Extension if matches!(before, Key::Create | Key::Alter) => now.touches |= Touches::HIDDEN,
            Key::For if outside && now.first == First::Declare => now.kept = false,
            Key::As if outside && now.first == First::Prepare && now.body.is_none() => {
                now.kept = false;
                // As long as it is written.
                now.body = Some(at + name.len());
            }
            Key::Execute if self.in_body => now.touches |= Touches::HIDDEN | Touches::DYNAMIC,
            Key::Execute if now.executed.is_none() && now.runs_here() => now.executed = Some(Name::default()),
            _ => (),
        }
        if outside {
            now.definition = match now.definition {
                Definition::Ahead if key != Key::As => Definition::Ahead,
                Definition::Ahead => Definition::Here,
                _ => Definition::Behind,
            };
            if now.opening && key == Key::Create {
                now.first = First::Create;
            }
            now.opening &= key == Key::Analyze;
        }
    }

    fn symbol(&mut self, symbol: u8, at: usize, functions: &dyn Functions) {
        match symbol {
            b'(' => self.open(functions),
            b'.' => self.dot(),
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

    fn dot(&mut self) {
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
        self.now.sources.open(self.now.depth);
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

    fn shape_behind(&self, begins: bool, key: Key) -> Shape {
        match self.now.shape {
            _ if begins && key == Key::Select && self.now.depth == 0 => Shape::Item,
            Shape::Inside => Shape::Inside,
            Shape::Item | Shape::Dot if self.held.is_set_config() => Shape::Name,
            Shape::Item if self.held.name() == b"pg_catalog" => Shape::Schema,
            Shape::Closed if key == Key::As => Shape::As,
            Shape::As => Shape::Label,
            _ => Shape::No,
        }
    }

    fn shape_at(&self, symbol: u8) -> Shape {
        match (self.now.shape, symbol) {
            (Shape::Schema, b'.') => Shape::Dot,
            (Shape::Name, b'(') => Shape::Inside,
            (Shape::Inside, b')') if self.now.depth == 1 => Shape::Closed,
            (Shape::Inside, _) => Shape::Inside,
            (Shape::Closed | Shape::Label, b',') => Shape::Item,
            _ => Shape::No,
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

impl Now {
    fn takes(&mut self, effects: Effects) {
        self.touches |= effects.touches;
        self.judge.bounds |= effects.bounds;
    }

    /// `EXECUTE` here names a prepared statement.
    fn runs_here(&self) -> bool {
        match self.first {
            First::Explain => self.opening && self.depth == 0,
            First::Create => self.definition == Definition::Here && self.depth == 0,
            _ => false,
        }
    }
}

/// Words that stand for the time at which the transaction began, with a bracket behind them or without.
fn tells_time(word: &[u8]) -> bool {
    matches!(word, b"current_timestamp" | b"current_date" | b"current_time" | b"localtimestamp" | b"localtime")
}

/// What `DROP` drops.
fn drops_code(what: &[u8]) -> bool {
    matches!(
        what,
        b"function" | b"procedure" | b"routine" | b"aggregate" | b"trigger" | b"rule" | b"policy" | b"extension"
    )
}

/// See [`super::read_body`].
pub(super) fn read_body(body: &[u8], reading: Reading, functions: &dyn Functions) -> Facts {
    let Body { mut scanner, mut machine } = Body::new(reading);
    scanner.feed(body, &mut |token| machine.token(token, 0, functions));
    let sure = scanner.finish(&mut |token| machine.token(token, 0, functions));
    machine.settle(functions);
    let mut facts = machine.finish(0);
    facts.unsure = sure.err().or(facts.unsure);
    facts
}

impl Body {
    fn new(reading: Reading) -> Self {
        let machine = Machine { in_body: true, ..Machine::new(reading) };
        Self { scanner: Scanner::new(reading), machine }
    }

    fn feed(&mut self, part: &[u8], functions: &dyn Functions) {
        let Self { scanner, machine } = self;
        scanner.feed(part, &mut |token| machine.token(token, 0, functions));
    }

    /// The text that it stands in is over, or the statement.
    pub(super) fn finish(self) -> Facts {
        let Self { scanner, mut machine } = self;
        let end = scanner.finish(&mut |_| ());
        let facts = machine.finish(0);
        Facts { unsure: end.err().or(facts.unsure), ..facts }
    }
}
