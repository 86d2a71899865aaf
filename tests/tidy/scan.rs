//! Rust source as words with their lines: comments, strings and character literals are gone, `::` is one word.
//!
//! Just enough to find paths; knows no grammar.

/// A word, a `::`, or one character of punctuation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'a> {
    /// As written.
    pub text: &'a str,
    /// Counted from 1.
    pub line: usize,
}

/// The words of `source`, in order.
pub fn words(source: &str) -> Vec<Word<'_>> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let length = match skipped(rest) {
            Some(length) => length,
            None => {
                let length = word_length(rest, first);
                found.push(Word { text: &rest[..length], line });
                length
            }
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

fn word_length(rest: &str, first: char) -> usize {
    if first.is_alphanumeric() || first == '_' {
        return rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    }
    if rest.starts_with("::") { 2 } else { first.len_utf8() }
}

/// The length of the white space, comment or literal that `rest` begins with.
fn skipped(rest: &str) -> Option<usize> {
    if rest.starts_with(char::is_whitespace) {
        return Some(rest.len() - rest.trim_start().len());
    }
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    raw_string(rest).or_else(|| quoted(rest)).or_else(|| character(rest))
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    loop {
        let tail = &rest[at..];
        if tail.starts_with("/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if tail.starts_with("*/") {
            (at, depth) = (at + 2, depth - 1);
        } else {
            at += tail.chars().next().map_or(0, char::len_utf8);
        }
        if depth == 0 || at >= rest.len() {
            return at;
        }
    }
}

/// `r"…"`, `r#"…"#` and so on, with `b` or `c` in front.
fn raw_string(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix(['b', 'c']).unwrap_or(rest).strip_prefix('r')?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let content = body[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = content.find(&close).map_or(rest.len(), |end| rest.len() - content.len() + end + close.len());
    Some(end)
}

/// `"…"`, with `b` or `c` in front.
fn quoted(rest: &str) -> Option<usize> {
    let content = rest.strip_prefix(['b', 'c']).unwrap_or(rest).strip_prefix('"')?;
    let mut escaped = false;
    for (at, c) in content.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(rest.len() - content.len() + at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

/// `'x'` and `'\n'`; a lifetime is no literal, and its quote becomes a word of its own.
fn character(rest: &str) -> Option<usize> {
    let content = rest.strip_prefix('\'')?;
    let mut chars = content.char_indices();
    let (_, first) = chars.next()?;
    if first == '\\' {
        let (after, _) = content.char_indices().nth(2)?;
        return content[after..].find('\'').map(|end| 1 + after + end + 1);
    }
    let (at, next) = chars.next()?;
    (next == '\'').then_some(1 + at + 1)
}

#[test]
fn comments_and_literals_hold_no_words() {
    let source = "a /* crate::b /* c */ d */ \"crate::e \\\" f\" r#\"crate::\"g\"# 'h' '\\'' 'i i::j // k\nl";
    let texts: Vec<&str> = words(source).iter().map(|word| word.text).collect();
    assert_eq!(texts, ["a", "'", "i", "i", "::", "j", "l"]);
}

#[test]
fn a_word_knows_its_line_behind_comments_and_strings_of_several_lines() {
    let found = words("/* \n */ a \"\n\n\" b\n// c\nd");
    let lines: Vec<(&str, usize)> = found.iter().map(|word| (word.text, word.line)).collect();
    assert_eq!(lines, [("a", 2), ("b", 4), ("d", 6)]);
}
