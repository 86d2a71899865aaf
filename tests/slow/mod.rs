//! Which query was slow, and whose: the log and SHOW SLOW_QUERIES, in front of real PostgreSQL.

use crate::support::raw::{bind, execute, extended, flush, parse, sync};
use crate::support::{PgOtter, must, postgres, reloading, scrape, table, talk, world};
use pgotter::cli::local_postgres::Options;
use pgotter::cli::ports;
use reloading::change;
use scrape::Scrape;
use table::{Row, Table, console, pgotter, show, watched};
use talk::{Client, query};
use world::{Gate, cluster, eventually, fresh_role, host, look, until_it_sleeps};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn slow_queries(pooler: &PgOtter) -> Table {
    show(&mut console(pooler), "SLOW_QUERIES")
}

/// The table, once it has so many rows with these values: a row is there a moment after its client has the answer.
#[track_caller]
fn until_there_are(pooler: &PgOtter, count: usize, values: &[(&str, &str)]) -> Table {
    let mut table = slow_queries(pooler);
    eventually(&format!("{count} rows with {values:?}"), || {
        table = slow_queries(pooler);
        table.with(values).len() == count
    });
    table
}

#[track_caller]
fn ask(client: &mut Client, bytes: &[u8]) {
    client.send(bytes);
    let answer = client.answer();
    assert!(answer.errors.is_empty() && answer.status.is_some(), "{answer:?}");
}

fn ms(row: &Row<'_>, column: &str) -> f64 {
    row.text(column).parse().unwrap()
}

#[test]
fn a_slow_statement_is_told_of_in_every_form_of_the_protocol() {
    for mode in ["pool_mode = \"transaction\"", "pool_mode = \"session\"", "max_prepared_statements = 0"] {
        let pooler = pgotter(mode, "[slow_queries]\nlog = \"50ms\"");
        let role = fresh_role();
        let mut client = Client::connect_with(
            pooler.port(),
            &[("user", &role), ("database", "postgres"), ("application_name", "till")],
        );
        ask(&mut client, &query("select pg_sleep(0.0617283) as simple"));
        ask(&mut client, &[extended("select pg_sleep(0.0617283) as extended", &[]), sync()].concat());
        ask(&mut client, &[parse("one", "select pg_sleep($1) as prepared"), sync()].concat());
        ask(&mut client, &query("begin"));
        for _ in 0..2 {
            ask(&mut client, &[bind("", "one", &[b"0.0617283"]), execute("", 0), sync()].concat());
        }
        ask(&mut client, &query("commit"));
        let table = until_there_are(&pooler, 2, &[("query", "select pg_sleep(?) as prepared")]);
        for form in ["select pg_sleep(?) as simple", "select pg_sleep(?) as extended"] {
            let row = table.row(&[("query", form)]);
            assert_eq!([row.text("database"), row.text("user"), row.text("kind")], ["postgres", &role, "read"]);
            assert_eq!([row.text("application_name"), row.text("server")], ["till", &host(cluster())]);
            assert_eq!([row.text("role"), row.text("reason"), row.text("failed")], ["primary", "single", "no"]);
            assert!(row.text("client").starts_with("127.0.0.1:"), "{row:?}");
            assert_eq!(row.numbers(["rows", "suppressed"]), [1, 0]);
            assert_eq!(
                ["sqlstate", "route", "trace_id", "text", "parameters"].map(|column| row.get(column)),
                [None; 5]
            );
            assert!(ms(&row, "server_ms") >= 60.0 && ms(&row, "total_ms") >= ms(&row, "server_ms"), "{row:?}");
        }
        // The second one's transaction is older than itself; the newest stands first.
        let prepared = table.with(&[("query", "select pg_sleep(?) as prepared")]);
        assert!(ms(&prepared[0], "transaction_ms") >= 120.0, "{prepared:?}");
        assert!(ms(&prepared[1], "transaction_ms") < ms(&prepared[0], "transaction_ms"), "{prepared:?}");
        let log = pooler.log();
        let line = log.lines().find(|line| line.contains("as simple")).expect("a line of log");
        let fingerprint = table.row(&[("query", "select pg_sleep(?) as simple")]).text("fingerprint").to_owned();
        for part in ["slow query", &fingerprint, "\"database\":\"postgres\"", "\"rows\":1", &role] {
            assert!(line.contains(part), "{part}: {line}");
        }
        // No time of day has as many digits behind its second.
        assert!(!log.contains("0617283"), "constants are nobody's business: {log}");
    }
}

