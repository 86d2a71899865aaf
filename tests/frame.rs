//! The scripts behind `make`: the preflight, the build, the closing line of `make test`, and how a signal reaches the demo.
//!
//! Runs the real scripts on a pretended machine: a PATH that holds only what a test puts there, and a folder in the
//! place of `/etc` and `/usr`. Nothing is installed. Knows nothing of PostgreSQL or of the library.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "frame/building.rs"]
mod building;
#[path = "support/skipped.rs"]
mod skipped;

use rustix::process::{Pid, Signal, kill_process};
use skipped::could_not_run;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use tempfile::TempDir;

/// What the scripts themselves are made of; none of it is looked for by the preflight.
const SHELL_TOOLS: &[&str] =
    &["bash", "env", "dirname", "sed", "sort", "tr", "mkdir", "rm", "rmdir", "chmod", "awk", "ls"];
const POSTGRES: &[&str] = &["initdb", "postgres", "pg_ctl", "pgbench", "psql", "pg_dump", "pg_basebackup"];
const NEW_RUST: &str = "1000.0.0";

/// A machine that has a shell and nothing else until a test adds it.
struct Machine {
    folder: TempDir,
}

/// How a script ended, and everything it printed.
struct Outcome {
    status: Option<i32>,
    text: String,
}

impl Machine {
    fn bare(user: u32) -> Machine {
        let machine = Machine { folder: TempDir::new().unwrap() };
        fs::create_dir_all(machine.bin()).unwrap();
        fs::create_dir_all(machine.root()).unwrap();
        for tool in SHELL_TOOLS {
            symlink(find(tool), machine.bin().join(tool)).unwrap();
        }
        machine.program("id", &format!("case $1 in -u) echo {user};; *) exit 0;; esac"));
        machine
    }

    /// As [`Machine::bare`], with everything but PostgreSQL.
    fn without_postgres(user: u32) -> Machine {
        let machine = Machine::bare(user);
        for tool in ["git", "make", "cc"] {
            machine.program(tool, "");
        }
        machine.rust(NEW_RUST);
        machine
    }

    fn bin(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("apt.log")
    }

    fn program(&self, name: &str, body: &str) {
        write_program(&self.bin().join(name), body);
    }

    fn rust(&self, version: &str) {
        self.program("cargo", &format!("echo 'cargo {version} (0000000 2000-01-01)'"));
        self.program("rustc", &format!("echo 'rustc {version} (0000000 2000-01-01)'"));
    }

    /// An apt-get that writes down its arguments and what it finds in the place of `/etc` and `/usr`.
    fn apt(&self, on_install: &str) {
        let (log, root) = (self.log(), self.root());
        self.program(
            "apt-get",
            &format!(
                "echo \"$@\" >>{log}\n[ \"$1\" = install ] || exit 0\n\
                 ls {root}/usr/sbin/policy-rc.d {root}/etc/postgresql-common/createcluster.d >>{log}\n{on_install}",
                log = log.display(),
                root = root.display()
            ),
        );
    }

    fn preflight(&self, environment: &[(&str, &str)]) -> Outcome {
        self.preflight_for(&[], environment)
    }

    fn preflight_for(&self, parts: &[&str], environment: &[(&str, &str)]) -> Outcome {
        let mut command = Command::new(self.bin().join("bash"));
        command.arg(".ci/preflight").args(parts).env_clear().env("PATH", self.bin()).env("PREFLIGHT_ROOT", self.root());
        run(command.envs(environment.iter().copied()))
    }

    fn apt_calls(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Every file and folder in the place of `/etc` and `/usr`.
    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.root()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path.clone());
                }
                found.push(path);
            }
        }
        found
    }
}

