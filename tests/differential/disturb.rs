//! Clients that come between two requests of the one that is watched, so that it meets another server, or its own in
//! another client's hands.
//!
//! They hear what they would hear without a pooler, too.

use crate::support::raw::{Frame, Raw, bind, close, describe, execute, parse, print, query, sync};

/// How many kinds of disturbance there are.
pub const MANNERS: usize = 8;

/// Two of them: one that keeps a server in a transaction or lets it go, one that makes requests of its own.
pub struct Disturbers {
    holder: Raw,
    holds: bool,
    passer: Raw,
    /// What the passer must hear, for each of its ways.
    expected: Vec<String>,
}

impl Disturbers {
    /// Through the pooler at `port`; what they must hear is heard from PostgreSQL at `direct`.
    pub fn new(port: u16, direct: u16) -> Self {
        let mut reference = Raw::log_in(direct, &[("application_name", "passer")]);
        let expected = (0..PASSES).map(|way| hear(&mut reference, way).expect("an answer")).collect();
        let holder = Raw::log_in(port, &[("application_name", "holder")]);
        let passer = Raw::log_in(port, &[("application_name", "passer"), ("TimeZone", "Asia/Kolkata")]);
        Self { holder, holds: false, passer, expected }
    }

    /// With `boundary` the watched client has no server now. What is wrong, if anything is.
    pub fn disturb(&mut self, manner: usize, boundary: bool) -> Result<(), String> {
        if manner < MANNERS - PASSES {
            self.holds = !self.holds;
            let sql = if self.holds { "BEGIN; SELECT 'held'" } else { "COMMIT" };
            self.holder.send(&query(sql));
            let heard = until_ready(&mut self.holder).ok_or("the holder hears nothing\n")?;
            return if heard.contains("\nE ") { Err(format!("the holder hears {heard}")) } else { Ok(()) };
        }
        if self.holds && !boundary {
            return Ok(()); // no server is left
        }
        let way = manner + PASSES - MANNERS;
        let heard =
            hear(&mut self.passer, way).ok_or_else(|| format!("the passer hears nothing in its way {way}\n"))?;
        if heard == self.expected[way] {
            return Ok(());
        }
        Err(format!("another client hears in its way {way}\n{heard}and without a pooler\n{}", self.expected[way]))
    }

    /// Lets go what is held.
    pub fn let_go(&mut self) {
        if std::mem::take(&mut self.holds) {
            self.holder.ask("COMMIT");
        }
    }
}

const PASSES: usize = 4;

/// Each leaves the passer's session as it was.
fn hear(passer: &mut Raw, way: usize) -> Option<String> {
    let run = |name: &str| [bind("", name, &[]), describe(b'P', ""), execute("", 0), sync()].concat();
    let bytes = match way {
        0 => [close(b'S', "s1"), parse("s1", "SELECT 'theirs', 's1'"), run("s1")].concat(),
        1 => [parse("", "SELECT 'theirs, unnamed'"), run("")].concat(),
        2 => query("SELECT 1/0"),
        _ => query("BEGIN; SELECT 'theirs'; ROLLBACK"),
    };
    passer.send(&bytes);
    until_ready(passer)
}

/// None if it never comes.
fn until_ready(client: &mut Raw) -> Option<String> {
    let mut heard = Vec::new();
    while let Some(frame) = client.frame_or_silence().ok()? {
        heard.push(frame);
        if heard.last().is_some_and(|frame: &Frame| frame.kind == b'Z') {
            return Some(print(&heard));
        }
    }
    None
}
