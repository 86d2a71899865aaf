//! Tables that a rule sends to another entry of `[databases]`, on another cluster. Each cluster has leftovers of the other's tables under
//! their names: what goes to the wrong one is done there without a word, and found.

use crate::support::raw::*;
use crate::support::{PgOtter, must, postgres};
use crate::world::{World, eventually};
use pgotter::cli::local_postgres::{LocalPostgres, Options, SUPERUSER, SUPERUSER_PASSWORD};
use pgotter::cli::ports;
use rustix::process::Signal;
use std::sync::OnceLock;

pub const LOGS: &str = "{ table = \"logs.*\", route = \"database=logs\" }";

/// Runs where it says.
pub const WRITE: &str = "INSERT INTO logs.events VALUES ('written') RETURNING current_setting('otter.host')";
pub const READ: &str = "SELECT current_setting('otter.host') FROM logs.events LIMIT 1";
pub const ORDERS: &str = "SELECT current_setting('otter.host') FROM orders LIMIT 1";
pub const WHERE: &str = "SELECT current_setting('otter.host')";

/// Made on both.
const TABLES: &str = "CREATE TABLE orders (a text); CREATE SCHEMA logs; CREATE TABLE logs.events (a text);
    CREATE TABLE logs.parts (a int) PARTITION BY RANGE (a); CREATE TABLE logs.parts_1 PARTITION OF logs.parts FOR VALUES FROM (0) TO (10);
    INSERT INTO orders VALUES ('first'); INSERT INTO logs.events VALUES ('first');
    CREATE FUNCTION hides(text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE $1; END'";

/// Two clusters, and a pooler in front of a database of the test's own on each.
pub struct Pair {
    home: &'static LocalPostgres,
    logs: &'static LocalPostgres,
    pub name: String,
    rest: String,
    pgotter: PgOtter,
    /// Port of its /metrics.
    pub http: u16,
}

pub fn clusters() -> &'static [LocalPostgres; 2] {
    static CLUSTERS: OnceLock<[LocalPostgres; 2]> = OnceLock::new();
    CLUSTERS.get_or_init(|| {
        ["home", "logs"].map(|name| {
            let settings = vec![format!("otter.host = '{name}'")];
            postgres(&Options { max_connections: 200, settings, ..Options::default() })
        })
    })
}

impl Pair {
    pub fn new(name: &str, rules: &[&str]) -> Self {
        Self::with(name, rules, "", "")
    }

    /// `logs` are further lines for the other entry, `rest` further sections.
    pub fn with(name: &str, rules: &[&str], logs: &str, rest: &str) -> Self {
        let [home, other] = clusters();
        for server in [home, other] {
            must(server.psql("postgres", &format!("CREATE DATABASE {name}")));
            must(server.psql(name, TABLES));
        }
        let rules = rules.join(",\n");
        let http = ports::free_port();
        let rest = format!(
            "[databases.shop]\ndbname = \"{name}\"\nhosts = [\"127.0.0.1:{}\"]\n\
             [databases.logs]\ndbname = \"{name}\"\nhosts = [\"127.0.0.1:{}\"]\n{logs}\n\
             [users.{SUPERUSER}]\npassword = \"{SUPERUSER_PASSWORD}\"\n[http]\nlisten = \"127.0.0.1:{http}\"\n{rest}\n[routing]\nrules = [{rules}]\n",
            home.port(),
            other.port(),
        );
        let pgotter = PgOtter::start(|port| config(port, &rest));
        Self { home, logs: other, name: name.to_owned(), rest, pgotter, http }
    }

    pub fn client(&self) -> Raw {
        self.come("postgres", "shop", &[])
    }

    pub fn come(&self, user: &str, database: &str, more: &[(&str, &str)]) -> Raw {
        come(self.pgotter.port(), user, database, more)
    }

    /// A connection that has said nothing yet.
    pub fn raw(&self) -> Raw {
        Raw::connect(self.pgotter.port())
    }

    pub fn at_home(&self, sql: &str) -> String {
        must(self.home.psql(&self.name, sql))
    }

    pub fn at_logs(&self, sql: &str) -> String {
        must(self.logs.psql(&self.name, sql))
    }

    /// Nothing has come to where it does not belong.
    pub fn nothing_is_astray(&self) {
        assert_eq!(self.at_home("SELECT count(*) FROM logs.events"), "1");
        assert_eq!(self.at_logs("SELECT count(*) FROM orders"), "1");
    }

