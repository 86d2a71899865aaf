//! What a configuration may refer to outside its own text: files and the environment, as functions that the caller
//! hands in.

use super::section::{Value, Wrong};
use super::values;
use crate::secret::Secret;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What lies outside the text.
pub(super) struct Outside<'a> {
    /// The configuration's folder.
    pub(super) dir: &'a Path,
    /// The content of a file.
    pub(super) read: &'a dyn Fn(&Path) -> io::Result<String>,
    /// The value of a variable.
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    /// Of this machine.
    pub(super) cores: usize,
}

impl Outside<'_> {
    /// A path as written, relative to the configuration's folder.
    pub(super) fn path(&self, value: &Value<'_>) -> Result<PathBuf, Wrong> {
        values::name(value).map(|path| self.dir.join(path))
    }

    /// A password: a text, `{ file = "path" }` (less its last newline) or `{ env = "NAME" }`.
    pub(super) fn password(&self, value: &Value<'_>) -> Result<Secret<String>, Wrong> {
        let expected = "a text, { file = \"path\" } or { env = \"NAME\" }";
        let table = value.get_ref().as_table();
        let only = |key: &str| table.filter(|table| table.len() == 1).and_then(|table| table.get(key));
        let password = if let Some(path) = only("file") {
            let path = self.path(path)?;
            let content = (self.read)(&path)
                .map(Zeroizing::new)
                .map_err(|error| Wrong::new("readable", format!("cannot read {}: {error}", path.display())))?;
            let line = content.strip_suffix('\n').unwrap_or(&content);
            line.strip_suffix('\r').unwrap_or(line).to_owned()
        } else if let Some(variable) = only("env") {
            let variable = values::name(variable)?;
            (self.env)(&variable)
                .ok_or_else(|| Wrong::new("set", format!("the environment has no variable {variable}")))?
        } else if value.get_ref().is_str() {
            values::text(value)?
        } else {
            return Err(Wrong::new(expected, "neither of these"));
        };
        match password.as_str() {
            "" => Err(Wrong::new(expected, "empty").with_help("leave the key out where no password is needed")),
            text if text.contains('\0') => Err(Wrong::new(expected, "has a zero byte")),
            _ => Ok(Secret::new(password)),
        }
    }
}
