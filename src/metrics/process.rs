//! What is counted for the process as a whole. All of it is rare, so that any thread may write.

use crate::clock::Instant;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Panics, reloads, and when each thread was last seen.
pub struct Process {
    /// Tasks of clients that panicked.
    pub client_panics: AtomicU64,
    /// Stewards of pools that panicked.
    pub steward_panics: AtomicU64,
    /// Workers that panicked themselves.
    pub worker_panics: AtomicU64,
    /// Connections for monitoring that were answered.
    pub http_answered: AtomicU64,
    /// Those that were not, or not to the end: hung up half-way, nonsense, too slow, too many.
    pub http_broken: AtomicU64,
    stopping: AtomicBool,
    reload: Reload,
    start: Instant,
    // Milliseconds since the start: the workers, then the front.
    beats: Vec<AtomicU64>,
}

/// Written by one thread at a time.
#[derive(Default)]
struct Reload {
    refused: AtomicBool,
    succeeded_ms: AtomicU64,
}

impl Process {
    pub(super) fn new(workers: usize, start: Instant) -> Self {
        Self {
            client_panics: AtomicU64::new(0),
            steward_panics: AtomicU64::new(0),
            worker_panics: AtomicU64::new(0),
            http_answered: AtomicU64::new(0),
            http_broken: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            reload: Reload::default(),
            start,
            beats: (0..=workers).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The process begins to end: nobody new is served.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether it does.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The configuration was read anew and is in force; `at` is the time since 1970. The start counts as the first time.
    pub fn reloaded(&self, at: Duration) {
        let ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        self.reload.succeeded_ms.store(ms, Ordering::Relaxed);
        self.reload.refused.store(false, Ordering::Relaxed);
    }

    /// The configuration was read anew and is not in force.
    pub fn reload_failed(&self) {
        self.reload.refused.store(true, Ordering::Relaxed);
    }

    /// Whether the last reload succeeded, and the time since 1970 of the last one that did.
    pub fn reload(&self) -> (bool, Duration) {
        let succeeded = !self.reload.refused.load(Ordering::Relaxed);
        (succeeded, Duration::from_millis(self.reload.succeeded_ms.load(Ordering::Relaxed)))
    }

    /// Worker number `thread` turns; the front is numbered behind the last worker.
    pub fn beat(&self, thread: usize, now: Instant) {
        if let Some(beat) = self.beats.get(thread) {
            let ms = now.saturating_duration_since(self.start).as_millis();
            beat.store(u64::try_from(ms).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// The threads that were not seen for longer than `limit`, by name, each with how long that is.
    pub fn stuck(&self, now: Instant, limit: Duration) -> Vec<(String, Duration)> {
        let age = now.saturating_duration_since(self.start);
        let workers = self.beats.len().saturating_sub(1);
        let name = |thread| if thread == workers { "front".to_owned() } else { format!("worker-{thread}") };
        let silent = |beat: &AtomicU64| age.saturating_sub(Duration::from_millis(beat.load(Ordering::Relaxed)));
        let all = self.beats.iter().map(silent).enumerate();
        all.filter(|(_, silent)| *silent > limit).map(|(thread, silent)| (name(thread), silent)).collect()
    }
}
