//! What is said to the console, understood. Pure: it knows the words, and nothing of what they do.
//!
//! Source of the grammar and of its errors: PgBouncer, `src/admin.c`. One command at a time: a word, at most one more (behind some SHOWs
//! of PgOtter's own a third), perhaps a semicolon; or SET.

use crate::config::read_duration;
use crate::fault::{Blame, Fault, SqlState};
use crate::metrics::Name;
use std::time::Duration;

/// The longest first word, and the longest one behind it, in bytes.
const WORDS_MAX: [usize; 2] = [15, 63];

/// Windows that SHOW QUERIES can look back over. Source: `metrics/windows.rs`.
const WINDOWS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));

/// How much of what was not understood is said back.
const QUOTED_MAX: usize = 500;

/// Settings that drivers look at or set without being asked, and what they are told. They cannot be changed here.
const PARAMETERS: [(&str, &str); 7] = [
    ("client_encoding", "UTF-8"),
    ("default_transaction_isolation", "read committed"),
    ("standard_conforming_strings", "on"),
    ("datestyle", "ISO"),
    ("timezone", "GMT"),
    ("extra_float_digits", "2"),
    ("application_name", ""),
];

/// Of PgBouncer's console, what is to come.
const LATER: [&str; 5] = ["disable", "enable", "kill", "suspend", "wait_close"];
const LATER_SHOWN: [&str; 8] =
    ["fds", "sockets", "active_sockets", "peers", "peer_pools", "mem", "dns_hosts", "dns_zones"];

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Nothing at all.
    Empty,
    /// SHOW, or SELECT.
    Show(Show),
    /// A setting that is not ours: SET is ignored.
    Set,
    /// SET of a setting of PgOtter.
    SetSetting,
    /// RELOAD.
    Reload,
    /// PAUSE, of one database or of all.
    Pause(Option<String>),
    /// RESUME.
    Resume(Option<String>),
    /// RECONNECT.
    Reconnect(Option<String>),
    /// SHUTDOWN.
    Shutdown(Ending),
    /// KILL_CLIENT, by its number.
    KillClient(u64),
    /// CANCEL, of what a client runs, by the client's number.
    Cancel(u64),
    /// One that PgBouncer has and PgOtter has not yet.
    Later(String),
}

/// What can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are PgBouncer's own, but for those of PgOtter that its documentation names")]
pub enum Show {
    Active,
    Alerts,
    Applications,
    /// Who asks for the statements of this name.
    Callers(Name),
    Clients,
    Config,
    Databases,
    Errors,
    Help,
    /// How long the statements of this name take.
    Histogram(Name),
    Hosts,
    IdleTransactions,
    Lists,
    Pins,
    Pools,
    /// Since the start, or of the last so long.
    Queries(Option<Duration>),
    /// Of transactions, or of the statements of this name.
    Routes(Option<Name>),
    Servers,
    SlowQueries,
    State,
    Stats,
    StatsAverages,
    StatsTotals,
    Totals,
    Users,
    Version,
    /// A setting that is not ours: its name and the value that everybody is told.
    Parameter(&'static str, &'static str),
}

pub(super) const SHOWN: [(&str, Show); 24] = [
    ("active", Show::Active),
    ("alerts", Show::Alerts),
    ("applications", Show::Applications),
    ("clients", Show::Clients),
    ("config", Show::Config),
    ("databases", Show::Databases),
    ("errors", Show::Errors),
    ("help", Show::Help),
    ("hosts", Show::Hosts),
    ("idle_transactions", Show::IdleTransactions),
    ("lists", Show::Lists),
    ("pins", Show::Pins),
    ("pools", Show::Pools),
    ("queries", Show::Queries(None)),
    ("routes", Show::Routes(None)),
    ("servers", Show::Servers),
    ("slow_queries", Show::SlowQueries),
    ("state", Show::State),
    ("stats", Show::Stats),
    ("stats_averages", Show::StatsAverages),
    ("stats_totals", Show::StatsTotals),
    ("totals", Show::Totals),
    ("users", Show::Users),
    ("version", Show::Version),
];

/// Shows that can be asked for more closely, and by what.
pub(super) const SHOWN_OF: [(&str, &str); 4] =
    [("callers", "fingerprint"), ("histogram", "fingerprint"), ("queries", "window"), ("routes", "fingerprint")];

/// How the process is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// SHUTDOWN: at once.
    Now,
    /// SHUTDOWN WAIT_FOR_SERVERS: transactions may end.
    WhenTransactionsEnd,
    /// SHUTDOWN WAIT_FOR_CLIENTS: when the last one has left by itself.
    WhenClientsLeave,
}

