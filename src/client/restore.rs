//! RESET brings a setting to the default of a client's server, and is to bring it to what the client came with: where no settings go
//! in front of what the client sends next, that is set behind it.

use super::connection::Client;
use super::link::Link;
use super::serve::Left;
use super::settle::{ANSWER, Bent, lost};
use crate::config::PoolMode;
use crate::server::{Answer, Asked, REPAIR_DEADLINE, Server, ask_apart};
use crate::session::{ENCODING, Effect, Portal, Settings, Statement, Touched, is_opaque, reset_to};
use crate::sql::{Facts, Name, Touches, literal, recoded};
use crate::wire::backend::Status;
use crate::wire::frame;
use crate::wire::frontend::kind;
use std::sync::Arc;

/// Lists: SET of one string would take it for one name.
const LISTS: [&[u8]; 4] =
    [b"search_path", b"temp_tablespaces", b"local_preload_libraries", b"session_preload_libraries"];

/// What may reset something.
const RESETS: Touches = Touches::SETTINGS.and(Touches::ALL_SETTINGS).and(Touches::HIDDEN).and(Touches::DYNAMIC);

/// What may reset something, or undo that.
const MATTERS: Touches = RESETS.and(Touches::CONTROLS);

impl Client {
    /// A session needs to be looked at only for what brings it back to defaults that are not the client's.
    pub(super) fn read_resets(&mut self, server: &Server, chunk: &[u8], first: Option<u8>) {
        if first.is_none() || self.base.iter().next().is_none() {
            return;
        }
        let mut rest = chunk;
        while let Some((kind, body, total)) = frame::first(rest) {
            let mut words = body.split(|&byte| byte == 0);
            match (kind, words.next(), words.next()) {
                (kind::QUERY, Some(text), _) => {
                    let facts = self.read(text, self.readings(server));
                    self.note_resets(&facts, true);
                }
                (kind::PARSE, Some(name), Some(text)) => {
                    // Kept if it is one of these: it may be executed later.
                    let readings = self.readings(server);
                    let facts = self.read(text, readings);
                    if facts.touches.any(MATTERS) || facts.statements.iter().any(|each| !each.settings().is_empty()) {
                        let statements = self.statements.get_or_insert_default();
                        if statements.has_room(name, text.len()) {
                            let statement = Statement::unnamed(Some(text), &self.settings, readings);
                            statements.put(name, Some(Arc::new(statement)));
                        }
                    } else if let Some(statements) = &mut self.statements {
                        statements.put(name, None);
                    }
                }
                (kind::BIND, Some(portal), Some(name)) => self.bind_in_session(portal, name),
                (kind::EXECUTE, Some(portal), _) => self.execute_in_session(portal),
                (kind::FUNCTION_CALL, ..) => self.note_resets(&Facts::anything(), false),
                _ => (),
            }
            rest = &rest[total..];
        }
        if matches!(rest.first(), Some(&(kind::QUERY | kind::PARSE | kind::FUNCTION_CALL))) {
            // Too long to be read.
            self.note_resets(&Facts::anything(), false);
        }
    }

    /// What returns nothing runs when its portal is executed; of others FETCH may have rows as well, so that they are noted at once.
    fn bind_in_session(&mut self, portal: &[u8], name: &[u8]) {
        let statement = self.statements.as_ref().and_then(|statements| statements.get(name)).cloned();
        let facts = statement.as_ref().and_then(|known| Some(self.read(known.text()?, known.readings())));
        let Some(statements) = &mut self.statements else { return };
        let has_room = statements.has_room_for_portal();
        let known = statement.filter(|_| has_room).map(|known| Portal { resets: Some(known), ..Portal::default() });
        let before = statements.put_portal(portal, known);
        if let Some(facts) = facts.filter(|facts| !has_room || !facts.returns_nothing()) {
            self.note_resets(&facts, false);
        }
        // If this is refused, that is still there.
        if let Some(Effect::Portal { before: Some(Portal { resets: Some(statement), .. }), .. }) = before {
            self.run_in_session(&statement, false);
        }
    }

    fn execute_in_session(&mut self, portal: &[u8]) {
        let known = self.statements.as_ref().and_then(|statements| statements.portal(portal)?.resets.clone());
        let Some(statement) = known else { return };
        let runs_once = self.run_in_session(&statement, true);
        if let Some(statements) = self.statements.as_mut().filter(|_| runs_once) {
            statements.put_portal(portal, None);
        }
    }

    /// Runs it, or may do so. Whether it can only once; others have been noted when they were bound, too.
    fn run_in_session(&mut self, statement: &Statement, runs: bool) -> bool {
        let Some(text) = statement.text() else { return false };
        let facts = self.read(text, statement.readings());
        let once = facts.returns_nothing();
        if runs || once {
            self.note_resets(&facts, runs && once);
        }
        once
    }

