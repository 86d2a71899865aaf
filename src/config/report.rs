//! Mistakes in a configuration: where, what was expected, what to do. Holds no secret: a line that is
//! kept for display has its passwords masked first.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file it is in: the configuration or its `auth_file`.
    pub file: PathBuf,
    /// Counted from 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// In characters, counted from 1; 0 when the file as a whole is meant.
    pub column: usize,
    /// What was expected.
    pub message: String,
    /// What stands there instead. May be empty.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The line, passwords masked, and the bytes of it that are meant. None where the line is a secret itself.
    excerpt: Option<(String, Range<usize>)>,
}

impl Mistake {
    fn render(&self, renderer: &Renderer) -> String {
        let path = self.file.to_string_lossy();
        let title = Level::ERROR.primary_title(self.message.as_str());
        let mut group = match &self.excerpt {
            Some((line, marked)) => title.element(
                Snippet::source(line.as_str())
                    .line_start(self.line)
                    .path(path)
                    .annotation(AnnotationKind::Primary.span(marked.clone()).label(self.label.as_str())),
            ),
            None if self.line > 0 => {
                title.element(Origin::path(path).line(self.line).char_column(self.column)).elements(self.note())
            }
            None => Group::with_title(title),
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }

    /// The label as a line of its own, for a mistake that has no excerpt to write it under.
    fn note(&self) -> Option<annotate_snippets::Message<'_>> {
        (!self.label.is_empty()).then(|| Level::NOTE.message(self.label.as_str()))
    }
}

/// Every mistake of a configuration, in the order of the files' lines. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    file: PathBuf,
    mistakes: Vec<Mistake>,
}

impl Report {
    /// A report of one mistake that concerns the file as a whole.
    pub fn of_file(file: &Path, message: String) -> Self {
        let mistake = Mistake {
            file: file.to_owned(),
            line: 0,
            column: 0,
            message,
            label: String::new(),
            help: None,
            excerpt: None,
        };
        Self { file: file.to_owned(), mistakes: vec![mistake] }
    }

    /// The mistakes as data.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// The mistakes as text with the lines they are on; `colour` for a terminal.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for mistake in &self.mistakes {
            text.push_str(&mistake.render(&renderer));
            text.push_str("\n\n");
        }
        let plural = if self.mistakes.len() == 1 { "mistake" } else { "mistakes" };
        text.push_str(&format!("{}: {} {plural}, nothing was applied", self.file.display(), self.mistakes.len()));
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

/// Collects mistakes while a file is read.
pub(super) struct Notebook {
    file: PathBuf,
    /// The text with its passwords masked, byte for byte as long as the original.
    masked: String,
    syntax_lines: BTreeSet<usize>,
    mistakes: Vec<Mistake>,
}

impl Notebook {
    pub(super) fn new(file: &Path, text: &str) -> Self {
        Self { file: file.to_owned(), masked: mask(text), syntax_lines: BTreeSet::new(), mistakes: Vec::new() }
    }

    /// Notes that the text is not TOML. To be called before any [`Self::add`].
    pub(super) fn syntax(&mut self, span: Option<Range<usize>>, message: &str, label: &str) {
        let end = self.masked.len();
        let mistake = self.mistake(span.unwrap_or(end..end), message.to_owned(), label.to_owned(), None);
        self.syntax_lines.insert(mistake.line);
        self.mistakes.push(mistake);
    }

    /// True if the text was not TOML: parts of it are then missing from what was read.
    pub(super) fn is_torn(&self) -> bool {
        !self.syntax_lines.is_empty()
    }

    /// Notes a mistake at these bytes of the text. Dropped on a line that is not TOML to begin with,
    /// where it would only be an echo.
    pub(super) fn add(&mut self, span: Range<usize>, message: String, label: impl Into<String>, help: Option<String>) {
        let mistake = self.mistake(span, message, label.into(), help);
        if !self.syntax_lines.contains(&mistake.line) {
            self.mistakes.push(mistake);
        }
    }

    /// Notes a mistake in another file, whose lines are secret and not shown.
    pub(super) fn add_elsewhere(&mut self, file: &Path, line: usize, column: usize, message: String, label: String) {
        let file = file.to_owned();
        self.mistakes.push(Mistake { file, line, column, message, label, help: None, excerpt: None });
    }

    /// True as long as there is nothing to report.
    pub(super) fn is_empty(&self) -> bool {
        self.mistakes.is_empty()
    }

    pub(super) fn into_report(mut self) -> Report {
        let main = self.file.clone();
        self.mistakes.sort_by_key(|mistake| (mistake.file != main, mistake.line, mistake.column));
        Report { file: self.file, mistakes: self.mistakes }
    }

    fn mistake(&self, span: Range<usize>, message: String, label: String, help: Option<String>) -> Mistake {
        let start = floor(&self.masked, span.start);
        let before = &self.masked[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = &self.masked[line_start..];
        let text = rest.split('\n').next().unwrap_or(rest).trim_end_matches('\r');
        // A mark ends with its line, and always covers something or stands behind the last character.
        let from = floor(text, start - line_start);
        let to = floor(text, span.end.saturating_sub(line_start)).max(from);
        Mistake {
            file: self.file.clone(),
            line: before.matches('\n').count() + 1,
            column: text[..from].chars().count() + 1,
            message,
            label,
            help,
            excerpt: Some((text.to_owned(), from..to)),
        }
    }
}

/// The nearest character border at or below `at`.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

/// Overwrites what may be a password with asterisks, byte for byte. Works on text, not on TOML, because
/// it must also hold where the text is not TOML; it rather hides too much.
fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut until: Option<&str> = None;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end_matches(['\n', '\r']);
        let hidden = match until {
            Some(_) => 0..body.len(),
            None => secret_part(body).unwrap_or(0..0),
        };
        let secret = &body[hidden.clone()];
        masked.push_str(&body[..hidden.start]);
        masked.extend(secret.bytes().map(|_| '*'));
        masked.push_str(&line[hidden.end..]);
        // A text in triple quotes goes on until they come again.
        until = match until {
            Some(quotes) if secret.contains(quotes) => None,
            Some(quotes) => Some(quotes),
            None => ["\"\"\"", "'''"].into_iter().find(|quotes| secret.matches(quotes).count() == 1),
        };
    }
    masked
}

/// The bytes of a line behind `password =` (or a word like it), of a webhook, or of the login in a URL.
fn secret_part(line: &str) -> Option<Range<usize>> {
    for (at, _) in line.match_indices('=') {
        let key = line[..at].trim_end().trim_end_matches(['"', '\'']);
        let word = key.rsplit(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').next().unwrap_or(key);
        let value = line[at + 1..].trim_start();
        if resembles_password(word) && !value.starts_with('{') {
            return Some(line.len() - value.len()..line.len());
        }
    }
    // A webhook's address is all that it takes to send there.
    if let Some(at) = line.find("https://").or_else(|| line.find("http://")) {
        return Some(at..line.len());
    }
    let (url, host) = (line.find("://")?, line.rfind('@')?);
    (url < host).then_some(url + 3..host)
}

fn resembles_password(word: &str) -> bool {
    let word = word.to_lowercase();
    ["pass", "secret", "pwd", "webhook"].iter().any(|part| word.contains(part))
        || strsim::normalized_damerau_levenshtein(&word, "password") >= 0.6
}
