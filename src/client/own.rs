//! SET, RESET and SHOW of settings that are PgOtter's own: answered here, without a server where none is there yet, so that no server ever
//! hears of them. What they are set to, and what a ROLLBACK makes of it, is kept in `session`.
//!
//! Each is a statement of its own. `SHOW pgotter.lsn` alone goes to a server, as what it asks the primary.

use super::connection::Client;
use crate::fault::{Blame, Fault, SqlState};
use crate::router::Reason;
use crate::server::Witness;
use crate::session::{OWN, OwnSetting, OwnSettings, OwnValues, Parameter};
use crate::sql::{Facts, Hint, Name, Setting, Value, Verb};
use crate::wire::backend::{self, Status, command_complete};
use crate::wire::frame::HEAD;
use crate::wire::rows::{Cell, Column, ColumnKind, Format, data_row, row_description};
use bytes::BytesMut;

mod messages;

/// What `SHOW pgotter.lsn` asks the primary: everything that has been written is in front of that.
/// Where nothing has been written to a page yet, that position is behind its header, and a replica counts from in front of it: see
/// `cluster::judge`, `without_header`.
const LSN: &str = "SELECT (CASE WHEN in_segment OPERATOR(pg_catalog.=) 40::pg_catalog.numeric THEN lsn OPERATOR(pg_catalog.-) in_segment \
    WHEN in_page OPERATOR(pg_catalog.=) 24::pg_catalog.numeric AND in_segment OPERATOR(pg_catalog.<>) in_page \
    THEN lsn OPERATOR(pg_catalog.-) in_page ELSE lsn END)::pg_catalog.text AS \"pgotter.lsn\" \
    FROM (SELECT lsn, pg_catalog.mod(lsn OPERATOR(pg_catalog.-) '0/0'::pg_catalog.pg_lsn, \
        pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))::pg_catalog.numeric) AS in_segment, \
        pg_catalog.mod(lsn OPERATOR(pg_catalog.-) '0/0'::pg_catalog.pg_lsn, \
        pg_catalog.current_setting('wal_block_size')::pg_catalog.numeric) AS in_page \
        FROM (SELECT pg_catalog.pg_current_wal_insert_lsn() AS lsn OFFSET 0) AS now) AS position";

const ROUTE: &[u8] = b"pgotter.route";
const AFTER_LSN: &[u8] = b"pgotter.after_lsn";
const SHOWN_LSN: &[u8] = b"pgotter.lsn";

const fn text(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Text }
}

/// Where the last statement ran, why, and what is set.
const ROUTE_COLUMNS: [Column; 5] = [text("host"), text("role"), text("reason"), text("route"), text("database")];
const AFTER_LSN_COLUMNS: [Column; 1] = [text("pgotter.after_lsn")];

/// Where a client's last transaction ran, or runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ran {
    /// An index into the lanes of its pool.
    pub host: usize,
    /// What that was to it.
    pub role: &'static str,
    pub reason: Reason,
}

/// What a text does to them that does nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Deed {
    Show(OwnSetting),
    ShowLsn,
    Set(OwnSetting, Value, bool),
    Reset(OwnSetting),
    /// Nothing that there is.
    No(NoSuch),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum NoSuch {
    Name(Name),
    Change,
}

/// Whether a text may be about them: the first letters decide for most.
pub(super) fn is_own(text: &[u8]) -> bool {
    let text = behind_comments(text);
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let may = match text.first_chunk::<3>().map(|first| first.map(|byte| byte | 0x20)) {
        Some([b's', b'e', b't']) => true,
        Some([b's', b'h', b'o']) => begins(b"show"),
        Some([b'r', b'e', b's']) => begins(b"reset"),
        _ => false,
    };
    let name = &OWN[..OWN.len() - 1];
    may && text.windows(name.len()).any(|at| at.eq_ignore_ascii_case(name))
}

/// Whether a text may bring back what they were.
fn may_take_back(text: &[u8]) -> bool {
    let text = behind_comments(text);
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    [&b"reset"[..], b"discard", b"rollback", b"abort"].into_iter().any(begins)
}

fn behind_comments(text: &[u8]) -> &[u8] {
    // Most begin with a word.
    if text.first().is_some_and(u8::is_ascii_alphabetic) {
        return text;
    }
    let mut text = text.trim_ascii_start();
    loop {
        let end = match text.first_chunk() {
            Some(b"--") => memchr::memchr(b'\n', text).map(|at| at + 1),
            Some(b"/*") => end_of_comment(text),
            _ => return text,
        };
        text = text.get(end.unwrap_or(text.len())..).unwrap_or_default().trim_ascii_start();
    }
}

