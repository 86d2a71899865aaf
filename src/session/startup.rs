//! What a StartupMessage asks for, and what a client is told when it is welcome.

use super::settings::{NAMES, Settings};
use super::spelling;
use crate::fault::{Blame, Fault, SqlState};
use crate::wire::startup::Startup;
use std::borrow::Cow;
use std::sync::Arc;

/// A StartupMessage understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientStartup {
    /// The role the client names.
    pub user: String,
    /// The database; the user's name when none was given, as in PostgreSQL.
    pub database: String,
    /// Index into [`NAMES`] and the value the client wants.
    pub settings: Vec<(usize, Box<[u8]>)>,
}

/// Name and value, bytes as PostgreSQL sent them.
pub type Parameter = (Box<[u8]>, Box<[u8]>);

/// What the first server of a (database, user) reported when it logged in. Later clients are told the same without
/// a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Every ParameterStatus in the order it came.
    pub parameters: Vec<Parameter>,
    /// The kept settings among them.
    pub settings: Arc<Settings>,
}

impl Welcome {
    /// Collects what a server reported at login.
    pub fn new(parameters: Vec<Parameter>) -> Self {
        let mut settings = Settings::default();
        for (name, value) in &parameters {
            if let Some(index) = Settings::index(name) {
                settings.set(index, value);
            }
        }
        Self { parameters, settings: Arc::new(settings) }
    }

    /// The settings of a client that asked for `wanted`: its own, as PostgreSQL spells them, and the server's for the
    /// rest.
    pub fn settings_for(&self, wanted: &[(usize, Box<[u8]>)]) -> Arc<Settings> {
        let mut settings = Settings::clone(&self.settings);
        for (index, value) in wanted {
            settings.set(*index, &self.spelled(*index, value));
        }
        // One value for equal settings, so that comparing them later is comparing two pointers.
        if settings == *self.settings { self.settings.clone() } else { Arc::new(settings) }
    }

    fn spelled<'a>(&self, index: usize, value: &'a [u8]) -> Cow<'a, [u8]> {
        let spelled = match NAMES.get(index) {
            Some(&"application_name") => Some(spelling::application_name(value, self.major())),
            Some(&"client_encoding") => spelling::encoding(value).map(|name| name.as_bytes().to_vec()),
            Some(&"DateStyle") => spelling::date_style(value, self.settings.get(index)),
            _ => None,
        };
        spelled.map_or(Cow::Borrowed(value), Cow::Owned)
    }

    /// The server's major version; 0 when it did not say.
    fn major(&self) -> u32 {
        let version = self.parameters.iter().find(|(name, _)| &**name == b"server_version");
        let digits = version.map_or(&b""[..], |(_, value)| value).split(|byte| !byte.is_ascii_digit()).next();
        digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).unwrap_or_default()
    }
}

/// Understands a StartupMessage.
///
/// # Errors
/// FATAL 28000 without a user, 0A000 for a replication connection or a setting that cannot be kept yet.
pub fn read(startup: &Startup) -> Result<ClientStartup, Fault> {
    let (user, database) = names(startup)?;
    let mut settings = Vec::new();
    for (name, value) in &startup.parameters {
        match name.as_slice() {
            b"user" | b"database" => (),
            b"options" => options(value, &mut settings)?,
            b"replication" => replication(value)?,
            other => setting(other, value, &mut settings)?,
        }
    }
    Ok(ClientStartup { user, database, settings })
}

/// User and database alone, whatever else is asked for.
///
/// # Errors
/// FATAL 28000 without a user.
pub fn names(startup: &Startup) -> Result<(String, String), Fault> {
    let mut user = None;
    let mut database = None;
    for (name, value) in &startup.parameters {
        match name.as_slice() {
            b"user" => user = Some(text(value)?),
            b"database" => database = Some(text(value)?),
            _ => (),
        }
    }
    let user = user.filter(|user| !user.is_empty()).ok_or_else(|| {
        Fault::fatal(
            Blame::Client,
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            "no PostgreSQL user name specified in startup packet",
        )
    })?;
    let database = database.filter(|database| !database.is_empty()).unwrap_or_else(|| user.clone());
    Ok((user, database))
}

fn text(value: &[u8]) -> Result<String, Fault> {
    String::from_utf8(value.to_vec()).map_err(|_| {
        Fault::fatal(
            Blame::Client,
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            "user and database names must be valid UTF-8",
        )
    })
}

fn setting(name: &[u8], value: &[u8], settings: &mut Vec<(usize, Box<[u8]>)>) -> Result<(), Fault> {
    match Settings::index(name) {
        Some(index) => {
            settings.retain(|(known, _)| *known != index);
            settings.push((index, value.into()));
            Ok(())
        }
        None => Err(unsupported(&format!("startup parameter \"{}\"", String::from_utf8_lossy(name)))),
    }
}

/// `options` holds command-line switches of the backend: `-c name=value`, `-cname=value` or `--name=value`,
/// a backslash escapes the next character. Source: PostgreSQL `pg_split_opts`.
fn options(value: &[u8], settings: &mut Vec<(usize, Box<[u8]>)>) -> Result<(), Fault> {
    let words = split_options(value);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let assignment = match (word.as_slice(), word.strip_prefix(b"-c"), word.strip_prefix(b"--")) {
            (b"-c", ..) => words.next().map(Vec::as_slice),
            (_, Some(rest), _) | (_, None, Some(rest)) => Some(rest),
            _ => None,
        };
        let equals = assignment.and_then(|text| text.iter().position(|&b| b == b'='));
        let (Some(text), Some(equals)) = (assignment, equals) else {
            return Err(unsupported("options startup parameter: only '-c name=value' and '--name=value'"));
        };
        let (name, value) = text.split_at(equals);
        let name: Vec<u8> = name.iter().map(|&b| if b == b'-' { b'_' } else { b }).collect();
        setting(&name, &value[1..], settings)?;
    }
    Ok(())
}

fn split_options(value: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = value.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => words.extend(word.take()),
            b'\\' => word.get_or_insert_default().extend(bytes.next()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// PostgreSQL reads `replication` as a boolean or the word `database`.
fn replication(value: &[u8]) -> Result<(), Fault> {
    let off = [&b"off"[..], b"false", b"no", b"0", b"f", b"n"];
    if off.iter().any(|word| value.eq_ignore_ascii_case(word)) {
        return Ok(());
    }
    Err(Fault::fatal(Blame::Client, SqlState::FEATURE_NOT_SUPPORTED, "replication connections are not supported")
        .with_hint("Connect to the server directly for replication."))
}

fn unsupported(what: &str) -> Fault {
    Fault::fatal(Blame::Client, SqlState::FEATURE_NOT_SUPPORTED, format!("unsupported {what}"))
        .with_detail(format!("Settings kept for a client at login are {}.", NAMES.join(", ")))
        .with_hint("Set it inside the transaction that needs it, or for the role with ALTER ROLE … SET.")
}
