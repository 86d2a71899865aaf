//! On a real file system.

use super::*;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

fn draft<'a>(folder: &TempDir, name: &str, text: &'a str, mode: u32) -> Draft<'a> {
    Draft { path: folder.path().join(name), text, mode }
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn files_have_their_mode_and_nothing_else_is_left() {
    let folder = TempDir::new().unwrap();
    write(&[draft(&folder, "secret", "s", 0o600), draft(&folder, "open", "o", 0o644)], false).unwrap();
    assert_eq!(names(&folder), ["open", "secret"]);
    let mode = fs::metadata(folder.path().join("secret")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_to_string(folder.path().join("open")).unwrap(), "o");
}

#[test]
fn what_exists_stays_unless_forced() {
    let folder = TempDir::new().unwrap();
    write(&[draft(&folder, "a", "old", 0o644)], false).unwrap();
    let error = write(&[draft(&folder, "a", "new", 0o600)], false).unwrap_err();
    assert!(error.to_string().contains("could not create"), "{error}");
    assert_eq!(names(&folder), ["a"]);
    assert_eq!(fs::read_to_string(folder.path().join("a")).unwrap(), "old");

    write(&[draft(&folder, "a", "new", 0o600)], true).unwrap();
    let path = folder.path().join("a");
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "also where it was wider");
}

#[test]
fn a_file_that_cannot_be_written_leaves_no_other_behind() {
    let folder = TempDir::new().unwrap();
    let error = write(&[draft(&folder, "a", "a", 0o600), draft(&folder, "no/b", "b", 0o600)], false).unwrap_err();
    assert!(error.to_string().contains("could not write"), "{error}");
    assert_eq!(names(&folder), Vec::<String>::new());
}
