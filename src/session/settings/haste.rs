//! Timeouts so short that they could end what is put in front of another client's request, which runs with them until they
//! are undone.

use super::Settings;

/// Of a statement of any kind.
const TIMEOUTS: [&[u8]; 2] = [b"statement_timeout", b"transaction_timeout"];

/// PostgreSQL takes 0.1 ms for what is put in front of a request; on a busy machine it may wait for a core for longer.
const HASTE_MS: f64 = 20.0;

impl Settings {
    /// Whether a server in these settings could let a client with those come to grief by a timeout that is not its own.
    pub fn is_hasty_for(&self, other: &Self) -> bool {
        self.hasty
            && TIMEOUTS.iter().any(|name| {
                let mine = self.own(name);
                mine.is_some_and(is_short) && mine != other.own(name)
            })
    }

    /// Whether any of them is short.
    pub fn is_hasty(&self) -> bool {
        self.hasty
    }

    pub(super) fn has_short_timeout(&self) -> bool {
        TIMEOUTS.iter().any(|name| self.own(name).is_some_and(is_short))
    }
}

/// Whether a timeout, as PostgreSQL reads it, is below [`HASTE_MS`]. 0 is none.
fn is_short(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value);
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let in_ms = match unit.trim() {
        "" | "ms" => 1.0,
        "us" => 0.001,
        "s" => 1000.0,
        _ => 60_000.0,
    };
    number.parse::<f64>().is_ok_and(|number| number > 0.0 && number * in_ms < HASTE_MS)
}
