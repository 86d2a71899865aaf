//! RESET brings a setting to the default of a client's server, and is to bring it to what the client came with: where no settings go
//! in front of what the client sends next, that is set behind it.

use super::connection::Client;
use super::link::Link;
use super::serve::Left;
use super::settle::lost;
use crate::config::PoolMode;
use crate::server::{REPAIR_DEADLINE, run};
use crate::session::{Settings, Touched};
use crate::sql::{Facts, Name};
use crate::wire::backend::Status;
use std::fmt::Write;

impl Client {
    /// What a session's text brings to PostgreSQL's defaults: the client came with values of its own.
    pub(super) fn note_resets(&mut self, facts: &Facts) {
        let mut touched = self.touched.take().unwrap_or_else(|| Touched::new(&self.settings));
        touched.note_resets(facts, &self.base);
        self.touched = Some(touched).filter(|touched| touched.restores() || !touched.is_otherwise_empty());
    }

    /// Whether what was reset is to be brought back now: in a block, or in a session. Else that goes in front of the next request.
    pub(super) fn must_restore(&self, link: &Link) -> bool {
        let exchange = link.server.exchange();
        self.awaits_restore()
            && !exchange.owes()
            && !exchange.unsynced()
            && (link.mode == PoolMode::Session || exchange.status() != Status::Idle)
    }

    /// What the next request finds depends on what becomes of this one.
    pub(super) fn awaits_settling(&self, link: &Link) -> bool {
        self.awaits_restore() || link.server.awaits_drop()
    }

    fn awaits_restore(&self) -> bool {
        self.touched.as_ref().is_some_and(|touched| touched.restores())
    }

    /// Brings back what the client came with, behind a RESET.
    ///
    /// # Errors
    /// The server has died.
    pub(super) async fn restore(&mut self, link: &mut Link) -> Result<(), Left> {
        let Some(touched) = &mut self.touched else { return Ok(()) };
        let names = touched.take_restore();
        if touched.is_otherwise_empty() {
            self.touched = None;
        }
        let failed = match link.server.exchange().status() {
            Status::Failed => true,
            // Outside a block the RESET itself is what may have failed.
            Status::Idle => link.server.take_erred(),
            Status::InTransaction => false,
        };
        if failed {
            return Ok(());
        }
        self.bring_back(&names, link).await
    }

    /// Sets here what the client came with.
    ///
    /// # Errors
    /// The server has died.
    pub(super) async fn bring_back(&mut self, names: &[Name], link: &mut Link) -> Result<(), Left> {
        let mut settings = Settings::clone(&self.settings);
        let mut sql = String::from("SELECT ");
        for name in names {
            let value = self.base.own(name).and_then(|value| std::str::from_utf8(value).ok());
            if let (Some(value), Ok(name)) = (value, std::str::from_utf8(name)) {
                let comma = if sql.ends_with(' ') { "" } else { ", " };
                let _ = write!(sql, "{comma}pg_catalog.set_config({}, {}, false)", literal(name), literal(value));
                let _ = settings.set(name.as_bytes(), value.as_bytes());
            }
        }
        self.socket.flush_now();
        let done = tokio::time::timeout(REPAIR_DEADLINE, run(&mut link.server, &sql)).await;
        match done {
            Ok(Some(true)) => self.tell_settings(settings),
            // In a block that has failed for it the client hears of that with its next statement.
            Ok(Some(false)) => (),
            _ => return Err(lost()),
        }
        Ok(())
    }
}

/// A string constant, whatever standard_conforming_strings says.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
