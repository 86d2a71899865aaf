//! Tables whose policies ask for a setting of the session: each tenant sees its own rows, wherever it reads.

use crate::support::raw::*;
use crate::world::*;

#[test]
fn tenants_that_take_turns_on_replicas_see_their_own_rows_and_no_others() {
    let world = World::new("");
    world.define(
        "orders (tenant int, note text)",
        "INSERT INTO orders SELECT g % 6, 'of ' || g % 6 FROM generate_series(1, 60) g; \
         CREATE FUNCTION tenant() RETURNS int LANGUAGE sql STABLE AS $$ SELECT current_setting('app.tenant', true)::int $$; \
         CREATE TABLE parts (tenant int DEFAULT current_setting('app.tenant')::int, note text); \
         INSERT INTO parts SELECT tenant, note FROM orders; \
         ALTER TABLE orders ENABLE ROW LEVEL SECURITY; ALTER TABLE parts ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY own ON orders USING (tenant = nullif(current_setting('app.tenant'), '')::int); \
         CREATE POLICY own ON parts USING (tenant = tenant()); \
         CREATE ROLE shopper; GRANT SELECT ON orders, parts TO shopper",
    );
    let mut tenants: Vec<Raw> = (0..6).map(|_| world.client()).collect();
    for (tenant, client) in tenants.iter_mut().enumerate() {
        client.ask(&format!("SET app.tenant = '{tenant}'; SET ROLE shopper"));
    }
    let read = |table: &str| {
        format!(
            "SELECT string_agg(DISTINCT note, ',') || ' ' || count(*) || ' ' || current_setting('otter.host') FROM {table}"
        )
    };
    // Each on every replica's servers, which the others have used in between.
    let mut on_replicas = 0;
    for _ in 0..20 {
        for (tenant, client) in tenants.iter_mut().enumerate() {
            for table in ["orders", "parts"] {
                let answer = client.value(&read(table));
                assert!(answer.starts_with(&format!("of {tenant} 10 ")), "{table} shows tenant {tenant}: {answer}");
                on_replicas += usize::from(!answer.ends_with(PRIMARY));
            }
        }
    }
    assert!(on_replicas >= 200, "{on_replicas} of 240 ran on replicas");
    // Who has none sees none.
    let mut nobody = world.client();
    nobody.ask("SET ROLE shopper");
    assert_eq!(error_code(&nobody.ask(&read("orders"))).as_deref(), Some("42704"));
}

#[test]
fn a_policy_that_asks_for_what_belongs_to_a_server_or_for_a_computed_name_is_read_on_the_primary() {
    let world = World::new("");
    world.define(
        "t (a text)",
        "CREATE VIEW own AS SELECT current_setting('app.x', true) AS a, a AS b FROM t; \
         CREATE VIEW servers AS SELECT current_setting('listen_addresses') AS a; \
         CREATE VIEW computed AS SELECT current_setting('app.' || a, true) AS a FROM t; \
         CREATE VIEW pair AS SELECT current_setting('app.x', true) AS a, current_setting('listen_addresses') AS b",
    );
    let mut client = world.client();
    let read = |view: &str| format!("SELECT count(a) || current_setting('otter.host') FROM {view}");
    eventually("its view runs on replicas", || !client.value(&read("own")).ends_with(PRIMARY));
    for view in ["servers", "computed", "pair"] {
        for _ in 0..5 {
            let answer = client.value(&read(view));
            assert!(answer.ends_with(PRIMARY), "{view}: {answer}");
        }
    }
}
