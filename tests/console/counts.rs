//! SHOW DATABASES, STATS, LISTS, CONFIG and their like say what is configured and what has happened.

use super::table::{BOSS, console, pgotter, show};
use super::talk::{Client, query};
use super::world::{cluster, eventually, fresh_role, holder, host};

#[test]
fn databases_are_shown_as_they_are_configured_and_used() {
    let role = fresh_role();
    let shop = format!(
        "[databases.shop]\ndbname = \"postgres\"\nhosts = [\"{}\"]\nuser = \"{role}\"\npool_size = 7\nmin_pool_size = 2\n\
         reserve_pool_size = 3\npool_mode = \"session\"\nserver_lifetime = 100\nmax_db_connections = 5\n\
         max_db_client_connections = 6\n",
        host(cluster())
    );
    let pooler = pgotter("default_pool_size = 4\nserver_lifetime = \"2h\"", &shop);
    let mut clients = [holder(pooler.port(), &role), Client::connect(pooler.port(), "anybody", "shop")];
    clients[1].value("SELECT 1");
    let mut console = console(&pooler);
    let table = show(&mut console, "DATABASES");
    let row = table.row(&[("name", "shop")]);
    let texts = ["host", "database", "force_user", "pool_mode"].map(|column| row.text(column));
    assert_eq!(texts, ["127.0.0.1", "postgres", role.as_str(), "session"]);
    assert_eq!(row.number("port"), u64::from(cluster().port()));
    let sizes = ["pool_size", "min_pool_size", "reserve_pool_size", "server_lifetime", "max_connections"];
    assert_eq!(row.numbers(sizes), [7, 2, 3, 100, 5]);
    assert_eq!(
        row.numbers(["max_client_connections", "current_client_connections", "paused", "disabled"]),
        [6, 1, 0, 0]
    );
    assert!(row.number("current_connections") >= 1);
    let other = table.row(&[("name", "postgres")]);
    assert_eq!(other.numbers(sizes), [4, 0, 0, 7200, 0]);
    assert_eq!(["force_user", "pool_mode", "load_balance_hosts"].map(|column| other.get(column)), [None; 3]);
    assert_eq!(other.numbers(["current_connections", "current_client_connections"]), [1, 1]);
    let own = table.row(&[("name", "pgbouncer")]);
    assert_eq!(
        (own.get("host"), own.text("pool_mode"), own.number("current_client_connections")),
        (None, "statement", 1)
    );
    assert_eq!(table.rows.len(), 3, "{table:?}");
    // The pool has the name of the user that its servers log in as.
    let pools = show(&mut console, "POOLS");
    assert_eq!(pools.row(&[("database", "shop")]).text("user"), role);
    assert_eq!(pools.row(&[("database", "shop")]).text("pool_mode"), "session");
    let users = show(&mut console, "USERS");
    assert_eq!(users.row(&[("name", &role)]).number("current_client_connections"), 1);
    assert!(users.row(&[("name", &role)]).number("current_connections") >= 2);
    assert_eq!(users.row(&[("name", "anybody")]).number("current_client_connections"), 1);
}