#[test]
fn what_is_faster_is_not_told_of_and_a_reload_changes_what_that_is() {
    let http = ports::free_port();
    let rest = |log: &str| format!("[http]\nlisten = \"127.0.0.1:{http}\"\n[slow_queries]\nlog = {log}");
    let mut pooler = pgotter("", &rest("\"1h\""));
    let mut client = Client::connect(pooler.port(), &fresh_role(), "postgres");
    let lines = table::lines("");
    ask(&mut client, &query("select pg_sleep(0.06) as first"));
    change(&mut pooler, &lines, &rest("\"50ms\""));
    ask(&mut client, &query("select pg_sleep(0.06) as second"));
    change(&mut pooler, &lines, &rest("0"));
    ask(&mut client, &query("select pg_sleep(0.06) as third"));
    change(&mut pooler, &lines, &rest("0.05"));
    ask(&mut client, &query("select pg_sleep(0.06) as fourth"));
    let table = until_there_are(&pooler, 1, &[("query", "select pg_sleep(?) as fourth")]);
    let told = |query| table.with(&[("query", query)]).len();
    let queries = ["first", "second", "third"].map(|name| format!("select pg_sleep(?) as {name}"));
    assert_eq!(queries.each_ref().map(|query| told(query)), [0, 1, 0]);
    let labels = |threshold| [("database", "postgres"), ("threshold", threshold)];
    let name = "pgotter_slow_queries_total";
    let scrape = Scrape::until(http, "both", |scrape| scrape.get(name, &labels("0.05")) >= Some(2.0));
    assert_eq!(scrape.get(name, &labels("3600")), None, "it is not in force any more, and nothing took as long");
    assert_eq!(scrape.value(name, &labels("600")), 0.0);
}

#[test]
fn a_storm_of_one_kind_is_a_few_rows_and_all_are_counted() {
    let (pooler, http) = watched("", "[slow_queries]\nlog = \"10ms\"\nper_minute = 3\nkeep = 4\n");
    let mut client = Client::connect(pooler.port(), &fresh_role(), "postgres");
    for number in 0..6 {
        ask(&mut client, &query(&format!("select pg_sleep(0.0{}) as storm", 11 + number)));
    }
    for name in ["b", "c", "d"] {
        ask(&mut client, &query(&format!("select pg_sleep(0.02) as {name}")));
    }
    let table = until_there_are(&pooler, 1, &[("query", "select pg_sleep(?) as d")]);
    assert_eq!(table.rows.len(), 4, "{table:?}");
    assert_eq!(table.with(&[("query", "select pg_sleep(?) as storm")]).len(), 1, "{table:?}");
    assert_eq!(pooler.log().matches("as storm").count(), 3);
    let labels = [("database", "postgres"), ("threshold", "0.01")];
    Scrape::until(http, "all of them", |scrape| scrape.get("pgotter_slow_queries_total", &labels) >= Some(9.0));
}

#[test]
fn constants_and_parameters_are_told_if_that_is_asked_for() {
    for mode in ["pool_mode = \"transaction\"", "pool_mode = \"session\"", "max_prepared_statements = 0"] {
        let pooler = pgotter(mode, "[slow_queries]\nlog = \"10ms\"\nparameters = true");
        let mut client = Client::connect(pooler.port(), &fresh_role(), "postgres");
        let simple = "select pg_sleep(0.02), 'it''s' as simple";
        ask(&mut client, &query(simple));
        let unnamed = "select pg_sleep($1), cast($2 as text), 7 as unnamed";
        ask(&mut client, &[parse("", unnamed), bind("", "", &[b"0.02", b"it's"]), execute("", 0), sync()].concat());
        let named = "select pg_sleep($1), 8 as named";
        ask(&mut client, &[parse("one", named), sync()].concat());
        ask(&mut client, &[bind("", "one", &[b"0.03"]), execute("", 0), sync()].concat());
        // Longer than what is told.
        let long = format!("select pg_sleep(0.02), '{}' as long", "é".repeat(3000));
        ask(&mut client, &query(&long));
        let table = until_there_are(&pooler, 1, &[("query", "select pg_sleep(?), ? as long")]);
        let found = |query| {
            let row = table.row(&[("query", query)]);
            ["text", "parameters"].map(|column| row.get(column))
        };
        assert_eq!(found("select pg_sleep(?), ? as simple"), [Some(simple), None]);
        let parameters = Some("$1 = '0.02', $2 = 'it''s'");
        assert_eq!(found("select pg_sleep(?), cast(? as text), ? as unnamed"), [Some(unnamed), parameters]);
        // Where names are the server's, its text is not kept.
        let text = Some(named).filter(|_| mode.contains("transaction"));
        assert_eq!(found("select pg_sleep(?), ? as named"), [text, Some("$1 = '0.03'")]);
        let [text, _] = found("select pg_sleep(?), ? as long");
        assert!(text.is_some_and(|text| text.len() >= 2047 && long.starts_with(text)), "{text:?}");
        assert!(pooler.log().contains("it''s"));
    }
}

