//! `pgotter explain SQL`: where a text may run, which word of it decides, and what it names. Without `--database` relations are taken for plain tables, and
//! functions and operators that are not built in are nobody's, and so the primary's.

mod database;
mod named;
mod ruled;

use super::MISTAKE;
use super::init::Stop;
use crate::cluster::{Volatility, read_catalog, read_volatility};
use crate::router::{Ask, Block, ClusterView, Fence, Freshness, Plan, Reason, Role, To, Wish, decide};
use crate::sql::{
    self, Facts, Fingerprint, Functions, Hint, Malformed, Names, Normalizer, Plain, Reader, Reading, Scanner, Token,
    Verdict,
};
use database::Said;
use named::{Known, Named, quoted};
use ruled::{Ruled, Rules};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// In a text of more tokens than this nothing is pointed at.
const TOKENS_MAX: usize = 4096;

/// `pgotter explain`
#[derive(clap::Args)]
pub struct Args {
    /// The text, of one statement or several
    #[arg(value_name = "SQL", required_unless_present = "file", conflicts_with = "file")]
    sql: Option<String>,
    /// Read the text from a file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Ask this database what its functions, operators and views may do: one of the configuration's, by its name, or
    /// postgresql://user:password@host[:port]/database. Without a password in it, PGPASSWORD is taken
    #[arg(long, value_name = "NAME|URL")]
    database: Option<String>,
    /// As which user a client sends it, for the rules of the configuration
    #[arg(long, value_name = "NAME", requires = "database")]
    user: Option<String>,
    /// And with which application_name
    #[arg(long, value_name = "NAME", requires = "database")]
    application_name: Option<String>,
    /// As one line of JSON: verdict ("replica" or "primary"), reason, at (in bytes, or null), fingerprint (or null), statements, hint (or
    /// null; "malformed"), granted, rule (number, rule; or null), rules_for_some (the same, of those that want to know more of the client), rules_to_databases (of those that say where tables are),
    /// functions (name, volatility or null), tables (schema or null, name, written), all_tables
    #[arg(long)]
    json: bool,
}

/// Runs it. `config` is the file that was named on the command line. 0: said; 1: the database cannot be asked; 2: a file cannot be read,
/// or the URL, or there is no such database.
pub fn run(args: Args, config: Option<&Path>) -> ExitCode {
    let asked = match args.database.map(|database| ask(database, config)).transpose() {
        Ok(asked) => asked.unwrap_or_default(),
        Err(Stop { code, message }) => {
            eprintln!("pgotter explain: {message}");
            return ExitCode::from(code);
        }
    };
    let (names, volatility, mut rules) = asked;
    (rules.user, rules.application_name) = (args.user, args.application_name);
    let functions: &dyn Functions = names.as_ref().map_or(&Plain, |names| names);
    let known = Known { functions, volatility: &volatility };
    let text = match (args.sql, args.file) {
        (Some(sql), _) => sql.into_bytes(),
        (None, Some(file)) => match std::fs::read(&file) {
            Ok(text) => text,
            Err(error) => {
                eprintln!("pgotter explain: {}: {error}", file.display());
                return ExitCode::from(MISTAKE);
            }
        },
        (None, None) => Vec::new(),
    };
    let explained = Explained::of(&text, &known, &rules);
    if args.json {
        println!("{}", explained.json());
    } else {
        print!("{}", explained.plain(&text));
    }
    ExitCode::SUCCESS
}

/// What a database knows; without one nothing.
type Asked = (Option<Names>, BTreeMap<Box<[u8]>, Volatility>, Rules);

fn ask(database: String, config: Option<&Path>) -> Result<Asked, Stop> {
    let failure = |message: String| Stop { code: 1, message };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failure(format!("could not start the runtime: {error}")))?;
    runtime.block_on(async {
        let (mut server, Said { claims, rules }) = database::connect(database, config).await?;
        let unread = || failure("the catalog could not be read".to_owned());
        let names = read_catalog(&mut server, &claims).await.ok_or_else(unread)?;
        let volatility = read_volatility(&mut server).await.ok_or_else(unread)?;
        Ok((Some(names), volatility, rules))
    })
}

