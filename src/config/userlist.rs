//! PgBouncer's `auth_file`: lines `"user" "secret"`, quotes doubled inside. Knows nothing of what a secret
//! means (plain text or a SCRAM verifier): that is for `auth`.

use crate::secret::Secret;
use std::collections::BTreeMap;

/// Why a line does not do. Never quotes the line: it holds a secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    /// Counted from 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
    pub(super) reason: &'static str,
}

/// Reads a whole file; lines that are empty or begin with `;` or `#` say nothing.
pub(super) fn parse(text: &str) -> (BTreeMap<String, Secret<String>>, Vec<BadLine>) {
    let mut users = BTreeMap::new();
    let mut bad = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with([';', '#']) {
            continue;
        }
        let mut complain = |rest: &str, reason| {
            let column = line[..line.len() - rest.len()].chars().count() + 1;
            bad.push(BadLine { line: index + 1, column, reason });
        };
        match entry(line) {
            Ok((user, _)) if user.is_empty() => complain(line, "the user's name is empty"),
            Ok((user, _)) if users.contains_key(&user) => complain(line, "this user was listed before"),
            Ok((user, secret)) => {
                users.insert(user, secret);
            }
            Err((rest, reason)) => complain(rest, reason),
        }
    }
    (users, bad)
}

type Entry = (String, Secret<String>);

/// What follows the second text is ignored, as PgBouncer does. The error carries the rest of the line it is at.
fn entry(line: &str) -> Result<Entry, (&str, &'static str)> {
    let (user, rest) = quoted(line.trim_start())?;
    if !rest.starts_with([' ', '\t']) {
        return Err((rest, "a space and the secret in double quotes must follow the user"));
    }
    let (secret, rest) = quoted(rest.trim_start())?;
    let secret = Secret::new(secret);
    if user.contains('\0') || secret.expose().contains('\0') {
        return Err((rest, "a zero byte"));
    }
    Ok((user, secret))
}

/// A text in double quotes, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), (&str, &'static str)> {
    let Some(inside) = text.strip_prefix('"') else {
        return Err((text, "a text in double quotes must stand here"));
    };
    let mut content = String::new();
    let mut rest = inside;
    while let Some((part, behind)) = rest.split_once('"') {
        content.push_str(part);
        match behind.strip_prefix('"') {
            Some(next) => {
                content.push('"');
                rest = next;
            }
            None => return Ok((content, behind)),
        }
    }
    Err((text, "this text has no closing double quote"))
}