    /// Whether running this may reset something that the client came with, or undo that.
    pub(super) fn may_reset(&self, facts: &Facts) -> bool {
        let undoes = || facts.touches.any(MATTERS) || facts.all_names().next().is_some();
        let has_room = || self.statements.as_ref().is_none_or(|statements| statements.has_room_for_portal());
        let matters = facts.touches.any(RESETS) || self.touched.is_some() && undoes();
        matters && self.base.iter().next().is_some() && has_room()
    }

    /// A portal of this statement is executed. What returns nothing runs then and only then, so it was not noted when it was bound; others
    /// may have begun before, and may have nothing left to do.
    pub(super) fn run_resets(&mut self, statement: &Statement) {
        let told = self.pool.catalog().told(statement);
        if let Some(facts) = told.as_ref().and_then(|told| told.facts()) {
            let touched = self.touched.get_or_insert_with(|| Touched::new(&self.settings));
            touched.note_resets(facts, &self.base, facts.returns_nothing());
        }
    }

    /// What a session's text brings to PostgreSQL's defaults: the client came with values of its own.
    fn note_resets(&mut self, facts: &Facts, runs: bool) {
        self.bent = self.bent.max(Bent::by(facts));
        self.note_path(facts);
        let mut touched = self.touched.take().unwrap_or_else(|| Touched::new(&self.settings));
        touched.note_resets(facts, &self.base, runs);
        self.touched = Some(touched).filter(|touched| !touched.resets().is_empty());
    }

    /// Whether what was reset is to be brought back now: in a block, or in a session. Else that goes in front of the next request.
    pub(super) fn must_restore(&self, link: &Link) -> bool {
        let exchange = link.server.exchange();
        let Some(touched) = self.touched.as_ref().filter(|touched| !touched.resets().is_empty()) else { return false };
        let is_whole = !exchange.cut_outgoing() && !exchange.cut_incoming();
        let is_free = !exchange.owes() && !exchange.unsynced() && is_whole;
        is_free
            && match exchange.status() {
                Status::Idle => link.mode == PoolMode::Session,
                Status::InTransaction => touched.resets().are_due(),
                // Behind a ROLLBACK TO.
                Status::Failed => false,
            }
    }

    /// What the next request finds depends on what becomes of this one. Not so the rest of a message that has begun, for which
    /// PostgreSQL waits.
    pub(super) fn awaits_settling(&self, link: &Link) -> bool {
        let exchange = link.server.exchange();
        // The rest of a notification comes, too.
        let is_coming = exchange.will_answer() || !exchange.owes() && exchange.cut_incoming();
        if exchange.cut_outgoing() || !is_coming {
            return false;
        }
        // Where a block ends, it must be known whether it has failed: then its resets are undone. And what was set in front of it must be settled:
        // behind a reset of it, nobody could tell which of the two is.
        let unsettled = |touched: &Touched| touched.resets().await_an_end() || touched.may_have_set_any_of(&self.base);
        self.touched.as_ref().is_some_and(|touched| unsettled(touched)) || link.server.awaits_drop()
    }

    /// Brings back what the client came with, where a RESET or the end of a subtransaction has left PostgreSQL's default.
    ///
    /// # Errors
    /// The server has died.
    pub(super) async fn restore(&mut self, link: &mut Link) -> Result<(), Left> {
        let Some(mut touched) = self.touched.take() else { return Ok(()) };
        if link.server.lacks_settings() {
            // Nothing of it was run.
            return Ok(());
        }
        let ended = link.server.exchange().status() == Status::Idle;
        let names = touched.resets().to_look_at(ended);
        let failed = ended && link.server.take_erred();
        let at_default =
            if names.is_empty() { Vec::new() } else { self.at_default(&names, ended, failed, link).await? };
        let before = touched.before().clone();
        let lost = touched.resets_mut().looked(&at_default, ended, failed, &before);
        if ended {
            for name in touched.resets().set_ones() {
                // From now on nobody knows whether it was reset.
                let _ = Arc::make_mut(&mut self.settings).set(name, reset_to(name));
            }
        } else {
            self.touched = Some(touched);
        }
        self.bring_back(lost, link).await
    }

