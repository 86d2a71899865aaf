//! The statements of five applications, each of which says where it must run: seen in the servers' own logs, in every form that the
//! protocol has.

#[path = "../workload/parts.rs"]
#[allow(dead_code, reason = "shared with the tests of the examples, which use more of it")]
mod parts;

use crate::forgetful::forgetful;
use crate::support::must;
use crate::support::raw::*;
use crate::world::*;
use parts::{Part, WORKLOAD, parts};
use pgotter::cli::local_postgres::{LocalPostgres, SUPERUSER};

/// How a statement is said.
#[derive(Clone, Copy, Debug)]
enum Form {
    Simple,
    Extended,
    Prepared,
}

impl Form {
    /// Says it, and gives what came back. `mark` stands in front of the text, and so in the log of who runs it.
    fn say(self, client: &mut Raw, mark: &str, text: &str) -> Vec<Frame> {
        self.said(client, mark, &format!("/* {mark} */ {text}"))
    }

    /// As it is.
    fn said(self, client: &mut Raw, mark: &str, text: &str) -> Vec<Frame> {
        match self {
            Self::Simple => client.ask(text),
            Self::Extended => {
                client.send(&[parse("", text), bind("", "", &[]), describe(b'P', ""), execute("", 0), sync()].concat());
                client.until_ready()
            }
            Self::Prepared => {
                client.send(&[parse(mark, text), sync()].concat());
                let frames = client.until_ready();
                if error_code(&frames).is_some() {
                    return frames;
                }
                client.send(&[bind("", mark, &[]), execute("", 0), close(b'S', mark), sync()].concat());
                client.until_ready()
            }
        }
    }
}

fn rows(frames: &[Frame]) -> Vec<Vec<Option<String>>> {
    let mut rows: Vec<_> = frames.iter().filter(|frame| frame.kind == b'D').map(row_values).collect();
    rows.sort();
    rows
}

/// Who says statements in one form, each form in a database of its own.
struct Speaker {
    form: Form,
    /// Whoever prepares or sets something goes on with it.
    writer: Raw,
    reader: Raw,
    direct: Raw,
}

impl Speaker {
    fn new(world: &World, form: Form, database: &str) -> Self {
        let who = [("user", SUPERUSER), ("database", database)];
        let log_in = |port| {
            let mut client = Raw::connect(port);
            client.send(&startup(3, 0, &who));
            client.welcomed();
            client
        };
        let port = world.pgotter.port();
        Self { form, writer: log_in(port), reader: log_in(port), direct: log_in(world.primary.port()) }
    }

    fn client(&mut self, reads: bool) -> &mut Raw {
        if reads { &mut self.reader } else { &mut self.writer }
    }

    /// Whether what was changed before is replayed, and known.
    fn reads_on_replicas(&mut self) -> bool {
        self.reader.value(&format!("{WHERE} FROM flow.workspaces LIMIT 1")) != PRIMARY
    }

    /// Says all of a part; gives what is wrong with the answers, and how its texts begin in the servers' logs.
    fn say(&mut self, part: &Part, reads: bool) -> (String, Vec<String>) {
        let (mut wrong, mut marks) = (String::new(), Vec::new());
        for (at, text) in part.statements.iter().enumerate() {
            let mark = format!("w_{}_{at}_{:?}", part.id, self.form);
            if ["BEGIN", "COMMIT", "ROLLBACK"].iter().any(|word| text.starts_with(word)) {
                // Plain, it need not go to a server.
                wrong += &error_code(&self.form.said(self.client(reads), &mark, text)).unwrap_or_default();
                continue;
            }
            let frames = self.form.say(self.client(reads), &mark, text);
            let code = error_code(&frames);
            if code.as_deref() == Some("25006") {
                wrong += &format!("{mark} {text}\n    25006\n");
            }
            let differs = ["now()", "clock_timestamp", "EXPLAIN", "random"].iter().any(|word| text.contains(word));
            if reads && part.statements.len() == 1 && !differs {
                let theirs = self.form.say(&mut self.direct, &format!("direct_{mark}"), text);
                if error_code(&theirs) != code || rows(&theirs) != rows(&frames) {
                    wrong += &format!("{mark} {text}\n    other rows than directly: {}\n", print(&frames));
                }
            }
            marks.push(format!("/* {mark} */"));
        }
        (wrong, marks)
    }
}