/// A part of a command.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Text(String),
    Equals,
    Semicolon,
}

impl Command {
    /// Understands what a client has said.
    ///
    /// # Errors
    /// ERROR 42601 for what is no command, with PgBouncer's words; 0A000 for a parameter and for what is to come.
    pub fn read(said: &str) -> Result<Self, Fault> {
        let unknown = || invalid(said);
        let Some(mut tokens) = tokens(said) else { return Err(unknown()) };
        if tokens.last() == Some(&Token::Semicolon) {
            tokens.pop();
        }
        let mut words = tokens.into_iter();
        let (first, second, third, fourth) = (words.next(), words.next(), words.next(), words.next());
        let is_too_long = |words: [&str; 2]| words.iter().zip(WORDS_MAX).any(|(word, most)| word.len() > most);
        let too_long = || fault(SqlState::SYNTAX_ERROR, "bad arguments".to_owned());
        match (first, second, third, fourth, words.next()) {
            (None, ..) => Ok(Self::Empty),
            (
                Some(Token::Word(word) | Token::Quoted(word)),
                Some(Token::Word(what) | Token::Quoted(what)),
                Some(Token::Word(argument) | Token::Quoted(argument)),
                None,
                None,
            ) if is_show(&word) => match is_too_long(["", &argument]) {
                true => Err(too_long()),
                false => shown_of(&what, &argument)?.map(Self::Show).ok_or_else(unknown),
            },
            (Some(Token::Word(set)), Some(key), Some(to), Some(value), None)
                if set.eq_ignore_ascii_case("set") && is_assignment(&to) =>
            {
                assignment(key, value).ok_or_else(unknown)
            }
            (Some(Token::Word(word) | Token::Quoted(word)), argument, None, None, None) => {
                let argument = match argument {
                    None => String::new(),
                    Some(Token::Word(word) | Token::Quoted(word)) => word,
                    Some(_) => return Err(unknown()),
                };
                if is_too_long([&word, &argument]) {
                    return Err(too_long());
                }
                command(&word, argument)?.ok_or_else(unknown)
            }
            _ => Err(unknown()),
        }
    }
}

/// The command of one or two words; `None` if it is none.
fn command(word: &str, argument: String) -> Result<Option<Command>, Fault> {
    let word = word.to_ascii_lowercase();
    let database = || Some(argument.clone()).filter(|name| !name.is_empty());
    Ok(match word.as_str() {
        word if is_show(word) => shown(&argument)?.map(Command::Show),
        "pause" => Some(Command::Pause(database())),
        "resume" => Some(Command::Resume(database())),
        "reconnect" => Some(Command::Reconnect(database())),
        "reload" if argument.is_empty() => Some(Command::Reload),
        "shutdown" => ending(&argument).map(Command::Shutdown),
        "kill_client" => match argument.parse() {
            Ok(number) => Some(Command::KillClient(number)),
            Err(_) => {
                let message = "invalid client pointer supplied".to_owned();
                return Err(fault(SqlState::INVALID_PARAMETER_VALUE, message));
            }
        },
        "cancel" => match argument.parse() {
            Ok(number) => Some(Command::Cancel(number)),
            Err(_) => {
                let message = "CANCEL needs the id of a client, as SHOW CLIENTS shows it".to_owned();
                return Err(fault(SqlState::INVALID_PARAMETER_VALUE, message));
            }
        },
        later if LATER.contains(&later) => Some(Command::Later(later.to_ascii_uppercase())),
        _ => None,
    })
}

