//! The extended protocol of one console: statements and portals, which hold commands.
//!
//! Source: PostgreSQL documentation, "Extended Query".

use super::command::{Command, fault, no_parameters};
use super::desk::Process;
use super::messages::{Message, Target};
use super::perform::{Answer, Failed};
use super::serve::Console;
use super::show;
use crate::fault::{Fault, SqlState};
use crate::wire::backend::{self, kind};
use crate::wire::rows::{self, Column, Format};
use std::collections::HashMap;

/// Statements of one console. A driver's cache holds hundreds.
const STATEMENTS_MAX: usize = 1000;

/// Portals at a time. One of them may hold the rest of its rows, which may be one for each client: a driver that fetches a
/// few rows at a time does so with one portal.
const PORTALS_MAX: usize = 10;

/// Bytes of a name.
const NAME_MAX: usize = 255;

/// What one console has prepared.
#[derive(Default)]
pub struct Extended {
    statements: HashMap<Vec<u8>, Command>,
    portals: HashMap<Vec<u8>, Portal>,
    /// Something failed: whatever comes up to the next Sync is skipped.
    pub skipping: bool,
}

struct Portal {
    command: Command,
    formats: Vec<Format>,
    // Once it has run: what is left of it.
    answer: Option<Answer>,
}

impl Extended {
    /// The end of a batch is the end of its portals.
    pub fn sync(&mut self) {
        self.skipping = false;
        self.portals.clear();
    }

    /// A simple Query takes the place of what has no name.
    pub fn forget_unnamed(&mut self) {
        self.statements.remove(&b""[..]);
        self.portals.clear();
    }

    fn parse(&mut self, name: Vec<u8>, text: &str, parameters: bool) -> Result<(), Fault> {
        if parameters {
            return Err(no_parameters());
        }
        let command = Command::read(text)?;
        if !name.is_empty() && self.statements.contains_key(&name) {
            let message = format!("prepared statement \"{}\" already exists", String::from_utf8_lossy(&name));
            return Err(fault(SqlState::DUPLICATE_PREPARED_STATEMENT, message));
        }
        check_room(&name, &self.statements, STATEMENTS_MAX)?;
        self.statements.insert(name, command);
        Ok(())
    }

    fn bind(&mut self, portal: Vec<u8>, statement: &[u8], formats: Vec<Format>) -> Result<(), Fault> {
        let command = self.statement(statement)?.clone();
        let columns = columns(&command).len();
        if formats.len() > 1 && formats.len() != columns {
            let message = format!("bind message has {} result formats but query has {columns} columns", formats.len());
            return Err(fault(SqlState::PROTOCOL_VIOLATION, message));
        }
        check_room(&portal, &self.portals, PORTALS_MAX)?;
        self.portals.insert(portal, Portal { command, formats, answer: None });
        Ok(())
    }

    /// Whether this portal may hold the rest of its rows.
    fn check_rest(&self, name: &[u8]) -> Result<(), Fault> {
        let has_rest = |portal: &Portal| portal.answer.as_ref().is_some_and(|answer| answer.rows.len() > 0);
        match self.portals.iter().any(|(other, portal)| other != name && has_rest(portal)) {
            true => Err(too_much("another portal has not been run to its end".to_owned())),
            false => Ok(()),
        }
    }

    fn statement(&self, name: &[u8]) -> Result<&Command, Fault> {
        self.statements.get(name).ok_or_else(|| {
            let message = format!("prepared statement \"{}\" does not exist", String::from_utf8_lossy(name));
            fault(SqlState::INVALID_SQL_STATEMENT_NAME, message)
        })
    }

    fn portal(&mut self, name: &[u8]) -> Result<&mut Portal, Fault> {
        self.portals.get_mut(name).ok_or_else(|| {
            let message = format!("portal \"{}\" does not exist", String::from_utf8_lossy(name));
            fault(SqlState::INVALID_CURSOR_NAME, message)
        })
    }
}

