//! PBKDF2 takes milliseconds, on purpose: two threads do nothing else, and whoever needs it waits without holding
//! anybody up. What was derived for logins to servers is remembered.

use crate::auth::{Derivation, KEY_BYTES, ScramKeys};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use tokio::sync::{OnceCell, Semaphore, mpsc, oneshot};

/// A storm of logins takes no more of the machine than this.
const THREADS: usize = 2;

/// Waiting for a thread; who comes when it is full waits for a place, first come, first served.
const QUEUE: usize = 64;

/// Claims of clients among them. A storm of wrong passwords keeps our own logins waiting no longer than these take.
const CLAIMS: usize = 8;

/// Keys remembered. One more, and all are forgotten: whoever has so many salts pays for them.
const REMEMBERED: usize = 1024;

/// The threads, started when first needed, and their memory.
pub struct Derivers {
    queue: OnceLock<mpsc::Sender<Job>>,
    claims: Semaphore,
    remembered: Mutex<HashMap<[u8; KEY_BYTES], Arc<OnceCell<ScramKeys>>>>,
}

impl Default for Derivers {
    fn default() -> Self {
        Self { queue: OnceLock::new(), claims: Semaphore::new(CLAIMS), remembered: Mutex::default() }
    }
}

struct Job {
    derivation: Derivation,
    answer: oneshot::Sender<ScramKeys>,
}

impl Derivers {
    /// For a password that is only claimed: derived each time. None: there is no thread to do it.
    pub async fn claimed(&self, derivation: Derivation) -> Option<ScramKeys> {
        let _place = self.claims.acquire().await.ok()?;
        self.derive(derivation).await
    }

    /// For a password that is ours: derived once, also for those who ask while it is under way. It cannot be out of date:
    /// another password or salt is another derivation.
    pub async fn remembered(&self, derivation: Derivation) -> Option<ScramKeys> {
        let cell = self.cell(derivation.name());
        let derive = || async { self.derive(derivation).await.ok_or(()) };
        cell.get_or_try_init(derive).await.ok().cloned()
    }

    async fn derive(&self, derivation: Derivation) -> Option<ScramKeys> {
        let (answer, keys) = oneshot::channel();
        self.queue.get_or_init(start).send(Job { derivation, answer }).await.ok()?;
        keys.await.ok()
    }

    fn cell(&self, name: [u8; KEY_BYTES]) -> Arc<OnceCell<ScramKeys>> {
        let mut remembered = self.remembered.lock();
        if remembered.len() >= REMEMBERED && !remembered.contains_key(&name) {
            remembered.clear();
        }
        remembered.entry(name).or_default().clone()
    }
}

fn start() -> mpsc::Sender<Job> {
    let (queue, jobs) = mpsc::channel(QUEUE);
    let jobs = Arc::new(Mutex::new(jobs));
    for number in 0..THREADS {
        let jobs = jobs.clone();
        if let Err(error) = std::thread::Builder::new().name(format!("pbkdf2-{number}")).spawn(move || work(&jobs)) {
            tracing::error!(%error, "cannot start a thread for PBKDF2");
        }
    }
    queue
}

fn work(jobs: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        // One thread waits inside, the other for the lock.
        let job = jobs.lock().blocking_recv();
        let Some(Job { derivation, answer }) = job else { return };
        // Whoever asked may have run out of time.
        if !answer.is_closed() {
            let _ = answer.send(derivation.run());
        }
    }
}

#[cfg(test)]
mod tests;
