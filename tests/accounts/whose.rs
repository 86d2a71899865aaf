//! Whose an error is: of the statement that it is the end of, and of no other one.

use super::talk::Client;
use super::world::{fresh_role, look};
use super::{shown, watched};
use crate::support::raw::{bind, describe, execute, parse, sync};

#[test]
fn a_plan_that_has_gone_stale_is_an_error_of_its_own_statement_if_that_is_told_and_of_none_if_it_is_cured() {
    // What is known of a server's statements is forgotten when its client leaves it: who keeps it shows whether it was before.
    for keeps_its_server in [false, true] {
        errors_are_those_of_their_statements(keeps_its_server);
    }
}

fn errors_are_those_of_their_statements(keeps_its_server: bool) {
    let (pooler, _) = watched("default_pool_size = 1", "");
    let role = fresh_role();
    look(&format!("CREATE TABLE stale_{role} (id int)"));
    look(&format!("ALTER TABLE stale_{role} OWNER TO {role}"));
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    if keeps_its_server {
        assert!(client.query("create temporary table pin (a int)").errors.is_empty());
    }
    let prepare = parse("s", &format!("select * from stale_{role}"));
    let described = [bind("", "s", &[]), describe(b'P', ""), execute("", 0), sync()].concat();
    client.send(&[prepare, described.clone()].concat());
    assert!(client.answer().errors.is_empty());
    look(&format!("ALTER TABLE stale_{role} ADD COLUMN more int"));
    // It is prepared anew, and the client hears nothing of it.
    client.send(&described);
    assert!(client.answer().errors.is_empty());
    // No statement was to run: it is not the one that was cured.
    client.send(&[parse("", "select * from nowhere"), sync()].concat());
    client.answer().error("42P01");
    let table = shown(&pooler, "ERRORS");
    assert_eq!((table.rows.len(), table.row(&[("sqlstate", "42P01")]).get("fingerprint")), (1, None), "{table:?}");
    // Who does not ask for its columns would misread the rows.
    look(&format!("ALTER TABLE stale_{role} ADD COLUMN most int"));
    client.send(&[bind("", "s", &[]), execute("", 0), sync()].concat());
    client.answer().error("0A000");
    client.query("select 1 / 0").error("22012");
    let table = shown(&pooler, "ERRORS");
    assert_eq!(table.row(&[("sqlstate", "0A000")]).text("query"), format!("select * from stale_{role}"), "{table:?}");
    assert_eq!(table.row(&[("sqlstate", "22012")]).text("query"), "select ? / ?", "{table:?}");
}