#[test]
fn totals_are_those_of_what_was_asked_and_averages_come_and_go() {
    let role = fresh_role();
    let pooler = pgotter("stats_period = \"1s\"", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let request = query("SELECT 'x' FROM pg_sleep(0.02)");
    for _ in 0..10 {
        client.send(&request);
        assert_eq!(client.answer().value(), "x");
    }
    client.query("BEGIN -- with a server");
    client.query("SELECT 1");
    client.query("COMMIT");
    let mut console = console(&pooler);
    let table = show(&mut console, "STATS");
    let row = table.row(&[("database", "postgres")]);
    let counts = ["total_xact_count", "total_query_count", "total_server_assignment_count", "total_client_login_count"];
    // The login of a pool's first client opens a server and asks nothing of it.
    assert_eq!(row.numbers(counts), [11, 13, 11, 1]);
    assert!(row.number("total_received") >= 10 * request.len() as u64, "{row:?}");
    assert!(row.number("total_sent") > 0 && row.number("total_query_time") >= 200_000, "{row:?}");
    assert!(row.number("total_xact_time") >= 200_000, "{row:?}");
    assert_eq!(row.numbers(["total_client_parse_count", "total_server_parse_count", "total_bind_count"]), [0; 3]);
    assert!(row.number("avg_query_time") >= 10_000 && row.number("avg_recv") > 0, "{row:?}");

    let totals = show(&mut console, "STATS_TOTALS");
    assert_eq!(totals.row(&[("database", "postgres")]).numbers(["xact_count", "query_count"]), [11, 13]);
    let averages = show(&mut console, "STATS_AVERAGES");
    assert_eq!(averages.row(&[("database", "postgres")]).number("avg_bind_count"), 0);
    let own = totals.row(&[("database", "pgbouncer")]).number("query_count");
    assert_eq!(own, 1, "SHOW STATS; this one is not over");
    let all = show(&mut console, "TOTALS");
    assert_eq!(all.row(&[("name", "total_query_count")]).number("value"), 13 + 3);
    assert_eq!(all.rows.len(), 24);
    eventually("nothing has happened for two periods", || {
        let averages = show(&mut console, "STATS_AVERAGES");
        averages.row(&[("database", "postgres")]).numbers(["xact_count", "query_time", "bytes_sent"]) == [0; 3]
    });
    assert_eq!(show(&mut console, "STATS").row(&[("database", "postgres")]).number("total_query_count"), 13);
}

#[test]
fn lists_settings_state_and_version_are_told() {
    let role = fresh_role();
    let pooler = pgotter("default_pool_size = 9\nquery_timeout = \"1500ms\"\nlog_connections = true", "");
    let mut clients = [holder(pooler.port(), &role), holder(pooler.port(), &role)];
    let mut console = console(&pooler);
    let lists = show(&mut console, "LISTS");
    let items = |list: &str| lists.row(&[("list", list)]).number("items");
    let names = ["databases", "pools", "used_clients", "used_servers", "login_clients", "peers", "dns_names"];
    assert_eq!(names.map(items), [2, 2, 3, 2, 0, 0, 0]);
    assert!(items("users") >= 2 && lists.rows.len() == 14);

    let settings = show(&mut console, "CONFIG");
    let setting = |key: &str| {
        let row = settings.row(&[("key", key)]);
        (row.text("value").to_owned(), row.get("default").map(str::to_owned), row.text("changeable").to_owned())
    };
    let expected = |value: &str, default: &str, changeable: &str| {
        (value.to_owned(), Some(default.to_owned()), changeable.to_owned())
    };
    assert_eq!(setting("default_pool_size"), expected("9", "20", "yes"));
    assert_eq!(setting("query_timeout"), expected("1.5", "0", "yes"));
    assert_eq!(setting("log_connections"), expected("1", "0", "yes"));
    assert_eq!(setting("listen_port"), expected(&pooler.port().to_string(), "6432", "no"));
    assert_eq!(setting("admin_users"), expected(BOSS, "", "yes"));
    assert_eq!(setting("slow_queries.log"), expected("0.1", "0.1", "yes"));
    assert_eq!(setting("http.listen").2, "no");
    assert!(setting("max_client_conn").0.parse::<usize>().unwrap() > 0);

    let version = show(&mut console, "VERSION");
    let expected = format!("PgBouncer 1.25.2 (PgOtter {})", env!("CARGO_PKG_VERSION"));
    assert_eq!(version.row(&[]).text("version"), expected);
    let state = show(&mut console, "STATE");
    assert_eq!(
        ["active", "paused", "suspended"].map(|key| state.row(&[("key", key)]).text("value")),
        ["yes", "no", "no"]
    );
    clients.iter_mut().for_each(|client| assert_eq!(client.query("COMMIT").tags, ["COMMIT"]));
}
