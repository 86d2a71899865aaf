//! The clock that a scripted server takes its time by: the true one, or one that is turned by hand, which a PgOtter in front of it
//! then sees as well (`hand.c`): nothing that the machine does takes any time on it.

use crate::support::{must, state};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Ahead of the true one: the system measures the timeouts of threads that sleep by that, and none is to be over at once.
const AHEAD: u64 = 365 * 24 * 3600;

pub enum Clock {
    True(Instant),
    Hand(Hand),
}

pub struct Hand {
    file: File,
    path: String,
    now_ns: Mutex<u64>,
}

impl Clock {
    pub fn new() -> Self {
        Self::True(Instant::now())
    }

    /// `name` is the test's own.
    pub fn by_hand(name: &str) -> Self {
        let hand = Hand::new(name);
        let uptime = must(std::fs::read_to_string("/proc/uptime"));
        let seconds = uptime.split('.').next().and_then(|seconds| seconds.parse::<u64>().ok()).expect("seconds");
        *hand.now_ns.lock() = (seconds + AHEAD) * 1_000_000_000;
        let hand = Self::Hand(hand);
        hand.pass(Duration::ZERO);
        hand
    }

    /// Since some moment.
    pub fn now(&self) -> Duration {
        match self {
            Self::True(since) => since.elapsed(),
            Self::Hand(hand) => Duration::from_nanos(*hand.now_ns.lock()),
        }
    }

    /// Takes so long.
    pub fn pass(&self, time: Duration) {
        match self {
            Self::True(_) => std::thread::sleep(time),
            Self::Hand(hand) => {
                let mut now = hand.now_ns.lock();
                *now += u64::try_from(time.as_nanos()).expect("not for centuries");
                hand.write(0, i64::try_from(*now).expect("not for centuries"));
            }
        }
    }

    /// For a PgOtter that lives by it.
    pub fn environment(&self) -> Vec<(&str, &str)> {
        match self {
            Self::True(_) => Vec::new(),
            Self::Hand(hand) => hand.environment(),
        }
    }
}

impl Hand {
    /// Shows the true time until something is written.
    pub fn new(name: &str) -> Self {
        let path = state().path().join(format!("clock_{name}"));
        must(state().write(&path, &"\0".repeat(32)));
        let file = must(File::options().write(true).open(&path));
        Self { file, path: path.to_str().expect("UTF-8").to_owned(), now_ns: Mutex::default() }
    }

    pub fn environment(&self) -> Vec<(&str, &str)> {
        vec![("LD_PRELOAD", library()), ("PGOTTER_TEST_CLOCK", &self.path)]
    }

    /// The time of day is so many seconds off.
    pub fn shift_time_of_day(&self, seconds: i64) {
        self.write(2, seconds);
    }

    fn write(&self, word: u64, value: i64) {
        // The copy first: who reads in between reads again.
        for at in [word + 1, word] {
            must(self.file.write_all_at(&value.to_ne_bytes(), at * 8));
        }
    }
}

/// Built once for this process. PgOtter's own dependencies need a C compiler, too.
fn library() -> &'static str {
    static LIBRARY: OnceLock<String> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/truth/hand.c");
        let library = state().path().join("hand.so");
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&library).arg(source);
        let output = must(command.output());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        library.to_str().expect("UTF-8").to_owned()
    })
}
