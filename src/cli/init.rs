//! `pgotter init URL`: logs in to one's own database as PgOtter will, says what it found, and writes a configuration
//! that works: pooler.toml, userlist.txt and, where PostgreSQL asks for one, the password's file.
//!
//! Prints neither the password nor any text it could be a piece of.

mod facts;
mod files;
mod render;
mod url;

use super::MISTAKE;
use crate::config;
use crate::secret::Secret;
use crate::server::Server;
use facts::{Facts, Failure};
use files::Draft;
use render::{CONFIG, PASSWORD, Sizes, USERLIST};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use url::Target;

pub(super) use facts::{Failure as NoLogin, connect as log_in};
pub(super) use url::{Missing, Target as Place, parse_with};

/// `pgotter init`
#[derive(clap::Args)]
pub struct Args {
    /// postgresql://user:password@host[:port][,host[:port]…]/database, or …/database?host=/folder/of/the/socket.
    /// Without a password in it, PGPASSWORD is taken
    // Several are taken so that the complaint is ours: clap's would repeat what may be a piece of the password.
    #[arg(value_name = "URL", required = true)]
    url: Vec<String>,
    /// Folder to write to, made if need be. Default: this one
    #[arg(long, value_name = "DIR", default_value = ".", hide_default_value = true)]
    dir: PathBuf,
    /// Replace files that exist
    #[arg(long)]
    force: bool,
}

/// Runs it. 0: written; 1: a login or the disk failed, with advice; 2: the URL or the folder is wrong.
pub fn run(args: Args) -> ExitCode {
    match init(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop { code, message }) => {
            eprintln!("pgotter init: {message}");
            ExitCode::from(code)
        }
    }
}

/// Why nothing was done.
pub(super) struct Stop {
    /// Of the process.
    pub code: u8,
    /// What it says.
    pub message: String,
}

fn mistake(message: impl Into<String>) -> Stop {
    Stop { code: MISTAKE, message: message.into() }
}

fn failure(message: impl Into<String>) -> Stop {
    Stop { code: 1, message: message.into() }
}

fn init(args: Args) -> Result<(), Stop> {
    let target = target(&args.url)?;
    look_before(&args.dir, args.force)?;
    let facts = gather(&target)?;
    check_roles(&target, &facts)?;
    let paths = Paths::write(&args, &target, &facts)?;
    report(&args.dir, &target, &facts, &paths);
    Ok(())
}

/// Logs in to the first host of a URL that can be logged in to.
pub(super) async fn connect(urls: &[String]) -> Result<Box<Server>, Stop> {
    let target = target(urls)?;
    let mut failures = Vec::new();
    for (host, port) in &target.hosts {
        match facts::connect(&target, host, *port).await {
            Ok((server, _)) => return Ok(server),
            Err(why) => failures.push(explain(&target, host, *port, &why)),
        }
    }
    Err(failure(failures.join("\n")))
}

fn target(urls: &[String]) -> Result<Target, Stop> {
    let [url] = urls else {
        return Err(mistake(
            "one URL is expected, not several; put it in quotes if it holds spaces or characters of the shell",
        ));
    };
    let mut target = url::parse(url).map_err(|error| {
        let form = "expected postgresql://user:password@host[:port][,host[:port]…]/database";
        mistake(format!("the URL cannot be read: {error}\n  {form}"))
    })?;
    if target.password.is_none() {
        let password = std::env::var("PGPASSWORD").ok().filter(|password| !password.is_empty());
        target.password = password.map(Secret::new);
    }
    if target.password.as_ref().is_some_and(|password| password.expose().ends_with('\r')) {
        return Err(mistake("a password that ends in a carriage return cannot be kept in a file"));
    }
    Ok(target)
}

/// Before anybody waits for a login.
fn look_before(dir: &Path, force: bool) -> Result<(), Stop> {
    let there = |name: &str| dir.join(name).symlink_metadata().is_ok();
    if there("pool.toml") {
        let other = dir.join("pool.toml").display().to_string();
        return Err(mistake(format!(
            "{other} is there, and beside it `pgotter run` would not take a {CONFIG}; move it away"
        )));
    }
    let existing: Vec<_> = [CONFIG, USERLIST, PASSWORD].into_iter().filter(|name| !force && there(name)).collect();
    if existing.is_empty() {
        return Ok(());
    }
    let (files, dir) = (existing.join(" and "), dir.display());
    Err(mistake(format!("{files} in {dir} would be overwritten; use --force to replace, or --dir for another folder")))
}

