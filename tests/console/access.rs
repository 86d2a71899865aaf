//! Who may enter the console, and what he may do there.

use super::table::{BOSS, WATCHER, console, lines, pgotter, show};
use super::talk::{Answer, Client};
use super::world::{config, eventually, fresh_role, host, servers_of};
use super::{reload_with, world};
use crate::support::{PgOtter, client, must, state};
use std::net::TcpStream;

#[test]
fn strangers_are_refused_once_they_have_proved_who_they_are() {
    let pooler = pgotter("", "");
    for console in ["pgotter", "pgbouncer"] {
        let login = |user| Client::try_connect(pooler.port(), &[("user", user), ("database", console)]);
        let refused = login("stranger").err().unwrap();
        refused.fatal("42501");
        assert_eq!(refused.errors[0].message, "not allowed");
        assert!(login(BOSS).is_ok() && login(WATCHER).is_ok());
    }
}

/// What psql hears at a login with a password.
fn psql(pooler: &PgOtter, user: &str, password: &str, database: &str) -> String {
    let mut psql = client("psql", pooler.port(), &["-X", "-A", "-t", "-U", user, "-d", database, "-c", "SHOW VERSION"]);
    let output = must(psql.env("PGPASSWORD", password).output());
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn before_that_a_console_is_as_any_other_database() {
    let file = state().path().join("console_users");
    must(state().write(&file, "\"boss\" \"secret\"\n\"stranger\" \"secret\"\n"));
    for method in ["scram-sha-256", "md5", "plain"] {
        let pooler = pgotter(&format!("auth_type = \"{method}\"\nauth_file = \"{}\"", file.display()), "");
        assert!(psql(&pooler, BOSS, "secret", "pgbouncer").starts_with("PgBouncer 1.25.2 (PgOtter "), "{method}");
        assert!(psql(&pooler, "stranger", "secret", "pgotter").contains("not allowed"), "{method}");
        // Who is named and not listed cannot prove anything.
        for (user, password) in [(BOSS, "wrong"), ("stranger", "wrong"), (WATCHER, "secret")] {
            let heard = ["pgbouncer", "postgres", "nonsense"].map(|name| psql(&pooler, user, password, name));
            assert!(heard[0].contains(&format!("password authentication failed for user \"{user}\"")), "{heard:?}");
            assert!(heard.iter().all(|said| *said == heard[0]), "{method}: {heard:?}");
        }
    }
}

#[test]
fn who_may_only_look_changes_nothing() {
    let role = fresh_role();
    let mut pooler = pgotter("", "");
    let mut other = Client::connect(pooler.port(), &role, "postgres");
    let backend = other.backend();
    let mut watcher = Client::connect(pooler.port(), WATCHER, "pgbouncer");
    let number = show(&mut watcher, "CLIENTS").row(&[("user", &role)]).text("id").to_owned();
    let kill = format!("KILL_CLIENT {number}");
    for command in [
        "RELOAD",
        "PAUSE",
        "PAUSE postgres",
        "RESUME",
        "RECONNECT",
        "RECONNECT postgres",
        &kill,
        "SHUTDOWN",
        "SHUTDOWN WAIT_FOR_CLIENTS",
        "SHUTDOWN WAIT_FOR_SERVERS",
        "SUSPEND",
        "KILL",
        "DISABLE postgres",
        "SET default_pool_size = 3",
    ] {
        let refused = watcher.query(command);
        refused.error("08P01");
        assert_eq!(refused.errors[0].message, "admin access needed", "{command}");
    }
    assert_eq!(watcher.query("SET datestyle = ISO").tags, ["SET"]);
    assert_eq!(other.backend(), backend, "nothing has happened");
    assert_eq!((servers_of(&role), pooler.ended().is_none()), (1, true));
    assert!(!pooler.log().contains("configuration reloaded"));
}

#[test]
fn rights_that_a_reload_takes_away_are_gone_at_once() {
    let mut pooler = pgotter("", "");
    let (mut boss, mut watcher) = (console(&pooler), Client::connect(pooler.port(), WATCHER, "pgbouncer"));
    let text = config(pooler.port(), &host(world::cluster()), &format!("stats_users = [\"{BOSS}\"]"), "");
    assert!(reload_with(&mut pooler, &text));
    boss.query("PAUSE").error("08P01");
    assert_eq!(boss.query("SHOW VERSION").tags, ["SHOW"]);
    watcher.query("SHOW VERSION").error("08P01");
}

#[test]
fn an_operator_gets_in_when_there_is_no_place_for_clients_left() {
    let role = fresh_role();
    let pooler = pgotter("max_client_conn = 1", "");
    let client = Client::connect(pooler.port(), &role, "postgres");
    let login = |user: &str, database| Client::try_connect(pooler.port(), &[("user", user), ("database", database)]);
    login(&role, "postgres").err().unwrap().fatal("53300");
    let mut console = login(BOSS, "pgbouncer").ok().unwrap();
    let lists = show(&mut console, "LISTS");
    assert_eq!(lists.row(&[("list", "used_clients")]).number("items"), 2, "the console too");
    let settings = show(&mut console, "CONFIG");
    assert_eq!(settings.row(&[("key", "max_client_conn")]).text("value"), "1");
    drop(client);
    eventually("there is a place again", || login(&role, "postgres").is_ok());
}

#[test]
fn there_are_thirty_consoles_at_most_and_ten_of_them_are_not_for_those_who_only_look() {
    let pooler = pgotter("", "");
    let login_as = |user| Client::try_connect(pooler.port(), &[("user", user), ("database", "pgbouncer")]);
    let login = || login_as(BOSS);
    let watchers: Vec<_> = (0..20).map(|_| login_as(WATCHER).ok().unwrap()).collect();
    login_as(WATCHER).err().unwrap().fatal("53300");
    let mut consoles: Vec<_> = (0..10).map(|_| login().ok().unwrap()).collect();
    login().err().unwrap().fatal("53300");
    drop(watchers);
    eventually("they have left", || {
        show(&mut consoles[0], "POOLS").row(&[("database", "pgbouncer")]).number("cl_active") == 10
    });
    consoles.extend((0..20).map(|_| login().ok().unwrap()));
    login().err().unwrap().fatal("53300");
    // Who has not proved anything takes nobody's place.
    let _silent: Vec<_> = (0..50).map(|_| TcpStream::connect(("127.0.0.1", pooler.port())).unwrap()).collect();
    consoles.pop();
    eventually("there is a place again", || login().is_ok());
    let shown = show(&mut consoles[0], "POOLS").row(&[("database", "pgbouncer")]).number("cl_active");
    assert!((29..=30).contains(&shown), "{shown}");
}

#[test]
fn a_login_that_asks_for_what_a_client_cannot_have_gets_a_console_all_the_same() {
    let pooler = pgotter("", "");
    let given = [("user", BOSS), ("database", "pgotter"), ("extra_float_digits", "2"), ("options", "-c geqo=off")];
    let mut console = Client::try_connect(pooler.port(), &given).unwrap_or_else(|answer: Answer| panic!("{answer:?}"));
    assert_eq!(console.parameters["server_version"], "1.25.2/bouncer");
    assert_eq!(show(&mut console, "CLIENTS").row(&[("user", BOSS)]).text("database"), "pgotter");
}

#[test]
fn a_database_cannot_be_called_as_the_console_is() {
    for name in ["pgotter", "pgbouncer"] {
        let port = pgotter::cli::ports::free_port();
        let rest = format!("[databases.{name}]\nhosts = [\"localhost\"]");
        let refused = PgOtter::try_start(&config(port, &host(world::cluster()), &lines(""), &rest), port);
        assert!(refused.is_err(), "{name}");
    }
}
