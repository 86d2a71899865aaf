//! What a comment asks of the router: `/* pgotter: replica */`, or the same behind `--`. Only what a comment begins with is a hint, and one
//! that is not understood is told as such: nothing is guessed.
//!
//! Comments are no part of a text's normal form, its fingerprint or its facts: a hint is read from each text anew. Does not know which
//! hosts there are, nor whether what is asked can be granted.

use super::scan::{Comment, Scanner};
use super::token::Reading;
use memchr::memmem::Finder;
use std::fmt;
use std::sync::LazyLock;

const BEGIN: &[u8] = b"pgotter:";
/// To make it anew costs more than to look through a text with it.
static BEGINS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(BEGIN));

/// Bytes of a host's name.
const HOST_MAX: usize = 255;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint<'a> {
    /// `primary`.
    Primary,
    /// `replica`, and `replica stale`.
    Replica {
        /// It need not have replayed what the client has written.
        stale: bool,
    },
    /// `host=NAME`.
    Host(&'a str),
}

/// Why a hint is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It asks for something that there is not.
    Unknown,
    /// Another one of the same text asks for something else.
    Contradicted,
}

/// What the comments of a whole text ask. `None`: nothing, or the text does not end where it should. Costs one search where there is no
/// hint; allocates nothing.
///
/// # Errors
/// [`Malformed`].
pub fn hint(text: &[u8], reading: Reading) -> Result<Option<Hint<'_>>, Malformed> {
    let mut scanner = Scanner::new(reading);
    let (mut fed, mut found) = (0, None);
    for at in BEGINS.find_iter(text) {
        let (before, behind) = text.split_at(at);
        // Where the comment would have to begin.
        let begin = before.trim_ascii_end().len().saturating_sub(2).max(fed);
        scanner.feed(before.get(fed..begin).unwrap_or_default(), &mut |_| ());
        let outside = scanner.comment().is_none();
        scanner.feed(before.get(begin..).unwrap_or_default(), &mut |_| ());
        fed = at;
        if !outside || scanner.unsure().is_some() {
            continue;
        }
        let behind = &behind[BEGIN.len()..];
        let said = match scanner.comment() {
            Some(Comment::Block) if before.trim_ascii_end().ends_with(b"/*") => {
                let Some(end) = memchr::memmem::find(behind, b"*/") else { return Ok(None) };
                &behind[..end]
            }
            Some(Comment::Line) if before.trim_ascii_end().ends_with(b"--") => {
                &behind[..memchr::memchr2(b'\n', b'\r', behind).unwrap_or(behind.len())]
            }
            _ => continue,
        };
        let hint = read(said).ok_or(Malformed::Unknown)?;
        if found.is_some_and(|found| found != hint) {
            return Err(Malformed::Contradicted);
        }
        found = Some(hint);
    }
    Ok(found)
}

impl<'a> Hint<'a> {
    /// What these words ask.
    pub fn of(said: &'a [u8]) -> Option<Self> {
        read(said)
    }
}

fn read(said: &[u8]) -> Option<Hint<'_>> {
    let mut words = std::str::from_utf8(said).ok()?.split_ascii_whitespace();
    let hint = match (words.next()?, words.next()) {
        ("primary", None) => Hint::Primary,
        ("replica", None) => Hint::Replica { stale: false },
        ("replica", Some("stale")) => Hint::Replica { stale: true },
        (word, None) => Hint::Host(word.strip_prefix("host=").filter(|name| is_host(name))?),
        _ => return None,
    };
    words.next().is_none().then_some(hint)
}

fn is_host(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    (1..=HOST_MAX).contains(&name.len()) && name.bytes().all(fits)
}

impl fmt::Display for Hint<'_> {
    /// As it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary => f.write_str("primary"),
            Self::Replica { stale: false } => f.write_str("replica"),
            Self::Replica { stale: true } => f.write_str("replica stale"),
            Self::Host(name) => write!(f, "host={name}"),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "a hint that is none of primary, replica, replica stale, host=NAME",
            Self::Contradicted => "hints that contradict each other",
        })
    }
}

#[cfg(test)]
mod tests;
