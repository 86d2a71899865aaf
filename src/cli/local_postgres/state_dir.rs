//! The one folder in which a process keeps its clusters, PgOtters, logs and generated files, and the promise that
//! nothing of it outlives the process.
//!
//! * Every process that is started for it has its working directory inside. That mark cannot go stale, as a pid in a
//!   file can.
//! * A *keeper* (`clear.sh`) waits at the end of a pipe. When the last [`StateDir`] is dropped, or the owner ends in
//!   any other way, SIGKILL and a panic included, the pipe closes, and the keeper ends what lives inside and removes it.
//! * The owner holds a lock on the folder. If owner and keeper were both killed, the next process that wants a
//!   `StateDir` finds a folder that nobody locks, where it makes its own, in /dev/shm or in /tmp, and clears it.

use super::{Error, Programs, RunAs, SUPERUSER, SUPERUSER_PASSWORD};
use parking_lot::Mutex;
use rustix::process::Pid;
use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

/// What the folders' names begin with, in the folder for temporary files.
pub const PREFIX: &str = "pgotter-local-";
const CLEAR: &str = include_str!("clear.sh");

/// See the module. One per process at a time: [`StateDir::shared`].
pub struct StateDir {
    /// PostgreSQL's.
    pub programs: Programs,
    /// Whose the folder is.
    pub run_as: RunAs,
    path: PathBuf,
    keeper: Child,
    folders: AtomicU32,
    template: Mutex<Option<PathBuf>>,
    _lock: File,
}

impl StateDir {
    /// This process's folder, made if there is none at the moment. Before that, what killed processes left is cleared.
    ///
    /// # Errors
    /// No PostgreSQL, nobody to run it as, or no place to write.
    pub fn shared() -> Result<Arc<Self>, Error> {
        // Not state that behaviour depends on: it only saves the second caller an initdb.
        static SHARED: Mutex<Weak<StateDir>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock();
        if let Some(state) = shared.upgrade() {
            return Ok(state);
        }
        let state = Arc::new(Self::create()?);
        *shared = Arc::downgrade(&state);
        Ok(state)
    }

    fn create() -> Result<Self, Error> {
        let programs = Programs::find()?;
        let run_as = RunAs::detect()?;
        let parent = parent_folder();
        // Whoever was killed may have been told another folder than we are.
        for folder in [parent.as_path(), Path::new("/dev/shm"), Path::new("/tmp")] {
            clear_abandoned(folder, run_as.uid());
        }
        let mut number = 0_u32;
        loop {
            let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
            match claim(&path, run_as) {
                Ok(lock) => {
                    let keeper = clear(&path, Stdio::piped()).map_err(Error::io("start sh"))?;
                    let (folders, template) = (AtomicU32::new(0), Mutex::new(None));
                    return Ok(Self { programs, run_as, path, keeper, folders, template, _lock: lock });
                }
                // Somebody's, or being cleared: the next name.
                Err(error) if number < 100 && error.kind() != io::ErrorKind::PermissionDenied => number += 1,
                Err(error) => return Err(Error::io(format!("create {}", path.display()))(error)),
            }
        }
    }

    /// Absolute, free of links, at most 70 bytes (a unix socket's path may have 107).
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The process that will clear the folder. For the test that kills it.
    pub fn keeper_id(&self) -> u32 {
        self.keeper.id()
    }

    /// An empty folder that the servers' user owns; `name` begins its name.
    ///
    /// # Errors
    /// The system's.
    pub fn new_folder(&self, name: &str) -> Result<PathBuf, Error> {
        let number = self.folders.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(format!("{name}-{number}"));
        let made = DirBuilder::new().mode(0o700).create(&path).and_then(|()| self.run_as.give(&path));
        made.map_err(Error::io(format!("create {}", path.display())))?;
        Ok(path)
    }

    /// A data directory fresh from initdb, to be copied: a tenth of initdb's time.
    pub(super) fn template(&self) -> Result<PathBuf, Error> {
        let mut template = self.template.lock();
        if let Some(path) = &*template {
            return Ok(path.clone());
        }
        let (path, password) = (self.path.join("template"), self.path.join("password"));
        self.write(&password, SUPERUSER_PASSWORD)?;
        let mut initdb = Command::new(self.programs.bin.join("initdb"));
        initdb.args(["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=trust", "-U", SUPERUSER]);
        self.output(initdb.arg("--pwfile").arg(&password).arg("-D").arg(&path))?;
        spare_zeros(&path.join("pg_wal")).map_err(Error::io(format!("shorten the WAL of {}", path.display())))?;
        *template = Some(path.clone());
        Ok(path)
    }

