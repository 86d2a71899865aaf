//! `pgotter top`: which queries a running PgOtter is busy with, and for whom, on a screen or, with `--once`, as plain text. Speaks with
//! the console as any client would, so that it works from another machine too.
//!
//! `console` asks, `model` keeps what is shown and understands keys, `screen` draws, `plain` prints; `terminal` brings them together.
//! It and `password` are all that touches a terminal, and `signals` sees to it that it is given back.

mod console;
mod model;
mod password;
mod plain;
mod screen;
mod signals;
mod terminal;

use super::MISTAKE;
use super::init::{Missing, NoLogin, Place, Stop, parse_with};
use crate::config::read_duration;
use crate::server::LoginError;
use console::{Console, is_harmful};
use model::{Model, Sort, View};
use signals::Signals;
use std::io::{ErrorKind, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Of PgOtter.
const PORT: u16 = 6432;

/// `pgotter top`
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// The console of a running PgOtter: postgresql://user@host:port/pgotter. What it leaves out the options below say
    // Several are taken so that the complaint is ours: clap's would repeat what may be a piece of a password.
    #[arg(value_name = "URL")]
    url: Vec<String>,
    /// Host of PgOtter, or the folder of its unix socket
    #[arg(short = 'h', long, value_name = "HOST", default_value = "127.0.0.1")]
    host: String,
    /// Port of PgOtter
    #[arg(short = 'p', long, value_name = "PORT", default_value_t = PORT)]
    port: u16,
    /// One of admin_users or stats_users. Default: PGUSER, or who you are. The password is that of the URL, PGPASSWORD,
    /// ~/.pgpass (or PGPASSFILE), or is asked for
    #[arg(short = 'U', long = "username", value_name = "USER")]
    user: Option<String>,
    /// Print what there is and exit
    #[arg(long)]
    once: bool,
    /// Show clients that something is done for in place of queries
    #[arg(long)]
    live: bool,
    /// What stands first
    #[arg(long, value_enum, default_value_t = Sort::Time)]
    sort: Sort,
    /// Seconds between two looks, 0.1 to 3600
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = interval)]
    interval: Duration,
    /// What was counted in the last so long, 1s to 24h, in place of since the start: 30s, 5m, 1h
    #[arg(long, value_name = "WINDOW", value_parser = window)]
    window: Option<String>,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "expected a number of seconds from 0.1 to 3600".to_owned())
}

/// For the console, which reads it as well.
fn window(text: &str) -> Result<String, String> {
    let bounds = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let known = read_duration(text).filter(|window| is_plain && bounds.contains(window));
    known.map(|_| text.to_owned()).ok_or_else(|| "expected 1s to 24h in whole units, such as 30s, 5m or 1h".to_owned())
}

/// Runs it. 0: it was left, or has printed; 1: the terminal cannot be used; 2: the console cannot be reached or does not let us in, or
/// the command line is wrong.
pub fn run(args: Args) -> ExitCode {
    match top(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop { code, message }) => {
            // What a server says may hold anything; a terminal must not act on it.
            eprintln!("pgotter top: {}", message.replace(|c: char| is_harmful(c) && c != '\n', "?"));
            ExitCode::from(code)
        }
    }
}

fn top(args: Args) -> Result<(), Stop> {
    let mut place = place(&args)?;
    let at_a_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if !args.once && !at_a_terminal {
        return Err(refused("this is no terminal; --once prints what there is and exits"));
    }
    let signals = Signals::hear().map_err(|error| broken(format!("signals cannot be heard: {error}")))?;
    if at_a_terminal && !args.once {
        terminal::end_with_terminal().map_err(|error| broken(format!("could not start a thread: {error}")))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| broken(format!("could not start the runtime: {error}")))?;
    let console = connect(&runtime, &mut place, &signals)?;
    let view = if args.live { View::Live } else { View::Queries };
    let mut model = Model::new(console.place(), view, args.sort, args.interval);
    model.window = args.window;
    if !args.once {
        return terminal::show(runtime, console, place, model, &signals);
    }
    let mut console = console;
    let snapshot =
        runtime.block_on(console.look(model.window.as_deref(), None)).map_err(|lost| refused(lost.to_string()))?;
    model.take(snapshot);
    match plain::print(&model, std::io::stdout().lock()) {
        // Who reads has seen enough, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed.map_err(|error| broken(format!("could not print: {error}"))),
    }
}

fn refused(message: impl Into<String>) -> Stop {
    Stop { code: MISTAKE, message: message.into() }
}

fn broken(message: String) -> Stop {
    Stop { code: 1, message }
}

