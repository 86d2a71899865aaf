//! A configuration that cannot be meant ends the start with status 2 and says where.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn run_in(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgotter"));
    let Output { status, stderr, .. } = command.args(arguments).current_dir(folder).output().unwrap();
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn two_configuration_files_are_both_named() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["pooler.toml", "pool.toml"] {
        fs::write(folder.path().join(name), "[databases.\"*\"]\nhosts = [\"127.0.0.1:5432\"]\n").unwrap();
    }
    for arguments in [&[][..], &["run"], &["check"]] {
        let (status, stderr) = run_in(folder.path(), arguments);
        assert_eq!(status, Some(2), "{stderr}");
        assert!(stderr.contains("pooler.toml") && stderr.contains("pool.toml"), "{stderr}");
    }
}

#[test]
fn every_mistake_is_reported_with_file_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[pooler]\nauth_type = \"trust\"\n  pool_mod = \"session\"\ndefault_pool_size = -1\n[databases.a]\n";
    fs::write(folder.path().join("pooler.toml"), text).unwrap();
    let (status, stderr) = run_in(folder.path(), &["run"]);
    assert_eq!(status, Some(2), "{stderr}");
    for expected in
        ["pooler.toml:3:3", "did you mean `pool_mode`?", "pooler.toml:4:21", "pooler.toml:5:12", "3 mistakes"]
    {
        assert!(stderr.contains(expected), "{expected} is missing in\n{stderr}");
    }
}
