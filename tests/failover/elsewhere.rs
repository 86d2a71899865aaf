//! Tables that a rule sends to another entry, whose primary is replaced: what names them is kept for the next one, also where only the
//! catalogs tell in which entry a table is.

use super::talk::{Client, SYNC, extended, query};
use super::trio::{ROLE, Trio};
use super::world::{cluster, eventually, host, look};
use crate::support::{PgOtter, must};
use pgotter::cli::local_postgres::{SUPERUSER, StopMode};
use std::sync::Once;
use std::thread;

/// In both.
const HERE: &str = "SELECT inet_server_port() FROM only_here";
const THERE: &str = "INSERT INTO only_there VALUES (1) RETURNING inet_server_port()";

/// `t` and `only_there` are in the trio's schema `logs`, `only_here` at home.
fn pooler(trio: &Trio, name: &str) -> PgOtter {
    look(&format!("CREATE DATABASE {name}"));
    static ROLE_AT_HOME: Once = Once::new();
    ROLE_AT_HOME.call_once(|| {
        look(&format!("CREATE ROLE {ROLE} LOGIN"));
    });
    let tables = |table: &str| {
        format!(
            "CREATE SCHEMA logs; GRANT ALL ON SCHEMA logs TO PUBLIC; CREATE TABLE {table} AS SELECT 0 AS a; GRANT ALL ON {table} TO PUBLIC"
        )
    };
    must(cluster().psql(name, &tables("only_here")));
    must(trio.primary.psql("postgres", &tables("logs.only_there")));
    must(trio.primary.wait_for_replicas(2));
    PgOtter::start(|port| {
        format!(
            "[pooler]\nlisten_port = {port}\nauth_type = \"trust\"\nadmin_users = [\"{SUPERUSER}\"]\n\
             [databases.app]\ndbname = \"{name}\"\nhosts = [\"{}\"]\n[databases.logs]\ndbname = \"postgres\"\nhosts = [{}]\n\
             [routing]\nrules = [{{ table = \"logs.*\", route = \"database=logs\" }}]\n",
            host(cluster()),
            trio.hosts().join(", "),
        )
    })
}

/// Its search path leads to both, and it knows both.
fn client(pooler: &PgOtter, trio: &Trio) -> Client {
    let mut client = Client::connect_with(
        pooler.port(),
        &[("user", ROLE), ("database", "app"), ("options", "-c search_path=logs,public")],
    );
    assert_eq!(client.value(THERE), trio.primary.port().to_string());
    assert_eq!(client.value(HERE), cluster().port().to_string());
    client
}

#[test]
fn what_only_the_catalogs_can_place_is_kept_until_the_other_entry_has_its_next_primary() {
    let mut trio = Trio::start();
    let pooler = pooler(&trio, "kept");
    let mut clients: Vec<_> = (0..6).map(|_| client(&pooler, &trio)).collect();
    must(trio.primary.stop(StopMode::Immediate));
    for (number, client) in clients.iter_mut().enumerate() {
        let text = if number % 2 == 0 { query(THERE) } else { [extended(THERE), SYNC.to_vec()].concat() };
        client.send(&text);
    }
    let next = trio.replicas[1].port().to_string();
    must(trio.replicas[1].promote());
    for client in &mut clients {
        assert_eq!(client.answer().value(), next);
        for _ in 0..3 {
            assert_eq!(client.value(THERE), next);
            assert_eq!(client.value(HERE), cluster().port().to_string());
        }
    }
}

#[test]
fn behind_a_promotion_while_the_old_primary_is_there_nothing_is_refused_either() {
    let mut trio = Trio::start();
    let pooler = pooler(&trio, "promoted");
    let mut clients: Vec<_> = (0..4).map(|_| client(&pooler, &trio)).collect();
    let next = trio.replicas[0].port().to_string();
    let wrong = thread::scope(|scope| {
        let tries: Vec<_> = clients
            .iter_mut()
            .map(|client| {
                let next = &next;
                scope.spawn(move || {
                    let mut wrong = Vec::new();
                    eventually("it is at the next one", || {
                        let answer = client.query(THERE);
                        // In flight it gets the truth, and is disconnected.
                        let code = answer.errors.first().map(|error| error.code.clone());
                        wrong.extend(code.filter(|code| !["08006", "08007", "25006"].contains(&code.as_str())));
                        answer.status.is_none() || answer.errors.is_empty() && answer.value() == next
                    });
                    wrong
                })
            })
            .collect();
        must(trio.replicas[0].promote());
        tries.into_iter().flat_map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(wrong, Vec::<String>::new());
}
