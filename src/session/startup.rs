//! What a StartupMessage asks for.

use super::settings::{BYTES_MAX, NAMES_MAX, TooMuch};
use super::welcome::Parameter;
use crate::fault::{Blame, Fault, SqlState};
use crate::wire::startup::Startup;

/// A StartupMessage understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientStartup {
    /// The role the client names.
    pub user: String,
    /// The database; the user's name when none was given, as in PostgreSQL.
    pub database: String,
    /// The settings the client wants, each name once, in lower case.
    pub settings: Vec<Parameter>,
}

impl ClientStartup {
    /// It wants this setting, whatever it has said of it.
    pub fn come_with(&mut self, name: &[u8], value: &[u8]) {
        self.settings.retain(|(known, _)| **known != *name);
        self.settings.push((name.into(), value.into()));
    }
}

/// What the operator makes of startup parameters.
pub struct Intake<'a> {
    /// `ignore_startup_parameters`. `options` among them stands for every setting in `options` that is not tracked.
    pub ignored: &'a [String],
    /// `track_extra_parameters`.
    pub extra: &'a [String],
    /// What `application_name_add_host` adds, and `None` without it.
    pub host: Option<String>,
}

/// What PgBouncer tracks beside `track_extra_parameters`.
const TRACKED: [&str; 5] =
    ["application_name", "client_encoding", "datestyle", "timezone", "standard_conforming_strings"];

/// PostgreSQL takes them at login, and then the first transaction begins with its defaults all the same.
pub(super) const OF_A_TRANSACTION: [&[u8]; 3] =
    [b"transaction_isolation", b"transaction_read_only", b"transaction_deferrable"];

/// Understands a StartupMessage.
///
/// # Errors
/// FATAL 28000 without a user, 0A000 for a replication connection or a switch that is no setting, 42601 for one without
/// a value.
pub fn read(startup: &Startup, intake: &Intake<'_>) -> Result<ClientStartup, Fault> {
    let (user, database) = names(startup)?;
    let mut settings = Gathered { intake, settings: Vec::new() };
    // PostgreSQL applies `options` first, wherever they stand.
    for (_, value) in startup.parameters.iter().filter(|(name, _)| name == b"options") {
        settings.options(value)?;
    }
    for (name, value) in &startup.parameters {
        match name.as_slice() {
            b"user" | b"database" | b"options" => (),
            b"replication" => replication(value)?,
            other if settings.is_ignored(other, false) => (),
            other => settings.put(other, value),
        }
    }
    if let Some(host) = &intake.host {
        settings.add_host(host);
    }
    Ok(ClientStartup { user, database, settings: settings.settings })
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

struct Gathered<'a> {
    intake: &'a Intake<'a>,
    settings: Vec<Parameter>,
}

impl Gathered<'_> {
    /// The last word counts.
    fn put(&mut self, name: &[u8], value: &[u8]) {
        let name = name.to_ascii_lowercase();
        if OF_A_TRANSACTION.contains(&name.as_slice()) {
            return;
        }
        match self.settings.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, known)) => *known = value.into(),
            None => self.settings.push((name.into(), value.into())),
        }
    }

    /// `options` holds command-line switches of the backend: `-c name=value`, `-cname=value` or `--name=value`,
    /// a backslash escapes the next character. Source: PostgreSQL `pg_split_opts`, `process_postgres_switches`.
    fn options(&mut self, value: &[u8]) -> Result<(), Fault> {
        let ignores_unknown = is_among(self.intake.ignored, b"options");
        let words = split_options(value);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (switch, assignment) = match (word.as_slice(), word.strip_prefix(b"-c"), word.strip_prefix(b"--")) {
                (b"-c", ..) => ("-c ", words.next().map_or(&b""[..], Vec::as_slice)),
                (_, Some(rest), _) => ("-c ", rest),
                (_, None, Some(rest)) => ("--", rest),
                _ if ignores_unknown => continue,
                _ => return Err(unsupported(word)),
            };
            let equals = assignment.iter().position(|&byte| byte == b'=');
            let (name, value) = match equals {
                Some(at) => (&assignment[..at], &assignment[at + 1..]),
                None => return Err(without_value(switch, assignment)),
            };
            let name: Vec<u8> = name.iter().map(|&byte| if byte == b'-' { b'_' } else { byte }).collect();
            if !self.is_ignored(&name, ignores_unknown) {
                self.put(&name, value);
            }
        }
        Ok(())
    }

    /// As in PgBouncer, what is tracked never is.
    fn is_ignored(&self, name: &[u8], all: bool) -> bool {
        let extra = self.intake.extra.iter().map(String::as_str);
        let is_tracked = TRACKED.into_iter().chain(extra).any(|known| known.as_bytes().eq_ignore_ascii_case(name));
        (all || is_among(self.intake.ignored, name)) && !is_tracked
    }

    /// As PgBouncer writes it.
    fn add_host(&mut self, host: &str) {
        const NAME: &[u8] = b"application_name";
        let given = self.settings.iter().find(|(known, _)| **known == *NAME);
        let name = given.map_or(&b"app"[..], |(_, name)| name);
        let name = [name, b" - ", host.as_bytes()].concat();
        self.put(NAME, &name);
    }
}

fn is_among(names: &[String], name: &[u8]) -> bool {
    names.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
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

fn unsupported(word: &[u8]) -> Fault {
    let message = format!("unsupported switch in options startup parameter: {}", String::from_utf8_lossy(word));
    Fault::fatal(Blame::Client, SqlState::FEATURE_NOT_SUPPORTED, message)
        .with_hint("Settings are given as '-c name=value' or '--name=value'.")
}

/// PostgreSQL's words.
fn without_value(switch: &str, name: &[u8]) -> Fault {
    let message = format!("{switch}{} requires a value", String::from_utf8_lossy(name));
    Fault::fatal(Blame::Client, SqlState::SYNTAX_ERROR, message)
}

impl TooMuch {
    /// As the client hears it at login.
    pub fn fault(self) -> Fault {
        Fault::fatal(Blame::Limit, SqlState::PROGRAM_LIMIT_EXCEEDED, "too many settings in startup packet")
            .with_detail(format!("Settings of one client may take {BYTES_MAX} bytes and have {NAMES_MAX} names."))
    }
}