    pub fn reconfigure(&mut self, before: &str, now: &str) {
        assert!(self.rest.contains(before));
        self.rest = self.rest.replace(before, now);
        let reloads = |pgotter: &PgOtter| pgotter.log().matches("configuration reloaded").count();
        let count = reloads(&self.pgotter);
        std::fs::write(self.pgotter.config_file(), config(self.pgotter.port(), &self.rest)).unwrap();
        self.pgotter.signal(Signal::HUP);
        eventually("the reload", || reloads(&self.pgotter) > count);
    }
}

pub fn config(port: u16, rest: &str) -> String {
    format!("[pooler]\nlisten_port = {port}\nauth_type = \"trust\"\nadmin_users = [\"{SUPERUSER}\"]\n{rest}")
}

pub fn come(port: u16, user: &str, database: &str, more: &[(&str, &str)]) -> Raw {
    let mut client = Raw::connect(port);
    client.send(&startup(3, 0, &[&[("user", user), ("database", database)], more].concat()));
    client.welcomed();
    client
}

/// Parse, Bind, Execute and Sync.
pub fn run(client: &mut Raw, text: &str) -> Vec<Frame> {
    client.send(&[extended(text, &[]), sync()].concat());
    client.until_ready()
}

pub fn hint(frames: &[Frame]) -> String {
    frames.iter().find(|frame| frame.kind == b'E').and_then(|error| error.field(b'H')).unwrap_or_default()
}

pub fn status(frames: &[Frame]) -> u8 {
    frames.last().and_then(|ready| ready.body.first().copied()).unwrap_or(b'?')
}

pub fn tag(frames: &[Frame]) -> String {
    let tag = frames.iter().find(|frame| frame.kind == b'C').unwrap_or_else(|| panic!("{}", print(frames)));
    String::from_utf8_lossy(&tag.body).trim_end_matches('\0').to_owned()
}

/// Refused with 0A000 and a HINT that says what to do.
#[track_caller]
pub fn refused(frames: &[Frame], says: &str) {
    assert_eq!(error_code(frames).as_deref(), Some("0A000"), "{}", print(frames));
    assert!(hint(frames).contains(says), "{}", print(frames));
}

#[test]
fn statements_run_where_their_tables_are_in_each_form_of_the_protocol() {
    let pair = Pair::new("forms", &[LOGS]);
    let mut client = pair.client();
    for round in 0..2 {
        for (text, place) in [(WRITE, "logs"), (READ, "logs"), (ORDERS, "home"), (WHERE, "home")] {
            assert_eq!(client.value(text), place, "{text}");
            assert_eq!(first_value(&run(&mut client, text)).as_deref(), Some(place), "{text}");
            let name = format!("{round} {text}");
            client.send(&[parse(&name, text), describe(b'S', &name), sync()].concat());
            let described = client.until_ready();
            assert_eq!(error_code(&described), None, "{text}: {}", print(&described));
            for _ in 0..2 {
                client.send(&[bind("", &name, &[]), execute("", 0), sync()].concat());
                assert_eq!(first_value(&client.until_ready()).as_deref(), Some(place), "{text}");
            }
            client.send(&[describe(b'S', &name), sync()].concat());
            assert_eq!(error_code(&client.until_ready()), None, "{text}");
        }
    }
    let several = "INSERT INTO logs.events VALUES ('a'); UPDATE logs.events SET a = 'b' WHERE a = 'a' RETURNING current_setting('otter.host')";
    assert_eq!(client.value(several), "logs");
    for (text, place) in [(READ, "logs"), (ORDERS, "shop"), (WRITE, "logs")] {
        client.ask(text);
        let shown = client.ask("SHOW pgotter.route");
        let columns = column_names(shown.iter().find(|frame| frame.kind == b'T').unwrap());
        let row = row_values(shown.iter().find(|frame| frame.kind == b'D').unwrap());
        let port = if place == "logs" { pair.logs.port() } else { pair.home.port() };
        let at =
            |name: &str| row[columns.iter().position(|column| column == name).unwrap()].clone().unwrap_or_default();
        assert_eq!((at("database"), at("host")), (place.to_owned(), format!("127.0.0.1:{port}")), "{text}");
    }
    // One write, many transactions.
    client.send(&[query(WRITE), query(ORDERS), query(READ), query(WHERE)].concat());
    let places: Vec<_> = (0..4).filter_map(|_| first_value(&client.until_ready())).collect();
    assert_eq!(places, ["logs", "home", "logs", "home"]);
    let pipeline = [WRITE, ORDERS, READ, WHERE].map(|text| [extended(text, &[]), sync()].concat()).concat();
    client.send(&pipeline);
    let places: Vec<_> = (0..4).filter_map(|_| first_value(&client.until_ready())).collect();
    assert_eq!(places, ["logs", "home", "logs", "home"]);
    pair.nothing_is_astray();
    assert_eq!(pair.at_logs("SELECT count(*) FROM logs.events WHERE a = 'written'"), "11");
}

