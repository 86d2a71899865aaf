//! What a client must see: its own writes, and nothing older than what it has seen. [`Freshness`](super::Freshness) says what the
//! numbers are and why they prove it.

/// What one client must see of a replica. Numbers are those of the monitor's questions; 0: of none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fence {
    // The newest question when it had last written.
    wrote: u64,
    // The replica that it has read on last, in which of its lives, and the newest question when that had answered.
    read: Option<(usize, u64, u64)>,
    // The same of the last other one, or other life, in front of that.
    before: u64,
}

impl Fence {
    /// It has written, or may have; `asked` is the number of the newest question.
    pub fn wrote(&mut self, asked: u64) {
        self.wrote = self.wrote.max(asked);
    }

    /// It has read on this replica, which was chosen in this of its lives, and may be behind the last other one: it was asked to be there
    /// whatever it sees.
    pub fn read(&mut self, host: usize, life: u64, asked: u64) {
        let other = |(last, then, _): &(usize, u64, u64)| (*last, *then) != (host, life);
        if let Some((.., seen)) = self.read.replace((host, life, asked)).filter(other) {
            self.before = self.before.max(seen);
        }
    }

    /// As if it had never written.
    pub fn of_reads(self) -> Self {
        Self { wrote: 0, ..self }
    }

    /// The hosts are others now, or have other numbers: it must see all that there was.
    pub fn renew(&mut self, asked: u64) {
        *self = Self { wrote: asked, read: None, before: 0 };
    }

    /// Whether a replica that `covers` all up to the answer to this question has all that the client must see. A client stays with its
    /// replica as another may be behind that, and so may be the same one in another `life`.
    /// `height`: what others have written it must see, too.
    pub fn allows(&self, host: usize, life: u64, covers: u64, height: u64) -> bool {
        let seen = self.read.filter(|(last, then, _)| (*last, *then) != (host, life)).map_or(0, |(.., asked)| asked);
        covers > self.wrote.max(seen).max(self.before).max(height)
    }
}