/// Behind the comment that begins a text, in which there may be others.
fn end_of_comment(text: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match text.get(at..at + 2)? {
            b"/*" => (at, depth) = (at + 2, depth + 1),
            b"*/" if depth == 1 => return Some(at + 2),
            b"*/" => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
}

/// Whether one of a text's statements shows one of them. It comes here if it is not the only one.
pub(super) fn shows_own(facts: &Facts) -> bool {
    let shows = |verb: &Verb| matches!(verb, Verb::Show(name) if name.starts_with(OWN));
    facts.statements.len() > 1 && facts.statements.iter().any(|statement| shows(&statement.verb))
}

fn setting(name: &[u8]) -> Result<OwnSetting, NoSuch> {
    match name {
        ROUTE => Ok(OwnSetting::Route),
        AFTER_LSN => Ok(OwnSetting::AfterLsn),
        SHOWN_LSN => Err(NoSuch::Change),
        other => Err(NoSuch::Name(other.into())),
    }
}

impl Deed {
    /// `None`: it is about something else, too.
    fn of(facts: &Facts) -> Option<Self> {
        let only = facts.statements.only().filter(|_| facts.unsure.is_none())?;
        let (name, deed): (&Name, &dyn Fn(OwnSetting) -> Self) = match &only.verb {
            Verb::Show(name) if **name == *SHOWN_LSN => return Some(Self::ShowLsn),
            Verb::Show(name) => (name, &Self::Show),
            Verb::Reset(name) => (name, &Self::Reset),
            Verb::Set(settings) => {
                let [Setting { name, value, local }] = settings.as_slice() else { return None };
                (name, &|setting| Self::Set(setting, value.clone(), *local))
            }
            _ => return None,
        };
        name.starts_with(OWN).then(|| setting(name).map_or_else(Self::No, deed))
    }

    fn columns(&self) -> &'static [Column] {
        match self {
            Self::Show(OwnSetting::Route) => &ROUTE_COLUMNS,
            Self::Show(OwnSetting::AfterLsn) => &AFTER_LSN_COLUMNS,
            _ => &[],
        }
    }

    /// RowDescription, or NoData.
    fn describe(&self, out: &mut BytesMut) {
        match self.columns() {
            [] => backend::empty(out, backend::kind::NO_DATA),
            columns => row_description(out, columns, |_| Format::Text),
        }
    }

    fn changes(&self) -> bool {
        !matches!(self, Self::Show(_))
    }
}

impl Client {
    /// What a client comes with. The rest of its settings is left.
    ///
    /// # Errors
    /// FATAL 22023 or 42704: PostgreSQL would refuse its own like that.
    pub(super) fn come_with(&mut self, wanted: &mut Vec<Parameter>) -> Result<(), Fault> {
        let mut base = OwnValues::default();
        for (name, value) in wanted.extract_if(.., |(name, _)| name.starts_with(OWN)) {
            let setting = setting(&name).map_err(no_such)?;
            base.set(setting, &self.checked(setting, &value)?);
        }
        if base != OwnValues::default() {
            self.own = Some(Box::new(OwnSettings::new(base)));
        }
        Ok(())
    }

    /// What one of them is set to; empty: nothing.
    pub(super) fn own_value(&self, setting: OwnSetting) -> &str {
        self.own.as_ref().map_or("", |own| own.get(setting))
    }

    /// The answer to a Query that comes while the client has no server. `None`: it is for a server.
    pub(super) fn answer_own(&mut self, query: &[u8]) -> Option<BytesMut> {
        let text = query.get(HEAD..)?.strip_suffix(b"\0").filter(|text| is_own(text))?;
        let status = self.status();
        if status == Status::Failed {
            return None;
        }
        let deed = Deed::of(&self.read(text, self.own_readings())).filter(|deed| *deed != Deed::ShowLsn)?;
        let mut out = BytesMut::new();
        if matches!(deed, Deed::Show(_)) {
            deed.describe(&mut out);
        }
        match self.done(&deed, status == Status::Idle, &mut out) {
            Ok(()) if status == Status::Idle => self.end_own(true),
            Ok(()) => (),
            Err(fault) => {
                self.note_fault(&fault);
                out.clear();
                backend::error_response(&mut out, &fault);
                self.fail_block();
            }
        }
        backend::ready_for_query(&mut out, self.status());
        Some(out)
    }

    /// All of it is done: rows, and the end of the command. `alone`: outside a block.
    fn done(&mut self, deed: &Deed, alone: bool, out: &mut BytesMut) -> Result<(), Fault> {
        let tag = match deed {
            Deed::Show(setting) => {
                data_row(out, deed.columns(), &self.shown(*setting), |_| Format::Text);
                "SHOW"
            }
            Deed::Set(setting, value, local) => {
                let base = || self.own.as_ref().map_or("", |own| own.base(*setting)).to_owned();
                let value = match value {
                    Value::Default => base(),
                    Value::Literal(value) => self.checked(*setting, value)?,
                    Value::Computed => return Err(invalid(*setting, b"")),
                };
                if *local && alone {
                    let warning = "SET LOCAL can only be used in transaction blocks";
                    let fault = Fault::error(Blame::Client, SqlState::NO_ACTIVE_SQL_TRANSACTION, warning);
                    backend::warning(out, &fault);
                } else {
                    self.own.get_or_insert_default().set(*setting, &value, *local);
                }
                "SET"
            }
            Deed::Reset(setting) => {
                if let Some(own) = &mut self.own {
                    let base = own.base(*setting).to_owned();
                    own.set(*setting, &base, false);
                }
                "RESET"
            }
            Deed::No(no) => return Err(no_such(no.clone())),
            Deed::ShowLsn => return Err(no_such(NoSuch::Change)),
        };
        command_complete(out, tag.as_bytes());
        Ok(())
    }

