//! The request that was sent last, kept until it is answered: it may be sent once more if PostgreSQL has done nothing for it, as a
//! plan has gone stale that was made before. Bytes are kept only where they were copied in order to be sent: that costs
//! nothing but their buffer, one for each server at most, until the answer is there.
//!
//! A plan goes stale when a table gets other columns: "cached plan must not change result type" (0A000). Whoever has been told of
//! the old columns and is not told anew would misread the rows, and is told that error, as by PostgreSQL.
//!
//! Source: PostgreSQL `src/backend/utils/cache/plancache.c` (`RevalidateCachedQuery`), called for Bind and Describe.

use crate::session::{Settings, Statements};
use crate::wire::backend::error_field;
use crate::wire::bind::Bind;
use crate::wire::frame::{HEAD, all, take_cstr, take_u16};
use crate::wire::frontend::kind;
use bytes::{Buf, BytesMut};
use std::sync::Arc;

/// The routine that says this, and nothing else. Texts are translated.
const STALE: &[u8] = b"RevalidateCachedQuery";
const STALE_CODE: &[u8] = b"0A000";

/// A request of one client, as it came.
#[derive(Default)]
pub(super) struct Again {
    // Empty: none is kept.
    bytes: BytesMut,
    // It begins with what names this statement, and is to be sent once more.
    due: Option<Box<[u8]>>,
}

/// Whether that is what an error says, by its body.
pub(super) fn is_stale(error: &[u8]) -> bool {
    error_field(error, b'C') == Some(STALE_CODE) && error_field(error, b'R') == Some(STALE)
}

impl Again {
    /// Keeps a request, up to its Sync, that was sent outside a transaction, with nothing in front of it that is not answered yet.
    pub fn keep(&mut self, request: BytesMut) {
        self.due = None;
        self.bytes = request;
    }

    /// It has been answered, or something was sent behind it.
    pub fn forget(&mut self) {
        if !self.bytes.is_empty() {
            *self = Self::default();
        }
    }

    /// An error answers the request that is kept, of which `left` messages were not answered before. Whether it is to be sent once
    /// more from there on, in place of the error. `settings` are its client's, and `prepared` are its statements.
    pub fn cures(&mut self, error: &[u8], left: usize, prepared: &Statements, settings: &Arc<Settings>) -> bool {
        if self.bytes.is_empty() || !is_stale(error) {
            return false;
        }
        let Some((at, name)) = begin_again(&self.bytes, left, prepared, settings) else { return false };
        self.due = Some(name.into());
        self.bytes.advance(at);
        true
    }

    /// Whether it is to be sent once more.
    pub fn is_due(&self) -> bool {
        self.due.is_some()
    }

    /// What is to be sent once more, and the statement to be prepared anew for that. It is not kept any longer.
    pub fn take(&mut self) -> Option<(Box<[u8]>, BytesMut)> {
        Some((self.due.take()?, std::mem::take(&mut self.bytes)))
    }
}

/// Where a request is to be sent again from, and the statement whose plan is stale. `None`: that would not be right.
fn begin_again<'a>(
    request: &'a [u8],
    left: usize,
    prepared: &Statements,
    settings: &Arc<Settings>,
) -> Option<(usize, &'a [u8])> {
    let answered = all(request).count().checked_sub(left)?;
    // They hold good: nothing of a transaction, and nothing was executed.
    let holds = all(request).take(answered).all(|(kind, body)| is_lasting(kind, body));
    if !holds || all(request).any(|(kind, _)| !is_answered(kind)) {
        return None;
    }
    let at = all(request).take(answered).map(|(_, body)| HEAD + body.len()).sum();
    let mut rest = all(request).skip(answered);
    let (kind, body) = rest.next()?;
    let (name, tells, types) = match kind {
        kind::DESCRIBE => (body.strip_prefix(b"S")?.strip_suffix(b"\0")?, true, Types::Text),
        kind::BIND => {
            // With a format for each column it takes the columns for granted.
            let bind = Bind::read(body).filter(|bind| bind.columns.len() <= 2)?;
            let parsed = all(request).take(answered).any(|(kind, body)| names(kind, body) == Some(bind.statement));
            (bind.statement, parsed || is_described(&bind, rest), Types::of(&bind))
        }
        _ => return None,
    };
    let statement = prepared.get(name).filter(|statement| !name.is_empty() && statement.suits(settings))?;
    (tells && types.are_certain(statement.body()?)).then_some((at, name))
}

/// Messages with one answer each.
fn is_answered(kind: u8) -> bool {
    matches!(kind, kind::PARSE | kind::BIND | kind::DESCRIBE | kind::EXECUTE | kind::CLOSE | kind::SYNC)
}

/// Whether what it has done is still done when its transaction has failed.
fn is_lasting(kind: u8, body: &[u8]) -> bool {
    matches!(kind, kind::PARSE | kind::CLOSE) || kind == kind::DESCRIBE && body.first() == Some(&b'S')
}

/// The statement that a Parse makes.
fn names(kind: u8, mut body: &[u8]) -> Option<&[u8]> {
    if kind == kind::PARSE { take_cstr(&mut body) } else { None }
}

/// What the values in a Bind take for granted of the parameters' types.
#[derive(Clone, Copy)]
enum Types {
    /// Nothing.
    Text,
    /// Some of so many are in the form of a type.
    Binary(usize),
}

/// Whether what stands behind a Bind has the columns described before anything is executed.
fn is_described<'a>(bind: &Bind<'_>, mut behind: impl Iterator<Item = (u8, &'a [u8])>) -> bool {
    let tells = |body: &[u8]| match body.split_first() {
        Some((b'P', name)) => name.strip_suffix(b"\0") == Some(bind.portal),
        Some((_, name)) => name.strip_suffix(b"\0") == Some(bind.statement),
        None => false,
    };
    let mut before = behind.by_ref().take_while(|(kind, _)| !matches!(*kind, kind::EXECUTE | kind::BIND));
    before.any(|(kind, body)| kind == kind::DESCRIBE && tells(body))
}

impl Types {
    fn of(bind: &Bind<'_>) -> Self {
        let is_binary = bind.formats.chunks(2).any(|format| format != [0, 0]);
        if is_binary { Self::Binary(bind.values.len()) } else { Self::Text }
    }

    /// Whether a statement with this body of Parse takes them to be of the same types when it is prepared anew: PostgreSQL has
    /// not found them out by itself.
    fn are_certain(self, statement: &[u8]) -> bool {
        let Self::Binary(count) = self else { return true };
        let mut rest = statement;
        let declared = take_cstr(&mut rest).and_then(|_| take_u16(&mut rest)).map_or(0, usize::from);
        declared >= count && rest.chunks_exact(4).take(count).all(|oid| oid != [0; 4])
    }
}

#[cfg(test)]
mod tests;
