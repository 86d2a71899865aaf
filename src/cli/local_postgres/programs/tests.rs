//! Finding PostgreSQL's programs.

use super::*;

fn install(folder: &Path, programs: &[&str]) {
    fs::create_dir_all(folder).expect("folder");
    for program in programs {
        fs::write(folder.join(program), "").expect("program");
    }
}

const SERVER: [&str; 3] = ["initdb", "pg_ctl", "postgres"];

#[test]
fn the_newest_version_is_taken_by_number() {
    let root = tempfile::tempdir().expect("tempdir");
    let root = root.path().canonicalize().expect("real path");
    for version in ["9", "15", "18"] {
        install(&root.join(version).join("bin"), &SERVER);
    }
    let programs = Programs::find_in(None, &root, std::iter::empty()).expect("found");
    assert_eq!(programs.bin, root.join("18/bin"));
}

#[test]
fn a_folder_without_postgres_is_passed_over() {
    let root = tempfile::tempdir().expect("tempdir");
    let root = root.path().canonicalize().expect("real path");
    install(&root.join("18/bin"), &["initdb"]);
    install(&root.join("path"), &SERVER);
    let programs = Programs::find_in(None, &root, [root.join("path")].into_iter()).expect("found");
    assert_eq!(programs.bin, root.join("path"));
}

#[test]
fn a_wrong_pgbin_is_an_error_and_not_another_version() {
    let root = tempfile::tempdir().expect("tempdir");
    install(&root.path().join("18/bin"), &SERVER);
    let wrong = root.path().join("nothing");
    let error = Programs::find_in(Some(wrong.clone()), root.path(), std::iter::empty()).expect_err("refused");
    assert!(matches!(error, Error::NotFound { looked_in, .. } if looked_in == [wrong]));
}

#[test]
fn psql_may_come_from_elsewhere() {
    let root = tempfile::tempdir().expect("tempdir");
    install(&root.path().join("mine"), &SERVER);
    install(&root.path().join("path"), &["psql"]);
    let path = [root.path().join("path")].into_iter();
    let programs = Programs::find_in(Some(root.path().join("mine")), Path::new("/nonexistent"), path).expect("found");
    assert_eq!(programs.client_program("psql").expect("psql"), root.path().join("path/psql"));
    assert!(programs.client_program("pgbench").is_err());
}
