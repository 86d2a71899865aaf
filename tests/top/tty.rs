//! A program at a terminal: what it has drawn, keys for it, and how it leaves the terminal. `script` provides the terminal.

use crate::support::waiting::eventually;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

pub const WIDTH: usize = 160;
pub const HEIGHT: usize = 24;

/// A program that runs at a terminal of its own.
pub struct Tty {
    child: Child,
    keys: ChildStdin,
    screen: Arc<Mutex<Screen>>,
    // Draws until the terminal ends.
    drawing: Option<JoinHandle<()>>,
    folder: tempfile::TempDir,
}

/// How it has ended.
pub struct Ended {
    /// Its exit status, in words of the shell.
    pub status: String,
    /// Whether the terminal's modes are what they were.
    pub modes_restored: bool,
    /// Whether it shows what it showed before, with its cursor.
    pub screen_restored: bool,
}

impl Tty {
    /// `line` is for the shell.
    pub fn run(line: &str) -> Self {
        Self::start(line, (HEIGHT, WIDTH), "")
    }

    /// In a window of so many rows and columns.
    pub fn sized(line: &str, rows: usize, columns: usize) -> Self {
        Self::start(line, (rows, columns), "")
    }

    /// Under a shell that can stop what it runs. When that has been stopped, and [`Self::was_stopped`] has seen so, it goes on.
    pub fn stoppable(line: &str) -> Self {
        Self::start(
            line,
            (HEIGHT, WIDTH),
            "printf '\\033[2J'\nstty -g > FOLDER/stopped\nwhile ! [ -e FOLDER/go ]; do sleep 0.01; done\nfg\n",
        )
    }

