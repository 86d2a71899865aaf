//! What is counted is what happened.

use super::Watched;
use super::scrape::Scrape;
use crate::support::raw::{Raw, bind, describe, error_code, execute, first_packet, parse, query, startup, sync};
use crate::support::{client, client_output, must, run_client, shared_postgres, state};
use pgotter::cli::local_postgres::SUPERUSER;
use rustix::process::Signal;
use std::process::Stdio;
use std::time::{Duration, Instant};

const SHOP: (&str, &str) = ("database", "shop");
const PRIMARY: (&str, &str) = ("role", "primary");
const READ: [(&str, &str); 3] = [SHOP, ("kind", "read"), PRIMARY];
const PIPELINE: [(&str, &str); 3] = [SHOP, ("kind", "pipeline"), PRIMARY];

/// Of all kinds but pipelines.
fn singles(scrape: &Scrape, part: &str) -> f64 {
    let family = format!("pgotter_query_duration_seconds_{part}");
    scrape.sum(&family, &[SHOP]) - scrape.value(&family, &PIPELINE)
}

fn shop(watched: &Watched) -> Raw {
    Raw::log_in(watched.port(), &[("database", "shop")])
}

#[test]
fn counts_are_those_of_pgbench_in_every_protocol_while_it_is_scraped() {
    let script = state().path().join("four_queries.sql");
    must(state().write(&script, "BEGIN;\nSELECT 1;\nSELECT 2;\nEND;\n"));
    let script = script.display().to_string();
    let transaction = "workers = 2\ndefault_pool_size = 3";
    // Prepared statements stay with their server.
    let session = "workers = 2\npool_mode = \"session\"";
    // A BEGIN is answered at once in transaction mode, and is no query of a server's.
    for (protocol, pooler, expected) in
        [("simple", transaction, 4500.0), ("extended", transaction, 4500.0), ("prepared", session, 6000.0)]
    {
        let watched = Watched::in_front_of(shared_postgres(), pooler);
        let arguments = ["-n", "-M", protocol, "-c", "6", "-j", "2", "-t", "250", "-f", &script, "shop"];
        let mut pgbench = client("pgbench", watched.port(), &arguments);
        let mut pgbench = must(pgbench.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn());
        let mut before = Scrape::take(watched.http);
        while must(pgbench.try_wait()).is_none() {
            let scrape = Scrape::take(watched.http);
            scrape.assert_not_below(&before);
            before = scrape;
        }
        let output = must(pgbench.wait_with_output());
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("transactions actually processed: 1500/1500"), "{said}");
        let transactions =
            |scrape: &Scrape| scrape.value("pgotter_transaction_duration_seconds_count", &[SHOP, PRIMARY]);
        // A query is counted when its client has the answer, behind its transaction.
        let counted = |scrape: &Scrape| transactions(scrape) >= 1500.0 && singles(scrape, "count") >= expected;
        let scrape = Scrape::until(watched.http, "the last query", counted);
        assert_eq!((transactions(&scrape), singles(&scrape, "count")), (1500.0, expected), "{protocol}");
        assert_eq!(scrape.value("pgotter_query_duration_seconds_count", &PIPELINE), 0.0, "{protocol}");
        // One more looks whether the server is there.
        assert_eq!(scrape.value("pgotter_client_logins_total", &[SHOP, ("result", "ok")]), 7.0, "{protocol}");
        let assigned = scrape.value("pgotter_pool_wait_duration_seconds_count", &[SHOP, PRIMARY]);
        assert_eq!(assigned, if pooler == session { 6.0 } else { 1500.0 }, "{protocol}");
    }
}

#[test]
fn bytes_are_those_of_the_clients_connection() {
    let watched = Watched::in_front_of(shared_postgres(), "");
    let mut client = shop(&watched);
    let request = query("SELECT repeat('x', 100000)");
    client.send(&request);
    let answered: usize = client.until_ready().iter().map(|frame| frame.body.len() + 5).sum();
    let bytes = |scrape: &Scrape, direction| scrape.value("pgotter_bytes_total", &[SHOP, ("direction", direction)]);
    let scrape = Scrape::until(watched.http, "the answer", |scrape| bytes(scrape, "sent") > 0.0);
    assert_eq!(bytes(&scrape, "sent"), answered as f64);
    assert_eq!(bytes(&scrape, "received"), request.len() as f64);
}