fn shown(what: &str) -> Result<Option<Show>, Fault> {
    let what = what.to_ascii_lowercase();
    if LATER_SHOWN.contains(&what.as_str()) {
        let message = format!("SHOW {} is not supported yet", what.to_ascii_uppercase());
        return Err(fault(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let parameter = PARAMETERS.iter().find(|(name, _)| *name == what).map(|(name, value)| Show::Parameter(name, value));
    let known = SHOWN.iter().find(|(name, _)| *name == what).map(|(_, show)| *show);
    match parameter.or(known) {
        None if SHOWN_OF.iter().any(|(name, _)| *name == what) => shown_of(&what, ""),
        found => Ok(found),
    }
}

/// The more closely asked for. `None`: there is nothing that can be asked for so.
///
/// # Errors
/// ERROR 22023.
pub(super) fn shown_of(what: &str, argument: &str) -> Result<Option<Show>, Fault> {
    let what = what.to_ascii_lowercase();
    let wrong = |message: String| fault(SqlState::INVALID_PARAMETER_VALUE, message);
    let name = || {
        argument.parse::<Name>().map_err(|_| {
            let show = what.to_ascii_uppercase();
            wrong(format!("SHOW {show} needs a fingerprint of 16 hexadecimal digits, not \"{}\"", cut(argument)))
                .with_hint("SHOW QUERIES has them.")
        })
    };
    Ok(Some(match what.as_str() {
        "callers" => Show::Callers(name()?),
        "histogram" => Show::Histogram(name()?),
        "routes" => Show::Routes(Some(name()?)),
        "queries" => {
            let window = read_duration(argument).filter(|window| (WINDOWS.0..=WINDOWS.1).contains(window));
            Show::Queries(Some(window.ok_or_else(|| {
                wrong(format!(
                    "SHOW QUERIES looks back over 1s to 24h, such as 30s, 5m or 1h, not \"{}\"",
                    cut(argument)
                ))
            })?))
        }
        _ => return Ok(None),
    }))
}

fn is_show(word: &str) -> bool {
    ["show", "select"].iter().any(|show| word.eq_ignore_ascii_case(show))
}

fn ending(how: &str) -> Option<Ending> {
    match how.to_ascii_lowercase().as_str() {
        "" => Some(Ending::Now),
        "wait_for_servers" => Some(Ending::WhenTransactionsEnd),
        "wait_for_clients" => Some(Ending::WhenClientsLeave),
        _ => None,
    }
}

fn is_assignment(token: &Token) -> bool {
    matches!(token, Token::Equals) || matches!(token, Token::Word(word) if word.eq_ignore_ascii_case("to"))
}

fn assignment(key: Token, value: Token) -> Option<Command> {
    let (Token::Word(key) | Token::Quoted(key)) = key else { return None };
    if !matches!(value, Token::Word(_) | Token::Quoted(_) | Token::Text(_)) {
        return None;
    }
    let known = PARAMETERS.iter().any(|(name, _)| name.eq_ignore_ascii_case(&key));
    Some(if known { Command::Set } else { Command::SetSetting })
}

/// The parts of a command; `None` if it has others.
fn tokens(said: &str) -> Option<Vec<Token>> {
    let mut rest = said.trim_start_matches(is_space);
    let mut found = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (token, behind) = match first {
            ';' => (Token::Semicolon, &rest[1..]),
            '=' => (Token::Equals, &rest[1..]),
            '"' => quoted(rest, '"').map(|(text, behind)| (Token::Quoted(text), behind))?,
            '\'' => quoted(rest, '\'').map(|(text, behind)| (Token::Text(text), behind))?,
            _ => {
                let end = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
                if end == 0 {
                    return None;
                }
                (Token::Word(rest[..end].to_owned()), &rest[end..])
            }
        };
        found.push(token);
        rest = behind.trim_start_matches(is_space);
    }
    Some(found)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// A minus too, for what PgBouncer takes only in quotes.
fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// A text that begins with a quote, up to the next one that is not doubled.
fn quoted(said: &str, quote: char) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut rest = said.strip_prefix(quote)?;
    loop {
        let (part, behind) = rest.split_once(quote)?;
        text.push_str(part);
        match behind.strip_prefix(quote) {
            Some(further) => {
                text.push(quote);
                rest = further;
            }
            None => return Some((text, behind)),
        }
    }
}

/// What is no command.
fn invalid(said: &str) -> Fault {
    if has_parameter(said) {
        return no_parameters();
    }
    fault(SqlState::SYNTAX_ERROR, format!("invalid command '{}', use SHOW HELP;", cut(said)))
}

/// As much as is said back.
fn cut(said: &str) -> String {
    let mut shown: String = said.chars().take(QUOTED_MAX).collect();
    if shown.len() < said.len() {
        shown.push('…');
    }
    shown
}

fn has_parameter(said: &str) -> bool {
    said.as_bytes().windows(2).any(|pair| pair[0] == b'$' && pair[1].is_ascii_digit())
}

/// ERROR 0A000.
pub fn no_parameters() -> Fault {
    fault(SqlState::FEATURE_NOT_SUPPORTED, "the console takes no parameters".to_owned())
}

/// An error of whoever is at the console.
pub fn fault(sqlstate: SqlState, message: String) -> Fault {
    Fault::error(Blame::Client, sqlstate, message)
}

#[cfg(test)]
mod tests;
