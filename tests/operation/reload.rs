//! A reload: all of it or nothing, and nobody is dropped.

use super::reloading::{change, reload, reload_with};
use super::talk::Client;
use super::world::{cluster, config, eventually, fresh_role, host, pgotter};
use crate::support::{PgOtter, SetAtEnd, client, must, postgres, state};
use pgotter::cli::local_postgres::Options;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

#[test]
fn a_hundred_reloads_under_load_drop_nobody_and_fail_nothing() {
    let role = fresh_role();
    let mut pooler = pgotter("default_pool_size = 4\nworkers = 2", "");
    let port = pooler.port();
    let (over, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut idle = Client::connect(port, &role, "postgres");
    thread::scope(|scope| {
        let end = SetAtEnd(&over);
        let load = |reconnects: bool| {
            let (role, over, done) = (&role, &over, &done);
            move || {
                let mut client = Client::connect(port, role, "postgres");
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(client.query("BEGIN -- with a server").status, Some(b'T'));
                    let backend = client.backend();
                    assert_eq!(client.backend(), backend, "it moved in the middle of a transaction");
                    assert_eq!(client.query("COMMIT").tags, ["COMMIT"]);
                    done.fetch_add(1, Ordering::Relaxed);
                    if reconnects {
                        client = Client::connect(port, role, "postgres");
                    }
                }
            }
        };
        let clients: Vec<_> = (0..8).map(|number| scope.spawn(load(number < 2))).collect();
        for round in 0..100 {
            let size = 1 + round % 5;
            let pooler_lines = format!("default_pool_size = {size}\nquery_wait_timeout = \"{}s\"", 20 + round);
            // A login that changes each second time, so that servers are replaced.
            let rest =
                format!("application_name = \"app {}\"\n[users.{role}]\npassword = \"{}\"", round / 2 % 2, round / 3);
            change(&mut pooler, &pooler_lines, &rest);
            let before = done.load(Ordering::Relaxed);
            eventually("others work meanwhile", || done.load(Ordering::Relaxed) > before);
        }
        drop(end);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    println!("{} transactions", done.into_inner());
    assert_eq!(idle.value("SELECT 'still here'"), "still here");
    assert!(!pooler.log().contains("panicked"));
}

#[test]
fn f25_of_a_file_truncated_at_every_byte_nothing_is_applied_or_all() {
    let role = fresh_role();
    let mut pooler = pgotter("log_disconnections = true", "");
    let mut kept = Client::connect(pooler.port(), &role, "postgres");
    let whole = config(pooler.port(), &host(cluster()), "workers = 1\npool_mode = \"session\"", "pool_size = 7");
    let (mut taken, mut refused) = (0, 0);
    for end in 0..=whole.len() {
        let text = &whole[..end];
        let sound = pgotter::config::parse(text, Path::new("pooler.toml"), &|_| unreachable!(), &|_| None, 1).is_ok();
        assert_eq!(reload_with(&mut pooler, text), sound, "{text}");
        *(if sound { &mut taken } else { &mut refused }) += 1;
    }
    assert!(taken > 0 && refused > 50, "{taken} taken, {refused} refused");
    assert_eq!(kept.value("SELECT 'still here'"), "still here");
}

#[test]
fn f25_a_refused_reload_leaves_everything_in_force_and_says_every_mistake() {
    let role = fresh_role();
    let mut pooler = pgotter("default_pool_size = 1\nquery_wait_timeout = \"200ms\"", "");
    let mut one = Client::connect(pooler.port(), &role, "postgres");
    let good = fs::read_to_string(pooler.config_file()).unwrap();
    let bad = good.replace("default_pool_size = 1", "default_pool_size = 2\npool_mod = 1") + "pool_size = -1\n";
    assert!(!reload_with(&mut pooler, &bad));
    assert!(!reload_with(&mut pooler, ""));
    fs::remove_file(pooler.config_file()).unwrap();
    assert!(!reload(&mut pooler));
    let log = pooler.log();
    for said in ["unknown key `pool_mod`", "`pool_size` must be", "no [databases.NAME]", "cannot read"] {
        assert!(log.contains(said), "{said} is missing in\n{log}");
    }
    assert_eq!(one.query("BEGIN -- with a server").status, Some(b'T'));
    Client::connect(pooler.port(), &role, "postgres").query("SELECT 1").error("53300");
    assert!(reload_with(&mut pooler, &good.replace("default_pool_size = 1", "default_pool_size = 2")));
    assert_eq!(Client::connect(pooler.port(), &role, "postgres").value("SELECT 1"), "1");
}

#[test]
fn what_applies_at_start_is_named_and_all_else_is_applied() {
    let role = fresh_role();
    let mut pooler = pgotter("default_pool_size = 1", "");
    let text = config(1, &host(cluster()), "workers = 7\nlisten_backlog = 17\nclient_idle_timeout = \"300ms\"", "");
    let mut idle = Client::connect(pooler.port(), &role, "postgres");
    assert!(reload_with(&mut pooler, &text));
    idle.answer().fatal("57P05");
    let log = pooler.log();
    for setting in ["workers", "listen_port", "listen_backlog"] {
        assert!(log.contains(&format!("\"setting\":\"{setting}\"")), "{setting} is missing in\n{log}");
    }
    assert_eq!(Client::connect(pooler.port(), &role, "postgres").value("SELECT 1"), "1");
}

/// Whether a user of `auth_file` gets in with this password, and an answer.
fn gets_in(pooler: &PgOtter, user: &str, password: &str) -> bool {
    let mut psql = client("psql", pooler.port(), &["-X", "-U", user, "-c", "SELECT 1"]);
    psql.env("PGPASSWORD", password).output().unwrap().status.success()
}

#[test]
fn users_are_added_and_removed_and_a_rotated_password_works_at_the_first_try() {
    let (one, other) = (fresh_role(), fresh_role());
    let file = state().path().join(format!("users_of_{one}"));
    let users = |lines: &str| must(state().write(&file, lines));
    users(&format!("\"{one}\" \"old\"\n"));
    let lines = format!("auth_type = \"scram-sha-256\"\nauth_file = \"{}\"", file.display());
    let mut pooler = pgotter(&lines, "");
    assert!(gets_in(&pooler, &one, "old") && !gets_in(&pooler, &other, "new"));
    users(&format!("\"{one}\" \"new\"\n\"{other}\" \"new\"\n"));
    assert!(gets_in(&pooler, &one, "old"), "before the reload nothing has changed");
    assert!(reload(&mut pooler));
    assert!(gets_in(&pooler, &one, "new") && gets_in(&pooler, &other, "new") && !gets_in(&pooler, &one, "old"));
    users(&format!("\"{other}\" \"new\"\n"));
    assert!(reload(&mut pooler));
    assert!(!gets_in(&pooler, &one, "new") && gets_in(&pooler, &other, "new"));
    users("nonsense\n");
    assert!(!reload(&mut pooler));
    assert!(gets_in(&pooler, &other, "new"));
}

#[test]
fn a_database_that_is_removed_lets_transactions_end_and_its_clients_go() {
    let role = fresh_role();
    let shop = |port, name: &str| {
        let place = host(cluster());
        format!(
            "[pooler]\nlisten_port = {port}\nauth_type = \"trust\"\ndefault_pool_size = 1\n\
             query_wait_notify = \"50ms\"\n[databases.{name}]\ndbname = \"postgres\"\nhosts = [\"{place}\"]\n"
        )
    };
    let mut pooler = PgOtter::start(|port| shop(port, "shop"));
    let login = || Client::connect(pooler.port(), &role, "shop");
    let (mut idle, mut busy, mut waiting) = (login(), login(), login());
    assert_eq!(busy.query("BEGIN -- with a server").status, Some(b'T'));
    waiting.queue("SELECT 1");
    let text = shop(pooler.port(), "store");
    assert!(reload_with(&mut pooler, &text));
    for client in [&mut idle, &mut waiting] {
        let answer = client.answer();
        answer.fatal("57P01");
        assert_eq!(answer.errors[0].message, "database removed");
    }
    assert_eq!(busy.value("SELECT 'still here'"), "still here");
    assert_eq!(busy.query("COMMIT").tags, ["COMMIT"]);
    busy.answer().fatal("57P01");
    let login = |database| Client::try_connect(pooler.port(), &[("user", &role), ("database", database)]);
    login("shop").err().unwrap().fatal("3D000");
    assert_eq!(login("store").unwrap().value("SELECT 1"), "1");
    eventually("its servers are closed", || super::world::servers_of(&role) <= 1);
}

#[test]
fn a_new_pause_between_logins_is_in_force_at_once() {
    let server = postgres(&Options::default());
    let text = |port, retry: &str| {
        let lines = format!("server_login_retry = \"{retry}\"\nquery_wait_timeout = \"1min\"");
        config(port, &host(&server), &lines, "[users.late]\npassword = \"x\"")
    };
    let mut pooler = PgOtter::start(|port| text(port, "1h"));
    let login = || Client::try_connect(pooler.port(), &[("user", "late"), ("database", "postgres")]);
    login().err().unwrap().fatal("28000");
    must(server.psql("postgres", "CREATE ROLE late LOGIN"));
    let text = text(pooler.port(), "10ms");
    assert!(reload_with(&mut pooler, &text));
    let login = || Client::try_connect(pooler.port(), &[("user", "late"), ("database", "postgres")]);
    eventually("it is let in", || login().is_ok());
}