/// Asks every host, and names all that fail.
fn gather(target: &Target) -> Result<Vec<Facts>, Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failure(format!("could not start the runtime: {error}")))?;
    let (mut facts, mut failures) = (Vec::new(), Vec::new());
    for (host, port) in &target.hosts {
        match runtime.block_on(facts::gather(target, host, *port)) {
            Ok(found) => facts.push(found),
            Err(why) => failures.push(explain(target, host, *port, &why)),
        }
    }
    if let [(host, _), ..] = &target.hosts[..]
        && host.starts_with('/')
        && failures.is_empty()
        && target.password.is_none()
    {
        failures.push(
            "PostgreSQL admits this user without a password, through a unix socket: perhaps because of who you are here.\n\
             \x20 PgOtter would admit everybody in this name. Choose a password that clients prove to PgOtter, and put it \
             into\n  the URL (…?host=…&user=…&password=…) or PGPASSWORD"
                .to_owned(),
        );
    }
    if failures.is_empty() { Ok(facts) } else { Err(failure(failures.join("\npgotter init: "))) }
}

fn explain(target: &Target, host: &str, port: u16, why: &Failure) -> String {
    let (place, user, database) = (render::place(host, port), &target.user, &target.database);
    let text = format!("{place}: user {user}, database {database}: {why}\n  {}", why.advice());
    // What a server says may hold anything; a terminal must not act on it.
    text.replace(|c: char| c.is_control() && c != '\n', "?")
}

fn check_roles(target: &Target, facts: &[Facts]) -> Result<(), Stop> {
    let primaries: Vec<_> = target
        .hosts
        .iter()
        .zip(facts)
        .filter(|(_, facts)| !facts.standby)
        .map(|((host, port), _)| render::place(host, *port))
        .collect();
    if primaries.len() > 1 {
        let list = primaries.join(" and ");
        return Err(failure(format!(
            "{list} are both primaries, so they do not belong together; give each a database of its own"
        )));
    }
    Ok(())
}

/// What was written.
struct Paths(Vec<PathBuf>);

impl Paths {
    fn write(args: &Args, target: &Target, facts: &[Facts]) -> Result<Self, Stop> {
        let dir = &args.dir;
        std::fs::create_dir_all(dir)
            .map_err(|error| failure(format!("could not create {}: {error}", dir.display())))?;
        let (config, userlist) = (render::config(target, facts), render::userlist(target));
        let needed = facts.iter().any(|facts| facts.asks_password);
        let password = target.password.as_ref().filter(|_| needed).map(render::password_file);
        check(&dir.join(CONFIG), &config, &userlist, password.as_ref())?;
        let draft = |name: &str, text, mode| Draft { path: dir.join(name), text, mode };
        let mut drafts = vec![draft(USERLIST, userlist.expose(), 0o600)];
        drafts.extend(password.as_ref().map(|password| draft(PASSWORD, password.expose(), 0o600)));
        // Last, so that it never names a file that is not there.
        drafts.push(draft(CONFIG, &config, 0o644));
        files::write(&drafts, args.force).map_err(|error| failure(error.to_string()))?;
        Ok(Self(drafts.into_iter().map(|draft| draft.path).rev().collect()))
    }
}

/// `pgotter run` must accept what is written here.
fn check(file: &Path, config: &str, userlist: &Secret<String>, password: Option<&Secret<String>>) -> Result<(), Stop> {
    let read = |path: &Path| match path.file_name().and_then(|name| name.to_str()) {
        Some(USERLIST) => Ok(userlist.expose().clone()),
        Some(PASSWORD) if password.is_some() => Ok(password.map(|text| text.expose().clone()).unwrap_or_default()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    config::parse(config, file, &read, &|_| None, 1)
        .map(drop)
        .map_err(|report| mistake(format!("PgOtter cannot serve this database:\n{}", report.render(false))))
}

fn report(dir: &Path, target: &Target, facts: &[Facts], paths: &Paths) {
    for ((host, port), facts) in target.hosts.iter().zip(facts) {
        println!("{}", render::summary(host, *port, facts));
        println!("  {}", login_words(target, facts));
        if facts.superuser {
            println!("  {} is a superuser: an application is better off with a role of its own", target.user);
        }
    }
    if facts.iter().all(|facts| facts.standby) {
        println!("no host is a primary: reads work, writes will fail");
    }
    let sizes = Sizes::of(facts);
    println!("pool: up to {} servers for each user, {} for {} altogether", sizes.pool, sizes.database, target.database);
    let written: Vec<_> = paths.0.iter().map(|path| path.display().to_string()).collect();
    println!("wrote {} ({CONFIG} refers to the others, which only you may read)", written.join(", "));
    let option = if dir == Path::new(".") { String::new() } else { format!(" -c {}", dir.join(CONFIG).display()) };
    println!("next:\n  pgotter run{option}");
    println!("  psql -h 127.0.0.1 -p 6432 -U {} {}", shell_word(&target.user), shell_word(&target.database));
}

fn login_words(target: &Target, facts: &Facts) -> String {
    let user = &target.user;
    match (facts.asks_password, &target.password) {
        (true, _) => format!("{user} logs in with its password"),
        (false, Some(_)) => {
            format!("{user} logs in without a password (trust or peer): the URL's is what clients prove to PgOtter")
        }
        (false, None) => {
            format!("{user} logs in without a password (trust), and so it does to PgOtter, from this machine")
        }
    }
}

/// Quoted where the shell would read something else.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