/// What is said of a text.
struct Explained {
    facts: Facts,
    verdict: Verdict,
    hint: Result<Option<Box<str>>, Malformed>,
    ruled: Ruled,
    // With a replica that has everything.
    plan: Plan,
    granted: bool,
    at: Option<usize>,
    fingerprint: Option<Fingerprint>,
    named: Named,
}

impl Explained {
    fn of(text: &[u8], known: &Known<'_>, rules: &Rules) -> Self {
        let functions = known.functions;
        let facts = sql::read(text, Reading::default(), functions);
        let verdict = facts.confirmed(text, Reading::default(), functions);
        let at = decides(text, facts.verdict(), functions);
        let named = Named::of(text, &facts, at, known);
        let mut normalizer = Normalizer::new();
        let mut scanner = Scanner::new(Reading::default());
        scanner.feed(text, &mut |token: Token<'_>| normalizer.token(token));
        let sure = scanner.finish(&mut |token: Token<'_>| normalizer.token(token)).is_ok();
        let fingerprint = normalizer.finish().filter(|_| sure).map(Fingerprint::of);
        let hint = sql::hint(text, Reading::default());
        let ruled = Ruled::of(rules, &facts, fingerprint);
        let (plan, granted) = decided(verdict, hint.ok().flatten(), ruled.wish());
        let hint = hint.map(|hint| hint.map(|hint| hint.to_string().into()));
        Self { facts, verdict, hint, ruled, plan, granted, at, fingerprint, named }
    }

    fn server(&self) -> &'static str {
        if self.plan.to == To::Primary { "primary" } else { "replica" }
    }

    fn json(&self) -> String {
        let at = self.at.map_or("null".to_owned(), |at| at.to_string());
        let fingerprint = self.fingerprint.map_or("null".to_owned(), |fingerprint| format!("\"{fingerprint}\""));
        let hint = match &self.hint {
            Ok(None) => "null".to_owned(),
            Ok(Some(hint)) => quoted(hint),
            Err(_) => quoted("malformed"),
        };
        format!(
            "{{\"verdict\":\"{}\",\"reason\":\"{}\",\"at\":{at},\"fingerprint\":{fingerprint},\"statements\":{},\"hint\":{hint},\"granted\":{}{}{}}}",
            self.server(),
            self.plan.reason,
            self.facts.statements.len(),
            self.granted,
            self.ruled.json(),
            self.named.json(),
        )
    }

    fn plain(&self, text: &[u8]) -> String {
        let mut out = String::new();
        if let Some(at) = self.at {
            out.push_str(&pointed_at(text, at));
        }
        let verdict = self.verdict;
        let why = match self.plan.reason {
            Reason::Hint => "a hint asks for it",
            Reason::Rule => "a rule asks for it",
            _ => because(verdict),
        };
        let _ = writeln!(out, "{} ({}): {why}", self.server(), self.plan.reason);
        if let Some(unsure) = self.facts.unsure {
            let _ = writeln!(out, "it has {unsure}");
        } else if verdict == Verdict::Unparsed {
            out.push_str("two readers of SQL disagree on what it does\n");
        }
        match &self.hint {
            Ok(None) => (),
            Ok(Some(hint)) if self.granted => drop(writeln!(out, "hint {hint}")),
            Ok(Some(hint)) => drop(writeln!(out, "hint {hint} is not granted")),
            Err(malformed) => drop(writeln!(out, "it has {malformed}")),
        }
        out.push_str(&self.ruled.plain(match &self.hint {
            Ok(Some(_)) => " is not heeded: a hint goes before it",
            _ if self.granted => "",
            _ => " is not granted",
        }));
        out.push_str(&self.named.plain());
        if let Some(advice) = advice(verdict) {
            let _ = writeln!(out, "{advice}");
        }
        if let Some(fingerprint) = self.fingerprint {
            let _ = writeln!(out, "fingerprint {fingerprint}");
        }
        out
    }
}

/// Where a text goes, if there is a replica that has everything, and it is the host that a hint or a rule names; and whether that is what is
/// asked.
fn decided(verdict: Verdict, hint: Option<Hint<'_>>, rule: Option<Wish>) -> (Plan, bool) {
    let mut view = ClusterView::fixed([(Role::Primary, 1), (Role::Standby, 1)]);
    view.hosts.iter_mut().for_each(|host| host.eligible = host.role == Role::Standby);
    let freshness = Freshness::new(2);
    freshness.cover(1, freshness.ask());
    let wish = hint.map(|hint| match hint {
        Hint::Primary => Wish::Primary,
        Hint::Replica { stale } => Wish::Replica { stale },
        Hint::Host(_) => Wish::Host(1),
    });
    let fence = Fence::default();
    let asked = wish.map(|wish| (wish, Reason::Hint)).or(rule.map(|wish| (wish, Reason::Rule)));
    let ask = Ask {
        verdict,
        block: Block::None,
        serializable: false,
        fence: &fence,
        height: 0,
        after: 0,
        wish: asked,
        draw: 0,
    };
    let plan = decide(&view, &freshness, &ask, |_| 0);
    let replica = if let To::Replica(replica) = plan.to { Some(replica.host()) } else { None };
    (plan, asked.is_none_or(|(wish, _)| wish.is_granted(&view, replica)))
}

/// Where the token begins from which on the text was what it is.
fn decides(text: &[u8], verdict: Verdict, functions: &dyn Functions) -> Option<usize> {
    if verdict == Verdict::Read {
        return None;
    }
    let begun = Cell::new(0);
    let mut begins = Vec::new();
    let mut scanner = Scanner::new(Reading::default());
    let mut note = |_: Token<'_>| begins.push(begun.get());
    scanner.feed_telling(text, &begun, &mut note);
    let _ = scanner.finish(&mut note);
    begins.dedup();
    if begins.len() > TOKENS_MAX {
        return None;
    }
    let ends = begins.iter().copied().skip(1).chain([text.len()]);
    let (mut reader, mut fed, mut since) = (Reader::new(Reading::default()), 0, None);
    let mut before = 0;
    for (&begin, end) in begins.iter().zip(ends) {
        reader.feed(&text[fed..end], functions);
        fed = end;
        let is_it = reader.clone().finish(functions).verdict() == verdict;
        // A bracket tells that the name in front of it is called.
        let here = if text[begin] == b'(' { before } else { begin };
        since = since.or(Some(here)).filter(|_| is_it);
        before = begin;
    }
    since
}

/// The line of the text in which that place is, and a caret below it.
fn pointed_at(text: &[u8], at: usize) -> String {
    let begin = text[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let end = text[at..].iter().position(|&byte| byte == b'\n').map_or(text.len(), |to| at + to);
    let line = String::from_utf8_lossy(&text[begin..end]).replace(char::is_control, " ");
    let before = String::from_utf8_lossy(&text[begin..at]).chars().count();
    format!("{line}\n{}^\n", " ".repeat(before))
}

fn because(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Read => "it only reads",
        Verdict::Catalog => "it asks the catalog, which may be behind on a replica",
        Verdict::Node => "it asks for the state of one server",
        Verdict::Session => "it depends on its session, or on what only one server has",
        Verdict::Function => "it calls what may write, or what is not known",
        Verdict::Utility => "it is no statement that is known to read",
        Verdict::Ddl => "it defines something",
        Verdict::Lock => "it locks",
        Verdict::Write => "it writes",
        Verdict::Unparsed => "it cannot be told with certainty what it says",
    }
}

/// What would change the answer.
fn advice(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Function => Some("a function that is known to be STABLE or IMMUTABLE could run on a replica"),
        Verdict::Unparsed => Some("a shorter or plainer text could be told"),
        _ => None,
    }
}
