//! PostgreSQL's own regression files, with its own parser for an oracle: no write is called a read, and hardly a read a write; and through
//! PgOtter with a replica (`regression/split.rs`). Run by `make test-regression`, which fetches all that is needed (see
//! `tests/regression/fetch`).

mod support;

#[path = "regression/split.rs"]
mod split;

use pgotter::cli::local_postgres::{LocalPostgres, SUPERUSER, SUPERUSER_PASSWORD};
use pgotter::sql::{Bounds, Effects, Functions, Names, Reading, Verdict, builtin_effects, read};
use std::fmt::Write;
use std::path::Path;
use support::{must, shared_postgres};
use tokio_postgres::NoTls;

/// The functions and operators of the database in which the files have run. Relations are all known: the files drop them.
struct Regression(Names);

impl Functions for Regression {
    fn function(&self, name: &[u8]) -> Option<Effects> {
        self.0.function(name)
    }

    fn relation(&self, name: &[u8]) -> Effects {
        Effects { relation: true, ..self.0.relation(name) }
    }
}

impl Regression {
    fn read(server: &LocalPostgres, database: &str) -> Self {
        let mut names = Names::new();
        let rows = must(server.psql(
            database,
            "select proname, bool_or(provolatile = 'v') from pg_proc where oid >= 16384 group by 1 \
             union all select oprname, bool_or(p.provolatile = 'v') from pg_operator o join pg_proc p on p.oid = o.oprcode \
                 where o.oid >= 16384 and (greatest(o.oprleft, o.oprright) < 16384 \
                     or not exists (select from pg_operator b where b.oid < 16384 and b.oprname = o.oprname)) group by 1",
        ));
        for (name, volatile) in rows.lines().filter_map(|row| row.split_once('|')) {
            names.add_function(name.as_bytes(), if volatile == "t" { Bounds::WRITES } else { Bounds::NOTHING });
        }
        Self(names)
    }

    /// Every function is known, and known as harmless.
    fn knows(&self, functions: &str) -> bool {
        let harmless = |name: &str| {
            let (name, is_column) = name.strip_prefix('.').map_or((name, false), |name| (name, true));
            let [own, known] = [self.function(name.as_bytes()), builtin_effects(name.as_bytes())];
            (is_column || own.is_some() || known.is_some()) && own.into_iter().chain(known).all(Effects::is_harmless)
        };
        functions.split(',').filter(|name| !name.is_empty()).all(harmless)
    }
}

fn in_clear(text: &str) -> String {
    const BACKSLASH: &str = "\u{1}";
    text.replace(r"\\", BACKSLASH).replace(r"\n", "\n").replace(r"\t", "\t").replace(BACKSLASH, r"\")
}

/// Runs what creates something. Much of it fails, for want of what the other statements would have done; the rest is enough.
fn define(server: &LocalPostgres, statements: &str) {
    let runtime = must(tokio::runtime::Builder::new_current_thread().enable_all().build());
    let port = server.port();
    let login = format!("host=127.0.0.1 port={port} user={SUPERUSER} password={SUPERUSER_PASSWORD} dbname=regression");
    runtime.block_on(async {
        let (client, connection) = must(tokio_postgres::connect(&login, NoTls).await);
        let connection = tokio::spawn(connection);
        must(client.simple_query("set statement_timeout = '5s'; set check_function_bodies = off").await);
        for text in statements.lines().filter_map(|line| line.splitn(3, '\t').nth(2)).map(in_clear) {
            let mut words = text.split_whitespace().map(str::to_ascii_lowercase);
            let created = words.next().filter(|word| word == "create").and_then(|_| words.next());
            if created.is_some_and(|what| !matches!(&*what, "database" | "tablespace" | "subscription" | "event")) {
                let _ = client.simple_query(&text).await;
            }
        }
        drop(client);
        must(must(connection.await));
    });
}

#[test]
#[ignore = "fetches PostgreSQL's sources: make test-regression"]
fn no_write_of_postgresqls_own_files_is_a_read_and_hardly_a_read_a_write() {
    let folder = must(std::env::var("REGRESSION").map_err(|_| "REGRESSION names the folder with statements"));
    let folder = Path::new(&folder);
    let server: &LocalPostgres = shared_postgres();
    must(server.psql("postgres", "create database regression"));
    let statements = String::from_utf8_lossy(&must(std::fs::read(folder.join("statements")))).into_owned();
    define(server, &statements);
    let known = Regression::read(server, "regression");
    let (mut writes, mut reads, mut provable, mut called) = (0, 0, 0, 0);
    let (mut wrong, mut lost) = (String::new(), String::new());
    for line in statements.lines() {
        let mut fields = line.splitn(3, '\t');
        let (Some(kind), Some(functions), Some(text)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let text = in_clear(text);
        let facts = read(text.as_bytes(), Reading::default(), &known);
        let verdict = facts.confirmed(text.as_bytes(), Reading::default(), &known);
        match kind {
            "write" => {
                writes += 1;
                // A hint may lift what is above.
                if facts.verdict() <= Verdict::Node {
                    must(writeln!(wrong, "{}: {text}", facts.verdict()));
                }
            }
            "read" => {
                reads += 1;
                if known.knows(functions) {
                    provable += 1;
                    if verdict <= Verdict::Node {
                        called += 1;
                    } else {
                        must(writeln!(lost, "{verdict} ({}): {}", facts.verdict(), text.replace('\n', " ")));
                    }
                }
            }
            _ => (),
        }
    }
    println!("{writes} writes, {reads} reads, {provable} provable, {called} of them called reads");
    must(std::fs::write(folder.join("lost"), &lost));
    assert!(writes > 10_000 && provable > 10_000, "the files were not read");
    assert!(wrong.is_empty(), "writes called reads:\n{wrong}");
    assert!(called * 100 >= provable * 99, "see {}", folder.join("lost").display());
}
