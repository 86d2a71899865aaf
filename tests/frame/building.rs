//! `make build`: the program is guided by a profile of itself, or built without one, and that is said.

use super::{Machine, Outcome, POSTGRES, find, run};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A cargo whose program is a script: as the demo it leaves as many counts as there are processes.
const CARGO: &str = r#"
[ "$1" = build ] || { echo 'cargo 1000.0.0 (0000000 2000-01-01)'; exit; }
folder=$CARGO_TARGET_DIR host= flag=
while [ $# != 0 ]; do
    case $1 in --target-dir) folder=$2 ;; --target) host=/$2 ;; --config) flag=$2 ;; esac
    shift
done
folder=$folder$host
echo "build [$flag]" >>"$CARGO_TARGET_DIR/log"
mkdir -p "$folder/release"
program=$(printf '#!%s\necho "ran $*" >>"$CARGO_TARGET_DIR/log"\nfor i in $PROCESSES; do f=${LLVM_PROFILE_FILE/\%%p/$i}; echo "counts $i" >"$f"; done\neval "$AT_ITS_END"\n# %s' \
    "$BASH" "${flag:-plain}")
# What has not changed is not built anew.
[ "$(cat "$folder/release/pgotter" 2>/dev/null)" = "$program" ] || echo "$program" >"$folder/release/pgotter"
chmod +x "$folder/release/pgotter"
"#;

/// With all that a guided build wants; `.0` is where its cargo builds.
fn machine() -> (Machine, PathBuf) {
    let machine = Machine::bare(1000);
    for tool in ["git", "make", "cc"].iter().chain(POSTGRES) {
        machine.program(tool, "");
    }
    for tool in ["mktemp", "cp", "mv", "sha256sum", "realpath", "cat", "df", "tail"] {
        symlink(find(tool), machine.bin().join(tool)).unwrap();
    }
    let libraries = machine.root().join("rustlib/lib");
    fs::create_dir_all(&libraries).unwrap();
    fs::create_dir_all(libraries.with_file_name("bin")).unwrap();
    machine.program("cargo", CARGO);
    machine.program(
        "rustc",
        &format!(
            "case $1 in --print) echo {};; -vV) echo 'host: here-linux';; *) echo 'rustc 1000.0.0 (0000000 2000-01-01)';; esac",
            libraries.display()
        ),
    );
    let target = machine.folder.path().join("target");
    fs::create_dir_all(&target).unwrap();
    (machine, target)
}

/// A `llvm-profdata` that puts the counts behind each other.
fn with_profdata(machine: &Machine) {
    let program = machine.root().join("rustlib/bin/llvm-profdata");
    super::write_program(&program, "shift 2; out=$1; shift; cat \"$@\" >\"$out\"");
}

/// The outcome, what was built and run in what order, and what is in the program that came of it.
fn build(machine: &Machine, target: &Path, processes: &str, at_its_end: &str) -> (Outcome, String, String) {
    // As from a terminal: what is ignored when a shell starts stays ignored.
    let mut command = Command::new(machine.bin().join("env"));
    command
        .args(["--default-signal", "bash", ".ci/build"])
        .env_clear()
        .env("PATH", machine.bin())
        .env("PREFLIGHT_ROOT", machine.root());
    command
        .env("CARGO_TARGET_DIR", target)
        .env("TMPDIR", machine.folder.path())
        .env("PROCESSES", processes)
        .env("AT_ITS_END", at_its_end);
    let outcome = run(&mut command);
    let read = |name: &str| fs::read_to_string(target.join(name)).unwrap_or_default();
    (outcome, read("log"), read("release/pgotter"))
}

/// Nothing but what a test has put there, and what was built.
fn left_behind(machine: &Machine) -> usize {
    fs::read_dir(machine.folder.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("pgotter-profile"))
        .count()
}

#[test]
fn a_build_is_guided_by_what_ran_most_in_the_one_before() {
    let (machine, target) = machine();
    with_profdata(&machine);
    let (outcome, log, program) = build(&machine, &target, "1 2", "");
    assert_eq!(outcome.status, Some(0), "{}", outcome.text);
    let profile = target.join("pgotter.profdata");
    let flags = |flag: &str| format!("target.here-linux.rustflags=[\"{flag}\"]");
    let use_it = flags(&format!("-Cprofile-use={}", profile.display()));
    let count = flags("-Cprofile-generate");
    assert_eq!(log, format!("build [{count}]\nran demo --for 20s\nbuild [{use_it}]\n"));
    assert_eq!(fs::read_to_string(profile).unwrap(), "counts 1\ncounts 2\n");
    assert!(program.contains(&use_it), "{program}");
    assert_eq!(left_behind(&machine), 0);
    // The same program need not be counted again, and another one has to be.
    let again = |log: &str, before: &str| log.strip_prefix(before).unwrap().to_owned();
    let (_, twice, _) = build(&machine, &target, "3 4", "");
    assert_eq!(again(&twice, &log), format!("build [{count}]\nbuild [{use_it}]\n"));
    let counting = target.join("counting/here-linux/release/pgotter");
    machine.program("cargo", &CARGO.replace("echo \"ran $*\"", "echo  \"ran $*\""));
    let (_, thrice, _) = build(&machine, &target, "3 4", "");
    assert!(fs::read_to_string(counting).unwrap().contains("echo  "));
    assert_eq!(again(&thrice, &twice), format!("build [{count}]\nran demo --for 20s\nbuild [{use_it}]\n"));
    assert_eq!(fs::read_to_string(target.join("pgotter.profdata")).unwrap(), "counts 3\ncounts 4\n");
}

#[test]
fn a_build_that_cannot_be_guided_says_so_and_is_a_plain_one() {
    for (why, profdata, tool_gone, processes, at_its_end) in [
        ("no llvm-profdata (rustup component add llvm-tools)", false, None, "1 2", ""),
        ("the demo cannot run here", true, Some("initdb"), "1 2", ""),
        ("the demo ended with status 3", true, None, "1 2", "exit 3"),
        ("the pooler left no counts", true, None, "1", ""),
        ("the pooler left no counts", true, None, "", ""),
        ("its counts cannot be read", true, None, "1 2", "mkdir ${LLVM_PROFILE_FILE/\\%p/3}"),
    ] {
        let (machine, target) = machine();
        if profdata {
            with_profdata(&machine);
        }
        if let Some(tool) = tool_gone {
            fs::remove_file(machine.bin().join(tool)).unwrap();
        }
        let (outcome, log, program) = build(&machine, &target, processes, at_its_end);
        assert_eq!(outcome.status, Some(0), "{}", outcome.text);
        assert!(
            outcome.text.contains(&format!("build: without a profile, which costs CPU: {why}")),
            "{}",
            outcome.text
        );
        assert!(program.contains("# plain") && log.ends_with("build []\n"), "{why}: {log}");
        assert_eq!(left_behind(&machine), 0, "{why}");
    }
}

#[test]
fn a_build_that_is_told_to_end_while_the_demo_runs_makes_nothing_of_it() {
    for (signal, status) in [("INT", 130), ("TERM", 143), ("HUP", 143)] {
        let (machine, target) = machine();
        with_profdata(&machine);
        // The demo ends well of all of them.
        let (outcome, log, program) = build(&machine, &target, "1 2", &format!("kill -{signal} $PPID"));
        assert_eq!(outcome.status, Some(status), "{}", outcome.text);
        assert!(program.is_empty() && log.ends_with("ran demo --for 20s\n"), "{log}");
        assert_eq!(left_behind(&machine), 0);
    }
}