#[test]
fn what_cannot_be_seen_is_a_number_in_the_log_and_reads_back_to_what_was_said() {
    let strange = "\u{9b}2J\u{202e}\u{200b}\u{7f}\u{85}";
    let role = format!("{}{strange}", fresh_role());
    look(&format!("CREATE ROLE \"{role}\" LOGIN"));
    let pooler = pgotter("log_connections = true", "[slow_queries]\nlog = \"10ms\"\nparameters = true");
    let parameters = [("user", &*role), ("database", "postgres"), ("application_name", strange)];
    let mut client = Client::connect_with(pooler.port(), &parameters);
    let [text, normal] = ["$1", "?"].map(|value| format!("select pg_sleep({value}) as \"{strange}\""));
    // Control characters make no tag.
    let route = "\u{202e}\u{200b}";
    let tagged = format!("{text} /*route='{route}'*/");
    ask(&mut client, &[parse("", &tagged), bind("", "", &[b"0.02"]), execute("", 0), sync()].concat());
    ask(&mut client, &query(&format!("select pg_sleep(0.02), '{strange}' as last")));
    let extended = extended("select pg_sleep(0.02), cast($1 as text) as supplied", &[strange.as_bytes()]);
    ask(&mut client, &[extended, sync()].concat());
    until_there_are(&pooler, 1, &[("query", "select pg_sleep(?), cast(? as text) as supplied")]);
    let log = pooler.log();
    let seen = |char: char| char.is_ascii_graphic() || [' ', '\n'].contains(&char);
    assert_eq!(log.chars().find(|char| !seen(*char)), None, "{log}");
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let slow: Vec<_> = lines.iter().filter(|line| line["message"] == "slow query").collect();
    assert_eq!(slow.len(), 3, "{log}");
    assert!(slow.iter().all(|line| line["user"] == *role), "{log}");
    assert_eq!([&slow[0]["query"], &slow[0]["text"], &slow[0]["route"]], [&*normal, &*tagged, route]);
    assert_eq!(slow[1]["text"], format!("select pg_sleep(0.02), '{strange}' as last"));
    assert_eq!(slow[2]["parameters"], format!("$1 = '{strange}'"));
}

#[test]
fn of_several_that_are_told_apart_each_is_told_with_its_own_parameters_and_tags() {
    for mode in ["pool_mode = \"transaction\"", "pool_mode = \"session\"", "max_prepared_statements = 0"] {
        for parameters in [true, false] {
            let rest = format!("[slow_queries]\nlog = \"5ms\"\nper_minute = 1000\nparameters = {parameters}");
            let pooler = pgotter(mode, &rest);
            let mut client = Client::connect(pooler.port(), &fresh_role(), "postgres");
            let text = |route: &str| format!("select 1 / $2::int from pg_sleep($1) /*route='{route}'*/");
            let one = |route: &str, values: [&[u8]; 2]| {
                [parse("", &text(route)), bind("", "", &values), execute("", 0)].concat()
            };
            // The last one is skipped.
            let all = [one("quick", [b"0", b"1"]), one("slow", [b"0.03", b"7"]), one("fails", [b"0", b"0"])];
            let all = [&all.concat()[..], &one("skipped", [b"9", b"9"]), &sync()].concat();
            // One of 16 is told apart.
            for _ in 0..16 {
                client.send(&all);
                client.answer().error("22012");
            }
            let query = "select ? / ?::int from pg_sleep(?)";
            let table = until_there_are(&pooler, 1, &[("query", query), ("route", "slow")]);
            // Those that are answered at once share the time.
            for row in table.with(&[("query", query)]) {
                let wanted = match row.text("route") {
                    "quick" => "$1 = '0', $2 = '1'",
                    "slow" => "$1 = '0.03', $2 = '7'",
                    "fails" => "$1 = '0', $2 = '0'",
                    other => panic!("{other} was not run"),
                };
                assert_eq!(row.get("parameters"), Some(wanted).filter(|_| parameters), "{mode}: {row:?}");
            }
        }
    }
}

