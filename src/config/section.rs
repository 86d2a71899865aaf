//! One TOML table while it is read: keys are asked for by name, and what nobody asked for is unknown.
//! Knows no key itself.

use super::report::Notebook;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it stands.
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// Why a value does not do.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Completes "`key` must be …".
    pub(super) expected: String,
    /// What it is instead.
    pub(super) label: String,
    /// What to write.
    pub(super) help: Option<String>,
}

impl Wrong {
    pub(super) fn new(expected: impl Into<String>, label: impl Into<String>) -> Self {
        Self { expected: expected.into(), label: label.into(), help: None }
    }

    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A table, the keys it was asked for so far, and the notebook for its mistakes.
pub(super) struct Section<'a> {
    pub(super) notes: &'a mut Notebook,
    table: Option<&'a DeTable<'a>>,
    /// As an operator writes it: `[pooler]`.
    title: String,
    /// Where mistakes about the whole go.
    place: Range<usize>,
    known: Vec<&'static str>,
    refused: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// `None` for the table reads as an empty one.
    pub(super) fn new(
        notes: &'a mut Notebook,
        table: Option<&'a DeTable<'a>>,
        title: impl Into<String>,
        place: Range<usize>,
    ) -> Self {
        Self { notes, table, title: title.into(), place, known: Vec::new(), refused: Vec::new() }
    }

    /// The value under `key` as it stands. Every way of asking makes the key a known one.
    pub(super) fn raw(&mut self, key: &'static str) -> Option<&'a Value<'a>> {
        self.known.push(key);
        self.table?.get(key)
    }

    /// The value under `key`, if it is there and `read` takes it; a refusal is noted.
    pub(super) fn get<T>(&mut self, key: &'static str, read: impl FnOnce(&Value<'_>) -> Result<T, Wrong>) -> Option<T> {
        let value = self.raw(key)?;
        match read(value) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.refused.push(key);
                self.refuse(key, value.span(), wrong);
                None
            }
        }
    }

    /// As [`Self::get`], with a default.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Value<'_>) -> Result<T, Wrong>,
    ) -> T {
        self.get(key, read).unwrap_or(default)
    }

    /// Notes that the value at `span` is not what `key` needs.
    pub(super) fn refuse(&mut self, key: &str, span: Range<usize>, wrong: Wrong) {
        self.notes.add(span, format!("`{key}` must be {}", wrong.expected), wrong.label, wrong.help);
    }

    /// Where the value of `key` stands; the section's own place if it is not there.
    pub(super) fn place_of(&self, key: &str) -> Range<usize> {
        self.table.and_then(|table| table.get(key)).map_or(self.place.clone(), Spanned::span)
    }

    /// True if `key` is there, readable or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// True if all of these keys were readable or absent: only then is a comparison of them worth a complaint.
    pub(super) fn is_sound(&self, keys: &[&str]) -> bool {
        !self.notes.is_torn() && !keys.iter().any(|key| self.refused.contains(key))
    }

    /// Notes every key that nobody asked for. `explain` may know one: a message and an advice of its own.
    pub(super) fn unknown_keys(&mut self, explain: impl Fn(&str) -> Option<(String, String)>) {
        for (key, _) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let (message, help) = explain(name).unwrap_or_else(|| {
                let help = match nearest(name, self.known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if self.known.len() > 12 => "config/reference.toml has every key".to_owned(),
                    None => format!("known here: {}", self.known.join(", ")),
                };
                (format!("unknown key `{name}` in {}", self.title), help)
            });
            self.notes.add(key.span(), message, "", Some(help));
        }
    }
}

/// The known word that `name` was probably meant to be.
pub(super) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let name = name.to_lowercase().replace('-', "_");
    known
        .map(|word| (strsim::normalized_damerau_levenshtein(&name, &word.replace('-', "_")), word))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}