#[test]
fn a_known_time_falls_into_its_bucket() {
    let watched = Watched::in_front_of(shared_postgres(), "");
    let mut client = shop(&watched);
    let since = Instant::now();
    client.value("SELECT 'awake' FROM pg_sleep(0.06)");
    let took = since.elapsed().as_secs_f64();
    let count = |scrape: &Scrape| singles(scrape, "count");
    let scrape = Scrape::until(watched.http, "the query", |scrape| count(scrape) == 1.0);
    for family in [
        "pgotter_query_duration_seconds",
        "pgotter_query_server_duration_seconds",
        "pgotter_transaction_duration_seconds",
    ] {
        let labels = if family.contains("query") { &READ[..] } else { &[SHOP, PRIMARY] };
        // It took 60 ms and more, and not more than its client has seen.
        assert_eq!(scrape.at_most(family, labels, 0.05), 0.0, "{family}");
        let ladder = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, f64::INFINITY];
        let bound = ladder.into_iter().find(|bound| took <= *bound).expect("the last one is infinite");
        assert_eq!(scrape.at_most(family, labels, bound), 1.0, "{family}: {took}");
        let sum = scrape.value(&format!("{family}_sum"), labels);
        assert!((0.06..=took).contains(&sum), "{family}: {sum}, and its client saw {took}");
    }
}

#[test]
fn time_between_the_queries_of_a_transaction_is_the_transactions_alone() {
    let watched = Watched::in_front_of(shared_postgres(), "");
    let mut client = shop(&watched);
    client.ask("BEGIN -- with a server");
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(120) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let began = Instant::now();
    client.ask("COMMIT");
    let commit = began.elapsed().as_secs_f64();
    let count = |scrape: &Scrape| singles(scrape, "count");
    let scrape = Scrape::until(watched.http, "both queries", |scrape| count(scrape) == 2.0);
    let queries = singles(&scrape, "sum");
    let transaction = scrape.value("pgotter_transaction_duration_seconds_sum", &[SHOP, PRIMARY]);
    assert!(transaction >= 0.12, "{transaction}");
    assert!(transaction - queries >= 0.12 - commit, "{transaction} of which queries {queries}, commit {commit}");
}

#[test]
fn a_pipeline_is_one_sample_and_a_failed_prepare_one_query() {
    let watched = Watched::in_front_of(shared_postgres(), "");
    let mut client = shop(&watched);
    let one = || [bind("", "", &[]), execute("", 0)].concat();
    client.send(&[parse("", "SELECT 1"), one(), one(), one(), sync()].concat());
    assert_eq!(error_code(&client.until_ready()), None);
    client.send(&[parse("", "SELEC 1"), one(), one(), sync()].concat());
    assert!(error_code(&client.until_ready()).is_some());
    // What holds no query is neither query nor transaction.
    client.send(&[parse("", "SELECT 1"), sync()].concat());
    client.until_ready();
    client.send(&sync());
    client.until_ready();
    let count = |scrape: &Scrape, labels| scrape.value("pgotter_query_duration_seconds_count", labels);
    let assigned = |scrape: &Scrape| scrape.value("pgotter_pool_wait_duration_seconds_count", &[SHOP, PRIMARY]);
    let scrape = Scrape::until(watched.http, "all three", |scrape| assigned(scrape) == 3.0);
    // Of those sent together none has a time of its own, though the statements behind a Parse that failed were never run.
    assert_eq!((singles(&scrape, "count"), count(&scrape, &PIPELINE)), (0.0, 2.0));
    assert_eq!(scrape.value("pgotter_transaction_duration_seconds_count", &[SHOP, PRIMARY]), 2.0);
}

#[test]
fn settings_that_are_put_in_front_of_a_query_are_nobodys_queries() {
    let watched = Watched::in_front_of(shared_postgres(), "default_pool_size = 1");
    let mut clients =
        ["one", "two"].map(|name| Raw::log_in(watched.port(), &[("database", "shop"), ("application_name", name)]));
    for _ in 0..5 {
        for (client, name) in clients.iter_mut().zip(["one", "two"]) {
            assert_eq!(client.value("SHOW application_name"), name);
        }
    }
    let transactions = |scrape: &Scrape| scrape.value("pgotter_transaction_duration_seconds_count", &[SHOP, PRIMARY]);
    // A query is counted when its client has the answer, behind its transaction.
    let counted = |scrape: &Scrape| transactions(scrape) >= 10.0 && singles(scrape, "count") >= 10.0;
    let scrape = Scrape::until(watched.http, "the last query", counted);
    let queries = singles(&scrape, "count");
    assert_eq!((transactions(&scrape), queries), (10.0, 10.0));
    assert_eq!(scrape.value("pgotter_query_duration_seconds_count", &PIPELINE), 0.0);
}

