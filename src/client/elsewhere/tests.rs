//! Where tables are, by name, rules and search path.

use super::map::Map;
use super::{Belongs, Misplaced};
use crate::config::{RouteRule, RuleRoute};
use crate::sql::{self, Reading};

fn rule(table: &str, entry: &str) -> RouteRule {
    let (table, route) = (Some(table.to_owned()), RuleRoute::Database(entry.to_owned()));
    RouteRule { database: None, table, fingerprint: None, application_name: None, user: None, route }
}

/// `both` is a table that there is at home and in every entry.
fn has(entry: &str, name: &[u8]) -> Option<bool> {
    match entry {
        "unread" => None,
        "shop" => Some(matches!(name, b"orders" | b"both")),
        _ => Some(matches!(name, b"events" | b"both")),
    }
}

fn judge(rules: &[RouteRule], path: Option<&str>, text: &str) -> Result<Belongs, Misplaced> {
    let path = path.map(str::as_bytes);
    let map = Map { rules, database: "shop", user: "app", path, role: "app", has: &has };
    let facts = sql::read(text.as_bytes(), Reading::default(), &sql::Plain);
    map.text(Some(text.as_bytes()), Reading::default(), &facts)
}

const THERE: Result<Belongs, Misplaced> = Ok(Belongs::There(0));
const HOME: Result<Belongs, Misplaced> = Ok(Belongs::Home);
const NOWHERE: Result<Belongs, Misplaced> = Ok(Belongs::Nowhere);
const MIXED: Result<Belongs, Misplaced> = Err(Misplaced::Mixed(0));
const UNSURE: Result<Belongs, Misplaced> = Err(Misplaced::Unsure(0));

#[test]
fn a_text_belongs_where_all_of_its_tables_are() {
    let rules = [rule("logs.*", "logs"), rule("audit", "logs"), rule("old_*", "archive"), rule("own", "shop")];
    for (text, expected) in [
        ("SELECT 1", NOWHERE),
        ("SELECT * FROM pg_class, pg_catalog.pg_type, information_schema.tables", NOWHERE),
        ("SELECT * FROM orders", HOME),
        ("SELECT * FROM own", HOME),
        ("SELECT * FROM logs.events", THERE),
        ("INSERT INTO \"logs\".events SELECT * FROM LOGS.other", THERE),
        ("INSERT INTO logs.events SELECT * FROM audit", THERE),
        ("SELECT * FROM public.audit JOIN logs.events USING (id), pg_class", Ok(Belongs::There(1))),
        ("WITH e AS (SELECT * FROM logs.events) SELECT * FROM logs.x", THERE),
        ("COPY logs.events FROM STDIN", THERE),
        ("COPY (SELECT * FROM logs.events) TO STDOUT", THERE),
        ("EXPLAIN SELECT * FROM logs.events", THERE),
        ("DECLARE c CURSOR FOR SELECT * FROM logs.events", THERE),
        ("BEGIN; UPDATE logs.events SET a = 1; COMMIT", THERE),
        ("SELECT * FROM logs.events, orders", MIXED),
        ("SELECT * FROM logs.events, old_events", MIXED),
        ("SELECT * FROM orders WHERE EXISTS (SELECT FROM logs.events)", MIXED),
        ("INSERT INTO orders SELECT * FROM logs.events", MIXED),
        ("DELETE FROM orders USING logs.events", MIXED),
        ("DELETE FROM logs.events USING a.x JOIN logs.y USING (id)", MIXED),
        ("DELETE FROM logs.events USING logs.x JOIN logs.y USING (id)", THERE),
        ("UPDATE ONLY (logs.events) SET a = 1", THERE),
        ("DELETE FROM ONLY (logs.events)", THERE),
        ("MERGE INTO ONLY (logs.events) e USING orders ON true WHEN MATCHED THEN DELETE", MIXED),
        ("MERGE INTO orders USING logs.events ON true WHEN MATCHED THEN DELETE", MIXED),
        ("MERGE INTO logs.a USING logs.b ON true WHEN NOT MATCHED THEN INSERT VALUES (1)", THERE),
        ("SELECT 1; SELECT * FROM orders; SELECT * FROM logs.events", MIXED),
    ] {
        let judged = judge(&rules, Some("public"), text);
        assert_eq!(judged, expected, "{text}");
    }
}

