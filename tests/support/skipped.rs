//! Says that a test could not run on this machine, so that it is never mistaken for one that passed.
//!
//! Knows nothing of why; the test does. `make test` prints what was collected as its closing line (`.ci/could-not-run`).

use std::io::Write;

/// Reports that `what` could not run here, and `why`, in a few words each; the caller then returns from its test.
///
/// Under `make test` the line goes to the file named by `PGOTTER_SKIPPED`: the other tests run on, and the closing
/// line, which counts as a failure when `CI=true`, names it.
///
/// # Panics
/// Outside `make test` when `CI=true`: with nobody to print a closing line, the test itself must fail.
#[allow(dead_code, reason = "each test binary compiles its own copy of this file, and few need all of it")]
pub fn could_not_run(what: &str, why: &str) {
    let line = format!("{what} ({why})").replace('\n', " ");
    eprintln!("could not run: {line}");
    match std::env::var_os("PGOTTER_SKIPPED") {
        Some(file) => append(&file, &line),
        None => assert!(std::env::var("CI").as_deref() != Ok("true"), "could not run: {line}"),
    }
}

/// As [`could_not_run`], for what only root may do here: the half of CI that is an ordinary user's goes without it, since
/// root's runs it.
#[allow(dead_code, reason = "as above")]
pub fn needs_root(what: &str) {
    let others_run_it = std::env::var("PGOTTER_ROOT_RUNS_TOO").as_deref() == Ok("1");
    match others_run_it {
        true => eprintln!("left to root: {what}"),
        false => could_not_run(what, "only root may do that here"),
    }
}

/// One write of one short line: tests of several processes may append at the same time.
fn append(file: &std::ffi::OsStr, line: &str) {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
        .expect("PGOTTER_SKIPPED names a file that can be written");
}
