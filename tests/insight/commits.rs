//! COMMITs that fail, and those of which nobody hears how they end.

use super::{Client, counts, fresh_role, look, queries, query};
use crate::support::proxy::Proxy;
use crate::support::raw::{extended, sync};
use crate::support::table::{console, lines, show};
use crate::support::world::until_it_sleeps;

#[test]
fn a_commit_that_fails_or_is_cut_off_is_an_error_of_its_own_and_not_of_what_it_was_to_commit() {
    // Of those that are cut off nobody knows whether they are over.
    for (seconds, code, over) in [(0, "22012", 2), (100, "08007", 1)] {
        let role = fresh_role();
        look(&format!(
            "CREATE TABLE slow_{role} (n int);
             CREATE FUNCTION slow_{role}() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN PERFORM pg_sleep({seconds}); PERFORM 1 / 0; END $$;
             CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow_{role} DEFERRABLE INITIALLY DEFERRED
               FOR EACH ROW EXECUTE FUNCTION slow_{role}();
             ALTER TABLE slow_{role} OWNER TO {role}"
        ));
        for mode in ["transaction", "session"] {
            for is_extended in [false, true] {
                let proxy = Proxy::new(0);
                let pooler = proxy.behind_pgotter(&lines(&format!("pool_mode = \"{mode}\"")));
                let mut client = Client::connect(pooler.port(), &role, "postgres");
                let backend = client.backend();
                let insert = format!("insert into slow_{role} values (1)");
                for sql in ["begin", &insert, "commit"] {
                    let bytes = if is_extended { [extended(sql, &[]), sync()].concat() } else { query(sql) };
                    client.send(&bytes);
                    if sql != "commit" {
                        assert!(client.answer().errors.is_empty());
                    }
                }
                if seconds > 0 {
                    until_it_sleeps(&backend);
                    proxy.cut();
                }
                assert_eq!(client.answer().code(), code);
                if seconds > 0 {
                    look(&format!("SELECT pg_terminate_backend({backend})"));
                }
                let what = format!("{code}, {mode} mode, extended: {is_extended}");
                let table = queries(&pooler);
                assert_eq!(counts(&table, "commit"), [1, 1, 0], "{what}");
                assert_eq!(counts(&table, &format!("insert into slow_{role} values (?)")), [1, 0, 1], "{what}");
                let mut console = console(&pooler);
                let begins = u64::from(mode == "session");
                let stats = show(&mut console, "STATS");
                let row = stats.row(&[("database", "postgres")]);
                assert_eq!(row.numbers(["total_xact_count", "total_query_count"]), [over, 3 + begins], "{what}");
                let errors = show(&mut console, "ERRORS");
                assert_eq!((errors.rows.len(), errors.row(&[("sqlstate", code)]).number("errors")), (1, 1), "{what}");
            }
        }
    }
}