    /// Which of these are at PostgreSQL's default, or look so.
    async fn at_default(
        &mut self,
        names: &[(&[u8], bool)],
        ended: bool,
        failed: bool,
        link: &mut Link,
    ) -> Result<Vec<Box<[u8]>>, Left> {
        // Behind a SET LOCAL a RESET is taken for the session's own.
        let masked = ended && !failed;
        let mut all = vec![(look(names, masked), Vec::new())];
        if ended {
            // Else it might wait for others' transactions.
            all.insert(0, ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED".to_owned(), Vec::new()));
        }
        let answer = self.ask_apart(&all, link).await?;
        Ok(answer.rows.into_iter().filter_map(|row| row.into_iter().next()?).collect())
    }

    /// Sets here what the client came with. What may not be set now stays as it is.
    ///
    /// # Errors
    /// The server has died.
    pub(super) async fn bring_back(&mut self, mut names: Vec<Name>, link: &mut Link) -> Result<(), Left> {
        if names.is_empty() {
            return Ok(());
        }
        // What is not reported its server was believed to have as before.
        link.server.forget_settings(self.settings.is_hasty());
        names.sort_by_key(|name| match &**name {
            // Names are read in it.
            ENCODING => 0,
            b"role" => 2,
            _ => 1,
        });
        let base = self.base.clone();
        let encoding = base.get(ENCODING).unwrap_or_default();
        let mut settings = Settings::clone(&self.settings);
        let mut parts = vec![(&names[..], false)];
        while let Some((part, as_login)) = parts.pop() {
            let pairs = part.iter().filter_map(|name| Some((&**name, base.own(name)?)));
            let sets: Vec<_> = pairs.clone().map(|(name, value)| set(name, value, encoding, as_login)).collect();
            match (self.ask_apart(&sets, link).await?.error, part) {
                (None, _) => pairs.for_each(|(name, value)| _ = settings.set(name, value)),
                (_, [_]) if as_login => (),
                (_, [_]) => parts.push((part, true)),
                (..) => parts.extend(part.chunks(1).rev().map(|one| (one, false))),
            }
        }
        self.tell_settings(settings);
        Ok(())
    }

    /// What the server was notified of while something was asked of it.
    pub(super) fn pass_notifications(&mut self, answer: &mut Answer, link: &Link) {
        if link.mode == PoolMode::Session || self.has_hidden_listen() {
            self.socket.queue(std::mem::take(&mut answer.notifications));
        }
    }

    async fn ask_apart(&mut self, all: &[Asked<'_>], link: &mut Link) -> Result<Answer, Left> {
        // The client has its answer, and need not wait for ours.
        self.socket.flush_now();
        let answer = tokio::time::timeout(REPAIR_DEADLINE, ask_apart(&mut link.server, all, ANSWER)).await;
        let mut answer = answer.ok().flatten().ok_or_else(lost)?;
        self.pass_notifications(&mut answer, link);
        Ok(answer)
    }
}

/// Sets one, whatever it is, to a value in this encoding, which need not be the one of the moment. SET takes no snapshot, behind which a
/// block could not be told its isolation level any more. `as_login`: by the rights of who has logged in, where those of the role of
/// the moment are not enough.
fn set<'a>(name: &'a [u8], value: &'a [u8], encoding: &[u8], as_login: bool) -> Asked<'a> {
    if let (Ok(plain), Ok(text)) = (std::str::from_utf8(name), std::str::from_utf8(value))
        && !as_login
        && text.is_ascii()
        && !LISTS.contains(&name)
    {
        let plain = plain.replace('"', "\"\"").replace('.', "\".\"");
        return (format!("SET \"{plain}\" TO {}", literal(text)), Vec::new());
    }
    let (value, parameters) = match value.is_ascii() {
        true => ("$2".to_owned(), vec![name, value]),
        false => (recoded(value, encoding), vec![name]),
    };
    // Nothing is told of the value, which may not be spelled in the encoding of the moment.
    let set = format!("pg_catalog.set_config($1, {value}, false) IS NULL");
    let sql = match as_login {
        false => format!("SELECT {set}"),
        true => format!(
            "WITH before AS MATERIALIZED (SELECT pg_catalog.current_setting('role') AS role) \
             SELECT pg_catalog.set_config('role', 'none', true), {set}, \
             pg_catalog.set_config('role', before.role, true) FROM before"
        ),
    };
    (sql, parameters)
}

/// Asks which of these are at PostgreSQL's default, or look so. `masked`: if a text has reset it, the value alone counts.
fn look(names: &[(&[u8], bool)], masked: bool) -> String {
    let text = |name: &[u8]| literal(&String::from_utf8_lossy(name));
    let of_opaque = |name| {
        let (value, name) = (text(reset_to(name)), text(name));
        format!(
            "SELECT {name}::pg_catalog.text \
             WHERE pg_catalog.current_setting({name}, true) OPERATOR(pg_catalog.=) {value}::pg_catalog.text"
        )
    };
    let of_shown = |said: bool| {
        let shown = names.iter().filter(|(name, by_text)| *by_text == said && !is_opaque(name));
        let shown: Vec<String> = shown.map(|(name, _)| text(name)).collect();
        let masked = if said && masked { "OR setting OPERATOR(pg_catalog.=) reset_val" } else { "" };
        let sql = format!(
            "SELECT pg_catalog.lower(name) FROM pg_catalog.pg_settings \
             WHERE (source OPERATOR(pg_catalog.<>) 'session'::pg_catalog.text {masked}) \
             AND pg_catalog.lower(name) OPERATOR(pg_catalog.=) ANY (ARRAY[{}]::pg_catalog.text[])",
            shown.join(", ")
        );
        Some(sql).filter(|_| !shown.is_empty())
    };
    let opaque = names.iter().filter(|(name, _)| is_opaque(name)).map(|(name, _)| of_opaque(name));
    [false, true].into_iter().filter_map(of_shown).chain(opaque).collect::<Vec<_>>().join(" UNION ALL ")
}