#[test]
fn a_block_runs_where_its_first_table_is_and_is_not_both() {
    let pair = Pair::new("blocks", &[LOGS]);
    let mut client = pair.client();
    for send in [Raw::ask as fn(&mut Raw, &str) -> Vec<Frame>, |client, text| run(client, text)] {
        for begin in ["BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ"] {
            assert_eq!(error_code(&send(&mut client, begin)), None);
            for text in [WRITE, WHERE, "SELECT current_setting('otter.host') FROM pg_class LIMIT 1", READ] {
                assert_eq!(first_value(&send(&mut client, text)).as_deref(), Some("logs"), "{text}");
            }
            send(&mut client, "SAVEPOINT a");
            refused(&send(&mut client, ORDERS), "transaction of their own");
            assert_eq!(error_code(&send(&mut client, WHERE)).as_deref(), Some("25P02"), "the block has failed");
            assert_eq!(tag(&send(&mut client, "ROLLBACK TO a")), "ROLLBACK");
            assert_eq!(first_value(&send(&mut client, WRITE)).as_deref(), Some("logs"));
            assert_eq!(tag(&send(&mut client, "COMMIT")), "COMMIT");
            assert_eq!(first_value(&send(&mut client, WHERE)).as_deref(), Some("home"));
        }
        send(&mut client, "BEGIN");
        assert_eq!(first_value(&send(&mut client, ORDERS)).as_deref(), Some("home"));
        refused(&send(&mut client, WRITE), "connect to database \"logs\"");
        assert_eq!(error_code(&send(&mut client, WHERE)).as_deref(), Some("25P02"));
        assert_eq!(tag(&send(&mut client, "COMMIT")), "ROLLBACK");
        send(&mut client, "BEGIN");
        let mixed = send(&mut client, "INSERT INTO logs.events SELECT * FROM orders");
        refused(&mixed, "one statement for each database");
        assert_eq!(status(&mixed), b'E', "the block, which has no server yet, has failed");
        assert_eq!(error_code(&send(&mut client, WHERE)).as_deref(), Some("25P02"));
        assert_eq!(tag(&send(&mut client, "COMMIT")), "ROLLBACK");
        let mixed = send(&mut client, "DELETE FROM orders USING logs.events");
        refused(&mixed, "one statement for each database");
        assert_eq!(status(&mixed), b'I');
    }
    // Prepared before, bound in the other's transaction.
    client.send(&[parse("write", WRITE), parse("again", READ), sync()].concat());
    client.until_ready();
    client.ask("BEGIN");
    assert_eq!(client.value(ORDERS), "home");
    client.send(&[bind("", "write", &[]), execute("", 0), sync()].concat());
    refused(&client.until_ready(), "transaction of their own");
    client.ask("ROLLBACK");
    // Parsed without being run, in the other's transaction.
    client.ask("BEGIN");
    client.ask(READ);
    client.send(&[parse("late", ORDERS), describe(b'S', "late"), sync()].concat());
    refused(&client.until_ready(), "transaction of their own");
    client.ask("ROLLBACK");
    client.send(&[parse("late", ORDERS), bind("", "late", &[]), execute("", 0), sync()].concat());
    assert_eq!(first_value(&client.until_ready()).as_deref(), Some("home"), "the name was not taken");
    // Several in one request, with one Sync.
    client.send(&[extended(WRITE, &[]), extended(ORDERS, &[]), sync()].concat());
    refused(&client.until_ready(), "one statement for each database");
    // The rest of a request that goes on behind a Flush.
    client.send(&[extended(WRITE, &[]), flush()].concat());
    assert_eq!(first_value(&client.until(b'C')).as_deref(), Some("logs"));
    client.send(&[extended(ORDERS, &[]), sync()].concat());
    refused(&client.until_ready(), "transaction of their own");
    pair.nothing_is_astray();
    assert_eq!(pair.at_logs("SELECT count(*) FROM logs.events WHERE a = 'written'"), "8");
}