fn write_program(path: &Path, body: &str) {
    fs::write(path, format!("#!{}\n{body}\n", find("bash").display())).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn find(tool: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(tool)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{tool} is not on the PATH"))
}

fn run(command: &mut Command) -> Outcome {
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    Outcome { status: output.status.code(), text: String::from_utf8(text).unwrap() }
}

fn assert_names_all(outcome: &Outcome, things: &[&str]) {
    for thing in things {
        assert!(outcome.text.contains(thing), "{thing} is not named in:\n{}", outcome.text);
    }
}

#[test]
fn preflight_names_every_missing_thing_with_its_line_and_changes_nothing() {
    let machine = Machine::bare(0);
    machine.apt("");
    let outcome = machine.preflight(&[]);
    assert_eq!(outcome.status, Some(2), "{}", outcome.text);
    assert_names_all(&outcome, &["git", "make", "a C compiler", "cargo", "rustc", "https://sh.rustup.rs"]);
    assert_names_all(&outcome, POSTGRES);
    assert_names_all(&outcome, &["apt-get install -y postgresql", "apt-get install -y curl", "nothing was changed"]);
    // Rust is missing and nobody installs it for the user: then apt is not asked for the rest either.
    assert_eq!(machine.apt_calls(), "");
    assert_eq!(machine.files(), Vec::<PathBuf>::new());
}

#[test]
fn preflight_installs_nothing_when_that_is_forbidden() {
    let machine = Machine::without_postgres(0);
    machine.apt("");
    let outcome = machine.preflight(&[("NO_INSTALL", "1")]);
    assert_eq!(outcome.status, Some(2), "{}", outcome.text);
    assert_names_all(&outcome, POSTGRES);
    assert_eq!(machine.apt_calls(), "");
    assert_eq!(machine.files(), Vec::<PathBuf>::new());
}

#[test]
fn preflight_installs_nothing_without_root_or_a_sudo_that_asks_no_password() {
    let machine = Machine::without_postgres(1000);
    machine.apt("");
    let without_sudo = machine.preflight(&[]);
    machine.program("sudo", "exit 1");
    let with_password = machine.preflight(&[]);
    for outcome in [without_sudo, with_password] {
        assert_eq!(outcome.status, Some(2), "{}", outcome.text);
        assert_names_all(&outcome, POSTGRES);
        assert_names_all(&outcome, &["sudo apt-get install -y postgresql", "nothing was changed"]);
    }
    assert_eq!(machine.apt_calls(), "");
    assert_eq!(machine.files(), Vec::<PathBuf>::new());
}

/// An `apt-get install` that brings all of PostgreSQL to where Debian puts it.
fn install_postgres(machine: &Machine) -> String {
    let folder = machine.root().join("usr/lib/postgresql/15/bin");
    let files: Vec<String> = POSTGRES.iter().map(|name| folder.join(name).display().to_string()).collect();
    format!("mkdir -p {}; for file in {}; do echo >$file; chmod 755 $file; done", folder.display(), files.join(" "))
}

#[test]
fn preflight_holds_clusters_and_services_back_while_it_installs_and_undoes_that() {
    for user in [0, 1000] {
        let machine = Machine::without_postgres(user);
        machine.program("sudo", "shift; [ \"$1\" = true ] || exec \"$@\"");
        machine.apt(&install_postgres(&machine));
        let outcome = machine.preflight(&[]);
        assert_eq!(outcome.status, Some(0), "{}", outcome.text);
        let calls = machine.apt_calls();
        assert!(calls.contains("install -y -q --no-install-recommends postgresql\n"), "{calls}");
        assert!(calls.contains("policy-rc.d") && calls.contains("pgotter-preflight.conf"), "{calls}");
        assert!(!machine.root().join("usr/sbin/policy-rc.d").exists());
        assert!(!machine.root().join("etc/postgresql-common/createcluster.d").exists());
    }
}

#[test]
fn preflight_undoes_its_preparations_when_the_install_fails() {
    let machine = Machine::without_postgres(0);
    machine.apt("exit 100");
    let outcome = machine.preflight(&[]);
    assert_ne!(outcome.status, Some(0), "{}", outcome.text);
    assert!(machine.files().iter().all(|path| path.is_dir()), "{:?}", machine.files());
}

#[test]
fn preflight_clears_what_one_that_was_killed_has_left() {
    for user in [0, 1000] {
        let machine = without_prometheus(user);
        machine.program("sudo", "shift; [ \"$1\" = true ] || exec \"$@\"");
        let [policy, clusters] =
            ["usr/sbin/policy-rc.d", "etc/postgresql-common/createcluster.d/pgotter-preflight.conf"]
                .map(|path| machine.root().join(path));
        for file in [&policy, &clusters] {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
        }
        let by = |process: &str| format!("# made by pgotter's preflight, process {process}\nexit 101");
        // No process has this number.
        let killed = by("4194305");
        write_program(&policy, &killed);
        write_program(&clusters, &killed);
        assert_eq!(machine.preflight(&[]).status, Some(0));
        assert!(!policy.exists() && !clusters.exists());
        // One that is at work, and whoever else decides.
        for content in [by(&std::process::id().to_string()), "exit 101".to_owned()] {
            write_program(&policy, &content);
            assert_eq!(machine.preflight(&[]).status, Some(0));
            assert!(policy.exists(), "{content}");
        }
    }
}

#[test]
fn preflight_leaves_a_policy_alone_that_was_there_before() {
    let machine = Machine::without_postgres(0);
    machine.apt(&install_postgres(&machine));
    let policy = machine.root().join("usr/sbin/policy-rc.d");
    fs::create_dir_all(policy.parent().unwrap()).unwrap();
    write_program(&policy, "exit 0");
    let before = fs::read_to_string(&policy).unwrap();
    assert_eq!(machine.preflight(&[]).status, Some(0));
    assert_eq!(fs::read_to_string(&policy).unwrap(), before);
}

#[test]
fn preflight_fails_when_the_package_did_not_bring_what_was_missing() {
    let machine = Machine::without_postgres(0);
    machine.apt("");
    let outcome = machine.preflight(&[]);
    assert_eq!(outcome.status, Some(2), "{}", outcome.text);
    assert_names_all(&outcome, &["still missing"]);
}

/// A machine with everything but Prometheus.
fn without_prometheus(user: u32) -> Machine {
    let machine = Machine::without_postgres(user);
    for name in POSTGRES {
        machine.program(name, "");
    }
    machine
}

#[test]
fn preflight_names_a_wish_and_goes_on_without_it() {
    let asked = |machine: &Machine, environment: &[(&str, &str)]| {
        let outcome = machine.preflight_for(&["test"], environment);
        assert_eq!(outcome.status, Some(0), "{}", outcome.text);
        assert_names_all(&outcome, &["prometheus, for one test", "promtool, for one test"]);
        outcome
    };
    let forbidden = without_prometheus(0);
    forbidden.apt("");
    assert_names_all(&asked(&forbidden, &[("NO_INSTALL", "1")]), &["apt-get install -y prometheus", "NO_INSTALL=1"]);
    let nobody = without_prometheus(1000);
    nobody.apt("");
    assert_names_all(&asked(&nobody, &[]), &["sudo apt-get install -y prometheus"]);
    assert_names_all(&asked(&without_prometheus(0), &[]), &["Debian's package: prometheus"]);
    for machine in [forbidden, nobody] {
        assert_eq!(machine.apt_calls(), "");
        assert_eq!(machine.files(), Vec::<PathBuf>::new());
    }
    for on_install in ["exit 100", ""] {
        let machine = without_prometheus(0);
        machine.apt(on_install);
        assert_names_all(&asked(&machine, &[]), &["still missing"]);
    }
    // Other parts have no such wish, and what is needed is needed all the same.
    assert_eq!(without_prometheus(0).preflight(&[]).text, "");
    let outcome = Machine::without_postgres(0).preflight_for(&["test"], &[]);
    assert_eq!(outcome.status, Some(2), "{}", outcome.text);
}

#[test]
fn preflight_installs_what_is_needed_although_apt_does_not_know_a_wish() {
    let machine = Machine::without_postgres(0);
    let unknown = "case \"$*\" in *prometheus*) exit 100;; esac";
    machine.apt(&format!("{unknown}\n{}", install_postgres(&machine)));
    let outcome = machine.preflight_for(&["test"], &[]);
    assert_eq!(outcome.status, Some(0), "{}", outcome.text);
    assert_names_all(
        &outcome,
        &["still missing after apt-get install postgresql prometheus", "promtool, for one test"],
    );
    let after = outcome.text.split("missing on this machine").last().unwrap();
    assert!(!after.contains("initdb"), "{}", outcome.text);
    let calls = machine.apt_calls();
    let installed: Vec<&str> = calls.lines().filter(|line| line.starts_with("install ")).collect();
    let flags = "install -y -q --no-install-recommends";
    assert_eq!(installed, [format!("{flags} postgresql"), format!("{flags} prometheus")]);
}

#[test]
fn preflight_installs_prometheus_and_no_service_of_it_is_left() {
    let machine = without_prometheus(0);
    let bin = machine.bin();
    machine.program("systemctl", &format!("echo systemctl $@ >>{}", machine.log().display()));
    let file = bin.join("prometheus").display().to_string();
    let tool = bin.join("promtool").display().to_string();
    machine.apt(&format!("for file in {file} {tool}; do echo >$file; chmod 755 $file; done"));
    let outcome = machine.preflight_for(&["test"], &[]);
    assert_eq!(outcome.status, Some(0), "{}", outcome.text);
    let calls = machine.apt_calls();
    assert!(calls.contains("install -y -q --no-install-recommends prometheus\n"), "{calls}");
    assert!(calls.contains("policy-rc.d") && calls.contains("systemctl disable prometheus.service"), "{calls}");
    assert!(machine.files().iter().all(|path| path.is_dir()), "{:?}", machine.files());
}

#[test]
fn preflight_refuses_a_rust_that_is_too_old_and_says_which_it_found() {
    let machine = Machine::without_postgres(0);
    for name in POSTGRES {
        machine.program(name, "");
    }
    machine.rust("1.63.0");
    machine.program("curl", "");
    let outcome = machine.preflight(&[]);
    assert_eq!(outcome.status, Some(2), "{}", outcome.text);
    assert_names_all(&outcome, &["cargo", "rustc", "found 1.63.0", "https://sh.rustup.rs"]);
    assert!(!outcome.text.contains("curl, for Rust"), "it is there:\n{}", outcome.text);
    machine.rust(NEW_RUST);
    assert_eq!(machine.preflight(&[]).status, Some(0));
}

#[test]
fn preflight_is_silent_and_content_where_nothing_is_missing() {
    let on_path = Machine::without_postgres(1000);
    for name in POSTGRES {
        on_path.program(name, "");
    }
    let outcome = on_path.preflight(&[]);
    assert_eq!((outcome.status, outcome.text.as_str()), (Some(0), ""));

    let in_pgbin = Machine::without_postgres(1000);
    let folder = in_pgbin.root().join("opt");
    fs::create_dir_all(&folder).unwrap();
    for name in POSTGRES {
        write_program(&folder.join(name), "");
    }
    let outcome = in_pgbin.preflight(&[("PGBIN", folder.to_str().unwrap())]);
    assert_eq!((outcome.status, outcome.text.as_str()), (Some(0), ""));
}

#[test]
fn a_pgbin_without_initdb_is_a_mistake_and_not_a_reason_to_look_elsewhere() {
    let machine = Machine::without_postgres(1000);
    for name in POSTGRES {
        machine.program(name, "");
    }
    let outcome = machine.preflight(&[("PGBIN", "/nowhere")]);
    assert_eq!(outcome.status, Some(2), "{}", outcome.text);
    assert_names_all(&outcome, &["initdb in PGBIN=/nowhere"]);
}

fn closing_line(lines: &str, status: &str, ci: &str) -> Outcome {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("skipped");
    fs::write(&file, lines).unwrap();
    run(Command::new("bash").arg(".ci/could-not-run").arg(&file).arg(status).env("CI", ci))
}

#[test]
fn the_closing_line_names_each_test_that_could_not_run_once() {
    let outcome =
        closing_line("replicas (no pg_basebackup)\ndumps (no pg_dump)\nreplicas (no pg_basebackup)\n", "0", "");
    assert_eq!(outcome.status, Some(0));
    assert_eq!(outcome.text, "could not run: dumps (no pg_dump); replicas (no pg_basebackup)\n");
}

#[test]
fn whatever_of_make_runs_tests_has_a_scratch_folder_and_ends_with_the_closing_line() {
    let makefile = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Makefile")).unwrap();
    let phony = makefile.lines().find(|line| line.starts_with(".PHONY:")).unwrap();
    let parts: Vec<&str> = phony.split(' ').filter(|part| *part == "test" || part.starts_with("test-")).collect();
    assert!(parts.len() > 5, "{parts:?}");
    for part in parts {
        let told = run(Command::new("make").args(["-n", part]).env_remove("MAKEFLAGS").env_remove("MAKELEVEL")).text;
        let run = ["run-tests", "test-versions"].map(|script| format!("bash .ci/in-scratch bash .ci/{script} "));
        assert!(run.iter().any(|run| told.contains(run)), "{part}: {told}");
    }
}

#[test]
fn a_test_that_could_not_run_fails_only_in_ci() {
    assert_eq!(closing_line("dumps (no pg_dump)\n", "0", "true").status, Some(1));
    assert_eq!(closing_line("dumps (no pg_dump)\n", "101", "").status, Some(101));
    assert_eq!(closing_line("", "0", "true").status, Some(0));
    assert_eq!(closing_line("", "101", "true").status, Some(101));
}

#[test]
fn what_could_not_run_is_written_where_the_closing_line_looks() {
    // Through a process of its own: the environment of this one is shared by all tests of this file.
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("skipped");
    let child = |ci: &str, file: Option<&Path>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "reports_for_the_test_above", "--ignored"])
            .env("CI", ci)
            .env_remove("PGOTTER_SKIPPED");
        command.envs(file.map(|file| ("PGOTTER_SKIPPED", file)));
        run(&mut command).status
    };
    assert_eq!(child("true", Some(&file)), Some(0));
    assert_eq!(fs::read_to_string(&file).unwrap(), "a thing (a reason)\n");
    assert_eq!(child("", None), Some(0));
    assert_ne!(child("true", None), Some(0));
}