#[test]
fn what_names_tables_in_ways_that_are_not_followed_is_refused_if_it_may_name_one_elsewhere() {
    let rules = [rule("logs.*", "logs")];
    for (text, expected) in [
        ("TRUNCATE orders", HOME),
        ("CREATE TABLE a (b int)", HOME),
        ("TRUNCATE logs.events", UNSURE),
        ("TRUNCATE orders, \"logs\" . events", UNSURE),
        ("LOCK TABLE logs.events", UNSURE),
        ("CREATE TABLE logs.x (a int)", UNSURE),
        ("ALTER TABLE orders ADD FOREIGN KEY (a) REFERENCES logs.events", UNSURE),
        ("SELECT * INTO logs.x FROM orders", UNSURE),
        ("CREATE VIEW v AS SELECT * FROM logs.events", UNSURE),
        ("PREPARE p AS SELECT * FROM logs.events", UNSURE),
        ("REFRESH MATERIALIZED VIEW logs.events", UNSURE),
        ("COMMENT ON TABLE orders IS 'see logs.events'", HOME),
        ("DO $$ BEGIN TRUNCATE logs.events; END $$", NOWHERE),
        ("CALL logs.f()", NOWHERE),
        ("SET search_path = logs", NOWHERE),
        ("SELECT U&\"log\\0073\".a FROM orders UESCAPE '!'", HOME),
        ("SELECT 'unterminated FROM logs.events", NOWHERE),
        ("SELECT 1a FROM logs.events", UNSURE),
        ("SELECT 1a FROM orders", HOME),
        ("UPDATE values SET a = 1", HOME),
        ("WITH d AS (DELETE FROM orders RETURNING *) SELECT * INTO logs.x FROM d", UNSURE),
        ("SELECT * FROM orders set, logs.events", UNSURE),
    ] {
        assert_eq!(judge(&rules, Some("public"), text), expected, "{text}");
    }
}

#[test]
fn a_name_without_a_schema_is_looked_for_along_the_search_path() {
    let rules = [rule("logs.*", "logs")];
    for (path, text, expected) in [
        (Some("\"$user\", public"), "SELECT * FROM events", HOME),
        (Some("logs"), "SELECT * FROM events", THERE),
        (Some(" LOGS , \"logs\""), "SELECT * FROM orders", THERE),
        (Some("\"Logs\""), "SELECT * FROM events", HOME),
        (Some("logs, public"), "SELECT * FROM events", THERE),
        (Some("public, logs"), "SELECT * FROM events", THERE),
        (Some("logs, public"), "SELECT * FROM orders", HOME),
        (Some("logs, public"), "SELECT * FROM both", UNSURE),
        (Some("logs, public"), "SELECT * FROM public.both", HOME),
        (Some("logs, public"), "SELECT * FROM neither", HOME),
        (None, "SELECT * FROM events", THERE),
        (None, "SELECT * FROM both", UNSURE),
        (Some("logs"), "TRUNCATE events", UNSURE),
        (Some("logs, \"unended"), "SELECT * FROM both", UNSURE),
    ] {
        assert_eq!(judge(&rules, path, text), expected, "{path:?} {text}");
    }
    let unread = [rule("logs.*", "unread")];
    assert_eq!(judge(&unread, Some("logs, public"), "SELECT * FROM orders"), Err(Misplaced::Unread(0)));
    let of_user = [rule("app.*", "logs")];
    assert_eq!(judge(&of_user, Some("\"$user\""), "SELECT * FROM x"), THERE, "$user is the role's name");
}

#[test]
fn a_name_like_postgresqls_own_is_a_rules_if_the_rule_says_so() {
    let own = [rule("pg_audit*", "logs"), rule("logs.*", "logs")];
    for (path, text, expected) in [
        ("public", "INSERT INTO pg_audit_log VALUES (1)", THERE),
        ("public", "SELECT * FROM orders, pg_audit_log", MIXED),
        ("public", "SELECT * FROM pg_class", NOWHERE),
        ("logs", "SELECT * FROM pg_class", NOWHERE),
        ("logs", "SELECT * FROM pg_catalog.pg_audit_log", NOWHERE),
    ] {
        assert_eq!(judge(&own, Some(path), text), expected, "{path} {text}");
    }
}

#[test]
fn of_several_rules_the_first_counts_and_others_clients_have_none() {
    let rules = [rule("logs.own_*", "shop"), rule("logs.*", "logs")];
    assert_eq!(judge(&rules, Some("public"), "SELECT * FROM logs.own_x"), HOME);
    assert_eq!(judge(&rules, Some("public"), "SELECT * FROM logs.x"), Ok(Belongs::There(1)));
    let others = RouteRule { user: Some("other".into()), ..rule("logs.*", "logs") };
    assert_eq!(judge(&[others], Some("public"), "SELECT * FROM logs.x"), HOME);
    let others = RouteRule { database: Some("crm*".into()), ..rule("logs.*", "logs") };
    assert_eq!(judge(&[others], Some("public"), "SELECT * FROM logs.x"), HOME);
}
