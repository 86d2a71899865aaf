//! What the limits add up to: told at start, and by `pgotter check`.

use super::world::{fresh_role, look, pgotter};
use crate::support::{must, state};
use std::process::Command;

#[test]
fn limits_are_told_at_start_and_checked_against_each_other() {
    let role = fresh_role();
    let file = state().path().join(format!("users_of_{role}"));
    must(state().write(&file, &format!("\"{role}\" \"secret\"\n")));
    let lines = format!("max_client_conn = 210\nmemory_budget = \"64MiB\"\nauth_file = {file:?}");
    let pooler = pgotter(&lines, "pool_size = 10");
    let log = pooler.log();
    let line = log.lines().find(|line| line.contains("\"limits\"")).unwrap_or_else(|| panic!("{log}"));
    for said in ["\"max_clients\":210", "\"memory_budget\":67108864", "\"descriptors\":", "\"server_descriptors\":"] {
        assert!(line.contains(said), "{said} is missing in {line}");
    }
    assert!(log.contains("\"servers\":10,") || log.contains("\"servers\":10}"), "{log}");
    let check = Command::new(env!("CARGO_BIN_EXE_pgotter")).arg("check").arg("-c").arg(pooler.config_file()).output();
    let text = String::from_utf8(check.unwrap().stdout).unwrap();
    for said in [
        "together at most 10 servers; its max_connections must allow more",
        "clients at most 210",
        "database *: 200 wait for 10 servers, within 30s if a transaction takes 2s at most",
        "for clients\nmemory for clients' buffers 64 MiB",
    ] {
        assert!(text.contains(said), "{said} is missing in\n{text}");
    }
    assert!(!(log + &text).contains("secret"));
    assert_ne!(look("SHOW max_connections"), "", "which the sums are to be held against");
}
