//! Code in PL/pgSQL: what a `DO` runs, and the body of a function. A machine of its own reads it.

use super::machine::Machine;
use super::{Facts, Functions};
use crate::sql::scan::Scanner;
use crate::sql::token::Reading;

/// The body of a `DO`.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) scanner: Scanner,
    pub(super) machine: Machine,
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
    pub(super) fn new(reading: Reading) -> Self {
        let mut machine = Machine::new(reading);
        machine.in_body = true;
        Self { scanner: Scanner::new(reading), machine }
    }

    pub(super) fn feed(&mut self, part: &[u8], functions: &dyn Functions) {
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
