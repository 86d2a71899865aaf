//! Alerts: what fires, what ends, and who is told; in front of real PostgreSQL, with a real server of HTTP behind the webhooks.

mod applications;
mod hooks;
mod kinds;

use crate::support::waiting::reload_with;
use crate::support::{PgOtter, certificates, scrape, table, talk, world};
use hooks::{Hooks, Told};
use pgotter::cli::ports;
use scrape::Scrape;
use serde_json::Value;
use table::{Table, console, pgotter, show};
use talk::Client;
use world::{eventually, fresh_role};

/// With an endpoint, these alerts, and webhooks there.
fn watched(http: u16, alerts: &str, webhooks: &str) -> String {
    format!("{alerts}[notify]\nwebhook = [{webhooks}]\n[http]\nlisten = \"127.0.0.1:{http}\"\n")
}

fn shown(pooler: &PgOtter) -> Table {
    show(&mut console(pooler), "ALERTS")
}

fn state(pooler: &PgOtter, alert: &str) -> String {
    shown(pooler).with(&[("alert", alert)])[0].text("state").to_owned()
}

/// What was told of one alert: states, in order.
fn states(told: &[Told], alert: &str) -> Vec<String> {
    let of_it = told.iter().filter(|told| told.json["alert"] == alert);
    of_it.map(|told| told.json["state"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn assert_once_each(told: &[Told]) {
    let mut ids: Vec<_> = told.iter().map(|told| told.json["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all, "an event was taken twice: {told:?}");
}

const SINGLE: &str = "[[alert]]\ntype = \"single\"\nover = \"5s\"\nwindow = \"10s\"\n";

#[test]
fn a_statement_of_more_than_five_seconds_is_told_once_though_the_first_answers_are_503() {
    let (hooks, http) = (Hooks::answering(&[503, 503]), ports::free_port());
    let pooler = pgotter("", &watched(http, SINGLE, &format!("\"{}\"", hooks.url("/db"))));
    let (port, role) = (pooler.port(), fresh_role());
    // Two servers, so that neither waits until one is there.
    let mut clients = [(), ()].map(|()| world::holder(port, &role));
    clients.iter_mut().for_each(|client| drop(client.query("commit")));
    let asked: Vec<_> = clients
        .into_iter()
        .zip(["4", "5.1"])
        .map(|(mut client, seconds)| {
            std::thread::spawn(move || {
                client.value(&format!("select {seconds} as seconds, pg_sleep({seconds}), 'a secret'"));
            })
        })
        .collect();
    asked.into_iter().for_each(|client| client.join().unwrap());
    // Both have the same normal form: only the longer one counts.
    eventually("the webhook is told", || hooks.told().len() == 1);
    let event = hooks.told()[0].json.clone();
    assert_eq!(
        (&event["alert"], &event["type"], &event["state"]),
        (&"single".into(), &"single".into(), &"firing".into())
    );
    assert_eq!(
        (&event["calls"], &event["threshold"], &event["database"]),
        (&1.into(), &5.0.into(), &"postgres".into())
    );
    assert_eq!(event["query"], "select ? as seconds, pg_sleep(?), ?");
    let took = event["value"].as_f64().unwrap();
    assert!((5.1..10.0).contains(&took), "{took}");
    let table = shown(&pooler);
    let row = table.row(&[("alert", "single")]);
    assert_eq!((row.text("state"), row.number("fired")), ("firing", 1));
    assert_eq!(Value::from(row.text("subject")), event["fingerprint"]);
    eventually("it is over", || state(&pooler, "single") == "ok");
    eventually("the webhook is told", || hooks.told().len() == 2);
    assert_eq!(states(&hooks.told(), "single"), ["firing", "resolved"]);
    assert_once_each(&hooks.told());
    // The two that failed, and those that were told.
    assert_eq!(hooks.asked(), 4);
    let scrape = Scrape::until(http, "the requests", |scrape| {
        scrape.get("pgotter_webhook_requests_total", &[("result", "ok")]) == Some(2.0)
    });
    assert_eq!(scrape.value("pgotter_webhook_requests_total", &[("result", "failed")]), 2.0);
    assert_eq!(scrape.value("pgotter_webhook_events_total", &[("result", "delivered")]), 2.0);
    assert_eq!(scrape.value("pgotter_alerts_firing", &[("alert", "single")]), 0.0);
    assert_eq!(scrape.value("pgotter_alerts_fired_total", &[("alert", "single")]), 1.0);
    let log = pooler.log();
    assert!(log.contains("an alert fires") && log.contains("an alert is over") && !log.contains("secret"), "{log}");
}

#[test]
fn twenty_slow_calls_fire_the_average_and_six_errors_of_a_hundred_the_error_ratio() {
    let (hooks, http) = (Hooks::answering(&[503, 503]), ports::free_port());
    let window = "window = \"10s\"\nclear_for = \"1s\"\n";
    let alerts = format!(
        "[[alert]]\ntype = \"average\"\nover = \"1s\"\n{window}\
         [[alert]]\ntype = \"error_ratio\"\nover = 0.05\nmatch = {{ tables = [\"pg_class\"] }}\n{window}\
         [[alert]]\nname = \"few\"\ntype = \"error_ratio\"\nover = 0.05\nmatch = {{ tables = [\"pg_index\"] }}\n{window}"
    );
    let pooler = pgotter("", &watched(http, &alerts, &format!("\"{}\"", hooks.url("/db"))));
    let (port, role) = (pooler.port(), fresh_role());
    let slow = |seconds: &'static str| {
        let role = role.clone();
        std::thread::spawn(move || {
            Client::connect(port, &role, "postgres").value(&format!("select pg_sleep({seconds})"))
        })
    };
    let sleeping: Vec<_> = (0..20).map(|_| slow("1.1")).collect();
    let mut client = Client::connect(port, &role, "postgres");
    // A look may come in the middle of them, and a window may have lost the first of them: the six are together at the end; of the four no
    // 20 calls or more from the beginning, nor up to the end, have more than one in twenty.
    let six: fn(usize) -> bool = |number| number >= 94;
    let four: fn(usize) -> bool = |number| number % 20 == 19 && number < 99;
    for (table, fails) in [("pg_class", six), ("pg_index", four)] {
        for number in 0..100 {
            let divisor = i32::from(!fails(number));
            let answer = client.query(&format!("select 1 / {divisor} from {table} limit 1"));
            assert_eq!(answer.errors.len(), usize::from(fails(number)));
        }
    }
    sleeping.into_iter().for_each(|client| drop(client.join().unwrap()));
    let mut table = shown(&pooler);
    eventually("both fire, and all was looked at", || {
        table = shown(&pooler);
        let is = |alert, column, wanted| table.row(&[("alert", alert)]).get(column) == Some(wanted);
        is("average", "state", "firing")
            && is("error_ratio", "state", "firing")
            && is("error_ratio", "value", "6.0%")
            && is("few", "value", "4.0%")
    });
    let average = table.row(&[("alert", "average")]);
    assert_eq!(average.text("query"), "select pg_sleep(?)");
    assert!(!average.text("subject").is_empty() && average.get("since").is_some());
    let errors = table.row(&[("alert", "error_ratio")]);
    assert_eq!((errors.text("value"), errors.text("subject"), errors.text("threshold")), ("6.0%", "", "5.0%"));
    let few = table.row(&[("alert", "few")]);
    assert_eq!((few.text("state"), few.text("value"), few.number("fired")), ("ok", "4.0%", 0));
    eventually("both are over", || state(&pooler, "average") == "ok" && state(&pooler, "error_ratio") == "ok");
    eventually("all is told", || hooks.told().len() == 4);
    let told = hooks.told();
    for alert in ["average", "error_ratio"] {
        assert_eq!(states(&told, alert), ["firing", "resolved"], "{told:?}");
    }
    assert_once_each(&told);
    assert_eq!(hooks.asked(), 6);
    Scrape::until(http, "the alerts", |scrape| {
        scrape.get("pgotter_alerts_fired_total", &[("alert", "few")]) == Some(0.0)
    });
}

const QUICK: &str = "[[alert]]\ntype = \"single\"\nover = \"100ms\"\nwindow = \"10s\"\n";

#[test]
fn webhooks_that_hang_refuse_or_talk_nonsense_keep_nobody_else_waiting() {
    let (good, slack, hanging) = (Hooks::answering(&[]), Hooks::answering(&[]), Hooks::hanging());
    let (refusing, nonsense) = (Hooks::answering(&[404; 8]), Hooks::talking_nonsense());
    let http = ports::free_port();
    let webhooks = format!(
        "\"{}\", \"{}\", \"{}\", \"{}\", {{ url = \"{}\", format = \"slack\" }}",
        hanging.url("/"),
        refusing.url("/"),
        nonsense.url("/"),
        good.url("/db?key=1"),
        slack.url("/")
    );
    let alerts = watched(http, QUICK, &webhooks).replace("[notify]\n", "[notify]\ntimeout = \"1s\"\n");
    let pooler = pgotter("", &alerts);
    let mut client = Client::connect(pooler.port(), &fresh_role(), "postgres");
    client.value("select pg_sleep(0.2)");
    client.value("select pg_sleep(0.2) as another");
    eventually("the good ones are told", || good.told().len() == 2 && slack.told().len() == 2);
    let told = good.told();
    assert!(told.iter().all(|told| told.head.starts_with("POST /db?key=1 HTTP/1.1\r\n")), "{told:?}");
    assert!(told[0].head.to_lowercase().contains("content-type: application/json\r\n"), "{told:?}");
    let text = slack.told()[0].json["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with(":rotating_light: *single* firing: ") && text.contains("`select pg_sleep(?)"), "{text}");
    // Refused ones are given up at once, the others tried again.
    eventually("the one that refuses has heard both", || refusing.asked() == 2);
    eventually("the others are tried again", || hanging.asked() > 1 && nonsense.asked() > 1);
    let requests = "pgotter_webhook_requests_total";
    Scrape::until(http, "the failures", |scrape| {
        let count = |result| scrape.value(requests, &[("result", result)]);
        count("timeout") > 0.0 && count("unreachable") > 0.0 && count("refused") == 2.0 && count("ok") >= 4.0
    });
    // The log says where, and not what may be a password.
    assert!(!pooler.log().contains("key=1"));
    assert_eq!(client.value("select 'served all the same'"), "served all the same");
}

#[test]
fn a_reload_brings_alerts_and_takes_them_away() {
    let (hooks, http) = (Hooks::answering(&[]), ports::free_port());
    let mut pooler = pgotter("", &watched(http, "", ""));
    let before = std::fs::read_to_string(pooler.config_file()).unwrap();
    let mut client = Client::connect(pooler.port(), &fresh_role(), "postgres");
    client.value("select pg_sleep(0.2)");
    assert!(shown(&pooler).rows.is_empty());
    let webhook = format!("webhook = [\"{}\"]", hooks.url("/"));
    let reload_failed = "[[alert]]\ntype = \"reload_failed\"\n";
    let with = before.replace("webhook = []", &webhook) + QUICK + reload_failed;
    assert!(reload_with(&mut pooler, &with));
    eventually("it is looked at", || shown(&pooler).rows.len() == 2);
    let columns: Vec<_> = shown(&pooler).columns.into_iter().map(|(name, _)| name).collect();
    let names = "alert type database subject state level value threshold since fired query";
    assert_eq!(columns.join(" "), names);
    client.value("select pg_sleep(0.2)");
    eventually("it fires", || state(&pooler, "single") == "firing");
    assert!(!reload_with(&mut pooler, &with.replace("100ms", "a while")));
    eventually("that is told, too", || states(&hooks.told(), "reload_failed") == ["firing"]);
    assert!(reload_with(&mut pooler, &with.replace(QUICK, "")));
    eventually("it is told that both are over", || hooks.told().len() == 4);
    let told = hooks.told();
    assert_eq!(states(&told, "single"), ["firing", "resolved"]);
    assert_eq!(states(&told, "reload_failed"), ["firing", "resolved"]);
    let removed: Vec<_> = told.iter().filter(|told| told.json["reason"] == "removed").collect();
    assert_eq!((removed.len(), &removed[0].json["alert"]), (1, &"single".into()));
    eventually("it is gone", || shown(&pooler).rows.len() == 1);
}

#[test]
fn a_pool_in_which_clients_wait_fires_and_says_whose() {
    let http = ports::free_port();
    let alerts = "[[alert]]\ntype = \"pool_wait\"\nover = \"500ms\"\nfor = 0\nclear_for = 0\n\
                  [[alert]]\ntype = \"pool_saturation\"\nover = 0.9\nfor = 0\nclear_for = 0\n";
    let pooler = pgotter("default_pool_size = 1", &watched(http, alerts, ""));
    let role = fresh_role();
    let mut holder = world::holder(pooler.port(), &role);
    holder.value("select 'keeps it'");
    let mut waiting = Client::connect(pooler.port(), &role, "postgres");
    waiting.send(&talk::query("select 'waits'"));
    eventually("both fire", || ["pool_wait", "pool_saturation"].iter().all(|alert| state(&pooler, alert) == "firing"));
    let table = shown(&pooler);
    assert_eq!(table.row(&[("alert", "pool_wait")]).text("subject"), role);
    assert_eq!(table.row(&[("alert", "pool_saturation")]).text("value"), "100.0%");
    holder.query("commit");
    assert_eq!(waiting.answer().value(), "waits");
    eventually("both are over", || ["pool_wait", "pool_saturation"].iter().all(|alert| state(&pooler, alert) == "ok"));
}

#[test]
fn a_webhook_behind_tls_is_told_if_the_system_trusts_it_and_not_otherwise() {
    let (trusted, stranger) = (hooks::Tls::new("localhost"), hooks::Tls::new("localhost"));
    let (known, unknown) = (Hooks::with_tls(&trusted), Hooks::with_tls(&stranger));
    let roots = crate::support::state().path().join("alerts_roots.pem");
    crate::support::must(crate::support::state().write(&roots, &trusted.authority));
    let http = ports::free_port();
    let webhooks = format!("\"{}\", \"{}\"", known.url("/"), unknown.url("/"));
    let rest = watched(http, QUICK, &webhooks);
    let config = |port| world::config(port, &world::host(world::cluster()), &table::lines(""), &rest);
    let pooler = PgOtter::start_with(config, &[("SSL_CERT_FILE", roots.to_str().unwrap())]);
    Client::connect(pooler.port(), &fresh_role(), "postgres").value("select pg_sleep(0.2)");
    eventually("the one that is trusted is told", || !known.told().is_empty());
    Scrape::until(http, "the refusal", |scrape| {
        scrape.value("pgotter_webhook_requests_total", &[("result", "unreachable")]) > 0.0
    });
    assert!(unknown.told().is_empty());
}