    /// Writes a file as the servers' user's own.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, path: &Path, text: &str) -> Result<(), Error> {
        let written = fs::write(path, text).and_then(|()| self.run_as.give(path));
        written.map_err(Error::io(format!("write {}", path.display())))
    }

    /// As [`Self::write`], at the end of what is there.
    pub(super) fn append(&self, path: &Path, text: &str) -> Result<(), Error> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes())).and_then(|()| self.run_as.give(path));
        written.map_err(Error::io(format!("write {}", path.display())))
    }

    /// Where the servers' user can run `program`: as root, a copy, since nothing says that user may enter the folder
    /// (often /root) in which it was built.
    ///
    /// # Errors
    /// The system's.
    pub fn runnable(&self, program: &Path) -> Result<PathBuf, Error> {
        let RunAs::User { .. } = self.run_as else { return Ok(program.to_path_buf()) };
        let name = program.file_name().unwrap_or_default();
        let copy = self.path.join(name);
        if copy.exists() {
            return Ok(copy);
        }
        // Under another name first: a program that is being written cannot be started.
        let partial = self.new_folder("copy")?.join(name);
        // By a process of its own: a child that another thread starts meanwhile would inherit our open file, and hold it
        // for a moment longer ("Text file busy").
        let copied = Command::new("cp").arg(program).arg(&partial).output();
        let copied = copied
            .and_then(|_| fs::set_permissions(&partial, fs::Permissions::from_mode(0o755)))
            .and_then(|()| fs::rename(&partial, &copy));
        copied.map_err(Error::io(format!("copy {}", program.display())))?;
        Ok(copy)
    }

    /// Makes `command` one that lives here: the right user, the folder as working directory (which is what marks it as
    /// ours), no terminal, no PostgreSQL settings from the caller's environment.
    pub fn adopt<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        self.run_as.apply(command);
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.current_dir(&self.path).env("HOME", &self.path).env("LC_ALL", "C.UTF-8").stdin(Stdio::null())
    }

    /// Runs an adopted `command` to its end and returns its standard output.
    ///
    /// # Errors
    /// [`Error::Failed`] with all it printed.
    pub fn output(&self, command: &mut Command) -> Result<String, Error> {
        let line = describe(command);
        let output = self.adopt(command).output().map_err(Error::io(format!("run {line}")))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        Err(Error::Failed { command: line, output: stdout + &String::from_utf8_lossy(&output.stderr) })
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// The zeros at the end of WAL that has hardly begun become a hole, which copies have too: 15 of a data directory's 39 MB.
fn spare_zeros(wal: &Path) -> io::Result<()> {
    const PAGE: usize = 8192;
    for entry in fs::read_dir(wal)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let bytes = fs::read(entry.path())?;
            let begun = bytes.chunks(PAGE).rposition(|page| page != [0; PAGE]).map_or(0, |last| (last + 1) * PAGE);
            let segment = OpenOptions::new().write(true).open(entry.path())?;
            let size = segment.metadata()?.len();
            segment.set_len(u64::try_from(begun).unwrap_or(size))?;
            segment.set_len(size)?;
        }
    }
    Ok(())
}

/// The processes whose working directory is `folder` or inside it.
pub(super) fn processes_inside(folder: &Path) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pid = |entry: fs::DirEntry| {
        let inside = fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        entry.file_name().to_str().filter(|_| inside)?.parse().ok().and_then(Pid::from_raw)
    };
    entries.filter_map(pid).collect()
}

/// The system's folder for temporary files, or /tmp where that leaves no room for a unix socket's name.
fn parent_folder() -> PathBuf {
    let folder = fs::canonicalize(env::temp_dir()).ok().filter(|folder| folder.as_os_str().len() <= 40);
    folder.unwrap_or_else(|| PathBuf::from("/tmp"))
}

fn claim(path: &Path, run_as: RunAs) -> io::Result<File> {
    DirBuilder::new().mode(0o700).create(path)?;
    run_as.give(path)?;
    let lock = File::open(path)?;
    lock.try_lock()?;
    Ok(lock)
}

/// Clears the folders that `owner` made and nobody holds any more.
fn clear_abandoned(parent: &Path, owner: u32) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            // Does not follow links: a link with this name in a folder anybody can write to is a trap.
            && entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == owner);
        let Some(folder) = ours.then(|| File::open(entry.path()).ok()).flatten() else { continue };
        // Held until it is cleared: whoever has made it at this moment takes another name.
        if folder.try_lock().is_ok() {
            let _ = clear(&entry.path(), Stdio::null()).and_then(|mut clearing| clearing.wait());
        }
    }
}

fn clear(path: &Path, stdin: Stdio) -> io::Result<Child> {
    let mut sh = Command::new("sh");
    sh.args(["-c", CLEAR, "pgotter-keeper"]).arg(path).current_dir("/").process_group(0);
    sh.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

/// For error messages: the program's name and its arguments.
fn describe(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default();
    std::iter::once(name).chain(command.get_args()).map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