#[test]
#[ignore = "not a test: run by what_could_not_run_is_written_where_the_closing_line_looks"]
fn reports_for_the_test_above() {
    could_not_run("a thing", "a reason");
}

#[test]
fn what_runs_in_scratch_leaves_nothing_behind_by_whatever_signal_it_ends() {
    if !Path::new("/proc/self/status").exists() {
        return could_not_run("folders of processes that were killed", "there is no /proc");
    }
    let parent = TempDir::new().unwrap();
    let path = parent.path().canonicalize().unwrap();
    let program = path.join("program");
    write_program(
        &program,
        "for name in INT TERM HUP; do trap \"echo got $name; exit 3\" $name; done\n\
         cd \"$TMPDIR\"\nenv --default-signal=QUIT --ignore-signal=INT,TERM,HUP sleep 1000 >/dev/null &\ncd /\n\
         mktemp >/dev/null\necho \"$TMPDIR $!\"\nwhile :; do sleep 0.05; done",
    );
    let begin = || {
        let mut command = Command::new("env");
        command.args(["--default-signal=INT,HUP,TERM", "bash", ".ci/in-scratch"]).arg(&program);
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env("TMPDIR", parent.path());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let (folder, lodger) = line.trim().split_once(' ').unwrap();
        let (folder, lodger) = (PathBuf::from(folder), PathBuf::from(format!("/proc/{lodger}/cwd")));
        assert!(folder.parent() == Some(&path) && fs::read_dir(&folder).unwrap().count() == 1, "{line}");
        assert_eq!(fs::read_link(&lodger).unwrap(), folder);
        (child, output, folder, lodger)
    };
    let end =
        |(mut child, mut output, folder, lodger): (Child, BufReader<ChildStdout>, PathBuf, PathBuf), name, signal| {
            kill_process(Pid::from_child(&child), signal).unwrap();
            let mut rest = String::new();
            output.read_to_string(&mut rest).unwrap();
            assert_eq!((rest, child.wait().unwrap().code()), (format!("got {name}\n"), Some(3)));
            assert!(!folder.exists(), "{}", folder.display());
            fs::read_link(&lodger).expect_err("who lived there is gone");
        };
    let (mut killed, output, left, lodger) = begin();
    let orphan = fs::read_to_string(format!("/proc/{0}/task/{0}/children", killed.id())).unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    kill_process(Pid::from_raw(orphan.trim().parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    drop(output);
    assert!(left.exists());
    for (name, signal) in [("INT", Signal::INT), ("HUP", Signal::HUP), ("TERM", Signal::TERM)] {
        let running = begin();
        assert!(!left.exists(), "what was killed is cleared by the next");
        fs::read_link(&lodger).expect_err("and who lived there is gone");
        let beside = begin();
        assert!(running.2.exists(), "what runs is not");
        end(running, name, signal);
        end(beside, name, signal);
    }
}

#[test]
fn a_signal_sent_to_make_alone_reaches_the_demo_once() {
    if !Path::new("/proc/self/status").exists() {
        return could_not_run("signals through make", "there is no /proc");
    }
    for (name, signal) in [("INT", Signal::INT), ("HUP", Signal::HUP), ("TERM", Signal::TERM)] {
        let folder = TempDir::new().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/demo");
        let program = folder.path().join("program");
        write_program(
            &program,
            &format!("trap 'echo got {name}; exit 0' {name}\necho ready\nwhile :; do sleep 0.05; done"),
        );
        let makefile = format!("demo:\n\t@exec bash {} {}\n", script.display(), program.display());
        fs::write(folder.path().join("Makefile"), makefile).unwrap();

        // `env` gives make the usual signals back, in case whoever started this test had them ignored; and if that was
        // another make, this one is not to know.
        let mut make = Command::new("env")
            .args(["--unset=MAKELEVEL", "--unset=MAKEFLAGS", "--unset=MFLAGS"])
            .args(["--default-signal=INT,HUP,TERM", "make", "SHELL=bash", "demo"])
            .current_dir(folder.path())
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(make.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        kill_process(Pid::from_child(&make), signal).unwrap();
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, format!("got {name}\n"));
        assert_eq!(make.wait().unwrap().signal(), Some(signal.as_raw()), "make ends by the signal it was sent");
    }
}