/// One for each form, in a database with the schema and the rows of the file.
fn speakers(world: &World) -> [Speaker; 3] {
    let setup = WORKLOAD.split("\n-- @stmt ").next().unwrap_or_default();
    let file = world.primary.state().path().join("workload.sql");
    must(world.primary.state().write(&file, setup));
    [(Form::Simple, "w1"), (Form::Extended, "w2"), (Form::Prepared, "w3")].map(|(form, database)| {
        world.on_primary(&format!("CREATE DATABASE {database}"));
        must(world.primary.psql_file(database, &file));
        world.until_replayed();
        Speaker::new(world, form, database)
    })
}

/// Each has its database's catalog read again behind a definition.
fn until_reads_run_on_replicas(speakers: &mut [Speaker; 3]) {
    eventually("reads run on replicas", || {
        let ready = speakers.each_mut().map(Speaker::reads_on_replicas);
        ready.iter().all(|ready| *ready)
    });
}

#[test]
#[ignore = "make test-routing: it waits for the catalog behind each definition"]
fn every_statement_of_the_workload_runs_where_it_says_in_every_form() {
    let world = World::new("read_your_writes = \"session\"");
    let mut speakers = speakers(&world);
    let (mut wrong, mut eligible, mut written) = (String::new(), 0, false);
    for part in parts() {
        let reads = part.target == "replica" && !part.statements.iter().any(|text| text.starts_with("EXECUTE"));
        if reads {
            // By others than those who read.
            if std::mem::take(&mut written) {
                world.until_replayed();
            }
            until_reads_run_on_replicas(&mut speakers);
        }
        written |= !reads;
        for speaker in &mut speakers {
            let (answers, marks) = speaker.say(&part, reads);
            wrong += &answers;
            let ran_on = |server: &LocalPostgres| marks.iter().any(|mark| server.log().contains(mark));
            let on_replica = world.replicas.iter().any(ran_on);
            let form = speaker.form;
            match part.target {
                "primary" | "node" if on_replica => wrong += &format!("{} {form:?} ran on a replica\n", part.id),
                "replica" if reads => {
                    eligible += 1;
                    if !on_replica {
                        wrong += &format!("{} {form:?} did not run on a replica: {:?}\n", part.id, part.statements);
                    }
                }
                _ => (),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(eligible > 150, "{eligible}");
}

#[test]
#[ignore = "make test-routing: it waits for the catalog behind each definition"]
fn what_a_catalog_that_knows_nothing_sends_to_replicas_the_primary_answers() {
    // Nobody waits for replay, so that as much as possible goes to replicas.
    let world = World::started("mode = \"split\"", "read_your_writes = \"off\"", &[], forgetful);
    let mut speakers = speakers(&world);
    let mut wrong = String::new();
    for part in parts() {
        until_reads_run_on_replicas(&mut speakers);
        for speaker in &mut speakers {
            // Rows may be older than directly, which is what was asked for.
            wrong += &speaker.say(&part, false).0;
        }
    }
    let log = |server: &LocalPostgres| server.log().matches("in a read-only transaction").count();
    let refused: usize = world.replicas.iter().map(log).sum();
    println!("replicas have refused {refused} statements as writes, and nobody heard of it");
    assert!(wrong.is_empty(), "{wrong}");
    assert!(refused >= 6, "{refused}: the test would prove nothing");
    let counted = |database| {
        world.metric(&format!("pgotter_routing_retries_total{{database=\"{database}\",reason=\"read_only\"}}")) > 0
    };
    eventually("they are counted", || ["w1", "w2", "w3"].into_iter().all(counted));
}
