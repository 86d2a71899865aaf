//! Applications.

use super::scrape::Scrape;
use super::talk::query;
use super::world::fresh_role;
use super::{named, shown, watched};

const QUERIES: &str = "pgotter_application_queries_total";
const SECONDS: &str = "pgotter_application_server_seconds_total";

fn labels(application: &str) -> [(&str, &str); 2] {
    [("database", "postgres"), ("application", application)]
}

#[test]
fn queries_errors_and_the_time_of_servers_are_those_of_who_asked() {
    for mode in ["pool_mode = \"transaction\"", "pool_mode = \"session\""] {
        let (pooler, http) = watched(mode, "");
        let role = fresh_role();
        let mut slow = named(&pooler, &role, "slow one");
        slow.value("select 1 from pg_sleep(0.2)");
        slow.query("select 1 / 0").error("22012");
        slow.query("set application_name = 'renamed'");
        slow.value("select 2");
        slow.value("select 3");
        named(&pooler, &role, "").value("select 4");
        let scrape = Scrape::until(http, "all of them", |scrape| scrape.sum(QUERIES, &[]) == 6.0);
        // The SET is the old name's or the new one's: PostgreSQL tells of it in front of its end.
        assert_eq!(scrape.value(QUERIES, &labels("slow one")), 2.0, "{mode}");
        assert_eq!(scrape.value(QUERIES, &labels("renamed")), 3.0, "{mode}");
        assert_eq!(scrape.value(QUERIES, &labels("")), 1.0, "{mode}");
        let seconds = scrape.value(SECONDS, &labels("slow one"));
        assert!((0.2..5.0).contains(&seconds), "{mode}: {seconds}");
        assert!(scrape.value(SECONDS, &labels("renamed")) < 0.2, "{mode}");
        let table = shown(&pooler, "APPLICATIONS");
        let row = |name: &str| {
            table.row(&[("database", "postgres"), ("application_name", name)]).numbers(["queries", "errors"])
        };
        assert_eq!((row("slow one"), row("renamed"), row("")), ([2, 1], [3, 0], [1, 0]), "{mode}");
        assert_eq!(table.rows[0][1].as_deref(), Some("slow one"), "the busiest stands first");
    }
}

#[test]
fn a_query_whose_settings_are_looked_at_behind_it_takes_its_time_once() {
    let (pooler, http) = watched("", "");
    let mut client = named(&pooler, &fresh_role(), "sets");
    // What it has set PostgreSQL has to be asked for, before the server is anybody else's.
    client.value("select set_config('work_mem', 1000 + count(*) || 'kB', false) from pg_sleep(0.5)");
    let scrape = Scrape::until(http, "the query", |scrape| scrape.sum(QUERIES, &[]) == 1.0);
    let (seconds, by_statement) =
        (scrape.value(SECONDS, &labels("sets")), scrape.sum("pgotter_fingerprint_server_seconds_total", &[]));
    assert!(by_statement >= 0.5 && seconds < 1.5 * by_statement, "{seconds}, and by statement {by_statement}");
}

#[test]
fn a_client_that_changes_its_name_all_the_time_makes_no_more_series_than_there_may_be() {
    let (pooler, http) = watched("workers = 1", "");
    let mut client = named(&pooler, &fresh_role(), "first");
    client.value("select 1");
    for part in 0..100 {
        for number in 0..20 {
            client.send(&query(&format!("set application_name = 'name {}'", part * 20 + number)));
        }
        (0..20).for_each(|_| assert!(client.answer().errors.is_empty()));
    }
    client.send(&query("select 2"));
    assert!(client.answer().errors.is_empty());
    let scrape = Scrape::until(http, "all of them", |scrape| scrape.sum(QUERIES, &[]) == 2002.0);
    let names = scrape.values_of("application");
    assert!(names.len() <= 51 && names.contains("other"), "{names:?}");
    assert!(shown(&pooler, "APPLICATIONS").rows.len() <= 500);
}
