//! TCP ports of this machine: a free one, and who holds one that is not.

use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::fs;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, TcpListener};

/// Below Linux's ephemeral ports (32768 …), so that no outgoing connection takes it while a server restarts.
const FREE_FROM: u16 = 20_000;
const FREE_TO: u16 = 32_000;

/// Whether one can listen on 127.0.0.1:`port` now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A random port that is free now, and that this process was not given before: who was may not listen there yet. Another
/// process may be quicker: callers try again.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let random = RandomState::new().hash_one(()) % u64::from(FREE_TO - FREE_FROM);
    let start = FREE_FROM + u16::try_from(random).unwrap_or_default();
    let mut given = GIVEN.lock();
    let all = || (start..FREE_TO).chain(FREE_FROM..start);
    let found = all().find(|port| given.insert(*port) && is_free(*port));
    found.unwrap_or_else(|| {
        // Each was given once: who was given one long ago listens by now, or never will.
        given.clear();
        all().find(|port| given.insert(*port) && is_free(*port)).unwrap_or(start)
    })
}

/// `wanted` if it is free, else the next one that is, with the process in the way.
pub fn free_from(wanted: u16) -> (u16, Option<Holder>) {
    if is_free(wanted) {
        return (wanted, None);
    }
    let next = (wanted.saturating_add(1)..=u16::MAX).find(|port| is_free(*port)).unwrap_or_else(free_port);
    (next, Some(holder(wanted)))
}

/// Who listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A process we may look at.
    Process {
        /// Its id.
        pid: u32,
        /// Its command name, at most 15 bytes.
        name: String,
    },
    /// Another user's process: the system does not tell us which.
    Hidden,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid, name } => write!(f, "{name} (process {pid})"),
            Self::Hidden => write!(f, "a process of another user"),
        }
    }
}

/// The process that listens on `port`, from /proc/net/tcp and the descriptors of every process.
pub fn holder(port: u16) -> Holder {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let socket = tables.iter().flat_map(|table| table.lines()).find_map(|line| listening_inode(line, port));
    let Some(socket) = socket else { return Holder::Hidden };
    let link = format!("socket:[{socket}]");
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let holds = |entry: &fs::DirEntry| {
        let descriptors = fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
        descriptors.into_iter().any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == &*link))
    };
    let named = processes.filter(holds).find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?.trim().to_owned();
        Some(Holder::Process { pid, name })
    });
    named.unwrap_or(Holder::Hidden)
}

/// The inode in a line of /proc/net/tcp, if it is about a socket that listens on `port`.
/// `0: 0100007F:1920 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 …` Source: proc(5).
fn listening_inode(line: &str, port: u16) -> Option<&str> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_whitespace();
    let (_, local_port) = fields.nth(1)?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    (u16::from_str_radix(local_port, 16) == Ok(port) && state == LISTEN).then_some(inode)
}

#[cfg(test)]
mod tests;
