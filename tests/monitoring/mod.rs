//! What is shipped for Prometheus and Grafana: the rules fire when they should, and every name in them, and in the dashboard, is one
//! that a running PgOtter exports. With Debian's package `prometheus`, which `.ci/preflight test` installs.

mod dashboard;
mod expression;
mod prometheus;
mod traffic;

use crate::support::waiting::{PATIENCE, eventually};
use crate::support::{could_not_run, scrape};
use dashboard::Asked;
use expression::named;
use prometheus::{Prometheus, label_names, program};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use traffic::Traffic;

const ALERTS: &str = include_str!("../../config/prometheus/alerts.yml");
const PROMETHEUS: &str = include_str!("../../config/prometheus/prometheus.yml");
/// For promtool.
const TESTS: [(&str, &str); 2] = [
    ("tests/monitoring/alerts.test.yml", include_str!("alerts.test.yml")),
    ("tests/monitoring/alerts_of_hours.test.yml", include_str!("alerts_of_hours.test.yml")),
];

/// `None`: the test cannot run here, and that was said.
fn debians(name: &str) -> Option<std::path::PathBuf> {
    let found = program(name);
    if found.is_none() {
        could_not_run("what is shipped for Prometheus", &format!("no {name}; its Debian package is prometheus"));
    }
    found
}

fn promtool(arguments: &[&str]) {
    let Some(program) = debians("promtool") else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(program).args(arguments).current_dir(root).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

/// What stands behind `key` at the beginnings of lines.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix(key))
        .map(str::trim)
        .collect()
}

#[test]
fn the_rules_and_the_example_are_what_prometheus_reads() {
    promtool(&["check", "rules", "config/prometheus/alerts.yml"]);
    promtool(&["check", "config", "config/prometheus/prometheus.yml"]);
}

#[test]
fn each_rule_fires_when_it_should_and_not_before() {
    promtool(&["test", "rules", TESTS[0].0, TESTS[1].0]);
}

#[test]
fn each_rule_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() {
    let expectations: Vec<&str> =
        TESTS.iter().flat_map(|(_, text)| text.lines()).filter(|line| line.contains("exp_samples")).collect();
    let alerts = values(ALERTS, "alert:");
    assert!(alerts.len() > 20, "{alerts:?}");
    for alert in &alerts {
        let (one, name) = (format!("alertname: {alert},"), format!("alertname=\"{alert}\""));
        if TESTS[0].1.contains(&one) {
            continue;
        }
        let of_it = || expectations.iter().filter(|line| line.contains(&format!("expr: 'ALERTS{{{name}")));
        assert!(of_it().any(|line| line.contains("exp_samples: []")), "{alert} is nowhere shown not to fire");
        assert!(of_it().any(|line| !line.contains("exp_samples: []")), "{alert} is nowhere shown to fire");
    }
    // Whoever is woken is told why, and what to do.
    for key in ["summary:", "description:", "runbook:"] {
        assert_eq!(values(ALERTS, key).len(), alerts.len(), "{key}");
    }
    assert_eq!(values(ALERTS, "labels: { severity:").len(), alerts.len());
}

/// An expression, and what is said of it until all is right: `None`.
fn wrong_with(prometheus: &Prometheus, expression: &str) -> Option<String> {
    if let Err(error) = prometheus.query(expression) {
        return Some(error);
    }
    let found = named(expression);
    let mut labels = BTreeSet::new();
    for selector in &found.selectors {
        match prometheus.query(selector) {
            Ok(series) if series.is_empty() => return Some(format!("no series is {selector}")),
            Ok(series) => labels.extend(label_names(&series)),
            Err(error) => return Some(format!("{selector}: {error}")),
        }
    }
    let unknown = found.labels.iter().find(|label| !labels.contains(*label));
    unknown.map(|label| format!("none of its series has the label {label}"))
}

/// The first label that a rule's words show and that what it tells of does not have.
fn unsayable(prometheus: &Prometheus, rule: &Value) -> Option<String> {
    let found = named(rule["query"].as_str()?);
    let labels = match found.labels.is_empty() {
        true => label_names(&found.selectors.iter().flat_map(|one| prometheus.query(one).unwrap()).collect::<Vec<_>>()),
        false => found.labels.into_iter().collect(),
    };
    let words = rule["annotations"].to_string();
    let shown = words.split("$labels.").skip(1).filter_map(|part| part.split([' ', '}']).next());
    let mut missing = shown.filter(|label| !labels.contains(*label));
    missing.next().map(|label| format!("it has no label {label} to show"))
}

