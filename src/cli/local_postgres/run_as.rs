//! Who runs the servers: the caller, or for root the user `postgres`, because PostgreSQL refuses root.

use super::Error;
use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Decided once per process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunAs {
    /// As whoever started us.
    Caller,
    /// We are root; children drop to this user, and what they need belongs to it.
    User {
        /// User id, never 0.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}

impl RunAs {
    /// Looks at the process and, as root, into /etc/passwd.
    ///
    /// # Errors
    /// [`Error::NoPostgresUser`].
    pub fn detect() -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Caller);
        }
        let passwd = fs::read_to_string("/etc/passwd").map_err(Error::io("read /etc/passwd"))?;
        passwd.lines().find_map(postgres_entry).ok_or(Error::NoPostgresUser)
    }

    /// The user id of the children.
    pub fn uid(self) -> u32 {
        match self {
            Self::Caller => rustix::process::geteuid().as_raw(),
            Self::User { uid, .. } => uid,
        }
    }

    /// Makes `command` run as that user, in a process group of its own: a terminal's Ctrl-C reaches us alone, and we
    /// stop our children in order.
    pub fn apply(self, command: &mut Command) {
        command.process_group(0);
        if let Self::User { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
    }

    /// Gives a file that we made to that user.
    ///
    /// # Errors
    /// The system's.
    pub fn give(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Caller => Ok(()),
            Self::User { uid, gid } => chown(path, Some(uid), Some(gid)),
        }
    }
}

/// `postgres:x:101:104:…`
fn postgres_entry(line: &str) -> Option<RunAs> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    (name == "postgres" && uid != 0).then_some(RunAs::User { uid, gid })
}