#[test]
fn what_a_portal_is_told_with_is_its_own_whatever_was_bound_since() {
    for mode in ["pool_mode = \"transaction\"", "pool_mode = \"session\"", "max_prepared_statements = 0"] {
        let rest = "[slow_queries]\nlog = \"10ms\"\nper_minute = 1000\nparameters = true";
        let pooler = pgotter(mode, rest);
        let mut client = Client::connect(pooler.port(), &fresh_role(), "postgres");
        let text = |rows: &str| format!("select generate_series(1, $2::int) from pg_sleep($1) /*route='{rows}'*/");
        let bound =
            |portal: &str, rows: &str| [parse("", &text(rows)), bind(portal, "", &[b"0.03", rows.as_bytes()])].concat();
        let both = [bound("p1", "1"), bound("p2", "2")].concat();
        ask(&mut client, &query("begin"));
        ask(&mut client, &[&both[..], &bound("", "3"), &sync()].concat());
        for portal in ["p1", "", "p2"] {
            ask(&mut client, &[execute(portal, 0), sync()].concat());
        }
        ask(&mut client, &query("commit"));
        // One is under way while the next one is bound.
        client.send(&[bound("", "4"), execute("", 0), flush()].concat());
        client.send(&[bound("", "5"), flush()].concat());
        for _ in 0..2 {
            while client.message().unwrap().0 != b'2' {}
        }
        ask(&mut client, &[execute("", 0), sync()].concat());
        // Of 16 pipelines the statements of one are told apart.
        for _ in 0..16 {
            ask(&mut client, &[&both[..], &execute("p1", 0), &execute("p2", 0), &sync()].concat());
        }
        let query = "select generate_series(?, ?::int) from pg_sleep(?)";
        for rows in ["1", "2"] {
            until_there_are(&pooler, 2, &[("query", query), ("rows", rows)]);
        }
        let table = slow_queries(&pooler);
        for row in table.with(&[("query", query)]) {
            let rows = row.text("rows");
            assert_eq!(row.text("parameters"), format!("$1 = '0.03', $2 = '{rows}'"), "{mode}: {row:?}");
            assert_eq!((row.text("route"), row.text("text")), (rows, text(rows).as_str()), "{mode}: {row:?}");
        }
        for rows in ["3", "4", "5"] {
            assert_eq!(table.with(&[("query", query), ("rows", rows)]).len(), 1, "{mode}: {table:?}");
        }
    }
}

#[test]
fn utilities_have_a_threshold_of_their_own() {
    let role = fresh_role();
    look(&format!("CREATE TABLE long_{role} AS SELECT generate_series(1, 50000) AS i"));
    look(&format!("ALTER TABLE long_{role} OWNER TO {role}"));
    let index = format!("create index on long_{role}(i)");
    for (rest, told) in [("log = \"1ms\"\nutilities = \"1h\"", [0, 0]), ("log = \"1h\"\nutilities = \"1ms\"", [1, 1])] {
        let pooler = pgotter("", &format!("[slow_queries]\n{rest}"));
        let mut client = Client::connect(pooler.port(), &role, "postgres");
        ask(&mut client, &query(&index));
        ask(&mut client, &query(&format!("analyze long_{role}")));
        ask(&mut client, &query("select pg_sleep(0.01) as behind"));
        if told == [0, 0] {
            until_there_are(&pooler, 1, &[("query", "select pg_sleep(?) as behind")]);
        } else {
            until_there_are(&pooler, 1, &[("query", &format!("analyze long_{role}"))]);
        }
        let table = slow_queries(&pooler);
        let found = [index.clone(), format!("analyze long_{role}")].map(|query| table.with(&[("query", &query)]).len());
        assert_eq!(found, told, "{table:?}");
        assert_eq!(table.with(&[("query", "select pg_sleep(?) as behind")]).len(), 1 - told[0]);
    }
}