    fn start(line: &str, (rows, columns): (usize, usize), behind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A shell ends by itself with what has ended by SIGINT, unless it hears that.
        let shell = format!(
            "set -m\ntrap : INT\nstty rows {rows} cols {columns}\nstty -g > FOLDER/before\nsh -c 'echo $$ > FOLDER/pid; exec {line}'\n\
             {behind}echo $? > FOLDER/status\nstty -g > FOLDER/after\n",
        );
        fs::write(folder.path().join("shell"), shell.replace("FOLDER", &folder.path().display().to_string())).unwrap();
        let mut command = Command::new("script");
        command.args(["-qec", &format!("sh {}", folder.path().join("shell").display()), "/dev/null"]);
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (keys, mut drawn) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let screen = Arc::new(Mutex::new(Screen::default()));
        let shared = screen.clone();
        let drawing = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = drawn.read(&mut bytes) {
                shared.lock().unwrap().draw(&bytes[..length]);
            }
        });
        Self { child, keys, screen, drawing: Some(drawing), folder }
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until a line of the screen is as wanted.
    pub fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut found = None;
        eventually(what, || {
            found = self.screen.lock().unwrap().lines().into_iter().find(|line| wanted(line));
            found.is_some()
        });
        found.unwrap()
    }

    /// Whether it shows the program's screen.
    pub fn is_shown(&self) -> bool {
        self.screen.lock().unwrap().other
    }

    /// What is on the screen.
    pub fn lines(&self) -> Vec<String> {
        self.screen.lock().unwrap().lines()
    }

    /// Its process.
    pub fn pid(&self) -> String {
        eventually("its number", || !self.file("pid").is_empty());
        self.file("pid")
    }

    /// Its window has so many rows from now on.
    pub fn resize(&self, rows: usize) {
        self.stty(&["rows", &rows.to_string()]);
    }

    /// Waits until it reads keys as they are pressed.
    pub fn until_raw(&self) {
        eventually("its reading single keys", || self.stty(&["-a"]).contains("-icanon"));
    }

    fn stty(&self, what: &[&str]) -> String {
        let terminal = fs::read_link(format!("/proc/{}/fd/0", self.pid())).unwrap();
        let done = Command::new("stty").arg("-F").arg(terminal).args(what).output().unwrap();
        assert!(done.status.success());
        String::from_utf8(done.stdout).unwrap()
    }

    /// Waits until it was stopped; whether the terminal was as before meanwhile, its modes and its screen. It goes on.
    pub fn was_stopped(&self) -> (bool, bool) {
        eventually("its being stopped", || !self.file("stopped").is_empty());
        eventually("what its shell has made of the screen", || self.lines().iter().all(String::is_empty));
        let screen = self.screen.lock().unwrap();
        let found = (self.file("before") == self.file("stopped"), !screen.other && !screen.hidden);
        fs::write(self.folder.path().join("go"), "").unwrap();
        found
    }

    /// The terminal goes away, and nobody is told but by that.
    pub fn hang_up(mut self) {
        let pid = self.pid();
        self.child.kill().unwrap();
        let state = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Of one that has ended and that nobody has asked about the third word says so.
        let ended = |state: &str| state.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with(['Z', 'X']));
        eventually("its end", || state().is_empty() || ended(&state()));
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        eventually("its end", || self.child.try_wait().unwrap().is_some());
        let drawing = self.drawing.take().unwrap();
        eventually("all that it has drawn", || drawing.is_finished());
        drawing.join().unwrap();
        let screen = self.screen.lock().unwrap();
        Ended {
            status: self.file("status"),
            modes_restored: self.file("before") == self.file("after"),
            screen_restored: !screen.other && !screen.hidden,
        }
    }

    fn file(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        fs::read_to_string(path).unwrap_or_default().trim().to_owned()
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As much of a terminal as is needed here: characters, the cursor's place, the other screen. Source: ECMA-48; xterm, "Control Sequences".
struct Screen {
    cells: Vec<Vec<char>>,
    at: (usize, usize),
    rest: Vec<u8>,
    /// It shows the other screen; its cursor is hidden.
    other: bool,
    hidden: bool,
}

impl Default for Screen {
    fn default() -> Self {
        Self { cells: blank(), at: (0, 0), rest: Vec::new(), other: false, hidden: false }
    }
}

fn blank() -> Vec<Vec<char>> {
    vec![vec![' '; WIDTH]; HEIGHT]
}

impl Screen {
    fn lines(&self) -> Vec<String> {
        self.cells.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned()).collect()
    }

    fn draw(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let text = std::mem::take(&mut self.rest);
        let mut text: &[u8] = &text;
        while let Some(behind) = self.step(text) {
            text = behind;
        }
        self.rest = text.to_vec();
    }

    /// One character or sequence; `None`: it is not all there.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        match *bytes.first()? {
            0x1b if *bytes.get(1)? == b'[' => {
                let end = 2 + bytes[2..].iter().position(|byte| (0x40..=0x7e).contains(byte))?;
                self.control(&String::from_utf8_lossy(&bytes[2..end]), bytes[end]);
                Some(&bytes[end + 1..])
            }
            0x1b => bytes.get(2..),
            b'\r' => {
                self.at.1 = 0;
                Some(&bytes[1..])
            }
            byte if byte < 0x20 => Some(&bytes[1..]),
            byte => {
                let length = if byte < 0x80 { 1 } else { byte.leading_ones() as usize };
                let c = std::str::from_utf8(bytes.get(..length)?).unwrap().chars().next().unwrap();
                if let Some(cell) = self.cells.get_mut(self.at.0).and_then(|line| line.get_mut(self.at.1)) {
                    *cell = c;
                }
                self.at.1 += 1;
                Some(&bytes[length..])
            }
        }
    }

    fn control(&mut self, parameters: &str, end: u8) {
        let mut numbers = parameters.split(';').map(|number| number.parse().unwrap_or(1));
        match (parameters, end) {
            (_, b'H') => self.at = (numbers.next().unwrap_or(1) - 1, numbers.next().unwrap_or(1) - 1),
            (_, b'J') => self.cells = blank(),
            ("?1049", b'h' | b'l') => self.other = end == b'h',
            ("?25", b'h' | b'l') => self.hidden = end == b'l',
            _ => {}
        }
    }
}
