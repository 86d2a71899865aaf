//! Reading SQL: what a text says, as far as that must be known to keep its session and to choose its server. Pure, and
//! deliberately without a grammar: it knows tokens, not trees. Start at [`read`] for what statements may do, at [`Scanner`]
//! for the tokens.

mod facts;
mod hint;
mod moment;
mod normal;
mod pattern;
mod readings;
mod scan;
mod shape;
mod statement_cache;
mod tags;
mod token;

pub use facts::{
    Begin, Bounds, Change, Discard, Effects, Facts, Functions, Isolation, Knowledge, Name, Names, Plain, Prepare,
    Reader, Relation, Setting, Statement, Statements, Told, Touches, Unknown, Value, Verb, Verdict, builtin_effects,
    read, read_body,
};
pub use hint::{Hint, Malformed, hint};
pub use moment::{is_now, says_now};
pub use normal::{Fingerprint, NORMAL_MAX, Normalizer};
pub use pattern::{PATTERN_MAX, Pattern};
pub use readings::{Readers, Readings, Ways};
pub use scan::Scanner;
pub use shape::{SHAPE_MAX, shape};
pub use statement_cache::StatementCache;
pub use tags::{COMMENT_MAX, Tags, ends_in_comment, last_comment};
pub use token::{NAME_MAX, Reading, Token, Unsure};

/// A string constant, read as it is whatever `standard_conforming_strings` and `backslash_quote` are.
pub fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A text in this encoding, whatever client_encoding is when it is read.
pub fn recoded(text: &[u8], encoding: &[u8]) -> String {
    let hex: String = text.iter().map(|byte| format!("{byte:02x}")).collect();
    let encoding = literal(&String::from_utf8_lossy(encoding));
    format!("pg_catalog.convert_from(pg_catalog.decode('{hex}', 'hex'), {encoding})")
}
