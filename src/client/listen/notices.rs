//! What a text notifies of, as far as it says so itself: NOTIFY, and a SELECT of nothing but `pg_notify` of constants and
//! parameters. What is computed, or depends on rows, is left out: nobody but PostgreSQL knows what comes of it. Pure.

use crate::sql::{Reading, Scanner, Token};
use std::cell::Cell;

/// One notification, as it stands in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    channel: Value,
    payload: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Known(Box<[u8]>),
    // `$1` is 0.
    Parameter(usize),
}

/// Channel and payload as a NotificationResponse has them behind its process number, each with its zero byte.
pub type Notified = Box<[u8]>;

/// Bytes of a payload that PostgreSQL refuses, as it does those of longer ones.
///
/// Source: PostgreSQL `src/backend/commands/async.c` (`NOTIFY_PAYLOAD_MAX_LENGTH`).
const PAYLOAD_MAX: usize = 8_000;

impl Notice {
    /// What comes of it with these parameters; `None` for NULL. Nothing is notified where one is NULL or missing, nor where PostgreSQL
    /// would refuse it for its length.
    pub fn notified(&self, parameters: &[Option<&[u8]>]) -> Option<Notified> {
        let value = |value| match value {
            &Value::Parameter(at) => parameters.get(at).copied().flatten(),
            Value::Known(bytes) => Some(&**bytes),
        };
        let (channel, payload) = (value(&self.channel)?, value(&self.payload)?);
        let fits = channel.len().max(payload.len()) < PAYLOAD_MAX;
        fits.then(|| [channel, b"\0", payload, b"\0"].concat().into())
    }
}

/// The notifications of a text that PostgreSQL reads without doubt, in order.
pub fn notices(text: &[u8], reading: Reading) -> Vec<Notice> {
    let mut reader = Reader { text, begun: 0, words: Vec::new(), found: Vec::new(), part: Vec::new() };
    let begun = Cell::new(0);
    let mut scanner = Scanner::new(reading);
    let mut note = |token: Token<'_>| reader.note(token, begun.get());
    scanner.feed_telling(text, &begun, &mut note);
    // Whether that is certain, the facts of the text say.
    let _ = scanner.finish(&mut note);
    reader.end_statement();
    reader.found
}

/// As much of a statement as may be one that notifies.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    /// In lower case but in quotes.
    Name(Box<[u8]>),
    Is(Value),
    Symbol(u8),
    /// It is none that is understood.
    Other,
}

/// A longer statement is not looked at: some 100 calls.
const WORDS_MAX: usize = 1_000;

struct Reader<'a> {
    text: &'a [u8],
    begun: usize,
    words: Vec<Word>,
    found: Vec<Notice>,
    // Of a string constant.
    part: Vec<u8>,
}

impl Reader<'_> {
    fn note(&mut self, token: Token<'_>, begun: usize) {
        self.begun = begun;
        let word = match token {
            Token::Symbol(b';') => return self.end_statement(),
            Token::Text(part) => return self.part.extend_from_slice(part),
            Token::TextEnd { exact } => {
                let text = std::mem::take(&mut self.part);
                if exact { Word::Is(Value::Known(text.into())) } else { Word::Other }
            }
            Token::Word { name, .. } => Word::Name(name.into()),
            Token::Parameter => self.parameter(),
            Token::Symbol(symbol) => Word::Symbol(symbol),
            Token::Number(_) | Token::Operator(_) => Word::Other,
        };
        if self.words.len() < WORDS_MAX {
            self.words.push(word);
        }
    }

    /// Its number stands in the text only.
    fn parameter(&self) -> Word {
        let digits = self.text.get(self.begun + 1..).unwrap_or_default();
        let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = str::from_utf8(&digits[..count]).ok().and_then(|digits| digits.parse::<u16>().ok());
        number.and_then(|number| number.checked_sub(1)).map_or(Word::Other, |at| Word::Is(Value::Parameter(at.into())))
    }

    fn end_statement(&mut self) {
        let words = std::mem::take(&mut self.words);
        if words.len() < WORDS_MAX
            && let Some(found) = of_statement(words)
        {
            self.found.extend(found);
        }
    }
}

fn of_statement(words: Vec<Word>) -> Option<Vec<Notice>> {
    let mut words = words.into_iter().peekable();
    match words.next()? {
        Word::Name(verb) if *verb == *b"notify" => {
            let Word::Name(channel) = words.next()? else { return None };
            let payload = match (words.next(), words.next(), words.next()) {
                (None, ..) => Value::Known(Box::default()),
                (Some(Word::Symbol(b',')), Some(Word::Is(payload)), None) => payload,
                _ => return None,
            };
            Some(vec![Notice { channel: Value::Known(channel), payload }])
        }
        Word::Name(verb) if *verb == *b"select" => {
            let mut found = Vec::new();
            loop {
                found.push(call(&mut words)?);
                match words.next() {
                    None => return Some(found),
                    Some(Word::Symbol(b',')) => (),
                    Some(_) => return None,
                }
            }
        }
        _ => None,
    }
}

/// `pg_notify(channel, payload)`.
fn call(words: &mut std::iter::Peekable<impl Iterator<Item = Word>>) -> Option<Notice> {
    let mut name = words.next()?;
    if name == Word::Name((*b"pg_catalog").into()) && words.next()? == Word::Symbol(b'.') {
        name = words.next()?;
    }
    if name != Word::Name((*b"pg_notify").into()) || words.next()? != Word::Symbol(b'(') {
        return None;
    }
    let channel = value(words, b',')?;
    let payload = value(words, b')')?;
    Some(Notice { channel, payload })
}

/// A constant or parameter, with or without `::text`, and what stands behind it.
fn value(words: &mut std::iter::Peekable<impl Iterator<Item = Word>>, end: u8) -> Option<Value> {
    let Word::Is(value) = words.next()? else { return None };
    if words.next_if_eq(&Word::Symbol(b':')).is_some() {
        let cast = (words.next()?, words.next()?);
        if cast != (Word::Symbol(b':'), Word::Name((*b"text").into())) {
            return None;
        }
    }
    (words.next()? == Word::Symbol(end)).then_some(value)
}

#[cfg(test)]
mod tests;
