//! A PostgreSQL of a hundred lines: answers frames as `PostgresMain` does. The first byte of a body says what happens.
//!
//! `!` fails · `r` rows · `b` BEGIN · `c` COMMIT · `i` COPY FROM STDIN · `j` two of them · `o` COPY TO · `s` suspended
//! · `e` empty · `?` fails at commit · `p` parameter and notice · `g` the guard · anything else succeeds.

use super::talk::{ERROR, FATAL, frame, said};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Copy {
    No,
    /// In a simple query, with that many COPYs behind this one.
    Simple(u8),
    Extended,
}

#[derive(Clone, Debug)]
pub struct TinyPostgres {
    status: u8,
    skipping: bool,
    copy: Copy,
    /// Extended messages since the last Sync or Query.
    open: bool,
    fails_at_commit: bool,
    guard: bool,
    /// Fails the next message as if a setting in front of it had failed.
    pub fail_next: bool,
    pub dead: bool,
    pub out: Vec<u8>,
}

impl Default for TinyPostgres {
    fn default() -> Self {
        Self {
            status: b'I',
            skipping: false,
            copy: Copy::No,
            open: false,
            fails_at_commit: false,
            guard: false,
            fail_next: false,
            dead: false,
            out: Vec::new(),
        }
    }
}

impl TinyPostgres {
    /// Idle, with nothing begun and nothing half done.
    pub fn at_boundary(&self) -> bool {
        self.status == b'I' && !self.skipping && self.copy == Copy::No && !self.open && !self.dead
    }

    pub fn read(&mut self, kind: u8, what: u8) {
        match (self.dead, self.copy) {
            (true, _) => (),
            (_, Copy::No) => self.command(kind, what),
            _ => self.copy_message(kind, what),
        }
    }

    fn say(&mut self, words: &str) {
        self.out.extend(said(words));
    }

    fn ready(&mut self) {
        self.open = false;
        self.fails_at_commit = false;
        let status = self.status;
        self.out.extend(frame(b'Z', &[status]));
    }

    fn error(&mut self, extended: bool) {
        self.out.extend(frame(b'E', ERROR));
        self.copy = Copy::No;
        if self.status == b'T' {
            self.status = b'E';
        }
        self.skipping = extended;
    }

    fn command(&mut self, kind: u8, what: u8) {
        if self.skipping && kind != b'S' {
            return;
        }
        let extended = b"PBDEC".contains(&kind);
        self.open |= extended;
        if std::mem::take(&mut self.fail_next) {
            self.error(extended);
            if !extended {
                self.ready();
            }
            return;
        }
        match kind {
            b'Q' | b'F' => self.simple(kind, what),
            b'S' => {
                self.skipping = false;
                if std::mem::take(&mut self.fails_at_commit) && self.status == b'I' {
                    self.error(false);
                }
                self.ready();
            }
            _ if extended => self.extended(kind, what),
            _ => (),
        }
    }

    fn refuses(&self, what: u8) -> bool {
        what == b'!' || (self.status == b'E' && what != b'c')
    }

    fn simple(&mut self, kind: u8, what: u8) {
        if self.refuses(what) {
            self.error(false);
        } else if kind == b'F' {
            self.say("V");
        } else {
            match what {
                b'i' | b'j' => {
                    self.copy = Copy::Simple(u8::from(what == b'j'));
                    return self.say("G");
                }
                b'o' => self.say("H d d c C"),
                b'e' => self.say("I"),
                b'?' => self.say("C E"),
                b'r' => self.say("T D D C T D C"),
                _ => self.done(what),
            }
        }
        self.ready();
    }

    /// A statement without rows.
    fn done(&mut self, what: u8) {
        match what {
            b'b' => self.status = b'T',
            b'c' => {
                self.status = b'I';
                return self.say("C:COMMIT");
            }
            b'p' => self.say("S:application_name:x N"),
            _ => (),
        }
        self.say("C");
    }

    fn extended(&mut self, kind: u8, what: u8) {
        let no_guard = what == b'g' && kind == b'D' && !self.guard;
        if no_guard || what == b'!' || (kind == b'E' && self.refuses(what)) {
            return self.error(true);
        }
        match (kind, what) {
            (b'P', _) => {
                self.guard |= what == b'g';
                self.say("1");
            }
            (b'B', _) => self.say("2"),
            (b'C', _) => {
                self.guard &= what != b'g';
                self.say("3");
            }
            (b'D', b'r') => self.say("T"),
            (b'D', b'o') => self.say("t T"),
            (b'D', b'g') => self.say("t n"),
            (b'D', _) => self.say("n"),
            (_, b'i' | b'j') => {
                self.copy = Copy::Extended;
                self.say("G");
            }
            (_, b'o') => self.say("H d c C"),
            (_, b'r') => self.say("D D D C"),
            (_, b's') => self.say("D s"),
            (_, b'e') => self.say("I"),
            (_, b'?') => {
                self.fails_at_commit = true;
                self.say("C");
            }
            _ => self.done(what),
        }
    }

    fn copy_message(&mut self, kind: u8, what: u8) {
        let extended = self.copy == Copy::Extended;
        match (kind, what) {
            (b'H' | b'S', _) => (),
            (b'd', b'!') | (b'f', _) => {
                self.error(extended);
                if !extended {
                    self.ready();
                }
            }
            (b'd', _) => (),
            (b'c', _) => {
                self.say("C");
                match self.copy {
                    Copy::Simple(0) => {
                        self.copy = Copy::No;
                        self.ready();
                    }
                    Copy::Simple(more) => {
                        self.copy = Copy::Simple(more - 1);
                        self.say("G");
                    }
                    _ => self.copy = Copy::No,
                }
            }
            _ => {
                self.out.extend([frame(b'E', ERROR), frame(b'E', FATAL)].concat());
                self.dead = true;
            }
        }
    }
}
