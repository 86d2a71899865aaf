//! RESET brings a setting to the default of a client's server, and is to bring it to what the client came with: where no settings go
//! in front of what the client sends next, that is set behind it.

use super::connection::Client;
use super::link::Link;
use super::serve::Left;
use super::settle::{ANSWER, lost};
use crate::config::PoolMode;
use crate::server::{REPAIR_DEADLINE, ask_within, run};
use crate::session::{Settings, Statement, Touched, is_custom};
use crate::sql::{Facts, Name, Verb, literal};
use crate::wire::backend::Status;
use crate::wire::frame;
use crate::wire::frontend::kind;
use std::fmt::Write;
use std::sync::Arc;

impl Client {
    /// A session needs to be looked at only for what brings it back to defaults that are not the client's.
    pub(super) fn read_resets(&mut self, chunk: &[u8], first: Option<u8>) {
        if first.is_none() || self.base.iter().next().is_none() {
            return;
        }
        let mut rest = chunk;
        while let Some((kind, body, total)) = frame::first(rest) {
            let mut words = body.split(|&byte| byte == 0);
            match (kind, words.next(), words.next()) {
                (kind::QUERY, Some(text), _) => {
                    let facts = self.read(text);
                    self.note_resets(&facts);
                }
                (kind::PARSE, Some(name), Some(text)) => {
                    // Kept if it is one of these: it may be executed later.
                    let facts = self.read(text);
                    let resets = facts.statements.iter().any(|statement| {
                        matches!(statement.verb, Verb::Reset(_) | Verb::ResetAll | Verb::Discard(_) | Verb::Set(_))
                    });
                    if resets {
                        let statements = self.statements.get_or_insert_default();
                        if statements.has_room(name, text.len()) {
                            statements.put(name, Some(Arc::new(Statement::unnamed(Some(text), &self.settings))));
                        }
                    } else if let Some(statements) = &mut self.statements {
                        statements.put(name, None);
                    }
                }
                (kind::BIND, _, Some(name)) => {
                    let statement = self.statements.as_ref().and_then(|statements| statements.get(name)).cloned();
                    if let Some(text) = statement.as_ref().and_then(|statement| statement.body()) {
                        let facts = self.read(text);
                        self.note_resets(&facts);
                    }
                }
                _ => (),
            }
            rest = &rest[total..];
        }
    }

    /// What a session's text brings to PostgreSQL's defaults: the client came with values of its own.
    pub(super) fn note_resets(&mut self, facts: &Facts) {
        let mut touched = self.touched.take().unwrap_or_else(|| Touched::new(&self.settings));
        touched.note_resets(facts, &self.base);
        self.touched = Some(touched).filter(|touched| touched.restores() || !touched.is_otherwise_empty());
    }

    /// Whether what was reset is to be brought back now: in a block, or in a session. Else that goes in front of the next request.
    pub(super) fn must_restore(&self, link: &Link) -> bool {
        let exchange = link.server.exchange();
        self.touched.as_ref().is_some_and(|touched| touched.awaits_look())
            && !exchange.owes()
            && !exchange.unsynced()
            && match exchange.status() {
                Status::Idle => link.mode == PoolMode::Session,
                Status::InTransaction => true,
                // Behind a ROLLBACK TO.
                Status::Failed => false,
            }
    }

    /// What the next request finds depends on what becomes of this one.
    pub(super) fn awaits_settling(&self, link: &Link) -> bool {
        self.touched.as_ref().is_some_and(|touched| touched.restores()) || link.server.awaits_drop()
    }

