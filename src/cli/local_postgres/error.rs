//! What can go wrong with a local PostgreSQL, in the words of whoever runs `pgotter demo` or a test.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why there is no cluster.
#[derive(Debug)]
pub enum Error {
    /// A program of PostgreSQL is nowhere on this machine.
    NotFound {
        /// Such as `initdb`.
        program: String,
        /// The folders that were tried.
        looked_in: Vec<PathBuf>,
    },
    /// PostgreSQL refuses to run as root, and this machine has no user `postgres`.
    NoPostgresUser,
    /// A file or a process.
    Io {
        /// Verb and object.
        doing: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A program ran and failed.
    Failed {
        /// The command line.
        command: String,
        /// What it printed; for a server that did not start, its log too.
        output: String,
    },
    /// A condition that stayed false for a minute.
    NeverCameTrue(String),
}

impl Error {
    /// For `map_err`: adds verb and object.
    pub(in crate::cli) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// Adds the end of the server's log.
    pub(super) fn with_log(self, log: &str) -> Self {
        match self {
            Self::Failed { command, output } => {
                let lines: Vec<&str> = log.lines().collect();
                let tail = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n");
                Self::Failed { command, output: format!("{output}\n{tail}") }
            }
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { program, looked_in } => {
                let folders: Vec<_> = looked_in.iter().map(|folder| folder.display().to_string()).collect();
                write!(f, "no {program} in {}; install PostgreSQL, or set PGBIN to its folder", folders.join(", "))
            }
            Self::NoPostgresUser => {
                write!(f, "PostgreSQL refuses to run as root, and there is no user \"postgres\" to run it as")
            }
            Self::Io { doing, source } => write!(f, "could not {doing}: {source}"),
            Self::Failed { command, output } => write!(f, "{command}: {}", output.trim_end()),
            Self::NeverCameTrue(what) => write!(f, "waited a minute for: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
