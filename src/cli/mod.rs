//! The command line: one file per subcommand, and what several of them share.

pub mod demo;
mod explain;
mod init;
pub mod local_postgres;
mod logging;
pub mod pooler_process;
pub mod ports;
mod report;
mod top;

use crate::app::{self, Stopped};
use crate::config;
use crate::net::Tls;
use clap::{CommandFactory, Parser, Subcommand};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Wrong configuration or command line, as with other tools of this kind.
const MISTAKE: u8 = 2;

/// A PostgreSQL connection pooler, query router and query observer.
#[derive(Parser)]
#[command(name = "pgotter", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// Configuration file. Default: ./pooler.toml, ./pool.toml, /etc/pgotter/pooler.toml
    #[arg(short = 'c', long = "config", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the pooler (the default)
    Run,
    /// Read the configuration, report every mistake, print what the limits add up to
    Check,
    /// Test the login to a database and write a configuration for it
    Init(init::Args),
    /// Say where a text may run, a replica or only the primary, and why
    Explain(explain::Args),
    /// Ask a running PgOtter what replicas take, or would take, and what keeps the rest on the primary
    Report(report::Args),
    /// Show which queries a running PgOtter is busy with, and for whom, on a screen
    Top(top::Args),
    /// Start PostgreSQL with two replicas, PgOtter in front of them and a mixed load, to look at
    Demo(demo::Args),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Run) {
        Command::Run => run(cli.config.as_deref()),
        Command::Check => check(cli.config.as_deref()),
        Command::Init(args) => init::run(args),
        Command::Explain(args) => explain::run(args, cli.config.as_deref()),
        Command::Report(args) => report::run(args),
        Command::Top(args) => top::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "pgotter", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
        Command::Man => match clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
    }
}

fn run(file: Option<&Path>) -> ExitCode {
    let config = match load(file) {
        Ok(config) => config,
        Err(code) => return code,
    };
    logging::start(config.pooler.log_format);
    match app::run(config) {
        Ok(Stopped::InOrder | Stopped::AtOnce) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pgotter: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check(file: Option<&Path>) -> ExitCode {
    match load(file) {
        Ok(config) => {
            print!("{}", app::describe_limits(&config));
            config::oddities(&config).iter().for_each(|oddity| println!("warning: {oddity}"));
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

/// The configuration, and the proof that the files of its TLS settings are good.
fn load(file: Option<&Path>) -> Result<config::Config, ExitCode> {
    let found = config::find(file, Path::new(".")).map_err(|error| {
        eprintln!("pgotter: {error}");
        ExitCode::from(MISTAKE)
    })?;
    let config = config::load(&found).and_then(|config| Tls::load(&config).map(|_| config));
    config.map_err(|report| {
        eprintln!("{}", report.render(std::io::stderr().is_terminal()));
        ExitCode::from(MISTAKE)
    })
}
