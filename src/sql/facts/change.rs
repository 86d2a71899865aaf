//! Which tables a text may change, for who has to know what others must see of it.

use super::{Bounds, Facts, Relation, Statement, Touches, Verb, Verdict};

/// What a text may change of what others see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Nothing: it reads, locks, or concerns its session or transaction alone.
    Nothing,
    /// Nothing, but from now on it hears what others tell: what they told before it must see.
    Hears,
    /// Those of its relations that are [`Relation::written`].
    Relations,
    /// Nobody knows.
    Anything,
}

impl Facts {
    /// What it may change.
    pub fn change(&self) -> Change {
        let changes = |statement: &Statement| match statement.verdict {
            Verdict::Read | Verdict::Catalog | Verdict::Node | Verdict::Session | Verdict::Lock => Change::Nothing,
            Verdict::Write => Change::Relations,
            // LISTEN goes to its server as an UNLISTEN. What a cursor runs was told when it was declared; it may lock rows.
            Verdict::Utility if hears(&statement.verb) => Change::Hears,
            Verdict::Utility if concerns_itself(&statement.verb) => Change::Nothing,
            Verdict::Utility | Verdict::Function | Verdict::Ddl | Verdict::Unparsed => Change::Anything,
        };
        // A verdict tells the first reason of several.
        let hidden = self.bounds().any(Bounds::WRITES)
            || self.touches.any(Touches::HIDDEN.and(Touches::DYNAMIC).and(Touches::CREATES));
        match self.statements.iter().map(changes).max().unwrap_or(Change::Nothing) {
            _ if hidden || self.unsure.is_some() => Change::Anything,
            Change::Relations if self.relations().is_none() || self.named.spreads => Change::Anything,
            change => change,
        }
    }

    /// Whether an error undoes all that it has done, outside a block: none of its statements commits, and none does what no transaction
    /// holds. What a function has another connection do is past this process anyway.
    pub fn is_undone(&self) -> bool {
        let is_undone = |statement: &Statement| matches!(statement.verb, Verb::Select | Verb::Write | Verb::Explain);
        self.unsure.is_none() && self.statements.iter().all(is_undone)
    }
}

/// Whether it changes nothing, and may see what others have written meanwhile.
fn hears(verb: &Verb) -> bool {
    matches!(verb, Verb::Listen(_) | Verb::Unlisten(_) | Verb::Declare { .. } | Verb::Fetch)
}

/// Whether it does nothing but to its session or transaction. What it ends or prepares counts by itself.
fn concerns_itself(verb: &Verb) -> bool {
    use Verb::*;
    match verb {
        Begin(_) | Commit { .. } | Rollback { .. } | Savepoint(_) | Release(_) | RollbackTo(_) => true,
        Set(_) | SetTransaction(_) | Reset(_) | ResetAll | Show(_) => true,
        Prepare(_) | Deallocate(_) | DeallocateAll | Discard(_) => true,
        UnlistenAll | Notify(_) | CloseCursor(_) | CloseAll => true,
        Listen(_)
        | Unlisten(_)
        | Select
        | Write
        | Copy { .. }
        | Explain
        | Other
        | PrepareTransaction
        | FinishPrepared
        | SetConfig(_)
        | Execute { .. }
        | Declare { .. }
        | Fetch
        | Do
        | Call
        | Load
        | Lock => false,
    }
}

impl Relation {
    /// The names of those that are written, by which writes to them are known.
    pub fn written(relations: &[Self]) -> impl Iterator<Item = &[u8]> {
        relations.iter().filter(|relation| relation.written).map(Self::known_as)
    }
}

#[cfg(test)]
mod tests {
    //! Texts, and what they may change.

    use super::super::{Facts, Plain, Reading, read};
    use super::*;

    fn facts(text: &str) -> Facts {
        read(text.as_bytes(), Reading::default(), &Plain)
    }

    #[test]
    fn a_text_changes_the_tables_that_it_writes_and_no_others() {
        let written = |text: &str| {
            let facts = facts(text);
            assert_eq!(facts.change(), Change::Relations, "{text}");
            let names = Relation::written(facts.relations().unwrap_or_default());
            names.map(|name| name.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
        };
        for (text, tables) in [
            ("INSERT INTO a SELECT * FROM b", "a"),
            ("UPDATE s.a SET x = 1 FROM b WHERE a.i = b.i", "a"),
            ("DELETE FROM a USING b", "a"),
            ("WITH x AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM x", "a b"),
            ("MERGE INTO a USING b ON true WHEN MATCHED THEN DELETE", "a"),
            ("SELECT 1; UPDATE a SET x = 1; DELETE FROM c", "a c"),
            ("COPY a FROM STDIN", "a"),
            ("COPY s.a (x, y) FROM STDIN WITH (FORMAT csv) WHERE x > 1", "a"),
            ("SELECT 1 FROM b, a; COPY b FROM STDIN", "b"),
        ] {
            assert_eq!(written(text), tables, "{text}");
        }
    }

    #[test]
    fn what_reads_or_concerns_its_session_changes_nothing() {
        for text in [
            "SELECT * FROM a",
            "SELECT * FROM a FOR UPDATE",
            "SET work_mem = '1MB'",
            "BEGIN",
            "COMMIT",
            "SHOW TimeZone",
        ] {
            assert_eq!(facts(text).change(), Change::Nothing, "{text}");
        }
        for text in ["LISTEN x", "DECLARE c CURSOR FOR SELECT * FROM a FOR UPDATE", "FETCH 1 FROM c"] {
            assert_eq!(facts(text).change(), Change::Hears, "{text}");
        }
    }

    #[test]
    fn an_error_undoes_what_does_not_commit() {
        for text in
            ["SELECT f()", "SELECT * FROM nowhere", "UPDATE a SET x = 1; SELECT 1/0", "EXPLAIN ANALYZE DELETE FROM a"]
        {
            assert!(facts(text).is_undone(), "{text}");
        }
        for text in [
            "BEGIN; UPDATE a SET x = 1; COMMIT; SELECT 1/0",
            "CALL p()",
            "DO 'BEGIN COMMIT; END'",
            "EXECUTE s",
            "EXPLAIN ANALYZE EXECUTE s",
            "VACUUM",
            "CREATE INDEX CONCURRENTLY i ON a (x)",
            "COMMIT PREPARED 'x'",
            "SELECT 'unterminated",
        ] {
            assert!(!facts(text).is_undone(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_followed_may_change_anything() {
        for text in [
            "CREATE TABLE t (a int)",
            "COPY BINARY a FROM STDIN",
            "SELECT f() FROM a FOR UPDATE",
            "SELECT 1 AS x INTO a",
            "TRUNCATE a",
            "DO 'BEGIN END'",
            "CALL p()",
            "SELECT f()",
            "EXECUTE s",
            "INSERT INTO a SELECT f()",
            "COMMIT PREPARED 'x'",
            "DECLARE c CURSOR FOR SELECT f()",
            "SELECT 'unterminated",
        ] {
            assert_eq!(facts(text).change(), Change::Anything, "{text}");
        }
    }
}
