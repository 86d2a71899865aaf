//! Holds the repository to what ARCHITECTURE.md and CONTRIBUTING.md say of it: who may import whom, that every file
//! opens with what it is, that every configuration key and metric is documented, that every fault has a test, who may
//! ask for the time of day, and what may lie at the top.
//!
//! Reads the sources as text (`tidy/scan.rs`), never as compiled code. Every check is a function from text to
//! complaints, and is first tried on small bad inputs, so that one that finds nothing is known to have looked.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "tidy/clocks.rs"]
mod clocks;
#[path = "tidy/config_keys.rs"]
mod config_keys;
#[path = "tidy/faults.rs"]
mod faults;
#[path = "tidy/metric_names.rs"]
mod metric_names;
#[path = "tidy/rooms.rs"]
mod rooms;
#[path = "tidy/scan.rs"]
mod scan;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the top of the repository may hold, besides what git ignores.
const TOP: &[&str] = &[
    // The product.
    "Cargo.toml",
    "pooler.toml",
    "src",
    "config",
    "benches",
    "tests",
    "docs",
    // What people read.
    "Makefile",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    // Tools.
    ".ci",
    ".github",
    ".gitignore",
    "Cargo.lock",
    "clippy.toml",
    "deny.toml",
    "rustfmt.toml",
];

/// Folders whose Rust files must say what they are.
const SOURCES: &[&str] = &["src", "tests", "benches"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder`, by its path in the repository, with its text.
fn rust_files(folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![repository().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push((name_in_repository(&path), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

fn name_in_repository(path: &Path) -> String {
    path.strip_prefix(repository()).unwrap().display().to_string()
}

fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn check_opening(file: &str, text: &str) -> Option<String> {
    (!text.starts_with("//!")).then(|| format!("{file}:1: does not open with `//!`: say what it is and does not know"))
}

fn check_top<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let strangers = names.into_iter().filter(|name| !TOP.contains(name));
    strangers.map(|name| format!("{name}: not one of the things that lie at the top of the repository")).collect()
}

/// What git knows of at the top; without git, or outside a checkout, whatever lies there but the build's own.
fn top_names() -> BTreeSet<String> {
    let git = Command::new("git").args(["ls-files", "-z"]).current_dir(repository()).output();
    if let Some(output) = git.ok().filter(|output| output.status.success() && !output.stdout.is_empty()) {
        let files = String::from_utf8(output.stdout).unwrap();
        return files
            .split('\0')
            .filter_map(|file| file.split('/').next())
            .filter(|n| !n.is_empty())
            .map(Into::into)
            .collect();
    }
    let entries = fs::read_dir(repository()).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path: PathBuf| name_in_repository(&path)).filter(|name| name != ".git" && name != "target").collect()
}

#[test]
fn every_room_imports_only_what_the_table_allows() {
    let files = rust_files("src");
    assert!(!files.is_empty(), "no source found");
    let complaints: Vec<String> = files.iter().flat_map(|(file, text)| rooms::check(file, text)).collect();
    assert_none(&complaints);
}

#[test]
fn every_file_opens_with_what_it_is() {
    let files = SOURCES.iter().flat_map(|folder| rust_files(folder));
    assert_none(&files.filter_map(|(file, text)| check_opening(&file, &text)).collect::<Vec<_>>());
}

#[test]
fn every_configuration_key_is_in_the_reference() {
    let mut model = rust_files("src/config");
    model.retain(|(file, _)| file.starts_with("src/config/model"));
    let reference =
        fs::read_to_string(repository().join("config/reference.toml")).expect("config/reference.toml is there");
    assert_none(&config_keys::check(&model, &reference));
}

#[test]
fn every_metric_is_documented() {
    let document = fs::read_to_string(repository().join("docs/metrics.md")).expect("docs/metrics.md is there");
    let sources = rust_files("src/http");
    assert!(!sources.is_empty(), "no source found");
    assert_none(&metric_names::check(&sources, &document));
}

#[test]
fn a_panic_is_tried_at_every_step_of_a_request() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).expect("it is there");
    let (source, tests) = (read("src/client/connection.rs"), read("tests/pooling/panics.rs"));
    let steps = source.split_once("enum Step {").and_then(|(_, rest)| rest.split_once('}')).expect("the steps").0;
    let steps: Vec<_> = steps.split(',').map(str::trim).filter(|step| !step.is_empty()).collect();
    assert!(steps.len() > 10, "{steps:?}");
    let is_tried =
        |step: &&str| [format!("\"{step}\""), format!("panic at {step}\"")].iter().any(|name| tests.contains(name));
    assert_eq!(steps.iter().find(|step| !is_tried(step)), None);
}

#[test]
fn every_fault_has_a_test_of_its_name() {
    let files: Vec<_> = ["src", "tests"].iter().flat_map(|folder| rust_files(folder)).collect();
    assert_none(&faults::check(files.iter().map(|(_, text)| text.as_str())));
}

#[test]
fn f32_no_timer_is_made_of_the_time_of_day() {
    let files = rust_files("src");
    assert!(files.iter().any(|(_, text)| text.contains("SystemTime")), "no source found");
    assert_none(&files.iter().flat_map(|(file, text)| clocks::check(file, text)).collect::<Vec<_>>());
}

#[test]
fn the_top_of_the_repository_holds_nothing_else() {
    assert_none(&check_top(top_names().iter().map(String::as_str)));
}

#[test]
fn the_readme_asks_for_the_rust_that_cargo_asks_for() {
    let text = |file: &str| fs::read_to_string(repository().join(file)).unwrap();
    let (readme, asked) = (text("README.md"), format!("Rust {} or newer", env!("CARGO_PKG_RUST_VERSION")));
    assert!(readme.contains(&asked), "README.md does not say \"{asked}\"");
}

#[test]
fn a_file_that_opens_with_code_is_named() {
    assert!(check_opening("src/a.rs", "use x;\n//! late").unwrap().starts_with("src/a.rs:1:"));
    assert_eq!(check_opening("src/a.rs", "//! What it is.\n"), None);
}

#[test]
fn a_stranger_at_the_top_is_named() {
    assert_eq!(check_top(["src", "README.md", "notes.txt"]).len(), 1);
    assert!(check_top(["notes.txt"])[0].starts_with("notes.txt:"));
}