#[test]
fn a_name_of_any_kind_is_a_label() {
    let watched = Watched::in_front_of(shared_postgres(), "");
    let name = "o\"dd\\ \n{na,me}=\u{1f9a6}";
    must(shared_postgres().psql("postgres", &format!("CREATE ROLE \"{}\" LOGIN", name.replace('"', "\"\""))));
    let mut client = Raw::connect(watched.port());
    client.send(&startup(3, 0, &[("user", name), ("database", "shop")]));
    client.welcomed();
    let labels = [SHOP, ("user", name), ("state", "idle")];
    Scrape::until(watched.http, "the client", |scrape| scrape.get("pgotter_client_connections", &labels) == Some(1.0));
}

#[test]
fn who_waits_and_who_waits_in_vain_is_seen() {
    let watched = Watched::in_front_of(shared_postgres(), "default_pool_size = 1\nquery_wait_timeout = \"3s\"");
    let pool = [SHOP, ("user", SUPERUSER)];
    let with = |label: (&'static str, &'static str)| [pool[0], pool[1], label];
    let (mut holder, mut waiter) = (shop(&watched), shop(&watched));
    holder.ask("BEGIN -- with a server");
    waiter.send(&query("SELECT 1"));
    let waiting = |scrape: &Scrape| scrape.value("pgotter_pool_waiting_clients", &with(PRIMARY));
    let oldest = |scrape: &Scrape| scrape.value("pgotter_pool_oldest_wait_seconds", &with(PRIMARY));
    // The moment of a scrape may be the one in which it begins to wait.
    let both = |scrape: &Scrape| waiting(scrape) == 1.0 && oldest(scrape) > 0.0;
    let scrape = Scrape::until(watched.http, "a waiting client", both);
    for (state, clients) in [("idle_in_transaction", 1.0), ("waiting", 1.0), ("active", 0.0), ("idle", 0.0)] {
        assert_eq!(scrape.value("pgotter_client_connections", &with(("state", state))), clients, "{state}");
    }
    let host = format!("{}:{}", shared_postgres().host(), shared_postgres().port());
    let servers = [pool[0], pool[1], ("host", host.as_str()), ("state", "active")];
    assert_eq!(scrape.value("pgotter_server_connections", &servers), 1.0);
    assert_eq!(scrape.value("pgotter_server_connections_limit", &pool), 1.0);
    assert_eq!(error_code(&waiter.until_ready()).as_deref(), Some("53300"));
    let failed = |scrape: &Scrape| scrape.value("pgotter_pool_checkout_failures_total", &[SHOP, ("reason", "timeout")]);
    Scrape::until(watched.http, "the failure", |scrape| failed(scrape) == 1.0 && waiting(scrape) == 0.0);
    // The next one gets the server after a wait, and the histogram has it.
    waiter.send(&query("SELECT 1"));
    Scrape::until(watched.http, "a waiting client", |scrape| waiting(scrape) == 1.0);
    holder.ask("COMMIT");
    assert_eq!(error_code(&waiter.until_ready()), None);
    let sum = |scrape: &Scrape| scrape.value("pgotter_pool_wait_duration_seconds_sum", &[SHOP, PRIMARY]);
    Scrape::until(watched.http, "the wait", |scrape| sum(scrape) > 0.0);
}

#[test]
fn logins_are_counted_by_how_they_end_and_make_no_labels() {
    let watched =
        Watched::in_front_of(shared_postgres(), "max_db_client_connections = 1\nclient_login_timeout = \"1s\"");
    let _in = shop(&watched);
    let refused = |database: &str| {
        let answer = run_client("psql", watched.port(), &["-X", "-c", "SELECT 1", database]);
        assert!(!answer.status.success());
    };
    refused("shop");
    refused("made_up_by_a_client");
    let mut rude = Raw::connect(watched.port());
    rude.send(&first_packet(1, b"nonsense"));
    rude.until_end();
    let mut silent = Raw::connect(watched.port());
    silent.until_end();
    let results =
        [("shop", "ok"), ("shop", "limit"), ("other", "no_server"), ("other", "protocol"), ("other", "timeout")];
    let login = |scrape: &Scrape, database, result| {
        scrape.get("pgotter_client_logins_total", &[("database", database), ("result", result)])
    };
    let all = |scrape: &Scrape| results.iter().all(|(database, result)| login(scrape, database, result) == Some(1.0));
    let scrape = Scrape::until(watched.http, "every result", all);
    assert!(!scrape.values_of("database").iter().any(|name| name.contains("made_up")), "{scrape:#?}");
    assert_eq!(scrape.value("pgotter_client_connections_limit", &[SHOP]), 1.0);
}

