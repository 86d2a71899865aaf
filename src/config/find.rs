//! Which file is the configuration. Looks, but does not read.

use std::fmt;
use std::path::{Path, PathBuf};

const SYSTEM_WIDE: &str = "/etc/pgotter/pooler.toml";

/// Why there is no one configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindError {
    /// Two that exclude each other.
    Both(PathBuf, PathBuf),
    /// None at any of these places.
    Nowhere(Vec<PathBuf>),
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Both(one, other) => write!(
                f,
                "two configuration files: {} and {}; remove one, or name the one you mean with -c FILE",
                one.display(),
                other.display()
            ),
            Self::Nowhere(places) => {
                let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
                write!(f, "no configuration file; looked for {}; name one with -c FILE", places.join(", "))
            }
        }
    }
}

impl std::error::Error for FindError {}

/// The file given with `-c` (whether it exists or not), else `pooler.toml` or `pool.toml` in `dir`, else
/// `/etc/pgotter/pooler.toml`.
///
/// # Errors
/// Both files in `dir`, or none anywhere.
pub fn find(given: Option<&Path>, dir: &Path) -> Result<PathBuf, FindError> {
    find_or(given, dir, Path::new(SYSTEM_WIDE))
}

/// As [`find`], with the last resort as an argument.
pub(super) fn find_or(given: Option<&Path>, dir: &Path, system_wide: &Path) -> Result<PathBuf, FindError> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let (long, short) = (dir.join("pooler.toml"), dir.join("pool.toml"));
    match (long.exists(), short.exists()) {
        (true, true) => Err(FindError::Both(long, short)),
        (true, false) => Ok(long),
        (false, true) => Ok(short),
        (false, false) if system_wide.exists() => Ok(system_wide.to_owned()),
        (false, false) => Err(FindError::Nowhere(vec![long, short, system_wide.to_owned()])),
    }
}