#[test]
fn names_are_found_along_the_search_path_and_by_patterns() {
    let pair = Pair::new("names", &[LOGS, "{ table = \"audit*\", route = \"database=logs\" }"]);
    pair.at_logs("CREATE TABLE audit_1 (a text); CREATE TABLE logs.only_there (a text)");
    pair.at_home("CREATE TABLE only_here (a text)");
    let mut client = pair.client();
    let place = |client: &mut Raw, from: &str| {
        client.value(&format!("SELECT current_setting('otter.host') FROM (SELECT count(*) FROM {from}) AS counted"))
    };
    for from in ["audit_1", "public.audit_1", "\"logs\".\"events\"", "LOGS.Parts", "logs.parts_1", "names.logs.events"]
    {
        assert_eq!(place(&mut client, from), "logs", "{from}");
    }
    for from in ["orders", "public.orders", "only_here", "(SELECT 1) AS audit_1"] {
        assert_eq!(place(&mut client, from), "home", "{from}");
    }
    assert_eq!(
        error_code(&client.ask("SELECT * FROM events")).as_deref(),
        Some("42P01"),
        "it is not on the search path"
    );
    client.ask("SET search_path = logs");
    assert_eq!(place(&mut client, "events"), "logs");
    assert_eq!(place(&mut client, "public.orders"), "home");
    refused(&client.ask("TRUNCATE events"), "connect to database \"logs\"");
    client.ask("SET search_path = logs, public");
    assert_eq!(place(&mut client, "only_there"), "logs", "only the other database has it");
    assert_eq!(place(&mut client, "only_here"), "home", "only its own database has it");
    refused(&client.ask("SELECT * FROM events"), "Write the schema in front");
    refused(&client.ask("INSERT INTO orders VALUES ('x')"), "Write the schema in front");
    assert_eq!(place(&mut client, "public.orders"), "home");
    client.ask("RESET search_path");
    for text in [
        "SET search_path = logs; INSERT INTO events VALUES ('x')",
        "SELECT set_config('search_path', 'logs', false); SELECT * FROM events",
    ] {
        refused(&client.ask(text), "Write the schema in front");
    }
    // In its transaction nobody knows it any more than by these names.
    client.ask("BEGIN");
    assert_eq!(place(&mut client, "orders"), "home");
    client.ask("SET LOCAL search_path = logs");
    refused(&client.ask("SELECT * FROM events"), "Write the schema in front");
    client.ask("ROLLBACK");
    assert_eq!(place(&mut client, "orders"), "home");
    let mut come = pair.come("postgres", "shop", &[("options", "-c search_path=logs")]);
    assert_eq!(place(&mut come, "events"), "logs");
    pair.nothing_is_astray();
}

#[test]
fn what_would_name_tables_unseen_is_refused() {
    let pair = Pair::new("unseen", &[LOGS]);
    let mut client = pair.client();
    for text in [
        "TRUNCATE logs.events",
        "ALTER TABLE logs.events ADD b int",
        "CREATE INDEX ON logs.events (a)",
        "CREATE TABLE copied AS SELECT * FROM logs.events",
        "SELECT * INTO logs.copied FROM orders",
        "LOCK TABLE logs.events",
        "PREPARE p AS SELECT * FROM logs.events",
        "VACUUM logs.events",
    ] {
        for frames in [client.ask(text), run(&mut client, text)] {
            refused(&frames, "connect to database \"logs\"");
        }
    }
    client.ask("BEGIN");
    client.ask(READ);
    refused(&client.ask("CREATE TABLE new (a int)"), "transaction of their own");
    client.ask("ROLLBACK");
    assert_eq!(error_code(&client.ask("CREATE TABLE new (a int)")), None);
    assert_eq!((pair.at_home("SELECT count(*) FROM new").as_str(), client.value(READ).as_str()), ("0", "logs"));
    // Who has logged in there does as he likes.
    let mut there = pair.come("postgres", "logs", &[]);
    assert_eq!(
        error_code(&there.ask("ALTER TABLE logs.events ADD b int; CREATE TABLE logs.copied AS SELECT * FROM orders")),
        None
    );
    assert_eq!(there.value(ORDERS), "logs");
    pair.nothing_is_astray();
}

