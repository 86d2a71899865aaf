//! The programs that come with PostgreSQL work as if PgOtter were PostgreSQL.

use crate::support::{PgOtter, client, client_output, must, postgres, psql, run_client};
use pgotter::cli::local_postgres::Options;
use std::process::Stdio;

#[test]
fn psql_works() {
    let server = postgres(&Options::default());
    let pgotter = PgOtter::in_front_of(&server, "");
    psql(pgotter.port(), "CREATE TABLE seen (n int, t text)");
    let script = "\\set ON_ERROR_STOP 1\nBEGIN;\nINSERT INTO seen SELECT n, 'x' || n FROM generate_series(1, 1000) n;\nCOMMIT;\n\
                  \\copy (SELECT * FROM seen) TO STDOUT\nSELECT count(*) FROM seen \\gset\n\\echo :count\n\\d seen\n";
    let outputs = [server.port(), pgotter.port()].map(|port| {
        psql(server.port(), "TRUNCATE seen");
        let mut psql = client("psql", port, &["-X", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let psql_running = psql.as_mut().expect("psql");
        std::io::Write::write_all(&mut psql_running.stdin.take().expect("piped"), script.as_bytes()).expect("write");
        let output = must(psql.expect("psql").wait_with_output());
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    assert_eq!(outputs[1], outputs[0]);
    let failed = run_client("psql", pgotter.port(), &["-X", "-c", "SELECT 1/0"]);
    assert!(String::from_utf8_lossy(&failed.stderr).contains("division by zero"));
}

#[test]
fn pgbench_fails_no_transaction() {
    let server = postgres(&Options::default());
    let pgotter = PgOtter::in_front_of(&server, "default_pool_size = 3");
    client_output("pgbench", pgotter.port(), &["-i", "-q", "-s", "1"]);
    for mode in ["simple", "extended"] {
        for kind in ["-N", "-S"] {
            let report = client_output("pgbench", pgotter.port(), &["-n", "-M", mode, kind, "-c", "8", "-t", "50"]);
            assert!(report.contains("actually processed: 400/400"), "{mode} {kind}: {report}");
            assert!(report.contains("failed transactions: 0 "), "{mode} {kind}: {report}");
        }
    }
}

#[test]
fn a_dump_and_restore_in_session_mode_brings_everything_over() {
    let server = postgres(&Options::default());
    let pgotter = PgOtter::in_front_of(&server, "pool_mode = \"session\"");
    must(server.psql("postgres", "CREATE DATABASE shop"));
    must(server.psql("postgres", "CREATE DATABASE restored"));
    let tables = "CREATE TABLE item (id serial PRIMARY KEY, name text NOT NULL, raw bytea, at timestamptz DEFAULT now());\
        INSERT INTO item (name, raw) SELECT E'tab\\t\\\\n ' || n, decode(md5(n::text), 'hex') FROM generate_series(1, 5000) n;\
        INSERT INTO item (name) SELECT repeat('long', 100000);\
        CREATE VIEW named AS SELECT name FROM item; CREATE INDEX ON item (name text_pattern_ops) WHERE id < 10;\
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT lo_from_bytea(4711, '\\xdeadbeef')";
    must(server.psql("shop", tables));
    let mut dump = must(client("pg_dump", pgotter.port(), &["-Fc", "shop"]).stdout(Stdio::piped()).spawn());
    let mut restore = client("pg_restore", pgotter.port(), &["-d", "restored", "--exit-on-error"]);
    let restored = must(restore.stdin(dump.stdout.take().expect("piped")).output());
    assert!(must(dump.wait()).success());
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let plain = |database: &str| {
        let dump = client_output("pg_dump", server.port(), &[database]);
        // Newer releases put a random word into these.
        let kept = dump.lines().filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
        kept.collect::<Vec<_>>().join("\n")
    };
    let (before, after) = (plain("shop"), plain("restored"));
    assert!(before.len() > 400_000);
    assert!(before == after, "the restored database differs");
}
