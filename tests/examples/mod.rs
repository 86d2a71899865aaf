//! The configurations of five platforms in `config/examples/`: PgOtter takes them, what they name is in those platforms' schemas, and what
//! their objectives ask for is what the platforms do.

#[path = "../workload/parts.rs"]
#[allow(dead_code, reason = "shared with the tests of routing, which use more of it")]
mod parts;

use crate::support::waiting::eventually;
use crate::support::{PgOtter, must, postgres, state};
use parts::{Part, WORKLOAD, parts};
use pgotter::cli::local_postgres::{LocalPostgres, Options, SUPERUSER, SUPERUSER_PASSWORD};
use pgotter::config::{self, Alert, Condition, Config, RouteRule};
use pgotter::sql::{Pattern, Plain, Reading, read};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Name, text, and how the names of its platform's statements begin.
const EXAMPLES: [(&str, &str, &str); 5] = [
    ("flowtrack", include_str!("../../config/examples/flowtrack.toml"), "F"),
    ("imaginarium", include_str!("../../config/examples/imaginarium.toml"), "I"),
    ("executions", include_str!("../../config/examples/executions.toml"), "E"),
    ("concertmaster", include_str!("../../config/examples/concertmaster.toml"), "C"),
    ("orchestrator", include_str!("../../config/examples/orchestrator.toml"), "O"),
];

/// A goal of a minute and more is one of maintenance, which the log of slow queries and no objective is for.
const MAINTENANCE: Duration = Duration::from_secs(60);

const USERS: &str = "\"admin\" \"one\"\n\"monitor\" \"two\"\n";

/// What the texts have the environment say.
fn variables(text: &str) -> Vec<(String, String)> {
    let names = text.split("env = \"").skip(1).filter_map(|part| part.split('"').next());
    names.map(|name| (name.to_owned(), "https://hooks.example.test/".to_owned())).collect()
}

fn parsed(name: &str, text: &str) -> Config {
    let users = |_: &Path| Ok(USERS.to_owned());
    let env = |_: &str| Some("https://hooks.example.test/".to_owned());
    let parsed = config::parse(text, Path::new("pooler.toml"), &users, &env, 2);
    parsed.unwrap_or_else(|report| panic!("{name}: {}", report.render(false)))
}

fn pattern(text: &str) -> Option<Arc<Pattern>> {
    read(text.as_bytes(), Reading::default(), &Plain).pattern(text.as_bytes(), Reading::default()).cloned()
}

/// The parts of a platform, each statement with what it is counted as.
fn statements(begin: &str) -> Vec<(Part, Vec<Arc<Pattern>>)> {
    let of_it = parts().into_iter().filter(|part| part.id.starts_with(begin));
    let seen = of_it.map(|part| {
        let patterns = part.statements.iter().filter_map(|text| pattern(text)).collect();
        (part, patterns)
    });
    seen.collect()
}

fn is_for(alert: &Alert, pattern: &Pattern) -> bool {
    alert.matches.has_statement(Some(pattern.fingerprint.0), pattern.kind, &pattern.tables)
}

#[test]
fn check_finds_neither_a_mistake_nor_anything_odd() {
    let files = must(std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/config/examples"))).count();
    assert_eq!(files, EXAMPLES.len(), "an example is not looked at");
    for (name, text, _) in EXAMPLES {
        let folder = must(state().new_folder(name));
        must(state().write(&folder.join("userlist.txt"), USERS));
        let file = folder.join("pooler.toml");
        must(state().write(&file, text));
        let mut command = Command::new(must(state().runnable(Path::new(env!("CARGO_BIN_EXE_pgotter")))));
        command.arg("check").arg("-c").arg(&file);
        let output = must(state().adopt(&mut command).envs(variables(text)).output());
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("warning"), "{name}: {said}");
    }
}