#[test]
fn copy_goes_both_ways() {
    let pair = Pair::new("copies", &[LOGS]);
    let mut client = pair.client();
    for send in [query("COPY logs.events FROM STDIN"), [extended("COPY logs.events FROM STDIN", &[]), sync()].concat()]
    {
        client.send(&send);
        client.until(b'G');
        for _ in 0..1000 {
            client.send(&copy_data(&"copied line\n".repeat(10)));
        }
        client.send(&copy_done());
        if send[0] == b'P' {
            client.send(&sync());
        }
        assert_eq!(tag(&client.until_ready()), "COPY 10000");
        // PostgreSQL has read the first Sync in the midst of the data: there is one answer.
        assert_eq!(client.value(WHERE), "home");
    }
    client.send(&query("COPY logs.events FROM STDIN"));
    client.until(b'G');
    client.send(&copy_fail("no"));
    assert_eq!(error_code(&client.until_ready()).as_deref(), Some("57014"));
    for text in ["COPY logs.events TO STDOUT", "COPY (SELECT * FROM logs.events) TO STDOUT"] {
        assert_eq!(tag(&client.ask(text)), "COPY 20001");
    }
    assert_eq!(client.value(WHERE), "home");
    refused(&client.ask("COPY (SELECT * FROM logs.events, orders) TO STDOUT"), "one statement for each database");
    pair.nothing_is_astray();
}

#[test]
fn what_a_client_has_set_and_prepared_it_has_in_both() {
    let pair = Pair::with("carried", &[LOGS], "pool_size = 1", "");
    let mut client = pair.come("postgres", "shop", &[("application_name", "carrier"), ("TimeZone", "Asia/Tokyo")]);
    let shown = "current_setting('app.tenant') || ' ' || current_setting('TimeZone') || ' ' || current_setting('work_mem') || ' ' || current_setting('application_name')";
    client.ask("SET app.tenant = 'seven'");
    client.ask("SET work_mem = '7MB'");
    let there = format!("SELECT {shown} FROM logs.events LIMIT 1");
    let here = format!("SELECT {shown}");
    for text in [&there, &here, &there] {
        assert_eq!(client.value(text), "seven Asia/Tokyo 7MB carrier", "{text}");
    }
    client.ask("BEGIN");
    client.ask(READ);
    client.ask("SET work_mem = '8MB'");
    client.ask("SET LOCAL app.tenant = 'none'");
    client.ask("COMMIT");
    assert_eq!(client.value(&here), "seven Asia/Tokyo 8MB carrier", "what was set there it has at home");
    client.ask("BEGIN");
    client.ask(READ);
    client.ask("SET work_mem = '9MB'");
    client.ask("ROLLBACK");
    assert_eq!(client.value(&there), "seven Asia/Tokyo 8MB carrier");
    // Others do not have it.
    let mut other = pair.come("postgres", "logs", &[]);
    assert_eq!(
        other.value("SELECT current_setting('work_mem') || coalesce(current_setting('app.tenant', true), '')"),
        "4MB"
    );
    // Names of statements are the client's, whatever servers call them.
    for (client, name) in [(&mut client, "home"), (&mut other, "logs")] {
        client.send(
            &[parse("own", &format!("SELECT 'of {name}'")), bind("", "own", &[]), execute("", 0), sync()].concat(),
        );
        assert_eq!(first_value(&client.until_ready()), Some(format!("of {name}")));
    }
    client.ask("BEGIN");
    assert_eq!(client.value(WRITE), "logs");
    client.send(&[bind("", "own", &[]), execute("", 0), sync()].concat());
    assert_eq!(first_value(&client.until_ready()).as_deref(), Some("of home"));
    client.ask("COMMIT");
    other.send(&[bind("", "own", &[]), execute("", 0), sync()].concat());
    assert_eq!(first_value(&other.until_ready()).as_deref(), Some("of logs"));
    // As many statements for the one server there as it may keep, and the one at home.
    client.send(&[parse("insert", "INSERT INTO logs.events VALUES ($1) RETURNING a"), sync()].concat());
    client.until_ready();
    for value in ["x", "y"] {
        client.send(&[bind("", "insert", &[value.as_bytes()]), execute("", 0), sync()].concat());
        assert_eq!(first_value(&client.until_ready()).as_deref(), Some(value));
        client.send(&[bind("", "own", &[]), execute("", 0), sync()].concat());
        assert_eq!(first_value(&client.until_ready()).as_deref(), Some("of home"));
    }
    pair.nothing_is_astray();
}