/// What takes the place of another needs no room.
fn check_room<T>(name: &[u8], kept: &HashMap<Vec<u8>, T>, most: usize) -> Result<(), Fault> {
    if name.len() > NAME_MAX {
        Err(too_much(format!("a name may have {NAME_MAX} bytes")))
    } else if kept.len() >= most && !kept.contains_key(name) {
        Err(too_much(format!("a console keeps {most} of them")))
    } else {
        Ok(())
    }
}

fn too_much(why: String) -> Fault {
    fault(SqlState::PROGRAM_LIMIT_EXCEEDED, "too much to be kept".to_owned()).with_detail(why)
}

fn columns(command: &Command) -> Vec<Column> {
    match command {
        Command::Show(show) => show::columns(*show),
        _ => Vec::new(),
    }
}

/// Of the column at this place.
pub fn format_at(formats: &[Format]) -> impl Fn(usize) -> Format {
    move |place| match formats {
        [] => Format::Text,
        [all] => *all,
        each => each.get(place).copied().unwrap_or(Format::Text),
    }
}

impl<P: Process> Console<'_, P> {
    /// One message of a batch.
    pub(super) async fn step(&mut self, message: Message) -> Result<(), Failed> {
        match message {
            Message::Parse { name, text, parameters } => {
                self.extended.parse(name, &text, parameters)?;
                backend::empty(&mut self.out, kind::PARSE_COMPLETE);
            }
            Message::Bind { parameters: true, .. } => return Err(no_parameters().into()),
            Message::Bind { portal, statement, formats, .. } => {
                self.extended.bind(portal, &statement, formats)?;
                backend::empty(&mut self.out, kind::BIND_COMPLETE);
            }
            Message::Describe(target) => self.describe(&target)?,
            Message::Close(target) => {
                match target {
                    Target::Statement(name) => drop(self.extended.statements.remove(&name)),
                    Target::Portal(name) => drop(self.extended.portals.remove(&name)),
                }
                backend::empty(&mut self.out, kind::CLOSE_COMPLETE);
            }
            Message::Execute { portal, rows } => self.execute(&portal, rows).await?,
            // Dealt with before.
            _ => (),
        }
        Ok(())
    }

    fn describe(&mut self, target: &Target) -> Result<(), Fault> {
        let (columns, formats) = match target {
            Target::Statement(name) => {
                let columns = columns(self.extended.statement(name)?);
                rows::no_parameters(&mut self.out);
                (columns, Vec::new())
            }
            Target::Portal(name) => {
                let portal = self.extended.portal(name)?;
                (columns(&portal.command), portal.formats.clone())
            }
        };
        match columns.is_empty() {
            true => backend::empty(&mut self.out, kind::NO_DATA),
            false => rows::row_description(&mut self.out, &columns, format_at(&formats)),
        }
        Ok(())
    }

    /// Runs a portal, or goes on with it, for so many rows.
    async fn execute(&mut self, name: &[u8], limit: usize) -> Result<(), Failed> {
        let portal = self.extended.portal(name)?;
        let formats = portal.formats.clone();
        let mut answer = match portal.answer.take() {
            Some(answer) => answer,
            None => {
                let command = portal.command.clone();
                self.perform(&command).await?
            }
        };
        let limit = if limit == 0 { usize::MAX } else { limit };
        for row in answer.rows.by_ref().take(limit) {
            rows::data_row(&mut self.out, &answer.columns, &row, format_at(&formats));
        }
        if answer.rows.len() > 0 {
            self.extended.check_rest(name)?;
            backend::empty(&mut self.out, kind::PORTAL_SUSPENDED);
        } else {
            // Where they were is memory too.
            answer.rows = Vec::new().into_iter();
            self.complete(&mut answer);
        }
        if let Ok(portal) = self.extended.portal(name) {
            portal.answer = Some(answer);
        }
        Ok(())
    }
}
