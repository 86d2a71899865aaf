//! Counts what this thread has worked out, for tests that hold one case against another.

use std::cell::Cell;

/// How often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Iterations of PBKDF2.
    pub iterations: u32,
    /// HMACs.
    pub macs: u32,
    /// SHA-256 hashes.
    pub hashes: u32,
    /// MD5 hashes.
    pub md5s: u32,
}

thread_local! {
    static DONE: Cell<Work> = Cell::default();
}

/// Counts one more.
pub(in crate::auth) fn note(count: impl FnOnce(&mut Work)) {
    let mut done = DONE.get();
    count(&mut done);
    DONE.set(done);
}

/// What has been worked out on this thread since this was asked last.
pub(crate) fn done() -> Work {
    DONE.take()
}