#[test]
fn nothing_of_a_session_is_left_in_another_database() {
    let pair = Pair::new("ties", &[LOGS]);
    let mut client = pair.client();
    for text in [
        "CREATE TEMP TABLE kept (a int)",
        "LISTEN heard",
        "UNLISTEN *",
        "SELECT pg_advisory_lock(1)",
        "DECLARE kept CURSOR WITH HOLD FOR SELECT 1",
        "PREPARE kept AS SELECT 1",
        "SET ROLE pg_monitor",
        "PREPARE TRANSACTION 'kept'",
    ] {
        for extended in [false, true] {
            client.ask("BEGIN");
            assert_eq!(client.value(READ), "logs");
            let frames = if extended { run(&mut client, text) } else { client.ask(text) };
            assert_eq!(error_code(&frames).as_deref(), Some("0A000"), "{text}: {}", print(&frames));
            assert!(hint(&frames).contains("database"), "{text}: {}", print(&frames));
            assert_eq!(tag(&client.ask("COMMIT")), "ROLLBACK", "{text}");
        }
    }
    for text in ["LISTEN heard", "CREATE TEMP TABLE kept (a int)"] {
        assert_eq!(error_code(&client.ask(text)), None, "at home it may: {text}");
    }
    // It keeps a server at home for that.
    refused(&client.ask(READ), "transaction of their own");
    assert_eq!(error_code(&client.ask("DROP TABLE kept")), None);
    assert_eq!(client.value(READ), "logs");
    let mut notifier = pair.client();
    notifier.ask("NOTIFY heard, 'at home'");
    assert_eq!(client.until(b'A').last().map(|news| news.kind), Some(b'A'));
    assert_eq!(client.value(WRITE), "logs", "who listens at home may go there all the same");
    client.ask("BEGIN");
    client.ask(READ);
    refused(&client.ask("SELECT hides('LISTEN heard')"), "Connect to database \"logs\"");
    client.ask("ROLLBACK");
    // Of one that has come unseen no text shows what it does. It is found behind it, and the client told that it is lost.
    pair.at_logs("CREATE FUNCTION unseen(text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE $1; END'");
    for hidden in ["CREATE TEMP TABLE kept (a int)", "LISTEN heard", "PREPARE kept AS SELECT 1"] {
        let mut client = pair.client();
        client.ask("BEGIN");
        assert_eq!(client.value(READ), "logs");
        assert_eq!(error_code(&client.ask(&format!("SELECT unseen('{hidden}')"))), None);
        client.send(&query("COMMIT"));
        let frames = client.until_end();
        assert_eq!(error_code(&frames).as_deref(), Some("0A000"), "{hidden}: {}", print(&frames));
        assert!(hint(&frames).contains("Connect to database \"logs\""), "{hidden}: {}", print(&frames));
    }
    let left = "SELECT count(*) FROM pg_class WHERE relname = 'kept'";
    eventually("temporary tables are dropped", || pair.at_logs(left) == "0");
    pair.nothing_is_astray();
}

#[test]
fn who_may_not_use_the_other_database_is_told_so() {
    let pair = Pair::new("access", &[LOGS]);
    for sql in ["CREATE ROLE shut_out LOGIN", "REVOKE CONNECT ON DATABASE access FROM PUBLIC"] {
        pair.at_logs(sql);
    }
    for role in ["shut_out", "home_only"] {
        pair.at_home(&format!("CREATE ROLE {role} LOGIN; GRANT ALL ON orders TO {role}; GRANT USAGE ON SCHEMA logs TO {role}; GRANT ALL ON logs.events TO {role}"));
    }
    for (role, code, why) in [
        ("shut_out", "08006", "permission denied for database"),
        ("home_only", "28000", "role \"home_only\" does not exist"),
    ] {
        let mut client = pair.come(role, "shop", &[]);
        assert_eq!(client.value(ORDERS), "home");
        let frames = client.ask(WRITE);
        assert_eq!(error_code(&frames).as_deref(), Some(code), "{}", print(&frames));
        assert!(print(&frames).replace('\\', "").contains(why), "{}", print(&frames));
        assert!(
            hint(&frames).contains("A rule of [routing] sends the statement to database \"logs\""),
            "{}",
            print(&frames)
        );
        client.ask("BEGIN");
        assert_eq!(error_code(&client.ask(READ)).as_deref(), Some(code));
        assert_eq!(error_code(&client.ask(ORDERS)).as_deref(), Some("25P02"));
        client.ask("ROLLBACK");
        assert_eq!(client.value(ORDERS), "home");
        client.ask(READ);
        let shown = client.ask("SHOW pgotter.route");
        let row = row_values(shown.iter().find(|frame| frame.kind == b'D').unwrap());
        assert_eq!(row.last().cloned().flatten().as_deref(), Some("shop"), "nothing ran elsewhere");
    }
    pair.nothing_is_astray();
}

