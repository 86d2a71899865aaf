//! The clusters that every other test stands on: they start, stream, stop, and leave nothing behind.

mod demo;
mod support;

use pgotter::cli::local_postgres::{HostAuth, LocalPostgres, Options, StateDir, StopMode};
use pgotter::cli::ports;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use support::{must, postgres, run_client};

#[test]
fn a_replica_streams_what_its_primary_writes() {
    let mut primary = postgres(&Options::default());
    let replica = must(primary.replica());
    must(primary.psql("postgres", "CREATE TABLE seen (n int); INSERT INTO seen VALUES (42)"));
    must(primary.wait_for_replicas(1));
    assert_eq!(must(replica.psql("postgres", "SELECT n, pg_is_in_recovery() FROM seen")), "42|t");
}

#[test]
fn a_replica_streams_from_a_primary_that_keeps_no_old_wal() {
    let settings = vec!["wal_keep_size = 0".to_owned()];
    let mut primary = postgres(&Options { settings, ..Options::default() });
    must(primary.psql("postgres", "CREATE TABLE seen (n int); INSERT INTO seen VALUES (42)"));
    must(primary.psql("postgres", "SELECT pg_switch_wal()"));
    must(primary.psql("postgres", "CHECKPOINT"));
    let first = primary.data_dir().join("pg_wal/000000010000000000000001");
    assert!(!first.exists(), "the replica could begin where its primary did");
    let replica = must(primary.replica_with("work_mem = '7MB'"));
    must(primary.wait_for_replicas(1));
    assert_eq!(must(replica.psql("postgres", "SELECT n, current_setting('work_mem') FROM seen")), "42|7MB");
}

#[test]
fn a_server_survives_every_way_of_stopping_on_the_same_port() {
    let mut server = postgres(&Options::default());
    let port = server.port();
    must(server.psql("postgres", "CREATE TABLE kept (n int)"));
    must(server.restart(StopMode::Smart));
    must(server.restart(StopMode::Fast));
    must(server.restart(StopMode::Immediate));
    must(server.kill());
    must(server.start());
    assert_eq!(must(server.psql("postgres", "SELECT count(*) FROM kept")), "0");
    assert_eq!(server.port(), port);
}

#[test]
fn a_promoted_replica_takes_writes() {
    let mut primary = postgres(&Options::default());
    let mut replica = must(primary.replica());
    must(replica.promote());
    must(replica.psql("postgres", "CREATE TABLE mine (n int)"));
}

#[test]
fn options_reach_the_server() {
    let settings = vec!["work_mem = '7MB'".to_owned()];
    let server = postgres(&Options { max_connections: 33, settings, ..Options::default() });
    let asked = "SELECT current_setting('max_connections'), current_setting('work_mem')";
    assert_eq!(must(server.psql("postgres", asked)), "33|7MB");
}

#[test]
fn every_way_to_authenticate_asks_for_the_password_over_tcp() {
    for auth in [HostAuth::Password, HostAuth::Md5, HostAuth::ScramSha256] {
        let server = postgres(&Options { auth, ..Options::default() });
        assert_eq!(support::psql(server.port(), "SELECT 1"), "1", "{auth:?}");
        let wrong =
            support::client("psql", server.port(), &["-w", "-c", "SELECT 1"]).env("PGPASSWORD", "wrong").output();
        assert!(!must(wrong).status.success(), "{auth:?}");
        let stored =
            must(server.psql("postgres", "SELECT left(rolpassword, 3) FROM pg_authid WHERE rolname = 'postgres'"));
        assert_eq!(stored, if auth == HostAuth::Md5 { "md5" } else { "SCR" }, "{auth:?}");
    }
}

#[test]
fn a_rejecting_server_lets_in_only_whom_it_names() {
    let hba = vec!["host postgres guest 127.0.0.1/32 trust".to_owned()];
    let server = postgres(&Options { auth: HostAuth::Reject, hba, ..Options::default() });
    must(server.psql("postgres", "CREATE ROLE guest LOGIN"));
    assert!(run_client("psql", server.port(), &["-U", "guest", "-c", "SELECT 1"]).status.success());
    assert!(!run_client("psql", server.port(), &["-c", "SELECT 1"]).status.success());
}

