//! What PostgreSQL reads once, when it prepares a statement, and goes by from then on: constants, by the settings of that moment.
//!
//! Source: PostgreSQL `src/backend/parser/scan.l`, `src/backend/parser/parse_coerce.c` (`coerce_type` reads a constant of no type, with
//! `array_in`, `cash_in`, `xml_in` and so on), `src/backend/parser/parse_expr.c` (`transformAExprOp`),
//! `src/backend/utils/cache/plancache.c` (`RevalidateCachedQuery`).

use super::Statement;
use super::count::ANALYSED;
use crate::session::settings::Settings;
use crate::sql::{Scanner, Token};

/// By which the scanner reads any statement.
const SCANNED: [&[u8]; 3] = [b"backslash_quote", b"client_encoding", b"standard_conforming_strings"];

/// By which a query is analysed beyond that.
const BY_ANALYSIS: [&[u8]; 8] = [
    b"array_nulls",
    b"datestyle",
    b"intervalstyle",
    b"lc_monetary",
    b"timezone",
    b"timezone_abbreviations",
    b"transform_null_equals",
    b"xmloption",
];

/// By which what is the same each time is worked out when it is planned, and is told by that plan from then on. Source: PostgreSQL
/// `src/include/catalog/pg_proc.dat` (`byteaout`, `float8out`, `quote_ident` and `timezone` are immutable).
const BY_PLANNING: [&[u8]; 4] =
    [b"bytea_output", b"extra_float_digits", b"quote_all_identifiers", b"timezone_abbreviations"];

/// Those of the first two that PostgreSQL reports.
const REPORTED: [&[u8]; 5] =
    [b"client_encoding", b"datestyle", b"intervalstyle", b"standard_conforming_strings", b"timezone"];

const SEARCH_PATH: &[u8] = b"search_path";

/// How much is known of the settings under which a statement was prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certain {
    /// Nothing.
    Nothing,
    /// Those that PostgreSQL reports.
    Reported,
    /// All.
    All,
}

/// A setting that was another one when a statement was prepared: its name, what it was then, and what it is now; `None` is the
/// default of its server.
pub type Frozen<'a> = (&'a [u8], Option<&'a [u8]>, Option<&'a [u8]>);

/// Whether constants are read by this one, of which nobody hears when it becomes another.
pub fn is_read_by_unheard(name: &[u8]) -> bool {
    (SCANNED.contains(&name) || BY_ANALYSIS.contains(&name)) && !REPORTED.contains(&name)
}

/// Whether plans are made by this one.
pub fn is_planned_by(name: &[u8]) -> bool {
    BY_PLANNING.contains(&name)
}

impl Statement {
    /// Whether a plan that is made for it now is as good for all who share it.
    pub fn is_planned_alike(&self, now: &Settings) -> bool {
        BY_PLANNING.iter().all(|name| self.settings.get(name) == now.get(name))
    }

    /// Settings that were others when it was prepared and decide what it means: what they were, and are `now`. With `doubt` nobody
    /// knows what those are now that are not reported, and they are told as well. None where nobody knows what they were.
    pub fn frozen<'a>(&'a self, now: &'a Settings, doubt: bool) -> Vec<Frozen<'a>> {
        let Some(analysed) = self.constants() else { return Vec::new() };
        // Behind another search_path PostgreSQL analyses it anew, by the settings of then.
        let stays = self.settings.get(SEARCH_PATH) == now.get(SEARCH_PATH);
        let names = SCANNED.iter().chain(BY_ANALYSIS.iter().filter(|_| analysed && stays));
        let told = names.map(|name| (*name, self.settings.get(name), now.get(name)));
        told.filter(|(name, then, now)| match self.certain {
            Certain::Nothing => false,
            Certain::Reported => then != now && REPORTED.contains(name),
            Certain::All => then != now || doubt && !REPORTED.contains(name),
        })
        .collect()
    }

    /// Whether it is analysed when it is prepared, where there is anything in it that is read then. Other statements than
    /// queries are only scanned, and analysed when they are run.
    fn constants(&self) -> Option<bool> {
        let text = self.body()?.split(|&byte| byte == 0).next()?;
        let (mut first, mut holds) = (None, !text.is_ascii());
        let mut scanner = Scanner::new(self.readings.only(text)?);
        let mut look = |token: Token<'_>| {
            if token != Token::Symbol(b'(') {
                first.get_or_insert(matches!(token, Token::Word { name, quoted: false } if ANALYSED.contains(&name)));
            }
            // `= NULL` is another operator under transform_null_equals.
            holds |= matches!(token, Token::TextEnd { .. } | Token::Word { name: b"null", quoted: false });
        };
        scanner.feed(text, &mut look);
        // Unsure is PostgreSQL's to refuse.
        let _ = scanner.finish(&mut look);
        holds.then_some(first == Some(true))
    }
}