#[test]
fn what_an_application_says_in_a_comment_is_shown_and_a_broken_traceparent_loses_nothing() {
    for mode in ["pool_mode = \"transaction\"", "pool_mode = \"session\"", "max_prepared_statements = 0"] {
        let (pooler, http) = watched(mode, "[slow_queries]\nlog = \"10ms\"\n");
        let mut client = Client::connect(pooler.port(), &fresh_role(), "postgres");
        let comment = |action: &str, trace: &str| {
            format!(
                "/*action='{action}',application='shop',route='%2Forders',traceparent='00-{trace}-b7ad6b7169203331-01'*/"
            )
        };
        let tagged = |name: &str, trace| format!("select pg_sleep(0.02) as {name} {}", comment(name, trace));
        ask(&mut client, &query(&tagged("simple", TRACE)));
        ask(&mut client, &query("select pg_sleep(0.02) as plain"));
        ask(&mut client, &[extended(&tagged("extended", TRACE), &[]), sync()].concat());
        ask(&mut client, &[parse("one", &tagged("prepared", TRACE)), sync()].concat());
        ask(&mut client, &query(&tagged("broken", "nonsense")));
        ask(&mut client, &[bind("", "one", &[]), execute("", 0), sync()].concat());
        // Of the same fingerprint as one with tags, and without any.
        ask(&mut client, &query("select pg_sleep(0.02) as prepared"));
        // Bound before another text was sent.
        ask(&mut client, &query("begin"));
        ask(&mut client, &[parse("", "select pg_sleep(0.02) as portal"), bind("p", "", &[]), sync()].concat());
        ask(&mut client, &query(&tagged("between", TRACE)));
        ask(&mut client, &[execute("p", 0), sync()].concat());
        ask(&mut client, &query("commit"));
        until_there_are(&pooler, 1, &[("query", "select pg_sleep(?) as portal")]);
        let table = until_there_are(&pooler, 2, &[("query", "select pg_sleep(?) as prepared")]);
        let tags = |row: &Row<'_>| {
            ["trace_id", "route", "action", "application"].map(|tag| row.get(tag).unwrap_or_default().to_owned())
        };
        let of = |name: &str| tags(&table.row(&[("query", &format!("select pg_sleep(?) as {name}"))]));
        assert_eq!(of("simple"), [TRACE, "/orders", "simple", "shop"]);
        assert_eq!([of("plain"), of("portal")].concat(), [""; 8]);
        assert_eq!(of("extended"), [TRACE, "/orders", "extended", "shop"]);
        assert_eq!(of("broken"), ["", "/orders", "broken", "shop"]);
        let prepared = table.with(&[("query", "select pg_sleep(?) as prepared")]);
        assert_eq!(tags(&prepared[0]), [""; 4]);
        // Where names are the server's, the text behind one is not kept.
        let kept = if mode.contains("transaction") { [TRACE, "/orders", "prepared", "shop"] } else { [""; 4] };
        assert_eq!(tags(&prepared[1]), kept);
        assert!(pooler.log().contains(TRACE));
        let name = "pgotter_slow_query_broken_tags_total";
        Scrape::until(http, "the broken one", |scrape| scrape.get(name, &[]) == Some(1.0));
    }
}

#[test]
fn a_slow_pipeline_is_one_entry_as_nobody_knows_which_of_it_was_slow() {
    let pooler = pgotter("", "[slow_queries]\nlog = \"20ms\"");
    let mut client = Client::connect(pooler.port(), &fresh_role(), "postgres");
    let one = || [bind("", "", &[]), execute("", 0)].concat();
    ask(&mut client, &[parse("", "select pg_sleep(0.02) as piped"), one(), one(), sync()].concat());
    let table = until_there_are(&pooler, 1, &[("fingerprint", "pipeline")]);
    let row = table.row(&[("fingerprint", "pipeline")]);
    assert!(ms(&row, "server_ms") >= 40.0, "{row:?}");
    assert_eq!((row.get("rows"), row.text("query"), row.text("kind")), (None, "", ""));
    assert_eq!(row.text("failed"), "no");
    let backend = client.backend();
    client.send(&[parse("", "select pg_sleep(100) as piped"), one(), one(), sync()].concat());
    until_it_sleeps(&backend);
    std::thread::sleep(std::time::Duration::from_millis(30));
    drop(client);
    let table = until_there_are(&pooler, 2, &[("fingerprint", "pipeline")]);
    assert_eq!(table.with(&[("fingerprint", "pipeline")])[0].text("failed"), "yes");
    assert_eq!(table.with(&[("query", "select pg_sleep(?) as piped")]).len(), 0, "{table:?}");
}

