//! Terminals that go away, are stopped, are tiny or change, and what clients may say at them.

use super::table::{BOSS, WATCHER, pgotter};
use super::talk::Client;
use super::tty::{HEIGHT, Tty};
use super::world::fresh_role;
use super::{PROGRAM, at_a_terminal, at_one_that};
use crate::support::{PgOtter, must};
use std::process::{Command, Stdio};

/// What a client may call itself to do harm: a title for the window, an end of the screen, words from right to left.
const HARM: &str = "a\x1b]0;harm\x07\x1b[?1049l\u{9b}2J\u{202e}\u{2066}b";

/// One that has been asked for something, and its client, which keeps a transaction open.
fn asked() -> (PgOtter, Client) {
    let pooler = pgotter("", "");
    let mut client = Client::connect(pooler.port(), &fresh_role(), "postgres");
    client.query("begin");
    client.query("select 1 as asked");
    (pooler, client)
}

#[test]
fn it_ends_when_its_terminal_is_gone() {
    let (pooler, _client) = asked();
    let Some(tty) = at_a_terminal(pooler.port(), WATCHER) else { return };
    tty.until("the list", |line| line.starts_with("SHARE%"));
    tty.hang_up();
}

#[test]
fn what_is_stopped_gives_the_terminal_back_and_takes_it_again_when_it_goes_on() {
    let (pooler, _client) = asked();
    let Some(mut tty) = at_one_that(pooler.port(), WATCHER, Tty::stoppable) else { return };
    tty.until("the query", |line| line.ends_with("select ? as asked"));
    tty.press("\x1a");
    assert_eq!(tty.was_stopped(), (true, true), "modes and screen, while it is stopped");
    tty.until("the query again", |line| line.ends_with("select ? as asked"));
    tty.press("l");
    tty.until("that it hears keys", |line| line.starts_with("k cancel"));
    tty.press("q");
    let ended = tty.end();
    assert_eq!((ended.status.as_str(), ended.modes_restored, ended.screen_restored), ("0", true, true));
}

#[test]
fn whoever_asks_it_to_stop_gets_the_terminal_back_as_well() {
    let (pooler, _client) = asked();
    let Some(mut tty) = at_one_that(pooler.port(), WATCHER, Tty::stoppable) else { return };
    tty.until("the query", |line| line.ends_with("select ? as asked"));
    let told = Command::new("kill").args(["-TSTP", &tty.pid()]).status().unwrap();
    assert!(told.success());
    assert_eq!(tty.was_stopped(), (true, true), "modes and screen, while it is stopped");
    tty.until("the query again", |line| line.ends_with("select ? as asked"));
    tty.press("q");
    let ended = tty.end();
    assert_eq!((ended.status.as_str(), ended.modes_restored, ended.screen_restored), ("0", true, true));
}

#[test]
fn while_it_asks_for_a_password_a_signal_gives_the_terminal_back() {
    let users = crate::support::state().path().join("asked_users");
    must(crate::support::state().write(&users, "\"boss\" \"secret\"\n"));
    let pooler = pgotter(&format!("auth_type = \"scram-sha-256\"\nauth_file = \"{}\"", users.display()), "");
    let without = |line: &str| format!("env -u PGPASSWORD -u PGPASSFILE HOME=/nowhere {line}");
    let asks = |line: &str| line.starts_with("Password for user boss:");
    for (signal, status) in [("TERM", "143"), ("HUP", "129"), ("INT", "130")] {
        let Some(tty) = at_one_that(pooler.port(), BOSS, |line| Tty::run(&without(line))) else { return };
        tty.until("the question", asks);
        tty.until_raw();
        assert!(Command::new("kill").args([&format!("-{signal}"), &tty.pid()]).status().unwrap().success());
        let ended = tty.end();
        assert_eq!((ended.status.as_str(), ended.modes_restored, ended.screen_restored), (status, true, true));
    }
    let Some(mut tty) = at_one_that(pooler.port(), BOSS, |line| Tty::stoppable(&without(line))) else { return };
    tty.until("the question", asks);
    tty.until_raw();
    assert!(Command::new("kill").args(["-TSTP", &tty.pid()]).status().unwrap().success());
    assert_eq!(tty.was_stopped(), (true, true), "modes and screen, while it is stopped");
    tty.until("the question again", asks);
    tty.until_raw();
    tty.press("secret\r");
    tty.until("the list", |line| line.starts_with("SHARE%"));
    assert!(!tty.lines().iter().any(|line| line.contains("secret")), "{:?}", tty.lines());
    tty.press("q");
    let ended = tty.end();
    assert_eq!((ended.status.as_str(), ended.modes_restored, ended.screen_restored), ("0", true, true));
}