    /// A value as it is kept.
    fn checked(&self, setting: OwnSetting, value: &[u8]) -> Result<String, Fault> {
        let text = std::str::from_utf8(value).map(str::trim).map_err(|_| invalid(setting, value))?;
        match setting {
            _ if text.is_empty() => Ok(String::new()),
            OwnSetting::Route => match Hint::of(text.as_bytes()) {
                Some(hint) if self.is_there(hint) => Ok(hint.to_string()),
                _ => Err(invalid(setting, value)),
            },
            OwnSetting::AfterLsn => {
                crate::router::lsn(text).map(|_| text.to_owned()).ok_or_else(|| invalid(setting, value))
            }
        }
    }

    fn shown(&self, setting: OwnSetting) -> Vec<Cell> {
        let value = Cell::from(self.own_value(setting));
        if setting != OwnSetting::Route {
            return vec![value];
        }
        let here = || self.shown_place(self.ran());
        let [host, role, reason, database] = self.last_elsewhere().cloned().unwrap_or_else(here);
        vec![host, role, reason, value, database]
    }

    /// Where something ran: host, role, reason, database.
    pub(super) fn shown_place(&self, ran: Option<Ran>) -> [Cell; 4] {
        let host = ran.and_then(|ran| self.shape.lanes.get(ran.host)).map(|lane| lane.address().to_string());
        let (role, reason) = (ran.map(|ran| ran.role), ran.map(|ran| ran.reason.word()));
        let database = ran.map(|_| self.pool.database.as_str());
        [host.into(), role.into(), reason.into(), database.into()]
    }

    /// The transaction is over that may have changed them.
    pub(super) fn end_own(&mut self, committed: bool) {
        if let Some(own) = self.own.as_mut().filter(|own| own.is_pending()) {
            own.end(committed);
        }
    }

    /// `RESET ALL` outside a transaction.
    pub(super) fn reset_own(&mut self) {
        if let Some(own) = &mut self.own {
            own.reset();
            own.end(true);
        }
    }
}

/// Hears what becomes of a transaction that has changed them, beside who listens.
pub(super) struct OwnWitness<'a> {
    pub own: &'a mut OwnSettings,
    pub other: Option<&'a mut dyn Witness>,
}

impl Witness for OwnWitness<'_> {
    fn complete(&mut self, tag: &[u8]) -> Option<BytesMut> {
        self.own.completed(tag);
        self.other.as_mut()?.complete(tag)
    }

    fn error(&mut self) {
        self.own.failed();
        if let Some(other) = &mut self.other {
            other.error();
        }
    }

    fn ready(&mut self, status: Status) -> bool {
        if status == Status::Idle {
            self.own.at_rest();
        }
        self.other.as_mut().is_none_or(|other| other.ready(status))
    }
}

/// Of a text that sets one among other things, or by code.
pub(super) fn not_alone() -> Fault {
    let message = "settings of PgOtter's own cannot be set or shown among other things";
    Fault::error(Blame::Client, SqlState::FEATURE_NOT_SUPPORTED, message)
        .with_hint("Send SET, RESET and SHOW of a pgotter setting as statements of their own.")
}

/// PostgreSQL's words.
fn no_such(no: NoSuch) -> Fault {
    match no {
        NoSuch::Name(name) => {
            let message = format!("unrecognized configuration parameter \"{}\"", String::from_utf8_lossy(&name));
            Fault::error(Blame::Client, SqlState::UNDEFINED_OBJECT, message)
                .with_hint("There are pgotter.route, pgotter.after_lsn and pgotter.lsn.")
        }
        NoSuch::Change => {
            let message = "parameter \"pgotter.lsn\" cannot be changed";
            Fault::error(Blame::Client, SqlState::CANT_CHANGE_RUNTIME_PARAM, message)
        }
    }
}

/// PostgreSQL's words.
fn invalid(setting: OwnSetting, value: &[u8]) -> Fault {
    let (name, hint) = match setting {
        OwnSetting::Route => (
            "pgotter.route",
            "Available values: primary, replica, replica stale, host=NAME of a host of this database.",
        ),
        OwnSetting::AfterLsn => ("pgotter.after_lsn", "It is what SHOW pgotter.lsn tells, such as 16/B374D848."),
    };
    let message = format!("invalid value for parameter \"{name}\": \"{}\"", String::from_utf8_lossy(value));
    Fault::error(Blame::Client, SqlState::INVALID_PARAMETER_VALUE, message).with_hint(hint)
}
