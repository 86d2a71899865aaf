//! `pgotter top`: what it prints, what it shows at a terminal and what keys do there, in front of a real PgOtter and PostgreSQL.

mod terminals;
mod tty;

use crate::support::{could_not_run, must, table, talk, world};
use pgotter::cli::local_postgres::{SUPERUSER, SUPERUSER_PASSWORD};
use pgotter::cli::ports;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use table::{BOSS, WATCHER, console, pgotter, show};
use talk::{Client, query};
use tty::Tty;
use world::{cluster, fresh_role, holder, until_it_sleeps};

const PROGRAM: &str = env!("CARGO_BIN_EXE_pgotter");

/// Exit status, standard output and standard error.
fn top(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(PROGRAM);
    command.arg("top").args(arguments);
    for name in ["PGUSER", "PGPASSWORD", "PGPASSFILE"] {
        command.env_remove(name);
    }
    let output = command.envs(environment.iter().copied()).env("HOME", "/nowhere").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn once(port: u16, user: &str, more: &[&str]) -> Vec<Vec<String>> {
    let port = port.to_string();
    let (status, out, error) = top(&[&["--once", "-p", &port, "-U", user][..], more].concat(), &[]);
    assert_eq!((status, error.as_str()), (0, ""), "{out}");
    out.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

#[test]
fn a_slow_query_is_printed_first_and_by_other_orders_where_it_belongs() {
    let pooler = pgotter("", "");
    let role = fresh_role();
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    client.query("select pg_sleep(1)");
    for _ in 0..3 {
        client.query("select 'quick' as it").value();
        client.query("select 1 as quick, 2 / 0").error("22012");
    }
    client.query("select 'quick' as it").value();
    let rows = once(pooler.port(), WATCHER, &[]);
    let names = "SHARE% TIME_MS CALLS ERRORS ROWS MEAN_MS P50_MS P95_MS P99_MS WAIT_MS DATABASE FINGERPRINT QUERY";
    assert_eq!(rows[0].join(" "), names);
    let number = |at: usize| rows[1][at].parse::<f64>().unwrap();
    assert_eq!((rows[1][12..].join(" ").as_str(), number(2), number(3)), ("select pg_sleep(?)", 1.0, 0.0));
    // Quantiles are at most 6.25 % off.
    assert!(number(1) >= 1000.0 && number(7) >= 937.5 && number(0) > 50.0, "{rows:?}");
    let first = |sort: &str| once(pooler.port(), WATCHER, &["--sort", sort])[1][12..].join(" ");
    assert_eq!(
        ["p95", "calls", "errors"].map(first),
        ["select pg_sleep(?)", "select ? as it", "select ? as quick, ? / ?"]
    );
    world::eventually("they are in a window", || {
        let rows = once(pooler.port(), WATCHER, &["--window", "1h"]);
        rows.len() > 1 && rows[1][12..].join(" ") == "select pg_sleep(?)" && rows[1][2] == "1"
    });
    world::eventually("they are older than a second", || {
        let rows = once(pooler.port(), WATCHER, &["--window", "1s"]);
        !rows.iter().any(|row| row.contains(&"pg_sleep(?)".to_owned()))
    });
    for window in ["25h", "0s", "soon", "1.5h", "5m;SHOW", ""] {
        let (status, out, error) = top(&["--once", "--window", window], &[]);
        assert!(status == 2 && out.is_empty() && error.contains("such as 30s, 5m or 1h"), "{window}: {error}");
    }
}

#[test]
fn clients_that_something_is_done_for_are_printed_with_their_age() {
    let pooler = pgotter("", "");
    let role = fresh_role();
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    client.send(&query("SELECT pg_sleep(600)"));
    until_it_sleeps(&backend);
    let _idle = holder(pooler.port(), &role);
    let rows = once(pooler.port(), BOSS, &["--live"]);
    let names = "ID AGE_MS STATE DATABASE USER APPLICATION FROM PIN SERVER FINGERPRINT QUERY";
    assert_eq!(rows[0].join(" "), names);
    let [id, age, state, database, user, application, _, pin, server, _, text @ ..] = &rows[1][..] else {
        panic!("{rows:?}")
    };
    assert_eq!(text.join(" "), "select pg_sleep(?)");
    assert_eq!([state, database, user, application, pin].map(String::as_str), ["active", "postgres", &role, "-", "-"]);
    assert_eq!(*server, format!("127.0.0.1:{}_pid_{backend}", cluster().port()));
    assert!(age.parse::<f64>().is_ok(), "{age}");
    assert_eq!((rows.len(), rows[2][2].as_str()), (3, "idle_in_transaction"));
    let mut console = console(&pooler);
    assert_eq!(console.query(&format!("CANCEL {id}")).tags, ["CANCEL"]);
    client.answer().error("57014");
}

#[test]
fn whoever_cannot_look_is_told_why_with_status_2() {
    let users = crate::support::state().path().join("top_users");
    must(crate::support::state().write(&users, "\"boss\" \"se:cret\"\n\"other\" \"secret\"\n"));
    let users = users.display();
    let pooler = pgotter(&format!("auth_type = \"scram-sha-256\"\nauth_file = \"{users}\""), "");
    let free = ports::free_port().to_string();
    let (port, postgres) = (pooler.port().to_string(), cluster().port().to_string());
    for (arguments, password, said) in [
        (&["-p", &free, "-U", BOSS][..], "", "is PgOtter running"),
        (&["-p", &port, "-U", BOSS], "", "PGPASSWORD"),
        (&["-p", &port, "-U", BOSS], "wrong", "the password is wrong"),
        (&["-p", &port, "-U", "other"], "secret", "admin_users or stats_users"),
        (&["-p", &postgres, "-U", SUPERUSER], SUPERUSER_PASSWORD, "PgOtter, and not PostgreSQL"),
        (&["postgresql://boss@127.0.0.1:x/pgotter"], "", "port"),
        (&["one", "two"], "", "one URL"),
    ] {
        let (status, out, error) = top(&[&["--once"], arguments].concat(), &[("PGPASSWORD", password)]);
        assert!(status == 2 && out.is_empty() && error.contains(said), "{arguments:?}: {status} {out} {error}");
        assert!(error.starts_with("pgotter top: ") && !error.contains("se:cret"), "{error}");
    }
    let (status, _, error) = top(&["-p", &port, "-U", BOSS], &[("PGPASSWORD", "se:cret")]);
    assert!(status == 2 && error.contains("--once"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let passwords = folder.path().join("passwords").display().to_string();
    std::fs::write(&passwords, format!("127.0.0.1:{port}:pgotter:boss:se\\:cret\n")).unwrap();
    std::fs::set_permissions(&passwords, PermissionsExt::from_mode(0o600)).unwrap();
    let by_file = || top(&["--once", "-p", &port, "-U", BOSS], &[("PGPASSFILE", &passwords)]);
    assert_eq!(by_file().0, 0, "{:?}", by_file());
    std::fs::set_permissions(&passwords, PermissionsExt::from_mode(0o644)).unwrap();
    let (status, _, error) = by_file();
    assert!(status == 2 && error.contains("chmod 600"), "{error}");
}

/// At a terminal of its own; `None`: there is no program to make one.
fn at_a_terminal(port: u16, user: &str) -> Option<Tty> {
    at_one_that(port, user, Tty::run)
}

/// At a terminal that is made so, for a line of the shell.
fn at_one_that(port: u16, user: &str, make: impl FnOnce(&str) -> Tty) -> Option<Tty> {
    if Command::new("script").arg("--version").output().is_err() {
        could_not_run("pgotter top at a terminal", "script (of bsdutils) is not installed");
        return None;
    }
    Some(make(&format!("{PROGRAM} top -p {port} -U {user} --interval 0.1")))
}

#[test]
fn the_screen_does_what_keys_say_and_leaves_the_terminal_as_it_was() {
    let pooler = pgotter("", "");
    let role = fresh_role();
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    client.query("select pg_sleep(0.2)");
    let Some(mut tty) = at_a_terminal(pooler.port(), BOSS) else { return };
    tty.until("the slow query", |line| line.ends_with("select pg_sleep(?)"));
    tty.press("\r");
    tty.until("its kind", |line| line.split_whitespace().eq(["kind", "read"]));
    for _ in 0..8 {
        tty.press("\x1b[B");
    }
    tty.until("where it ran", |line| line.split_whitespace().eq(["primary", "single", "1"]));
    tty.until("its distribution", |line| line.contains(" 1 100.0%") && line.ends_with('█'));
    tty.until("its caller", |line| line.starts_with(&format!("{role} at postgres")) && line.contains("clients: 1"));
    tty.press("\x1b");
    tty.until("the list", |line| line.starts_with("SHARE%"));
    client.send(&query("SELECT pg_sleep(600)"));
    until_it_sleeps(&backend);
    tty.press("l");
    let row = tty.until("the client", |line| line.contains(" active ") && line.contains(&format!("pid {backend}")));
    let id = row.split_whitespace().next().unwrap();
    tty.press("k");
    tty.until("the question", |line| line.starts_with(&format!("cancel what client {id} ")));
    tty.press("n");
    tty.until("the keys", |line| line.starts_with("k cancel"));
    tty.press("k");
    tty.until("the question", |line| line.starts_with("cancel what client"));
    tty.press("y");
    client.answer().error("57014");
    tty.until("what was done", |line| line == format!("a cancel request was sent for client {id}"));
    tty.press("q");
    let ended = tty.end();
    assert_eq!((ended.status.as_str(), ended.modes_restored, ended.screen_restored), ("0", true, true));
}

#[test]
fn who_may_only_look_is_refused_a_cancel_and_a_signal_gives_the_terminal_back() {
    let mut pooler = pgotter("", "");
    let role = fresh_role();
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    client.send(&query("SELECT pg_sleep(600)"));
    until_it_sleeps(&backend);
    for signal in ["TERM", "HUP"] {
        let Some(mut tty) = at_a_terminal(pooler.port(), WATCHER) else { return };
        tty.press("l");
        tty.until("the client", |line| line.contains(" active "));
        tty.press("k");
        tty.until("the question", |line| line.starts_with("cancel what client"));
        tty.press("y");
        tty.until("the refusal", |line| line == "admin access needed");
        let sent = Command::new("kill").args([&format!("-{signal}"), &tty.pid()]).status().unwrap();
        assert!(sent.success());
        let ended = tty.end();
        assert_eq!((ended.status.as_str(), ended.modes_restored, ended.screen_restored), ("0", true, true), "{signal}");
    }
    assert_eq!(show(&mut console(&pooler), "ACTIVE").row(&[("user", &role)]).text("state"), "active");
    let Some(mut tty) = at_a_terminal(pooler.port(), WATCHER) else { return };
    tty.until("the list", |line| line.starts_with("SHARE%"));
    pooler.stop(std::time::Duration::ZERO);
    tty.until("what is wrong", |line| line.starts_with("the console cannot be asked, trying again"));
    tty.press("\x03");
    let ended = tty.end();
    assert_eq!((ended.status.as_str(), ended.modes_restored, ended.screen_restored), ("0", true, true));
}