#[test]
fn what_fails_is_cancelled_or_lost_counts_with_how_long_it_took() {
    let pooler = pgotter("", "[slow_queries]\nlog = \"20ms\"");
    let role = fresh_role();
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    client.query("select 1 / length(pg_sleep(0.03) || '') as failed").error("22012");
    let backend = client.backend();
    client.send(&query("select pg_sleep(100) as cancelled"));
    until_it_sleeps(&backend);
    std::thread::sleep(std::time::Duration::from_millis(30));
    client.cancel();
    client.answer().error("57014");
    client.send(&query("select pg_sleep(100) as ended"));
    until_it_sleeps(&backend);
    std::thread::sleep(std::time::Duration::from_millis(30));
    look(&format!("SELECT pg_terminate_backend({backend})"));
    client.answer().fatal("57P01");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    // Of that one, nothing is said.
    client.query("select 1 / 0").error("22012");
    client.send(&query("select pg_sleep(100) as lost"));
    until_it_sleeps(&backend);
    std::thread::sleep(std::time::Duration::from_millis(30));
    drop(client);
    let table = until_there_are(&pooler, 1, &[("query", "select pg_sleep(?) as lost")]);
    for (query, sqlstate) in [
        ("select ? / length(pg_sleep(?) || ?) as failed", Some("22012")),
        ("select pg_sleep(?) as cancelled", Some("57014")),
        ("select pg_sleep(?) as ended", Some("57P01")),
        ("select pg_sleep(?) as lost", None),
    ] {
        let row = table.row(&[("query", query)]);
        assert_eq!((row.text("failed"), row.get("sqlstate")), ("yes", sqlstate), "{query}");
        assert!(ms(&row, "server_ms") >= 30.0, "{row:?}");
    }
}

#[test]
fn waiting_for_a_server_makes_slow_and_is_told_apart() {
    let pooler = pgotter("default_pool_size = 1\nquery_wait_notify = \"50ms\"", "[slow_queries]\nlog = \"50ms\"");
    let role = fresh_role();
    let (mut first, mut second) =
        (Client::connect(pooler.port(), &role, "postgres"), Client::connect(pooler.port(), &role, "postgres"));
    let gate = Gate::new();
    let backend = first.backend();
    first.send(&query(&gate.select("first")));
    gate.until_it_is_reached(&backend);
    second.queue("select 1 as second");
    gate.open();
    assert_eq!(first.answer().value(), "first");
    assert_eq!(second.answer().value(), "1");
    let table = until_there_are(&pooler, 1, &[("query", "select ? as second")]);
    let row = table.row(&[("query", "select ? as second")]);
    assert!(ms(&row, "wait_ms") >= 50.0 && ms(&row, "total_ms") >= ms(&row, "wait_ms"), "{row:?}");
}

#[test]
fn where_a_slow_read_has_run_is_told() {
    let mut primary = postgres(&Options::default());
    let replica = must(primary.replica());
    must(primary.wait_for_replicas(1));
    must(primary.psql("postgres", "CREATE ROLE reader LOGIN"));
    let hosts = format!("{}\", \"{}", host(&primary), host(&replica));
    let rest = "[routing]\nmode = \"split\"\n[slow_queries]\nlog = \"10ms\"\nper_minute = 1000";
    let pooler = PgOtter::start(|port| world::config(port, &hosts, &table::lines(""), rest));
    let mut client = Client::connect(pooler.port(), "reader", "postgres");
    let read = "select 1 as elsewhere from pg_sleep(0.02)";
    let row = |table: &Table, role: &str| {
        let found = table.with(&[("query", "select ? as elsewhere from pg_sleep(?)"), ("role", role)]);
        found.first().map(|row| [row.text("server"), row.text("reason")].map(str::to_owned))
    };
    let mut found = None;
    eventually("it runs on the replica", || {
        ask(&mut client, &query(read));
        found = row(&slow_queries(&pooler), "replica");
        found.is_some()
    });
    assert_eq!(found, Some([host(&replica), "read".to_owned()]));
    ask(&mut client, &query(&format!("/* pgotter: primary */ {read}")));
    eventually("it runs on the primary", || {
        let found = row(&slow_queries(&pooler), "primary").filter(|[_, reason]| reason == "hint");
        found.is_some_and(|[server, _]| server == host(&primary))
    });
}
