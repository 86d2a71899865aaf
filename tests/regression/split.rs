//! PostgreSQL's own regression files through PgOtter, reads on a replica: psql is told of a read-only transaction (25006) as often as
//! directly, which is where a file asks for one. Knows nothing of what else the files answer.

use crate::support::{PgOtter, client, must, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options, SUPERUSER, SUPERUSER_PASSWORD};
use std::path::Path;

/// A replica on the same machine would need the same folder; and what would end the server that it runs on.
const NOT_HERE: [&str; 1] = ["tablespace"];

/// What takes two and a half minutes for both ways, debug build: types, functions on them, and queries of all kinds. `REGRESSION_FILES=all` takes all
/// of the schedule, other names those.
const USUAL: &str = "test_setup boolean char name varchar text int2 int4 int8 oid float4 float8 bit numeric uuid strings date time timetz \
    timestamp timestamptz interval point lseg box path polygon circle inet geometry horology regex comments expressions create_function_c create_misc \
    create_operator create_procedure create_table create_type create_index create_view create_aggregate create_cast constraints triggers select \
    inherit typed_table vacuum drop_if_exists updatable_views select_into select_distinct select_having subselect union case join aggregates \
    transactions random portals arrays btree_index hash_index update delete namespace prepared_xacts limit plpgsql copy2 temp domain rangefuncs \
    prepare conversion truncate alter_table sequence polymorphism rowtypes returning largeobject with xml json jsonb window tsearch guc";

fn files(folder: &Path) -> Vec<String> {
    let asked = std::env::var("REGRESSION_FILES").ok().filter(|files| !files.is_empty());
    let names = match asked.as_deref() {
        Some("all") => {
            let schedule = must(std::fs::read_to_string(folder.join("parallel_schedule")));
            schedule.lines().filter_map(|line| line.strip_prefix("test: ").map(|names| format!("{names} "))).collect()
        }
        Some(names) => names.to_owned(),
        None => USUAL.to_owned(),
    };
    names.split_whitespace().filter(|name| !NOT_HERE.contains(name)).map(str::to_owned).collect()
}

/// How often psql was told 25006 while it ran a file.
fn told(port: u16, database: &str, folder: &Path, file: &str) -> usize {
    let path = folder.join("sql").join(format!("{file}.sql"));
    let settings = ["-X", "-q", "-v", "VERBOSITY=sqlstate", "-d", database];
    let mut psql = client("psql", port, &settings);
    psql.env(
        "PGOPTIONS",
        "-c statement_timeout=20s -c intervalstyle=postgres_verbose -c timezone=PST8PDT -c datestyle=postgres,mdy",
    );
    for (name, value) in [("PG_ABS_SRCDIR", folder), ("PG_ABS_BUILDDIR", folder), ("PG_LIBDIR", folder)] {
        psql.env(name, value);
    }
    let output = must(psql.env("PG_DLSUFFIX", ".so").arg("-f").arg(&path).output());
    let said = String::from_utf8_lossy(&output.stderr);
    // A file may have set another verbosity.
    said.lines().filter(|line| line.contains("ERROR:  25006") || line.contains("in a read-only transaction")).count()
}

fn pgotter(hosts: [&LocalPostgres; 2]) -> PgOtter {
    let hosts = hosts.map(|host| format!("\"127.0.0.1:{}\"", host.port())).join(", ");
    PgOtter::start(|port| {
        format!(
            "[pooler]\nlisten_port = {port}\nauth_type = \"trust\"\nadmin_users = [\"{SUPERUSER}\"]\n\
             [databases.\"*\"]\nhosts = [{hosts}]\n\
             [users.{SUPERUSER}]\npassword = \"{SUPERUSER_PASSWORD}\"\n\
             # Nothing keeps a read from a replica but what it says.\n[routing]\nmode = \"split\"\nread_your_writes = \"off\"\nmax_replica_lag = \"1h\"\n"
        )
    })
}

#[test]
#[ignore = "fetches PostgreSQL's sources: make test-regression"]
fn postgresqls_own_files_hear_of_no_more_read_only_transactions_than_directly() {
    let folder = must(std::env::var("REGRESSION").map_err(|_| "REGRESSION names the folder with the files"));
    let folder = Path::new(&folder);
    let settings = vec!["max_prepared_transactions = 2".to_owned()];
    let mut primary = postgres(&Options { settings, max_connections: 100, ..Options::default() });
    let replica = must(primary.replica());
    must(primary.wait_for_replicas(1));
    for database in ["direct", "pooled"] {
        must(primary.psql("postgres", &format!("CREATE DATABASE {database} TEMPLATE template0")));
    }
    let pooler = pgotter([&primary, &replica]);
    let (mut wrong, mut directly) = (String::new(), 0);
    for file in files(folder) {
        let (theirs, ours) =
            (told(primary.port(), "direct", folder, &file), told(pooler.port(), "pooled", folder, &file));
        directly += theirs;
        if ours != theirs {
            wrong += &format!("{file}: told {ours} times, directly {theirs}\n");
        }
    }
    let routes = client("psql", pooler.port(), &["-X", "-At", "-d", "pgotter", "-c", "SHOW ROUTES"]).output();
    let routes = String::from_utf8_lossy(&must(routes).stdout).into_owned();
    println!("25006: {directly} times directly\n{routes}");
    let on_replica = routes.lines().filter_map(|row| row.strip_prefix("pooled|replica|read|"));
    let on_replica: u64 = on_replica.filter_map(|rest| rest.split('|').next()?.parse::<u64>().ok()).sum();
    assert!(wrong.is_empty(), "{wrong}");
    assert!(on_replica > 300, "{on_replica} reads on the replica: the test would prove nothing");
    assert!(!pooler.log().contains("panicked"));
}