/// Asks again and again until nothing is wrong with any.
fn until_all_are_right<T>(things: &[T], wrong: impl Fn(&T) -> Option<String>) {
    let since = Instant::now();
    loop {
        let complaints: Vec<_> = things.iter().filter_map(&wrong).collect();
        if complaints.is_empty() {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "{complaints:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_real_prometheus_finds_everything_that_the_rules_and_the_dashboard_ask_for() {
    let Some(program) = debians("prometheus") else { return };
    let traffic = Traffic::start();
    let target = format!("127.0.0.1:{}", traffic.http);
    let config = PROMETHEUS.replace("15s", "1s").replace("127.0.0.1:9127", &target);
    assert!(config.contains(&target) && config.contains("interval: 1s"), "{config}");
    let files = [("prometheus.yml", config), ("alerts.yml", ALERTS.to_owned())];
    let prometheus = Prometheus::start(&program, &files);
    let targets =
        || prometheus.api("targets", ("state", "active")).unwrap()["activeTargets"].as_array().unwrap().clone();
    eventually("PgOtter is up", || targets().iter().any(|target| target["health"] == "up"));
    assert!(targets().len() == 1 && targets()[0]["labels"]["job"] == "pgotter", "{:?}", targets());
    the_rules_are_right(&prometheus);
    the_dashboard_is_right(&prometheus);
    an_alert_arrives(&prometheus);
}

fn the_rules_are_right(prometheus: &Prometheus) {
    let rules = || -> Vec<Value> {
        let data = prometheus.api("rules", ("type", "")).unwrap();
        let groups = data["groups"].as_array().unwrap();
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    };
    let count = values(ALERTS, "alert:").len() + values(ALERTS, "record:").len();
    // One that was not looked at yet is of unknown health.
    let seen = |rules: &[Value]| rules.len() == count && rules.iter().all(|rule| rule["health"] != "unknown");
    eventually("every rule was looked at", || seen(&rules()));
    let rules = rules();
    let broken: Vec<_> = rules.iter().filter(|rule| rule["health"] != "ok").collect();
    assert!(broken.is_empty(), "{broken:#?}");
    until_all_are_right(&rules, |rule| {
        let complaint = wrong_with(prometheus, rule["query"].as_str().unwrap());
        let complaint = complaint.or_else(|| unsayable(prometheus, rule))?;
        Some(format!("{}: {complaint}", rule["name"]))
    });
}

fn the_dashboard_is_right(prometheus: &Prometheus) {
    let dashboard = dashboard::read();
    // An annotation has nothing to tell where nothing was changed lately.
    let unshown = |asked: &Asked| {
        let series = prometheus.query(&asked.expression).ok().filter(|_| !asked.is_annotation)?;
        let labels = label_names(&series);
        let missing = asked.shown.iter().find(|label| !labels.contains(*label));
        match series.is_empty() {
            true => Some("it gives nothing".to_owned()),
            false => missing.map(|label| format!("its series have no label {label} to show")),
        }
    };
    until_all_are_right(&dashboard::asked(&dashboard), |asked| {
        let complaint = wrong_with(prometheus, &asked.expression).or_else(|| unshown(asked))?;
        Some(format!("{}: {complaint} in {}", asked.panel, asked.expression))
    });
    for (metric, label) in dashboard::variables(&dashboard) {
        let values = prometheus.api(&format!("label/{label}/values"), ("match[]", &metric)).unwrap();
        assert!(values.as_array().is_some_and(|values| !values.is_empty()), "{label} of {metric}: {values}");
    }
}

/// From a statement in PostgreSQL to the words that an operator reads.
fn an_alert_arrives(prometheus: &Prometheus) {
    let alerts = || prometheus.api("alerts", ("", "")).unwrap()["alerts"].as_array().unwrap().clone();
    let told = "PgOtter's alert slow statement fires";
    let fires = |alert: &Value| alert["annotations"]["summary"] == told && alert["state"] == "firing";
    eventually("it fires", || alerts().iter().any(fires));
    let alerts = alerts();
    assert!(!alerts.iter().any(|alert| alert["annotations"].to_string().contains("error expanding")), "{alerts:#?}");
}