#[test]
fn a_database_with_a_user_of_its_own_has_it_for_those_who_come_by_a_rule() {
    let pair = Pair::with("forced", &[LOGS], "user = \"log_writer\"", "");
    pair.at_logs("CREATE ROLE log_writer LOGIN; GRANT USAGE ON SCHEMA logs TO log_writer; GRANT ALL ON ALL TABLES IN SCHEMA logs TO log_writer");
    let mut client = pair.client();
    for _ in 0..2 {
        assert_eq!(client.value("SELECT session_user FROM logs.events LIMIT 1"), "log_writer");
        assert_eq!(client.value("SELECT session_user"), "postgres");
        assert_eq!(client.value("SHOW is_superuser"), "on");
    }
    client.ask("SET work_mem = '5MB'");
    assert_eq!(client.value("SELECT current_setting('work_mem') FROM logs.events LIMIT 1"), "5MB");
    client.ask("SET ROLE pg_monitor");
    assert_eq!(client.value("SELECT current_user"), "pg_monitor");
    refused(&client.ask(READ), "Connect to database \"logs\"");
    client.ask("RESET ROLE");
    assert_eq!(client.value(READ), "logs");
    assert_eq!(client.value("SELECT current_user"), "postgres");
    pair.nothing_is_astray();
}

#[test]
fn a_reload_changes_the_rules_of_clients_that_are_there() {
    let mut pair = Pair::new("reloads", &[]);
    let mut client = pair.client();
    assert_eq!(client.value(READ), "home", "there is no rule");
    pair.reconfigure("rules = []", &format!("rules = [{LOGS}]"));
    assert_eq!(client.value(READ), "logs");
    client.ask("BEGIN");
    client.ask(READ);
    pair.reconfigure(LOGS, "");
    assert_eq!(client.value(WHERE), "logs", "a transaction ends where it is");
    refused(&client.ask(ORDERS), "transaction of their own");
    client.ask("ROLLBACK");
    assert_eq!(client.value(READ), "home");
    let rule = "{ database = \"shop\", user = \"post*\", table = \"logs.events\", route = \"database=logs\" }";
    pair.reconfigure("rules = []", &format!("rules = [{rule}]"));
    assert_eq!(client.value(READ), "logs");
    pair.reconfigure("user = \"post*\"", "user = \"others\"");
    assert_eq!(client.value(READ), "home");
    pair.reconfigure("database = \"shop\", user = \"others\"", "database = \"crm\"");
    assert_eq!(client.value(READ), "home");
    pair.reconfigure("database = \"crm\"", "database = \"s*\"");
    assert_eq!(client.value(READ), "logs");
    // Its servers are others from now on.
    let (home, logs) = (format!("127.0.0.1:{}", pair.home.port()), format!("127.0.0.1:{}", pair.logs.port()));
    pair.reconfigure(
        &format!("[databases.logs]\ndbname = \"reloads\"\nhosts = [\"{logs}\"]"),
        &format!("[databases.logs]\ndbname = \"reloads\"\nhosts = [\"{home}\"]"),
    );
    assert_eq!(client.value(READ), "home");
    pair.rest = pair.rest.replace("database=logs", "database=archive");
    pair.reconfigure("[databases.logs]", "[databases.archive]");
    client.ask(READ);
    let shown = client.ask("SHOW pgotter.route");
    let row = row_values(shown.iter().find(|frame| frame.kind == b'D').unwrap());
    assert_eq!(row.last().cloned().flatten().as_deref(), Some("archive"));
}

