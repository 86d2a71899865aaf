//! `pgotter demo` as people run it: on ports that somebody holds already, and ended in every way. Whatever the way, it leaves
//! no process, no folder and no port behind.

use crate::support::scrape::get;
use crate::support::{client, must};
use crate::{turn, wait_until};
use pgotter::cli::ports;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use tempfile::TempDir;

/// What the demo takes if it is free: PgOtter's port, and that of its metrics.
const WANTED: [u16; 2] = [6432, 9127];

#[test]
fn a_demo_is_answered_where_it_says_and_ctrl_c_leaves_nothing_of_it() {
    let _turn = turn();
    let mut demo = Demo::start();
    demo.until("stop:");
    let (pooler, metrics) = (demo.ports("PgOtter ")[0], demo.ports("metrics ")[0]);
    demo.names_who_is_in_the_way([pooler, metrics]);
    let line = demo.line("try: ");
    let line_to_try: Vec<&str> = line.split_whitespace().skip_while(|word| *word != "psql").skip(1).collect();
    assert_eq!(ask(&line_to_try, "SELECT 6 * 7"), "42", "{line}");
    assert!(line_to_try.contains(&pooler.to_string().as_str()), "{line}");
    assert_eq!(get(metrics, "/metrics").status, 200);
    let servers = [demo.ports("primary "), demo.ports("replicas ")].concat();
    let is_replica = |port: &u16| ask(&["-p", &port.to_string(), "-U", "otter", "demo"], "SELECT pg_is_in_recovery()");
    assert_eq!(servers.iter().map(is_replica).collect::<Vec<_>>(), ["f", "t", "t"]);
    let report = demo.until(" tps ");
    assert!(report.contains(" 0 failed"), "{report}");
    demo.signal(Signal::INT);
    let (status, said) = demo.end();
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains(" transactions, 0 failed"), "{said}");
    for port in [vec![pooler, metrics], servers].concat() {
        wait_until("the demo's ports are free", || ports::is_free(port));
    }
}

#[test]
fn a_demo_that_is_told_to_go_while_it_is_set_up_leaves_nothing_of_it() {
    let _turn = turn();
    for (step, signal) in [("starting a primary", Signal::TERM), ("loading the workload", Signal::HUP)] {
        let mut demo = Demo::start();
        demo.until(step);
        if signal == Signal::HUP {
            // The terminal is closed: nobody reads any more.
            demo.output = None;
        }
        demo.signal(signal);
        let (status, said) = demo.end();
        assert_eq!(status, Some(0), "{signal:?}: {said}");
    }
}

#[test]
fn a_demo_whose_pgotter_is_killed_fails_and_says_so() {
    let _turn = turn();
    let mut demo = Demo::start();
    demo.until("stop:");
    let pgotter = demo.processes().into_iter().find(|(_, command)| command.contains("\0run\0"));
    let (pgotter, _) = pgotter.expect("the demo runs PgOtter");
    must(kill_process(pgotter, Signal::KILL));
    let (status, said) = demo.end();
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("PgOtter ended (signal: 9"), "{said}");
}

/// A demo in a folder of its own, beside which this process holds the ports it wants. One at a time (see [`turn`]): two might
/// look for the next free port at once.
struct Demo {
    process: Child,
    output: Option<BufReader<ChildStdout>>,
    said: String,
    folder: TempDir,
    held: Vec<u16>,
    _listeners: Vec<TcpListener>,
}

impl Demo {
    fn start() -> Self {
        let listeners: Vec<_> = WANTED.iter().filter_map(|port| TcpListener::bind(("127.0.0.1", *port)).ok()).collect();
        let held = listeners.iter().map(|listener| must(listener.local_addr()).port()).collect();
        let folder = folder();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgotter"));
        command.arg("demo").env("TMPDIR", folder.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = must(command.spawn());
        let output = process.stdout.take().map(BufReader::new);
        Self { process, output, said: String::new(), folder, held, _listeners: listeners }
    }

    /// Reads to the next line that has `words`.
    fn until(&mut self, words: &str) -> String {
        let output = self.output.as_mut().expect("somebody reads");
        loop {
            let mut line = String::new();
            let length = must(output.read_line(&mut line));
            assert!(length > 0, "it ends before {words:?}:\n{}", self.said);
            self.said.push_str(&line);
            if line.contains(words) {
                return line;
            }
        }
    }

    /// A line that it has said.
    fn line(&self, start: &str) -> String {
        let line = self.said.lines().find(|line| line.trim_start().starts_with(start));
        line.unwrap_or_else(|| panic!("no line {start:?}:\n{}", self.said)).to_owned()
    }

    /// The ports in that line.
    fn ports(&self, start: &str) -> Vec<u16> {
        let line = self.line(start);
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
        line.split("127.0.0.1:").skip(1).map(|address| must(digits(address).parse())).collect()
    }

    /// Somebody else may hold a port, and may have let go of it before the demo looked.
    fn names_who_is_in_the_way(&self, taken: [u16; 2]) {
        let name = must(fs::read_to_string("/proc/self/comm"));
        let this = format!("{} (process {})", name.trim(), std::process::id());
        for (wanted, port) in WANTED.into_iter().zip(taken) {
            let told = format!("port {wanted} is taken by ");
            assert_eq!(self.said.contains(&told), port != wanted, "{}", self.said);
            let told = format!("{told}{this}; using {port}\n");
            assert!(!self.held.contains(&wanted) || self.said.contains(&told), "{told}{}", self.said);
        }
    }

    fn signal(&self, signal: Signal) {
        must(kill_process(Pid::from_child(&self.process), signal));
    }

    /// Those that live in its folder or were told of it, with what they were called with.
    fn processes(&self) -> Vec<(Pid, String)> {
        let folder = self.folder.path();
        let inside = |process: PathBuf| {
            let command = String::from_utf8_lossy(&fs::read(process.join("cmdline")).ok()?).into_owned();
            let lives = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
            let pid = Pid::from_raw(process.file_name()?.to_str()?.parse().ok()?)?;
            (lives || command.contains(folder.to_str()?)).then_some((pid, command))
        };
        must(fs::read_dir("/proc")).flatten().filter_map(|entry| inside(entry.path())).collect()
    }

    /// Waits for its end: status, and all it has said. Nothing of it may be left.
    fn end(mut self) -> (Option<i32>, String) {
        wait_until("the demo ends", || must(self.process.try_wait()).is_some());
        let left: Vec<_> = must(fs::read_dir(self.folder.path())).flatten().map(|entry| entry.path()).collect();
        assert!(left.is_empty(), "{left:?}");
        wait_until("its processes are gone", || self.processes().is_empty());
        if let Some(mut output) = self.output.take() {
            must(std::io::Read::read_to_string(&mut output, &mut self.said));
        }
        (must(self.process.wait()).code(), std::mem::take(&mut self.said))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        wait_until("its keeper has cleared up", || self.processes().is_empty());
    }
}

/// That the servers' user may enter, with a name short enough for the demo to take.
fn folder() -> TempDir {
    let parent = fs::canonicalize(std::env::temp_dir()).ok().filter(|folder| folder.as_os_str().len() <= 29);
    let folder = must(TempDir::new_in(parent.unwrap_or_else(|| "/tmp".into())));
    must(fs::set_permissions(folder.path(), Permissions::from_mode(0o755)));
    folder
}

/// psql's answer.
fn ask(psql: &[&str], sql: &str) -> String {
    let output = must(client("psql", 0, &["-X", "-A", "-t", "-c", sql]).args(psql).output());
    assert!(output.status.success(), "psql {psql:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}
