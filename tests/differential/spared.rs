//! What is left out of a script: what PostgreSQL itself does not survive, and what docs/sessions.md says is different.
//!
//! A Query that fails in a block leaves its unnamed portal behind, and in it statements in memory that the next message overwrites.
//! To find out whether a failed block may run it, Execute looks at them (PostgreSQL 15 to 18, `src/backend/tcop/postgres.c`:
//! `exec_simple_query` keeps them in MessageContext, `exec_execute_message` asks `IsTransactionExitStmtList`): it crashes, or says
//! what chance has put there. A Bind of that portal is refused in such a block, and replaces nothing.
//!
//! What follows a RESET in one Query or pipeline sees the server's default where the client came with a value of its own: only of
//! application_name does it.
//!
//! In a failed block a statement that its server lacks is not described if its text does not tell that it returns nothing.
//!
//! Statements that were only prepared end their transaction at a Flush, so that an isolation level may still be chosen behind it.
//!
//! A statement that is only described has perhaps to be prepared for that, behind which an isolation level cannot be chosen any more.

use super::step::Step;

/// Without each Execute of the unnamed portal that may be the one of a failed Query, each isolation level behind a Flush that no
/// Sync follows or behind a description, each look at what was reset in one go with it, and each Describe that may be one of those.
pub fn sparing(steps: Vec<Step>) -> Vec<Step> {
    let mut watch = Watch::default();
    steps.into_iter().filter(|step| !watch.is_spared(step)).collect()
}

#[derive(Default)]
struct Watch {
    /// A Query may have left its portal.
    left: bool,
    /// The unnamed portal is bound in this pipeline: if that was refused, what is behind it is skipped.
    bound: bool,
    unsynced: bool,
    /// What the client came with was reset since the last Sync.
    reset: bool,
    /// Statements that may do so, and that may look at it.
    resets: Vec<String>,
    looks: Vec<String>,
    /// Those whose text does not tell whether they return rows; and which have been prepared since the last Sync.
    untold: Vec<String>,
    fresh: Vec<String>,
    /// A block may be open.
    begun: bool,
    /// There was a Flush since the last Sync.
    flushed: bool,
    /// A statement of an earlier request was described in this transaction.
    described: bool,
    /// Statements that choose an isolation level.
    isolate: Vec<String>,
    /// A COPY may be under way, which takes the next Query for an end of itself.
    copies: bool,
}

impl Watch {
    fn is_spared(&mut self, step: &Step) -> bool {
        let spared = match step {
            Step::Execute(portal, _) => portal.is_empty() && self.left && !self.bound,
            Step::Query(sql) | Step::Parse(_, sql, _) if isolates(sql) && (self.flushed || self.described) => true,
            Step::Query(sql) => looks_at(sql, if self.reset { 0 } else { reset_in(sql).unwrap_or(sql.len()) }),
            Step::Describe(b'S', name) => self.begun && self.untold.contains(name) && !self.fresh.contains(name),
            Step::Bind { statement, .. } => {
                self.reset && self.looks.contains(statement)
                    || (self.flushed || self.described) && self.isolate.contains(statement)
            }
            _ => false,
        };
        if spared {
            return true;
        }
        match step {
            Step::Query(sql) => {
                self.copies |= sql.contains("FROM STDIN");
                let ends = ["COMMIT", "END", "ROLLBACK", "ABORT"].contains(&sql.as_str());
                let begins = sql == "BEGIN";
                self.left = (self.left || !begins) && !(ends && !self.unsynced && !self.copies);
                self.begun |= begins_in(sql);
                self.described &= !ends;
                self.bound = false;
                self.reset |= self.unsynced && reset_in(sql).is_some();
            }
            Step::Parse(name, sql, _) => {
                self.copies |= sql.contains("FROM STDIN");
                self.resets.extend(reset_in(sql).map(|_| name.clone()));
                self.looks.extend(looks_at(sql, 0).then(|| name.clone()));
                self.isolate.extend(isolates(sql).then(|| name.clone()));
                self.untold.extend(is_untold(sql).then(|| name.clone()));
                self.fresh.push(name.clone());
                self.begun |= begins_in(sql);
            }
            Step::Bind { portal, statement, .. } => {
                self.bound |= portal.is_empty();
                self.reset |= self.resets.contains(statement);
            }
            Step::Describe(b'S', name) => self.described |= !self.fresh.contains(name),
            Step::Sync => {
                (self.bound, self.flushed, self.reset) = (false, false, false);
                self.described &= self.begun;
                self.fresh.clear();
            }
            Step::Flush => self.flushed = true,
            Step::Leave => *self = Self::default(),
            _ => (),
        }
        self.unsynced = *step != Step::Sync && (self.unsynced || step.needs_sync());
        false
    }
}

/// Where in a text application_name is reset.
fn reset_in(sql: &str) -> Option<usize> {
    let resets = ["RESET application_name", "RESET ALL", "DISCARD ALL", "application_name TO DEFAULT"];
    resets.iter().filter_map(|reset| sql.find(reset)).min()
}

/// Whether a text shows it, from there on.
fn looks_at(sql: &str, from: usize) -> bool {
    sql[from..].contains("SHOW application_name")
}

fn isolates(sql: &str) -> bool {
    sql.contains("ISOLATION LEVEL")
}

fn begins_in(sql: &str) -> bool {
    ["BEGIN", "begin", "START", "CHAIN"].iter().any(|word| sql.contains(word))
}

fn is_untold(sql: &str) -> bool {
    ["INSERT", "UPDATE", "DELETE", "FETCH", "MOVE", "EXECUTE", "CALL"].iter().any(|word| sql.starts_with(word))
}
