//! A place where the time of day and the addresses of names are what a test says, for one pgotter only: `elsewhere.c`, put in
//! front of libc. Neither needs a privilege nor changes the machine.

use super::{could_not_run, must, state};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What one pgotter believes.
pub struct Elsewhere {
    library: &'static Path,
    clock: PathBuf,
    address: PathBuf,
    lookups: PathBuf,
}

impl Elsewhere {
    /// The right time, and names that end in `.test` at `address`. None, and said so, where no C compiler is found.
    pub fn new(what: &str, address: &str) -> Option<Self> {
        static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
        let Some(library) = LIBRARY.get_or_init(compiled) else {
            could_not_run(what, "cc, the C compiler, does not work");
            return None;
        };
        let folder = must(state().new_folder("elsewhere"));
        let file = |name| folder.join(name);
        let place = Self { library, clock: file("clock"), address: file("address"), lookups: file("lookups") };
        place.move_clock(0);
        place.move_hosts(address);
        Some(place)
    }

    /// For the environment of a pgotter.
    pub fn environment(&self) -> [(&str, &str); 4] {
        [
            ("LD_PRELOAD", self.library),
            ("ELSEWHERE_CLOCK", &self.clock),
            ("ELSEWHERE_ADDRESS", &self.address),
            ("ELSEWHERE_LOOKUPS", &self.lookups),
        ]
        .map(|(name, path)| (name, path.to_str().expect("a path of ours")))
    }

    /// The time of day is so many seconds later than it is.
    pub fn move_clock(&self, seconds: i64) {
        write(&self.clock, &seconds.to_string());
    }

    /// Names that end in `.test` have this address; none if it is empty, one after the other of several with spaces between,
    /// and with `?` nobody who asks for them gets an answer.
    pub fn move_hosts(&self, address: &str) {
        write(&self.address, address);
    }

    /// How often such a name has been asked for.
    pub fn lookups(&self) -> u64 {
        std::fs::metadata(&self.lookups).map_or(0, |file| file.len())
    }
}

/// At once, so that nobody reads half of it.
fn write(path: &Path, text: &str) {
    let fresh = path.with_extension("fresh");
    must(state().write(&fresh, text));
    must(std::fs::rename(fresh, path));
}

fn compiled() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/elsewhere.c");
    let library = must(state().new_folder("elsewhere")).join("elsewhere.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    compiler.status().is_ok_and(|status| status.success()).then_some(library)
}
