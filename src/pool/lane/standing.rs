//! What PostgreSQL last said of a lane's role: servers stay open whatever becomes of it, and who comes must not profit from that.

use super::Lane;
use crate::clock::{self, Instant};
use crate::ids::ServerId;
use crate::server::{self, LoginError, standing};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long PostgreSQL's word that the role may log in is believed.
const BELIEVED: Duration = Duration::from_secs(1);

/// What connections that ask call themselves in PostgreSQL.
const NAME: &str = "pgotter role check";

/// What is known of the role.
pub(super) struct Standing {
    word: Mutex<Word>,
    // One connection at a time asks beside the pool's servers.
    beside: Semaphore,
    // When the last of them came to nothing.
    failed: Mutex<Option<Instant>>,
}

/// What PostgreSQL last said of the role.
#[derive(Clone, Copy)]
enum Word {
    Nothing,
    /// It let the role in, or said that it would.
    MayLogIn(Instant),
    Barred,
}

impl Default for Standing {
    fn default() -> Self {
        Self { word: Mutex::new(Word::Nothing), beside: Semaphore::new(1), failed: Mutex::default() }
    }
}

impl Lane {
    /// Whether PostgreSQL must be asked if the role may still log in. So must others until the answer is there.
    /// Where no server is open, and nothing speaks against the role, whoever opens the next one hears of it.
    pub fn must_ask(&self, now: Instant) -> bool {
        let last = *self.standing.word.lock();
        match last {
            Word::MayLogIn(since) if now.saturating_duration_since(since) < BELIEVED => false,
            Word::Barred => true,
            Word::MayLogIn(_) | Word::Nothing => {
                self.failure().is_some_and(|failure| failure.is_final()) || self.has_servers(now)
            }
        }
    }

    /// Whether it has servers, in use or idle.
    pub fn has_servers(&self, now: Instant) -> bool {
        let stats = self.stats(now);
        stats.active + stats.idle > 0
    }

    /// Whether PostgreSQL lets the role in now, by a connection beside the pool's servers, which counts against none of its bounds: one at a
    /// time, and none where others have heard meanwhile that it does. `None`: one has failed just now.
    ///
    /// # Errors
    /// As a server's login, within `server_connect_timeout`.
    pub async fn ask_beside(&self, id: ServerId) -> Result<Option<bool>, LoginError> {
        let _turn = self.standing.beside.acquire().await.expect("invariant: it is never closed");
        let now = clock::now();
        if !self.must_ask(now) {
            return Ok(Some(true));
        }
        let failed = *self.standing.failed.lock();
        if failed.is_some_and(|failed| now.saturating_duration_since(failed) < BELIEVED) {
            return Ok(None);
        }
        let opened = self.log_in_beside(id, &[("application_name", NAME)]).await;
        let mut server = opened.inspect_err(|error| {
            *self.standing.failed.lock() = Some(clock::now());
            self.report(error);
        })?;
        // Where it trusts, it lets in also who has expired.
        let may = standing(&mut server).await != Some(server::Standing::Barred);
        if may {
            // Before the next one's turn.
            self.may_log_in(clock::now());
        }
        Ok(Some(may))
    }

    /// PostgreSQL says yes: for a while nobody need ask.
    pub fn may_log_in(&self, now: Instant) {
        *self.standing.word.lock() = Word::MayLogIn(now);
    }

    /// Nobody could be asked, and there is no server. Where PostgreSQL has said no before, that stands, and this is false; else nobody need
    /// ask for a while.
    pub fn goes_unasked(&self, now: Instant) -> bool {
        let mut word = self.standing.word.lock();
        let goes = !matches!(*word, Word::Barred);
        if goes {
            *word = Word::MayLogIn(now);
        }
        goes
    }

    /// Whether PostgreSQL has said no when it was asked last.
    pub fn is_barred(&self) -> bool {
        matches!(*self.standing.word.lock(), Word::Barred)
    }

    /// PostgreSQL says no: the next client asks again.
    pub fn barred(&self) {
        *self.standing.word.lock() = Word::Barred;
    }
}