    /// Brings back what the client came with, where a RESET or the end of a subtransaction has left PostgreSQL's default.
    ///
    /// # Errors
    /// The server has died.
    pub(super) async fn restore(&mut self, link: &mut Link) -> Result<(), Left> {
        if link.server.lacks_settings() {
            // Nothing of it was run.
            self.touched = None;
            return Ok(());
        }
        let Some(touched) = &mut self.touched else { return Ok(()) };
        touched.looked();
        let names = touched.to_restore().iter().map(|(name, _)| &**name);
        if link.server.exchange().status() == Status::InTransaction && touched.is_plain() {
            let names: Vec<Name> = names.map(Name::from).collect();
            return self.bring_back(&names, link).await;
        }
        let sql = restoring(names, &self.base);
        if link.server.exchange().status() == Status::Idle {
            touched.take_restore();
            if touched.is_otherwise_empty() {
                self.touched = None;
            }
        }
        self.socket.flush_now();
        let answer = tokio::time::timeout(REPAIR_DEADLINE, ask_within(&mut link.server, &sql, ANSWER)).await;
        let Ok(Some(answer)) = answer else { return Err(lost()) };
        if answer.error.is_some() {
            // In a block that has failed for it the client hears of that with its next statement.
            return Ok(());
        }
        // What is not reported its server was believed to have as before.
        link.server.forget_settings();
        let mut settings = Settings::clone(&self.settings);
        for name in answer.rows.iter().filter_map(|row| row.first()?.as_deref()) {
            if let Some(value) = self.base.own(name) {
                let _ = settings.set(name, value);
            }
        }
        self.tell_settings(settings);
        Ok(())
    }

    /// Sets here what the client came with.
    ///
    /// # Errors
    /// The server has died.
    pub(super) async fn bring_back(&mut self, names: &[Name], link: &mut Link) -> Result<(), Left> {
        let mut settings = Settings::clone(&self.settings);
        let mut sql = String::new();
        for name in names {
            let value = self.base.own(name).and_then(|value| std::str::from_utf8(value).ok());
            if let (Some(value), Ok(name)) = (value, std::str::from_utf8(name)) {
                sql.push_str(&setting(name, value));
                let _ = settings.set(name.as_bytes(), value.as_bytes());
            }
        }
        self.socket.flush_now();
        // What is not reported its server was believed to have as before.
        link.server.forget_settings();
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

/// Sets one, whatever it is. SET takes no snapshot, behind which a block could not be told its isolation level any more, but would
/// take a list in one string for one name.
fn setting(name: &str, value: &str) -> String {
    const LISTS: [&str; 4] =
        ["search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"];
    if LISTS.contains(&name) {
        return format!("SELECT pg_catalog.set_config({}, {}, false);", literal(name), literal(value));
    }
    format!("SET \"{}\" TO {};", name.replace('"', "\"\"").replace('.', "\".\""), literal(value))
}

/// Sets what is at PostgreSQL's default to what a client came with, and says the names. That of a custom setting is empty.
fn restoring<'a>(names: impl Iterator<Item = &'a [u8]>, base: &Settings) -> String {
    let mut sql = String::new();
    for name in names {
        let value = base.own(name).and_then(|value| std::str::from_utf8(value).ok());
        let (Some(value), Ok(text)) = (value, std::str::from_utf8(name)) else { continue };
        let (text, value) = (literal(text), literal(value));
        let _ = write!(sql, "SELECT {text}, pg_catalog.set_config({text}, {value}, false) ");
        let _ = if name == b"role" {
            // `pg_settings` does not show it.
            write!(sql, "WHERE pg_catalog.current_setting({text}) OPERATOR(pg_catalog.=) 'none'::pg_catalog.text;")
        } else if is_custom(name) {
            write!(sql, "WHERE pg_catalog.current_setting({text}, true) OPERATOR(pg_catalog.=) ''::pg_catalog.text;")
        } else {
            write!(
                sql,
                "FROM pg_catalog.pg_settings WHERE pg_catalog.lower(name) OPERATOR(pg_catalog.=) {text}::pg_catalog.text \
                 AND source OPERATOR(pg_catalog.<>) 'session'::pg_catalog.text;"
            )
        };
    }
    sql
}