#[test]
fn what_is_longer_than_is_gathered_goes_where_it_begins_and_no_further() {
    let pair = Pair::new("lengths", &[LOGS]);
    let mut client = pair.client();
    let long = "x".repeat(300_000);
    assert_eq!(
        client.value(&format!("INSERT INTO logs.events VALUES ('{long}') RETURNING current_setting('otter.host')")),
        "logs"
    );
    assert_eq!(
        client.value(&format!("INSERT INTO orders VALUES ('{long}') RETURNING current_setting('otter.host')")),
        "home"
    );
    for text in [
        format!("INSERT INTO logs.events SELECT '{long}' FROM orders"),
        format!("INSERT INTO orders SELECT '{long}' FROM logs.events"),
        format!("SELECT '{long}'; DELETE FROM logs.events"),
        format!("SELECT '{long}'; TRUNCATE orders"),
    ] {
        let frames = client.ask(&text);
        assert_eq!(error_code(&frames).as_deref(), Some("0A000"), "{}", print(&frames));
        assert!(!hint(&frames).is_empty());
    }
    client.send(
        &[
            parse("", "INSERT INTO logs.events VALUES ($1) RETURNING current_setting('otter.host')"),
            bind("", "", &[long.as_bytes()]),
            execute("", 0),
            sync(),
        ]
        .concat(),
    );
    assert_eq!(first_value(&client.until_ready()).as_deref(), Some("logs"));
    client.send(
        &[parse("named", "INSERT INTO logs.events VALUES ($1) RETURNING current_setting('otter.host')"), sync()]
            .concat(),
    );
    client.until_ready();
    client.send(&[bind("", "named", &[long.as_bytes()]), execute("", 0), sync()].concat());
    assert_eq!(first_value(&client.until_ready()).as_deref(), Some("logs"));
    client.send(
        &[parse("", &format!("INSERT INTO logs.events VALUES ('{long}')")), bind("", "", &[]), execute("", 0), sync()]
            .concat(),
    );
    refused(&client.until_ready(), "request_gather");
    assert_eq!(client.value(ORDERS), "home", "it goes on");
    assert_eq!(pair.at_logs("SELECT count(*) FROM logs.events"), "4");
    assert_eq!(pair.at_home("SELECT count(*) FROM logs.events"), "1");
    assert_eq!(pair.at_home("SELECT count(*) FROM orders"), "2");
    assert_eq!(pair.at_logs("SELECT count(*) FROM orders"), "1");
}

#[test]
fn a_database_whose_servers_are_not_shared_is_not_led_to() {
    let pair = Pair::with("unshared", &[LOGS], "pool_mode = \"session\"", "");
    let mut client = pair.client();
    refused(&client.ask(READ), "Connect to database \"logs\"");
    assert_eq!(client.value(ORDERS), "home");
    pair.nothing_is_astray();
}

#[test]
fn what_it_has_written_elsewhere_a_client_sees_on_the_replicas_there() {
    let world = World::new("");
    world.define(
        "t (a int)",
        "CREATE SCHEMA logs; CREATE TABLE logs.events (a text); INSERT INTO logs.events VALUES ('first')",
    );
    let hosts: Vec<_> =
        world.replicas.iter().chain([&world.primary]).map(|host| format!("\"127.0.0.1:{}\"", host.port())).collect();
    let [home, _] = clusters();
    let pgotter = PgOtter::start(|port| {
        let rest = format!(
            "[databases.shop]\ndbname = \"postgres\"\nhosts = [\"127.0.0.1:{}\"]\n[databases.logs]\ndbname = \"postgres\"\nhosts = [{}]\n\
             [users.{SUPERUSER}]\npassword = \"{SUPERUSER_PASSWORD}\"\n[http]\nlisten = \"\"\n[routing]\nmode = \"split\"\nrules = [{LOGS}]\n",
            home.port(),
            hosts.join(", "),
        );
        config(port, &rest)
    });
    let mut client = come(pgotter.port(), "postgres", "shop", &[]);
    let count = "SELECT current_setting('otter.host') || count(*) FROM logs.events";
    eventually("reads run on replicas", || client.value(count).starts_with("replica"));
    world.pause_replay(true);
    assert_eq!(client.value(WHERE), "home");
    assert_eq!(
        client.value("INSERT INTO logs.events VALUES ('more') RETURNING current_setting('otter.host')"),
        "primary"
    );
    assert_eq!(client.value(WHERE), "home");
    assert_eq!(client.value(count), "primary2", "no replica has it yet");
    client.ask("BEGIN READ ONLY");
    assert_eq!(client.value(count), "primary2");
    client.ask("COMMIT");
    world.pause_replay(false);
    eventually("a replica has it", || client.value(count).starts_with("replica"));
    assert!(client.value(count).ends_with('2'));
}