#[test]
fn a_client_closed_because_of_a_bug_is_counted() {
    let watched = Watched::start(shared_postgres(), "", &[("PGOTTER_PANIC_PROBE", "1")]);
    let mut victim = Raw::log_in(watched.port(), &[("database", "shop"), ("application_name", "panic at Send")]);
    victim.send(&query("SELECT 1"));
    victim.until_end();
    let panics = |scrape: &Scrape| scrape.value("pgotter_client_panics_total", &[]);
    Scrape::until(watched.http, "the panic", |scrape| panics(scrape) == 1.0);
}

#[test]
fn reloads_are_counted_and_their_limits_are_shown() {
    let mut watched = Watched::in_front_of(shared_postgres(), "max_client_conn = 10");
    let good = must(std::fs::read_to_string(watched.config_file()));
    let success = |scrape: &Scrape| scrape.value("pgotter_config_reload_success", &[]);
    let read_at = |scrape: &Scrape| scrape.value("pgotter_config_reload_timestamp_seconds", &[]);
    let limits = |scrape: &Scrape| {
        ["pgotter_client_connections_limit", "pgotter_client_memory_limit_bytes"].map(|name| scrape.value(name, &[]))
    };
    let reload = |watched: &mut Watched, text: &str| {
        must(std::fs::write(watched.config_file(), text));
        watched.pooler.signal(Signal::HUP);
    };
    let start = Scrape::take(watched.http);
    assert_eq!((success(&start), limits(&start)[0]), (1.0, 10.0));
    reload(&mut watched, "nonsense");
    let refused = Scrape::until(watched.http, "the refused reload", |scrape| success(scrape) == 0.0);
    assert_eq!((read_at(&refused), limits(&refused)), (read_at(&start), limits(&start)));
    reload(&mut watched, &good.replace("max_client_conn = 10", "max_client_conn = 7\nmemory_budget = \"3MiB\""));
    let reloaded = Scrape::until(watched.http, "the reload", |scrape| success(scrape) == 1.0);
    assert!(read_at(&reloaded) > read_at(&start));
    assert_eq!(limits(&reloaded), [7.0, f64::from(3 << 20)]);
}

#[test]
fn the_build_the_configuration_and_the_host_are_told() {
    let watched = Watched::in_front_of(shared_postgres(), "");
    client_output("psql", watched.port(), &["-X", "-c", "SELECT 1", "shop"]);
    let scrape = Scrape::take(watched.http);
    assert_eq!(scrape.sum("pgotter_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert_eq!(scrape.value("pgotter_config_reload_success", &[]), 1.0);
    assert!(scrape.value("pgotter_config_reload_timestamp_seconds", &[]) > 1.7e9);
    let host = format!("{}:{}", shared_postgres().host(), shared_postgres().port());
    let host = ("host", host.as_str());
    let connected = |scrape: &Scrape| scrape.value("pgotter_server_connects_total", &[host, ("result", "ok")]);
    let scrape = Scrape::until(watched.http, "the connection", |scrape| connected(scrape) == 1.0);
    assert_eq!(scrape.value("pgotter_host_up", &[SHOP, host]), 1.0);
    assert_eq!(scrape.value("pgotter_server_connect_duration_seconds_count", &[host, ("result", "ok")]), 1.0);
    assert!(scrape.value("pgotter_client_connections_limit", &[]) > 0.0);
}

#[test]
fn a_request_that_is_sent_once_more_is_one_query_and_is_counted_as_a_retry() {
    let server = shared_postgres();
    must(server.psql("postgres", "CREATE TABLE counted_retry (id int)"));
    let watched = Watched::in_front_of(server, "default_pool_size = 1");
    let mut client = shop(&watched);
    let uses = [bind("", "s", &[]), describe(b'P', ""), execute("", 0), sync()].concat();
    client.send(&[parse("s", "SELECT * FROM counted_retry"), uses.clone()].concat());
    assert_eq!(error_code(&client.until_ready()), None);
    must(server.psql("postgres", "ALTER TABLE counted_retry ADD COLUMN more int"));
    client.send(&uses);
    assert_eq!(error_code(&client.until_ready()), None);
    let queries = |scrape: &Scrape| singles(scrape, "count");
    let scrape = Scrape::until(watched.http, "both queries", |scrape| queries(scrape) >= 2.0);
    assert_eq!(queries(&scrape), 2.0);
    assert_eq!(scrape.value("pgotter_routing_retries_total", &[SHOP, ("reason", "stale_plan")]), 1.0);
}