/// Where the console is, and who asks.
fn place(args: &Args) -> Result<Place, Stop> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = args.user.clone().or_else(|| ["PGUSER", "USER", "LOGNAME"].into_iter().find_map(set));
    let user = user.unwrap_or_default();
    let (host, port, database) = (args.host.clone(), args.port, "pgotter".to_owned());
    let url = match &args.url[..] {
        [] => "postgresql://",
        [url] => url,
        _ => return Err(refused("one URL is expected, not several; put it in quotes if it holds spaces")),
    };
    let missing = Missing { user, host, port, database };
    let mut place = parse_with(url, missing).map_err(|error| {
        refused(format!("cannot tell where to ask: {error}\n  -h, -p and -U name host, port and user"))
    })?;
    if place.password.is_none() {
        place.password = password::known(&place);
    }
    Ok(place)
}

/// Logs in, and asks for the password if there is none and one is needed.
fn connect(runtime: &Runtime, place: &mut Place, signals: &Signals) -> Result<Console, Stop> {
    let mut outcome = runtime.block_on(Console::open(place));
    if matches!(outcome, Err((_, NoLogin::NeedsPassword))) && std::io::stdin().is_terminal() {
        let asked = password::ask(&place.user, signals);
        place.password = asked.map_err(|error| broken(format!("no password: {error}")))?;
        outcome = runtime.block_on(Console::open(place));
    }
    outcome.map_err(|(at, why)| {
        let said = match &why {
            NoLogin::NeedsPassword => "it asks for a password, and there is none".to_owned(),
            why => why.to_string(),
        };
        refused(format!("{at}: user {}: {said}\n  {}", place.user, advice(&why)))
    })
}

fn advice(why: &NoLogin) -> &'static str {
    match why {
        NoLogin::NeedsPassword => "set PGPASSWORD, or put it into ~/.pgpass",
        NoLogin::LooksLikeVerifier(_) => "the password itself is needed, not what is kept of it",
        NoLogin::Question(_) => "is this PgOtter, and not PostgreSQL or another pooler?",
        NoLogin::Login(LoginError::Unreachable(_) | LoginError::TimedOut) => {
            "is PgOtter running, and does it listen there? -h and -p name another host and port"
        }
        NoLogin::Login(LoginError::Refused { sqlstate, .. }) => match sqlstate.as_str() {
            "28P01" | "28000" => "the password is wrong, or auth_file does not list the user; -U names another one",
            "42501" => "the user must be one of admin_users or stats_users",
            "3D000" => "is this PgOtter, and not PostgreSQL or another pooler?",
            _ => "that was its answer; its log may say more",
        },
        NoLogin::Login(_) => "is this PgOtter, and the one you mean?",
    }
}

#[cfg(test)]
mod tests {
    //! Where the console is looked for.

    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn found(line: &[&str]) -> (String, String, String, u16) {
        let args = Line::try_parse_from([&["top"], line].concat()).map_err(|error| error.to_string()).unwrap().args;
        let place = place(&args).map_err(|stop| stop.message).unwrap();
        let (host, port) = place.hosts[0].clone();
        (place.user, place.database, host, port)
    }

    fn expected(user: &str, database: &str, host: &str, port: u16) -> (String, String, String, u16) {
        (user.to_owned(), database.to_owned(), host.to_owned(), port)
    }

    #[test]
    fn a_url_goes_before_options_and_options_before_defaults() {
        assert_eq!(found(&["-U", "boss"]), expected("boss", "pgotter", "127.0.0.1", 6432));
        assert_eq!(found(&["-h", "db", "-p", "1", "-U", "boss"]), expected("boss", "pgotter", "db", 1));
        assert_eq!(found(&["postgresql://me@there"]), expected("me", "pgotter", "there", 6432));
        assert_eq!(found(&["postgresql://there:7/pgbouncer", "-U", "x"]), expected("x", "pgbouncer", "there", 7));
        assert_eq!(found(&["-h", "/run/pgotter", "-U", "x"]), expected("x", "pgotter", "/run/pgotter", 6432));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [&["--interval", "0"][..], &["--interval", "nan"], &["-p", "70000"], &["--sort", "colour"]] {
            assert!(Line::try_parse_from([&["top"], line].concat()).is_err(), "{line:?}");
        }
        let args = Line::try_parse_from(["top", "postgresql://a:s#cret@x:y"]).map_err(|_| ()).unwrap().args;
        let stop = place(&args).map(|_| ()).unwrap_err();
        assert!(stop.code == 2 && !stop.message.contains("cret"), "{}", stop.message);
    }
}