/// Names behind `CREATE …` words in the workload's schema and statements.
fn created(words: &[&str]) -> Vec<&'static str> {
    let of_word = |word: &&str| {
        let behind = WORKLOAD.split(&format!("CREATE {word} ")).skip(1).collect::<Vec<_>>();
        let name = |text: &'static str| text.trim_start_matches("IF NOT EXISTS ").split([' ', '(']).next();
        behind.into_iter().filter_map(name).collect::<Vec<_>>()
    };
    words.iter().flat_map(of_word).collect()
}

#[test]
fn every_table_function_and_fingerprint_that_they_name_is_one_of_the_platform() {
    let tables = created(&["TABLE", "MATERIALIZED VIEW"]);
    let functions = created(&["FUNCTION"]);
    for (name, text, begin) in EXAMPLES {
        let config = parsed(name, text);
        let patterns: Vec<_> = statements(begin).into_iter().flat_map(|(_, patterns)| patterns).collect();
        let schema = patterns.iter().find_map(|pattern| pattern.tables.split_once('.')).unwrap().0;
        let rules = config.routing.rules.iter();
        let named = rules.clone().filter_map(|rule| rule.table.as_ref());
        for table in named.chain(config.alerts.iter().flat_map(|alert| &alert.matches.tables)) {
            assert!(table.starts_with(&format!("{schema}.")), "{name}: {table} is another platform's");
            assert!(
                tables.iter().any(|known| RouteRule::fits(table, known.as_bytes())),
                "{name}: there is no table {table}"
            );
        }
        for function in config.routing.read_functions.iter().chain(&config.routing.write_functions) {
            assert!(
                functions.contains(&format!("{schema}.{function}").as_str()),
                "{name}: there is no function {function}"
            );
        }
        let of_alerts = config.alerts.iter().filter_map(|alert| alert.matches.fingerprint);
        for fingerprint in rules.filter_map(|rule| rule.fingerprint).chain(of_alerts) {
            let known = patterns.iter().any(|pattern| pattern.fingerprint.0 == fingerprint);
            assert!(known, "{name}: no statement has the fingerprint {fingerprint:016x}");
        }
        let databases: Vec<_> = config.alerts.iter().filter_map(|alert| alert.matches.database.as_ref()).collect();
        assert!(databases.iter().all(|database| config.databases.contains_key(*database)), "{name}: {databases:?}");
    }
}

#[test]
fn each_objective_is_for_statements_of_the_platform_and_asks_what_the_platform_asks() {
    for (name, text, begin) in EXAMPLES {
        let (config, statements) = (parsed(name, text), statements(begin));
        let mut objectives = 0;
        for alert in &config.alerts {
            let Condition::Objective { target, .. } = alert.condition else { continue };
            objectives += 1;
            let of_it: Vec<_> = statements
                .iter()
                .filter(|(_, patterns)| patterns.iter().any(|pattern| is_for(alert, pattern)))
                .collect();
            assert!(!of_it.is_empty(), "{name}: {} is for no statement", alert.name);
            let goals = of_it.iter().filter_map(|(part, _)| part.goal).filter(|goal| *goal < MAINTENANCE);
            if let (Some(least), Some(most)) = (goals.clone().min(), goals.max()) {
                assert!(
                    (least..=most).contains(&target),
                    "{name}: {}: {target:?}, and not {least:?} to {most:?}",
                    alert.name
                );
            }
        }
        assert!(objectives >= 4, "{name}");
        for (part, patterns) in &statements {
            if part.goal.is_none_or(|goal| goal >= MAINTENANCE) {
                continue;
            }
            let objective = |alert: &&Arc<Alert>| matches!(alert.condition, Condition::Objective { .. });
            let mut objectives = config.alerts.iter().filter(objective);
            let seen = objectives.any(|alert| patterns.iter().any(|pattern| is_for(alert, pattern)));
            assert!(seen, "{name}: no objective is for {}, which has a goal", part.id);
        }
    }
}

