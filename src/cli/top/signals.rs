//! Signals while `pgotter top` runs. They are blocked on every thread; one waits for them, and does with each what it does anyway, or
//! while somebody has the terminal what that wants.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, raise};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

/// Those that end the process or stop it, and leave a terminal as it is; and that which lets it go on.
const HEARD: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP, Signal::SIGCONT];

/// What whoever has the terminal wants done.
type Heed = Box<dyn FnMut(Signal) + Send>;

/// Decides what becomes of signals.
#[derive(Clone, Default)]
pub struct Signals(Arc<Mutex<Option<Heed>>>);

impl Signals {
    /// In front of all other threads: what is blocked on one is on those that it starts.
    ///
    /// # Errors
    /// The system's.
    pub fn hear() -> io::Result<Self> {
        let heard: SigSet = HEARD.into_iter().collect();
        heard.thread_block()?;
        let signals = Self::default();
        let shared = signals.clone();
        let wait = move || {
            loop {
                match heard.wait() {
                    Ok(signal) => match &mut *shared.0.lock() {
                        Some(heed) => heed(signal),
                        None => let_it(signal),
                    },
                    Err(Errno::EINTR) => {}
                    Err(_) => return,
                }
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
        Ok(signals)
    }

    /// Takes the terminal: from then on this becomes of signals, and nothing in between.
    ///
    /// # Errors
    /// It could not be taken.
    pub fn take<T>(
        &self,
        take: impl FnOnce() -> io::Result<T>,
        heed: impl FnMut(Signal) + Send + 'static,
    ) -> io::Result<T> {
        let mut heeds = self.0.lock();
        let taken = take()?;
        *heeds = Some(Box::new(heed));
        Ok(taken)
    }

    /// Gives it back.
    pub fn give_back<T>(&self, give_back: impl FnOnce() -> T) -> T {
        let mut heeds = self.0.lock();
        *heeds = None;
        give_back()
    }
}

/// Does what the signal does where nobody hears it: ends the process, or stops it until somebody lets it go on. Where there is no shell
/// that could do so, the system does not stop it.
pub fn let_it(signal: Signal) {
    let alone = SigSet::from(signal);
    if alone.thread_unblock().is_ok() {
        // For this thread, so that the one that waits does not get it.
        let _ = raise(signal);
        let _ = alone.thread_block();
    }
}
