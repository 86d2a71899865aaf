//! Writing files completely or not at all, and never over somebody's work unasked.

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// One file to be.
pub struct Draft<'a> {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub text: &'a str,
    /// Permissions, such as 0o600; the umask does not apply to what it lacks.
    pub mode: u32,
}

/// Writes all of `drafts`, in their order: each beside its place first, then all of them moved there. What exists is
/// replaced only with `force`.
///
/// # Errors
/// The system's, with verb and object. Nothing half-written is left; files moved before the one that failed stay.
pub fn write(drafts: &[Draft<'_>], force: bool) -> io::Result<()> {
    let mut ready = Vec::new();
    for draft in drafts {
        let temporary = Temporary(beside(&draft.path));
        fill(&temporary.0, draft).map_err(named("write", &draft.path))?;
        ready.push((temporary, &draft.path));
    }
    for (temporary, path) in &ready {
        move_to(&temporary.0, path, force).map_err(named("create", path))?;
    }
    Ok(())
}

/// Removed when dropped; after the move there is nothing left to remove.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// In the same folder, since a rename does not cross file systems.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

/// The mode holds from the first byte on.
fn fill(temporary: &Path, draft: &Draft<'_>) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(draft.mode).open(temporary)?;
    file.write_all(draft.text.as_bytes())?;
    file.sync_all()
}

fn move_to(temporary: &Path, path: &Path, force: bool) -> io::Result<()> {
    if force {
        return fs::rename(temporary, path);
    }
    match renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
        // A file system that does not know the flag (NFS). That nothing was there has just been looked at.
        Err(Errno::INVAL | Errno::NOSYS) if fs::symlink_metadata(path).is_err() => fs::rename(temporary, path),
        Err(Errno::INVAL | Errno::NOSYS) => Err(Errno::EXIST.into()),
        other => other.map_err(io::Error::from),
    }
}

fn named(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("could not {verb} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
