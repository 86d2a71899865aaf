//! A Prometheus process with a folder of its own, and what is asked of it.

use crate::support::waiting::eventually;
use crate::support::{must, state};
use pgotter::cli::ports;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// It writes its blocks when it ends.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// A program of Debian's package `prometheus`.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Dropping it ends it.
pub struct Prometheus {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Prometheus {
    /// With these files (name, text) beside each other, of which `prometheus.yml` is its configuration; waits until it answers. Tries again
    /// with another port if somebody was quicker.
    pub fn start(program: &Path, files: &[(&str, String)]) -> Self {
        let folder = must(state().new_folder("prometheus"));
        for (name, text) in files {
            must(state().write(&folder.join(name), text));
        }
        let mut attempts = 5;
        loop {
            let mut started = Self::spawn(program, &folder);
            let mut ended = None;
            eventually("Prometheus is ready", || {
                ended = must(started.child.try_wait());
                ended.is_some() || started.get("/-/ready").is_some_and(|(status, _)| status == 200)
            });
            attempts -= 1;
            match ended {
                None => return started,
                Some(_) if attempts > 0 && !ports::is_free(started.port) => {}
                Some(status) => panic!("{status}: {}", started.log()),
            }
        }
    }

    fn spawn(program: &Path, folder: &Path) -> Self {
        let (port, log) = (ports::free_port(), folder.join("log"));
        must(state().write(&log, ""));
        let mut command = Command::new(program);
        state().adopt(&mut command).current_dir(folder).stdout(Stdio::null());
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=warn"]);
        let child = must(command.stderr(must(std::fs::File::options().append(true).open(&log))).spawn());
        Self { child, port, log }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `None`: it does not answer (yet). HTTP/1.0, so that the answer is in one piece and ends the connection.
    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// `data` of what the API answers to `path` with this parameter.
    ///
    /// # Errors
    /// Its words.
    pub fn api(&self, path: &str, (name, value): (&str, &str)) -> Result<Value, String> {
        let mut encoded = String::new();
        for byte in value.bytes() {
            write!(encoded, "%{byte:02X}").expect("a String takes everything");
        }
        let (_, body) = self.get(&format!("/api/v1/{path}?{name}={encoded}")).ok_or("no answer")?;
        let mut answer: Value = serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"].take()),
            _ => Err(answer["error"].to_string()),
        }
    }

    /// The labels of each series that an expression gives now.
    ///
    /// # Errors
    /// As [`Self::api`].
    pub fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let data = self.api("query", ("query", expression))?;
        let series = data["result"].as_array().ok_or_else(|| format!("no series: {data}"))?;
        Ok(series.iter().map(|series| series["metric"].clone()).collect())
    }
}

/// The names of labels that any of these has.
pub fn label_names(series: &[Value]) -> BTreeSet<String> {
    series.iter().filter_map(Value::as_object).flat_map(|labels| labels.keys().cloned()).collect()
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- log of prometheus, process {}\n{}", self.child.id(), self.log());
        }
        // Not reaped, so the id is still its own.
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        let since = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && since.elapsed() < END_PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
