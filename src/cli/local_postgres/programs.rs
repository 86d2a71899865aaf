//! Finds PostgreSQL's programs: `PGBIN`, then /usr/lib/postgresql/*/bin (newest first), then `PATH`.

use super::Error;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Debian keeps one folder per major version here and puts none of the servers' programs on `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// The folder with initdb, pg_ctl and postgres, all of one version.
    pub bin: PathBuf,
    /// Where the clients' programs may be as well, in this order.
    folders: Vec<PathBuf>,
}

impl Programs {
    /// Looks around on this machine.
    ///
    /// # Errors
    /// [`Error::NotFound`] with every folder that was tried.
    pub fn find() -> Result<Self, Error> {
        let path = env::var_os("PATH").unwrap_or_default();
        // make hands on a variable that nobody set as an empty one.
        let pgbin = env::var_os("PGBIN").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        Self::find_in(pgbin, Path::new(DEBIAN), env::split_paths(&path))
    }

    fn find_in(pgbin: Option<PathBuf>, debian: &Path, path: impl Iterator<Item = PathBuf>) -> Result<Self, Error> {
        // A PGBIN that is wrong must be said, not passed over for another version.
        let mut folders: Vec<PathBuf> = pgbin.iter().cloned().collect();
        let servers = if pgbin.is_some() { 1 } else { usize::MAX };
        folders.extend(newest_first(debian));
        folders.extend(path);
        let complete =
            |folder: &&PathBuf| ["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).is_file());
        match folders.iter().take(servers).find(complete).cloned() {
            // Links such as /usr/local/bin/initdb lead to the folder where the rest is.
            Some(bin) => Ok(Self { bin: real_folder(&bin), folders }),
            None => {
                folders.truncate(servers);
                Err(Error::NotFound { program: "initdb, pg_ctl and postgres".to_owned(), looked_in: folders })
            }
        }
    }

    /// A program that must be of the server's version, if it came with it.
    pub fn server_program(&self, name: &str) -> Option<PathBuf> {
        Some(self.bin.join(name)).filter(|file| file.is_file())
    }

    /// psql, pgbench, pg_dump …: the server's own, or any other.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn client_program(&self, name: &str) -> Result<PathBuf, Error> {
        let found =
            std::iter::once(&self.bin).chain(&self.folders).map(|folder| folder.join(name)).find(|file| file.is_file());
        found.ok_or_else(|| Error::NotFound { program: name.to_owned(), looked_in: self.folders.clone() })
    }
}

fn newest_first(debian: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(debian).into_iter().flatten().flatten();
    let mut versions: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.iter().map(|version| debian.join(version.to_string()).join("bin")).collect()
}

fn real_folder(bin: &Path) -> PathBuf {
    let real = fs::canonicalize(bin.join("initdb")).ok();
    real.as_deref().and_then(Path::parent).unwrap_or(bin).to_path_buf()
}

#[cfg(test)]
mod tests;