#[test]
fn servers_and_pgotter_run_as_the_user_postgres_under_root_and_else_as_the_caller() {
    let server = postgres(&Options::default());
    let pgotter = support::PgOtter::in_front_of(&server, "");
    let postmaster = must(fs::read_to_string(server.data_dir().join("postmaster.pid")));
    let postmaster = postmaster.lines().next().expect("its process id");
    let id = |name: &[&str]| {
        let output = must(Command::new("id").arg("-u").args(name).output());
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let caller = id(&[]);
    let expected = if caller == "0" { id(&["postgres"]) } else { caller };
    assert!(!expected.is_empty() && expected != "0", "{expected}");
    for process in [postmaster, &pgotter.id().to_string()] {
        let status = must(fs::read_to_string(format!("/proc/{process}/status")));
        let users = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("proc(5) has it");
        assert!(users.split_whitespace().all(|user| user == expected), "{users}, and not {expected}");
    }
}

#[test]
fn dropping_a_server_ends_it_and_removes_its_files() {
    let server = postgres(&Options::default());
    let (port, data) = (server.port(), server.data_dir());
    assert!(!ports::is_free(port));
    drop(server);
    assert!(ports::is_free(port));
    assert!(!data.exists());
}

#[test]
fn a_killed_owner_leaves_nothing() {
    let _turn = turn();
    let mut owner = Owner::start();
    must(owner.process.kill());
    must(owner.process.wait());
    wait_until("the keeper has cleared up", || !owner.folder.exists());
    assert!(ports::is_free(owner.port));
}

#[test]
fn the_next_start_clears_what_a_killed_owner_and_keeper_left() {
    let _turn = turn();
    let mut owner = Owner::start();
    must(kill(owner.keeper));
    must(owner.process.kill());
    must(owner.process.wait());
    assert!(owner.folder.exists() && !ports::is_free(owner.port), "nobody was left to clear up");
    // A process of its own: this one may have its folder already.
    let next = Owner::start();
    assert!(!owner.folder.exists());
    assert!(ports::is_free(owner.port));
    assert!(next.folder.exists(), "and the living keep theirs");
}

#[test]
fn the_next_start_clears_what_was_left_in_other_folders_and_nothing_that_is_held() {
    let _turn = turn();
    let parents: Vec<_> = ["/dev/shm", "/tmp"].map(Path::new).into_iter().filter(|parent| parent.is_dir()).collect();
    let left = |prefix: &str, parent: &Path| {
        let folder = must(tempfile::Builder::new().prefix(prefix).tempdir_in(parent));
        must(support::state().run_as.give(folder.path()));
        folder
    };
    let held = |parent: &&Path| loop {
        let folder = left("pgotter-local-", parent);
        // Somebody who starts at this moment may have been quicker, and clears it.
        let lock = fs::File::open(folder.path()).ok().filter(|lock| lock.try_lock().is_ok());
        if let Some(lock) = lock.filter(|_| folder.path().exists()) {
            return (folder, lock);
        }
    };
    let held: Vec<_> = parents.iter().map(held).collect();
    let strangers: Vec<_> = parents.iter().map(|parent| left("pgotter-", parent)).collect();
    let abandoned: Vec<_> = parents.iter().map(|parent| left("pgotter-local-", parent)).collect();
    let _next = Owner::start();
    for folder in abandoned.iter().map(|folder| folder.path()) {
        // Unless somebody else who starts at this moment is about it.
        let untouched = fs::File::open(folder).is_ok_and(|lock| lock.try_lock().is_ok());
        assert!(!untouched, "{}", folder.display());
        wait_until("the abandoned are cleared", || !folder.exists());
    }
    for folder in held.iter().map(|(folder, _)| folder).chain(&strangers) {
        assert!(folder.path().exists(), "{}", folder.path().display());
    }
}

/// For tests that start a process which clears what it finds abandoned: one that looks at what is left is not to be disturbed, nor
/// by this process, which has its folder then.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    support::state();
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process of this test's own that has a cluster and waits to be killed.
struct Owner {
    process: Child,
    keeper: i32,
    port: u16,
    folder: PathBuf,
}

const OWNER: &str = "OWNER";

impl Owner {
    fn start() -> Self {
        let mut command = Command::new(must(std::env::current_exe()));
        command.args(["--exact", "an_owner_that_waits_to_be_killed", "--ignored", "--nocapture"]);
        let mut process = must(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn());
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let line = output.lines().map(must).find_map(|line| line.split_once(OWNER).map(|(_, rest)| rest.to_owned()));
        let line = line.expect("the owner starts its cluster");
        let mut words = line.split_whitespace();
        let mut word = || words.next().expect("three words");
        let (keeper, port) = (must(word().parse()), must(word().parse()));
        Self { process, keeper, port, folder: PathBuf::from(word()) }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        wait_until("the owner's folder is gone", || !self.folder.exists());
    }
}

#[test]
#[ignore = "the other half of the tests above, in a process of its own"]
fn an_owner_that_waits_to_be_killed() {
    let state = must(StateDir::shared());
    let server = must(LocalPostgres::primary(&Options::default()));
    println!("{OWNER} {} {} {}", state.keeper_id(), server.port(), state.path().display());
    loop {
        std::thread::park();
    }
}

#[test]
fn the_workload_loads_and_pgbench_runs_on_it() {
    let server = postgres(&Options::default());
    let workload = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workload/workload.sql");
    let copy = support::state().path().join("workload.sql");
    must(support::state().write(&copy, &must(fs::read_to_string(workload))));
    must(server.psql_file("postgres", &copy));
    let target = pgotter::cli::demo::load::Target {
        port: server.port(),
        user: "postgres".to_owned(),
        database: "postgres".to_owned(),
    };
    let runtime = must(tokio::runtime::Builder::new_current_thread().enable_all().build());
    let (well, totals) = runtime.block_on(async {
        let second = Duration::from_secs(1);
        let mut load = must(pgotter::cli::demo::load::Load::start(support::state(), &target, Some(3 * second), second));
        load.ended().await;
        (load.finish().await, load.totals())
    });
    assert!(well, "{totals:?}");
    assert_eq!((totals.failed, totals.complaints.len()), (0, 0), "{totals:?}");
    assert!(totals.transactions > 0);
}

fn kill(process: i32) -> rustix::io::Result<()> {
    let pid = rustix::process::Pid::from_raw(process).expect("a process id is not zero");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    Ok(())
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < Duration::from_secs(60), "waited a minute: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
