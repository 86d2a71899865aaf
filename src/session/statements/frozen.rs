//! What PostgreSQL reads once, when it prepares a statement, and goes by from then on: constants, by the settings of that moment.
//!
//! Source: PostgreSQL `src/backend/parser/parse_coerce.c` (`coerce_type` reads a constant of no type),
//! `src/backend/utils/cache/plancache.c` (`RevalidateCachedQuery`).

use super::Statement;
use super::count::ANALYSED;
use crate::session::settings::{Settings, Unlike};
use crate::sql::{Scanner, Token};

/// Those of them that PostgreSQL reports, so that they are known at any time.
const FROZEN: [&[u8]; 5] =
    [b"client_encoding", b"DateStyle", b"IntervalStyle", b"standard_conforming_strings", b"TimeZone"];

const SEARCH_PATH: &[u8] = b"search_path";

impl Statement {
    /// Settings that were others when it was prepared and decide what it means: what they were, and are `now`. None where nobody
    /// knows what they were.
    pub fn frozen<'a>(&'a self, now: &'a Settings) -> Vec<Unlike<'a>> {
        let is_frozen = |name: &[u8]| FROZEN.iter().any(|known| known.eq_ignore_ascii_case(name));
        // Behind another search_path PostgreSQL reads the text anew, by the settings of then.
        let rereads = self.settings.get(SEARCH_PATH) != now.get(SEARCH_PATH);
        if rereads || !self.certain || !self.holds_constants() {
            return Vec::new();
        }
        self.settings.unlike(now).into_iter().filter(|(name, ..)| is_frozen(name)).collect()
    }

    /// Whether there is anything in it that is read when it is prepared. Other statements than queries are read when they are run.
    fn holds_constants(&self) -> bool {
        let Some(text) = self.body().and_then(|body| body.split(|&byte| byte == 0).next()) else { return false };
        let (mut first, mut holds) = (None, !text.is_ascii());
        let mut scanner = Scanner::new(self.settings.reading());
        let mut look = |token: Token<'_>| {
            first.get_or_insert(matches!(token, Token::Word { name, quoted: false } if ANALYSED.contains(&name)));
            holds |= matches!(token, Token::Text(_));
        };
        scanner.feed(text, &mut look);
        // Unsure is PostgreSQL's to refuse.
        let _ = scanner.finish(&mut look);
        holds && first == Some(true)
    }
}
