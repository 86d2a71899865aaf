//! A client that has changed its settings since it prepared a statement: what PostgreSQL has read by the old ones stays as it is,
//! on servers too that are yet to prepare it. They do so under the old ones.

use super::connection::Client;
use super::settle::Bent;
use crate::server::{Forwarding, Meanwhile};
use crate::session::{Settings, Statement};
use crate::wire::backend::Status;
use std::ops::Range;
use std::sync::Arc;

/// What is described in place of a client's statement.
const DESCRIBED: &str = "pgotter.described";

impl Client {
    /// A statement that a server may lack, of a client whose settings are not those any more under which it was prepared. Where
    /// more has changed than what it was read by, it becomes another one, which others do not share.
    pub(super) fn prepared_again(
        &mut self,
        under_way: &mut Forwarding<'_>,
        name: Box<[u8]>,
        statement: Arc<Statement>,
    ) -> Arc<Statement> {
        let Some(body) = statement.body().filter(|_| !under_way.has(&statement)) else { return statement };
        let now = self.settings.clone();
        let then = self.meanwhile(under_way, &statement, &now).settings;
        let mut settings = now.clone();
        for (name, value, _) in &then {
            Arc::make_mut(&mut settings).hear(name, value);
        }
        if self.bent == Bent::No && !then.is_empty() && statement.suits(&settings) {
            return statement;
        }
        let own = self.pool.statements().own(body, &settings, self.knows_reported(under_way));
        if let Some(statements) = &mut self.statements {
            statements.put(&name, Some(own.clone()));
        }
        own
    }

    /// What is to be set while a server prepares this statement of a client whose settings are `now`.
    pub(super) fn meanwhile<'a>(
        &self,
        under_way: &Forwarding<'_>,
        statement: &'a Statement,
        now: &'a Settings,
    ) -> Meanwhile<'a> {
        let exchange = under_way.server().exchange();
        // No Query may stand behind what we execute (`server/exchange/tangle.rs`); COMMIT and ROLLBACK are all that is run in a failed block.
        if !self.knows_reported(under_way) || !under_way.may_execute() || exchange.status() == Status::Failed {
            return Meanwhile::default();
        }
        let settings = statement.frozen(now);
        // What was set in a block may be set for that block alone, which none of these has to outlive.
        let local = self.bent != Bent::No;
        if local && exchange.status_behind_ours() != Some(Status::InTransaction) {
            return Meanwhile::default();
        }
        Meanwhile { settings, local }
    }

    /// Describe, where nothing can be set meanwhile: has the server describe another one of the same text, and keep none.
    pub(super) fn describe_apart(
        &self,
        under_way: &mut Forwarding<'_>,
        at: &Range<usize>,
        statement: &Arc<Statement>,
    ) -> bool {
        let apart = !under_way.may_execute() && !statement.frozen(&self.settings).is_empty();
        let Some(body) = statement.body().filter(|_| apart && !under_way.has(statement)) else { return false };
        under_way.prepare_own(DESCRIBED, body);
        under_way.rename(at.clone(), DESCRIBED, None);
        true
    }

    /// Whether the settings that PostgreSQL reports are known: nothing is under way that may change them.
    pub(super) fn knows_reported(&self, under_way: &Forwarding<'_>) -> bool {
        self.bent == Bent::No || under_way.server().exchange().status_behind_ours().is_some()
    }
}
