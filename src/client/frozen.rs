//! A client that has changed its settings since it prepared a statement: what PostgreSQL has read by the old ones stays as it is,
//! on servers too that are yet to prepare it. They do so under the old ones.

use super::connection::Client;
use super::settle::Bent;
use crate::server::{Forwarding, Meanwhile};
use crate::session::{Certain, Settings, Statement, is_read_by_unheard};
use crate::wire::backend::Status;
use std::ops::Range;
use std::sync::Arc;

/// What is described in place of a client's statement.
const DESCRIBED: &str = "pgotter.described";

impl Client {
    /// A statement that a server may lack, of a client whose settings are not those any more under which it was prepared. Where
    /// more has changed than what it was read by, it becomes another one; and where others are not to get the plans that are made now.
    pub(super) fn prepared_again(
        &mut self,
        under_way: &mut Forwarding<'_>,
        name: Box<[u8]>,
        statement: Arc<Statement>,
    ) -> Arc<Statement> {
        let planned_otherwise = statement.is_shared()
            && (self.bent >= Bent::Plans || !statement.is_planned_alike(&self.settings))
            && under_way.server().exchange().status() != Status::Failed;
        let Some(body) = statement.body().filter(|_| planned_otherwise || !under_way.has(&statement)) else {
            return statement;
        };
        let now = self.settings.clone();
        let then = self.meanwhile(under_way, &statement, &now).settings;
        let mut settings = now.clone();
        for (name, value, _) in &then {
            let settings = Arc::make_mut(&mut settings);
            // They were within the bounds of a client then.
            let _ = match value {
                Some(value) => settings.set(name, value),
                None => settings.unset(name),
            };
        }
        if self.bent == Bent::No && !then.is_empty() && statement.suits(&settings) {
            return statement;
        }
        let brought = then.iter().any(|(name, ..)| is_read_by_unheard(name));
        let certain = if brought { Certain::All } else { self.certain(under_way) };
        let mut table = self.pool.statements();
        let shared = if self.bent == Bent::No { table.share(body, &settings) } else { None };
        let readings = self.readings_under(&settings, under_way.server());
        let another = shared.unwrap_or_else(|| table.own(body, &settings, certain, readings));
        drop(table);
        if let Some(statements) = &mut self.statements {
            statements.put(&name, Some(another.clone()));
        }
        another
    }

    /// What is to be set while a server prepares this statement of a client whose settings are `now`.
    pub(super) fn meanwhile<'a>(
        &self,
        under_way: &Forwarding<'_>,
        statement: &'a Statement,
        now: &'a Settings,
    ) -> Meanwhile<'a> {
        let exchange = under_way.server().exchange();
        let block = exchange.status_behind_ours() == Some(Status::InTransaction);
        // Outside a block nobody undoes it but who knows what it was.
        let undone = block || self.bent == Bent::No;
        // No Query may stand behind what we execute (`server/exchange/tangle.rs`); COMMIT and ROLLBACK are all that is run in a failed block.
        if !undone || !under_way.may_execute() || exchange.status() == Status::Failed {
            return Meanwhile::default();
        }
        Meanwhile { settings: statement.frozen(now, self.bent >= Bent::Any), block }
    }

    /// Describe, where nothing can be set meanwhile: has the server describe another one of the same text, and keep none.
    pub(super) fn describe_apart(
        &self,
        under_way: &mut Forwarding<'_>,
        at: &Range<usize>,
        statement: &Arc<Statement>,
    ) -> bool {
        let doubt = self.bent >= Bent::Any;
        let apart = !under_way.may_execute() && !statement.frozen(&self.settings, doubt).is_empty();
        let Some(body) = statement.body().filter(|_| apart && !under_way.has(statement)) else { return false };
        under_way.prepare_own(DESCRIBED, body);
        under_way.rename(at.clone(), DESCRIBED, None);
        true
    }

    /// How much is known of the settings that are in force now.
    pub(super) fn certain(&self, under_way: &Forwarding<'_>) -> Certain {
        match self.bent {
            Bent::No => Certain::All,
            // Something is under way that may change those that PostgreSQL reports.
            _ if under_way.server().exchange().status_behind_ours().is_none() => Certain::Nothing,
            Bent::Settings | Bent::Rules => Certain::All,
            Bent::Any | Bent::Plans | Bent::Constants => Certain::Reported,
        }
    }
}
