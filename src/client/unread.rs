//! A client whose request names what may be in either of two entries, while what their catalogs say is not known as it is now: they
//! are read first, or waited for where somebody else reads them or where there is no primary to ask.
//!
//! All of it within the time that the request may wait for a server, and for a first server as long as that may take to open. Nothing of the
//! request has been sent anywhere.

use super::checkout::NoServer;
use super::connection::Client;
use super::wait::Until;
use super::welcome::{Occasion, Reported};
use crate::clock::Instant;
use crate::cluster::{Prospect, Target};
use crate::pool::Lane;
use crate::router::To;
use std::sync::Arc;

impl Client {
    /// Has the catalogs of the entry that a rule leads to, and of its own, known as they are now, as far as they can be had. `since` is when
    /// the request came.
    ///
    /// # Errors
    /// Those of a wait: the client has gone, was told to leave, or has cancelled; 57P03: no primary is confirmed.
    pub(super) async fn learn_both(&mut self, rule: usize, since: Instant) -> Result<(), NoServer> {
        if self.visit(rule).is_ok() {
            let learned = self.learn_catalog(since).await.map_err(|why| self.unless_visiting(why));
            self.come_home();
            learned?;
        }
        self.learn_catalog(since).await
    }

    /// The same of the catalog where the client is.
    async fn learn_catalog(&mut self, since: Instant) -> Result<(), NoServer> {
        loop {
            let Reported { lane, present, .. } = match self.reported(Occasion::Request).await {
                Ok(reported) => reported,
                Err(why) if why.is_of_client() => return Err(why),
                // What is known of it does, or nothing.
                Err(_) => return Ok(()),
            };
            if present {
                return self.learn_on(&lane, since).await;
            }
            let Target::NoPrimary(watch) = self.shape.target(To::Primary) else { continue };
            if !self.pool.catalog().is_uncertain() {
                return Ok(());
            }
            let watch = watch.clone();
            self.until_primary(&watch, since, None, true).await?;
        }
    }

    async fn learn_on(&mut self, lane: &Arc<Lane>, since: Instant) -> Result<(), NoServer> {
        let catalog = self.pool.catalog().clone();
        let last = self.shape.settings.query_wait_timeout.and_then(|patience| since.checked_add(patience));
        let is_over = |at: Instant| last.is_some_and(|last| last <= at);
        let until = |last| Until { last, notice: None, stuck: false };
        loop {
            match catalog.prospect(self.now, &self.mailbox) {
                Prospect::Settled => return Ok(()),
                Prospect::Own(loading) => {
                    if !self.read_with(loading, lane).await? {
                        return Ok(());
                    }
                    // What has changed meanwhile is read again.
                }
                Prospect::Others(reading) => _ = self.wait_until(until(last), || !catalog.is_reading(reading)).await?,
                Prospect::Rests(at) if is_over(at) => return Ok(()),
                Prospect::Rests(at) => _ = self.wait_until(until(Some(at)), || false).await?,
            }
            if is_over(self.now) {
                return Ok(());
            }
        }
    }
}