#[test]
fn what_somebody_else_has_stopped_draws_everything_anew() {
    let (pooler, _client) = asked();
    let Some(mut tty) = at_one_that(pooler.port(), WATCHER, Tty::stoppable) else { return };
    tty.until("the query", |line| line.ends_with("select ? as asked"));
    let stopped = Command::new("kill").args(["-STOP", &tty.pid()]).status().unwrap();
    assert!(stopped.success());
    tty.was_stopped();
    // The shell has said what it does, on the same screen.
    tty.until("the first line", |line| line.starts_with("pgotter top  127.0.0.1"));
    tty.press("q");
    let ended = tty.end();
    assert_eq!((ended.status.as_str(), ended.modes_restored, ended.screen_restored), ("0", true, true));
}

#[test]
fn a_window_of_any_size_does() {
    let (pooler, _client) = asked();
    for (rows, columns) in [(3, 10), (1, 1), (2, 160), (24, 1)] {
        let tiny = |line: &str| Tty::sized(line, rows, columns);
        let Some(mut tty) = at_one_that(pooler.port(), BOSS, tiny) else { return };
        // The last line says what keys do, or its beginning.
        let first = if columns > 1 { "t time" } else { "t" };
        let foot = |line: &str| line.starts_with(first);
        tty.until("the last line", foot);
        for keys in ["l", "k", "n", "l", "\r", "\x1b[6~"] {
            tty.press(keys);
        }
        tty.press("q");
        let ended = tty.end();
        assert_eq!((ended.status.as_str(), ended.modes_restored, ended.screen_restored), ("0", true, true));
    }
}

#[test]
fn a_window_that_changes_is_filled_anew() {
    let (pooler, _client) = asked();
    let Some(mut tty) = at_a_terminal(pooler.port(), WATCHER) else { return };
    let at = |tty: &Tty| tty.lines().iter().position(|line| line.starts_with("t time"));
    tty.until("the last line", |line| line.starts_with("t time"));
    assert_eq!(at(&tty), Some(HEIGHT - 1));
    for rows in [5, HEIGHT] {
        tty.resize(rows);
        crate::support::waiting::eventually("the last line where it belongs", || at(&tty) == Some(rows - 1));
    }
    tty.press("q");
    assert_eq!(tty.end().status, "0");
}

#[test]
fn nothing_that_a_client_says_controls_the_terminal() {
    let (pooler, mut client) = asked();
    client.query(&format!("set application_name = '{HARM}'"));
    client.query(&format!("select 1 as \"{HARM}\""));
    let port = pooler.port().to_string();
    for more in [&[][..], &["--live"]] {
        let arguments = [&["top", "--once", "-p", &port, "-U", BOSS][..], more].concat();
        let output = Command::new(PROGRAM).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("]0;harm"), "{text:?}");
        let harmless = |c: char| c == '\n' || !c.is_control() && !"\u{202e}\u{2066}".contains(c);
        assert!(text.chars().all(harmless), "{text:?}");
    }
    let Some(mut tty) = at_a_terminal(pooler.port(), BOSS) else { return };
    tty.until("the query", |line| line.contains("]0;harm"));
    tty.press("l");
    tty.until("the client", |line| line.contains("]0;harm") && line.contains("idle_in_transaction"));
    assert!(tty.is_shown(), "it has not left the screen that it had taken");
    tty.press("q");
    assert_eq!(tty.end().status, "0");
}

#[test]
fn neither_a_terminals_name_nor_a_reader_of_all_lines_is_needed() {
    let (pooler, mut client) = asked();
    // More than a pipe holds.
    let long = "x".repeat(900);
    for number in 0..100 {
        client.query(&format!("select 1 as \"{number}{long}\""));
    }
    let line = format!(
        "unset TERM; ({PROGRAM} top --once -p {} -U {BOSS}; echo $? > $0/status) 2> $0/error | head -n 1",
        pooler.port()
    );
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("sh").args(["-c", &line]).arg(folder.path()).stdin(Stdio::null()).output().unwrap();
    assert!(output.stdout.starts_with(b"SHARE%"));
    let said = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!((said("status").trim(), said("error").as_str()), ("0", ""));
    let nameless = |line: &str| Tty::run(&format!("env -u TERM {line}"));
    let Some(mut tty) = at_one_that(pooler.port(), BOSS, nameless) else { return };
    tty.until("the list", |line| line.starts_with("SHARE%"));
    tty.press("q");
    assert_eq!(tty.end().status, "0");
}