#[test]
fn nobody_is_told_of_maintenance_that_takes_as_long_as_it_does() {
    for (name, text, begin) in EXAMPLES {
        let config = parsed(name, text);
        let of_type = |alert: &&Arc<Alert>| matches!(alert.condition, Condition::Single { .. });
        let singles: Vec<_> = config.alerts.iter().filter(of_type).collect();
        let statements = statements(begin);
        let long = statements.iter().filter(|(part, _)| part.goal.is_some_and(|goal| goal >= MAINTENANCE));
        let mut count = 0;
        for (part, pattern) in long.flat_map(|(part, patterns)| patterns.iter().map(move |pattern| (part, pattern))) {
            count += 1;
            let told = singles.iter().find(|alert| is_for(alert, pattern)).map(|alert| &alert.name);
            assert_eq!(told, None, "{name}: {}", part.id);
        }
        assert!(count > 0 && !singles.is_empty(), "{name}");
        // Nor of a pool that two long jobs are in.
        for (user, entry) in &config.users {
            assert!(entry.pool_size.is_none_or(|size| size >= 3), "{name}: {user}");
        }
    }
}

/// In a database of its own, with the workload's schema and rows.
fn prepared(server: &LocalPostgres) {
    let setup = WORKLOAD.split("\n-- @stmt ").next().unwrap();
    let file = server.state().path().join(format!("workload-{}.sql", server.port()));
    must(server.state().write(&file, setup));
    must(server.psql("postgres", "CREATE DATABASE flowtrack"));
    must(server.psql("postgres", "CREATE ROLE pgotter LOGIN"));
    must(server.psql_file("flowtrack", &file));
}

#[test]
fn flowtracks_leads_are_read_on_a_replica_and_its_logs_written_to_their_cluster() {
    let (mut primary, logs) = (postgres(&Options::default()), postgres(&Options::default()));
    let replica = must(primary.replica());
    prepared(&primary);
    prepared(&logs);
    must(primary.wait_for_replicas(1));
    let users = must(state().new_folder("users")).join("userlist.txt");
    must(state().write(&users, &format!("{USERS}\"{SUPERUSER}\" \"{SUPERUSER_PASSWORD}\"\n")));
    let hosts = [("flow-0", replica.port()), ("flow-1", primary.port()), ("flow-logs-0", logs.port())];
    let (_, text, _) = EXAMPLES[0];
    let here = |port: u16| {
        let text =
            text.replace(", \"flow-2.example.test:5432\"", "").replace(", \"flow-logs-1.example.test:5432\"", "");
        let text = text.replace("listen_port = 6432", &format!("listen_port = {port}"));
        let text = text.replace("\"userlist.txt\"", &format!("\"{}\"", users.display()));
        hosts.iter().fold(text, |text, (name, port)| {
            let (before, now) = (format!("\"{name}.example.test:5432\""), format!("\"127.0.0.1:{port}\""));
            assert!(text.contains(&before), "{before}");
            text.replace(&before, &now)
        })
    };
    let variables = variables(text);
    let environment: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let pgotter = PgOtter::start_with(here, &environment);
    let psql = |commands: &[&str]| {
        crate::support::client_output("psql", pgotter.port(), &[&["-X", "-At", "-d", "flowtrack"], commands].concat())
    };
    let route = |sql: &str| psql(&["-o", "/dev/null", "-c", sql, "-c", "\\o", "-c", "SHOW pgotter.route"]);
    let part = |id: &str| parts().into_iter().find(|part| part.id == id).unwrap().statements.remove(0);
    let replica = format!("127.0.0.1:{}", replica.port());
    eventually("leads are read on the replica", || route(&part("F01")).starts_with(&replica));
    assert!(route(&part("F05")).starts_with(&format!("127.0.0.1:{}|primary|rule", primary.port())));
    let count = "SELECT count(*) FROM flow.execution_logs";
    let before = [&primary, &logs].map(|server| must(server.psql("flowtrack", count)));
    assert_eq!(psql(&["-c", &part("F13c")]), "INSERT 0 3\n");
    let [at_home, there] = [&primary, &logs].map(|server| must(server.psql("flowtrack", count)));
    assert_eq!((at_home, there), (before[0].clone(), (before[1].parse::<u64>().unwrap() + 3).to_string()));
}
