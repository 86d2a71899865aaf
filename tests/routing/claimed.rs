//! `read_functions` and `write_functions`: what the configuration says of functions goes before what the catalog says.

use crate::world::*;

#[test]
fn functions_are_what_the_configuration_says_from_one_reload_to_the_next() {
    let mut world =
        World::new("read_functions = [\"total\", \"computed\", '\"Total\"']\nwrite_functions = [\"audit\"]");
    world.define(
        "t (a int)",
        "CREATE FUNCTION total() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t'; \
         CREATE FUNCTION \"Total\"() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t'; \
         CREATE FUNCTION other() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t'; \
         CREATE FUNCTION computed() RETURNS bigint LANGUAGE plpgsql AS \
             $$ DECLARE found bigint; BEGIN EXECUTE 'SELECT count(*) FROM ' || 't' INTO found; RETURN found; END $$; \
         CREATE FUNCTION audit() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM t'; \
         CREATE VIEW totals AS SELECT total() AS a",
    );
    let mut client = world.client();
    let from = |what: &str| format!("SELECT current_setting('otter.host') FROM (SELECT * FROM {what}) AS a");
    for reads in ["total()", "\"Total\"()", "computed()", "totals"] {
        eventually(reads, || client.value(&from(reads)) != PRIMARY);
    }
    for writes in ["other()", "audit()"] {
        assert_eq!(client.value(&from(writes)), PRIMARY, "{writes}");
    }
    world.reconfigure("\"total\", ", "\"other\", ");
    world.reconfigure("write_functions = [\"audit\"]", "");
    for reads in ["other()", "audit()", "computed()"] {
        eventually(reads, || client.value(&from(reads)) != PRIMARY);
    }
    for writes in ["total()", "totals"] {
        assert_eq!(client.value(&from(writes)), PRIMARY, "{writes}");
    }
}
